"""The question of a query: photos with their boxes and masks, and the filters on the annotations that may answer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from numbers import Real
from pathlib import Path
from typing import Any, TypedDict

import numpy as np

from snowmatch.catalog.cells import CellError, RelativeBox, as_box
from snowmatch.catalog.load import check_body_part
from snowmatch.core.errors import SnowmatchError
from snowmatch.core.text import same_name
from snowmatch.core.types import Annotation, BBox

Photo = str | Path | np.ndarray | Annotation  # an annotation of the catalog: its photo, box, mask and body part
Mask = str | Path | np.ndarray | None


class QuestionOptions(TypedDict, total=False):
    """The arguments of `make_question`, apart from the photos."""

    body_part: str | None
    locations: str | Sequence[str]
    station: str | None
    timestamp: datetime | None
    bbox: Sequence[Any] | np.ndarray | None
    mask: Mask | Sequence[Mask]
    exclude_encounters: str | Sequence[str]
    new: float | None
    top: int


@dataclass(frozen=True, eq=False)
class Question:
    """The P photos of one animal in one encounter, and the filters.

    boxes: one for each photo, x, y, width, height (whole px); None to use the box of the photo's row in the catalog, if
    it has a row. masks: one for each photo, a file or (H, W) array; None to use the mask of the row.
    body_part: None to use the body part of the rows. locations: the locations that may answer; empty for all.
    station, timestamp: where and when the query photos were taken; None if not known.
    exclude_encounters: names of encounters that may not answer. new: the probability, before any evidence, that the
    animal is not on record; None for what the catalog suggests. top: number of candidates in the answer, 1 or more.
    """

    photos: tuple[Photo, ...]
    boxes: tuple[BBox | RelativeBox | None, ...]
    masks: tuple[Mask, ...]
    body_part: str | None
    locations: tuple[str, ...]
    station: str | None
    timestamp: datetime | None
    exclude_encounters: tuple[str, ...]
    new: float | None
    top: int


def make_question(
    photos: Photo | Sequence[Photo],
    *,
    body_part: str | None = None,
    locations: str | Sequence[str] = (),
    station: str | None = None,
    timestamp: datetime | None = None,
    bbox: Sequence[Any] | np.ndarray | None = None,
    mask: Mask | Sequence[Mask] = None,
    exclude_encounters: str | Sequence[str] = (),
    new: float | None = None,
    top: int = 5,
) -> Question:
    """Return the question. Its values are checked here or when the question is answered.

    photos: one photo or several photos of one animal in one encounter; files, (H, W, 3) uint8 RGB arrays, or
    annotations of the catalog. bbox, mask: one for one photo, or one for each photo; None for none.
    Raises SnowmatchError if there is no photo, if the number of boxes or masks differs from the number of photos, or if
    a box, `timestamp`, `new` or `top` is not valid.
    """
    given = (photos,) if isinstance(photos, str | Path | np.ndarray | Annotation) else tuple(photos)
    if not given:
        raise SnowmatchError("no photo was given; give at least one")
    boxes = [bbox] if bbox is None or (len(bbox) and np.isscalar(bbox[0])) else list(bbox)
    masks = list(mask) if isinstance(mask, list | tuple) else [mask]
    if not isinstance(top, Real) or top < 1 or not float(top).is_integer():
        raise SnowmatchError(f"top is {top!r}, expected a whole number, at least 1")
    if new is not None and not 0 < new < 1:
        raise SnowmatchError(f"new is {new}, expected a probability above 0 and below 1, such as 0.2")
    if timestamp is not None and not isinstance(timestamp, datetime):
        raise SnowmatchError(f"timestamp is {timestamp!r}, expected a datetime, such as datetime(2023, 3, 29, 20, 28)")
    if timestamp is not None and timestamp.tzinfo is not None:
        raise SnowmatchError(f"timestamp is {timestamp}, expected the time of the camera's clock, without a time zone")
    body_part = check_body_part(body_part) if body_part is not None else None
    return Question(
        given,
        tuple(_one_each("boxes were", [_box(box) for box in boxes], len(given))),
        tuple(_one_each("masks were", masks, len(given))),
        body_part,
        place_names(locations),
        None if station is None else same_name(station.strip()),
        timestamp,
        # The name of an encounter may hold a path, which stays as it is
        (exclude_encounters,) if isinstance(exclude_encounters, str) else tuple(exclude_encounters),
        new,
        int(top),  # R writes 3 as 3.0
    )


def place_names(given: str | Sequence[str]) -> tuple[str, ...]:
    """Return names of places as the catalog has them: with composed letters, without blanks round them."""
    return tuple(same_name(name.strip()) for name in ((given,) if isinstance(given, str) else given))


def _one_each(what: str, values: list[Any], photos: int) -> list[Any]:
    """Return one value for each photo: `values`, or None for each if the only value is None.

    Raises SnowmatchError if the number of values differs from the number of photos.
    """
    if len(values) == 1 and values[0] is None:
        return values * photos
    if len(values) != photos:
        raise SnowmatchError(f"{len(values)} {what} given for {photos} photos: give one for each, or query one by one")
    return values


def _box(box: Any) -> BBox | RelativeBox | None:
    """Return a box in whole pixels, or as shares of the photo if no number is above 1. None stays None.

    Raises SnowmatchError if it is not valid.
    """
    if box is None or isinstance(box, RelativeBox):
        return box
    numbers = np.asarray(box)
    if numbers.shape != (4,) or not np.issubdtype(numbers.dtype, np.number) or not np.isfinite(numbers).all():
        raise SnowmatchError(f"the box is {box!r}, expected x, y, width, height in pixels of the upright photo")
    x, y, width, height = (float(n) for n in numbers)
    try:
        return as_box(x, y, width, height)
    except CellError as error:
        raise SnowmatchError(f"the box is {box!r}: {error}") from None
