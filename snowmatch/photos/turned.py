"""Boxes in the pixels of a photo's file, which other programs may have used without EXIF orientation."""

from __future__ import annotations

from pathlib import Path

from snowmatch.photos.exif import orientation
from snowmatch.photos.formats import open_photo

Edges = tuple[float, float, float, float]  # left, top, right, bottom (px)


def stored_orientation(path: Path) -> int:
    """Return the EXIF orientation (1 to 8) of a photo. Raises SnowmatchError if the photo cannot be read."""
    with open_photo(path) as image:
        return orientation(image)


def upright_edges(edges: Edges, turn: int, image_size: tuple[float, float]) -> Edges:
    """Return the edges of a box in the upright photo, from its edges in the stored pixels.

    turn: the EXIF orientation, 1 to 8. image_size: (width, height) of the upright photo, in the unit of the edges.
    Source: EXIF 2.3, tag 0x0112.
    """
    left, top, right, bottom = edges
    width, height = image_size
    if turn in (2, 3):
        left, right = width - right, width - left
    if turn in (3, 4):
        top, bottom = height - bottom, height - top
    if turn >= 5:
        left, top, right, bottom = top, left, bottom, right
    if turn in (6, 7):
        left, right = width - right, width - left
    if turn in (7, 8):
        top, bottom = height - bottom, height - top
    return left, top, right, bottom


def stored_edges(edges: Edges, turn: int, image_size: tuple[float, float]) -> Edges:
    """Return the edges of a box in the stored pixels, from its edges in the upright photo.

    turn: the EXIF orientation, 1 to 8. image_size: (width, height) of the stored pixels, in the unit of the edges.
    """
    return upright_edges(edges, {6: 8, 8: 6}.get(turn, turn), image_size)  # a quarter turn is taken back by the other
