"""Chips: the part of a photo that an extractor sees, and the way back to the photo's pixels."""

from __future__ import annotations

import cv2
import numpy as np

from snowmatch.core.errors import SnowmatchError
from snowmatch.core.types import BBox, Chip, Features

# A chip is at most this much larger than its crop: beyond it a small box has no detail left to find, only blur.
MAX_UPSCALE = 4.0
# The mask loses this part of the chip's longest side before keypoints are kept: 7 px of 700, about the radius of what
# the smallest keypoint's descriptor sees (3 * sqrt(3) times sigma 1.6), so that none of them describes the silhouette.
MASK_EROSION = 0.01


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
