"""Tables of photos from spreadsheets and scripts: CSV or Excel, with any usual headings."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from snowmatch.catalog.sheet import plain_heading
from snowmatch.core.errors import SnowmatchError
from snowmatch.core.imported import Imported
from snowmatch.core.notes import Note
from snowmatch.core.text import choices, counted, some
from snowmatch.interchange.importers._columns import SPELLINGS, PhotoTable, has_photos, photo_table
from snowmatch.interchange.importers._tables import headings_of, read_rows
from snowmatch.interchange.importers._values import MISSING

# Headings of boxes that are less usual; four of them are needed
LIKE_BOX = re.compile(r"((b?box|roi|bb)_?)?(x_?[012]|y_?[012]|left|top|right|bottom|x|y|w|h|width|height)")


@dataclass(frozen=True)
class Table:
    """A table of photos with usual headings, such as File, Cat ID, Side, Date, Time, Station.

    columns: what other headings mean, such as individual=Cat number,station=Place (the headings without commas).
    """

    REVISION: ClassVar[int] = 1
    FORMAT: ClassVar[str] = "a table of photos (CSV or Excel)"

    columns: str = ""

    def __post_init__(self) -> None:
        for pair in filter(None, self.columns.split(",")):
            column, equals, heading = pair.partition("=")
            if not equals or not heading.strip() or column.strip() not in SPELLINGS:
                raise ValueError(f"columns has {pair!r}; {choices(column.strip(), list(SPELLINGS))}, then =HEADING")

    def looks_like(self, source: Path) -> float:
        """Return 0.3 for a table with a column of photos, or any table if the settings name its columns."""
        headings = headings_of(source)
        return 0.3 if has_photos(headings) or (self.columns and len(headings) > 1) else 0.0

    def read(self, source: Path) -> Imported:
        """Return one row for each line. Raises SnowmatchError if there is no column of photos."""
        notes: list[Note] = []
        problems: list[str] = []
        table = read_rows(source, notes, problems)
        own = {}
        for pair in filter(None, self.columns.split(",")):
            column, _, heading = pair.partition("=")
            if plain_heading(heading) not in table.headings:
                known = ", ".join(filter(None, table.headings))
                raise SnowmatchError(f"{source} has no column {heading.strip()!r}; it has: {known}")
            own[plain_heading(heading)] = column.strip()
        reader = photo_table(table.headings, (cells for _, cells in table), own)
        if "path" not in reader.meaning.values():
            raise SnowmatchError(
                f"{source} has no column of photos in {', '.join(filter(None, table.headings)) or 'an empty file'}; "
                "expected one called File, Filename or Path"
            )
        rows = []
        twice = 0
        lines: dict[str, str] = {}  # where each identifier is
        for line, cells in table:
            where = f"{source.name} line {line}"
            if reader.is_repeat(cells):
                twice += 1
                continue
            if not reader.photo(cells):
                problems.append(
                    f"{where}: no photo; expected its path in the column {_heading(reader.meaning, 'path')}"
                )
                continue
            name = reader.cell(cells, "source_id")
            if name not in ("", *MISSING) and (first := lines.setdefault(name, where)) is not where:
                heading = _heading(reader.meaning, "source_id")
                problems.append(
                    f"{where}: the identifier {name!r} is already that of {first}, in the column {heading}; expected "
                    "another one in each row: if the column has no identifiers of rows, give it another heading"
                )
            rows.append(reader.row(cells, where, "px", problems))
        if not rows and not problems:
            raise SnowmatchError(f"{source} has no rows below its header, expected one row per animal in a photo")
        notes += [*reader_notes(reader), *_unread_boxes(reader)]
        stations, several = reader.stations()
        if several:
            text = (
                f"{counted(len(several), 'station')} with several positions left out of the stations: {some(several)}"
            )
            notes.append(Note("stations-with-positions", text))
        left = {"lines that are in the table twice": twice} if twice else {}
        return Imported(
            tuple(rows), (source.parent,), tuple(stations), tuple(notes), tuple(problems), left,
            columns=reader.columns(),
        )  # fmt: skip


def reader_notes(reader: PhotoTable) -> list[Note]:
    """Return a note on how the columns were read, and one on positions without a station if there are any."""
    notes = [Note("columns-read", _told(reader))]
    if missing := [f"{column} ({number})" for column, number in sorted(reader.missing.items()) if number]:
        notes.append(Note("cells-left-empty", f"cells such as NA were read as empty, by column: {', '.join(missing)}"))
    if any(not station for _, station in reader.positions):
        text = "positions of photos without a station left out: a table of stations holds positions"
        notes.append(Note("positions-left-out", text))
    if reader.placed:
        text = f"columns with positions left out of the catalog: {some(reader.placed)}"
        notes.append(Note("positions-left-out", text, {"columns": list(reader.placed)}))
    return notes


def _unread_boxes(reader: PhotoTable) -> list[Note]:
    """Return a note on columns that may be boxes, if none is read as one."""
    like = [h for h in reader.headings if h not in reader.meaning and LIKE_BOX.fullmatch(h)]
    if len(like) < 4 or any(column.startswith("bbox") for column in reader.meaning.values()):
        return []
    text = f"columns that may be boxes were not read as such: {', '.join(like)}; -o columns=bbox_x=..., with bbox_y, "
    return [Note("boxes-not-read", f"{text}and bbox_width, bbox_height or bbox_x_max, bbox_y_max")]


def _heading(meaning: Mapping[str, str], column: str) -> str:
    return next(heading for heading, name in meaning.items() if name == column)


def _told(reader: PhotoTable) -> str:
    read = [f"{heading} as {column}" for heading, column in reader.meaning.items() if column not in (heading, "-")]
    text = f"columns were read so: {', '.join(read) or 'by their names'}"
    if reader.counts:
        text += f"; not as individual, since the cells are yes and no or counts: {', '.join(reader.counts)}"
    if reader.kinds:
        text += f"; not as individual, since the cells are kinds of animals: {', '.join(reader.kinds)}"
    if reader.like_kinds:
        text += f"; names of individuals that are usually those of species: {some(reader.like_kinds)}"
    return text


PLUGIN = Table
