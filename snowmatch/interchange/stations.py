"""Tables of stations of other programs, as the rows of stations.csv. The survey checks their values."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path

from snowmatch.catalog.positions import same_coordinate
from snowmatch.catalog.stations import meanings, unread_dates
from snowmatch.catalog.times import plain_time
from snowmatch.core.errors import SnowmatchError
from snowmatch.core.notes import Note
from snowmatch.core.text import counted, some
from snowmatch.interchange.importers._tables import read_rows
from snowmatch.interchange.importers._values import MISSING
from snowmatch.interchange.merging import POSITION


def read_station_table(path: Path, notes: list[Note], problems: list[str]) -> list[dict[str, str]]:
    """Return the rows of a table of stations with any usual headings, in the columns of stations.csv.

    `deployment` is the row's identifier: what the table says, or its station, camera and beginning. A line that the
    table has twice counts once, with a note; one that differs from another with the same identifier is a problem,
    unless the table names the deployment. Raises SnowmatchError if the file is no table, or has no column of stations.
    """
    table = read_rows(path, notes, problems)
    filled = [["" if cell in MISSING else plain_time(cell) for cell in cells] for _, cells in table.rows]
    meaning = meanings(table.headings, filled)
    if "station" not in meaning.values():
        known = ", ".join(filter(None, table.headings)) or "an empty file"
        raise SnowmatchError(f"{path} has no column of stations in {known}; expected one called Station")
    rows = []
    first: dict[str, tuple[int, dict[str, str]]] = {}
    twice = 0
    missing: Counter[str] = Counter()
    for line, cells in table:
        empty = {heading: cells[heading] for heading in meaning if cells[heading] in MISSING}
        missing.update(meaning[heading] for heading in empty)
        row = {
            meaning.get(heading, heading): value
            for heading, value in cells.items()
            if heading and value and heading not in empty
        }
        if not row.get("station"):
            written = next((text for heading, text in empty.items() if meaning[heading] == "station"), "")
            more = f"; {written} is read as an empty cell" if written else ""
            problems.append(f"{path.name} line {line}: no station; expected its name{more}")
            continue
        named = "deployment" in row
        row.setdefault("deployment", identifier(row))
        line_before, before = first.setdefault(row["deployment"], (line, row))
        if before is not row and before == row:
            twice += 1
            continue
        if before is not row and not named:
            problems.append(f"{path.name} line {line}: {_same_time(row, line_before)}")
        rows.append(row | {column: "" for column in meaning.values() if column not in row})
    if twice:
        text = f"{counted(twice, 'line')} that {path.name} has twice left out"
        notes.append(Note("station-lines-twice", text, {"count": twice}))
    if missing:
        told = ", ".join(f"{column} ({number})" for column, number in sorted(missing.items()))
        text = f"cells such as NA of {path.name} were read as empty, by column: {told}"
        notes.append(Note("cells-left-empty", text, dict(missing)))
    notes += unread_dates(path.name, rows)
    return rows


def _same_time(row: Mapping[str, str], line: int) -> str:
    """Return what is wrong if a row is of the same station, camera and beginning as another line."""
    if not row.get("from"):
        return f"{row['station']!r} appears twice, also in line {line}; expected from and to in each of its rows"
    return (
        f"{row['station']!r} worked at the same time in line {line}; expected other dates, or the column camera if it "
        "has two cameras"
    )


def identifier(cells: Mapping[str, str]) -> str:
    """Return a text that tells the rows of a table of stations apart."""
    return "/".join(filter(None, (cells.get(c, "") for c in ("location", "station", "camera", "session", "from"))))


def without_dated(
    rows: Sequence[Mapping[str, str]], dated: Sequence[dict[str, str]], notes: list[Note]
) -> list[dict[str, str]]:
    """Return the rows of a source's stations without those that have no dates and whose station is `dated`.

    Where one of both tells no location, they are one station if the other tells one location for it. Their position
    fills the empty x, y, crs of the dated rows. A note tells the stations whose dated rows have others.
    """
    kept, other = [], []
    only = _only_location(rows), _only_location(dated)
    for row in rows:
        same = [cells for cells in dated if cells.get("from") and _are_one(row, cells, *only)]
        if row.get("from") or row.get("to") or not same:
            kept.append(dict(row))
            continue
        position = {column: row.get(column, "") for column in POSITION}
        for cells in same:
            if not cells.get("x") and not cells.get("y"):
                cells.update(position)
            elif not all(same_coordinate(column, cells.get(column, ""), text) for column, text in position.items()):
                other.append(row.get("station", ""))
    if other:
        text = f"positions left out, since the table of stations has others: {some(sorted(set(other)))}"
        notes.append(Note("station-cells-left-out", text, {"count": len(set(other))}))
    return kept


def _only_location(rows: Sequence[Mapping[str, str]]) -> dict[str, str]:
    """Return the location of each station that has one location in a table; rows without a location do not count."""
    found: dict[str, set[str]] = defaultdict(set)
    for row in rows:
        if location := row.get("location", ""):
            found[row.get("station", "")].add(location)
    return {station: locations.pop() for station, locations in found.items() if len(locations) == 1}


def _are_one(
    row: Mapping[str, str], dated: Mapping[str, str], only: Mapping[str, str], only_dated: Mapping[str, str]
) -> bool:
    """Return whether two rows are of one station. only, only_dated: as `_only_location` returns them, of each table."""
    station, one, other = row.get("station", ""), row.get("location", ""), dated.get("location", "")
    if station != dated.get("station", ""):
        return False
    return one == other or (not other and only.get(station) == one) or (not one and only_dated.get(station) == other)
