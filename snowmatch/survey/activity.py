"""Activity: at which hours and in which months animals were seen."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import numpy as np

from snowmatch.catalog.stations import DAY
from snowmatch.survey.rates import PER
from snowmatch.survey.run import Survey

HOURS = 24
LEAST = 10  # sightings for a density; chosen: with fewer, its shape says nothing
WIDEST = 500.0  # largest concentration that is looked for
_TURN = np.linspace(0, 2 * np.pi, 2048, endpoint=False)


def times_of(survey: Survey) -> list[datetime]:
    """Return when the sightings of a survey began, identified or not, in the order of time."""
    return sorted([c.start for c in survey.seen] + [u.start for u in survey.seen_unnamed])


def clock_times_of(survey: Survey) -> list[datetime]:
    """Return the same of the sightings that have a time of day: of the others, only the day is known."""
    named, unnamed = ([s.start for s in seen if not s.dated] for seen in (survey.seen, survey.seen_unnamed))
    return sorted(named + unnamed)


def hour_counts(times: Sequence[datetime]) -> np.ndarray:
    """Return the number of times in each hour of the day, (24,) int. No times give zeros."""
    return np.bincount([t.hour for t in times], minlength=HOURS) if times else np.zeros(HOURS, int)


def hour_density(times: Sequence[datetime], at: Sequence[float]) -> np.ndarray | None:
    """Return the density of the times of day at the hours `at`, (N,), per hour: over a day it is 1 in all.

    None with fewer than LEAST times. The times are those of the cameras' clocks, not of the sun.
    Source: von Mises kernel, Ridout & Linkie 2009 (J. Agric. Biol. Environ. Stat. 14:322-337); its concentration,
    Taylor 2008 (Comput. Stat. Data Anal. 52:3493-3500), with the largest of the first three moments as they do.
    """
    if len(times) < LEAST:
        return None
    angles = np.array([_angle(t) for t in times])
    width = bandwidth(angles)
    apart = np.asarray(at, float)[:, None] * (2 * np.pi / HOURS) - angles[None, :]
    kernel = np.exp(width * (np.cos(apart) - 1)).mean(axis=1) / (2 * np.pi * _bessel(0, width))
    density: np.ndarray = kernel * (2 * np.pi / HOURS)
    return density


def bandwidth(angles: np.ndarray) -> float:
    """Return the concentration of the kernel for angles (radians), (N,); larger is narrower. See `hour_density`."""
    spread = 0.0
    for order in (1, 2, 3):
        moment = float(np.hypot(np.cos(order * angles).mean(), np.sin(order * angles).mean()))
        spread = max(spread, _concentration(order, moment))
    # the scaled functions are I(x) exp(-x), and the exponents cancel
    ratio = _bessel(2, 2 * spread) / _bessel(0, spread) ** 2
    return float((3 * len(angles) * spread**2 * ratio / (4 * math.sqrt(math.pi))) ** 0.4)


def _angle(moment: datetime) -> float:
    return 2 * math.pi * (moment.hour + moment.minute / 60 + moment.second / 3600) / HOURS


def _bessel(order: int, x: float) -> float:
    """Return the modified Bessel function I of a whole order at x, times exp(-x). Source: its integral, by a sum."""
    return float((np.exp(x * (np.cos(_TURN) - 1)) * np.cos(order * _TURN)).mean())


def _concentration(order: int, moment: float) -> float:
    """Return the concentration at which I(order) / I(0) is `moment`; at most WIDEST."""
    low, high = 0.0, WIDEST
    for _ in range(50):
        middle = (low + high) / 2
        low, high = (middle, high) if _bessel(order, middle) / _bessel(0, middle) < moment else (low, middle)
    return high


@dataclass(frozen=True)
class Month:
    """What was seen in one month of the year (1 to 12), over all years. days: camera-days of all stations."""

    month: int
    days: float
    sightings: int
    individuals: int

    @property
    def rate(self) -> float | None:
        """Sightings for PER camera-days; None without effort."""
        return PER * self.sightings / self.days if self.days > 0 else None


def month_activity(survey: Survey) -> list[Month]:
    """Return the sightings and the effort of each of the twelve months. A day belongs to the month it begins in."""
    days, seen = np.zeros(13), np.zeros(13, int)
    for s in survey.seasons:
        months = [(s.first + d * DAY).month for d in range(s.days)]
        np.add.at(days, months, survey.effort[s.name].sum(axis=0))
    animals: list[set[str]] = [set() for _ in range(13)]
    for t in times_of(survey):
        seen[t.month] += 1
    for c in survey.captures:
        animals[c.start.month].add(c.individual)
    return [Month(m, round(float(days[m]), 6), int(seen[m]), len(animals[m])) for m in range(1, 13)]
