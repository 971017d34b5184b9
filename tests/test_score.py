"""Scores computed by hand, and properties of all scores."""

import numpy as np
import pytest

from snowmatch.core.types import Matches
from snowmatch.matching.scores import (
    above_chance,
    annotation_scores,
    individual_scores,
    ranking,
    together,
    unverified_scores,
)


def matches(rows):
    """Make matches from rows (keypoint0, annotation, weight)."""
    keypoint0, annotation, weight = (np.array(c) for c in zip(*rows, strict=True))
    return Matches(keypoint0, annotation, keypoint0, weight.astype(np.float32))


NONE = Matches(np.zeros(0, int), np.zeros(0, int), np.zeros(0, int), np.zeros(0, np.float32))


def test_scores_by_hand():
    # keypoint 0 matches annotations 0 and 1 of individual 0, keypoint 1 matches annotation 2 of individual 1 twice
    m = matches([(0, 0, 0.5), (0, 1, 0.3), (1, 2, 0.2), (1, 2, 0.1), (2, 0, 0.25)])
    individuals = np.array([0, 0, 1])
    np.testing.assert_allclose(annotation_scores(m, 3), [0.75, 0.3, 0.3], rtol=1e-6)
    np.testing.assert_allclose(individual_scores(m, individuals, 2), [0.75, 0.2], rtol=1e-6)


def test_without_matches_scores_are_zero():
    assert annotation_scores(NONE, 3).tolist() == [0, 0, 0]
    assert individual_scores(NONE, np.array([0, 0, 1]), 2).tolist() == [0, 0]


def test_ten_photos_of_one_passage_do_not_count_ten_times():
    once = matches([(0, 0, 0.5), (1, 0, 0.4)])
    often = matches([(q, a, w) for a in range(10) for q, w in ((0, 0.5), (1, 0.4))])
    individuals = np.zeros(10, int)
    np.testing.assert_allclose(individual_scores(often, individuals, 1), individual_scores(once, individuals, 1))


def test_another_match_never_lowers_a_score_and_two_hundred_good_ones_beat_one():
    rng = np.random.default_rng(0)
    rows = [
        (int(q), int(a), float(w)) for q, a, w in zip(range(200), rng.integers(0, 3, 200), rng.random(200), strict=True)
    ]
    individuals = np.array([0, 0, 1])
    for n in (1, 50, 199):
        fewer, more = (individual_scores(matches(rows[:k]), individuals, 2) for k in (n, n + 1))
        assert (more >= fewer).all()
    one = individual_scores(matches([(0, 0, 0.99)]), individuals, 2)[0]
    many = individual_scores(matches([(q, 0, 0.9) for q in range(200)]), individuals, 2)[0]
    assert many > one


def test_rejected_keep_their_order_below_every_accepted_one():
    accepted = np.array([False, True, False, False, True])
    order = ranking(np.array([0, 7e-6, 0, 0, 9]), np.array([5000.0, 0.1, 3, 0, 12]), accepted)
    assert np.argsort(-order).tolist() == [4, 1, 0, 2, 3]
    assert order[3] == 0
    assert np.isfinite(order.astype(np.float32)).all()
    assert (np.diff(order.astype(np.float32)[[3, 2, 0, 1, 4]]) > 0).all()


def test_only_the_three_best_annotations_of_an_individual_count():
    individuals = np.array([0, 0, 0, 0, 1])
    weights = np.array([5, 4, 3, 2, 1], np.float32)
    matches = Matches(np.arange(5), np.arange(5), np.zeros(5, int), weights)
    assert individual_scores(matches, individuals, 2) == pytest.approx([12, 1])
    shuffled = np.array([3, 0, 4, 2, 1])  # the order of the annotations has no effect
    moved = Matches(np.arange(5), np.arange(5), np.zeros(5, int), weights[shuffled])
    assert individual_scores(moved, individuals[shuffled], 2) == pytest.approx([12, 1])


def test_unverified_votes_are_corrected_for_the_number_of_photos():
    individuals = np.array([0, 0, 0, 0, 1])
    matches = Matches(np.arange(5), np.array([0, 1, 2, 2, 4]), np.zeros(5, int), np.array([1, 2, 3, 3, 5], np.float32))
    assert unverified_scores(matches, individuals, 3) == pytest.approx([9 / np.sqrt(3), 5, 0])
    assert unverified_scores(NONE, individuals, 3).tolist() == [0, 0, 0]


def test_scores_are_divided_by_the_square_root_of_chance():
    assert above_chance(np.array([6.0, 0]), 4.0).tolist() == [3, 0]
    assert above_chance(np.array([6.0, 0]), 0.0).tolist() == [6, 0]  # there are no votes
    counts = np.array([[9.0, 16.0, 25.0], [900.0, 1600.0, 2500.0]])  # accidental votes scatter by their square root
    assert above_chance(np.sqrt(counts[0]), 16.0) == pytest.approx(above_chance(np.sqrt(counts[1]), 1600.0))


def test_photos_of_an_encounter_vote_together():
    assert together(np.array([[4.0, 0, 9]])) == pytest.approx([4, 0, 9])
    assert together(np.array([[4.0, 0], [9, 0]])) == pytest.approx([6.25, 0])
    two_of_three = together(np.array([[1.0, 0], [1, 0], [0, 3]]))  # the sums would be 2 and 3
    assert two_of_three[0] > two_of_three[1]
    assert together(np.zeros((0, 2))).tolist() == [0, 0]
