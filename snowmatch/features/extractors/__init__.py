"""Extractors, one file each. An extractor is a frozen dataclass `PLUGIN` with

- fields that are its settings, `chip_size` (longest side of the chip, px) among them;
- class variables `REVISION` (raise it when the code's output changes), `CHANNELS` ("grey" or "rgb"), `DIMENSION`,
  `DTYPE` of its descriptors (numpy.uint8 or numpy.float32), `FRAMES` (whether it gives shapes);
- `extract(chip) -> Features` in chip pixels, sorted by falling score; no keypoint where `chip.mask` is False; a blank,
  tiny or featureless chip gives zero features. The same chip gives the same bytes;
- where it needs weights or a device, `check()`, which raises SnowmatchError if they are not here; and where several
  chips at once are faster, `batch`, how many, and `extract_many(chips)`, which gives the features of each.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from snowmatch.core.threads import one_thread
from snowmatch.core.types import BBox, Chip, Features
from snowmatch.photos.chips import clip_bbox, make_chip, to_photo


def check_extractor(extractor: Any) -> None:
    """SnowmatchError where the extractor needs weights or a device that are not here."""
    if hasattr(extractor, "check"):
        extractor.check()


def batch_of(extractor: Any) -> int:
    """How many chips to hand to an extractor at once."""
    return getattr(extractor, "batch", 1)


def extract_from_photo(extractor: Any, photo: np.ndarray, bbox: BBox | None, mask: np.ndarray | None) -> Features:
    """Features of one annotation in photo pixels: `photo` (H, W, 3) uint8 RGB upright, `mask` (H, W) bool or None.

    A box partly outside is clipped; SnowmatchError where nothing of it is left.
    """
    return extract_chips(extractor, [chip_of(extractor, photo, bbox, mask)])[0]


def chip_of(extractor: Any, photo: np.ndarray, bbox: BBox | None, mask: np.ndarray | None) -> Chip:
    """The chip that the extractor sees of one annotation; arguments and errors as of extract_from_photo."""
    if bbox is not None:
        bbox = clip_bbox(bbox, (photo.shape[1], photo.shape[0]))
    return make_chip(photo, bbox, mask, extractor.chip_size, extractor.CHANNELS)


def extract_chips(extractor: Any, chips: Sequence[Chip]) -> list[Features]:
    """Features of each chip, in photo pixels."""
    with one_thread():  # an index run uses the cores for photos
        several = hasattr(extractor, "extract_many")
        found = extractor.extract_many(chips) if several else [extractor.extract(chip) for chip in chips]
    return [to_photo(features, chip) for features, chip in zip(found, chips, strict=True)]
