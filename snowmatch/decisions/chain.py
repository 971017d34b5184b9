"""Rows of the file of decisions: the cells of a decision, and the chain of hashes that finds every change.

The hash of a row is the sha256 of the hash of the row before ("" for the first), followed by its sixteen cells in the
order of COLUMNS, with U+001F before each cell, in UTF-8. No cell may contain U+001F, so that different cells never give
the same text. All cells are texts; lists and what was shown are JSON.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from hashlib import sha256
from itertools import islice
from typing import Any

from snowmatch.core.collection import without_collection
from snowmatch.core.errors import SnowmatchError
from snowmatch.decisions.row import Decision, canonical, from_json, plain_json
from snowmatch.decisions.schema import COLUMNS
from snowmatch.decisions.uuid7 import is_id

SELECTED = ", ".join(("number", *COLUMNS, "previous", "hash"))
Row = tuple[Any, ...]  # the columns SELECTED
_MARK = "\x1f"
_made = tuple.__new__  # makes a Decision of the values of one that was checked
_BLOCK = 500  # rows that are read, checked and turned into decisions together
_CERTAINTIES = {"": None, "1": 1, "2": 2, "3": 3, "4": 4}
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")


class BrokenError(Exception):
    """The error for rows that are not as they were written. The text says which and why."""


def hash_of(previous: str, cells: Sequence[str]) -> str:
    """Return the hash of a row (64 hex digits): of its cells and of the hash of the row before."""
    return sha256(_MARK.join((previous, *cells)).encode()).hexdigest()


def check_chain(rows: Iterable[Row], number: int, head: str) -> str:
    """Check that rows follow on the row `number` with the hash `head`, and return the hash of the last one.

    rows: in the order of their numbers. number 0 and head "" stand for the beginning. No rows give `head`. Raises
    BrokenError at the first row that is changed, missing or too many.
    """
    join = _MARK.join
    for row in rows:
        number += 1
        if row[0] != number:
            raise BrokenError(f"decision {number} is missing")
        if row[-2] != head:
            raise BrokenError(f"decision {number} is changed, or the one before it")
        try:
            content = join((head, *row[1:-2])).encode()
        except (TypeError, UnicodeEncodeError):
            raise BrokenError(f"decision {number} is changed") from None
        head = sha256(content).hexdigest()
        if row[-1] != head:
            raise BrokenError(f"decision {number} is changed")
    return head


def is_whole(row: Row) -> bool:
    """Return whether one row by itself is as it was written, whatever stands before it."""
    try:
        check_chain((row,), row[0] - 1, row[-2])
    except (BrokenError, TypeError):
        return False
    return True


def to_cells(decision: Decision) -> tuple[str, ...]:
    """Return the cells of a decision, in the order of COLUMNS.

    Raises SnowmatchError if the decision cannot be stored: its id, a time or a character is not valid.
    """
    if not is_id(decision.id):
        raise SnowmatchError(f"{decision.id!r} is not the id of a decision: expected a UUID of version 7")
    for name, moment in (("decided_at", decision.decided_at), ("opened_at", decision.opened_at)):
        if not _is_time(moment) and (moment or name == "decided_at"):
            raise SnowmatchError(f"{name} is {moment!r}, expected a time in UTC such as 2026-05-04T09:03:12.345Z")
    try:
        values = json.loads(canonical(decision))
    except (TypeError, ValueError) as error:
        raise SnowmatchError(f"decision {decision.id} has a value that cannot be written: {error}") from None
    if from_json(values) != decision:
        raise SnowmatchError(f"decision {decision.id} has values of another type than it would be read with")
    values["certainty"] = values["certainty"] or ""
    cells = tuple(v if isinstance(v, str) else plain_json(v) for v in (values[name] for name in COLUMNS))
    text = "".join(cells)
    if _MARK in text or "\0" in text or any("\ud800" <= c <= "\udfff" for c in text):
        raise SnowmatchError(f"decision {decision.id} has a character that no text has: U+0000, U+001F or a surrogate")
    return cells


def read_chain(rows: Iterator[Row], number: int, head: str) -> tuple[list[Decision], str]:
    """Check that rows follow on the row `number` with the hash `head`, and return their decisions and the last hash.

    Few rows are in memory at a time, which is faster. Raises BrokenError for a row that is changed or missing, or has
    a value that this version does not know.
    """
    decisions: list[Decision] = []
    parse = _Parser()
    with without_collection():
        while block := list(islice(rows, _BLOCK)):
            head = check_chain(block, number, head)
            number += len(block)
            decisions += map(parse.decision, block)
    return decisions, head


def from_row(row: Row) -> Decision:
    """Return the decision of a row whose hash was checked. Raises BrokenError for values that are not known."""
    return _Parser().decision(row)


class _Parser:
    """Makes decisions of rows whose hashes were checked.

    Most values repeat: of rows with the same observer, kind, answer and so on, only the first is checked, and the
    others have its values, with other animals and times. 200,000 rows must not take seconds.
    """

    def __init__(self) -> None:
        self.texts, self.marks = _Texts(), _Marks()
        self.known: dict[tuple[str, ...], Decision] = {}

    def decision(self, row: Row) -> Decision:
        _, key, opened, decided, who, role, mode, kind, a, b, answer, sure, points, tags, note, shown, by, _, _ = row
        repeated = who, role, mode, kind, answer, sure, by
        first = self.known.get(repeated)
        if first is None:
            first = self.known[repeated] = self._first(row)
        _, _, who, kind, _, _, answer, role, mode, _, certainty, _, _, _, _, by = first
        texts, points, shown = self.texts, self.marks[points], _Later(shown)
        sides_and_answer = texts[a], texts[b], answer, role, mode, opened, certainty
        return _made(Decision, (key, decided, who, kind, *sides_and_answer, points, texts[tags], note, shown, by))

    def _first(self, row: Row) -> Decision:
        values = dict(zip(COLUMNS, row[1:-2], strict=True))
        lists = {name: self.texts[values[name]] for name in ("side_a", "side_b", "tags")}
        try:
            certainty = _CERTAINTIES[values["certainty"]]
            return Decision(**values | lists | {"marks": (), "shown": {}, "certainty": certainty})
        except (KeyError, SnowmatchError) as error:
            raise BrokenError(f"decision {row[0]} has values that this snowmatch does not know ({error})") from None


class _Later(Mapping[str, Any]):
    """The values of a JSON object, which is read when they are asked for: few decisions are ever looked at so closely.

    It equals the dictionary of the same values.
    """

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    def __getitem__(self, key: str) -> Any:
        return json.loads(self._text)[key]

    def __iter__(self) -> Iterator[str]:
        return iter(json.loads(self._text))

    def __len__(self) -> int:
        return len(json.loads(self._text))

    def __repr__(self) -> str:
        return repr(json.loads(self._text))


class _Texts(dict[str, tuple[str, ...]]):
    """Tuples of texts by their JSON: the same animals stand in many decisions."""

    def __missing__(self, text: str) -> tuple[str, ...]:
        self[text] = value = tuple(_read(text))
        return value


class _Marks(dict[str, tuple[tuple[float, ...], ...]]):
    """Marks by their JSON."""

    def __missing__(self, text: str) -> tuple[tuple[float, ...], ...]:
        self[text] = value = tuple(tuple(mark) for mark in _read(text))
        return value


def _read(text: str) -> list[Any]:
    try:
        values = json.loads(text)
    except ValueError:
        values = None
    if not isinstance(values, list):
        raise BrokenError(f"it has the list {text[:40]!r}, which is not JSON")
    return values


def _is_time(text: str) -> bool:
    if not _TIME.fullmatch(text):
        return False
    try:
        datetime.fromisoformat(text)
    except ValueError:
        return False
    return True
