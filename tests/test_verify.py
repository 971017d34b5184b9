"""The geometric check keeps matches that agree on one position of the animal, and drops the others."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from snowmatch.matching.geometry.check import inliers
from snowmatch.matching.geometry.frameless import robust_placement
from snowmatch.matching.geometry.frames import Frames, Geometry, Points, points_of

DIAGONAL = 1000.0
GEOMETRY = Geometry()


def scene(warp, true, false, seed=0, turn=0.0):
    """Return matches under a known 3 x 3 warp, followed by false ones with random positions, sizes and angles."""
    rng = np.random.default_rng(seed)
    m = true + false
    points = rng.uniform(0, 700, (m, 2))
    sizes = rng.uniform(4, 25, m)
    shapes = np.stack([sizes, rng.uniform(-0.3, 0.3, m) * sizes, sizes], axis=1)
    angles = rng.uniform(-0.2, 0.2, m) if turn else np.zeros(m)
    side0 = points_of(points, shapes, angles)
    moved = project(warp, points)
    step = 1e-3
    jacobian = np.stack(
        [(project(warp, points + [step, 0]) - moved) / step, (project(warp, points + [0, step]) - moved) / step], axis=2
    )
    frames = jacobian @ side0.frames
    moved = moved + rng.normal(0, 2, moved.shape)
    moved[true:] = rng.uniform(0, 700, (false, 2))
    frames[true:] = frames[rng.permutation(m)[:false]] * rng.uniform(0.3, 3, (false, 1, 1))
    return side0, Frames(moved, frames), np.arange(m) < true


def project(warp, points):
    mapped = np.concatenate([points, np.ones((len(points), 1))], axis=1) @ np.asarray(warp, float).T
    return mapped[:, :2] / mapped[:, 2:]


def upright(shear=0.1, scale=1.2, shift=(40, -25)):
    return [[scale, 0, shift[0]], [shear, scale * 1.05, shift[1]], [0, 0, 1]]


@pytest.mark.parametrize(
    "warp",
    [
        upright(),
        upright(0, 0.6, (200, 100)),
        [[1.1, 0.02, 10], [0.05, 0.95, 30], [1e-4, -5e-5, 1]],  # a homography
        [[np.cos(0.3), -np.sin(0.3), 100], [np.sin(0.3), np.cos(0.3), 0], [0, 0, 1]],
    ],
    ids=["affine", "smaller", "homography", "rotated"],
)
def test_a_known_warp_is_found_among_twice_as_many_outliers(warp):
    side0, side1, true = scene(warp, 100, 200)
    kept = inliers(side0, side1, DIAGONAL, GEOMETRY)
    assert kept[true].mean() >= 0.95
    assert kept[~true].mean() <= 0.05


def test_unrelated_matches_are_all_rejected():
    rejected = 0
    for seed in range(20):
        side0, side1, _ = scene(upright(), 0, 30, seed)
        rejected += not inliers(side0, side1, DIAGONAL * 0.3, GEOMETRY).any()
    assert rejected >= 18


@pytest.mark.parametrize("m", [0, 1, 3, 4])
def test_too_few_matches_are_no_evidence(m):
    side0, side1, _ = scene(upright(), m, 0)
    kept = inliers(side0, side1, DIAGONAL, GEOMETRY)
    assert kept.shape == (m,)
    assert not kept.any()


def test_five_perfect_matches_are_enough():
    side0, side1, _ = scene(upright(), 5, 0)
    assert inliers(side0, side1, DIAGONAL, GEOMETRY).all()


def test_a_wrong_size_a_wrong_position_or_a_wrong_angle_is_rejected():
    side0, side1, _ = scene(upright(), 40, 0)
    points, frames = side1.points.copy(), side1.frames.copy()
    points[0] += 0.06 * DIAGONAL  # further than 4 % of the diagonal
    frames[1] *= 1.8  # area 3.24 times too large
    frames[2] = frames[2] @ np.array([[-1.0, 0], [0, -1]])  # upside down
    kept = inliers(side0, Frames(points, frames), DIAGONAL, GEOMETRY)
    assert not kept[:3].any()
    assert kept[3:].all()
    lenient = Geometry(position=0.1, area=4, angle=np.pi)
    assert inliers(side0, Frames(points, frames), DIAGONAL, lenient).all()


def test_matches_on_one_line_or_one_point_cause_no_error():
    side0, side1, _ = scene(upright(), 20, 0)
    line0 = Frames(side0.points * [1, 0], side0.frames)
    line1 = Frames(side1.points * [1, 0], side1.frames)
    point = Frames(side0.points * 0, side0.frames)
    assert inliers(line0, line1, DIAGONAL, GEOMETRY).shape == (20,)
    assert inliers(point, point, DIAGONAL, GEOMETRY).shape == (20,)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10_000), st.integers(0, 60), st.integers(0, 60))
def test_order_of_the_matches_does_not_matter(seed, true, false):
    side0, side1, _ = scene(upright(), true, false, seed)
    kept = inliers(side0, side1, DIAGONAL, GEOMETRY)
    order = np.random.default_rng(seed).permutation(true + false)
    again = inliers(
        Frames(side0.points[order], side0.frames[order]),
        Frames(side1.points[order], side1.frames[order]),
        DIAGONAL,
        GEOMETRY,
    )
    if kept.sum() > (true + false) / 2:  # otherwise two hypotheses may tie, and the first one is used
        np.testing.assert_array_equal(again, kept[order])


def test_without_frames_a_robust_estimate_is_used_and_repeatable():
    side0, side1, true = scene(upright(), 60, 60)
    bare0, bare1 = Points(side0.points), Points(side1.points)
    kept = inliers(bare0, bare1, 200, GEOMETRY)
    assert kept[true].mean() > 0.95
    assert kept[~true].mean() < 0.1
    np.testing.assert_array_equal(kept, robust_placement(bare0, bare1, 200, GEOMETRY))


def bare(points0, points1):
    return Points(np.asarray(points0, float)), Points(np.asarray(points1, float))


@pytest.mark.parametrize("seed", range(8))
def test_without_frames_all_matches_of_a_bent_view_are_kept(seed):
    side0, side1, true = scene(upright(), 40, 40, seed)
    kept = inliers(Points(side0.points), Points(side1.points), 200, GEOMETRY)
    assert kept[true].mean() > 0.9
    assert kept[~true].mean() < 0.1


@pytest.mark.parametrize("spread", [0.0, 5.0])
def test_many_keypoints_on_one_spot_are_no_evidence(spread):
    rng = np.random.default_rng(0)
    wide, narrow = rng.uniform(0, 1000, (12, 2)), 300 + rng.uniform(-spread, spread, (12, 2))
    for side0, side1 in ((wide, narrow), (narrow, wide)):
        assert not inliers(*bare(side0, side1), 1000, GEOMETRY).any()


def test_few_keypoints_matched_many_times_are_no_evidence():
    rng = np.random.default_rng(1)
    few = rng.uniform(0, 1000, (4, 2)).repeat(4, axis=0)
    near = few + rng.uniform(-9, 9, few.shape)
    assert not inliers(*bare(near, few), 1000, GEOMETRY).any()
    assert not inliers(*bare(few, near), 1000, GEOMETRY).any()


def test_matches_upside_down_do_not_outvote_upright_ones():
    rng = np.random.default_rng(2)
    points = rng.uniform(0, 1000, (15, 2))
    seen = points + 30
    seen[6:] = 1000 - points[6:]
    kept = inliers(*bare(points, seen), 1000, GEOMETRY)
    assert kept[:6].all()
    assert not inliers(*bare(points[6:], seen[6:]), 1000, GEOMETRY).any()
    mirrored = np.column_stack([1000 - points[:, 0], points[:, 1]])
    assert not inliers(*bare(points, mirrored), 1000, GEOMETRY).all()


def test_settings_out_of_range_are_refused():
    with pytest.raises(ValueError, match="position is 0, expected above 0"):
        Geometry(position=0)
