"""Animals that snowmatch found in photos: boxes that no person drew.

A box in the catalog always counts more. The catalog's database stores the found boxes by the photo's content.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from snowmatch.catalog.database import DamagedError, reading, sound, with_sum, writing
from snowmatch.core.notes import Note
from snowmatch.core.text import counted
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


def load_found(
    folder: Path, origin: str | None = None, notes: list[Note] | None = None
) -> dict[str, tuple[Found, ...]]:
    """Return the found animals of each photo of the catalog in `folder`, by the photo's sha256. The best comes first.

    A photo without an animal has (). origin: BY_MAPS or BY_SCREENING; None for both, where a photo with results of the
    screening has only these. An empty dictionary if nothing is stored. Of a photo with a damaged entry nothing is used:
    the next index run makes it again, or the next screening. notes: a remark on damaged entries is added to it.
    """
    found, damaged = _stored(folder)
    if damaged and notes is not None:
        text = (
            f"{counted(damaged, 'entry', 'entries')} of found animals damaged and not used: an index run makes those "
            "of maps again; if a detector or another program gave the boxes, screen again"
        )
        notes.append(Note("found-damaged", text, {"catalog": str(folder), "count": damaged}))
    chosen = {}
    for sha256, each in found.items():
        by = origin or (BY_SCREENING if BY_SCREENING in each else BY_MAPS)
        if by in each:
            chosen[sha256] = each[by]
    return chosen


def _stored(folder: Path) -> tuple[dict[str, dict[str, tuple[Found, ...]]], int]:
    """Return the undamaged animals of each photo by origin, and the number of damaged entries."""
    found: dict[str, dict[str, list[Found]]] = {}
    damaged = 0
    incomplete: set[tuple[str, str]] = set()
    try:
        with reading(folder) as database:
            if database is None:
                return {}, 0
            columns = "SELECT sha256, origin, number, bbox, box_by, label, confidence, sum FROM found"
            for row in database.execute(f"{columns} ORDER BY sha256, origin, number"):
                sha256, by, number, box, box_by, label, confidence, _ = row
                animals = found.setdefault(sha256, {}).setdefault(by, [])
                if not sound(row) or number != len(animals):
                    damaged += not sound(row)
                    incomplete.add((sha256, by))
                elif box:
                    x, y, width, height = (int(n) for n in box.split(","))
                    animals.append(Found((x, y, width, height), box_by, label, confidence))
    except (DamagedError, TypeError, ValueError):
        return {}, 1
    whole = {
        sha256: {by: tuple(animals) for by, animals in each.items() if (sha256, by) not in incomplete}
        for sha256, each in found.items()
    }
    return whole, damaged


def save_found(folder: Path, origin: str, found: Mapping[str, Sequence[Found]]) -> None:
    """Replace all stored animals of one origin. Raises SnowmatchError if the database cannot be written.

    found: the animals of each photo, by the photo's sha256; () for a photo without an animal.
    """
    stored, damaged = _stored(folder)
    before = {sha256: each[origin] for sha256, each in stored.items() if origin in each}
    changed = sorted(found if damaged else (sha for sha in {*found, *before} if found.get(sha) != before.get(sha)))
    if not changed and not damaged:
        return
    rows = []
    for sha256 in changed:
        for number, one in enumerate(found.get(sha256, ())):
            box = ",".join(map(str, one.bbox))
            rows.append((sha256, origin, number, box, one.box_by, one.label, float(one.confidence)))
        if sha256 in found and not found[sha256]:
            rows.append((sha256, origin, 0, "", "", "", 0.0))
    with writing(folder) as database:
        if damaged:  # also entries whose origin is damaged
            other = BY_SCREENING if origin == BY_MAPS else BY_MAPS
            database.execute("DELETE FROM found WHERE origin != ?", (other,))
        pairs = [(sha256, origin) for sha256 in changed]
        database.executemany("DELETE FROM found WHERE sha256 = ? AND origin = ?", pairs)
        database.executemany("INSERT INTO found VALUES (?, ?, ?, ?, ?, ?, ?, ?)", map(with_sum, rows))
