"""Chips: the part of a photo that an extractor sees, and the conversion of its coordinates to the photo's pixels."""

from __future__ import annotations

import cv2
import numpy as np

from snowmatch.core.errors import SnowmatchError
from snowmatch.core.types import BBox, Chip, Features

# The largest factor by which a crop is enlarged. A larger factor adds only blur to a small box, no detail.
MAX_UPSCALE = 4.0
# The mask is eroded by this share of the chip's longest side: 7 px of 700. This is about the radius of the patch of the
# smallest keypoint's descriptor (3 * sqrt(3) times sigma 1.6), so that no descriptor includes the animal's outline.
MASK_EROSION = 0.01


def clip_bbox(bbox: BBox, image_size: tuple[int, int]) -> BBox:
    """Return the part of a box that lies inside a photo of `image_size` (width, height).

    Raises SnowmatchError if the box has no area or lies outside the photo.
    """
    x, y, w, h = bbox
    text = f"box {x},{y},{w},{h}"
    if w <= 0 or h <= 0:
        raise SnowmatchError(f"{text} has no area, expected x,y,w,h with w and h above 0")
    left, top = max(x, 0), max(y, 0)
    right, bottom = min(x + w, image_size[0]), min(y + h, image_size[1])
    if right <= left or bottom <= top:
        raise SnowmatchError(
            f"{text} lies outside the photo, which is {image_size[0]} x {image_size[1]} px when upright: "
            "expected x,y,w,h in pixels of the upright photo"
        )
    return (left, top, right - left, bottom - top)


def make_chip(photo: np.ndarray, bbox: BBox | None, mask: np.ndarray | None, chip_size: int, channels: str) -> Chip:
    """Cut a box out of a photo and resize it.

    photo: (H, W, 3) uint8 RGB.
    bbox: the box; None for the whole photo.
    mask: (H, W) bool, the mask of the photo. The chip's mask is this mask, cut, resized and eroded by MASK_EROSION. The
    erosion does not start at the chip's border. The result may be all False.
    chip_size: length of the chip's longest side (px). A crop is enlarged at most MAX_UPSCALE times.
    channels: "grey" or "rgb".
    Raises SnowmatchError if the box has no area or lies outside the photo.

    Source: chip of max(w, h) px, Crall et al., WACV 2013 (HotSpotter).
    """
    if photo.ndim != 3 or photo.shape[2] != 3 or photo.dtype != np.uint8:
        raise ValueError(f"photo is {photo.dtype} {photo.shape}, expected uint8 (H, W, 3)")
    if mask is not None and (mask.shape != photo.shape[:2] or mask.dtype != bool):
        raise ValueError(f"mask is {mask.dtype} {mask.shape}, expected bool {photo.shape[:2]}")
    if channels not in ("grey", "rgb") or chip_size < 1:
        raise ValueError(f"channels {channels!r}, chip_size {chip_size}: expected 'grey' or 'rgb', and 1 or more")
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
        # At the border OpenCV's erosion assumes True by default. This is right: the animal may continue beyond the box
        chip_mask = cv2.erode((_resize(cut, size) > 127).astype(np.uint8), disc).astype(bool)
    return Chip(pixels, chip_mask, (x, y), (w / size[0], h / size[1]), image_size)


def to_photo(features: Features, chip: Chip) -> Features:
    """Convert features from chip pixels to pixels of the upright photo. No features give no features.

    The orientations do not change. The scales of the two axes differ only because the chip's size is rounded, by less
    than one pixel over the chip's side.
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
    """Return (N,) bool: which of the keypoints (N, 2) lie on a True pixel of `mask` (H, W).

    Keypoints and mask are in the same pixels (both chip or both photo). If `mask` is None, the result is all True. A
    keypoint outside the mask's area gives False.
    """
    if mask is None:
        return np.ones(len(keypoints), bool)
    columns, rows = np.floor(np.asarray(keypoints, np.float64) + 0.5).astype(np.int64).reshape(-1, 2).T
    within = (columns >= 0) & (rows >= 0) & (columns < mask.shape[1]) & (rows < mask.shape[0])
    within[within] = mask[rows[within], columns[within]]
    return within


def _resize(pixels: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Resize `pixels` to `size` (width, height): by averages if smaller (to prevent aliasing), cubic if larger."""
    height, width = pixels.shape[:2]
    if (width, height) == size:
        return pixels
    smaller = size[0] <= width and size[1] <= height
    return cv2.resize(pixels, size, interpolation=cv2.INTER_AREA if smaller else cv2.INTER_CUBIC)
