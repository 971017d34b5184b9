"""The score of earthtoolsmaker's snowleopard-reid: the mean LightGlue score of all mutual matches of two photos.

No geometric check; 3 good matches beat 500 fair ones. Its levels are the same three cuts for every extractor (see
levels.py). Here on XFeat with its LightGlue, the one such network whose weights are at hand; every pair is compared.
"""

from __future__ import annotations

import importlib.metadata
import time
from typing import Any

import numpy as np

from methods import Given, Outcome
from snowmatch.api import open_catalog
from snowmatch.confidence.score_table import make_table

DEFAULTS = {"extractor": "xfeat"}
PACKAGES = ("kornia", "torch", "numpy")


def run(given: Given, settings: dict[str, Any]) -> Outcome:
    """Score every allowed pair of photos."""
    catalog = open_catalog(given.folder)
    catalog.index(settings["extractor"], workers=given.threads)
    # certainty 0: all mutual matches, as the authors' code has it
    (plugin,), matcher, _ = catalog.method(settings["extractor"], "lightglue", {"certainty": "0"})
    gallery = catalog.gallery(plugin)
    entry_of = {a.row: entry for entry, a in enumerate(gallery.annotations)}
    described = gallery.reader.described

    def strongest(row: int) -> Any:
        subject = gallery.subject(entry_of[row])
        order = np.argsort(-subject.features.scores, kind="stable")[: matcher.keypoints]
        return subject.take(np.sort(order))

    scores = np.full(given.trial.allowed.shape, -np.inf, np.float32)
    seconds = []
    for q, row in enumerate(given.trial.queries):
        columns = [g for g in np.flatnonzero(given.trial.allowed[q]) if given.trial.gallery[g] in entry_of]
        if row not in entry_of or not columns:
            continue
        start = time.perf_counter()
        pairs = matcher.pairs(strongest(row), (strongest(given.trial.gallery[g]) for g in columns), described)
        scores[q, columns] = [worth.mean() if len(worth) else 0.0 for _, _, worth in pairs]
        seconds.append(time.perf_counter() - start)
    return Outcome(
        tables=(make_table(given.trial, scores),),
        seconds={"query": float(np.median(seconds)) if seconds else 0.0},
        versions={name: importlib.metadata.version(name) for name in PACKAGES},
    )
