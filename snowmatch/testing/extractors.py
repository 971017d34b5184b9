"""Checks of an extractor."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields

import cv2
import numpy as np

from snowmatch.core.plugins import Extractor
from snowmatch.core.types import Chip, Features
from snowmatch.testing.plugins import all_after, check_number, is_complete, settings_are_frozen_fields

SIZE = (320, 240)  # (width, height) of the test coat for extractors (px)
FEW = 50  # number of features that every extractor must find on this coat, at least
PAIRS = 20  # number of keypoints that must be found again before their scales and angles are compared, at least
SPOTS = (3.0, 4.0, 5.0)  # standard deviations of the test spots (px)


def coat(width: int = SIZE[0], height: int = SIZE[1], seed: int = 0) -> np.ndarray:
    """Return (H, W) uint8: a texture with spots of several sizes, similar to a coat."""
    rng = np.random.default_rng(seed)
    layers: list[np.ndarray] = []
    for sigma in (1.5, 3.0, 6.0):
        noise = cv2.GaussianBlur(rng.standard_normal((height, width)).astype(np.float32), (0, 0), sigma)
        layers.append(noise / noise.std())
    return np.clip(128 + 30 * sum(layers), 0, 255).astype(np.uint8)


def chip_for(extractor: Extractor | type[Extractor], grey: np.ndarray, mask: np.ndarray | None = None) -> Chip:
    """Return a chip of grey pixels (H, W), in the channels that the extractor needs."""
    grey = np.ascontiguousarray(grey, np.uint8)
    pixels = grey if extractor.CHANNELS == "grey" else np.dstack([grey] * 3)
    return Chip(pixels, mask, (0, 0), (1.0, 1.0), (grey.shape[1], grey.shape[0]))


def extractor_is_complete(extractor: Extractor) -> None:
    """Check that an extractor is a dataclass, has every required member, and has methods with the right arguments."""
    is_complete("extractors", extractor)


def extractor_declares_itself(extractor: Extractor) -> None:
    """Check that channels, chip size, descriptors and frames are declared."""
    check_number("chip_size", extractor.chip_size, 1)
    assert extractor.CHANNELS in ("grey", "rgb"), f"CHANNELS is {extractor.CHANNELS!r}, expected 'grey' or 'rgb'"
    assert extractor.DTYPE in (np.uint8, np.float32), (
        f"DTYPE is {extractor.DTYPE!r}, expected numpy.uint8 or numpy.float32"
    )
    check_number("DIMENSION", extractor.DIMENSION, 1)
    assert isinstance(extractor.FRAMES, bool), f"FRAMES is {extractor.FRAMES!r}, expected True or False"
    if hasattr(extractor, "batch"):
        check_number("batch", extractor.batch, 1)


def _ramp(width: int, height: int, dx: float, dy: float, levels: int) -> np.ndarray:
    y, x = np.mgrid[:height, :width]
    position = x * dx + y * dy
    ramp: np.ndarray = np.rint(levels * position / max(position.max(), 1))
    return ramp


FEATURELESS = {
    "black": np.zeros((200, 300)),
    "grey": np.full((200, 300), 128),
    "white": np.full((300, 200), 255),
    "one pixel": np.full((1, 1), 77),
    "one row": np.arange(256)[None] % 256,
    "one column": np.arange(256)[:, None] % 256,
    "2 x 3": np.array([[0, 255, 0], [255, 0, 255]]),
    "three rows": np.full((3, 300), 9),
    "4 x 4 corner": np.pad(np.full((2, 2), 255), ((0, 2), (0, 2))),
    "small and even": np.full((15, 15), 200),
}
SLOPES = {  # not for networks: they may find corners where the slope is rounded to steps
    "ramp across": _ramp(300, 200, 1, 0, 255),
    "ramp down": _ramp(300, 200, 0, 1, 255),
    "ramp aslant": _ramp(300, 200, 1, 0.5, 255),
    "slow ramp": _ramp(500, 400, 1, 0.3, 20),
}


def nothing_to_see_gives_no_features(extractor: Extractor) -> None:
    """Check that chips without texture give no features: blank, tiny or fully masked chips.

    The empty arrays must have the correct shapes and types.
    """
    chips = {name: chip_for(extractor, grey) for name, grey in FEATURELESS.items()}
    if not getattr(extractor, "NEEDS", ()):
        chips |= {name: chip_for(extractor, grey) for name, grey in SLOPES.items()}
    chips["all masked"] = chip_for(extractor, coat(), np.zeros(SIZE[::-1], bool))
    for name, chip in chips.items():
        found = _extracted(extractor, chip)
        assert len(found) == 0, f"{len(found)} features on a chip without texture ({name}), expected 0"
        _check_types(extractor, found)


def small_chips_never_fail(extractor: Extractor) -> None:
    """Check that small chips of noise, of many sizes, raise no exception and give the declared types."""
    for size in [(1, 2), (5, 5), (8, 8), (11, 40), (12, 12), (13, 13), (16, 300), (300, 9), (33, 31)]:
        grey = np.random.default_rng(1).integers(0, 256, size)
        _check_types(extractor, _extracted(extractor, chip_for(extractor, grey)))


def features_are_as_declared(extractor: Extractor) -> None:
    """Check the types and shapes of features. Keypoints lie on the chip, are spread out, and have descending scores."""
    found = _extracted(extractor, chip_for(extractor, coat()))
    assert len(found) >= FEW, f"{len(found)} features on a coat of {SIZE[0]} x {SIZE[1]} px, expected {FEW} or more"
    _check_types(extractor, found)
    finite = {name: getattr(found, name) for name in ("keypoints", "descriptors", "scores", "scales", "oris")}
    for name, column in finite.items():
        assert np.isfinite(column).all(), f"some {name} are not finite numbers"
    assert (np.diff(found.scores) <= 0).all(), "features are not sorted by descending score"
    assert found.scores.max() > found.scores.min() >= 0, "all scores are equal, or scores are below 0"
    inside = (found.keypoints >= 0).all() and (found.keypoints <= np.array(SIZE) - 1).all()
    assert inside, "keypoints lie outside the chip"
    assert (found.scales > 0).all(), "some scales are not above 0"
    assert found.image_size == SIZE, f"image_size is {found.image_size}, expected {SIZE}: width, height of the chip"
    places = len(np.unique(found.keypoints, axis=0))
    assert places > 0.5 * len(found), f"{len(found)} features at only {places} positions: positions are repeated"


def frames_have_the_area_of_their_scale(extractor: Extractor) -> None:
    """Check that a * d of a frame is the squared radius, or that shapes are None if FRAMES is False."""
    found = _extracted(extractor, chip_for(extractor, coat()))
    _check_types(extractor, found)
    if found.shapes is None:
        return
    a, c, d = found.shapes.T
    assert (a > 0).all(), "the value a of a frame is not above 0"
    assert np.isfinite(c).all(), "the value c of a frame is not finite"
    assert np.allclose(a * d, (found.scales / 2) ** 2, rtol=1e-4), "a * d is not the squared radius, (scale / 2) ** 2"


def descriptors_have_the_norm_of_their_type(extractor: Extractor) -> None:
    """Check that descriptors have a norm of about 512 (uint8) or 1 (float32), because it scales the distances."""
    found = _extracted(extractor, chip_for(extractor, coat()))
    expected = 512 if np.dtype(extractor.DTYPE) == np.uint8 else 1
    norms = np.linalg.norm(found.descriptors.astype(float), axis=1)
    assert np.allclose(norms, expected, rtol=0.02), (
        f"descriptors of {found.descriptors.dtype} have norms of {norms.min():.3g} to {norms.max():.3g}, "
        f"expected {expected}"
    )


def scales_are_diameters(extractor: Extractor) -> None:
    """Check that scales are twice as large on a chip of twice the size, and that they are diameters, not radii.

    On a spot with the standard deviation s, a detector of blobs has the scale 2 s. A larger scale is allowed, because
    some detectors state the diameter of the surroundings that they compare. An extractor whose scales are all equal is
    not checked.
    """
    small = coat(SIZE[0] // 2, SIZE[1] // 2)
    one = _extracted(extractor, chip_for(extractor, small))
    if not len(one) or np.ptp(one.scales) < 1e-3 * one.scales.max():
        return
    large = cv2.resize(small, SIZE, interpolation=cv2.INTER_CUBIC)
    two = _extracted(extractor, chip_for(extractor, large))
    rows0, rows1 = _found_again(one, two, (one.keypoints + 0.5) * 2 - 0.5, 4)
    if len(rows0) >= PAIRS:
        factor = float(np.median(two.scales[rows1] / one.scales[rows0]))
        assert 1.5 < factor < 2.7, (
            f"scales are {factor:.2f} times as large on a chip of twice the size, expected 2: a scale is a diameter in "
            "chip pixels"
        )
    factors = [f for f in (_scale_on_spot(extractor, deviation) / (2 * deviation) for deviation in SPOTS) if f > 0]
    if factors:
        factor = float(np.median(factors))
        assert factor > 0.7, (
            f"the scale on a spot is {2 * factor:.2f} times its standard deviation, expected 2 or more: a scale is the "
            "diameter, not the radius"
        )


def _scale_on_spot(extractor: Extractor, deviation: float) -> float:
    """Return the scale of the best keypoint in the middle of a dark Gaussian spot; 0 if no keypoint lies there."""
    width, height = SIZE
    middle = np.array([width / 2 + 0.3, height / 2 - 0.4])
    y, x = np.mgrid[:height, :width]
    spot = np.exp(-0.5 * ((x - middle[0]) ** 2 + (y - middle[1]) ** 2) / deviation**2)
    found = _extracted(extractor, chip_for(extractor, np.rint(220 - 180 * spot)))
    near = np.flatnonzero(np.linalg.norm(found.keypoints - middle, axis=1) < deviation / 2)
    return float(found.scales[near[0]]) if len(near) else 0.0


def angles_are_clockwise_radians(extractor: Extractor) -> None:
    """Check that orientations are radians, and that they grow by pi / 2 if the chip is turned clockwise by 90 degrees.

    An extractor whose orientations are all equal is not checked for turns.
    """
    grey = coat()
    one = _extracted(extractor, chip_for(extractor, grey))
    low, high = float(one.oris.min(initial=0)), float(one.oris.max(initial=0))
    assert low >= -np.pi - 1e-3, f"orientations go down to {low:.4g}, expected radians, -pi or more: use numpy.deg2rad"
    assert high <= 2 * np.pi + 1e-3, (
        f"orientations go up to {high:.4g}, expected radians, at most 2 pi: use numpy.deg2rad"
    )
    if low == high:
        return
    two = _extracted(extractor, chip_for(extractor, np.rot90(grey, -1)))
    x, y = one.keypoints.T
    rows0, rows1 = _found_again(one, two, np.stack([len(grey) - 1 - y, x], axis=1), 3)
    if len(rows0) >= PAIRS:
        turns = two.oris[rows1].astype(float) - one.oris[rows0]
        turn = float(np.rad2deg(np.angle(np.exp(1j * turns).mean())))
        assert abs(turn - 90) < 20, (
            f"orientations turn by {turn:.0f} degrees if the chip is turned by 90 degrees clockwise, expected 90"
        )


def _found_again(one: Features, two: Features, places: np.ndarray, reach: float) -> tuple[np.ndarray, np.ndarray]:
    """Return rows (P,) of `one` and of `two`: mutual nearest descriptors with the right positions.

    places: (N, 2), where the keypoints of `one` lie on the second chip. reach: largest error of a position (px).
    """
    if not len(one) or not len(two):
        return np.zeros(0, np.int64), np.zeros(0, np.int64)
    a, b = one.descriptors.astype(np.float32), two.descriptors.astype(np.float32)
    squared = (a**2).sum(axis=1)[:, None] + (b**2).sum(axis=1) - 2 * a @ b.T
    there, back = squared.argmin(axis=1), squared.argmin(axis=0)
    rows = np.flatnonzero(back[there] == np.arange(len(a)))
    rows = rows[np.linalg.norm(places[rows] - two.keypoints[there[rows]], axis=1) < reach]
    return rows, there[rows]


def several_chips_give_the_same_features(extractor: Extractor) -> None:
    """Check that `extract_many`, if the extractor has it, gives each chip the features that `extract` gives it."""
    several = getattr(extractor, "extract_many", None)
    if several is None:
        return
    masked = np.zeros(SIZE[::-1], bool)
    masked[:, SIZE[0] // 2 :] = True
    chips = [
        chip_for(extractor, coat(), masked),
        chip_for(extractor, np.full((40, 60), 128)),
        chip_for(extractor, coat(200, 300, seed=5)),
        chip_for(extractor, coat(seed=7)),
    ]
    found = several(chips)
    assert len(found) == len(chips), f"extract_many gives {len(found)} results for {len(chips)} chips"
    for number, (together, chip) in enumerate(zip(found, chips, strict=True)):
        alone = _extracted(extractor, chip)
        same = len(together) == len(alone) and np.allclose(together.keypoints, alone.keypoints, atol=1e-2)
        assert same, f"extract_many gives chip {number} other keypoints than extract"
        atol = 1 if together.descriptors.dtype == np.uint8 else 1e-3
        same = np.allclose(together.descriptors.astype(float), alone.descriptors.astype(float), atol=atol)
        assert same, f"extract_many gives chip {number} other descriptors than extract"


def same_chip_same_bytes(extractor: Extractor) -> None:
    """Check that a chip gives the same bytes again after another chip, and that it is not changed."""
    grey, mask = coat(), np.ones(SIZE[::-1], bool)
    chip = chip_for(extractor, grey, mask)
    first = _extracted(extractor, chip)
    _extracted(extractor, chip_for(extractor, coat(200, 300, seed=5)))
    again = _extracted(extractor, chip_for(extractor, coat(), np.ones(SIZE[::-1], bool)))
    assert (grey == coat()).all(), "the chip's pixels were changed"
    assert mask.all(), "the chip's mask was changed"
    assert same_features(first, again), "the second extraction gives other bytes"


def keypoints_stay_inside_the_mask(extractor: Extractor) -> None:
    """Check that no keypoint lies where the mask is False."""
    mask = np.zeros(SIZE[::-1], bool)
    mask[40:200, 150:310] = True
    found = _extracted(extractor, chip_for(extractor, coat(), mask))
    x, y = np.rint(found.keypoints).astype(int).T
    assert len(found), "no features inside the mask"
    assert mask[y, x].all(), "keypoints lie outside the mask"


def same_features(a: Features, b: Features) -> bool:
    """Return whether two sets of features have the same bytes."""
    pairs = [(getattr(a, f.name), getattr(b, f.name)) for f in fields(Features) if f.name != "image_size"]
    return all(x is y is None or x.tobytes() == y.tobytes() for x, y in pairs)


def _extracted(extractor: Extractor, chip: Chip) -> Features:
    found = extractor.extract(chip)
    assert isinstance(found, Features), (
        f"extract returns {type(found).__name__}, expected snowmatch.core.types.Features"
    )
    return found


def _check_types(extractor: Extractor, found: Features) -> None:
    shape, dtype = (len(found), extractor.DIMENSION), np.dtype(extractor.DTYPE)
    assert found.descriptors.shape == shape, (
        f"descriptors are {found.descriptors.shape}, expected {shape}: DIMENSION is {extractor.DIMENSION}"
    )
    assert found.descriptors.dtype == dtype, f"descriptors are {found.descriptors.dtype}, expected {dtype}, the DTYPE"
    shapes = "None" if found.shapes is None else "an array"
    assert (found.shapes is not None) == extractor.FRAMES, f"FRAMES is {extractor.FRAMES}, but shapes is {shapes}"


EXTRACTOR_CHECKS: dict[str, Callable[[Extractor], None]] = all_after(
    extractor_is_complete,
    (
        settings_are_frozen_fields,
        extractor_declares_itself,
        nothing_to_see_gives_no_features,
        small_chips_never_fail,
        features_are_as_declared,
        frames_have_the_area_of_their_scale,
        descriptors_have_the_norm_of_their_type,
        scales_are_diameters,
        angles_are_clockwise_radians,
        several_chips_give_the_same_features,
        same_chip_same_bytes,
        keypoints_stay_inside_the_mask,
    ),
)
