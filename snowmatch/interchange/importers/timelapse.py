"""Timelapse: its CSV export, and its data file (.ddb). Source: saulgreenberg/Timelapse on GitHub."""

from __future__ import annotations

import sqlite3
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import ClassVar

from snowmatch.catalog.sheet import plain_heading
from snowmatch.catalog.species import BLANK, NO_ANIMAL, NOTHING, PEOPLE, label_of
from snowmatch.core.errors import SnowmatchError
from snowmatch.core.imported import Imported, ImportedRow, Named
from snowmatch.core.notes import Note
from snowmatch.core.text import counted, number_in, some
from snowmatch.interchange.importers._columns import photo_table
from snowmatch.interchange.importers._sqlite import column_names, is_sqlite, open_sqlite, table_names
from snowmatch.interchange.importers._tables import headings_of, need, read_rows
from snowmatch.interchange.importers._values import (
    Box,
    as_text,
    by_levels,
    four_numbers,
    name_or_none,
    place_folders,
    station_levels,
    third_level,
    with_persons,
)
from snowmatch.interchange.importers.table import reader_notes
from snowmatch.photos.formats import VIDEO_EXTENSIONS

REQUIRED = ("file", "relative_path")
ANIMAL = "animal"
# Columns of Timelapse, and meanings of columns, that say nothing of what a photo shows
ABOUT_FILE = {"file", "relative_path", "root_folder", "folder", "id", "date_time", "date", "time", "utc_offset",
              "image_quality", "delete_flag"}  # fmt: skip
ABOUT_PLACE = {"location", "station", "camera", "timestamp", "date", "time", "encounter", "source_id", "x", "y", "crs"}
USUAL = {"1": ANIMAL, "2": "person", "3": "vehicle"}  # the categories, where the file does not name them


@dataclass(frozen=True)
class Timelapse:
    """Timelapse's CSV or .ddb. A box of its recognitions is taken if the photo has one animal.

    threshold: lowest confidence of an animal in the recognitions of a .ddb. empty: keep photos whose species is a word
    such as Empty, or of which no column tells of an animal and whose recognitions are of nothing, with the species
    `nothing`.
    """

    REVISION: ClassVar[int] = 1
    FORMAT: ClassVar[str] = "Timelapse (CSV or .ddb)"

    threshold: float = 0.2
    empty: bool = False

    def __post_init__(self) -> None:
        if not 0 <= self.threshold <= 1:
            raise ValueError(f"threshold is {self.threshold}, expected 0 to 1")

    def looks_like(self, source: Path) -> float:
        """Return 0.9 for a .ddb, 0.7 for a table with File, RelativePath and DeleteFlag."""
        path = _data_file(source)
        if path is not None:
            return 0.9 * is_sqlite(path)
        return 0.7 if {*REQUIRED, "delete_flag"} <= set(headings_of(source)) else 0.0

    def read(self, source: Path) -> Imported:
        """Return one row for each animal in a photo that counts. Raises SnowmatchError for other files."""
        notes: list[Note] = []
        problems: list[str] = []
        path = _data_file(source)
        detected = _Detected()
        if path is None:
            path = source
            table = read_rows(source, notes, problems)
            need(table, REQUIRED, "Timelapse")
            headings, lines = table.headings, [(f"{source.name} line {line}", cells) for line, cells in table]
        else:
            headings, lines, detected = self._database(path, problems)
        rows, photos, left_out, several = _rows(headings, lines, detected, self.empty, notes, problems)
        if several:
            text = f"{counted(len(several), 'photo')} with several animals: none of the boxes is taken: {some(several)}"
            notes.append(Note("several-boxes", text, {"count": len(several)}))
        return Imported(
            tuple(rows), (path.parent,), (), tuple(notes), tuple(problems), dict(left_out), photos=tuple(photos)
        )

    def _database(
        self, path: Path, problems: list[str]
    ) -> tuple[tuple[str, ...], list[tuple[str, dict[str, str]]], _Detected]:
        """Return the headings, the rows and the recognitions of a .ddb."""
        with open_sqlite(path) as database:
            tables = table_names(database)
            if "DataTable" not in tables:
                raise SnowmatchError(f"{path} has no DataTable, expected a data file of Timelapse (.ddb)")
            _need_columns(database, path, "DataTable", {"Id", "File", "RelativePath"})
            found = database.execute("SELECT * FROM DataTable ORDER BY RelativePath, File").fetchall()
            detected = self._detected(database, path, problems) if "Detections" in tables else _Detected()
        lines = [
            (f"{path.name} Id {row['Id']}", {plain_heading(k): as_text(row[k]) for k in row.keys()})  # noqa: SIM118
            for row in found
        ]
        headings = tuple(lines[0][1]) if lines else ()
        return headings, lines, detected

    def _detected(self, database: sqlite3.Connection, path: Path, problems: list[str]) -> _Detected:
        names = {}
        _need_columns(database, path, "Detections", {"Id", "category", "conf", "bbox"})
        if "DetectionCategories" in table_names(database):
            _need_columns(database, path, "DetectionCategories", {"category", "label"})
            names = {
                as_text(row["category"]): as_text(row["label"])
                for row in database.execute("SELECT * FROM DetectionCategories")
            }
        found = _Detected()
        for row in database.execute("SELECT * FROM Detections"):
            key, category = as_text(row["Id"]), as_text(row["category"])
            label = label_of(names.get(category, USUAL.get(category, ""))).lower()
            found.looked_at.add(key)
            if label in ("", NOTHING):
                continue
            try:
                confidence = float(row["conf"] or 0)
                box = four_numbers(as_text(row["bbox"])) if label == ANIMAL else None
            except (TypeError, ValueError):
                problems.append(
                    f"detection of Id {as_text(row['Id'])}: the box {as_text(row['bbox'])!r} or its confidence "
                    "is not allowed; expected x, y, width, height as shares of the photo"
                )
                continue
            sure = confidence >= self.threshold
            if label in NO_ANIMAL:
                (found.persons if label in PEOPLE else found.vehicles).update({key} if sure else ())
            else:
                (found.animals if sure else found.unsure).add(key)
            if box is not None and sure and box[2] > 0 and box[3] > 0:
                found.boxes[key].append(box)
        return found


@dataclass
class _Detected:
    """The recognitions of a data file, by the Id of the photo: the boxes of animals, and which photos have what.

    looked_at: with any recognition, also of nothing. unsure: with an animal below the threshold; the others are from
    the threshold up.
    """

    boxes: dict[str, list[Box]] = field(default_factory=lambda: defaultdict(list))
    looked_at: set[str] = field(default_factory=set)
    animals: set[str] = field(default_factory=set)
    unsure: set[str] = field(default_factory=set)
    persons: set[str] = field(default_factory=set)
    vehicles: set[str] = field(default_factory=set)


def _rows(
    headings: tuple[str, ...],
    lines: Sequence[tuple[str, dict[str, str]]],
    detected: _Detected,
    empty: bool,
    notes: list[Note],
    problems: list[str],
) -> tuple[list[ImportedRow], list[Named], Counter[str], list[str]]:
    own = {"file": "path", "relative_path": "folder"}
    if "root_folder" in headings:
        own["root_folder"] = "-"
    reader = photo_table([h for h in headings if h != "id"], (cells for _, cells in lines), own)
    third = third_level(place_folders(reader.photo(cells)) for _, cells in lines)
    rows: list[ImportedRow] = []
    photos: list[Named] = []
    left_out: Counter[str] = Counter()
    several, unsure, persons = [], [], []
    for where, cells in lines:
        cells = _at_local_time(cells)
        if not cells["file"]:
            problems.append(f"{where}: no photo; expected its name in the column File")
            continue
        photos.append((reader.photo(cells), ()))
        if cells.get("delete_flag", "").lower() in ("true", "1"):
            left_out["photos marked for deletion"] += 1
            continue
        if Path(cells["file"]).suffix.lower() in VIDEO_EXTENSIONS:
            left_out["videos"] += 1
            continue
        label, nameless = label_of(reader.cell(cells, "species")), not name_or_none(reader.cell(cells, "individual"))
        key = cells.get("id", "")
        recognized = key in detected.looked_at and key not in detected.animals
        if nameless and not label and recognized and _shows_no_animal(cells, reader.meaning):
            label = "person" if key in detected.persons else "vehicle" if key in detected.vehicles else NOTHING
            unsure += [reader.photo(cells)] if key in detected.unsure else []
        species = label if nameless else ""
        if species.casefold() in NO_ANIMAL:
            left_out["photos of people or vehicles"] += 1
            continue
        if species == NOTHING and not empty:
            left_out["empty photos"] += 1
            continue
        named = _each_animal({**cells, "delete_flag": ""}, reader.meaning)
        animals = [] if species == NOTHING else detected.boxes.get(key, [])
        if len(animals) > 1:
            several.append(reader.photo(cells))
        nothing = {"species": species} if label == NOTHING else {}
        if label == NOTHING and not nameless:
            left_out["words such as Empty for named animals"] += 1
        persons += [reader.photo(cells)] if key in detected.persons else []
        known = {"data_id": key} if key else {}  # of the data file; photos are found by their paths
        for one in named:
            row = reader.row(one, where, "share", problems)
            above = place_folders(row.photo)
            places = {} if row.cells.get("station") else by_levels(above, station_levels(above, third))
            box = animals[0] if len(animals) == len(named) == 1 else row.box
            rows.append(replace(row, cells={**places, **known, **row.cells, **nothing}, box=box, unit="share"))
    notes += [*reader_notes(reader), *with_persons(persons)]
    if unsure:
        text = f"{counted(len(unsure), 'photo')} with animals below the threshold alone, which nobody has labelled, "
        notes.append(Note("below-threshold", f"{text}count as without one: {some(unsure)}", {"count": len(unsure)}))
    return rows, photos, left_out, several


def _at_local_time(cells: dict[str, str]) -> dict[str, str]:
    """Return the cells of a photo with its local time: versions before 2.3 wrote UTC, and the hours to add to it."""
    taken, hours = cells.get("date_time", ""), number_in(cells.get("utc_offset", ""))
    if not taken.endswith("Z") or not hours:
        return cells
    try:
        moment = datetime.fromisoformat(taken.removesuffix("Z")) + timedelta(hours=float(hours))
    except (ValueError, OverflowError):
        return cells  # the check of all times says what is wrong
    return {**cells, "date_time": moment.isoformat(timespec="seconds")}


def _shows_no_animal(cells: Mapping[str, str], meaning: Mapping[str, str]) -> bool:
    """Return whether the row of a photo tells of no animal: what a person may fill in is empty, false or 0.

    So are words such as Empty or Human, and what stands in a column with such a heading.
    """
    none = BLANK | NO_ANIMAL
    told = (
        text
        for heading, text in cells.items()
        if heading not in ABOUT_FILE
        and meaning.get(heading) not in ABOUT_PLACE
        and heading.replace("_", " ") not in none
    )
    return all(text.casefold() in none | {"false", "0"} for text in map(name_or_none, told) if text)


def _each_animal(cells: Mapping[str, str], meaning: Mapping[str, str]) -> list[Mapping[str, str]]:
    """Return the cells of each animal in a photo: snowmatch's export joins names, and body parts, by "; "."""
    split = {h: cells[h].split("; ") for h, column in meaning.items() if column in ("individual", "body_part")}
    number = max((len(values) for h, values in split.items() if meaning[h] == "individual"), default=1)
    alike = {h: values for h, values in split.items() if len(values) == number}
    return [{**cells, **{h: values[n] for h, values in alike.items()}} for n in range(number)]


def _need_columns(database: sqlite3.Connection, path: Path, table: str, needed: set[str]) -> None:
    """Raise SnowmatchError if a table lacks a column."""
    if missing := needed - column_names(database, table):
        raise SnowmatchError(f"{path} has no column {min(missing)} in {table}, expected a data file of Timelapse 2")


def _data_file(source: Path) -> Path | None:
    """Return the .ddb that is meant: the file itself, or the only one in a folder."""
    if source.suffix.lower() == ".ddb":
        return source
    if source.is_dir():
        try:
            found = sorted(source.glob("*.ddb"))
        except OSError:
            return None
        return found[0] if len(found) == 1 else None
    return None


PLUGIN = Timelapse
