"""Hessian-affine keypoints with upright RootSIFT descriptors: HotSpotter's features, in numpy and OpenCV.

Source: Mikolajczyk & Schmid, "Scale & affine invariant interest point detectors", IJCV 2004 (detector); Baumberg,
"Reliable feature matching across widely separated views", CVPR 2000 (affine shape); Perdoch, Chum & Matas, "Efficient
representation of local geometry for large scale object retrieval", CVPR 2009 (gravity, the parameters); Lowe, IJCV 2004
(descriptor); Arandjelovic & Zisserman, CVPR 2012 (RootSIFT).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import cv2
import numpy as np

from snowmatch.core.types import Chip, Features, empty_features
from snowmatch.features.extractors._descriptors import DIMENSION, check_limits, choose, sorted_features

# Perdoch's parameters, which HotSpotter and ibeis use unchanged.
SCALES = 3  # per octave
SIGMA = 1.6  # blur of the first level of an octave, in its pixels
CHIP_SIGMA = 0.5  # assumed blur of a chip
EDGE = 10.0  # largest ratio of the response's principal curvatures
BORDER = 5  # px at the border of each octave without keypoints
ROUNDS = 16  # of affine adaptation
CONVERGED = 0.05  # 1 - ratio of the eigenvalues of the second moment matrix, in two consecutive rounds
WINDOW = 19  # px, side of the patch for the second moments
ELONGATED = 6.0  # largest ratio of an ellipse's axes
REGION = 3 * np.sqrt(3)  # radius of the described region, in keypoint sigmas
PATCH = 41  # px, side of the described patch
PATCH_SIGMA = 1.5  # blur of the described patch, in its pixels, against aliasing
# Blurs below SIGMA, in steps (9 %) too small to change the descriptors; the smallest keypoints need 0.86 px.
FINE_PER_OCTAVE = 8
FINE_LEVELS = 7

REFINEMENTS = 5  # steps that a keypoint may take to its neighbour
SHIFT = 0.6  # px; a maximum farther off belongs to the neighbour
FARTHEST = 1.5  # px or levels; a maximum farther off is dropped
SINGULAR = 1e-12  # below this determinant, a parabola has no single peak
FLAT = 1e-9  # below this ratio of second moments, the texture has only one direction
AT_ONCE = 64  # patches described at a time: they and their eight orientation planes fit into the cache


class _Level(NamedTuple):
    """One blurred image: pixel x lies at chip pixel x * step; sigma is its blur in chip pixels."""

    image: np.ndarray
    step: int
    sigma: float


class _Found(NamedTuple):
    """N keypoints in chip pixels: points (N, 2), sigmas (N,), scores (N,), and levels (N,), the index of the level
    below each.
    """

    points: np.ndarray
    sigmas: np.ndarray
    scores: np.ndarray
    levels: np.ndarray


@dataclass(frozen=True)
class Hesaff:
    """Extrema of the determinant of the Hessian in scale space, with circular or affine-adapted upright frames.

    chip_size: longest side of the chip (px; HotSpotter 700).
    max_features: largest number of keypoints, the strongest; 0: all.
    threshold: its square is the lowest response (Perdoch 16/3).
    affine: adapt each frame to the local texture.
    """

    REVISION: ClassVar[int] = 2
    CHANNELS: ClassVar[str] = "grey"
    DIMENSION: ClassVar[int] = DIMENSION
    DTYPE: ClassVar[type] = np.uint8
    FRAMES: ClassVar[bool] = True

    chip_size: int = 700
    max_features: int = 0
    threshold: float = 16 / 3
    affine: bool = True

    def __post_init__(self) -> None:
        check_limits(self.chip_size, self.max_features)
        if not 0 < self.threshold < 256:
            raise ValueError(f"threshold is {self.threshold}, expected more than 0 and less than 256")

    def extract(self, chip: Chip) -> Features:
        """Return the features of a grey chip, in chip pixels, by descending response. A blank or tiny chip gives
        none.
        """
        height, width = chip.pixels.shape
        size = (width, height)
        pixels = chip.pixels.astype(np.float32)
        levels, found = _detect(pixels, self.threshold)
        kept = choose(found.points, found.scores, chip.mask, size, 0 if self.affine else self.max_features)
        found = _Found(*(column[kept] for column in found))
        frames = np.zeros((len(kept), 3))
        frames[:, 0] = frames[:, 2] = found.sigmas
        if self.affine:
            shapes, stable = _adapt(levels, found)
            frames = (shapes * found.sigmas[:, None])[stable][: self.max_features or None]
            found = _Found(*(column[stable][: self.max_features or None] for column in found))
        if not len(frames):
            return empty_features(DIMENSION, np.uint8, size)
        histograms = _describe(pixels, levels, found, frames)
        oris = np.zeros(len(frames))
        return sorted_features(found.points, histograms, found.scores, 2 * found.sigmas, oris, frames, size)


def _blur(image: np.ndarray, sigma: float) -> np.ndarray:
    side = 2 * int(np.ceil(3 * sigma)) + 1
    return cv2.GaussianBlur(image, (side, side), sigma, borderType=cv2.BORDER_REPLICATE)


def _octaves(pixels: np.ndarray) -> Iterator[list[_Level]]:
    """Return the scale space: SCALES + 2 levels for each octave. Each octave has half the resolution of the one
    before.
    """
    image, step = _blur(pixels, np.sqrt(SIGMA**2 - CHIP_SIGMA**2)), 1
    ratio = 2 ** (1 / SCALES)
    while min(image.shape) > 2 * BORDER + 2:
        octave = [_Level(image, step, SIGMA * step)]
        for i in range(SCALES + 1):
            image = _blur(image, SIGMA * ratio**i * np.sqrt(ratio**2 - 1))
            octave.append(_Level(image, step, SIGMA * step * ratio ** (i + 1)))
        yield octave
        # [::2] keeps the pixel centres: pixel x of the next octave is pixel 2 x of this one.
        image, step = np.ascontiguousarray(octave[SCALES].image[::2, ::2]), step * 2


def _response(level: _Level) -> np.ndarray:
    """Return the determinant of the Hessian (H, W), normalised for scale; 0 on the outermost pixels."""
    v = level.image
    xx = v[1:-1, :-2] + v[1:-1, 2:] - 2 * v[1:-1, 1:-1]
    yy = v[:-2, 1:-1] + v[2:, 1:-1] - 2 * v[1:-1, 1:-1]
    xy = (v[2:, 2:] - v[2:, :-2] - v[:-2, 2:] + v[:-2, :-2]) / 4
    response = np.zeros_like(v)
    response[1:-1, 1:-1] = (xx * yy - xy * xy) * np.float32((level.sigma / level.step) ** 4)
    return response


def _detect(pixels: np.ndarray, threshold: float) -> tuple[list[_Level], _Found]:
    """Return all levels of the scale space, and the extrema of the response over position and scale."""
    levels: list[_Level] = []
    found = [_Found(np.zeros((0, 2)), np.zeros(0), np.zeros(0), np.zeros(0, np.intp))]
    for octave in _octaves(pixels):
        responses = np.stack([_response(level) for level in octave])
        places = _extrema(responses, 0.8 * threshold**2)
        offsets, values, places = _refine(responses, places)
        # Of several extrema that moved to the same pixel, the first stays.
        strong = np.flatnonzero(np.abs(values) >= threshold**2)
        pixel = places[strong, 1] * responses.shape[2] + places[strong, 2]
        keep = strong[np.sort(np.unique(pixel, return_index=True)[1])]
        offsets, places = offsets[keep], places[keep]
        step = octave[0].step
        points = (places[:, :0:-1] + offsets[:, :2]) * step
        sigmas = octave[0].sigma * 2 ** ((places[:, 0] + offsets[:, 2]) / SCALES)
        found.append(_Found(points, sigmas, np.abs(values[keep]), len(levels) + places[:, 0] - 1))
        levels += octave
    return levels, _Found(*(np.concatenate(column) for column in zip(*found, strict=True)))


def _extrema(responses: np.ndarray, threshold: float) -> np.ndarray:
    """Return level, row and column (N, 3) of the pixels that are not exceeded by any of their 26 neighbours in
    position and scale.
    """
    box = np.ones((3, 3), np.uint8)
    inner = (slice(BORDER, -BORDER), slice(BORDER, -BORDER))
    highest = [cv2.dilate(r, box) for r in responses]
    lowest = [cv2.erode(r, box) for r in responses]
    places = []
    for i in range(1, len(responses) - 1):
        value = responses[i][inner]
        top = cv2.max(cv2.max(highest[i - 1], highest[i]), highest[i + 1])[inner]
        bottom = cv2.min(cv2.min(lowest[i - 1], lowest[i]), lowest[i + 1])[inner]
        rows, columns = np.nonzero(((value >= top) & (value > threshold)) | ((value <= bottom) & (value < -threshold)))
        places.append(np.stack([np.full(len(rows), i), rows + BORDER, columns + BORDER], axis=1))
    return np.concatenate(places)


def _refine(responses: np.ndarray, places: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Fit a parabola to each extremum. Return offsets (M, 3) in x, y and level, its values (M,), and its positions (M,
    3).

    Extrema on edges, at the border, or without a maximum nearby are dropped. Source: Brown & Lowe, BMVC 2002.
    """
    _, height, width = responses.shape
    d = np.arange(-1, 2)
    kept: list[tuple[np.ndarray, np.ndarray, np.ndarray]] = []
    for step in range(REFINEMENTS):
        s, y, x = (column[:, None, None, None] for column in places.T)
        v = responses[s + d[:, None, None], y + d[:, None], x + d].astype(np.float64)  # (N, level, row, column)
        here = v[:, 1, 1, 1]
        gradient = np.stack(
            [v[:, 1, 1, 2] - v[:, 1, 1, 0], v[:, 1, 2, 1] - v[:, 1, 0, 1], v[:, 2, 1, 1] - v[:, 0, 1, 1]], axis=1
        )
        gradient /= 2
        xx = v[:, 1, 1, 2] + v[:, 1, 1, 0] - 2 * here
        yy = v[:, 1, 2, 1] + v[:, 1, 0, 1] - 2 * here
        ss = v[:, 2, 1, 1] + v[:, 0, 1, 1] - 2 * here
        xy = (v[:, 1, 2, 2] - v[:, 1, 2, 0] - v[:, 1, 0, 2] + v[:, 1, 0, 0]) / 4
        xs = (v[:, 2, 1, 2] - v[:, 2, 1, 0] - v[:, 0, 1, 2] + v[:, 0, 1, 0]) / 4
        ys = (v[:, 2, 2, 1] - v[:, 2, 0, 1] - v[:, 0, 2, 1] + v[:, 0, 0, 1]) / 4
        hessian = np.stack([xx, xy, xs, xy, yy, ys, xs, ys, ss], axis=1).reshape(-1, 3, 3)
        good = np.abs(np.linalg.det(hessian)) > SINGULAR
        if step == 0:  # elongated peaks would move along an edge
            area = xx * yy - xy * xy
            good &= (area > 0) & ((xx + yy) ** 2 < area * (EDGE + 1) ** 2 / EDGE)
        places, here, gradient = places[good], here[good], gradient[good]
        offset = -np.linalg.solve(hessian[good], gradient[:, :, None])[:, :, 0]
        move = (offset[:, 1::-1] > SHIFT).astype(np.intp) - (offset[:, 1::-1] < -SHIFT)  # rows, columns
        done = ~move.any(axis=1) | (step == REFINEMENTS - 1)
        near = done & (np.abs(offset) <= FARTHEST).all(axis=1)
        value = here + 0.5 * (gradient * offset).sum(axis=1)
        kept.append((offset[near], value[near], places[near]))
        places = places[~done] + np.pad(move[~done], ((0, 0), (1, 0)))
        inner = (places[:, 1:] >= 2).all(axis=1) & (places[:, 1] < height - 2) & (places[:, 2] < width - 2)
        places = places[inner]
    offsets, values, places = (np.concatenate(column) for column in zip(*kept, strict=True))
    order = np.lexsort((places[:, 2], places[:, 1], places[:, 0]))
    return offsets[order], values[order], places[order]


def _disc(side: int) -> np.ndarray:
    """Return weights (side * side,) that decrease from the centre and are 0 outside the circle (the window of
    hesaff).
    """
    radius = side // 2
    y, x = np.mgrid[-radius : radius + 1, -radius : radius + 1]
    squared = (x * x + y * y).ravel()
    return np.where(squared <= radius * radius, np.exp(-squared / (0.9 * radius * radius)), 0).astype(np.float32)


def _gaussian(side: int) -> np.ndarray:
    """Return weights (side * side,) of a Gaussian whose third sigma is at the border."""
    radius = side // 2
    line = np.exp(-0.5 * (3 * np.arange(-radius, radius + 1) / radius) ** 2)
    return np.outer(line, line).ravel().astype(np.float32)


def _adapt(levels: list[_Level], found: _Found) -> tuple[np.ndarray, np.ndarray]:
    """Return upright frames (N, 3) of area 1 in which the gradients of each keypoint have no main direction, and stable
    (N,) bool.

    `stable` is False if the iteration does not converge or the frame becomes too elongated.
    """
    n = len(found.points)
    shapes = np.tile(np.eye(2), (n, 1, 1))
    before = np.zeros(n)  # how elongated the gradients were in the previous round
    stable = np.zeros(n, bool)
    window = _gaussian(WINDOW)
    active = np.arange(n)
    for _ in range(ROUNDS):
        if not len(active):
            break
        moments = np.empty((len(active), 3))
        for number in np.unique(found.levels[active]):
            rows = np.flatnonzero(found.levels[active] == number)
            which = active[rows]
            level = levels[number]
            spacing = found.sigmas[which] / (SIGMA * level.step)
            patches = _sample(level, found.points[which], shapes[which] * spacing[:, None, None], WINDOW)
            gx, gy = (g.reshape(len(rows), -1) for g in _gradients(patches))
            moments[rows] = np.stack([(gx * gx) @ window, (gx * gy) @ window, (gy * gy) @ window], axis=1)
        values, vectors = np.linalg.eigh(moments[:, [0, 1, 1, 2]].reshape(-1, 2, 2))
        textured = values[:, 0] > FLAT * values[:, 1]
        values = np.where(textured[:, None], values, 1.0)
        now = 1 - np.sqrt(values[:, 0] / values[:, 1])
        inverse_root = (vectors / np.sqrt(values)[:, None, :]) @ vectors.transpose(0, 2, 1)
        inverse_root /= np.sqrt(np.linalg.det(inverse_root))[:, None, None]
        shapes[active] = inverse_root @ shapes[active]
        axes = np.linalg.svd(shapes[active], compute_uv=False)
        fine = textured & (axes[:, 0] <= ELONGATED * axes[:, 1])
        settled = fine & (now < CONVERGED) & (before[active] < CONVERGED)
        before[active] = now
        stable[active[settled]] = True
        active = active[fine & ~settled]
    squared = shapes @ shapes.transpose(0, 2, 1)
    a = np.sqrt(squared[:, 0, 0])
    c = squared[:, 0, 1] / a
    return np.stack([a, c, 1 / a], axis=1), stable


def _sample(level: _Level, points: np.ndarray, frames: np.ndarray, side: int) -> np.ndarray:
    """Return patches (N, side, side) float32: pixel (i, j) from the centre lies at point + frame @ (i, j), in level
    pixels.
    """
    half = np.arange(side, dtype=np.float32) - side // 2
    f = frames.astype(np.float32)
    centres = (points / level.step).astype(np.float32)
    grid = (half[None, :], half[:, None])
    x, y = (
        f[:, k, 0, None, None] * grid[0] + f[:, k, 1, None, None] * grid[1] + centres[:, k, None, None] for k in (0, 1)
    )
    shape = (len(points), side * side)
    patches = cv2.remap(
        level.image, x.reshape(shape), y.reshape(shape), cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
    )
    return patches.reshape(-1, side, side)


def _gradients(patches: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return central differences along x and y of patches (N, side, side); one-sided at the borders."""
    gx, gy = np.empty_like(patches), np.empty_like(patches)
    np.subtract(patches[:, :, 2:], patches[:, :, :-2], out=gx[:, :, 1:-1])
    np.subtract(patches[:, :, 1], patches[:, :, 0], out=gx[:, :, 0])
    np.subtract(patches[:, :, -1], patches[:, :, -2], out=gx[:, :, -1])
    np.subtract(patches[:, 2:], patches[:, :-2], out=gy[:, 1:-1])
    np.subtract(patches[:, 1], patches[:, 0], out=gy[:, 0])
    np.subtract(patches[:, -1], patches[:, -2], out=gy[:, -1])
    return gx, gy


def _spatial_bins(side: int) -> np.ndarray:
    """Return weights (side * side, 16): the share of a patch pixel in each of the 4 x 4 cells, linear between cells."""
    position = np.linspace(0, 5, side)  # cell centres at 1, 2, 3, 4
    hat = np.maximum(0, 1 - np.abs(position[:, None] - np.arange(1, 5)))  # (side, 4)
    cells = hat[:, None, :, None] * hat[None, :, None, :]
    return (cells.reshape(side * side, 16) * _disc(side)[:, None]).astype(np.float32)


def _describe(pixels: np.ndarray, levels: list[_Level], found: _Found, frames: np.ndarray) -> np.ndarray:
    """Return gradient histograms (N, 128), 4 x 4 cells of 8 directions, of the patches at `frames` (N, 3)."""
    # A patch pixel is `spacing` chip pixels wide; its image is blurred by 1.5 of that, as in hesaff.
    spacing = found.sigmas * REGION / (PATCH // 2)
    ladder = _fine_levels(pixels) + levels
    blurs = np.log([level.sigma for level in ladder])
    wanted = np.log(np.hypot(CHIP_SIGMA, PATCH_SIGMA * spacing))
    order = np.argsort(blurs, kind="stable")
    nearest = order[np.searchsorted((blurs[order][1:] + blurs[order][:-1]) / 2, wanted)]
    lower = np.zeros((len(frames), 2, 2))
    lower[:, 0, 0], lower[:, 1, 0], lower[:, 1, 1] = frames.T
    lower *= REGION / (PATCH // 2)
    histograms = np.empty((len(frames), DIMENSION), np.float32)
    cells = _spatial_bins(PATCH)
    for number in np.unique(nearest):
        rows = np.flatnonzero(nearest == number)
        level = ladder[number]
        for start in range(0, len(rows), AT_ONCE):
            part = rows[start : start + AT_ONCE]
            patches = _sample(level, found.points[part], lower[part] / level.step, PATCH)
            histograms[part] = _histograms(patches, cells)
    return histograms


def _fine_levels(pixels: np.ndarray) -> list[_Level]:
    """Return levels with less blur than the first of the scale space. Small keypoints are described in them."""
    sigmas = SIGMA / 2 ** (np.arange(1, FINE_LEVELS + 1) / FINE_PER_OCTAVE)
    return [_Level(_blur(pixels, np.sqrt(s * s - CHIP_SIGMA**2)), 1, float(s)) for s in sigmas]


def _histograms(patches: np.ndarray, cells: np.ndarray) -> np.ndarray:
    """Return (N, 128) from patches (N, side, side). Each gradient is divided between its two neighbouring directions.

    Directions are 45 degrees apart. A gradient is the sum of two vectors along its neighbours; their lengths are its
    shares (up to a constant, which RootSIFT removes). The share of direction k is the smaller of the gradient's
    projections on the normals of k - 1 and k + 1, if positive. So no angle is computed.
    """
    n, side, _ = patches.shape
    gx, gy = _gradients(patches)
    up = (gx + gy) * np.float32(np.sqrt(0.5))
    down = (gy - gx) * np.float32(np.sqrt(0.5))
    planes = np.empty((8, *patches.shape), np.float32)
    for k, (p, q) in enumerate(((up, -down), (gx, gy), (up, down), (gy, -gx))):
        np.maximum(np.minimum(p, q, out=planes[k]), 0, out=planes[k])
        np.maximum(p, q, out=planes[k + 4])
        np.minimum(planes[k + 4], 0, out=planes[k + 4])
        np.negative(planes[k + 4], out=planes[k + 4])
    sums = planes.reshape(8 * n, side * side) @ cells
    return sums.reshape(8, n, 16).transpose(1, 2, 0).reshape(n, DIMENSION)


PLUGIN = Hesaff
