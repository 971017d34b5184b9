"""Checks of a detector."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from snowmatch.core.plugins import Detector
from snowmatch.core.types import Detection
from snowmatch.testing.plugins import all_after, is_complete, settings_are_frozen_fields

SIZES = ((320, 240), (240, 320), (500, 90), (64, 64))  # (width, height) of the test scenes (px)
SMALL = ((1, 2), (5, 5), (33, 3), (9, 200))  # likewise, of small photos of noise
BLANK = ((320, 240), (200, 300), (15, 15), (300, 1), (1, 1))  # likewise, of photos of one colour
COLOURS = ((0, 0, 0), (128, 128, 128), (255, 255, 255), (60, 120, 40))


def scene(width: int, height: int, seed: int = 0) -> np.ndarray:
    """Return (H, W, 3) uint8 RGB: a bright spotted oval in the right half of a dark, uneven background."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:height, :width]
    photo = 40 + 20 * np.sin(x / 37)[..., None] + rng.normal(0, 4, (height, width, 3))
    oval = ((x - 0.7 * width) / (0.2 * width)) ** 2 + ((y - 0.5 * height) / (0.3 * height)) ** 2 <= 1
    spots = 190 + 40 * np.sin(x / 5) * np.cos(y / 5)
    photo[oval] = spots[oval][:, None] * (1.0, 0.95, 0.85)
    rounded: np.ndarray = np.clip(np.rint(photo), 0, 255).astype(np.uint8)
    return rounded


def detector_is_complete(detector: Detector) -> None:
    """Check that a detector is a dataclass, has every required member, and has methods with the right arguments."""
    is_complete("detectors", detector)


def detections_are_as_declared(detector: Detector) -> None:
    """Check the types of detections. Boxes lie inside the photo, and confidences descend. Small photos do not fail."""
    for width, height in SIZES:
        _detected(detector, scene(width, height))
    for width, height in SMALL:
        noise = np.random.default_rng(1).integers(0, 256, (height, width, 3), dtype=np.uint8)
        _detected(detector, noise)


def nothing_to_see_gives_no_detections(detector: Detector) -> None:
    """Check that photos of one colour, also of one pixel, give no detections."""
    for width, height in BLANK:
        for colour in COLOURS:
            found = _detected(detector, np.full((height, width, 3), colour, np.uint8))
            assert found == (), f"{found[0]} in a photo of {width} x {height} px of one colour, expected ()"


def same_photo_same_detections(detector: Detector) -> None:
    """Check that a photo gives the same detections again after another photo, and as a view of a larger array."""
    width, height = SIZES[0]
    first = _detected(detector, scene(width, height))
    _detected(detector, scene(*SIZES[1], seed=5))
    assert _detected(detector, scene(width, height)) == first, "the second run gives other detections"
    turned = scene(width, height)[:, ::-1].copy()[:, ::-1]
    assert _detected(detector, turned) == first, "a photo that is a view gives other detections than its copy"


def photo_is_not_changed(detector: Detector) -> None:
    """Check that the photo is not changed. It may be read-only."""
    photo = scene(*SIZES[0])
    _detected(detector, photo)
    assert (photo == scene(*SIZES[0])).all(), "the photo's pixels were changed"
    photo.flags.writeable = False
    _detected(detector, photo)


def _detected(detector: Detector, photo: np.ndarray) -> tuple[Detection, ...]:
    found = detector.detect(photo)
    assert isinstance(found, tuple), f"detect returns {type(found).__name__}, expected a tuple"
    height, width = photo.shape[:2]
    for one in found:
        assert isinstance(one, Detection), f"detect returns {one!r}, expected snowmatch.core.types.Detection"
        assert all(type(side) is int for side in one.bbox), f"{one.bbox} is not of whole numbers (Python's int)"
        x, y, w, h = one.bbox
        inside = x >= 0 and y >= 0 and w > 0 and h > 0 and x + w <= width and y + h <= height
        assert inside, f"{one.bbox} does not lie inside a photo of {width} x {height} px"
        assert type(one.confidence) is float, f"the confidence is {one.confidence!r}, expected a float"
    confidences = [one.confidence for one in found]
    assert confidences == sorted(confidences, reverse=True), f"not sorted by descending confidence: {confidences}"
    return found


DETECTOR_CHECKS: dict[str, Callable[[Detector], None]] = all_after(
    detector_is_complete,
    (
        settings_are_frozen_fields,
        detections_are_as_declared,
        nothing_to_see_gives_no_detections,
        same_photo_same_detections,
        photo_is_not_changed,
    ),
)
