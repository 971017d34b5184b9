"""The worker processes of a run: each starts once, serves all stages, and is not used again if work is left in it."""

import dataclasses
import os
import shutil
import time
from dataclasses import dataclass

import pytest
from drawn_scenes import make_survey
from fake_extractor import Fake

from snowmatch.core import executor
from snowmatch.core.errors import SnowmatchError
from snowmatch.core.executor import Workers, in_order, open_pool
from snowmatch.features.indexing import index_catalog
from snowmatch.screening import mapping


@dataclass(frozen=True)
class Say:
    """A task: the number of its process, and its context."""

    seconds: float = 0.0

    def run(self, *context):
        time.sleep(self.seconds)
        return os.getpid(), context

    path = "a task"


@pytest.fixture
def started(monkeypatch):
    """Return the processes that were started."""
    processes, real = [], executor.subprocess.Popen

    def start(*arguments, **options):
        processes.append(real(*arguments, **options))
        return processes[-1]

    monkeypatch.setattr(executor.subprocess, "Popen", start)
    return processes


def said(pool, count=20):
    return [result for _, result in in_order(pool, range(count), lambda _: Say(0.01))]


def test_an_index_run_starts_each_worker_once_for_all_its_stages(tmp_path, monkeypatch, started):
    stages, real = [], executor.Pool.__init__
    monkeypatch.setattr(executor.Pool, "__init__", lambda pool, *of: stages.append(of[0]) or real(pool, *of))
    report = index_catalog(make_survey(tmp_path / "catalog"), Fake(), 2, again=True)
    assert (report.done, report.mapped) == (12, 12)
    assert stages == [2, 2, 2]  # photos are read, looked at, extracted
    assert len(started) == 2
    assert all(process.returncode is not None for process in started)


def test_no_module_of_the_working_directory_is_run(tmp_path, monkeypatch):
    (tmp_path / "pickle.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')")
    monkeypatch.chdir(tmp_path)
    with open_pool(2, (), None) as pool:
        assert len(said(pool)) == 20
    assert not (tmp_path / "ran").exists()


def test_few_photos_that_are_on_record_need_no_workers(tmp_path, started):
    data = make_survey(tmp_path / "catalog")
    index_catalog(data, Fake(), 1)
    copy = dataclasses.replace(data, folder=shutil.copytree(data.folder, tmp_path / "copy"))  # all are read again
    report = index_catalog(copy, Fake(), 2)
    assert (report.done, report.reused, report.mapped) == (0, 12, 0)
    with Workers() as workers:
        contents = {a.path: str(a.row) for a in data.annotations}
        assert mapping.update_maps(data.folder, data.annotations, contents, {}, 2, workers=workers) == 12
    assert started == []


def test_stages_share_processes_and_each_has_its_own_context(started):
    with Workers() as workers:
        with open_pool(2, ("first", 1), workers) as pool:
            first = said(pool)
        with open_pool(2, ("second",), workers) as pool:
            second = said(pool)
        assert workers.started == 2
    assert {context for _, context in first} == {("first", 1)}
    assert {context for _, context in second} == {("second",)}
    assert {pid for pid, _ in second} <= {pid for pid, _ in first} == {process.pid for process in started}
    assert all(process.returncode is not None for process in started)


def test_a_process_whose_result_nobody_awaits_is_not_used_again(started):
    with Workers() as workers:
        with open_pool(2, ("first",), workers) as pool:
            next(in_order(pool, range(8), lambda _: Say(0.2)))
        assert workers.started == 0
        with open_pool(2, ("second",), workers) as pool:
            assert {context for _, context in said(pool)} == {("second",)}
    assert len(started) == 4


def test_a_process_that_was_killed_while_it_waited_is_not_used_again(started):
    with Workers() as workers:
        with open_pool(2, ("first",), workers) as pool:
            said(pool)
        for process in started:
            process.kill()
            while process.poll() is None:
                time.sleep(0.01)
        with open_pool(2, ("second",), workers) as pool:
            assert {context for _, context in said(pool)} == {("second",)}
    assert len(started) == 4


def test_a_process_that_cannot_start_is_ended(started, monkeypatch):
    monkeypatch.setattr(executor, "_BOOT", "raise SystemExit(3)")
    for workers in (Workers(), None):
        with pytest.raises(SnowmatchError), open_pool(2, ("first", "x" * 1_000_000), workers) as pool:
            said(pool)
        if workers is not None:
            workers.__exit__()
    assert all(process.returncode is not None for process in started)


@dataclass(frozen=True)
class End:
    """A task that ends its process: with a traceback, or as `TerminateProcess` of Windows does."""

    killed: bool
    path = "a photo"

    def run(self):
        if self.killed:
            os._exit(1)
        raise ValueError("a mistake")


def test_a_worker_that_was_killed_on_windows_is_told_from_one_that_failed(capfd):
    advice = "was killed at a photo .* memory ran out; what is stored is kept: run it again with fewer processes"
    for killed, error, message in (
        (True, executor.WorkerDiedError, advice),
        (False, RuntimeError, "failed at a photo: read its traceback above"),
    ):
        with pytest.raises(error, match=message), open_pool(2, (), None) as pool:
            list(in_order(pool, range(1), lambda _, killed=killed: End(killed)))
        assert ("ValueError: a mistake" in capfd.readouterr().err) is not killed


def test_without_workers_of_a_run_a_pool_ends_its_own(started):
    with open_pool(2, (), None) as pool:
        said(pool)
    assert len(started) == 2
    assert all(process.returncode is not None for process in started)
