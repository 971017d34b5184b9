"""Encounters: which photos are of one passage, and how it is named where the catalog does not name it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime, timedelta
from itertools import combinations
from typing import TypeVar

from snowmatch.catalog.table import Fields
from snowmatch.core.errors import SnowmatchError
from snowmatch.core.types import Annotation, same_part

T = TypeVar("T")

# Photos of one station whose neighbours in time are at most this far apart are one encounter. Camera-trap surveys use
# 30 to 60 minutes for independent events; the longer one rather joins two passages than uses one as its own evidence.
ENCOUNTER_GAP = timedelta(minutes=60)


def fill_times(rows: list[Fields], exif_times: Callable[[str], datetime | None]) -> None:
    """Give rows without a timestamp the photo's own; a photo that cannot be read has none (the index run lists it)."""
    known: dict[str, datetime | None] = {}
    for fields in rows:
        if fields.get("timestamp") is None:
            path = fields["path"]
            if path not in known:
                try:
                    known[path] = exif_times(path)
                except SnowmatchError:
                    known[path] = None
            fields["timestamp"] = known[path]


def name_encounters(rows: list[Fields]) -> None:
    """Name the encounter of every row without one: after its place and first moment, or its photo if that has no time.

    Names depend on the encounter's own photos alone, so photos added elsewhere change none.
    """
    used = {fields["encounter"] for fields in rows if fields.get("encounter")}
    places: dict[tuple[str, str], list[Fields]] = defaultdict(list)
    timeless: dict[str, list[Fields]] = defaultdict(list)
    timed: dict[str, Fields] = {}
    for fields in rows:
        photo = fields.pop("_photo", fields["path"])
        if fields.get("encounter"):
            continue
        if fields["timestamp"] is None:
            timeless[photo].append(fields)
        else:
            timed.setdefault(photo, fields)
            places[fields.get("location", ""), fields.get("station", "")].append(fields)
    for place, group in places.items():
        for passage in passages(group, lambda fields: fields["timestamp"]):
            name = unused(_place_name(*place) + passage[0]["timestamp"].isoformat(), used)
            for fields in passage:
                fields["encounter"] = name
    for photo, group in timeless.items():
        # A crop saved without its EXIF belongs to the photo it was cut from
        name = timed[photo]["encounter"] if photo in timed else unused(f"photo {photo}", used)
        for fields in group:
            fields["encounter"] = name


def passages(photos: Iterable[T], taken: Callable[[T], datetime]) -> Iterator[list[T]]:
    """The photos of one camera by time, cut where neighbours are more than ENCOUNTER_GAP apart; none give nothing."""
    passage: list[T] = []
    for photo in sorted(photos, key=taken):
        if passage and taken(photo) - taken(passage[-1]) > ENCOUNTER_GAP:
            yield passage
            passage = []
        passage.append(photo)
    if passage:
        yield passage


def _place_name(location: str, station: str) -> str:
    """'naryn/S01 ', 'naryn ', '/S01 ' or ''; a slash within a name is written %2F, so that no two places look alike."""
    location, station = (name.replace("%", "%25").replace("/", "%2F") for name in (location, station))
    return f"{location}/{station} " if station else (f"{location} " if location else "")


def unused(name: str, used: set[str]) -> str:
    """`name`, with as many + as it takes to differ from all `used`, which take it in."""
    while name in used:
        name += "+"
    used.add(name)
    return name


def count_encounter_pairs(annotations: Iterable[Annotation]) -> int:
    """How many pairs of encounters show one individual from the same side (or from one that is not known)."""
    parts: dict[str, dict[str, set[str]]] = {}
    for a in annotations:
        if a.individual is not None:
            parts.setdefault(a.individual, {}).setdefault(a.encounter, set()).add(a.body_part)
    return sum(
        any(same_part(p, q) for p in one for q in other)
        for encounters in parts.values()
        for one, other in combinations(encounters.values(), 2)
    )
