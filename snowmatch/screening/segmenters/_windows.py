"""The part of a photo that a segmenter sees, and the way back to the whole photo."""

from __future__ import annotations

import math

import cv2
import numpy as np

from snowmatch.core.types import BBox
from snowmatch.photos.chips import clip_bbox


def window_around(bbox: BBox | None, shape: tuple[int, ...], margin: float) -> BBox:
    """Return the box with a margin on all sides, inside the photo; the whole photo without a box.

    shape: of the photo, (H, W, 3). margin: share of the box's longest side. Raises SnowmatchError if the box lies
    outside the photo.
    """
    height, width = shape[:2]
    if bbox is None:
        return 0, 0, width, height
    x, y, w, h = clip_bbox(bbox, (width, height))
    edge = math.ceil(margin * max(w, h))
    left, top = max(x - edge, 0), max(y - edge, 0)
    return left, top, min(x + w + edge, width) - left, min(y + h + edge, height) - top


def cut(photo: np.ndarray, window: BBox) -> np.ndarray:
    """Return the pixels of the photo inside the window, without a copy."""
    x, y, width, height = window
    return photo[y : y + height, x : x + width]


def resized(pixels: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Return the pixels (H, W[, 3]) at the size (width, height). A smaller picture averages, so nothing is lost."""
    smaller = size[0] < pixels.shape[1] or size[1] < pixels.shape[0]
    picture: np.ndarray = cv2.resize(pixels, size, interpolation=cv2.INTER_AREA if smaller else cv2.INTER_LINEAR)
    return picture


def on_photo(confidence: np.ndarray, window: BBox, shape: tuple[int, ...], bbox: BBox | None) -> np.ndarray | None:
    """Return the confidence over the whole photo, (H, W) float32; None if it is above one half nowhere.

    confidence: (h, w) float32 over the window, at any resolution. shape: of the photo. bbox: outside it the result
    is 0.
    """
    height, width = shape[:2]
    x, y, w, h = window
    whole = np.zeros((height, width), np.float32)
    whole[y : y + h, x : x + w] = cv2.resize(confidence, (w, h), interpolation=cv2.INTER_LINEAR)
    if bbox is not None:
        left, top, inner_width, inner_height = clip_bbox(bbox, (width, height))
        kept = np.zeros_like(whole)
        inside = slice(top, top + inner_height), slice(left, left + inner_width)
        kept[inside] = whole[inside]
        whole = kept
    return whole if (whole > 0.5).any() else None
