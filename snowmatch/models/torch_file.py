"""The tensors in a file of torch's old format, read without torch and without running code of the file."""

from __future__ import annotations

import io
import pickle
from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np

from snowmatch.core.errors import SnowmatchError

MAGIC = 0x1950A86A20F9469CFC6C  # the first value in a file of the old format
TYPES = {"FloatStorage": np.float32, "LongStorage": np.int64}


def read_torch(path: Path) -> dict[str, np.ndarray]:
    """Return the named tensors of a file in the format that torch wrote before version 1.6.

    The format is a series of pickles and then the numbers. Only the four names that a file of tensors needs are
    allowed in the pickles, so the file cannot run code. Raises SnowmatchError if the file has another format or
    contains anything else.
    """
    try:
        content = Path(path).read_bytes()
        return _tensors(content)
    except OSError as error:
        raise SnowmatchError(f"{path} cannot be read: {error.strerror or error}") from error
    except Exception as error:  # for bytes that are not weights, the reader raises exceptions of any type
        raise SnowmatchError(
            f"{path} is damaged or is not a file of weights in torch's old format ({type(error).__name__}): get the "
            "file again"
        ) from error


def _tensors(content: bytes) -> dict[str, np.ndarray]:
    file = io.BytesIO(content)
    if _Reader(file, {}).load() != MAGIC:
        raise ValueError("another format")
    _Reader(file, {}).load()  # the version of the format
    _Reader(file, {}).load()  # the byte order and the sizes of types: always the same in files for download
    storages: dict[str, np.ndarray] = {}
    tensors = _Reader(file, storages).load()
    if not all(isinstance(name, str) and isinstance(values, np.ndarray) for name, values in tensors.items()):
        raise ValueError("there is more than named tensors")
    keys = _Reader(file, {}).load()
    if sorted(keys) != sorted(storages):
        raise ValueError("the storages differ from those of the tensors")
    for key in keys:
        count = int.from_bytes(file.read(8), "little")
        numbers = file.read(storages[key].nbytes)
        if count != len(storages[key]) or len(numbers) != storages[key].nbytes:
            raise ValueError("a length differs")
        storages[key][:] = np.frombuffer(numbers, storages[key].dtype)
    return dict(tensors)


class _Reader(pickle.Unpickler):
    """A reader of pickles that makes arrays only. storages: the numbers of each storage, filled in later."""

    def __init__(self, file: io.BytesIO, storages: dict[str, np.ndarray]) -> None:
        super().__init__(file)
        self._storages = storages

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) == ("collections", "OrderedDict"):
            return OrderedDict
        if (module, name) == ("torch._utils", "_rebuild_tensor_v2"):
            return _view
        if module == "torch" and name in TYPES:
            return TYPES[name]
        raise pickle.UnpicklingError(f"{module}.{name} is not allowed")

    def persistent_load(self, pid: Any) -> np.ndarray:
        _, kind, key, _, count, _ = pid
        return self._storages.setdefault(key, np.zeros(count, kind))


def _view(storage: np.ndarray, offset: int, shape: tuple[int, ...], strides: tuple[int, ...], *_: Any) -> np.ndarray:
    """Return the tensor as a view of its storage, with torch's strides (in numbers)."""
    last = offset + sum((side - 1) * stride for side, stride in zip(shape, strides, strict=True))
    if storage.base is not None or storage.ndim != 1:
        raise ValueError("a tensor is a view of a view")  # its memory may be shorter than its length
    if not 0 <= offset <= last < len(storage) or min((0, *strides)) < 0 or min((1, *shape)) < 1:
        raise ValueError("a tensor extends beyond its storage")
    steps = [stride * storage.itemsize for stride in strides]
    return np.lib.stride_tricks.as_strided(storage[offset:], shape, steps, writeable=False)
