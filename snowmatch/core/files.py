"""Files read and written safely: replaced at once and durably, hashed in pieces, errors told in one line."""

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
    """The sha256 (64 hex digits) of a file's content, read in pieces; SnowmatchError where it cannot be read."""
    digest = hashlib.sha256()
    try:
        with open(path, "rb") as file:
            while piece := file.read(CHUNK):
                digest.update(piece)
    except OSError as error:
        raise unreadable(path, error) from error
    return digest.hexdigest()


def unreadable(path: Path, error: OSError) -> SnowmatchError:
    """What to tell about a file of the user's that the system would not read."""
    if isinstance(error, FileNotFoundError):
        return SnowmatchError(f"{path} is not there: put it back, or take it out of the catalog")
    return SnowmatchError(f"{path} cannot be read: {error.strerror or error}")


def replace_file(path: Path, write: Callable[[BinaryIO], Any]) -> None:
    """Put a new file at `path` at once and durably: readers see all of the old one or all of the new one.

    SnowmatchError where the disk is full or cannot be written; what was there before then stays as it was.
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
    """What to tell about a folder of ours that the system would not write."""
    if error.errno in (errno.EROFS, errno.EACCES, errno.EPERM):
        advice = "make it writable, or copy the catalog to a folder that is"
    else:
        advice = "what was finished is kept: free some space and run it again"
    return SnowmatchError(f"cannot write in {folder}: {error.strerror or error}; {advice}")


def _rename(temporary: Path, path: Path) -> None:
    for _ in range(20 if sys.platform == "win32" else 0):
        try:
            os.replace(temporary, path)
            return
        except PermissionError:  # Windows: somebody reads the old file at this moment
            time.sleep(0.05)
    os.replace(temporary, path)


def _sync_folder(folder: Path) -> None:
    if sys.platform == "win32":  # folders cannot be opened there, and names are journalled
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
