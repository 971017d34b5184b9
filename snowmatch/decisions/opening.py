"""Opening of the file of decisions: for reading, also where nothing can be written, and for adding rows.

The journal is a rollback journal, never a write-ahead log (WAL). Between two decisions the one file then holds all of
them: a person may copy it to a stick, a folder that is synchronized stays right, it opens in a read-only folder and on
a read-only disk, and it works on network disks. A WAL keeps the latest decisions in a second file, which copies forget,
and needs a third one, in shared memory. Its gain is speed, and a person decides a few times a minute.

synchronous is EXTRA, which is FULL and also writes the folder after the journal was removed: without that, a power cut
can bring the journal back, and with it the state before the last decision.
"""

from __future__ import annotations

import errno
import os
import secrets
import sqlite3
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from snowmatch.core.errors import SnowmatchError
from snowmatch.core.files import TEMPORARY, sqlite_address, sync_folder, unwritable
from snowmatch.core.locks import file_lock
from snowmatch.core.text import printable
from snowmatch.decisions.chain import BrokenError
from snowmatch.decisions.schema import APPLICATION, VERSION, differences, upgrade, version_of

WAIT = 30.0  # seconds that a process waits for another one, whose transaction takes far less than 1 s
_BUSY = (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_PROTOCOL)
_REFUSED = (sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PERM, sqlite3.SQLITE_AUTH)
_DAMAGE = (sqlite3.SQLITE_ERROR, sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_MISMATCH, sqlite3.SQLITE_CONSTRAINT)


def is_there(path: Path) -> bool:
    """Return whether there is a file of decisions at `path`.

    Raises SnowmatchError for anything else than a file that is not empty, such as a link or a folder.
    """
    try:
        status = os.lstat(path)
    except FileNotFoundError:
        if not path.parent.is_dir():
            raise SnowmatchError(
                f"{path.parent} is not a folder, so it has no file of decisions: make the folder first, or give "
                "another file"
            ) from None
        if (left := _left(path)) and not os.path.lexists(path):  # SQLite would take it for one of a new file
            raise SnowmatchError(
                f"{path} does not exist, but {left[0]}, which belongs to it, does: put the file back, or move "
                f"{left[0]} away too"
            ) from None
        return False
    except OSError as error:
        raise SnowmatchError(f"{path} cannot be read: {error.strerror or error}") from error
    if stat.S_ISLNK(status.st_mode):
        raise SnowmatchError(f"{path} is a link, and snowmatch follows no link there: give the file it leads to")
    if not stat.S_ISREG(status.st_mode):
        raise SnowmatchError(f"{path} is not a file: move it away, or give another file for the decisions")
    if not status.st_size:
        raise damaged(path, "it is empty (0 bytes), which no file of decisions ever is")
    return True


@contextmanager
def reading(path: Path, *, unchecked: bool = False) -> Iterator[sqlite3.Connection]:
    """Open an existing file of decisions for reading.

    unchecked: do not check the layout, so that what is left of a damaged file can be read. Raises SnowmatchError if the
    file is foreign, damaged or of a newer version, also if this is found inside the `with` block.
    """
    try:
        with _opened(path, _mode(path)) as connection:
            connection.execute("PRAGMA query_only = ON")
            if not unchecked:
                _check(connection, path)
            yield connection
    except _RefusedError as error:
        raise _not_read(path, str(error)) from error


@contextmanager
def writing(path: Path) -> Iterator[sqlite3.Connection]:
    """Open the file of decisions for adding rows, in one transaction. A missing file is made.

    If the `with` block raises an exception, nothing is added. After the block, what it added is on the disk. Raises as
    `reading` does, and if the file cannot be written.
    """
    try:
        if not is_there(path):
            _make(path)
        with _opened(path, "rw") as connection:
            _check(connection, path)
            connection.execute("PRAGMA journal_mode = DELETE")  # another program may have given it a WAL
            connection.execute("BEGIN IMMEDIATE")
            upgrade(connection, _check(connection, path))
            yield connection
            connection.execute("COMMIT")
    except _RefusedError as error:
        raise _not_written(path, str(error)) from error
    except OSError as error:
        if error.errno not in (errno.EROFS, errno.EACCES, errno.EPERM):
            raise unwritable(path.parent, error) from error
        raise _not_written(path, error.strerror or str(error)) from error


def damaged(path: Path, why: str) -> SnowmatchError:
    """Return the error for a damaged file of decisions."""
    return SnowmatchError(
        f"{path} is damaged: {why}; nothing in it was changed: put back a copy of it, or export the decisions that are "
        "still whole and import them into a new file",
        "decisions-damaged",
        path=str(path),
        catalog=str(path.parent),
        why=why,
    )


class _RefusedError(Exception):
    """The error if the system does not let the file be opened in this way."""


def _mode(path: Path) -> str:
    """Return how to open a file for reading, in the words of SQLite's addresses."""
    # A process that was killed leaves its journal. Who may write takes back the part of a decision that is left
    if os.access(path, os.W_OK) and os.access(path.parent, os.W_OK):
        return "rw"
    try:
        with _opened(path, "ro") as connection:
            version_of(connection)
    except _RefusedError:
        # A file with a WAL, by another program, needs more files beside it. Without them, nobody can be changing it
        if os.access(path, os.R_OK) and not _left(path):
            return "ro&immutable=1"
    return "ro"


@contextmanager
def _opened(path: Path, mode: str) -> Iterator[sqlite3.Connection]:
    # Never with open(): closing a file frees the locks that SQLite holds on it for another thread of this process
    if any(beside.is_symlink() for beside in _beside(path)):
        raise SnowmatchError(f"beside {path} lies a journal that is a link: remove the link")
    connection = None
    try:
        connection = sqlite3.connect(sqlite_address(path.absolute(), f"mode={mode}"), uri=True, timeout=WAIT)
        connection.isolation_level = None  # only this module begins and ends transactions
        connection.execute("PRAGMA trusted_schema = OFF")
        connection.execute("PRAGMA cell_size_check = ON")
        connection.execute("PRAGMA synchronous = EXTRA")
        yield connection
    except BrokenError as error:
        raise damaged(path, str(error)) from error
    except (sqlite3.DatabaseError, UnicodeDecodeError) as error:  # the second: a message that quotes damaged text
        code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & 0xFF
        if code in _REFUSED:
            raise _RefusedError(str(error)) from error
        raise _problem(path, code, error) from error
    except MemoryError as error:  # also for a damaged number in the file's head
        why = "there is not enough memory, or its beginning is damaged"
        raise SnowmatchError(f"{path} cannot be used: {why}; close other programs, or put back a copy") from error
    finally:
        if connection is not None:
            connection.close()


def _problem(path: Path, code: int, error: Exception) -> SnowmatchError:
    if code == sqlite3.SQLITE_NOTADB:
        return _foreign(path, "it is not an SQLite file, or its beginning is damaged")
    if code in _BUSY:
        return SnowmatchError(
            f"{path} is in use by another program for more than {WAIT:.0f} seconds ({error}): close the program that "
            "has it open, and try again"
        )
    if code in _DAMAGE:
        return damaged(path, printable(str(error)))
    return SnowmatchError(f"{path} cannot be used: {error}; decisions that were kept stay: solve this, and try again")


def _check(connection: sqlite3.Connection, path: Path) -> int:
    """Return the version of a file. Raises SnowmatchError if it is foreign, newer, or has another layout."""
    application, version = version_of(connection)
    if application != APPLICATION:
        raise _foreign(path, "another program made it, or its beginning is damaged")
    if version > VERSION:
        raise SnowmatchError(
            f"{path} has format {version}, but this snowmatch reads formats up to {VERSION}: install a newer snowmatch"
        )
    if version < 1:
        raise damaged(path, f"it has format {version}, which no snowmatch wrote")
    if wrong := differences(connection, version):
        raise damaged(path, f"it has {wrong}")
    return version


def _foreign(path: Path, why: str) -> SnowmatchError:
    return SnowmatchError(
        f"{path} is not a file of decisions: {why}; nothing in it was changed: give another file, or put back a copy",
        "decisions-foreign",
        path=str(path),
    )


def _not_read(path: Path, error: str) -> SnowmatchError:
    if left := _left(path):
        why = f"{' and '.join(left)} has a part of it: copy both to a folder that can be written, and read them there"
    else:
        why = "give yourself the right to read it, or a copy of it"
    return SnowmatchError(f"{path} cannot be read: {error}; {why}")


def _not_written(path: Path, error: str) -> SnowmatchError:
    return SnowmatchError(
        f"no decision can be kept in {path}: {error}; make the file and its folder writable, or give a file for the "
        "decisions in another folder",
        "decisions-read-only",
        path=str(path),
    )


def _beside(path: Path) -> tuple[Path, Path]:
    return path.with_name(path.name + "-journal"), path.with_name(path.name + "-wal")


def _left(path: Path) -> list[str]:
    return [beside.name for beside in _beside(path) if beside.exists() and beside.stat().st_size]


def _make(path: Path) -> None:
    """Make a file without decisions, whole or not at all, unless another process makes one at the same time.

    Killed at any moment, it leaves no file at `path` or a whole one: an empty file is thus always a damaged one.
    """
    temporary = path.with_name(f".snowmatch-{secrets.token_hex(8)}{TEMPORARY}")
    # With the rights that other new files get: SQLite would not let a group write
    os.close(os.open(temporary, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o666))
    try:
        with _opened(temporary, "rw") as connection:
            connection.execute("PRAGMA journal_mode = MEMORY")
            connection.execute("BEGIN IMMEDIATE")
            upgrade(connection, 0)
            connection.execute("COMMIT")
        with suppress(FileExistsError):
            _place(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
    sync_folder(path.parent)


def _place(temporary: Path, path: Path) -> None:
    """Give a file its name. Raises FileExistsError if the name is taken."""
    if os.name == "nt":
        os.rename(temporary, path)  # Windows replaces nothing here
        return
    try:
        os.link(temporary, path)
    except FileExistsError:
        raise
    except OSError:  # a file system without hard links, such as exFAT
        lock = path.with_name(f".snowmatch-{path.name}.lock")
        with file_lock(lock).acquire(timeout=WAIT):
            try:
                if os.path.lexists(path):
                    raise FileExistsError(path) from None
                os.replace(temporary, path)
            finally:
                if os.path.lexists(path):  # whoever waits for the lock finds the file, too
                    lock.unlink(missing_ok=True)
