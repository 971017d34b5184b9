"""The file of decisions: what was acknowledged stays, every change of it is found, two computers' files become one."""

import json
import os
import random
import re
import shutil
import signal
import sqlite3
import stat
import subprocess
import sys
import tempfile
import time
from contextlib import closing
from pathlib import Path

import decision_writer
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from snowmatch.core.errors import SnowmatchError
from snowmatch.decisions import file, merge, opening
from snowmatch.decisions.file import Decisions, append, decisions_path, read_decisions, read_since
from snowmatch.decisions.merge import export_lines, import_lines, merge_file, read_whole
from snowmatch.decisions.row import ANSWERS, FIELDS, MODES, ROLES, Decision, canonical, from_json
from snowmatch.decisions.schema import APPLICATION, COLUMNS, VERSION
from snowmatch.decisions.uuid7 import id_time, is_id, next_id

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
ROOT = Path(__file__).parents[1]
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


# --- storing and reading


@given(st.lists(DECISIONS, min_size=1, max_size=3))
@settings(max_examples=40)
def test_what_was_stored_is_read(lists):
    with tempfile.TemporaryDirectory(dir=FAST) as folder:
        path = decisions_path(folder)
        stored = [row for decisions in lists for row in append(path, decisions).rows]
        found = read_decisions(path)
        assert list(found.rows) == stored
        assert [row._replace(id="") for row in stored] == [row for decisions in lists for row in decisions]
        assert [canonical(row) for row in found.rows] == [canonical(row) for row in stored]
        assert ids(found.rows) == sorted(set(ids(found.rows)))
        assert [from_json(json.loads(canonical(row))) for row in found.rows] == stored


def test_the_file_gives_id_time_and_program_and_lies_beside_the_catalog(path):
    before = time.time_ns() // 10**6
    (row,) = append(path, [pair()]).rows
    assert is_id(row.id)
    assert before <= id_time(row.id) <= time.time_ns() // 10**6
    assert row.decided_at.endswith("Z")
    assert row.program
    assert path.name == "decisions.sqlite"
    assert [p.name for p in path.parent.iterdir()] == [path.name]
    with pytest.raises(ValueError, match="gives the ids"):
        append(path, [row])


def test_a_missing_file_has_no_decisions_and_reading_or_storing_nothing_makes_none(path):
    assert read_decisions(path) == Decisions()
    assert append(path, []).rows == ()
    assert read_since(path, Decisions()) == (Decisions(), ())
    assert not path.exists()
    with pytest.raises(SnowmatchError, match="is not a folder"):
        read_decisions(path.parent / "no" / "x.sqlite")


def test_the_columns_are_those_of_the_design_and_any_sqlite_program_reads_them(filled):
    names = [name for _, name, *_ in raw(filled, "PRAGMA table_info(decisions)")]
    assert names == ["number", *COLUMNS, "previous", "hash"]
    assert set(COLUMNS) == set(FIELDS)
    ((side, answer, shown),) = raw(filled, "SELECT side_a, answer, shown FROM decisions WHERE note = '3'")
    assert (json.loads(side), answer, json.loads(shown)) == (["a1", "a2"], "same", {"probability": 3 / 9})


@pytest.mark.parametrize(
    "values",
    [
        {"decided_at": "yesterday"},
        {"opened_at": "2026-13-04T09:03:12.345Z"},
        {"side_a": ["a1"]},
        {"certainty": True},
        {"note": "\ud800"},
        {"note": "a\x1fb"},
        {"observer": "A\0"},
        {"shown": {"probability": float("nan")}},
        {"shown": {"when": time}},
        {"shown": {1: 2}},
        {"marks": ((1, 2, 3),)},
        {"marks": ((1, 2, 3, float("inf")),)},
        {"tags": (1,)},
    ],
)
def test_a_decision_that_cannot_be_read_again_is_not_stored_nor_any_other_of_the_call(filled, values):
    before = read_decisions(filled)
    with pytest.raises(SnowmatchError) as error:
        append(filled, [pair(), pair(**values), pair()])
    assert "\n" not in str(error.value)
    assert read_decisions(filled) == before


def test_equal_decisions_have_one_text():
    one, other = pair(marks=((1, 2, 3, 0),)), pair(marks=((1.0, 2.0, 3.0, -0.0),))
    assert one == other
    assert canonical(one) == canonical(other)


@pytest.mark.parametrize(
    "values",
    [
        *({name: 5} for name in ("id", "observer", "note", "kind", "side_a", "marks", "shown")),
        *({"certainty": 2.0}, {"marks": [[1, 2, 3]]}, {"marks": ["1234"]}, {"shown": []}, {"more": 1}, {"tags": "ab"}),
        {"of two\r\nlines": 1},
    ],
)
def test_values_of_another_type_are_refused(values):
    good = json.loads(canonical(pair()))
    assert from_json(good) == pair()
    with pytest.raises(SnowmatchError) as error:
        from_json(good | values)
    assert len(str(error.value).splitlines()) == 1
    with pytest.raises(SnowmatchError):
        from_json([])


# --- ids


@given(st.lists(st.integers(0, 2**40), min_size=1, max_size=40))
def test_ids_grow_whatever_the_clock_does(clock):
    found = [""]
    for now in clock:
        found.append(next_id(found[-1], now))
    del found[0]
    assert all(map(is_id, found))
    assert found == sorted(set(found))
    assert id_time(found[0]) == clock[0]
    assert [id_time(each) for each in found] == [max(clock[: n + 1]) for n in range(len(clock))]


def test_an_id_at_the_end_of_its_millisecond_goes_on_in_the_next():
    last = "00000000-0005-7fff-bfff-ffffffffffff"
    assert id_time(last) == 5
    assert id_time(next_id(last, 3)) == 6


def test_a_clock_that_runs_backwards_is_told_and_the_order_stays(filled, monkeypatch):
    late = time.time_ns() - 3600 * 10**9
    with monkeypatch.context() as patch:
        patch.setattr(file.time, "time_ns", lambda: late)
        patch.setattr(file, "timestamp", lambda: "2020-01-01T00:00:00.000Z")
        stored = append(filled, [pair("late"), pair("later")])
    assert [note.code for note in stored.notes] == ["decisions-clock"]
    assert "1:00:00 behind" in stored.notes[0].text or "0:59:" in stored.notes[0].text
    found = read_decisions(filled)
    assert [row.note for row in found.rows][-2:] == ["late", "later"]
    assert [note.code for note in found.notes] == ["decisions-clock"]
    assert found.notes[0].data == {"count": 1}
    assert append(filled, [pair()]).notes == ()


# --- what was added since


def test_reading_on_gives_only_what_is_new(filled):
    known = read_decisions(filled)
    assert read_since(filled, known) == (known, ())
    assert read_since(filled, known)[0] is known
    stored = append(filled, [pair("x"), pair("y")]).rows
    now, added = read_since(filled, known)
    assert added == stored
    assert now == read_decisions(filled)
    assert now.head != known.head


def test_rows_merged_in_between_are_new_and_stand_at_their_place(tmp_path):
    ours, theirs = tmp_path / "a.sqlite", tmp_path / "b.sqlite"
    append(ours, [pair("first")])
    append(theirs, [pair("second")])
    append(ours, [pair("third")])
    known = read_decisions(ours)
    merge_file(ours, theirs)
    now, added = read_since(ours, known)
    assert [row.note for row in added] == ["second"]
    assert [row.note for row in now.rows] == ["first", "second", "third"]
    assert now == read_decisions(ours)
    append(ours, [pair("fourth")])
    assert [row.note for row in read_since(ours, now)[0].rows] == ["first", "second", "third", "fourth"]


def test_a_file_that_was_replaced_or_removed_is_told(filled, tmp_path):
    known = read_decisions(filled)
    kept = tmp_path / "kept"
    shutil.copy(filled, kept)
    append(filled, [pair()])
    newer = read_decisions(filled)
    shutil.copy(kept, filled)
    assert read_since(filled, known) == (known, ())
    with pytest.raises(SnowmatchError, match="another file has its place"):
        read_since(filled, newer)
    filled.unlink()
    with pytest.raises(SnowmatchError, match="was removed"):
        read_since(filled, known)


# --- nothing is changed, and every change is found


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE decisions SET answer = 'different'",
        "UPDATE OR IGNORE decisions SET answer = 'different' WHERE number = 2",
        "UPDATE OR REPLACE decisions SET number = 1 WHERE number = 2",
        "DELETE FROM decisions",
        "DELETE FROM decisions WHERE number = 9",
        "REPLACE INTO decisions SELECT * FROM decisions WHERE number = 3",
        "INSERT OR REPLACE INTO decisions SELECT * FROM decisions WHERE number = 9",
        f"REPLACE INTO decisions SELECT 10, {', '.join(COLUMNS)}, hash, '' FROM decisions WHERE number = 9",
        f"INSERT OR IGNORE INTO decisions SELECT 10, '', {', '.join(COLUMNS[1:])}, '', '' FROM decisions LIMIT 1",
        f"INSERT INTO decisions SELECT 12, 'x', {', '.join(COLUMNS[1:])}, hash, '' FROM decisions WHERE number = 9",
        f"INSERT INTO decisions SELECT NULL, 'x', {', '.join(COLUMNS[1:])}, hash, '' FROM decisions WHERE number = 9",
        "INSERT INTO decisions SELECT * FROM decisions WHERE number = 3 ON CONFLICT DO UPDATE SET answer = 'x'",
    ],
)
def test_the_file_itself_refuses_every_change(filled, statement):
    before = read_decisions(filled)
    with pytest.raises(sqlite3.IntegrityError, match="decision is"):
        raw(filled, statement)
    assert read_decisions(filled) == before


def refused(path):
    """Check that nobody can use a damaged file and that it stays as it is; return the error."""
    content = path.read_bytes()
    with pytest.raises(SnowmatchError) as error:
        read_decisions(path)
    text = str(error.value)
    assert str(path) in text
    assert "\n" not in text
    assert path.read_bytes() == content
    return error.value


@given(st.data())
@settings(max_examples=80)
def test_a_change_of_any_column_of_any_row_is_found(data):
    with tempfile.TemporaryDirectory(dir=FAST) as folder:
        path = decisions_path(folder)
        append(path, data.draw(DECISIONS) + [pair("last")])
        count = len(read_decisions(path).rows)
        row = data.draw(st.integers(1, count))
        column = data.draw(st.sampled_from((*COLUMNS, "previous", "hash", "number")))
        ((old,),) = raw(path, f"SELECT {column} FROM decisions WHERE number = {row}")
        if column == "number":
            new = data.draw(st.integers(-5, 50).filter(lambda n: not 1 <= n <= count))
        else:
            new = data.draw(
                TEXTS | st.just(old + "\0") | st.just(old + " ") | st.binary(max_size=9) | st.just(old.encode())
            )
        if new == old:
            return
        without_triggers(path, (f"UPDATE decisions SET {column} = ? WHERE number = {row}", (new,)))
        assert refused(path).code == "decisions-damaged"


@pytest.mark.parametrize(
    "statements",
    [
        ["DELETE FROM decisions WHERE number = 4"],
        ["DELETE FROM decisions WHERE number = 1"],
        ["DELETE FROM decisions WHERE number = 9"],
        ["DELETE FROM decisions"],
        ["DELETE FROM decisions WHERE number = 4", "UPDATE decisions SET number = number - 1 WHERE number > 4"],
        [
            "UPDATE decisions SET number = -number WHERE number < 3",
            "UPDATE decisions SET number = 3 + number WHERE number < 0",
        ],
        [f"INSERT INTO decisions SELECT 10, 'x', {', '.join(COLUMNS[1:])}, hash, hash FROM decisions WHERE number = 9"],
    ],
)
def test_missing_rows_added_rows_and_another_order_are_found(filled, statements):
    without_triggers(filled, *statements)
    assert refused(filled).code == "decisions-damaged"
    if "9" in statements[0] or len(statements[0]) < 25:  # the end of the chain: a writer looks at that too
        with pytest.raises(SnowmatchError, match="is damaged"):
            append(filled, [pair()])


@pytest.mark.parametrize(
    "statement",
    [
        *(f"DROP TRIGGER {name}" for name in TRIGGERS),
        "DROP INDEX decisions_by_id",
        "ALTER TABLE decisions ADD COLUMN more TEXT",
        "CREATE TABLE more (x)",
        "CREATE TRIGGER more AFTER INSERT ON decisions BEGIN SELECT 1; END",
    ],
)
def test_a_file_with_another_layout_is_refused(filled, statement):
    raw(filled, statement)
    error = refused(filled)
    assert error.code == "decisions-damaged"
    assert statement.split()[2] in str(error)
    with pytest.raises(SnowmatchError, match="is damaged"):
        append(filled, [pair()])


def test_a_newer_file_is_refused(filled):
    raw(filled, f"PRAGMA user_version = {VERSION + 1}")
    assert "install a newer snowmatch" in str(refused(filled))
    with pytest.raises(SnowmatchError, match="install a newer snowmatch"):
        append(filled, [pair()])
    with pytest.raises(SnowmatchError, match="install a newer snowmatch"):
        export_lines(filled, filled.parent / "out")


FOREIGN = {
    "text": lambda path: path.write_bytes(b"no database at all\n" * 100),
    "another program": lambda path: raw(path, "CREATE TABLE decisions (id)"),
    "another number": lambda path: (append(path, [pair()]), raw(path, f"PRAGMA application_id = {APPLICATION + 1}")),
    "a log": lambda path: raw(path, "PRAGMA journal_mode = WAL", "CREATE TABLE t (x)"),
}


@pytest.mark.parametrize("make", FOREIGN.values(), ids=FOREIGN)
def test_a_foreign_file_is_refused_and_not_changed(path, make, tmp_path):
    make(path)
    content = path.read_bytes()
    for use in (
        read_decisions,
        lambda p: append(p, [pair()]),
        lambda p: merge_file(tmp_path / "new", p),
        lambda p: export_lines(p, tmp_path / "out"),
    ):
        with pytest.raises(SnowmatchError, match="is not a file of decisions"):
            use(path)
        assert path.read_bytes() == content


def test_an_empty_file_a_folder_a_link_and_a_pipe_are_refused(path, tmp_path):
    path.write_bytes(b"")
    others = [path, tmp_path / "folder", tmp_path / "link", tmp_path / "pipe"]
    others[1].mkdir()
    others[2].symlink_to(tmp_path / "nowhere")
    os.mkfifo(others[3])
    for other in others:
        for use in (read_decisions, lambda p: append(p, [pair()])):
            with pytest.raises(SnowmatchError, match=r"0 bytes|not a file|is a link"):
                use(other)
    assert path.read_bytes() == b""
    assert not (tmp_path / "nowhere").exists()


def test_with_any_wrong_byte_the_decisions_are_right_or_refused():
    with tempfile.TemporaryDirectory(dir=FAST) as folder:
        check_wrong_bytes(decisions_path(folder))


def check_wrong_bytes(path):
    append(path, [pair(str(n) * 40) for n in range(30)])
    expected, good = read_decisions(path), path.read_bytes()
    used = {n for n in range(len(good)) if good[n]}
    bad = 0
    for place in sorted(random.Random(0).sample(sorted(used), 280)) + list(range(100)):
        path.write_bytes(good[:place] + bytes([good[place] ^ 0x15]) + good[place + 1 :])
        try:
            found = read_decisions(path)
        except SnowmatchError:
            bad += 1
        else:
            assert found == expected, place
        assert len(read_as_export(path)) <= len(expected.rows)
    assert bad > 240


def read_as_export(path):
    """Return the ids that an export of a damaged file finds; () if it is refused."""
    out = path.with_name("out.jsonl")
    out.unlink(missing_ok=True)
    try:
        exported = export_lines(path, out)
    except SnowmatchError:
        return ()
    lines = [json.loads(line) for line in out.read_text(encoding="utf-8").splitlines()]
    assert len(lines) == exported.decisions
    assert exported.notes or len(lines) == 30
    assert all(set(line["note"]) <= set("0123456789") and len(line["note"]) % 40 == 0 for line in lines)
    return [line["id"] for line in lines]


def test_what_is_whole_in_a_damaged_file_is_exported_and_the_rest_is_told(filled, tmp_path):
    whole = read_decisions(filled).rows
    without_triggers(
        filled, "UPDATE decisions SET answer = 'different' WHERE number = 4", "DELETE FROM decisions WHERE number = 7"
    )
    exported = export_lines(filled, tmp_path / "out.jsonl")
    assert [note.code for note in exported.notes] == ["decisions-damaged", "decisions-changed", "decisions-missing"]
    assert [note.data.get("numbers") for note in exported.notes] == [None, [4], [7]]
    import_lines(tmp_path / "new.sqlite", tmp_path / "out.jsonl")
    assert read_decisions(tmp_path / "new.sqlite").rows == tuple(row for row in whole if row.note not in "36")
    assert exported.decisions == 7


def test_a_page_that_cannot_be_read_costs_only_its_own_decisions(path):
    append(path, [pair(f"{n:0900}") for n in range(60)])
    content = path.read_bytes()
    place = content.index(b"0" * 800 + b"0" * 98 + b"30")
    page = place // 4096 * 4096
    path.write_bytes(content[:page] + b"\xff" * 4096 + content[page + 4096 :])
    assert refused(path).code == "decisions-damaged"
    rows, notes = read_whole(path)
    assert 50 <= len(rows) < 60
    assert {int(row.note) for row in rows} >= {0, 1, 2, 57, 58, 59}
    assert [note.code for note in notes] == ["decisions-missing"]


# --- places where nothing can be written


def as_other_user(path):
    """Read and store decisions as a user who may not write everywhere, as root may. Returns the two answers."""
    run = subprocess.run([sys.executable, "-c", READ, str(path)], capture_output=True, text=True, cwd=ROOT, check=False)
    assert run.returncode == 0, run.stderr
    read, stored = run.stdout.splitlines()
    return read, stored


@pytest.fixture
def open_folder():
    """Return a folder that every user can enter."""
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o755)
        yield Path(folder)
        os.chmod(folder, 0o755)


READ = (
    "import os, sys; from pathlib import Path; from snowmatch.decisions.file import *\n"
    "from snowmatch.core.errors import SnowmatchError\n"
    "from snowmatch.decisions.row import Decision\n"
    "if os.geteuid() == 0:\n    os.setgroups([]); os.setgid(65534); os.setuid(65534)\n"
    "path = Path(sys.argv[1])\n"
    "try:\n    print(len(read_decisions(path).rows))\n"
    "except SnowmatchError as error:\n    print(error)\n"
    "try:\n    append(path, [Decision('', '', 'B', 'name', ('a',), answer='x')]); print('stored')\n"
    "except SnowmatchError as error:\n    print(error.code, error)\n"
)


@pytest.mark.skipif(os.name == "nt", reason="rights of POSIX")
@pytest.mark.parametrize("journal", ["DELETE", "WAL"])
def test_a_folder_that_cannot_be_written_is_read_and_a_decision_is_refused(open_folder, journal):
    path = decisions_path(open_folder)
    append(path, [pair(), pair()])
    raw(path, f"PRAGMA journal_mode = {journal}")
    path.chmod(0o444)
    open_folder.chmod(0o555)
    before = path.read_bytes()
    read, refusal = as_other_user(path)
    assert read == "2"
    assert refusal.startswith("decisions-read-only no decision can be kept in ")
    assert path.read_bytes() == before
    read, refusal = as_other_user(open_folder / "other.sqlite")
    assert (read, refusal.split()[0]) == ("0", "decisions-read-only")


@pytest.mark.skipif(os.name == "nt", reason="rights of POSIX")
def test_the_latest_decisions_in_a_log_are_never_left_out_in_silence(open_folder):
    path, copy = decisions_path(open_folder), open_folder / "copy.sqlite"
    append(path, [pair(), pair()])
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute(f"PRAGMA user_version = {VERSION + 1}")
        for end in ("", "-wal"):
            shutil.copy(f"{path}{end}", f"{copy}{end}")
    open_folder.chmod(0o555)
    read, _ = as_other_user(copy)
    assert "copy.sqlite-wal has a part of it: copy both" in read
    open_folder.chmod(0o755)
    with pytest.raises(SnowmatchError, match="install a newer snowmatch"):
        read_decisions(copy)


CUT = (
    "import os, sys; from pathlib import Path; from snowmatch.decisions import file, merge, opening\n"
    "from snowmatch.decisions.row import Decision\n"
    "from snowmatch.decisions.uuid7 import next_id\n"
    "with opening.writing(Path(sys.argv[1])) as connection:\n"
    "    connection.execute('PRAGMA cache_size = 1')\n"
    "    for n in range(200):\n"
    "        many = Decision(next_id('', 2**47 + n), '2026-01-01T00:00:00.000Z', 'A', 'note', note='x' * 5000)\n"
    "        file.add_rows(connection, [many])\n"
    "    os._exit(0)\n"
)


@pytest.mark.skipif(os.name == "nt", reason="rights of POSIX")
def test_a_part_of_a_transaction_is_taken_back_and_never_read(open_folder):
    path = decisions_path(open_folder)
    whole = append(path, [pair("a"), pair("b")]).rows
    subprocess.run([sys.executable, "-c", CUT, str(path)], check=True, cwd=ROOT)
    assert path.with_name(path.name + "-journal").stat().st_size
    assert path.stat().st_size > 500_000  # a part is in the file
    open_folder.chmod(0o555)
    assert "decisions.sqlite-journal has a part of it: copy both" in as_other_user(path)[0]
    open_folder.chmod(0o755)
    assert read_decisions(path).rows == whole
    assert [p.name for p in open_folder.iterdir()] == [path.name]


def test_a_file_that_another_program_gave_a_log_is_used_and_is_one_file_again(filled):
    raw(filled, "PRAGMA journal_mode = WAL")
    assert len(read_decisions(filled).rows) == 9
    append(filled, [pair("x")])
    assert raw(filled, "PRAGMA journal_mode") == [("delete",)]
    assert len(read_decisions(filled).rows) == 10
    assert [p.name for p in filled.parent.iterdir()] == [filled.name]


def test_a_journal_of_a_file_that_was_removed_never_gets_into_a_new_one(filled):
    journal = filled.with_name(filled.name + "-journal")
    journal.write_bytes(b"x")
    filled.unlink()
    for use in (read_decisions, lambda p: append(p, [pair()])):
        with pytest.raises(SnowmatchError, match="which belongs to it, does: put the file back"):
            use(filled)
    journal.unlink()
    append(filled, [pair()])


@pytest.mark.skipif(os.name == "nt", reason="rights of POSIX")
def test_a_new_file_has_the_rights_of_other_new_files(path):
    before = os.umask(0o002)
    try:
        append(path, [pair()])
        assert stat.S_IMODE(path.stat().st_mode) == 0o664
    finally:
        os.umask(before)


def test_where_files_have_no_second_name_the_file_is_made_too(path, monkeypatch):
    def link(source, target):
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(opening.os, "link", link)
    append(path, [pair("x")])
    append(path, [pair("y")])
    assert [row.note for row in read_decisions(path).rows] == ["x", "y"]
    assert [p.name for p in path.parent.iterdir()] == [path.name]


def test_a_writer_keeps_others_out_from_its_first_look(filled):
    with opening.writing(filled), closing(sqlite3.connect(filled, timeout=0)) as other:
        assert len(read_decisions(filled).rows) == 9
        with pytest.raises(sqlite3.OperationalError, match="locked"):
            other.execute("BEGIN IMMEDIATE")


def test_a_file_in_use_for_long_is_told(filled, monkeypatch):
    monkeypatch.setattr(opening, "WAIT", 0.05)
    with closing(sqlite3.connect(filled)) as other:
        other.execute("BEGIN IMMEDIATE")
        assert len(read_decisions(filled).rows) == 9
        with pytest.raises(SnowmatchError, match="in use by another program"):
            append(filled, [pair()])


# --- two computers


@given(st.lists(st.tuples(st.booleans(), st.booleans(), PAIRS), max_size=12), st.booleans())
@settings(max_examples=40)
def test_merging_in_either_order_gives_the_same_decisions(steps, together):
    """steps: whether the first file, and the second, is merged with the other one before its next decision."""
    with tempfile.TemporaryDirectory(dir=FAST) as folder:
        files = [Path(folder) / name for name in "ab"]
        append(files[0], [pair("first")])
        shutil.copy(files[0], files[1])
        if not together:
            append(files[1], [pair("other")])
        for second, merged, decision in steps:
            if merged:
                merge_file(files[second], files[not second])
            append(files[second], [decision])
        ours, theirs = (read_decisions(f).rows for f in files)
        for n in (0, 1):
            shutil.copy(files[n], files[n].with_suffix(".was"))
        result = merge_file(files[0], files[1].with_suffix(".was"))
        merge_file(files[1], files[0].with_suffix(".was"))
        one, other = read_decisions(files[0]).rows, read_decisions(files[1]).rows
        assert one == other
        assert set(ids(one)) == set(ids(ours)) | set(ids(theirs))
        assert ids(one) == sorted(set(ids(one)))
        assert ids(result.added) == [key for key in ids(theirs) if key not in ids(ours)]
        assert result.known == len(theirs) - len(result.added)
        assert merge_file(files[0], files[1]).added == ()
        assert merge_file(files[0], files[0]).added == ()
        assert id_time(append(files[0], [pair()]).rows[0].id) >= max(map(id_time, ids(one)))
        lines = [f.with_suffix(".jsonl") for f in files]
        export_lines(files[1], lines[0])
        assert import_lines(Path(folder) / "new", lines[0]).known == 0
        export_lines(Path(folder) / "new", lines[1])
        assert lines[0].read_bytes() == lines[1].read_bytes()


def test_one_id_with_two_contents_is_an_error_and_nothing_is_merged(filled, tmp_path):
    rows = read_decisions(filled).rows
    lines = [canonical(row) for row in rows]
    (tmp_path / "lines").write_text(lines[0].replace('"same"', '"different"') + "\n" + lines[1] + "\n", "utf-8")
    other = tmp_path / "other.sqlite"
    import_lines(other, tmp_path / "lines")
    append(other, [pair("new")])
    for use in (lambda: merge_file(filled, other), lambda: merge_file(other, filled)):
        with pytest.raises(SnowmatchError, match=f"different decisions under 1 id .{rows[0].id}") as error:
            use()
        assert error.value.data["ids"] == [rows[0].id]
    with pytest.raises(SnowmatchError, match="different decisions"):
        import_lines(filled, tmp_path / "lines")
    assert read_decisions(filled).rows == rows
    assert len(read_decisions(other).rows) == 3


def test_a_merge_sees_what_another_process_added_meanwhile(filled, tmp_path, monkeypatch):
    ours = tmp_path / "ours.sqlite"
    append(ours, [pair("ours")])

    def writing(path):
        monkeypatch.undo()
        merge_file(ours, filled)  # another process is faster
        return opening.writing(path)

    monkeypatch.setattr(merge, "writing", writing)
    assert merge_file(ours, filled).known == 9
    assert len(read_decisions(ours).rows) == 10


def test_merging_with_a_missing_or_damaged_file_changes_nothing(filled, tmp_path):
    before = read_decisions(filled)
    with pytest.raises(SnowmatchError, match="does not exist"):
        merge_file(filled, tmp_path / "no")
    other = tmp_path / "other"
    append(other, [pair("x"), pair("y")])
    without_triggers(other, "UPDATE decisions SET note = 'z' WHERE number = 1")
    with pytest.raises(SnowmatchError, match="is damaged"):
        merge_file(filled, other)
    assert read_decisions(filled) == before


@pytest.mark.parametrize(
    "bad",
    [
        "no JSON",
        "[]",
        "{}",
        "[" * 100_000,
        '{"id": "x"}',
        lambda line: line.replace('"pair"', '"more"'),
        lambda line: re.sub(r"-7(\w{3}-[89ab])", r"-4\1", line, count=1),  # the digit of the version, not of the time
        lambda line: line.replace('"decided_at":"2', '"decided_at":"x'),
        lambda line: line.replace('"shown":{', '"shown":{"p":NaN,'),
        lambda line: line.replace('"note":"', '"note":"\\u0000'),
        lambda line: line.replace('"answer":"same"', '"answer":"different"'),
    ],
)
def test_a_bad_line_is_told_with_its_number_and_nothing_is_imported(path, tmp_path, bad):
    append(path, [pair("a"), pair("b")])
    export_lines(path, tmp_path / "lines")
    first, second = (tmp_path / "lines").read_text("utf-8").splitlines()
    bad = bad if isinstance(bad, str) else bad(second)
    (tmp_path / "lines").write_text("\n".join([first, second, "", bad]) + "\n", "utf-8")
    new = tmp_path / "new.sqlite"
    with pytest.raises(SnowmatchError, match="lines, line 4: ") as error:
        import_lines(new, tmp_path / "lines")
    assert "\n" not in str(error.value)
    assert not new.exists()
    (tmp_path / "lines").write_text("\ufeff" + first + "\r\n\r\n" + second, "utf-8")
    assert import_lines(new, tmp_path / "lines").added == read_decisions(path).rows


def test_an_export_replaces_no_file(filled, tmp_path):
    with pytest.raises(SnowmatchError, match="replaces nothing"):
        export_lines(filled, filled)
    assert len(read_decisions(filled).rows) == 9
    assert export_lines(tmp_path / "none", tmp_path / "out").decisions == 0
    with pytest.raises(SnowmatchError, match="replaces nothing"):
        export_lines(filled, tmp_path / "out")


# --- processes that write at once, and killed ones


def start(path, name, count):
    command = [sys.executable, "-B", decision_writer.__file__, str(path), name, str(count)]
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, text=True, cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)}
    )
    assert process.stdout.readline() == "ready\n"
    return process


def check_all(path, acknowledged):
    """Check that every acknowledged decision is in the file, and of others at most one a writer."""
    found = read_decisions(path)
    assert set(acknowledged) <= set(ids(found.rows))
    assert [row[0] for row in raw(path, "SELECT id FROM decisions ORDER BY number")] == ids(found.rows)
    assert raw(path, "PRAGMA integrity_check") == [("ok",)]
    return len(found.rows)


def test_two_processes_that_make_and_fill_the_file_at_once_lose_nothing(path):
    writers = [start(path, name, 40) for name in ("Anna", "Berik")]
    polled, seen = Decisions(), []
    while any(writer.poll() is None for writer in writers):
        polled, added = read_since(path, polled)
        seen += added
        time.sleep(0.02)
    seen += read_since(path, polled)[1]
    acknowledged = [line.strip() for writer in writers for line in writer.communicate()[0].splitlines()]
    assert [writer.returncode for writer in writers] == [0, 0]
    assert check_all(path, acknowledged) == len(set(acknowledged)) == 80
    assert tuple(seen) == read_decisions(path).rows
    assert {row.observer for row in seen} == {"Anna", "Berik"}


def kill_writers(path, count, rng, acknowledged):
    """Start writers, kill one of them or both at a random moment, and return how many decisions were acknowledged."""
    writers = [start(path, name, 10**6) for name in ("Anna", "Berik")[:count]]
    time.sleep(rng.uniform(0, 0.15))
    for writer in writers:
        writer.send_signal(signal.SIGKILL)
        if rng.random() < 0.5:
            time.sleep(rng.uniform(0, 0.03))
    lines = [line for writer in writers for line in writer.communicate()[0].split("\n")[:-1]]
    acknowledged += lines
    return len(lines)


@pytest.mark.parametrize(
    ("writers", "kills"),
    [(1, 3), (2, 3), pytest.param(1, 100, marks=pytest.mark.slow), pytest.param(2, 100, marks=pytest.mark.slow)],
)
def test_killed_writers_lose_no_acknowledged_decision(path, writers, kills):
    rng, acknowledged, journals, counts = random.Random(writers), [], 0, []
    for n in range(kills):
        if n % 10 == 9:
            path.unlink()  # the next writers are killed while they make it
            path.with_name(path.name + "-journal").unlink(missing_ok=True)
            acknowledged.clear()
        counts.append(kill_writers(path, writers, rng, acknowledged))
        journals += path.with_name(path.name + "-journal").exists()
        assert len(acknowledged) <= check_all(path, acknowledged) if path.exists() else not acknowledged
    if kills > 50:
        assert journals > 3  # writers were killed inside a transaction
        assert len(set(counts)) > 5
    assert len(append(path, [pair("after")]).rows) == 1


# --- speed


@pytest.mark.slow
def test_many_decisions_are_read_fast(path):
    rng = random.Random(0)
    sides = [(f"a{n:016x}", f"a{n + 1:016x}") for n in range(20_000)]
    append(
        path,
        [
            pair(side_a=rng.choice(sides), side_b=rng.choice(sides), shown={"probability": rng.random()})
            for _ in range(50_000)
        ],
    )
    begin = time.process_time()
    found = read_decisions(path)
    assert time.process_time() - begin < 2  # 0.3 s on a free machine
    begin = time.process_time()
    for _ in range(10):
        assert read_since(path, found)[0] is found
    assert time.process_time() - begin < 0.2
