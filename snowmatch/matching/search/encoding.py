"""The inverted file of a block's rows: they are encoded by several threads, or by the workers of a cluster.

They are encoded in pieces that do not depend on who encodes them. So the result is the same, to the byte.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from snowmatch.core.errors import SnowmatchError
from snowmatch.core.executor import Cluster, Threads, in_order, open_threads
from snowmatch.matching.search.inverted_file import Codebook, FaissIndex, Lists, code_rows, pack, train_codebook

ROWS_AT_ONCE = 1 << 16  # of one task: with 5,590 lists a second of work, and 2 MB to send back

Descriptors = Callable[[Sequence[str]], list[np.ndarray]]  # returns the rows (R, D) of some entries, by their keys


@dataclass(frozen=True, eq=False)
class CodeRows:
    """The task to encode some rows of consecutive entries.

    keys: of the entries. first: the number of the first of these rows among those of the entries that are searched.
    count: how many. searched: which rows of each entry are searched, as bits; None: all.
    """

    keys: tuple[str, ...]
    first: int
    count: int
    searched: tuple[np.ndarray, ...] | None

    def run(self, descriptors: Descriptors, codebook: Codebook) -> tuple[np.ndarray, np.ndarray]:
        """Return the list (R,) int32 and the code (R, C) uint8 of each row."""
        try:
            rows = descriptors(self.keys)
        except KeyError as error:
            raise SnowmatchError("a worker sees other features than this computer: index again") from error
        if self.searched is not None:
            some = (np.unpackbits(bits, count=len(r)).astype(bool) for r, bits in zip(rows, self.searched, strict=True))
            rows = [each[chosen] for each, chosen in zip(rows, some, strict=True)]
        return code_rows(codebook, np.concatenate(rows)[self.first : self.first + self.count])

    @property
    def path(self) -> str:
        return self.keys[0]


def encode(codebook: Codebook, rows: Sequence[np.ndarray], searched: Sequence[np.ndarray] | None = None) -> Lists:
    """Return an inverted file of the rows (R, D) of all entries. The same rows give the same bytes.

    searched: for each entry (R,) bool, the rows that are searched; the others have a number, and are left out.
    """
    keys = [str(number) for number in range(len(rows))]
    counts = np.array([len(each) for each in rows], np.int64)

    def descriptors(some: Sequence[str]) -> list[np.ndarray]:
        return [rows[int(key)] for key in some]

    return encode_stored(codebook, keys, counts, searched, descriptors, here=True)


def encode_stored(
    codebook: Codebook,
    keys: Sequence[str],
    counts: np.ndarray,
    searched: Sequence[np.ndarray] | None,
    descriptors: Descriptors,
    told: Callable[[int], None] = lambda rows: None,
    *,
    here: bool = False,
) -> Lists:
    """Return an inverted file of the rows of stored entries, as `encode` does, by the cluster in use, if there is one.

    counts: (E,) int64, the rows of each. descriptors: for a cluster it must be a value that another process can use.
    told: called with a number of rows when so many more are encoded. here: in this process in any case.
    """
    if searched is None:
        numbers, sizes = np.arange(counts.sum()), counts
    else:
        numbers = np.flatnonzero(np.concatenate([np.zeros(0, bool), *searched]))
        sizes = np.array([some.sum() for some in searched], np.int64)
    with open_threads((descriptors, codebook), here=here) as pool:
        return pack(codebook, numbers, _coded(pool, _tasks(keys, sizes, searched), told))


def build_faiss(rows: Sequence[np.ndarray]) -> FaissIndex:
    """Return an index of the rows (R, D) of all entries, with a codebook of its own."""
    codebook = train_codebook("", rows)
    return FaissIndex(np.concatenate(rows), None if codebook is None else encode(codebook, rows), codebook)


def _coded(
    pool: Threads | Cluster, tasks: Iterator[CodeRows], told: Callable[[int], None]
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    for task, found in in_order(pool, tasks, lambda task: task):
        yield found
        told(task.count)


def _tasks(keys: Sequence[str], sizes: np.ndarray, searched: Sequence[np.ndarray] | None) -> Iterator[CodeRows]:
    """Yield the tasks of all rows. sizes: (E,) the rows of each entry that are searched."""
    ends = np.cumsum(sizes)
    total = int(ends[-1]) if len(ends) else 0
    for start in range(0, total, ROWS_AT_ONCE):
        stop = min(start + ROWS_AT_ONCE, total)
        one, last = int(np.searchsorted(ends, start, "right")), int(np.searchsorted(ends, stop, "left"))
        bits = None if searched is None else tuple(np.packbits(some) for some in searched[one : last + 1])
        yield CodeRows(tuple(keys[one : last + 1]), start - int(ends[one] - sizes[one]), stop - start, bits)
