"""Extractors, one file each. An extractor is a frozen dataclass `PLUGIN` with

- fields that are its settings, `chip_size` (longest side of the chip, px) among them;
- class variables `REVISION` (raise it when the code's output changes), `CHANNELS` ("grey" or "rgb"), `DIMENSION`,
  `DTYPE` of its descriptors (numpy.uint8 or numpy.float32), `FRAMES` (whether it gives shapes);
- `extract(chip) -> Features` in chip pixels, sorted by falling score; no keypoint where `chip.mask` is False; a blank,
  tiny or featureless chip gives zero features. The same chip gives the same bytes.
"""

from typing import Any

import numpy as np
from threadpoolctl import ThreadpoolController

from snowmatch.images import clip_bbox, make_chip, to_photo
from snowmatch.types import BBox, Features

# One thread of linear algebra, as sums in another order end in other bytes; an index run uses the cores for photos.
_libraries = ThreadpoolController()


def extract_from_photo(extractor: Any, photo: np.ndarray, bbox: BBox | None, mask: np.ndarray | None) -> Features:
    """Features of one annotation in photo pixels: `photo` (H, W, 3) uint8 RGB upright, `mask` (H, W) bool or None.

    A box partly outside is clipped; SnowmatchError where nothing of it is left.
    """
    if bbox is not None:
        bbox = clip_bbox(bbox, (photo.shape[1], photo.shape[0]))
    chip = make_chip(photo, bbox, mask, extractor.chip_size, extractor.CHANNELS)
    with _libraries.limit(limits=1):
        return to_photo(extractor.extract(chip), chip)
