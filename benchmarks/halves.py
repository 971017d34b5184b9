"""Measure the engine with a fixed half of each animal's encounters on record, beside leaving out one encounter.

In the usual protocols the own encounter of a query is taken off the record. So the right animal has fewer photos than
usual, and a method that prefers animals with few photos looks far too good. Here all queries have the same gallery:
half of the encounters of each animal and body part, at least one. The others are asked.

Example: python benchmarks/halves.py snow_leopard-boxes --data ../shared/data --work W --draws 4
"""

from __future__ import annotations

import argparse
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import numpy as np
from datasets import open_prepared, prepare
from measure import run_command
from suites import source_of

from snowmatch.confidence.cells import allowed_of
from snowmatch.confidence.measures import measure
from snowmatch.confidence.scoring import score_trial
from snowmatch.confidence.trial import Trial, make_trial
from snowmatch.core.types import Annotation

FIGURES = tuple(
    f"{what}_{figure}"
    for what in ("annotation", "individual", "encounter")
    for figure in ("top1", "macro_top1", "auroc")
    if (what, figure) != ("annotation", "auroc")
)


def main(arguments: list[str] | None = None) -> None:
    """Read the command line, measure and print one line for each protocol."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("dataset", help="a name of suites.py, or SOURCE,key=value,... (see datasets.py)")
    parser.add_argument("--data", type=Path, default=Path("../shared/data"), help="folder of the real photos")
    parser.add_argument("--work", type=Path, required=True, help="folder for the catalog")
    parser.add_argument("--draws", type=int, default=4, help="number of halves that are drawn; default: %(default)s")
    given = parser.parse_args(arguments)
    catalog = open_prepared(prepare(source_of(given.dataset, given.data), given.work).folder)
    catalog.index()
    session = catalog.session()
    whole = make_trial(catalog.data.annotations, "cross-encounter")
    for name, trials in (
        ("one encounter left out", [whole]),
        ("half on record", [halved(whole, seed) for seed in range(given.draws)]),
    ):
        found: dict[str, list[float]] = defaultdict(list)
        for trial in trials:
            table = score_trial(trial, session.galleries, session.method.matcher, session.method.geometry)
            for figure in FIGURES:
                found[figure].append(measure(table).figures[figure].value)
        told = ", ".join(f"{figure} {100 * np.mean(values):.1f}" for figure, values in found.items())
        print(f"{name} ({sum(len(t.queries) for t in trials)} queries): {told}", flush=True)


def halved(trial: Trial, seed: int) -> Trial:
    """Return the trial with a fixed gallery: a drawn half of the encounters of each animal and body part, at least one.

    The other encounters are the queries. The same seed gives the same half.
    """
    rows = sorted({*trial.queries.tolist(), *trial.gallery.tolist()})
    kept = _drawn((trial.annotations[row] for row in rows), np.random.default_rng(seed))
    asked = np.array([_passage(trial.annotations[row]) not in kept for row in trial.queries], bool)
    answering = np.array([_passage(trial.annotations[row]) in kept for row in trial.gallery], bool)
    return replace(
        trial,
        queries=trial.queries[asked],
        gallery=trial.gallery[answering],
        open_to=allowed_of(trial.allowed[asked][:, answering], int(answering.sum())),
        groups=np.unique(trial.groups[asked], return_inverse=True)[1],
    )


Passage = tuple[str, str, str]


def _passage(a: Annotation) -> Passage:
    return a.individual or "", a.body_part, a.passage


def _drawn(annotations: Iterable[Annotation], rng: np.random.Generator) -> set[Passage]:
    passages: dict[tuple[str, str], set[str]] = defaultdict(set)
    for a in annotations:
        passages[a.individual or "", a.body_part].add(a.passage)
    kept: set[Passage] = set()
    for animal in sorted(passages):
        drawn = rng.permutation(sorted(passages[animal]))
        kept |= {(*animal, str(passage)) for passage in drawn[: max(1, len(drawn) // 2)]}
    return kept


if __name__ == "__main__":
    run_command(main)
