"""Measure how much memory the scores of an evaluation take, with what a calibration is learned from: drawn scores.

Nothing is matched. Each query has random scores for a given number of annotations. One step of the fit of a model is
made with all cases, which needs the most memory. `confidence.scoring.most_queries` reckons with these figures.

Example: python benchmarks/score_memory.py --sizes 600x16000x2000x1000x2,4000x8000x10x100x2
"""

from __future__ import annotations

import argparse
import json
from typing import Any

from measure import peak_memory
from speed import in_process


def main(arguments: list[str] | None = None) -> None:
    """Read the command line and measure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    sizes = "600x16000x2000x1000x2,600x12000x2000x1000x1,4000x8000x10x100x2,4000x4000x10x100x1,600x16000x500x12000x2"
    parser.add_argument("--sizes", default=sizes, help="queries x gallery x individuals x scores x photos of a group")
    for text in parser.parse_args(arguments).sizes.split(","):
        print(json.dumps(in_process(measured, *map(int, text.split("x")))), flush=True)


def measured(queries: int, gallery: int, individuals: int, scores: int, photos: int) -> dict[str, Any]:
    """Return the bytes of each query in a trial of this size, and what `most_queries` reckons."""
    import numpy as np

    from snowmatch.confidence import fit
    from snowmatch.confidence.cases import make_cases
    from snowmatch.confidence.cells import Cells, held_row
    from snowmatch.confidence.score_table import make_table
    from snowmatch.confidence.scoring import query_bytes
    from snowmatch.confidence.trial import make_trial
    from snowmatch.core.types import Annotation

    def one_step(loss: Any, weights: Any, **_: Any) -> Any:
        loss(weights)
        return argparse.Namespace(x=weights)

    annotations = [
        Annotation(n, f"{n}.png", f"a{n // photos % individuals}", "left_flank", encounter=f"e{n // photos}")
        for n in range(gallery)
    ]
    before = peak_memory() or 0
    trial = make_trial(annotations, "cross-encounter", sample=queries)
    rng, count, bare = np.random.default_rng(0), len(trial.queries), np.zeros(gallery, bool)
    rows = []
    for query in range(count):
        drawn = np.zeros(gallery)
        drawn[rng.integers(gallery, size=scores)] = rng.random(scores) ** 4
        rows.append(held_row(drawn, trial.open_to.row(query), bare))
    of_photos = rng.random((count, individuals), np.float32)
    of_photos[of_photos > 0.05] = 0
    of_groups = of_photos[np.unique(trial.groups, return_index=True)[1]]
    cells = Cells(trial.open_to, np.zeros(count, bool), bare, tuple(rows))
    table = make_table(trial, cells, of_photos, of_photos, of_groups, of_groups)
    fit.minimize = one_step
    fit.fit(make_cases(table))
    return {
        "queries": count,
        "gallery": gallery,
        "individuals": individuals,
        "scores": scores,
        "photos": photos,
        "bytes_of_a_query": round(((peak_memory() or 0) - before) / count),
        "reckoned": round(query_bytes(min(scores, gallery), gallery, individuals)),
    }


if __name__ == "__main__":
    main()
