"""Which flank of the animal a photo shows: a linear model on the features of EfficientNet-Lite0."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path

import cv2
import numpy as np

from snowmatch.core.arrays import load_arrays
from snowmatch.core.types import BBox
from snowmatch.screening.classifiers.efficientnet_lite0 import see

SHIPPED = Path(__file__).with_name("shipped_flank.npz")  # training/flank.py writes it
REVISION = 2  # of the way from the photo to the probability; another one makes stored probabilities old
SIZE = 320  # px: the side of the crop that the network sees
MARGIN = 0.1  # of the longer side of the box, added on each side
SURE = 0.9  # a flank is named from this probability
LEFT, RIGHT, UNKNOWN = "left_flank", "right_flank", "unknown"


@dataclass(frozen=True)
class Flanks:
    """What tells the flank. It needs the weights of the classifier efficientnet_lite0, and the shipped model."""

    def left(self, photo: np.ndarray, box: BBox) -> float:
        """Return the probability that the animal in a box shows its left flank, 0 to 1; otherwise it is the right one.

        photo: (H, W, 3) uint8 RGB. The photo and the box mirrored give one minus this. Raises SnowmatchError if the
        weights are missing.
        """
        return 0.5 * (1 + float(np.tanh(shipped_weights() @ features(crop_of(photo, box)) / 2)))


def flank_of(left: float) -> tuple[str, float]:
    """Return the flank and its probability, from the probability of the left one. Below SURE, it is UNKNOWN."""
    name, probability = (LEFT, left) if left >= 0.5 else (RIGHT, 1 - left)
    return (name if probability >= SURE else UNKNOWN), probability


def crop_of(photo: np.ndarray, box: BBox) -> np.ndarray:
    """Return the square around a box, as (SIZE, SIZE, 3) uint8. Outside the photo it is grey.

    photo: (H, W, 3) uint8 RGB. box: it may be partly outside the photo. Raises ValueError if it is outside as a whole.
    """
    x, y, width, height = box
    side = max(1, round(max(width, height) * (1 + 2 * MARGIN)))
    side += (side - width) % 2  # so that the same number of pixels is added left and right
    left, top = x + (width - side) // 2, y + (height - side) // 2
    inside = photo[max(top, 0) : max(top + side, 0), max(left, 0) : max(left + side, 0)]
    if not inside.size:
        raise ValueError(f"the box {box} is outside the photo of {photo.shape[1]} x {photo.shape[0]} px")
    square = np.full((side, side, 3), 127, np.uint8)
    row, column = max(-top, 0), max(-left, 0)
    square[row : row + inside.shape[0], column : column + inside.shape[1]] = inside
    method = cv2.INTER_AREA if side > SIZE else cv2.INTER_LINEAR
    resized: np.ndarray = cv2.resize(square, (SIZE, SIZE), interpolation=method)
    return resized


def features(crop: np.ndarray) -> np.ndarray:
    """Return how much more of each feature is in the left third of a crop than in the right third: (F,) float64.

    crop: (SIZE, SIZE, 3) uint8 RGB. The same is computed for the mirrored crop and subtracted, so that the mirrored
    crop gives exactly the negative. Raises SnowmatchError if the weights are missing.
    """
    return _sides(crop) - _sides(np.ascontiguousarray(crop[:, ::-1]))


def _sides(crop: np.ndarray) -> np.ndarray:
    found = see(crop, SIZE)[0].astype(np.float64)
    third = max(1, found.shape[2] // 3)
    sides: np.ndarray = found[:, :, :third].mean(axis=(1, 2)) - found[:, :, -third:].mean(axis=(1, 2))
    return sides


@cache
def shipped_weights() -> np.ndarray:
    """Return the weights of the shipped model: (F,) float64. Raises SnowmatchError if the file is damaged."""
    return load_arrays(SHIPPED, ("weights",), "flank", "install snowmatch again")["weights"].astype(np.float64)
