"""Named arrays in one npz file: no pickles, and the same bytes for the same arrays."""

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
    """Put `arrays` into a file at once, `packed` to be small or not to be quick; SnowmatchError where it cannot be."""
    kind = zipfile.ZIP_DEFLATED if packed else zipfile.ZIP_STORED

    def write(file: BinaryIO) -> None:
        with zipfile.ZipFile(file, "w", kind) as archive:
            for name, array in arrays.items():
                held = io.BytesIO()
                np.lib.format.write_array(held, array, allow_pickle=False)
                # numpy.savez would write the time of day into every entry
                entry = zipfile.ZipInfo(f"{name}.npy", date_time=(1980, 1, 1, 0, 0, 0))
                entry.compress_type = kind
                archive.writestr(entry, held.getvalue())

    replace_file(path, write)


def load_arrays(path: Path, names: Sequence[str], what: str, advice: str) -> dict[str, np.ndarray]:
    """The arrays `names` of a file; FileNotFoundError, or SnowmatchError with `advice` where it is not `what`."""
    try:
        content = path.read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        raise
    except OSError as error:
        raise unreadable(path, error) from error
    try:
        with np.load(io.BytesIO(content), allow_pickle=False) as held:
            return {name: held[name] for name in names}
    except (KeyError, ValueError, TypeError, RuntimeError, OSError, zipfile.BadZipFile, zlib.error, EOFError) as error:
        raise SnowmatchError(f"{path} is damaged or no {what}: {advice}") from error
