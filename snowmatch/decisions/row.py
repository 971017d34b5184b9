"""One decision: what an observer, or the machine, answered about two sightings or did to a name."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from math import isfinite
from typing import Any, NamedTuple

from snowmatch.core.errors import SnowmatchError
from snowmatch.core.text import choices, listed

ROLES = ("observer", "adjudicator", "machine", "import")
MODES = ("open", "blind", "training")
KINDS = ("pair", "name", "rename", "merge", "split", "quality", "species", "sex", "body_part", "box", "note", "undo")
SAME, DIFFERENT, CANNOT_TELL = "same", "different", "cannot_tell"
ANSWERS = (SAME, DIFFERENT, CANNOT_TELL)
# Tags: a question that was asked before, to measure the observer; a decision of the machine that a person checks, and
# that person's answer
REPEAT, SAMPLE = "repeat", "sample"
NOTHING: Mapping[str, Any] = {}


class _Values(NamedTuple):
    """The values of a decision. See Decision."""

    id: str
    decided_at: str
    observer: str
    kind: str
    side_a: tuple[str, ...] = ()
    side_b: tuple[str, ...] = ()
    answer: str = ""
    role: str = "observer"
    mode: str = "open"
    opened_at: str = ""
    certainty: int | None = None
    marks: tuple[tuple[float, float, float, float], ...] = ()
    tags: tuple[str, ...] = ()
    note: str = ""
    shown: Mapping[str, Any] = NOTHING
    program: str = ""


class Decision(_Values):  # not a dataclass: 200,000 of them must be made in a moment
    """One row of the file of decisions. An empty text means "not given".

    id: a UUID of version 7; the order of the identifiers is the order of the decisions.
    opened_at, decided_at: when the question was shown and when it was answered, UTC, ISO 8601 with milliseconds.
    kind, side_a, side_b (identifiers of annotations), answer:
      pair     two sightings; the answer is one of ANSWERS
      name     side_a gets the name `answer`; an empty answer takes its name away
      rename   the individual that has the name side_b[0] has the name `answer` from now on; side_a are its annotations
      merge    the individuals of side_a and side_b are one; the answer is its name ("" if both have none); if another
               individual has this name, it keeps one of its own
      split    side_a is one animal with the name `answer` ("": none), and side_b is another
      quality, sex, note   the answer is the value for the annotations of side_a
      body_part, species   the annotations of side_a show this; an empty answer: what the table says
      box      the box `x,y,w,h` of side_a (px of the upright photo); an empty answer: as in the table, or as found
      undo     the answer is the id of the decision that is taken back
    certainty: 1 (guessed) to 4 (certain); None if not asked.
    marks: pairs of points that agree, each (x0, y0, x1, y1) in pixels of the first photo of either side.
    shown: what the observer saw, such as {"probability": 0.9, "rank": 1, "lines": false, "reason": "..."}.
    program: the version of snowmatch.
    """

    __slots__ = ()

    def __new__(cls, *values: Any, **named: Any) -> Decision:
        decision = super().__new__(cls, *values, **named)
        decision._check()
        return decision

    def __hash__(self) -> int:  # what was shown has none
        return hash(self[: FIELDS.index("shown")])

    def _check(self) -> None:
        for name, value, known in (("role", self.role, ROLES), ("mode", self.mode, MODES), ("kind", self.kind, KINDS)):
            if value not in known:
                raise SnowmatchError(f"{value!r} is not a {name} of a decision; {choices(value, known)}")
        if self.kind == "pair" and self.answer not in ANSWERS:
            raise SnowmatchError(
                f"{self.answer!r} is not an answer about two sightings; {choices(self.answer, ANSWERS)}"
            )
        if self.certainty is not None and self.certainty not in (1, 2, 3, 4):
            raise SnowmatchError(f"certainty {self.certainty!r}, expected 1 (guessed) to 4 (certain)")
        if not self.observer.strip():
            raise SnowmatchError("no observer: expected the name of the person who decides")
        missing = {"pair": not (self.side_a and self.side_b), "merge": not (self.side_a and self.side_b)}
        missing |= {"name": not self.side_a, "split": not (self.side_a and self.side_b), "undo": not self.answer}
        missing |= {"rename": not (self.side_b and self.answer)}
        if missing.get(self.kind):
            raise SnowmatchError(
                f"a decision of the kind {self.kind} without {'an answer' if self.kind == 'undo' else 'its sides'}"
            )


def to_json(decision: Decision) -> dict[str, Any]:
    """Return a decision as plain values, in the order of its fields."""
    values = {name: getattr(decision, name) for name in FIELDS}
    return {k: list(v) if isinstance(v, tuple) else v for k, v in values.items()} | {
        "marks": [[float(x) + 0.0 for x in mark] for mark in decision.marks],  # 1 is 1.0, and -0.0 is 0.0
        "shown": dict(decision.shown),
    }


def from_json(values: Mapping[str, Any]) -> Decision:
    """Return the decision that `to_json` described. Raises SnowmatchError for anything else."""
    if not isinstance(values, Mapping):
        raise SnowmatchError(f"{values!r} is not a decision: expected an object with {', '.join(FIELDS)}")
    if unknown := sorted(set(values) - set(FIELDS)):
        raise SnowmatchError(f"unknown values of a decision: {listed(unknown, 5)}; expected {', '.join(FIELDS)}")
    try:
        given = dict(values)
        for name in given.keys() - _NOT_TEXT:
            if not isinstance(given[name], str):
                raise TypeError(f"{name} is {given[name]!r}, expected a text")
        for name in ("side_a", "side_b", "tags"):
            given[name] = _texts(given.get(name, ()))
        given["marks"] = tuple(_mark(mark) for mark in given.get("marks", ()))
        if isinstance(given.get("certainty"), bool | float):
            raise TypeError(f"certainty is {given['certainty']!r}, expected a whole number")
        if not isinstance(given.get("shown", {}), Mapping):
            raise TypeError(f"shown is {given['shown']!r}, expected an object")
        return Decision(**given)
    except (TypeError, ValueError, OverflowError) as error:
        raise SnowmatchError(f"a decision with a value of the wrong type: {error}") from error


def canonical(decision: Decision) -> str:
    """Return a decision as one line of JSON: the same text for equal decisions on every machine.

    Raises ValueError or TypeError if it has a value that JSON has not.
    """
    return plain_json(to_json(decision))


def plain_json(values: Any) -> str:
    """Return values as JSON without blanks, with sorted keys. Raises as `canonical` does."""
    return json.dumps(values, ensure_ascii=False, sort_keys=True, separators=(",", ":"), allow_nan=False)


def timestamp(moment: datetime | None = None) -> str:
    """Return a moment (default: now) as decisions store it, such as 2026-05-04T09:03:12.345Z."""
    moment = datetime.now(UTC) if moment is None else moment.astimezone(UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _texts(values: Sequence[Any]) -> tuple[str, ...]:
    if isinstance(values, str) or not all(isinstance(v, str) for v in values):
        raise TypeError(f"expected a list of texts, got {values!r}")
    return tuple(values)


def _mark(values: Sequence[Any]) -> tuple[float, float, float, float]:
    a, b, c, d = (float(v) + 0.0 for v in values)
    if (
        isinstance(values, str)
        or any(isinstance(v, str | bool) for v in values)
        or not all(map(isfinite, (a, b, c, d)))
    ):
        raise TypeError(f"the mark is {values!r}, expected four numbers")
    return a, b, c, d


FIELDS = Decision._fields
_NOT_TEXT = {"side_a", "side_b", "tags", "marks", "certainty", "shown"}
