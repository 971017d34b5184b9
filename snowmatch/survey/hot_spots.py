"""Hot spots: where animals were seen most often for the effort, smoothed between neighbouring stations."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

Key = TypeVar("Key")
ACROSS = 14  # hexagons along the longer side, about; more where they would be larger than REACH
REACH = 1.0  # bandwidths from the nearest station, up to which a hexagon is shown
LEAST_WIDTH = 500.0  # m


@dataclass(frozen=True)
class HotSpots:
    """Hexagons with a pointed top. cells: x and y of the middle (m), and the rate there. radius: of a hexagon (m).

    width: bandwidth of the kernel (m).
    """

    cells: tuple[tuple[float, float, float], ...]
    radius: float
    width: float


def hot_spots(
    positions: Mapping[Key, tuple[float, float]], counts: Mapping[Key, float], effort: Mapping[Key, float]
) -> HotSpots | None:
    """Return the smoothed rate, counts for one unit of effort, in hexagons around the stations.

    The rate at a point is the sum of all counts over the sum of all efforts, each weighted by a normal kernel of its
    distance. The kernel's bandwidth is the mean distance to the nearest other station. It is a rate of sightings, no
    density of animals. positions: (m). None with fewer than three stations that worked.
    Source: Nadaraya 1964 and Watson 1964 (kernel regression), with the effort as a weight.
    """
    worked = [key for key in positions if effort.get(key, 0) > 0]
    points = np.array([positions[key] for key in worked], float).reshape(-1, 2)
    if len({tuple(p) for p in points.tolist()}) < 3:
        return None
    apart = np.linalg.norm(points[:, None] - points[None], axis=2)
    near = np.where(apart > 0, apart, np.inf).min(axis=1)
    width = max(float(near.mean()), LEAST_WIDTH)
    low, high = points.min(axis=0) - REACH * width, points.max(axis=0) + REACH * width
    radius = min(float(max(high - low)) / ACROSS / math.sqrt(3), REACH * width)  # each station is in a hexagon
    middles = _middles(points, low, radius, REACH * width)
    distance = np.linalg.norm(middles[:, None] - points[None], axis=2)
    kept = distance.min(axis=1) <= REACH * width
    weight = np.exp(-((distance[kept] / width) ** 2) / 2)
    seen = weight @ np.array([float(counts.get(key, 0)) for key in worked])
    days = weight @ np.array([float(effort[key]) for key in worked])
    cells = tuple((float(x), float(y), float(rate)) for (x, y), rate in zip(middles[kept], seen / days, strict=True))
    return HotSpots(cells, radius, width)


def _middles(points: np.ndarray, low: np.ndarray, radius: float, reach: float) -> np.ndarray:
    """Return the middles of the hexagons within `reach` of a point, and of some more around it, (N, 2)."""
    step, rise = math.sqrt(3) * radius, 1.5 * radius
    up, across = (np.arange(-n, n + 1) for n in (math.ceil(reach / rise) + 1, math.ceil(reach / step) + 1))
    near = np.round((points - low) / (step, rise)).astype(int)
    rows, columns = np.broadcast_arrays(near[:, 1, None, None] + up[:, None], near[:, 0, None, None] + across)
    rows, columns = np.unique(np.stack([rows.ravel(), columns.ravel()]), axis=1)
    return np.stack([low[0] + step * (columns + 0.5 * (rows % 2)), low[1] + rise * rows], axis=1)
