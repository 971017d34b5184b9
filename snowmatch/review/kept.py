"""Answers of a batch that the catalog's database keeps, so that the next batch asks only what is new or has changed."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from snowmatch.catalog.database import DamagedError, reading, sound, with_sum, writing
from snowmatch.core.errors import SnowmatchError
from snowmatch.core.files import file_sha256
from snowmatch.core.home import database_path
from snowmatch.core.mended import keep_mended
from snowmatch.core.plain import plain
from snowmatch.core.types import Annotation
from snowmatch.core.version import __version__
from snowmatch.identify.session import Session
from snowmatch.review.groups import Group

FORMAT = 8  # increased if the records or the scores change: older ones are then not read
Record = dict[str, Any]


def group_keys(
    session: Session,
    groups: Sequence[Group],
    body_part: str | None,
    locations: Sequence[str],
    new: float | None,
) -> tuple[str, ...]:
    """Return a key for each group: 64 hex digits that change with everything that its answer depends on.

    These are the photos with their boxes, masks and times, the method, the calibration, the filters, the catalog's
    settings, the networks that find the animal, all annotations that have a name, and how many have no map yet.
    Annotations without a name do not count: a new photo would change the key of every other group. See `state_of`.
    """
    pairs = zip(session.data.annotations, session.states, strict=True)
    named = [(*_labels(a), state.key) for a, state in pairs if a.individual is not None]
    method = session.method.extractor, session.method.matching, session.calibration
    bare = [note.data["count"] for note in session.missing_maps()]  # an index run makes them: answers change then
    used = (FORMAT, __version__, *method, session.data.settings, networks_of(session), named, *bare)
    common = _digest((used, body_part, sorted(locations), new))
    return tuple(_digest((common, _asked(session, group))) for group in groups)


def networks_of(session: Session) -> tuple[str, str, list[str]]:
    """Return the networks that find the animal in new photos, what was learned, and what made the stored maps."""
    mark = learned = ""
    with suppress(SnowmatchError):  # the weights of one are missing: the queries say so, if they need it
        mark = session.finders.mark
        if (middle := session.finders.middle) is not None:  # some maps may still be of an earlier one
            learned = middle.mark if middle.complete else f"{middle.mark} at work"
    told = {word for gallery in session.galleries for evidence in gallery.maps.evidences for word in evidence.split()}
    return mark, learned, sorted(told & {"classifier", "segmenter", "middle"})


def _asked(session: Session, group: Group) -> tuple[Any, ...]:
    """Return what a group asks, without the numbers of its rows: they change if a row is added above."""
    photos = []
    for photo in group.photos:
        given: str | Annotation = photo.name
        key = ""
        if isinstance(photo.photo, Annotation):
            # The content of photo and mask, and the box; without features, the mask is read again
            key = session.states[photo.photo.row].key or ""
            key = key or (_content(session.folder / photo.photo.mask) if photo.photo.mask else "")
            given = replace(photo.photo, row=0)
        photos.append((photo.name, given, key, photo.body_part, photo.content, photo.beside))
    return group.encounter, group.animal, tuple(photos), group.excluded


def _content(path: Path) -> str:
    """Return the sha256 of a file; "" if it cannot be read: the query says so."""
    try:
        return file_sha256(path)
    except SnowmatchError:
        return ""


def state_of(session: Session) -> str:
    """Return a digest of all annotations that can be compared, named or not."""
    pairs = zip(session.data.annotations, session.states, strict=True)
    return _digest([(*_labels(a), state.key) for a, state in pairs])


def _labels(a: Annotation) -> tuple[Any, ...]:
    where = a.location, a.station, a.timestamp, a.dated
    # The path, since a reason names the photo that decides
    return a.path, a.individual, a.encounter, a.passage, a.animal, a.body_part, *where, a.box_by


def _digest(values: Any) -> str:
    return hashlib.sha256(repr(values).encode("utf-8", "backslashreplace")).hexdigest()


def read_kept(folder: Path, keys: Iterable[str]) -> dict[str, Record]:
    """Return the records that the catalog in `folder` keeps, by key. Damaged records are skipped, and told later.

    All records are read: one whose key is damaged is found only so.
    """
    found: dict[str, Record] = {}
    wanted, opened, damaged = set(keys), False, False
    try:
        with reading(folder) as database:
            opened = database is not None
            for row in () if database is None else database.execute("SELECT key, answer, sum FROM answers"):
                if not sound(row):
                    damaged = True
                elif row[0] in wanted:
                    found[row[0]] = json.loads(row[1])
    except DamagedError:  # a whole database that is damaged or foreign is told by others
        damaged, found = opened, {}
    if damaged:  # what is missing is asked and kept again
        keep_mended(database_path(folder))
    return found


def keep(folder: Path, records: Mapping[str, Record]) -> None:
    """Store records in the catalog's database, by key. Raises SnowmatchError if it cannot be written."""
    if not records:
        return
    rows = [with_sum((key, record_text(record))) for key, record in records.items()]
    with writing(folder) as database:
        database.executemany("INSERT OR REPLACE INTO answers VALUES (?, ?, ?)", rows)


def record_text(record: Record) -> str:
    """Return a record as JSON."""
    return json.dumps(plain(record), ensure_ascii=False, allow_nan=False, sort_keys=True)
