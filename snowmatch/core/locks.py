"""Locks between processes."""

from __future__ import annotations

from pathlib import Path

from filelock import FileLock

from snowmatch.core.errors import SnowmatchError


def file_lock(path: Path) -> FileLock:
    """Return the lock of a file, which is made if missing. The system frees it when the process ends.

    Raises SnowmatchError if `path` is a link: in somebody else's catalog, it could lead to any file of the user.
    """
    if path.is_symlink():
        raise SnowmatchError(f"{path} is a link, and snowmatch follows no link there: remove the link")
    return FileLock(path)
