"""Movements: distances between the stations where an animal was captured."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from itertools import pairwise

from snowmatch.survey.captures import Capture


@dataclass(frozen=True)
class Movement:
    """One step of an animal between two captures that follow each other at different stations. distance: metres, or
    None if a position is not known. left, arrived: dates without a time of day where only the day is known.
    """

    session: str
    individual: str
    origin: str
    left: date
    target: str
    arrived: date
    distance: float | None


def movements(captures: Iterable[Capture], positions: Mapping[str, tuple[float, float]]) -> list[Movement]:
    """Return the steps of all animals, by session, individual and time. positions: (m), by station."""
    found = []
    for (session, individual), own in sorted(_by_animal(captures).items()):
        for a, b in pairwise(own):
            if a.place != b.place:
                metres = _distance(a.place, b.place, positions)
                found.append(Movement(session, individual, a.place, a.ended, b.place, b.began, metres))
    return found


def largest_moves(
    captures: Iterable[Capture], positions: Mapping[str, tuple[float, float]]
) -> dict[tuple[str, str], float | None]:
    """Return the largest distance (m) between any two captures of each animal that was captured twice or more.

    Keys: (session, individual). An animal captured at one station only has 0; one with a station without a position has
    None: its largest distance is not known.
    """
    found: dict[tuple[str, str], float | None] = {}
    for key, own in sorted(_by_animal(captures).items()):
        if len({c.cell for c in own}) < 2:
            continue
        places = sorted({c.place for c in own})
        known = all(place in positions for place in places)
        found[key] = max(math.dist(positions[a], positions[b]) for a in places for b in places) if known else None
    return found


def mmdm(captures: Iterable[Capture], positions: Mapping[str, tuple[float, float]], session: str) -> float | None:
    """Return the mean maximum distance moved (m) of a session's animals with two captures or more; None without one.

    Animals captured at one station only count with 0, those with an unknown distance not at all.
    Source: Wilson & Anderson, 1985 (J. Mammalogy 66:13-21).
    """
    found = [metres for (where, _), metres in largest_moves(captures, positions).items() if where == session]
    moves = [metres for metres in found if metres is not None]
    return sum(moves) / len(moves) if moves else None


def spatial_recaptures(captures: Iterable[Capture]) -> dict[tuple[str, str], int]:
    """Return the number of further stations of each (session, individual): stations where it was captured, minus 1."""
    return {key: len({c.place for c in own}) - 1 for key, own in sorted(_by_animal(captures).items())}


def _by_animal(captures: Iterable[Capture]) -> dict[tuple[str, str], list[Capture]]:
    groups: dict[tuple[str, str], list[Capture]] = defaultdict(list)
    for c in captures:
        groups[c.session, c.individual].append(c)
    return {key: sorted(own, key=lambda c: (c.start, c.place)) for key, own in groups.items()}


def _distance(a: str, b: str, positions: Mapping[str, tuple[float, float]]) -> float | None:
    return math.dist(positions[a], positions[b]) if a in positions and b in positions else None
