"""Named arrays in one npz file. The file holds no pickles. The same arrays always give the same bytes."""

from __future__ import annotations

import io
import zipfile
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import BinaryIO

import numpy as np

from snowmatch.core.errors import SnowmatchError
from snowmatch.core.files import replace_file, unreadable


def save_arrays(path: Path, arrays: Mapping[str, np.ndarray], *, packed: bool = True) -> None:
    """Write `arrays` to the file `path` in one step: a reader sees the old file or the new file, never a part.

    packed: True compresses the file; False writes faster. Raises SnowmatchError if the file cannot be written.
    """
    kind = zipfile.ZIP_DEFLATED if packed else zipfile.ZIP_STORED

    def write(file: BinaryIO) -> None:
        with zipfile.ZipFile(file, "w", kind) as archive:
            for name, array in arrays.items():
                content = io.BytesIO()
                np.lib.format.write_array(content, array, allow_pickle=False)
                # numpy.savez writes the current time into every entry, so its bytes change from run to run
                entry = zipfile.ZipInfo(f"{name}.npy", date_time=(1980, 1, 1, 0, 0, 0))
                entry.compress_type = kind
                archive.writestr(entry, content.getvalue())

    replace_file(path, write)


def load_arrays(path: Path, names: Sequence[str], what: str, advice: str) -> dict[str, np.ndarray]:
    """Return the arrays `names` of the npz file `path`.

    what: the kind of file, for the error message. advice: what the user has to do, for the error message.
    Raises FileNotFoundError or NotADirectoryError if the file does not exist, and SnowmatchError if the file cannot
    be read, is damaged or lacks one of the arrays.
    """
    try:
        content = path.read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        raise
    except OSError as error:
        raise unreadable(path, error) from error
    try:
        with np.load(io.BytesIO(content), allow_pickle=False) as archive:
            return {name: archive[name] for name in names}
    except (KeyError, ValueError, TypeError, RuntimeError, OSError, zipfile.BadZipFile, zlib.error, EOFError) as error:
        raise SnowmatchError(f"{path} is damaged or is not a valid {what} file: {advice}") from error
