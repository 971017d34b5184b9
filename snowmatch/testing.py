"""Conformance checks for extractors and matchers: plugins of snowmatch and of other distributions.

    from snowmatch.testing import EXTRACTOR_CHECKS

    @pytest.mark.parametrize("check", EXTRACTOR_CHECKS.values(), ids=list(EXTRACTOR_CHECKS))
    def test_my_extractor(check):
        check(MyExtractor())

A check raises AssertionError with a description of the problem. The checks do not need pytest.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import FrozenInstanceError, fields, is_dataclass
from functools import partial

import cv2
import numpy as np

from snowmatch.core.plugins import Extractor, GalleryMatcher, Matcher, PairMatcher, Plugin, settings, settings_key
from snowmatch.core.types import Chip, Features, Matches, Subject
from snowmatch.matching.search.blocks import Block, LazyIndex
from snowmatch.matching.search.inverted_file import build_faiss

SIZE = (320, 240)  # (width, height) of the test coat for extractors (px)
FEW = 50  # number of features that every extractor must find on this coat, at least


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


def gallery_features(descriptors: np.ndarray) -> Features:
    """Return features with the given descriptors (N, D), at arbitrary positions."""
    n = len(descriptors)
    ones = np.ones(n, np.float32)
    points = np.arange(2 * n, dtype=np.float32).reshape(n, 2)
    return Features(points, descriptors, ones, ones, ones * 0, np.ones((n, 3), np.float32), (640, 480))


def small_gallery(rows: tuple[int, ...] = (40, 30, 50, 1, 0)) -> list[np.ndarray]:
    """Return random descriptors (N, 128) uint8, one array for each number N in `rows`."""
    rng = np.random.default_rng(0)
    return [rng.integers(0, 90, (n, 128)).astype(np.uint8) for n in rows]


# --- settings of any plugin -------------------------------------------------------------------------------------------


def settings_are_frozen_fields(plugin: Plugin) -> None:
    """Check that a plugin is a frozen dataclass, that every setting has a plain default, and that it has a key."""
    assert is_dataclass(plugin), "the plugin is not a dataclass"
    assert isinstance(plugin.REVISION, int), "REVISION is not a whole number"
    assert plugin.REVISION >= 1, f"REVISION is {plugin.REVISION}, expected 1 or more"
    assert type(plugin).__doc__, "the class has no docstring, whose first line `snowmatch plugins` shows"
    for f in fields(plugin):
        assert isinstance(f.default, str | int | float | bool), (
            f"the setting {f.name} has no default that is a text, a number or a bool"
        )
        try:
            setattr(plugin, f.name, f.default)
        except FrozenInstanceError:
            continue
        raise AssertionError(f"the setting {f.name} can be changed: the dataclass is not frozen")
    assert len(settings_key(settings(plugin))) == 12


# --- extractors -------------------------------------------------------------------------------------------------------


def extractor_declares_itself(extractor: Extractor) -> None:
    """Check that channels, chip size, descriptors and frames are declared."""
    assert extractor.chip_size > 0, f"chip_size is {extractor.chip_size}, expected above 0"
    assert extractor.CHANNELS in ("grey", "rgb"), f"CHANNELS is {extractor.CHANNELS!r}, expected 'grey' or 'rgb'"
    assert extractor.DTYPE in (np.uint8, np.float32), (
        f"DTYPE is {extractor.DTYPE}, expected numpy.uint8 or numpy.float32"
    )
    assert extractor.DIMENSION > 0, f"DIMENSION is {extractor.DIMENSION}, expected above 0"
    assert isinstance(extractor.FRAMES, bool), f"FRAMES is {extractor.FRAMES!r}, expected True or False"


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
        found = extractor.extract(chip)
        assert len(found) == 0, f"{len(found)} features on a chip without texture ({name}), expected 0"
        _check_types(extractor, found)


def small_chips_never_fail(extractor: Extractor) -> None:
    """Check that small chips of noise, of many sizes, raise no exception."""
    for size in [(1, 2), (5, 5), (8, 8), (11, 40), (12, 12), (13, 13), (16, 300), (300, 9), (33, 31)]:
        grey = np.random.default_rng(1).integers(0, 256, size)
        found = extractor.extract(chip_for(extractor, grey))
        assert len(found.descriptors) == len(found), (
            f"a chip of {size[1]} x {size[0]} px gives arrays of different lengths"
        )


def features_are_as_declared(extractor: Extractor) -> None:
    """Check the types and shapes of features. Keypoints lie on the chip, are spread out, and have descending scores."""
    found = extractor.extract(chip_for(extractor, coat()))
    assert len(found) >= FEW, f"{len(found)} features on a coat of {SIZE[0]} x {SIZE[1]} px, expected {FEW} or more"
    _check_types(extractor, found)
    assert (np.diff(found.scores) <= 0).all(), "features are not sorted by descending score"
    assert found.scores.max() > found.scores.min() >= 0, "all scores are equal, or scores are below 0"
    inside = (found.keypoints >= 0).all() and (found.keypoints <= np.array(SIZE) - 1).all()
    assert inside, "keypoints lie outside the chip"
    assert (found.scales > 0).all(), "some scales are not above 0"
    assert found.image_size == SIZE, f"image_size is {found.image_size}, expected {SIZE}: width, height of the chip"
    finite = [found.keypoints, found.descriptors, found.scores, found.scales, found.oris]
    assert all(np.isfinite(column).all() for column in finite), "some numbers are not finite"
    places = len(np.unique(found.keypoints, axis=0))
    assert places > 0.5 * len(found), f"{len(found)} features at only {places} positions: positions are repeated"


def frames_have_the_area_of_their_scale(extractor: Extractor) -> None:
    """Check that a * d of a frame is the squared radius, or that shapes are None if FRAMES is False."""
    found = extractor.extract(chip_for(extractor, coat()))
    if not extractor.FRAMES:
        assert found.shapes is None, "FRAMES is False, but features have shapes"
        return
    assert found.shapes is not None, "FRAMES is True, but features have no shapes"
    a, c, d = found.shapes.T
    assert (a > 0).all(), "the value a of a frame is not above 0"
    assert (d > 0).all(), "the value d of a frame is not above 0"
    assert np.isfinite(c).all(), "the value c of a frame is not finite"
    assert np.allclose(a * d, (found.scales / 2) ** 2, rtol=1e-4), "a * d is not the squared radius, (scale / 2) ** 2"


def byte_descriptors_have_length_512(extractor: Extractor) -> None:
    """Check that uint8 descriptors have a norm of about 512, because this number scales the distances."""
    if np.dtype(extractor.DTYPE) == np.uint8:
        found = extractor.extract(chip_for(extractor, coat()))
        length = np.linalg.norm(found.descriptors.astype(float), axis=1)
        assert np.allclose(length, 512, rtol=0.02), f"norms are {length.min():.0f} to {length.max():.0f}, expected 512"


def same_chip_same_bytes(extractor: Extractor) -> None:
    """Check that a chip gives the same bytes again after another chip, and that it is not changed."""
    grey, mask = coat(), np.ones(SIZE[::-1], bool)
    chip = chip_for(extractor, grey, mask)
    first = extractor.extract(chip)
    extractor.extract(chip_for(extractor, coat(200, 300, seed=5)))
    assert same_features(first, extractor.extract(chip_for(extractor, coat(), mask.copy()))), (
        "the second extraction gives other bytes"
    )
    assert (grey == coat()).all(), "the chip's pixels were changed"
    assert mask.all(), "the chip's mask was changed"


def keypoints_stay_inside_the_mask(extractor: Extractor) -> None:
    """Check that no keypoint lies where the mask is False."""
    mask = np.zeros(SIZE[::-1], bool)
    mask[40:200, 150:310] = True
    found = extractor.extract(chip_for(extractor, coat(), mask))
    x, y = np.rint(found.keypoints).astype(int).T
    assert len(found), "no features inside the mask"
    assert mask[y, x].all(), "keypoints lie outside the mask"


def same_features(a: Features, b: Features) -> bool:
    """Return whether two sets of features have the same bytes."""
    pairs = [(getattr(a, f.name), getattr(b, f.name)) for f in fields(Features) if f.name != "image_size"]
    return all(x is y is None or x.tobytes() == y.tobytes() for x, y in pairs)


def _check_types(extractor: Extractor, found: Features) -> None:
    shape = (len(found), extractor.DIMENSION)
    assert found.descriptors.shape == shape, f"descriptors are {found.descriptors.shape}, expected {shape}"
    assert found.descriptors.dtype == extractor.DTYPE, f"descriptors are {found.descriptors.dtype}, but DTYPE is not"
    assert (found.shapes is not None) == extractor.FRAMES, f"FRAMES is {extractor.FRAMES}, but shapes do not agree"


EXTRACTOR_CHECKS: dict[str, Callable[[Extractor], None]] = {
    check.__name__: check
    for check in (
        settings_are_frozen_fields,
        extractor_declares_itself,
        nothing_to_see_gives_no_features,
        small_chips_never_fail,
        features_are_as_declared,
        frames_have_the_area_of_their_scale,
        byte_descriptors_have_length_512,
        same_chip_same_bytes,
        keypoints_stay_inside_the_mask,
    )
}

# --- matchers ---------------------------------------------------------------------------------------------------------


def matches_of(
    matcher: Matcher, query: np.ndarray, gallery: list[np.ndarray], allowed: np.ndarray | None = None
) -> Matches:
    """Return the matches of a query with a gallery, for a matcher of either kind.

    query: descriptors (N, D). gallery: descriptors of each entry. allowed: (A,) bool, the entries that may answer; None
    for all.
    """
    allowed = np.ones(len(gallery), bool) if allowed is None else allowed
    if matcher.PAIRWISE:
        return _pair_by_pair(matcher, query, gallery, allowed)
    return _one_against_many(matcher, query, gallery, allowed)


def _one_against_many(
    matcher: GalleryMatcher, query: np.ndarray, gallery: list[np.ndarray], allowed: np.ndarray
) -> Matches:
    filled = [d for d in gallery if len(d)]
    offsets = np.cumsum([0] + [len(d) for d in filled])
    index = LazyIndex("made up", partial(lambda rows: (build_faiss(rows), "read"), filled))
    entries = np.array([i for i, d in enumerate(gallery) if len(d)], np.int64)
    block = Block(entries, offsets, index)
    return matcher.match(gallery_features(query), [block], allowed, np.arange(len(gallery)))


def _pair_by_pair(matcher: PairMatcher, query: np.ndarray, gallery: list[np.ndarray], allowed: np.ndarray) -> Matches:
    def subject(descriptors: np.ndarray) -> Subject:
        made = gallery_features(descriptors)
        return Subject(made, (0, 0, *made.image_size))

    numbers = np.flatnonzero(allowed).tolist()
    pairs = matcher.pairs(subject(query), ((n, subject(gallery[n])) for n in numbers), {"name": "hesaff"})
    found = {pair.number: pair for pair in pairs}
    assert sorted(found) == numbers, f"the matcher returned pairs {sorted(found)} for photos {numbers}"
    for pair in found.values():
        lengths = {len(pair.keypoint0), len(pair.keypoint1), len(pair.weights)}
        assert len(lengths) == 1, f"pair {pair.number} has arrays of lengths {sorted(lengths)}"
        assert (np.diff(pair.keypoint0) > 0).all(), f"pair {pair.number} is not sorted by keypoint0"
        assert (pair.weights > 0).all(), f"pair {pair.number} has weights that are not above 0"
    none = np.zeros(0, np.int64)
    return Matches(
        np.concatenate([none, *(found[n].keypoint0 for n in numbers)]),
        np.repeat(np.array(numbers, np.int64), [len(found[n].weights) for n in numbers]),
        np.concatenate([none, *(found[n].keypoint1 for n in numbers)]),
        np.concatenate([np.zeros(0, np.float32), *(found[n].weights for n in numbers)]),
    )


def a_photo_matches_itself(matcher: Matcher) -> None:
    """Check that each keypoint of a photo in the gallery matches itself best in that photo."""
    gallery = small_gallery()
    matches = matches_of(matcher, gallery[2], gallery)
    own = matches.take(matches.annotation == 2)
    best: dict[int, tuple[float, int]] = {}
    for keypoint0, keypoint1, weight in zip(own.keypoint0, own.keypoint1, own.weights, strict=True):
        best[keypoint0] = max(best.get(keypoint0, (0.0, -1)), (weight, keypoint1))
    assert len(best) == len(gallery[2]), (
        f"{len(best)} of {len(gallery[2])} keypoints match their own photo, expected all"
    )
    assert all(keypoint0 == keypoint1 for keypoint0, (_, keypoint1) in best.items()), (
        "some keypoints match another keypoint better than themselves"
    )


def hardly_any_keypoints_never_fail(matcher: Matcher) -> None:
    """Check that no keypoints, or only one, in query or gallery give no match or a weak match."""
    gallery = small_gallery()
    for count in (0, 1):
        matches = matches_of(matcher, gallery[0][:count], gallery)
        assert set(matches.keypoint0) <= set(range(count)), (
            f"matches have keypoints that do not exist in a query of {count}"
        )
    if matcher.PAIRWISE:  # a search index does not contain empty entries
        assert len(matches_of(matcher, gallery[0], [gallery[4]])) == 0, (
            "there are matches with a photo that has no keypoints"
        )
    one = matches_of(
        matcher, gallery[0], [gallery[3]]
    )  # a single keypoint has no 2nd-nearest neighbour to compare with
    assert len(one) == 0 or one.weights.max() < 0.9, (
        "a strong match with the only keypoint of a photo, expected a weak match or none"
    )


def forbidden_entries_get_no_match(matcher: Matcher) -> None:
    """Check that only allowed entries are matched."""
    gallery = small_gallery()
    allowed = np.array([True, False, False, True, True])
    found = set(matches_of(matcher, gallery[2], gallery, allowed).annotation)
    assert found <= {0, 3, 4}, f"there are matches with entries {sorted(found - {0, 3, 4})}, which are not allowed"


def keypoints_vote_alone(matcher: Matcher) -> None:
    """Check that a GalleryMatcher gives a keypoint the same matches with and without other keypoints in the query."""
    if matcher.PAIRWISE:
        return  # a PairMatcher may use all keypoints of a pair together
    gallery = small_gallery()
    together = matches_of(matcher, gallery[1], gallery)
    alone = matches_of(matcher, gallery[1][4:5], gallery)
    same = together.take(together.keypoint0 == 4)
    equal = np.array_equal(same.annotation, alone.annotation) and np.array_equal(same.weights, alone.weights)
    assert equal, "a keypoint has other matches if it is alone in the query"


def same_question_same_answer(matcher: Matcher) -> None:
    """Check that the same query gives the same bytes twice."""
    gallery = small_gallery()
    first, second = (matches_of(matcher, gallery[1], gallery) for _ in "ab")
    assert first.weights.tobytes() == second.weights.tobytes(), "the second query gives other weights"
    assert np.array_equal(first.keypoint1, second.keypoint1), "the second query gives other matches"


MATCHER_CHECKS: dict[str, Callable[[Matcher], None]] = {
    check.__name__: check
    for check in (
        settings_are_frozen_fields,
        a_photo_matches_itself,
        hardly_any_keypoints_never_fail,
        forbidden_entries_get_no_match,
        keypoints_vote_alone,
        same_question_same_answer,
    )
}
