"""Decisions of two computers in one file; decisions as lines of JSON; and what is still whole in a damaged file."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from snowmatch.core.errors import SnowmatchError
from snowmatch.core.files import read_file, replace_file, unreadable
from snowmatch.core.notes import Note
from snowmatch.core.text import counted, some
from snowmatch.decisions.chain import SELECTED, BrokenError, Row, from_row, is_whole, to_cells
from snowmatch.decisions.file import Decisions, add_rows, read_decisions, read_since
from snowmatch.decisions.opening import is_there, reading, writing
from snowmatch.decisions.row import Decision, canonical, from_json


@dataclass(frozen=True)
class Merged:
    """What a merge or an import did. added: the new decisions, by id. known: the ids of those that are not new."""

    added: tuple[Decision, ...]
    known: tuple[str, ...]


@dataclass(frozen=True)
class Exported:
    """What an export wrote. notes: says what of a damaged file could not be exported."""

    decisions: int
    notes: tuple[Note, ...] = ()


def merge_file(path: Path, other: Path) -> Merged:
    """Add the decisions of another file whose ids are not in the file at `path`, all or none. `other` stays as it is.

    Merging in either order gives the same decisions in the same order of ids. Raises SnowmatchError if both files have
    a different decision under one id, if `other` does not exist, and as `read_decisions` and `append` do.
    """
    if not is_there(other):
        raise SnowmatchError(f"{other} does not exist: expected another file of decisions")
    return add_missing(path, read_decisions(other).rows, str(other))


def import_lines(path: Path, source: Path) -> Merged:
    """Add decisions from a file with one decision as JSON a line, as `export_lines` writes them, all or none.

    Empty lines are skipped. The rules are those of `merge_file`. Raises SnowmatchError that names the first bad line.
    """
    try:
        text = read_file(source).decode("utf-8-sig")
    except FileNotFoundError:
        raise SnowmatchError(f"{source} does not exist: expected a file of exported decisions") from None
    except OSError as error:
        raise unreadable(source, error) from error
    except UnicodeDecodeError as error:
        raise SnowmatchError(f"{source} is not text in UTF-8 ({error}); expected one decision as JSON a line") from None
    found: dict[str, Decision] = {}
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        try:
            decision = from_json(json.loads(line))
            to_cells(decision)
        except (SnowmatchError, ValueError, RecursionError) as error:
            why = str(error) or type(error).__name__
            raise SnowmatchError(f"{source}, line {number}: {why}; nothing was imported: correct the line") from None
        if found.setdefault(decision.id, decision) != decision:
            raise SnowmatchError(
                f"{source}, line {number}: the id {decision.id} has another decision in an earlier line; nothing was "
                "imported: correct the line"
            )
    return add_missing(path, tuple(found.values()), str(source))


def export_lines(path: Path, out: Path) -> Exported:
    """Write all decisions of a file to `out`, one as JSON a line, in the order of their ids.

    Of a damaged file, the rows that are still whole are written, and a note says which are not. Raises SnowmatchError
    if the file does not exist, if `out` does, if either cannot be used, or if no row of a damaged file is whole.
    """
    try:
        return _export(path, out)
    except SnowmatchError as error:
        if error.code != "decisions-damaged":
            raise
        why = f"{path} is damaged: {error.data['why']}"
        raise SnowmatchError(f"{why}; none of its decisions can be read: put back a copy of it") from error


def _export(path: Path, out: Path) -> Exported:
    if not is_there(path):
        raise SnowmatchError(f"{path} does not exist: there are no decisions to export")
    if out.exists() or out.is_symlink():
        raise SnowmatchError(f"{out} exists, and an export replaces nothing: choose another name")
    notes: tuple[Note, ...] = ()
    try:
        rows: Sequence[Decision] = read_decisions(path).rows
    except SnowmatchError as error:
        if error.code != "decisions-damaged":
            raise
        rows, notes = read_whole(path)
        if not rows:
            raise
        text = f"{path} is damaged: {error.data['why']}; what is still whole goes to {out}: put back a copy of "
        text += f"{path.name}, or move it away and import {out} into a new file"
        notes = (Note("decisions-rescued", text, {**error.data, "out": str(out)}), *notes)
    content = "".join(canonical(decision) + "\n" for decision in rows).encode()
    replace_file(out, lambda file: file.write(content))
    return Exported(len(rows), notes)


def read_whole(path: Path) -> tuple[tuple[Decision, ...], tuple[Note, ...]]:
    """Return the decisions of a damaged file that are as they were written, in the order of their ids, and notes.

    A decision is whole if its hash agrees with its cells. Whether all decisions before it are there cannot be known.
    """
    rows: dict[int, Row] = {}
    try:
        with reading(path, unchecked=True) as connection:
            if not _collect(connection, "ASC", rows):  # from both ends, up to the damage
                _collect(connection, "DESC", rows)
    except SnowmatchError:
        if not rows:
            raise
    whole: dict[str, Decision] = {}
    lost = []
    for number in sorted(rows):
        decision = _whole(rows[number])
        if decision is None:
            lost.append(number)
        else:
            whole.setdefault(decision.id, decision)
    gaps = sorted(set(range(1, max(rows, default=0) + 1)) - set(rows))
    notes = []
    for code, numbers, what in (("changed", lost, "changed"), ("missing", gaps, "missing or unreadable")):
        if numbers:
            text = f"{counted(len(numbers), 'decision')} {what}, therefore left out: number {some(numbers)}"
            notes.append(Note(f"decisions-{code}", text, {"numbers": numbers}))
    return tuple(whole[key] for key in sorted(whole)), tuple(notes)


def _whole(row: Row) -> Decision | None:
    try:
        if not is_whole(row):
            return None
        decision = from_row(row)
        to_cells(decision)
        return decision
    except (BrokenError, SnowmatchError):
        return None


def _collect(connection: sqlite3.Connection, direction: str, rows: dict[int, Row]) -> bool:
    """Read rows up to the first that cannot be read. Returns whether all were read."""
    try:
        for row in connection.execute(f"SELECT {SELECTED} FROM decisions ORDER BY number {direction}"):
            rows[row[0]] = row
    except sqlite3.DatabaseError:
        return False
    return True


def add_missing(path: Path, decisions: Sequence[Decision], source: str) -> Merged:
    """Add the decisions whose ids are not in the file at `path`, all or none. source: their origin, for an error.

    The rules are those of `merge_file`. No decisions make no file.
    """
    ours = read_decisions(path)
    added: tuple[Decision, ...] = _missing(ours, decisions, source, path)
    if added:
        with writing(path) as connection:
            ours, _ = read_since(path, ours)  # what another process added meanwhile
            added = _missing(ours, decisions, source, path)
            add_rows(connection, added)
    new = {decision.id for decision in added}
    return Merged(added, tuple(decision.id for decision in decisions if decision.id not in new))


def _missing(ours: Decisions, decisions: Sequence[Decision], source: str, path: Path) -> tuple[Decision, ...]:
    known = {decision.id: decision for decision in ours.rows}
    if wrong := [d.id for d in decisions if d.id in known and canonical(known[d.id]) != canonical(d)]:
        raise SnowmatchError(
            f"{source} and {path} have different decisions under {counted(len(wrong), 'id')} ({some(wrong)}); nothing "
            "was added: one of the two was changed by another program; put back a copy of it",
            "decisions-conflict",
            ids=wrong,
        )
    return tuple(sorted((d for d in decisions if d.id not in known), key=lambda decision: decision.id))
