"""What a query asks, checked: photos with their boxes and masks, and who may answer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, TypedDict

import numpy as np

from snowmatch.catalog.cells import CellError, RelativeBox, as_box
from snowmatch.core.errors import SnowmatchError
from snowmatch.core.types import Annotation, BBox

Photo = str | Path | np.ndarray | Annotation  # an annotation of the catalog: its photo, box, mask and body part
Mask = str | Path | np.ndarray | None


class QuestionOptions(TypedDict, total=False):
    """What a question may have beside its photos: filters, and what is known of the photos; see `make_question`."""

    body_part: str | None
    locations: str | Sequence[str]
    station: str | None
    timestamp: datetime | None
    bbox: Sequence[Any] | np.ndarray | None
    mask: Mask | Sequence[Mask]
    exclude_encounters: str | Sequence[str]
    top: int


@dataclass(frozen=True, eq=False)
class Question:
    """The P photos of one animal in one encounter, and the filters; see `make_question`.

    boxes and masks (P,) run in step with photos; None where the photo's row in the catalog, if any, is to tell.
    """

    photos: tuple[Photo, ...]
    boxes: tuple[BBox | RelativeBox | None, ...]
    masks: tuple[Mask, ...]
    body_part: str | None
    locations: tuple[str, ...]
    station: str | None
    timestamp: datetime | None
    exclude_encounters: tuple[str, ...]
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
    top: int = 5,
) -> Question:
    """A question from what people give: one photo or several, one box for one photo or one for each.

    SnowmatchError where no photo is given, where boxes or masks are not as many as photos, or where a value cannot be.
    """
    given = (photos,) if isinstance(photos, str | Path | np.ndarray | Annotation) else tuple(photos)
    if not given:
        raise SnowmatchError("no photo was given; give at least one")
    boxes = [bbox] if bbox is None or (len(bbox) and np.isscalar(bbox[0])) else list(bbox)
    masks = list(mask) if isinstance(mask, list | tuple) else [mask]
    if top < 1:
        raise SnowmatchError(f"top is {top}, expected at least 1")
    if timestamp is not None and timestamp.tzinfo is not None:
        raise SnowmatchError(f"timestamp is {timestamp}, expected the time of the camera's clock, without a time zone")
    return Question(
        given,
        tuple(_one_each("boxes were", [_box(box) for box in boxes], len(given))),
        tuple(_one_each("masks were", masks, len(given))),
        body_part,
        (locations,) if isinstance(locations, str) else tuple(locations),
        station,
        timestamp,
        (exclude_encounters,) if isinstance(exclude_encounters, str) else tuple(exclude_encounters),
        top,
    )


def _one_each(what: str, values: list[Any], photos: int) -> list[Any]:
    """`values` stretched to one per photo: nothing given is nothing for each; SnowmatchError on another number."""
    if len(values) == 1 and values[0] is None:
        return values * photos
    if len(values) != photos:
        raise SnowmatchError(f"{len(values)} {what} given for {photos} photos: give one for each, or ask one by one")
    return values


def _box(box: Any) -> BBox | RelativeBox | None:
    """A box in whole pixels, or as shares of the photo where no number is above 1; SnowmatchError for anything else."""
    if box is None:
        return None
    numbers = np.asarray(box)
    if numbers.shape != (4,) or not np.issubdtype(numbers.dtype, np.number) or not np.isfinite(numbers).all():
        raise SnowmatchError(f"the box is {box!r}, expected x, y, width, height in pixels of the upright photo")
    x, y, width, height = (float(n) for n in numbers)
    try:
        return as_box(x, y, width, height)
    except CellError as error:
        raise SnowmatchError(f"the box is {box!r}: {error}") from None
