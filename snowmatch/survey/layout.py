"""Where the stations of a catalog stand to each other: for a drawing, without any coordinates."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from snowmatch.catalog.positions import DEGREES
from snowmatch.catalog.stations import read_stations
from snowmatch.core.errors import SnowmatchError
from snowmatch.core.home import STATIONS_NAME
from snowmatch.survey.places import key_of, locations_of
from snowmatch.survey.projection import Point, mean_longitude, to_metres

EARTH = 6_371_000.0  # m, mean radius
Site = tuple[str, str]  # location, station


@dataclass(frozen=True)
class Layout:
    """Stations with a position, in metres east and north of the most western and the most southern one.

    without: stations of the table that have no position.
    """

    places: Mapping[Site, tuple[float, float]]
    without: tuple[Site, ...]


def station_layout(folder: Path, dates: str = "") -> Layout:
    """Return the layout of the stations of the catalog in `folder`; without stations.csv, an empty one.

    dates: as of `read_stations`. Raises SnowmatchError if the table has problems.
    """
    if not (folder / STATIONS_NAME).exists():
        return Layout({}, ())
    rows = read_stations(folder / STATIONS_NAME, [], dates)
    points = {(d.location, d.station): (d.x, d.y, d.crs) for d in rows[::-1] if d.x is not None and d.y is not None}
    moved = _metres(list(points.values()), ["/".join(filter(None, site)) for site in points])
    west, south = (min((point[k] for point in moved), default=0.0) for k in (0, 1))
    places = {site: (x - west, y - south) for site, (x, y) in zip(points, moved, strict=True)}
    without = dict.fromkeys((d.location, d.station) for d in rows if (d.location, d.station) not in places)
    return Layout(dict(sorted(places.items())), tuple(without))


def site_among(sites: Collection[Site], location: str, station: str) -> Site:
    """Return the station, among `sites`, that a sighting means: either may leave the location out."""
    if (location, station) in sites:  # nearly always: no look at all of them
        return location, station
    return key_of(location, station, locations_of(sites)) or (location, station)


def _metres(points: Sequence[Point], names: Sequence[str]) -> list[tuple[float, float]]:
    try:
        return to_metres(points, names)[0]
    except SnowmatchError as error:
        if error.code != "no-pyproj" or any(crs not in DEGREES for _, _, crs in points):
            raise
    # Good enough to draw an area of some hundred kilometres. Source: equirectangular projection
    middle, zero = math.radians(sum(y for _, y, _ in points) / len(points)), mean_longitude([x for x, _, _ in points])
    return [
        (math.radians((x - zero + 180) % 360 - 180) * EARTH * math.cos(middle), math.radians(y) * EARTH)
        for x, y, _ in points
    ]
