"""Small pictures of photos and of the animals in them, kept under `.snowmatch/previews`. They hold no EXIF."""

from __future__ import annotations

import hashlib
import io
import math
import os
import zlib
from collections.abc import Sequence
from contextlib import suppress
from functools import lru_cache
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from snowmatch.core.errors import SnowmatchError
from snowmatch.core.files import keep_file, read_file, unreadable
from snowmatch.core.home import home_of
from snowmatch.core.types import Annotation, BBox
from snowmatch.photos.chips import clip_bbox
from snowmatch.photos.exif import orientation
from snowmatch.photos.formats import largest_page, open_photo
from snowmatch.photos.pixels import read_mask, read_photo, read_small

SIZES = (160, 320, 640, 1280, 2560)  # longest sides (px) of previews
KINDS = ("photo", "animal", "outline")
MARGIN = 0.08  # of the animal's box, around it
QUALITY = 85
DRAWN = 2  # revision of the outlines: a picture of an older one is made again
BOX, MASK, RIM = (255, 255, 255), (255, 200, 0), (0, 0, 0)  # colours of the outlines, and of the rim around them
TINT = 0.15  # share of the colour of the mask within it
SUM_BYTES = 4  # of the checksum at the end of a kept picture


def key_of(annotation: Annotation) -> str:
    """Return what stands for an annotation in addresses: its identifier, or a digest if it was never indexed."""
    if annotation.annotation:
        return annotation.annotation
    text = repr((annotation.path, annotation.bbox, annotation.row))
    return "p" + hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()[:16]


def preview(folder: Path, annotation: Annotation, kind: str, size: int) -> bytes:
    """Return a JPEG of an annotation's photo: the whole `photo`, the `animal` in its box with a margin, or the
    photo with the `outline` of its box and mask.

    size: longest side (px), one of SIZES; a smaller photo keeps its size. An annotation without a box shows the photo.
    The picture is made once and kept. Raises SnowmatchError if the photo cannot be read.
    """
    if kind not in KINDS or size not in SIZES:
        raise ValueError(f"kind {kind!r} and size {size}, expected of {KINDS} and {SIZES}")
    photo = folder / annotation.path
    box = annotation.bbox if kind == "animal" else None
    try:
        status = os.stat(photo)
    except OSError as error:
        raise unreadable(photo, error) from error
    lines = (annotation.bbox, *_mask_stamp(folder, annotation), DRAWN) if kind == "outline" else ()
    stamp = repr((annotation.path, status.st_size, status.st_mtime_ns, box, lines, size, QUALITY))
    name = hashlib.sha256(stamp.encode("utf-8", "surrogateescape")).hexdigest()[:32]
    kept = home_of(folder) / "previews" / name[:2] / f"{name}.jpg"
    if not kept.is_symlink():
        with suppress(OSError, SnowmatchError):
            stored = read_file(kept)
            content, known = stored[:-SUM_BYTES], stored[-SUM_BYTES:]
            if _sum_of(content) == known:  # a power failure may have cut it off
                return content
    content = _outlined(folder, annotation, size) if lines else make_preview_of(photo, box, size)
    with suppress(SnowmatchError):  # a catalog that cannot be written shows its pictures all the same
        keep_file(kept, content + _sum_of(content))
    return content


def make_preview_of(photo: Path, box: BBox | None, size: int) -> bytes:
    """Return a JPEG of a photo, or of a box in it. Raises SnowmatchError if the photo cannot be read."""
    if box is None:
        return _jpeg(read_small(photo, size), size)
    whole = photo_size(photo)
    if whole is None:
        read_photo(photo)  # says what is wrong with it
        raise SnowmatchError(f"{photo} has no size that can be read: save it again")
    left, top, right, bottom = with_margin(box, whole)
    # A JPEG is decoded at a fraction of its size where that is enough
    pixels = read_small(photo, math.ceil(size * max(whole) / max(right - left, bottom - top)))
    across, down = pixels.shape[1] / whole[0], pixels.shape[0] / whole[1]
    rows = slice(math.floor(top * down), max(math.ceil(bottom * down), math.floor(top * down) + 1))
    columns = slice(math.floor(left * across), max(math.ceil(right * across), math.floor(left * across) + 1))
    return _jpeg(pixels[rows, columns], size)


def photo_size(path: Path) -> tuple[int, int] | None:
    """Return (width, height) of an upright photo, from its header; None if it cannot be read."""
    try:
        return _size(str(path), path.stat().st_mtime_ns)
    except (OSError, SnowmatchError):
        return None


@lru_cache(20_000)
def _size(path: str, changed: int) -> tuple[int, int]:
    with open_photo(Path(path)) as image:
        largest_page(image, Path(path))
        width, height = image.size
        return (height, width) if orientation(image) >= 5 else (width, height)


def _outlined(folder: Path, annotation: Annotation, size: int) -> bytes:
    path = folder / annotation.path
    pixels, whole = read_small(path, size), photo_size(path)
    across, down = whole if whole is not None else pixels.shape[1::-1]
    mask = read_mask(folder / annotation.mask, (across, down)) if annotation.mask else None
    box = clip_bbox(annotation.bbox, (across, down)) if annotation.bbox is not None else None
    factor = min(size / max(across, down), 1.0)
    small = max(round(across * factor), 1), max(round(down * factor), 1)
    canvas = np.ascontiguousarray(cv2.resize(pixels, small, interpolation=cv2.INTER_AREA))
    if mask is not None:
        on = cv2.resize(mask.astype(np.float32), small, interpolation=cv2.INTER_AREA) > 0.5
        canvas[on] = np.round((1 - TINT) * canvas[on] + TINT * np.array(MASK)).astype(np.uint8)
        _draw(canvas, cv2.findContours(on.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)[0], MASK)
    if box is not None:
        x, y, w, h = (round(value * factor) for value in box)
        corners = [(x, y), (x + w - 1, y), (x + w - 1, y + h - 1), (x, y + h - 1)]
        _draw(canvas, [np.array(corners, np.int32)[:, None]], BOX)
    return _jpeg(canvas, size)


def _draw(canvas: np.ndarray, lines: Sequence[np.ndarray], colour: tuple[int, int, int]) -> None:
    """Draw closed lines with a dark rim, so that they are seen on light and on dark ground."""
    thick = max(round(max(canvas.shape) / 640), 1)
    for width, each in ((thick + 2, RIM), (thick, colour)):
        cv2.polylines(canvas, lines, True, each, width, cv2.LINE_AA)


def _mask_stamp(folder: Path, annotation: Annotation) -> tuple[object, ...]:
    """Return what changes when the mask is another one."""
    if not annotation.mask:
        return ("",)
    try:
        status = os.stat(folder / annotation.mask)
    except OSError:
        return (annotation.mask,)
    return annotation.mask, status.st_size, status.st_mtime_ns


def _jpeg(pixels: np.ndarray, size: int) -> bytes:
    height, width = pixels.shape[:2]
    factor = size / max(width, height)
    if factor < 1:
        small = max(round(width * factor), 1), max(round(height * factor), 1)
        pixels = cv2.resize(pixels, small, interpolation=cv2.INTER_AREA)
    out = io.BytesIO()
    Image.fromarray(pixels).save(out, "JPEG", quality=QUALITY)
    return out.getvalue()


def with_margin(box: Sequence[int], image_size: tuple[int, int]) -> tuple[int, int, int, int]:
    """Return left, top, right, bottom (px) of a box with a margin, inside the photo."""
    x, y, w, h = clip_bbox(tuple(box), image_size)  # type: ignore[arg-type] # four numbers
    margin = round(MARGIN * max(w, h))
    right, bottom = min(x + w + margin, image_size[0]), min(y + h + margin, image_size[1])
    return max(x - margin, 0), max(y - margin, 0), right, bottom


def _sum_of(content: bytes) -> bytes:
    return zlib.crc32(content).to_bytes(SUM_BYTES, "big")
