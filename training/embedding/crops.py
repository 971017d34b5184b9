"""The pixels of one annotation: its box, and where its mask says the animal is."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from snowmatch.core.errors import SnowmatchError
from snowmatch.core.types import Annotation
from snowmatch.photos.chips import clip_bbox
from snowmatch.photos.pixels import read_mask, read_photo


def crop(folder: Path, annotation: Annotation) -> np.ndarray:
    """The box of an annotation (the whole photo without one) as (H, W, 3) uint8 RGB."""
    photo = read_photo(folder / annotation.path)
    return np.ascontiguousarray(photo[_box(photo, annotation)])


def crop_and_mask(folder: Path, annotation: Annotation) -> tuple[np.ndarray, np.ndarray | None]:
    """`crop`, and there (H, W) bool where the animal is; None without a mask."""
    photo = read_photo(folder / annotation.path)
    box = _box(photo, annotation)
    mask = read_mask(folder / annotation.mask, (photo.shape[1], photo.shape[0])) if annotation.mask else None
    return np.ascontiguousarray(photo[box]), None if mask is None else mask[box]


def _box(photo: np.ndarray, annotation: Annotation) -> tuple[slice, slice]:
    size = (photo.shape[1], photo.shape[0])
    try:
        x, y, w, h = clip_bbox(annotation.bbox or (0, 0, *size), size)
    except SnowmatchError as error:
        raise SnowmatchError(f"{annotation.path}: {error}") from error
    return slice(y, y + h), slice(x, x + w)
