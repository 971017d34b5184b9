"""An answer as text for the terminal and as JSON. The pictures are in drawing.py."""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

import numpy as np

import snowmatch
from snowmatch.drawing import draw_answer, individual_name, percent, printable, why_rejected
from snowmatch.identify import Answer, Candidate

__all__ = ["aligned", "draw_answer", "format_answer", "printable", "to_json"]

MARKS = {"excellent": "🔵", "good": "🟢", "fair": "🟡", "uncertain": "🔴"}


def format_answer(answer: Answer) -> str:
    """The answer as aligned text, without a final line break: what was asked and compared, candidates (not the notes).

    Scores in brackets were made without the geometric check and cannot be compared with the others. Nothing compared
    gives a line that says so in place of the table.
    """
    lines = [*_asked(answer), ""]
    if answer.candidates:
        lines += aligned(
            ("rank", "individual", "score", "inliers", "level", "best photo", "encounter", "station"),
            [_row(c) for c in answer.candidates],
            right=("rank", "score", "inliers"),
        )
    elif answer.compared:
        lines.append("No candidates to show.")
    else:
        lines.append("Nothing to compare: the filters leave no annotation of the catalog.")
    if answer.level is not None:
        lines += ["", f"Answer: {format_decision(answer)}"]
    return "\n".join(line.rstrip() for line in lines)


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


def aligned(head: Sequence[str], rows: Sequence[Sequence[str]], right: Collection[str] = ()) -> list[str]:
    """The lines of a table, as wide as its texts take in a terminal; columns named in `right` are set to the right."""
    widths = [max(map(_width, column)) for column in zip(head, *rows, strict=True)]
    return ["  ".join(map(_pad, row, widths, (name in right for name in head))) for row in (head, *rows)]


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


def six_digits(value: float | None) -> float | None:
    """A number as JSON and tables show it; None stays None."""
    return None if value is None else float(f"{value:.6g}")


def plain(value: Any) -> Any:
    """`value` in the types that JSON has; text that is no valid Unicode (a path's undecodable bytes) is escaped."""
    if isinstance(value, Mapping):
        return {plain(str(key)): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple, np.ndarray)):
        return [plain(item) for item in value]
    if isinstance(value, str):
        return value.encode("utf-8", "backslashreplace").decode("utf-8")
    if value is None or isinstance(value, (bool, np.bool_)):
        return None if value is None else bool(value)
    if isinstance(value, (int, np.integer)):
        return int(value)
    if isinstance(value, (float, np.floating)):
        return float(value) if math.isfinite(value) else None
    return plain(str(value))


def _asked(answer: Answer) -> list[str]:
    photos = _listed([photo.path or "an image in memory" for photo in answer.photos], 3)
    if len(answer.photos) > 1:
        photos += f" ({len(answer.photos)} photos of one encounter)"
    part = "every body part" if answer.body_part == "unknown" else f"body part {answer.body_part} or unknown"
    where = f"location {_listed(answer.locations, 5)}" if answer.locations else "every location"
    without = f"without encounter {_listed(answer.excluded_encounters, 5)}" if answer.excluded_encounters else ""
    method = [str(settings.get("name", "?")) for settings in (answer.extractor, answer.matcher)]
    features = _count(sum(photo.features for photo in answer.photos), "feature")
    compared = f"{answer.compared} of {_count(answer.annotations, 'annotation')}"
    return [
        f"Query:    {photos}, {features} ({printable(' + '.join(method))})",
        f"Filters:  {'; '.join(filter(None, (printable(part), where, without)))}",
        f"Compared: {compared}, {_count(answer.individuals, 'individual')}, in {printable(answer.catalog_path)}",
    ]


def _row(candidate: Candidate) -> tuple[str, ...]:
    score = f"{candidate.score:.2f}"
    best = candidate.best
    return (
        str(candidate.rank),
        individual_name(candidate),
        score if candidate.accepted else f"({score})",
        str(candidate.inliers) if candidate.accepted else why_rejected(candidate),
        " ".join(filter(None, (_level(candidate.level), percent(candidate.probability)))),
        printable(best.path),
        printable(best.encounter) or "-",
        printable(best.station) or "-",
    )


def _level(level: str | None) -> str:
    return "" if level is None else f"{MARKS.get(level, '')} {printable(level)}".strip()


def format_decision(answer: Answer) -> str:
    """The decision with its level, and how likely a new individual is; "" where nothing is calibrated."""
    if answer.level is None:
        return ""
    new = f"a new individual {percent(answer.new_probability)}"
    known = f"{printable(answer.decided)} {percent(answer.probability)}, " if answer.decided is not None else ""
    return f"{_level(answer.level)}: {known}{new}"


def _pad(text: str, width: int, right: bool) -> str:
    blanks = " " * (width - _width(text))
    return blanks + text if right else text + blanks


def _width(text: str) -> int:
    """Terminal columns that `text` takes: two for wide characters and emoji, none for combining accents."""
    return sum(
        0 if unicodedata.category(c) in ("Mn", "Me") else 1 + (unicodedata.east_asian_width(c) in "WF") for c in text
    )


def _listed(names: Iterable[str], most: int) -> str:
    names = [printable(name) for name in names]
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more


def _count(number: int, word: str) -> str:
    return f"{number} {word}" if number == 1 else f"{number} {word}s"
