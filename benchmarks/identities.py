"""Measure how many decisions it takes to find out who is who, and how right the result is.

Simulated observers answer the questions of four ways:

questions     what snowmatch asks, until all is settled
ranked        each sighting in order, compared with its best five; no pair twice
ranked_names  the same, but the observer stops at the first that is the same, and is not shown pairs with one name
graph         graph identification with twofold redundancy (Crall, 2017); the machine answers pairs of 97 % or more

Surveys are drawn (60 individuals with 6 encounters each, or 40 to 80 that were met once to often), or read from npz
files with the arrays truth (n,), i, j, p (E,) and rank_list (n, 5). split: individuals with more than one name; lumped:
names of more than one individual. For `questions`, individuals are drawn as well: their mean number, and whether the
95 % interval holds the truth, before any question and at the end; foretold: questions, told before the first.

Goals: half of the decisions of `ranked` with fewer errors, for observers who are 97 % right; a mean number of
individuals within 3 % of the truth; intervals that hold it in 18 of 20 surveys.

Example: python benchmarks/identities.py --surveys 20 --accuracy 0.97
         python benchmarks/identities.py --case leopards.npz --name leopards
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from drawn_pairs import Case, draw_case, equal, read_case, varied
from identity_tables import identities_table
from identity_ways import (
    Found,
    Observer,
    Settings,
    by_graph_identification,
    by_questions,
    by_ranked_list,
    draws_of,
    human_weight,
    weights_of,
)
from measure import RESULTS, circumstances, command_line, run_command
from store import put_run, read_runs

from snowmatch.review.counts import ahead, count, individuals, left

SETTINGS = Settings()
WAYS: dict[str, Callable[[Case, Observer], Found]] = {
    "questions": lambda case, observer: by_questions(case, observer, SETTINGS),
    "ranked": lambda case, observer: by_ranked_list(case, observer, skip=False),
    "ranked_names": lambda case, observer: by_ranked_list(case, observer, skip=True),
    "graph": by_graph_identification,
}


def main(arguments: Sequence[str] | None = None) -> None:
    """Read the command line, ask every survey in every way and keep the summary."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--surveys", type=int, default=20, help="drawn surveys; default: %(default)s")
    parser.add_argument("--sizes", choices=("equal", "varied"), default="equal", help="encounters of each individual")
    parser.add_argument(
        "--case", type=Path, help="an npz file instead of drawn surveys; observers have --surveys seeds"
    )
    parser.add_argument("--name", default="", help="of the run; default: the sizes, or the file's name")
    parser.add_argument("--accuracy", type=float, action="append", help="of an observer; default: 1, 0.97 and 0.9")
    parser.add_argument("--cannot-tell", type=float, default=0.0, help="share of undecided answers; default: 0")
    parser.add_argument("--way", choices=tuple(WAYS), action="append", help="default: all")
    parser.add_argument("--out", type=Path, default=RESULTS / "identities.json")
    parser.add_argument(
        "--table", action="store_true", help="print the table of the results on file, and measure nothing"
    )
    given = parser.parse_args(arguments)
    if given.table:
        print(identities_table(read_runs(given.out)))
        return
    name = given.name or (given.case.stem if given.case else given.sizes)
    for accuracy in given.accuracy or (1.0, 0.97, 0.9):
        for way in given.way or WAYS:
            start = time.perf_counter()
            rows = []
            for seed in range(given.surveys):
                truth = equal(60, 6) if given.sizes == "equal" else varied(seed)
                case = read_case(given.case) if given.case else draw_case(seed, truth)
                rows.append(measured(case, way, Observer(case.truth, accuracy, given.cannot_tell, seed), seed))
            undecided = f", {100 * given.cannot_tell:g} % undecided" if given.cannot_tell else ""
            key = {"data": name, "way": way, "accuracy": accuracy, "cannot_tell": given.cannot_tell}
            run = {"run": f"{name}, {way}, {100 * accuracy:g} %{undecided}", **key, "summary": summary(rows)}
            run |= {
                "settings": asdict(SETTINGS),
                "surveys": rows,
                "seconds": {"total": round(time.perf_counter() - start, 1)},
            }
            put_run(given.out, run | circumstances(command_line(arguments)))
            took = run["seconds"]["total"]
            print(run["run"], json.dumps(run["summary"]), f"{took} s", file=sys.stderr, flush=True)


def measured(case: Case, way: str, observer: Observer, seed: int) -> dict[str, Any]:
    """Return the figures of one survey asked in one way."""
    found = WAYS[way](case, observer)
    row: dict[str, Any] = {"seed": seed, "true": len(np.unique(case.truth)), "decisions": found.decisions}
    row |= errors(case.truth, found.labels)
    if way == "questions":
        beginning = draws_of(case, Found(found.labels, 0, {}), SETTINGS, seed)
        for when, drawn in (("before", beginning), ("after", draws_of(case, found, SETTINGS, seed))):
            told = count(individuals(drawn))
            row[when] = {k: round(v, 2) for k, v in asdict(told).items()}
            row[when]["holds"] = told.low <= row["true"] <= told.high
            row[when]["left"] = left(drawn, case.i, case.j).questions
        weight = human_weight(observer.accuracy, SETTINGS)
        rules = {"margin": SETTINGS.margin * weight, "answer": weight, "most": SETTINGS.repeats}
        row["foretold"] = ahead(weights_of(case, SETTINGS), beginning, **rules)
    return row


def errors(truth: np.ndarray, labels: np.ndarray) -> dict[str, int]:
    """Return how many names there are, how many individuals are split, and how many names are lumped."""
    pairs = np.unique(np.stack([truth, labels], 1), axis=0)
    return {
        "names": len(np.unique(labels)),
        "split": int((np.unique(pairs[:, 0], return_counts=True)[1] > 1).sum()),
        "lumped": int((np.unique(pairs[:, 1], return_counts=True)[1] > 1).sum()),
    }


def summary(rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Return means over surveys. bias: of the number of names; of the mean of the draws for `before` and `after`."""
    total: dict[str, Any] = {
        key: round(statistics.mean(row[key] for row in rows), 1) for key in ("decisions", "split", "lumped")
    }
    total["bias"] = round(statistics.mean(row["names"] / row["true"] - 1 for row in rows), 4)
    for when in ("before", "after"):
        if when in rows[0]:
            total[when] = {
                "bias": round(statistics.mean(row[when]["mean"] / row["true"] - 1 for row in rows), 4),
                "width": round(statistics.mean(row[when]["high"] - row[when]["low"] for row in rows), 1),
                "holds": sum(row[when]["holds"] for row in rows),
            }
    if "foretold" in rows[0]:
        total["foretold"] = round(statistics.mean(row["foretold"] for row in rows), 1)
    return total | {"surveys": len(rows)}


if __name__ == "__main__":
    run_command(main)
