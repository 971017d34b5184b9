"""Pixels in, chips out, coordinates back: the only place that knows EXIF orientation, boxes, masks and resizing.

Everything outside this file is in pixels of the upright photo, x then y, pixel centres at whole numbers. Decoding goes
through Pillow alone: OpenCV decodes a 12-megapixel JPEG about 1.3 times as fast (1.1 times at 1280 px), but is silent
about truncated files, and a second path could differ in its pixels.
"""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from snowmatch.errors import SnowmatchError
from snowmatch.photofile import open_photo, orientation, read_timestamp
from snowmatch.types import BBox, Chip, Features

__all__ = [
    "clip_bbox",
    "inside",
    "make_chip",
    "photo_size",
    "read_grey",
    "read_mask",
    "read_photo",
    "read_timestamp",
    "to_photo",
]

# A chip is at most this much larger than its crop: beyond it a small box has no detail left to find, only blur.
MAX_UPSCALE = 4.0
# The mask loses this part of the chip's longest side before keypoints are kept: 7 px of 700, about the radius of what
# the smallest keypoint's descriptor sees (3 * sqrt(3) times sigma 1.6), so that none of them describes the silhouette.
MASK_EROSION = 0.01
# Rows that are converted at a time: a photo of 100 megapixels never exists twice.
STRIP_ROWS = 256
# What transparent pixels become: mid-grey makes the weakest edges against a coat.
TRANSPARENT = 128

# Pixels as stored to pixels as seen, for EXIF orientations 2 to 8. Source: EXIF 2.3, tag 0x0112.
_UPRIGHT = {
    2: lambda a: a[:, ::-1],
    3: lambda a: a[::-1, ::-1],
    4: lambda a: a[::-1],
    5: lambda a: a.swapaxes(0, 1),
    6: lambda a: a.swapaxes(0, 1)[:, ::-1],
    7: lambda a: a[::-1, ::-1].swapaxes(0, 1),
    8: lambda a: a.swapaxes(0, 1)[::-1],
}


def read_photo(path: Path) -> np.ndarray:
    """The pixels of a photo as it is meant to be seen: (H, W, 3) uint8 RGB, EXIF orientation applied.

    Grey, palette, CMYK and 16-bit photos are converted (16 bits keep the upper 8), transparent pixels become grey.
    SnowmatchError where the file is missing, no photo, truncated or above Pillow's limit of 178 megapixels.
    """
    return _read(path, "RGB", TRANSPARENT)


def read_grey(path: Path, least: int) -> np.ndarray:
    """A photo's grey pixels (H, W) uint8, upright, small but at least `least` px on the longest side if it has them.

    A JPEG is decoded at the smallest of its own scales (1/2, 1/4, 1/8) that is large enough: in a tenth of the time.
    SnowmatchError as read_photo.
    """
    return _read(path, "L", TRANSPARENT, least)


def read_mask(path: Path, image_size: tuple[int, int]) -> np.ndarray:
    """A mask file as (H, W) bool, True above 127; SnowmatchError where its size is not `image_size` (width, height)
    or its values are all too low to mean an animal (0 and 1, say). An all-black mask is all False.
    """
    values = _read(path, "L", 0)
    size = (values.shape[1], values.shape[0])
    if size != tuple(image_size):
        raise SnowmatchError(
            f"{path} is a mask of {size[0]} x {size[1]} px, expected the upright photo's {image_size[0]} x "
            f"{image_size[1]}: export it again at that size"
        )
    highest = int(values.max())
    if 0 < highest <= 127:
        raise SnowmatchError(
            f"{path} has values up to {highest} only, expected the animal above 127: save it as 0 and 255"
        )
    return values > 127


def photo_size(path: Path) -> tuple[int, int]:
    """(width, height) of the upright photo, mostly from the file's header alone; SnowmatchError as read_photo."""
    with open_photo(path) as image:
        if image.format == "TIFF":  # Pillow turns TIFFs itself, some versions only when they are loaded
            image.load()
        width, height = image.size
        return (height, width) if orientation(image) >= 5 else (width, height)


def clip_bbox(bbox: BBox, image_size: tuple[int, int]) -> BBox:
    """The part of a box inside a photo of `image_size` (width, height); SnowmatchError where there is none."""
    x, y, w, h = bbox
    text = f"box {x},{y},{w},{h}"
    if w <= 0 or h <= 0:
        raise SnowmatchError(f"{text} has no area, expected x,y,w,h with w and h above 0")
    left, top = max(x, 0), max(y, 0)
    right, bottom = min(x + w, image_size[0]), min(y + h, image_size[1])
    if right <= left or bottom <= top:
        raise SnowmatchError(
            f"{text} lies outside the photo, which is {image_size[0]} x {image_size[1]} px upright: "
            "expected x,y,w,h in its pixels"
        )
    return (left, top, right - left, bottom - top)


def make_chip(photo: np.ndarray, bbox: BBox | None, mask: np.ndarray | None, chip_size: int, channels: str) -> Chip:
    """Cut `bbox` (None: everything) out of a photo (H, W, 3) and resize it to `chip_size` px on its longest side.

    `channels` is "grey" or "rgb"; `mask` (H, W) bool belongs to the photo and comes back cut, resized and eroded by
    MASK_EROSION (the chip's border is no edge), so it may be all False. Enlarged at most MAX_UPSCALE times.
    SnowmatchError where the box leaves nothing.

    Source: chip of max(w, h) px, Crall et al., WACV 2013 (HotSpotter).
    """
    if photo.ndim != 3 or photo.shape[2] != 3 or photo.dtype != np.uint8:
        raise ValueError(f"photo is {photo.dtype} {photo.shape}, expected uint8 (H, W, 3)")
    if mask is not None and (mask.shape != photo.shape[:2] or mask.dtype != bool):
        raise ValueError(f"mask is {mask.dtype} {mask.shape}, expected bool {photo.shape[:2]}")
    if channels not in ("grey", "rgb") or chip_size < 1:
        raise ValueError(f"channels {channels!r}, chip_size {chip_size}: expected 'grey' or 'rgb', at least 1")
    image_size = (photo.shape[1], photo.shape[0])
    x, y, w, h = clip_bbox(bbox if bbox is not None else (0, 0, *image_size), image_size)
    crop = np.ascontiguousarray(photo[y : y + h, x : x + w])
    if channels == "grey":
        crop = cv2.cvtColor(crop, cv2.COLOR_RGB2GRAY)
    factor = min(chip_size / max(w, h), MAX_UPSCALE)
    size = (max(1, round(w * factor)), max(1, round(h * factor)))
    pixels = _resize(crop, size)
    chip_mask = None
    if mask is not None:
        cut = mask[y : y + h, x : x + w].astype(np.uint8) * 255
        radius = max(1, round(MASK_EROSION * max(size)))
        disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * radius + 1, 2 * radius + 1))
        # OpenCV's default border for erosion counts as inside: the animal goes on beyond the box
        chip_mask = cv2.erode((_resize(cut, size) > 127).astype(np.uint8), disc).astype(bool)
    return Chip(pixels, chip_mask, (x, y), (w / size[0], h / size[1]), image_size)


def to_photo(features: Features, chip: Chip) -> Features:
    """Features in chip pixels as features in pixels of the upright photo; none stay none.

    Orientations stay: the two axes' scales differ by less than a pixel over the chip's side, from rounding its size.
    """
    scale = np.array(chip.scale, np.float64)
    keypoints = (features.keypoints.astype(np.float64) + 0.5) * scale - 0.5 + np.array(chip.origin, np.float64)
    shapes = features.shapes
    if shapes is not None:  # diag(sx, sy) @ [[a, 0], [c, d]]
        shapes = (shapes.astype(np.float64) * scale[[0, 1, 1]]).astype(np.float32)
    return Features(
        keypoints.astype(np.float32),
        features.descriptors,
        features.scores,
        (features.scales.astype(np.float64) * np.sqrt(scale.prod())).astype(np.float32),
        features.oris,
        shapes,
        chip.image_size,
    )


def inside(mask: np.ndarray | None, keypoints: np.ndarray) -> np.ndarray:
    """(N,) bool: which keypoints (N, 2) lie on a True pixel of `mask` (H, W); all of them where it is None.

    Both in the same pixels, chip or photo. A keypoint beyond the mask's border is not on it.
    """
    if mask is None:
        return np.ones(len(keypoints), bool)
    columns, rows = np.floor(np.asarray(keypoints, np.float64) + 0.5).astype(np.int64).reshape(-1, 2).T
    within = (columns >= 0) & (rows >= 0) & (columns < mask.shape[1]) & (rows < mask.shape[0])
    within[within] = mask[rows[within], columns[within]]
    return within


def _resize(pixels: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """`pixels` at `size` (width, height): averaged when smaller, so that nothing aliases; cubic when larger."""
    height, width = pixels.shape[:2]
    if (width, height) == size:
        return pixels
    smaller = size[0] <= width and size[1] <= height
    return cv2.resize(pixels, size, interpolation=cv2.INTER_AREA if smaller else cv2.INTER_CUBIC)


def _read(path: Path, mode: str, background: int, least: int | None = None) -> np.ndarray:
    """The upright pixels in `mode` "RGB" (H, W, 3) or "L" (H, W), uint8, with what is transparent over `background`.

    `least`: a smaller copy will do, of so many px on its longest side.
    """
    with open_photo(path) as image:
        if least is not None:
            factor = least / max(image.size)
            # Only JPEG has smaller copies
            image.draft(None, tuple(max(1, int(side * factor)) for side in image.size))
        image.load()
        width, height = image.size
        pixels = np.empty((height, width, 3) if mode == "RGB" else (height, width), np.uint8)
        for top in range(0, height, STRIP_ROWS):
            strip = image.crop((0, top, width, min(top + STRIP_ROWS, height)))
            pixels[top : top + STRIP_ROWS] = np.asarray(_eight_bits(strip, background).convert(mode))
        turn = _UPRIGHT.get(orientation(image))
    return pixels if turn is None else np.ascontiguousarray(turn(pixels))


def _eight_bits(strip: Image.Image, background: int) -> Image.Image:
    """A strip of a photo in a mode that converts to RGB and to grey without loss of meaning."""
    if strip.mode == "F":
        raise ValueError("pixels are floating-point numbers, expected 8 or 16 bits")
    if strip.mode == "I" or strip.mode.startswith("I;16"):
        values = np.asarray(strip)
        if values.min() < 0 or values.max() > 65535:
            raise ValueError("pixels have 32 bits, expected 8 or 16")
        return Image.fromarray((values >> 8).astype(np.uint8))
    if strip.has_transparency_data:
        strip = strip.convert("RGBA")  # a palette's transparency as well
        under = Image.new("RGBA", strip.size, (background, background, background, 255))
        return Image.alpha_composite(under, strip)
    return strip
