"""Measure how good the boxes and maps are that snowmatch finds by itself.

Every photo of the real snow leopards is looked at as `snowmatch index` does, without a box or mask on record: with the
other photos of its burst and station alone, and with the classifier. What is found is compared with the boxes of a
person and with the rough masks. The figures are those of found_boxes_figures.py.

The cases of every photo stay in --work. --worst draws the boxes that agree least with the masks.

Example: python benchmarks/found_boxes.py --data ../shared/data --work W --worst pictures
"""

from __future__ import annotations

import argparse
import csv
import json
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, fields
from pathlib import Path

import cv2
import numpy as np
from datasets import described, prepare
from found_boxes_figures import Case, groups_of, judge, worst_of
from light import light_of
from measure import RESULTS, circumstances, command_line, run_command
from store import put_run
from suites import source_of

from snowmatch.api import open_catalog
from snowmatch.core.errors import SnowmatchError
from snowmatch.core.files import file_sha256
from snowmatch.core.types import Annotation
from snowmatch.photos.pixels import read_mask, read_photo
from snowmatch.screening.finders import DEFAULT_CLASSIFIER, NONE, choose_finders
from snowmatch.screening.locate import boxes_of
from snowmatch.screening.scenes import Companions, Finders, companions, look

SEEN, KNOWN = "snow_leopard-whole", "{data}/snow_leopard,name=snow_leopard-found"
CLASSIFIERS = (NONE, DEFAULT_CLASSIFIER)
WORST = 12  # pictures for each classifier
FOUND, MASK, PERSON = (255, 60, 60), (60, 255, 60), (60, 160, 255)  # colours of boxes and outlines in a picture


def main(arguments: list[str] | None = None) -> None:
    """Read the command line, look at all photos and keep the results."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"), help="folder of the real photos")
    parser.add_argument("--work", type=Path, required=True, help="folder for catalogs and cases")
    parser.add_argument("--out", type=Path, default=RESULTS / "found_boxes.json", help="file of results")
    parser.add_argument("--worst", type=Path, metavar="FOLDER", help="draw the worst boxes (the photos show animals)")
    given = parser.parse_args(arguments)
    networks = {name: choose_finders(name) for name in CLASSIFIERS}
    seen = prepare(source_of(SEEN, given.data), given.work)
    known = prepare(KNOWN.format(data=given.data), given.work)
    photos = open_catalog(seen.folder).data.annotations
    truth = {a.path: a for a in open_catalog(known.folder).data.annotations}
    contents = {a.path: file_sha256(seen.folder / a.path) for a in photos}
    for classifier, finders in networks.items():
        begun = time.perf_counter()
        cases, seconds = cases_of(seen.folder, companions(photos, contents), known.folder, truth, finders)
        write_cases(given.work / "found_boxes" / f"{classifier}.csv", cases)
        if given.worst is not None:
            draw_worst(given.worst, classifier, cases, known.folder, truth)
        row = {
            "run": f"classifier={classifier}",
            "dataset": described(seen, photos),
            "groups": groups_of(cases),
            "seconds": {"look": seconds, "total": round(time.perf_counter() - begun, 1)},
            **circumstances(command_line()),
        }
        put_run(given.out, row)
        print(json.dumps({"run": row["run"], **row["groups"][0]}), flush=True)


def cases_of(
    folder: Path, seen: Sequence[Companions], known: Path, truth: Mapping[str, Annotation], finders: Finders
) -> tuple[list[Case], float]:
    """Return the cases of all photos, and the seconds of the processor that the look at one takes.

    folder, seen: the catalog without boxes and masks. known, truth: the folder of the catalog with them, and its
    annotations by path. Raises SnowmatchError if a photo cannot be read.
    """
    passages = Counter(truth[photo.photo[0]].encounter for photo in seen)
    took = 0.0
    cases = []
    threads = cv2.getNumThreads()
    cv2.setNumThreads(1)
    try:
        for photo in seen:
            a = truth[photo.photo[0]]
            start = time.process_time()  # of the processor: other programs do not count
            looked = look(folder, photo, finders)
            took += time.process_time() - start
            if not looked.complete:
                raise SnowmatchError(f"{a.path} or a photo of its place cannot be read, expected readable photos")
            found = looked.found if looked.found is not None and looked.found.evidence else None
            pixels = read_photo(known / a.path)
            size = (pixels.shape[1], pixels.shape[0])
            box = next(iter(boxes_of(found, size)), None)
            mask = read_mask(known / a.mask, size) if a.mask else np.zeros(pixels.shape[:2], bool)
            case = Case(
                a.path,
                a.encounter,
                light_of(pixels),
                passages[a.encounter],
                found.evidence if found is not None else "",
                box,
                **judge(found, box, mask, a.own_box),
            )
            cases.append(case)
    finally:
        cv2.setNumThreads(threads)
    return cases, round(took / len(cases), 4)


def write_cases(path: Path, cases: Sequence[Case]) -> None:
    """Write a table of all photos: what was found, and how good it is."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, [field.name for field in fields(Case)])
        writer.writeheader()
        writer.writerows(asdict(case) for case in cases)


def draw_worst(target: Path, name: str, cases: Sequence[Case], known: Path, truth: Mapping[str, Annotation]) -> None:
    """Draw the worst boxes into the folder `target`: the found box red, the mask green, the box of a person blue."""
    target.mkdir(parents=True, exist_ok=True)
    for number, case in enumerate(worst_of(cases, WORST), start=1):
        a = truth[case.name]
        photo = read_photo(known / a.path)
        mask = read_mask(known / a.mask, (photo.shape[1], photo.shape[0]))
        outlines, _ = cv2.findContours(mask.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
        drawn = cv2.drawContours(photo, outlines, -1, MASK, 2)
        for box, colour in ((a.own_box, PERSON), (case.box, FOUND)):
            if box is not None:
                x, y, width, height = box
                drawn = cv2.rectangle(drawn, (x, y), (x + width - 1, y + height - 1), colour, 3)
        if not cv2.imwrite(str(target / f"{name}-{number:02}.jpg"), drawn[..., ::-1]):
            raise SnowmatchError(f"{target} cannot be written, expected a folder for pictures")


if __name__ == "__main__":
    run_command(main)
