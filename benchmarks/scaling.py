"""Time, memory and disk against the size of the gallery: this engine up to 20,000 annotations, HotSpotter beside it.

On real photos (--dataset) both are asked the same queries, one after the other, on the same cores. Larger galleries are
filled with distractors: the features of those photos with the elements of their descriptors in another order for each
distractor, 1,000 features each, so nothing in them matches but by chance. Writes results/scaling.json.

Example: python benchmarks/scaling.py --dataset ../shared/data/nyala,parts=left_flank --work /tmp/bench    (an hour)
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import shutil
import statistics
import time
from pathlib import Path
from typing import Any

from measure import circumstances, write_result
from run import THREAD_VARIABLES, _peak_memory, apart, parse_method

REAL = (100, 360)
DISTRACTORS = (100, 1000, 5000, 20_000)
FEATURES = 1000
QUERIES = 20


def main() -> None:
    """Measure every size, each in a process of its own."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dataset", required=True, help="SOURCE,key=value,... (see datasets.py)")
    parser.add_argument("--work", type=Path, default=Path(__file__).parent / ".work")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--real", default=",".join(map(str, REAL)), help="sizes with the photos of --dataset")
    parser.add_argument("--distractors", default=",".join(map(str, DISTRACTORS)), help="sizes with distractors")
    parser.add_argument("--peer", default="hotspotter", help="the method to compare with; empty for none")
    given = parser.parse_args()
    rows: list[dict[str, Any]] = []
    for size in _numbers(given.real):
        for method in filter(None, ("snowmatch_engine", given.peer)):
            rows.append(_real(given, size, method))
            print(rows[-1], flush=True)
    pool = _folder(f"{given.dataset},first={max(_numbers(given.real))}", given.work)
    for size in _numbers(given.distractors):
        rows.append(_in_process(_distractors, given.work, pool, size, given.threads))
        print(rows[-1], flush=True)
    source = given.dataset.split(",")
    command = f"python benchmarks/scaling.py --dataset {','.join([Path(source[0]).name.upper(), *source[1:]])}"
    write_result(
        "scaling",
        circumstances(command) | {"threads": given.threads, "queries_timed": QUERIES, "rows": rows},
    )


def _numbers(text: str) -> list[int]:
    return [int(n) for n in text.split(",") if n]


def _folder(dataset: str, work: Path) -> Path:
    from datasets import prepare

    return prepare(dataset, work).folder


def _real(given: argparse.Namespace, size: int, method: str) -> dict[str, Any]:
    """One method on the first `size` photos."""
    folder = _folder(f"{given.dataset},first={size}", given.work)
    name, settings = parse_method(method)
    costs = apart(name, settings, folder, "cross-encounter", given.threads, given.work, queries=QUERIES)
    disk = costs["numbers"]["bytes_on_disk_per_annotation"] * size
    return {
        "method": name.replace("snowmatch_engine", "snowmatch"),
        "gallery": "photos",
        "annotations": size,
        "descriptors": round(costs["numbers"]["features_per_annotation"] * size),
        "extract_seconds": costs["seconds"]["extract"],
        "index_seconds": costs["seconds"]["index"],
        "query_seconds": costs["seconds"]["query"],
        "peak_memory": costs["peak_memory"],
        "bytes_on_disk": round(disk),
    }


def _in_process(function: Any, *arguments: Any) -> Any:
    """What `function` gives, run in a new process, so that its memory is its own."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(function, arguments)


def _distractors(work: Path, pool: Path, size: int, threads: int) -> dict[str, Any]:
    """This engine against `size` distractors made of the photos in `pool`, asked with photos of the pool."""
    for variable in THREAD_VARIABLES:
        os.environ[variable] = str(threads)
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:threads])
    import faiss
    import numpy as np

    from snowmatch.api import open_catalog
    from snowmatch.core.plugins import make_plugin, settings, settings_key
    from snowmatch.core.types import Annotation, Features
    from snowmatch.features.reader import open_features
    from snowmatch.features.writer import FeatureWriter
    from snowmatch.matching.gallery import make_gallery
    from snowmatch.matching.geometry.frames import Geometry
    from snowmatch.matching.query import score_query

    faiss.omp_set_num_threads(threads)
    catalog = open_catalog(pool)
    plugin, matcher = make_plugin("extractors", "hesaff"), make_plugin("matchers", "lnbnn")
    catalog.index("hesaff")
    real = catalog.gallery(plugin)
    described = settings(plugin)
    home = work / "distractors"
    shutil.rmtree(home, ignore_errors=True)
    keys = [f"{i:032x}" for i in range(size)]
    with FeatureWriter(home / "features", described) as writer:
        for i, key in enumerate(keys):
            rng = np.random.default_rng(i)
            source = real.reader.read(real.keys[i % len(real.keys)])
            kept = np.sort(rng.permutation(len(source))[:FEATURES])
            order = rng.permutation(source.descriptors.shape[1])
            writer.add(
                key,
                Features(
                    source.keypoints[kept],
                    source.descriptors[kept][:, order],
                    source.scores[kept],
                    source.scales[kept],
                    source.oris[kept],
                    source.shapes[kept],
                    source.image_size,
                ),
            )
            if writer.due:
                writer.commit()
    annotations = [Annotation(i, f"{i}.jpg", f"{i // 4}", "left_flank", encounter=f"{i}") for i in range(size)]
    reader = open_features(home / "features", described)
    gallery = make_gallery(annotations, keys, reader, home / "index", settings_key(described))
    start = time.perf_counter()
    gallery.build_indexes(matcher.backend)
    built = time.perf_counter() - start
    seconds = []
    for number in range(QUERIES + 1):  # the first is not counted
        query = real.subject(number)
        allowed = np.ones(size, bool)
        allowed[number] = False
        start = time.perf_counter()
        score_query([query], gallery, allowed, "left_flank", matcher, Geometry())
        seconds.append(time.perf_counter() - start)
    row = {
        "method": "snowmatch, distractors",
        "gallery": "distractors",
        "annotations": size,
        "descriptors": int(np.sum(reader.counts)),
        "index_seconds": round(built, 2),
        "query_seconds": round(statistics.median(seconds[1:]), 4),
        "peak_memory": _peak_memory(),
        "bytes_on_disk": sum(p.stat().st_size for p in home.rglob("*") if p.is_file()),
    }
    shutil.rmtree(home, ignore_errors=True)
    return json.loads(json.dumps(row))


if __name__ == "__main__":
    main()
