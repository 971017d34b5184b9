"""A catalog in nested folders, and the search for photos in a folder and its subfolders.

The nested form is <individual>/<body_part>/<photo> or <location>/<individual>/<body_part>/<photo>. Files and folders
whose names begin with a dot are skipped with a note (catalog.csv may name them). A photo at any other depth is an
error.
"""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from snowmatch.catalog.table import CSV_NAME, UNIDENTIFIED, Fields
from snowmatch.core.errors import SnowmatchError
from snowmatch.core.home import HOME
from snowmatch.core.notes import Note
from snowmatch.core.text import choices, same_name, some
from snowmatch.core.types import BODY_PARTS
from snowmatch.photos.formats import EXTENSIONS

LAYOUTS = "<individual>/<body_part>/<photo> or <location>/<individual>/<body_part>/<photo>"
_SYSTEM_FILES = re.compile(r"\.DS_Store|\._.*|thumbs\.db|desktop\.ini", re.IGNORECASE)  # left by macOS and Windows


# --- nested folders ---------------------------------------------------------------------------------------------------


def read_folders(folder: Path, notes: list[Note]) -> list[Fields]:
    """Return one row for each photo of a nested catalog, sorted by path. Remarks are added to `notes`."""
    photos = find_photos(folder, f"{CSV_NAME}, or photos in {LAYOUTS}", notes)
    return sorted((_nested_fields(folder, parts) for parts in photos), key=lambda fields: fields["path"])


def find_photos(folder: Path, expected: str, notes: list[Note]) -> list[tuple[str, ...]]:
    """Return the path of every photo in `folder` and its subfolders, as a tuple of its parts.

    expected: a description of the expected content, for the error message. Skipped files are added to `notes`. Raises
    SnowmatchError if a folder cannot be read or no photo is found.
    """
    counts: Counter[str] = Counter()
    others: Counter[str] = Counter()  # number of files that are not photos, by extension
    photos = []
    for parts in _files(folder, (), (), counts):
        extension = os.path.splitext(parts[-1])[1].lower()
        if extension in EXTENSIONS:
            photos.append(parts)
        else:
            others[extension or "without extension"] += 1
    if not photos:
        content = f" (only {some([f'{n} {ext}' for ext, n in others.most_common()])})" if others else ""
        raise SnowmatchError(f"{folder} contains no photos{content}; expected {expected}")
    if counts["hidden"]:
        text = f"{counts['hidden']} files or folders whose names begin with a dot were skipped"
        notes.append(Note("hidden-files", text, {"count": counts["hidden"]}))
    if counts["loop"]:
        text = f"{counts['loop']} links to a folder above them were skipped"
        notes.append(Note("looping-links", text, {"count": counts["loop"]}))
    if others:
        listed = some([f"{n} {ext}" for ext, n in others.most_common()])
        text = f"{sum(others.values())} files that are not photos were skipped: {listed}"
        notes.append(Note("other-files", text, dict(others)))
    return photos


def _files(folder: Path, parts: tuple[str, ...], above: tuple, counts: Counter[str]) -> Iterator[tuple[str, ...]]:
    """Yield the path of every file in `folder` and its subfolders, as a tuple of its parts.

    above: the device and inode numbers of the folders above. Links are followed, except a link to a folder above it.
    """
    try:
        status = os.stat(folder)
        with os.scandir(folder) as scan:
            entries = list(scan)
    except OSError as error:
        raise SnowmatchError(f"{folder} cannot be read: {error.strerror}") from error
    identity = (status.st_dev, status.st_ino)
    if identity in above:
        counts["loop"] += 1
        return
    for entry in entries:
        if entry.name == HOME or _SYSTEM_FILES.fullmatch(entry.name):
            continue
        if entry.name.startswith("."):
            counts["hidden"] += 1
        elif _is_folder(entry):
            yield from _files(folder / entry.name, (*parts, entry.name), (*above, identity), counts)
        else:
            yield (*parts, entry.name)


def _is_folder(entry: os.DirEntry) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # for example a link to itself; it is treated as a file, and the index run reports the error
        return False


def _nested_fields(folder: Path, parts: tuple[str, ...]) -> Fields:
    path = "/".join(parts)
    try:
        path.encode()
    except UnicodeEncodeError:
        raise SnowmatchError(f"{folder}: the file name {path!a} is not valid text: rename the file") from None
    if len(parts) not in (3, 4):
        raise SnowmatchError(
            f"{folder / path} is {len(parts) - 1} folders deep, expected {LAYOUTS}: move it, or write a {CSV_NAME}"
        )
    *place, individual, body_part, _ = parts
    if body_part not in BODY_PARTS:
        raise SnowmatchError(
            f"{folder / path}: the folder {body_part!r} is not a body part; {choices(body_part, BODY_PARTS)}, as in "
            f"{LAYOUTS}"
        )
    return {
        "path": path,
        "individual": same_name(individual) if individual != UNIDENTIFIED else None,
        "body_part": body_part,
        "location": same_name(place[0]) if place else "",
        # The same file name under two body parts of an animal is the same photo, or a crop of it
        "_photo": "/".join((*place, individual, parts[-1])),
    }
