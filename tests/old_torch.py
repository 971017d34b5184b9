"""Files in torch's old format, written without torch, opcode by opcode, so that tests can also write wrong ones."""

import pickle
from dataclasses import dataclass

import numpy as np

from snowmatch.models.torch_file import MAGIC

KINDS = {np.dtype(np.float32): b"FloatStorage", np.dtype(np.int64): b"LongStorage"}
REBUILD = b"ctorch._utils\n_rebuild_tensor_v2\n"
EMPTY_DICT = b"ccollections\nOrderedDict\n)R"


@dataclass(frozen=True)
class View:
    """A tensor: a part of the storage with the name `key`. offset and strides count numbers, not bytes."""

    key: str
    offset: int
    shape: tuple
    strides: tuple


def plain(value):
    """Return the opcodes of a value without classes."""
    return pickle.dumps(value, protocol=2)[2:-1]


def storage(key, array, count=None):
    """Return the opcodes of a storage."""
    kind = b"ctorch\n" + KINDS[array.dtype] + b"\n"
    parts = (plain("storage"), kind, plain(key), plain("cpu"), plain(len(array) if count is None else count))
    return b"(" + b"".join(parts) + b"NtQ"


def tensor(view, array, count=None):
    """Return the opcodes of a tensor."""
    return rebuilt(storage(view.key, array, count), view)


def rebuilt(inner, view):
    """Return the opcodes of a tensor over `inner`, the opcodes of its storage."""
    where = plain(view.offset) + plain(view.shape) + plain(view.strides)
    return REBUILD + b"(" + inner + where + plain(False) + EMPTY_DICT + b"tR"


def state(entries):
    """Return the pickle of an OrderedDict. entries: the opcodes of each value, by name."""
    return b"\x80\x02" + EMPTY_DICT + b"(" + b"".join(plain(name) + value for name, value in entries.items()) + b"u."


def numbers(arrays, keys=None, counts=None):
    """Return the end of a file: the names of the storages, then the numbers of each. counts: wrong lengths to write."""
    keys = sorted(arrays) if keys is None else keys
    written = [len(arrays[key]).to_bytes(8, "little") + arrays[key].tobytes() for key in keys]
    if counts:
        written = [counts.get(k, len(arrays[k])).to_bytes(8, "little") + arrays[k].tobytes() for k in keys]
    return pickle.dumps(keys, protocol=2) + b"".join(written)


def head(magic=MAGIC):
    """Return the first three pickles of a file."""
    sizes = {"protocol_version": 1001, "little_endian": True, "type_sizes": {"short": 2, "int": 4, "long": 4}}
    return b"".join(pickle.dumps(value, protocol=2) for value in (magic, 1001, sizes))


def old_torch(views, storages):
    """Return a whole file. views: the tensors by name. storages: one-dimensional arrays by key."""
    return head() + state({n: tensor(v, storages[v.key]) for n, v in views.items()}) + numbers(storages)


def old_torch_of(arrays):
    """Return a whole file of arrays, each with a storage of its own."""
    storages = {str(n): np.ascontiguousarray(values).ravel() for n, values in enumerate(arrays.values())}
    views = {}
    for key, (name, values) in zip(storages, arrays.items(), strict=True):
        steps = np.ascontiguousarray(values).strides if values.ndim else ()
        views[name] = View(key, 0, values.shape, tuple(step // values.itemsize for step in steps))
    return old_torch(views, storages)
