"""The computation of a foreground map: a comparison of one photo with other photos of the same place.

The scenery does not move, but the animal does. All computations use previews: small grey copies of whole photos with
PREVIEW px on the longest side. In two photos of a fixed camera a rock looks the same except for its brightness, so each
pixel is compared by the correlation of its neighbourhood. The map holds, for each pixel of the preview, the confidence
that the pixel shows something that the other photos do not show.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import cv2
import numpy as np

PREVIEW = 240  # px: a cat that spans a tenth of the frame is still 24 px long, and a pair of photos takes 2 ms
SURROUNDINGS = 2.5  # px, standard deviation of the Gaussian window of the correlation; 1.5 and 4 separate less well
# Grey levels squared: a neighbourhood with a smaller variance matches any other one; 1 and 4 separate less well
NOISE = 16.0
# Limits of the dissimilarity (0 equal, 1 unrelated, 2 opposite): up to the first a pixel is scenery, from the second it
# is animal. On snow leopards with rough masks, 94 % of the keypoints on scenery are below 0.05, and 10 % of those on
# animals.
SCENERY, ANIMAL = 0.1, 0.3
# Two photos show the same place if at least the share SAME of the pixels with texture (variance above TEXTURE) is
# similar. This holds for 99 % of the frames of one passage and for 1 % of the pairs from different stations. Other
# photos are not used: by chance, a tenth of the pixels of any two photos is similar.
SAME, TEXTURE = 0.25, 100.0
# Share of the preview that must have moved: 14 x 7 px. A smaller share is not an animal, or the animal did not move.
STILL = 0.003
SHIFT = PREVIEW / 4  # px, the largest movement of a camera between two visits


@dataclass(frozen=True)
class Preview:
    """A small grey copy of a photo, (h, w) float32, with statistics of the neighbourhood of each pixel."""

    grey: np.ndarray

    @cached_property
    def mean(self) -> np.ndarray:
        """(h, w) float32: the mean of each pixel's neighbourhood."""
        return _blurred(self.grey)

    @cached_property
    def variance(self) -> np.ndarray:
        """(h, w) float32: the variance of each pixel's neighbourhood."""
        return np.maximum(_blurred(self.grey * self.grey) - self.mean * self.mean, 0)

    @cached_property
    def edges(self) -> np.ndarray:
        """(h, w) float32: the strength of edges. It is similar by day and by night."""
        across, down = (cv2.Sobel(self.grey, cv2.CV_32F, *order) for order in ((1, 0), (0, 1)))
        return np.log1p(np.sqrt(across * across + down * down))  # cv2.magnitude differs between runs in its last bit


def make_preview(grey: np.ndarray) -> Preview:
    """Return the preview of a photo's grey pixels (H, W) uint8. Its longest side is at most PREVIEW px."""
    factor = min(1.0, PREVIEW / max(grey.shape))
    size = max(1, round(grey.shape[1] * factor)), max(1, round(grey.shape[0] * factor))
    return Preview(cv2.resize(grey, size, interpolation=cv2.INTER_AREA).astype(np.float32))


def foreground_map(
    preview: Preview, burst: Sequence[Preview], station: Sequence[Preview]
) -> tuple[np.ndarray | None, str]:
    """Return the foreground map of a photo, (h, w) float32, and its evidence.

    burst: other frames of the same passage, in which the animal is at another position.
    station: photos of other passages at the same station. The camera may have been moved a little.

    In the map 0 is scenery and 1 is animal. A pixel that looks the same in any of the photos is scenery. The evidence
    is `burst`, `station` or `burst and station`: the photos that show the same place. If no photo shows the same place
    or nothing in the photo has moved, the map is None and the evidence is "".
    """
    by_burst = [_seen_again(preview, other) for other in burst if other.grey.shape == preview.grey.shape]
    by_station = [_seen_again(preview, other) for other in station if other.grey.shape == preview.grey.shape]
    by_station += [_seen_again(preview, m) for other in station if (m := _moved_onto(preview, other)) is not None]
    kinds = {"burst": by_burst, "station": by_station}
    evidence = [kind for kind, found in kinds.items() if any(unlike is not None for unlike in found)]
    if not evidence:
        return None, ""
    least = np.minimum.reduce([unlike for found in kinds.values() for unlike in found if unlike is not None])
    values = np.clip((least - SCENERY) / (ANIMAL - SCENERY), 0, 1)
    return (values, " and ".join(evidence)) if values.mean() >= STILL else (None, "")


def _seen_again(preview: Preview, other: Preview) -> np.ndarray | None:
    """Return the dissimilarity of each pixel, (h, w); None if the two photos do not show the same place."""
    unlike = _unlikeness(preview, other)
    rough = preview.variance > TEXTURE
    return unlike if rough.any() and (unlike[rough] < ANIMAL).mean() >= SAME else None


def _unlikeness(a: Preview, b: Preview) -> np.ndarray:
    """Return the dissimilarity of each pixel's neighbourhood: (h, w), 0 is equal, 1 is unrelated, 2 is opposite.

    Differences of brightness and contrast do not change it.

    Source: the structure term of Wang et al., "Image quality assessment", TIP 2004.
    """
    covariance = _blurred(a.grey * b.grey) - a.mean * b.mean
    return 1 - (covariance + NOISE) / np.sqrt((a.variance + NOISE) * (b.variance + NOISE))


def _moved_onto(preview: Preview, other: Preview) -> Preview | None:
    """Return `other`, shifted so that its edges lie on the edges of `preview`. The border pixels are repeated.

    Returns None if the sizes differ, or if the shift is below half a pixel or above SHIFT.

    Source: Kuglin & Hines, "The phase correlation image alignment method", 1975.
    """
    if other.grey.shape != preview.grey.shape or min(preview.grey.shape) < 2:
        return None
    size = preview.grey.shape[::-1]
    window = cv2.createHanningWindow(size, cv2.CV_32F)
    # Copies, because phaseCorrelate may write into its arguments
    (dx, dy), _ = cv2.phaseCorrelate(other.edges.copy(), preview.edges.copy(), window)
    if not 0.5 <= np.hypot(dx, dy) <= SHIFT:
        return None
    shift = np.array([[1, 0, dx], [0, 1, dy]], np.float32)
    return Preview(cv2.warpAffine(other.grey, shift, size, borderMode=cv2.BORDER_REPLICATE))


def _blurred(values: np.ndarray) -> np.ndarray:
    return cv2.GaussianBlur(values, (0, 0), SURROUNDINGS)
