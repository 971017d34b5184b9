"""The EXIF data of a photo: its orientation and the time when it was taken."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Any

from PIL import ExifTags, Image

from snowmatch.photos.formats import DAMAGE, open_photo

_EXIF_DAMAGE = (*DAMAGE, KeyError, TypeError)


def orientation(image: Image.Image) -> int:
    """Return the EXIF orientation (1 to 8) of an opened photo; 1 if EXIF is absent or damaged.

    For a TIFF, call this after `image.load()`: Pillow itself rotates a TIFF and removes the tag.
    """
    value = _exif_tag(image, None, ExifTags.Base.Orientation)
    return value if isinstance(value, int) and 1 <= value <= 8 else 1


def read_timestamp(path: Path) -> datetime | None:
    """Return the time when a photo was taken, by the clock of its camera; None if EXIF has no such time.

    Only DateTimeOriginal is used. Scanners and editors change the other times; photos that were edited on one evening
    would then become one encounter. Raises SnowmatchError if the photo cannot be read.
    """
    with open_photo(path) as image:
        text = _exif_tag(image, ExifTags.IFD.Exif, ExifTags.Base.DateTimeOriginal)
    if isinstance(text, bytes):
        text = text.decode("ascii", "replace")
    if not isinstance(text, str):
        return None
    try:
        return datetime.strptime(text.strip("\0 ")[:19], "%Y:%m:%d %H:%M:%S")
    except ValueError:  # a camera whose clock is not set writes 0000:00:00 00:00:00 or blanks
        return None


def _exif_tag(image: Image.Image, folder: int | None, tag: int) -> Any:
    """Return one EXIF value; None if it is absent or EXIF is damaged: the pixels may still be readable."""
    try:
        exif = image.getexif()
        return (exif if folder is None else exif.get_ifd(folder)).get(tag)
    except _EXIF_DAMAGE:
        return None
