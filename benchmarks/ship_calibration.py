"""Make the calibrations that come with the package, and see how they hold on photos that they do not know.

For each method: synthetic surveys, with outlined animals and without (their cases are shipped, for `calibrate` to lean
on, beside a model made from them), and, where --data has them, real photos, of which fitted numbers alone are shipped.
Of several models the one that claims least counts. Tables stay in --work, so a run that was stopped goes on. How far
to trust the result is in results/shipped_calibrations.json: each real set judged by the models of the other sources.

Example: python benchmarks/ship_calibration.py --work /tmp/work --data ../shared/data --method hesaff:lnbnn
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from datasets import prepare
from engine_cases import engine_cases, settings_of
from measure import circumstances, write_result

from snowmatch.api import open_catalog
from snowmatch.confidence.cases import Case
from snowmatch.confidence.fit import fit
from snowmatch.confidence.learn import ask, choose_groups, cross_validate
from snowmatch.confidence.levels import Levels
from snowmatch.confidence.model import BOXED, Model, Probabilities
from snowmatch.confidence.quality import measure_quality
from snowmatch.confidence.shipped import SHIPPED, Shipped, shipped_to_json
from snowmatch.views.calibration import quality_to_json

# Which sources tell of which queries. Leopards: few animals, so a model of theirs claims little, and that is wanted.
SYNTHETIC = {"outlined": ("", ""), "whole": (",boxes=no,masks=no", "-whole"), BOXED: (",masks=no", "-boxed")}
SURVEYS = tuple(f"synthetic,individuals=24,encounters=4,stations=6,seed={seed}" for seed in (101, 102))
REAL = {
    "outlined": {"snow_leopard-boxes": "{data}/snow_leopard,boxed=yes,masks=no,name=snow_leopard-boxes"},
    "whole": {
        "snow_leopard-whole": "{data}/snow_leopard,boxes=no,masks=no,flanks=no,name=snow_leopard-whole",
        "nyala-left-third": "{data}/nyala,parts=left_flank,every=3,name=nyala-left-third",
    },
    BOXED: {},
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--data", type=Path, help="where real photos are; without, synthetic surveys alone")
    parser.add_argument("--method", action="append", required=True, help="EXTRACTOR:MATCHER")
    parser.add_argument("--out", type=Path, default=SHIPPED)
    given = parser.parse_args()
    entries, judged = [], {}
    for method in given.method:
        entry, quality = shipped_of(method, given.work, given.data)
        entries.append(entry)
        judged[method] = quality
    words = " ".join(f"--method {method}" for method in given.method)
    given.out.write_text(_compact({"methods": entries}), encoding="utf-8")
    write_result(
        "shipped_calibrations",
        circumstances(f"python benchmarks/ship_calibration.py --work W --data D {words}") | {"methods": judged},
    )


def shipped_of(method: str, work: Path, data: Path | None) -> tuple[dict[str, Any], dict[str, Any]]:
    """One method's entry of the shipped file, and how well its models hold on each real set."""
    models: dict[str, dict[str, Model]] = {}
    cases: dict[str, dict[str, tuple[Case, ...]]] = {}
    for kind, (also, suffix) in SYNTHETIC.items():
        drawn = [case for survey in SURVEYS for case in _synthetic(survey, also, suffix, method, work)]
        cases[kind] = {"synthetic": tuple(drawn)}
        for name, text in REAL[kind].items() if data is not None else ():
            cases[kind][name] = _real(text.format(data=data), name, method, work)
        models[kind] = {name: fit(of) for name, of in cases[kind].items()}
    # rocks in the boxes of the drawn cats match better than any in real ones, so nobody leans on those cases
    models[BOXED] = models["outlined"] | {"synthetic boxes": models[BOXED]["synthetic"]}
    cases[BOXED] = {"synthetic boxes": cases[BOXED]["synthetic"], **_real_ones(cases["outlined"])}
    together = {
        kind: tuple(case for case in of["synthetic"] if case.together) for kind, of in cases.items() if kind != BOXED
    }
    quality: dict[str, Any] = {}
    for kind, of in cases.items():
        lean = "outlined" if kind == BOXED else kind
        prior = Shipped({kind: tuple(models[kind].values())}, {lean: together[lean]})
        for name, asked in of.items():
            encounters = [case for case in asked if case.together]
            others = [model for source, model in models[kind].items() if source != name]
            groups = choose_groups(asked, prior)
            quality[f"{name} ({kind})"] = {
                "shipped": _quality(encounters, models[kind].values()),
                "shipped without it": _quality(encounters, others) if others else None,
                "calibrated": _told(encounters, cross_validate(asked, groups, prior, encounters)),
                "calibrated without what is shipped": _told(
                    encounters, cross_validate(asked, groups, None, encounters)
                ),
            }
    described = settings_of(method, work)
    number = sum(c.together and c.right < 0 for of in cases.values() for each in of.values() for c in each)
    shipped = Shipped({kind: tuple(of.values()) for kind, of in models.items()}, together, number)
    return shipped_to_json(described["extractor"], described["matcher"], shipped), quality


def _real_ones(cases: dict[str, tuple[Case, ...]]) -> dict[str, tuple[Case, ...]]:
    return {name: of for name, of in cases.items() if name != "synthetic"}


def _quality(cases: Sequence[Case], models: Iterable[Model]) -> dict[str, Any]:
    models = tuple(models)
    return _told(cases, [ask(models, case) for case in cases])


def _told(cases: Sequence[Case], found: Sequence[Probabilities | None]) -> dict[str, Any]:
    told = quality_to_json(measure_quality(cases, found, Levels()))
    del told["bins"]  # the levels say it
    return told


def _real(text: str, name: str, method: str, work: Path) -> tuple[Case, ...]:
    catalog = open_catalog(prepare(text, work).folder)
    return engine_cases(catalog, name, method, "cross-encounter", work)[1]


def _synthetic(survey: str, also: str, suffix: str, method: str, work: Path) -> tuple[Case, ...]:
    drawn = prepare(survey, work)
    if not suffix:
        return engine_cases(open_catalog(drawn.folder), drawn.name, method, "cross-encounter", work)[1]
    name = drawn.name + suffix
    catalog = open_catalog(prepare(f"{drawn.folder}{also},name={name}", work).folder)
    return engine_cases(catalog, name, method, "cross-encounter", work)[1]


def _compact(content: dict[str, Any]) -> str:
    """JSON with one case a line: git shows what changed."""
    text = json.dumps(content, separators=(",", ":"))
    return text.replace("]],[", "]],\n[").replace("},{", "},\n{") + "\n"


if __name__ == "__main__":
    main()
