"""TrapTagger's CSV. Source: WildEyeConservation/TrapTagger on GitHub, the columns of its CSV export."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar

from snowmatch.core.errors import SnowmatchError
from snowmatch.core.imported import Imported, ImportedRow, Named
from snowmatch.core.notes import Note
from snowmatch.core.text import counted
from snowmatch.interchange.importers._columns import photo_table
from snowmatch.interchange.importers._tables import headings_of, read_rows
from snowmatch.interchange.importers._values import listed_names, name_or_none
from snowmatch.interchange.importers.table import reader_notes

# Columns that name animals: of one photo first, since a whole cluster may hold several animals
INDIVIDUALS = ("image_individuals", "image_individuals_1", "individual")
NO_ANIMAL = {"nothing", "knocked down", "vehicles/humans/livestock"}  # labels that TrapTagger has for all surveys
PHOTO = ("location", "station", "timestamp")  # with the name of the file, they tell photos apart
KNOWN = ("trapgroup", "survey", "cluster", "capture", "image_individuals", "image_labels", "unique_capture")


@dataclass(frozen=True)
class TrapTagger:
    """TrapTagger's CSV with a row for each image; image_individuals gives one row for each animal."""

    REVISION: ClassVar[int] = 1
    FORMAT: ClassVar[str] = "TrapTagger's CSV"

    def looks_like(self, source: Path) -> float:
        """Return 0.8 for a table with an image, a trapgroup and another column that TrapTagger alone has."""
        headings = set(headings_of(source))
        return 0.8 if {"image", "trapgroup"} <= headings and len(headings & set(KNOWN)) > 1 else 0.0

    def read(self, source: Path) -> Imported:
        """Return the rows. Raises SnowmatchError if the rows are not of images."""
        notes: list[Note] = []
        problems: list[str] = []
        table = read_rows(source, notes, problems)
        if "image" not in table.headings:
            raise SnowmatchError(f"{source} has no column image; expected TrapTagger's CSV on the level of images")
        named = next((h for h in INDIVIDUALS if h in table.headings), "")
        own = {"image": "path", "trapgroup": "station", "survey": "location", "image_labels": "species"}
        used = {h: c for h, c in own.items() if h in table.headings} | ({named: "individual"} if named else {})
        reader = photo_table(table.headings, (cells for _, cells in table), used)
        rows: list[ImportedRow] = []
        base_of: dict[tuple[str, ...], str] = {}
        photos: dict[Named, None] = {}
        empty = without = 0
        for line, cells in table:
            where = f"{source.name} line {line}"
            if not cells["image"]:
                problems.append(f"{where}: no photo; expected its path in the column image")
                continue
            photos[cells["image"], ()] = None
            told = listed_names(cells.get(named, ""))
            names = [name for part in told if (name := name_or_none(part))]
            seen = [label for part in listed_names(cells.get("image_labels", "x")) if (label := name_or_none(part))]
            if not names and not seen:
                empty += 1
                continue
            if not names and {label.lower() for label in seen} <= NO_ANIMAL:
                without += 1
                continue
            one = {**cells, named: ""} if named else cells
            row = reader.row(one, where, "share", problems)
            cleaned = {key: value for key, value in row.cells.items() if name_or_none(value)}
            cleaned["species"] = ", ".join(seen) if "image_labels" in cells else cleaned.get("species", "")
            base = cells["image"] if reader.repeated[cells["image"]] == 1 else row.source_id
            base = base_of.setdefault((cells["image"], *(row.cells.get(name, "") for name in PHOTO)), base)
            rows += [
                replace(row, source_id=f"{base}@{name}", cells={**cleaned, "individual": name}) for name in names
            ] or [replace(row, source_id=base, cells={**cleaned, "individual": next(iter(told), "")})]
        stations, _ = reader.stations()
        counts = {"photos without a label": empty, "photos without a wild animal": without}
        left = {what: number for what, number in counts.items() if number}
        if not named:
            text = f"no column image_individuals: {counted(len(rows), 'photo')} without a name"
            notes.append(Note("no-individuals", text))
        return Imported(
            _once(rows), (source.parent,), tuple(stations), (*notes, *reader_notes(reader)), tuple(problems), left,
            photos=tuple(photos),
        )  # fmt: skip


def _once(rows: Iterable[ImportedRow]) -> tuple[ImportedRow, ...]:
    """Return the rows, each animal once with all its labels: a photo may have a line for each label."""
    found: dict[str, ImportedRow] = {}
    for row in rows:
        first = found.setdefault(row.source_id, row)
        if first is not row:
            labels = [label for each in (first, row) for label in each.cells["species"].split(", ") if label]
            cells = {**first.cells, "species": ", ".join(dict.fromkeys(labels))}
            found[row.source_id] = replace(first, cells=cells)
    return tuple(found.values())


PLUGIN = TrapTagger
