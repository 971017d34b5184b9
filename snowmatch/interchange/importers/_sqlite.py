"""Databases of other programs (SQLite): opened for reading alone, so that nothing beside them is written."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from snowmatch.core.errors import SnowmatchError
from snowmatch.core.files import sqlite_address

MAGIC = b"SQLite format 3\0"


def is_sqlite(path: Path) -> bool:
    """Return whether a file is an SQLite database. Never raises."""
    try:
        with path.open("rb") as file:
            return file.read(len(MAGIC)) == MAGIC
    except OSError:
        return False


@contextmanager
def open_sqlite(path: Path) -> Iterator[sqlite3.Connection]:
    """Open a database for reading. Raises SnowmatchError if it is damaged, or another program is writing it."""
    if not is_sqlite(path):
        raise SnowmatchError(f"{path} is no SQLite database, or damaged: copy it again")
    if path.with_name(path.name + "-wal").exists() or path.with_name(path.name + "-journal").exists():
        raise SnowmatchError(f"{path} is in use by another program: close it there first")
    address = sqlite_address(path.resolve(), "mode=ro&immutable=1")
    try:
        with closing(sqlite3.connect(address, uri=True)) as database:
            database.row_factory = sqlite3.Row
            database.text_factory = lambda content: content.decode("utf-8", "replace")
            yield database
    except (sqlite3.Error, UnicodeDecodeError, OverflowError) as error:
        raise SnowmatchError(f"{path} cannot be read ({error}): it may be half a file; copy it again") from error


def table_names(database: sqlite3.Connection) -> set[str]:
    """Return the names of all tables."""
    return {row[0] for row in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}


def column_names(database: sqlite3.Connection, table: str) -> set[str]:
    """Return the names of a table's columns."""
    return {row[1] for row in database.execute(f'PRAGMA table_info("{table}")')}
