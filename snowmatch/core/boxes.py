"""Calculations with boxes: x, y, width, height (px)."""

from __future__ import annotations

from snowmatch.core.types import BBox


def overlap(one: BBox | None, other: BBox | None) -> float:
    """Return the common area of two boxes as a share of their joint area, 0 to 1; 0 without a box."""
    if one is None or other is None:
        return 0.0
    width = min(one[0] + one[2], other[0] + other[2]) - max(one[0], other[0])
    height = min(one[1] + one[3], other[1] + other[3]) - max(one[1], other[1])
    common = max(width, 0) * max(height, 0)
    return common / (one[2] * one[3] + other[2] * other[3] - common)
