"""Damaged entries of the catalog's database that are made again: identifiers, kept answers, what networks told, maps.

Entries on files are not among them: `load_records` reads all of them, and counts the damaged ones.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from snowmatch.catalog.database import DamagedError, delete_row, reading, sound, writing
from snowmatch.core.notes import Note
from snowmatch.core.text import counted

TABLES = ("annotations", "answers", "screened", "flanks")  # whose damaged entries are deleted


def count_damaged(folder: Path) -> int:
    """Return the number of damaged entries in the database of the catalog in `folder`.

    A database that cannot be read to its end counts as one. Without a database it is 0. Raises SnowmatchError if the
    system cannot read it.
    """
    count = 0
    try:
        with reading(folder) as database:
            if database is not None:
                count = sum(1 for _ in _damaged(database, (*TABLES, "maps")))
    except DamagedError:
        return 1
    return count


def drop_damaged(folder: Path) -> int:
    """Delete the damaged entries, and return their number. Raises SnowmatchError if the database cannot be written.

    Maps stay: `update_maps` makes and tells them. A database that is damaged as a whole has to be replaced before.
    """
    if not count_damaged(folder):
        return 0
    with writing(folder) as database:
        damaged = list(_damaged(database, TABLES))
        for table, key in damaged:
            delete_row(database, table, {_columns(database, table)[0]: key})
    return len(damaged)


def _damaged(database: sqlite3.Connection, tables: Sequence[str]) -> Iterator[tuple[str, Any]]:
    """Yield the table and the key of each damaged entry. Tables that an older version did not make are skipped."""
    there = {name for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    for table in sorted(there.intersection(tables)):
        for row in database.execute(f"SELECT {', '.join(_columns(database, table))} FROM {table}"):
            if not sound(row):
                yield table, row[0]


def _columns(database: sqlite3.Connection, table: str) -> list[str]:
    """Return the key of a table, its further columns, and the checksum of them. The cells of a map come after it."""
    columns = [name for (name,) in database.execute("SELECT name FROM pragma_table_info(?)", (table,))]
    if "sum" not in columns:
        raise DamagedError(f"its table {table} has no checksums")
    return columns[: columns.index("sum") + 1]


def notes_on_damage(replaced: bool, entries: int) -> list[Note]:
    """Return notes on a database that was replaced, and on damaged entries that are made again."""
    notes = []
    if replaced:
        text = "the database of photos was damaged and was made again: if the catalog was screened, screen it again"
        notes.append(Note("database-mended", text))
    if entries:
        were = "was" if entries == 1 else "were"
        text = f"{counted(entries, 'entry', 'entries')} of the database of photos {were} damaged and made again"
        notes.append(Note("database-mended", text, {"count": entries}))
    return notes
