"""Matchers of pairs: accuracy against the length of LNBNN's shortlist, and seconds a pair beside kornia in a loop.

The catalog is indexed where it is not yet. Every pair is matched once; what a shorter list would have said comes from
the same matches, and its seconds are those of its pairs. `lnbnn` is the matcher without pairs, for comparison.

Example: python benchmarks/pairs.py /tmp/work/snow_leopard-boxes --method hesaff:mutual --method xfeat:lightglue
"""

from __future__ import annotations

import argparse
import statistics
import time
from pathlib import Path
from typing import Any

import numpy as np
from measure import circumstances, write_result

from snowmatch.api import open_catalog
from snowmatch.confidence.trial import Trial, make_trial
from snowmatch.core.plugins import make_plugin
from snowmatch.core.types import Subject
from snowmatch.matching.gallery import Gallery
from snowmatch.matching.query import match_pairs, match_photos, score_matches
from snowmatch.matching.scores import Scores

LENGTHS = (1, 2, 3, 5, 8, 12, 20, 30, 50, 80, 0)  # 0: every pair, without LNBNN
PAIRS = 30  # timed, as many as the shortlist has
ROUNDS = 3


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("catalog", type=Path)
    parser.add_argument("--protocol", default="cross-station")
    parser.add_argument("--method", action="append", required=True, help="EXTRACTOR:MATCHER[:key=value...]")
    parser.add_argument("--every", type=int, default=1, help="ask only every N-th query")
    given = parser.parse_args()
    words = [f"python benchmarks/pairs.py {given.catalog.name} --protocol {given.protocol} --every {given.every}"]
    result = circumstances(" ".join(words + [f"--method {method}" for method in given.method]))
    result["catalog"], result["protocol"] = given.catalog.name, given.protocol
    result["methods"] = {
        method: measured(given.catalog, given.protocol, method, given.every) for method in given.method
    }
    write_result("pairs", result)


def measured(folder: Path, protocol: str, method: str, every: int) -> dict[str, Any]:
    """The curve of one extractor and matcher and, of LightGlue, the seconds a pair beside kornia's own class."""
    extractor, matcher_name, *pairs = method.split(":")
    options = dict(pair.split("=") for pair in pairs)
    catalog = open_catalog(folder)
    own = {k: v for k, v in options.items() if k in make_plugin("extractors", extractor).__dataclass_fields__}
    catalog.index(extractor, own)
    (plugin,), matcher, geometry = catalog.method(extractor, matcher_name, options)
    gallery = catalog.gallery(plugin)
    trial = make_trial(catalog.data.annotations, protocol)
    entry_of = {a.row: i for i, a in enumerate(gallery.annotations)}
    entries = np.array([entry_of[row] for row in trial.gallery])
    asked = np.flatnonzero((trial.own() & trial.allowed).any(axis=1))[::every]
    lengths = LENGTHS if matcher.PAIRWISE else (0,)
    right = {length: np.zeros(2, int) for length in lengths}
    seconds = dict.fromkeys(lengths, 0.0)
    votes = 0.0
    for n in asked:
        subject = gallery.subject(entry_of[trial.queries[n]])
        allowed = np.zeros(len(gallery.annotations), bool)
        allowed[entries[trial.allowed[n]]] = True
        part = trial.annotations[trial.queries[n]].body_part
        memory: dict = {}
        start = time.perf_counter()
        every = match_photos([subject], gallery, allowed, part, matcher_of(matcher, 0), memory)
        per_pair = (time.perf_counter() - start) / max(1, allowed.sum())
        if not matcher.PAIRWISE:
            every_scores = score_matches([subject], every, gallery, matcher, geometry)
            right[0] += hits(every_scores, trial, n, gallery, entries)
            seconds[0] += time.perf_counter() - start
            continue
        start = time.perf_counter()
        voted = match_photos([subject], gallery, allowed, part, matcher_of(matcher, 1))
        votes += time.perf_counter() - start
        for length in lengths:
            start = time.perf_counter()
            shortened = matcher_of(matcher, length)
            found = voted if length else every
            scores = score_matches([subject], found, gallery, shortened, geometry, memory)
            looked = int(scores.checked.sum()) if length else int(allowed.sum())
            seconds[length] += time.perf_counter() - start + looked * per_pair
            right[length] += hits(scores, trial, n, gallery, entries)
    count = len(asked)
    curve = [
        {
            "candidates": length,
            "photo_top_1": round(right[length][0] / count, 4),
            "individual_top_1": round(right[length][1] / count, 4),
            "query_seconds": round((seconds[length] + (votes if length else 0)) / count, 4),
        }
        for length in lengths
    ]
    beside = {"pairs": beside_kornia(gallery, matcher)} if matcher_name == "lightglue" else {}
    return {"queries": count, "curve": curve, **beside}


def matcher_of(matcher: Any, candidates: int) -> Any:
    """The matcher with a shortlist of that length; one that has none as it is."""
    return type(matcher)(**{**vars(matcher), "candidates": candidates}) if matcher.PAIRWISE else matcher


def hits(scores: Scores, trial: Trial, n: int, gallery: Gallery, entries: np.ndarray) -> np.ndarray:
    """Whether the best photo and the best individual are the right animal's."""
    columns = np.flatnonzero(trial.allowed[n])
    best = columns[np.argmax(scores.ranking[entries[columns]])]
    candidates = np.unique(gallery.individual_numbers[entries[columns]])
    animal = gallery.individuals[candidates[np.argmax(scores.individual_ranking[candidates])]][0]
    return np.array([trial.own()[n, best], animal == trial.annotations[trial.queries[n]].individual], int)


def beside_kornia(gallery: Gallery, matcher: Any) -> dict[str, Any]:
    """Seconds a pair of re-ranking PAIRS candidates, and of the same pairs in a loop over kornia's class."""
    import torch

    subjects = [gallery.subject(i) for i in np.linspace(0, len(gallery.annotations) - 1, PAIRS + 1).astype(int)]
    query, others = subjects[0], subjects[1:]
    entries = np.linspace(0, len(gallery.annotations) - 1, PAIRS + 1).astype(int)[1:]
    _, network = matcher._network(gallery.reader.described)

    def plain() -> None:
        with torch.inference_mode():
            for other in others:
                network({f"image{i}": tensors(s, matcher.keypoints, network) for i, s in enumerate((query, other))})

    ours, theirs = [], []
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    for _ in range(ROUNDS + 1):
        for seconds, work in ((ours, lambda: match_pairs(query, gallery, entries, matcher)), (theirs, plain)):
            start = time.perf_counter()
            work()
            seconds.append((time.perf_counter() - start) / PAIRS)
    torch.set_num_threads(threads)
    mine, kornias = statistics.median(ours[1:]), statistics.median(theirs[1:])
    return {
        "keypoints": matcher.keypoints,
        "seconds": round(mine, 4),
        "kornia_seconds": round(kornias, 4),
        "ratio": round(mine / kornias, 3),
    }


def tensors(subject: Subject, keypoints: int, network: Any) -> dict[str, Any]:
    """One photo as somebody who calls kornia would hand it over."""
    import torch

    features = subject.features.take(np.arange(min(keypoints, len(subject))))
    x, y, width, height = subject.box
    sides = {
        "keypoints": torch.from_numpy(features.keypoints - np.float32([x, y]))[None].clamp(min=0),
        "descriptors": torch.nn.functional.normalize(torch.from_numpy(features.descriptors.astype(np.float32)), dim=1)[
            None
        ],
        "image_size": torch.tensor([[width, height]]),
    }
    if network.conf.add_scale_ori:
        sides |= {"scales": torch.from_numpy(features.scales)[None], "oris": torch.from_numpy(features.oris)[None]}
    return sides


if __name__ == "__main__":
    main()
