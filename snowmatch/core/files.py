"""Safe reading and writing of files: atomic and durable replacement, hashes, error messages of one line."""

from __future__ import annotations

import errno
import hashlib
import io
import json
import os
import re
import secrets
import stat
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path, PurePath
from typing import Any, BinaryIO
from urllib.parse import quote_from_bytes

from snowmatch.core.errors import SnowmatchError
from snowmatch.core.home import HOME

CHUNK = 1 << 20
TEMPORARY = ".tmp"  # the end of the names of files that are not complete yet
LEFT_OVER = 86_400.0  # seconds; an incomplete file of this age was left by a killed command
_OWN = re.compile(r"\.snowmatch-[0-9a-f]{16}\.tmp")
_cleared: set[Path] = set()  # the folders in which this process has looked for such files
_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0)


def file_sha256(path: Path) -> str:
    """Return the sha256 (64 hex digits) of a file's content. Raises SnowmatchError if the file cannot be read."""
    digest = hashlib.sha256()
    try:
        with open_regular(path) as file:
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


class _Bounded(io.BufferedReader):
    """A buffered file whose `read` sets aside no more memory than the rest of the file needs."""

    def read(self, size: int | None = -1) -> bytes:
        """Return up to `size` bytes; all that are left for -1 or None."""
        if size is not None and size > CHUNK:
            size = min(size, max(os.fstat(self.fileno()).st_size - self.tell(), 0) + 1)
        return super().read(size)


def open_regular(path: Path) -> BinaryIO:
    """Open a regular file for reading. Raises OSError if the system refuses.

    A library that believes a damaged length gets no more memory than the file has bytes. Raises
    SnowmatchError for anything else, such as a pipe or a device, which could wait or go on for ever. A folder raises
    IsADirectoryError.
    """
    handle = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    mode = os.fstat(handle).st_mode
    if stat.S_ISREG(mode):
        return _Bounded(os.fdopen(handle, "rb", buffering=0))
    os.close(handle)
    if stat.S_ISDIR(mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    raise SnowmatchError(f"{path} is a pipe, a device or a socket, expected a file")


def read_file(path: Path) -> bytes:
    """Return the content of a regular file. Raises as `open_regular` does."""
    with open_regular(path) as file:
        return file.read()


def make_folder(folder: Path) -> None:
    """Make a folder and the missing folders above it.

    Inside a catalog, only real folders are used, because a link in somebody else's catalog could lead to any folder of
    the user; and the catalog's own folder is never made, because it may be on a disk that was removed. Raises
    SnowmatchError in both cases, and OSError if the system refuses.
    """
    inside = [folder, *folder.parents][: _depth_below(folder, HOME)]
    for each in inside:
        if each.is_symlink():
            raise SnowmatchError(f"{each} is a link; snowmatch writes only to real folders there: remove the link")
    if inside and not inside[-1].parent.is_dir():
        raise SnowmatchError(f"{inside[-1].parent} does not exist any more: was it renamed, or its disk removed?")
    folder.mkdir(parents=True, exist_ok=True)


def _depth_below(folder: Path, name: str) -> int:
    """Return the number of parts of `folder` from the last part `name` on; 0 if no part has this name."""
    parts = folder.parts[::-1]
    return parts.index(name) + 1 if name in parts else 0


def replace_file(path: Path, write: Callable[[BinaryIO], Any], mode: int = 0o666) -> None:
    """Write a new file at `path`, atomically and durably: a reader sees the old file or the new file, never a part.

    Missing parent folders are made. A link at `path` is replaced, not followed. mode: who may read and write the new
    file, less what the user's umask takes away. Raises SnowmatchError if the disk is full or the folder is not
    writable; the old file then stays unchanged. Incomplete files that a killed command left in the folder more than a
    day ago are removed.
    """
    try:
        make_folder(path.parent)
        # A name that nobody can foresee, and never an existing file or link
        temporary = path.with_name(f".snowmatch-{secrets.token_hex(8)}{TEMPORARY}")
        try:
            with _create(temporary, mode) as file:
                write(file)
                file.flush()
                os.fsync(file.fileno())
                now = os.fstat(file.fileno()).st_mtime
            _rename(temporary, path)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
        _clear(path.parent, now)
        sync_folder(path.parent)
    except OSError as error:
        raise unwritable(path.parent, error) from error


def replace_json(path: Path, values: Mapping[str, Any]) -> None:
    """Write values into a file of JSON as `replace_file` does, unless it holds the same."""
    text = json.dumps(values, sort_keys=True, indent=1).encode()
    try:
        unchanged = read_file(path) == text
    except OSError:  # it does not exist, or a folder has its place
        unchanged = False
    if not unchanged:
        replace_file(path, lambda file: file.write(text))


def replace_together(first: tuple[Path, bytes], *others: tuple[Path, bytes]) -> None:
    """Write files that belong together, in one folder.

    If this is killed, the first is old or new, and each of the others fits it or is missing. The first one says whose
    the others are: an old one beside a new first one would be taken for somebody else's.
    Raises SnowmatchError as `replace_file` does; the old files then stay.
    """
    folder = first[0].parent
    ready: list[tuple[Path, Path]] = []
    try:
        make_folder(folder)
        try:
            for path, content in (first, *others):
                ready.append((path.with_name(f".snowmatch-{secrets.token_hex(8)}{TEMPORARY}"), path))
                with _create(ready[-1][0], 0o666) as file:
                    file.write(content)
                    file.flush()
                    os.fsync(file.fileno())
                    now = os.fstat(file.fileno()).st_mtime
            for path, _ in others:
                path.unlink(missing_ok=True)
            for temporary, path in ready:
                _rename(temporary, path)
        except BaseException:
            for temporary, _ in ready:
                temporary.unlink(missing_ok=True)
            raise
        _clear(folder, now)
        sync_folder(folder)
    except OSError as error:
        raise unwritable(folder, error) from error


def keep_file(path: Path, content: bytes) -> None:
    """Write a file that can be made again at `path`, atomically, without waiting until it is on the disk.

    After a power failure it may be damaged: who reads it has to notice that. Incomplete files of killed commands are
    removed, and SnowmatchError is raised, as by `replace_file`.
    """
    try:
        make_folder(path.parent)
        temporary = path.with_name(f".snowmatch-{secrets.token_hex(8)}{TEMPORARY}")
        try:
            with _create(temporary, 0o666) as file:
                file.write(content)
                now = os.fstat(file.fileno()).st_mtime
            _rename(temporary, path)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
        _clear(path.parent, now)
    except OSError as error:
        raise unwritable(path.parent, error) from error


def check_writable(folder: Path) -> None:
    """Raise SnowmatchError as `replace_file` if no file can be made in a folder, before work that ends there."""
    try:
        make_folder(folder)
        trial = folder / f".snowmatch-{secrets.token_hex(8)}{TEMPORARY}"
        _create(trial, 0o666).close()
        trial.unlink()
    except OSError as error:
        raise unwritable(folder, error) from error


def _clear(folder: Path, now: float) -> None:
    """Remove what killed commands left in a folder, once in a process. now: by the clock of the folder's disk."""
    if folder in _cleared:
        return
    _cleared.add(folder)
    with suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            if _OWN.fullmatch(entry.name) and entry.is_file(follow_symlinks=False):
                with suppress(OSError):
                    if now - entry.stat(follow_symlinks=False).st_mtime > LEFT_OVER:
                        os.unlink(entry.path)


def _create(path: Path, mode: int) -> BinaryIO:
    """Open a file for writing that does not exist yet."""
    return os.fdopen(os.open(path, _NEW, mode), "wb", buffering=CHUNK)


def unwritable(folder: Path, error: OSError) -> SnowmatchError:
    """Return the error for a folder of snowmatch in which the system could not write."""
    if error.errno in (errno.EROFS, errno.EACCES, errno.EPERM):
        advice = "make the folder writable, or copy the catalog to a writable folder"
    elif error.errno in (errno.EISDIR, errno.ENOTDIR, errno.ENOTEMPTY):
        advice = f"a folder has the place of a file, or a file that of a folder: move {error.filename or 'it'} away"
    else:
        kept = "what is stored is kept: " if _depth_below(folder, HOME) else ""  # an output file is not
        advice = f"{kept}free some disk space and run it again"
    return SnowmatchError(f"cannot write in {folder}: {error.strerror or error}; {advice}")


def _rename(temporary: Path, path: Path) -> None:
    for _ in range(20 if sys.platform == "win32" else 0):
        try:
            os.replace(temporary, path)
            return
        except PermissionError:  # Windows: another process reads the old file at this moment
            time.sleep(0.05)
    os.replace(temporary, path)


def sqlite_address(path: PurePath, options: str) -> str:
    """Return the address (URI) at which SQLite opens an absolute path, also one of a network share of Windows.

    options: such as `mode=ro`. A server's name stands behind four slashes: SQLite refuses it as an authority.
    """
    text = path.as_posix()
    before = "file://" if text.startswith("/") else "file:///"  # a drive has a letter
    return f"{before}{quote_from_bytes(os.fsencode(text), safe='/:')}?{options}"


def sync_folder(folder: Path) -> None:
    if sys.platform == "win32":  # Windows cannot open folders, and its file system keeps a journal of names
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
