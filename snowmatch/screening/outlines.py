"""The animals in a segmentation: connected regions, the central one first."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from snowmatch.core.types import BBox

# Shares of the photo. With less or more above one half, a segmentation shows no animal: it is a speck, or the scenery.
LEAST, MOST = 0.002, 0.9
SPECK = 0.001  # a smaller region is no animal (share of the photo)
SECOND = 0.25  # a further animal has at least this share of the first one's area


@dataclass(frozen=True)
class Outline:
    """One animal in a photo.

    mask: (H, W) bool, True on the animal. bbox: of the mask. confidence: 0 to 1, mean over the mask.
    """

    mask: np.ndarray
    bbox: BBox
    confidence: float

    def __post_init__(self) -> None:
        if self.mask.dtype != bool or self.mask.ndim != 2:
            raise ValueError(f"mask is {self.mask.dtype} {self.mask.shape}, expected bool (H, W)")


def animals_of(confidence: np.ndarray) -> tuple[Outline, ...]:
    """Return the animals in a segmentation, the central one first, then others in the same order of importance.

    confidence: (H, W) float32, 0 to 1. An animal is a connected region above one half, with its holes filled. Its
    importance is its area, times its closeness to the centre of the photo: 1 at the centre, 0 in a corner. Another
    region is an animal only if it has a quarter of the first one's area. Specks below 0.1 % of the photo are none.
    () if less than 0.2 % of the photo is above one half, or more than 90 %. Raises ValueError for another type.
    """
    if confidence.dtype != np.float32 or confidence.ndim != 2:
        raise ValueError(f"confidence is {confidence.dtype} {confidence.shape}, expected float32 (H, W)")
    above = confidence > 0.5
    if np.count_nonzero(above) < max(LEAST * above.size, 1):
        return ()
    filled = _filled(above)
    if np.count_nonzero(filled) > MOST * filled.size:
        return ()
    _, labels, stats, centres = cv2.connectedComponentsWithStats(filled.view(np.uint8), connectivity=8)
    areas = stats[:, cv2.CC_STAT_AREA]
    large = [i for i in range(1, len(areas)) if areas[i] >= SPECK * filled.size]
    if not large:
        return ()
    closeness = _closeness(centres, (filled.shape[1], filled.shape[0]))
    large.sort(key=lambda i: (-areas[i] * closeness[i], i))
    chosen = [i for i in large if areas[i] >= SECOND * areas[large[0]]]
    return tuple(_outline(labels == i, stats[i], confidence) for i in chosen)


def _outline(mask: np.ndarray, stats: np.ndarray, confidence: np.ndarray) -> Outline:
    x, y, width, height = (int(value) for value in stats[:4])
    return Outline(mask, (x, y, width, height), float(confidence[mask].mean(dtype=np.float64)))


def _filled(mask: np.ndarray) -> np.ndarray:
    """Return (H, W) bool: the mask without holes. A hole is a region that does not reach the edge of the photo."""
    outside = np.pad(~mask, 1, constant_values=True).view(np.uint8)
    _, labels = cv2.connectedComponents(outside, connectivity=4)
    return np.ascontiguousarray((labels != labels[0, 0])[1:-1, 1:-1])


def _closeness(centres: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Return the closeness of points (N, 2) to the centre of a photo (width, height): 1 there, 0 in a corner."""
    half = np.array(size) / 2
    distances: np.ndarray = np.linalg.norm((centres + 0.5 - half) / half, axis=1) / np.sqrt(2)
    return 1 - distances
