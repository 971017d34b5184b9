"""What an ONNX detector needs and gives: the settings file beside the network.

A settings file is TOML. `labels`, `input_size` and `layout` are required; the other keys have defaults:

    labels = ["animal", "person", "vehicle"]  # in the order of the network's classes
    input_size = [640, 640]                   # width, height (px)
    layout = "yolo"                           # one of LAYOUTS
    relative = false       # the boxes are shares of the input, not its pixels (default: by layout)
    nms = false            # the network itself removes boxes of the same object (default: by layout)
    resize = "letterbox"   # or "stretch"
    interpolation = "bilinear"  # or "bicubic", "lanczos", "cv2_bilinear"
    pad = 114              # grey value around the photo
    channels = "rgb"       # or "bgr"
    scale = 255            # pixel values are divided by it
    threshold = 0.2        # lowest confidence
    overlap = 0.45         # boxes of one class that overlap more are one object
    licence = "MIT"
    source = "https://..."
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from snowmatch.core.errors import SnowmatchError
from snowmatch.core.text import choices

# For each layout: what the network gives for N boxes and C classes
LAYOUTS = {
    "yolo": "N x (4 + C): centre x, centre y, width, height, a score for each class",
    "yolo_objectness": "N x (5 + C): centre x, centre y, width, height, objectness, a score for each class",
    "rows": "N x 6: left, top, right, bottom, score, class",
    "rows_centre": "N x 6: centre x, centre y, width, height, score, class",
    "detr": "two outputs: N x C logits, and N x 4 with centre x, centre y, width, height",
}
RELATIVE = ("rows_centre", "detr")  # layouts whose boxes are shares of the input, if the settings file says nothing
SUPPRESSED = ("rows", "rows_centre", "detr")  # layouts without several boxes of one object, likewise
INTERPOLATIONS = ("bilinear", "bicubic", "lanczos", "cv2_bilinear")
LARGEST_INPUT = 8192  # px


@dataclass(frozen=True)
class Description:
    """How a detector is fed and read. The keys are those of the settings file. None: the default of the layout."""

    labels: tuple[str, ...]
    input_size: tuple[int, int]
    layout: str
    relative: bool | None = None
    nms: bool | None = None
    resize: str = "letterbox"
    interpolation: str = "bilinear"
    pad: int = 114
    channels: str = "rgb"
    scale: float = 255.0
    threshold: float = 0.2
    overlap: float = 0.45
    licence: str = ""
    source: str = ""

    def __post_init__(self) -> None:
        if not self.labels or not all(isinstance(label, str) and label.strip() for label in self.labels):
            raise ValueError(f"labels is {list(self.labels)}, expected the names of the classes")
        sizes = self.input_size
        if len(sizes) != 2 or not all(_whole(s) and 1 <= s <= LARGEST_INPUT for s in sizes):
            raise ValueError(f"input_size is {list(sizes)}, expected width and height in pixels, such as [640, 640]")
        for name, known in (
            ("layout", tuple(LAYOUTS)),
            ("resize", ("letterbox", "stretch")),
            ("interpolation", INTERPOLATIONS),
            ("channels", ("rgb", "bgr")),
        ):
            if (word := getattr(self, name)) not in known:
                raise ValueError(f"{name} is {word!r}, {choices(str(word), known)}")
        if not (_whole(self.pad) and 0 <= self.pad <= 255):
            raise ValueError(f"pad is {self.pad!r}, expected a whole number from 0 to 255")
        for name, least, most in (("scale", 1e-6, 1e6), ("threshold", 0, 1), ("overlap", 0, 1)):
            number = getattr(self, name)
            if isinstance(number, bool) or not isinstance(number, int | float) or not least <= number <= most:
                raise ValueError(f"{name} is {number!r}, expected a number from {least} to {most}")
        for name, default in (("relative", self.layout in RELATIVE), ("nms", self.layout in SUPPRESSED)):
            given = getattr(self, name)
            if not isinstance(given, bool | None):
                raise ValueError(f"{name} is {given!r}, expected true or false")
            object.__setattr__(self, name, default if given is None else given)
        for name in ("licence", "source"):
            if not isinstance(text := getattr(self, name), str):
                raise ValueError(f"{name} is {text!r}, expected a text")


def read_toml(text: str, where: str) -> dict[str, Any]:
    """Return a TOML text as a table. where: the file, for the error. Raises SnowmatchError if it is not TOML."""
    try:
        return tomllib.loads(text)
    except (ValueError, RecursionError) as error:  # ValueError: also a number of thousands of digits
        raise SnowmatchError(f"{where} is not a TOML file ({error}): correct it") from error


def described(table: Mapping[str, Any], where: str) -> Description:
    """Return the description with the keys of a settings file. where: the file, for the error.

    Raises SnowmatchError if a key is missing or unknown, or if a value is not possible.
    """
    known = [f.name for f in fields(Description)]
    missing = [key for key in ("labels", "input_size", "layout") if key not in table]
    if missing:
        raise SnowmatchError(f"{where} has no {', '.join(missing)}: add what the network's authors say")
    for key in table:
        if key not in known:
            raise SnowmatchError(f"{where} has the key {key!r}, {choices(key, known)}")
    values = dict(table)
    for key in ("labels", "input_size"):
        if not isinstance(values[key], list):
            raise SnowmatchError(f"{where}: {key} is {values[key]!r}, expected a list")
        values[key] = tuple(values[key])
    return checked(values, where)


def checked(values: Mapping[str, Any], where: str) -> Description:
    """Return Description(**values). Raises SnowmatchError, with the name of the file, if a value is not possible."""
    try:
        return Description(**values)
    except ValueError as error:
        raise SnowmatchError(f"{where}: {error}") from error


def _whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)
