"""Measure how well the classifier tells photos with a snow leopard from photos without one.

Snow leopards: every photo of the real set. Without one: photos of nyala, another mammal, each picture once; and the
photos of the leopards with the animal painted out with its mask. These stand for empty frames, which the set does not
have: each of its photos shows an animal. The photos are read as `snowmatch screen` reads them, and its functions give
the answers, for single photos and for passages. The figures are those of screening_figures.py.

The probabilities of every photo stay in --work, and answers.csv there has every photo with its answer. A finished kind
of photos is not looked at again with the same engine.

Example: python benchmarks/screening.py --data ../shared/data --work W
"""

from __future__ import annotations

import argparse
import csv
import json
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from datasets import contents_of, described, prepare
from light import light_of
from measure import RESULTS, circumstances, command_line, engine_commit, is_current, run_command
from painting import GROW, paint_out, read_masked
from screening_figures import (
    KEEPS,
    LEOPARD,
    NYALA,
    PAINTED,
    Case,
    by_light,
    by_station,
    confusion,
    curves,
    passages_of,
    separation,
)
from store import put_run

from snowmatch.api import open_catalog
from snowmatch.core.plugins import settings
from snowmatch.core.types import Annotation
from snowmatch.photos.likeness import nearly_equal_pairs, photo_likeness
from snowmatch.photos.pixels import read_small
from snowmatch.screening.finders import DEFAULT_CLASSIFIER, choose_finders
from snowmatch.screening.passages import SPECIES, answer_of, choose_threshold
from snowmatch.screening.scenes import LEAST

LEOPARDS, ANTELOPES = "{data}/snow_leopard,name=snow_leopard-screening", "{data}/nyala,name=nyala-screening"


@dataclass(frozen=True)
class Photo:
    """A photo to look at. kind: what it shows. cluster: photos that are alike have the same one."""

    kind: str
    annotation: Annotation
    cluster: str
    read: Callable[[], np.ndarray]


def main(arguments: list[str] | None = None) -> None:
    """Read the command line, look at all photos and keep the results."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"), help="folder of the real photos")
    parser.add_argument("--work", type=Path, required=True, help="folder for catalogs, probabilities and answers")
    parser.add_argument("--out", type=Path, default=RESULTS / "screening.json", help="file of results")
    given = parser.parse_args(arguments)
    classifier = choose_finders(DEFAULT_CLASSIFIER).classifier
    sets = [prepare(text.format(data=given.data), given.work) for text in (LEOPARDS, ANTELOPES)]
    leopards, nyala = ((each.folder, open_catalog(each.folder).data.annotations) for each in sets)
    settled = {"classifier": settings(classifier), "grow": GROW, "commit": engine_commit()}
    settled["contents"] = [contents_of(each.folder) for each in sets]
    cases: list[Case] = []
    took: dict[str, float] = {"classify": 0.0, "total": 0.0}
    for kind, photos in {
        LEOPARD: leopard_photos(*leopards),
        PAINTED: painted_photos(*leopards),
        NYALA: nyala_photos(*nyala),
    }.items():
        path = given.work / "screening" / f"{kind.replace(' ', '-')}.json"
        seen, seconds = kept(path, settled, photos, classifier)
        cases += seen
        took = {name: took[name] + seconds[name] for name in took}
        print(f"{kind}: {len(seen)} photos, {seconds['total']:.0f} s", flush=True)
    begun = time.perf_counter()
    found = figures(cases)
    write_answers(given.work / "screening" / "answers.csv", cases, found["threshold"])
    total = took["total"] + time.perf_counter() - begun
    row = {
        "run": DEFAULT_CLASSIFIER,
        "datasets": [described(one, each[1]) for one, each in zip(sets, (leopards, nyala), strict=True)],
        **found,
        "seconds": {"classify": round(took["classify"] / len(cases), 4), "total": round(total, 1)},
        **circumstances(command_line()),
    }
    put_run(given.out, row)
    print(json.dumps({name: row[name] for name in ("confusion", "stations", "seconds")}), flush=True)


def figures(cases: Sequence[Case]) -> dict[str, Any]:
    """Return all figures of the photos, by photo and by passage, as screening.json has them."""
    passages = passages_of(cases)
    known = [case.score for case in passages if case.kind == LEOPARD]
    limit = choose_threshold(known, KEEPS[0])
    return {
        "threshold": limit.value,
        "lowest_passage": min(known),
        "confusion": {"photo": confusion(cases, limit.value), "passage": confusion(passages, limit.value)},
        "separation": {
            "photo": separation(cases, limit.value),
            "passage": separation(passages, limit.value),
        },
        "light": by_light(cases, limit.value),
        "stations": [by_station(passages, keep) for keep in KEEPS],
        "curves": curves(cases),
    }


def leopard_photos(folder: Path, annotations: Sequence[Annotation]) -> Iterator[Photo]:
    """Yield the photos of the snow leopards, each file once."""
    for a in {a.path: a for a in annotations}.values():
        yield Photo(LEOPARD, a, a.encounter, lambda path=folder / a.path: read_small(path, LEAST))


def painted_photos(folder: Path, annotations: Sequence[Annotation]) -> Iterator[Photo]:
    """Yield the photos of leopards with masks, without the animals."""
    for a in {a.path: a for a in annotations if a.mask}.values():
        yield Photo(PAINTED, a, a.encounter, lambda a=a: paint_out(*read_masked(folder, a)))


def nyala_photos(folder: Path, annotations: Sequence[Annotation]) -> Iterator[Photo]:
    """Yield the photos of the nyala, of pictures that are nearly equal only the first."""
    photos = list({a.path: a for a in annotations}.values())
    likenesses = [photo_likeness(folder / a.path) for a in photos]
    copies = {j for _, j in nearly_equal_pairs(likenesses, names=range(len(photos)))}  # all pairs
    for number, a in enumerate(photos):
        if number not in copies:
            yield Photo(NYALA, a, a.individual or a.path, lambda path=folder / a.path: read_small(path, LEAST))


def kept(
    path: Path, settled: dict[str, Any], photos: Iterator[Photo], classifier: Any
) -> tuple[list[Case], dict[str, float]]:
    """Return what the classifier sees in photos of one kind, and the seconds that it took, on one core.

    They are those in the file `path` if they have the same settings; otherwise they are computed and kept there.
    """
    if path.exists():
        held = json.loads(path.read_text(encoding="utf-8"))
        if held["settings"] == settled and is_current(settled["commit"]):
            return [replace(Case(**case), photos=tuple(case["photos"])) for case in held["cases"]], held["seconds"]
    begun = time.perf_counter()
    seconds = {"classify": 0.0}
    cases = []
    threads = cv2.getNumThreads()
    cv2.setNumThreads(1)
    try:
        for photo in photos:
            pixels = photo.read()
            start = time.process_time()  # of the processor: other programs do not count
            told = classifier.classify(pixels)
            seconds["classify"] += time.process_time() - start
            classes = {name: round(float(p), 6) for name, p in zip(told.names, told.probabilities, strict=True)}
            a = photo.annotation
            light = light_of(pixels)
            cases.append(Case(photo.kind, a.path, a.encounter, a.station, photo.cluster, light, (classes,)))
    finally:
        cv2.setNumThreads(threads)
    seconds["total"] = time.perf_counter() - begun
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_suffix(".part")  # a run that is stopped leaves no partial result
    held = {"settings": settled, "seconds": seconds, "cases": [asdict(case) for case in cases]}
    unfinished.write_text(json.dumps(held, allow_nan=False), encoding="utf-8")
    unfinished.replace(path)
    return cases, seconds


def write_answers(path: Path, cases: Sequence[Case], threshold: float) -> None:
    """Write a table of all photos: what they show, the score and the answer."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(("kind", "path", "encounter", "station", "light", "score", "answer", "probability"))
        for case in cases:
            answer = answer_of(case.photos, SPECIES, threshold)
            writer.writerow((case.kind, case.name, case.encounter, case.station, case.light, case.score, *answer))


if __name__ == "__main__":
    run_command(main)
