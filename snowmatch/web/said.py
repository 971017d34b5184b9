"""Reading of what a page says about a pair of sightings."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from snowmatch.core.errors import SnowmatchError

MARKS = 50  # pairs of points of one answer, at most
LONGEST = 2000  # characters of a note
ANSWERS = ("same", "different", "cannot_tell")
Keys = tuple[str, str]  # of the left and the right sighting
Sides = tuple[tuple[str, ...], tuple[str, ...]]  # identifiers of the annotations of both


def read_pair(value: object) -> Keys:
    """Return the keys of a pair of sightings. Raises SnowmatchError if it is none."""
    if not isinstance(value, list) or len(value) != 2 or not all(isinstance(v, str) and v for v in value):
        raise SnowmatchError("the request names no pair of sightings: load the page again", "load-again")
    return value[0], value[1]


def read_answer(values: Mapping[str, Any]) -> tuple[str, int | None, str]:
    """Return answer, certainty and note. Raises SnowmatchError for anything else."""
    said, certainty, note = values.get("answer"), values.get("certainty"), values.get("note") or ""
    if said not in ANSWERS:
        raise SnowmatchError(f"{said!r} is not an answer: expected one of {', '.join(ANSWERS)}")
    if certainty is not None and (isinstance(certainty, bool) or certainty not in (1, 2, 3, 4)):
        raise SnowmatchError(f"the certainty is {certainty!r}, expected 1 (guessed) to 4 (certain)")
    if not isinstance(note, str) or len(note) > LONGEST:
        raise SnowmatchError(f"the note is not a text of at most {LONGEST} characters: shorten it")
    return str(said), certainty, note.strip()


def read_moment(value: object) -> str:
    """Return the moment in which a question was shown; "" if it is none, or not of the last day."""
    try:
        moment = datetime.fromisoformat(str(value))
        if not timedelta(days=-1) < moment - datetime.now(UTC) < timedelta(minutes=1):
            return ""
    except (ValueError, TypeError, OverflowError):
        return ""
    return str(value)


def read_files(value: object) -> frozenset[str] | None:
    """Return the stamps of the files that a page showed; None if it tells none. Raises SnowmatchError for anything
    else.
    """
    if value is None:
        return None
    if not isinstance(value, list) or not all(isinstance(each, str) for each in value):
        raise SnowmatchError("the files of the photos are no list of texts: load the page again", "load-again")
    return frozenset(value)


def read_marks(
    sides: Sides, frames: object, marks: object
) -> tuple[Sides, tuple[tuple[float, float, float, float], ...]]:
    """Return both sides, the marked photos first, and the marks (photo px). Raises SnowmatchError for anything else.

    frames: the annotations that the marks are on, of either side.
    """
    if not marks:
        return sides, ()
    wrong = SnowmatchError(f"the marks are wrong: expected at most {MARKS} pairs of points on a photo of either side")
    if not isinstance(marks, list) or len(marks) > MARKS or not isinstance(frames, list) or len(frames) != 2:
        raise wrong
    if any(frame not in side for frame, side in zip(frames, sides, strict=True)):
        raise wrong
    found = []
    for mark in marks:
        if not isinstance(mark, list) or len(mark) != 4:
            raise wrong
        if any(isinstance(x, bool) or not isinstance(x, int | float) or not -1e5 < x < 1e5 for x in mark):
            raise wrong
        a, b, c, d = (round(float(x), 1) for x in mark)
        found.append((a, b, c, d))
    one, other = ((frame, *(x for x in side if x != frame)) for frame, side in zip(frames, sides, strict=True))
    return (one, other), tuple(found)
