"""GrabCut: the outline of the animal from its box and the colours in and around it. It needs no file.

Source: Rother et al., "GrabCut: Interactive foreground extraction using iterated graph cuts", SIGGRAPH 2004.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import cv2
import numpy as np

from snowmatch.core.types import BBox
from snowmatch.photos.chips import clip_bbox
from snowmatch.screening.segmenters._windows import cut, on_photo, resized, window_around

MARGIN = 0.2  # around the box, as a share of its longest side: from here the colours of the scenery are learnt
FEWEST = 5  # pixels of animal, and of scenery: as many as the colours that OpenCV looks for in each


@dataclass(frozen=True)
class Grabcut:
    """Outline inside a box, by the colours in and around it; needs no file, and often fails on camouflage.

    size: longest side of the box with its surroundings (px), a larger one is made smaller. rounds: how often the
    colours are learnt again.
    """

    REVISION: ClassVar[int] = 1
    BOXED: ClassVar[bool] = True

    size: int = 512
    rounds: int = 2

    def __post_init__(self) -> None:
        if not 16 <= self.size <= 4096:
            raise ValueError(f"size is {self.size}, expected 16 to 4096")
        if not 1 <= self.rounds <= 100:
            raise ValueError(f"rounds is {self.rounds}, expected 1 to 100")

    def check(self) -> None:
        """Do nothing: no weights are needed."""

    def segment(self, photo: np.ndarray, bbox: BBox | None) -> np.ndarray | None:
        """Return the confidence that each pixel is the animal, (H, W) float32, 0 to 1, and 0 outside the box.

        photo: (H, W, 3) uint8 RGB. None if no animal is left, or if there is too little scenery around the box.
        Raises ValueError without a box.
        """
        if bbox is None:
            raise ValueError("bbox is None, expected the box of the animal: grabcut needs it")
        window = window_around(bbox, photo.shape, MARGIN)
        factor = min(1.0, self.size / max(window[2:]))
        size = max(1, round(window[2] * factor)), max(1, round(window[3] * factor))
        picture = resized(cut(photo, window), size)
        x, y, width, height = clip_bbox(bbox, (photo.shape[1], photo.shape[0]))
        factors = size[0] / window[2], size[1] / window[3]
        left, top = int((x - window[0]) * factors[0]), int((y - window[1]) * factors[1])
        right = math.ceil((x + width - window[0]) * factors[0])
        bottom = math.ceil((y + height - window[1]) * factors[1])
        guess = np.full(picture.shape[:2], cv2.GC_BGD, np.uint8)
        guess[top:bottom, left:right] = cv2.GC_PR_FGD
        animal = int(np.count_nonzero(guess))
        if min(animal, guess.size - animal) < FEWEST:
            return None
        found = _grab_cut(picture, guess, self.rounds)
        return on_photo(found.astype(np.float32), window, photo.shape, bbox)


def _grab_cut(picture: np.ndarray, guess: np.ndarray, rounds: int) -> np.ndarray:
    """Return (h, w) bool, True on the animal. guess: (h, w) uint8, what OpenCV starts from; it is changed."""
    threads = cv2.getNumThreads()
    models = np.zeros((1, 65)), np.zeros((1, 65))  # of the colours of scenery and animal, which OpenCV fills
    cv2.setRNGSeed(0)  # the first colours are drawn at random
    cv2.setNumThreads(1)
    try:
        cv2.grabCut(picture, guess, (0, 0, 1, 1), *models, rounds, cv2.GC_INIT_WITH_MASK)
    finally:
        cv2.setNumThreads(threads)
    return (guess == cv2.GC_FGD) | (guess == cv2.GC_PR_FGD)


PLUGIN = Grabcut
