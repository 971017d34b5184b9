"""Make the calibrations that come with the package, and measure how well they hold on other photos.

For each method there are synthetic surveys, with and without boxes and masks. Their cases are shipped (`calibrate` uses
them together with the user's own), and a model that was fitted to them. If --data has real photos, only the fitted
numbers of their models are shipped. If there are several models, the one that claims the least counts.

Score tables stay in --work, so a run that was stopped continues. The quality goes to --out: models of other animals
judge each set. The shipped calibrations, with those of each --method replaced, go to the file --ship. Without --ship
they are only judged, and the program prints which methods differ from the shipped ones.

Example: python benchmarks/ship_calibration.py --work /tmp/work --data ../shared/data --method hesaff:lnbnn \\
             --method sift:lnbnn --ship snowmatch/confidence/shipped_calibrations.json
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import Any

from datasets import open_prepared, prepare
from engine_cases import engine_cases, settings_of
from measure import RESULTS, circumstances, command_line, run_command
from store import put_run
from suites import source_of

from snowmatch.confidence.cases import Case
from snowmatch.confidence.fit import fit
from snowmatch.confidence.learn import ask, choose_groups, cross_validate
from snowmatch.confidence.levels import Levels
from snowmatch.confidence.model import BOXED, Model
from snowmatch.confidence.quality import Quality, measure_quality
from snowmatch.confidence.shipped import SHIPPED, Shipped, shipped_to_json

# Sources for each kind of query. There are few leopards, so their model claims little. This caution is intended.
SYNTHETIC = {"outlined": ("", ""), "whole": (",boxes=no,masks=no", "-whole"), BOXED: (",masks=no", "-boxed")}
SURVEYS = tuple(f"synthetic,individuals=24,encounters=4,stations=6,seed={seed}" for seed in (101, 102))
REAL = {
    "outlined": ("snow_leopard-all-boxes",),
    "whole": ("snow_leopard-whole", "nyala-left-third"),
    BOXED: (),
}


def main(arguments: list[str] | None = None) -> None:
    """Read the command line; make, judge and perhaps ship the calibrations of every method."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, required=True, help="prepared data and score tables")
    parser.add_argument("--data", type=Path, help="folder of real photos; without it only drawn surveys count")
    parser.add_argument("--method", action="append", required=True, help="EXTRACTOR:MATCHER")
    parser.add_argument("--ship", type=Path, metavar="FILE", help="write the calibrations here")
    parser.add_argument("--out", type=Path, default=RESULTS / "calibration.json")
    given = parser.parse_args(arguments)
    entries = []
    for method in given.method:
        start = time.perf_counter()
        entry, quality = shipped_of(method, given.work, given.data)
        entries.append(entry)
        seconds = {"total": round(time.perf_counter() - start, 1)}
        put_run(given.out, {"run": method, "judged": quality, "seconds": seconds, **circumstances(command_line())})
    entries = json.loads(json.dumps(entries))  # as a file holds them
    shipped = json.loads(SHIPPED.read_bytes())["methods"]
    if given.ship is not None:
        given.ship.write_text(_compact({"methods": with_entries(shipped, entries)}), encoding="utf-8")
    elif other := [_name(entry) for entry in entries if entry not in shipped]:
        print(f"The calibrations of {', '.join(other)} differ from the shipped ones; --ship FILE writes them.")


def with_entries(shipped: list[dict[str, Any]], entries: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the shipped entries with those of some methods replaced, in their places; new methods come last."""
    new = {_name(entry): entry for entry in entries}
    kept = {_name(entry): entry for entry in shipped}
    return list((kept | new).values())


def _name(entry: dict[str, Any]) -> str:
    """Return the name of an entry's method, EXTRACTOR:MATCHER."""
    return f"{entry['extractor']['name']}:{entry['matcher']['name']}"


def shipped_of(method: str, work: Path, data: Path | None) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return one method's entry of the shipped file, and how well its models hold on each set.

    Each set has the levels and the calibration error of three judges: all shipped models, the models of the `others`
    (sets of other animals) and a calibration from the set's other individuals; null if there are none. That of a real
    set is learned with the drawn cases, as `calibrate` does; that of a drawn set without, since the asked individual's
    own are among them.
    """
    models: dict[str, dict[str, Model]] = {}
    cases: dict[str, dict[str, tuple[Case, ...]]] = {}
    for kind, (also, suffix) in SYNTHETIC.items():
        drawn = [case for survey in SURVEYS for case in _synthetic(survey, also, suffix, method, work)]
        cases[kind] = {"synthetic": tuple(drawn)}
        for name in REAL[kind] if data is not None else ():
            cases[kind][name] = _real(name, data, method, work)
        models[kind] = {name: fit(of) for name, of in cases[kind].items()}
    # rocks in the boxes of drawn cats match better than real rocks, so `calibrate` does not use those cases
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
            others = [model for source, model in models[kind].items() if not same_animals(source, name)]
            known = None if is_drawn(name) else prior
            calibrated = cross_validate(asked, choose_groups(asked, known), known, encounters)
            told = {
                "shipped": [ask(tuple(models[kind].values()), case) for case in encounters],
                "others": [ask(others, case) for case in encounters] if others else None,
                "calibrated": calibrated if any(calibrated) else None,
            }
            judged = {judge: found and measure_quality(encounters, found, Levels()) for judge, found in told.items()}
            quality[f"{name} ({kind})"] = {
                **{judge: each and _counts(each) for judge, each in judged.items()},
                "error": {judge: each and round(each.calibration_error, 3) for judge, each in judged.items()},
            }
    described = settings_of(method, work)
    number = sum(c.together and c.right < 0 for of in cases.values() for each in of.values() for c in each)
    shipped = Shipped({kind: tuple(of.values()) for kind, of in models.items()}, together, number)
    return shipped_to_json(described["extractor"], described["matcher"], shipped), quality


def is_drawn(source: str) -> bool:
    """Return whether the cases of a source are of drawn cats."""
    return source.startswith("synthetic")


def same_animals(one: str, other: str) -> bool:
    """Return whether two sources show the same animals: the drawn cats are the same with and without boxes."""
    return one == other or (is_drawn(one) and is_drawn(other))


def _real_ones(cases: dict[str, tuple[Case, ...]]) -> dict[str, tuple[Case, ...]]:
    return {name: of for name, of in cases.items() if name != "synthetic"}


def _counts(quality: Quality) -> list[list[Any]]:
    """Return [level, answers, wrong] of each level."""
    return [[count.level, count.answers, count.wrong] for count in quality.levels]


def _real(name: str, data: Path, method: str, work: Path) -> tuple[Case, ...]:
    catalog = open_prepared(prepare(source_of(name, data), work).folder)
    return engine_cases(catalog, name, method, "cross-encounter", work)[1]


def _synthetic(survey: str, also: str, suffix: str, method: str, work: Path) -> tuple[Case, ...]:
    drawn = prepare(survey, work)
    if not suffix:
        return engine_cases(open_prepared(drawn.folder), drawn.name, method, "cross-encounter", work)[1]
    name = drawn.name + suffix
    catalog = open_prepared(prepare(f"{drawn.folder}{also},name={name}", work).folder)
    return engine_cases(catalog, name, method, "cross-encounter", work)[1]


def _compact(content: dict[str, Any]) -> str:
    """Return JSON with one case a line, so that git shows what changed."""
    text = json.dumps(content, separators=(",", ":"))
    return text.replace("]],[", "]],\n[").replace("},{", "},\n{") + "\n"


if __name__ == "__main__":
    run_command(main)
