"""Approximate search for nearest neighbours among the descriptors of a gallery, block by block.

A block holds the rows of some annotations of one body part, so that a left flank is never searched among right flanks.
It never changes: annotations that are gone are masked, new ones are in new blocks (see `shelf.py`). Rows that may not
answer a query (its own encounter, other locations) are excluded from the search itself, so that they never take the
place of a neighbour.

The blocks of a group share a codebook. The candidates of all blocks are merged by approximate distance before the best
are compared exactly. So the neighbours are those of one large block: how the rows are divided does not matter.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from snowmatch.core.executor import has_cluster
from snowmatch.core.notes import Note
from snowmatch.matching.search import inverted_file
from snowmatch.matching.search.block import Block
from snowmatch.matching.search.forest import FlannIndex
from snowmatch.matching.search.holders import Asked, Found, Part, ask_workers
from snowmatch.matching.search.inverted_file import (
    CANDIDATES,
    PROBES,
    Candidates,
    Codebook,
    FaissIndex,
    distances_of,
    nearest_of,
)

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


@dataclass(frozen=True, eq=False)
class _View:
    """A block with the entries (E,) bool that may answer, and the number of its first row among those of its group."""

    block: Block
    keep: np.ndarray
    first: int

    @property
    def wanted(self) -> np.ndarray:
        """(R,) bool, the rows that may answer. Made anew each time: many queries together would not fit into memory.

        Also those that are not searched: they are not in the lists.
        """
        return np.repeat(self.keep, np.diff(self.block.offsets))

    @property
    def searched(self) -> np.ndarray:
        """The numbers of the rows that may answer and are searched."""
        wanted = self.wanted
        if self.block.searched is not None:
            found = self.block.searched(self.block.entries[self.keep])
            wanted[wanted] = np.concatenate([np.zeros(0, bool), *found])
        return np.flatnonzero(wanted)


@dataclass(frozen=True, eq=False)
class Sought:
    """What is looked for: the nearest keypoints of descriptors (N, D) in the entries where `allowed` (A,) is True."""

    descriptors: np.ndarray
    allowed: np.ndarray


def prepare(blocks: Sequence[Block], allowed: np.ndarray) -> list[Note]:
    """Load the indexes that a search needs and that were not loaded before, here or on the workers of the cluster in
    use. Return notes on those that had to be built: this is done here. allowed: (A,) bool, the entries that may answer.
    """
    needed = [block for block in blocks if block.allows(allowed).any()]
    for group in _groups(blocks):
        new = [n for n, block in enumerate(group) if block in needed and not block.index.known]
        codebook = _spread_codebook(group[0]) if new else None
        if codebook is not None:
            parts = [group[n].part(n, codebook.lists, {}) for n in new]
            missing = {n for _, places in _ask(group, parts, {}) for n in places}
            for n in set(new) - missing:
                group[n].index.known = True
    return [note for block in needed if (note := block.index.prepare()) is not None]


def _groups(blocks: Sequence[Block]) -> list[list[Block]]:
    """Return the blocks that share a codebook together, in their order."""
    groups: dict[str | int, list[Block]] = {}
    for number, block in enumerate(blocks):
        groups.setdefault(block.group or number, []).append(block)
    return list(groups.values())


def _spread_codebook(block: Block) -> Codebook | None:
    """Return the codebook of a block that the workers of a cluster look at; None: this process does."""
    if block.home is None or not has_cluster():
        return None
    codebook = block.home.codebook()
    return codebook if block.path.parent.is_dir() else None  # without a folder, nothing could be kept


def _ask(
    blocks: Sequence[Block], parts: Sequence[Part], asked: Mapping[int, Asked]
) -> Iterable[tuple[Found, list[int]]]:
    """Yield what the workers find in some blocks of a group, see `ask_workers`."""
    return ask_workers(blocks[0].path.parent, {b.path.name: int(b.offsets[-1]) for b in blocks}, parts, asked)


def search(
    blocks: Sequence[Block], descriptors: np.ndarray, allowed: np.ndarray, k: int, *, probes: int = PROBES
) -> Neighbors:
    """Return the k nearest keypoints of `descriptors` (N, D) in the entries where `allowed` (A,) is True.

    No descriptors give (0, k) arrays. With fewer than k allowed keypoints, the last places are inf and -1. Equal
    distances are sorted by entry, then by keypoint. probes: number of lists that are looked at.
    """
    return search_many(blocks, [Sought(descriptors, allowed)], k, probes=probes)[0]


def search_many(blocks: Sequence[Block], sought: Sequence[Sought], k: int, *, probes: int = PROBES) -> list[Neighbors]:
    """Return what `search` returns for each of several queries. Each block is loaded once for all of them."""
    best = [_nothing(len(each.descriptors), k) for each in sought]
    wide = [np.ascontiguousarray(each.descriptors, np.float32) for each in sought]
    norms = [UINT8_NORM if each.descriptors.dtype == np.uint8 else 1.0 for each in sought]
    for group in _groups(blocks):
        looks = []
        for number, each in enumerate(sought):
            if len(each.descriptors):
                views, live, total = _views(group, each.allowed)
                looks.append(_Look(number, views, live, total, wide[number], norms[number], k, probes))
        for number, found in _search_group(group, looks):
            best[number] = _merge(best[number], found, k)
    return best


def _views(blocks: Sequence[Block], allowed: np.ndarray) -> tuple[dict[int, _View], int, int]:
    """Return those blocks of a group, by number, with rows that may answer; the number of rows that are not gone, and
    of those that may answer.
    """
    views, rows, live, total = dict[int, _View](), 0, 0, 0
    for number, block in enumerate(blocks):
        counts = np.diff(block.offsets)
        keep = block.allows(allowed)
        if keep.any() and (count := int(counts[keep].sum())):
            views[number] = _View(block, keep, rows)
            rows, total = rows + int(block.offsets[-1]), total + count
        live += int(counts[block.entries >= 0].sum())
    return views, live, total


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


def _search_group(blocks: Sequence[Block], looks: Sequence[_Look]) -> Iterable[tuple[int, Neighbors]]:
    """Yield neighbours in blocks with one codebook, and the number of the query. All together hold the k nearest."""
    codebook = _spread_codebook(blocks[0])
    if codebook is not None:
        yield from _search_spread(blocks, looks, codebook)
        return
    waiting: dict[int, _Look] = {}
    for place, block in enumerate(blocks):
        asking = [look for look in looks if place in look.views]
        index: Any = None  # what was looked at must not stay beside the next one
        index = block.load() if asking else None
        for look in asking:
            view = look.views[place]
            if isinstance(index, FlannIndex):
                wanted = view.wanted
                squared, found = index.search(look.queries, wanted, min(look.k, int(wanted.sum())))
                yield look.number, Neighbors(_scaled(squared, look.norm), *_places(view.block, found))
            elif look.total <= inverted_file.EXHAUSTIVE_ROWS or index.codebook is None:
                yield look.number, _compare_all(view, index, look.queries, look.norm, look.k)
            else:
                if look.number not in waiting:
                    look.start(index.codebook)
                    waiting[look.number] = look
                look.look(view, place, index)
    while waiting:
        for number in [number for number, look in waiting.items() if look.compare()]:
            yield number, waiting.pop(number).best
        for place, block in enumerate(blocks):
            asking = [look for look in waiting.values() if place in look.views]
            index = None
            index = block.load() if asking else None
            for look in asking:
                look.look(look.views[place], place, index)


def _search_spread(
    blocks: Sequence[Block], looks: Sequence[_Look], codebook: Codebook
) -> Iterable[tuple[int, Neighbors]]:
    """Yield what `_search_group` does. The workers of the cluster in use look at the blocks, and the best candidates
    are compared here.
    """
    waiting: dict[int, _Look] = {}
    for look in looks:
        if look.total <= inverted_file.EXHAUSTIVE_ROWS:
            for view in look.views.values():
                yield look.number, _compare_all(view, None, look.queries, look.norm, look.k)
        else:
            look.start(codebook)
            waiting[look.number] = look
    while waiting:
        parts = []
        for place, block in enumerate(blocks):
            asking = {number: look.views[place] for number, look in waiting.items() if place in look.views}
            if asking:
                keeps = {number: (np.packbits(view.keep), view.first) for number, view in asking.items()}
                parts.append(block.part(place, codebook.lists, keeps))
        asked = {number: look.asked() for number, look in waiting.items()}
        for found, missing in _ask(blocks, parts, asked):
            for number, (away, rows) in found.items():
                waiting[number].candidates.add(away, rows)
            for place in missing:  # damaged, or not kept
                index = None
                index = blocks[place].load()
                for look in waiting.values():
                    if place in look.views:
                        look.look(look.views[place], place, index)
        for number in [number for number, look in waiting.items() if look.compare()]:
            yield number, waiting.pop(number).best


def _scaled(squared: np.ndarray, norm: float) -> np.ndarray:
    return np.sqrt(squared / (2 * norm * norm), dtype=np.float32)


def _places(block: Block, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the entry and the keypoint of each row of a block."""
    position = np.searchsorted(block.offsets, rows, side="right") - 1
    return block.entries[position], rows - block.offsets[position]


def _compare_all(view: _View, index: FaissIndex | None, queries: np.ndarray, norm: float, k: int) -> Neighbors:
    """Return the nearest rows of a block. All rows that may answer are compared."""
    rows = view.block.rows_by(index)
    among = view.searched
    if not len(among):
        return _nothing(len(queries), k)
    found = nearest_of(rows, queries, among, k + SPARE)
    asked = np.repeat(np.arange(len(queries)), found.shape[1])
    squared = distances_of(rows, found.ravel(), queries, asked).reshape(found.shape)
    return _best(_scaled(squared, norm), *_places(view.block, found), k)


class _Look:
    """The search of one query in the blocks with one codebook: those with the best codes in the nearest lists.

    The number of candidates is CANDIDATES, without those that are as far as the next one: which of them a block returns
    is not defined. Where fewer than k are left, all lists are looked at, then more candidates. views: the blocks with
    rows that may answer, by number. live, total: number of rows that are there, and that may answer.
    """

    def __init__(
        self,
        number: int,
        views: dict[int, _View],
        live: int,
        total: int,
        queries: np.ndarray,
        norm: float,
        k: int,
        probes: int,
    ) -> None:
        self.number, self.views, self.total = number, views, total
        self.queries, self.norm, self.k = queries, norm, k
        self.best = _nothing(len(queries), k)
        # A filter that keeps one row in five also thins every list: five times as many lists cost the same
        self._probed = int(np.ceil(probes * live / total)) if total else 0

    def start(self, codebook: Any) -> None:
        """Begin with the first try. codebook: that of all blocks."""
        self._codebook = codebook
        count = max(CANDIDATES, 2 * self.k) + TIED
        self._tries = [(min(self._probed, codebook.lists), count)]
        self._tries += [(codebook.lists, count * DEEPER**more) for more in range(DEEPEST)]
        self._left = np.arange(len(self.queries))
        # where the rows of each block are: they stay if the block itself is dropped
        self._held: dict[int, Any] = {place: view.block.rows for place, view in self.views.items()}
        self._try = 0
        self._begin()

    def _begin(self) -> None:
        lists, self._count = self._tries[self._try]
        self._some = self.queries[self._left]
        self._near = self._codebook.nearest_lists(self._some, lists)
        # `compare` leaves out those as far as the farthest: which of them stay is the same, but for the last try
        self.candidates = Candidates(len(self._some), self._count, all_equal=self._try == DEEPEST)

    def asked(self) -> Asked:
        """Return what a worker must know of it. Descriptors that were uint8 are sent as such."""
        queries = self._some.astype(np.uint8) if self.norm == UINT8_NORM else self._some
        return Asked(queries, self._near.astype(np.int32), self._count, self._try == DEEPEST)

    def look(self, view: _View, place: int, index: Any) -> None:
        """Look at one block, and keep the best candidates of all blocks so far."""
        self._held[place] = view.block.rows_by(index)
        away, rows = index.look(self._some, self._near, view.wanted, self._count)
        self.candidates.add(away, rows, view.first)

    def compare(self) -> bool:
        """Compare the candidates of all blocks exactly, and return whether that is enough. Otherwise the next try
        begins.
        """
        away, rows = self.candidates.away, self.candidates.rows
        if self._try < DEEPEST:  # at last, those that are equally far, too
            rows = np.where(away >= away.max(axis=1, keepdims=True), -1, rows)
        found = _compare(self.views, self._held, rows, self._some, self.norm, self.k)
        for whole, part in zip(_columns(self.best), _columns(found), strict=True):
            whole[self._left, : part.shape[1]] = part
        self._left = self._left[(self.best.entries[self._left] < 0).any(axis=1)]
        self._try += 1
        if not len(self._left) or self._try == len(self._tries):
            return True
        self._begin()
        return False


def _compare(
    views: dict[int, _View],
    held: dict[int, Any],
    rows: np.ndarray,
    queries: np.ndarray,
    norm: float,
    k: int,
) -> Neighbors:
    """Return the k nearest of the candidates `rows` (N, C) by exact distance."""
    distances, entries, keypoints = _columns(_nothing(*rows.shape))
    places = list(views)
    firsts = np.array([views[place].first for place in places])
    owner = np.where(rows >= 0, np.searchsorted(firsts, rows, side="right") - 1, -1)
    for number, place in enumerate(places):
        view = views[place]
        asked, column = np.nonzero(owner == number)
        if len(asked):
            chosen = rows[asked, column] - view.first
            squared = distances_of(held[place], chosen, queries, asked)
            distances[asked, column] = _scaled(squared, norm)
            entries[asked, column], keypoints[asked, column] = _places(view.block, chosen)
    return _best(distances, entries, keypoints, k)
