"""Extractors. One file is one extractor.

`core/plugins.py` describes what an extractor must have. `docs/contributing.md` has an example.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from snowmatch.core.threads import one_thread
from snowmatch.core.types import BBox, Chip, Features
from snowmatch.photos.chips import clip_bbox, make_chip, to_photo


def check_extractor(extractor: Any) -> None:
    """Raise SnowmatchError if the extractor needs weights or a device that is missing."""
    if hasattr(extractor, "check"):
        extractor.check()


def batch_of(extractor: Any) -> int:
    """Return the number of chips that the extractor processes together."""
    return getattr(extractor, "batch", 1)


def extract_from_photo(extractor: Any, photo: np.ndarray, bbox: BBox | None, mask: np.ndarray | None) -> Features:
    """Return the features of one annotation, in pixels of the photo.

    photo: (H, W, 3) uint8 RGB, upright. mask: (H, W) bool or None. A box that extends beyond the photo is clipped.
    Raises SnowmatchError if nothing of the box is left.
    """
    return extract_chips(extractor, [chip_of(extractor, photo, bbox, mask)])[0]


def chip_of(extractor: Any, photo: np.ndarray, bbox: BBox | None, mask: np.ndarray | None) -> Chip:
    """Return the chip of one annotation for the extractor. Parameters and errors as for `extract_from_photo`."""
    if bbox is not None:
        bbox = clip_bbox(bbox, (photo.shape[1], photo.shape[0]))
    return make_chip(photo, bbox, mask, extractor.chip_size, extractor.CHANNELS)


def extract_chips(extractor: Any, chips: Sequence[Chip]) -> list[Features]:
    """Return the features of each chip, in pixels of the photo."""
    with one_thread():  # an index run uses the cores for several photos
        several = hasattr(extractor, "extract_many")
        found = extractor.extract_many(chips) if several else [extractor.extract(chip) for chip in chips]
    return [to_photo(features, chip) for features, chip in zip(found, chips, strict=True)]
