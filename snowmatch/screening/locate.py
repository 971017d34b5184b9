"""The boxes of animals in a photo, from the foreground map of the photo."""

from __future__ import annotations

import cv2
import numpy as np

from snowmatch.core.types import BBox
from snowmatch.screening.foreground import ForegroundMap

# All chosen, not measured
ANIMAL = 0.5  # a cell with at least this value is animal
MARGIN = 0.1  # of the box's width and height, added on each side: the cells are coarse
SMALLEST = 0.002  # share of the photo; a smaller spot is not an animal
SECOND = 0.25  # of the sum of the largest area: a smaller one is not a further animal
MOST = 4  # areas in one photo
FINER = 4  # the map is enlarged by this factor, so that the box is not limited to whole cells


def boxes_of(found: ForegroundMap | None, image_size: tuple[int, int] | None) -> tuple[BBox, ...]:
    """Return the boxes of the animals in a foreground map; () without a map of the animal, or if the size is not known.

    What is in the middle of the catalog's photos makes no box: it is learned again when the catalog grows, and features
    would then be extracted again. On nyala such boxes were as large as the photo.
    A segmenter tells several animals apart. A classifier shows one. Other photos alone may show one animal at several
    places: in two frames of a burst, each map has both places, and one box goes round both.
    """
    if found is None or image_size is None or found.evidence in ("", "middle"):
        return ()
    values = found.values.astype(np.float32) / 255
    if "segmenter" in found.evidence:
        return find_boxes(values, image_size, MOST)
    if "classifier" in found.evidence:
        return find_boxes(values, image_size)
    several = find_boxes(values, image_size, MOST)
    if not several:
        return ()
    left, top = min(x for x, _, _, _ in several), min(y for _, y, _, _ in several)
    right, bottom = max(x + w for x, _, w, _ in several), max(y + h for _, y, _, h in several)
    return ((left, top, right - left, bottom - top),)


def find_boxes(values: np.ndarray, image_size: tuple[int, int], most: int = 1) -> tuple[BBox, ...]:
    """Return the boxes of the animals in a photo of `image_size` (width, height); () if the map shows none.

    values: (h, w) float32, the foreground map of the whole photo, 0 to 1. A box encloses a connected area; the area
    with the largest sum of values comes first. most: number of boxes; a further area counts if its sum is at least
    SECOND of the largest. A map without cells shows no animal.
    """
    if not values.size:
        return ()
    height, width = (FINER * side for side in values.shape)
    fine = cv2.resize(values, (width, height), interpolation=cv2.INTER_LINEAR)
    on = (fine >= ANIMAL).astype(np.uint8)
    count, labels, areas, _ = cv2.connectedComponentsWithStats(on, connectivity=8)
    sums = np.bincount(labels.ravel(), fine.ravel(), minlength=count)[1:]
    scale = np.array(image_size) / (width, height)
    boxes: list[BBox] = []
    for place in np.argsort(-sums, kind="stable")[:most].tolist():
        x, y, w, h, area = areas[1 + place].tolist()
        if area < SMALLEST * fine.size or sums[place] < SECOND * sums.max():
            break
        left, top = np.maximum(np.floor(((x, y) - MARGIN * np.array((w, h))) * scale), 0).astype(int).tolist()
        ends = np.ceil(((x + w, y + h) + MARGIN * np.array((w, h))) * scale)
        right, bottom = np.minimum(ends, image_size).astype(int).tolist()
        boxes.append((left, top, right - left, bottom - top))
    return tuple(boxes)
