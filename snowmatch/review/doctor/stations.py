"""The places of stations and when they worked, from `stations.csv`, and the distances between them. No place is ever
shown or stored.
"""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from snowmatch.catalog.positions import DEGREES
from snowmatch.catalog.stations import Span, examine_stations
from snowmatch.core.errors import SnowmatchError
from snowmatch.core.home import STATIONS_NAME

EARTH = 6371.0088  # km, mean radius. Source: IUGG


@dataclass(frozen=True)
class Position:
    """The place of a station. crs: EPSG number; those of DEGREES are degrees (x is the longitude), others metres."""

    x: float
    y: float
    crs: int

    @property
    def in_degrees(self) -> bool:
        """Whether x and y are degrees."""
        return self.crs in DEGREES


@dataclass(frozen=True)
class Stations:
    """The places of stations and their periods of work, by location and station, and the problems of the file.

    periods: from `from` to `to`, in the order of time; a station with a row whose dates are missing or cannot be read
    has none: its camera may have stood there at any time. exists: whether the catalog has such a file.
    """

    positions: Mapping[tuple[str, str], Position] = field(default_factory=dict)
    problems: tuple[str, ...] = ()
    exists: bool = False
    periods: Mapping[tuple[str, str], tuple[Span, ...]] = field(default_factory=dict)

    def position(self, location: str, station: str) -> Position | None:
        """Return the place of a station; None if it is not known."""
        found = self._found(location, station)
        return None if found is None else self.positions.get(found)

    def worked(self, location: str, station: str) -> tuple[Span, ...]:
        """Return when a station worked, in the order of time; () if that is not known."""
        found = self._found(location, station)
        return () if found is None else self.periods[found]

    def locations(self, station: str) -> list[str]:
        """Return the locations under which the file has a station of this name; "" is a row without one."""
        return sorted(location for location, name in self.periods if name == station)

    def counts(self, location: str, station: str) -> bool:
        """Return whether a survey finds a station of the catalog in the file."""
        return self._found(location, station) is not None

    def _found(self, location: str, station: str) -> tuple[str, str] | None:
        """Return the station of the file that a survey takes for one of the catalog; None if there is none.

        A row without a location holds for all of them, and a station without one in the catalog is the only one of its
        name.
        """
        if (location, station) in self.periods:
            return location, station
        alike = [key for key in self.periods if key[1] == station and "" in (key[0], location)]
        return alike[0] if len(alike) == 1 else None


def read_stations(folder: Path, dates: str = "") -> Stations:
    """Return what the `stations.csv` of a catalog tells; nothing without such a file.

    What a survey would refuse is in `problems`. dates: `dmy` or `mdy`, the order of day and month in the table.
    """
    path = folder / STATIONS_NAME
    if not os.path.exists(path):
        return Stations()
    try:
        rows, problems = examine_stations(path, [], dates)
    except SnowmatchError as error:
        return Stations(problems=(str(error),), exists=True)
    positions: dict[tuple[str, str], Position] = {}
    periods: dict[tuple[str, str], list[Span | None]] = {}
    for row in rows:
        if row.station:
            sure = None if problems.unclear_dates else row.working
            periods.setdefault((row.location, row.station), []).append(sure)
        if row.station and row.x is not None and row.y is not None:
            positions.setdefault((row.location, row.station), Position(row.x, row.y, row.crs))
    ordered = {
        key: () if None in own else tuple(sorted(filter(None, own), key=lambda span: span.start))
        for key, own in periods.items()
    }
    return Stations(positions, tuple(problems.lines()), exists=True, periods=ordered)


def distance_km(one: Position, other: Position) -> float | None:
    """Return the distance of two places (km); None if they are in different coordinate systems.

    Degrees: along a great circle, on a sphere. Source: haversine formula, Sinnott 1984. Others: a straight line.
    """
    if one.crs != other.crs:
        return None
    if not one.in_degrees:
        return math.hypot(one.x - other.x, one.y - other.y) / 1000
    west, south, east, north = map(math.radians, (one.x, one.y, other.x, other.y))
    half = math.sin((north - south) / 2) ** 2 + math.cos(south) * math.cos(north) * math.sin((east - west) / 2) ** 2
    return 2 * EARTH * math.asin(min(1.0, math.sqrt(half)))
