"""Measure how mistakes in naming animals bias an estimate of the number of animals.

The design follows Johansson et al. (2020). Their observers named 16 captive snow leopards in 40 encounters, recorded on
5 occasions, from one flank. They named 12.5 % of the encounters wrong and counted 35 +- 21 % too many animals. Here the
animals are drawn. On each occasion the same number of animals, chosen at random, pass once. Each encounter is a burst
of photos.

An empty catalog is filled encounter by encounter, in order of time. All photos of an encounter are one query, with the
boxes or masks of --evidence. Then the encounter gets a name:

same      the first candidate's name, if it is more probable than a new animal and the level is excellent or good
new       a new name, if a new animal is more probable, with --new or more; also if nothing is on record yet
person    in all other cases a person looks, and is right. This counts as work

A name stands for the animal that it was first given to. A name, given by the machine or a person, can be a mistake:

splitting  the name is new, but the animal has a name already
lumping    the name stands for another animal; the animal of the encounter may be on record or not

The person names only the present encounter. Mistakes on record stay, so the estimate shows the effect of the engine's
mistakes. If several names stand for the animal, the person chooses the one that most of its encounters have. If no name
stands for the animal (it may have been seen under another animal's name), the person gives a new name. So a person is
never wrong.

Goal: estimates within +-3 % of those from the true names, and a person looks at no more than one encounter in five.

Drawn photos and their features stay in --work, for other values of --new. Each finished seed stays as well: it is not
repeated with the same settings at the same commit. Use another folder if the program that draws has changed.

Example: python benchmarks/population.py --work /tmp/work/population --seeds 20
Source: Johansson et al., 2020 (Scientific Reports 10:6393).
"""

from __future__ import annotations

import argparse
import json
import math
import statistics
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from measure import circumstances, command_line, is_current, results_file, run_command
from store import put_run
from survey_replay import EVIDENCE, PHOTOS, Named, draw, engine, replay

from snowmatch.api import DEFAULT_EXTRACTOR, DEFAULT_MATCHER
from snowmatch.core.plugins import make_plugin, settings
from snowmatch.survey.abundance import Estimate, capture_history, chao, m0

NEW = 0.6  # a safe threshold: of 67 known animals in the first three seeds, none was called new above 0.43
ESTIMATES = {"m0": m0, "chao": chao}


def main(arguments: list[str] | None = None) -> None:
    """Read the command line, replay every survey and keep the summary."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, required=True, help="folder for photos, features and finished seeds")
    parser.add_argument("--out", type=Path, help="file of results; default: the published one, for its settings")
    parser.add_argument("--seeds", type=int, default=20, help="surveys to draw; default: %(default)s")
    parser.add_argument("--individuals", type=int, default=16, help="default: %(default)s")
    parser.add_argument("--encounters", type=int, default=40, help="in one survey; default: %(default)s")
    parser.add_argument("--occasions", type=int, default=5, help="default: %(default)s")
    parser.add_argument("--extractor", default=DEFAULT_EXTRACTOR, help="default: %(default)s")
    parser.add_argument(
        "--evidence", choices=EVIDENCE, default="mask", help="what shows where the animal is; default: %(default)s"
    )
    parser.add_argument(
        "--new", type=float, default=NEW, help="lowest probability to accept a new animal; default: %(default)s"
    )
    given = parser.parse_args(arguments)
    if not 1 <= given.occasions <= given.encounters <= given.individuals * given.occasions or given.seeds < 1:
        parser.error("expected at least 1 seed, at least 1 encounter an occasion, and no animal twice on one occasion")
    unnamed = ("seeds", "individuals", "encounters", "occasions", "extractor")
    given.out = results_file(parser, given, "population.json", unnamed)
    start = time.perf_counter()
    settled = {
        "individuals": given.individuals,
        "encounters": given.encounters,
        "occasions": given.occasions,
        "photos": list(PHOTOS),
        "evidence": given.evidence,
        "new": given.new,
        "extractor": settings(make_plugin("extractors", given.extractor)),
        "matcher": settings(make_plugin("matchers", DEFAULT_MATCHER)),
    }
    made = circumstances(command_line())
    replays = []
    for seed in range(given.seeds):
        begun = time.perf_counter()
        replays.append(kept(given.work, seed, settled | {"commit": made["commit"]}))
        line = " ".join(f"{k} {v}" for k, v in replays[-1].items() if k != "encounters")
        print(f"seed {seed + 1} of {given.seeds}: {line}, {time.perf_counter() - begun:.1f} s", file=sys.stderr)
    name = given.evidence + (f", new from {given.new:g}" if given.new != NEW else "")
    seconds = {"total": round(time.perf_counter() - start, 1)}
    total = summary(replays, given.individuals)
    put_run(given.out, {"run": name, "settings": settled, "summary": total, "seconds": seconds, **made})
    print(json.dumps(total))


def kept(work: Path, seed: int, settled: dict[str, Any]) -> dict[str, Any]:
    """Return the result of one seed: the one kept in `work` if it has the same settings; otherwise compute it."""
    individuals, encounters, occasions = (settled[k] for k in ("individuals", "encounters", "occasions"))
    folder = work / f"survey-{individuals}-{encounters}-{occasions}-{seed:03d}"
    file = folder / f"replay-{settled['evidence']}-{settled['new']}.json"
    if file.exists():
        found = json.loads(file.read_text(encoding="utf-8"))
        if found["settings"] == settled and is_current(settled["commit"]):
            return found["result"]
    survey = draw(folder, seed, individuals, encounters, occasions)
    ask = engine(folder, settled["extractor"]["name"], settled["evidence"], survey)
    named = replay(survey, ask, settled["new"])
    result = {"seed": seed, **figures(named, occasions)}
    unfinished = file.with_suffix(".part")  # a run that is stopped leaves no partial result
    unfinished.write_text(json.dumps({"settings": settled, "result": result}, allow_nan=False), encoding="utf-8")
    unfinished.replace(file)
    return result


def figures(named: Sequence[Named], occasions: int) -> dict[str, Any]:
    """Return the figures of one replay: mistakes, work, names, and estimates from the names given and the true names.

    low and high: the 95 % interval from the names given. Infinite values are None. The encounters come last, as
    `Named`.
    """
    when = [n.occasion for n in named]
    given = capture_history([n.given for n in named], when, occasions)
    true = capture_history([n.animal for n in named], when, occasions)
    return {
        "splitting": sum(n.error == "splitting" for n in named),
        "lumping": sum(n.error == "lumping" for n in named),
        "person": sum(n.by == "person" for n in named),
        "names": len(given),
        "seen": len(true),
        **{key: _estimated(of(given), of(true)) for key, of in ESTIMATES.items()},
        "encounters": [asdict(n) for n in named],
    }


def summary(replays: Sequence[dict[str, Any]], individuals: int) -> dict[str, Any]:
    """Summarise all seeds: shares of encounters in percent, and each estimate's bias (mean and SD over seeds).

    bias: against the estimate from the true names. bias_of_all: against `individuals`, which includes animals that were
    never seen. Seeds with an infinite estimate are left out and counted in left_out. held_percent: how many of all
    seeds' intervals contain `individuals`.
    """
    encounters = sum(len(r["encounters"]) for r in replays)
    shares = {
        f"{key}_percent": round(100 * sum(r[key] for r in replays) / encounters, 2)
        for key in ("splitting", "lumping", "person")
    }
    shares = {"wrong_percent": round(shares["splitting_percent"] + shares["lumping_percent"], 2), **shares}
    estimates = {}
    for key in ESTIMATES:
        finite = [r[key] for r in replays if None not in (r[key]["given"], r[key]["true"])]
        held = [_holds(r[key], individuals) for r in replays]
        estimates[key] = {
            "bias": _spread([e["given"] / e["true"] - 1 for e in finite]),
            "bias_of_all": _spread([e["given"] / individuals - 1 for e in finite]),
            "bias_of_all_by_true_names": _spread([e["true"] / individuals - 1 for e in finite]),
            "left_out": len(replays) - len(finite),
            "held_percent": round(100 * statistics.mean(held), 1),
        }
    return {"seeds": len(replays), "encounters": encounters, **shares, **estimates}


def _estimated(given: Estimate, true: Estimate) -> dict[str, float | None]:
    return {
        "given": _finite(given.value),
        "true": _finite(true.value),
        "low": _finite(given.low),
        "high": _finite(given.high),
    }


def _holds(estimate: dict[str, float | None], number: int) -> bool:
    low, high = estimate["low"], estimate["high"]
    return low is not None and low <= number and (high is None or number <= high)


def _finite(number: float) -> float | None:
    return round(number, 3) if math.isfinite(number) else None


def _spread(shares: Sequence[float]) -> dict[str, float | None]:
    """Return mean and standard deviation in percent; None if there are too few values."""
    percent = [100 * share for share in shares]
    return {
        "mean": round(statistics.mean(percent), 2) if percent else None,
        "sd": round(statistics.stdev(percent), 2) if len(percent) > 1 else None,
    }


if __name__ == "__main__":
    run_command(main)
