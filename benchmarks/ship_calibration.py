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
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from datasets import prepare
from measure import circumstances, write_result

from snowmatch.api import Catalog, open_catalog
from snowmatch.arrays import load_arrays, save_arrays
from snowmatch.calibration import ask, choose_groups, cross_validate, fit, make_cases, measure_quality
from snowmatch.calibration_file import SHIPPED, Case, Shipped, shipped_to_json
from snowmatch.calibration_report import quality_to_json
from snowmatch.confidence import Levels, Model
from snowmatch.evaluation import score_trial
from snowmatch.protocol import make_trial
from snowmatch.scoretable import load_table, save_table

# Which sources tell of which queries. Leopards: few animals, so a model of theirs claims little, and that is wanted.
SYNTHETIC = {"outlined": ("", ""), "whole": (",boxes=no,masks=no", "-whole")}
SURVEYS = tuple(f"synthetic,individuals=24,encounters=4,stations=6,seed={seed}" for seed in (101, 102))
REAL = {
    "outlined": {"snow_leopard-boxes": "{data}/snow_leopard,boxed=yes,masks=no,name=snow_leopard-boxes"},
    "whole": {
        "snow_leopard-whole": "{data}/snow_leopard,boxes=no,masks=no,flanks=no,name=snow_leopard-whole",
        "nyala-left-third": "{data}/nyala,parts=left_flank,every=3,name=nyala-left-third",
    },
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
            cases[kind][name] = _cases(open_catalog(prepare(text.format(data=data), work).folder), name, method, work)
        models[kind] = {name: fit(of) for name, of in cases[kind].items()}
    together = {kind: tuple(case for case in of["synthetic"] if case.together) for kind, of in cases.items()}
    quality: dict[str, Any] = {}
    for kind, of in cases.items():
        prior = Shipped({kind: tuple(models[kind].values())}, {kind: together[kind]})
        for name, asked in of.items():
            encounters = [case for case in asked if case.together]
            others = [model for source, model in models[kind].items() if source != name]
            groups = choose_groups(asked, prior)
            quality[f"{name} ({kind})"] = {
                "shipped": _quality(encounters, models[kind].values()),
                "shipped without it": _quality(encounters, others) if others else None,
                "calibrated": quality_to_json(
                    measure_quality(encounters, cross_validate(asked, groups, prior, encounters), Levels())
                ),
                "calibrated without what is shipped": quality_to_json(
                    measure_quality(encounters, cross_validate(asked, groups, None, encounters), Levels())
                ),
            }
    described = json.loads(_settings_file(work, method).read_text(encoding="utf-8"))
    number = sum(c.together and c.right < 0 for of in cases.values() for each in of.values() for c in each)
    shipped = Shipped({kind: tuple(of.values()) for kind, of in models.items()}, together, number)
    return shipped_to_json(described["extractor"], described["matcher"], shipped), quality


def _quality(cases: Sequence[Case], models: Any) -> dict[str, Any]:
    return quality_to_json(measure_quality(cases, [ask(tuple(models), case) for case in cases], Levels()))


def _synthetic(survey: str, also: str, suffix: str, method: str, work: Path) -> tuple[Case, ...]:
    drawn = prepare(survey, work)
    if not suffix:
        return _cases(open_catalog(drawn.folder), drawn.name, method, work)
    name = drawn.name + suffix
    return _cases(open_catalog(prepare(f"{drawn.folder}{also},name={name}", work).folder), name, method, work)


def _cases(catalog: Catalog, name: str, method: str, work: Path) -> tuple[Case, ...]:
    """The cases of one catalog; its scores and what else they take are kept in `work`."""
    extractor, matcher_name = method.split(":")
    folder = work / "calibration" / name / f"{extractor}-{matcher_name}"
    if not (folder / "facts.npz").is_file():
        print(f"{method}: {name}", flush=True)
        (plugin,), matcher, geometry = catalog.method(extractor, matcher_name, {})
        catalog.index(extractor)
        gallery = catalog.gallery(plugin)
        table = score_trial(make_trial(catalog.data.annotations, "cross-encounter"), [gallery], matcher, geometry)
        facts = catalog.facts(gallery)
        save_table(folder / "scores.npz", table)
        session = catalog.session(extractor=extractor, matcher=matcher_name)
        text = json.dumps({"extractor": session.extractor_settings, "matcher": session.matching})
        _settings_file(work, method).write_text(text, encoding="utf-8")
        save_arrays(folder / "facts.npz", facts)
    facts = load_arrays(folder / "facts.npz", ("features", "outlined"), "facts file", "delete it")
    return make_cases(load_table(folder / "scores.npz"), **facts)


def _settings_file(work: Path, method: str) -> Path:
    return work / "calibration" / f"{method.replace(':', '-')}.json"


def _compact(content: dict[str, Any]) -> str:
    """JSON with one case a line: git shows what changed."""
    text = json.dumps(content, separators=(",", ":"))
    return text.replace("]],[", "]],\n[").replace("},{", "},\n{") + "\n"


if __name__ == "__main__":
    main()
