"""Named arrays in one npz file. The file holds no pickles. The same arrays always give the same bytes."""

from __future__ import annotations

import io
import math
import tokenize
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, BinaryIO

import numpy as np

from snowmatch.core.errors import SnowmatchError
from snowmatch.core.files import read_file, replace_file, unreadable

# What numpy raises for a damaged header, which is a text in the syntax of Python. Where warnings are errors, a damaged
# letter may also name a type that numpy still reads, but no longer writes
_NO_HEADER = (tokenize.TokenError, SyntaxError, RecursionError, MemoryError, DeprecationWarning)
LARGEST = 8 << 30  # bytes of one array in a compressed file: a small file must not fill the memory


@dataclass(frozen=True)
class Rows:
    """An array (N, M) float64 that is too large for the memory: N rows (M,), which can be taken once."""

    shape: tuple[int, int]
    rows: Iterable[np.ndarray]


def save_arrays(path: Path, arrays: Mapping[str, np.ndarray | Rows]) -> None:
    """Write `arrays` to the file `path` in one step: a reader sees the old file or the new file, never a part.

    Raises SnowmatchError if the file cannot be written.
    """

    def write(file: BinaryIO) -> None:
        with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, array in arrays.items():
                content = io.BytesIO()
                # numpy.savez writes the current time into every entry, so its bytes change from run to run
                entry = zipfile.ZipInfo(f"{name}.npy", date_time=(1980, 1, 1, 0, 0, 0))
                entry.compress_type = zipfile.ZIP_DEFLATED
                if isinstance(array, np.ndarray):
                    np.lib.format.write_array(content, array, allow_pickle=False)
                    archive.writestr(entry, content.getvalue())
                    continue
                described = {"descr": "<f8", "fortran_order": False, "shape": array.shape}
                np.lib.format.write_array_header_1_0(content, described)
                entry.file_size = len(content.getvalue()) + 8 * math.prod(array.shape)
                with archive.open(entry, "w") as written:
                    written.write(content.getvalue())
                    for row in array.rows:
                        written.write(row.astype("<f8").tobytes())

    replace_file(path, write)


def _check_size(archive: np.lib.npyio.NpzFile, name: str) -> None:
    """Raise ValueError if an array needs more memory than LARGEST, or more than the archive has for it."""
    assert archive.zip is not None
    info = archive.zip.getinfo(f"{name}.npy")
    with archive.zip.open(info) as file:
        shape, _, dtype = _header(file, name)
    if math.prod(shape) * dtype.itemsize > min(info.file_size, LARGEST):
        raise ValueError(f"{name} has another size than the file says")


def _header(file: IO[bytes], name: str) -> tuple[tuple[int, ...], bool, np.dtype]:
    """Return the shape of an array, whether its columns come one after the other, and its type. The file is then at
    its values.
    """
    version = np.lib.format.read_magic(file)
    read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    try:
        return read(file)
    except _NO_HEADER:
        raise ValueError(f"the header of {name} is damaged") from None


def _rows(archive: np.lib.npyio.NpzFile, name: str, read: Callable[[Iterator[np.ndarray], int], Any]) -> Any:
    """Return what `read` makes of the rows (M,) float64 of an array (N, M), and of M. They are read one by one."""
    assert archive.zip is not None
    info = archive.zip.getinfo(f"{name}.npy")
    with archive.zip.open(info) as file:
        shape, fortran, dtype = _header(file, name)
        if (
            len(shape) != 2
            or not shape[1]  # any number of rows without a value would be read for ever
            or dtype.kind != "f"
            or fortran
            or file.tell() + math.prod(shape) * dtype.itemsize != info.file_size
        ):
            raise ValueError(f"{name} has another size or type than the file says")
        rows = (np.frombuffer(file.read(shape[1] * dtype.itemsize), dtype).astype(np.float64) for _ in range(shape[0]))
        return read(rows, shape[1])


def load_arrays(
    path: Path,
    names: Sequence[str],
    what: str,
    advice: str,
    by_row: Mapping[str, Callable[[Iterator[np.ndarray], int], Any]] | None = None,
) -> dict[str, Any]:
    """Return the arrays `names` of the npz file `path`.

    what: the kind of file, for the error message. advice: what the user has to do, for the error message. by_row: what
    makes something else of arrays (N, M) that are too large for the memory, from their rows (M,) float64 and M.
    Raises FileNotFoundError or NotADirectoryError if the file does not exist, and SnowmatchError if the file cannot
    be read, is damaged or lacks one of the arrays.
    """
    by_row = by_row or {}
    try:
        content = read_file(path)
    except (FileNotFoundError, NotADirectoryError):
        raise
    except OSError as error:
        raise unreadable(path, error) from error
    try:
        with np.load(io.BytesIO(content), allow_pickle=False) as archive:
            for name in names:
                if name not in by_row:
                    _check_size(archive, name)
            return {name: _rows(archive, name, by_row[name]) if name in by_row else archive[name] for name in names}
    except (KeyError, ValueError, TypeError, RuntimeError, OSError, zipfile.BadZipFile, zlib.error, EOFError) as error:
        raise SnowmatchError(f"{path} is damaged or is not a valid {what} file: {advice}") from error
