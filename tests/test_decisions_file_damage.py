"""The file of decisions: nothing in it is changed, and every change and every damage of it is found."""

import json
import os
import random
import sqlite3
import tempfile
from contextlib import closing

import pytest
from decision_files import DECISIONS, FAST, TEXTS, TRIGGERS, filled, pair, path, raw, without_triggers
from hypothesis import given, settings
from hypothesis import strategies as st

from snowmatch.core.errors import SnowmatchError
from snowmatch.decisions import opening, schema
from snowmatch.decisions.file import append, decisions_path, read_decisions
from snowmatch.decisions.merge import export_lines, import_lines, merge_file, read_whole
from snowmatch.decisions.schema import APPLICATION, COLUMNS, VERSION

__all__ = ["filled", "path"]  # fixtures

# --- nothing is changed, and every change is found --------------------------------------------------------------------


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


def lead_on(monkeypatch, *statements):
    """Let a next version have these statements as its step."""
    monkeypatch.setattr(schema, "STEPS", (*schema.STEPS, statements))
    monkeypatch.setattr(schema, "_expected", schema._expected.__wrapped__)  # else it keeps this version's layout
    for module in (schema, opening):
        monkeypatch.setattr(module, "VERSION", VERSION + 1)


def test_a_file_of_an_earlier_version_is_read_as_it_is_and_led_on_when_a_decision_is_added(filled, monkeypatch):
    known, content = read_decisions(filled), filled.read_bytes()
    with monkeypatch.context() as later:
        lead_on(later, "CREATE INDEX decisions_by_kind ON decisions (kind)")
        assert read_decisions(filled) == known
        assert filled.read_bytes() == content
        (added,) = append(filled, [pair("of the next version")]).rows
        with closing(sqlite3.connect(filled)) as connection:
            assert schema.version_of(connection) == (APPLICATION, VERSION + 1)
            assert not schema.differences(connection, VERSION + 1)
        assert read_decisions(filled).rows == (*known.rows, added)
        append(filled, [pair("once more")])  # it is led on only once
        assert len(read_decisions(filled).rows) == len(known.rows) + 2
    assert "install a newer snowmatch" in str(refused(filled))  # by the earlier program


def test_a_file_that_cannot_be_led_on_stays_as_it_was(filled, monkeypatch):
    known, content = read_decisions(filled), filled.read_bytes()
    lead_on(monkeypatch, "CREATE INDEX decisions_by_kind ON decisions (kind)", "CREATE INDEX wrong ON nothing (kind)")
    with pytest.raises(SnowmatchError, match="nothing in it was changed"):
        append(filled, [pair()])
    assert filled.read_bytes() == content
    monkeypatch.undo()
    assert read_decisions(filled) == known


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
    assert [note.code for note in exported.notes] == ["decisions-rescued", "decisions-changed", "decisions-missing"]
    assert [note.data.get("numbers") for note in exported.notes] == [None, [4], [7]]
    import_lines(tmp_path / "new.sqlite", tmp_path / "out.jsonl")
    assert read_decisions(tmp_path / "new.sqlite").rows == tuple(row for row in whole if row.note not in "36")
    assert exported.decisions == 7


def test_an_export_of_a_file_with_nothing_whole_does_not_advise_an_export(filled, tmp_path):
    for kept in (4096, 0):
        filled.write_bytes(filled.read_bytes()[:kept])
        with pytest.raises(SnowmatchError, match="none of its decisions can be read: put back a copy") as caught:
            export_lines(filled, tmp_path / "out.jsonl")
        assert caught.value.code != "decisions-damaged"


def test_an_export_of_a_file_whose_rows_are_all_changed_is_an_error_and_writes_nothing(filled, tmp_path):
    without_triggers(filled, "UPDATE decisions SET answer = 'different'")
    with pytest.raises(SnowmatchError, match="none of its decisions can be read: put back a copy") as caught:
        export_lines(filled, tmp_path / "out.jsonl")
    assert caught.value.code != "decisions-damaged"
    assert not (tmp_path / "out.jsonl").exists()


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
