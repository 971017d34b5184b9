"""Gaps: whole days of a session on which no camera of a station worked."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import numpy as np

from snowmatch.catalog.stations import DAY
from snowmatch.survey.run import Survey

BEFORE, BETWEEN, AFTER, NEVER = "before", "between", "after", "never"


@dataclass(frozen=True)
class Gap:
    """Days in a row without effort. first: the start of the first day. days: how many.

    kind: BEFORE the station's first day of work in the session, BETWEEN two of them, AFTER the last, or NEVER worked.
    """

    session: str
    place: str
    first: datetime
    days: int
    kind: str


def effort_gaps(survey: Survey) -> list[Gap]:
    """Return the gaps of all sessions and stations, in their order, then by time. Days with some effort are none."""
    found = []
    for s in survey.sessions:
        for place, effort in zip(survey.places, survey.effort[s.name], strict=True):
            for start, end in runs(effort <= 0):
                inside = start > 0, end < s.days
                kind = {(True, True): BETWEEN, (False, True): BEFORE, (True, False): AFTER}.get(inside, NEVER)
                found.append(Gap(s.name, place.label, s.first + start * DAY, end - start, kind))
    return found


def runs(wanted: np.ndarray) -> list[tuple[int, int]]:
    """Return the start and the end (behind the last) of each run of True in (N,) bool."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], wanted.astype(np.int8), [0]])))
    return [(int(a), int(b)) for a, b in zip(edges[::2], edges[1::2], strict=True)]
