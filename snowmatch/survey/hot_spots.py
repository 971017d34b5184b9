"""Hot spots: where animals were seen most often for the effort, smoothed between neighbouring stations."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

Key = TypeVar("Key")
ACROSS = 14  # hexagons along the longer side, about
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
    radius = float(max(high - low)) / ACROSS / math.sqrt(3)
    middles = _middles(low, high, radius)
    distance = np.linalg.norm(middles[:, None] - points[None], axis=2)
    kept = distance.min(axis=1) <= REACH * width
    weight = np.exp(-((distance[kept] / width) ** 2) / 2)
    seen = weight @ np.array([float(counts.get(key, 0)) for key in worked])
    days = weight @ np.array([float(effort[key]) for key in worked])
    cells = tuple((float(x), float(y), float(rate)) for (x, y), rate in zip(middles[kept], seen / days, strict=True))
    return HotSpots(cells, radius, width)


def _middles(low: np.ndarray, high: np.ndarray, radius: float) -> np.ndarray:
    """Return the middles of hexagons that cover a rectangle, (N, 2)."""
    step, rise = math.sqrt(3) * radius, 1.5 * radius
    rows = np.arange(math.ceil((high[1] - low[1]) / rise) + 1)
    columns = np.arange(math.ceil((high[0] - low[0]) / step) + 1)
    x = low[0] + step * (columns[None, :] + 0.5 * (rows[:, None] % 2))
    y = np.broadcast_to(low[1] + rise * rows[:, None], x.shape)
    return np.stack([x.ravel(), y.ravel()], axis=1)
