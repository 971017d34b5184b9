"""What the four levels are worth: of a hundred answers marked excellent, how many are wrong, and is this a new cat?

Every encounter of a catalog is asked about twice, with its animal on record and without, and judged by calibrations
that know other individuals only (folds over individuals). Told for each method: answers per level, how many of them
were wrong with the interval that so many answers allow, Brier score, log loss, calibration error, and, of the raw
scores, AUROC known/new and the detection rate at 1 % false alarms. --table adds scores that another method made of the
same catalog (run.py keeps them in WORK/scores): they are calibrated in the same way, without anything shipped. Scores
of the method mean_match are also cut at 0.12, 0.07 and 0.04, as earthtoolsmaker's snowleopard-reid does for every
extractor alike.

Example: python benchmarks/levels.py ../shared/data/nyala,parts=left_flank,every=3,name=nyala-left-third --work W
             --method hesaff:lnbnn --table hotspotter=W/scores/nyala-left-third/cross-encounter/hotspotter/0.npz
"""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from datasets import prepare
from engine_cases import engine_cases, settings_of
from measure import HERE, circumstances

from snowmatch.api import open_catalog
from snowmatch.confidence.cases import Case, count_pairs, make_cases
from snowmatch.confidence.learn import choose_groups, cross_validate
from snowmatch.confidence.levels import LEVEL_NAMES, Levels
from snowmatch.confidence.measures import measure
from snowmatch.confidence.model import ANY
from snowmatch.confidence.quality import binomial_interval, measure_quality
from snowmatch.confidence.score_table import ScoreTable, load_table
from snowmatch.confidence.shipped import Shipped, load_shipped
from snowmatch.views.calibration import quality_to_json

CUTS = (0.12, 0.07, 0.04)  # earthtoolsmaker, commit cc062fe (2025): excellent, good, fair, for every extractor
OUT = HERE / "results" / "levels.json"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("dataset", help="SOURCE,key=value,... (see datasets.py)")
    parser.add_argument("--protocol", default="cross-encounter")
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--method", action="append", default=[], help="EXTRACTOR:MATCHER")
    parser.add_argument("--table", action="append", default=[], help="LABEL=FILE.npz")
    given = parser.parse_args()
    dataset = prepare(given.dataset, given.work)
    catalog = open_catalog(dataset.folder)
    outlined = np.array([a.bbox is not None or bool(a.mask) for a in catalog.data.annotations], bool)
    judged: dict[str, Any] = {}
    for method in given.method:
        table, cases = engine_cases(catalog, dataset.name, method, given.protocol, given.work)
        shipped = load_shipped(**settings_of(method, given.work))
        judged[method] = _judged(table, cases, shipped)
    for text in given.table:
        label, _, path = text.partition("=")
        table = load_table(Path(path))
        judged[label] = _judged(table, make_cases(table, None, outlined), None)
        if label == "mean_match":
            judged[label]["cut at 0.12, 0.07, 0.04"] = _cut(table)
    held = json.loads(OUT.read_text(encoding="utf-8")) if OUT.exists() else {"schema": "snowmatch.levels/1", "sets": {}}
    words = " ".join([f"--method {method}" for method in given.method] + [f"--table {t}" for t in given.table])
    source = given.dataset.split(",")[0]
    command = (
        f"python benchmarks/levels.py {given.dataset.replace(source, Path(source).name)} --protocol {given.protocol}"
    )
    key = f"{dataset.name} {given.protocol}"
    before = held["sets"].get(key, {}).get("methods", {})
    held["sets"][key] = circumstances(f"{command} {_without_folders(words)}") | {"methods": before | judged}
    OUT.write_text(json.dumps(held, indent=1, allow_nan=False) + "\n", encoding="utf-8")
    for label in judged:
        print(label, json.dumps(judged[label]["levels"]), flush=True)


def _judged(table: ScoreTable, cases: tuple[Case, ...], shipped: Shipped | None) -> dict[str, Any]:
    figures = measure(table).figures
    together = [case for case in cases if case.together]
    groups = choose_groups(cases, shipped)
    quality = measure_quality(together, cross_validate(cases, groups, shipped, together), Levels())
    told = quality_to_json(quality)
    found: dict[str, Any] = {
        "pairs": count_pairs(cases).get(ANY, 0),
        "groups": groups,
        "leans on shipped cases": bool(groups) and shipped is not None,
        **{name: _figure(figures[f"encounter_{name}"]) for name in ("top1", "auroc", "detection_rate")},
        **told,
    }
    if shipped is not None:
        alone = measure_quality(together, cross_validate(cases, groups, None, together), Levels())
        found["without what is shipped"] = quality_to_json(alone)
    return found


def _figure(figure: Any) -> dict[str, Any]:
    return {k: None if isinstance(v, float) and v != v else round(v, 4) for k, v in asdict(figure).items()}


def _cut(table: ScoreTable) -> list[dict[str, Any]]:
    """The levels of each query's best score, with its animal on record and without, by fixed cuts."""
    own = table.individual[table.queries][:, None] == table.individual_names
    counts = {level: [0, 0] for level in LEVEL_NAMES}
    for scores in (table.individual_scores, table.left_out_scores):
        for q, row in enumerate(scores):
            known = bool((own[q] & ~np.isnan(row)).any())
            if np.isnan(row).all() or (scores is table.individual_scores and not known):
                continue
            best = int(np.nanargmax(row))
            level = next((name for name, cut in zip(LEVEL_NAMES, CUTS, strict=False) if row[best] >= cut), "uncertain")
            counts[level][0] += 1
            counts[level][1] += not own[q, best]
    return [
        dict(
            zip(
                ("level", "answers", "wrong", "low", "high"),
                (level, n, wrong, *map(_short, binomial_interval(wrong, n))),
                strict=True,
            )
        )
        for level, (n, wrong) in counts.items()
    ]


def _short(value: float) -> float:
    return round(value, 6)


def _without_folders(words: str) -> str:
    """The command without the names of folders on this machine."""
    return " ".join(f"{w.partition('=')[0]}=..." if ".npz" in w else w for w in words.split())


if __name__ == "__main__":
    main()
