"""Synthetic animals: spotted coats, generated from a random seed, and a walking cat that has such a coat.

No real animal is shown. A coat belongs to one side of one animal. The two sides of an animal are independent.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeVar

import cv2
import numpy as np

Along = TypeVar("Along", float, np.ndarray)  # one position along the body, or an array of positions

# The unit of body coordinates is the length of the torso. x runs from the chest (0) to the rump (1); y points down, and
# the back is near 0.
# One unit is UNIT cells of the coat's grid, so that a flank has about 16 rosettes, like that of a snow leopard.
UNIT = 256
GROUND = (256, 288)  # rows, columns of the grid; rows up to FLANK_ROWS are the flank, the others legs, head and tail
FLANK_ROWS = 160
FINE = 3  # coat pixels per cell: 768 px for a torso, more than in any photo
SOLES = 0.47  # distance from the middle of the torso down to the ground (torso lengths)

_X = np.linspace(-0.10, 1.06, 117, dtype=np.float32)
_TOP = np.interp(
    _X,
    [-0.10, 0.00, 0.12, 0.22, 0.36, 0.55, 0.75, 0.88, 0.97, 1.03, 1.06],
    [0.13, 0.05, -0.005, -0.01, 0.025, 0.035, 0.005, 0.01, 0.05, 0.11, 0.17],
)
_BOTTOM = np.interp(
    _X,
    [-0.10, 0.00, 0.10, 0.22, 0.40, 0.60, 0.75, 0.88, 0.97, 1.03, 1.06],
    [0.15, 0.27, 0.335, 0.36, 0.365, 0.345, 0.315, 0.30, 0.29, 0.24, 0.19],
)


def grow_coat(seed: int, individual: int, side: str, *, turned: bool = False, shuffled: bool = False) -> np.ndarray:
    """Return the coat of one side of one animal: (768, 864, 2) uint8, its darkness with open rosettes and solid spots.

    turned: mirror the coat, so that it looks the same in a photo of the other flank. shuffled: move pieces of the coat
    to other places. Both are decoys. The same arguments give the same coat.

    Source: Young, Mathematical Biosciences 1984 (short-range activation and long-range inhibition, a simpler form of
    Turing's reaction-diffusion).
    """
    rng = np.random.default_rng([seed, 1, individual, ("left", "right").index(side)])
    rows, columns = GROUND
    spots = _grow(rng, 3.3, share=0.35)
    pieces = _grow(rng, 1.7, share=0.60)
    # The pattern is stretched irregularly, so that all rosettes of a coat differ.
    y, x = np.mgrid[0 : rows * FINE, 0 : columns * FINE].astype(np.float32) / FINE
    x += 4 * smooth_noise(rng, x.shape, 9)
    y += 4 * smooth_noise(rng, x.shape, 9)
    spots = cv2.remap(spots, x, y, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT)
    pieces = cv2.remap(pieces, x, y, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT)
    ring = np.exp(-(((spots - 0.05) / 0.55) ** 2)) * _step(pieces, -0.5, 0.3)
    rosettes = np.maximum(ring, 0.30 * _step(spots, 0.2, 0.8))
    solid = _step(spots, -0.1, 0.5) * _step(pieces, -1.0, -0.2)
    coat = (255 * np.stack([rosettes, solid], axis=2)).astype(np.uint8)
    if shuffled:
        coat = _shuffle(rng, coat)
    return np.ascontiguousarray(coat[:, ::-1]) if turned else coat


def _grow(rng: np.random.Generator, sigma: float, share: float) -> np.ndarray:
    """Return blobs on the grid, GROUND float32, -1 to 1. share: the part that is positive. sigma: blob size (cells)."""
    field = rng.standard_normal(GROUND).astype(np.float32)
    for _ in range(12):
        near = cv2.GaussianBlur(field, (0, 0), sigma, borderType=cv2.BORDER_REFLECT)
        change = near - cv2.GaussianBlur(field, (0, 0), 1.6 * sigma, borderType=cv2.BORDER_REFLECT)
        change -= np.quantile(change[::4, ::4], 1 - share)
        field = np.tanh(1.5 * change / change.std())
    return cv2.GaussianBlur(field, (0, 0), 0.5 * sigma, borderType=cv2.BORDER_REFLECT)


def _shuffle(rng: np.random.Generator, coat: np.ndarray) -> np.ndarray:
    """Return the coat with its pieces, each three rosettes wide, in another order: same spots, another layout."""
    side = 52 * FINE
    tiles = [(r, c) for r in range(0, coat.shape[0] - side + 1, side) for c in range(0, coat.shape[1] - side + 1, side)]
    out = coat.copy()
    for (r, c), n in zip(tiles, rng.permutation(len(tiles)), strict=True):
        r1, c1 = tiles[n]
        out[r : r + side, c : c + side] = coat[r1 : r1 + side, c1 : c1 + side]
    return out


def smooth_noise(rng: np.random.Generator, shape: tuple[int, ...], cells: int) -> np.ndarray:
    """Return smooth random noise, (H, W) float32: mean 0, standard deviation about 0.7.

    cells: number of hills along the longer side.
    """
    h, w = shape[:2]
    small = rng.standard_normal((max(2, round(cells * h / max(h, w))) + 2, max(2, round(cells * w / max(h, w))) + 2))
    return cv2.resize(small.astype(np.float32), (w, h), interpolation=cv2.INTER_CUBIC)


def _step(x: np.ndarray, low: float, high: float) -> np.ndarray:
    """Return a smooth step: 0 below `low`, 1 above `high`."""
    t = np.clip((x - low) / (high - low), 0, 1)
    return t * t * (3 - 2 * t)


@dataclass(frozen=True)
class Pose:
    """The pose of an animal in front of the camera.

    side: the visible flank, "left" or "right". An animal with "left" walks to the left in the photo.
    length: length of the torso in a side view (px). x, y: position of the middle of the torso (px).
    yaw, roll, pitch: angles (radians). Above 0, yaw turns the head and roll leans the back to the camera, and pitch is
    uphill.
    gait: phase of the steps (radians). bend: curvature of the back. tail: height of the tail's tip (0 to 1).
    stretch: seed of the small random shifts of the skin.
    light: unit vector (right, down, towards the camera) to the source of the light.
    """

    side: str
    length: float
    x: float
    y: float
    yaw: float
    roll: float
    pitch: float
    gait: float
    bend: float
    tail: float
    stretch: int
    light: tuple[float, float, float]


def draw_animal(coat: np.ndarray, pose: Pose, size: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """Return the brightness and the opacity of an animal: both (H, W) float32, 0 to 1.

    size: (width, height) of the picture (px). Raises ValueError if the middle of the torso is outside the picture.
    """
    if not (0 <= pose.x < size[0] and 0 <= pose.y < size[1]):
        raise ValueError(f"the animal is at ({pose.x}, {pose.y}), expected a position in a picture of {size}")
    canvas = _Canvas(coat, pose, size)
    swing = 0.085 * np.sin(pose.gait + np.array([0, np.pi, 0.7 * np.pi, 1.7 * np.pi]))  # near fore, far fore, hinds
    for depth, fore, hind in ((-0.12, swing[1], swing[3]), (0.12, swing[0], swing[2])):
        if depth > 0:
            droop = pose.tail
            tail = [(1.0, 0.12), (1.12, 0.19), (1.24, 0.31 + 0.1 * droop), (1.38, 0.40 + 0.1 * droop)]
            tail += [(1.54, 0.42 - 0.05 * droop), (1.68, 0.36 - 0.16 * droop), (1.76, 0.28 - 0.25 * droop)]
            canvas.tube(tail, [0.07, 0.06, 0.053, 0.052, 0.052, 0.05, 0.035], 0.0, row=168, zoom=0.8, spots=1.0)
            canvas.torso()
        hip = [(0.90, 0.17), (0.86 + 0.3 * hind, 0.38), (0.95 + hind, 0.49), (0.915 + 1.2 * hind, 0.58)]
        canvas.tube(hip, [0.13, 0.078, 0.043, 0.04], depth, row=200, zoom=1.1, merge=int(depth > 0))
        canvas.tube([hip[-1], (hip[-1][0] - 0.05, 0.588)], [0.038, 0.03], depth, row=245, spots=0.3)
        arm = [(0.13, 0.20), (0.15 + 0.2 * fore, 0.38), (0.13 + 0.8 * fore, 0.49), (0.12 + 1.1 * fore, 0.58)]
        canvas.tube(arm, [0.105, 0.062, 0.043, 0.042], depth, row=225, zoom=1.1, merge=int(depth > 0))
        canvas.tube([arm[-1], (arm[-1][0] - 0.05, 0.588)], [0.04, 0.032], depth, row=245, spots=0.3)
    canvas.head()
    whole = np.zeros((2, size[1], size[0]), np.float32)
    whole[:, canvas.rows, canvas.columns] = canvas.brightness, canvas.opacity
    return whole[0], whole[1]


class _Canvas:
    """The picture of one animal. Its parts are painted one after the other, from far to near.

    The arrays cover only the rectangle around the animal.
    """

    def __init__(self, coat: np.ndarray, pose: Pose, size: tuple[int, int]) -> None:
        self.coat, self.pose = coat, pose
        rng = np.random.default_rng([pose.stretch, 7])
        reach = 1.45 * pose.length
        self.columns = slice(max(0, int(pose.x - reach)), min(size[0], int(pose.x + reach) + 1))
        self.rows = slice(max(0, int(pose.y - 0.6 * reach)), min(size[1], int(pose.y + 0.62 * reach) + 1))
        y, x = np.mgrid[self.rows, self.columns].astype(np.float32)
        x, y = (x - pose.x) / pose.length, (y - pose.y) / pose.length
        self.brightness, self.opacity = np.zeros_like(x), np.zeros_like(x)
        if pose.side == "right":  # the head, at x = 0, must be on the side to which the animal walks
            x = -x
        cos, sin = np.cos(pose.pitch), np.sin(pose.pitch)
        x, y = cos * x - sin * y, sin * x + cos * y
        near = 1 + 0.22 * np.sin(pose.yaw) * x  # the part that is turned to the camera is nearer and larger
        # Breath, muscles and loose skin change the shape from photo to photo. Fur makes the outline irregular.
        fringe = cv2.GaussianBlur(rng.standard_normal(x.shape).astype(np.float32), (0, 0), 1.0)
        bent = 0.94 * y * near + 0.17 + pose.bend * x * x
        self.x = x * near + 0.015 * smooth_noise(rng, x.shape, 9) + 0.003 * fringe
        self.y = bent + 0.012 * smooth_noise(rng, x.shape, 9) + 0.004 * fringe

    def place(self, x: Along, depth: float) -> Along:
        """Return the visible position of a point after the yaw. x: along the body. depth: towards the camera."""
        return (x - 0.5) * np.cos(self.pose.yaw) - depth * np.sin(self.pose.yaw)

    def _window(self, x0: float, x1: float, y0: float, y1: float) -> tuple[slice, slice] | None:
        """Return the rows and columns of a rectangle in body coordinates; None if it is outside the picture."""
        inside = (self.x > x0) & (self.x < x1) & (self.y > y0) & (self.y < y1)
        rows, columns = np.flatnonzero(inside.any(axis=1)), np.flatnonzero(inside.any(axis=0))
        if not len(rows):
            return None
        return slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)

    def torso(self) -> None:
        """Paint the torso. A table gives its outline; its cross-section is an ellipse."""
        ends = [self.place(-0.12, 0), self.place(1.08, 0)]
        area = self._window(min(ends) - 0.12, max(ends) + 0.12, -0.12, 0.5)
        if area is None:
            return
        seen, y = self.x[area], self.y[area]
        cos, sin = np.cos(self.pose.yaw), np.sin(self.pose.yaw)
        x = seen / cos + 0.5
        for _ in range(3):  # position and bulge depend on each other: iterate
            top, bottom = np.interp(x, _X, _TOP), np.interp(x, _X, _BOTTOM)
            middle, radius = ((top + bottom) / 2).astype(np.float32), ((bottom - top) / 2).astype(np.float32)
            across = (y - middle) / radius
            bulge = 0.75 * radius * np.sqrt(np.clip(1 - across * across, 0, 1))
            x = (seen + bulge * sin) / cos + 0.5
        inside = np.minimum((1 - np.abs(across)) * radius, np.minimum(x - _X[0], _X[-1] - x))
        around = np.arcsin(np.clip(across, -1, 1)) + self.pose.roll
        u = 12 + x * UNIT * 0.97
        v = FLANK_ROWS / 2 + around * 0.165 * UNIT
        solid = _step(np.abs(x - 0.5), 0.42, 0.56)
        self._paint(area, inside, (u, v), across, solid, belly=_step(around, 0.75, 1.35))

    def tube(
        self,
        points: list[tuple[float, float]],
        radii: list[float],
        depth: float,
        *,
        row: int,
        zoom: float = 1.0,
        spots: float = 0.8,
        merge: int = 0,
        dark: float = 1.0,
    ) -> None:
        """Paint a limb along `points` (body units), with the given `radii`.

        row: row of the coat's grid that gives the spots. zoom: scale of the coat. spots: contrast of the spots, 0 to 1.
        merge: 1 fades the start of the limb into the parts painted before, -1 fades its end, 0 fades nothing.
        dark: factor of the brightness.
        """
        line = np.array(points, np.float32)
        line[:, 0] = self.place(line[:, 0], depth)
        line[:, 1] -= 0.10 * depth  # the camera looks slightly down, so far feet are higher in the picture
        line, width = _smooth_line(line, np.array(radii, np.float32))
        low, high = (line - width[:, None]).min(axis=0) - 0.02, (line + width[:, None]).max(axis=0) + 0.02
        area = self._window(low[0], high[0], low[1], high[1])
        if area is None:
            return
        x, y = self.x[area], self.y[area]
        best = np.full(x.shape, np.inf, np.float32)
        across, along, radius = np.zeros_like(best), np.zeros_like(best), np.ones_like(best)
        walked = 0.0
        for a, ra, step, swell in zip(line, width, np.diff(line, axis=0), np.diff(width), strict=False):
            length = float(np.hypot(*step))
            t = np.clip(((x - a[0]) * step[0] + (y - a[1]) * step[1]) / length**2, 0, 1)
            dx, dy, r = x - a[0] - t * step[0], y - a[1] - t * step[1], ra + t * swell
            distance = np.sqrt(dx * dx + dy * dy) / r
            closer = distance < best
            sign = np.sign(step[0] * dy - step[1] * dx)
            best = np.where(closer, distance, best)
            across = np.where(closer, distance * sign, across)
            along = np.where(closer, walked + t * length, along)
            radius = np.where(closer, r, radius)
            walked += length
        around = np.arcsin(np.clip(across, -1, 1))
        u = 30 + 20 * (depth > 0) + along * UNIT * zoom + 60 * (row == 245)
        v = row + around * float(width.mean()) * UNIT * zoom
        fade = None
        if merge:  # no visible seam between limb and torso
            fade = _step((along if merge > 0 else walked - along) / walked, 0.1, 0.4)
        dark *= 0.62 if depth < -0.1 else 1.0  # the far side is in shadow
        one = np.ones_like(best)
        self._paint(area, (1 - best) * radius, (u, v), 0.9 * across, one, fade=fade, dark=dark, strength=spots)

    def head(self) -> None:
        """Paint neck, skull, muzzle, ears, an eye and the nose."""
        neck = [(-0.15, 0.08), (-0.03, 0.13), (0.08, 0.18)]
        self.tube(neck, [0.10, 0.13, 0.15], 0.05, row=185, zoom=1.2, spots=0.9, merge=-1)
        self.tube([(-0.125, -0.045), (-0.12, -0.055)], [0.034, 0.03], -0.05, row=245, spots=0.3, dark=0.8)
        self.tube([(-0.15, 0.045), (-0.19, 0.06)], [0.108, 0.098], 0.06, row=188, zoom=1.5, spots=0.75)
        self.tube([(-0.235, 0.095), (-0.268, 0.105)], [0.066, 0.054], 0.07, row=245, spots=0.1, merge=1)
        self.tube([(-0.115, -0.035), (-0.105, -0.055)], [0.040, 0.034], 0.10, row=245, spots=0.4)
        for x, y, radius, value in ((-0.308, 0.085, 0.017, 0.14), (-0.232, 0.035, 0.013, 0.05)):
            self.brightness[(self.x - self.place(x, 0.09)) ** 2 + (self.y - y) ** 2 < radius * radius] = value

    def _paint(
        self,
        area: tuple[slice, slice],
        inside: np.ndarray,
        cells: tuple[np.ndarray, np.ndarray],
        across: np.ndarray,
        solid: np.ndarray,
        *,
        belly: np.ndarray | float = 0.0,
        fade: np.ndarray | None = None,
        dark: float = 1.0,
        strength: float = 1.0,
    ) -> None:
        """Paint a part over the parts painted before.

        area: rows and columns of the part. inside: distance to the outline, positive inside (body units).
        cells: position of each pixel in the coat's grid. across: -1 to 1, how much the surface faces down.
        solid: 0 gives rosettes, 1 gives solid spots. belly: 0 gives spots, 1 gives white fur.
        fade: 0 to 1, weight over parts painted before; None for 1. dark: factor of the brightness.
        strength: contrast of the spots (0 to 1).
        """
        opacity = np.clip(inside * self.pose.length + 0.5, 0, 1).astype(np.float32)
        u, v = ((c * FINE).astype(np.float32) for c in cells)
        mapped = cv2.remap(self.coat, u, v, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT).astype(np.float32) / 255
        pattern = (mapped[..., 0] + solid * (mapped[..., 1] - mapped[..., 0])) * (1 - 0.85 * belly)
        fur = 0.72 + 0.16 * belly
        bright = fur * (1 - 0.72 * strength * pattern)
        across = np.clip(across, -1, 1)
        facing = np.sqrt(1 - across * across)
        light = self.pose.light
        shade = 0.50 + 0.55 * np.clip(light[1] * across + light[2] * facing, 0, 1)
        old, covered = self.brightness[area], self.opacity[area]
        edge = 1 - (0.25 - 0.17 * covered) * np.clip(1 - inside / 0.025, 0, 1)
        bright = bright * shade * edge * dark
        weight = opacity if fade is None else opacity * (1 - covered * (1 - fade))
        self.brightness[area] = old + weight * (bright - old)
        self.opacity[area] = np.maximum(covered, opacity)


def _smooth_line(points: np.ndarray, radii: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return a smoother line with the same ends and its radii: each corner is cut once.

    Source: Chaikin 1974.
    """
    if len(points) < 3:
        return points, radii
    both = np.column_stack([points, radii])
    near, far = 0.75 * both[:-1] + 0.25 * both[1:], 0.25 * both[:-1] + 0.75 * both[1:]
    cut = np.stack([near, far], axis=1).reshape(-1, 3)
    cut[0], cut[-1] = both[0], both[-1]
    return cut[:, :2], cut[:, 2]
