"""Effort: for how much of each day the cameras of a station worked."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from itertools import pairwise

import numpy as np

from snowmatch.catalog.stations import DAY, Deployment, Span
from snowmatch.survey.occasions import Session

QUIET = timedelta(days=21)  # a longer time without any photo makes a camera's work doubtful


def working_time(deployment: Deployment) -> list[Span]:
    """Return when a camera worked: its period without its problems, in the order of time. Overlaps count once."""
    if deployment.working is None:
        return []
    spans, start = [], deployment.working.start
    for problem in deployment.problems:
        if problem.start > start:
            spans.append(Span(start, min(problem.start, deployment.working.end)))
        start = max(start, problem.end)
    if start < deployment.working.end:
        spans.append(Span(start, deployment.working.end))
    return spans


def day_effort(spans: Iterable[Span], session: Session) -> np.ndarray:
    """Return the camera-days of each day of a session, (D,): 0.5 is half a day, 2 are two cameras. No spans give 0."""
    effort = np.zeros(session.days)
    for span in spans:
        start = max((span.start - session.first) / DAY, 0.0)
        end = min((span.end - session.first) / DAY, float(session.days))
        if end <= start:
            continue
        days = np.arange(int(start), min(int(np.ceil(end)), session.days))
        effort[days] += np.minimum(days + 1, end) - np.maximum(days, start)
    return np.round(effort, 6)


def occasion_effort(days: np.ndarray, session: Session) -> np.ndarray:
    """Return the camera-days of each occasion, (J, K), from those of each day, (J, D)."""
    starts = np.arange(0, session.days, session.length)
    return np.round(np.add.reduceat(days, starts, axis=1), 6) if len(days) else np.zeros((0, session.occasions))


def span_of_photos(times: Sequence[datetime]) -> Span | None:
    """Return the whole days from a station's first photo to its last; None without times."""
    if not times:
        return None
    start = min(times).replace(hour=0, minute=0, second=0, microsecond=0)
    return Span(start, max(times).replace(hour=0, minute=0, second=0, microsecond=0) + DAY)


def quiet_times(times: Sequence[datetime]) -> list[Span]:
    """Return the times between two photos that follow each other with QUIET or more between them."""
    ordered = sorted(times)
    return [Span(a, b) for a, b in pairwise(ordered) if b - a >= QUIET]
