"""Encounters: the grouping of photos into passages, and names for encounters that the catalog does not name."""

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

# The longest time between two consecutive photos of one encounter at one station. Camera-trap surveys use 30 to 60
# minutes for independent events. The longer time is safer: it may join two passages, but it rarely splits one passage,
# whose photos would then be evidence for each other.
ENCOUNTER_GAP = timedelta(minutes=60)


def fill_times(rows: list[Fields], exif_times: Callable[[str], datetime | None]) -> None:
    """Fill missing timestamps in `rows` from the photos' EXIF data.

    A photo that cannot be read keeps no timestamp; the index run reports it.
    """
    times: dict[str, datetime | None] = {}
    for fields in rows:
        if fields.get("timestamp") is None:
            path = fields["path"]
            if path not in times:
                try:
                    times[path] = exif_times(path)
                except SnowmatchError:
                    times[path] = None
            fields["timestamp"] = times[path]


def name_encounters(rows: list[Fields]) -> None:
    """Name the encounter of every row that has no encounter name.

    The name contains the place and the time of the first photo. If a photo has no time, the name contains its path.
    A name depends only on the photos of its encounter, so photos added elsewhere do not change it.
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
        # A crop that was saved without EXIF belongs to the encounter of the photo that it was cut from
        name = timed[photo]["encounter"] if photo in timed else unused(f"photo {photo}", used)
        for fields in group:
            fields["encounter"] = name


def passages(photos: Iterable[T], taken: Callable[[T], datetime]) -> Iterator[list[T]]:
    """Yield the passages: lists of photos sorted by time. Two passages are more than ENCOUNTER_GAP apart.

    photos: the photos of one camera. No photos give no passages.
    """
    passage: list[T] = []
    for photo in sorted(photos, key=taken):
        if passage and taken(photo) - taken(passage[-1]) > ENCOUNTER_GAP:
            yield passage
            passage = []
        passage.append(photo)
    if passage:
        yield passage


def _place_name(location: str, station: str) -> str:
    """Return the first part of an encounter's name: 'naryn/S01 ', 'naryn ', '/S01 ' or ''.

    A slash inside a name is written as %2F, so that two different places never have the same name.
    """
    location, station = (name.replace("%", "%25").replace("/", "%2F") for name in (location, station))
    return f"{location}/{station} " if station else (f"{location} " if location else "")


def unused(name: str, used: set[str]) -> str:
    """Return `name`, with "+" appended until it is not in `used`. The result is added to `used`."""
    while name in used:
        name += "+"
    used.add(name)
    return name


def count_encounter_pairs(annotations: Iterable[Annotation]) -> int:
    """Return the number of pairs of encounters that show the same body part of one individual.

    A body part `unknown` equals every other body part.
    """
    parts: dict[str, dict[str, set[str]]] = {}
    for a in annotations:
        if a.individual is not None:
            parts.setdefault(a.individual, {}).setdefault(a.encounter, set()).add(a.body_part)
    return sum(
        any(same_part(p, q) for p in one for q in other)
        for encounters in parts.values()
        for one, other in combinations(encounters.values(), 2)
    )
