"""Captures: identified sightings at stations on occasions, and which of them a choice of flanks uses."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, time, timedelta

import numpy as np

from snowmatch.survey.sightings import Sighting

FLANKS = ("both", "left", "right", "hybrid", "sessions")
SIDES = {"left": "L", "right": "R"}
MEANING = {
    "both": "every identified sighting; animals known from one side only may be counted twice, once a side",
    "left": "sightings of the left side only: each animal once; those seen from the right only are left out",
    "right": "sightings of the right side only: each animal once; those seen from the left only are left out",
    "hybrid": "each animal by the side with more captures; animals known from different sides only may be the same",
    "sessions": "left and right as two sessions: each animal once a session; models that take both for independent are "
    "too sure",
}


@dataclass(frozen=True)
class Capture:
    """One independent sighting of an individual at a station on an occasion; several of one occasion are counts.

    session: its name. occasion: from 1. place: the label of the station. start, end: of its photos. flank: `L`, `R`,
    `B` (both, in one passage or in several that count as one) or "". simultaneous: as of its sightings. rows: the
    catalog's annotations. dated: whether `start` is a day, without a time of day.
    """

    session: str
    occasion: int
    place: str
    individual: str
    start: datetime
    end: datetime
    cameras: tuple[str, ...]
    flank: str
    simultaneous: bool
    sex: str
    age_class: str
    encounters: tuple[str, ...]
    photos: tuple[str, ...]
    rows: tuple[int, ...]
    dated: bool = False

    @property
    def began(self) -> date:
        """`start`, as a date without a time of day if only the day is known."""
        return self.start.date() if self.dated else self.start

    @property
    def ended(self) -> date:
        """`end`, likewise. Of photos with days and with times, the end is a time."""
        return self.end.date() if self.dated and self.end.time() == time() else self.end

    @property
    def both(self) -> bool:
        """Whether one passage shows both sides. Of several that count as one: whether one moment shows both."""
        return self.flank == "B" and (self.simultaneous or len(self.encounters) == 1)

    @property
    def cell(self) -> tuple[str, int, str, str]:
        """Session, occasion, station and individual: one capture at most if captures are not counted."""
        return self.session, self.occasion, self.place, self.individual


@dataclass(frozen=True)
class Unnamed:
    """An unidentified sighting at a station while its cameras worked. session: its name. place: the station's label.
    rows: the catalog's annotations. dated: whether `start` is a day, without a time of day.
    """

    session: str
    place: str
    start: datetime
    rows: tuple[int, ...]
    dated: bool = False


@dataclass(frozen=True)
class LeftOut:
    """A sighting that does not count, with the reason. individual: "" if it is unidentified. dated: whether `start` is
    a day, without a time.
    """

    individual: str
    encounter: str
    location: str
    station: str
    start: datetime | None
    reason: str
    dated: bool = False


@dataclass(frozen=True)
class FlankChoice:
    """What a choice of flanks leaves: individuals, captures (one a station and occasion), and recaptures."""

    flanks: str
    individuals: int
    captures: int
    recaptures: int


def choose_flanks(captures: Sequence[Capture], flanks: str) -> list[Capture]:
    """Return the captures that a choice of flanks (one of FLANKS) uses, in their order."""
    if flanks == "both":
        return list(captures)
    if flanks == "sessions":
        return [
            replace(c, session=side_session(c.session, side))
            for side in SIDES
            for c in captures
            if c.flank in (SIDES[side], "B")
        ]
    if flanks in SIDES:
        return [c for c in captures if c.flank in (SIDES[flanks], "B")]
    cells: dict[str, dict[str, set]] = defaultdict(lambda: {"L": set(), "R": set()})
    for c in captures:
        for side in "LR":
            if c.flank in (side, "B"):
                cells[c.individual][side].add(c.cell)
    better = {name: max("LR", key=lambda side: (len(seen[side]), side == "L")) for name, seen in cells.items()}
    return [c for c in captures if c.individual in better and c.flank in (better[c.individual], "B")]


def side_session(session: str, side: str) -> str:
    """Return the name of the session of one side, `left` or `right`."""
    return f"{session} {side}"


def flank_choices(captures: Sequence[Capture]) -> tuple[FlankChoice, ...]:
    """Return what each choice of flanks leaves."""
    made = []
    for flanks in FLANKS:
        cells = {c.cell for c in choose_flanks(captures, flanks)}
        individuals = len({cell[3] for cell in cells})
        once = len({(cell[0].rpartition(" ")[2] if flanks == "sessions" else "", cell[3]) for cell in cells})
        made.append(FlankChoice(flanks, individuals, len(cells), len(cells) - once))
    return tuple(made)


def independent(sightings: Sequence[Sighting], places: Sequence[int], apart: timedelta) -> list[tuple[Sighting, ...]]:
    """Return the sightings in groups that count as one: of one animal at one station, less than `apart` from the last.

    places: the number of the station of each. The sightings have times and are in their order. A sighting with a day
    without a time of day is whole days from another one, and 0 from those of its day. apart 0: each sighting is a
    group.
    """
    groups: list[list[Sighting]] = []
    last: dict[tuple[int, str], int] = {}
    for s, place in zip(sightings, places, strict=True):
        if s.start is None or s.end is None:
            raise ValueError(f"the sighting of {s.individual} in {s.encounter} has no time")
        key = place, s.individual or ""
        n = last.get(key)
        if n is not None and apart and min(_between(e, s) for e in groups[n]) < apart:
            groups[n].append(s)
        else:
            last[key] = len(groups)
            groups.append([s])
    return [tuple(group) for group in groups]


def _between(earlier: Sighting, later: Sighting) -> timedelta:
    assert earlier.end is not None
    assert later.start is not None
    if earlier.dated or later.dated:
        return later.start.date() - earlier.end.date()
    return later.start - earlier.end


def group_flank(group: Iterable[Sighting]) -> str:
    """Return the flanks that several sightings of one animal show: `L`, `R`, `B` or ""."""
    flanks = {s.flank for s in group} - {""}
    return "B" if "B" in flanks or len(flanks) > 1 else next(iter(flanks), "")


def history(captures: Iterable[Capture], session: str, occasions: int) -> tuple[list[str], np.ndarray]:
    """Return the captured individuals of a session, sorted, and (I, K) bool: True where one was captured anywhere."""
    own = [c for c in captures if c.session == session]
    names = sorted({c.individual for c in own})
    number = {name: n for n, name in enumerate(names)}
    table = np.zeros((len(names), occasions), bool)
    for c in own:
        table[number[c.individual], c.occasion - 1] = True
    return names, table
