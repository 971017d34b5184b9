"""Values as other programs write them: missing names, sides, dates, lists, boxes, and folders of cards."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from itertools import takewhile
from math import cos, radians, sin
from pathlib import PurePosixPath

from snowmatch.catalog.times import plain_time
from snowmatch.core.notes import Note
from snowmatch.core.text import counted, some

Box = tuple[float, float, float, float]  # x, y, width, height
# Texts that mean "nobody knows which animal this is", in lower case. NA is what R writes for a missing value; those
# with # are errors of formulas in spreadsheets.
NAMELESS = {
    "", "?", "-", "--", "na", "n/a", "nan", "none", "null", "unknown", "unidentified", "unid", "un-id", "not "
    "identified",
    "unidentifiable", "_unidentified", "____", "unnamed", "unk",
    "#n/a", "#ref!", "#value!", "#name?", "#div/0!", "#null!", "#num!",
}  # fmt: skip
MISSING = {"NA", "NaN", "nan", "NULL", "#N/A"}  # cells without a value, as R, Python, SQL and Excel write them
# Viewpoints that show mainly one side of the animal. Source: the viewpoints of wbia (VIEW) and Wildbook
SIDES = {
    **{f"{more}left": "left_flank" for more in ("front", "back", "up", "upfront", "upback", "downleft")},
    **{f"{more}right": "right_flank" for more in ("front", "back", "up", "upfront", "upback", "downright")},
    "front": "other",
    "back": "other",
    "up": "other",
    "down": "other",
}
# Folders that cameras make on a card (Source: CIPA DCF 2.0, 100RECNX and the like), and folders of whole cards
_IN_DCIM = re.compile(r"[1-9]\d\d(?=[\d_]*[A-Z])[A-Z0-9_]{5}|[1-9]\d\d(?=[\d_]*[a-z])[a-z0-9_]{5}")  # not 101Ridge
# Names that people give to camera sites, such as S01, st-4, CAM12, Station 7, Trap_3
STATION = re.compile(r"(s|st|stn|station|site|c|ct|cam|camera|trap|loc|p|point|grid|cell)[ _.-]*\d+[a-z]?", re.I)
_CAMERA = re.compile(r"c(t|am|amera)?[ _.-]*\d", re.I)  # the same for cameras of a site, maybe
# The same for sites, surely: S1 may be a season, Site 1 an area. And what two or three cameras of a site are called
_SITE = re.compile(r"(s[ _.-]*\d\d+|(st|stn|station|trap)[ _.-]*\d+)[a-z]?", re.I)
_ONE_OF_SITE = re.compile(r"[a-c]|(c|ct|cam|camera)[ _.-]*([1-3]|[a-c])", re.I)
YEAR = re.compile(r"(?<!\d)(19|20)\d\d(?!\d)")
_SEASON = re.compile(r"(19|20)\d\d([-_. ]?\d\d)*")  # a folder between an area and its stations: 2021, 2021-06
BELOW_SEASON = "station below a season"
OF_SITE = "no third: the second is a camera"
_CARD = re.compile(rf"(?i:DCIM|(memory|sd)?[ _-]?card[ _-]?\d*)|{_IN_DCIM.pattern}")


def name_or_none(text: str) -> str:
    """Return the name of an individual; "" for a text that means that nobody knows."""
    return "" if text.strip().lower() in NAMELESS else text.strip()


def side(text: str) -> str:
    """Return a viewpoint in words that a catalog understands; other texts do not change."""
    return SIDES.get(re.sub(r"[\s_-]+", "", text.strip().lower()), text.strip())


def joined_time(date: str, time: str) -> str:
    """Return one text of a date and a time of day, without what a spreadsheet adds to each."""
    day = re.sub(r"[T ]0?0:00(:00)?$", "", date.strip())
    clock = re.sub(r"^(\d{4}-\d\d-\d\d|\d{1,2}[./-]\d{1,2}[./-](1899|1900))[T ]", "", time.strip())
    return plain_time(f"{day} {clock}".strip())


def listed_names(text: str) -> list[str]:
    """Return the parts of a list such as `[a;b]`, `a|b` or `a, b`; one part for a text without a separator."""
    inner = text.strip().strip("[]")
    mark = next((mark for mark in (";", "|", ",") if mark in inner), None)
    return [part.strip().strip("'\"") for part in (inner.split(mark) if mark else [inner]) if part.strip()]


def four_numbers(text: str) -> Box | None:
    """Return the box in a text such as `[10, 20, 300, 200]` or `0.1 0.2 0.3 0.4`; None for an empty text.

    Raises ValueError for anything else.
    """
    if not text.strip().strip("[](){}").strip():
        return None
    numbers = [float(part) for part in re.split(r"[\s,;]+", text.strip().strip("[](){}").strip())]
    if len(numbers) != 4:
        raise ValueError(f"{len(numbers)} numbers")
    return numbers[0], numbers[1], numbers[2], numbers[3]


def around(box: Box, degrees: float = 0.0, *, theta: float = 0.0) -> Box:
    """Return the upright box around a box that is turned about its centre by `degrees`, or `theta` radians."""
    turn = radians(degrees) + theta
    x, y, width, height = box
    across = abs(width * cos(turn)) + abs(height * sin(turn))
    down = abs(width * sin(turn)) + abs(height * cos(turn))
    return x + (width - across) / 2, y + (height - down) / 2, across, down


def place_folders(photo: str, levels: Sequence[str] = ()) -> list[str]:
    """Return the folders of a photo's path, without those that cameras and card readers make.

    levels: what the user says that the folders are, if anything. Then every folder counts, also one with the name of a
    card, except DCIM and a camera's folder such as 100RECNX in it, or last and below all levels.
    """
    parts = PurePosixPath(photo.replace("\\", "/")).parts[:-1]
    parts = tuple(part for part in parts if part not in ("/", ".") and part[1:2] != ":")
    if not levels:
        return [part for part in parts if not _CARD.fullmatch(part)]
    above = ("", *(part.upper() for part in parts))
    kept = [
        part
        for part, over in zip(parts, above, strict=False)
        if part.upper() != "DCIM" and not (over == "DCIM" and _IN_DCIM.fullmatch(part))
    ]
    return kept[:-1] if len(kept) > len(levels) and _IN_DCIM.fullmatch(kept[-1]) else kept


def has_card_folder(photo: str) -> bool:
    """Return whether a path has a folder that a camera makes, such as 100RECNX."""
    return len(place_folders(photo)) < len(PurePosixPath(photo.replace("\\", "/")).parts) - 1


def by_levels(folders: Sequence[str], levels: Sequence[str]) -> dict[str, str]:
    """Return the folders as cells of the columns `levels`, from the top. `-` skips a level; what is missing is
    empty.
    """
    return {level: folder for level, folder in zip(levels, folders, strict=False) if level not in ("-", "")}


def station_levels(folders: Sequence[str], third: str = "camera") -> tuple[str, ...]:
    """Return the usual meaning of the folders above photos of cards: the station, with its location above it.

    third: what the third folder is, as `third_level` tells. If it is the station, the first says nothing; if it is one
    below a season, the second.
    """
    if third == OF_SITE:
        return ("station", "camera")[: max(len(folders), 1)]
    if len(folders) > 2 and third == BELOW_SEASON:
        return ("location", "-", "station", "camera")[: len(folders)]
    if len(folders) > 2:
        return ("-", "location", "station") if third == "station" else ("location", "station", "camera")
    return ("station",) if len(folders) < 2 else ("location", "station")


def third_level(every: Iterable[Sequence[str]]) -> str:
    """Return what the third folder above photos is: a `camera` of the second one, the `station`, or BELOW_SEASON.

    OF_SITE: no photo has three, all first ones are called like sites, all second ones like cameras: S01/A, S01/cam2.

    It is below a season if all second folders are called like a year or a date, and no first one like a station:
    naryn/2021/S01. It is the station if all, of several, are called like sites, not like cameras, and no second one is:
    survey/naryn/S01 and survey/sarychat/S02, but not naryn/north/S01 and sarychat/north/S01, which would be one station
    without the first folder, unless the first ones are surveys: 2021 and 2022. So it is if all photos share the first
    two folders, of which the second is not called like a station, and have several third ones, which are called like
    stations or lie below a year: survey2021/naryn/Ridge and survey2021/naryn/Pass. every: the folders of all photos.
    """
    places = {tuple(folders[:3]) for folders in every if len(folders) > 1}
    if places and all(_SITE.fullmatch(p[0]) and len(p) == 2 and _ONE_OF_SITE.fullmatch(p[1]) for p in places):
        return OF_SITE
    places = {place for place in places if len(place) > 2}
    if places and all(_SEASON.fullmatch(season) and not STATION.fullmatch(first) for first, season, _ in places):
        return BELOW_SEASON
    sites = all(STATION.fullmatch(third) and not _CAMERA.match(third) for _, _, third in places)
    sites = sites and not any(STATION.fullmatch(second) for _, second, _ in places)
    if len(places) > 1 and sites and (len({place[1:] for place in places}) == len(places) or _are_surveys(places)):
        return "station"
    if len(places) < 2 or len({place[:2] for place in places}) > 1:
        return "camera"
    survey, second, _ = next(iter(places))
    like = YEAR.search(survey) or all(STATION.fullmatch(third) for _, _, third in places)
    return "station" if like and not STATION.fullmatch(second) else "camera"


def _are_surveys(places: Iterable[Sequence[str]]) -> bool:
    """Return whether the first folders have a year each, or differ in numbers alone, as survey1 and survey2."""
    first = {place[0] for place in places}
    return all(YEAR.search(name) for name in first) or len({re.sub(r"\d+", "", name) for name in first}) == 1


def folders_above_places(photos: Iterable[str], told: Sequence[str] = ()) -> int:
    """Return how many folders at the top of the photos' paths say nothing of the place: they are those of all photos.

    The last three folders may say it; of paths from the root of a disk, the last two, or the last three where the
    middle one is a season. told: the levels that the user has named, if any; then only paths from the root of a disk
    have others above them.
    """
    shared: list[str] | None = None
    deepest, whole, seasons = 0, False, True
    for photo in photos:
        folders = place_folders(photo, told)
        seasons = seasons and len(folders) > 2 and _SEASON.fullmatch(folders[-2]) is not None
        deepest, whole = max(deepest, len(folders)), whole or photo.startswith(("/", "\\")) or photo[1:2] == ":"
        if shared is None:
            shared = folders
        shared = [a for a, b in takewhile(lambda pair: pair[0] == pair[1], zip(shared, folders, strict=False))]
    kept = (len(told) or 2 + seasons) if whole else deepest if told else 3
    return max(min(len(shared or ()), deepest - kept), 0)


def such_as(photo: str, cells: Mapping[str, str]) -> str:
    """Return how the folders of one photo were read, as the end of a text."""
    columns = ("location", "station", "camera", "individual")
    read = [f"{column} {cells[column]}" for column in columns if cells.get(column)]
    return f", such as {', '.join(read)} of {photo}" if read else ""


def with_persons(photos: Iterable[str]) -> list[Note]:
    """Return a note on photos that show a person beside the animal; no photos give none."""
    if not (found := sorted(set(photos))):
        return []
    text = f"{counted(len(found), 'photo')} with a person beside the animal: keep them private ({some(found)})"
    return [Note("photos-of-persons", text, {"photos": found})]


def places_read(read: Counter[tuple[str, ...]], example: str, cells: Mapping[str, str]) -> list[Note]:
    """Return a note on what folders were read as. read: number of photos by their levels. example: one photo, and its
    cells.
    """
    told = [f"{'/'.join(levels)} ({n})" for levels, n in sorted(read.items()) if levels]
    text = f"folders were read as {', '.join(told)}{such_as(example, cells)}; -o folders says what they are"
    return [Note("folders-read", text)] if told else []


def as_text(value: object) -> str:
    """Return a value of JSON or of a database as the text of a cell: None is empty."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and value.is_integer() and abs(value) < 1e15:
        return str(int(value))
    return (
        value.strip() if isinstance(value, str) else json.dumps(value) if isinstance(value, list | dict) else str(value)
    )
