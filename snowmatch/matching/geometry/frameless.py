"""The geometric check without frames: each two matches are a hypothesis."""

from __future__ import annotations

import numpy as np

from snowmatch.matching.geometry.frames import Geometry, Points

RESIZED = 4.0  # largest factor between the sizes of an animal near the camera and far from it
PAIRS = 2_000  # largest number of hypotheses: if a third of 200 matches are right, 200 hypotheses are right
REFITS = 5  # mostly two or three are enough


def robust_placement(side0: Points, side1: Points, diagonal: float, geometry: Geometry) -> np.ndarray:
    """Return the inliers of keypoints without frames. Only their positions are compared.

    Two matches make a hypothesis: a shift, a turn by at most `geometry.angle`, and a scale of at most RESIZED. An
    affine map is then fitted to the matches that agree with the best hypothesis, until the inliers no longer change. On
    both sides, at least the minimum of different keypoints has to agree: a few keypoints with many matches are not
    enough.

    Source: Fischler & Bolles, CACM 1981 (RANSAC), with every pair of matches, or a fixed sample of the pairs.
    """
    m = len(side0.points)
    none = np.zeros(m, bool)
    limit = np.sqrt(geometry.position) * diagonal
    maps = _pair_maps(side0.points, side1.points, geometry)
    if not len(maps):
        return none
    columns = np.column_stack([side0.points, np.ones(m)])
    # one matrix product each gives the errors of all hypotheses along x and y, in units of the tolerance
    stacked = (np.concatenate([maps, -np.ones((len(maps), 2, 1))], axis=2) / limit).astype(np.float32)
    error = (stacked[:, 0] @ np.column_stack([columns, side1.points[:, 0]]).astype(np.float32).T) ** 2
    error += (stacked[:, 1] @ np.column_stack([columns, side1.points[:, 1]]).astype(np.float32).T) ** 2
    support = error < 1
    agree = support[support.sum(axis=1).argmax()]
    for _ in range(REFITS):
        if agree.sum() < geometry.minimum:
            return none
        fitted = np.linalg.lstsq(columns[agree], side1.points[agree], rcond=None)[0]
        before, agree = agree, ((columns @ fitted - side1.points) ** 2).sum(axis=1) < limit * limit
        if (agree == before).all():
            break
    different = min(len(np.unique(side.points[agree], axis=0)) for side in (side0, side1))
    return agree if different >= geometry.minimum and _plausible(fitted[:2].T, geometry) else none


def _pair_maps(points0: np.ndarray, points1: np.ndarray, geometry: Geometry) -> np.ndarray:
    """Return the plausible maps (H, 2, 3) that shift, turn and scale so that two of the M matches agree exactly."""
    m = len(points0)
    if m * (m - 1) // 2 > PAIRS:
        random = np.random.default_rng(0)
        first = random.integers(m, size=PAIRS)
        second = (first + random.integers(1, m, size=PAIRS)) % m
    else:
        first, second = np.triu_indices(m, k=1)
    z0, z1 = (points[:, 0] + 1j * points[:, 1] for points in (points0, points1))
    apart = z0[second] - z0[first]
    usable = np.abs(apart) > 1e-6
    first, second, apart = first[usable], second[usable], apart[usable]
    turn = (z1[second] - z1[first]) / apart  # its length is the scale, its angle the turn
    good = (np.abs(turn) < RESIZED) & (np.abs(turn) > 1 / RESIZED)
    good &= np.abs(np.angle(turn)) <= geometry.angle
    first, turn = first[good], turn[good]
    shift = z1[first] - turn * z0[first]
    maps = np.empty((len(turn), 2, 3))
    maps[:, 0, 0] = maps[:, 1, 1] = turn.real
    maps[:, 1, 0], maps[:, 0, 1] = turn.imag, -turn.imag
    maps[:, 0, 2], maps[:, 1, 2] = shift.real, shift.imag
    return maps


def _plausible(linear: np.ndarray, geometry: Geometry) -> bool:
    """Return whether a 2 x 2 map keeps the animal upright, does not mirror it, and does not stretch it too much."""
    longest, shortest = np.linalg.svd(linear, compute_uv=False)
    turned = abs(np.arctan2(linear[1, 0] - linear[0, 1], linear[0, 0] + linear[1, 1]))
    kept = np.linalg.det(linear) > 0 and shortest > 1 / RESIZED**2 and longest < RESIZED**2
    return bool(kept and turned <= geometry.angle)
