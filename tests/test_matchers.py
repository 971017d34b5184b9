"""Every matcher keeps the same contract; LNBNN's votes are those computed by hand."""

import numpy as np
import pytest
from conftest import the_pair

from snowmatch.core.plugins import make_plugin, plugin_names
from snowmatch.core.types import Features, Matches, Subject
from snowmatch.matching.matchers.lnbnn import Lnbnn, votes
from snowmatch.matching.matchers.mutual import Mutual
from snowmatch.matching.search.blocks import Block, Neighbors
from snowmatch.matching.search.inverted_file import build_faiss


def neighbors(distances, entries):
    distances, entries = np.array(distances, np.float32), np.array(entries)
    return Neighbors(distances, entries, entries * 10)  # keypoint number: ten times the entry's


def as_dict(matches):
    rows = zip(matches.keypoint0, matches.annotation, matches.keypoint1, matches.weights, strict=True)
    return {(int(q), int(a), int(k)): round(float(w), 4) for q, a, k, w in rows}


def test_votes_by_hand():
    # k = 2, one normaliser at 0.5: the first keypoint votes 0.4 for entry 3 and 0.2 for entry 1
    matches = votes(neighbors([[0.1, 0.3, 0.5], [0.2, 0.2, 0.2]], [[3, 1, 2], [0, 1, 2]]), 2)
    assert as_dict(matches) == {(0, 3, 30): 0.4, (0, 1, 10): 0.2}  # equal distances are no evidence
    assert list(matches.annotation) == [1, 3]  # sorted by annotation


def test_normalizer_name_skips_the_individuals_matched():
    found = neighbors([[0.1, 0.2, 0.3, 0.4, 0.6]], [[0, 1, 2, 3, 4]])
    individuals = np.array([7, 7, 7, 8, 9])  # the first three are one animal
    assert as_dict(votes(found, 2)) == {(0, 0, 0): 0.5, (0, 1, 10): 0.4}  # last: 0.6
    assert as_dict(votes(found, 2, individuals)) == {(0, 0, 0): 0.3, (0, 1, 10): 0.2}  # first other animal: 0.4


def test_normalizer_name_falls_back_to_the_last():
    found = neighbors([[0.1, 0.2, 0.5]], [[0, 1, 2]])
    assert as_dict(votes(found, 2, np.array([7, 7, 7]))) == {(0, 0, 0): 0.4, (0, 1, 10): 0.3}


def test_short_lists_use_the_last_neighbour_there_is():
    found = neighbors([[0.1, 0.4, np.inf], [0.1, np.inf, np.inf], [np.inf] * 3], [[0, 1, -1], [0, -1, -1], [-1] * 3])
    assert as_dict(votes(found, 2)) == {(0, 0, 0): 0.3}


def test_no_neighbours_no_votes():
    assert len(votes(neighbors(np.zeros((0, 5)), np.zeros((0, 5), int)), 4)) == 0


@pytest.mark.parametrize(
    "bad", [{"k": 0}, {"normalizers": 0}, {"normalizer": "best"}, {"normalizer": "name"}, {"backend": "annoy"}], ids=str
)
def test_settings_out_of_range_are_refused(bad):
    with pytest.raises(ValueError, match=r"expected|set normalizers"):
        Lnbnn(**bad)


def features(descriptors):
    n = len(descriptors)
    values = np.ones(n, np.float32)
    points = np.arange(2 * n, dtype=np.float32).reshape(n, 2)
    return Features(points, descriptors, values, values, values * 0, np.ones((n, 3), np.float32), (640, 480))


def small_gallery(rows=(40, 30, 50, 1, 0)):
    rng = np.random.default_rng(0)
    return [rng.integers(0, 90, (n, 128)).astype(np.uint8) for n in rows]


def one_block(descriptors):
    descriptors = [d for d in descriptors if len(d)]
    built = build_faiss(descriptors)
    offsets = np.cumsum([0] + [len(d) for d in descriptors])
    return [Block(np.arange(len(descriptors)), offsets, lambda: built)]


@pytest.fixture(params=plugin_names("matchers"))
def ask(request):
    """A matcher as a function of a query's descriptors, those of the gallery's entries, and which are allowed."""
    if request.param == "lightglue":
        network = request.getfixturevalue("plain_lightglue")
        matcher = make_plugin("matchers", "lightglue", {"weights": str(network)})
    else:
        matcher = make_plugin("matchers", request.param)

    def one_against_many(query, gallery, allowed=None):
        allowed = np.ones(len(gallery), bool) if allowed is None else allowed
        return matcher.match(features(query), one_block(gallery), allowed, np.arange(len(gallery)))

    def pair_by_pair(query, gallery, allowed=None):
        found = []
        for entry, other in enumerate(gallery):
            if allowed is None or allowed[entry]:
                keypoint0, keypoint1, weights = the_pair(matcher, subject(query), subject(other), {"name": "hesaff"})
                assert len(keypoint0) == len(keypoint1) == len(weights)
                assert (np.diff(keypoint0) > 0).all()
                assert (weights > 0).all()
                found.append((keypoint0, np.full(len(keypoint0), entry), keypoint1, weights))
        return Matches(*(np.concatenate(column) for column in zip(*found, strict=True)))

    ask = pair_by_pair if matcher.PAIRWISE else one_against_many
    ask.pairwise = matcher.PAIRWISE
    return ask


class TestConformance:
    def test_a_photo_matches_itself_keypoint_for_keypoint(self, ask):
        descriptors = small_gallery()
        matches = ask(descriptors[2], descriptors)
        own = matches.take(matches.annotation == 2)
        best = {}
        for q, k, w in zip(own.keypoint0, own.keypoint1, own.weights, strict=True):
            best.setdefault(q, (w, k))
            best[q] = max(best[q], (w, k))
        assert all(q == k for q, (_, k) in best.items())
        assert len(best) == 50

    @pytest.mark.parametrize("count", [0, 1])
    def test_hardly_any_keypoints_on_either_side(self, ask, count):
        descriptors = small_gallery()
        matches = ask(descriptors[0][:count], descriptors)
        assert set(matches.keypoint0) <= set(range(count))
        if ask.pairwise:  # an empty entry is in no index
            assert len(ask(descriptors[0], [descriptors[4]])) == 0
        one = ask(descriptors[0], [descriptors[3]])  # one keypoint alone has nothing to be better than
        assert len(one) == 0 or one.weights.max() < 0.9

    def test_forbidden_annotations_get_no_vote(self, ask):
        descriptors = small_gallery()
        allowed = np.array([True, False, False, True, True])
        assert set(ask(descriptors[2], descriptors, allowed).annotation) <= {0, 3, 4}

    def test_a_keypoint_votes_the_same_alone(self, ask):
        if ask.pairwise:
            pytest.skip("a pair is looked at as a whole")
        descriptors = small_gallery()
        together = ask(descriptors[1], descriptors)
        alone = ask(descriptors[1][4:5], descriptors)
        same = together.take(together.keypoint0 == 4)
        np.testing.assert_array_equal(same.annotation, alone.annotation)
        np.testing.assert_array_equal(same.weights, alone.weights)

    def test_twice_the_same_answer(self, ask):
        descriptors = small_gallery()
        first, second = (ask(descriptors[1], descriptors) for _ in "ab")
        np.testing.assert_array_equal(first.weights, second.weights)
        np.testing.assert_array_equal(first.keypoint1, second.keypoint1)


def test_mutual_by_hand():
    """Unit vectors in the plane by angle: distance is sqrt(1 - cos)."""

    def at(*degrees):
        angles = np.deg2rad(degrees)
        return np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)

    one, other = subject(at(0, 40, 90)), subject(at(2, 60, 95, 97))
    keypoint0, keypoint1, weights = the_pair(Mutual(ratio=0.8), one, other)
    # 90 is 5 degrees from 95 and 7 from 97, a ratio of 0.71; the others are nearer to one by more
    distance = np.sqrt(1 - np.cos(np.deg2rad([[2, 60], [5, 7]])))
    assert keypoint0.tolist() == [0, 1, 2]
    assert keypoint1.tolist() == [0, 1, 2]
    assert weights[[0, 2]] == pytest.approx(distance[:, 1] - distance[:, 0], abs=1e-3)
    strict = the_pair(Mutual(ratio=0.6), one, other)
    assert strict[0].tolist() == [0, 1]


def test_mutual_drops_what_another_keypoint_is_nearer_to():
    descriptors = small_gallery()[0][:10]
    near = descriptors[:1].copy()
    near[0, 0] ^= 1  # a second keypoint that is nearly the first
    keypoint0, _, _ = the_pair(Mutual(), subject(np.concatenate([descriptors, near])), subject(descriptors))
    assert 10 not in keypoint0


@pytest.mark.parametrize(
    ("cls", "bad"), [(Mutual, {"ratio": 0}), (Mutual, {"candidates": -1}), (Mutual, {"keypoints": 0})], ids=str
)
def test_settings_of_pair_matchers_out_of_range_are_refused(cls, bad):
    with pytest.raises(ValueError, match="expected"):
        cls(**bad)


def subject(descriptors):
    made = features(descriptors)
    return Subject(made, (0, 0, *made.image_size))
