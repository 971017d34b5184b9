"""The facts of a photo file from its header: size, time and camera."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple

from PIL import ExifTags, Image

from snowmatch.photos.clock import read_clock
from snowmatch.photos.exif import exif_tag, upright_size
from snowmatch.photos.formats import largest_page, open_photo
from snowmatch.photos.likeness import LENGTH, NEARLY_EQUAL, difference

# EXIF tags that hold a time, the most trustworthy first. Scanning and editing programs change the last one.
_TIMES = (
    ("DateTimeOriginal", ExifTags.IFD.Exif, ExifTags.Base.DateTimeOriginal),
    ("DateTimeDigitized", ExifTags.IFD.Exif, ExifTags.Base.DateTimeDigitized),
    ("DateTime", None, ExifTags.Base.DateTime),
)
# How times are read, raised when more of them can be read. It is stored with the facts of photos without a
# DateTimeOriginal: an index run reads those of an earlier revision again.
_REVISION = 2
_SERIALS = ((ExifTags.IFD.Exif, ExifTags.Base.BodySerialNumber), (None, ExifTags.Base.CameraSerialNumber))


class PhotoFacts(NamedTuple):  # of each photo: a tuple is made faster than a dataclass
    """The facts of one photo, from EXIF and header. Empty values mean "not known".

    image_size: (width, height) of the upright photo (px).
    taken: the time of the camera's clock. time_tag: the EXIF tag that contains it.
    serial: the serial number of the camera. likeness: see `photos.likeness`. outdated: an earlier version read them,
    which may have missed a time.
    """

    image_size: tuple[int, int] | None = None
    taken: datetime | None = None
    time_tag: str = ""
    serial: str = ""
    likeness: bytes = b""
    outdated: bool = False

    @property
    def exposed(self) -> datetime | None:
        """When the camera took the photo, if it is known from the EXIF tag that editing programs leave as it is."""
        return self.taken if self.time_tag == _TIMES[0][0] else None


NO_FACTS = PhotoFacts()


def read_facts(path: Path) -> PhotoFacts:
    """Read the facts of a photo from its header, without `likeness`. Raises SnowmatchError if it is unreadable."""
    with open_photo(path) as image:
        taken, tag = _taken(image)
        serial = _serial(image)
        largest_page(image, path)
        size = upright_size(image)
    return PhotoFacts(size, taken, tag, serial)


def read_size(path: Path) -> tuple[int, int]:
    """Return (width, height), px, of the upright photo, from its header; a TIFF is read to its end.

    Raises SnowmatchError if it is unreadable.
    """
    with open_photo(path) as image:
        largest_page(image, path)
        return upright_size(image)


def are_of_two_photos(one: PhotoFacts, other: PhotoFacts) -> bool:
    """Return whether two files are surely of two photos: the camera took them at different times, and they look unlike.

    A photo that was saved again has its time still; one whose time a program has corrected looks as it did. Two blank
    photos, which have no likeness, do not look unlike.
    """
    if one.exposed is None or other.exposed is None or one.exposed == other.exposed:
        return False
    return one.likeness != other.likeness and difference(one.likeness, other.likeness) > NEARLY_EQUAL


def facts_to_row(facts: PhotoFacts) -> tuple[int | str | None, ...]:
    """Return the facts as values for a database: width, height, taken, time_tag, serial and likeness."""
    width, height = facts.image_size or (None, None)
    taken = facts.taken.isoformat() if facts.taken else None
    revision = "" if facts.outdated or facts.time_tag == _TIMES[0][0] else f" {_REVISION}"
    return width, height, taken, facts.time_tag + revision, facts.serial, facts.likeness.hex()


def facts_from_row(width: Any, height: Any, taken: Any, time_tag: Any, serial: Any, likeness: Any) -> PhotoFacts:
    """Return the facts of the values that `facts_to_row` returned. Raises ValueError or TypeError for anything else."""
    if not (_is_length(width) and _is_length(height)):
        raise ValueError(f"size is {width!r} x {height!r}")
    known = bytes.fromhex(likeness)
    if len(known) not in (0, LENGTH):
        raise ValueError(f"likeness has {len(known)} bytes")
    tag, _, revision = str(time_tag).partition(" ")
    return PhotoFacts(
        None if width is None or height is None else (width, height),
        datetime.fromisoformat(taken) if taken else None,
        tag,
        str(serial),
        known,
        tag != _TIMES[0][0] and int(revision or 1) < _REVISION,
    )


def _is_length(value: Any) -> bool:
    return value is None or (type(value) is int and value >= 1)


def _taken(image: Image.Image) -> tuple[datetime | None, str]:
    for name, folder, tag in _TIMES:
        taken = read_clock(_text(exif_tag(image, folder, tag)))
        if taken is not None:  # cameras whose clock was not set write 0000:00:00 00:00:00 or blanks
            return taken, name
    return None, ""


def _serial(image: Image.Image) -> str:
    for folder, tag in _SERIALS:
        text = _text(exif_tag(image, folder, tag))
        if text.strip("0 "):  # some cameras write zeros
            return text
    return ""


def _text(value: Any) -> str:
    if isinstance(value, bytes):
        value = value.decode("ascii", "replace")
    return value.strip("\0 \t") if isinstance(value, str) else ""
