"""Who met where: pairs of animals that used one station within some days."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, timedelta

from snowmatch.catalog.stations import DAY
from snowmatch.survey.captures import Capture

CO_USE_DAYS = 7.0  # chosen


@dataclass(frozen=True)
class CoUse:
    """Two animals at one station. first, second: their names, sorted.

    meetings: pairs of sightings, one of each animal, that are near in time. hours: the shortest time between two
    whose time of day is known; None without such. together: pairs in one encounter. last: when the later sighting of
    the last pair began; a date without a time of day if only the day is known.
    """

    session: str
    first: str
    second: str
    place: str
    meetings: int
    hours: float | None
    together: int
    last: date


def co_use(captures: Iterable[Capture], days: float = CO_USE_DAYS) -> list[CoUse]:
    """Return the pairs of animals that were seen at one station within `days` of each other, most meetings first.

    The time is that between the starts of two sightings, in whole days if one has no time of day. An animal whose
    flanks were not joined is two names here, and may meet itself: count one flank to avoid that. No captures give none.
    Raises ValueError for days below 0.
    """
    if days < 0:
        raise ValueError(f"days is {days}, expected 0 or more")
    at: dict[tuple[str, str], list[Capture]] = defaultdict(list)
    for c in captures:
        at[c.session, c.place].append(c)
    near = timedelta(days=days)
    pairs: dict[tuple[str, str, str, str], list[tuple[Capture, Capture]]] = defaultdict(list)
    for (session, place), own in at.items():
        own.sort(key=lambda c: (c.start, c.individual))
        for n, a in enumerate(own):
            for b in own[n + 1 :]:
                if b.start - a.start > near + DAY:
                    break
                days_apart = b.start.date() - a.start.date()
                if (days_apart if a.dated or b.dated else b.start - a.start) > near:
                    continue
                if a.individual != b.individual:
                    one, other = sorted((a.individual, b.individual))
                    pairs[session, one, other, place].append((a, b))
    found = [
        CoUse(
            session,
            one,
            other,
            place,
            len(met),
            _shortest(met),
            sum(bool(set(a.encounters) & set(b.encounters)) for a, b in met),
            max((b for _, b in met), key=lambda b: b.start).began,
        )
        for (session, one, other, place), met in pairs.items()
    ]
    return sorted(
        found, key=lambda m: (-m.meetings, m.hours is None, m.hours or 0, m.session, m.first, m.second, m.place)
    )


def _shortest(met: Iterable[tuple[Capture, Capture]]) -> float | None:
    apart = [(b.start - a.start).total_seconds() for a, b in met if not a.dated and not b.dated]
    return round(min(apart) / 3600, 2) if apart else None
