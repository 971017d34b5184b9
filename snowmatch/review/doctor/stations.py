"""The places of stations, from `stations.csv`, and the distances between them. No place is ever shown or stored."""

from __future__ import annotations

import math
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from snowmatch.catalog.sheet import read_sheet
from snowmatch.core.errors import SnowmatchError

STATIONS_NAME = "stations.csv"
EARTH = 6371.0088  # km, mean radius. Source: IUGG
WGS84 = 4326
_CRS = re.compile(r"\s*(?:EPSG\s*:)?\s*(\d{4,6})?\s*", re.IGNORECASE)


@dataclass(frozen=True)
class Position:
    """The place of a station. crs: EPSG number; those from 4000 to 4999 are in degrees (x is the longitude), others in
    metres.
    """

    x: float
    y: float
    crs: int

    @property
    def in_degrees(self) -> bool:
        """Whether x and y are degrees."""
        return 4000 <= self.crs < 5000


@dataclass(frozen=True)
class Stations:
    """The places of stations, by location and station, and the problems of the file.

    exists: whether the catalog has such a file.
    """

    positions: Mapping[tuple[str, str], Position] = field(default_factory=dict)
    problems: tuple[str, ...] = ()
    exists: bool = False

    def position(self, location: str, station: str) -> Position | None:
        """Return the place of a station; None if it is not known. A file without locations holds for all of them."""
        return self.positions.get((location, station)) or self.positions.get(("", station))


def read_stations(folder: Path) -> Stations:
    """Return the places in the `stations.csv` of a catalog; none without such a file.

    A row may repeat a station, for example with other days of effort. Rows without a usable place, and a file that is
    no table, are in `problems`.
    """
    path = folder / STATIONS_NAME
    if not os.path.exists(path):
        return Stations()
    try:
        sheet = read_sheet(path, ("station", "location", "x", "y", "crs"), [])
    except SnowmatchError as error:
        return Stations(problems=(str(error),), exists=True)
    head = [name.strip().lower() for name in sheet.head]
    if missing := [name for name in ("station", "x", "y") if name not in head]:
        return Stations(problems=(f"{STATIONS_NAME} has no column {', '.join(missing)}",), exists=True)
    positions: dict[tuple[str, str], Position] = {}
    problems = []
    for line, values in sheet.rows:
        cells = {name: value.strip() for name, value in zip(head, values, strict=False)}
        if not any(cells.values()):
            continue
        key = cells.get("location", ""), cells.get("station", "")
        try:
            position = _position(cells)
        except ValueError as error:
            problems.append(f"line {line}: {error}")
            continue
        if positions.setdefault(key, position) != position:
            problems.append(f"line {line}: station {key[1]!r} has another place in an earlier line")
    return Stations(positions, tuple(problems), exists=True)


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


def _position(cells: Mapping[str, str]) -> Position:
    """Return the place of one row. Raises ValueError with what is wrong."""
    if not cells.get("station"):
        raise ValueError("no station")
    crs = _CRS.fullmatch(cells.get("crs", ""))
    if crs is None:
        raise ValueError(f"crs is {cells['crs']!r}, expected an EPSG number such as 4326 or 32643")
    try:
        x, y = float(cells.get("x", "")), float(cells.get("y", ""))
    except ValueError:
        raise ValueError(f"x, y are {cells.get('x', '')!r}, {cells.get('y', '')!r}, expected two numbers") from None
    found = Position(x, y, int(crs[1] or WGS84))
    if not (math.isfinite(x) and math.isfinite(y)):
        raise ValueError(f"x, y are {x}, {y}, expected two numbers")
    if found.in_degrees and not (abs(x) <= 180 and abs(y) <= 90):
        raise ValueError(f"x, y are no degrees, but crs is {found.crs}: expected a longitude and a latitude")
    return found
