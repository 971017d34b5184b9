"""An inverted file of product-quantised rows (faiss). The best rows are then compared exactly.

Only this file imports faiss.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import faiss
import numpy as np

from snowmatch.core.errors import SnowmatchError
from snowmatch.core.files import unreadable
from snowmatch.core.sums import is_unchanged, read_sums, write_sums, write_with_sums

# The inverted file finds the best rows by approximate distances. Few long lists suit the fast scan.
# Measured: docs/benchmarks-history.md, "Which search".
LISTS_PER_SQRT = 0.5
PROBES = 8
# Rows compared exactly, per descriptor. With 16, all five neighbours are found for 44 % instead of 56 % of the
# descriptors, in 4/5 of the time.
CANDIDATES = 32
FAST_SCAN = 13  # the code path of faiss is fixed: the same result for any number of queries and threads
TRAIN_ROWS_PER_LIST = 40  # faiss needs at least 39 training rows for each centroid
TRAIN_ROUNDS = 3  # k-means rounds: between two and six the recall differs by 0.2 %
EXHAUSTIVE_ROWS = 1_000  # up to this number, comparing all rows is faster, and a quantiser could not learn
# The files of an index: its rows, the inverted file of many rows, and the checksums of both
ENDINGS = (".npy", ".faiss", ".sums")
REFINED_AT_ONCE = 64  # descriptors whose candidates are compared at a time: 1 MB of float32 fits into the cache


@dataclass(frozen=True)
class FaissIndex:
    """Rows (R, D), uint8 or float32. Many rows also have an inverted file, which finds the few rows to compare."""

    rows: np.ndarray
    lists: faiss.IndexIVFPQFastScan | None

    def search(
        self, queries: np.ndarray, wanted: np.ndarray, k: int, probes: int = PROBES
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return squared distances and row numbers (N, k) of the nearest wanted rows. k is at most the number of
        wanted rows.
        """
        lists = self.lists
        if lists is None:
            return _nearest(self.rows, queries, np.flatnonzero(wanted), k)
        bits = np.packbits(wanted, bitorder="little")
        selector = None if wanted.all() else faiss.IDSelectorBitmap(len(bits), faiss.swig_ptr(bits))
        # A filter that keeps one row in five also thins every list: five times as many lists cost the same
        probed = min(lists.nlist, int(np.ceil(probes / wanted.mean())))
        candidates = max(CANDIDATES, 2 * k)

        def look(some: np.ndarray, probed: int) -> tuple[np.ndarray, np.ndarray]:
            parameters = faiss.SearchParametersIVF()
            parameters.sel, parameters.nprobe = selector, probed
            return _refine(self.rows, some, lists.search(some, candidates, params=parameters)[1], k)

        squared, found = look(queries, probed)
        short = np.flatnonzero(found[:, -1] < 0)
        if len(short):
            squared[short], found[short] = look(queries[short], lists.nlist)
        return squared, found


def build_faiss(descriptors: list[np.ndarray]) -> FaissIndex:
    """Return an index of the rows of all entries. The same rows give the same index with any number of threads.

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
    centres.this.disown()  # type: ignore[attr-defined] # every class of SWIG's has it
    lists.by_residual = False  # it finds as many neighbours in two thirds of the time
    lists.implem = FAST_SCAN
    with _one_thread():
        lists.train(sample)
    for start in range(0, len(rows), 1 << 16):
        lists.add(rows[start : start + (1 << 16)].astype(np.float32))
    return FaissIndex(rows, lists)


def _nearest(rows: np.ndarray, queries: np.ndarray, among: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    """Return squared distances and numbers (N, k) of the nearest of the rows `among`. All of them are compared."""
    some = rows[among].astype(np.float64)
    wide = queries.astype(np.float64)
    squared = (wide**2).sum(axis=1)[:, None] + (some**2).sum(axis=1) - 2 * (wide @ some.T)
    order = np.argsort(squared, axis=1, kind="stable")[:, :k]
    return np.maximum(np.take_along_axis(squared, order, axis=1), 0), among[order]


def _refine(rows: np.ndarray, queries: np.ndarray, found: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the k nearest (N, k) of the candidates `found` (N, C) by exact distance; missing candidates are -1 and
    inf.
    """
    squared = np.empty((len(found), k), np.float32)
    nearest = np.empty((len(found), k), np.int64)
    for start in range(0, len(found), REFINED_AT_ONCE):
        part = slice(start, start + REFINED_AT_ONCE)
        candidates = np.sort(found[part], axis=1)  # by row number, so that equal distances are too
        difference = rows[np.maximum(candidates, 0)].astype(np.float32)  # (n, C, D)
        difference -= queries[part, None, :]
        away = np.einsum("ncd,ncd->nc", difference, difference)
        away[candidates < 0] = np.inf
        order = np.argsort(away, axis=1, kind="stable")[:, :k]
        squared[part] = np.take_along_axis(away, order, axis=1)
        nearest[part] = np.take_along_axis(candidates, order, axis=1)
    return squared, nearest


def _sample(rows: np.ndarray, wanted: int) -> np.ndarray:
    """Return about `wanted` of the rows, evenly spread, as float32."""
    chosen = np.unique(np.linspace(0, len(rows) - 1, min(len(rows), wanted)).astype(np.int64))
    return rows[chosen].astype(np.float32)


def _train(sample: np.ndarray, lists: int) -> np.ndarray:
    """Return the cluster centres (lists, D) of the sample by k-means."""
    clusters = faiss.Clustering(sample.shape[1], lists)
    clusters.niter = TRAIN_ROUNDS
    clusters.min_points_per_centroid = 1  # the sample is large enough: this avoids a warning on stderr
    clusters.seed = 42
    centres = faiss.IndexFlatL2(sample.shape[1])
    with _one_thread():
        clusters.train(sample, centres)
    return faiss.vector_to_array(clusters.centroids).reshape(lists, -1)


@contextmanager
def _one_thread() -> Iterator[None]:
    """Use one thread for the sums of k-means, so that they are always the same."""
    threads = faiss.omp_get_max_threads()
    faiss.omp_set_num_threads(1)
    try:
        yield
    finally:
        faiss.omp_set_num_threads(threads)


def write_faiss(path: Path, index: FaissIndex) -> None:
    """Write an index: its rows, its lists, and last the checksums of both. Without checksums it is no index.

    Raises SnowmatchError if it cannot be written.
    """
    rows_path, lists_path, sums_path = paths_of(path)
    lists = index.lists
    sums = {
        rows_path.name: write_with_sums(
            rows_path, lambda file: np.lib.format.write_array(file, np.ascontiguousarray(index.rows), (1, 0))
        )
    }
    if lists is not None:
        writer = faiss.PyCallbackIOWriter  # type: ignore[attr-defined] # missing in the stub
        sums[lists_path.name] = write_with_sums(
            lists_path, lambda file: faiss.write_index(lists, writer(file.write, 1 << 20))
        )
    write_sums(sums_path, sums)


def read_faiss(path: Path) -> tuple[FaissIndex | None, bool]:
    """Return the index that `write_faiss` wrote, with its rows memory-mapped, and whether a damaged one was found.

    The index is None if it does not exist or is damaged. A damaged index is deleted. Raises SnowmatchError if the
    system cannot read it.
    """
    rows_path, lists_path, sums_path = paths_of(path)
    try:
        known = read_sums(sums_path)
        expected = [file for file in (rows_path, lists_path) if known and file.name in known]
        if known and rows_path in expected and all(is_unchanged(file, known[file.name]) for file in expected):
            rows = np.load(rows_path, mmap_mode="r", allow_pickle=False)
            if len(expected) == 1 or len(rows) <= EXHAUSTIVE_ROWS:
                return FaissIndex(np.array(rows), None), False
            with open(lists_path, "rb") as file:  # on Windows, faiss cannot open every path
                # missing in the stub
                reader = faiss.PyCallbackIOReader(file.read, 1 << 20)  # type: ignore[attr-defined]
                lists = faiss.read_index(reader)
            if isinstance(lists, faiss.IndexIVFPQFastScan) and lists.ntotal == len(rows):
                lists.implem = FAST_SCAN  # not stored in the file
                return FaissIndex(rows, lists), False
    except (FileNotFoundError, NotADirectoryError):
        if not sums_path.exists():  # never complete, or removed
            return None, False
    except OSError as error:
        raise unreadable(sums_path, error) from error
    except (KeyError, TypeError, ValueError, EOFError, RuntimeError, SnowmatchError):  # RuntimeError: of faiss
        pass
    for left in (sums_path, rows_path, lists_path):
        remove_if_unused(left)
    return None, True


def paths_of(path: Path) -> tuple[Path, Path, Path]:
    """Return the paths of an index's rows, lists and checksums."""
    rows, lists, sums = (path.with_name(path.name + ending) for ending in ENDINGS)
    return rows, lists, sums


def remove_if_unused(path: Path) -> None:
    """Delete a file. If the system does not allow it, it stays until the next time."""
    try:
        path.unlink()
    except OSError:  # already deleted, or on Windows mapped by another process
        return
