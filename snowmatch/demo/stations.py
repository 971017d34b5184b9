"""Where the cameras of a drawn survey stood, and when they worked: invented, no camera stood there."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from datetime import date, timedelta
from itertools import pairwise
from pathlib import Path

import numpy as np

COLUMNS = ("station", "location", "x", "y", "crs", "from", "to", "problem_from", "problem_to")
CRS = 32643  # UTM zone 43 north: metres
CORNER = (500_000, 4_600_000)  # m
SPACING = 4000  # m between stations, about
WEEK = timedelta(days=7)


def write_stations(folder: Path, rows: Sequence[Mapping[str, str]], seed: int = 0) -> None:
    """Write `stations.csv` for the photos of a drawn catalog, so that each of them is in a period of its camera.

    rows: of the photos, also of those that are asked about: station, location and timestamp. Each camera worked from a
    week before the first photo of all to a week after the last. The middle of its longest time without a photo is a
    problem period, if that time is longer than six weeks. The same arguments give the same file.
    """
    days: dict[tuple[str, str], list[date]] = {}
    for row in rows:
        days.setdefault((row["station"], row["location"]), []).append(date.fromisoformat(row["timestamp"][:10]))
    every = [day for own in days.values() for day in own]
    rng = np.random.default_rng([seed, 6])
    with (folder / "stations.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(COLUMNS)
        for n, ((station, location), own) in enumerate(sorted(days.items())):
            x, y = np.array([n % 3, n // 3]) * SPACING + rng.integers(-SPACING // 4, SPACING // 4, 2)
            place = (station, location, CORNER[0] + int(x), CORNER[1] + int(y), CRS)
            writer.writerow((*place, min(every) - WEEK, max(every) + WEEK, *_problem(sorted(own))))


def _problem(days: Sequence[date]) -> tuple[str, str]:
    """Return the first and the last day of the middle of the longest time without a photo; "" if it is short."""
    first, last = max(pairwise(days), key=lambda pair: pair[1] - pair[0], default=(date.min,) * 2)
    if last - first <= 6 * WEEK:
        return "", ""
    return (first + WEEK).isoformat(), (last - WEEK).isoformat()
