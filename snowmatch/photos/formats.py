"""Opening photo files: the accepted formats, and one clear error message for each problem of a file.

HEIC needs the optional package pillow-heif. The list of formats is fixed. So a PDF or EPS file with the name .jpg is
rejected and never passed to an interpreter of these formats.
"""

from __future__ import annotations

import os
import re
import struct
import warnings
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from PIL import Image, ImageFile, UnidentifiedImageError
from PIL.TiffImagePlugin import ImageFileDirectory_v2, TiffImageFile

from snowmatch.core.errors import SnowmatchError
from snowmatch.core.files import open_regular

try:
    from pillow_heif import register_heif_opener
except ImportError:  # the optional package is missing; _what_is_wrong then explains this for a HEIC photo
    register_heif_opener = None
else:
    register_heif_opener()


FORMATS = ("JPEG", "PNG", "TIFF", "WEBP", "BMP") + (("HEIF",) if register_heif_opener else ())
# Extensions of files that are treated as photos, in upper or lower case. HEIC is in the list even if pillow-heif is
# missing: a photo that cannot be read is reported, but a file that is not treated as a photo would be skipped.
EXTENSIONS = frozenset(
    {".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".tif", ".tiff", ".webp", ".bmp", ".heic", ".heif", ".hif"}
)
# Extensions of files that are treated as videos, in upper or lower case
VIDEO_EXTENSIONS = frozenset({".mp4", ".avi", ".mov", ".mkv", ".m4v", ".mpg", ".mpeg", ".wmv", ".3gp"})
# The exceptions that Pillow and pillow-heif raise for damaged files and damaged EXIF. MemoryError is not one of them.
DAMAGE = (
    *(OSError, SyntaxError, ValueError, TypeError, EOFError, RuntimeError, struct.error, zlib.error),
    *(LookupError, ArithmeticError),  # a compression that Pillow does not know; an offset that is too large
)
MOST_PAGES = 20  # number of pages of a TIFF that are searched for the largest
_WIDTH, _HEIGHT, _SUB_IFDS, _BIG_TIFF = 256, 257, 330, 43  # TIFF's numbers. Source: TIFF 6.0; BigTIFF
_BITS, _PHOTOMETRIC, _PLANES, _APART = 258, 262, 284, 2
_HEIC = re.compile(rb"....ftyp(heic|heix|heim|heis|hevc|hevx|mif1|msf1)", re.DOTALL)


@contextmanager
def open_photo(path: Path) -> Iterator[ImageFile.ImageFile]:
    """Open a photo file with Pillow, without reading the pixels.

    Raises SnowmatchError if the file cannot be opened, or if it cannot be decoded inside the `with` block.

    Three kinds of warnings are hidden, because they do not concern the pixels: photos of 90 to 178 megapixels (Pillow
    rejects larger ones), damaged EXIF tags (they are treated as absent), and unusual MPO tables.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            warnings.filterwarnings("ignore", module=r"PIL\.TiffImagePlugin", category=UserWarning)
            warnings.filterwarnings("ignore", message=".*malformed MPO file", category=UserWarning)
            with open_regular(path) as file, Image.open(file, formats=FORMATS) as image:
                yield image
    except Image.DecompressionBombError as error:
        limit = 2 * (Image.MAX_IMAGE_PIXELS or 0) // 1_000_000
        text = f"{path} has more than {limit} megapixels, which is the limit: make it smaller"
        raise SnowmatchError(text, "photo-pixels", photo=str(path), count=limit) from error
    except DAMAGE as error:
        reason = " ".join(str(error).split())
        code, text = _what_is_wrong(path, error, reason)
        known = {"photo": str(path), "formats": ", ".join(FORMATS), "reason": reason}
        raise SnowmatchError(f"{path} {text}", code, **known) from error


def largest_page(image: Image.Image, path: Path) -> None:
    """Select the largest page of a TIFF, because the first one may be a thumbnail. Other formats do not change.

    Its planes, if it has any, will be read as they are. Raises SnowmatchError if the file contains a larger picture
    that cannot be read, as raw files do, and ValueError for planes that Pillow mixes up.
    """
    if not isinstance(image, TiffImageFile):
        return
    sizes: list[int] = []
    hidden = 0
    for page in range(MOST_PAGES):
        try:
            image.seek(page)
            sizes.append(image.width * image.height)
        except EOFError:
            break
        except DAMAGE:  # a picture that Pillow cannot read, such as that of a raw file
            sizes.append(0)
            hidden = max(hidden, _pixels(image.tag_v2))
        hidden = max(hidden, _hidden_pixels(image))
    largest = sizes.index(max(sizes))
    image.seek(largest)
    if hidden > sizes[largest]:
        preview = f"{image.width} x {image.height} px"
        text = f"{path} is a raw file, of which only a preview of {preview} can be read: save it as a JPEG"
        raise SnowmatchError(text, "photo-raw", photo=str(path), preview=preview)
    _whole_planes(image)


def _whole_planes(image: TiffImageFile) -> None:
    """Let the planes of a TIFF that holds each colour apart be read as they are.

    Where they are not compressed, Pillow forgets that they have 16 bits, or that their white is 0. Raises ValueError
    for planes that it mixes up.
    """
    tags = tags_of_planes(image)
    if tags is None:
        return
    if image.mode in ("LA", "PA"):
        raise ValueError("grey and transparency lie in separate planes")
    big, deep = tags.prefix == b"MM", max(tags.get(_BITS, (1,))) == 16
    if deep:
        end = ";16B" if big else ";16" if image.mode == "I;16" else ";16L"
    else:
        end = ";I" if image.mode in ("1", "L") and white_is_zero(image) else ""
    image.tile = [
        tile._replace(args=with_raw_mode(tile.args, lambda mode: mode + end)) if tile.codec_name == "raw" else tile
        for tile in image.tile
    ]


def white_is_zero(image: Image.Image) -> bool:
    """Return whether a photo is a TIFF in which 0 is white. Of 16 bits, Pillow reads it as a negative."""
    return isinstance(image, TiffImageFile) and image.tag_v2.get(_PHOTOMETRIC) == 0


def tags_of_planes(image: Image.Image) -> ImageFileDirectory_v2 | None:
    """Return the tags of a TIFF that holds each colour in a plane of its own; None for any other photo."""
    tags = image.tag_v2 if isinstance(image, TiffImageFile) else None
    return tags if tags is not None and tags.get(_PLANES) == _APART else None


def raw_mode(args: Any) -> str:
    """Return how the bytes of a tile are read, from the arguments of its decoder."""
    return str(args[0] if isinstance(args, tuple) and args else args)


def with_raw_mode(args: Any, change: Callable[[str], str]) -> Any:
    """Return the arguments of the decoder of a tile with another raw mode. change: returns it, from the one it had."""
    return (change(args[0]), *args[1:]) if isinstance(args, tuple) else change(args)


def _hidden_pixels(page: TiffImageFile) -> int:
    """Return the number of pixels of the largest picture below this page (its SubIFDs); 0 without one."""
    offsets = page.tag_v2.get(_SUB_IFDS, ())
    file, most = page.fp, 0
    assert file is not None
    for offset in (offsets if isinstance(offsets, tuple) else (offsets,))[:MOST_PAGES]:
        try:
            file.seek(0)
            header = file.read(8)
            directory = ImageFileDirectory_v2(header + (file.read(8) if header[2] == _BIG_TIFF else b""))
            file.seek(offset)
            directory.load(file)
            most = max(most, _pixels(directory))
        except DAMAGE:
            continue  # there is no picture
    return most


def _pixels(directory: ImageFileDirectory_v2) -> int:
    width, height = directory.get(_WIDTH, 0), directory.get(_HEIGHT, 0)
    return width * height if isinstance(width, int) and isinstance(height, int) else 0


def _what_is_wrong(path: Path, error: Exception, reason: str) -> tuple[str, str]:
    """Return the code of the error, "" for one of the system, and what is wrong in words."""
    if isinstance(error, FileNotFoundError):
        return "", "does not exist: put the file back, or remove it from the catalog"
    if isinstance(error, IsADirectoryError) or os.path.isdir(path):
        return "", "is a folder, expected a photo"
    if isinstance(error, OSError) and error.errno is not None:
        return "", f"cannot be read: {error.strerror}"
    try:
        with open(path, "rb") as file:
            head = file.read(16)
    except OSError as second:
        return "", f"cannot be read: {second.strerror}"
    if not head:
        return "photo-empty", "is empty (0 bytes): copy it again from the camera's card"
    if _HEIC.match(head) and register_heif_opener is None:
        return "photo-heic", "is a HEIC photo, which needs one more package: pip install pillow-heif"
    if isinstance(error, UnidentifiedImageError) and path.suffix.lower() in VIDEO_EXTENSIONS:
        return "photo-video", "is a video, expected a photo: take its frames first, or remove it"
    if isinstance(error, UnidentifiedImageError):
        expected = f"expected one of {', '.join(FORMATS)}"
        return "photo-unknown", f"is not a readable photo, {expected}: convert it, or remove it"
    if re.search(r"truncated|unexpected end|premature|not enough|no more data", reason, re.IGNORECASE):
        return "photo-truncated", f"is truncated: copy it again from the camera's card ({reason})"
    mend = "copy it again from the camera's card, or save it as an 8-bit JPEG or PNG"
    return "photo-damaged", f"cannot be decoded ({reason}): {mend}"
