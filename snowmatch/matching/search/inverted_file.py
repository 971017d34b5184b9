"""Inverted files of product-quantised rows (faiss), with a codebook that the blocks of a body part share.

A codebook tells in which list a row lies, and how it is encoded. It is trained once on a sample. So a row has the same
approximate distance in any block, and which rows are compared exactly does not depend on how rows were divided.

Only this file imports faiss.
"""

from __future__ import annotations

import mmap
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import faiss
import numpy as np

from snowmatch.matching.search.rows import Rows, pieces, take

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
PAIRS_IN_THREADS = 4096  # from so many pairs on, several threads compare them
PAIRS_AT_ONCE = 2048  # rows that are compared exactly at a time: 1 MB of float32 fits into the cache
# Address space that faiss's linear algebra (OpenBLAS) takes for each thread when it is first used, and then keeps: 151
# MB with one thread, 1,020 MB with eight (measured). Where it gets none, it ends the process
BYTES_PER_THREAD = 160 << 20
FIRST_ROWS = 1024  # rows whose distances make it take that: for 256 it does not

BLOCK_ROWS = 32  # rows of a list that the fast scan looks at together
# Memory of a list, as a share of its codes and numbers: 200,000 to 26 million rows in 223 to 17,677 lists took 44 to 49
# bytes a row where these are 40 (measured); the blocks of rows that are not full are counted beside it
ALLOCATED = 1.1

Lists = faiss.IndexIVFPQFastScan
_ready: list[int] = []  # numbers of threads for which it has taken its memory


@dataclass(frozen=True, eq=False)
class Codebook:
    """Centres (L, D) of the L lists, and a trained index without rows.

    trained: number of rows of the body part when it was trained.
    """

    name: str
    trained: int
    empty: faiss.IndexIVFPQFastScan

    @property
    def lists(self) -> int:
        """The number of lists."""
        return int(self.empty.nlist)

    def nearest_lists(self, queries: np.ndarray, count: int) -> np.ndarray:
        """Return the `count` nearest lists (N, count) of the queries (N, D) float32, nearest first."""
        claim_memory()
        numbers: np.ndarray = faiss.downcast_index(self.empty.quantizer).search(queries, count)[1]
        return numbers

    def memory_of(self, rows: int) -> int:
        """Return the bytes that an inverted file of so many rows needs in memory."""
        return _memory(rows, self.empty.code_size, self.lists)

    def fits(self, rows: int, growth: int) -> bool:
        """Return whether its number of lists suits `rows` rows: at most `growth` times more or fewer than before."""
        return self.trained <= rows * growth and rows <= self.trained * growth


@dataclass(frozen=True, eq=False)
class FaissIndex:
    """An inverted file by a codebook. Few rows have neither.

    rows: (R, D), uint8 or float32; None for a block on disk, whose rows are read from the features. The inverted file
    does not hold the centres of its lists: they are the codebook's.
    """

    rows: np.ndarray | None
    lists: faiss.IndexIVFPQFastScan | None
    codebook: Codebook | None = None

    @property
    def memory(self) -> int:
        """Bytes that it needs in memory."""
        if self.lists is None:
            return 0 if self.rows is None else int(self.rows.nbytes)
        return _memory(self.lists.ntotal, self.lists.code_size, self.lists.nlist)

    def look(
        self, queries: np.ndarray, probed: np.ndarray, wanted: np.ndarray, count: int
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return approximate distances and row numbers (N, count) of the best rows in some lists.

        queries: (N, D) float32. probed: (N, P), the lists of each query. wanted: (R,) bool, whether a row may answer.
        Missing rows are inf and -1. All rows nearer than the farthest one are returned. Which of the equally far ones
        are returned is not defined.
        """
        if self.lists is None:
            raise ValueError("an index of few rows has no lists")
        bits = np.packbits(wanted, bitorder="little")
        parameters = faiss.SearchParametersIVF()
        parameters.sel = None if wanted.all() else faiss.IDSelectorBitmap(len(bits), faiss.swig_ptr(bits))
        parameters.nprobe = probed.shape[1]
        probed = np.ascontiguousarray(probed, np.int64)
        away = np.zeros(probed.shape, np.float32)  # not used: the codes are not relative to the centres
        distances, rows = np.empty((len(queries), count), np.float32), np.empty((len(queries), count), np.int64)
        arrays = [faiss.swig_ptr(a) for a in (queries, probed, away, distances, rows)]
        self.lists.search_preassigned_c(  # type: ignore[attr-defined] # faiss's wrapper of it takes no filter
            len(queries), arrays[0], count, *arrays[1:], False, parameters, None
        )
        distances[rows < 0] = np.inf
        return distances, rows


class Candidates:
    """The `count` best rows so far of each of N queries, from several blocks.

    away: (N, C) float32, approximate distances, inf where there is none. rows: (N, C) int64, their numbers, or -1. Of
    equally far ones any may be left out, unless `all_equal`: then those with the higher numbers are.
    """

    def __init__(self, queries: int, count: int, *, all_equal: bool) -> None:
        self._count, self._all_equal = count, all_equal
        self.away = np.zeros((queries, 0), np.float32)
        self.rows = np.zeros((queries, 0), np.int64)

    def add(self, away: np.ndarray, rows: np.ndarray, first: int = 0) -> None:
        """Add the best rows (N, C) of a block. first: the number of its first row."""
        self.away = np.concatenate([self.away, away], axis=1)
        self.rows = np.concatenate([self.rows, np.where(rows >= 0, rows.astype(np.int64) + first, -1)], axis=1)
        if self.away.shape[1] > self._count:
            if self._all_equal:
                best = np.lexsort((self.rows, self.away), axis=1)[:, : self._count]
            else:
                best = np.argpartition(self.away, self._count - 1, axis=1)[:, : self._count]
            self.away = np.take_along_axis(self.away, best, axis=1)
            self.rows = np.take_along_axis(self.rows, best, axis=1)


def train_codebook(
    name: str, descriptors: Sequence[np.ndarray], counting: Sequence[np.ndarray] | None = None
) -> Codebook | None:
    """Return a codebook for the rows of all entries; None if they are so few that all are compared.

    counting: for each entry (R,) bool, the rows that are searched; None: all. If these are few, it is trained on all.
    The same rows give the same codebook with any number of threads. Raises MemoryError.

    Source: Sivic & Zisserman 2003 (inverted file); Jegou et al., PAMI 2011 (product quantisation); Andre et al., PAMI
    2019 (4-bit codes scanned in registers), as in Douze et al. 2024, "The Faiss library".
    """
    total = sum(len(rows) for rows in descriptors)
    if total <= EXHAUSTIVE_ROWS:
        return None
    dimension = descriptors[0].shape[1]
    searched = total if counting is None else sum(int(each.sum()) for each in counting)
    if searched <= EXHAUSTIVE_ROWS:
        searched, counting = total, None
    claim_memory()
    count = int(LISTS_PER_SQRT * np.sqrt(searched))
    sample = _sample(descriptors, counting, searched, count * TRAIN_ROWS_PER_LIST)
    centres = faiss.IndexFlatL2(dimension)
    centres.add(_train(sample, count))
    lists = make_lists(centres, count)
    lists.own_fields = True
    centres.this.disown()  # type: ignore[attr-defined] # every class of SWIG's has it
    with _one_thread():
        lists.train(sample)
    return Codebook(name, total, lists)


def make_lists(centres: faiss.Index, count: int) -> faiss.IndexIVFPQFastScan:
    """Return an inverted file without rows."""
    dimension = centres.d
    lists = faiss.IndexIVFPQFastScan(centres, dimension, count, _subspaces(dimension), 4)
    lists.by_residual = False  # it finds as many neighbours in two thirds of the time
    lists.implem = FAST_SCAN
    return lists


def code_rows(codebook: Codebook, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the list (R,) int32 and the code (R, C) uint8 of each row (R, D)."""
    claim_memory()
    wide = np.ascontiguousarray(rows, np.float32)
    with _one_thread():  # several take more CPU time for the nearest lists, and no less time of the clock
        near = faiss.downcast_index(codebook.empty.quantizer).search(wide, 1)[1]
        return near[:, 0].astype(np.int32), codebook.empty.pq.compute_codes(wide)


def pack(codebook: Codebook, numbers: np.ndarray, coded: Iterable[tuple[np.ndarray, np.ndarray]]) -> Lists:
    """Return an inverted file of rows with these numbers (R,) int64, ascending.

    coded: their lists and codes, some rows at a time, as `code_rows` returns them.
    """
    empty = codebook.empty
    plain = faiss.IndexIVFPQ(faiss.IndexFlatL2(empty.d), empty.d, codebook.lists, empty.pq.M, empty.pq.nbits)
    plain.by_residual, plain.pq, plain.is_trained, plain.ntotal = False, empty.pq, True, len(numbers)
    near, codes, first = np.empty(len(numbers), np.int32), np.empty((len(numbers), plain.code_size), np.uint8), 0
    for some, theirs in coded:
        near[first : first + len(some)], codes[first : first + len(some)] = some, theirs
        first += len(some)
    order, held = np.argsort(near, kind="stable"), plain.invlists
    ends = np.cumsum(np.bincount(near, minlength=codebook.lists)).tolist()
    for number, (start, end) in enumerate(pairwise([0, *ends])):
        if end > start:
            some, theirs = numbers[order[start:end]], codes[order[start:end]]
            held.add_entries(number, end - start, faiss.swig_ptr(some), faiss.swig_ptr(theirs))  # type: ignore[union-attr]
    del near, codes, order
    lists = faiss.IndexIVFPQFastScan(plain, BLOCK_ROWS)
    lists.orig_invlists = None  # those of `plain`, which end with it
    lists.implem = FAST_SCAN
    return without_centres(lists)


def without_centres(lists: faiss.IndexIVFPQFastScan) -> faiss.IndexIVFPQFastScan:
    """Return the inverted file with an empty quantiser in place of the codebook's."""
    nothing = faiss.IndexFlatL2(lists.d)
    lists.own_fields = False
    lists.quantizer = nothing
    lists.referenced_objects = [nothing]  # type: ignore[attr-defined] # it lives as long
    return lists


def distances_of(rows: Rows | np.ndarray, chosen: np.ndarray, queries: np.ndarray, asked: np.ndarray) -> np.ndarray:
    """Return the squared distances (P,) float32 of P pairs: row number `chosen` and query number `asked`."""
    squared = np.empty(len(chosen), np.float32)

    def compare(piece: tuple[np.ndarray, np.ndarray, np.ndarray]) -> None:
        array, read, places = piece
        difference = array[read].astype(np.float32)
        difference -= queries[asked[places]]
        squared[places] = np.einsum("pd,pd->p", difference, difference)

    work, threads = pieces(rows, chosen, PAIRS_AT_ONCE), faiss.omp_get_max_threads()
    if threads == 1 or len(chosen) < PAIRS_IN_THREADS:
        for piece in work:
            compare(piece)
    else:  # rows of mapped files wait for memory, or for the disk
        with ThreadPoolExecutor(threads) as pool:
            list(pool.map(compare, work))
    return squared


def nearest_of(rows: Rows | np.ndarray, queries: np.ndarray, among: np.ndarray, k: int) -> np.ndarray:
    """Return the numbers (N, k) of the nearest of the rows `among`. All of them are compared."""
    some = take(rows, among, queries.shape[1])
    wide = queries.astype(np.float64)
    squared = (wide**2).sum(axis=1)[:, None] + (some**2).sum(axis=1) - 2 * (wide @ some.T)
    found: np.ndarray = among[np.argsort(squared, axis=1, kind="stable")[:, :k]]
    return found


def _sample(
    descriptors: Sequence[np.ndarray], counting: Sequence[np.ndarray] | None, total: int, wanted: int
) -> np.ndarray:
    """Return about `wanted` of all rows that count, `total` of them, evenly spread, as float32."""
    chosen = np.unique(np.linspace(0, total - 1, min(total, wanted)).astype(np.int64))
    sizes = [len(rows) for rows in descriptors] if counting is None else [int(some.sum()) for some in counting]
    offsets = np.cumsum([0, *sizes])
    borders = np.searchsorted(chosen, offsets)
    parts = []
    for entry, rows in enumerate(descriptors):
        here = chosen[borders[entry] : borders[entry + 1]] - offsets[entry]
        if len(here):
            parts.append(rows[here if counting is None else np.flatnonzero(counting[entry])[here]])
    return np.concatenate(parts).astype(np.float32)


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


def index_bytes(rows: int, dimension: int) -> int:
    """Return about how many bytes the inverted files of so many rows have on disk: their codes and numbers."""
    return rows * (_code_size(dimension) + 8)


def memory_bytes(rows: int, dimension: int) -> int:
    """Return about how many bytes the inverted files of so many rows need in memory, if their lists are long."""
    return _memory(rows, _code_size(dimension), 0)


def _memory(rows: int, code_size: int, lists: int) -> int:
    return int(ALLOCATED * rows * (code_size + 8)) + min(rows, lists) * BLOCK_ROWS * code_size + lists * 64


def _code_size(dimension: int) -> int:
    return -(-_subspaces(dimension) // 2)


def _subspaces(dimension: int) -> int:
    """Return the number of 4-bit codes of a row: one for two dimensions each."""
    return dimension // 2 if dimension % 2 == 0 else dimension


def claim_memory() -> None:
    """Let faiss's linear algebra take its memory, once. Raises MemoryError where there is not enough for it."""
    threads = faiss.omp_get_max_threads()
    if _ready and _ready[-1] >= threads:
        return
    try:
        mmap.mmap(-1, BYTES_PER_THREAD * threads).close()
    except OSError as error:
        raise MemoryError(f"the search index needs {BYTES_PER_THREAD * threads >> 20} MB more") from error
    rows = np.zeros((FIRST_ROWS, 128), np.float32)
    first = faiss.IndexFlatL2(rows.shape[1])
    first.add(rows)
    first.search(rows, 1)
    _ready.append(threads)


@contextmanager
def _one_thread() -> Iterator[None]:
    """Let this thread use no others for linear algebra, so that the sums of k-means are always the same."""
    threads = faiss.omp_get_max_threads()
    faiss.omp_set_num_threads(1)
    try:
        yield
    finally:
        faiss.omp_set_num_threads(threads)


def write_lists(lists: faiss.IndexIVFPQFastScan, file: Any) -> None:
    """Write an inverted file, or the empty one of a codebook, to an open file."""
    faiss.write_index(lists, faiss.PyCallbackIOWriter(file.write, 1 << 20))  # type: ignore[attr-defined]


def read_lists(file: Any) -> faiss.IndexIVFPQFastScan:
    """Return what `write_lists` wrote. Raises RuntimeError or ValueError if it is something else."""
    lists = faiss.read_index(faiss.PyCallbackIOReader(file.read, 1 << 20))  # type: ignore[attr-defined]
    if not isinstance(lists, faiss.IndexIVFPQFastScan):
        raise ValueError(f"expected an inverted file, found {type(lists).__name__}")
    lists.implem = FAST_SCAN  # not stored in the file
    return lists
