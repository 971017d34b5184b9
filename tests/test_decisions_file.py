"""The file of decisions: what is stored is read, what is new is told, and two computers' files become one."""

import json
import re
import shutil
import tempfile
import time
from pathlib import Path

import pytest
from decision_files import DECISIONS, FAST, PAIRS, filled, ids, pair, path, raw, without_triggers
from hypothesis import given, settings
from hypothesis import strategies as st

from snowmatch.core.errors import SnowmatchError
from snowmatch.decisions import file, merge, opening
from snowmatch.decisions.file import Decisions, append, decisions_path, read_decisions, read_head, read_since
from snowmatch.decisions.merge import export_lines, import_lines, merge_file
from snowmatch.decisions.row import FIELDS, Decision, canonical, from_json
from snowmatch.decisions.schema import COLUMNS
from snowmatch.decisions.uuid7 import id_time, is_id, next_id

__all__ = ["filled", "path"]  # fixtures

# --- storing and reading ----------------------------------------------------------------------------------------------


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


# --- ids --------------------------------------------------------------------------------------------------------------


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


# --- what was added since ---------------------------------------------------------------------------------------------


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


def test_the_head_is_that_of_all_rows(path):
    assert read_head(path) == read_decisions(path).head == ""
    for note in ("first", "second"):
        append(path, [pair(note)])
        assert read_head(path) == read_decisions(path).head != ""


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


# --- two computers ----------------------------------------------------------------------------------------------------


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
        assert len(result.known) == len(theirs) - len(result.added)
        assert merge_file(files[0], files[1]).added == ()
        assert merge_file(files[0], files[0]).added == ()
        assert id_time(append(files[0], [pair()]).rows[0].id) >= max(map(id_time, ids(one)))
        lines = [f.with_suffix(".jsonl") for f in files]
        export_lines(files[1], lines[0])
        assert import_lines(Path(folder) / "new", lines[0]).known == ()
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
    assert len(merge_file(ours, filled).known) == 9
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
    (tmp_path / "out").write_text("")
    with pytest.raises(SnowmatchError, match="replaces nothing"):
        export_lines(filled, tmp_path / "out")


def test_a_file_that_does_not_exist_is_not_exported(tmp_path):
    with pytest.raises(SnowmatchError, match="none does not exist: there are no decisions to export"):
        export_lines(tmp_path / "none", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_value_that_was_replaced_is_checked_when_it_is_stored(tmp_path):
    wrong = Decision("", "", "Anna", "pair", ("a",), ("b",), "same")._replace(answer="maybe")
    with pytest.raises(SnowmatchError, match="'maybe' is not an answer"):
        append(tmp_path / "decisions.sqlite", [wrong])
    assert read_decisions(tmp_path / "decisions.sqlite").rows == ()
