"""The file of decisions on its disk: folders that cannot be written, journals, writers at once and killed ones."""

import os
import random
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
from decision_files import filled, ids, pair, path, raw

from snowmatch.core.errors import SnowmatchError
from snowmatch.decisions import opening
from snowmatch.decisions.file import Decisions, append, decisions_path, read_decisions, read_since
from snowmatch.decisions.schema import VERSION

__all__ = ["filled", "path"]  # fixtures

ROOT = Path(__file__).parents[1]


# --- places where nothing can be written ------------------------------------------------------------------------------


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
    monkeypatch.setattr(opening.os, "link", decision_writer.no_link)
    append(path, [pair("x")])
    append(path, [pair("y")])
    assert [row.note for row in read_decisions(path).rows] == ["x", "y"]
    assert [p.name for p in path.parent.iterdir()] == [path.name]


def test_where_files_have_no_second_name_a_killed_process_leaves_no_empty_file(path, monkeypatch):
    class Killed(BaseException):
        pass

    def killed(*_):
        raise Killed

    monkeypatch.setattr(opening.os, "link", decision_writer.no_link)
    with monkeypatch.context() as patch:
        for name in ("write", "replace"):
            patch.setattr(opening.os, name, killed)
        with pytest.raises(Killed):
            append(path, [pair("x")])
    assert not path.exists()
    append(path, [pair("x")])
    assert [row.note for row in read_decisions(path).rows] == ["x"]


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


# --- processes that write at once, and killed ones --------------------------------------------------------------------


def start(path, name, count, **more):
    command = [sys.executable, "-B", decision_writer.__file__, str(path), name, str(count)]
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, text=True, cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT), **more}
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


@pytest.mark.parametrize("more", [{}, {"NO_LINKS": "1"}])
def test_two_processes_that_make_and_fill_the_file_at_once_lose_nothing(path, more):
    writers = [start(path, name, 40, **more) for name in ("Anna", "Berik")]
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
        print("killed inside a transaction:", journals, "acknowledged:", sorted(set(counts)))
    assert len(append(path, [pair("after")]).rows) == 1


# --- speed ------------------------------------------------------------------------------------------------------------


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
    took = time.process_time() - begin
    begin = time.process_time()
    for _ in range(10):
        assert read_since(path, found)[0] is found
    again = time.process_time() - begin
    print("seconds to read 50 000 decisions, and ten times no new one:", took, again)
    assert again < took
