"""Positions in metres and in degrees: the only file that uses pyproj."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from typing import Any

from snowmatch.catalog.positions import DEGREES, WGS84
from snowmatch.core.errors import SnowmatchError

Point = tuple[float, float, int]  # x (east or longitude), y (north or latitude), EPSG code
# EPSG codes that are known to be in metres: UTM of WGS 84 (north, south) and of ETRS89, Gauss-Krueger of Pulkovo 1942
UTM = (range(32601, 32661), range(32701, 32761), range(25828, 25839))
IN_METRES = (*UTM, range(28402, 28433))
FAR = 500_000.0  # m from the middle meridian of a UTM zone, 6 degrees at 42 N: distances there are 0.3 % too long


def to_metres(points: Sequence[Point], names: Sequence[str]) -> tuple[list[tuple[float, float]], int]:
    """Return the positions (m) in one projected system, and its EPSG code. No points give ([], 0).

    The system is the most frequent projected one of the points; if all are in degrees, the UTM zone of their mean.
    Points that are already in it are not changed. Raises SnowmatchError if pyproj is needed and missing, if a code is
    unknown, or if a system is not in metres. Without pyproj, only the codes IN_METRES are taken as metres. names: of
    the points, for errors: these tell no position.
    """
    if not points:
        return [], 0
    projected = Counter(crs for _, _, crs in points if crs not in DEGREES)
    target = max(sorted(projected), key=lambda crs: projected[crs]) if projected else _utm_zone(points, names)
    _check_metres(target)
    return _all_moved(points, names, target), target


def to_degrees(points: Sequence[Point], names: Sequence[str]) -> list[tuple[float, float]]:
    """Return the positions as longitude and latitude (WGS 84). Raises as `to_metres` does."""
    return _all_moved(points, names, WGS84)


def mean_longitude(longitudes: Sequence[float]) -> float:
    """Return the mean direction of longitudes, -180 to 180: of 179 and -179 it is 180. Source: circular mean."""
    angles = [math.radians(longitude) for longitude in longitudes]
    return math.degrees(math.atan2(sum(map(math.sin, angles)), sum(map(math.cos, angles))))


def is_far(east: float, crs: int) -> bool:
    """Return whether a position (m) is farther than FAR from the middle of its UTM zone; False in other systems."""
    return any(crs in codes for codes in UTM) and abs(east - 500_000) > FAR


def _utm_zone(points: Sequence[Point], names: Sequence[str]) -> int:
    """Return the EPSG code of the UTM zone (WGS 84) of the mean position."""
    degrees = to_degrees(points, names)
    longitude = mean_longitude([p[0] for p in degrees])
    latitude = sum(p[1] for p in degrees) / len(degrees)
    zone = int((longitude + 180) // 6) % 60 + 1
    return (32600 if latitude >= 0 else 32700) + zone


_MADE: dict[tuple[int, int], Any] = {}


def _all_moved(points: Sequence[Point], names: Sequence[str], target: int) -> list[tuple[float, float]]:
    moved = []
    for (x, y, crs), name in zip(points, names, strict=True):
        east, north = (x, y) if crs == target else _moved(x, y, crs, target)
        if not (abs(east) < 1e9 and abs(north) < 1e9):
            raise SnowmatchError(
                f"the position of {name} (crs {crs}) is outside the system EPSG:{target}: check x, y and crs"
            )
        moved.append((east, north))
    return moved


def _moved(x: float, y: float, crs: int, target: int) -> tuple[float, float]:
    if (crs, target) not in _MADE:
        _MADE[crs, target] = _transformer(crs, target)
    east, north = _MADE[crs, target].transform(x, y)
    return float(east), float(north)


def _transformer(crs: int, target: int) -> Any:
    try:
        import pyproj
    except ImportError as error:
        raise _missing(f"positions in EPSG:{crs} have to be converted to EPSG:{target}, which needs") from error
    for code in (crs, target):
        _check_metres(code)
    try:
        return pyproj.Transformer.from_crs(crs, target, always_xy=True)
    except pyproj.exceptions.CRSError as error:
        raise SnowmatchError(f"EPSG:{crs} to EPSG:{target} is not possible ({error}): check the column crs") from error


def _check_metres(code: int) -> None:
    """Raise SnowmatchError unless the positions of a system are known to be in metres, or in degrees of DEGREES."""
    if code in DEGREES or any(code in codes for codes in IN_METRES):
        return
    try:
        import pyproj
    except ImportError as error:
        raise _missing(f"whether positions in EPSG:{code} are in metres is not known without") from error
    try:
        axes = pyproj.CRS.from_epsg(code).axis_info[:2]
    except pyproj.exceptions.CRSError as error:
        raise SnowmatchError(f"EPSG:{code} is not known ({error}): check the column crs") from error
    if any(axis.unit_name not in ("metre", "meter") for axis in axes):
        raise SnowmatchError(f"EPSG:{code} is not in metres: give x, y in UTM, or in degrees with crs 4326")


def _missing(why: str) -> SnowmatchError:
    return SnowmatchError(
        f'{why} one more package: pip install "snowmatch[survey]", or give x, y in metres (UTM) in stations.csv',
        "no-pyproj",
    )
