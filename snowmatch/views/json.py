"""An answer and its notes as JSON values."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from snowmatch.core.notes import Note
from snowmatch.core.plain import plain, six_digits
from snowmatch.core.version import __version__
from snowmatch.decisions.who import is_name
from snowmatch.identify.answer import Answer, Candidate


def answer_to_json(answer: Answer) -> dict[str, Any]:
    """Return the object that `query --json` prints, schema "snowmatch.query/1". `json.dumps` accepts all its values.

    `query.photos` and `query.bbox` have one entry for each photo, in the same order. A photo without a box has the
    box null. `foreground` is what showed where the animal is: "box" and "mask" are those of a person; otherwise
    snowmatch found the box. A photo that was passed as an array has an empty path. Scores and probabilities are rounded
    to six significant digits; settings are exact. Numbers that are not finite become null.
    """
    return plain(
        {
            "schema": "snowmatch.query/1",
            "query": {
                "photos": [photo.path for photo in answer.photos],
                "body_part": answer.body_part,
                "locations": answer.locations,
                "bbox": [photo.bbox for photo in answer.photos],
                "foreground": [photo.evidence for photo in answer.photos],
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
            "new_individual": {
                "probability": six_digits(answer.new_probability),
                "expected": six_digits(answer.expected_new),
            },
            "decision": _decision(answer),
            "level": answer.level,
            "notes": notes_to_json(answer.notes),
        }
    )


def notes_to_json(notes: Iterable[Note]) -> list[dict[str, str]]:
    """Return the code and the text of each note."""
    return [{"code": note.code, "text": note.text} for note in notes]


def _decision(answer: Answer) -> dict[str, Any] | None:
    decision, decided = answer.decision, answer.decided
    if decision is None:
        return None
    nameless = decided if decided is not None and not is_name(decided.individual) else None
    return {
        "individual": None if nameless is not None else decision.individual,
        "new": decision.new,
        "encounter": decision.encounter or (nameless.best.encounter if nameless is not None else None),
        "probability": six_digits(decision.probability),
        "careful": six_digits(decision.careful),
        "level": decision.level,
    }


def _candidate(candidate: Candidate) -> dict[str, Any]:
    best = candidate.best
    return {
        "rank": candidate.rank,
        "individual": candidate.individual if is_name(candidate.individual) else None,
        "score": six_digits(candidate.score),
        "probability": six_digits(candidate.probability),
        "careful": six_digits(candidate.careful),
        "level": candidate.level,
        "inliers": candidate.inliers,
        "covered": six_digits(candidate.covered),
        "best": {
            "annotation": best.annotation or None,
            "path": best.path,
            "bbox": best.bbox,
            "foreground": candidate.evidence,
            "encounter": best.encounter,
            "station": best.station,
            "body_part": best.body_part,
        },
    }
