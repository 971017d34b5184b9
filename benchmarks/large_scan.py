"""Measure how long the lists of a very large body part take to search: lists of the right length, codes of no meaning.

What a search of codes costs depends on how many rows the lists hold and how many lists are looked at, not on what the
codes say. So no features are needed: 45 bytes of memory a row. The exact comparison of the candidates is not in it.

Real lists differ in length, and most queries lie in long ones. --catalog tells for an indexed catalog how many times as
long as the mean those lists are that a query looks at.

--workers W: the rows are the part of one of W workers of a cluster, which hold as many each. It looks at its blocks
with one thread, and W answers are merged. The bytes that travel are those of the real tasks, without the network.

Examples:
  python benchmarks/large_scan.py --rows 12500000,125000000
  python benchmarks/large_scan.py --rows 125000000 --workers 10
  python benchmarks/large_scan.py --catalog catalog/
"""

from __future__ import annotations

import argparse
import json
import os
import pickle
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from measure import peak_memory, use_cores


def main() -> None:
    """Read the command line, measure each size, and print one line of JSON for each."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", default="12500000,25000000,125000000", help="numbers of rows")
    parser.add_argument("--asked", type=int, default=2500, help="descriptors of a query")
    parser.add_argument("--cores", type=int, default=2)
    parser.add_argument("--workers", type=int, help="measure the part of one of so many workers, with one core")
    parser.add_argument("--catalog", type=Path, help="measure how uneven its lists are, and nothing else")
    parser.add_argument("--extractor", default="hesaff")
    given = parser.parse_args()
    if given.catalog:
        print(json.dumps(unevenness(given.catalog, given.extractor)))
        return
    use_cores(1 if given.workers else given.cores)
    for rows in map(int, given.rows.split(",")):
        found = measure_part(rows, given.workers, given.asked) if given.workers else measure(rows, given.asked)
        print(json.dumps(found), flush=True)


def measure(rows: int, asked: int) -> dict[str, float]:
    """Return the seconds of a search among `rows` rows, the first and the best of two more."""
    import numpy as np

    from snowmatch.matching.search.inverted_file import CANDIDATES, LISTS_PER_SQRT, PROBES

    rng = np.random.default_rng(0)
    count = int(LISTS_PER_SQRT * np.sqrt(rows))
    index = fill(rows, draw_codebook(rows, count, rng), rng)
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


def draw_codebook(rows: int, count: int, rng: Any) -> Any:
    """Return a codebook for `rows` rows, of `count` lists with centres of no meaning."""
    import faiss
    import numpy as np

    from snowmatch.matching.search import inverted_file

    centres = faiss.IndexFlatL2(128)
    centres.add(rng.uniform(0, 120, (count, 128)).astype(np.float32))
    lists = inverted_file.make_lists(centres, count)
    lists.pq.train(rng.uniform(0, 120, (2000, 128)).astype(np.float32))
    lists.is_trained = True
    return inverted_file.Codebook("", rows, lists)


def fill(rows: int, codebook: Any, rng: Any) -> Any:
    """Return an index of `rows` rows with codes of no meaning, evenly in all lists."""
    import faiss
    import numpy as np

    from snowmatch.matching.search.encoding import encode
    from snowmatch.matching.search.inverted_file import FaissIndex

    lists, count, number = encode(codebook, []), codebook.lists, 0
    held = lists.invlists
    for place in range(count):
        size = rows * (place + 1) // count - rows * place // count
        held.resize(place, size)
        bytes_ = -(-size // 32) * 32 * 32
        faiss.rev_swig_ptr(held.get_codes(place), bytes_)[:] = rng.integers(0, 256, bytes_, np.uint8)
        faiss.rev_swig_ptr(held.get_ids(place), size)[:] = np.arange(number, number + size)
        number += size
    lists.ntotal = rows
    return FaissIndex(None, lists, codebook)


def measure_part(rows: int, workers: int, asked: int) -> dict[str, float]:
    """Return the seconds and bytes of one query of which one of `workers` workers looks at `rows` rows.

    look: of the worker. near, merge: of the process that asks: the nearest lists, and the answers of all workers.
    shared: bytes that all workers get. sent, returned: further bytes of each worker.
    """
    import numpy as np

    from snowmatch.matching.search import holders
    from snowmatch.matching.search.blocks import TIED
    from snowmatch.matching.search.holders import Asked, LookAt, Part
    from snowmatch.matching.search.inverted_file import CANDIDATES, LISTS_PER_SQRT, PROBES, Candidates
    from snowmatch.matching.search.shelf import block_rows

    rng = np.random.default_rng(0)
    codebook = draw_codebook(rows * workers, int(LISTS_PER_SQRT * np.sqrt(rows * workers)), rng)
    folder, limit, parts = Path(), block_rows(128), []
    holders._loaded.bound(1 << 50)
    for first in range(0, rows, limit):
        size = min(limit, rows - first)
        counts = np.diff(np.append(np.arange(0, size, 2500), size))
        name = f"left_flank-{'0' * 16}-{len(parts):016x}"
        index = fill(size, codebook, rng)
        holders._loaded.put(str(folder / name), (index, counts), index.memory)
        keep = np.packbits(rng.random(len(counts)) > 0.001)
        parts.append(Part(len(parts), name, codebook.lists, {0: (keep, first)}, index.memory))
    queries, task = rng.integers(0, 120, (asked, 128), np.uint8), LookAt(tuple(parts))
    near, *near_seconds = timed(lambda: codebook.nearest_lists(queries.astype(np.float32), PROBES + 1))
    count = CANDIDATES + TIED
    query = {0: Asked(queries, near.astype(np.int32), count, all_equal=False)}
    answer, *seconds = timed(lambda: task.run(folder, 1 << 50, query))
    away, found = answer[0][0]
    several = [away + rng.uniform(0, 1, away.shape).astype(np.float32) for _ in range(workers)]

    def merge() -> None:
        merged = Candidates(asked, count, all_equal=False)
        for number, each in enumerate(several):
            merged.add(each, found, number * rows)

    _, *merge_seconds = timed(merge)
    return {
        "rows": rows,
        "workers": workers,
        "blocks": len(parts),
        "lists": codebook.lists,
        "descriptors": asked,
        **dict(zip(("look", "look_cpu"), seconds, strict=True)),
        **dict(zip(("near", "near_cpu"), near_seconds, strict=True)),
        **dict(zip(("merge", "merge_cpu"), merge_seconds, strict=True)),
        "shared": len(pickle.dumps(query, pickle.HIGHEST_PROTOCOL)),
        "sent": len(pickle.dumps(task, pickle.HIGHEST_PROTOCOL)),
        "returned": len(pickle.dumps(answer, pickle.HIGHEST_PROTOCOL)),
        "memory": peak_memory() or 0,
    }


def timed(work: Callable[[], Any]) -> tuple[Any, float, float]:
    """Return what some work returns, and the least seconds and the least CPU seconds of three times, after a first."""
    found, clock = work(), []
    for _ in range(3):
        start, used = time.perf_counter(), time.process_time()
        work()
        clock.append((time.perf_counter() - start, time.process_time() - used))
    wall, cpu = (round(min(each), 3) for each in zip(*clock, strict=True))
    return found, wall, cpu


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
