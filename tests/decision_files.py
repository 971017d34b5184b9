"""Decisions and files of them, for tests."""

import os
import sqlite3
from contextlib import closing

import pytest
from hypothesis import strategies as st

from snowmatch.decisions.file import append, decisions_path
from snowmatch.decisions.row import ANSWERS, MODES, ROLES, Decision

TEXTS = st.text(st.characters(exclude_categories=("Cs",), exclude_characters="\0\x1f"), max_size=8)
NAMES = TEXTS.filter(str.strip)
SIDES = st.lists(TEXTS, min_size=1, max_size=3).map(tuple)
NUMBERS = st.floats(allow_nan=False, allow_infinity=False).map(lambda x: x + 0.0)
TIMES = st.datetimes().map(lambda t: t.isoformat(timespec="milliseconds") + "Z")
SHOWN = st.dictionaries(TEXTS, st.none() | st.booleans() | st.integers(-9, 9) | NUMBERS | TEXTS, max_size=3)
PAIRS = st.builds(
    Decision,
    id=st.just(""),
    decided_at=TIMES,
    observer=NAMES,
    kind=st.just("pair"),
    side_a=SIDES,
    side_b=SIDES,
    answer=st.sampled_from(ANSWERS),
    role=st.sampled_from(ROLES),
    mode=st.sampled_from(MODES),
    opened_at=st.just("") | TIMES,
    certainty=st.none() | st.integers(1, 4),
    marks=st.lists(st.tuples(NUMBERS, NUMBERS, NUMBERS, NUMBERS), max_size=2).map(tuple),
    tags=st.lists(TEXTS, max_size=2).map(tuple),
    note=TEXTS,
    shown=SHOWN,
    program=TEXTS.filter(bool),
)
NAMED = st.tuples(TIMES, NAMES, SIDES, TEXTS).map(
    lambda given: Decision("", given[0], given[1], "name", given[2], answer=given[3], program="1")
)
DECISIONS = st.lists(PAIRS | NAMED, min_size=1, max_size=6)
FAST = "/dev/shm" if os.path.isdir("/dev/shm") else None  # a disk that need not wait until all is written


def pair(note="", **values):
    return Decision("", "", "Anna", "pair", ("a1", "a2"), ("a3",), "same", note=note)._replace(**values)


def ids(decisions):
    return [decision.id for decision in decisions]


@pytest.fixture
def path(tmp_path):
    return decisions_path(tmp_path)


@pytest.fixture
def filled(path):
    append(path, [pair(str(n), shown={"probability": n / 9}, certainty=3) for n in range(9)])
    return path


def raw(path, *statements):
    """Run SQL on a file as another program would."""
    with closing(sqlite3.connect(path)) as connection, connection:
        return [connection.execute(*(s if isinstance(s, tuple) else (s,))).fetchall() for s in statements][-1]


TRIGGERS = ["decisions_added", "decisions_unchanged", "decisions_kept"]


def without_triggers(path, *statements):
    """Change a file as a person could who removes the triggers first and makes them again."""
    texts = [raw(path, f"SELECT sql FROM sqlite_master WHERE name = '{name}'")[0][0] for name in TRIGGERS]
    raw(path, *(f"DROP TRIGGER {name}" for name in TRIGGERS), *statements, *texts)
