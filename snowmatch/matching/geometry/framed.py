"""The geometric check with frames: each match is a hypothesis, and a homography is fitted to the matches that agree."""

from __future__ import annotations

import numpy as np

from snowmatch.matching.geometry.frames import Frames, Geometry

HYPOTHESES_AT_ONCE = 60_000  # hypothesis x match pairs at a time: they fit into the cache (eight times as fast)


def best_hypothesis(side0: Frames, side1: Frames, diagonal: float, geometry: Geometry) -> np.ndarray:
    """Return the matches that agree with the affine map of the match with which most agree (the first of several)."""
    frames0, frames1 = side0.frames, side1.frames
    det0, det1 = _determinants(frames0), _determinants(frames1)
    inverse0 = np.empty_like(frames0)  # written out, because a numpy call takes longer than this for a few matches
    inverse0[:, 0, 0], inverse0[:, 0, 1] = frames0[:, 1, 1], -frames0[:, 0, 1]
    inverse0[:, 1, 0], inverse0[:, 1, 1] = -frames0[:, 1, 0], frames0[:, 0, 0]
    inverse0 /= det0[:, None, None]
    maps = frames1 @ inverse0  # (M, 2, 2) each maps its own keypoint to its match
    shifts = side1.points - np.einsum("hij,hj->hi", maps, side0.points)
    log_map = np.log(np.abs(det1 / det0)).astype(np.float32)  # (M,) of each hypothesis
    m = len(maps)
    # The angle of a frame is that of its rotation after the lower-triangular part: from its first row. Upright frames
    # on both sides have angle 0 under every hypothesis, so nothing needs testing.
    upright = not (frames0[:, 0, 1].any() or frames1[:, 0, 1].any())
    turned = None if upright else _turn_columns(frames0, frames1)
    # One matrix product gives the errors of all hypotheses at all matches, in units of the tolerance: float32 is exact
    # to a thousandth of a pixel, and twice as fast.
    one = np.ones((m, 1))
    rows = np.concatenate([maps, shifts[:, :, None], -one[:, None].repeat(2, axis=1)], axis=2)  # (M, 2, 4)
    rows = (rows / (np.sqrt(geometry.position) * diagonal)).astype(np.float32)
    columns = np.concatenate([side0.points, one, side1.points], axis=1).astype(np.float32).T  # x0, y0, 1, x1, y1
    best, most = np.zeros(m, bool), 0
    step = max(1, HYPOTHESES_AT_ONCE // m)
    for start in range(0, m, step):
        part = slice(start, start + step)
        error = rows[part, 0] @ columns[[0, 1, 2, 3]]  # (h, M) along x
        error *= error
        along_y = rows[part, 1] @ columns[[0, 1, 2, 4]]
        along_y *= along_y
        error += along_y
        agree = error < 1
        area = log_map[part, None] - log_map[None, :]
        agree &= np.abs(area, out=area) < np.float32(np.log(geometry.area))
        if turned is not None:
            along, lengths = turned  # cos of the turn = along / sqrt(lengths), as products of the map's first row
            row = maps[part, 0].astype(np.float32)
            cosine = row @ along  # (h, M)
            limit = np.float32(np.cos(geometry.angle))
            if abs(limit) < 1e-6:  # at a quarter turn, the sign decides
                agree &= cosine > 0
            else:
                squares = np.stack([row[:, 0] ** 2, 2 * row[:, 0] * row[:, 1], row[:, 1] ** 2], axis=1)
                agree &= cosine > limit * np.sqrt(np.maximum(squares @ lengths, 0))
        counts = np.add.reduce(agree, axis=1, dtype=np.int32)
        first = int(counts.argmax())
        if counts[first] > most:
            best, most = agree[first], int(counts[first])
    return best


def _turn_columns(frames0: np.ndarray, frames1: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the columns for the angle between a moved frame's first row and its match's first row, linear in the map's
    first row.

    The first array, (2, M), gives the dot product with the unit vector along the match's first row; the second, (3, M),
    the squared length.
    """
    unit = frames1[:, 0] / np.hypot(frames1[:, 0, 0], frames1[:, 0, 1])[:, None]
    along = np.einsum("mij,mj->im", frames0, unit)
    gram = frames0 @ frames0.transpose(0, 2, 1)
    return along.astype(np.float32), np.stack([gram[:, 0, 0], gram[:, 0, 1], gram[:, 1, 1]]).astype(np.float32)


def _determinants(frames: np.ndarray) -> np.ndarray:
    return frames[:, 0, 0] * frames[:, 1, 1] - frames[:, 0, 1] * frames[:, 1, 0]


def _turn(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Return the angle between two directions (0 to pi)."""
    difference = np.abs(a - b) % (2 * np.pi)
    return np.minimum(difference, 2 * np.pi - difference)


def fit_homography(points0: np.ndarray, points1: np.ndarray) -> np.ndarray | None:
    """Return the homography by least squares (normalised direct linear transform); None if the points do not determine
    one.

    Source: Hartley & Zisserman, "Multiple View Geometry", algorithm 4.2.
    """
    whiten0, white0 = _whiten(points0)
    whiten1, white1 = _whiten(points1)
    if whiten0 is None or whiten1 is None:
        return None
    x0, y0 = white0.T
    x1, y1 = white1.T
    zero, one = np.zeros_like(x0), np.ones_like(x0)
    rows = np.concatenate(
        [
            np.stack([zero, zero, zero, -x0, -y0, -one, y1 * x0, y1 * y0, y1], axis=1),
            np.stack([x0, y0, one, zero, zero, zero, -x1 * x0, -x1 * y0, -x1], axis=1),
        ]
    )
    # The smallest eigenvector of the 9 x 9 normal matrix is the same solution as the SVD's, for any number of rows.
    white = np.linalg.eigh(rows.T @ rows)[1][:, 0].reshape(3, 3)
    return np.linalg.inv(whiten1) @ white @ whiten0


def _whiten(points: np.ndarray) -> tuple[np.ndarray | None, np.ndarray]:
    """Return the 3 x 3 map to mean 0 and deviation 1, and the mapped points; None if all points lie on one line."""
    centre, spread = points.mean(axis=0), points.std(axis=0)
    if spread.min() < 1e-9:
        return None, points
    scale = 1 / spread
    whiten = np.array([[scale[0], 0, -centre[0] * scale[0]], [0, scale[1], -centre[1] * scale[1]], [0, 0, 1]])
    return whiten, (points - centre) * scale


def agree_with_homography(
    homography: np.ndarray, side0: Frames, side1: Frames, diagonal: float, geometry: Geometry
) -> np.ndarray:
    """Return the matches whose position, size and angle agree with the homography.

    Size and angle are compared by an arm of the frame, as in vtool_ibeis: it is as long as the keypoint's mean radius
    and points "down" in the keypoint.
    """
    arm0, arm1 = _arms(side0.frames), _arms(side1.frames)
    with np.errstate(invalid="ignore", over="ignore", divide="ignore"):  # points at infinity fail every test
        moved = _project(homography, side0.points)
        moved_arm = _project(homography, side0.points + arm0) - moved
        agree = ((moved - side1.points) ** 2).sum(axis=1) < geometry.position * diagonal * diagonal
        ratio = np.abs(np.log((moved_arm**2).sum(axis=1) / (arm1**2).sum(axis=1)))
        agree &= ratio < np.log(geometry.area)
        agree &= (
            _turn(np.arctan2(moved_arm[:, 1], moved_arm[:, 0]), np.arctan2(arm1[:, 1], arm1[:, 0])) < geometry.angle
        )
    return agree


def _arms(frames: np.ndarray) -> np.ndarray:
    down = frames[:, :, 1]
    length = np.sqrt(np.abs(_determinants(frames)) / np.maximum((down**2).sum(axis=1), 1e-12))
    return down * length[:, None]


def _project(homography: np.ndarray, points: np.ndarray) -> np.ndarray:
    mapped = points @ homography[:, :2].T + homography[:, 2]
    with np.errstate(invalid="ignore", over="ignore", divide="ignore"):  # at the horizon the result is not finite
        return mapped[:, :2] / mapped[:, 2:]
