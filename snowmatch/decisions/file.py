"""The file of decisions, `decisions.sqlite` in the catalog's folder: what nobody can make again.

Rows are only added. Everything that is known about who is who is computed from them. The order of decisions is the
order of their ids.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise
from operator import attrgetter
from pathlib import Path

from snowmatch.core.notes import Note
from snowmatch.core.text import counted
from snowmatch.core.version import __version__
from snowmatch.decisions.chain import SELECTED, BrokenError, Row, check_chain, hash_of, read_chain, to_cells
from snowmatch.decisions.opening import damaged, is_there, reading, writing
from snowmatch.decisions.row import Decision, timestamp
from snowmatch.decisions.schema import COLUMNS
from snowmatch.decisions.uuid7 import id_time, is_id, next_id

NAME = "decisions.sqlite"
# Clocks of two computers differ a little, and a decision may wait for another one. More than this is told (seconds).
TOLERANCE = 60
_INSERT = f"INSERT INTO decisions VALUES ({', '.join('?' * (len(COLUMNS) + 3))})"


@dataclass(frozen=True)
class Decisions:
    """All decisions of a file.

    rows: in the order of their ids. head: the hash of the row that was added last; "" without rows.
    """

    rows: tuple[Decision, ...] = ()
    head: str = ""
    notes: tuple[Note, ...] = ()


@dataclass(frozen=True)
class Appended:
    """Decisions as they were stored, in the order in which they were given, and what is to be said about it."""

    rows: tuple[Decision, ...]
    notes: tuple[Note, ...] = ()


def decisions_path(folder: Path) -> Path:
    """Return the path of the file of decisions of the catalog in `folder`. It is not in `.snowmatch`."""
    return Path(folder) / NAME


def absent_notes(path: Path | None) -> tuple[Note, ...]:
    """Return a note if a file of decisions that was given does not exist, such as one whose name was mistyped.

    path: None for the catalog's own, which is not there before the first decision. Raises SnowmatchError as `is_there`.
    """
    if path is None or is_there(path):
        return ()
    return (Note("no-decisions-file", f"{path} does not exist: no decision counts", {"path": str(path)}),)


def read_decisions(path: Path) -> Decisions:
    """Read all decisions of a file and check the chain of hashes. A missing file gives no decisions.

    Nothing is written. Raises SnowmatchError if the file is foreign, damaged, of a newer version, or cannot be read.
    """
    return read_since(path, Decisions())[0]


def read_since(path: Path, known: Decisions) -> tuple[Decisions, tuple[Decision, ...]]:
    """Read the rows that were added since `known` was read. Returns all decisions, and the added ones.

    The added decisions are in the order in which they were added, which after a merge is not the order of their ids. If
    there are none, the first value is `known` itself. Raises as `read_decisions` does, and if the file no longer has
    the rows that are known.
    """
    count = len(known.rows)
    if not is_there(path):
        if count:
            raise damaged(path, f"it was removed, and {counted(count, 'decision')} with it")
        return known, ()
    with reading(path) as connection:
        # The number of rows is read first: another process may add rows between the two queries
        (stored,) = connection.execute("SELECT coalesce(max(seq), 0) FROM sqlite_sequence").fetchone()
        if not isinstance(stored, int):
            raise BrokenError(f"its number of decisions is {str(stored)[:40]!r}")
        rows = _rows(connection, count - 1)
        if count:  # the last row that is known must still be there
            last = next(rows, None)
            if last is None or last[0] != count or last[-1] != known.head:
                raise BrokenError(
                    "another file has its place, or rows that were there are missing (started again, the program goes "
                    "on with the file that is there now)"
                )
        found, head = read_chain(rows, count, known.head)
    try:
        if (missing := stored - count - len(found)) > 0:
            raise BrokenError(f"the last {counted(missing, 'decision')} are missing")
        if not found:
            return known, ()
        ids = [decision.id for decision in found]
        if ids == sorted(ids) and (not count or known.rows[-1].id < ids[0]):  # the usual case: all are later
            together = (*known.rows, *found)
            distinct = all(one < other for one, other in pairwise(ids))
            notes = order_notes((*known.rows[-1:], *found)) if count else order_notes(together)
            notes = notes or known.notes
        else:
            together = tuple(sorted((*known.rows, *found), key=attrgetter("id")))
            distinct = len({decision.id for decision in together}) == len(together)
            notes = order_notes(together)
        if not distinct:
            raise BrokenError("two decisions have the same id")
    except BrokenError as error:
        raise damaged(path, str(error)) from error
    return Decisions(together, head, notes), tuple(found)


def read_head(path: Path) -> str:
    """Return the `head` of a file of decisions, which differs when any were added. Only that row is read.

    Raises SnowmatchError if the file is foreign, damaged, of a newer version, or cannot be read.
    """
    if not is_there(path):
        return ""
    with reading(path) as connection:
        last = connection.execute("SELECT hash FROM decisions ORDER BY number DESC LIMIT 1").fetchone()
    return "" if last is None else str(last[0])


class OvertakenError(Exception):
    """The error of `append` if other decisions were stored since those that the new ones were made for."""


def append(path: Path, decisions: Sequence[Decision], after: str | None = None) -> Appended:
    """Store new decisions, all or none. When the function returns, they are on the disk. No decisions do nothing.

    decisions: with the id "", because the file gives the ids; an empty `decided_at` is the time of storing, an empty
    `program` the version of snowmatch. after: the `head` that the file must still have; None for any. A missing file is
    made. Several processes may do this at once: each waits up to 30 s for the others. Raises OvertakenError if the file
    has another head. Raises SnowmatchError if it cannot be written, is foreign, damaged or newer, or if a decision has
    a value that cannot be stored.
    """
    if given := [decision.id for decision in decisions if decision.id]:
        raise ValueError(f"the file gives the ids of decisions, but one has the id {given[0]!r}")
    if not decisions:
        return Appended(())
    with writing(path) as connection:
        _, head, last = _end(connection)
        if after is not None and head != after:
            raise OvertakenError
        now = time.time_ns() // 10**6
        notes = _clock_notes(last, now)
        moment = timestamp()
        stored = []
        for decision in decisions:
            last = next_id(last, now)
            given_time, program = decision.decided_at or moment, decision.program or __version__
            complete = decision._replace(id=last, decided_at=given_time, program=program)
            stored.append(Decision(*complete))  # `_replace` alone checks nothing
        add_rows(connection, stored)
    return Appended(tuple(stored), notes)


def add_rows(connection: sqlite3.Connection, decisions: Sequence[Decision]) -> None:
    """Add decisions with ids at the end of the chain, in a transaction of `writing`.

    Raises BrokenError if the end of the chain is not as it was written.
    """
    number, head, _ = _end(connection)
    rows = []
    for decision in decisions:
        cells = to_cells(decision)
        number += 1
        previous, head = head, hash_of(head, cells)
        rows.append((number, *cells, previous, head))
    connection.executemany(_INSERT, rows)


def _end(connection: sqlite3.Connection) -> tuple[int, str, str]:
    """Return the number and the hash of the last row, and the greatest id; 0, "" and "" without rows.

    Only the last rows are checked: whoever reads the decisions checks all. Raises BrokenError if they are not whole.
    """
    number, last, stored = connection.execute(
        "SELECT coalesce(max(number), 0), coalesce(max(id), ''), (SELECT coalesce(max(seq), 0) FROM sqlite_sequence) "
        "FROM decisions"
    ).fetchone()
    if number != stored:
        raise BrokenError("its last decisions are missing")
    rows = list(_rows(connection, max(number - 2, 0)))
    head = check_chain(rows, number - len(rows), rows[0][-2] if rows else "")
    if rows and not is_id(last):
        raise BrokenError(f"a decision has the id {last!r}")
    return number, head, max([last, *(row[1] for row in rows)])


def order_notes(rows: Sequence[Decision]) -> tuple[Note, ...]:
    """Return a note if times of decisions run backwards in the order of the ids. rows: in the order of their ids.

    Imported decisions may have any time.
    """
    times = [decision.decided_at for decision in rows if decision.role != "import"]
    back = [(before, after) for before, after in pairwise(times) if after < before]
    limit = timedelta(seconds=TOLERANCE)
    count = sum(datetime.fromisoformat(before) - datetime.fromisoformat(after) > limit for before, after in back)
    if not count:
        return ()
    text = f"{counted(count, 'decision')} before the time of the decision before: a clock ran backwards; they count in "
    return (Note("decisions-clock", f"{text}the order in which they were stored", {"count": count}),)


def _clock_notes(last: str, now: int) -> tuple[Note, ...]:
    if not last or (late := (id_time(last) - now) / 1000) <= TOLERANCE:
        return ()
    text = (
        f"the clock of this computer is {timedelta(seconds=round(late))} behind the last decision: set it; the order "
        "of decisions is kept, because their ids continue from the last one"
    )
    return (Note("decisions-clock", text, {"seconds": late}),)


def _rows(connection: sqlite3.Connection, after: int) -> Iterator[Row]:
    query = f"SELECT {SELECTED} FROM decisions WHERE number > ? ORDER BY number"
    return connection.execute(query, (after,))
