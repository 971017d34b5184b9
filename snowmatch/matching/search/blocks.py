"""Approximate search for nearest neighbours among the descriptors of a gallery, block by block.

A block holds the rows of some annotations of one body part, so that a left flank is never searched among right flanks.
It never changes: annotations that are gone are masked, new ones are in new blocks (see `shelf.py`). Rows that may not
answer a query (its own encounter, other locations) are excluded from the search itself, so that they never take the
place of a neighbour.

The blocks of a group share a codebook. The candidates of all blocks are merged by approximate distance before the best
are compared exactly. So the neighbours are those of one large block: how the rows are divided does not matter.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from snowmatch.core.notes import Note
from snowmatch.matching.search import inverted_file
from snowmatch.matching.search.forest import FlannIndex
from snowmatch.matching.search.inverted_file import CANDIDATES, PROBES, FaissIndex, distances_of, nearest_of
from snowmatch.matching.search.loaded import Loaded
from snowmatch.matching.search.rows import Rows

BACKENDS = ("faiss", "flann")
UINT8_NORM = 512.0  # approximate norm of uint8 descriptors (Lowe 2004 section 6.1; hesaff, pyhesaff alike)
DEEPER = 4  # times as many candidates are looked at where too few are nearer than equally near ones
DEEPEST = 4  # number of times
TIED = 1  # candidates in addition, since those that are equally far as the last are left out
SPARE = 8  # neighbours by a fast formula that are compared again, so that rounding leaves none out


@dataclass(frozen=True)
class Neighbors:
    """The k nearest allowed gallery keypoints of each of N query descriptors, nearest first.

    distances: (N, k) float32, 0 to 1; inf if there are fewer than k.
    entries: (N, k) int64, the number of the gallery entry, or -1.
    keypoints: (N, k) int64, the number of the keypoint in its entry, or -1.
    """

    distances: np.ndarray
    entries: np.ndarray
    keypoints: np.ndarray


class LazyIndex:
    """The search index of one block. It is read or built when it is needed, by any thread, and kept in `loaded`.

    open_it: reads or builds it, and tells how. key: what it is called in `loaded`.
    """

    def __init__(
        self, name: str, open_it: Callable[[], tuple[Any, str]], loaded: Loaded | None = None, key: str = ""
    ) -> None:
        self._name, self._open, self._key = name, open_it, key or name
        self._loaded = Loaded() if loaded is None else loaded
        self._lock = threading.Lock()
        self._known = False

    def get(self) -> tuple[Any, Note | None]:
        """Return the index, and a note for the caller that had to build it."""
        with self._lock:
            index = self._loaded.get(self._key)
            if index is not None:
                return index, None
            index, origin = self._open()
            self._known = True
            self._loaded.put(self._key, index, index.memory)
        if origin == "read":
            return index, None
        text = f"the search index {self._name} was built for this query and {origin}"
        return index, Note(
            "index-made", text, {"index": self._name, "kept": origin.startswith("kept"), "damaged": "damaged" in origin}
        )

    def prepare(self) -> Note | None:
        """Load the index unless it was loaded before, and return a note if it had to be built."""
        return None if self._known else self.get()[1]


@dataclass(frozen=True, eq=False)
class Block:
    """One part of a gallery that is searched separately.

    entries: (E,) int64, numbers of the gallery entries; -1 for those that are gone. offsets: (E + 1,) int64, where the
    rows of each begin. group: blocks with the same name share a codebook; "" has one of its own. rows: its rows; None
    if its index has them.
    """

    entries: np.ndarray
    offsets: np.ndarray
    index: LazyIndex
    group: str = ""
    rows: Rows | None = None

    def rows_by(self, index: Any) -> Any:
        """Return its rows. index: what was loaded."""
        return index.rows if self.rows is None else self.rows

    def load(self) -> Any:
        """Return the search index."""
        return self.index.get()[0]

    def prepare(self) -> Note | None:
        """Load the index, and return a note if it had to be built."""
        return self.index.prepare()

    def allows(self, allowed: np.ndarray) -> np.ndarray:
        """Return (E,) bool, whether each entry may answer. allowed: (A,) bool, by number of the gallery entry."""
        return (self.entries >= 0) & allowed[np.maximum(self.entries, 0)] if len(allowed) else self.entries >= 0


@dataclass(frozen=True, eq=False)
class _View:
    """A block with the rows (R,) bool that may answer, and the number of its first row among those of its group."""

    block: Block
    wanted: np.ndarray
    first: int


def search(
    blocks: Sequence[Block], descriptors: np.ndarray, allowed: np.ndarray, k: int, *, probes: int = PROBES
) -> Neighbors:
    """Return the k nearest keypoints of `descriptors` (N, D) in the entries where `allowed` (A,) is True.

    No descriptors give (0, k) arrays. With fewer than k allowed keypoints, the last places are inf and -1. Equal
    distances are sorted by entry, then by keypoint. probes: number of lists that are looked at.
    """
    n = len(descriptors)
    best = _nothing(n, k)
    if n == 0:
        return best
    queries = np.ascontiguousarray(descriptors, np.float32)
    norm = UINT8_NORM if descriptors.dtype == np.uint8 else 1.0
    groups: dict[str | int, list[Block]] = {}
    for number, block in enumerate(blocks):
        groups.setdefault(block.group or number, []).append(block)
    for group in groups.values():
        for found in _search_group(group, queries, norm, allowed, k, probes):
            best = _merge(best, found, k)
    return best


def _nothing(n: int, k: int) -> Neighbors:
    return Neighbors(np.full((n, k), np.inf, np.float32), np.full((n, k), -1, np.int64), np.full((n, k), -1, np.int64))


def _merge(a: Neighbors, b: Neighbors, k: int) -> Neighbors:
    distances, entries, keypoints = (
        np.concatenate(pair, axis=1) for pair in zip(_columns(a), _columns(b), strict=True)
    )
    return _best(distances, entries, keypoints, k)


def _columns(found: Neighbors) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    return found.distances, found.entries, found.keypoints


def _best(distances: np.ndarray, entries: np.ndarray, keypoints: np.ndarray, k: int) -> Neighbors:
    """Return the k nearest of each row; equal distances are sorted by entry, then by keypoint."""
    order = np.lexsort((keypoints, entries, distances), axis=1)[:, :k]
    return Neighbors(*(np.take_along_axis(x, order, axis=1) for x in (distances, entries, keypoints)))


def _search_group(
    blocks: Sequence[Block], queries: np.ndarray, norm: float, allowed: np.ndarray, k: int, probes: int
) -> Iterable[Neighbors]:
    """Yield neighbours in blocks with one codebook. All together hold the k nearest."""
    views, rows, live, total = [], 0, 0, 0
    for block in blocks:
        counts = np.diff(block.offsets)
        keep = block.allows(allowed)
        if keep.any() and (count := int(counts[keep].sum())):
            views.append(_View(block, np.repeat(keep, counts), rows))
            rows, total = rows + int(block.offsets[-1]), total + count
        live += int(counts[block.entries >= 0].sum())
    for number, view in enumerate(views):
        index = view.block.load()
        if isinstance(index, FlannIndex):
            squared, found = index.search(queries, view.wanted, min(k, int(view.wanted.sum())))
            yield Neighbors(_scaled(squared, norm), *_places(view.block, found))
        elif total <= inverted_file.EXHAUSTIVE_ROWS or index.codebook is None:
            yield _compare_all(view, index, queries, norm, k)
        elif number == 0:
            # A filter that keeps one row in five also thins every list: five times as many lists cost the same
            probed = int(np.ceil(probes * live / total))
            yield _look(views, index.codebook, queries, norm, k, probed)
            return


def _scaled(squared: np.ndarray, norm: float) -> np.ndarray:
    return np.sqrt(squared / (2 * norm * norm), dtype=np.float32)


def _places(block: Block, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the entry and the keypoint of each row of a block."""
    position = np.searchsorted(block.offsets, rows, side="right") - 1
    return block.entries[position], rows - block.offsets[position]


def _compare_all(view: _View, index: FaissIndex, queries: np.ndarray, norm: float, k: int) -> Neighbors:
    """Return the nearest rows of a block. All rows that may answer are compared."""
    rows = view.block.rows_by(index)
    found = nearest_of(rows, queries, np.flatnonzero(view.wanted), k + SPARE)
    asked = np.repeat(np.arange(len(queries)), found.shape[1])
    squared = distances_of(rows, found.ravel(), queries, asked).reshape(found.shape)
    return _best(_scaled(squared, norm), *_places(view.block, found), k)


def _look(views: Sequence[_View], codebook: Any, queries: np.ndarray, norm: float, k: int, probed: int) -> Neighbors:
    """Return the nearest rows of blocks with one codebook: those with the best codes in the nearest lists.

    The number of candidates is CANDIDATES, without those that are as far as the next one: which of them a block returns
    is not defined. Where fewer than k are left, all lists are looked at, then more candidates.
    """
    best = _nothing(len(queries), k)
    count = max(CANDIDATES, 2 * k) + TIED
    tries = [(min(probed, codebook.lists), count)]
    tries += [(codebook.lists, count * DEEPER**more) for more in range(DEEPEST)]
    left = np.arange(len(queries))
    held: dict[int, Any] = {}  # the rows of each block: they stay if the block itself is dropped
    for number, (lists, candidates) in enumerate(tries):
        some = queries[left]
        near = codebook.nearest_lists(some, lists)
        rows = _candidates(views, held, some, near, candidates, ties=number == DEEPEST)
        found = _compare(views, held, rows, some, norm, k)
        for whole, part in zip(_columns(best), _columns(found), strict=True):
            whole[left, : part.shape[1]] = part
        left = left[(best.entries[left] < 0).any(axis=1)]
        if not len(left):
            break
    return best


def _candidates(
    views: Sequence[_View],
    held: dict[int, Any],
    queries: np.ndarray,
    lists: np.ndarray,
    count: int,
    *,
    ties: bool,
) -> np.ndarray:
    """Return the rows (N, C) of all blocks, by number in the group, that are nearer than the row number `count`; -1 for
    none. ties: those that are as far, too. held: takes the rows of each block.
    """
    found = []
    for number, view in enumerate(views):
        index = view.block.load()
        held[number] = view.block.rows_by(index)
        away, rows = index.look(queries, lists, view.wanted, count)
        found.append((away, np.where(rows >= 0, rows + view.first, -1)))
    away, rows = (np.concatenate(column, axis=1) for column in zip(*found, strict=True))
    if not ties:
        limit = np.partition(away, count - 1, axis=1)[:, count - 1 : count]
        rows[away >= limit] = -1
    first = np.argsort(away, axis=1, kind="stable")[:, :count]
    chosen: np.ndarray = np.take_along_axis(rows, first, axis=1)
    return chosen


def _compare(
    views: Sequence[_View],
    held: dict[int, Any],
    rows: np.ndarray,
    queries: np.ndarray,
    norm: float,
    k: int,
) -> Neighbors:
    """Return the k nearest of the candidates `rows` (N, C) by exact distance."""
    distances, entries, keypoints = _columns(_nothing(*rows.shape))
    firsts = np.array([view.first for view in views])
    owner = np.where(rows >= 0, np.searchsorted(firsts, rows, side="right") - 1, -1)
    for number, view in enumerate(views):
        asked, place = np.nonzero(owner == number)
        if len(asked):
            chosen = rows[asked, place] - view.first
            squared = distances_of(held[number], chosen, queries, asked)
            distances[asked, place] = _scaled(squared, norm)
            entries[asked, place], keypoints[asked, place] = _places(view.block, chosen)
    return _best(distances, entries, keypoints, k)
