"""The catalog as it was read last, in one file, so that a large one opens at once.

It only saves time. The file is used if nothing has changed since: the table, the settings, the database, and the photos
that had to be looked at. It begins with a checksum; a damaged one is told and made again. Small catalogs have none.
"""

from __future__ import annotations

import hashlib
import json
import os
import zlib
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, fields
from datetime import datetime
from pathlib import Path
from typing import Any

from snowmatch.catalog.database import database_stamp
from snowmatch.catalog.load import CatalogData, load_catalog
from snowmatch.catalog.records import Fingerprint, Records, keep_records, load_records
from snowmatch.catalog.settings import CatalogSettings, SettingsOptions, changed, chosen, load_settings
from snowmatch.core.collection import without_collection
from snowmatch.core.errors import SnowmatchError
from snowmatch.core.files import keep_file, read_file
from snowmatch.core.home import CSV_NAME, EXCEL_NAME, opened_path
from snowmatch.core.mended import keep_mended
from snowmatch.core.notes import Note
from snowmatch.core.plain import read_json
from snowmatch.core.types import Annotation
from snowmatch.core.version import __version__
from snowmatch.photos.facts import PhotoFacts, facts_from_row, facts_to_row

FORMAT = 5
LEAST = 5_000  # annotations: a smaller catalog is read from its table in less than half a second
MOST_LOOKED_AT = 1_000  # photos that were looked at because they have no record; with more, nothing is kept; chosen
LARGEST = 4 << 30  # bytes: a larger file is not one of snowmatch
_FIELDS = tuple(f.name for f in fields(Annotation))
_NO_FACTS = (None,) * 6


def open_data(folder: Path, options: SettingsOptions | None = None) -> CatalogData:
    """Return the catalog in `folder`, as `load_catalog` reads it with all records.

    options: they replace the stored settings. A large catalog is kept in one file for the next time, if the folder can
    be written. Raises SnowmatchError as `load_catalog` does.
    """
    database = database_stamp(folder)
    stamp = _stamp(folder, options or {}, database)
    if stamp is not None and database is not None and (kept := _kept(folder, stamp)) is not None:
        data, records = kept
        keep_records(folder, records, database)
        return data
    records = load_records(folder)
    data = load_catalog(folder, records, options)
    if (
        stamp is not None
        and len(data.annotations) >= LEAST
        and stamp == _stamp(folder, options or {}, database_stamp(folder))
    ):
        _keep(data, records, stamp)
    return data


def with_settings_now(data: CatalogData, given: SettingsOptions) -> CatalogData:
    """Return the catalog as it is with the settings stored now; the same one if nobody has set others since.

    given: settings in place of the stored ones. Raises as `open_data`.
    """
    damage: list[Note] = []
    stored = load_settings(data.folder, damage)
    if damage or chosen(stored, given) == data.settings:
        return data
    return open_data(data.folder, given)


def _stamp(folder: Path, options: SettingsOptions, stamp: tuple[int, ...] | None) -> list[Any] | None:
    """Return what the catalog was read from; None if it has no table or database, or something is wrong with them."""
    try:
        tables = [name for name in (CSV_NAME, EXCEL_NAME) if os.path.exists(folder / name)]
        notes: list[Note] = []
        how = chosen(load_settings(folder, notes), options)
        if stamp is None or not tables or notes:
            return None
        content = hashlib.sha256(read_file(folder / tables[0])).hexdigest()
    except (OSError, SnowmatchError):  # reading the catalog says what is wrong
        return None
    # Without the identities of disk and file: a copied catalog is the same catalog
    return [FORMAT, __version__, list(_FIELDS), tables, content, asdict(how), list(stamp[2:])]


def _look(folder: Path, path: str) -> list[int] | None:
    """Return the size and time of a photo; None if there is none."""
    try:
        status = os.stat(f"{folder}/{path}")
    except (OSError, ValueError):
        return None
    return [status.st_size, status.st_mtime_ns]


# --- writing ----------------------------------------------------------------------------------------------------------


def _keep(data: CatalogData, records: Records, stamp: Sequence[Any]) -> None:
    """Write the file, if everything can be kept and the folder can be written."""
    known = {path: taken.facts for path, taken in records.photos.items() if taken.facts is not None}
    looked = [(path, facts) for path, facts in data.facts.items() if path not in known]
    if records.unsound or len(looked) > MOST_LOOKED_AT or not opened_path(data.folder).parent.is_dir():
        return
    held = {
        "annotations": [_column(data.annotations, name) for name in _FIELDS],
        "notes": [[note.code, note.text, note.data] for note in data.notes],
        "photos": _fingerprints(records.photos),
        "masks": _fingerprints(records.masks),
        "failures": records.failures,
        "looked": [[path, _look(data.folder, path), facts_to_row(facts)] for path, facts in looked],
    }
    with suppress(SnowmatchError, OSError, TypeError, ValueError):  # the next time it is read from its table again
        body = json.dumps(held, separators=(",", ":")).encode()
        content = json.dumps(stamp, separators=(",", ":")).encode() + b"\n" + body
        keep_file(opened_path(data.folder), _sum_of(content) + b"\n" + content)


def _sum_of(content: bytes) -> bytes:
    return b"%08x" % zlib.crc32(content)


def _column(annotations: Sequence[Annotation], name: str) -> Any:
    """Return the values of one field: a list, or {"all": value} if they are equal."""
    values = [getattr(a, name) for a in annotations]
    if name == "timestamp":
        values = [None if value is None else value.isoformat() for value in values]
    first = values[0]
    return {"all": first} if first in (None, "", 0, False) and all(v == first for v in values) else values


def _fingerprints(taken: Mapping[str, Fingerprint]) -> list[list[Any]]:
    """Return the columns of some records: the path first, the six of the facts last."""
    rows = [
        (path, t.size, t.mtime_ns, t.ctime_ns, t.checked_ns, t.sha256)
        + (_NO_FACTS if t.facts is None else facts_to_row(t.facts))
        for path, t in taken.items()
    ]
    return [list(column) for column in zip(*rows, strict=True)] if rows else [[]] * 12


# --- reading ----------------------------------------------------------------------------------------------------------


@without_collection()
def _kept(folder: Path, stamp: list[Any]) -> tuple[CatalogData, Records] | None:
    """Return what the file holds; None if it is damaged or has another stamp, or a photo it looked at changed."""
    try:
        path = opened_path(folder)
        if path.is_symlink() or path.stat().st_size > LARGEST:
            return None
        known, _, content = read_file(path).partition(b"\n")
        if known.startswith(b"{"):  # of an older version
            return None
        if known != _sum_of(content):
            keep_mended(path)
            return None
        head, _, body = content.partition(b"\n")
        if read_json(head) != stamp:
            return None
        del content
        held = read_json(body)
        del body
        looked = {path: facts_from_row(*facts) for path, _, facts in held["looked"]}
        if any(_look(folder, path) != then for path, then, _ in held["looked"]):
            return None
        photos, masks = _records_of(held["photos"]), _records_of(held["masks"])
        annotations = _annotations(held["annotations"])
        notes = tuple(Note(*note) for note in held["notes"])
        records = Records(photos, masks, dict(held["failures"]))
    except (OSError, SnowmatchError, KeyError, TypeError, ValueError):
        return None
    facts: dict[str, PhotoFacts] = {path: t.facts for path, t in photos.items() if t.facts is not None}
    how = changed(CatalogSettings(), stamp[5])
    return CatalogData(folder, annotations, notes, how, facts | looked), records


def _annotations(columns: Sequence[Any]) -> tuple[Annotation, ...]:
    count = next(len(column) for column in columns if isinstance(column, list))
    by_name: dict[str, Iterable[Any]] = {
        name: [column["all"]] * count if isinstance(column, dict) else column
        for name, column in zip(_FIELDS, columns, strict=True)
    }
    by_name["bbox"] = [box and tuple(box) for box in by_name["bbox"]]
    by_name["timestamp"] = [time and datetime.fromisoformat(time) for time in by_name["timestamp"]]
    return tuple(map(Annotation, *by_name.values()))


def _records_of(columns: Sequence[Sequence[Any]]) -> dict[str, Fingerprint]:
    paths, *taken = columns[:6]
    facts = [None if row == _NO_FACTS else facts_from_row(*row) for row in zip(*columns[6:], strict=True)]
    return dict(zip(paths, map(Fingerprint._make, zip(*taken, facts, strict=True)), strict=True))
