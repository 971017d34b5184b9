"""Checks of a matcher."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields
from functools import partial

import numpy as np

from snowmatch.core.errors import SnowmatchError
from snowmatch.core.plugins import GalleryMatcher, Matcher, Pair, PairMatcher
from snowmatch.core.types import Features, Matches, Subject
from snowmatch.matching.search.block import Block, LazyIndex
from snowmatch.matching.search.blocks import BACKENDS
from snowmatch.matching.search.encoding import build_faiss
from snowmatch.screening.foreground import FOREGROUNDS
from snowmatch.testing.plugins import all_after, check_number, is_complete, settings_are_frozen_fields

HESAFF = {"name": "hesaff", "revision": 1}  # settings of an extractor, for matchers


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


def matches_of(
    matcher: Matcher, query: np.ndarray, gallery: list[np.ndarray], allowed: np.ndarray | None = None
) -> Matches:
    """Return the matches of a query with a gallery, for a matcher of either kind. Check their types, range and order.

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
    everyone = np.arange(len(gallery))
    found = matcher.match(gallery_features(query), [block], allowed, everyone, np.ones(len(gallery), bool))
    assert isinstance(found, Matches), f"match returns {type(found).__name__}, expected snowmatch.core.types.Matches"
    _check_columns("match", found, len(query))
    _check_numbers("annotation", found.annotation, len(gallery))
    _check_numbers("keypoint1", found.keypoint1, np.array([len(d) for d in gallery])[found.annotation])
    ordered = np.lexsort((found.keypoint0, found.annotation))
    same = all((column[ordered] == column).all() for column in (found.annotation, found.keypoint0))
    assert same, "matches are not sorted by annotation, then by keypoint0"
    return found


def _pair_by_pair(matcher: PairMatcher, query: np.ndarray, gallery: list[np.ndarray], allowed: np.ndarray) -> Matches:
    def subject(descriptors: np.ndarray) -> Subject:
        made = gallery_features(descriptors)
        return Subject(made, (0, 0, *made.image_size))

    numbers = np.flatnonzero(allowed).tolist()
    pairs = list(matcher.pairs(subject(query), ((n, subject(gallery[n])) for n in numbers), HESAFF))
    for pair in pairs:
        assert isinstance(pair, Pair), f"pairs yields {type(pair).__name__}, expected snowmatch.core.plugins.Pair"
    found = {pair.number: pair for pair in pairs}
    assert sorted(pair.number for pair in pairs) == numbers, (
        f"the matcher returned pairs {sorted(pair.number for pair in pairs)} for photos {numbers}"
    )
    for pair in pairs:
        what = f"pair {pair.number}"
        lengths = {len(pair.keypoint0), len(pair.keypoint1), len(pair.weights)}
        assert len(lengths) == 1, f"{what} has arrays of lengths {sorted(lengths)}"
        _check_columns(what, pair, len(query))
        _check_numbers("keypoint1", pair.keypoint1, len(gallery[pair.number]))
        assert (np.diff(pair.keypoint0) > 0).all(), f"{what} is not sorted by keypoint0, each keypoint at most once"
    none = np.zeros(0, np.int64)
    return Matches(
        np.concatenate([none, *(found[n].keypoint0 for n in numbers)]),
        np.repeat(np.array(numbers, np.int64), [len(found[n].weights) for n in numbers]),
        np.concatenate([none, *(found[n].keypoint1 for n in numbers)]),
        np.concatenate([np.zeros(0, np.float32), *(found[n].weights for n in numbers)]),
    )


def _check_columns(what: str, found: Matches | Pair, keypoints: int) -> None:
    """Check the weights and the query's side of matches. keypoints: number of keypoints of the query."""
    _check_numbers("keypoint0", found.keypoint0, keypoints)
    assert found.weights.dtype == np.float32, f"the weights of {what} are {found.weights.dtype}, expected float32"
    assert np.isfinite(found.weights).all(), f"some weights of {what} are not finite numbers"
    least = found.weights.min(initial=np.inf)
    assert least > 0, f"the weights of {what} go down to {least:.4g}, expected above 0: leave out the other matches"


def _check_numbers(name: str, numbers: np.ndarray, count: int | np.ndarray) -> None:
    assert numbers.dtype.kind in "iu", f"{name} is {numbers.dtype}, expected whole numbers"
    good = (numbers >= 0) & (numbers < count)
    assert good.all(), f"{name} has the number {numbers[~good][0]}, which does not exist"


def matcher_is_complete(matcher: Matcher) -> None:
    """Check that a matcher is a dataclass, has every required member, and has methods with the right arguments."""
    is_complete("matchers", matcher)


def matcher_declares_itself(matcher: Matcher) -> None:
    """Check the kind, the foreground, and the search index or the number of candidates and keypoints."""
    assert isinstance(matcher.PAIRWISE, bool), f"PAIRWISE is {matcher.PAIRWISE!r}, expected True or False"
    known = " or ".join(FOREGROUNDS)
    assert matcher.foreground in FOREGROUNDS, f"foreground is {matcher.foreground!r}, expected {known}"
    if not matcher.PAIRWISE:
        is_setting = "foreground" in {f.name for f in fields(matcher)}
        assert is_setting, "foreground is not a setting, but a PairMatcher sets it if this matcher is its voter"
        known = " or ".join(BACKENDS)
        assert matcher.backend in BACKENDS, f"backend is {matcher.backend!r}, expected {known}"
        return
    assert isinstance(matcher.voter, str), f"voter is {matcher.voter!r}, expected the name of a GalleryMatcher"
    check_number("candidates", matcher.candidates, 0)
    check_number("keypoints", matcher.keypoints, 1)
    try:
        weights = matcher.check(HESAFF)
    except SnowmatchError:  # the matcher cannot match these features, or its weights are missing
        return
    assert isinstance(weights, str), f"check returns {weights!r}, expected the name of the weights, or an empty text"


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
        matches_of(matcher, gallery[0][:count], gallery)
    if matcher.PAIRWISE:  # a search index does not contain empty entries
        matches_of(matcher, gallery[0], [gallery[4]])
    # A single keypoint has no 2nd-nearest neighbour to compare with
    one = matches_of(matcher, gallery[0], [gallery[3]])
    assert len(one) == 0 or one.weights.max() < 0.9, (
        "a strong match with the only keypoint of a photo, expected a weak match or none"
    )


def forbidden_entries_get_no_match(matcher: Matcher) -> None:
    """Check that only allowed entries are matched."""
    gallery = small_gallery()
    allowed = np.array([True, False, False, True, True])
    found = set(matches_of(matcher, gallery[2], gallery, allowed).annotation.tolist())
    assert found <= {0, 3, 4}, f"there are matches with entries {sorted(found - {0, 3, 4})}, which are not allowed"


def same_question_same_answer(matcher: Matcher) -> None:
    """Check that the same query gives the same bytes twice."""
    gallery = small_gallery()
    first, second = (matches_of(matcher, gallery[1], gallery) for _ in "ab")
    assert first.weights.tobytes() == second.weights.tobytes(), "the second query gives other weights"
    assert np.array_equal(first.keypoint1, second.keypoint1), "the second query gives other matches"


MATCHER_CHECKS: dict[str, Callable[[Matcher], None]] = all_after(
    matcher_is_complete,
    (
        settings_are_frozen_fields,
        matcher_declares_itself,
        a_photo_matches_itself,
        hardly_any_keypoints_never_fail,
        forbidden_entries_get_no_match,
        same_question_same_answer,
    ),
)
