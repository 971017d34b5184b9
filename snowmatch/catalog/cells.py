"""The cells of a catalog's table: accepted texts, their values, and errors."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from snowmatch.core.text import choices
from snowmatch.core.types import BODY_PARTS, BBox

SPLITS = ("train", "test")
LARGEST = 1e9  # px; no photo is larger
LARGER = 0.01  # a box in shares may be so much larger than the photo
BOX = "expected x,y,w,h in px of the upright photo (or as shares of it), w and h above 0"
# Usual spellings of body parts, in lower case, with single blanks between words
_SIDE = {"left": "left_flank", "right": "right_flank"}
SPELLINGS = {
    **{part.replace("_", " "): part for part in BODY_PARTS},
    **{
        f"{side}{more}": part
        for side, part in _SIDE.items()
        for more in ("", " side", "side", "flank", " body", " view")
    },
    **{f"{more}{side}": part for side, part in _SIDE.items() for more in ("flank ", "side ")},
    **{f"{side[0]}{more}": part for side, part in _SIDE.items() for more in ("", "f", "fl", "hs", "s")},
    "face": "head",
    "unk": "unknown",
    "not known": "unknown",
    "none": "unknown",
    "na": "unknown",
    "n/a": "unknown",
    "?": "unknown",
}
_PLAIN = re.compile(r"\w[\w-]*(/\w[\w-]*)*\.\w+", re.ASCII)  # a path that is in its normal form
_WHOLE = re.compile(r"([0-9]{1,8}),([0-9]{1,8}),([2-9]|[1-9][0-9]{1,7}),([2-9]|[1-9][0-9]{1,7})", re.ASCII)
_NUMBER = re.compile(r"[+-]?(\d+[.,]?\d*|[.,]\d+)([eE][+-]?\d+)?")


class CellError(ValueError):
    """The error for a cell; its text is what is expected."""


@dataclass(frozen=True)
class RelativeBox:
    """A box as shares of the photo's width and height, as in MegaDetector."""

    x: float
    y: float
    width: float
    height: float

    def of_photo(self, image_size: tuple[int, int]) -> BBox:
        """Return the box in whole pixels of a photo of `image_size` (width, height), rounded outward."""
        across, down = image_size
        return outward(self.x * across, self.y * down, self.width * across, self.height * down)


def read_path(text: str) -> str:
    """Return a path in its normal form: relative, with forward slashes, without "." parts; "" for blanks. Raises
    CellError.
    """
    if not text.strip():
        return ""
    expected = "expected a path inside the catalog's folder, such as images/IMG_0042.JPG"
    path = text.replace("\\", "/")
    if _PLAIN.fullmatch(path):
        return path
    if path[0] == "/" or path[1:2] == ":" or "\0" in path:
        raise CellError(expected)
    parts = path.split("/")
    if ".." in parts:
        raise CellError(f"{expected}, without '..'")
    return "/".join(part for part in parts if part not in ("", "."))


@lru_cache(maxsize=1000)
def read_body_part(text: str) -> str:
    """Return the body part of a text in a usual spelling; `unknown` for an empty text. Raises CellError."""
    words = " ".join(re.split(r"[\s_.-]+", text.strip().lower())).strip()
    if not words:
        return "unknown"
    try:
        return SPELLINGS[words]
    except KeyError:
        raise CellError(f"{choices(text.strip(), BODY_PARTS)}, or an empty cell") from None


def read_split(text: str) -> str:
    """Return `train` or `test`, from any case; "" for an empty text. Raises CellError."""
    word = text.strip().lower()
    if word and word not in SPLITS:
        raise CellError(f"{choices(text.strip(), SPLITS)}, or an empty cell")
    return word


def read_box(text: str) -> BBox | RelativeBox | None:
    """Return a box from a text `x,y,w,h`, also in brackets, separated by commas, semicolons or blanks; None for an
    empty text.

    Four numbers up to 1 are shares of the photo's width and height (see `are_shares`). Others are pixels; fractions are
    rounded outward, so that no part of the animal is cut off. Raises CellError.
    """
    if not text:
        return None
    if match := _WHOLE.fullmatch(text):  # nearly all boxes: whole pixels, none of which can be a share
        left, top, wide, high = map(int, match.groups())
        return left, top, wide, high
    inner = text.strip().strip("[](){}").strip()
    if not inner:
        return None
    numbers = _numbers(inner)
    if numbers is None or len(numbers) != 4:
        raise CellError(f"{BOX}, or an empty cell")
    x, y, width, height = numbers
    try:
        return as_box(x, y, width, height)
    except CellError as error:
        raise CellError(f"{error}, or an empty cell") from None


def as_box(x: float, y: float, width: float, height: float) -> BBox | RelativeBox:
    """Return the box of four numbers. Raises CellError if it has no area or is too large."""
    numbers = (x, y, width, height)
    if not all(map(math.isfinite, numbers)) or max(map(abs, numbers)) > LARGEST or width <= 0 or height <= 0:
        raise CellError(BOX)
    if are_shares(numbers):
        return RelativeBox(x, y, width, height)
    return outward(x, y, width, height)


def are_shares(box: Sequence[float]) -> bool:
    """Return whether a box, x, y, width, height, is in shares of the photo, not in pixels.

    A detector's box may begin outside the photo, and be a little larger than it.
    """
    return max(box) <= 1 + LARGER and min(box) > -1


def outward(x: float, y: float, width: float, height: float) -> BBox:
    """Return the smallest box of whole pixels that contains this box, with a tolerance of a millionth of a pixel."""
    left, top = math.floor(x + 1e-6), math.floor(y + 1e-6)
    right, bottom = math.ceil(x + width - 1e-6), math.ceil(y + height - 1e-6)
    return left, top, max(right - left, 1), max(bottom - top, 1)


def _numbers(text: str) -> list[float] | None:
    """Return the numbers of a list; None if a part is not a number. With another separator, a comma is a decimal
    mark.
    """
    if len(pieces := re.split(r"\s*,\s*", text)) == 8 and all(piece.strip("-").isdigit() for piece in pieces):
        text = ";".join(map(".".join, zip(pieces[::2], pieces[1::2], strict=True)))  # 0,05,0,2,0,9,0,6
    for separator in (";", r"\s+", ","):
        parts = [part.strip() for part in re.split(separator, text)]
        if separator == r"\s+":
            parts = [part.rstrip(",") for part in parts]
        if len(parts) == 4 and all(_NUMBER.fullmatch(part) for part in parts):
            return [float(part.replace(",", ".")) for part in parts]
    return None
