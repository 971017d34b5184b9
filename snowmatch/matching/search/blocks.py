"""Approximate nearest neighbours over the descriptors of a gallery, block by block.

A gallery is cut into blocks: one per body part (so that a left flank is never searched among right ones), very large
parts into several, which bounds the memory that building takes. Inside a block, rows that may not answer a query (its
own encounter, other locations) are left out of the search itself, so they never use up neighbour places.
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
INDEX_FORMAT = 3  # raise it when the way an index is built changes: files of another number are not used
BLOCK_BYTES = 1 << 30  # of descriptors per block, held twice while it is built
UINT8_NORM = 512.0  # uint8 descriptors have about this length (Lowe 2004 section 6.1; hesaff, pyhesaff alike)


@dataclass(frozen=True)
class Neighbors:
    """The k nearest allowed gallery keypoints of each of N query descriptors, nearest first.

    distances (N, k) float32, 0 to 1 (inf where there are fewer than k); entries (N, k) int64, the gallery's entry
    number or -1; keypoints (N, k) int64, the keypoint's number within its entry or -1.
    """

    distances: np.ndarray
    entries: np.ndarray
    keypoints: np.ndarray


class LazyIndex:
    """The search index of one block, read or built when it is first asked for: once, whoever asks."""

    def __init__(self, name: str, open_it: Callable[[], tuple[Any, str]]) -> None:
        self._name, self._open = name, open_it
        self._lock = threading.Lock()
        self._index: Any = None

    def get(self) -> tuple[Any, Note | None]:
        """The index, and for who made it a note that it was not there."""
        with self._lock:
            if self._index is not None:
                return self._index, None
            self._index, origin = self._open()
        if origin == "read":
            return self._index, None
        text = f"search index {self._name} was made for this query and {origin}"
        return self._index, Note(
            "index-made", text, {"index": self._name, "kept": origin.startswith("kept"), "damaged": "damaged" in origin}
        )


@dataclass(frozen=True)
class Block:
    """One separately searchable piece of a gallery: its entries' numbers, where their rows begin, and its index.

    entries (E,) int64, ascending; offsets (E + 1,) int64 rows.
    """

    entries: np.ndarray
    offsets: np.ndarray
    index: LazyIndex

    def load(self) -> Any:
        """The searchable index."""
        return self.index.get()[0]

    def prepare(self) -> Note | None:
        """Load the index; a note where it had to be made."""
        return self.index.get()[1]


def fingerprint(keys: Sequence[str], extractor_key: str, backend: str) -> str:
    """Sixteen hex digits that differ whenever the features or the way of indexing them differ."""
    digest = hashlib.sha256(f"{INDEX_FORMAT} {extractor_key} {backend}\n".encode())
    digest.update("\n".join(keys).encode())
    return digest.hexdigest()[:16]


def block_rows(dimension: int, dtype: np.dtype) -> int:
    """How many descriptors of that many numbers go into a block."""
    return max(1, BLOCK_BYTES // max(1, dimension * dtype.itemsize))


def cut_blocks(counts: np.ndarray, limit: int) -> list[slice]:
    """Consecutive runs of entries with at most `limit` rows together (a larger single entry is a run of its own)."""
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
    """The index `name` with fingerprint `mark` from `folder`, its rows memory-mapped; built and kept where missing.

    `descriptors` gives the rows of each entry, only called when building. Returns the index and where it came from:
    "read", "kept" (built, now on disk) or "could not be kept" (a read-only or full disk costs the time of building it
    each time, nothing else; a FLANN forest is never kept). A truncated file is built anew; those of the same name with
    another fingerprint are deleted.
    """
    if backend == "flann":  # OpenCV loads a forest only together with all its descriptors, so keeping it gains little
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
    """The k nearest keypoints of `descriptors` (N, D) among the entries where `allowed` (A,) is True.

    No descriptors give (0, k) arrays; fewer than k allowed keypoints leave inf and -1 at the end. Equal distances
    are ordered by entry, then keypoint.
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
