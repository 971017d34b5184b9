"""Arrays in files that are mapped into memory."""

from __future__ import annotations

import mmap
from contextlib import suppress

import numpy as np

CAN_FETCH = hasattr(mmap.mmap, "madvise") and hasattr(mmap, "MADV_WILLNEED")  # not on Windows


def fetch_rows(array: np.ndarray, first: np.ndarray, stop: np.ndarray) -> None:
    """Ask the system to read rows of a mapped array from the disk, all at once.

    Without it, the disk is asked for one row after the other. array: (R, ...), contiguous. first, stop: (P,), the
    numbers of the first row of each run, and of the one after its last. An array in memory, no runs, or a system that
    cannot or will not do it: nothing happens.
    """
    mapped = _mapping_of(array) if CAN_FETCH and len(first) else None
    if mapped is None:
        return
    start = _address(array) - _address(np.frombuffer(mapped, np.uint8, 1))
    size, order = array.strides[0], np.argsort(first, kind="stable")
    begin = (start + first[order] * size) // mmap.PAGESIZE
    end = np.maximum.accumulate((start + stop[order] * size - 1) // mmap.PAGESIZE)
    alone = np.flatnonzero(begin[1:] > end[:-1] + 1) + 1  # these do not touch what comes before
    for page, last in zip(
        begin[np.append(0, alone)].tolist(), end[np.append(alone, len(end)) - 1].tolist(), strict=True
    ):
        with suppress(OSError):  # the system may refuse advice, such as when it is short of memory
            mapped.madvise(mmap.MADV_WILLNEED, page * mmap.PAGESIZE, (last - page + 1) * mmap.PAGESIZE)


def read_single_rows(array: np.ndarray) -> None:
    """Tell the system that rows of a mapped file are read one by one: it then reads nothing that lies around them.

    It reads 128 KB otherwise, which takes the place of what other queries need. An array in memory, or a system that
    cannot do it: nothing happens.
    """
    mapped = _mapping_of(array) if CAN_FETCH else None
    if mapped is not None:
        with suppress(OSError):
            mapped.madvise(mmap.MADV_RANDOM)


def _mapping_of(array: np.ndarray) -> mmap.mmap | None:
    """Return the mapping that an array is a view of; None if it is none."""
    base: object = array
    while isinstance(base, np.ndarray | memoryview):
        base = base.base if isinstance(base, np.ndarray) else base.obj
    return base if isinstance(base, mmap.mmap) else None


def _address(array: np.ndarray) -> int:
    found: int = array.__array_interface__["data"][0]
    return found
