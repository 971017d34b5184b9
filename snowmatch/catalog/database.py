"""The database of derived data about a catalog's photos and rows. It is one SQLite file and can be made again.

Every row contains a checksum of its values. A row with a wrong checksum is ignored. A file that is damaged or has
another layout is ignored too. The next index run makes the missing data again.
"""

from __future__ import annotations

import os
import sqlite3
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from snowmatch.core.errors import SnowmatchError
from snowmatch.core.files import make_folder, open_regular, sqlite_address, unreadable, unwritable
from snowmatch.core.home import database_path, opened_path

VERSION = 3
WAIT = 30.0  # seconds that a process waits for the transaction of another process, which takes less than 1 s
MAPS = (
    "CREATE TABLE maps (photo TEXT NOT NULL PRIMARY KEY, mark TEXT, evidence TEXT, height INTEGER, width INTEGER, "
    "cells_sum INTEGER, sum INTEGER, cells BLOB)",
    "CREATE INDEX maps_listed ON maps (photo, mark, evidence, height, width, cells_sum, sum)",
)
FLANKS = "CREATE TABLE flanks (sha256 TEXT NOT NULL PRIMARY KEY, mark TEXT, left REAL, sum INTEGER) WITHOUT ROWID"
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
    "CREATE TABLE answers (key TEXT NOT NULL PRIMARY KEY, answer TEXT, sum INTEGER) WITHOUT ROWID",
    "CREATE TABLE screened (sha256 TEXT NOT NULL PRIMARY KEY, mark TEXT, classes TEXT, sum INTEGER) WITHOUT ROWID",
    "CREATE TABLE detected (sha256 TEXT NOT NULL PRIMARY KEY, mark TEXT, detections TEXT, sum INTEGER) WITHOUT ROWID",
    "CREATE TABLE screening (sha256 TEXT NOT NULL PRIMARY KEY, answer TEXT, sum INTEGER) WITHOUT ROWID",
    "CREATE TABLE found (sha256 TEXT NOT NULL, origin TEXT NOT NULL, number INTEGER NOT NULL, bbox TEXT, box_by TEXT, "
    "label TEXT, confidence REAL, sum INTEGER, PRIMARY KEY (sha256, origin, number)) WITHOUT ROWID",
    *MAPS,
    FLANKS,
)
# The second is the layout of version 2; a writer adds the missing tables
LAYOUTS = (set(SCHEMA), set(SCHEMA) - {*MAPS, FLANKS})
# The SQLite error codes that mean a damaged file. All other codes mean a problem of the system.
DAMAGE = (sqlite3.SQLITE_ERROR, sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_MISMATCH)


class DamagedError(Exception):
    """The error for a file that is not a database or has another layout."""


@contextmanager
def reading(folder: Path) -> Iterator[sqlite3.Connection | None]:
    """Open the catalog's database for reading. Yields the connection, or None if the catalog has no database.

    Raises SnowmatchError if a newer version wrote the database or the system cannot read it. Raises DamagedError if it
    is damaged, also if this is found inside the `with` block.
    """
    path = database_path(folder)
    try:
        if not path.exists():
            yield None
            return
    except OSError as error:
        raise unreadable(path, error) from error
    if not path.is_file():
        raise SnowmatchError(f"{path} is not a file: move it away, and index again")
    with _opened(path, write=False) as connection:
        _check(connection, path)
        yield connection


@contextmanager
def writing(folder: Path) -> Iterator[sqlite3.Connection]:
    """Open the catalog's database for writing, in one transaction. A missing database is made.

    If the `with` block raises an exception, the database does not change. A database that is damaged, or has another
    layout, is replaced by an empty one, because its content can be made again; identifiers that are still readable are
    kept. Raises SnowmatchError if a newer version wrote the database, it cannot be written, or its content is damaged.
    """
    path = database_path(folder)
    try:
        make_folder(path.parent)
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
    try:
        with _opened(path, write=True) as connection:
            connection.execute("BEGIN IMMEDIATE")
            if missing := [statement for statement in SCHEMA if statement not in _layout(connection)]:
                for statement in missing:
                    connection.execute(statement)
                connection.execute(f"PRAGMA user_version = {VERSION}")
                connection.executemany("INSERT OR IGNORE INTO annotations VALUES (?, ?, ?, ?, ?, ?)", identifiers)
            yield connection
            connection.commit()
    except DamagedError as error:
        raise SnowmatchError(f"{path} is damaged ({error}): index again, which mends it") from error
    with suppress(OSError):  # a copy of what was in the database, and what is deleted there has to leave the disk
        opened_path(folder).unlink()


def is_whole(folder: Path) -> bool:
    """Return whether all pages of the catalog's database can be read; True without one. Values are not checked.

    Raises SnowmatchError as `reading` does.
    """
    try:
        with reading(folder) as connection:
            return connection is None or connection.execute("PRAGMA integrity_check(1)").fetchall() == [("ok",)]
    except DamagedError:
        return False


def mend(folder: Path) -> bool:
    """Check the whole database, replace it if it is damaged, and return whether it was.

    The new database has the identifiers that are still readable; everything else is made again by an index run. Raises
    SnowmatchError as `writing` does.
    """
    path = database_path(folder)
    if not path.is_file() or is_whole(folder):
        return False
    identifiers = _identifiers(path)
    for left in (path, path.with_name(path.name + "-journal")):
        left.unlink(missing_ok=True)
    with writing(folder) as connection:
        connection.executemany("INSERT OR IGNORE INTO annotations VALUES (?, ?, ?, ?, ?, ?)", identifiers)
    return True


def database_stamp(folder: Path) -> tuple[int, ...] | None:
    """Return a value that changes with every transaction; None without a database, or if one is not complete.

    It holds the identity, size and time of the file, and the counter of changes at byte 24 of SQLite's header.
    """
    path = database_path(folder)
    try:
        if path.is_symlink() or os.path.lexists(path.with_name(path.name + "-journal")):
            return None
        with open_regular(path) as file:
            status = os.fstat(file.fileno())
            counter = int.from_bytes(file.read(28)[24:], "big")
    except OSError:
        return None
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, counter


def forget_answers(folder: Path) -> None:
    """Delete the stored answers of earlier batches. The next batch asks everything again."""
    with writing(folder) as connection:
        connection.execute("DELETE FROM answers")


def shrink(folder: Path) -> None:
    """Give the free space in the database back to the disk. Raises SnowmatchError if it cannot be written."""
    path = database_path(folder)
    if not path.exists():
        return
    with writing(folder) as connection:
        connection.commit()
        connection.execute("VACUUM")


def _identifiers(path: Path) -> list[tuple[Any, ...]]:
    """Return the readable and undamaged rows of the table of identifiers in a database that will be replaced."""
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
    """Return the values of a row, followed by their checksum."""
    return (*values, _sum(values))


def sound(row: Sequence[Any]) -> bool:
    """Return whether a row is undamaged: its last value is the checksum of the other values."""
    return row[-1] == _sum(row[:-1])


def delete_row(database: sqlite3.Connection, table: str, key: Mapping[str, Any]) -> None:
    """Delete the row with this key (values by column), also a damaged one. The values are as they were read."""
    conditions, values = [], []
    for column, value in key.items():
        text = isinstance(value, str)
        conditions.append(f"{column} = CAST(? AS TEXT)" if text else f"CAST({column} AS BLOB) IS CAST(? AS BLOB)")
        values.append(value.encode("utf-8", "surrogateescape") if text else value)
    database.execute(f"DELETE FROM {table} WHERE {' AND '.join(conditions)}", values)


def _text(stored: bytes) -> str:
    return stored.decode("utf-8", "surrogateescape")


def _sum(values: Sequence[Any]) -> int:
    return zlib.crc32(repr(tuple(values)).encode("utf-8", "surrogatepass"))


@contextmanager
def _opened(path: Path, *, write: bool) -> Iterator[sqlite3.Connection]:
    journal = path.with_name(path.name + "-journal")
    if path.is_symlink() or journal.is_symlink():
        raise DamagedError("it is a link")
    # If a run was killed, its transaction is incomplete. A reader with write permission can roll it back.
    mode = "rwc" if write else "rw" if os.access(path, os.W_OK) and os.access(path.parent, os.W_OK) else "ro"
    try:
        connection = sqlite3.connect(sqlite_address(path.absolute(), f"mode={mode}"), uri=True, timeout=WAIT)
    except sqlite3.Error as error:
        raise _system(path, error, write) from error
    try:
        connection.text_factory = _text  # a damaged text makes its row unsound, and the others are still read
        connection.isolation_level = None  # only this module begins and ends transactions
        connection.execute("PRAGMA trusted_schema = OFF")
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("PRAGMA secure_delete = ON")  # overwrite deleted rows: pruned data must leave the disk
        connection.execute(f"PRAGMA query_only = {'OFF' if write else 'ON'}")
        yield connection
    except (sqlite3.DatabaseError, UnicodeDecodeError) as error:  # the second: a message that quotes a damaged layout
        if getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & 0xFF in DAMAGE:
            raise DamagedError(str(error)) from error
        raise _system(path, error, write) from error
    except MemoryError as error:  # also for a damaged number in the file's head; never a reason to replace the file
        told = MemoryError("there is not enough memory, or its beginning is damaged, then move it away")
        raise _system(path, told, write) from error
    finally:
        connection.close()


def _system(path: Path, error: Exception, write: bool) -> SnowmatchError:
    what = "written" if write else "read"
    return SnowmatchError(
        f"{path} cannot be {what}: {error}; what is stored is kept: solve this problem and run it again"
    )


def _check(connection: sqlite3.Connection, path: Path) -> None:
    version = connection.execute("PRAGMA user_version").fetchone()[0]
    if version > VERSION:
        raise SnowmatchError(
            f"{path} has format {version}, but this snowmatch reads formats up to {VERSION}: install a newer snowmatch"
        )
    if (layout := _layout(connection)) and layout not in LAYOUTS:
        raise DamagedError("it has another layout")


def _layout(connection: sqlite3.Connection) -> set[str]:
    found = connection.execute("SELECT sql FROM sqlite_master WHERE sql IS NOT NULL").fetchall()
    return {text for (text,) in found}
