"""The facts of single photos for grouping them into encounters."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime

from snowmatch.photos.likeness import difference

# Neighbouring frames of a burst of the leopards differ in 26 bits (a quarter of them), 38 (half) or 49 (three
# quarters); photos that one station took in different encounters in 33 bits at least, but for one pair of 400 photos.
BURST = 32  # bits: up to this difference, consecutive frames of a folder are one burst
BURST_NUMBERED = 60  # the same if their file numbers are consecutive
_DIGITS = re.compile(r"(\d+)")


@dataclass(frozen=True)
class Shot:
    """The facts of one photo. Empty values mean "not known".

    name: of the photo, unique. folder: frames of one burst are in one folder. camera: its name in the catalog, or its
    serial number. dated: `taken` has no time of day. individuals: the names of the animals in the photo.
    """

    name: str
    folder: str = ""
    location: str = ""
    station: str = ""
    camera: str = ""
    taken: datetime | None = None
    dated: bool = False
    individuals: frozenset[str] = frozenset()
    likeness: bytes = b""


def file_order(name: str) -> list[tuple[int, str]]:
    """Return a key to sort file names by: IMG_9 before IMG_10."""
    return [(int(piece), piece) if piece.isdecimal() else (-1, piece.lower()) for piece in _DIGITS.split(name)]


def file_number(name: str) -> int | None:
    """Return the last number in the name of a file without its ending: 42 of IMG_0042.JPG; None without a number."""
    numbers = _DIGITS.findall(name.rsplit("/", 1)[-1].rsplit(".", 1)[0])
    return int(numbers[-1]) if numbers else None


def name_series(name: str) -> tuple[str, ...]:
    """Return what the names of one camera's files share: the pieces around their digits, without the ending.

    Photos and videos, and two cameras in one folder, are often told apart so: `img_` and `vid_`, `a_` and `b_`.
    """
    return tuple(_DIGITS.split(name.rsplit("/", 1)[-1].rsplit(".", 1)[0].lower())[::2])


def alike(one: Shot, other: Shot) -> bool:
    """Return whether two photos that follow each other in a folder look like frames of one burst."""
    bits = difference(one.likeness, other.likeness)
    numbers = file_number(one.name), file_number(other.name)
    numbered = None not in numbers and numbers[1] == numbers[0] + 1  # type: ignore[operator]
    return bits <= (BURST_NUMBERED if numbered else BURST)
