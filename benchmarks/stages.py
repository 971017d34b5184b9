"""Where the time goes: seconds of each stage, for this engine with each extractor, and for HotSpotter beside it.

Per photo: read, extract (chip and mask included). Once: index. Per query: search, verify, score, together `query`, and
draw (five candidates). HotSpotter tells extract, index and query only. Writes results/stages.json.

Example: python benchmarks/stages.py --dataset ../shared/data/nyala,parts=left_flank,first=360 --work /tmp/bench
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

from measure import circumstances, write_result
from run import THREAD_VARIABLES, apart, parse_method

EXTRACTORS = ("hesaff", "sift")
PHOTOS = 20  # evenly spread; the median counts
NAMES = ("read", "extract", "index", "search", "verify", "score", "query", "draw")


def main() -> None:
    """Measure this engine's stages, then the peer's."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dataset", required=True, help="SOURCE,key=value,... (see datasets.py)")
    parser.add_argument("--work", type=Path, default=Path(__file__).parent / ".work")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--peer", default="hotspotter", help="the method to compare with; empty for none")
    given = parser.parse_args()
    from datasets import prepare

    folder = prepare(given.dataset, given.work).folder
    for variable in THREAD_VARIABLES:  # read when numpy is loaded, so set before the processes start
        os.environ[variable] = str(given.threads)
    rows = []
    for extractor in EXTRACTORS:
        with multiprocessing.get_context("spawn").Pool(1) as pool:
            seconds = pool.apply(engine, (folder, extractor, given.threads))
        rows += [{"method": f"snowmatch {extractor}", "stage": s, "seconds": round(seconds[s], 5)} for s in NAMES]
    if given.peer:
        name, settings = parse_method(given.peer)
        costs = apart(name, settings, folder, "cross-encounter", given.threads, given.work, queries=PHOTOS)
        rows += [{"method": name, "stage": s, "seconds": costs["seconds"][s]} for s in ("extract", "index", "query")]
    source = given.dataset.split(",")
    command = f"python benchmarks/stages.py --dataset {','.join([Path(source[0]).name.upper(), *source[1:]])}"
    write_result("stages", circumstances(command) | {"threads": given.threads, "rows": rows})


def engine(folder: Path, extractor: str, threads: int) -> dict[str, float]:
    """Median seconds of each stage over PHOTOS photos; `index` in all."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:threads])
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

    cv2.setNumThreads(threads)
    catalog = open_catalog(folder)
    plugin, matcher, geometry = make_plugin("extractors", extractor), make_plugin("matchers", "lnbnn"), Geometry()
    catalog.index(extractor, workers=threads)
    for path in (folder / ".snowmatch" / "index").glob(f"{extractor}-*/*"):
        path.unlink()
    fresh = open_catalog(folder)
    gallery = fresh.gallery(plugin)
    took: dict[str, list[float]] = {name: [] for name in NAMES}

    def timed(stage: str, work: Any) -> Any:
        start = time.perf_counter()
        result = work()
        took[stage].append(time.perf_counter() - start)
        return result

    timed("index", lambda: gallery.build_indexes(matcher.backend))
    individuals, count = gallery.individual_numbers, len(gallery.individuals)
    for entry in np.linspace(0, len(gallery.annotations) - 1, PHOTOS + 1).astype(int).tolist():
        a = gallery.annotations[entry]
        photo = timed("read", lambda a=a: read_photo(folder / a.path))
        mask = read_mask(folder / a.mask, (photo.shape[1], photo.shape[0])) if a.mask else None
        timed("extract", lambda p=photo, a=a, m=mask: extract_from_photo(plugin, p, a.bbox, m))
        query = [gallery.subject(entry)]
        allowed = np.array([other.encounter != a.encounter for other in gallery.annotations])
        part = a.body_part
        found = timed("search", lambda q=query, o=allowed, b=part: match_photos(q, gallery, o, b, matcher))
        scores = timed("verify", lambda q=query, f=found: score_matches(q, f, gallery, matcher, geometry))
        timed("score", lambda s=scores: individual_scores(s.matches[0], individuals, count))
        timed("query", lambda q=query, o=allowed, b=part: score_query(q, gallery, o, b, matcher, geometry))
        answer = fresh.query(folder / a.path, body_part=a.body_part, bbox=a.bbox, extractor=extractor)
        with tempfile.TemporaryDirectory() as drawn:
            timed("draw", lambda t=drawn, answer=answer: draw_answer(answer, Path(t), folder, 5))
    return {name: statistics.median(seconds[1:] or seconds) for name, seconds in took.items()}


if __name__ == "__main__":
    main()
