"""Ask a catalog about scenery: photos without an animal, boxes on bare rock, and cats before the rocks of other cats.

No answer may name an individual at a level above `uncertain`, except the right one for a pasted cat, and the animal
that was painted out: masks are rough, and one in ten of such photos still shows a part of it. The photos are made from
the dataset's own: the animal is painted out with the mask, or cut out and pasted into an emptied photo of another
station. Each photo is asked with its station. All encounters of that station may answer: their rocks are on record. The
encounter from which a pasted cat was cut does not answer: the cat was met once more, before other rocks.

Example: python benchmarks/scenery.py --data ../shared/data --work W
"""

from __future__ import annotations

import argparse
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
from datasets import described, open_prepared, prepare
from measure import circumstances, command_line, results_file, run_command
from painting import paint_out, read_masked
from store import put_run

from snowmatch.api import Catalog, Session
from snowmatch.core.types import Annotation, BBox, same_part
from snowmatch.identify.answer import Answer

SOURCE = "{data}/snow_leopard,name=snow_leopard-scenery"
KINDS = ("empty frame", "box on rock", "pasted cat")


class Case(NamedTuple):
    """One question.

    right: the individual that may be named (in an empty frame, the one painted out); "" for none. encounter: the one
    that may not answer, from which the animal was cut; "" for none.
    """

    kind: str
    photo: np.ndarray
    box: BBox | None
    station: str
    right: str
    encounter: str = ""


def main(arguments: list[str] | None = None) -> None:
    """Read the command line, ask all cases and keep the results."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"), help="folder of the real photos")
    parser.add_argument("--work", type=Path, required=True, help="folder for the catalog")
    parser.add_argument("--each", type=int, default=170, help="number of cases of each kind")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--classifier", default="auto", help="of the catalog: auto, none or a name")
    parser.add_argument("--out", type=Path, help="file of results; default: the published one, for its settings")
    given = parser.parse_args(arguments)
    given.out = results_file(parser, given, "scenery.json", ("each", "seed"))
    dataset = prepare(SOURCE.format(data=given.data), given.work)
    catalog = open_prepared(dataset.folder, classifier=given.classifier)
    catalog.index()
    catalog.calibrate()
    session = catalog.session()
    start = time.perf_counter()
    levels: dict[str, Counter[str]] = {kind: Counter() for kind in KINDS}
    wrong: dict[str, list[str]] = {kind: [] for kind in KINDS}
    for case in cases(dataset.folder, catalog.data.annotations, given.each, given.seed):
        decision = asked(catalog, session, case).decision
        name = decision.individual if decision is not None and not decision.new else None
        level = decision.level if decision is not None and name is not None else "none"
        kind = "right" if name is not None and name == case.right else "named" if name is not None else "not named"
        levels[case.kind][f"{kind} {level}" if name is not None else kind] += 1
        if name is not None and name != case.right and level != "uncertain":
            wrong[case.kind].append(f"{name} {level} at {case.station}")
    row: dict[str, Any] = {
        "run": f"scenery classifier={given.classifier}",
        "dataset": described(dataset, catalog.data.annotations),
        "cases": {kind: dict(sorted(counts.items())) for kind, counts in levels.items()},
        "wrong_above_uncertain": {kind: len(texts) for kind, texts in wrong.items()},
        "seconds": {"total": round(time.perf_counter() - start, 1)},
        **circumstances(command_line()),
    }
    put_run(given.out, row)
    for kind in KINDS:
        print(f"{kind}: {dict(levels[kind])}; wrong above uncertain: {len(wrong[kind])} {wrong[kind][:8]}", flush=True)


def asked(catalog: Catalog, session: Session, case: Case) -> Answer:
    """Return the catalog's answer to one question."""
    excluded = (case.encounter,) if case.encounter else ()
    return catalog.query(case.photo, session=session, station=case.station, bbox=case.box, exclude_encounters=excluded)


def cases(folder: Path, annotations: tuple[Annotation, ...], each: int, seed: int) -> Iterator[Case]:
    """Yield the cases of each kind. The same seed gives the same cases."""
    rng = np.random.default_rng(seed)
    masked = [a for a in annotations if a.mask and a.individual is not None and not a.found]
    for n in rng.permutation(len(masked))[:each]:
        a = masked[n]
        photo, mask = read_masked(folder, a)
        yield Case(KINDS[0], paint_out(photo, mask), None, a.station, a.individual or "")
    boxed = [a for a in masked if a.own_box is not None]
    for n in rng.integers(0, len(masked), each):
        a, like = masked[n], boxed[int(rng.integers(len(boxed)))]
        photo, mask = read_masked(folder, a)
        box = _on_rock(mask, like.own_box or (0, 0, 1, 1), rng)
        if box is not None:
            yield Case(KINDS[1], photo, box, a.station, "")
    again = [a for a in boxed if met_again(a, annotations)]
    for n in rng.integers(0, len(masked), each):
        scene = masked[n]
        others = [a for a in again if a.individual != scene.individual and a.station != scene.station]
        cat = others[int(rng.integers(len(others)))]
        photo, box = _pasted(folder, scene, cat)
        yield Case(KINDS[2], photo, box, scene.station, cat.individual or "", cat.encounter)


def met_again(a: Annotation, annotations: tuple[Annotation, ...]) -> bool:
    """Return whether another passage has the same individual, with a body part that can be compared."""
    own = [b for b in annotations if b.individual == a.individual and b.passage != a.passage]
    return any(same_part(a.body_part, b.body_part) for b in own)


def _on_rock(mask: np.ndarray, like: BBox, rng: np.random.Generator) -> BBox | None:
    """Return a box of the size of `like` that has nothing of the animal; None if there is no room for one."""
    height, width = mask.shape
    w, h = min(like[2], width // 2), min(like[3], height // 2)
    for _ in range(50):
        x, y = int(rng.integers(0, width - w)), int(rng.integers(0, height - h))
        if not mask[y : y + h, x : x + w].any():
            return x, y, w, h
    return None


def _pasted(folder: Path, scene: Annotation, cat: Annotation) -> tuple[np.ndarray, BBox]:
    """Return an emptied photo of `scene` with the animal of `cat` at the same place of the frame, and its box."""
    photo, mask = read_masked(folder, scene)
    empty = paint_out(photo, mask)
    other, outline = read_masked(folder, cat)
    size = (empty.shape[1], empty.shape[0])
    scale = np.array(size) / (other.shape[1], other.shape[0])
    other, shape = cv2.resize(other, size), cv2.resize(outline.astype(np.uint8), size) > 0
    empty[shape] = other[shape]
    x, y, w, h = cat.own_box or (0, 0, 1, 1)
    return empty, (int(x * scale[0]), int(y * scale[1]), max(1, int(w * scale[0])), max(1, int(h * scale[1])))


if __name__ == "__main__":
    run_command(main)
