"""Every matcher passes the conformance checks; LNBNN's votes equal those computed by hand."""

import numpy as np
import pytest
from conftest import has_weights, skip_without_packages, the_pair

from snowmatch.core.errors import SnowmatchError
from snowmatch.core.plugins import Pair, make_plugin, plugin_names
from snowmatch.core.types import Subject
from snowmatch.matching.matchers.lnbnn import Lnbnn, votes
from snowmatch.matching.matchers.mutual import Mutual
from snowmatch.matching.search.blocks import Neighbors
from snowmatch.testing import MATCHER_CHECKS
from snowmatch.testing.matchers import gallery_features, small_gallery


def neighbors(distances, entries):
    distances, entries = np.array(distances, np.float32), np.array(entries)
    return Neighbors(distances, entries, entries * 10)  # keypoint number: ten times the entry


def as_dict(matches):
    rows = zip(matches.keypoint0, matches.annotation, matches.keypoint1, matches.weights, strict=True)
    return {(int(q), int(a), int(k)): round(float(w), 4) for q, a, k, w in rows}


def test_votes_by_hand():
    # k = 2, one normaliser at 0.5: the first keypoint votes 0.4 for entry 3 and 0.2 for entry 1
    matches = votes(neighbors([[0.1, 0.3, 0.5], [0.2, 0.2, 0.2]], [[3, 1, 2], [0, 1, 2]]), 2)
    assert as_dict(matches) == {(0, 3, 30): 0.4, (0, 1, 10): 0.2}  # equal distances are no evidence
    assert list(matches.annotation) == [1, 3]  # sorted by annotation


def test_normalizer_name_skips_matched_individuals():
    found = neighbors([[0.1, 0.2, 0.3, 0.4, 0.6]], [[0, 1, 2, 3, 4]])
    individuals = np.array([7, 7, 7, 8, 9])  # the first three are one animal
    assert as_dict(votes(found, 2)) == {(0, 0, 0): 0.5, (0, 1, 10): 0.4}  # last: 0.6
    assert as_dict(votes(found, 2, individuals)) == {(0, 0, 0): 0.3, (0, 1, 10): 0.2}  # first other animal: 0.4


def test_normalizer_name_uses_the_last_neighbour_if_all_are_one_individual():
    found = neighbors([[0.1, 0.2, 0.5]], [[0, 1, 2]])
    assert as_dict(votes(found, 2, np.array([7, 7, 7]))) == {(0, 0, 0): 0.4, (0, 1, 10): 0.3}


def test_short_lists_use_their_last_neighbour():
    found = neighbors([[0.1, 0.4, np.inf], [0.1, np.inf, np.inf], [np.inf] * 3], [[0, 1, -1], [0, -1, -1], [-1] * 3])
    assert as_dict(votes(found, 2)) == {(0, 0, 0): 0.3}


def test_without_neighbours_there_are_no_votes():
    assert len(votes(neighbors(np.zeros((0, 5)), np.zeros((0, 5), int)), 4)) == 0


@pytest.mark.parametrize(
    "bad", [{"k": 0}, {"normalizers": 0}, {"normalizer": "best"}, {"normalizer": "name"}, {"backend": "annoy"}], ids=str
)
def test_settings_out_of_range_are_refused(bad):
    with pytest.raises(ValueError, match=r"expected|set normalizers"):
        Lnbnn(**bad)


@pytest.fixture(params=plugin_names("matchers"))
def matcher(request):
    """Every matcher with its defaults; LightGlue with a network that compares descriptors.

    A matcher is skipped without the packages in its NEEDS or without its weights.
    """
    skip_without_packages("matchers", request.param)
    if request.param == "lightglue":
        network = request.getfixturevalue("plain_lightglue")
        return make_plugin("matchers", "lightglue", {"weights": str(network)})
    made = make_plugin("matchers", request.param)
    if has_weights("matchers", request.param):
        request.getfixturevalue("weights")
        try:
            made.check({"name": "hesaff"})
        except SnowmatchError as error:
            pytest.skip(str(error))
    return made


@pytest.mark.parametrize("check", MATCHER_CHECKS.values(), ids=list(MATCHER_CHECKS))
def test_conformance(matcher, check):
    check(matcher)


def test_mutual_by_hand():
    """Unit vectors in the plane, given by angles. The distance is sqrt(1 - cos)."""

    def at(*degrees):
        angles = np.deg2rad(degrees)
        return np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)

    one, other = subject(at(0, 40, 90)), subject(at(2, 60, 95, 97))
    pair = the_pair(Mutual(ratio=0.8), one, other)
    # 90 is 5 degrees from 95 and 7 degrees from 97, a ratio of 0.71; the ratios of the others are smaller
    distance = np.sqrt(1 - np.cos(np.deg2rad([[2, 60], [5, 7]])))
    assert pair.keypoint0.tolist() == [0, 1, 2]
    assert pair.keypoint1.tolist() == [0, 1, 2]
    assert pair.weights[[0, 2]] == pytest.approx(distance[:, 1] - distance[:, 0], abs=1e-3)
    strict = the_pair(Mutual(ratio=0.6), one, other)
    assert strict.keypoint0.tolist() == [0, 1]


def test_mutual_drops_matches_that_are_not_mutual():
    descriptors = small_gallery()[0][:10]
    near = descriptors[:1].copy()
    near[0, 0] ^= 1  # a second keypoint that is nearly equal to the first
    pair = the_pair(Mutual(), subject(np.concatenate([descriptors, near])), subject(descriptors))
    assert 10 not in pair.keypoint0


@pytest.mark.parametrize(
    ("cls", "bad"), [(Mutual, {"ratio": 0}), (Mutual, {"candidates": -1}), (Mutual, {"keypoints": 0})], ids=str
)
def test_settings_of_pair_matchers_out_of_range_are_refused(cls, bad):
    with pytest.raises(ValueError, match="expected"):
        cls(**bad)


def test_checks_notice_matchers_that_do_not_conform():
    """Matchers that forget a pair, return unsorted matches, or match entries that are not allowed."""

    class Forgets(Mutual):
        def pairs(self, one, others, extractor):
            return list(super().pairs(one, others, extractor))[1:]

    class Unsorted(Mutual):
        def pairs(self, one, others, extractor):
            for pair in super().pairs(one, others, extractor):
                yield Pair(pair.number, pair.keypoint0[::-1], pair.keypoint1[::-1], pair.weights[::-1])

    class Eager(Lnbnn):
        def match(self, query, blocks, allowed, individuals):
            return super().match(query, blocks, np.ones_like(allowed), individuals)

    for broken, check in (
        (Forgets(), "a_photo_matches_itself"),
        (Unsorted(), "a_photo_matches_itself"),
        (Eager(), "forbidden_entries_get_no_match"),
    ):
        with pytest.raises(AssertionError):
            MATCHER_CHECKS[check](broken)


def subject(descriptors):
    made = gallery_features(descriptors)
    return Subject(made, (0, 0, *made.image_size))
