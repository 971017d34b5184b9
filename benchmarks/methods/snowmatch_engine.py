"""This project's engine with any extractor, matcher and setting. `options` are written key=value;key=value.

A plus sign joins several extractors: hesaff+sift. Their scores are fused. keep=yes uses the features of an earlier run,
for example of another matcher; then the result has no seconds of extraction. classifier, segmenter and boxes are
settings of the catalog: what finds the animal. classifier=auto is the one whose weights are on this computer;
the result names it.
"""

from __future__ import annotations

import importlib.metadata
import shutil
import statistics
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from methods import Given, Outcome
from snowmatch.api import DEFAULT_EXTRACTOR, DEFAULT_MATCHER, open_catalog
from snowmatch.confidence.scoring import score_trial
from snowmatch.core.home import HOME
from snowmatch.core.plugins import settings as settings_of
from snowmatch.matching.fusion import fuse
from snowmatch.matching.gallery import Gallery
from snowmatch.matching.query import score_query

DEFAULTS = {"extractor": DEFAULT_EXTRACTOR, "matcher": DEFAULT_MATCHER, "options": "", "keep": False}
DEFAULTS |= {"classifier": "auto", "segmenter": "none", "boxes": True}
FINDING = ("classifier", "segmenter", "boxes")  # settings of the catalog: what finds the animal
TIMED_QUERIES = 40  # evenly spread over the trial; the median counts, and one more before them does not
PACKAGES = ("faiss-cpu", "h5py", "numpy", "opencv-contrib-python-headless", "pillow")


def run(given: Given, settings: dict[str, Any]) -> Outcome:
    """Index the catalog again, measure the time of single queries, then score every query of the trial."""
    options = dict(pair.partition("=")[::2] for pair in settings["options"].split(";") if pair)
    if not settings["keep"]:
        shutil.rmtree(given.folder / HOME, ignore_errors=True)
    catalog = open_catalog(given.folder, **{name: settings[name] for name in FINDING})
    chosen = {"extractor": settings["extractor"].split("+"), "matcher": settings["matcher"], "options": options}
    reports, index_seconds = [], 0.0
    for plugin in catalog.method(**chosen).extractors:
        own = {k: v for k, v in options.items() if k in plugin.__dataclass_fields__}
        start = time.perf_counter()
        reports.append(catalog.index(settings_of(plugin)["name"], own, workers=given.threads))
        index_seconds += time.perf_counter() - start - reports[-1].seconds
    session = catalog.session(**chosen)
    galleries, matcher, geometry = session.galleries, session.method.matcher, session.method.geometry
    query_seconds = _time_queries(given, galleries, matcher, geometry)
    table = score_trial(given.trial, galleries, matcher, geometry)
    networks = [name for name in ("torch", "kornia") if name in sys.modules]
    done = reports[0].done
    extracted = {"extract": sum(report.seconds for report in reports) / done, "index": index_seconds} if done else {}
    counts = [np.mean([gallery.feature_count(i) for i in range(len(gallery.annotations))]) for gallery in galleries]
    return Outcome(
        tables=(table,),
        seconds={**extracted, "query": query_seconds},
        versions={name: importlib.metadata.version(name) for name in (*PACKAGES, *networks)},
        numbers={
            "features_per_annotation": float(sum(counts)),
            "bytes_on_disk_per_annotation": _bytes_in(given.folder / HOME) / len(galleries[0].annotations),
        },
        notes=tuple(f"could not be read: {path} ({reason})" for path, reason in reports[0].failed),
    )


def _time_queries(given: Given, galleries: Sequence[Gallery], matcher: Any, geometry: Any) -> float:
    """Return the median seconds of one query with known features, against the annotations that the trial allows."""
    gallery = galleries[0]
    entry_of = {a.row: i for i, a in enumerate(gallery.annotations)}
    chosen = np.unique(np.linspace(0, len(given.trial.queries) - 1, TIMED_QUERIES + 1).astype(int))
    seconds = []
    for n in chosen:
        row = given.trial.queries[n]
        open_to = given.trial.gallery[given.trial.allowed[n]]
        if row not in entry_of or not len(open_to):
            continue
        allowed = np.zeros(len(gallery.annotations), bool)
        allowed[[entry_of[r] for r in open_to if r in entry_of]] = True
        part = given.trial.annotations[row].body_part
        queries = [each.subject(entry_of[row]) for each in galleries]
        start = time.perf_counter()
        asked = zip(queries, galleries, strict=True)
        fuse([score_query([subject], each, allowed, part, matcher, geometry) for subject, each in asked])
        seconds.append(time.perf_counter() - start)
    return statistics.median(seconds[1:] or seconds)


def _bytes_in(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
