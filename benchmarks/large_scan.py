"""Measure how long the lists of a very large body part take to search: lists of the right length, codes of no meaning.

What a search of codes costs depends on how many rows the lists hold and how many lists are looked at, not on what the
codes say. So no features are needed: 45 bytes of memory a row. The exact comparison of the candidates is not in it.

Real lists differ in length, and most queries lie in long ones. --catalog tells for an indexed catalog how many times as
long as the mean those lists are that a query looks at.

Examples:
  python benchmarks/large_scan.py --rows 12500000,125000000
  python benchmarks/large_scan.py --catalog catalog/
"""

from __future__ import annotations

import argparse
import json
import os
import time
from pathlib import Path

from measure import peak_memory, use_cores


def main() -> None:
    """Read the command line, measure each size, and print one line of JSON for each."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", default="12500000,25000000,125000000", help="numbers of rows")
    parser.add_argument("--asked", type=int, default=2500, help="descriptors of a query")
    parser.add_argument("--cores", type=int, default=2)
    parser.add_argument("--catalog", type=Path, help="measure how uneven its lists are, and nothing else")
    parser.add_argument("--extractor", default="hesaff")
    given = parser.parse_args()
    if given.catalog:
        print(json.dumps(unevenness(given.catalog, given.extractor)))
        return
    use_cores(given.cores)
    for rows in given.rows.split(","):
        print(json.dumps(measure(int(rows), given.asked)), flush=True)


def measure(rows: int, asked: int) -> dict[str, float]:
    """Return the seconds of a search among `rows` rows, the first and the best of two more."""
    import faiss
    import numpy as np

    from snowmatch.matching.search import inverted_file
    from snowmatch.matching.search.inverted_file import CANDIDATES, LISTS_PER_SQRT, PROBES, Codebook, FaissIndex

    rng = np.random.default_rng(0)
    count = int(LISTS_PER_SQRT * np.sqrt(rows))
    centres = faiss.IndexFlatL2(128)
    centres.add(rng.uniform(0, 120, (count, 128)).astype(np.float32))
    lists = inverted_file._lists(centres, count)
    lists.pq.train(rng.uniform(0, 120, (2000, 128)).astype(np.float32))
    lists.is_trained = True
    held, number = lists.invlists, 0
    for place in range(count):
        size = rows * (place + 1) // count - rows * place // count
        held.resize(place, size)
        bytes_ = -(-size // 32) * 32 * 32
        faiss.rev_swig_ptr(held.get_codes(place), bytes_)[:] = rng.integers(0, 256, bytes_, np.uint8)
        faiss.rev_swig_ptr(held.get_ids(place), size)[:] = np.arange(number, number + size)
        number += size
    lists.ntotal = rows
    index = FaissIndex(None, lists, Codebook("", rows, lists))
    queries = rng.uniform(0, 120, (asked, 128)).astype(np.float32)
    wanted = np.ones(rows, bool)
    wanted[: rows // 1000] = False
    clock, cpu, near_seconds = [], [], []
    for _ in range(3):
        start, used = time.perf_counter(), time.process_time()
        near = index.codebook.nearest_lists(queries, PROBES + 1)
        near_seconds.append(time.perf_counter() - start)
        index.look(queries, near, wanted, CANDIDATES + 1)
        clock.append(time.perf_counter() - start)
        cpu.append(time.process_time() - used)
    return {
        "rows": rows,
        "lists": count,
        "descriptors": asked,
        "cores": len(os.sched_getaffinity(0)),
        "first": round(clock[0], 3),
        "next": round(min(clock[1:]), 3),
        "next_cpu": round(min(cpu[1:]), 3),
        "nearest_lists": round(min(near_seconds[1:]), 3),
        "memory": peak_memory() or 0,
    }


def unevenness(folder: Path, extractor: str) -> dict[str, float]:
    """Return how many times as long as the mean the lists are that the descriptors of 20 annotations look at."""
    import numpy as np

    from snowmatch.api import open_catalog
    from snowmatch.matching.search.inverted_file import PROBES

    gallery = open_catalog(folder).session(extractor=extractor).gallery
    counts = [gallery.feature_count(n) for n in range(len(gallery.annotations))]
    entries = [n for n, count in enumerate(counts) if count][:: max(len(counts) // 20, 1)][:20]
    looked, mean, rows = [], [], 0
    for entry in entries:
        blocks = gallery.blocks("faiss", gallery.annotations[entry].body_part)
        # copies of an annotation share an index
        found = {id(block.index): block.load() for block in blocks if block.group == blocks[0].group}
        indexes = [index for index in found.values() if index.lists is not None]
        if not indexes:
            continue
        lengths = sum(
            np.array([index.lists.invlists.list_size(n) for n in range(index.lists.nlist)]) for index in indexes
        )
        queries = gallery.subject(entry).features.descriptors.astype(np.float32)
        looked.append(float(lengths[indexes[0].codebook.nearest_lists(queries, PROBES)].mean()))
        mean.append(float(lengths.mean()))
        rows = max(rows, int(lengths.sum()))
    return {"rows": rows, "annotations": len(looked), "times": round(float(np.mean(np.divide(looked, mean))), 2)}


if __name__ == "__main__":
    main()
