"""The two search back ends on one gallery: share of nearest neighbours found, seconds a query, seconds to build.

Example: python benchmarks/search.py catalog/ --part left_flank        (CATALOG is indexed)
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import faiss
import numpy as np
from measure import circumstances, write_result

import snowmatch
from snowmatch import index
from snowmatch.core.plugins import make_plugin

QUERIES = 6
K = 5  # four neighbours and the normaliser


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("catalog", type=Path)
    parser.add_argument("--part", default="left_flank")
    parser.add_argument("--extractor", default="hesaff")
    given = parser.parse_args()
    catalog = snowmatch.open_catalog(given.catalog)
    gallery = catalog.gallery(make_plugin("extractors", given.extractor))
    entries = [i for i, a in enumerate(gallery.annotations) if a.body_part == given.part]
    descriptors = gallery.reader.column("descriptors", [gallery.keys[i] for i in entries])
    descriptors = [d for d in descriptors if len(d)]
    offsets = np.cumsum([0] + [len(d) for d in descriptors])
    asked = np.linspace(0, len(descriptors) - 1, QUERIES).astype(int)
    exact = [exact_distances(descriptors, q) for q in asked]
    result = circumstances(f"python benchmarks/search.py CATALOG --part {given.part} --extractor {given.extractor}")
    result |= {"rows": int(offsets[-1]), "annotations": len(descriptors), "backends": []}
    seconds, built = build(lambda: index.build_faiss(descriptors))
    for probes in (4, 8, 16, 32):
        result["backends"].append(compare("faiss", probes, seconds, built, descriptors, offsets, asked, exact))
    seconds, built = build(lambda: index._FlannIndex(descriptors))
    for checks in (800,):
        index.CHECKS = checks
        result["backends"].append(compare("flann", checks, seconds, built, descriptors, offsets, asked, exact))
    write_result(f"search-{given.catalog.resolve().name}-{given.part}", result)


def build(make):
    start = time.perf_counter()
    built = make()
    return time.perf_counter() - start, built


def without(descriptors, query):
    allowed = np.ones(len(descriptors), bool)
    allowed[query] = False
    return allowed


def exact_distances(descriptors, query):
    """(N, K): every row compared."""
    rest = faiss.IndexFlatL2(descriptors[0].shape[1])
    rest.add(np.concatenate([d for i, d in enumerate(descriptors) if i != query]).astype(np.float32))
    squared, _ = rest.search(descriptors[query].astype(np.float32), K)
    return np.sqrt(squared / (2 * index.UINT8_NORM**2))


def compare(backend, effort, build_seconds, built, descriptors, offsets, asked, exact):
    block = index.Block(np.arange(len(descriptors)), offsets, lambda: built)
    seconds, first, normaliser = [], [], []
    for query, truth in zip(asked, exact, strict=True):
        start = time.perf_counter()
        found = index.search(
            [block], descriptors[query], without(descriptors, query), K, probes=effort if backend == "faiss" else 1
        )
        seconds.append(time.perf_counter() - start)
        first.append(np.mean(found.distances[:, 0] <= truth[:, 0] + 1e-6))
        normaliser.append(np.mean(found.distances[:, -1] <= truth[:, -1] + 1e-6))
    return {
        "backend": backend,
        "probes_or_checks": effort,
        "build_seconds": round(build_seconds, 2),
        "seconds_per_query": round(float(np.median(seconds)), 4),
        "nearest_found": round(float(np.mean(first)), 4),
        "all_five_found": round(float(np.mean(normaliser)), 4),
    }


if __name__ == "__main__":
    main()
