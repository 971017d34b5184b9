"""What the classical extractors share: RootSIFT, and the choice of keypoints by mask and number."""

from __future__ import annotations

import numpy as np

from snowmatch.core.types import Features
from snowmatch.photos.chips import inside

DIMENSION = 128
NORM = 512.0  # length of a uint8 descriptor, as in Lowe 2004 and hesaff; few of its elements reach 255


def root_sift(histograms: np.ndarray) -> np.ndarray:
    """RootSIFT (N, 128) uint8 of length about 512 from gradient histograms (N, 128), any scale; empty gives empty.

    Histograms that are all zero stay zero. Source: Lowe, IJCV 2004, section 6.1 (no element above 0.2 of the length);
    Arandjelovic & Zisserman, CVPR 2012 (L1 norm, then the square root).
    """
    length = np.linalg.norm(histograms, axis=1, keepdims=True)
    clipped = np.minimum(histograms, 0.2 * length)
    total = np.maximum(clipped.sum(axis=1, keepdims=True), np.finfo(np.float32).tiny)
    return np.minimum(np.rint(NORM * np.sqrt(clipped / total)), 255).astype(np.uint8)


def choose(
    keypoints: np.ndarray, scores: np.ndarray, mask: np.ndarray | None, size: tuple[int, int], limit: int
) -> np.ndarray:
    """Rows of the best keypoints on the animal: inside the chip and its mask, by falling score, at most `limit`.

    keypoints (N, 2), scores (N,), mask (H, W) bool or None, size = (width, height); limit 0 is no limit. Masked
    keypoints are left out before the limit counts. Ties are ordered by y, then x, so the order never depends on how
    the keypoints were found.
    """
    width, height = size
    on_chip = (keypoints >= 0).all(axis=1) & (keypoints[:, 0] <= width - 1) & (keypoints[:, 1] <= height - 1)
    rows = np.flatnonzero(on_chip & inside(mask, keypoints))
    order = np.lexsort((keypoints[rows, 0], keypoints[rows, 1], -scores[rows]))
    return rows[order[: limit or None]]


def circles(scales: np.ndarray) -> np.ndarray:
    """Frames (N, 3) float32 of round keypoints with diameters `scales` (N,)."""
    shapes = np.zeros((len(scales), 3), np.float32)
    shapes[:, 0] = shapes[:, 2] = scales / 2
    return shapes


def check_limits(chip_size: int, max_features: int) -> None:
    """ValueError unless the settings that every classical extractor has are in range."""
    if not 32 <= chip_size <= 8192:
        raise ValueError(f"chip_size is {chip_size}, expected 32 to 8192 pixels")
    if max_features < 0:
        raise ValueError(f"max_features is {max_features}, expected 0 (no limit) or more")


def sorted_features(
    keypoints: np.ndarray,
    histograms: np.ndarray,
    scores: np.ndarray,
    scales: np.ndarray,
    oris: np.ndarray,
    shapes: np.ndarray,
    size: tuple[int, int],
) -> Features:
    """Features from arrays of any float type, with RootSIFT of the histograms (N, 128)."""
    keypoints, scores, scales, oris, shapes = (
        np.ascontiguousarray(column, np.float32) for column in (keypoints, scores, scales, oris, shapes)
    )
    return Features(keypoints, root_sift(histograms), scores, scales, oris, shapes, size)
