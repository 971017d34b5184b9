"""Boxes of other programs in pixels of the upright photo, whatever they are given in."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

from snowmatch.core.boxes import pixel_box
from snowmatch.core.errors import SnowmatchError
from snowmatch.core.imported import ImportedRow
from snowmatch.core.types import BBox
from snowmatch.photos.facts import read_facts
from snowmatch.photos.turned import Edges, stored_orientation, upright_edges

SAME_SHAPE = 0.02  # two sizes are of one shape if width / height differs by less: copies are scaled to whole pixels
BEYOND = 0.01  # a box that reaches further beyond the photo is noted, as a share of the photo


@dataclass(frozen=True)
class Placed:
    """A box in the upright photo (px). clipped: it reached beyond the photo. turned: it was of the stored pixels."""

    bbox: BBox
    clipped: bool = False
    turned: bool = False


def box_in_photo(row: ImportedRow, photo: Path) -> Placed:
    """Return the box of a row in its photo. The row must have a box.

    Where the program's size of the photo is that of the photo before EXIF turns it, so is the box. Where it is another
    size of the same shape, the box is scaled. Raises SnowmatchError if the photo cannot be read, if its shape is
    another, or if no part of the box lies in it.
    """
    assert row.box is not None
    size = read_facts(photo).image_size
    if size is None:
        raise SnowmatchError(f"{photo} has no size that can be read: copy it again")
    given = row.image_size
    turned = row.unit == "stored px"
    if given is not None and not _same_shape(given, size):
        if not _same_shape(given[::-1], size) or turned:
            raise SnowmatchError(
                f"{given[0]} x {given[1]} px in the source, but {size[0]} x {size[1]} px upright: check that it is the "
                "same photo"
            )
        turned = True
    turn = stored_orientation(photo) if turned else 1
    if turned and given is not None and row.unit != "stored px" and turn < 5:
        raise SnowmatchError(
            f"{given[0]} x {given[1]} px in the source, but {size[0]} x {size[1]} px in the file, and no EXIF "
            "says how it "
            "was turned: check that it is the same photo"
        )
    stored = size[::-1] if turn >= 5 else size
    across, down = stored if row.unit == "share" else (1.0, 1.0)
    if row.unit == "px" and given is not None:
        across, down = stored[0] / given[0], stored[1] / given[1]
    x, y, width, height = row.box
    edges: Edges = (x * across, y * down, (x + width) * across, (y + height) * down)
    left, top, right, bottom = upright_edges(edges, turn, size)
    if not all(map(math.isfinite, (left, top, right, bottom))):
        raise SnowmatchError(f"the box {x:g},{y:g},{width:g},{height:g} has numbers without end: check the source")
    bbox = pixel_box(left, top, right, bottom, size)
    if bbox is None:
        raise SnowmatchError(
            f"no part of the box {x:g},{y:g},{width:g},{height:g} lies in the photo of {size[0]} x {size[1]} px: check "
            "that it is the same photo"
        )
    beyond = min(left / size[0], top / size[1]) < -BEYOND or max(right / size[0], bottom / size[1]) > 1 + BEYOND
    return Placed(bbox, beyond, turn != 1)


def _same_shape(one: tuple[int, int], other: tuple[int, int]) -> bool:
    across, down = one[0] * other[1], one[1] * other[0]
    return abs(across - down) <= SAME_SHAPE * max(across, down)
