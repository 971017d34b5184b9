"""Random changes of an animal's photo: bent, turned, partly hidden, and in another light."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from snowmatch.core.types import BBox
from snowmatch.photos.chips import clip_bbox

# Differences between a view and its photo. Real pairs of one flank have all of them; ranges are wide on purpose.
SCALE = (0.7, 1.4)
TURN = np.radians(20)
STRETCH = 0.25  # log ratio of the axes: an animal seen from the front or back looks shorter
SHEAR = 0.2
PERSPECTIVE = 0.12  # relative change of scale from the middle to the edge
SHIFT = 0.1  # as a share of the box
LEFT = 0.6  # smallest share of the box's width and height that stays visible if the animal leaves the frame
NODES, BEND = 5, 0.02  # bending: displacements at 5 x 5 nodes; standard deviation as a share of the longest side
BEND_GRID = 64  # cells a side; bending is linear inside a cell, and a cell is smaller than most keypoints
NIGHT = 0.35  # share of night views


@dataclass(frozen=True)
class Warp:
    """Map from a view back to the photo's crop of `size` (w, h): a homography (3, 3), then bending (G, G, 2) in px."""

    homography: np.ndarray
    bend: np.ndarray
    size: tuple[int, int]

    def back(self, points: np.ndarray) -> np.ndarray:
        """Map points (..., 2) of the view to points (..., 2) of the crop."""
        flat = np.asarray(points, np.float64).reshape(-1, 2)
        mapped = flat @ self.homography[:, :2].T + self.homography[:, 2]
        mapped = (mapped[:, :2] / mapped[:, 2:]).reshape(*np.shape(points)[:-1], 2)
        cells = (mapped / np.array(self.size) * (len(self.bend) - 1)).astype(np.float32)
        shape = cells.shape
        cells = cells.reshape(shape[0], -1, 2)
        moved = cv2.remap(self.bend, cells[..., 0], cells[..., 1], cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        return mapped + moved.reshape(shape)


def draw_warp(random: np.random.Generator, size: tuple[int, int]) -> tuple[Warp, tuple[int, int]]:
    """Return a random warp of a crop of `size` (w, h), and the size of the view."""
    w, h = size
    longest = max(w, h)
    scale, turn = np.exp(random.uniform(*np.log(SCALE))), random.uniform(-TURN, TURN)
    stretch, shear = np.exp(random.uniform(-STRETCH, STRETCH) / 2), random.uniform(-SHEAR, SHEAR)
    rotation = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    forward = np.eye(3)
    forward[:2, :2] = scale * rotation @ np.array([[stretch, shear], [0, 1 / stretch]])
    forward[2, :2] = random.uniform(-PERSPECTIVE, PERSPECTIVE, 2) * 2 / longest
    forward[:2, 2] = random.uniform(-SHIFT, SHIFT, 2) * size
    left = random.uniform(LEFT, 1, 2) if random.random() < 0.5 else np.ones(2)
    view = np.maximum((left * size).astype(int), 16)
    corner = random.random(2) * (np.array(size) - view)
    centred, cut = np.eye(3), np.eye(3)
    centred[:2, 2] = np.array(size) / -2
    cut[:2, 2] = corner
    homography = np.linalg.inv(centred) @ np.linalg.inv(forward) @ centred @ cut
    nodes = random.normal(0, BEND * longest, (NODES, NODES, 2)).astype(np.float32)
    bend = cv2.resize(nodes, (BEND_GRID, BEND_GRID), interpolation=cv2.INTER_CUBIC)
    return Warp(homography / homography[2, 2], bend, size), (int(view[0]), int(view[1]))


def draw_hidden(random: np.random.Generator, size: tuple[int, int]) -> np.ndarray:
    """Return (h, w) bool: one to three ellipses that stand for a rock or a bush in front of the animal."""
    hidden = np.zeros(size[::-1], np.uint8)
    for _ in range(random.integers(1, 4)):
        centre = (random.random(2) * size).astype(int).tolist()
        axes = np.maximum(random.uniform(0.06, 0.2, 2) * max(size), 1).astype(int).tolist()
        cv2.ellipse(hidden, centre, axes, float(random.uniform(0, 180)), 0, 360, 1, -1)
    return hidden.astype(bool)


def blend(pixels: np.ndarray, other: np.ndarray, where: np.ndarray) -> np.ndarray:
    """Replace `pixels` (h, w, 3) by `other` where `where` (h, w) is True. The edge is as soft as in a photo."""
    share = cv2.GaussianBlur(where.astype(np.float32), (0, 0), 1.0)[..., None]
    return np.clip(pixels + share * (other.astype(np.float32) - pixels), 0, 255).astype(np.uint8)


def relight(random: np.random.Generator, pixels: np.ndarray) -> np.ndarray:
    """Change the light of (h, w, 3) uint8: gamma, contrast, gradient; night views: grey, blur, vignette, noise."""
    h, w = pixels.shape[:2]
    y, x = np.mgrid[-1 : 1 : h * 1j, -1 : 1 : w * 1j].astype(np.float32)
    light = (pixels.astype(np.float32) / 255) ** np.float32(np.exp(random.uniform(-0.5, 0.5)))
    light = (light - light.mean()) * random.uniform(0.6, 1.25) + np.clip(light.mean() + random.uniform(-0.1, 0.1), 0, 1)
    angle = random.uniform(0, 2 * np.pi)
    light *= (1 + random.uniform(0, 0.4) * (np.cos(angle) * x + np.sin(angle) * y))[..., None]
    noise = random.uniform(0.005, 0.03)
    if random.random() < NIGHT:
        light = np.repeat(light.mean(axis=2, keepdims=True), 3, axis=2)
        light = cv2.GaussianBlur(light, (0, 0), random.uniform(0.5, 1.5))
        light *= (1.15 - random.uniform(0.2, 0.6) * np.hypot(x - random.uniform(-0.4, 0.4), y))[..., None]
        noise = random.uniform(0.02, 0.07)
    light += noise * random.standard_normal((h, w, 1)).astype(np.float32)
    return (np.clip(light, 0, 1) * 255).astype(np.uint8)


def scenery_of(photo: np.ndarray, bbox: BBox | None) -> np.ndarray:
    """Return the largest strip beside the box of a photo (H, W, 3); without a box or strip, the whole photo."""
    height, width = photo.shape[:2]
    if bbox is None:
        return photo
    x, y, w, h = clip_bbox(bbox, (width, height))
    strips = (photo[:, :x], photo[:, x + w :], photo[:y], photo[y + h :])
    largest = max(strips, key=lambda s: min(s.shape[:2]))
    return largest if min(largest.shape[:2]) >= 32 else photo  # a narrower strip is only blur if it is enlarged
