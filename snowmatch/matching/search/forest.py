"""The FLANN kd-forest of OpenCV, with HotSpotter's settings."""

from __future__ import annotations

import cv2
import numpy as np

# HotSpotter's settings (ibeis 2.6.0, FLANN_8_kdtrees, checks 800).
TREES = 8
CHECKS = 800
FOREST_BYTES = 1 << 30  # of descriptors in a forest


class FlannIndex:
    """The FLANN kd-forest of OpenCV. It has no filters: it is asked for more neighbours until enough allowed ones are
    found.

    Source: Muja & Lowe, VISAPP 2009.
    """

    def __init__(self, descriptors: list[np.ndarray]) -> None:
        cv2.setRNGSeed(42)  # HotSpotter's seed; FLANN uses OpenCV's random numbers
        self.rows = np.concatenate(descriptors).astype(np.float32)
        kd_tree = {"algorithm": 1, "trees": TREES}  # 1 is FLANN_INDEX_KDTREE
        self.index = cv2.flann_Index(self.rows, kd_tree)  # type: ignore[attr-defined] # the stub leaves it out

    @property
    def memory(self) -> int:
        """Bytes that it needs in memory."""
        return forest_bytes(*self.rows.shape)

    def search(self, queries: np.ndarray, wanted: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
        squared = np.full((len(queries), k), np.inf, np.float32)
        rows = np.full((len(queries), k), -1, np.int64)
        left = np.arange(len(queries))
        ask = min(len(self.rows), int(np.ceil(k / wanted.mean())) + k)
        while len(left):
            if ask >= CHECKS:  # a forest checks CHECKS rows: for more neighbours, all rows are compared
                allowed = np.flatnonzero(wanted)
                for i in left:
                    away = ((self.rows[allowed] - queries[i]) ** 2).sum(axis=1)
                    nearest = np.argsort(away, kind="stable")[:k]
                    squared[i], rows[i] = away[nearest], allowed[nearest]
                break
            found, distances = self.index.knnSearch(queries[left], ask, params={"checks": CHECKS})
            good = (found >= 0) & wanted[np.maximum(found, 0)]
            first = np.argsort(~good, axis=1, kind="stable")[:, :k]  # allowed ones first, then by distance
            enough = good.sum(axis=1) >= k
            done = left[enough]
            rows[done] = np.take_along_axis(found, first, axis=1)[enough]
            squared[done] = np.take_along_axis(distances, first, axis=1)[enough]
            left = left[~enough]
            ask = min(len(self.rows), ask * 4)
        return squared, rows


def forest_bytes(rows: int, dimension: int) -> int:
    """Return the bytes that a forest needs in memory: its rows as float32, and as much again for its trees."""
    return 2 * 4 * rows * dimension


def forest_rows(dimension: int, dtype: np.dtype) -> int:
    """Return the largest number of descriptors in a forest, for descriptors of this length and type."""
    return max(1, FOREST_BYTES // max(1, dimension * dtype.itemsize))
