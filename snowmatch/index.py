"""Approximate nearest neighbours over the descriptors of a gallery. The only file that imports faiss.

A gallery is cut into blocks: one per body part (so that a left flank is never searched among right ones), very large
parts into several, which bounds the memory that building takes. Inside a block, rows that may not answer a query (its
own encounter, other locations) are left out of the search itself, so they never use up neighbour places.
"""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import faiss
import numpy as np

from snowmatch.errors import SnowmatchError
from snowmatch.records import replace_file

BACKENDS = ("faiss", "flann")
INDEX_FORMAT = 1  # raise it when the way an index is built changes: files of another number are not used
BLOCK_ROWS = 1 << 23  # descriptors per block: 1 GiB of uint8 SIFT while it is built

# Inverted file. Lists grow with the square root of the rows, so that comparing a query with the list centres and
# scanning the probed lists cost about the same. Measured: benchmarks/README.md, "Which search".
LISTS_PER_SQRT = 2.0
PROBES = 48
TRAIN_ROWS_PER_LIST = 40  # faiss wants at least 39 training rows a centroid
TRAIN_ROUNDS = 3  # k-means rounds: between two and six the recall differs by 0.2 %
EXHAUSTIVE_ROWS = 20_000  # below this, comparing with every row costs less than building anything

# Kd-forest: HotSpotter's own numbers (ibeis 2.6.0, FLANN_8_kdtrees, checks 800).
TREES = 8
CHECKS = 800

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


def cut_blocks(counts: np.ndarray, limit: int = BLOCK_ROWS) -> list[slice]:
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
    """The index `name` with fingerprint `mark` from `folder`, memory-mapped; built and kept there where it is missing.

    `descriptors` gives the rows of each entry, only called when building. Returns the index and where it came from:
    "read", "kept" (built, now on disk) or "could not be kept" (a read-only or full disk costs the time of building it
    each time, nothing else; a FLANN forest is never kept). A truncated file is built anew; those of the same name with
    another fingerprint are deleted.
    """
    path = folder / f"{name}-{mark}.{backend}"
    if backend == "flann":  # OpenCV loads a forest only together with all its descriptors, so keeping it gains little
        return _FlannIndex(descriptors()), "could not be kept"
    try:
        if path.exists():
            return _read_faiss(path), "read"
    except RuntimeError:  # faiss's word for a damaged file; after a power cut, say
        _remove_if_unused(path)
    index = build_faiss(descriptors())
    try:
        replace_file(path, lambda file: faiss.write_index(index, faiss.PyCallbackIOWriter(file.write, 1 << 20)))
    except SnowmatchError:
        return index, "could not be kept"
    for old in folder.glob(f"{name}-*.{backend}"):
        if old != path:
            _remove_if_unused(old)
    return index, "kept"


def build_faiss(descriptors: list[np.ndarray]) -> faiss.Index:
    """An index over the rows of all entries: an inverted file, or for few rows one that compares with every row.

    The same rows give the same index, whatever the number of threads. uint8 rows are kept as uint8.
    Source: Sivic & Zisserman 2003 (inverted file); Douze et al. 2024, "The Faiss library".
    """
    rows = sum(len(d) for d in descriptors)
    dimension = descriptors[0].shape[1]
    eight_bit = descriptors[0].dtype == np.uint8
    kind = faiss.ScalarQuantizer.QT_8bit_direct
    if rows <= EXHAUSTIVE_ROWS:
        index = faiss.IndexScalarQuantizer(dimension, kind) if eight_bit else faiss.IndexFlatL2(dimension)
        index.is_trained = True
    else:
        lists = int(LISTS_PER_SQRT * np.sqrt(rows))
        centres = faiss.IndexFlatL2(dimension)
        centres.add(_train(descriptors, rows, lists))
        if eight_bit:
            index = faiss.IndexIVFScalarQuantizer(centres, dimension, lists, kind, faiss.METRIC_L2, False)
        else:
            index = faiss.IndexIVFFlat(centres, dimension, lists)
        index.own_fields = True
        centres.this.disown()
        index.is_trained = True
    for chunk in _chunks(descriptors, 1 << 16):
        index.add(chunk)
    return index


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
            else _search_faiss(index, queries, wanted, found, probes)
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


def _search_faiss(
    index: faiss.Index, queries: np.ndarray, wanted: np.ndarray, k: int, probes: int
) -> tuple[np.ndarray, np.ndarray]:
    """Squared distances and row numbers (N, k) of the nearest wanted rows; k is at most the number of wanted rows."""
    bits = np.packbits(wanted, bitorder="little")
    selector = None if wanted.all() else faiss.IDSelectorBitmap(len(bits), faiss.swig_ptr(bits))
    if not isinstance(index, faiss.IndexIVF):
        # A scalar-quantised flat index compares on the fly, exactly, and takes the selector as the inverted file does.
        return index.search(queries, k, params=faiss.SearchParameters(sel=selector))
    # A filter that leaves one row in five also thins every list: look into five times as many, at the same cost.
    share = float(wanted.mean())
    lists = min(index.nlist, int(np.ceil(probes / share)))
    squared, rows = index.search(queries, k, params=faiss.SearchParametersIVF(sel=selector, nprobe=lists))
    short = np.flatnonzero(rows[:, -1] < 0)
    if len(short):
        everywhere = faiss.SearchParametersIVF(sel=selector, nprobe=index.nlist)
        squared[short], rows[short] = index.search(queries[short], k, params=everywhere)
    return squared, rows


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


def _train(descriptors: list[np.ndarray], rows: int, lists: int) -> np.ndarray:
    """Cluster centres (lists, D) of an even sample of the rows: k-means on one thread, so always the same."""
    wanted = np.unique(np.linspace(0, rows - 1, min(rows, lists * TRAIN_ROWS_PER_LIST)).astype(np.int64))
    starts = np.cumsum([0] + [len(d) for d in descriptors])
    entry = np.searchsorted(starts, wanted, side="right") - 1
    sample = np.concatenate(
        [np.asarray(descriptors[e][wanted[entry == e] - starts[e]], np.float32) for e in np.unique(entry)]
    )
    clusters = faiss.Clustering(sample.shape[1], lists)
    clusters.niter = TRAIN_ROUNDS
    clusters.min_points_per_centroid = 1  # the sample was made large enough above: no warning on stderr
    clusters.seed = 42
    centres = faiss.IndexFlatL2(sample.shape[1])
    threads = faiss.omp_get_max_threads()
    faiss.omp_set_num_threads(1)
    try:
        clusters.train(sample, centres)
    finally:
        faiss.omp_set_num_threads(threads)
    return faiss.vector_to_array(clusters.centroids).reshape(lists, -1)


def _chunks(descriptors: list[np.ndarray], size: int) -> Any:
    """The rows of all entries as float32 pieces of about `size` rows."""
    waiting, rows = [], 0
    for entry in descriptors:
        waiting.append(entry)
        rows += len(entry)
        if rows >= size:
            yield np.concatenate(waiting).astype(np.float32)
            waiting, rows = [], 0
    if rows:
        yield np.concatenate(waiting).astype(np.float32)


def _read_faiss(path: Path) -> faiss.Index:
    if sys.platform != "win32":
        return faiss.read_index(str(path), faiss.IO_FLAG_MMAP)
    with open(path, "rb") as file:  # no mapping there, and faiss itself opens no path with letters beyond the code page
        return faiss.read_index(faiss.PyCallbackIOReader(file.read, 1 << 20))


def _remove_if_unused(path: Path) -> None:
    try:
        path.unlink()
    except OSError:  # not there any more, or on Windows mapped by another process: it goes with the next rebuild
        return
