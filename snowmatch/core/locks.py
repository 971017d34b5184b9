"""Locks between processes."""

from __future__ import annotations

from pathlib import Path

from filelock import FileLock, Timeout

from snowmatch.core.errors import SnowmatchError

WRITER = "writer.lock"  # in `.snowmatch`: an index run holds it


def file_lock(path: Path) -> FileLock:
    """Return the lock of a file, which is made if missing. The system frees it when the process ends.

    Raises SnowmatchError if `path` is a link: in somebody else's catalog, it could lead to any file of the user.
    """
    if path.is_symlink():
        raise SnowmatchError(f"{path} is a link, and snowmatch follows no link there: remove the link")
    return FileLock(path)


def is_held(path: Path) -> bool:
    """Return whether a process holds the lock of a file; False without the file, or where nobody can lock it."""
    if path.is_symlink() or not path.is_file():
        return False
    try:
        with FileLock(path).acquire(timeout=0):
            return False
    except Timeout:
        return True
    except OSError:  # a read-only disk: nobody writes
        return False
