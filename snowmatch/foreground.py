"""Where in a photo the animal is likely to be, when neither a box nor a mask says so: 1 on the animal, 0 on scenery."""

from __future__ import annotations

import numpy as np

# Standard deviation across and down, as shares of the photo. Measured on two species (benchmarks/README.md, "Where the
# animal is"): narrower and wider bells, flat-topped ones and boxes all put fewer animals first on one or the other.
SPREAD = (0.15, 0.12)
# Below this a spot is not compared at all: it would cost a search and count next to nothing.
LEAST = 0.05

FOREGROUNDS = ("auto", "given")


def centre_weights(keypoints: np.ndarray, image_size: np.ndarray | tuple[int, int]) -> np.ndarray:
    """(N,) float32, 0 to 1: a bell over the photo's centre at keypoints (N, 2), exactly 0 where it is below LEAST.

    `image_size` is (width, height), or (N, 2) of each keypoint's photo. A camera is triggered by what passes before
    its middle, and who holds one aims. No keypoints give an empty array.
    """
    places = (np.asarray(keypoints, np.float64) + 0.5) / np.asarray(image_size, np.float64) - 0.5
    weights = np.exp(-0.5 * ((places / SPREAD) ** 2).sum(axis=1))
    return np.where(weights < LEAST, 0.0, weights).astype(np.float32)
