"""Approximate nearest neighbours over the descriptors of a gallery. The only file that imports faiss.

A gallery is cut into blocks: one per body part (so that a left flank is never searched among right ones), very large
parts into several, which bounds the memory that building takes. Inside a block, rows that may not answer a query (its
own encounter, other locations) are left out of the search itself, so they never use up neighbour places.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import faiss
import numpy as np

from snowmatch.core.errors import SnowmatchError
from snowmatch.core.files import replace_file

BACKENDS = ("faiss", "flann")
INDEX_FORMAT = 2  # raise it when the way an index is built changes: files of another number are not used
BLOCK_BYTES = 1 << 30  # of descriptors per block, held twice while it is built

# Inverted file of product-quantised rows; the best by that rough measure are compared exactly. Few long lists suit the
# fast scan. Measured: benchmarks/README.md, "Which search".
LISTS_PER_SQRT = 0.5
PROBES = 8
# Compared exactly, per descriptor: 16 find all five neighbours of 44 % in place of 56 %, a fifth faster.
CANDIDATES = 32
FAST_SCAN = 13  # faiss's code path, fixed: the same answer whatever the number of queries and threads
TRAIN_ROWS_PER_LIST = 40  # faiss wants at least 39 training rows a centroid
TRAIN_ROUNDS = 3  # k-means rounds: between two and six the recall differs by 0.2 %
EXHAUSTIVE_ROWS = 1_000  # below this, comparing with every row costs less, and a quantiser has too few to learn from

# Kd-forest: HotSpotter's own numbers (ibeis 2.6.0, FLANN_8_kdtrees, checks 800).
TREES = 8
CHECKS = 800

ROWS, LISTS = ".npy", ".faiss"  # what an index is on disk: its rows, and over many rows the inverted file
REFINED_AT_ONCE = 64  # descriptors whose candidates are compared at a time: 1 MB of float32 stays in the cache

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


@dataclass(frozen=True)
class Block:
    """One separately searchable piece of a gallery: its entries' numbers, where their rows begin, and its index.

    entries (E,) int64, ascending; offsets (E + 1,) int64 rows; `load` gives the searchable index (built or read once).
    """

    entries: np.ndarray
    offsets: np.ndarray
    load: Callable[[], Any]


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
        return _FlannIndex(descriptors()), "could not be kept"
    path = folder / f"{name}-{mark}"
    found = _read_faiss(path)
    if found is not None:
        return found, "read"
    index = build_faiss(descriptors())
    try:
        _write_faiss(path, index)
    except SnowmatchError:
        return index, "could not be kept"
    for old in (*folder.glob(f"{name}-*{ROWS}"), *folder.glob(f"{name}-*{LISTS}")):
        if old.stem != path.name:
            _remove_if_unused(old)
    return index, "kept"


@dataclass(frozen=True)
class FaissIndex:
    """Rows (R, D), uint8 or float32, and over many of them an inverted file that finds the few worth comparing."""

    rows: np.ndarray
    lists: faiss.IndexIVFPQFastScan | None

    def search(
        self, queries: np.ndarray, wanted: np.ndarray, k: int, probes: int = PROBES
    ) -> tuple[np.ndarray, np.ndarray]:
        """Squared distances and row numbers (N, k) of the nearest wanted rows; k is at most their number."""
        if self.lists is None:
            return _nearest(self.rows, queries, np.flatnonzero(wanted), k)
        bits = np.packbits(wanted, bitorder="little")
        selector = None if wanted.all() else faiss.IDSelectorBitmap(len(bits), faiss.swig_ptr(bits))
        # A filter that leaves one row in five also thins every list: look into five times as many, at the same cost.
        probed = min(self.lists.nlist, int(np.ceil(probes / wanted.mean())))
        candidates = max(CANDIDATES, 2 * k)

        def look(some: np.ndarray, probed: int) -> tuple[np.ndarray, np.ndarray]:
            parameters = faiss.SearchParametersIVF(sel=selector, nprobe=probed)
            return _refine(self.rows, some, self.lists.search(some, candidates, params=parameters)[1], k)

        squared, found = look(queries, probed)
        short = np.flatnonzero(found[:, -1] < 0)
        if len(short):
            squared[short], found[short] = look(queries[short], self.lists.nlist)
        return squared, found


def build_faiss(descriptors: list[np.ndarray]) -> FaissIndex:
    """An index over the rows of all entries; the same rows give the same index, whatever the number of threads.

    Source: Sivic & Zisserman 2003 (inverted file); Jegou et al., PAMI 2011 (product quantisation); Andre et al., PAMI
    2019 (4-bit codes scanned in registers), as in Douze et al. 2024, "The Faiss library".
    """
    rows = np.concatenate(descriptors)
    if len(rows) <= EXHAUSTIVE_ROWS:
        return FaissIndex(rows, None)
    dimension = rows.shape[1]
    count = int(LISTS_PER_SQRT * np.sqrt(len(rows)))
    sample = _sample(rows, count * TRAIN_ROWS_PER_LIST)
    centres = faiss.IndexFlatL2(dimension)
    centres.add(_train(sample, count))
    # one 4-bit code for two dimensions each
    lists = faiss.IndexIVFPQFastScan(centres, dimension, count, dimension // 2 if dimension % 2 == 0 else dimension, 4)
    lists.own_fields = True
    centres.this.disown()
    lists.by_residual = False  # as many neighbours found, at two thirds of the time
    lists.implem = FAST_SCAN
    with _one_thread():
        lists.train(sample)
    for start in range(0, len(rows), 1 << 16):
        lists.add(rows[start : start + (1 << 16)].astype(np.float32))
    return FaissIndex(rows, lists)


def _nearest(rows: np.ndarray, queries: np.ndarray, among: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    """Squared distances and numbers (N, k) of the nearest of the rows numbered `among`, every one compared."""
    some = rows[among].astype(np.float64)
    wide = queries.astype(np.float64)
    squared = (wide**2).sum(axis=1)[:, None] + (some**2).sum(axis=1) - 2 * (wide @ some.T)
    order = np.argsort(squared, axis=1, kind="stable")[:, :k]
    return np.maximum(np.take_along_axis(squared, order, axis=1), 0), among[order]


def _refine(rows: np.ndarray, queries: np.ndarray, found: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    """The k nearest (N, k) of the candidates `found` (N, C) by exact distance; -1 in, and where too few: -1, inf."""
    squared = np.empty((len(found), k), np.float32)
    nearest = np.empty((len(found), k), np.int64)
    for start in range(0, len(found), REFINED_AT_ONCE):
        part = slice(start, start + REFINED_AT_ONCE)
        candidates = np.sort(found[part], axis=1)  # by row number: so do equal distances
        difference = rows[np.maximum(candidates, 0)].astype(np.float32)  # (n, C, D)
        difference -= queries[part, None, :]
        away = np.einsum("ncd,ncd->nc", difference, difference)
        away[candidates < 0] = np.inf
        order = np.argsort(away, axis=1, kind="stable")[:, :k]
        squared[part] = np.take_along_axis(away, order, axis=1)
        nearest[part] = np.take_along_axis(candidates, order, axis=1)
    return squared, nearest


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
            if isinstance(index, _FlannIndex)
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


class _FlannIndex:
    """OpenCV's FLANN kd-forest, as HotSpotter has it. It knows no filters: it is asked for more until enough are left.

    Source: Muja & Lowe, VISAPP 2009.
    """

    def __init__(self, descriptors: list[np.ndarray]) -> None:
        cv2.setRNGSeed(42)  # HotSpotter's seed; FLANN draws its trees from OpenCV's generator
        self.rows = np.concatenate(descriptors).astype(np.float32)
        # 1 is FLANN_INDEX_KDTREE
        self.index = cv2.flann_Index(self.rows, {"algorithm": 1, "trees": TREES})

    def search(self, queries: np.ndarray, wanted: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
        squared = np.full((len(queries), k), np.inf, np.float32)
        rows = np.full((len(queries), k), -1, np.int64)
        left = np.arange(len(queries))
        ask = min(len(self.rows), int(np.ceil(k / wanted.mean())) + k)
        while len(left):
            if ask >= CHECKS:  # a forest looks at CHECKS rows: beyond that only comparing with all of them answers
                allowed = np.flatnonzero(wanted)
                for i in left:
                    away = ((self.rows[allowed] - queries[i]) ** 2).sum(axis=1)
                    nearest = np.argsort(away, kind="stable")[:k]
                    squared[i], rows[i] = away[nearest], allowed[nearest]
                break
            found, distances = self.index.knnSearch(queries[left], ask, params={"checks": CHECKS})
            good = (found >= 0) & wanted[np.maximum(found, 0)]
            first = np.argsort(~good, axis=1, kind="stable")[:, :k]  # allowed ones first, still by distance
            enough = good.sum(axis=1) >= k
            done = left[enough]
            rows[done] = np.take_along_axis(found, first, axis=1)[enough]
            squared[done] = np.take_along_axis(distances, first, axis=1)[enough]
            left = left[~enough]
            ask = min(len(self.rows), ask * 4)
        return squared, rows


def _sample(rows: np.ndarray, wanted: int) -> np.ndarray:
    """About `wanted` of the rows, evenly spread, as float32."""
    chosen = np.unique(np.linspace(0, len(rows) - 1, min(len(rows), wanted)).astype(np.int64))
    return rows[chosen].astype(np.float32)


def _train(sample: np.ndarray, lists: int) -> np.ndarray:
    """Cluster centres (lists, D) of the sample by k-means."""
    clusters = faiss.Clustering(sample.shape[1], lists)
    clusters.niter = TRAIN_ROUNDS
    clusters.min_points_per_centroid = 1  # the sample was made large enough above: no warning on stderr
    clusters.seed = 42
    centres = faiss.IndexFlatL2(sample.shape[1])
    with _one_thread():
        clusters.train(sample, centres)
    return faiss.vector_to_array(clusters.centroids).reshape(lists, -1)


@contextmanager
def _one_thread() -> Iterator[None]:
    """One thread for what k-means adds up, so that the sums are always the same."""
    threads = faiss.omp_get_max_threads()
    faiss.omp_set_num_threads(1)
    try:
        yield
    finally:
        faiss.omp_set_num_threads(threads)


def _write_faiss(path: Path, index: FaissIndex) -> None:
    """Rows first, lists second: rows without the lists they need are no index."""
    replace_file(path.with_name(path.name + ROWS), lambda file: np.lib.format.write_array(file, index.rows, (1, 0)))
    if index.lists is not None:
        write = faiss.PyCallbackIOWriter
        replace_file(
            path.with_name(path.name + LISTS), lambda file: faiss.write_index(index.lists, write(file.write, 1 << 20))
        )


def _read_faiss(path: Path) -> FaissIndex | None:
    """What `_write_faiss` wrote, the rows memory-mapped; None where it is not there or damaged (after a power cut)."""
    rows_path, lists_path = path.with_name(path.name + ROWS), path.with_name(path.name + LISTS)
    if not rows_path.exists():
        return None
    try:
        rows = np.load(rows_path, mmap_mode="r", allow_pickle=False)
        if len(rows) <= EXHAUSTIVE_ROWS:
            return FaissIndex(np.array(rows), None)
        with open(lists_path, "rb") as file:  # faiss itself opens no path with letters beyond Windows' code page
            lists = faiss.read_index(faiss.PyCallbackIOReader(file.read, 1 << 20))
        if lists.ntotal == len(rows):
            lists.implem = FAST_SCAN  # not kept in the file
            return FaissIndex(rows, lists)
    except (ValueError, EOFError, FileNotFoundError, RuntimeError):  # the last is faiss's word for a damaged file
        pass
    _remove_if_unused(rows_path)
    _remove_if_unused(lists_path)
    return None


def _remove_if_unused(path: Path) -> None:
    try:
        path.unlink()
    except OSError:  # not there any more, or on Windows mapped by another process: it goes with the next rebuild
        return
