"""Photos that arrive in a folder: which there are, whether they are whole, and the station that their folder names."""

from __future__ import annotations

import os
import re
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from snowmatch.catalog.cells import CellError, read_body_part
from snowmatch.catalog.folders import SYSTEM_FILES
from snowmatch.catalog.load import CatalogData
from snowmatch.catalog.stations import read_stations
from snowmatch.core.errors import SnowmatchError
from snowmatch.core.home import STATIONS_NAME
from snowmatch.core.text import same_name
from snowmatch.photos.formats import EXTENSIONS, VIDEO_EXTENSIONS
from snowmatch.review.watched import Stamp

# Folders that cameras make (DCF: DCIM/100ABCDE, not 101Ridge); they name no station
CAMERA_FOLDERS = re.compile(r"(?i:dcim|misc|private|photos?|images?)|\d{3}([A-Z0-9_]{5}|[a-z0-9_]{5})")
VIDEO, LINK, UNREADABLE = "video", "link to a folder", "unreadable"
JPEG_START, JPEG_END = b"\xff\xd8", b"\xff\xd9"
PNG_END = b"IEND\xaeB`\x82"


@dataclass(frozen=True)
class Listed:
    """The photos in a folder, by path, with size and time; and what is left out there, as pairs of a path and of what
    it is: VIDEO, LINK or UNREADABLE.
    """

    photos: Sequence[tuple[str, Stamp]]
    skipped: Sequence[tuple[str, str]]


def list_photos(folder: Path) -> Listed | None:
    """Return the photos in a folder and its subfolders; None if it cannot be read.

    Hidden files and folders, and those of the system, are left out, and so are links to folders, with a mention.
    """
    if not folder.is_dir():
        return None
    skipped: list[tuple[str, str]] = []
    return Listed(sorted(_photos(os.fspath(folder), skipped)), skipped)


def _photos(folder: str, skipped: list[tuple[str, str]]) -> Iterator[tuple[str, Stamp]]:
    try:
        entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
    except OSError:
        skipped += [(folder, UNREADABLE)] if os.path.lexists(folder) else []  # otherwise the card was pulled out
        return
    for entry in entries:
        if entry.name.startswith(".") or SYSTEM_FILES.fullmatch(entry.name):
            continue
        extension = os.path.splitext(entry.name)[1].lower()
        try:
            if entry.is_dir(follow_symlinks=False):
                yield from _photos(entry.path, skipped)
            elif entry.is_dir():
                skipped.append((entry.path, LINK))
            elif extension in EXTENSIONS:
                status = entry.stat()
                yield entry.path, (status.st_size, status.st_mtime_ns)
            elif extension in VIDEO_EXTENSIONS:
                skipped.append((entry.path, VIDEO))
        except OSError:
            skipped += [(entry.path, UNREADABLE)] if os.path.lexists(entry.path) else []


def stamp_of(path: str) -> Stamp | None:
    """Return size and time of a file; None if it is gone."""
    try:
        status = os.stat(path)
    except OSError:
        return None
    return status.st_size, status.st_mtime_ns


def is_whole(path: str) -> bool:
    """Return whether a file begins and ends as a JPEG or PNG file that is complete. False: that cannot be told.

    A program that copies makes the file longer and longer, or as long as it will be and filled with zeros.
    """
    try:
        with open(path, "rb") as file:
            start = file.read(2)
            file.seek(-len(PNG_END), os.SEEK_END)
            end = file.read()
    except OSError:
        return False
    return (start == JPEG_START and end.endswith(JPEG_END)) or end == PNG_END


@dataclass(frozen=True)
class Places:
    """The stations and locations that a catalog knows. stations: the locations of each station, by its name."""

    stations: Mapping[str, Collection[str]]
    locations: Collection[str]


def places_of(data: CatalogData) -> Places:
    """Return the places that the photos and the table of stations of a catalog name.

    A table of stations that has problems is not used: `snowmatch doctor` tells them.
    """
    stations: dict[str, set[str]] = defaultdict(set)
    for a in data.annotations:
        if a.station:
            stations[a.station].add(a.location)
    table = data.folder / STATIONS_NAME
    if table.is_file():
        try:
            for deployment in read_stations(table, [], data.settings.dates):
                stations[deployment.station].add(deployment.location)
        except SnowmatchError:
            pass
    locations = {a.location for a in data.annotations} | {name for each in stations.values() for name in each}
    return Places(stations, locations - {""})


def place_of(path: str, folder: Path, places: Places, station: str = "", location: str = "") -> tuple[str, str]:
    """Return the station and the location of a photo in a watched folder, "" if not known.

    station, location: as the user says. Otherwise the station is the nearest folder above the photo that is called like
    a station on record, else the nearest folder inside the watched one that no camera made and that is not called like
    a body part. The location is a folder that is called so, or that of the station if it has one only.
    """
    inside = [same_name(name) for name in reversed(Path(path).relative_to(folder).parts[:-1])]
    above = [same_name(name) for name in reversed(Path(os.path.abspath(folder)).parts[1:])][:2]
    if not station:
        known = [name for name in (*inside, *above) if name in places.stations]
        free = [name for name in inside if not CAMERA_FOLDERS.fullmatch(name) and name not in places.locations]
        named = [name for name in free if not _part(name)]
        station = next(iter((*known, *named)), "")
    if not location:
        named = [name for name in (*inside, *above) if name in places.locations and name != station]
        location = named[0] if named else location_of(station, places)
    return station, location


def location_of(station: str, places: Places) -> str:
    """Return the location of a station on record; "" if it has none or several."""
    found = sorted({name for name in places.stations.get(station, ()) if name})
    return found[0] if len(found) == 1 else ""


def part_of(path: str, folder: Path) -> str:
    """Return the body part that the nearest folder of a photo in a watched folder names; "" if it names none.

    Folders that a camera made do not count.
    """
    inside = reversed(Path(path).relative_to(folder).parts[:-1])
    part = _part(next((name for name in inside if not CAMERA_FOLDERS.fullmatch(name)), ""))
    return part if part != "unknown" else ""


def _part(name: str) -> str:
    """Return the body part that a folder is called like; "" if it is called otherwise."""
    try:
        return read_body_part(name)
    except CellError:
        return ""
