"""Measure how reliable the four levels are: how many answers of each level are wrong, and are new animals noticed?

Each encounter of a catalog is a query twice: with its animal on record and without it. Calibrations that were learned
from other individuals judge the answers (cross-validation; folds over individuals). Results for each method: answers
and wrong answers of each level, Brier score and calibration error. Results of the raw scores: AUROC of known against
new animals, and the detection rate at 1 % false alarms.
--table adds the scores of another method that run.py made from the same photos with the same engine (it keeps them in
WORK/scores, beside a file run.json that says so). They are calibrated in the same way, but without a shipped
calibration.

Example: python benchmarks/levels.py nyala-left-third --work W --method hesaff:lnbnn
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import Any

import numpy as np
from datasets import contents_of, described, open_prepared, prepare
from engine_cases import engine_cases, settings_of
from figures import rounded, with_interval
from measure import RESULTS, circumstances, command_line, engine_commit, is_current, run_command
from store import put_run
from suites import source_of

from snowmatch.confidence.cases import Case, make_cases
from snowmatch.confidence.learn import choose_groups, cross_validate
from snowmatch.confidence.levels import Levels
from snowmatch.confidence.measures import measure
from snowmatch.confidence.quality import measure_quality
from snowmatch.confidence.score_table import ScoreTable, load_table
from snowmatch.confidence.shipped import Shipped, load_shipped
from snowmatch.core.errors import SnowmatchError


def main(arguments: list[str] | None = None) -> None:
    """Read the command line, judge every method and keep the results."""
    given = parse(arguments)
    dataset = prepare(source_of(given.dataset, given.data), given.work)
    catalog = open_prepared(dataset.folder)
    for method in given.method:
        start = time.perf_counter()
        table, cases = engine_cases(catalog, dataset.name, method, given.protocol, given.work)
        judged = judge(table, cases, load_shipped(**settings_of(method, given.work)))
        keep(given, method, judged | {"seconds": {"total": round(time.perf_counter() - start, 1)}}, dataset, catalog)
    outlined = np.array([a.own_box is not None or bool(a.mask) for a in catalog.data.annotations], bool)
    for text in given.table:
        label, _, path = text.partition("=")
        table = present_table(Path(path), dataset.folder)
        keep(given, label, judge(table, make_cases(table, None, outlined), None), dataset, catalog)


def present_table(path: Path, folder: Path) -> ScoreTable:
    """Return a table of scores. Raises SnowmatchError if another engine or another dataset than `folder` made it."""
    told = path.with_name("run.json")
    if not told.is_file():
        raise SnowmatchError(f"{path} has no run.json beside it, expected scores that run.py made")
    made = json.loads(told.read_text(encoding="utf-8"))
    if not is_current(commit := made["commit"]):
        right = f"{engine_commit()}, without changes"
        raise SnowmatchError(f"{path} is of commit {commit}, expected {right}: run its suite again")
    if made.get("contents") != contents_of(folder):
        raise SnowmatchError(f"{path} is of other photos or rows than {folder.name}: run its suite again")
    return load_table(path)


def keep(given: argparse.Namespace, method: str, judged: dict[str, Any], dataset: Any, catalog: Any) -> None:
    """Write one method's row to the results file."""
    row = {
        "run": f"{dataset.name} {given.protocol} {method}",
        "dataset": described(dataset, catalog.data.annotations),
        "protocol": given.protocol,
        "method": method,
        **judged,
        **circumstances(command_line()),
    }
    put_run(given.out, row)
    print(method, judged["levels"], flush=True)


def judge(table: ScoreTable, cases: tuple[Case, ...], shipped: Shipped | None) -> dict[str, Any]:
    """Return each level as [name, answers, wrong], and the figures of scores and probabilities (unknown: null)."""
    figures = measure(table).figures
    together = [case for case in cases if case.together]
    groups = choose_groups(cases, shipped)
    quality = measure_quality(together, cross_validate(cases, groups, shipped, together), Levels())
    return {
        "levels": [[count.level, count.answers, count.wrong] for count in quality.levels],
        **{name: rounded(getattr(quality, name)) for name in ("brier", "log_loss", "calibration_error")},
        **{name: with_interval(figures[f"encounter_{name}"]) for name in ("top1", "auroc", "detection_rate")},
    }


def parse(arguments: list[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("dataset", help="a name of suites.py, or SOURCE,key=value,... (see datasets.py)")
    parser.add_argument("--protocol", default="cross-encounter", help="default: %(default)s")
    parser.add_argument("--method", action="append", default=[], help="EXTRACTOR:MATCHER")
    parser.add_argument("--table", action="append", default=[], help="LABEL=FILE.npz")
    parser.add_argument("--work", type=Path, required=True, help="prepared data and score tables")
    parser.add_argument("--data", type=Path, default=Path("../shared/data"), help="where real photos are")
    parser.add_argument("--out", type=Path, default=RESULTS / "levels.json")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    run_command(main)
