"""Tables of stations of other programs, as the rows of stations.csv. The survey checks their values."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from snowmatch.catalog.stations import meanings, unread_dates
from snowmatch.catalog.times import plain_time
from snowmatch.core.errors import SnowmatchError
from snowmatch.core.notes import Note
from snowmatch.interchange.importers._tables import read_rows


def read_station_table(path: Path, notes: list[Note], problems: list[str]) -> list[dict[str, str]]:
    """Return the rows of a table of stations with any usual headings, in the columns of stations.csv.

    `deployment` is the row's identifier: what the table says, or its station, camera and beginning. Raises
    SnowmatchError if the file is no table, or has no column of stations.
    """
    table = read_rows(path, notes, problems)
    meaning = meanings(table.headings, [[plain_time(cell) for cell in cells] for _, cells in table.rows])
    if "station" not in meaning.values():
        known = ", ".join(filter(None, table.headings)) or "an empty file"
        raise SnowmatchError(f"{path} has no column of stations in {known}; expected one called Station")
    rows = []
    for line, cells in table:
        row = {meaning.get(heading, heading): value for heading, value in cells.items() if heading and value}
        if not row.get("station"):
            problems.append(f"{path.name} line {line}: no station; expected its name")
            continue
        row.setdefault("deployment", identifier(row))
        rows.append(row | {column: "" for column in meaning.values() if column not in row})
    notes += unread_dates(path.name, rows)
    return rows


def identifier(cells: Mapping[str, str]) -> str:
    """Return a text that tells the rows of a table of stations apart."""
    return "/".join(filter(None, (cells.get(c, "") for c in ("location", "station", "camera", "session", "from"))))
