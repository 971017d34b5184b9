"""What is known of a catalog's photos and masks without reading them again: content, size, time taken, failures.

All of it is one JSON file, replaced as a whole. Nothing in it is needed to find features again: a file without a
trusted entry is read and hashed, and the store then knows its content.
"""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from snowmatch.core.errors import SnowmatchError
from snowmatch.core.files import file_sha256, replace_file, unreadable
from snowmatch.core.home import HOME
from snowmatch.core.types import Annotation, BBox
from snowmatch.photos.exif import read_timestamp
from snowmatch.photos.pixels import photo_size

FORMAT = 1
# A file that was written this shortly before it was hashed may have been written again within the same tick of its
# time stamp: FAT counts in 2 s. Such an entry is not trusted, as git does with its index.
TICK_NS = 2_000_000_000


@dataclass(frozen=True)
class Fingerprint:
    """What one file was when it was hashed; times in ns, `checked_ns` by this machine's clock before reading.

    image_size (width, height) upright and `timestamp` (ISO 8601, from EXIF) belong to photos; image_size is None where
    the photo cannot be read. Places (EXIF GPS) are never kept.
    """

    size: int
    mtime_ns: int
    ctime_ns: int
    checked_ns: int
    sha256: str
    image_size: tuple[int, int] | None = None
    timestamp: str | None = None

    @property
    def racy(self) -> bool:
        """Whether the file may have changed unseen just after it was hashed."""
        return abs(self.checked_ns - self.mtime_ns) < TICK_NS

    def matches(self, status: os.stat_result, *, strictly: bool = False) -> bool:
        """Whether the file looks as it did. `strictly` wants the inode's time too, which copies do not keep."""
        same = (self.size, self.mtime_ns) == (status.st_size, status.st_mtime_ns)
        return same and (not strictly or self.ctime_ns == status.st_ctime_ns)


@dataclass
class Records:
    """The fingerprints of photos and masks by path as the catalog has it, and why photos failed."""

    photos: dict[str, Fingerprint] = field(default_factory=dict)
    masks: dict[str, Fingerprint] = field(default_factory=dict)
    failures: dict[str, str] = field(default_factory=dict)

    def key(self, annotation: Annotation) -> str | None:
        """The key of an annotation's features as far as is known here, whether or not the files have changed since."""
        photo, mask = self.photos.get(annotation.path), self.masks.get(annotation.mask)
        if photo is None or (annotation.mask and mask is None):
            return None
        return annotation_key(photo.sha256, annotation.bbox, mask.sha256 if annotation.mask else "")


def annotation_key(photo_sha256: str, bbox: BBox | None, mask_sha256: str) -> str:
    """32 hex digits for one photo's content, box as given and mask's content ("" without a mask).

    The first 16 are the photo's alone, so that one can tell a changed box or mask from a new photo.
    """
    text = json.dumps([photo_sha256, list(bbox) if bbox else None, mask_sha256])
    return photo_sha256[:16] + hashlib.sha256(text.encode()).hexdigest()[:16]


def take_fingerprint(path: Path, *, photo: bool) -> Fingerprint:
    """Read one photo or mask; SnowmatchError where it is missing, unreadable or being written at this moment."""
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
            break
    else:
        raise SnowmatchError(f"{path} is being written: index again when it is complete")
    if not photo:
        return taken
    try:
        size, when = photo_size(path), read_timestamp(path)
    except SnowmatchError:  # decoding the photo says what is wrong with it, and that is what gets listed
        return taken
    values = {**asdict(taken), "image_size": (int(size[0]), int(size[1])), "timestamp": when and when.isoformat()}
    return Fingerprint(**values)


def records_path(folder: Path) -> Path:
    """Where the records of the catalog in `folder` are."""
    return Path(folder) / HOME / "photos.json"


def load_records(folder: Path) -> Records:
    """The records of the catalog in `folder`, empty where there are none; SnowmatchError if damaged or too new."""
    path = records_path(folder)
    try:
        text = path.read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        return Records()
    except OSError as error:
        raise unreadable(path, error) from error
    try:
        values = json.loads(text)
        if values["format"] > FORMAT:
            raise SnowmatchError(
                f"{path} has format {values['format']}, this snowmatch knows up to {FORMAT}: install a newer snowmatch"
            )
        failures = {str(name): str(why) for name, why in values["failures"].items()}
        return Records(_fingerprints(values["photos"]), _fingerprints(values["masks"]), failures)
    except (ValueError, TypeError, LookupError, AttributeError, RecursionError) as error:
        raise SnowmatchError(f"{path} is damaged: delete it and run snowmatch index {folder}") from error


def save_records(folder: Path, records: Records) -> None:
    """Replace the records of the catalog in `folder`; SnowmatchError where it cannot be written."""
    values: dict[str, Any] = {
        "format": FORMAT,
        "photos": {path: vars(fingerprint) for path, fingerprint in records.photos.items()},
        "masks": {path: vars(fingerprint) for path, fingerprint in records.masks.items()},
        "failures": records.failures,
    }
    # ASCII: names that are no valid text survive as escapes
    text = json.dumps(values, sort_keys=True, indent=0, separators=(",", ":")).encode("ascii")
    replace_file(records_path(folder), lambda file: file.write(text))


def read_failures(folder: Path) -> dict[str, str]:
    """Why photos of the catalog in `folder` failed in the last index run, by path; empty if none did."""
    return load_records(folder).failures


def exif_times(folder: Path) -> Callable[[str], datetime | None]:
    """A function that gives the EXIF time of a photo (path as in the catalog), reading only photos not on record."""
    known = load_records(folder).photos

    def read(path: str) -> datetime | None:
        entry = known.get(path)
        if entry is not None and not entry.racy and entry.image_size is not None:
            try:
                status = os.stat(Path(folder) / path)
            except OSError:
                return None  # the index run lists it as a failure
            if entry.matches(status):
                return datetime.fromisoformat(entry.timestamp) if entry.timestamp else None
        return read_timestamp(Path(folder) / path)

    return read


def _fingerprints(values: Mapping[str, Mapping[str, Any]]) -> dict[str, Fingerprint]:
    out = {}
    for path, entry in values.items():
        size = entry["image_size"]
        taken = Fingerprint(**{**entry, "image_size": (int(size[0]), int(size[1])) if size is not None else None})
        numbers = (taken.size, taken.mtime_ns, taken.ctime_ns, taken.checked_ns)
        if not all(type(n) is int for n in numbers) or len(taken.sha256) != 64:
            raise ValueError(f"no fingerprint: {entry}")
        if taken.timestamp is not None:
            datetime.fromisoformat(taken.timestamp)
        out[path] = taken
    return out
