"""The database of what is derived about a catalog's photos and rows: one SQLite file, which can be made again.

Every row carries a sum of its values. A row whose sum does not fit, and a file that is damaged or has another layout,
counts as not there: the next index run makes it anew.
"""

from __future__ import annotations

import os
import sqlite3
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from snowmatch.core.errors import SnowmatchError
from snowmatch.core.files import unreadable, unwritable
from snowmatch.core.home import database_path

VERSION = 1
WAIT = 30.0  # seconds that one process waits for another one's transaction, which takes a fraction of one
SCHEMA = (
    "CREATE TABLE files (path TEXT NOT NULL, kind TEXT NOT NULL, size INTEGER, mtime_ns INTEGER, ctime_ns INTEGER, "
    "checked_ns INTEGER, sha256 TEXT, width INTEGER, height INTEGER, taken TEXT, time_tag TEXT, serial TEXT, "
    "likeness TEXT, sum INTEGER, "
    "PRIMARY KEY (path, kind)) WITHOUT ROWID",
    "CREATE INDEX files_by_content ON files (sha256)",
    "CREATE TABLE failures (path TEXT NOT NULL PRIMARY KEY, reason TEXT, sum INTEGER) WITHOUT ROWID",
    "CREATE TABLE annotations (annotation TEXT NOT NULL PRIMARY KEY, path TEXT, bbox TEXT, mask TEXT, sha256 TEXT, "
    "sum INTEGER) WITHOUT ROWID",
    "CREATE INDEX annotations_by_path ON annotations (path)",
)
# What SQLite says where the file is at fault, and not the system
DAMAGE = (sqlite3.SQLITE_ERROR, sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_MISMATCH)


class DamagedError(Exception):
    """The database is no database, or not one of this layout."""


@contextmanager
def reading(folder: Path) -> Iterator[sqlite3.Connection | None]:
    """The catalog's database, to be read; None where there is none.

    SnowmatchError where it is of a newer version or the system does not let it be read. DamagedError also for damage
    that shows while it is being read.
    """
    path = database_path(folder)
    try:
        if not path.is_file():
            yield None
            return
    except OSError as error:
        raise unreadable(path, error) from error
    with _opened(path, write=False) as connection:
        _check(connection, path)
        yield connection


@contextmanager
def writing(folder: Path) -> Iterator[sqlite3.Connection]:
    """The catalog's database in one transaction, made where there is none; what raises in the body changes nothing.

    A damaged database, and one of another layout, is replaced by an empty one: what was in it can be made again. The
    identifiers that are still readable are kept. SnowmatchError where it is of a
    newer version or cannot be written.
    """
    path = database_path(folder)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise unwritable(path.parent, error) from error
    try:
        with _opened(path, write=True) as connection:
            _check(connection, path)
        identifiers = []
    except DamagedError:
        identifiers = _identifiers(path)
        for left in (path, path.with_name(path.name + "-journal")):
            left.unlink(missing_ok=True)
    with _opened(path, write=True) as connection:
        connection.execute("BEGIN IMMEDIATE")
        if not _layout(connection):
            for statement in SCHEMA:
                connection.execute(statement)
            connection.execute(f"PRAGMA user_version = {VERSION}")
            connection.executemany("INSERT OR IGNORE INTO annotations VALUES (?, ?, ?, ?, ?, ?)", identifiers)
        yield connection
        connection.commit()


def _identifiers(path: Path) -> list[tuple[Any, ...]]:
    """The sound rows of the table of identifiers in a damaged database or one of another layout, as far as it goes."""
    found: list[tuple[Any, ...]] = []
    try:
        with _opened(path, write=False) as connection:
            for row in connection.execute("SELECT annotation, path, bbox, mask, sha256, sum FROM annotations"):
                if sound(row):
                    found.append(row)
    except (DamagedError, SnowmatchError):
        pass
    return found


def with_sum(values: Sequence[Any]) -> tuple[Any, ...]:
    """A row's values with their sum at the end."""
    return (*values, _sum(values))


def sound(row: Sequence[Any]) -> bool:
    """Whether a row is what was written: its last value is the sum of the others."""
    return row[-1] == _sum(row[:-1])


def _sum(values: Sequence[Any]) -> int:
    return zlib.crc32(repr(tuple(values)).encode("utf-8", "surrogatepass"))


@contextmanager
def _opened(path: Path, *, write: bool) -> Iterator[sqlite3.Connection]:
    # A reader that may write rolls back what a killed run left half written; a read-only copy has nothing half written
    mode = "rwc" if write else "rw" if os.access(path, os.W_OK) and os.access(path.parent, os.W_OK) else "ro"
    try:
        connection = sqlite3.connect(f"{path.absolute().as_uri()}?mode={mode}", uri=True, timeout=WAIT)
    except sqlite3.Error as error:
        raise _system(path, error, write) from error
    try:
        connection.isolation_level = None  # transactions are begun and ended here alone
        connection.execute("PRAGMA trusted_schema = OFF")
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("PRAGMA secure_delete = ON")  # what is pruned is gone from the disk
        connection.execute(f"PRAGMA query_only = {'OFF' if write else 'ON'}")
        yield connection
    except sqlite3.DatabaseError as error:
        if getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & 0xFF in DAMAGE:
            raise DamagedError(str(error)) from error
        raise _system(path, error, write) from error
    finally:
        connection.close()


def _system(path: Path, error: Exception, write: bool) -> SnowmatchError:
    what = "written" if write else "read"
    return SnowmatchError(f"{path} cannot be {what}: {error}; what was finished is kept: mend that, and run it again")


def _check(connection: sqlite3.Connection, path: Path) -> None:
    version = connection.execute("PRAGMA user_version").fetchone()[0]
    if version > VERSION:
        raise SnowmatchError(
            f"{path} has format {version}, this snowmatch knows up to {VERSION}: install a newer snowmatch"
        )
    if (layout := _layout(connection)) and layout != set(SCHEMA):
        raise DamagedError("it has another layout")


def _layout(connection: sqlite3.Connection) -> set[str]:
    found = connection.execute("SELECT sql FROM sqlite_master WHERE sql IS NOT NULL").fetchall()
    return {text for (text,) in found}
