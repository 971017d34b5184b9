"""How much of what two photos both show of an animal is covered by the spots that agree."""

from __future__ import annotations

import cv2
import numpy as np

from snowmatch.core.types import BBox

FEWEST = 4  # spots: three always fit, whatever they are


def covered_share(points0: np.ndarray, points1: np.ndarray, box0: BBox, box1: BBox) -> float | None:
    """Return the share, 0 to 1, of the common area of two boxes that lies inside the outline of the spots that agree.

    points0, points1: (M, 2) px, the same spots in two photos. box0, box1: x, y, width, height (px) of the animal in
    them. The first box is laid over the second by the affine map that fits the spots best. Returns None with fewer than
    FEWEST spots, with spots on one line, or if the boxes have no common area.

    Source: least squares; convex hull, Sklansky 1982.
    """
    if len(points0) < FEWEST:
        return None
    ones = np.column_stack([points0, np.ones(len(points0))]).astype(np.float64)
    middle = ones[:, :2].mean(axis=0)
    ones[:, :2] -= middle  # numbers around 0 are fitted more exactly
    affine, _, rank, _ = np.linalg.lstsq(ones, points1.astype(np.float64), rcond=None)
    if rank < 3:
        return None
    # rounded, because OpenCV mistakes edges that nearly coincide
    corners = (np.column_stack([_corners(box0) - middle, np.ones(4)]) @ affine).round(2)
    area, common = cv2.intersectConvexConvex(
        cv2.convexHull(corners.astype(np.float32)), _corners(box1).astype(np.float32)
    )
    if area <= 0 or common is None:
        return None
    outline = cv2.convexHull(points1.astype(np.float32))
    inside, _ = cv2.intersectConvexConvex(outline, cv2.convexHull(common))
    return float(np.clip(inside / area, 0, 1))


def _corners(box: BBox) -> np.ndarray:
    x, y, width, height = box
    return np.array([[x, y], [x + width, y], [x + width, y + height], [x, y + height]], np.float64)
