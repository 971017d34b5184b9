"""Photos of a place without their animal: the animal is painted out with its mask."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from snowmatch.core.types import Annotation
from snowmatch.photos.pixels import read_mask, read_photo

GROW = 15  # px, added around a mask before the animal is painted out: rough masks leave a rim


def read_masked(folder: Path, a: Annotation) -> tuple[np.ndarray, np.ndarray]:
    """Return the photo (H, W, 3) uint8 RGB and the mask (H, W) bool of an annotation. folder: the catalog's folder.

    Raises SnowmatchError if one of them cannot be read.
    """
    photo = read_photo(folder / a.path)
    return photo, read_mask(folder / a.mask, (photo.shape[1], photo.shape[0]))


def paint_out(photo: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Return the photo (H, W, 3) uint8 with its animal painted out. mask: (H, W) bool; without True, nothing changes.

    Source: Telea, "An image inpainting technique based on the fast marching method", Journal of Graphics Tools 9, 2004.
    """
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * GROW + 1, 2 * GROW + 1))
    grown = cv2.dilate(mask.astype(np.uint8), disc)
    return cv2.inpaint(photo, grown, 5, cv2.INPAINT_TELEA)
