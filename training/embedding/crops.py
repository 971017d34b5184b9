"""The pixels of one annotation: its box and its mask."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from snowmatch.core.errors import SnowmatchError
from snowmatch.core.types import Annotation
from snowmatch.photos.chips import clip_bbox
from snowmatch.photos.pixels import read_mask, read_photo


def crop(folder: Path, annotation: Annotation) -> np.ndarray:
    """Return the box of an annotation (without a box, the whole photo) as (H, W, 3) uint8 RGB."""
    photo = read_photo(folder / annotation.path)
    return np.ascontiguousarray(photo[_box(photo, annotation)])


def crop_and_mask(folder: Path, annotation: Annotation) -> tuple[np.ndarray, np.ndarray | None]:
    """Return `crop`, and its mask: (H, W) bool, True on the animal; None without a mask."""
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
