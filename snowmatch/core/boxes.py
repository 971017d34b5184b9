"""Calculations with boxes: x, y, width, height (px)."""

from __future__ import annotations

from snowmatch.core.types import BBox


def pixel_box(left: float, top: float, right: float, bottom: float, image_size: tuple[int, int]) -> BBox | None:
    """Return the whole-pixel box with these edges (px), cut off at the edge of the photo; None if no area is left.

    image_size: (width, height) of the photo. Each edge is rounded to the nearest pixel edge.
    """
    x0, x1 = (min(max(round(edge), 0), image_size[0]) for edge in (left, right))
    y0, y1 = (min(max(round(edge), 0), image_size[1]) for edge in (top, bottom))
    return (x0, y0, x1 - x0, y1 - y0) if x1 > x0 and y1 > y0 else None


def overlap(one: BBox | None, other: BBox | None) -> float:
    """Return the common area of two boxes as a share of their joint area, 0 to 1; 0 without a box."""
    if one is None or other is None:
        return 0.0
    width = min(one[0] + one[2], other[0] + other[2]) - max(one[0], other[0])
    height = min(one[1] + one[3], other[1] + other[3]) - max(one[1], other[1])
    common = max(width, 0) * max(height, 0)
    return common / (one[2] * one[3] + other[2] * other[3] - common)
