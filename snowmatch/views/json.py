"""An answer as JSON."""

from __future__ import annotations

from typing import Any

import snowmatch
from snowmatch.core.text import plain, six_digits
from snowmatch.identify.answer import Answer, Candidate


def to_json(answer: Answer) -> dict[str, Any]:
    """The answer as the object `query --json` prints, schema "snowmatch.query/1": plain values, ready for `json.dumps`.

    `query.photos` and `query.bbox` run in step: one entry per photo, also for a single one; a photo without a box has
    null, one given as an array has an empty path. Scores and probabilities are rounded to six digits, settings are
    exact; what is not finite becomes null.
    """
    return plain(
        {
            "schema": "snowmatch.query/1",
            "query": {
                "photos": [photo.path for photo in answer.photos],
                "body_part": answer.body_part,
                "locations": answer.locations,
                "bbox": [photo.bbox for photo in answer.photos],
                "excluded_encounters": answer.excluded_encounters,
            },
            "catalog": {
                "path": answer.catalog_path,
                "annotations": answer.annotations,
                "compared": answer.compared,
                "individuals": answer.individuals,
            },
            "method": {
                "extractor": answer.extractor,
                "matcher": answer.matcher,
                "calibration": answer.calibration,
                "snowmatch": snowmatch.__version__,
            },
            "candidates": [_candidate(c) for c in answer.candidates],
            "new_individual": {"probability": six_digits(answer.new_probability)},
            "decision": answer.decision,
            "level": answer.level,
            "notes": answer.notes,
        }
    )


def _candidate(candidate: Candidate) -> dict[str, Any]:
    best = candidate.best
    return {
        "rank": candidate.rank,
        "individual": candidate.individual,
        "score": six_digits(candidate.score),
        "probability": six_digits(candidate.probability),
        "level": candidate.level,
        "inliers": candidate.inliers,
        "best": {
            "path": best.path,
            "encounter": best.encounter,
            "station": best.station,
            "body_part": best.body_part,
        },
    }
