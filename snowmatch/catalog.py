"""What is on record: `catalog.csv` or nested folders as annotations, with every encounter named.

The nested form is <individual>/<body_part>/<photo> or <location>/<individual>/<body_part>/<photo>. There, what begins
with a dot is left out with a note (in the csv it may be named), and photos at any other depth are an error. Whether
photos exist is not asked here: the index run reads them all and lists those that fail.
"""

from __future__ import annotations

import os
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import TypeVar

from snowmatch.catalog_csv import UNIDENTIFIED, Fields, choices, read_csv, same_name, some
from snowmatch.errors import SnowmatchError
from snowmatch.photofile import EXTENSIONS, read_timestamp
from snowmatch.plugins import did_you_mean
from snowmatch.types import BODY_PARTS, HOME, Annotation

# Photos of one station whose neighbours in time are at most this far apart are one encounter. Camera-trap surveys use
# 30 to 60 minutes for independent events; the longer one rather joins two passages than uses one as its own evidence.
ENCOUNTER_GAP = timedelta(minutes=60)

CSV_NAME = "catalog.csv"

T = TypeVar("T")

_LAYOUTS = "<individual>/<body_part>/<photo> or <location>/<individual>/<body_part>/<photo>"
_NO_NAMES = {"unknown", "unidentified", "unid", "none", "nan", "null", "na", "n/a", "?", "-"}
_SYSTEM_FILES = re.compile(r"\.DS_Store|\._.*|thumbs\.db|desktop\.ini", re.IGNORECASE)  # left by macOS and Windows


@dataclass(frozen=True)
class CatalogData:
    """All on record in `folder`, in the csv's order or sorted by path; `notes` tell what was left out or changed."""

    folder: Path
    annotations: tuple[Annotation, ...]
    notes: tuple[str, ...]


def load_catalog(folder: Path, exif_times: Callable[[str], datetime | None] | None = None) -> CatalogData:
    """The catalog in `folder`, from its catalog.csv if there is one, else from its nested folders.

    `exif_times` tells when a photo (path as in the catalog) was taken, for photos without a timestamp; by default the
    photo itself is read. SnowmatchError where there is no catalog, or a value is not allowed. Nothing is written.
    """
    folder = Path(folder)
    if not os.path.isdir(folder):  # unlike Path.is_dir, it answers for names that are too long and closed folders too
        if os.path.isfile(folder):
            hint = f": give {folder.parent}" if folder.name == CSV_NAME else ""
            raise SnowmatchError(f"{folder} is a file, expected the catalog's folder{hint}")
        raise SnowmatchError(f"{folder} does not exist, expected the catalog's folder")
    csv_path = folder / CSV_NAME
    notes: list[str] = []
    rows = read_csv(csv_path, notes) if os.path.exists(csv_path) else _read_folders(folder, notes)
    _note_doubtful_names(rows, notes)
    _fill_times(rows, exif_times or (lambda path: read_timestamp(folder / path)))
    _name_encounters(rows)
    annotations = tuple(Annotation(row=n, **fields) for n, fields in enumerate(rows))
    return CatalogData(folder, annotations, tuple(notes))


def check_body_part(name: str) -> str:
    """`name` if it is a body part; SnowmatchError with those that are, and the nearest, if not."""
    if name not in BODY_PARTS:
        raise SnowmatchError(f"{name!r} is not a body part; {choices(name, BODY_PARTS)}")
    return name


def check_locations(data: CatalogData, names: Iterable[str]) -> None:
    """SnowmatchError where one of `names` is no location of the catalog, with those that are, and the nearest."""
    known = sorted({a.location for a in data.annotations if a.location})
    for name in names:
        if name not in known:
            has = f"it has: {', '.join(known)}{did_you_mean(name, known)}" if known else "none of its photos has one"
            raise SnowmatchError(f"{data.folder} has no location {name!r}; {has}")


def find_catalog(start: Path, environ: Mapping[str, str]) -> tuple[Path, str]:
    """The catalog meant when none was named, and which rule found it; SnowmatchError if there is none, or several.

    In this order: $SNOWMATCH_CATALOG; the nearest of `start` and its parents that was indexed; the only subfolder of
    `start` or of its `catalogs` folder that was indexed.
    """
    if given := environ.get("SNOWMATCH_CATALOG"):
        if not Path(given).is_dir():
            raise SnowmatchError(f"$SNOWMATCH_CATALOG is {given!r}, expected a catalog's folder: correct or unset it")
        return Path(given), "from $SNOWMATCH_CATALOG"
    start = Path(start).absolute()
    for folder in (start, *start.parents):
        if (folder / HOME).is_dir():
            return (
                folder,
                "the working directory" if folder == start else "the nearest folder above the working directory",
            )
    found = [f for parent in (start, start / "catalogs") for f in _subfolders(parent) if (f / HOME).is_dir()]
    if len(found) == 1:
        return found[0], "the only catalog below the working directory"
    if found:
        raise SnowmatchError(f"several catalogs below {start}: {', '.join(map(str, found))}: choose one with --catalog")
    raise SnowmatchError(
        f"no catalog in {start}, above or below it: name one with --catalog or $SNOWMATCH_CATALOG "
        "(snowmatch index CATALOG makes a folder of photos into one)"
    )


def _subfolders(folder: Path) -> list[Path]:
    try:
        return sorted(f for f in folder.iterdir() if f.is_dir())
    except (FileNotFoundError, NotADirectoryError, PermissionError):
        return []


# --- nested folders ---------------------------------------------------------------------------------------------------


def _read_folders(folder: Path, notes: list[str]) -> list[Fields]:
    photos = find_photos(folder, f"{CSV_NAME}, or photos in {_LAYOUTS}", notes)
    return sorted((_nested_fields(folder, parts) for parts in photos), key=lambda fields: fields["path"])


def find_photos(folder: Path, expected: str, notes: list[str]) -> list[tuple[str, ...]]:
    """Every photo in `folder` and the folders below, as the parts of its path; `notes` take what was left out.

    SnowmatchError where a folder cannot be read, or there is no photo (`expected` says what should be there).
    """
    counts: Counter[str] = Counter()
    others: Counter[str] = Counter()  # files that are no photos, by extension
    photos = []
    for parts in _files(folder, (), (), counts):
        extension = os.path.splitext(parts[-1])[1].lower()
        if extension in EXTENSIONS:
            photos.append(parts)
        else:
            others[extension or "without extension"] += 1
    if not photos:
        held = f" (only {some([f'{n} {ext}' for ext, n in others.most_common()])})" if others else ""
        raise SnowmatchError(f"{folder} holds no photos{held}; expected {expected}")
    if counts["hidden"]:
        notes.append(f"{counts['hidden']} files or folders whose names begin with a dot were left out")
    if counts["loop"]:
        notes.append(f"{counts['loop']} links that lead back into a folder above them were left out")
    if others:
        listed = some([f"{n} {ext}" for ext, n in others.most_common()])
        notes.append(f"{sum(others.values())} files that are no photos were left out: {listed}")
    return photos


def _files(folder: Path, parts: tuple[str, ...], above: tuple, counts: Counter[str]) -> Iterator[tuple[str, ...]]:
    """The path of every file in `folder` as its parts; links are followed, but not back into a folder above."""
    try:
        status = os.stat(folder)
        with os.scandir(folder) as scan:
            entries = list(scan)
    except OSError as error:
        raise SnowmatchError(f"{folder} cannot be read: {error.strerror}") from error
    here = (status.st_dev, status.st_ino)
    if here in above:
        counts["loop"] += 1
        return
    for entry in entries:
        if entry.name == HOME or _SYSTEM_FILES.fullmatch(entry.name):
            continue
        if entry.name.startswith("."):
            counts["hidden"] += 1
        elif _is_folder(entry):
            yield from _files(folder / entry.name, (*parts, entry.name), (*above, here), counts)
        else:
            yield (*parts, entry.name)


def _is_folder(entry: os.DirEntry) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link to itself, say: it counts as a file, and the index run tells what is wrong with it
        return False


def _nested_fields(folder: Path, parts: tuple[str, ...]) -> Fields:
    path = "/".join(parts)
    try:
        path.encode()
    except UnicodeEncodeError:
        raise SnowmatchError(f"{folder}: the file name {path!a} is not valid text; rename it") from None
    if len(parts) not in (3, 4):
        raise SnowmatchError(
            f"{folder / path} lies {len(parts) - 1} folders deep, expected {_LAYOUTS}: move it, or write a {CSV_NAME}"
        )
    *place, individual, body_part, _ = parts
    if body_part not in BODY_PARTS:
        raise SnowmatchError(
            f"{folder / path}: the folder {body_part!r} is not a body part; {choices(body_part, BODY_PARTS)}, as in "
            f"{_LAYOUTS}"
        )
    return {
        "path": path,
        "individual": same_name(individual) if individual != UNIDENTIFIED else None,
        "body_part": body_part,
        "location": same_name(place[0]) if place else "",
        # The same file name under two body parts of an animal is the same photo, or a crop of it
        "_photo": "/".join((*place, individual, parts[-1])),
    }


# --- names, time and encounters ---------------------------------------------------------------------------------------


def _note_doubtful_names(rows: list[Fields], notes: list[str]) -> None:
    individuals = {fields["individual"] for fields in rows if fields.get("individual")}
    if doubtful := sorted(name for name in individuals if name.lower() in _NO_NAMES):
        notes.append(
            f"{some(doubtful)} is taken for the name of one animal; unidentified ones have an empty cell in "
            f"{CSV_NAME}, or the folder {UNIDENTIFIED}"
        )
    places: dict[str, set[str]] = defaultdict(set)
    for fields in rows:
        if fields.get("encounter"):
            places[fields["encounter"]].add(fields.get("location", ""))
    if spread := sorted(name for name, where in places.items() if len(where) > 1):
        notes.append(f"{len(spread)} encounters lie in several locations, so their names may clash: {some(spread)}")


def _fill_times(rows: list[Fields], exif_times: Callable[[str], datetime | None]) -> None:
    """Give rows without a timestamp the photo's own; a photo that cannot be read has none (the index run lists it)."""
    known: dict[str, datetime | None] = {}
    for fields in rows:
        if fields.get("timestamp") is None:
            path = fields["path"]
            if path not in known:
                try:
                    known[path] = exif_times(path)
                except SnowmatchError:
                    known[path] = None
            fields["timestamp"] = known[path]


def _name_encounters(rows: list[Fields]) -> None:
    """Name the encounter of every row without one: after its place and first moment, or its photo if that has no time.

    Names depend on the encounter's own photos alone, so photos added elsewhere change none.
    """
    used = {fields["encounter"] for fields in rows if fields.get("encounter")}
    places: dict[tuple[str, str], list[Fields]] = defaultdict(list)
    timeless: dict[str, list[Fields]] = defaultdict(list)
    timed: dict[str, Fields] = {}
    for fields in rows:
        photo = fields.pop("_photo", fields["path"])
        if fields.get("encounter"):
            continue
        if fields["timestamp"] is None:
            timeless[photo].append(fields)
        else:
            timed.setdefault(photo, fields)
            places[fields.get("location", ""), fields.get("station", "")].append(fields)
    for place, group in places.items():
        for passage in passages(group, lambda fields: fields["timestamp"]):
            name = unused(_place_name(*place) + passage[0]["timestamp"].isoformat(), used)
            for fields in passage:
                fields["encounter"] = name
    for photo, group in timeless.items():
        # A crop saved without its EXIF belongs to the photo it was cut from
        name = timed[photo]["encounter"] if photo in timed else unused(f"photo {photo}", used)
        for fields in group:
            fields["encounter"] = name


def passages(photos: Iterable[T], taken: Callable[[T], datetime]) -> Iterator[list[T]]:
    """The photos of one camera by time, cut where neighbours are more than ENCOUNTER_GAP apart; none give nothing."""
    passage: list[T] = []
    for photo in sorted(photos, key=taken):
        if passage and taken(photo) - taken(passage[-1]) > ENCOUNTER_GAP:
            yield passage
            passage = []
        passage.append(photo)
    if passage:
        yield passage


def _place_name(location: str, station: str) -> str:
    """'naryn/S01 ', 'naryn ', '/S01 ' or ''; a slash within a name is written %2F, so that no two places look alike."""
    location, station = (name.replace("%", "%25").replace("/", "%2F") for name in (location, station))
    return f"{location}/{station} " if station else (f"{location} " if location else "")


def unused(name: str, used: set[str]) -> str:
    """`name`, with as many + as it takes to differ from all `used`, which take it in."""
    while name in used:
        name += "+"
    used.add(name)
    return name
