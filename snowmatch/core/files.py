"""Safe reading and writing of files: atomic and durable replacement, hashes, error messages of one line."""

from __future__ import annotations

import errno
import hashlib
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO

from snowmatch.core.errors import SnowmatchError

CHUNK = 1 << 20


def file_sha256(path: Path) -> str:
    """Return the sha256 (64 hex digits) of a file's content. Raises SnowmatchError if the file cannot be read."""
    digest = hashlib.sha256()
    try:
        with open(path, "rb") as file:
            while piece := file.read(CHUNK):
                digest.update(piece)
    except OSError as error:
        raise unreadable(path, error) from error
    return digest.hexdigest()


def unreadable(path: Path, error: OSError) -> SnowmatchError:
    """Return the error for a file of the user that the system could not read."""
    if isinstance(error, FileNotFoundError):
        return SnowmatchError(f"{path} does not exist: put the file back, or remove it from the catalog")
    return SnowmatchError(f"{path} cannot be read: {error.strerror or error}")


def replace_file(path: Path, write: Callable[[BinaryIO], Any]) -> None:
    """Write a new file at `path`, atomically and durably: a reader sees the old file or the new file, never a part.

    Missing parent folders are made. Raises SnowmatchError if the disk is full or the folder is not writable; the old
    file then stays unchanged.
    """
    temporary = path.with_name(path.name + ".tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with open(temporary, "wb", buffering=CHUNK) as file:
                write(file)
                file.flush()
                os.fsync(file.fileno())
            _rename(temporary, path)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
        _sync_folder(path.parent)
    except OSError as error:
        raise unwritable(path.parent, error) from error


def unwritable(folder: Path, error: OSError) -> SnowmatchError:
    """Return the error for a folder of snowmatch in which the system could not write."""
    if error.errno in (errno.EROFS, errno.EACCES, errno.EPERM):
        advice = "make the folder writable, or copy the catalog to a writable folder"
    else:
        advice = "finished work is kept: free some disk space and run it again"
    return SnowmatchError(f"cannot write in {folder}: {error.strerror or error}; {advice}")


def _rename(temporary: Path, path: Path) -> None:
    for _ in range(20 if sys.platform == "win32" else 0):
        try:
            os.replace(temporary, path)
            return
        except PermissionError:  # Windows: another process reads the old file at this moment
            time.sleep(0.05)
    os.replace(temporary, path)


def _sync_folder(folder: Path) -> None:
    if sys.platform == "win32":  # Windows cannot open folders, and its file system keeps a journal of names
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
