"""An answer as JSON."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from snowmatch.core.notes import Note
from snowmatch.core.plain import plain, six_digits
from snowmatch.core.version import __version__
from snowmatch.identify.answer import Answer, Candidate, Decision


def answer_to_json(answer: Answer) -> dict[str, Any]:
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
                "snowmatch": __version__,
            },
            "candidates": [_candidate(c) for c in answer.candidates],
            "new_individual": {"probability": six_digits(answer.new_probability)},
            "decision": _decision(answer.decision),
            "level": answer.level,
            "notes": notes_to_json(answer.notes),
        }
    )


def notes_to_json(notes: Iterable[Note]) -> list[dict[str, str]]:
    """Notes as JSON has them: each with its code and its text."""
    return [{"code": note.code, "text": note.text} for note in notes]


def _decision(decision: Decision | None) -> dict[str, Any] | None:
    if decision is None:
        return None
    return {
        "individual": decision.individual,
        "new": decision.new,
        "encounter": decision.encounter or None,
        "probability": six_digits(decision.probability),
        "level": decision.level,
    }


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
            "annotation": best.annotation or None,
            "path": best.path,
            "bbox": best.bbox,
            "encounter": best.encounter,
            "station": best.station,
            "body_part": best.body_part,
        },
    }
