"""The light in which a photo was taken."""

from __future__ import annotations

import numpy as np

GREY = 5.0  # grey levels between the channels, on average: 0.3 in the infrared photos of the set, 15 in the others


def light_of(photo: np.ndarray) -> str:
    """Return "infrared" for a grey photo (H, W, 3) uint8, "colour" for any other."""
    spread = photo.max(axis=2).astype(int) - photo.min(axis=2)
    return "infrared" if spread.mean() < GREY else "colour"
