"""How well kinds are told apart: figures computed by hand, and what must hold for any scores."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from snowmatch.confidence import kinds
from snowmatch.confidence.kinds import confusion, macro_f1, pr_points, roc_points
from snowmatch.confidence.quality import reliability_bins

SCORES = st.lists(st.tuples(st.integers(0, 8), st.booleans()), min_size=1, max_size=30)


def columns(scores, right, threshold=0.5):
    score = np.array(scores, float)
    return score, np.array(right, bool), score >= threshold


def test_a_tie_counts_half_and_the_curve_has_a_slope_there():
    score, right, let_in = columns([0.9, 0.5, 0.5, 0.1], [1, 1, 0, 0])
    assert kinds.roc_area(score, right, let_in) == pytest.approx((1 + 1 + 0.5 + 1) / 4)
    assert roc_points(score, right) == [(0, 0), (0, 0.5), (0.5, 1), (1, 1)]
    assert pr_points(score, right) == [(0.5, 1), (1, pytest.approx(2 / 3)), (1, 0.5)]


@given(SCORES)
def test_the_roc_area_is_that_under_the_points(pairs):
    score, right, let_in = columns([s / 8 for s, _ in pairs], [r for _, r in pairs])
    points = roc_points(score, right)
    area = kinds.roc_area(score, right, let_in)
    if right.all() or not right.any():
        assert points == []
        assert np.isnan(area)
        return
    across, up = np.array(points).T
    assert (np.diff(across) >= 0).all()
    assert (np.diff(up) >= 0).all()
    assert points[-1] == (1, 1)
    assert area == pytest.approx(np.trapezoid(up, across))
    assert kinds.roc_area(score, ~right, let_in) == pytest.approx(1 - area)


@given(st.permutations(range(12)), st.lists(st.booleans(), min_size=12, max_size=12))
def test_the_precision_area_is_that_under_the_steps(order, right):
    score, of, let_in = columns([n / 12 for n in order], right)
    points = pr_points(score, of)
    area, before = 0.0, 0.0
    for share, precise in points:
        area += (share - before) * precise
        before = share
    if of.any():
        assert kinds.pr_area(score, of, let_in) == pytest.approx(area)
    else:
        assert points == []


@given(st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from("abcd")), max_size=30))
def test_the_confusion_counts_each_case_once(pairs):
    shown, told = [a for a, _ in pairs], [b for _, b in pairs]
    counts = confusion(shown, told)
    assert sum(sum(row.values()) for row in counts.values()) == len(pairs)
    assert list(counts) == sorted(set(shown))
    for a, row in counts.items():
        for b, count in row.items():
            assert count == pairs.count((a, b))


def test_macro_f1_by_hand():
    shown = ["fox", "fox", "fox", "hare", "hare"]
    told = ["fox", "fox", "hare", "hare", "owl"]
    # fox: precision 2/2, recall 2/3; hare: precision 1/2, recall 1/2
    assert macro_f1(shown, told) == pytest.approx((0.8 + 0.5) / 2)
    assert np.isnan(macro_f1([], []))


def test_bins_have_their_cases_and_the_error_is_their_mean_distance():
    stated, right = np.array([0.95, 0.91, 0.35, 1.0]), np.array([True, False, True, True])
    low, high = reliability_bins(stated, right)
    assert (low.answers, low.stated, low.right) == (1, 0.35, 1)
    assert (high.answers, high.right) == (3, 2)
    assert high.stated == pytest.approx(2.86 / 3)
    assert kinds.calibration_error(stated, right, right) == pytest.approx((0.65 + abs(2.86 - 2)) / 4)
    assert reliability_bins(np.zeros(0), np.zeros(0, bool)) == ()


def test_an_interval_draws_whole_clusters():
    right = np.array([True] * 10 + [False] * 10)
    value, low, high = kinds.bounded(lambda r: float(r.mean()), np.array(["a"] * 10 + ["b"] * 10), right)
    assert (value, low, high) == (0.5, 0, 1)
    assert np.isnan(kinds.bounded(lambda r: float("nan"), np.array(["a"]), right[:1])).all()
