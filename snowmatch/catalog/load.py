"""What is on record: `catalog.csv` or nested folders as annotations, with every encounter named.

The nested form is <individual>/<body_part>/<photo> or <location>/<individual>/<body_part>/<photo>. There, what begins
with a dot is left out with a note (in the csv it may be named), and photos at any other depth are an error. Whether
photos exist is not asked here: the index run reads them all and lists those that fail.
"""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from snowmatch.catalog.encounters import fill_times, name_encounters
from snowmatch.catalog.folders import read_folders
from snowmatch.catalog.table import CSV_NAME, UNIDENTIFIED, Fields, read_csv
from snowmatch.core.errors import SnowmatchError
from snowmatch.core.notes import Note
from snowmatch.core.text import choices, did_you_mean, some
from snowmatch.core.types import BODY_PARTS, Annotation
from snowmatch.photos.exif import read_timestamp

_NO_NAMES = {"unknown", "unidentified", "unid", "none", "nan", "null", "na", "n/a", "?", "-"}


@dataclass(frozen=True)
class CatalogData:
    """All on record in `folder`, in the csv's order or sorted by path; `notes` tell what was left out or changed."""

    folder: Path
    annotations: tuple[Annotation, ...]
    notes: tuple[Note, ...]


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
    notes: list[Note] = []
    rows = read_csv(csv_path, notes) if os.path.exists(csv_path) else read_folders(folder, notes)
    _note_doubtful_names(rows, notes)
    fill_times(rows, exif_times or (lambda path: read_timestamp(folder / path)))
    name_encounters(rows)
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


# --- names, time and encounters ---------------------------------------------------------------------------------------


def _note_doubtful_names(rows: list[Fields], notes: list[Note]) -> None:
    individuals = {fields["individual"] for fields in rows if fields.get("individual")}
    if doubtful := sorted(name for name in individuals if name.lower() in _NO_NAMES):
        text = (
            f"{some(doubtful)} is taken for the name of one animal; unidentified ones have an empty cell in "
            f"{CSV_NAME}, or the folder {UNIDENTIFIED}"
        )
        notes.append(Note("doubtful-names", text, {"names": doubtful}))
    places: dict[str, set[str]] = defaultdict(set)
    for fields in rows:
        if fields.get("encounter"):
            places[fields["encounter"]].add(fields.get("location", ""))
    if spread := sorted(name for name, where in places.items() if len(where) > 1):
        text = f"{len(spread)} encounters lie in several locations, so their names may clash: {some(spread)}"
        notes.append(Note("encounters-in-several-locations", text, {"encounters": spread}))
