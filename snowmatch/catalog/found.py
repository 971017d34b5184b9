"""Animals that snowmatch found in photos: boxes that no person drew.

A box in the catalog always counts more. The catalog's database stores the found boxes by the photo's content.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from snowmatch.catalog.database import DamagedError, reading, sound, with_sum, writing
from snowmatch.core.types import BBox

BY_MAPS, BY_SCREENING = "map", "screening"  # what found an animal: the foreground map, or the command `screen`


@dataclass(frozen=True)
class Found:
    """One animal in one photo.

    bbox: inside the upright photo. box_by: what found it, such as "burst", "classifier" or "isnet". label: `animal` or
    a species. confidence: 0 to 1.
    """

    bbox: BBox
    box_by: str
    label: str = "animal"
    confidence: float = 1.0


def load_found(folder: Path, origin: str | None = None) -> dict[str, tuple[Found, ...]]:
    """Return the found animals of each photo of the catalog in `folder`, by the photo's sha256. The best comes first.

    A photo without an animal has (). origin: BY_MAPS or BY_SCREENING; None for both, where a photo with results of the
    screening has only these. An empty dictionary if nothing is stored. A damaged entry is skipped: the next index run
    makes it again.
    """
    found: dict[str, dict[str, list[Found]]] = {}
    try:
        with reading(folder) as database:
            if database is None:
                return {}
            columns = "SELECT sha256, origin, number, bbox, box_by, label, confidence, sum FROM found"
            for row in database.execute(f"{columns} ORDER BY sha256, origin, number"):
                if not sound(row):
                    continue
                sha256, by, _, box, box_by, label, confidence, _ = row
                animals = found.setdefault(sha256, {}).setdefault(by, [])
                if box:
                    x, y, width, height = (int(n) for n in box.split(","))
                    animals.append(Found((x, y, width, height), box_by, label, confidence))
    except (DamagedError, TypeError, ValueError):
        return {}
    chosen = {}
    for sha256, each in found.items():
        by = origin or (BY_SCREENING if BY_SCREENING in each else BY_MAPS)
        if by in each:
            chosen[sha256] = tuple(each[by])
    return chosen


def save_found(folder: Path, origin: str, found: Mapping[str, Sequence[Found]]) -> None:
    """Replace all stored animals of one origin. Raises SnowmatchError if the database cannot be written.

    found: the animals of each photo, by the photo's sha256; () for a photo without an animal.
    """
    before = load_found(folder, origin)
    changed = sorted(sha for sha in {*found, *before} if found.get(sha) != before.get(sha))
    if not changed:
        return
    rows = []
    for sha256 in changed:
        for number, one in enumerate(found.get(sha256, ())):
            box = ",".join(map(str, one.bbox))
            rows.append((sha256, origin, number, box, one.box_by, one.label, float(one.confidence)))
        if sha256 in found and not found[sha256]:
            rows.append((sha256, origin, 0, "", "", "", 0.0))
    with writing(folder) as database:
        pairs = [(sha256, origin) for sha256 in changed]
        database.executemany("DELETE FROM found WHERE sha256 = ? AND origin = ?", pairs)
        database.executemany("INSERT INTO found VALUES (?, ?, ?, ?, ?, ?, ?, ?)", map(with_sum, rows))
