"""Named arrays in one npz file. The file holds no pickles. The same arrays always give the same bytes."""

from __future__ import annotations

import io
import math
import tokenize
import zipfile
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import BinaryIO

import numpy as np

from snowmatch.core.errors import SnowmatchError
from snowmatch.core.files import read_file, replace_file, unreadable

# What numpy raises for a damaged header, which is a text in the syntax of Python. Where warnings are errors, a damaged
# letter may also name a type that numpy still reads, but no longer writes
_NO_HEADER = (tokenize.TokenError, SyntaxError, RecursionError, MemoryError, DeprecationWarning)
LARGEST = 8 << 30  # bytes of one array in a compressed file: a small file must not fill the memory


def save_arrays(path: Path, arrays: Mapping[str, np.ndarray]) -> None:
    """Write `arrays` to the file `path` in one step: a reader sees the old file or the new file, never a part.

    Raises SnowmatchError if the file cannot be written.
    """

    def write(file: BinaryIO) -> None:
        with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, array in arrays.items():
                content = io.BytesIO()
                np.lib.format.write_array(content, array, allow_pickle=False)
                # numpy.savez writes the current time into every entry, so its bytes change from run to run
                entry = zipfile.ZipInfo(f"{name}.npy", date_time=(1980, 1, 1, 0, 0, 0))
                entry.compress_type = zipfile.ZIP_DEFLATED
                archive.writestr(entry, content.getvalue())

    replace_file(path, write)


def _check_size(archive: np.lib.npyio.NpzFile, name: str) -> None:
    """Raise ValueError if an array needs more memory than LARGEST, or more than the archive has for it."""
    assert archive.zip is not None
    info = archive.zip.getinfo(f"{name}.npy")
    with archive.zip.open(info) as file:
        version = np.lib.format.read_magic(file)
        read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        try:
            shape, _, dtype = read(file)
        except _NO_HEADER:
            raise ValueError(f"the header of {name} is damaged") from None
    if math.prod(shape) * dtype.itemsize > min(info.file_size, LARGEST):
        raise ValueError(f"{name} has another size than the file says")


def load_arrays(path: Path, names: Sequence[str], what: str, advice: str) -> dict[str, np.ndarray]:
    """Return the arrays `names` of the npz file `path`.

    what: the kind of file, for the error message. advice: what the user has to do, for the error message.
    Raises FileNotFoundError or NotADirectoryError if the file does not exist, and SnowmatchError if the file cannot
    be read, is damaged or lacks one of the arrays.
    """
    try:
        content = read_file(path)
    except (FileNotFoundError, NotADirectoryError):
        raise
    except OSError as error:
        raise unreadable(path, error) from error
    try:
        with np.load(io.BytesIO(content), allow_pickle=False) as archive:
            for name in names:
                _check_size(archive, name)
            return {name: archive[name] for name in names}
    except (KeyError, ValueError, TypeError, RuntimeError, OSError, zipfile.BadZipFile, zlib.error, EOFError) as error:
        raise SnowmatchError(f"{path} is damaged or is not a valid {what} file: {advice}") from error
