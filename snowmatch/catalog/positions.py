"""Positions in the cells of a table: coordinates and EPSG codes. No problem tells a position."""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Iterable, Mapping
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
# Positions in texts of capitals. A letter of a hemisphere, or of a zone, stands alone, and so does a number
_LETTER, _NUMBER, _END = r"(?<![^\W_].)", r"(?<![\d.,].)", r"(?![^\W_])"  # for behind its first sign; its last
_DATE = r"(?:19|20)\d\d(?:[01]\d(?:[0-3]\d)?)?"  # names of stations may hold one: S1.2022, S12 10.2022, S01.20230415
_NO_DATE = rf"(?!{_DATE}(?!\d))"
_GAP = r"[\s_:°ºDM'′’-]{1,3}"  # between degrees, minutes and seconds
_ARC = (  # 41.5, 41°, 41° 30, 41 30, 41 30.7 or 41 30 44; or 4130.7 or 413044.5, as receivers write it
    rf"\d{_NUMBER}(?:\d{{1,2}}(?:[0-5]\d){{1,2}}[.,]\d+|\d{{0,2}}(?!\d)(?:[.,]{_NO_DATE}\d+|"
    rf"\s?[°º](?:\s?\d\d(?!\d|[.,]\d))?|(?<=\d\d)[\s:'′’]{{1,2}}\d\d(?!\d|[.,]\d)|{_GAP}\d{{1,2}}[.,]{_NO_DATE}\d+|"
    rf"{_GAP}\d{{1,2}}{_GAP}\d{{1,2}}(?:[.,]\d+)?(?!\d)))\s?[SM'′’\"″”°º]{{0,2}}"
)
_AND = r"[\W_]{0,3}(?:L[A-Z]{2,8}[\W_]{1,3})?"  # perhaps with a word, such as lon
_METRES = r"(?:[.,]\d+)?\s?M?[\s_]?"
_EASTING, _NORTHING = rf"0?[1-9]\d{{5}}{_METRES}", rf"0?\d{{5,7}}{_METRES}"
_WORD = (  # for an axis
    r"(?<![^\W_])(?:LAT(?:ITUDE)?|LON(?:G(?:ITUDE)?)?|LNG|ШИРОТА|ДОЛГОТА|С\.?\s?Ш|В\.?\s?Д)(?![^\W\d_])[\s:=._]{0,3}"
)
_COARSE = r"[-+]?\d{1,3}[.,]\d\d+\s?[°º]?"  # degrees that words make a position
_WITHIN = [
    re.compile(pattern)
    for pattern in (
        # 41°33.5', 41° 33 N, 41.51° N: what follows the sign are minutes, unlike in 12° 2 cubs, 90° E and 2º valle
        rf"[°º]\s*\d{{1,2}}(?:(?:[.,]\d+)?\s*['′’]|[.,]\d\d|\s?[NSEW]{_END})",
        rf"[.,]\d\d+\s?[°º]\s?[NSEW]{_END}",
        # N41 30 44 E76 06 44; 41.5N / 75.5E; 41.5N75.5E
        rf"(?:([NS])|[EW]){_LETTER}[\s_:]?{_ARC}{_AND}(?(1)[EW]|[NS])[\s_:]?{_ARC}",
        rf"{_ARC}\s?(?:([NS])|[EW])(?![^\W\d_]){_AND}{_ARC}\s?(?(1)[EW]|[NS]){_END}",
        # 43T 590123 4595123; E590123 N4595123; 590123E 4595123N; 43TFG 90123 95123
        rf"\d{_LETTER}\d?\s?[C-HJ-NP-X][\s_,;:]*E?\s?{_EASTING}E?[\s_,;|]*N?\s?{_NORTHING}N?{_END}",
        rf"E{_LETTER}\W?{_EASTING}[\s_,;/|]*N\W?{_NORTHING}{_END}",
        rf"\d{_NUMBER}\d{{5,6}}{_METRES}E[\s_,;/|]*{_NORTHING}N{_END}",
        rf"\d{_LETTER}\d?[C-HJ-NP-X][\s_]?[A-HJ-NP-Z]{{2}}[\s_]?\d{{5}}[\s_]?\d{{5}}{_END}",
        rf"UTM\D{{0,6}}{_EASTING}[\s,;/|]*{_NORTHING}{_END}",
        # lat 41.51, lon 76.11; 41,51 с.ш. 76,11 в.д.; POINT(76.11 41.51); geo:41.51,76.11; 4130.73,N,07606.73,E
        rf"{_WORD}{_COARSE}[\s,;/|_]{{0,3}}{_WORD}{_COARSE}",
        rf"{_COARSE}\s?С\.?\s?Ш[\s.,;]{{0,4}}{_COARSE}\s?В\.?\s?Д",
        rf"(?:POINT\s?\(|GEO:)\s?{_COARSE}[\s,]{{1,2}}{_COARSE}",
        rf"\d{{3,4}}[.,]\d+,[NS],\d{{3,5}}[.,]\d+,[EW]{_END}",
    )
]
_FINE = r"\d{1,3}[.,](?:\d{4,}|\d\d+(?=\s?[°º]))"
_PAIR = re.compile(rf"(?<![\d.,])(?=({_FINE})(?!\d)\D{{1,12}}({_FINE})(?!\d))")  # 41.51234, lon: 76.11234
_DATED = re.compile(rf"\d+[.,]{_DATE}")
_DECIMAL, _LONG = r"[-+]?\d{1,8}[.,]\d+", r"[-+]?(?:\d{5,8}[.,]\d+|\d{1,3}[.,]\d{4,})"
_LETTERED = rf"(?:[NSEW]\s*)?[-+]?\d{{1,8}}[.,]{_NO_DATE}\d+\s*[NSEW]?"  # one of a pair may have no letter
_ONE_EACH = r"(?!.*[NS].*[NS]|.*[EW].*[EW])"  # of each axis: S1.2, S1.3 are stations
_NO_TIME = r"(?!\d\d(?:0[1-9]|1[0-2])\d\d[\s,;/|]+(?:[01]\d|2[0-3])[0-5]\d[0-5]\d$)"  # no date: 210315 143000
_WHOLE = re.compile(  # two numbers, unlike the box 16,25,27,13 and the range 12.5/14.2, or one fine angle
    rf"(?!\d+(?:,\d+){{3}}$)[(\[]?\s*(?:{_DECIMAL}\s*[,;|\s]\s*{_DECIMAL}|{_LONG}\s*/\s*{_LONG}|"
    rf"{_ONE_EACH}{_LETTERED}\s*[,;|\s]\s*{_LETTERED}|"
    rf"{_NO_TIME}{_EASTING}[\s,;/|]+(?:0\d{{6,7}}|[1-9]\d{{4,6}}){_METRES})\s*[)\]]?"
    r"|[-+]?\d{1,3}(?:[.,]\d+)?\s*[°º]\s*\d{1,2}\s+\d{1,2}(?:[.,]\d+)?"
    rf"|[NSEW]\s*(?:\d{{1,3}}[.,]{_NO_DATE}\d{{5,}}|\d{{2,3}}{_GAP}\d{{1,2}}[.,]{_NO_DATE}\d{{3,}}"
    r"|\d{1,3}\s?[D'′’]\s?\d{1,2}\s?[M'′’]\s?\d{1,2}(?:[.,]\d+)?)\s*[SM'′’\"″”]{0,2}"
)
# Headings of columns that may hold a position
_HEADING = re.compile(
    r"(.*_)?(lat|latitude?|lon|long|longitude?|lng|utm\w*|easting|northing|gps\w*|coord\w*|geom\w*|latlon\w*|"
    r"latlng\w*|[xy]coord\w*|mgrs|wkt|geohash|geo_?point|wgs\w*|rechtswert|hochwert|"
    r"широта|шир|долгота|долг|сш|с_ш|вд|в_д|координат\w*)(_.*)?|point_[xy]|[xy]_(m|metres|meters|dd|deg|degrees)|"
    r"(dd|dms|ddm|deg)_[nsewxy]"
)
_MINUTES = re.compile(r"\d\D+\d+\D+\d|[.,]\d\d")
# Headings that hold a position only together, and only with numbers: N may also be a number of animals
_UP, _ACROSS = ("n", "s", "north", "south"), ("e", "w", "east", "west")


def holds_position(heading: str) -> bool:
    """Return whether a column with this heading may hold a position, such as `gps_lat` or `Decimal longitude`."""
    return _HEADING.fullmatch(plain_heading(heading)) is not None


def is_position(text: str) -> bool:
    """Return whether a text holds a position, such as `camp at 41.51234, 76.11234`, `41°33.512'`, `N41 30 44 E76 06 44`
    or `43T 590123 4595123`; a whole cell may also be a pair of coarser decimals, such as `41.5, 76.1`, or `N41 30.733`.

    One angle without signs is none: `S12 10 22` may be a station. Nor is one whole degree: `90° E` may be an aspect.
    """
    plain = " ".join(text.upper().split())
    return _WHOLE.fullmatch(plain) is not None or any(p.search(plain) for p in _WITHIN) or _has_pair(plain)


def _has_pair(text: str) -> bool:
    """Return whether a text has two fine decimals that may be degrees: shares and probabilities are below 2."""
    for pair in _PAIR.findall(text):
        near, far = sorted(float(number.replace(",", ".")) for number in pair)
        if near <= 90 and 2 <= far <= 180 and not all(map(_DATED.fullmatch, pair)):
            return True
    return False


def placed_paths(paths: Iterable[str]) -> dict[str, str]:
    """Return the paths that tell a position, each with a text that tells none: `#` stands for each digit."""
    return {path: re.sub(r"\d", "#", path) for path in paths if is_position(path)}


def position_headings(columns: Mapping[str, Iterable[str]]) -> set[str]:
    """Return the headings that tell of positions, also a pair such as N and E if all their cells are numbers, and
    columns of latitudes and of longitudes, such as `N41 30 44` and `E76 06 44`, under any headings.

    columns: the cells of each heading.
    """
    up = {heading for heading, texts in columns.items() if _is_half(heading, texts, _UP, "NS")}
    across = {heading for heading, texts in columns.items() if _is_half(heading, texts, _ACROSS, "EW")}
    return {heading for heading in columns if holds_position(heading)} | (up | across if up and across else set())


def position_columns(columns: Mapping[str, Iterable[str]]) -> set[str]:
    """Return the headings of columns that may tell a position, by the heading or by a cell."""
    by_cell = {heading for heading, texts in columns.items() if any(map(is_position, texts))}
    return position_headings(columns) | by_cell


def _is_half(heading: str, texts: Iterable[str], headings: Collection[str], letters: str) -> bool:
    """Return whether a column may hold latitudes, or longitudes: it has filled cells, all numbers or angles, and its
    heading is one of `headings`, or each cell has one of `letters` and minutes or two decimals.
    """
    named, filled = plain_heading(heading) in headings, False
    for text in filter(None, map(str.strip, texts)):
        number, letter = _number(text)
        if number is None or not (named or (letter and letter in letters and _MINUTES.search(text))):
            return False
        filled = True
    return filled


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
