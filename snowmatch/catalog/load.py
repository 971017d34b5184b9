"""Reading a catalog: `catalog.csv` or nested folders become annotations, and every encounter gets a name.

`folders` and `table` describe the two forms. This module does not check that the photos exist. The index run reads all
photos and reports those that fail.
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
    """The annotations of the catalog in `folder`, in the order of the csv or sorted by path.

    notes: what was skipped or changed when the catalog was read.
    """

    folder: Path
    annotations: tuple[Annotation, ...]
    notes: tuple[Note, ...]


def load_catalog(folder: Path, exif_times: Callable[[str], datetime | None] | None = None) -> CatalogData:
    """Return the catalog in `folder`, read from its catalog.csv, or from its nested folders if it has no catalog.csv.

    exif_times: a function that returns the time of a photo (path as in the catalog), for rows without a timestamp; by
    default the photo is read. Nothing is written. Raises SnowmatchError if the folder contains no catalog or a value is
    not allowed.
    """
    folder = Path(folder)
    if not os.path.isdir(folder):  # Path.is_dir can raise an error: the name is too long, or a folder is not accessible
        if os.path.isfile(folder):
            hint = f": use {folder.parent}" if folder.name == CSV_NAME else ""
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
    """Return `name`. Raises SnowmatchError, which lists the body parts, if `name` is not a body part."""
    if name not in BODY_PARTS:
        raise SnowmatchError(f"{name!r} is not a body part; {choices(name, BODY_PARTS)}")
    return name


def check_locations(data: CatalogData, names: Iterable[str]) -> None:
    """Check that all `names` are locations of the catalog. Raises SnowmatchError, which lists the locations, if not."""
    known = sorted({a.location for a in data.annotations if a.location})
    for name in names:
        if name not in known:
            has = (
                f"it has: {', '.join(known)}{did_you_mean(name, known)}"
                if known
                else "none of its photos has a location"
            )
            raise SnowmatchError(f"{data.folder} has no location {name!r}; {has}")


# --- names, time and encounters ---------------------------------------------------------------------------------------


def _note_doubtful_names(rows: list[Fields], notes: list[Note]) -> None:
    individuals = {fields["individual"] for fields in rows if fields.get("individual")}
    if doubtful := sorted(name for name in individuals if name.lower() in _NO_NAMES):
        text = (
            f"{some(doubtful)} is read as the name of one animal; for unidentified animals leave the cell in "
            f"{CSV_NAME} empty, or use the folder {UNIDENTIFIED}"
        )
        notes.append(Note("doubtful-names", text, {"names": doubtful}))
    places: dict[str, set[str]] = defaultdict(set)
    for fields in rows:
        if fields.get("encounter"):
            places[fields["encounter"]].add(fields.get("location", ""))
    if spread := sorted(name for name, where in places.items() if len(where) > 1):
        text = (
            f"{len(spread)} encounters are in several locations, so two encounters may share one name: {some(spread)}"
        )
        notes.append(Note("encounters-in-several-locations", text, {"encounters": spread}))
