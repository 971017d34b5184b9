"""Catalogs in nested folders, and the search for photos and videos in a folder and its subfolders.

The nested form is <location>/<station>/<individual>/<body_part>/<photo>. Without the folder of the station, or of both
places, the photos have none. Without the folder of the body part, it is unknown. Files and folders that begin with a
dot are skipped with a note (a csv may name them). Photos at any other depth are an error.
"""

from __future__ import annotations

import os
import re
import stat
from collections import Counter, deque
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from snowmatch.catalog.cells import SPELLINGS, CellError, read_body_part
from snowmatch.catalog.positions import is_position
from snowmatch.catalog.problems import SHOWN
from snowmatch.catalog.table import PLACES, UNIDENTIFIED, Fields, is_unidentified
from snowmatch.core.errors import SnowmatchError
from snowmatch.core.home import CSV_NAME, HOME
from snowmatch.core.notes import Note
from snowmatch.core.text import choices, counted, did_you_mean, same_name, some
from snowmatch.core.types import BODY_PARTS
from snowmatch.photos.formats import EXTENSIONS, VIDEO_EXTENSIONS

LAYOUTS = "[<location>/[<station>/]]<individual>/[<body_part>/]<photo>"
# Files and folders that macOS, Windows and Linux make on a disk: they are no part of it, and hold deleted photos
SYSTEM_FILES = re.compile(
    r"\.DS_Store|\._.*|thumbs\.db|desktop\.ini|\$RECYCLE\.BIN|System Volume Information|lost\+found", re.IGNORECASE
)
_YEAR = re.compile(r"(19|20)\d\d([-_. ]?\d\d)*")  # 2021, 2021-06, 20210618, 2021_2022


# --- nested folders ---------------------------------------------------------------------------------------------------


def read_folders(folder: Path, notes: list[Note]) -> list[Fields]:
    """Return the rows of a catalog in nested folders, sorted by path. Raises SnowmatchError with all misplaced
    photos.
    """
    photos = find_photos(folder, f"{CSV_NAME}, or photos in {LAYOUTS}", notes)
    rows: list[Fields] = []
    wrong: list[str] = []
    spelled: Counter[str] = Counter()
    for parts in photos:
        try:
            rows.append(_nested_fields(parts, spelled))
        except CellError as problem:
            wrong.append(f"{'/'.join(parts)!a} {problem}" if not _is_text(parts) else f"{'/'.join(parts)} {problem}")
    wrong += _two_meanings(rows) + _positions(rows)
    if wrong:
        raise SnowmatchError(_listed(folder, sorted(wrong)), "bad-folders", folder=str(folder), problems=sorted(wrong))
    if spelled:
        read = [f"{text} as {read_body_part(text)} ({n} photos)" for text, n in sorted(spelled.items())]
        notes.append(Note("body-parts-read", f"body parts were read so: {', '.join(read)}", dict(spelled)))
    bare = sum(fields["body_part"] == "unknown" and not fields["_part"] for fields in rows)
    if bare:
        text = f"{counted(bare, 'photo')} in no folder of a body part: the body part is unknown"
        notes.append(Note("folders-without-body-part", text, {"count": bare}))
    for fields in rows:
        del fields["_part"]
    rows.sort(key=lambda fields: fields["path"])
    notes += _year_notes(rows)
    return rows


def _listed(folder: Path, wrong: list[str]) -> str:
    if len(wrong) == 1:
        return f"{folder}: {wrong[0]}"
    more = f"\n  and {len(wrong) - SHOWN} more" if len(wrong) > SHOWN else ""
    return f"{folder} has {len(wrong)} problems:" + "".join(f"\n  {each}" for each in wrong[:SHOWN]) + more


def _nested_fields(parts: tuple[str, ...], spelled: Counter[str]) -> Fields:
    """Return the values that the folders of a photo give. Raises CellError if the folders are not valid."""
    if not _is_text(parts):
        raise CellError("is not valid text: rename the file")
    *folders, name = parts
    body_part, written = "unknown", ""
    if len(folders) > 1:
        try:
            part = read_body_part(folders[-1])
        except CellError:
            if did_you_mean(folders[-1].lower(), [word for word in SPELLINGS if len(word) > 3]):
                raise CellError(
                    f"lies in the folder {folders[-1]!r}, which is not a body part; "
                    f"{choices(folders[-1], BODY_PARTS)}, as in {LAYOUTS}"
                ) from None
            part = "unknown"
        if part != "unknown" or folders[-1].lower() == "unknown":  # a text such as NA may be an individual's name
            body_part, written = part, folders.pop()
    if not 1 <= len(folders) <= 3:
        raise CellError(f"is {len(parts) - 1} folders deep, expected {LAYOUTS}: move it, or write a {CSV_NAME}")
    if written and written not in BODY_PARTS:
        spelled[written] += 1
    *place, individual = folders
    for each in place:
        if is_unidentified(each):
            raise CellError(
                f"lies below {each!r}, in a folder of another animal, expected {LAYOUTS}: put it right into {each}, or "
                "into a folder of a body part there"
            )
        if not written and reads_as_body_part(each):
            raise CellError(
                f"lies below {each!r}, which reads as a body part, expected {LAYOUTS}: move it; if it is a place, "
                "put the photo into a folder of its own body part, such as unknown"
            )
    return {
        "path": "/".join(parts),
        "individual": None if is_unidentified(individual) else same_name(individual),
        "body_part": body_part,
        "location": same_name(place[0]) if place else "",
        "station": same_name(place[1]) if len(place) > 1 else "",
        "_part": written,
        # The same file name under two body parts of an animal is the same photo, or a crop of it
        "_photo": "/".join((*folders, name)),
    }


@cache  # asked for the folders of each photo
def reads_as_body_part(name: str) -> bool:
    """Return whether the name of a folder reads as a body part other than `unknown`."""
    try:
        return read_body_part(name) != "unknown"
    except CellError:
        return False


def _two_meanings(rows: list[Fields]) -> list[str]:
    """Return problems of folders that are an individual for some photos and a location or station for others."""
    individuals = {fields["individual"] for fields in rows if not fields["location"]}
    locations = {fields["location"] for fields in rows if fields["location"]}
    within = {(fields["location"], fields["individual"]) for fields in rows if not fields["station"]}
    stations = {(fields["location"], fields["station"]) for fields in rows if fields["station"]}
    either = "is an individual for some photos and a"
    return [
        *(
            f"the folder {name!r} {either} location for others; expected {LAYOUTS}: put a folder of a body part into "
            f"each individual's folder, or write a {CSV_NAME}"
            for name in sorted(individuals & locations)
        ),
        *(
            f"the folder {'/'.join(place)!r} {either} station for others; expected {LAYOUTS}: put photos that nobody "
            f"has named into {'/'.join((*place, UNIDENTIFIED))}, or write a {CSV_NAME}"
            for place in sorted(within & stations)
        ),
    ]


def _positions(rows: list[Fields]) -> list[str]:
    """Return a problem if names of places are positions: they are shown and exported. No problem tells one."""
    problems = []
    for column, what in PLACES.items():
        placed = {text for text in {fields[column] for fields in rows} if is_position(text)}
        if there := sorted(fields["path"] for fields in rows if fields[column] in placed):
            shown = "/".join("..." if is_position(same_name(part)) else part for part in there[0].split("/"))
            more = f" (and {len(there) - 1} more)" if len(there) > 1 else ""
            problems.append(
                f"{shown}{more}: the name of the folder of the {column} is a position; expected that of {what}: "
                "positions belong into stations.csv"
            )
    return problems


def _year_notes(rows: list[Fields]) -> list[Note]:
    """Return a note on each column that folders called like a year or a date fill; none without them.

    rows: sorted. Seasons are usual between a place and its stations, and the nested form has no level for them.
    """
    notes = []
    for column in ("location", "station", "individual"):
        years = {text for text in {fields[column] or "" for fields in rows} if _YEAR.fullmatch(text)}
        if years:
            first = next(fields for fields in rows if fields[column] in years)
            read = [f"{name} {first[name]}" for name in ("location", "station", "individual") if first[name]]
            text = (
                f"folders called like a year or a date are read as {column}s: {some(sorted(years))}, so "
                f"{first['path']} is of {', '.join(read)}; if that is wrong, take that level of folders out, or write "
                f"a {CSV_NAME}"
            )
            notes.append(Note("folders-of-years", text, {"column": column, "names": sorted(years)}))
    return notes


def _is_text(parts: tuple[str, ...]) -> bool:
    try:
        "/".join(parts).encode()
    except UnicodeEncodeError:
        return False
    return True


# --- files in folders ------------------------------------------------------------------------------------------------


def find_photos(folder: Path, expected: str, notes: list[Note]) -> list[tuple[str, ...]]:
    """Return every photo in `folder` and its subfolders, as the parts of its path, and add notes on skipped files.

    Raises SnowmatchError if a folder cannot be read or contains no photo. expected: what should be there, for the error
    message.
    """
    return _find(folder, EXTENSIONS, "photos", expected, notes)


def find_videos(folder: Path, notes: list[Note]) -> list[tuple[str, ...]]:
    """Return every video in `folder` and its subfolders, as `find_photos` does for photos."""
    return _find(folder, VIDEO_EXTENSIONS, "videos", f"files with {', '.join(sorted(VIDEO_EXTENSIONS))}", notes)


def _find(
    folder: Path, extensions: frozenset[str], word: str, expected: str, notes: list[Note]
) -> list[tuple[str, ...]]:
    counts: Counter[str] = Counter()
    others: Counter[str] = Counter()  # number of other files, by extension
    found = []
    for parts in _files(folder, counts):
        extension = os.path.splitext(parts[-1])[1].lower()
        if extension in extensions:
            found.append(parts)
        else:
            others[extension or "without extension"] += 1
    videos = Counter({ext: n for ext, n in others.items() if ext in VIDEO_EXTENSIONS})
    if not found:
        held = f" (only {_by_extension(others)})" if others else ""
        code = "only-videos" if videos else ""
        raise SnowmatchError(f"{folder} contains no {word}{held}; expected {expected}", code, folder=str(folder))
    if counts["hidden"]:
        text = f"{counts['hidden']} files or folders whose names begin with a dot were skipped"
        notes.append(Note("hidden-files", text, {"count": counts["hidden"]}))
    if counts["again"]:
        text = f"{counts['again']} links to folders that were already read were skipped"
        notes.append(Note("links-to-folders", text, {"count": counts["again"]}))
    if counts["special"]:
        text = f"{counts['special']} pipes, devices or sockets were skipped"
        notes.append(Note("special-files", text, {"count": counts["special"]}))
    if videos:
        text = f"{counted(videos.total(), 'video was', 'videos were')} skipped: {_by_extension(videos)}"
        notes.append(Note("videos-skipped", text, {"folder": str(folder), **videos}))
    others -= videos
    if others:
        text = f"{others.total()} files that are not {word} were skipped: {_by_extension(others)}"
        notes.append(Note("other-files", text, dict(others)))
    return found


def _by_extension(counts: Counter[str]) -> str:
    return some([f"{n} {ext}" for ext, n in counts.most_common()])


def _files(folder: Path, counts: Counter[str]) -> Iterator[tuple[str, ...]]:
    """Yield the path of every regular file in `folder`, as its parts. Links are followed, and each folder is read once.

    A broken link counts as a file: the attempt to read it reports the problem.
    """
    seen: set[tuple[int, int]] = set()
    waiting: deque[tuple[str, ...]] = deque([()])
    by_link: deque[tuple[str, ...]] = deque()  # links come last, so that a folder is found under its own name
    while waiting or by_link:
        parts = (waiting or by_link).popleft()
        here = folder.joinpath(*parts)
        try:
            status = os.stat(here)
            if (status.st_dev, status.st_ino) in seen:
                counts["again"] += 1
                continue
            seen.add((status.st_dev, status.st_ino))
            with os.scandir(here) as scan:
                entries = sorted(scan, key=lambda entry: entry.name)
        except OSError as error:
            raise SnowmatchError(f"{here} cannot be read: {error.strerror}") from error
        for entry in entries:
            if entry.name == HOME or SYSTEM_FILES.fullmatch(entry.name):
                continue
            if entry.name.startswith("."):
                counts["hidden"] += 1
                continue
            mode = _mode(entry)
            if stat.S_ISDIR(mode):
                (by_link if entry.is_symlink() else waiting).append((*parts, entry.name))
            elif stat.S_ISREG(mode):
                yield (*parts, entry.name)
            else:
                counts["special"] += 1


def _mode(entry: os.DirEntry) -> int:
    try:
        return entry.stat().st_mode
    except OSError:
        return stat.S_IFREG
