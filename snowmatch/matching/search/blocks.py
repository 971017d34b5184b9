"""Approximate search for nearest neighbours among the descriptors of a gallery, block by block.

Each body part is one block, so that a left flank is never searched among right flanks. A very large part is divided
into several blocks, which limits the memory for building. Rows that may not answer a query (its own encounter, other
locations) are excluded from the search itself, so that they never take the place of a neighbour.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from snowmatch.core.errors import SnowmatchError
from snowmatch.core.notes import Note
from snowmatch.matching.search.forest import FlannIndex
from snowmatch.matching.search.inverted_file import (
    ENDINGS,
    PROBES,
    build_faiss,
    read_faiss,
    remove_if_unused,
    write_faiss,
)

BACKENDS = ("faiss", "flann")
INDEX_FORMAT = 3  # increased if the way of building changes: files with another number are not used
BLOCK_BYTES = 1 << 30  # of descriptors per block; building needs twice as much memory
UINT8_NORM = 512.0  # approximate norm of uint8 descriptors (Lowe 2004 section 6.1; hesaff, pyhesaff alike)


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
    """The search index of one block. It is read or built once, when it is first needed, by any thread."""

    def __init__(self, name: str, open_it: Callable[[], tuple[Any, str]]) -> None:
        self._name, self._open = name, open_it
        self._lock = threading.Lock()
        self._index: Any = None

    def get(self) -> tuple[Any, Note | None]:
        """Return the index, and a note for the caller that had to build it."""
        with self._lock:
            if self._index is not None:
                return self._index, None
            self._index, origin = self._open()
        if origin == "read":
            return self._index, None
        text = f"the search index {self._name} was built for this query and {origin}"
        return self._index, Note(
            "index-made", text, {"index": self._name, "kept": origin.startswith("kept"), "damaged": "damaged" in origin}
        )


@dataclass(frozen=True)
class Block:
    """One part of a gallery that is searched separately.

    entries: (E,) int64, numbers of the gallery entries, ascending. offsets: (E + 1,) int64, where the rows of each
    begin.
    """

    entries: np.ndarray
    offsets: np.ndarray
    index: LazyIndex

    def load(self) -> Any:
        """Return the search index."""
        return self.index.get()[0]

    def prepare(self) -> Note | None:
        """Load the index, and return a note if it had to be built."""
        return self.index.get()[1]


def fingerprint(keys: Sequence[str], extractor_key: str, backend: str) -> str:
    """Return 16 hex digits that change if the features, or the way of indexing them, change."""
    digest = hashlib.sha256(f"{INDEX_FORMAT} {extractor_key} {backend}\n".encode())
    digest.update("\n".join(keys).encode())
    return digest.hexdigest()[:16]


def block_rows(dimension: int, dtype: np.dtype) -> int:
    """Return the largest number of descriptors in a block, for descriptors of this length and type."""
    return max(1, BLOCK_BYTES // max(1, dimension * dtype.itemsize))


def cut_blocks(counts: np.ndarray, limit: int) -> list[slice]:
    """Return consecutive runs of entries with at most `limit` rows. An entry with more rows is a run of its own."""
    runs, start, rows = [], 0, 0
    for i, count in enumerate(counts):
        if i > start and rows + count > limit:
            runs.append(slice(start, i))
            start, rows = i, 0
        rows += int(count)
    if len(counts) > start:
        runs.append(slice(start, len(counts)))
    return runs


def open_index(
    folder: Path, name: str, mark: str, backend: str, descriptors: Callable[[], list[np.ndarray]]
) -> tuple[Any, str]:
    """Return the index `name` with the fingerprint `mark` from `folder`, and how it was obtained.

    It is read with its rows memory-mapped ("read"), or built and stored ("kept", with a remark if the stored one was
    damaged), or built only ("could not be kept": the disk is full or read-only, or it is a FLANN forest, which is never
    stored). descriptors: a function that returns the rows of each entry; it is only called to build. Files of the same
    name with another fingerprint are deleted.
    """
    if backend == "flann":  # OpenCV loads a forest only with all its descriptors, so a stored one saves little time
        return FlannIndex(descriptors()), "could not be kept"
    path = folder / f"{name}-{mark}"
    found, was_damaged = read_faiss(path)
    if found is not None:
        return found, "read"
    index = build_faiss(descriptors())
    try:
        write_faiss(path, index)
    except SnowmatchError:
        return index, "could not be kept"
    for old in (file for ending in ENDINGS for file in folder.glob(f"{name}-*{ending}")):
        if old.stem != path.name:
            remove_if_unused(old)
    return index, "kept, because the one on disk was damaged" if was_damaged else "kept"


def search(
    blocks: Sequence[Block], descriptors: np.ndarray, allowed: np.ndarray, k: int, *, probes: int = PROBES
) -> Neighbors:
    """Return the k nearest keypoints of `descriptors` (N, D) in the entries where `allowed` (A,) is True.

    No descriptors give (0, k) arrays. With fewer than k allowed keypoints, the last places are inf and -1. Equal
    distances are sorted by entry, then by keypoint.
    """
    n = len(descriptors)
    best = Neighbors(np.full((n, k), np.inf, np.float32), np.full((n, k), -1, np.int64), np.full((n, k), -1, np.int64))
    if n == 0:
        return best
    queries = np.ascontiguousarray(descriptors, np.float32)
    norm = UINT8_NORM if descriptors.dtype == np.uint8 else 1.0
    for block in blocks:
        keep = allowed[block.entries]
        wanted = np.repeat(keep, np.diff(block.offsets))
        found = min(k, int(wanted.sum()))
        if not found:
            continue
        index = block.load()
        squared, rows = (
            index.search(queries, wanted, found)
            if isinstance(index, FlannIndex)
            else index.search(queries, wanted, found, probes)
        )
        distances = np.sqrt(squared / (2 * norm * norm), dtype=np.float32)
        position = np.searchsorted(block.offsets, rows, side="right") - 1
        best = _merge(best, Neighbors(distances, block.entries[position], rows - block.offsets[position]), k)
    return best


def _merge(a: Neighbors, b: Neighbors, k: int) -> Neighbors:
    distances = np.concatenate([a.distances, b.distances], axis=1)
    entries = np.concatenate([a.entries, b.entries], axis=1)
    keypoints = np.concatenate([a.keypoints, b.keypoints], axis=1)
    order = np.lexsort((keypoints, entries, distances), axis=1)[:, :k]
    return Neighbors(*(np.take_along_axis(x, order, axis=1) for x in (distances, entries, keypoints)))
