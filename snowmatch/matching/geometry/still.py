"""Matched spots that lie still: at the same place and of the same size in both frames of a fixed camera.

They are scenery. An animal never stands so exactly in the same place and pose again.
"""

from __future__ import annotations

import numpy as np

# Shares of the photo's diagonal (chosen on the shared leopards, whose cameras were moved by up to 0.04 between visits)
PLACE = 0.01  # the frames of a camera that was not moved differ by less
MOVED = 0.06  # a camera that was moved a little; all spots then move alike
ALIKE = 0.0025  # so much alike: 4 px of 1600. Rocks differed by up to 0.0016, animals by 0.0035 and more
SIZE = 1.15  # largest factor between the diameters of a still spot
SHARE = 0.5  # of the agreeing matches: with more still spots, the two photos agree on scenery


def still_spots(
    keypoints0: np.ndarray,
    keypoints1: np.ndarray,
    scales0: np.ndarray,
    scales1: np.ndarray,
    size0: tuple[int, int],
    size1: tuple[int, int],
) -> np.ndarray:
    """Return (M,) bool: which matches lie still, and have the same size in both photos.

    They lie at the same place of the frame, or all moved alike, as if the camera was moved a little. keypoints0,
    keypoints1: (M, 2), px of whole photos. scales0, scales1: (M,), diameters (px). size0, size1: (width, height) of the
    photos. Photos of another shape are not of one camera: all False. No matches give an empty array.
    """
    (width0, height0), (width1, height1) = size0, size1
    factor = width1 / width0
    if not len(keypoints0) or abs(height1 / height0 / factor - 1) > PLACE:
        return np.zeros(len(keypoints0), bool)
    diagonal = float(np.hypot(width1, height1))
    shift = (np.asarray(keypoints0, np.float64) * factor - np.asarray(keypoints1, np.float64)) / diagonal
    common = np.median(shift, axis=0)
    still = np.hypot(*shift.T) < PLACE
    if np.hypot(*common) < MOVED:
        still |= np.hypot(*(shift - common).T) < ALIKE
    ratio = np.abs(np.log(np.maximum(scales0 * factor, 1e-6) / np.maximum(scales1, 1e-6)))
    same: np.ndarray = still & (ratio < np.log(SIZE))
    return same


def is_scenery(still: np.ndarray) -> bool:
    """Return whether the agreeing matches of two photos are scenery. still: (M,) bool. No matches give False."""
    return bool(len(still)) and float(still.mean()) > SHARE
