"""Keypoints without frames: every two matches are a hypothesis."""

from __future__ import annotations

import numpy as np

from snowmatch.matching.geometry.frames import Geometry, Points

RESIZED = 4.0  # keypoints without frames: how much longer or shorter an animal may be, near the camera and far from it
PAIRS = 2_000  # hypotheses from two matches that are tried at most: with a third of 200 right, 200 of them are right
REFITS = 5  # most often two or three are enough


def robust_placement(side0: Points, side1: Points, diagonal: float, geometry: Geometry) -> np.ndarray:
    """Inliers of keypoints without frames: position is all there is to test.

    Two matches make a hypothesis: moved, turned by at most `geometry.angle`, resized by at most RESIZED. An affine map
    is then fitted to those that agree with the one that most support, until the same ones agree. A few keypoints that
    are matched many times are no placement: on both sides the minimum of different ones has to agree.

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
    """The plausible ones (H, 2, 3) of the maps that move, turn and resize so that two of M matches agree exactly."""
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
    turn = (z1[second] - z1[first]) / apart  # its length resizes, its angle turns
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
    """Whether a 2 x 2 map keeps an animal's side up, unmirrored and not drawn out or flattened beyond reason."""
    longest, shortest = np.linalg.svd(linear, compute_uv=False)
    turned = abs(np.arctan2(linear[1, 0] - linear[0, 1], linear[0, 0] + linear[1, 1]))
    kept = np.linalg.det(linear) > 0 and shortest > 1 / RESIZED**2 and longest < RESIZED**2
    return bool(kept and turned <= geometry.angle)
