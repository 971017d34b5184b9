"""Further views of a photo that a model learns from, so that side and light tell it nothing."""

from __future__ import annotations

import cv2
import numpy as np

BRIGHTER, DARKER = 1.25, 0.8  # factors of the colours (chosen, not measured)


def views_of(photo: np.ndarray) -> tuple[np.ndarray, ...]:
    """Return a photo (H, W, 3) uint8 RGB, then its mirror image brighter, and the photo darker."""
    mirrored = np.ascontiguousarray(photo[:, ::-1])
    return photo, cv2.convertScaleAbs(mirrored, alpha=BRIGHTER), cv2.convertScaleAbs(photo, alpha=DARKER)
