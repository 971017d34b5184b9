"""Matched spots that lie still in the frames of one camera."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from snowmatch.matching.geometry.still import ALIKE, MOVED, PLACE, is_scenery, still_spots

SIZE = (1280, 960)
DIAGONAL = float(np.hypot(*SIZE))


def spots(count=40, seed=0):
    rng = np.random.default_rng(seed)
    return rng.uniform((0, 0), SIZE, (count, 2)), rng.uniform(5, 60, count)


def still(points0, points1, scales0, scales1=None, size0=SIZE, size1=SIZE):
    return still_spots(points0, points1, scales0, scales0 if scales1 is None else scales1, size0, size1)


def test_equal_places_lie_still_and_no_matches_give_none():
    points, scales = spots()
    assert still(points, points, scales).all()
    assert is_scenery(still(points, points, scales))
    empty = still(points[:0], points[:0], scales[:0])
    assert empty.shape == (0,)
    assert not is_scenery(empty)


@pytest.mark.parametrize("factor", [0.25, 1.7])
def test_a_scaled_copy_of_the_frame_is_recognised(factor):
    points, scales = spots()
    size = tuple(round(side * factor) for side in SIZE)
    assert still(points, points * factor, scales, scales * factor, size1=size).all()


def test_photos_of_another_shape_are_of_another_camera():
    points, scales = spots()
    assert not still(points, points, scales, size1=(960, 960)).any()


def test_a_camera_that_was_moved_a_little_moves_all_spots_alike():
    points, scales = spots()
    shift = np.array([0.8, 0.6]) * DIAGONAL
    assert still(points, points + 0.9 * MOVED * shift, scales).all()
    assert not still(points, points + 1.1 * MOVED * shift, scales).any()


def test_the_spots_of_an_animal_that_stands_elsewhere_do_not_lie_still():
    points, scales = spots()
    walked = points + 0.04 * DIAGONAL + np.random.default_rng(1).normal(0, 3 * ALIKE * DIAGONAL, points.shape)
    assert not is_scenery(still(points, walked, scales))
    assert not is_scenery(still(points, points[:, ::-1], scales))


def test_spots_of_another_size_are_others():
    points, scales = spots()
    assert not still(points, points, scales, 1.3 * scales).any()
    assert still(points, points + 0.5 * PLACE * DIAGONAL, scales, 1.05 * scales).all()


def test_half_of_the_spots_are_not_enough():
    assert not is_scenery(np.array([True, False]))
    assert is_scenery(np.array([True, True, False]))


@given(st.integers(0, 10**6), st.integers(1, 60), st.floats(0.2, 5))
def test_order_sides_and_scale_of_the_frames_change_nothing(seed, count, factor):
    rng = np.random.default_rng(seed)
    points, scales = spots(count, seed)
    moved = points + rng.normal(0, PLACE * DIAGONAL, points.shape)
    grown = scales * rng.uniform(0.8, 1.25, count)
    found = still(points, moved, scales, grown)
    order = rng.permutation(count)
    assert (still(points[order], moved[order], scales[order], grown[order]) == found[order]).all()
    assert (still(moved, points, grown, scales) == found).all()
    size = tuple(side * factor for side in SIZE)
    assert (still(points, moved * factor, scales, grown * factor, size1=size) == found).all()


@given(st.integers(0, 10**6), st.floats(0.07, 0.5), st.floats(0, 2 * np.pi), st.floats(0.5, 2))
def test_an_animal_elsewhere_is_never_scenery(seed, far, direction, grown):
    rng = np.random.default_rng(seed)
    animal, scales = rng.uniform(-60, 60, (30, 2)), rng.uniform(5, 30, 30)
    place = np.array(SIZE) / 2
    elsewhere = place + far * DIAGONAL * np.array([np.cos(direction), np.sin(direction)])
    assert not is_scenery(still(place + animal, elsewhere + grown * animal, scales, grown * scales))
