"""SIFT with RootSIFT descriptors, from OpenCV.

Source: Lowe, "Distinctive image features from scale-invariant keypoints", IJCV 2004; Arandjelovic & Zisserman, "Three
things everyone should know to improve object retrieval", CVPR 2012.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import cv2
import numpy as np

from snowmatch.core.types import Chip, Features, empty_features
from snowmatch.features.extractors._descriptors import DIMENSION, check_limits, choose, circles, sorted_features

SIGMA = 1.6  # blur of an octave's first level, in its pixels (Lowe)
SMALLEST = 8  # px; in a smaller chip, OpenCV's first octave has no room for a keypoint


@dataclass(frozen=True)
class Sift:
    """Difference-of-Gaussian keypoints with circular frames.

    chip_size: longest side of the chip (px; HotSpotter 700).
    max_features: largest number of keypoints, the strongest; 0: all.
    contrast: lowest contrast of a keypoint, 0 to 1 (OpenCV 0.04; lower for faint coats and night photos).
    edge: largest ratio of principal curvatures (Lowe 10). layers: scales per octave (Lowe 3).
    upright: orientation 0 instead of the dominant gradient's: a camera trap stands upright.
    """

    REVISION: ClassVar[int] = 1
    CHANNELS: ClassVar[str] = "grey"
    DIMENSION: ClassVar[int] = DIMENSION
    DTYPE: ClassVar[type] = np.uint8
    FRAMES: ClassVar[bool] = True

    chip_size: int = 700
    max_features: int = 0
    contrast: float = 0.0066667
    edge: float = 10.0
    layers: int = 3
    upright: bool = True

    def __post_init__(self) -> None:
        check_limits(self.chip_size, self.max_features)
        if not 0 <= self.contrast < 1:
            raise ValueError(f"contrast is {self.contrast}, expected 0 to 1")
        if not self.edge >= 1:
            raise ValueError(f"edge is {self.edge}, expected 1 or more")
        if not 1 <= self.layers <= 10:
            raise ValueError(f"layers is {self.layers}, expected 1 to 10")

    def extract(self, chip: Chip) -> Features:
        """Return the features of a grey chip, in chip pixels, by descending contrast. A blank or tiny chip gives
        none.
        """
        height, width = chip.pixels.shape
        if min(width, height) < SMALLEST:
            return empty_features(DIMENSION, np.uint8, (width, height))
        # Without the precise upscaling, the keypoints of OpenCV lie 0.25 px too far right and down.
        sift = cv2.SIFT.create(0, self.layers, self.contrast, self.edge, SIGMA, enable_precise_upscale=True)
        found = sift.detect(chip.pixels)
        if self.upright:  # one keypoint at each position, not one for each dominant direction
            places = {(k.pt, k.size, k.octave): k for k in found}
            found = [_upright(k) for k in places.values()]
        keypoints = np.array([k.pt for k in found], np.float32).reshape(-1, 2)
        scores = np.array([k.response for k in found], np.float32)
        kept = choose(keypoints, scores, chip.mask, (width, height), self.max_features)
        if not len(kept):
            return empty_features(DIMENSION, np.uint8, (width, height))
        chosen = [found[i] for i in kept]
        described, histograms = sift.compute(chip.pixels, chosen)
        if len(described) != len(chosen):
            raise ValueError(f"OpenCV described {len(described)} of {len(chosen)} keypoints")
        scales = np.array([k.size for k in chosen], np.float32)
        oris = np.deg2rad(np.array([k.angle for k in chosen]))
        return sorted_features(
            keypoints[kept], histograms, scores[kept], scales, oris, circles(scales), (width, height)
        )


def _upright(k: cv2.KeyPoint) -> cv2.KeyPoint:
    x, y = k.pt
    return cv2.KeyPoint(x, y, k.size, 0.0, k.response, k.octave, k.class_id)


PLUGIN = Sift
