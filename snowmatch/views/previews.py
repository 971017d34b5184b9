"""Small pictures of photos and of the animals in them, kept under `.snowmatch/previews`. They hold no EXIF."""

from __future__ import annotations

import hashlib
import io
import os
import threading
import zlib
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from contextlib import suppress
from functools import lru_cache
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from snowmatch.core.errors import SnowmatchError
from snowmatch.core.files import keep_file, read_file, unreadable
from snowmatch.core.home import home_of
from snowmatch.core.mended import keep_mended
from snowmatch.core.types import Annotation, BBox
from snowmatch.photos.chips import clip_bbox
from snowmatch.photos.facts import read_size
from snowmatch.photos.pixels import Part, read_mask, read_parts

SIZES = (160, 320, 640, 1280, 2560)  # longest sides (px) of previews
KINDS = ("photo", "animal", "outline")
# What a question shows of each photo. The two are made of one decoding, which takes most of the time.
SHOWN = (("photo", 640), ("animal", 1280))
# A picture may be shorter than asked by this factor, so that a JPEG is more often decoded at a fraction of its size.
# The largest size may not: it is what zooming shows.
SHARP = 0.75
MARGIN = 0.08  # of the animal's box, around it
QUALITY = 85
MADE = 3  # revision of the pictures: one of an older revision is made again
MADE_OF_TIFF = 4
BOX, MASK, RIM = (255, 255, 255), (255, 200, 0), (0, 0, 0)  # colours of the outlines, and of the rim around them
TINT = 0.15  # share of the colour of the mask within it
SUM_BYTES = 4  # of the checksum at the end of a kept picture

Picture = tuple[str, int]  # kind and size
Made = Mapping[Picture, bytes]


def key_of(annotation: Annotation) -> str:
    """Return what stands for an annotation in addresses: its identifier, or a digest if it was never indexed."""
    if annotation.annotation:
        return annotation.annotation
    text = repr((annotation.path, annotation.bbox, annotation.row))
    return "p" + hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()[:16]


def preview(folder: Path, annotation: Annotation, kind: str, size: int) -> bytes:
    """Return a JPEG of an annotation's photo: the whole `photo`, the `animal` in its box with a margin, or the
    photo with the `outline` of its box and mask.

    size: longest side (px), one of SIZES; it may be shorter down to SHARP of that, and a smaller photo keeps its size.
    An annotation without a box shows the photo.
    The picture is made once and kept. Raises SnowmatchError if the photo cannot be read.
    """
    if kind not in KINDS or size not in SIZES:
        raise ValueError(f"kind {kind!r} and size {size}, expected of {KINDS} and {SIZES}")
    try:
        status = os.stat(folder / annotation.path)
    except OSError as error:
        raise unreadable(folder / annotation.path, error) from error
    made = SHOWN if (kind, size) in SHOWN else ((kind, size),)
    kept = {each: _kept(folder, annotation, status, *each) for each in made}
    content = _stored(kept[kind, size])
    return content if content is not None else _once(kept[made[0]], lambda: _make(folder, annotation, kept))[kind, size]


def _kept(folder: Path, annotation: Annotation, status: os.stat_result, kind: str, size: int) -> Path:
    """Return where a picture is kept. Its name changes with all that the picture shows."""
    box = annotation.bbox if kind == "animal" or (kind, size) in SHOWN else None
    lines = (annotation.bbox, *_mask_stamp(folder, annotation)) if kind == "outline" else ()
    made = MADE_OF_TIFF if annotation.path.lower().endswith((".tif", ".tiff")) else MADE
    stamp = repr((made, annotation.path, status.st_size, status.st_mtime_ns, kind, box, lines, size, QUALITY))
    name = hashlib.sha256(stamp.encode("utf-8", "surrogateescape")).hexdigest()[:32]
    return home_of(folder) / "previews" / name[:2] / f"{name}.jpg"


def _stored(kept: Path) -> bytes | None:
    """Return a picture that is kept; None if it is not, or if it is damaged, as a power failure may leave it."""
    if kept.is_symlink():
        return None
    with suppress(OSError, SnowmatchError):
        stored = read_file(kept)
        content, known = stored[:-SUM_BYTES], stored[-SUM_BYTES:]
        if _sum_of(content) == known:
            return content
        keep_mended(kept)
    return None


_making_lock = threading.Lock()
_making: dict[Path, Future[Made]] = {}  # what threads make now


def _once(name: Path, make: Callable[[], Made]) -> Made:
    """Return what `make` returns. If another thread makes the same now, wait for it: a browser asks for all at once."""
    own: Future[Made] = Future()
    with _making_lock:
        first = _making.setdefault(name, own)
    if first is not own:
        return first.result()
    try:
        own.set_result(make())
    except BaseException as error:
        own.set_exception(error)
    finally:
        with _making_lock:
            del _making[name]
    return own.result()


def _make(folder: Path, annotation: Annotation, kept: Mapping[Picture, Path]) -> Made:
    """Make and keep the pictures of a photo that are made together; read them if another thread has just kept them."""
    stored = {each: content for each, path in kept.items() if (content := _stored(path)) is not None}
    if len(stored) == len(kept):
        return stored
    photo = folder / annotation.path
    if any(kind == "outline" for kind, _ in kept):
        made = {each: _outlined(folder, annotation, each[1]) for each in kept}
    else:
        shown = [(annotation.bbox if kind == "animal" else None, size) for kind, size in kept]
        made = dict(zip(kept, make_previews_of(photo, shown), strict=True))
    for each, path in kept.items():
        with suppress(SnowmatchError):  # a catalog that cannot be written shows its pictures all the same
            keep_file(path, made[each] + _sum_of(made[each]))
    return made


def make_previews_of(photo: Path, shown: Sequence[tuple[BBox | None, int]]) -> list[bytes]:
    """Return JPEGs of a photo, or of boxes in it with a margin, of one decoding.

    shown: of each picture, the box (None: the whole photo), and the longest side (px), as in `preview`. No pictures
    give an empty list. Raises SnowmatchError if the photo cannot be read.
    """

    def parts(whole: tuple[int, int]) -> list[Part]:
        return [
            Part(
                (0, 0, *whole) if box is None else with_margin(box, whole),
                size if size == SIZES[-1] else SHARP * size,
                size,
            )
            for box, size in shown
        ]

    _, found = read_parts(photo, parts)
    return [_jpeg(pixels, size) for pixels, (_, size) in zip(found, shown, strict=True)]


def photo_size(path: Path) -> tuple[int, int] | None:
    """Return (width, height) of an upright photo, from its header; None if it cannot be read."""
    try:
        return _size(str(path), path.stat().st_mtime_ns)
    except (OSError, SnowmatchError):
        return None


def file_stamp(path: Path) -> str:
    """Return what changes when the file of a photo is another one; "" if there is none."""
    try:
        status = path.stat()
    except OSError:
        return ""
    return hashlib.sha256(f"{status.st_size} {status.st_mtime_ns}".encode()).hexdigest()[:12]


@lru_cache(20_000)
def _size(path: str, changed: int) -> tuple[int, int]:
    return read_size(Path(path))


def _outlined(folder: Path, annotation: Annotation, size: int) -> bytes:
    photo = folder / annotation.path
    (across, down), (pixels,) = read_parts(photo, lambda whole: [Part((0, 0, *whole), size, max(whole))])
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
    """Draw closed lines with a dark rim, so that they are seen on light and on dark ground.

    Pictures of pairs have one faint line in place of these (`side_by_side.draw_outline`): it must not hide spots.
    """
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
