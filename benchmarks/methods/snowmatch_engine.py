"""This project's own engine: any extractor and matcher, any setting. `options` are written key=value;key=value."""

from __future__ import annotations

import importlib.metadata
import shutil
import statistics
import time
from pathlib import Path
from typing import Any

import numpy as np

from methods import Given, Outcome
from snowmatch.api import DEFAULT_EXTRACTOR, DEFAULT_MATCHER, open_catalog
from snowmatch.evaluation import score_trial
from snowmatch.identify import score_query
from snowmatch.types import HOME

DEFAULTS = {"extractor": DEFAULT_EXTRACTOR, "matcher": DEFAULT_MATCHER, "options": ""}
TIMED_QUERIES = 40  # the median of these, evenly spread over the trial, after one that is not counted
PACKAGES = ("faiss-cpu", "h5py", "numpy", "opencv-contrib-python-headless", "pillow")


def run(given: Given, settings: dict[str, Any]) -> Outcome:
    """Index the catalog anew, time single queries, then ask about every query of the trial."""
    options = dict(pair.partition("=")[::2] for pair in settings["options"].split(";") if pair)
    shutil.rmtree(given.folder / HOME, ignore_errors=True)
    catalog = open_catalog(given.folder)
    plugin, matcher, geometry = catalog.method(settings["extractor"], settings["matcher"], options)
    own = {k: v for k, v in options.items() if k in plugin.__dataclass_fields__}
    start = time.perf_counter()
    report = catalog.index(settings["extractor"], own, workers=given.threads)
    index_seconds = time.perf_counter() - start - report.seconds
    gallery = catalog.gallery(plugin)
    query_seconds = _time_queries(given, gallery, matcher, geometry)
    table = score_trial(given.trial, gallery, matcher, geometry)
    return Outcome(
        tables=(table,),
        seconds={
            "extract": report.seconds / max(1, report.done),
            "index": index_seconds,
            "query": query_seconds,
        },
        versions={name: importlib.metadata.version(name) for name in PACKAGES},
        numbers={
            "features_per_annotation": report.features / max(1, report.done),
            "bytes_on_disk_per_annotation": _bytes_in(given.folder / HOME) / max(1, report.done),
        },
        notes=tuple(f"could not be read: {path} ({reason})" for path, reason in report.failed),
    )


def _time_queries(given: Given, gallery: Any, matcher: Any, geometry: Any) -> float:
    """Median seconds of one query whose features are known, against what its trial allows."""
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
        features = gallery.reader.read(gallery.keys[entry_of[row]])
        start = time.perf_counter()
        weights = [gallery.weights_of(entry_of[row], features)]
        score_query([features], gallery, allowed, given.trial.annotations[row].body_part, matcher, geometry, weights)
        seconds.append(time.perf_counter() - start)
    return statistics.median(seconds[1:] or seconds)


def _bytes_in(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
