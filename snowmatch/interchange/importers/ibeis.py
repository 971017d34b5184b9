"""A database of ibeis or wbia: `_ibsdb/_ibeis_database.sqlite3`.

Source: Erotemic/ibeis and WildMeOrg/wildbook-ia, their tables and the constants of VIEW and QUAL.
"""

from __future__ import annotations

import math
import sqlite3
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import ClassVar

from snowmatch.core.errors import SnowmatchError
from snowmatch.core.imported import Imported, ImportedRow
from snowmatch.core.notes import Note
from snowmatch.core.text import counted
from snowmatch.interchange.importers._sqlite import column_names, is_sqlite, open_sqlite, table_names
from snowmatch.interchange.importers._values import Box, around, as_text, name_or_none, side

PLACES = ("_ibsdb/_ibeis_database.sqlite3", "_ibsdb/_wbia_database.sqlite3", "_ibeis_database.sqlite3")
NEEDED = {"annotations", "images", "names"}
_VIEWS = "right frontright front frontleft left backleft back backright up upfront upback upleft upright upfrontleft "
_VIEWS += "upfrontright upbackleft upbackright down downfront downback downleft downright downfrontleft "
VIEWS = dict(enumerate((_VIEWS + "downfrontright downbackleft downbackright").split(), start=1))
QUALITIES = {1: "junk", 2: "poor", 3: "ok", 4: "good", 5: "excellent"}


@dataclass(frozen=True)
class Ibeis:
    """A database of ibeis or wbia: its folder, or the SQLite file."""

    REVISION: ClassVar[int] = 1
    FORMAT: ClassVar[str] = "an ibeis or wbia database (_ibsdb)"

    def looks_like(self, source: Path) -> float:
        """Return 0.95 for a folder with the database of ibeis, or that file."""
        path = _database(source)
        return 0.95 * (path is not None and is_sqlite(path))

    def read(self, source: Path) -> Imported:
        """Return one row for each annotation. Raises SnowmatchError if a table is missing."""
        path = _database(source)
        if path is None:
            raise SnowmatchError(f"{source} has no {PLACES[0]}, expected a database of ibeis or wbia")
        rows, problems, notes = [], [], []
        with open_sqlite(path) as database:
            if missing := NEEDED - table_names(database):
                raise SnowmatchError(f"{path} has no table {min(missing)}, expected a database of ibeis or wbia")
            turned = 0
            for one in database.execute(_query(database, path)):
                where = f"annotation {one['annot_rowid']}"
                box = _box(one)
                if box is not None and not (box[2] > 0 and box[3] > 0):
                    problems.append(f"{where}: the box {box} is not allowed; expected a width and a height above 0")
                    continue
                if not one["image_uri"]:
                    problems.append(f"{where}: no image {one['image_rowid']} in the table images")
                    continue
                theta = _angle(one["annot_theta"])
                if theta is None:
                    problems.append(f"{where}: the angle {one['annot_theta']!r} is not allowed; expected radians")
                    continue
                turned += bool(theta)
                rows.append(_row(one, around(box, theta=theta) if box and theta else box, source, where))
        if turned:
            text = (
                f"{counted(turned, 'annotation')} turned: the upright box around each is taken, the angle is kept "
                "as theta"
            )
            notes.append(Note("turned-boxes", text))
        if any("timestamp" in row.cells for row in rows):
            notes.append(Note("times-of-ibeis", "times were read as the camera's clock, as ibeis stores them"))
        folder = path.parent
        return Imported(tuple(rows), (folder / "images", folder.parent, folder), (), tuple(notes), tuple(problems))


def _row(one: sqlite3.Row, box: Box | None, source: Path, where: str) -> ImportedRow:
    view = VIEWS.get(one["annot_viewpoint_int"], "") or as_text(one["annot_viewpoint"])
    seconds = one["image_time_posix"]
    cells = {
        "individual": name_or_none(as_text(one["name_text"])),
        "body_part": side(view),
        "viewpoint": view,
        "timestamp": _time(seconds),
        "sex": {0: "female", 1: "male"}.get(one["name_sex"], ""),
        "species": as_text(one["species_text"]).replace("_", " "),
        "quality": QUALITIES.get(one["annot_quality"], ""),
        "note": as_text(one["annot_note"]),
        "theta": f"{_angle(one['annot_theta']):.6g}" if one["annot_theta"] else "",
        "original_name": as_text(one["image_original_name"]),
        "image": as_text(one["image_uuid"]),
    }
    width, height = one["image_width"], one["image_height"]
    size = (width, height) if type(width) is int and type(height) is int and min(width, height) > 0 else None
    key = as_text(one["annot_uuid"]) or f"{source.name}/{one['annot_rowid']}"
    kept = {column: value for column, value in cells.items() if value and value != "____"}
    return ImportedRow(as_text(one["image_uri"]), key, kept, box, "px", size, where)


def _query(database: sqlite3.Connection, path: Path) -> str:
    """Return the query for all annotations. Columns that this version of the program lacks are empty."""
    wanted = {
        "annotations": "annot_rowid annot_uuid annot_xtl annot_ytl annot_width annot_height annot_theta annot_note "
        "annot_viewpoint annot_viewpoint_int annot_quality image_rowid",
        "images": "image_uuid image_uri image_original_name image_width image_height image_time_posix",
        "names": "name_text name_sex",
        "species": "species_text",
    }
    tables = table_names(database)
    columns = []
    for table, names in wanted.items():
        has = column_names(database, table) if table in tables else set()
        columns += [f"{table}.{name} AS {name}" if name in has else f"NULL AS {name}" for name in names.split()]
    own = column_names(database, "annotations")
    if not {"annot_rowid", "image_rowid", "annot_xtl"} <= own:
        raise SnowmatchError(f"{path} has other columns in its table annotations, expected a database of ibeis or wbia")
    joins = "LEFT JOIN images ON images.image_rowid = annotations.image_rowid"
    if "name_rowid" in own:
        joins += " LEFT JOIN names ON names.name_rowid = annotations.name_rowid"
    else:
        joins += " LEFT JOIN names ON 0"
    if "species" in tables:
        joins += " LEFT JOIN species ON "
        joins += "species.species_rowid = annotations.species_rowid" if "species_rowid" in own else "0"
    return f"SELECT {', '.join(columns)} FROM annotations {joins} ORDER BY annotations.annot_rowid"


def _box(one: sqlite3.Row) -> Box | None:
    numbers = [one[f"annot_{name}"] for name in ("xtl", "ytl", "width", "height")]
    if any(not isinstance(number, int | float) for number in numbers):
        return None
    x, y, width, height = map(float, numbers)
    return x, y, width, height


def _angle(value: object) -> float | None:
    """Return an angle (radians), 0 for none; None for what is no number."""
    if value is None:
        return 0.0
    return float(value) if isinstance(value, int | float) and math.isfinite(value) else None


def _time(seconds: object) -> str:
    """Return the time of an image; "" for none. ibeis stores the camera's clock as if it were UTC."""
    if not isinstance(seconds, int | float) or seconds <= 0:
        return ""
    try:
        return datetime.fromtimestamp(seconds, UTC).replace(tzinfo=None).isoformat(timespec="seconds")
    except (ValueError, OverflowError, OSError):
        return ""


def _database(source: Path) -> Path | None:
    if source.suffix.lower() == ".sqlite3":
        return source if source.name in {Path(place).name for place in PLACES} else None
    return next((source / place for place in PLACES if (source / place).is_file()), None)


PLUGIN = Ibeis
