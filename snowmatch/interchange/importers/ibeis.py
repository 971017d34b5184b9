"""A database of ibeis or wbia: `_ibsdb/_ibeis_database.sqlite3`.

Source: Erotemic/ibeis and WildMeOrg/wildbook-ia, their tables and the constants of VIEW, QUAL, EVIDENCE_DECISION,
META_DECISION and CONFIDENCE.
"""

from __future__ import annotations

import math
import sqlite3
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import ClassVar
from uuid import UUID

from snowmatch.core.errors import SnowmatchError
from snowmatch.core.imported import Imported, ImportedAnswer, ImportedRow
from snowmatch.core.notes import Note
from snowmatch.core.text import counted
from snowmatch.interchange.importers._sqlite import column_names, is_sqlite, open_sqlite, table_names
from snowmatch.interchange.importers._values import Box, around, as_text, side

PLACES = ("_ibsdb/_ibeis_database.sqlite3", "_ibsdb/_wbia_database.sqlite3", "_ibeis_database.sqlite3")
NEEDED = {"annotations", "images", "names"}
_VIEWS = "right frontright front frontleft left backleft back backright up upfront upback upleft upright upfrontleft "
_VIEWS += "upfrontright upbackleft upbackright down downfront downback downleft downright downfrontleft "
VIEWS = dict(enumerate((_VIEWS + "downfrontright downbackleft downbackright").split(), start=1))
ANSWERS = {0: "different", 1: "same", 2: "cannot_tell", 3: "cannot_tell"}  # not comparable, and unknown
REVIEWED = "annot_rowid1 annot_rowid2 annotmatch_evidence_decision annotmatch_meta_decision annotmatch_confidence "
REVIEWED += "annotmatch_reviewer annotmatch_posixtime_modified annotmatch_tag_text"
ALGORITHM = "algo:"  # reviewers that are no persons begin so, and persons with USER
USER = "user:"
LATEST = 4102444800  # the year 2100, in seconds since 1970
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
        """Return one row for each annotation, and what persons reviewed. Raises SnowmatchError without a table."""
        path = _database(source)
        if path is None:
            raise SnowmatchError(f"{source} has no {PLACES[0]}, expected a database of ibeis or wbia")
        rows, problems = [], []
        notes: list[Note] = []
        with open_sqlite(path) as database:
            if missing := NEEDED - table_names(database):
                raise SnowmatchError(f"{path} has no table {min(missing)}, expected a database of ibeis or wbia")
            turned = 0
            keys: dict[object, str] = {}
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
                keys[one["annot_rowid"]] = rows[-1].source_id
            answers = _answers(database, keys, notes)
        if turned:
            text = (
                f"{counted(turned, 'annotation')} turned: the upright box around each is taken, the angle is kept "
                "as theta"
            )
            notes.append(Note("turned-boxes", text))
        if any("timestamp" in row.cells for row in rows):
            notes.append(Note("times-of-ibeis", "times were read as the camera's clock, as ibeis stores them"))
        folder = path.parent
        roots = (folder / "images", folder.parent, folder)
        return Imported(tuple(rows), roots, notes=tuple(notes), problems=tuple(problems), answers=answers)


def _row(one: sqlite3.Row, box: Box | None, source: Path, where: str) -> ImportedRow:
    view = VIEWS.get(one["annot_viewpoint_int"], "") or as_text(one["annot_viewpoint"])
    seconds = one["image_time_posix"]
    cells = {
        "individual": as_text(one["name_text"]),
        "body_part": side(view),
        "viewpoint": view,
        "timestamp": _time(seconds),
        "sex": {0: "female", 1: "male"}.get(one["name_sex"], ""),
        "species": as_text(one["species_text"]).replace("_", " "),
        "quality": QUALITIES.get(one["annot_quality"], ""),
        "note": as_text(one["annot_note"]),
        "theta": f"{_angle(one['annot_theta']):.6g}" if one["annot_theta"] else "",
        "original_name": as_text(one["image_original_name"]),
        "image": _uuid(one["image_uuid"]),
        "annotation": _uuid(one["annot_uuid"]),
    }
    width, height = one["image_width"], one["image_height"]
    size = (width, height) if type(width) is int and type(height) is int and min(width, height) > 0 else None
    key = _uuid(one["annot_uuid"]) or f"{source.name}/{one['annot_rowid']}"
    kept = {column: value for column, value in cells.items() if value and value != "____"}
    return ImportedRow(as_text(one["image_uri"]), key, kept, box, "px", size, where)


def _answers(database: sqlite3.Connection, keys: Mapping[object, str], notes: list[Note]) -> tuple[ImportedAnswer, ...]:
    """Return the reviews of pairs by persons. keys: identifiers of the rows, by annot_rowid."""
    has = column_names(database, "annotmatch") if "annotmatch" in table_names(database) else set()
    if not {"annot_rowid1", "annot_rowid2", "annotmatch_evidence_decision"} <= has:
        return ()
    columns = ", ".join(name if name in has else f"NULL AS {name}" for name in REVIEWED.split())
    found, left_out = [], Counter[str]()
    for one in database.execute(f"SELECT {columns} FROM annotmatch ORDER BY rowid"):
        answer = ANSWERS.get(one["annotmatch_evidence_decision"], "")
        known = ANSWERS.get(one["annotmatch_meta_decision"], "")  # not from the photos, such as a collar
        answer = known if known and answer in ("", "cannot_tell") else answer
        sides = keys.get(one["annot_rowid1"]), keys.get(one["annot_rowid2"])
        if not answer or None in sides or sides[0] == sides[1]:
            continue
        observer, seconds = as_text(one["annotmatch_reviewer"]), one["annotmatch_posixtime_modified"]
        if observer.startswith(ALGORITHM):
            left_out["by a program"] += 1
        elif not isinstance(seconds, int | float) or not 0 < seconds < LATEST:
            left_out["without a date"] += 1
        else:
            sure = one["annotmatch_confidence"]
            name = observer.removeprefix(USER).strip() or "ibeis"
            certainty = int(sure) if sure in (1, 2, 3, 4) else None
            note = as_text(one["annotmatch_tag_text"])
            found.append(ImportedAnswer(str(sides[0]), str(sides[1]), answer, name, float(seconds), certainty, note))
    if left_out:
        told = ", ".join(f"{n} {why}" for why, n in sorted(left_out.items()))
        notes.append(Note("reviews-left-out", f"reviews of pairs left out: {told}"))
    return tuple(found)


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


def _uuid(value: object) -> str:
    """Return an identifier as text. ibeis stores UUIDs as 16 bytes, the first three parts with the last byte first."""
    return str(UUID(bytes_le=value)) if isinstance(value, bytes) and len(value) == 16 else as_text(value)


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
