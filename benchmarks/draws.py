"""Measure whether draws of identities make the interval of the number of animals honest.

A closed population of animals is drawn, and on which occasions each is captured: a capture is one sighting. The pairs
of sightings get the probabilities that an engine would give them (drawn_pairs). An observer who is sometimes wrong
answers snowmatch's questions, as many as a share of the sightings (--effort). M0 then estimates the number of animals:

true       from the true names: what the interval covers without any mistake
decided    from the names that the answers made
draws      from each draw of identities, pooled (mixture and Rubin's rules)

held: how many of the intervals contain the true number; 95 % is right. width: mean width of the interval, as a share of
the number. No photo is used.

Example: python benchmarks/draws.py --seeds 60
"""

from __future__ import annotations

import argparse
import json
import math
import statistics
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from drawn_pairs import draw_case
from identity_ways import Observer, Settings, by_questions, draws_of
from measure import circumstances, command_line, results_file, run_command
from store import put_run

from snowmatch.core.errors import SnowmatchError
from snowmatch.survey.abundance import Estimate, capture_history, m0
from snowmatch.survey.pooling import pool

Interval = tuple[float, float, float]  # estimate, low, high


def main(arguments: list[str] | None = None) -> None:
    """Read the command line, draw every survey and keep the summary."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, help="file of results; default: the published one, for its settings")
    parser.add_argument("--work", type=Path, help="accepted as other programs do; nothing is kept there")
    parser.add_argument("--seeds", type=int, default=60, help="surveys to draw; default: %(default)s")
    parser.add_argument("--animals", type=int, default=25, help="default: %(default)s")
    parser.add_argument("--occasions", type=int, default=8, help="default: %(default)s")
    parser.add_argument("--capture", type=float, default=0.25, help="probability of a capture; default: %(default)s")
    parser.add_argument("--effort", type=float, default=0.5, help="answers a sighting; default: %(default)s")
    parser.add_argument("--accuracy", type=float, default=0.97, help="of the observer; default: %(default)s")
    parser.add_argument("--draws", type=int, default=100, help="of identities, at most 200; default: %(default)s")
    given = parser.parse_args(arguments)
    for name in ("seeds", "animals", "occasions", "draws"):
        if (number := getattr(given, name)) < 1:
            raise SnowmatchError(f"--{name} is {number}, expected 1 or more")
    settings = ("seeds", "animals", "occasions", "capture", "draws")
    given.out = results_file(parser, given, "draws.json", settings)
    start = time.perf_counter()
    settled = {name: value for name, value in vars(given).items() if name not in ("out", "work")}
    found = []
    for seed in range(given.seeds):
        found.append(one_survey(seed, settled))
        print(f"\rseed {seed + 1} of {given.seeds}", end="", file=sys.stderr)
    total = summary(found, given.animals)
    seconds = {"total": round(time.perf_counter() - start, 1)}
    name = f"{given.effort:g} answers a sighting, accuracy {given.accuracy:g}"
    put_run(given.out, {"run": name, "settings": settled, "summary": total, "seconds": seconds,
                        **circumstances(command_line())})  # fmt: skip
    print(json.dumps(total))


def one_survey(seed: int, settled: dict[str, Any]) -> dict[str, Interval]:
    """Return the interval of each way: true, decided, draws, rubin."""
    random = np.random.default_rng([seed, 11])
    caught = random.random((settled["animals"], settled["occasions"])) < settled["capture"]
    truth, when = np.nonzero(caught)
    case = draw_case(seed, truth)
    settings = Settings()
    observer = Observer(truth, settled["accuracy"], 0.05, seed)
    asked = by_questions(case, observer, settings, most=round(settled["effort"] * len(truth)))
    labels = draws_of(case, asked, settings, seed)[: settled["draws"]]
    pooled = pool([estimate(each, when, settled["occasions"]) for each in labels])
    true, decided = (estimate(each, when, settled["occasions"]) for each in (truth, asked.labels))
    return {
        "true": (true.value, true.low, true.high),
        "decided": (decided.value, decided.low, decided.high),
        "draws": (pooled.value, pooled.low, pooled.high),
        "rubin": (pooled.value, pooled.rubin_low, pooled.rubin_high),
    }


def estimate(labels: np.ndarray, when: np.ndarray, occasions: int) -> Estimate:
    """Return the estimate of M0 from the individual of each sighting, (S,) int, and its occasion, (S,) int."""
    return m0(capture_history([f"{label:06}" for label in labels.tolist()], when.tolist(), occasions))


def summary(found: Sequence[dict[str, Interval]], animals: int) -> dict[str, Any]:
    """Return how many percent of the intervals hold the true number, their mean width and the bias of the estimate.

    Intervals without an upper end hold all numbers above their lower end; they have no width.
    """
    told = {}
    for way in found[0]:
        intervals = [each[way] for each in found]
        held = [low <= animals <= high for _, low, high in intervals]
        finite = [(value, low, high) for value, low, high in intervals if math.isfinite(high) and math.isfinite(value)]
        told[way] = {
            "held_percent": round(100 * statistics.mean(held), 1),
            "width": round(statistics.mean((high - low) / animals for _, low, high in finite), 3) if finite else None,
            "bias_percent": round(100 * (statistics.mean(value for value, *_ in finite) / animals - 1), 1)
            if finite
            else None,
            "without_limit": len(intervals) - len(finite),
        }
    return told


if __name__ == "__main__":
    run_command(main)
