"""Opening photo files: which formats, what EXIF says, and one clear error for whatever is wrong with a file.

HEIC needs the optional package pillow-heif. Formats are a fixed list, so that a file named .jpg that is something else
(a PDF, an EPS) is refused instead of being handed to an interpreter.
"""

from __future__ import annotations

import os
import re
import struct
import warnings
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from PIL import Image, UnidentifiedImageError

from snowmatch.core.errors import SnowmatchError

try:
    from pillow_heif import register_heif_opener
except ImportError:  # the optional package; a HEIC photo then gets the message of _what_is_wrong
    register_heif_opener = None
else:
    register_heif_opener()


FORMATS = ("JPEG", "PNG", "TIFF", "WEBP", "BMP") + (("HEIF",) if register_heif_opener else ())
# What counts as a photo in a folder, whatever its case. HEIC is among them also where it cannot be read: a photo that
# fails is listed, one that is taken for something else would be lost.
EXTENSIONS = frozenset(
    {".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".tif", ".tiff", ".webp", ".bmp", ".heic", ".heif", ".hif"}
)
# What Pillow and pillow-heif raise at damaged files (and, of these, at damaged EXIF); MemoryError is not among them.
DAMAGE = (OSError, SyntaxError, ValueError, EOFError, RuntimeError, struct.error, zlib.error)
_HEIC = re.compile(rb"....ftyp(heic|heix|heim|heis|hevc|hevx|mif1|msf1)", re.DOTALL)


@contextmanager
def open_photo(path: Path) -> Iterator[Image.Image]:
    """A photo file opened with Pillow, pixels not read yet; SnowmatchError for what is wrong with it, also in the body.

    Warnings are raised as usual but for three kinds that say nothing about the pixels: photos of 90 to 178
    megapixels (above that Pillow refuses), damaged EXIF tags (which count as absent), and odd MPO tables.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            warnings.filterwarnings("ignore", module=r"PIL\.TiffImagePlugin", category=UserWarning)
            warnings.filterwarnings("ignore", message=".*malformed MPO file", category=UserWarning)
            with Image.open(path, formats=FORMATS) as image:
                yield image
    except Image.DecompressionBombError as error:
        limit = 2 * (Image.MAX_IMAGE_PIXELS or 0) // 1_000_000
        raise SnowmatchError(
            f"{path} has more than {limit} megapixels, the most that is read: scale it down"
        ) from error
    except DAMAGE as error:
        raise SnowmatchError(f"{path} {_what_is_wrong(path, error)}") from error


def _what_is_wrong(path: Path, error: Exception) -> str:
    if isinstance(error, FileNotFoundError):
        return "is not there: put it back, or take it out of the catalog"
    if isinstance(error, IsADirectoryError) or os.path.isdir(path):
        return "is a folder, expected a photo"
    if isinstance(error, OSError) and error.errno is not None:
        return f"cannot be read: {error.strerror}"
    try:
        with open(path, "rb") as file:
            head = file.read(16)
    except OSError as second:
        return f"cannot be read: {second.strerror}"
    if not head:
        return "is empty (0 bytes): copy it again from the camera's card"
    if _HEIC.match(head) and register_heif_opener is None:
        return "is a HEIC photo, which needs one more package: pip install pillow-heif"
    if isinstance(error, UnidentifiedImageError):
        return f"is no photo that can be read, expected one of {', '.join(FORMATS)}: convert it, or leave it out"
    reason = " ".join(str(error).split())
    if re.search(r"truncated|unexpected end|premature|not enough|no more data", reason, re.IGNORECASE):
        return f"is truncated: copy it again from the camera's card ({reason})"
    return f"cannot be decoded ({reason}): copy it again from the camera's card, or save it as an 8-bit JPEG or PNG"
