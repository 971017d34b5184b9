"""The common part of the classical extractors: RootSIFT, and the selection of keypoints."""

from __future__ import annotations

import numpy as np

from snowmatch.core.types import Features
from snowmatch.photos.chips import inside

DIMENSION = 128
NORM = 512.0  # norm of a uint8 descriptor, as in Lowe 2004 and hesaff; few of its elements reach 255


def root_sift(histograms: np.ndarray) -> np.ndarray:
    """Return RootSIFT descriptors (N, 128) uint8 of norm 512 from gradient histograms (N, 128) of any scale.

    Histograms of zeros stay zero; no histograms give no descriptors.

    Source: Lowe, IJCV 2004, section 6.1 (no element above 0.2 of the norm); Arandjelovic & Zisserman, CVPR 2012 (L1
    norm, then the square root).
    """
    length = np.linalg.norm(histograms, axis=1, keepdims=True)
    clipped = np.minimum(histograms, 0.2 * length)
    total = np.maximum(clipped.sum(axis=1, keepdims=True), np.finfo(np.float32).tiny)
    return np.minimum(np.rint(NORM * np.sqrt(clipped / total)), 255).astype(np.uint8)


def choose(
    keypoints: np.ndarray, scores: np.ndarray, mask: np.ndarray | None, size: tuple[int, int], limit: int
) -> np.ndarray:
    """Return the rows of the best keypoints inside the chip and its mask, by descending score, at most `limit` (0:
    all).

    keypoints: (N, 2). scores: (N,). mask: (H, W) bool or None. size: (width, height). Equal scores are sorted by y,
    then by x, so that the order does not depend on how the keypoints were found.
    """
    width, height = size
    on_chip = (keypoints >= 0).all(axis=1) & (keypoints[:, 0] <= width - 1) & (keypoints[:, 1] <= height - 1)
    rows = np.flatnonzero(on_chip & inside(mask, keypoints))
    order = np.lexsort((keypoints[rows, 0], keypoints[rows, 1], -scores[rows]))
    return rows[order[: limit or None]]


def circles(scales: np.ndarray) -> np.ndarray:
    """Return frames (N, 3) float32 of round keypoints with the diameters `scales` (N,)."""
    shapes = np.zeros((len(scales), 3), np.float32)
    shapes[:, 0] = shapes[:, 2] = scales / 2
    return shapes


def check_limits(chip_size: int, max_features: int) -> None:
    """Raise ValueError if a setting that all classical extractors have is out of range."""
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
    """Return features from arrays of any float type, with RootSIFT descriptors of the histograms (N, 128)."""
    keypoints, scores, scales, oris, shapes = (
        np.ascontiguousarray(column, np.float32) for column in (keypoints, scores, scales, oris, shapes)
    )
    return Features(keypoints, root_sift(histograms), scores, scales, oris, shapes, size)
