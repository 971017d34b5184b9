"""The search index: it answers like brute force, and filters before it searches. test_shelf.py tests its files."""

import subprocess
import sys
from pathlib import Path

import faiss
import numpy as np
import pytest

from snowmatch.matching.search import blocks as searching
from snowmatch.matching.search import encoding, forest, inverted_file
from snowmatch.matching.search import rows as searched_rows
from snowmatch.matching.search.block import Block, LazyIndex
from snowmatch.matching.search.rows import Rows

DIMENSION = 32


def gallery(entries=60, rows=50, dtype=np.uint8, seed=0):
    """Return clustered descriptors, like real ones: a list of (rows, D) arrays."""
    rng = np.random.default_rng(seed)
    centres = rng.uniform(0, 200, (40, DIMENSION))
    out = []
    for _ in range(entries):
        values = centres[rng.integers(0, 40, rows)] + rng.normal(0, 12, (rows, DIMENSION))
        values = np.clip(np.round(values), 0, 255)
        out.append(values.astype(np.uint8) if dtype == np.uint8 else (values / 800).astype(np.float32))
    return out


def lazy(built):
    return LazyIndex("x", lambda: (built, "read"))


def block(descriptors, built):
    offsets = np.cumsum([0] + [len(d) for d in descriptors])
    return Block(np.arange(len(descriptors)), offsets, lazy(built))


def brute_force(descriptors, queries, allowed, k):
    norm = 512.0 if queries.dtype == np.uint8 else 1.0
    entry = np.repeat(np.arange(len(descriptors)), [len(d) for d in descriptors])
    keypoint = np.concatenate([np.arange(len(d)) for d in descriptors])
    rows = np.concatenate(descriptors).astype(np.float64)
    keep = np.flatnonzero(allowed[entry])
    away = np.sqrt(((queries[:, None].astype(np.float64) - rows[keep]) ** 2).sum(axis=2) / (2 * norm * norm))
    order = np.argsort(away, axis=1, kind="stable")[:, :k]
    return np.take_along_axis(away, order, axis=1), entry[keep][order], keypoint[keep][order]


@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_few_rows_are_searched_exactly(dtype):
    descriptors = gallery(entries=60, rows=16, dtype=dtype)
    queries = gallery(1, 30, dtype, seed=9)[0]
    allowed = np.arange(60) % 3 != 0
    found = searching.search([block(descriptors, encoding.build_faiss(descriptors))], queries, allowed, 5)
    distances, entries, _ = brute_force(descriptors, queries, allowed, 5)
    np.testing.assert_allclose(found.distances, distances, rtol=1e-4, atol=1e-6)
    assert (found.entries == entries).mean() > 0.98  # equal distances may swap
    assert allowed[found.entries].all()


@pytest.mark.slow
@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
@pytest.mark.parametrize("share", [1.0, 0.3, 0.02])
def test_an_inverted_file_finds_the_neighbours_of_brute_force_with_any_filter(share, dtype):
    descriptors = gallery(entries=100, rows=100, dtype=dtype)
    built = encoding.build_faiss(descriptors)
    assert built.lists.nlist > 1
    rng = np.random.default_rng(1)
    allowed = rng.random(100) < share
    allowed[7] = True
    seen = np.concatenate([descriptors[i] for i in np.flatnonzero(allowed)])[:: max(1, int(50 * share))][:200]
    noise = rng.normal(0, 4, seen.shape)  # noise of the same spots in another photo
    queries = np.clip(seen + noise, 0, 255).astype(dtype) if dtype == np.uint8 else (seen + noise / 800).astype(dtype)
    found = searching.search([block(descriptors, built)], queries, allowed, 5)
    distances, _, _ = brute_force(descriptors, queries, allowed, 5)
    assert (found.entries >= 0).all()
    assert allowed[found.entries].all()
    assert np.isclose(found.distances[:, 0], distances[:, 0], rtol=1e-4).mean() > 0.97
    # other neighbours have nearly equal distances, so their order is not exact: the found ones are hardly farther
    # (codes of so few dimensions are often equal, and the last of equal ones are left out)
    assert (found.distances[:, 1:] / distances[:, 1:]).mean() < 1.05


def test_flann_finds_k_allowed_rows_even_if_forbidden_rows_are_nearer():
    descriptors = gallery(entries=30, rows=60)
    queries = descriptors[3][:20]  # the nearest entry is their own, which is forbidden
    allowed = np.ones(30, bool)
    allowed[3] = False
    found = searching.search([block(descriptors, forest.FlannIndex(descriptors))], queries, allowed, 5)
    distances, _, _ = brute_force(descriptors, queries, allowed, 5)
    assert (found.entries >= 0).all()
    assert not (found.entries == 3).any()
    assert np.isclose(found.distances, distances, rtol=1e-4).mean() > 0.6  # a kd-forest is approximate


def test_flann_finds_the_only_allowed_entry_of_many():
    descriptors = gallery(entries=50, rows=40)
    allowed = np.zeros(50, bool)
    allowed[11] = True
    found = searching.search([block(descriptors, forest.FlannIndex(descriptors))], descriptors[0], allowed, 5)
    distances, _, _ = brute_force(descriptors, descriptors[0], allowed, 5)
    assert (found.entries == 11).all()
    assert np.isclose(found.distances, distances, rtol=1e-4).mean() > 0.7


def test_several_blocks_give_the_same_answer_as_one():
    descriptors = gallery(entries=20)
    queries = gallery(1, 25, seed=3)[0]
    whole = searching.search([block(descriptors, encoding.build_faiss(descriptors))], queries, np.ones(20, bool), 6)
    pieces = []
    for run in (slice(0, 3), slice(3, 11), slice(11, 20)):
        part = descriptors[run]
        offsets = np.cumsum([0] + [len(d) for d in part])
        built = encoding.build_faiss(part)
        pieces.append(Block(np.arange(20)[run], offsets, lazy(built)))
    merged = searching.search(pieces, queries, np.ones(20, bool), 6)
    np.testing.assert_array_equal(merged.distances, whole.distances)
    ties = np.diff(whole.distances, axis=1) == 0
    if not ties.any():
        np.testing.assert_array_equal(merged.entries, whole.entries)


def test_if_there_are_fewer_than_k_rows_the_answer_is_padded():
    descriptors = gallery(entries=2, rows=1)
    found = searching.search(
        [block(descriptors, encoding.build_faiss(descriptors))], descriptors[0], np.ones(2, bool), 5
    )
    assert found.entries.shape == (1, 5)
    assert (found.entries[0, 2:] == -1).all()
    assert np.isinf(found.distances[0, 2:]).all()


@pytest.mark.parametrize("allowed", [np.zeros(2, bool), np.ones(2, bool)])
def test_no_query_descriptors_or_no_allowed_entries_give_no_neighbours(allowed):
    descriptors = gallery(entries=2)
    blocks = [block(descriptors, encoding.build_faiss(descriptors))]
    assert searching.search(blocks, np.zeros((0, DIMENSION), np.uint8), allowed, 3).distances.shape == (0, 3)
    if not allowed.any():
        assert (searching.search(blocks, descriptors[0], allowed, 3).entries == -1).all()


def test_the_answer_for_one_descriptor_does_not_depend_on_the_others():
    descriptors = gallery(entries=80)
    queries = gallery(1, 40, seed=2)[0]
    blocks = [block(descriptors, encoding.build_faiss(descriptors))]
    allowed = np.arange(80) != 5
    before = faiss.omp_get_max_threads()
    together = searching.search(blocks, queries, allowed, 4)
    try:
        for threads in (1, 3):
            faiss.omp_set_num_threads(threads)
            for one in range(0, 40, 7):
                alone = searching.search(blocks, queries[one : one + 1], allowed, 4)
                np.testing.assert_array_equal(together.entries[one], alone.entries[0])
                np.testing.assert_array_equal(together.distances[one], alone.distances[0])
    finally:
        faiss.omp_set_num_threads(before)


def test_the_number_of_threads_does_not_change_the_index():
    random = np.random.default_rng(0)  # noise: two lists may be equally near, up to the rounding of sums
    descriptors = [random.integers(0, 120, (900, 128), dtype=np.uint8) for _ in range(20)]
    before = faiss.omp_get_max_threads()
    written = []
    try:
        for threads in (1, 3, 4):
            faiss.omp_set_num_threads(threads)
            written.append(faiss.serialize_index(encoding.build_faiss(descriptors).lists).tobytes())
    finally:
        faiss.omp_set_num_threads(before)
    assert written[0] == written[1] == written[2]


@pytest.mark.parametrize("at_once", [100, 1 << 16])
@pytest.mark.parametrize("share", [1.0, 0.6])
def test_rows_are_encoded_in_pieces_as_faiss_encodes_them(at_once, share, monkeypatch):
    monkeypatch.setattr(encoding, "ROWS_AT_ONCE", at_once)
    random = np.random.default_rng(3)
    rows = [random.integers(0, 120, (n, 32), dtype=np.uint8) for n in (900, 1, 700, 0, 350, 99)]
    searched = [random.random(len(each)) < share for each in rows]
    codebook = inverted_file.train_codebook("", rows)
    own = encoding.encode(codebook, rows, None if share == 1 else searched)
    lists = faiss.clone_index(codebook.empty)
    lists.implem = inverted_file.FAST_SCAN
    every = np.concatenate(rows)[np.concatenate(searched)].astype(np.float32)
    lists.add_with_ids(every, np.flatnonzero(np.concatenate(searched)))
    written = [faiss.serialize_index(each).tobytes() for each in (own, inverted_file.without_centres(lists))]
    assert own.ntotal == len(every)
    assert written[0] == written[1]


STARVED = """
import resource, sys
import numpy as np
from snowmatch.matching.search import encoding, inverted_file
rows = [np.random.default_rng(0).normal(size=(6000, 128)).astype(np.float32)]
if sys.argv[2] == "before":
    inverted_file.claim_memory()
pages = int(open("/proc/self/statm").read().split()[0])
resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + (int(sys.argv[1]) << 20),) * 2)
try:
    codebook = inverted_file.train_codebook("", rows)
    encoding.encode(codebook, rows)
    print("built", codebook.nearest_lists(rows[0], 3).shape)
except MemoryError as error:
    print(error)
"""


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="limits of address space are those of Linux")
@pytest.mark.parametrize(
    ("more", "when", "said"),
    [(60, "now", "the search index needs 160 MB more"), (140, "now", "the search"), (60, "before", "built (6000, 3)")],
)
def test_without_memory_for_its_sums_a_search_index_is_an_error_and_not_a_dead_process(more, when, said):
    environment = {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(Path(__file__).parents[1])}
    ended = subprocess.run(
        [sys.executable, "-c", STARVED, str(more), when], capture_output=True, text=True, env=environment, check=False
    )
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.startswith(said)


@pytest.mark.parametrize("cut", [1, 7])
def test_distances_do_not_depend_on_the_number_of_threads(monkeypatch, cut):
    rng = np.random.default_rng(0)
    arrays = np.array_split(rng.integers(0, 256, (900, 128), np.uint8), cut)
    offsets = np.concatenate([[0], np.cumsum([len(array) for array in arrays])])
    rows = Rows(offsets, lambda: (arrays, np.arange(cut), np.zeros(cut, np.int64)))
    queries = rng.integers(0, 256, (50, 128), np.uint8).astype(np.float32)
    chosen, asked = rng.integers(0, 900, 6000), rng.integers(0, 50, 6000)
    assert len(chosen) > inverted_file.PAIRS_IN_THREADS
    whole = np.concatenate(arrays).astype(np.float64)
    expected = ((whole[chosen] - queries[asked]) ** 2).sum(axis=1)
    for threads in (1, 3):
        monkeypatch.setattr(inverted_file.faiss, "omp_get_max_threads", lambda threads=threads: threads)
        assert (inverted_file.distances_of(rows, chosen, queries, asked) == expected).all()


def test_what_lies_around_a_row_is_fetched_once_and_only_of_its_annotation(monkeypatch):
    counts, first = np.array([300, 40, 500]), np.array([7, 900, 20])
    offsets, array = np.concatenate([[0], np.cumsum(counts)]), np.array([0, 0, 1])
    held, fetched = [np.zeros((1000, 4), np.uint8), np.zeros((600, 4), np.uint8)], [set(), set()]

    def fetch(of, start, stop):
        for n, each in enumerate(held):
            if of is each:
                fetched[n].update(row for a, b in zip(start, stop, strict=True) for row in range(a, b))

    monkeypatch.setattr(searched_rows, "fetch_rows", fetch)
    rows = Rows(offsets, lambda: (held, array, first))
    _, owners, places = rows.where(np.array([299, 305, 700]))
    assert list(zip(owners.tolist(), places.tolist(), strict=True)) == [(0, 306), (0, 905), (1, 380)]
    # groups of 128 rows: 256 to 383 in two annotations, and 640 to 767
    assert fetched == [{*range(263, 307), *range(900, 940)}, set(range(320, 448))]
    for each in fetched:
        each.clear()
    rows.where(np.array([299, 300, 701]))
    assert fetched == [set(), set()]
