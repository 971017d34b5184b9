"""The rows of search blocks: they are read where the features are stored, so that they are on disk once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from snowmatch.core.mapped import fetch_rows, read_single_rows

# Rows that are read together from the disk: 16 KB of 128 elements. A disk takes little longer for them than for one;
# later queries find some of their rows in memory; with much more, what a query reads would not fit into memory
TOGETHER = 128
Found = tuple[Sequence[np.ndarray], np.ndarray, np.ndarray]


@dataclass(frozen=True, eq=False)
class Rows:
    """The rows of E annotations, one after the other.

    offsets: (E + 1,) int64, the number of the first row of each annotation. find: returns arrays (R, D) of one type,
    (E,) the number of the array that has an annotation, or -1 for one that is gone, and (E,) its first row there; it is
    called when rows are first read. check: is called with the numbers of annotations before their rows are first read;
    it raises SnowmatchError if they are damaged.
    """

    offsets: np.ndarray
    find: Callable[[], Found]
    check: Callable[[np.ndarray], None] | None = None

    @cached_property
    def _found(self) -> Found:
        found = self.find()
        for array in found[0]:
            read_single_rows(array)
        return found

    @cached_property
    def _checked(self) -> np.ndarray:
        return np.zeros(len(self.offsets) - 1, bool)

    @cached_property
    def _fetched(self) -> np.ndarray:
        """Whether TOGETHER rows were read before: the system then holds them, unless memory is short."""
        return np.zeros(int(self.offsets[-1]) // TOGETHER + 1, bool)

    def where(self, numbers: np.ndarray) -> Found:
        """Return all arrays, the array of each row, and its number there. Raises SnowmatchError if it is damaged."""
        entries = np.searchsorted(self.offsets, numbers, side="right") - 1
        if self.check is not None:
            new = np.unique(entries[~self._checked[entries]])
            if len(new):
                self.check(new)
                self._checked[new] = True
        arrays, array, first = self._found
        owners, rows = array[entries], first[entries] + numbers - self.offsets[entries]
        groups = numbers // TOGETHER
        new = np.flatnonzero(~self._fetched[groups])
        entry, start = entries[new], groups[new] * TOGETHER
        start, stop = (np.clip(n, self.offsets[entry], self.offsets[entry + 1]) for n in (start, start + TOGETHER))
        shift = rows[new] - numbers[new]
        for owner in np.unique(owners[new]):
            mine = owners[new] == owner
            fetch_rows(arrays[owner], (start + shift)[mine], (stop + shift)[mine])
        self._fetched[groups] = True
        return arrays, owners, rows


def pieces(
    rows: Rows | np.ndarray, numbers: np.ndarray, most: int
) -> Sequence[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Return the work of reading rows number `numbers` (P,): an array, the numbers of its rows to read, at most `most`,
    and their places among the P. Rows that lie together are read together.
    """
    if isinstance(rows, np.ndarray):
        return [
            (rows, numbers[start : start + most], np.arange(start, min(start + most, len(numbers))))
            for start in range(0, len(numbers), most)
        ]
    arrays, array, row = rows.where(numbers)
    order = np.lexsort((row, array))
    starts = np.flatnonzero(np.diff(array[order], prepend=-2))
    found = []
    for first, last in zip(starts, [*starts[1:], len(order)], strict=True):
        for start in range(first, last, most):
            chosen = order[start : min(start + most, last)]
            found.append((arrays[array[chosen[0]]], row[chosen], chosen))
    return found


def take(rows: Rows | np.ndarray, numbers: np.ndarray, dimension: int) -> np.ndarray:
    """Return the rows number `numbers` (P,) as (P, D) float64."""
    found = np.empty((len(numbers), dimension), np.float64)
    for array, chosen, places in pieces(rows, numbers, max(1, len(numbers))):
        found[places] = array[chosen]
    return found
