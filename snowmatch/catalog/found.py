"""Animals that snowmatch found in photos: boxes that no person drew.

A box in the catalog always counts more. The catalog's database stores the found boxes by the photo's content.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from snowmatch.catalog.database import DamagedError, delete_row, reading, sound, with_sum, writing
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
    screening has only these. An empty dictionary if nothing is stored. A photo with a damaged entry is skipped: without
    its first animal, the second one would take its place. A note on damage is added to `notes`. The next index run
    makes the boxes of the maps again.
    """
    try:
        rows = _rows(folder)
    except DamagedError:
        text = "the database of photos is damaged, so the boxes that were found are not used: index again"
        _note(folder, notes, text)
        return {}
    good = [row[:-1] for row in rows if sound(row)]
    if len(good) < len(rows):
        count = counted(len(rows) - len(good), "entry", "entries")
        why = "index again, and screen again if the boxes come from a screening"
        _note(folder, notes, f"{count} of found boxes in the database of photos were damaged and skipped: {why}")
    lost = {(row[0], row[1]) for row in rows if not sound(row)}
    found: dict[str, dict[str, list[Found]]] = {}
    for sha256, by, number, box, box_by, label, confidence in good:
        animals = found.setdefault(sha256, {}).setdefault(by, [])
        if box:
            if number != len(animals):  # the entry of a better animal is damaged
                lost.add((sha256, by))
            x, y, width, height = (int(n) for n in box.split(","))
            animals.append(Found((x, y, width, height), box_by, label, confidence))
    chosen = {}
    for sha256, each in found.items():
        by = origin or (BY_SCREENING if BY_SCREENING in each or (sha256, BY_SCREENING) in lost else BY_MAPS)
        if by in each and (sha256, by) not in lost:
            chosen[sha256] = tuple(each[by])
    return chosen


def _rows(folder: Path) -> list[tuple[Any, ...]]:
    """Return all stored rows, also damaged ones. Raises DamagedError if the database is damaged."""
    with reading(folder) as database:
        if database is None:
            return []
        columns = "SELECT sha256, origin, number, bbox, box_by, label, confidence, sum FROM found"
        return database.execute(f"{columns} ORDER BY sha256, origin, number").fetchall()


def _note(folder: Path, notes: list[Note] | None, text: str) -> None:
    if notes is not None:
        notes.append(Note("found-damaged", text, {"catalog": str(folder)}))


def save_found(
    folder: Path, origin: str, found: Mapping[str, Sequence[Found]], gone: Collection[str] | None = None
) -> None:
    """Store the animals of one origin in photos. Raises SnowmatchError if the database cannot be written.

    found: the animals of each photo, by the photo's sha256; () for a photo without an animal. gone: the photos whose
    animals are deleted, and those of all others stay; None deletes those of all photos that are not in `found`. Damaged
    entries are deleted, except those of the other origin.
    """
    before = load_found(folder, origin)
    others = before if gone is None else before.keys() & gone
    changed = sorted(sha for sha in {*found, *others} if found.get(sha) != before.get(sha))
    damaged = _damaged(folder, origin)
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
        pairs = [(sha256, origin) for sha256 in changed]
        for key in damaged:
            delete_row(database, "found", dict(zip(("sha256", "origin", "number"), key, strict=True)))
        database.executemany("DELETE FROM found WHERE sha256 = ? AND origin = ?", pairs)
        database.executemany("INSERT INTO found VALUES (?, ?, ?, ?, ?, ?, ?, ?)", map(with_sum, rows))


def _damaged(folder: Path, origin: str) -> list[tuple[Any, ...]]:
    """Return the keys of damaged rows, except those of the other origin; none if the whole database is damaged."""
    other = BY_SCREENING if origin == BY_MAPS else BY_MAPS
    try:
        return [row[:3] for row in _rows(folder) if not sound(row) and row[1] != other]
    except DamagedError:
        return []
