"""Geometry: which of the matches between two photos agree on one placement of the animal.

Source: Crall et al., WACV 2013 (HotSpotter), section 3.4, in the form of vtool_ibeis; Philbin et al., CVPR 2007 (one
match, one hypothesis). Other than there, the minimum counts once more after the refinement.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

RESIZED = 4.0  # keypoints without frames: how much longer or shorter an animal may be, near the camera and far from it
PAIRS = 2_000  # hypotheses from two matches that are tried at most: with a third of 200 right, 200 of them are right
REFITS = 5  # most often two or three are enough
HYPOTHESES_AT_ONCE = 60_000  # hypothesis x match pairs held at a time: they stay in the cache (eight times as fast)


@dataclass(frozen=True)
class Geometry:
    """Tolerances of the geometric check, chosen by measurement (benchmarks/results/ablation.md).

    position: squared error as a share of the gallery animal's squared diagonal (0.0015 is 4 % of the diagonal;
    HotSpotter 0.01). area: how much larger or smaller a keypoint's area may be than the hypothesis says (HotSpotter 2).
    angle: radians. minimum: matches that have to agree, below which the photos count as different (HotSpotter 7): at
    the tighter position fewer agree by chance. shortlist: how many annotations are checked, those with the most votes
    (benchmarks/README.md).
    """

    position: float = 0.0015
    area: float = 3.0
    angle: float = np.pi / 2
    minimum: int = 5
    shortlist: int = 300

    def __post_init__(self) -> None:
        for name, good, expected in (
            ("position", self.position > 0, "above 0"),
            ("area", self.area >= 1, "at least 1"),
            ("angle", 0 < self.angle <= np.pi, "above 0, at most pi"),
            ("minimum", self.minimum >= 4, "at least 4"),
            ("shortlist", self.shortlist >= 1, "at least 1"),
        ):
            if not good:
                raise ValueError(f"{name} is {getattr(self, name)}, expected {expected}")


@dataclass(frozen=True)
class Frames:
    """Where M matched keypoints lie and how they are shaped: points (M, 2) float64, frames (M, 2, 2) or None.

    A frame maps the unit circle to the keypoint's ellipse, its second column points from the centre "down".
    """

    points: np.ndarray
    frames: np.ndarray | None

    @staticmethod
    def of(keypoints: np.ndarray, shapes: np.ndarray | None, oris: np.ndarray) -> Frames:
        """From keypoints (M, 2), shapes (M, 3) lower-triangular a, c, d, or None, and oris (M,) in radians."""
        points = keypoints.astype(np.float64)
        if shapes is None:
            return Frames(points, None)
        a, c, d = shapes.astype(np.float64).T
        cos, sin = np.cos(oris.astype(np.float64)), np.sin(oris.astype(np.float64))
        frames = np.empty((len(points), 2, 2))  # [[a, 0], [c, d]] @ [[cos, -sin], [sin, cos]]
        frames[:, 0, 0], frames[:, 0, 1] = a * cos, -a * sin
        frames[:, 1, 0], frames[:, 1, 1] = c * cos + d * sin, d * cos - c * sin
        return Frames(points, frames)

    def take(self, rows: slice) -> Frames:
        """The rows of a slice, as views."""
        return Frames(self.points[rows], None if self.frames is None else self.frames[rows])


def inliers(side0: Frames, side1: Frames, diagonal: float, geometry: Geometry) -> np.ndarray:
    """Which of M matches (M,) agree with the one placement that most of them support; all False where too few do.

    `diagonal` is the length in pixels of the gallery animal's box. With frames every match is a hypothesis; without,
    every two matches are one. The same input gives the same answer. No matches: an empty mask.
    """
    m = len(side0.points)
    if m < geometry.minimum:
        return np.zeros(m, bool)
    if side0.frames is None or side1.frames is None:
        return _robust_placement(side0, side1, diagonal, geometry)
    agreeing = _best_hypothesis(side0, side1, diagonal, geometry)
    if agreeing.sum() < geometry.minimum:
        return np.zeros(m, bool)
    homography = _fit_homography(side0.points[agreeing], side1.points[agreeing])
    if homography is None:
        return np.zeros(m, bool)
    refined = _agree_with_homography(homography, side0, side1, diagonal, geometry)
    return refined if refined.sum() >= geometry.minimum else np.zeros(m, bool)


def _best_hypothesis(side0: Frames, side1: Frames, diagonal: float, geometry: Geometry) -> np.ndarray:
    """The matches that agree with the affine map of that single match with which most agree (the first, if several)."""
    frames0, frames1 = side0.frames, side1.frames
    det0, det1 = _determinants(frames0), _determinants(frames1)
    inverse0 = np.empty_like(frames0)  # written out: a call of numpy's costs more than all this for a few matches
    inverse0[:, 0, 0], inverse0[:, 0, 1] = frames0[:, 1, 1], -frames0[:, 0, 1]
    inverse0[:, 1, 0], inverse0[:, 1, 1] = -frames0[:, 1, 0], frames0[:, 0, 0]
    inverse0 /= det0[:, None, None]
    maps = frames1 @ inverse0  # (M, 2, 2) each takes its own keypoint onto its match
    shifts = side1.points - np.einsum("hij,hj->hi", maps, side0.points)
    log_map = np.log(np.abs(det1 / det0)).astype(np.float32)  # (M,) of each hypothesis
    m = len(maps)
    # The angle of a frame is that of its rotation after the lower-triangular part: from its first row. Upright frames
    # on both sides have angle 0 under every hypothesis, so nothing needs testing.
    upright = not (frames0[:, 0, 1].any() or frames1[:, 0, 1].any())
    turned = not upright and _turn_columns(frames0, frames1)
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
        if not upright:
            along, lengths = turned  # cos of the turn = along / sqrt(lengths), as products of the map's first row
            row = maps[part, 0].astype(np.float32)
            cosine = row @ along  # (h, M)
            limit = np.float32(np.cos(geometry.angle))
            if abs(limit) < 1e-6:  # a quarter turn: the sign decides
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
    """What the angle between a moved frame's first row and its match's comes to, linear in the map's first row.

    Gives (2, M) for the dot product with the unit vector along the match's first row, (3, M) for the squared length.
    """
    unit = frames1[:, 0] / np.hypot(frames1[:, 0, 0], frames1[:, 0, 1])[:, None]
    along = np.einsum("mij,mj->im", frames0, unit)
    gram = frames0 @ frames0.transpose(0, 2, 1)
    return along.astype(np.float32), np.stack([gram[:, 0, 0], gram[:, 0, 1], gram[:, 1, 1]]).astype(np.float32)


def _determinants(frames: np.ndarray) -> np.ndarray:
    return frames[:, 0, 0] * frames[:, 1, 1] - frames[:, 0, 1] * frames[:, 1, 0]


def _turn(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """The angle between two directions, 0 to pi."""
    difference = np.abs(a - b) % (2 * np.pi)
    return np.minimum(difference, 2 * np.pi - difference)


def _fit_homography(points0: np.ndarray, points1: np.ndarray) -> np.ndarray | None:
    """Least squares by the normalised direct linear transform; None where the points do not determine one.

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
    """The 3 x 3 map to mean 0 and deviation 1, and the points so mapped; None where all lie on one line of pixels."""
    centre, spread = points.mean(axis=0), points.std(axis=0)
    if spread.min() < 1e-9:
        return None, points
    scale = 1 / spread
    whiten = np.array([[scale[0], 0, -centre[0] * scale[0]], [0, scale[1], -centre[1] * scale[1]], [0, 0, 1]])
    return whiten, (points - centre) * scale


def _agree_with_homography(
    homography: np.ndarray, side0: Frames, side1: Frames, diagonal: float, geometry: Geometry
) -> np.ndarray:
    """The matches whose position, size and angle the homography predicts, the last two through the frame's arm.

    The arm is as long as the keypoint's mean radius and points where its "down" does, as in vtool_ibeis.
    """
    arm0, arm1 = _arms(side0.frames), _arms(side1.frames)
    moved = _project(homography, side0.points)
    moved_arm = _project(homography, side0.points + arm0) - moved
    with np.errstate(invalid="ignore", over="ignore", divide="ignore"):  # points sent to infinity fail every test
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
    with np.errstate(invalid="ignore", over="ignore", divide="ignore"):  # the horizon; not finite afterwards
        return mapped[:, :2] / mapped[:, 2:]


def _robust_placement(side0: Frames, side1: Frames, diagonal: float, geometry: Geometry) -> np.ndarray:
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
