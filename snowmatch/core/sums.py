"""Checksums of files, block by block, in a file beside them."""

from __future__ import annotations

import json
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, BinaryIO

from snowmatch.core.files import open_regular, replace_file

BLOCK = 1 << 20  # bytes with a checksum of their own
LARGEST = 64 << 20  # bytes of a file of checksums: a larger one is not one of snowmatch


class SummedWriter:
    """A file to write to, which computes the checksums of its blocks."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._sum = 0
        self.size = 0
        self._sums: list[int] = []

    def write(self, data: Any) -> int:
        """Write bytes."""
        view = memoryview(data).cast("B")
        start = 0
        while start < len(view):
            piece = view[start : start + BLOCK - self.size % BLOCK]
            self._sum = zlib.crc32(piece, self._sum)
            self.size += len(piece)
            start += len(piece)
            if self.size % BLOCK == 0:
                self._sums.append(self._sum)
                self._sum = 0
        self._file.write(view)
        return len(view)

    @property
    def sums(self) -> list[int]:
        """The checksums of all blocks so far. The last block may be shorter."""
        return [*self._sums, self._sum] if self.size % BLOCK else list(self._sums)


def write_with_sums(path: Path, write: Callable[[SummedWriter], Any]) -> dict[str, Any]:
    """Write a file as `replace_file` does, and return its size and its checksums, for `write_sums`."""
    written: list[SummedWriter] = []

    def summed(file: BinaryIO) -> None:
        written.append(SummedWriter(file))
        write(written[-1])

    replace_file(path, summed)
    return {"size": written[-1].size, "sums": written[-1].sums}


def write_sums(path: Path, files: Mapping[str, Mapping[str, Any]]) -> None:
    """Write the checksums of files, by file name, to `path`. Raises SnowmatchError if it cannot be written."""
    text = json.dumps(files, sort_keys=True)
    content = json.dumps({"files": text, "sum": zlib.crc32(text.encode())}).encode()
    replace_file(path, lambda file: file.write(content))


def read_sums(path: Path) -> dict[str, dict[str, Any]] | None:
    """Return what `write_sums` wrote; None if it is damaged. Raises OSError if the system cannot read the file."""
    with open_regular(path) as file:
        content = file.read(LARGEST + 1)
    try:
        held = json.loads(content) if len(content) <= LARGEST else {}
        text = held["files"]
        if zlib.crc32(text.encode()) != held["sum"]:
            return None
        files: dict[str, dict[str, Any]] = json.loads(text)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None
    return files


def is_unchanged(path: Path, known: Mapping[str, Any]) -> bool:
    """Return whether a file has the size and the checksums that it was written with.

    Raises OSError if the system cannot read the file.
    """
    with open_regular(path) as file:
        if path.stat().st_size != known["size"]:
            return False
        return all(zlib.crc32(file.read(BLOCK)) == expected for expected in known["sums"])
