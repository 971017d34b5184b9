"""Records of a catalog's photos and masks, so that they need not be read again: content, size, time, failures.

The catalog's database stores the records. They only save time: a file without a trusted record is read and hashed, and
the hash leads to the features of its content.
"""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from snowmatch.catalog.database import DamagedError, database_stamp, reading, sound, with_sum, writing
from snowmatch.catalog.ids import detach_ids
from snowmatch.core.collection import without_collection
from snowmatch.core.errors import SnowmatchError
from snowmatch.core.files import file_sha256, unreadable
from snowmatch.core.notes import Note
from snowmatch.core.text import counted, some
from snowmatch.core.types import Annotation, BBox
from snowmatch.photos.facts import PhotoFacts, are_of_two_photos, facts_from_row, facts_to_row, read_facts
from snowmatch.photos.likeness import DECODED, likeness
from snowmatch.photos.pixels import read_greys

# If a file was written less than this time before it was hashed, it may have been written again with the same time
# stamp: FAT stores times in steps of 2 s. Such a record is not trusted. Git does the same with its index.
TICK_NS = 2_000_000_000


class Fingerprint(NamedTuple):  # of each photo: a tuple is made faster than a dataclass
    """The state of one file when it was hashed.

    `facts` belong to photos; None where the photo cannot be read. Places (EXIF GPS) are never kept.
    """

    size: int
    mtime_ns: int
    ctime_ns: int
    checked_ns: int
    sha256: str
    facts: PhotoFacts | None = None

    @property
    def racy(self) -> bool:
        """Whether the file may have changed after it was hashed without a new time stamp."""
        return abs(self.checked_ns - self.mtime_ns) < TICK_NS

    def matches(self, status: os.stat_result, *, strictly: bool = False) -> bool:
        """Return whether size and time of the file are unchanged. strictly: compare ctime too, which a copy changes."""
        same = (self.size, self.mtime_ns) == (status.st_size, status.st_mtime_ns)
        return same and (not strictly or self.ctime_ns == status.st_ctime_ns)


@dataclass
class Records:
    """The fingerprints of photos and masks, and the reasons of failures. All are by path, as in the catalog.

    unsound: number of entries of the database that were damaged and therefore skipped.
    """

    photos: dict[str, Fingerprint] = field(default_factory=dict)
    masks: dict[str, Fingerprint] = field(default_factory=dict)
    failures: dict[str, str] = field(default_factory=dict)
    unsound: int = field(default=0, compare=False)

    def key(self, annotation: Annotation) -> str | None:
        """Return the key of an annotation's features; None if its photo or mask has no record.

        The method does not check whether the files have changed since.
        """
        photo, mask = self.photos.get(annotation.path), self.masks.get(annotation.mask)
        if photo is None or (annotation.mask and mask is None):
            return None
        return annotation_key(
            photo.sha256, annotation.bbox, mask.sha256 if mask is not None and annotation.mask else ""
        )


def annotation_key(photo_sha256: str, bbox: BBox | None, mask_sha256: str) -> str:
    """Return 32 hex digits for a photo's content, a box (as in the catalog) and a mask's content ("" without a mask).

    The first 16 digits depend only on the photo, so that a changed box or mask differs from a new photo.
    """
    box = f"[{bbox[0]}, {bbox[1]}, {bbox[2]}, {bbox[3]}]" if bbox else "null"
    text = f'["{photo_sha256}", {box}, "{mask_sha256}"]'  # JSON; it is written here since every photo needs it
    return photo_sha256[:16] + hashlib.sha256(text.encode()).hexdigest()[:16]


def take_fingerprint(path: Path, *, photo: bool) -> Fingerprint:
    """Read one photo or mask and return its fingerprint.

    photo: True for a photo, False for a mask. Raises SnowmatchError if the file is missing, cannot be read or is being
    written at this moment.
    """
    return take_photo(path, DECODED)[0] if photo else _take(path)


def take_photo(path: Path, larger: int) -> tuple[Fingerprint, np.ndarray | None]:
    """Read one photo. Return its fingerprint, and a grey copy as of `read_grey(path, larger)` if that costs nothing.

    Raises SnowmatchError as `take_fingerprint` does.
    """
    taken, grey = _take(path), None
    try:
        facts = read_facts(path)
    except SnowmatchError:  # decoding the photo says what is wrong with it, and that is what gets listed
        return taken, None
    with suppress(SnowmatchError, MemoryError):  # the same
        small, grey = read_greys(path, DECODED, larger)
        facts = facts._replace(likeness=likeness(small))
    return taken._replace(facts=facts), grey


def _take(path: Path) -> Fingerprint:
    for _ in range(3):
        checked = time.time_ns()
        try:
            before = path.stat()
            content = file_sha256(path)
            after = path.stat()
        except OSError as error:
            raise unreadable(path, error) from error
        taken = Fingerprint(before.st_size, before.st_mtime_ns, before.st_ctime_ns, checked, content)
        if taken.matches(after, strictly=True):
            return taken
    raise SnowmatchError(f"{path} is being written: index again when the file is complete")


def load_records(folder: Path) -> Records:
    """Return all records of the catalog in `folder`; empty records if the database is missing or damaged.

    The records that were read last are kept: if the database has not changed since, they are not read again. Raises
    SnowmatchError if a newer version wrote the database or the system cannot read it.
    """
    stamp = database_stamp(folder)
    kept = _kept.get(folder)
    if stamp is not None and kept is not None and kept[0] == stamp:
        return copy_of(kept[1])
    records = _load_records(folder)
    if stamp is not None and stamp == database_stamp(folder) and not records.unsound:
        keep_records(folder, records, stamp)
    return records


def keep_records(folder: Path, records: Records, stamp: tuple[int, ...]) -> None:
    """Let the next `load_records` return these records without reading them, if the database still has this stamp."""
    _kept.clear()
    _kept[folder] = stamp, copy_of(records)


_kept: dict[Path, tuple[tuple[int, ...], Records]] = {}  # of one folder


def _load_records(folder: Path) -> Records:
    records = Records()
    try:
        with reading(folder) as database, without_collection():
            if database is None:
                return records
            for row in database.execute(f"SELECT path, kind, {_FILE_COLUMNS}, sum FROM files"):
                if sound(row) and (taken := _fingerprint(row[2:-1])) is not None:
                    (records.photos if row[1] == "photo" else records.masks)[row[0]] = taken
                else:
                    records.unsound += 1
            for path, reason, total in database.execute("SELECT path, reason, sum FROM failures"):
                if sound((path, reason, total)):
                    records.failures[path] = reason
                else:
                    records.unsound += 1
    except DamagedError:
        return Records(unsound=1)
    return records


def save_records(folder: Path, records: Records, before: Records | None = None) -> None:
    """Write the records of the catalog in `folder`.

    before: the records that are stored already; only the differences are written. None, or with damaged entries: write
    all records, since a damaged entry may have any path. Where another photo lies now, the identifiers stay with the
    photo that was there. Raises SnowmatchError if the database cannot be written; the stored records then stay
    unchanged.
    """
    others = [] if before is None else exchanged(before.photos, records.photos)
    with writing(folder) as database:
        detach_ids(database, [(path, before.photos[path].sha256) for path in others] if before is not None else ())
        if before is None or before.unsound:
            database.execute("DELETE FROM files")
            database.execute("DELETE FROM failures")
            before = Records()
        for kind, now, old in (("photo", records.photos, before.photos), ("mask", records.masks, before.masks)):
            changed = [(path, taken) for path, taken in now.items() if old.get(path) is not taken]
            database.executemany(
                f"INSERT OR REPLACE INTO files VALUES ({', '.join('?' * 14)})",
                [with_sum((path, kind, *_values(taken))) for path, taken in changed],
            )
            gone = [(path, kind) for path in old.keys() - now.keys()]
            database.executemany("DELETE FROM files WHERE path = ? AND kind = ?", gone)
        new = [with_sum(pair) for pair in records.failures.items() if before.failures.get(pair[0]) != pair[1]]
        database.executemany("INSERT OR REPLACE INTO failures VALUES (?, ?, ?)", new)
        mended = [(path,) for path in before.failures.keys() - records.failures.keys()]
        database.executemany("DELETE FROM failures WHERE path = ?", mended)


def exchanged(before: Mapping[str, Fingerprint], now: Mapping[str, Fingerprint]) -> list[str]:
    """Return the paths under which surely another photo lies now, sorted."""
    both = ((path, old, now.get(path)) for path, old in before.items())
    return sorted(path for path, old, new in both if new is not None and new is not old and _are_two(old, new))


def _are_two(one: Fingerprint, other: Fingerprint) -> bool:
    if one.facts is None or other.facts is None or one.sha256 == other.sha256:
        return False
    return are_of_two_photos(one.facts, other.facts)


def notes_on_exchanged(paths: Iterable[str]) -> list[Note]:
    """Return a note on photos that took the paths of others; no paths give none."""
    if not (paths := sorted(paths)):
        return []
    text = (
        f"{counted(len(paths), 'path')} with another photo than before, taken at another time: {some(paths)}; "
        "decisions about the photo before do not hold for it, but the cells of catalog.csv do"
    )
    return [Note("photos-exchanged", text, {"photos": paths})]


def copy_of(records: Records) -> Records:
    """Return a copy of the records with its own dictionaries, for a later comparison."""
    return Records(dict(records.photos), dict(records.masks), dict(records.failures), records.unsound)


def paths_with(folder: Path, sha256: str) -> dict[str, Fingerprint]:
    """Return the recorded photos with this content, by path. The lookup is fast in a catalog of any size."""
    return _photos_where(folder, "sha256", (sha256,))


def records_of(folder: Path, paths: Iterable[str]) -> dict[str, Fingerprint]:
    """Return the records of photos, by path. The lookup is fast in a catalog of any size."""
    return _photos_where(folder, "path", paths)


def _photos_where(folder: Path, column: str, values: Iterable[str]) -> dict[str, Fingerprint]:
    """Return the sound records of the photos with one of these values in a column that has an index, by path."""
    found: dict[str, Fingerprint] = {}
    try:
        with reading(folder) as database:
            if database is None:
                return found
            asked = f"SELECT path, kind, {_FILE_COLUMNS}, sum FROM files WHERE {column} = ? AND kind = 'photo'"
            for value in values:
                for path, kind, *stored in database.execute(asked, (value,)):
                    if sound((path, kind, *stored)) and (taken := _fingerprint(stored[:-1])) is not None:
                        found[path] = taken
    except DamagedError:
        return {}
    return found


def current_status(path: str, known: Fingerprint | None) -> os.stat_result | None:
    """Return the status of a file that is unchanged since its record, by size and time; None for any other file.

    If the time differs, as in a copied catalog, or if the file was written just before it was hashed (`racy`), the
    content decides: the file is read.
    """
    if known is None:
        return None
    try:
        status = os.stat(path)
        # `matches` and not `racy`, written out: each photo of a large catalog is looked at when it is opened
        written = status.st_mtime_ns
        if known.mtime_ns == written and known.size == status.st_size and abs(known.checked_ns - written) >= TICK_NS:
            return status
        same = known.size == status.st_size and _content(Path(path), status) == known.sha256
        return status if same else None
    except (OSError, SnowmatchError):  # missing or unreadable; the index run reports the reason
        return None


def _content(path: Path, status: os.stat_result) -> str:
    """Return the sha256 of a file, from memory if this process has read it and it cannot have changed since."""
    if time.time_ns() - status.st_mtime_ns < TICK_NS:
        return file_sha256(path)
    return _content_at(path, status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino)


@lru_cache(maxsize=1_000_000)
def _content_at(path: Path, *_: int) -> str:
    return file_sha256(path)


_FACTS = ("width", "height", "taken", "time_tag", "serial", "likeness")
_FILE_COLUMNS = f"size, mtime_ns, ctime_ns, checked_ns, sha256, {', '.join(_FACTS)}"
_NO_FACTS = [None] * len(_FACTS)


def _values(taken: Fingerprint) -> tuple[int | str | None, ...]:
    times = (taken.size, taken.mtime_ns, taken.ctime_ns, taken.checked_ns)
    facts = tuple(_NO_FACTS) if taken.facts is None else facts_to_row(taken.facts)
    return (*times, taken.sha256, *facts)


def _fingerprint(values: Sequence[Any]) -> Fingerprint | None:
    """Return the record of the values that `_values` returned; None for anything else."""
    size, mtime_ns, ctime_ns, checked_ns, sha256, *rest = values
    if type(size) is not int or type(mtime_ns) is not int or type(ctime_ns) is not int or type(checked_ns) is not int:
        return None
    if not isinstance(sha256, str):
        return None
    facts = None
    if rest != _NO_FACTS:
        try:
            facts = facts_from_row(*rest)
        except (TypeError, ValueError):
            return None
    return Fingerprint(size, mtime_ns, ctime_ns, checked_ns, sha256, facts)
