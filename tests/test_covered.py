"""The share of the common area that the agreeing spots cover, against areas computed by hand."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from snowmatch.matching.geometry.covered import covered_share

SQUARE = np.array([[0, 0], [100, 0], [100, 100], [0, 100]], np.float32)
BOX = (0, 0, 200, 100)


def test_spots_around_half_of_the_box_cover_half():
    assert covered_share(SQUARE, SQUARE, BOX, BOX) == pytest.approx(0.5, abs=1e-4)


def test_only_the_area_that_both_boxes_show_counts():
    moved = SQUARE + np.float32([50, 0])  # the animal is 50 px further to the right in the second photo
    assert covered_share(SQUARE, moved, BOX, (50, 0, 100, 100)) == pytest.approx(1, abs=1e-4)
    assert covered_share(SQUARE, moved, BOX, (50, 0, 400, 400)) == pytest.approx(0.5, abs=1e-4)
    assert covered_share(SQUARE, moved, BOX, (500, 500, 10, 10)) is None


@given(st.floats(-3, 3), st.floats(0.3, 3), st.floats(-500, 500), st.integers(0, 99))
def test_turning_and_scaling_a_photo_changes_nothing(angle, scale, shift, seed):
    points = np.random.default_rng(seed).random((12, 2)).astype(np.float32) * [200, 100]
    turn = scale * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    other = points @ turn.T + shift
    whole = (-2000, -2000, 4000, 4000)  # the first box decides
    expected = covered_share(points, points, BOX, whole)
    assert covered_share(points, other, BOX, whole) == pytest.approx(expected, abs=2e-3)


@pytest.mark.parametrize("count", range(4))
def test_too_few_spots_tell_nothing(count):
    assert covered_share(SQUARE[:count], SQUARE[:count], BOX, BOX) is None


def test_spots_on_one_line_tell_nothing():
    line = np.stack([np.arange(8), 2 * np.arange(8)], axis=1).astype(np.float32)
    assert covered_share(line, line, BOX, BOX) is None
