"""Metrics equal values computed by hand, and have the required properties."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from snowmatch.confidence.metrics import (
    auroc,
    average_precision,
    cmc,
    detection_rate,
    dynamic_top_k_precision,
    interval,
    macro_top_1,
    ranks,
    top_k,
)

NAN = np.nan
# three queries, five gallery photos; the second may not be compared with its own (NaN), the third has no right answer
SCORES = np.array([[5, 4, 3, 2, 1], [NAN, 7, 9, 9, 0], [1, 2, 3, 4, 5]], float)
RIGHT = np.array([[0, 1, 0, 0, 1], [1, 1, 1, 0, 0], [0, 0, 0, 0, 0]], bool)


def test_rank_of_the_best_right_answer_with_ties_against_the_method():
    # first: 4 is behind 5; second: the right 9 ties with a wrong 9, which comes first; third: no right answer
    np.testing.assert_array_equal(ranks(SCORES, RIGHT), [2, 2, NAN])


def test_top_k_and_cmc_count_answerable_queries_only():
    rank = np.array([1, 2, 2, 7, NAN])
    assert top_k(rank, 1) == 0.25
    assert top_k(rank, 5) == 0.75
    np.testing.assert_array_equal(cmc(rank, 3), [0.25, 0.75, 0.75])
    assert np.isnan(top_k(np.array([NAN]), 1))


def test_average_precision_by_hand():
    # first: right answers at ranks 2 and 5: (1/2 + 2/5) / 2; second: wrong 9, right 9, right 7, wrong: (1/2 + 2/3) / 2
    np.testing.assert_allclose(average_precision(SCORES, RIGHT), [0.45, (1 / 2 + 2 / 3) / 2, NAN])


def test_dynamic_top_k_precision_by_hand():
    # both have two right answers, so k is 2: first, precision at 1 and 2 is 0 and 1/2; second likewise
    np.testing.assert_allclose(dynamic_top_k_precision(SCORES, RIGHT), [0.25, 0.25, NAN])
    np.testing.assert_allclose(dynamic_top_k_precision(SCORES, RIGHT, k_max=1), [0, 0, NAN])
    # six right answers of seven, the wrong one third: k is 5, precision 1, 1, 2/3, 3/4, 4/5
    scores = np.arange(7, 0, -1.0)[None]
    right = np.array([[1, 1, 0, 1, 1, 1, 1]], bool)
    assert dynamic_top_k_precision(scores, right)[0] == pytest.approx((1 + 1 + 2 / 3 + 3 / 4 + 4 / 5) / 5)


def test_macro_gives_every_animal_the_same_weight():
    rank = np.array([1, 1, 1, 1, 3, NAN])
    groups = np.array([0, 0, 0, 0, 1, 2])
    assert macro_top_1(rank, groups) == 0.5  # 4 of 4 and 0 of 1; the third animal has no answerable query
    assert np.isnan(macro_top_1(np.array([NAN]), np.array([0])))


def test_auroc_by_hand_with_ties_against_the_method():
    assert auroc(np.array([3.0, 1.0]), np.array([2.0, 0.0])) == 0.75
    assert auroc(np.array([1.0]), np.array([1.0])) == 0
    assert auroc(np.array([1.0]), np.array([-np.inf])) == 1
    assert np.isnan(auroc(np.array([]), np.array([1.0])))


def test_detection_rate_by_hand():
    new = np.arange(200.0)  # 1 % of 200 may be accepted: 199 and 198 are above the threshold of 197
    known = np.array([300.0, 198.5, 197.0, 400.0])
    right = np.array([True, True, True, False])
    assert detection_rate(known, right, new) == 0.5
    assert detection_rate(known, right, new[:50]) == 0.75  # of 50 none may be accepted: threshold 49
    assert detection_rate(known, right, np.array([400.0])) == 0  # a score equal to the new one's is not above it
    assert np.isnan(detection_rate(known, right, np.array([])))


def test_interval_draws_clusters_not_single_cases():
    # two clusters of fifty, one all right, one all wrong: drawing clusters gives 0, 1/2 or 1
    values = np.repeat([0.0, 1.0], 50)
    clusters = np.repeat([0, 1], 50)
    low, high = interval(lambda drawn: values[drawn].mean(), clusters)
    assert (low, high) == (0, 1)
    low, high = interval(lambda drawn: values[drawn].mean(), np.arange(100))  # every case is a cluster: far narrower
    assert 0.38 < low < 0.45
    assert 0.55 < high < 0.62
    assert interval(lambda drawn: values[drawn].mean(), clusters) == (0, 1)  # always the same
    assert np.isnan(interval(lambda drawn: 1.0, np.zeros(5, int))).all()


matrices = arrays.arrays(
    float, st.tuples(st.integers(1, 6), st.integers(1, 8)), elements=st.sampled_from([NAN, -np.inf, 0.0, 1.0, 2.0, 3.0])
)


@given(matrices, st.integers(0, 2**31))
def test_a_higher_score_of_a_right_answer_never_lowers_a_metric_and_ties_count_as_worst(scores, seed):
    rng = np.random.default_rng(seed)
    right = rng.random(scores.shape) < 0.4
    better = np.where(right, scores + 0.5, scores)
    for metric, sign in ((ranks, -1), (average_precision, 1), (dynamic_top_k_precision, 1)):
        before, after = metric(scores, right), metric(better, right)
        known = ~np.isnan(before)
        assert (sign * after[known] >= sign * before[known] - 1e-12).all()
        np.testing.assert_array_equal(np.isnan(before), np.isnan(after))
        # with ties broken at random, a metric is at least as good
        broken = scores + rng.uniform(0, 1e-3, scores.shape)
        assert (sign * metric(broken, right)[known] >= sign * before[known] - 1e-12).all()


@given(matrices, st.integers(0, 2**31))
def test_the_order_of_the_gallery_does_not_matter(scores, seed):
    rng = np.random.default_rng(seed)
    right = rng.random(scores.shape) < 0.4
    order = rng.permutation(scores.shape[1])
    for metric in (ranks, average_precision, dynamic_top_k_precision):
        np.testing.assert_array_equal(metric(scores, right), metric(scores[:, order], right[:, order]))
