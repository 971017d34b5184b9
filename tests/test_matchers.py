"""Every matcher keeps the same contract; LNBNN's votes are those computed by hand."""

import numpy as np
import pytest

from snowmatch.index import Block, Neighbors, build_faiss
from snowmatch.matchers.lnbnn import Lnbnn, votes
from snowmatch.plugins import make_plugin, plugin_names
from snowmatch.types import Features


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


@pytest.mark.parametrize("name", plugin_names("matchers"))
class TestConformance:
    def test_a_photo_matches_itself_keypoint_for_keypoint(self, name):
        descriptors = small_gallery()
        matcher = make_plugin("matchers", name)
        matches = matcher.match(features(descriptors[2]), one_block(descriptors), np.ones(5, bool), np.arange(5))
        own = matches.take(matches.annotation == 2)
        best = {}
        for q, k, w in zip(own.keypoint0, own.keypoint1, own.weights, strict=True):
            best.setdefault(q, (w, k))
            best[q] = max(best[q], (w, k))
        assert all(q == k for q, (_, k) in best.items())
        assert len(best) == 50

    @pytest.mark.parametrize("count", [0, 1])
    def test_hardly_any_keypoints_on_either_side(self, name, count):
        descriptors = small_gallery()
        matcher = make_plugin("matchers", name)
        few = features(descriptors[0][:count])
        matches = matcher.match(few, one_block(descriptors), np.ones(5, bool), np.arange(5))
        assert set(matches.keypoint0) <= set(range(count))
        one = matcher.match(features(descriptors[0]), one_block([descriptors[3]]), np.ones(1, bool), np.arange(1))
        assert len(one) == 0  # one keypoint alone has nothing to be better than

    def test_forbidden_annotations_get_no_vote(self, name):
        descriptors = small_gallery()
        allowed = np.array([True, False, False, True, True])
        matcher = make_plugin("matchers", name)
        matches = matcher.match(features(descriptors[2]), one_block(descriptors), allowed, np.arange(5))
        assert set(matches.annotation) <= {0, 3, 4}

    def test_a_keypoint_votes_the_same_alone(self, name):
        descriptors = small_gallery()
        matcher = make_plugin("matchers", name)
        blocks = one_block(descriptors)
        together = matcher.match(features(descriptors[1]), blocks, np.ones(5, bool), np.arange(5))
        alone = matcher.match(features(descriptors[1][4:5]), blocks, np.ones(5, bool), np.arange(5))
        same = together.take(together.keypoint0 == 4)
        np.testing.assert_array_equal(same.annotation, alone.annotation)
        np.testing.assert_array_equal(same.weights, alone.weights)

    def test_twice_the_same_answer(self, name):
        descriptors = small_gallery()
        matcher = make_plugin("matchers", name)
        blocks = one_block(descriptors)
        first, second = (matcher.match(features(descriptors[1]), blocks, np.ones(5, bool), np.arange(5)) for _ in "ab")
        np.testing.assert_array_equal(first.weights, second.weights)
        np.testing.assert_array_equal(first.keypoint1, second.keypoint1)
