"""Measure speed: how long a user waits, how long each stage of a query takes, and how time grows with the gallery.

waiting   help, indexing with one worker and with all, a query in a program and from the command line; drawn photos
stages    seconds of each stage, for this engine with each extractor and for HotSpotter, with photos of --dataset
scaling   time, memory and disk against the size of the gallery. Small galleries are photos of --dataset, for this
          engine and HotSpotter. Large galleries are distractors: features of those photos, 1,000 each, with the
          elements of their descriptors in another order for each distractor. So they match only by chance

All keep their runs in results/speed.json. Each takes ten to twenty minutes on two cores.

Example: python benchmarks/speed.py stages --dataset catalog/,parts=left_flank,first=360 --work W --out W/speed.json
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from datasets import prepare, rows_of
from measure import (
    THREAD_VARIABLES,
    circumstances,
    command_line,
    median_seconds,
    peak_memory,
    results_file,
    run_command,
    use_cores,
)
from scoring import apart, parse_method
from store import put_run
from suites import source_of

EXTRACTORS = ("hesaff", "sift")
STAGES = ("read", "extract", "index", "search", "verify", "score", "query", "draw")
ASKED = 20  # queries, evenly spread; the median counts
INDEXED = 200  # photos for the comparison of workers
REAL, DISTRACTORS = (100, 360), (1000, 10_000)  # sizes of galleries
FEATURES = 1000  # of a distractor


def main(arguments: list[str] | None = None) -> None:
    """Read the command line and measure."""
    given = parse(arguments)
    start = time.perf_counter()
    rows = {"waiting": waiting, "stages": stages, "scaling": scaling}[given.what](given)
    total = round(time.perf_counter() - start, 1)
    for place, (name, row) in enumerate(rows.items()):
        seconds = row.pop("seconds", {}) | ({"total": total} if place == 0 else {})
        put_run(given.out, {"run": name, **row, "seconds": seconds, **circumstances(command_line(arguments))})
        print(name, row, seconds, flush=True)


def in_process(function: Callable[..., Any], *arguments: Any, cores: int = 1) -> Any:
    """Run `function` in a new process on `cores` cores and return its result. Its peak memory is then its own."""
    os.environ |= dict.fromkeys(THREAD_VARIABLES, str(cores))  # read when numpy is loaded
    with multiprocessing.get_context("spawn").Pool(1, use_cores, (cores,)) as pool:
        return pool.apply(function, arguments)


# How long a user waits


def waiting(given: argparse.Namespace) -> dict[str, dict[str, Any]]:
    """Measure help, indexing and queries on a drawn survey of 1,000 photos in a temporary folder. Return one run."""
    from snowmatch.demo.survey import make_survey

    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        make_survey(
            folder / "catalog",
            individuals=given.individuals,
            encounters=10,
            photos=(1, 1),
            stations=20,
            size=(960, 640),
            queries=folder / "queries",
            query_encounters=1,
        )
        row = {"help": round(median_seconds(lambda: command("--help"), 9), 3)}
        row |= indexing(folder, cores) | querying(folder)
    return {"waiting": row}


def command(*arguments: str) -> None:
    """Run snowmatch from the command line."""
    subprocess.run([sys.executable, "-m", "snowmatch.cli", *arguments], check=True, capture_output=True)


def indexing(folder: Path, cores: int) -> dict[str, Any]:
    """Return the seconds a photo, with one worker and with one worker a core; the best of two runs each."""
    import snowmatch

    part = folder / "part"
    shutil.copytree(folder / "catalog", part)
    lines = (part / "catalog.csv").read_text(encoding="utf-8").splitlines()
    (part / "catalog.csv").write_text("\n".join(lines[: INDEXED + 1]) + "\n", encoding="utf-8")
    photos, seconds = len(lines[1 : INDEXED + 1]), {}
    for workers in (1, cores, 1, cores):
        shutil.rmtree(part / ".snowmatch", ignore_errors=True)
        report = snowmatch.open_catalog(part).index("hesaff", workers=workers)
        seconds[workers] = min(report.seconds / photos, seconds.get(workers, float("inf")))
    return {"index_one_worker": round(seconds[1], 4), "index_all_workers": round(seconds[cores], 4), "workers": cores}


def querying(folder: Path) -> dict[str, Any]:
    """Return the seconds of a query against all photos: with an open catalog, and from the command line."""
    import snowmatch

    catalog = snowmatch.open_catalog(folder / "catalog")
    catalog.index("hesaff")
    row = (folder / "queries" / "queries.csv").read_text(encoding="utf-8").splitlines()[1].split(",")
    photo = folder / "queries" / row[0]
    shell = ("query", str(photo), "--catalog", str(folder / "catalog"))
    return {
        "annotations": catalog.query(photo).compared,
        "query_loaded": round(median_seconds(lambda: catalog.query(photo), 7), 3),
        "query_one_flank": round(median_seconds(lambda: catalog.query(photo, body_part="left_flank"), 7), 3),
        "query_command": round(median_seconds(lambda: command(*shell), 5), 3),
    }


# How long each stage of a query takes


def stages(given: argparse.Namespace) -> dict[str, dict[str, Any]]:
    """Return a run for each extractor and for the method --peer."""
    folder = first_photos(given, given.photos)
    found = {f"stages {name}": {"seconds": in_process(engine_stages, folder, name)} for name in EXTRACTORS}
    if given.peer:
        name, settings = parse_method(given.peer)
        costs = apart(name, settings, folder, "cross-encounter", 1, given.work, queries=ASKED)["seconds"]
        found[f"stages {name}"] = {"seconds": {stage: costs[stage] for stage in ("extract", "index", "query")}}
    return found


def engine_stages(folder: Path, extractor: str) -> dict[str, float]:
    """Return the median seconds of each stage. `index` is in all; `query` is search, verify and score together."""
    import cv2
    import numpy as np

    from snowmatch.api import open_catalog
    from snowmatch.core.plugins import make_plugin
    from snowmatch.features.extractors import extract_from_photo
    from snowmatch.matching.geometry.frames import Geometry
    from snowmatch.matching.query import match_photos, score_matches, score_query
    from snowmatch.matching.scores import individual_scores
    from snowmatch.photos.pixels import read_mask, read_photo
    from snowmatch.views.pictures import draw_answer

    cv2.setNumThreads(1)
    plugin, matcher, geometry = make_plugin("extractors", extractor), make_plugin("matchers", "lnbnn"), Geometry()
    open_catalog(folder).index(extractor, workers=1)
    for path in (folder / ".snowmatch" / "index").glob(f"{extractor}-*/*"):
        path.unlink()
    catalog = open_catalog(folder)
    gallery = catalog.session(extractor=extractor).gallery
    took: dict[str, list[float]] = {name: [] for name in STAGES}

    def timed(stage: str, work: Callable[[], Any]) -> Any:
        start = time.perf_counter()
        result = work()
        took[stage].append(time.perf_counter() - start)
        return result

    timed("index", gallery.build_indexes)
    individuals, count = gallery.individual_numbers, len(gallery.individuals)
    for entry in np.linspace(0, len(gallery.annotations) - 1, ASKED + 1).astype(int).tolist():
        a = gallery.annotations[entry]
        photo = timed("read", lambda a=a: read_photo(folder / a.path))
        mask = read_mask(folder / a.mask, (photo.shape[1], photo.shape[0])) if a.mask else None
        timed("extract", lambda p=photo, a=a, m=mask: extract_from_photo(plugin, p, a.bbox, m))
        asked = [gallery.subject(entry)]
        open_to = np.array([other.encounter != a.encounter for other in gallery.annotations])
        part = a.body_part
        found = timed("search", lambda q=asked, o=open_to, b=part: match_photos(q, gallery, o, b, matcher))
        scores = timed("verify", lambda q=asked, f=found, o=open_to: score_matches(q, f, gallery, o, matcher, geometry))
        timed("score", lambda s=scores: individual_scores(s.matches[0], individuals, count))
        timed("query", lambda q=asked, o=open_to, b=part: score_query(q, gallery, o, b, matcher, geometry))
        answer = catalog.query(folder / a.path, body_part=a.body_part, bbox=a.bbox, extractor=extractor)
        with tempfile.TemporaryDirectory() as drawn:
            timed("draw", lambda t=drawn, answer=answer: draw_answer(answer, Path(t), folder, 5))
    return {name: round(statistics.median(seconds[1:] or seconds), 5) for name, seconds in took.items()}


# How time grows with the gallery


def scaling(given: argparse.Namespace) -> dict[str, dict[str, Any]]:
    """Return one run with a row for each size and method."""
    rows = []
    for most in numbers(given.real):
        folder = first_photos(given, most)
        size = len(rows_of(folder))  # there may be fewer photos
        for method in filter(None, ("snowmatch_engine", given.peer)):
            name, settings = parse_method(method)
            costs = apart(name, settings, folder, "cross-encounter", 1, given.work, queries=ASKED)
            rows.append(
                {
                    "method": name.replace("snowmatch_engine", "snowmatch"),
                    "annotations": size,
                    "descriptors": round(costs["numbers"]["features_per_annotation"] * size),
                    "index": costs["seconds"]["index"],
                    "query": costs["seconds"]["query"],
                    "peak_memory": costs["peak_memory"],
                    "bytes_on_disk": round(costs["numbers"]["bytes_on_disk_per_annotation"] * size),
                }
            )
    pool = first_photos(given, max(numbers(given.real)))
    rows += [in_process(among_distractors, given.work, pool, size) for size in numbers(given.distractors)]
    return {"scaling": {"rows": rows}}


def among_distractors(work: Path, pool: Path, size: int) -> dict[str, Any]:
    """Measure this engine with `size` distractors made from the photos in `pool`. Queries are photos of `pool`."""
    import faiss
    import numpy as np

    from snowmatch.api import open_catalog
    from snowmatch.core.plugins import make_plugin, settings, settings_key
    from snowmatch.core.types import Annotation
    from snowmatch.features.reader import open_features
    from snowmatch.features.writer import FeatureWriter
    from snowmatch.matching.gallery import make_gallery
    from snowmatch.matching.geometry.frames import Geometry
    from snowmatch.matching.query import score_query

    faiss.omp_set_num_threads(1)
    catalog = open_catalog(pool)
    plugin, matcher = make_plugin("extractors", "hesaff"), make_plugin("matchers", "lnbnn")
    catalog.index("hesaff")
    real = catalog.session(extractor="hesaff").gallery
    described = settings(plugin)
    home = work / "distractors"
    shutil.rmtree(home, ignore_errors=True)
    keys = [f"{i:032x}" for i in range(size)]
    with FeatureWriter(home / "features", described) as writer:
        for i, key in enumerate(keys):
            writer.add(key, distractor(real.reader.read(real.keys[i % len(real.keys)]), np.random.default_rng(i)))
            if writer.due:
                writer.commit()
    annotations = [Annotation(i, f"{i}.jpg", f"{i // 4}", "left_flank", encounter=f"{i}") for i in range(size)]
    reader = open_features(home / "features", described)
    gallery = make_gallery(annotations, keys, reader, home / "index", settings_key(described))
    start = time.perf_counter()
    gallery.build_indexes()
    built, seconds = time.perf_counter() - start, []
    for entry in range(min(ASKED, len(real.annotations) - 1) + 1):  # the first is not counted
        asked, open_to = real.subject(entry), np.ones(size, bool)
        open_to[entry] = False
        start = time.perf_counter()
        score_query([asked], gallery, open_to, "left_flank", matcher, Geometry())
        seconds.append(time.perf_counter() - start)
    row = {
        "method": "snowmatch, distractors",
        "annotations": size,
        "descriptors": int(np.sum(reader.counts)),
        "index": round(built, 2),
        "query": round(statistics.median(seconds[1:]), 4),
        "peak_memory": peak_memory(),
        "bytes_on_disk": sum(p.stat().st_size for p in home.rglob("*") if p.is_file()),
    }
    shutil.rmtree(home, ignore_errors=True)
    return row


def distractor(features: Any, random: Any) -> Any:
    """Return some features of a photo, with the elements of their descriptors in another order."""
    import numpy as np

    kept = features.take(np.sort(random.permutation(len(features))[:FEATURES]))
    return replace(kept, descriptors=kept.descriptors[:, random.permutation(kept.descriptors.shape[1])])


def first_photos(given: argparse.Namespace, count: int) -> Path:
    """Return the folder of a catalog with the first `count` photos of --dataset."""
    return prepare(f"{source_of(given.dataset, given.data)},first={count},name=speed-{count}", given.work).folder


def numbers(text: str) -> list[int]:
    """Read whole numbers separated by commas."""
    return [int(n) for n in text.split(",") if n]


def parse(arguments: list[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("waiting", "stages", "scaling"))
    parser.add_argument("--dataset", default="nyala-left", help="a name of suites.py, or SOURCE,key=value,...")
    parser.add_argument("--data", type=Path, default=Path("../shared/data"), help="where real photos are")
    parser.add_argument("--work", type=Path, default=Path(__file__).parent / ".work")
    parser.add_argument("--out", type=Path, help="file of results; default: the published one, for its settings")
    parser.add_argument("--peer", default="hotspotter", help="the method to compare with; empty for none")
    parser.add_argument("--photos", type=int, default=360, help="number of photos for stages; default: %(default)s")
    parser.add_argument("--individuals", type=int, default=100, help="number of animals for waiting, ten photos each")
    parser.add_argument("--real", default=",".join(map(str, REAL)), help="sizes of galleries with photos of --dataset")
    parser.add_argument("--distractors", default=",".join(map(str, DISTRACTORS)), help="sizes of distractor galleries")
    given = parser.parse_args(arguments)
    settings = ("dataset", "peer", "photos", "individuals", "real", "distractors")
    given.out = results_file(parser, given, "speed.json", settings)
    return given


if __name__ == "__main__":
    run_command(main)
