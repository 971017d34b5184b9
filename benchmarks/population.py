"""From identities to the number that counts: how mistakes in naming animals bias an estimate of how many there are.

The design of Johansson et al. (2020), who had observers name 16 captive snow leopards in 40 encounters, recorded on 5
occasions, from one flank: they got 12.5 % of the encounters wrong and counted 35 +- 21 % too many animals. Here the
animals are drawn. On each occasion as many of them, chosen at random, pass once; each encounter is a burst of photos.

A catalog that is empty at first is filled encounter by encounter, in order of time. All photos of an encounter are
asked about together, with the boxes or masks of --evidence, and then it is named:

same      the first candidate's name, where it is more probable than a new animal and the level is excellent or good
new       a new name, where a new animal is more probable, by --new or more; also where nothing is on record yet
person    everything else: a person looks, and is right. This is counted as work

A name stands for the animal that it was first given to. Of each name that is given, by whoever, an encounter is

splitting  where a new name was given to an animal for which a name stands already
lumping    where the name stands for another animal, whether the animal of the encounter was on record or not

The person names only the encounter in hand: mistakes on record stay, so that what is estimated is what the engine left.
Of several names that stand for the animal the person takes the one that most of its encounters have; where none does,
though it may have been seen under another's, the person gives a new name. A person is therefore never wrong.

Goal: estimates within +-3 % of those from the true names, a person looking at no more than one encounter in five.

Drawn photos and their features stay in --work for other values of --new; so does each finished seed, which is not done
again with the same settings at the same commit. Use another folder where the program that draws has changed.

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

from measure import RESULTS, circumstances, command_line, run_command
from store import put_run
from survey_replay import EVIDENCE, PHOTOS, Named, draw, engine, replay

from snowmatch.api import DEFAULT_EXTRACTOR, DEFAULT_MATCHER
from snowmatch.core.plugins import make_plugin, settings
from snowmatch.survey.abundance import Estimate, capture_history, chao, m0

NEW = 0.6  # stated on the safe side: of the first three seeds' 67 known animals none was called new above 0.43
ESTIMATES = {"m0": m0, "chao": chao}


def main(arguments: list[str] | None = None) -> None:
    """Read the command line, replay every survey, keep the summary."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, required=True, help="folder for photos, features and finished seeds")
    parser.add_argument("--out", type=Path, default=RESULTS / "population.json")
    parser.add_argument("--seeds", type=int, default=20, help="surveys to draw; default: %(default)s")
    parser.add_argument("--individuals", type=int, default=16, help="default: %(default)s")
    parser.add_argument("--encounters", type=int, default=40, help="of one survey; default: %(default)s")
    parser.add_argument("--occasions", type=int, default=5, help="default: %(default)s")
    parser.add_argument("--extractor", default=DEFAULT_EXTRACTOR, help="default: %(default)s")
    parser.add_argument(
        "--evidence", choices=EVIDENCE, default="mask", help="what tells animal from scenery; default: %(default)s"
    )
    parser.add_argument(
        "--new", type=float, default=NEW, help="how probable a new animal must be to be accepted; default: %(default)s"
    )
    given = parser.parse_args(arguments)
    if not 1 <= given.occasions <= given.encounters <= given.individuals * given.occasions or given.seeds < 1:
        parser.error("expected a seed or more, an encounter or more an occasion, and no animal twice on one occasion")
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
        said = " ".join(f"{k} {v}" for k, v in replays[-1].items() if k != "encounters")
        print(f"seed {seed + 1} of {given.seeds}: {said}, {time.perf_counter() - begun:.1f} s", file=sys.stderr)
    name = given.evidence + (f", new from {given.new:g}" if given.new != NEW else "")
    seconds = {"total": round(time.perf_counter() - start, 1)}
    told = summary(replays, given.individuals)
    put_run(given.out, {"run": name, "settings": settled, "summary": told, "seconds": seconds, **made})
    print(json.dumps(told))


def kept(work: Path, seed: int, settled: dict[str, Any]) -> dict[str, Any]:
    """The result of one seed: the one kept in `work` where it was made with these settings, or else made now."""
    individuals, encounters, occasions = (settled[k] for k in ("individuals", "encounters", "occasions"))
    folder = work / f"survey-{individuals}-{encounters}-{occasions}-{seed:03d}"
    file = folder / f"replay-{settled['evidence']}-{settled['new']}.json"
    if file.exists():
        found = json.loads(file.read_text(encoding="utf-8"))
        if found["settings"] == settled:
            return found["result"]
    survey = draw(folder, seed, individuals, encounters, occasions)
    ask = engine(folder, settled["extractor"]["name"], settled["evidence"], survey)
    named = replay(survey, ask, settled["new"])
    result = {"seed": seed, **figures(named, occasions)}
    unfinished = file.with_suffix(".part")  # a run that is stopped leaves no half of a result
    unfinished.write_text(json.dumps({"settings": settled, "result": result}, allow_nan=False), encoding="utf-8")
    unfinished.replace(file)
    return result


def figures(named: Sequence[Named], occasions: int) -> dict[str, Any]:
    """What one replay comes to: mistakes, work, names, and estimates by the names given and by the true ones.

    low and high: the 95 % interval by the names given. What is infinite is None. The encounters come last, as `Named`.
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
    """Over all seeds: shares of encounters in percent, and each estimate's bias: mean, standard deviation over seeds.

    bias: against the estimate by the true names; bias_of_all: against `individuals`, those never seen included. Seeds
    whose estimate is infinite are left out and counted. held_percent: of all seeds, how many intervals hold
    `individuals`.
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
    """Mean and standard deviation in percent; None where there are too few."""
    percent = [100 * share for share in shares]
    return {
        "mean": round(statistics.mean(percent), 2) if percent else None,
        "sd": round(statistics.stdev(percent), 2) if len(percent) > 1 else None,
    }


if __name__ == "__main__":
    run_command(main)
