"""Stations and movements of a survey as points and lines in degrees, for maps."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from snowmatch.interchange.exporting import Export
from snowmatch.survey.movements import movements
from snowmatch.survey.tables import cell_text

Point = tuple[float, float]  # longitude, latitude


@dataclass(frozen=True)
class StationPoint:
    """A station with its camera-days, its captures (one an animal and occasion), and the animals captured there."""

    label: str
    where: Point
    camera_days: float
    captures: int
    individuals: tuple[str, ...]


@dataclass(frozen=True)
class MovementLine:
    """A step of an animal between two stations. left, arrived: ISO 8601; a date where only the day is known."""

    individual: str
    session: str
    origin: str
    target: str
    left: str
    arrived: str
    ends: tuple[Point, Point]


def station_points(given: Export) -> Iterator[StationPoint]:
    """Yield the stations whose positions may be written, by label."""
    survey, degrees = given.survey, given.degrees
    given.leave_out(sum(p.label not in degrees for p in survey.places), "station", "it has no position")
    for n, place in enumerate(survey.places):
        if place.label in degrees:
            own = [c for c in survey.captures if c.place == place.label]
            days = round(float(sum(survey.effort[s.name][n].sum() for s in survey.seasons)), 2)
            names = tuple(sorted({c.individual for c in own}))
            yield StationPoint(place.label, degrees[place.label], days, len({c.cell for c in own}), names)


def movement_lines(given: Export) -> Iterator[MovementLine]:
    """Yield the movements between stations whose positions may be written, by session, animal and time."""
    degrees = given.degrees
    for m in movements(given.survey.captures, given.survey.positions):
        if m.origin in degrees and m.target in degrees:
            ends = (degrees[m.origin], degrees[m.target])
            times = cell_text(m.left), cell_text(m.arrived)
            yield MovementLine(m.individual, m.session, m.origin, m.target, *times, ends)
