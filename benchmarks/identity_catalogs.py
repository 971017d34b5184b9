"""Find out who is who in catalogs without names: simulated observers at the program's own queue, beside other ways.

All names are taken out of a copy of the catalog. Then an observer who is right with the probability --accuracy answers

queue         what `snowmatch identities ask` asks, until it stops; then an adjudicator, who is as often right, decides
              the answers that the photos contradict (`ask --mode adjudicate`)
auto+queue    the same after `snowmatch identities auto --from excellent`
ranked        each sighting in order, compared with its best five; no pair twice
ranked_names  the same, but the observer stops at the first that is the same, and is not shown pairs with one name
graph         graph identification with twofold redundancy (Crall, 2017)

split: animals with more than one identity; lumped: identities of more than one animal. A left and a right flank that no
passage joins are two animals here, because nothing in the photos joins them. For the queue, the number of individuals
that `snowmatch identities count` tells is kept as well, whether its interval holds the truth, and the mistakes after
each decision that changed them (`course`, with the columns COURSE).

Example: python benchmarks/identity_catalogs.py snow_leopard-all-boxes --data ../shared/data --work /tmp/work
"""

from __future__ import annotations

import argparse
import csv
import json
import shutil
import statistics
import sys
import time
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np
from datasets import open_prepared, prepare
from drawn_pairs import Case
from identities import errors
from identity_pairs import arrays_of
from identity_tables import COURSE
from identity_ways import SAME, Observer, by_graph_identification, by_ranked_list
from measure import RESULTS, circumstances, command_line, run_command
from store import put_run
from suites import source_of

from snowmatch.api import Session, open_catalog
from snowmatch.core.unions import Unions
from snowmatch.decisions.sightings import Sighting, comparable
from snowmatch.review.accuracy import ACCURACY
from snowmatch.review.auto import Policy, auto_drafts
from snowmatch.review.counting import count_individuals
from snowmatch.review.identities import decide, open_identities
from snowmatch.review.likely import Evidence, gather_evidence
from snowmatch.review.queue import Queue, answer_item

WAYS = ("queue", "auto+queue", "ranked", "ranked_names", "graph")
OTHERS = {
    "ranked": lambda case, observer: by_ranked_list(case, observer, skip=False),
    "ranked_names": lambda case, observer: by_ranked_list(case, observer, skip=True),
    "graph": by_graph_identification,
}


def main(arguments: list[str] | None = None) -> None:
    """Read the command line, answer in every way and keep the summary."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("dataset", help="a name of suites.py, or SOURCE,key=value,... (see datasets.py)")
    parser.add_argument("--data", type=Path, default=Path("../shared/data"), help="folder of the real photos")
    parser.add_argument("--work", type=Path, required=True, help="folder for the catalogs")
    parser.add_argument("--accuracy", type=float, action="append", help="of an observer; default: 1, 0.97 and 0.9")
    parser.add_argument("--seeds", type=int, default=5, help="observers of each accuracy; default: %(default)s")
    parser.add_argument("--way", choices=WAYS, action="append", help="default: all")
    parser.add_argument("--out", type=Path, default=RESULTS / "identities.json")
    given = parser.parse_args(arguments)
    dataset = prepare(source_of(given.dataset, given.data), given.work)
    open_prepared(dataset.folder).index(workers=1)
    blank, names = without_names(dataset.folder, given.work / "blank" / dataset.name)
    session = open_catalog(blank).session()
    who = open_identities(blank)
    evidence = gather_evidence(session, who.who.sightings)
    truth, known = truth_of(who.who.sightings, names)
    for accuracy in given.accuracy or (1.0, 0.97, 0.9):
        for way in given.way or WAYS:
            start = time.perf_counter()
            rows = []
            for seed in range(1 if accuracy == 1 else given.seeds):
                observer = Observer(truth, accuracy, 0.0, seed)
                if way in OTHERS:
                    case = case_of(list(who.who.sightings), evidence, truth)
                    found = OTHERS[way](case, observer)
                    row = {"decisions": found.decisions, **errors(truth[known], found.labels[known])}
                else:
                    row = by_queue(blank, session, evidence, observer, known, auto=way.startswith("auto"))
                rows.append({"seed": seed, "true": len(np.unique(truth[known])), **row})
            run = {
                "run": f"{dataset.name}, {way}, {100 * accuracy:g} %",
                "data": dataset.name,
                "way": way,
                "accuracy": accuracy,
                "cannot_tell": 0.0,
                "summary": summary(rows),
                "sightings": int(known.sum()),
                "surveys": rows,
                "seconds": {"total": round(time.perf_counter() - start, 1)},
            }
            put_run(given.out, run | circumstances(command_line(arguments)))
            took = run["seconds"]["total"]
            print(run["run"], json.dumps(run["summary"]), f"{took} s", file=sys.stderr, flush=True)


def without_names(folder: Path, target: Path) -> tuple[Path, dict[str, str]]:
    """Copy a catalog without its names, and return the copy and the name of each encounter."""
    shutil.rmtree(target, ignore_errors=True)
    shutil.copytree(folder, target, symlinks=True)
    (target / "decisions.sqlite").unlink(missing_ok=True)
    names = {a.encounter: a.individual for a in open_catalog(target).data.annotations if a.individual is not None}
    table = target / "catalog.csv"
    with table.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    with table.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, rows[0].keys())
        writer.writeheader()
        writer.writerows({**row, "individual": ""} for row in rows)
    return target, names


def truth_of(sightings: tuple[Sighting, ...], names: dict[str, str]) -> tuple[np.ndarray, np.ndarray]:
    """Return a number for the animal of each sighting, (S,) int, and for which it is known, (S,) bool.

    Sightings of one name are one animal if they, or others between them, show comparable body parts. A sighting without
    a name is an animal of its own.
    """
    joined = Unions(len(sightings))
    by_name: dict[str, list[int]] = defaultdict(list)
    for n, sighting in enumerate(sightings):
        if (name := names.get(sighting.encounter)) is None:
            continue
        for other in by_name[name]:
            if comparable(sightings[other], sighting):
                joined.join(other, n)
        by_name[name].append(n)
    known = np.array([sighting.encounter in names for sighting in sightings], bool)
    return np.array([joined.group_of(n) for n in range(len(sightings))], np.int64), known


def case_of(sightings: list[Sighting], evidence: Evidence, truth: np.ndarray) -> Case:
    """Return the pairs as the other ways take them."""
    held = arrays_of(sightings, evidence)
    return Case(truth, held["i"], held["j"], held["p"], held["rank_list"])


def by_queue(
    folder: Path, session: Session, evidence: Evidence, observer: Observer, known: np.ndarray, *, auto: bool
) -> dict[str, Any]:
    """Answer what the program asks until it stops, and return the figures."""
    file = folder / "trial.sqlite"
    file.unlink(missing_ok=True)
    who = open_identities(folder, file)
    row: dict[str, Any] = {}
    levels = session.calibration.levels
    if auto:
        drafts = auto_drafts(who, evidence, levels, Policy("excellent", 0.05))
        who, stored = decide(who, drafts)
        row["machine"] = len(stored.rows)
    queue = Queue(who, evidence, "observer", levels, repeats=0)
    asked: dict[str, int] = defaultdict(int)
    course: list[list[int]] = []

    def answered(queue: Queue) -> None:
        while items := queue.next():
            (item,) = items
            asked[item.why] += 1
            answer = "same" if observer(item.a, item.b) == SAME else "different"
            after, stored = decide(queue.identities, [answer_item(queue, item, answer, "", hidden=False)])
            queue.take(after, item, stored.rows[0])
            now = errors(observer.truth[known], np.array(after.who.of, np.int64)[known])
            if not course or [now[key] for key in COURSE[1:]] != course[-1][1:]:
                course.append([observer.decisions, *(now[key] for key in COURSE[1:])])

    answered(queue)
    judge = Queue(queue.identities, evidence, "adjudicator", levels, mode="adjudicate")
    answered(judge)  # answers that the photos contradict, decided by another person
    found = judge.identities.who
    told = count_individuals(found, evidence, lambda _: ACCURACY, draws=200).counts[0]
    true = len(np.unique(observer.truth))
    labels, truth = np.array(found.of, np.int64), observer.truth
    file.unlink(missing_ok=True)
    return {
        **row,
        "decisions": observer.decisions,
        **errors(truth[known], labels[known]),
        "asked": dict(asked),
        "course": course,
        "after": {"mean": told.mean, "low": told.low, "high": told.high, "holds": told.low <= true <= told.high},
    }


def summary(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Return means over observers. bias: of the number of identities; of the mean of the draws for `after`."""
    total: dict[str, Any] = {
        key: round(statistics.mean(row[key] for row in rows), 1) for key in ("decisions", "split", "lumped")
    }
    total["bias"] = round(statistics.mean(row["names"] / row["true"] - 1 for row in rows), 4)
    if "after" in rows[0]:
        total["after"] = {
            "bias": round(statistics.mean(row["after"]["mean"] / row["true"] - 1 for row in rows), 4),
            "width": round(statistics.mean(row["after"]["high"] - row["after"]["low"] for row in rows), 1),
            "holds": sum(row["after"]["holds"] for row in rows),
        }
    return total | {"surveys": len(rows)}


if __name__ == "__main__":
    run_command(main)
