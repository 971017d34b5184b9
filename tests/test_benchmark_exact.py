"""Exact search of the benchmarks of large catalogs, with PyTorch and without."""

from pathlib import Path

import numpy as np
import pytest

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"


def test_exact_search_with_torch_finds_what_faiss_finds(monkeypatch):
    torch = pytest.importorskip("torch")
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    import large_queries

    monkeypatch.setattr(large_queries, "ROWS_IN_CACHE", 128)
    rng = np.random.default_rng(0)
    queries = rng.integers(0, 120, (300, 128), np.uint8)
    ways = large_queries.OnProcessor(queries), large_queries.OnProcessorWithTorch(torch, queries)
    for count in (30, 5000, 4001, 100):
        rows = rng.integers(0, 120, (count, 128), np.uint8)
        for way in ways:
            way.look(rows)
        (one, at_one), (other, at_other) = (way.result() for way in ways)
        assert np.array_equal(np.sort(one, axis=1), np.sort(other, axis=1))
        here = [np.sort(np.where(np.isfinite(far), at, -1), axis=1) for far, at in ((one, at_one), (other, at_other))]
        assert np.mean(here[0] == here[1]) > 0.99  # some rows are equally far
