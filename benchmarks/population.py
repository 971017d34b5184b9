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
import csv
import json
import math
import statistics
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
from measure import RESULTS, circumstances, command_line, run_command
from store import put_run

from snowmatch.api import DEFAULT_EXTRACTOR, DEFAULT_MATCHER, Catalog, open_catalog
from snowmatch.core.plugins import make_plugin, settings
from snowmatch.demo.survey import make_survey
from snowmatch.identify.answer import Answer
from snowmatch.survey.abundance import Estimate, capture_history, chao, m0

PHOTOS = (2, 4)  # fewest and most of a burst
SURE = ("excellent", "good")
NEW = 0.6  # stated on the safe side: of the first three seeds' 67 known animals none was called new above 0.43
ESTIMATES = {"m0": m0, "chao": chao}
COLUMNS = ("path", "individual", "body_part", "station", "timestamp", "encounter")
EVIDENCE = {"box": ("bbox",), "mask": ("bbox", "mask"), "none": ()}  # what is known of where the animal is


@dataclass(frozen=True)
class Encounter:
    """One passage of the animal `animal`, the truth; occasion: from 0; rows: of the survey's table, one a photo."""

    name: str
    animal: str
    occasion: int
    rows: tuple[dict[str, str], ...] = ()


@dataclass(frozen=True)
class Named:
    """An encounter that was named `given`, by `same`, `new` or `person`, with all that a threshold could look at.

    names: how many were on record before; known: whether one stood for this animal. error: `splitting`, `lumping` or
    empty. top: the first candidate's name; top_right: whether it stands for this animal. probability, new_probability
    and level are the answer's; None where nothing was asked or nothing is calibrated.
    """

    encounter: str
    occasion: int
    animal: str
    given: str
    by: str
    error: str
    names: int
    known: bool
    top: str | None
    top_right: bool
    probability: float | None
    new_probability: float | None
    level: str | None


Record = Sequence[tuple[Encounter, str]]  # what is in the catalog: encounters with the names they were given
Ask = Callable[[Encounter, Record], Answer]


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


def passages(seed: int, individuals: int, encounters: int, occasions: int) -> list[tuple[int, str]]:
    """Who passes, in order of time: on each occasion as many animals, each at most once, all showing the left flank."""
    rng = np.random.default_rng([seed, 5])
    sizes = Counter(_occasion(number, encounters, occasions) for number in range(encounters))
    return [(int(i), "left") for o in range(occasions) for i in rng.choice(individuals, sizes[o], replace=False)]


def draw(folder: Path, seed: int, individuals: int, encounters: int, occasions: int) -> list[Encounter]:
    """The survey in folder/survey, drawn where it is not there yet, as encounters in order of time."""
    table = folder / "survey" / "catalog.csv"  # written last
    if not table.exists():
        plan = passages(seed, individuals, encounters, occasions)
        make_survey(table.parent, individuals=individuals, passages=plan, photos=PHOTOS, seed=seed)
    with table.open(newline="", encoding="utf-8") as file:
        rows = sorted(csv.DictReader(file), key=lambda row: row["timestamp"])
    return [
        Encounter(name, photos[0]["individual"], _occasion(number, encounters, occasions), photos)
        for number, (name, photos) in enumerate(
            (name, tuple(group)) for name, group in groupby(rows, key=lambda row: row["encounter"])
        )
    ]


def engine(folder: Path, extractor: str, evidence: str, survey: Sequence[Encounter]) -> Ask:
    """snowmatch, asked about the photos in folder/survey, with the catalog that it makes in `folder`.

    The catalog lists the whole survey from the start, without names. What is not on record yet is left out of every
    query, of its search too, so that features and search index are made once and not for every encounter anew.
    """

    def opened(record: Record) -> Catalog:
        names = {encounter.name: name for encounter, name in record}
        with (folder / "catalog.csv").open("w", newline="", encoding="utf-8") as file:
            columns = COLUMNS + EVIDENCE[evidence]
            writer = csv.DictWriter(file, columns, extrasaction="ignore", lineterminator="\n")
            writer.writeheader()
            for row in (row for encounter in survey for row in encounter.rows):
                places = {column: f"survey/{row[column]}" for column in ("path", "mask")}
                writer.writerow(row | places | {"individual": names.get(row["encounter"], "")})
        return open_catalog(folder)

    def ask(encounter: Encounter, record: Record) -> Answer:
        known = {before.name for before, _ in record}
        return opened(record).query(  # box, mask and body part of the photos are those in the catalog
            [folder / "survey" / row["path"] for row in encounter.rows],
            extractor=extractor,
            exclude_encounters=[e.name for e in survey if e.name not in known],
        )

    report = opened(()).index(extractor, workers=1)
    assert not report.failed
    return ask


def replay(survey: Iterable[Encounter], ask: Ask, new: float) -> list[Named]:
    """Fill an empty catalog with the encounters in their order; `ask` answers for one, given what is on record.

    It is not asked while nothing is. new: the lowest probability at which a new animal is accepted.
    """
    record: list[tuple[Encounter, str]] = []
    result = []
    for encounter in survey:
        stands_for: dict[str, str] = {}
        for before, name in record:
            stands_for.setdefault(name, before.animal)
        fresh = f"animal-{len(stands_for) + 1:03d}"
        carried = Counter(name for before, name in record if before.animal == encounter.animal)
        own = [name for name, _ in carried.most_common() if stands_for[name] == encounter.animal]
        answer = ask(encounter, tuple(record)) if record else None
        first = answer.candidates[0] if answer and answer.candidates else None
        by = decide(answer, new) if answer else "new"
        given = {"same": first and first.individual, "new": fresh, "person": own[0] if own else fresh}[by]
        error = ""
        if given == fresh:
            error = "splitting" if own else ""
        elif given not in own:
            error = "lumping"
        record.append((encounter, given))
        result.append(
            Named(
                encounter.name,
                encounter.occasion,
                encounter.animal,
                given,
                by,
                error,
                len(stands_for),
                bool(own),
                first and first.individual,
                bool(first) and first.individual in own,
                first and first.probability,
                answer and answer.new_probability,
                answer and answer.level,
            )
        )
    return result


def decide(answer: Answer, new: float) -> str:
    """Who names the encounter, and how: `same`, `new` or `person`, as the head of this file says.

    A person where nothing is calibrated, and where the first candidate has no name.
    """
    first = answer.candidates[0] if answer.candidates else None
    if answer.new_probability is None:
        return "person"
    if first is None or answer.new_probability > first.probability:
        return "new" if answer.new_probability >= new else "person"
    return "same" if first.individual is not None and answer.level in SURE else "person"


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


def _occasion(number: int, encounters: int, occasions: int) -> int:
    """On which occasion the encounter `number`, from 0 in order of time, is: each has as many, but for one."""
    return number * occasions // encounters


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
