"""Positions and frames of matched keypoints, and the tolerances of the geometric check."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Geometry:
    """Tolerances of the geometric check, chosen by measurement (docs/benchmarks-history.md).

    position: squared error, as a share of the squared diagonal of the gallery animal's box (0.0015 is 4 % of the
    diagonal; HotSpotter 0.01).
    area: largest factor between a keypoint's area and the area that the hypothesis predicts (HotSpotter 2).
    angle: largest difference of angles (radians).
    minimum: number of matches that have to agree; with fewer, the photos count as different (HotSpotter 7). With the
    tighter position, fewer agree by accident.
    shortlist: number of annotations that are checked: those with the most votes.
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
class Points:
    """Positions of M matched keypoints. points: (M, 2) float64."""

    points: np.ndarray

    def take(self, rows: slice) -> Points:
        """Return the rows of a slice, as views."""
        return Points(self.points[rows])


@dataclass(frozen=True)
class Frames(Points):
    """Positions and frames of M matched keypoints. frames: (M, 2, 2) float64.

    A frame maps the unit circle to the keypoint's ellipse. Its second column points from the centre "down".
    """

    frames: np.ndarray

    def take(self, rows: slice) -> Frames:
        """Return the rows of a slice, as views."""
        return Frames(self.points[rows], self.frames[rows])


def points_of(keypoints: np.ndarray, shapes: np.ndarray | None, oris: np.ndarray) -> Points:
    """Return frames from keypoints (M, 2), shapes (M, 3) (lower-triangular a, c, d) and oris (M,) (radians).

    Without shapes, it returns Points.
    """
    points = keypoints.astype(np.float64)
    if shapes is None:
        return Points(points)
    a, c, d = shapes.astype(np.float64).T
    cos, sin = np.cos(oris.astype(np.float64)), np.sin(oris.astype(np.float64))
    frames = np.empty((len(points), 2, 2))  # [[a, 0], [c, d]] @ [[cos, -sin], [sin, cos]]
    frames[:, 0, 0], frames[:, 0, 1] = a * cos, -a * sin
    frames[:, 1, 0], frames[:, 1, 1] = c * cos + d * sin, d * cos - c * sin
    return Frames(points, frames)
