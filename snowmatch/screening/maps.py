"""The stored foreground maps of a catalog: one entry of the catalog's database for each photo content.

An entry is found by the first 16 hex digits of the photo's sha256. It is read alone: the other maps stay on disk.
"""

from __future__ import annotations

import zlib
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from snowmatch.catalog.database import DamagedError, delete_row, reading, sound, with_sum, writing
from snowmatch.screening.foreground import ForegroundMap
from snowmatch.screening.scenes import SOURCES

MapEntry = tuple[str, ForegroundMap | None]  # the mark of a photo and its companions, and the map
AT_ONCE = 500  # maps that are asked for at once
KEY = 16  # first hex digits of the sha256 of a photo: the key of its map
# Without the cells, which make up nearly all of an entry. An index holds these columns once more, so that a list of
# all entries does not read the cells.
_LISTED = "photo, mark, evidence, height, width, cells_sum, sum"
_EVIDENCES = {
    " and ".join(source for n, source in enumerate(SOURCES) if bits >> n & 1) for bits in range(1 << len(SOURCES))
}


def load_marks(folder: Path) -> dict[str, str | None]:
    """Return the mark of every stored map of the catalog in `folder`, by key; None for a damaged entry.

    All maps are checked, one after the other. Nothing stored, or a damaged database, gives an empty dictionary.
    """
    marks: dict[str, str | None] = {}
    try:
        with reading(folder) as database:
            if database is not None:
                for *listed, cells in database.execute(f"SELECT {_LISTED}, cells FROM maps"):
                    marks[listed[0]] = listed[1] if _entry(listed, cells) is not None else None
    except DamagedError:
        return {}
    return marks


def list_maps(folder: Path) -> Iterator[tuple[str, str | None, int] | None]:
    """Yield the key, the evidence and a checksum of every stored map; None and 0 for a photo without a map.

    Maps of other size or cells have other checksums, which are less than 2 ** 60. A damaged entry gives None. The cells
    are neither read nor checked. Raises DamagedError if the database is damaged.
    """
    with reading(folder) as database:
        if database is not None:
            for row in database.execute(f"SELECT {_LISTED} FROM maps INDEXED BY maps_listed"):
                if not _is_listed(row):
                    yield None
                elif row[3]:
                    yield row[0], row[2], row[5] | (row[3] & 0x3FFF) << 32 | (row[4] & 0x3FFF) << 46
                else:
                    yield row[0], None, 0


def load_maps(folder: Path, photos: Collection[str]) -> dict[str, MapEntry | None]:
    """Return the stored entries of the catalog in `folder` with these keys, by key; None for a damaged entry.

    Keys that are not stored are skipped. If the database is damaged, the entries that were not read count as damaged.
    """
    found: dict[str, MapEntry | None] = {}
    try:
        with reading(folder) as database:
            if database is None:
                return {}
            wanted = list(photos)
            for start in range(0, len(wanted), AT_ONCE):
                some = wanted[start : start + AT_ONCE]
                places = ", ".join("?" * len(some))
                rows = database.execute(f"SELECT {_LISTED}, cells FROM maps WHERE photo IN ({places})", some)
                for photo, *listed, cells in rows:
                    found[photo] = _entry([photo, *listed], cells)
    except DamagedError:
        return dict.fromkeys(photos) | found
    return found


def maps_stamp(folder: Path) -> tuple[int, int] | None:
    """Return a value that changes when a stored map changes; None without maps or if the database is damaged."""
    try:
        with reading(folder) as database:
            if database is None:
                return None
            statement = "SELECT COUNT(*), SUM(sum & 4294967295) FROM maps INDEXED BY maps_listed"
            count, total = database.execute(statement).fetchone()
            return int(count), int(total or 0)
    except DamagedError:
        return None


def save_maps(folder: Path, entries: Mapping[str, MapEntry]) -> None:
    """Store entries, by key, each in place of an older entry with this key. Other entries stay.

    Raises SnowmatchError if they cannot be written.
    """
    if not entries:
        return
    rows = []
    for photo, (mark, found) in sorted(entries.items()):
        height, width = found.values.shape if found is not None else (0, 0)
        cells = found.values.tobytes() if found is not None else b""
        evidence = found.evidence if found is not None else ""
        rows.append((*with_sum((photo, mark, evidence, height, width, zlib.crc32(cells))), cells))
    with writing(folder) as database:
        database.executemany(f"INSERT OR REPLACE INTO maps ({_LISTED}, cells) VALUES (?, ?, ?, ?, ?, ?, ?, ?)", rows)


def forget_maps(folder: Path, photos: Collection[str]) -> None:
    """Delete the entries with these keys. Raises SnowmatchError if the database cannot be written."""
    if photos:
        with writing(folder) as database:
            for photo in photos:
                delete_row(database, "maps", {"photo": photo})


def _is_listed(listed: Any) -> bool:
    """Return whether the columns of an entry without its cells are undamaged."""
    return sound(listed) and listed[2] in _EVIDENCES


def _entry(listed: list[Any], cells: Any) -> MapEntry | None:
    """Return an entry from its columns; None if it is damaged."""
    _, mark, evidence, height, width, cells_sum, _ = listed
    if not _is_listed(listed) or not isinstance(cells, bytes):
        return None
    if len(cells) != height * width or zlib.crc32(cells) != cells_sum:
        return None
    if not cells:
        return mark, None
    return mark, ForegroundMap(np.frombuffer(cells, np.uint8).reshape(height, width), evidence)
