"""Extractors, one file each. An extractor is a frozen dataclass `PLUGIN` with

- fields that are its settings, `chip_size` (longest side of the chip, px) among them;
- class variables `REVISION` (raise it when the code's output changes), `CHANNELS` ("grey" or "rgb"), `DIMENSION`,
  `DTYPE` of its descriptors (numpy.uint8 or numpy.float32), `FRAMES` (whether it gives shapes);
- `extract(chip) -> Features` in chip pixels, sorted by falling score; no keypoint where `chip.mask` is False; a blank,
  tiny or featureless chip gives zero features. The same chip gives the same bytes.
"""

from typing import Any

import numpy as np

from snowmatch.images import clip_bbox, make_chip, to_photo
from snowmatch.types import BBox, Features


def extract_from_photo(extractor: Any, photo: np.ndarray, bbox: BBox | None, mask: np.ndarray | None) -> Features:
    """Features of one annotation in photo pixels: `photo` (H, W, 3) uint8 RGB upright, `mask` (H, W) bool or None.

    A box partly outside is clipped; SnowmatchError where nothing of it is left.
    """
    size = (photo.shape[1], photo.shape[0])
    chip = make_chip(
        photo, clip_bbox(bbox, size) if bbox is not None else None, mask, extractor.chip_size, extractor.CHANNELS
    )
    return to_photo(extractor.extract(chip), chip)
