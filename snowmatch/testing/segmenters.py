"""Checks of a segmenter."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np

from snowmatch.core.plugins import Segmenter
from snowmatch.core.types import BBox
from snowmatch.testing.extractors import coat
from snowmatch.testing.plugins import all_after, is_complete, settings_are_frozen_fields

SIZE = (320, 240)  # (width, height) of the test photo (px)
BOX: BBox = (90, 70, 150, 110)  # of the animal in it


def scene() -> np.ndarray:
    """Return (H, W, 3) uint8 RGB: a light spotted ellipse, which fills BOX, on dark scenery."""
    x, y, width, height = BOX
    animal = np.zeros(SIZE[::-1], np.uint8)
    cv2.ellipse(animal, (x + width // 2, y + height // 2), (width // 2 - 2, height // 2 - 2), 0, 0, 360, 1, -1)
    texture = coat(*SIZE)[:, :, None] / 255.0
    light, dark = np.array([200, 170, 120]), np.array([40, 70, 50])
    photo: np.ndarray = np.where(animal[:, :, None] > 0, light + 40 * texture, dark + 30 * texture).astype(np.uint8)
    return photo


def _plain(height: int, width: int, grey: int) -> np.ndarray:
    return np.full((height, width, 3), grey, np.uint8)


ODD: dict[str, tuple[np.ndarray, BBox]] = {  # photos, and a box in each
    "black": (_plain(200, 300, 0), (60, 50, 100, 80)),
    "white": (_plain(200, 300, 255), (60, 50, 100, 80)),
    "all in the box": (_plain(60, 80, 128), (0, 0, 80, 60)),
    "one pixel": (_plain(1, 1, 77), (0, 0, 1, 1)),
    "one row": (np.repeat(np.arange(240, dtype=np.uint8)[None, :, None], 3, axis=2), (30, 0, 40, 1)),
    "very wide": (np.ascontiguousarray(np.tile(scene()[:9], (1, 10, 1))), (400, 2, 1000, 5)),
    "very tall": (np.ascontiguousarray(np.tile(scene()[:, :9], (10, 1, 1))), (2, 400, 5, 1000)),
    "a box of one pixel": (scene(), (160, 120, 1, 1)),
}


def segmenter_is_complete(segmenter: Segmenter) -> None:
    """Check that a segmenter is a dataclass, has every required member, and has methods with the right arguments."""
    is_complete("segmenters", segmenter)


def segmenter_declares_its_box(segmenter: Segmenter) -> None:
    """Check that BOXED is True or False, and that a segmenter with BOXED raises ValueError without a box."""
    assert isinstance(segmenter.BOXED, bool), f"BOXED is {segmenter.BOXED!r}, expected True or False"
    if not segmenter.BOXED:
        _segmented(segmenter, scene(), None, "the test photo without a box")
        return
    try:
        segmenter.segment(scene(), None)
    except ValueError:
        return
    raise AssertionError("segment accepts a photo without a box, expected ValueError because BOXED is True")


def confidence_is_as_declared(segmenter: Segmenter) -> None:
    """Check the type, the shape and the range of the confidence. A segmenter may find nothing in the test photo."""
    _segmented(segmenter, scene(), BOX, "the test photo")


def odd_photos_never_fail(segmenter: Segmenter) -> None:
    """Check that blank, tiny, very wide and very tall photos give an array or None, with a box and without."""
    for name, (photo, bbox) in ODD.items():
        for given in (bbox,) if segmenter.BOXED else (bbox, None):
            _segmented(segmenter, photo, given, name)


def nothing_outside_the_box(segmenter: Segmenter) -> None:
    """Check that the confidence is 0 outside the box that is given."""
    for bbox in (BOX, (120, 90, 60, 50), (0, 0, 170, 130)):
        found = _segmented(segmenter, scene(), bbox, "the test photo")
        if found is not None:
            x, y, width, height = bbox
            found = found.copy()
            found[y : y + height, x : x + width] = 0
            assert not found.any(), f"confidence outside the box {bbox} is up to {found.max():.3g}, expected 0"


def same_photo_same_confidence(segmenter: Segmenter) -> None:
    """Check that a photo gives the same bytes again after another photo, and that it is not changed."""
    photo = scene()
    first = _segmented(segmenter, photo, BOX, "the test photo")
    _segmented(segmenter, np.ascontiguousarray(scene()[:, ::-1]), (10, 20, 200, 150), "its mirror image")
    again = _segmented(segmenter, scene(), BOX, "the test photo")
    assert (photo == scene()).all(), "the photo was changed"
    if first is None or again is None:
        assert first is again, "segment finds an animal at one time, and None at another time"
    else:
        assert first.tobytes() == again.tobytes(), "the second segmentation gives other bytes"


def _segmented(segmenter: Segmenter, photo: np.ndarray, bbox: BBox | None, name: str) -> np.ndarray | None:
    """Return what a segmenter finds, after a check of its type. name: of the photo, for the error message."""
    try:
        found = segmenter.segment(photo, bbox)
    except Exception as error:
        raise AssertionError(f"segment raises {type(error).__name__} ({error}) for {name}, box {bbox}") from error
    if found is None:
        return None
    assert isinstance(found, np.ndarray), f"segment returns {type(found).__name__}, expected an array or None"
    assert found.dtype == np.float32, f"confidence is {found.dtype}, expected float32"
    assert found.shape == photo.shape[:2], f"confidence is {found.shape} for {name}, expected {photo.shape[:2]}"
    assert np.isfinite(found).all(), f"some of the confidence for {name} is not finite"
    assert found.min() >= 0, f"confidence for {name} goes down to {found.min():.3g}, expected 0 to 1"
    assert found.max() <= 1, f"confidence for {name} goes up to {found.max():.3g}, expected 0 to 1"
    return found


SEGMENTER_CHECKS: dict[str, Callable[[Segmenter], None]] = all_after(
    segmenter_is_complete,
    (
        settings_are_frozen_fields,
        segmenter_declares_its_box,
        confidence_is_as_declared,
        odd_photos_never_fail,
        nothing_outside_the_box,
        same_photo_same_confidence,
    ),
)
