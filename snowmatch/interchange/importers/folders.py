"""Plain folders: one folder for each animal, folders of stations, or copies of memory cards."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import ClassVar

from snowmatch.catalog.cells import CellError, read_body_part
from snowmatch.catalog.folders import find_photos
from snowmatch.core.errors import SnowmatchError
from snowmatch.core.imported import Imported, ImportedRow
from snowmatch.core.notes import Note
from snowmatch.core.text import counted, printable, some
from snowmatch.interchange.importers._detections import levels_of
from snowmatch.interchange.importers._values import (
    BELOW_SEASON,
    STATION,
    by_levels,
    has_card_folder,
    place_folders,
    station_levels,
    such_as,
    third_level,
)
from snowmatch.photos.formats import EXTENSIONS

LOOKED_AT = 2000  # files that are looked at to tell whether a folder has photos


@dataclass(frozen=True)
class Folders:
    """Photos in folders: Cat1/photo.jpg, naryn/S01/photo.jpg, S01/DCIM/100RECNX/photo.jpg.

    folders: what the levels of folders mean, from the top, such as location/station/individual/body_part (- skips one);
    a camera's folders (DCIM, 100RECNX) do not count. Empty: guessed from the names, and told.
    """

    REVISION: ClassVar[int] = 1
    FORMAT: ClassVar[str] = "photos in folders"

    folders: str = ""

    def __post_init__(self) -> None:
        levels_of(self.folders)

    def looks_like(self, source: Path) -> float:
        """Return 0.1 for a folder that has photos near its beginning."""
        if not source.is_dir():
            return 0.0
        try:
            return 0.1 * any(p.suffix.lower() in EXTENSIONS for p in islice(source.rglob("*"), LOOKED_AT))
        except OSError:
            return 0.0

    def read(self, source: Path) -> Imported:
        """Return one row for each photo. Raises SnowmatchError without photos, or if the names mean two things."""
        if not source.is_dir():
            raise SnowmatchError(f"{source} is not a folder, expected a folder with photos")
        notes: list[Note] = []
        photos = sorted("/".join(parts) for parts in find_photos(source, "photos in folders", notes))
        problems = [f"{name!a} is not valid text: rename the file" for name in photos if not printable_name(name)]
        levels = levels_of(self.folders)
        placed = {name: _with_part(place_folders(name, levels)) for name in photos}
        meanings: Counter[str] = Counter()
        third = third_level(folders for folders, _ in placed.values())
        guess = "" if levels else _guess(source, photos, placed)
        rows = []
        for name in photos:
            folders, part = placed[name]
            used = levels or _guessed(guess, folders, third)
            cells = by_levels([*folders, part] if part and "body_part" in levels else folders, used)
            if part:
                cells["body_part"] = part
            meanings["/".join(used[: len(folders)])] += 1
            rows.append(ImportedRow(name, name, cells, where=name))
        read = [f"{what or 'no folder'} ({counted(n, 'photo')})" for what, n in sorted(meanings.items())]
        first = max(rows, key=lambda row: len(row.cells))
        notes.append(Note("folders-read", f"folders were read as {some(read)}{such_as(first.photo, first.cells)}"))
        return Imported(tuple(rows), (source,), notes=tuple(notes), problems=tuple(problems))


def printable_name(name: str) -> bool:
    """Return whether a file name is text: others cannot stand in a table."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def _with_part(folders: Sequence[str]) -> tuple[list[str], str]:
    """Return the folders without the last one if it is a body part, and the body part; "" if it is none."""
    if len(folders) > 1:
        try:
            part = read_body_part(folders[-1])
        except CellError:
            part = "unknown"
        if part != "unknown" or folders[-1].lower() == "unknown":
            return list(folders[:-1]), part
    return list(folders), ""


def _guess(source: Path, photos: Sequence[str], placed: dict[str, tuple[list[str], str]]) -> str:
    """Return whether the last folders are `station` or `individual`. Raises SnowmatchError if they may be both."""
    if any(part for _, part in placed.values()):
        return "individual"
    if any(has_card_folder(name) for name in photos):
        return "station"
    last = sorted({folders[-1] for folders, _ in placed.values() if folders})
    like = [name for name in last if STATION.fullmatch(name)]
    if like and len(like) < len(last):
        rest = [name for name in last if name not in like]
        raise SnowmatchError(
            f"{source}: the folders {printable(some(like))} look like stations, {printable(some(rest))} like animals; "
            "say what they are",
            "choose-folders",
        )
    return "station" if like else "individual"


def _guessed(guess: str, folders: Sequence[str], third: str) -> tuple[str, ...]:
    if guess == "station":
        return station_levels(folders, third)
    if third == BELOW_SEASON and len(folders) > 2:
        return ("location", "-", *("station",)[: len(folders) - 3], *["-"] * max(len(folders) - 4, 0), "individual")
    places = ("location", "station")[: max(len(folders) - 1, 0)]
    return (*places, *["-"] * max(len(folders) - 3, 0), "individual")


PLUGIN = Folders
