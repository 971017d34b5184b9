"""Positions in the cells of a table: coordinates and EPSG codes. No problem tells a position."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from pathlib import Path

from snowmatch.catalog.problems import Problems
from snowmatch.catalog.sheet import plain_heading
from snowmatch.core.text import unclear_comma

WGS84 = 4326
# EPSG codes of longitude and latitude: WGS 84, ETRS89, NAD83, CGCS2000, Pulkovo 1942, GDA94, WGS 72
DEGREES = (WGS84, 4258, 4269, 4490, 4284, 4283, 4322)
# EPSG codes of web maps: their distances are too long by 1 / cos(latitude)
STRETCHED = (3857, 900913, 3395, 3785)
FARTHEST = 1e8  # m: beyond every projected system
# Degrees, then perhaps minutes, then perhaps seconds; the letter of the hemisphere stands before or behind
_PART = r"(\d+(?:[.,]\d+)?)"
_ANGLE = re.compile(
    rf"""(-?){_PART}(?:\s*[°ºd:\s]\s*(?:{_PART}(?:\s*['′’m:\s]\s*(?:{_PART}\s*(?:["″”s]|''|′′)?)?)?)?)?"""
)
_LETTERS = re.compile(r"([NSEWnsew]?)\s*(.*?)\s*([NSEWnsew]?)")
_DECIMAL = r"[NSEW]?\s*[-+]?\d{1,8}[.,]\d+\s*[NSEW]?"
_EXACT = r"(?:[NSEW]\s*\d{1,8}[.,]\d+|\d{1,8}[.,]\d+\s*[NSEW]|[-+]?\d{5,8}[.,]\d+|[-+]?\d{1,3}[.,]\d{4,})"
_PAIR = re.compile(  # a slash may also stand in a range, such as 12.5/14.2
    rf"[(\[]?\s*(?:{_DECIMAL}\s*[,;|\s]\s*{_DECIMAL}|{_EXACT}\s*/\s*{_EXACT})\s*[)\]]?", re.IGNORECASE
)
# Degrees with their sign, also within a text: with a sign of minutes or decimals, unlike 12° 2 cubs, 90° E and 2º valle
_DEGREES = re.compile(
    r"\d\s*[°º]\s*\d{1,2}(?:(?:[.,]\d+)?\s*['′’]|[.,]\d{2})|\d[.,]\d{2,}\s*[°º]\s*[NSEW]\b", re.IGNORECASE
)
_SIGN = r"\d{1,3}(?:[.,]\d+)?\s*[°º]"
_SIGNED_ARC = rf"{_SIGN}(?:\s*\d{{1,2}}(?:[.,]\d+)?){{0,2}}"
_SIGNED = re.compile(  # a whole cell: 41° 33 N, 41.51°, 76.11°, or 41° N 76° E
    rf"[NSEW]?\s*[-+]?{_SIGN}(?:\s*\d{{1,2}}(?:[.,]\d+)?){{1,2}}\s*[NSEW]?"
    rf"|[-+]?\d{{1,3}}[.,]\d{{2,}}\s*[°º][\s,;/|]+[-+]?\d{{1,3}}[.,]\d{{2,}}\s*[°º]"
    rf"|[NSEW]\s*{_SIGNED_ARC}[\s,;/|]*[NSEW]\s*{_SIGNED_ARC}"
    rf"|{_SIGNED_ARC}\s*[NSEW][\s,;/|]*{_SIGNED_ARC}\s*[NSEW]",
    re.IGNORECASE,
)
# Minutes and perhaps seconds behind degrees, with the letter in front: N41 30 44, or N 41 30 44 E 76 06 44
_SMALLER = r"[\s:dm'′’]{1,3}\d{1,2}(?:[.,]\d+)?"
_ARC = rf"\d{{1,3}}(?:{_SMALLER}){{1,2}}\s*[s'′’\"″”]{{0,2}}"
# One angle alone, unlike names of stations such as S1 01 02, S12 10.2022, S1.2022 and S01.20230415
_NO_DATE = r"(?!(?:19|20)\d\d(?:[01]\d(?:[0-3]\d)?)?(?!\d))"
_GAP = r"[\s:'′’]{1,3}"
_TWO = r"\d{2}(?:[.,]\d+)?"
_FINE = (
    rf"(?:\d{{2,3}}{_GAP}{_TWO}{_GAP}{_TWO}|\d{{1,3}}\s?d\s?\d{{1,2}}\s?[m'′’]\s?\d{{1,2}}(?:[.,]\d+)?|"
    rf"\d{{2,3}}(?:{_GAP}|\s?d\s?)\d{{1,2}}[.,]{_NO_DATE}\d{{3,}}|\d{{1,3}}[.,]{_NO_DATE}\d{{5,}})\s*[sm'′’\"″”]{{0,2}}"
)
_LETTERED = rf"(?:[NSEW]\s*{_ARC}|{_ARC}\s*[NSEW])"
_ANGLES = re.compile(rf"[NSEW]\s*{_FINE}|{_LETTERED}[\s,;/|]*{_LETTERED}", re.IGNORECASE)
_METRES = r"\d{5,8}(?:[.,]\d+)?\s*m?"
_ZONED = re.compile(  # 43T 590123 4595123
    rf"(?:(?:UTM|zone)\s*)*\d{{1,2}}\s*[C-HJ-NP-X][\s,;:]*E?\s*{_METRES}\s*E?[\s,;/|]+N?\s*{_METRES}\s*N?",
    re.IGNORECASE,
)
# Headings of columns that may hold a position
_HEADING = re.compile(
    r"(.*_)?(lat|latitude?|lon|long|longitude?|lng|utm\w*|easting|northing|gps\w*|coord\w*|geom\w*|latlon\w*|"
    r"latlng\w*|[xy]coord\w*|mgrs|wkt|geohash|geo_?point|wgs\w*|rechtswert|hochwert|"
    r"широта|шир|долгота|долг|сш|с_ш|вд|в_д|координат\w*)(_.*)?|point_[xy]|[xy]_(m|metres|meters|dd|deg|degrees)|"
    r"(dd|dms|ddm|deg)_[nsewxy]"
)
# Headings that hold a position only together, and only with numbers: N may also be a number of animals
_UP, _ACROSS = ("n", "s", "north", "south"), ("e", "w", "east", "west")


def holds_position(heading: str) -> bool:
    """Return whether a column with this heading may hold a position, such as `gps_lat` or `Decimal longitude`."""
    return _HEADING.fullmatch(plain_heading(heading)) is not None


def is_position(text: str) -> bool:
    """Return whether a cell holds two decimal numbers, such as `41.51234, 75.51234`, or a fine or paired angle.

    Such an angle is `41°33.512'`, `41° N 76° E` or `N41 30 44`; so are metres of a UTM zone, such as
    `43T 590123 4595123`. One whole degree is none: `90° E` may be an aspect.
    """
    plain = " ".join(text.split())
    return _DEGREES.search(text) is not None or any(p.fullmatch(plain) for p in (_PAIR, _SIGNED, _ANGLES, _ZONED))


def position_headings(columns: Mapping[str, Iterable[str]]) -> set[str]:
    """Return the headings that tell of positions, also a pair such as N and E if all their cells are numbers.

    columns: the cells of each heading.
    """
    pair = [
        {heading for heading, texts in columns.items() if plain_heading(heading) in words and _are_numbers(texts)}
        for words in (_UP, _ACROSS)
    ]
    return {heading for heading in columns if holds_position(heading)} | (pair[0] | pair[1] if all(pair) else set())


def position_columns(columns: Mapping[str, Iterable[str]]) -> set[str]:
    """Return the headings of columns that may tell a position, by the heading or by a cell."""
    by_cell = {heading for heading, texts in columns.items() if any(map(is_position, texts))}
    return position_headings(columns) | by_cell


def _are_numbers(texts: Iterable[str]) -> bool:
    """Return whether there are filled cells, and all of them are numbers or angles."""
    filled = [text for text in map(str.strip, texts) if text]
    return bool(filled) and all(_number(text)[0] is not None for text in filled)


def read_crs(text: str, line: int, problems: Problems) -> int | None:
    """Return the EPSG code of a cell; None where it is not allowed."""
    plain = text.lower().replace("epsg", "").strip(": ")
    if plain in ("", "wgs84", "wgs 84", "latlon", "lat/lon", "degrees"):
        return WGS84
    if not (plain.isascii() and plain.isdigit()) or not 1000 <= int(plain) <= 999999:
        problems.cell(line, "crs", text, "expected an EPSG code such as 32643 (UTM zone 43 north), or an empty cell")
        return None
    if int(plain) in STRETCHED:
        problems.cell(line, "crs", text, "distances in a web map are too long; expected UTM, or degrees (4326)")
        return None
    return int(plain)


def read_position(
    across: str, up: str, crs: int | None, line: int, problems: Problems
) -> tuple[float | None, float | None]:
    """Return x and y; None, None where both are empty or one is not allowed."""
    if not across and not up:
        return None, None
    (x, x_letter), (y, y_letter) = _number(across), _number(up)
    for column, text, number in (("x", across, x), ("y", up, y)):
        if number is None:
            what = "no number" if text else "empty"
            problems.add(line, column, f"{what}; expected a number such as 76.25 (degrees) or 436500 (metres)")
    if x_letter in ("N", "S") or y_letter in ("E", "W"):
        problems.add(
            line, "x", "x has the letter of a latitude, or y of a longitude: x is the longitude, y the latitude"
        )
        return None, None
    if x is None or y is None or crs is None:
        return None, None
    if max(abs(x), abs(y)) > FARTHEST:
        problems.add(line, "x", "no position on the earth; expected metres, or degrees")
        return None, None
    if crs in DEGREES:
        if abs(x) <= 90 < abs(y) <= 180:
            problems.add(line, "y", "no latitude (-90 to 90): x is the longitude, y the latitude")
        elif abs(x) > 180 or abs(y) > 90:
            problems.add(line, "crs", "x, y are not degrees; expected their EPSG code, such as 32643")
        elif x == y == 0:
            problems.add(line, "x", "0, 0 lies in the Atlantic; expected the position, or empty cells")
        else:
            return x, y
        return None, None
    if abs(x) <= 180 and abs(y) <= 90:
        problems.add(line, "crs", f"x, y look like degrees, not EPSG:{crs}; expected 4326 or metres")
        return None, None
    if unclear_comma(across) or unclear_comma(up):
        problems.add(line, "x", "a comma that may separate thousands; expected metres without one, such as 436500")
        return None, None
    return x, y


def same_coordinate(column: str, one: str, other: str) -> bool:
    """Return whether two cells of the column `x`, `y` or `crs` say the same, such as 76.1 and 76.10."""
    if one == other:
        return True
    values = [read_crs(text, 0, Problems(Path())) if column == "crs" else _number(text)[0] for text in (one, other)]
    return values[0] is not None and values[0] == values[1]


def _number(text: str) -> tuple[float | None, str]:
    """Return a decimal number, or degrees, minutes and seconds as degrees, and the letter of the hemisphere ("": none).

    Any other text gives None.
    """
    try:
        number = float(text.replace(",", ".") if text.count(",") == 1 and "." not in text else text)
        return (number if math.isfinite(number) else None), ""
    except ValueError:
        pass
    letters = _LETTERS.fullmatch(text.strip())
    if letters is None:
        return None, ""
    before, angle, behind = letters.groups()
    if behind == "s" and "m" in angle:  # 41d30m12s: seconds, not south
        angle, behind = angle + behind, ""
    match = _ANGLE.fullmatch(angle)
    if match is None or (before and behind) or (match[1] and before + behind):
        return None, ""
    given = [part.replace(",", ".") for part in match.groups()[1:] if part is not None]
    if any("." in part for part in given[:-1]) or any(float(part) >= 60 for part in given[1:]):
        return None, ""
    degrees = sum(float(part) / 60**n for n, part in enumerate(given))
    letter = (before + behind).upper()
    return (-degrees if match[1] or letter in ("S", "W") else degrees), letter
