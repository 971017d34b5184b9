"""What a photo's EXIF says: which way is up, and when it was taken."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Any

from PIL import ExifTags, Image

from snowmatch.photos.formats import DAMAGE, open_photo

_EXIF_DAMAGE = (*DAMAGE, KeyError, TypeError)


def orientation(image: Image.Image) -> int:
    """The EXIF orientation 1 to 8 that is still to be applied to an opened photo; 1 where EXIF is absent or damaged.

    Ask after `image.load()` for TIFF: Pillow itself turns those, and takes the tag away.
    """
    value = _exif_tag(image, None, ExifTags.Base.Orientation)
    return value if isinstance(value, int) and 1 <= value <= 8 else 1


def read_timestamp(path: Path) -> datetime | None:
    """When a photo was taken by its camera's clock, None where its EXIF does not say; SnowmatchError if unreadable.

    Only DateTimeOriginal counts: the other times are changed by scanning and by editing, which would make one
    encounter of everything that was edited on one evening.
    """
    with open_photo(path) as image:
        text = _exif_tag(image, ExifTags.IFD.Exif, ExifTags.Base.DateTimeOriginal)
    if isinstance(text, bytes):
        text = text.decode("ascii", "replace")
    if not isinstance(text, str):
        return None
    try:
        return datetime.strptime(text.strip("\0 ")[:19], "%Y:%m:%d %H:%M:%S")
    except ValueError:  # cameras without a set clock write 0000:00:00 00:00:00 or blanks
        return None


def _exif_tag(image: Image.Image, folder: int | None, tag: int) -> Any:
    """One EXIF value, None where there is none or EXIF is too damaged to say: the pixels may still be sound."""
    try:
        exif = image.getexif()
        return (exif if folder is None else exif.get_ifd(folder)).get(tag)
    except _EXIF_DAMAGE:
        return None
