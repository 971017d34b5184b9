"""The layout of the file of decisions, and the steps from each version of it to the next."""

from __future__ import annotations

import sqlite3
from functools import lru_cache

APPLICATION = 0x534E4F57  # "SNOW": the number in the file's header that says whose file it is
COLUMNS = (
    *("id", "opened_at", "decided_at", "observer", "role", "mode", "kind", "side_a", "side_b", "answer"),
    *("certainty", "marks", "tags", "note", "shown", "program"),
)
# Rows are only added, each with the next number and the hash of the row before. INSERT OR REPLACE would delete rows
# without the trigger for DELETE, so the trigger for INSERT refuses a number or an id that exists.
_FIRST = (
    f"CREATE TABLE decisions (number INTEGER PRIMARY KEY AUTOINCREMENT, "
    f"{', '.join(f'{name} TEXT NOT NULL' for name in COLUMNS)}, previous TEXT NOT NULL, hash TEXT NOT NULL)",
    "CREATE UNIQUE INDEX decisions_by_id ON decisions (id)",
    "CREATE TRIGGER decisions_added BEFORE INSERT ON decisions "
    "WHEN NEW.number IS NOT (SELECT coalesce(max(number), 0) + 1 FROM decisions) "
    "OR NEW.previous IS NOT coalesce((SELECT hash FROM decisions ORDER BY number DESC LIMIT 1), '') "
    "OR EXISTS (SELECT 1 FROM decisions WHERE id = NEW.id) "
    "BEGIN SELECT RAISE(ABORT, 'a decision is only added at the end, with a new id'); END",
    "CREATE TRIGGER decisions_unchanged BEFORE UPDATE ON decisions "
    "BEGIN SELECT RAISE(ABORT, 'a decision is never changed: add one that undoes it'); END",
    "CREATE TRIGGER decisions_kept BEFORE DELETE ON decisions "
    "BEGIN SELECT RAISE(ABORT, 'a decision is never deleted: add one that undoes it'); END",
)
# STEPS[n] leads from version n to version n + 1; version 0 is an empty file. A step keeps every row as it is.
STEPS: tuple[tuple[str, ...], ...] = (_FIRST,)
VERSION = len(STEPS)


def upgrade(connection: sqlite3.Connection, version: int) -> None:
    """Lead a file from `version` to VERSION, inside the transaction of the caller. VERSION itself changes nothing."""
    for number in range(version, VERSION):
        for statement in STEPS[number]:
            connection.execute(statement)
        connection.execute(f"PRAGMA application_id = {APPLICATION}")
        connection.execute(f"PRAGMA user_version = {number + 1}")


def version_of(connection: sqlite3.Connection) -> tuple[int, int]:
    """Return the application's number and the version in the header of a file."""
    (application,) = connection.execute("PRAGMA application_id").fetchone()
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    return application, version


def differences(connection: sqlite3.Connection, version: int) -> str:
    """Return what a file of this version lacks or has besides, such as "no decisions_kept"; "" if nothing."""
    found, expected = _layout(connection), _expected(version)
    lacking = [name for name, text in expected.items() if found.get(name) != text]
    besides = [name for name in found if name not in expected]
    return "; ".join([f"no {name}" for name in lacking] + [f"{name}, which is not of snowmatch" for name in besides])


@lru_cache
def _expected(version: int) -> dict[str, str]:
    connection = sqlite3.connect(":memory:")
    try:
        for statements in STEPS[:version]:
            for statement in statements:
                connection.execute(statement)
        return _layout(connection)
    finally:
        connection.close()


def _layout(connection: sqlite3.Connection) -> dict[str, str]:
    return dict(connection.execute("SELECT name, type || ' ' || coalesce(sql, '') FROM sqlite_master ORDER BY name"))
