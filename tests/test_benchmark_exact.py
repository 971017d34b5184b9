"""Exact search of the benchmarks of large catalogs, with PyTorch and without."""

from pathlib import Path

import numpy as np
import pytest

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"


def test_exact_search_with_torch_finds_what_faiss_finds(monkeypatch):
    torch = pytest.importorskip("torch")
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    import large_queries

    monkeypatch.setattr(large_queries, "ROWS_IN_CACHE", 1280)
    rng = np.random.default_rng(0)
    queries = rng.integers(0, 120, (300, 128), np.uint8)
    ways = large_queries.OnProcessor(queries), large_queries.OnProcessorWithTorch(torch, queries)
    for count in (5000, 4001, 100):
        rows = rng.integers(0, 120, (count, 128), np.uint8)
        for way in ways:
            way.look(rows)
    (one, at_one), (other, at_other) = (way.result() for way in ways)
    assert np.array_equal(np.sort(one, axis=1), np.sort(other, axis=1))
    assert np.mean(np.sort(at_one, axis=1) == np.sort(at_other, axis=1)) > 0.99  # rows that are equally far
