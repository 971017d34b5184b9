"""The unidentified animals of an encounter, if one photo shows several."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta

from snowmatch.catalog.shots import file_order
from snowmatch.catalog.table import Fields
from snowmatch.core.boxes import overlap
from snowmatch.core.notes import Note
from snowmatch.core.text import counted

SAME_PLACE = 0.5  # overlap of two boxes in consecutive frames from which they show one animal
OTHER_PLACE = 0.2  # largest overlap with another box
NEXT_FRAME = timedelta(seconds=60)


def number_animals(rows: Sequence[Fields]) -> list[Note]:
    """Write `animal` into each row: the number of the unidentified animal in its encounter, from 0; 0 for named
    animals.

    If no photo of an encounter shows several unidentified animals, they are one. Otherwise boxes are followed from
    frame to frame by their position; a box that cannot be followed with certainty is an animal of its own. The order of
    the rows does not matter. Returns a note if animals were separated.
    """
    encounters: dict[str, list[Fields]] = defaultdict(list)
    for fields in rows:
        fields["animal"] = 0
        if fields.get("individual") is None:
            encounters[fields["encounter"]].append(fields)
    several = 0
    for found in encounters.values():
        if max(Counter(fields["path"] for fields in found).values()) > 1:
            several += 1
            _follow(found)
    if not several:
        return []
    text = (
        f"{counted(several, 'encounter')} with several unidentified animals in one photo: boxes at the same place in "
        "frames that follow each other are one animal, others are told apart"
    )
    return [Note("animals-told-apart", text, {"count": several})]


def _follow(rows: Iterable[Fields]) -> None:
    """Number the animals of one encounter by following their boxes."""
    photos: dict[str, list[Fields]] = defaultdict(list)
    for fields in rows:
        photos[fields["path"]].append(fields)
    order = sorted(photos, key=lambda path: (photos[path][0].get("timestamp") or datetime.max, file_order(path)))
    animals = 0
    before: list[Fields] = []
    for path in order:
        here = sorted(photos[path], key=lambda fields: (fields.get("bbox") or (), fields.get("mask", "")))
        continued = _pairs(before, here)
        for n, fields in enumerate(here):
            if n in continued:
                fields["animal"] = continued[n]["animal"]
            else:
                fields["animal"], animals = animals, animals + 1
        before = here


def _pairs(before: Sequence[Fields], here: Sequence[Fields]) -> dict[int, Fields]:
    """Return, for positions in `here`, the row of the frame before that certainly shows the same animal."""
    if not before or not _follows(before[0].get("timestamp"), here[0].get("timestamp")):
        return {}
    shares = [[overlap(old.get("bbox"), new.get("bbox")) for old in before] for new in here]
    found = {}
    for n, row in enumerate(shares):
        best = max(range(len(row)), key=row.__getitem__)
        others = [share for m, share in enumerate(row) if m != best]
        others += [shares[k][best] for k in range(len(here)) if k != n]
        if row[best] >= SAME_PLACE and max(others, default=0.0) <= OTHER_PLACE:
            found[n] = before[best]
    return found


def _follows(before: datetime | None, after: datetime | None) -> bool:
    return before is None or after is None or after - before <= NEXT_FRAME
