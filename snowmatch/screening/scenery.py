"""What stands still before a camera and what moves: the animal, told from the rocks by other photos of the same place.

All of it works on small grey copies of whole photos, `PREVIEW` px on their longest side. The same rock looks the same
in two photos of a fixed camera, whatever the light does to its brightness, so each place is compared by the correlation
of its surroundings. What is found is a foreground map: per place, how surely something is there that the other photos
do not show.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import cv2
import numpy as np

PREVIEW = 240  # px: a cat that fills a tenth of the frame is still 24 px long, and a pair costs 2 ms
SURROUNDINGS = 2.5  # px, standard deviation of the window that is correlated; 1.5 and 4 separate less well
NOISE = 16.0  # grey levels squared: patches flatter than this agree with anything; 1 and 4 separate less well
# Unlikeness (0 equal, 1 unrelated, 2 opposite) up to which a place is scenery, and from which it is animal. On snow
# leopards with rough masks 94 % of the scenery's keypoints lie below 0.05, and 10 % of the animals'.
SCENERY, ANIMAL = 0.1, 0.3
# Two photos show the same place if this share of what is not flat (TEXTURE, a variance) looks alike: 99 % of frames of
# one passage do, 1 % of pairs from different stations. Others say nothing: by chance a tenth of any photo looks alike.
SAME, TEXTURE = 0.25, 100.0
STILL = (
    0.003  # share of the preview that has to have moved, 14 x 7 px of it: less is no animal, or one that stood still
)
SHIFT = PREVIEW / 4  # px that a camera may have been moved between visits


@dataclass(frozen=True)
class Preview:
    """A small grey copy of a photo, (h, w) float32, and how its surroundings look at each place."""

    grey: np.ndarray

    @cached_property
    def mean(self) -> np.ndarray:
        """(h, w) of the surroundings."""
        return _blurred(self.grey)

    @cached_property
    def variance(self) -> np.ndarray:
        """(h, w) of the surroundings."""
        return np.maximum(_blurred(self.grey * self.grey) - self.mean * self.mean, 0)

    @cached_property
    def edges(self) -> np.ndarray:
        """(h, w): where lines run, the same by day and by night."""
        across, down = (cv2.Sobel(self.grey, cv2.CV_32F, *order) for order in ((1, 0), (0, 1)))
        return np.log1p(cv2.magnitude(across, down))


def make_preview(grey: np.ndarray) -> Preview:
    """The preview of a photo's grey pixels (H, W) uint8, at most PREVIEW px on its longest side."""
    factor = min(1.0, PREVIEW / max(grey.shape))
    size = max(1, round(grey.shape[1] * factor)), max(1, round(grey.shape[0] * factor))
    return Preview(cv2.resize(grey, size, interpolation=cv2.INTER_AREA).astype(np.float32))


def foreground_map(
    preview: Preview, burst: Sequence[Preview], station: Sequence[Preview]
) -> tuple[np.ndarray | None, str]:
    """(h, w) float32 from 0, scenery, to 1, animal, and what says so: `burst`, `station`, `burst and station` or "".

    burst: other frames of the same passage, in which the animal is elsewhere. station: photos of other passages before
    the same camera, which may have been moved a little. A place that looks the same in any of them is scenery. None
    where no photo shows the same place, or nothing in it has moved.
    """
    by_burst = [_seen_again(preview, other) for other in burst if other.grey.shape == preview.grey.shape]
    by_station = [_seen_again(preview, other) for other in station if other.grey.shape == preview.grey.shape]
    by_station += [_seen_again(preview, m) for other in station if (m := _moved_onto(preview, other)) is not None]
    kinds = {"burst": by_burst, "station": by_station}
    said = [kind for kind, found in kinds.items() if any(unlike is not None for unlike in found)]
    if not said:
        return None, ""
    least = np.minimum.reduce([unlike for found in kinds.values() for unlike in found if unlike is not None])
    values = np.clip((least - SCENERY) / (ANIMAL - SCENERY), 0, 1)
    return (values, " and ".join(said)) if values.mean() >= STILL else (None, "")


def _seen_again(preview: Preview, other: Preview) -> np.ndarray | None:
    """The unlikeness of each place, (h, w); None where the two do not show the same place."""
    unlike = _unlikeness(preview, other)
    rough = preview.variance > TEXTURE
    return unlike if rough.any() and (unlike[rough] < ANIMAL).mean() >= SAME else None


def _unlikeness(a: Preview, b: Preview) -> np.ndarray:
    """(h, w), 0 where the surroundings are equal but for brightness and contrast, 1 where they have nothing in common.

    Source: the structure term of Wang et al., "Image quality assessment", TIP 2004.
    """
    covariance = _blurred(a.grey * b.grey) - a.mean * b.mean
    return 1 - (covariance + NOISE) / np.sqrt((a.variance + NOISE) * (b.variance + NOISE))


def _moved_onto(preview: Preview, other: Preview) -> Preview | None:
    """`other` shifted so that its edges lie on those of `preview`, its border repeated; None where too far off.

    Source: Kuglin & Hines, "The phase correlation image alignment method", 1975.
    """
    if other.grey.shape != preview.grey.shape or min(preview.grey.shape) < 2:
        return None
    size = preview.grey.shape[::-1]
    window = cv2.createHanningWindow(size, cv2.CV_32F)
    (dx, dy), _ = cv2.phaseCorrelate(
        other.edges.copy(), preview.edges.copy(), window
    )  # it may write into its arguments
    if not 0.5 <= np.hypot(dx, dy) <= SHIFT:
        return None
    shift = np.array([[1, 0, dx], [0, 1, dy]], np.float32)
    return Preview(cv2.warpAffine(other.grey, shift, size, borderMode=cv2.BORDER_REPLICATE))


def _blurred(values: np.ndarray) -> np.ndarray:
    return cv2.GaussianBlur(values, (0, 0), SURROUNDINGS)
