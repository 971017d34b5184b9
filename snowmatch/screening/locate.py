"""The box of the animal in a photo, from the foreground map of the photo."""

from __future__ import annotations

import cv2
import numpy as np

from snowmatch.core.types import BBox

ANIMAL = 0.5  # a cell with at least this value is animal
MARGIN = 0.1  # of the box's width and height, added on each side: the cells are coarse
SMALLEST = 0.002  # share of the photo; a smaller spot is not an animal
FINER = 4  # the map is enlarged by this factor, so that the box is not limited to whole cells


def find_box(values: np.ndarray, image_size: tuple[int, int]) -> BBox | None:
    """Return the box of the animal in a photo of `image_size` (width, height); None if the map shows no animal.

    values: (h, w) float32, the foreground map of the whole photo, 0 to 1. The box encloses the connected area with the
    largest sum of values. A map without cells shows no animal.
    """
    if not values.size:
        return None
    height, width = (FINER * side for side in values.shape)
    fine = cv2.resize(values, (width, height), interpolation=cv2.INTER_LINEAR)
    on = (fine >= ANIMAL).astype(np.uint8)
    count, labels, areas, _ = cv2.connectedComponentsWithStats(on, connectivity=8)
    if count < 2:
        return None
    sums = np.bincount(labels.ravel(), fine.ravel(), minlength=count)[1:]
    x, y, w, h, area = areas[1 + int(np.argmax(sums))].tolist()
    if area < SMALLEST * fine.size:
        return None
    scale = np.array(image_size) / (width, height)
    left, top = np.maximum(np.floor(((x, y) - MARGIN * np.array((w, h))) * scale), 0).astype(int).tolist()
    ends = np.ceil(((x + w, y + h) + MARGIN * np.array((w, h))) * scale)
    right, bottom = np.minimum(ends, image_size).astype(int).tolist()
    return left, top, right - left, bottom - top
