"""Single EXIF values of an opened photo."""

from __future__ import annotations

from typing import Any

from PIL import ExifTags, Image

from snowmatch.photos.formats import DAMAGE


def orientation(image: Image.Image) -> int:
    """Return the EXIF orientation (1 to 8) of an opened photo; 1 if EXIF is absent or damaged.

    For a TIFF, call this after `image.load()`: Pillow itself rotates a TIFF and removes the tag.
    """
    value = exif_tag(image, None, ExifTags.Base.Orientation)
    return value if isinstance(value, int) and 1 <= value <= 8 else 1


def upright_size(image: Image.Image) -> tuple[int, int]:
    """Return (width, height), px, of an opened photo when it is upright, from its header; a TIFF is read to its end.

    Raises what Pillow does for damaged pixels of a TIFF.
    """
    if image.format == "TIFF":  # Pillow rotates a TIFF itself; some versions do it only when the pixels are loaded
        image.load()
    width, height = image.size
    return (height, width) if orientation(image) >= 5 else (width, height)


def exif_tag(image: Image.Image, folder: int | None, tag: int) -> Any:
    """One EXIF value, None where there is none or EXIF is too damaged to say: the pixels may still be sound."""
    try:
        exif = image.getexif()
        return (exif if folder is None else exif.get_ifd(folder)).get(tag)
    except DAMAGE:
        return None
