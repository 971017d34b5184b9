"""Blocks that sit with the workers of a cluster: neighbours and answers are those of one process, to the last bit."""

import os
import shutil
import signal
from importlib.util import find_spec

import numpy as np
import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st
from test_grouped import same_arrays
from test_shelf import blocks_of, content, key, queries_like, rows_of, shelf_in

import snowmatch
from snowmatch.cli import main
from snowmatch.core import executor
from snowmatch.core.executor import use_cluster
from snowmatch.matching.search import blocks as searching
from snowmatch.matching.search import files, holders, shelf
from snowmatch.matching.search.holders import assign
from snowmatch.matching.search.loaded import Loaded

pytestmark = pytest.mark.usefixtures("seen_once")


class Workers:
    """A cluster that is this process. asked: the worker and the blocks of each task."""

    def __init__(self, count):
        self.workers = [f"tcp://10.0.0.{n}:8000" for n in range(count)]
        self.asked = []

    def open(self, context):
        self._context = context
        return self

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass

    def submit(self, task, worker):
        self.asked.append((worker, [part.name for part in task.parts]))
        return executor.Here(self._context).submit(task)


@pytest.fixture
def cluster(monkeypatch):
    """Return a function that makes all searches use so many new workers."""

    def use(count, monkeypatch=monkeypatch):
        workers = Workers(count)
        monkeypatch.setattr(holders, "open_workers", workers.open)
        monkeypatch.setattr(searching, "has_cluster", lambda: True)
        monkeypatch.setattr(holders, "_loaded", Loaded(1))
        return workers

    return use


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """Seven blocks of 210 annotations."""
    found = shelf_in(tmp_path_factory.mktemp("index"), 1600)
    shelf.arrange_blocks(found, content(range(210)))
    return found


def test_neighbours_are_those_of_one_process_whatever_the_number_of_workers(place, cluster):
    held = content(range(210))

    @given(
        workers=st.integers(0, 9),
        shares=st.lists(st.sampled_from([0.0, 0.02, 0.3, 0.95, 1.0]), min_size=1, max_size=4),
        k=st.sampled_from([1, 5, 40]),
        seed=st.integers(0, 99),
        dtype=st.sampled_from([np.uint8, np.float32]),
    )
    @settings(max_examples=12)
    def check(workers, shares, k, seed, dtype):
        rng = np.random.default_rng(seed)
        every = queries_like(held).astype(dtype)
        sought = [
            searching.Sought(every[rng.permutation(len(every))[: rng.integers(0, 12)]], rng.random(210) < share)
            for share in shares
        ]
        expected = searching.search_many(blocks_of(place, held), sought, k)
        with pytest.MonkeyPatch.context() as patch:
            used, memory = cluster(workers, patch), Loaded(1 << 30)
            found = searching.search_many(blocks_of(place, held, memory), sought, k)
        for one, other in zip(expected, found, strict=True):
            same_arrays(one, other)
        assert not memory.bytes  # this process has loaded nothing
        assert len(used.asked) or not any(len(s.descriptors) and s.allowed.sum() > 20 for s in sought)

    check()


def test_equal_rows_at_the_border_of_the_candidates_do_not_depend_on_the_workers(tmp_path, cluster):
    """A logo often in each of many photos: more equal rows than the deepest search takes."""
    logo, names = rows_of(key(9999), 1), content(range(60)).keys
    held = shelf.Content(
        names,
        np.full(60, 205),
        np.zeros(60, np.uint64),
        lambda asked: [np.concatenate([rows_of(name, 5), np.repeat(logo, 200, axis=0)]) for name in asked],
    )
    place = shelf_in(tmp_path, 1600)
    shelf.arrange_blocks(place, held)
    sought = [searching.Sought(logo, np.ones(60, bool))]
    expected = searching.search_many(blocks_of(place, held), sought, 5)
    for workers in (1, 2, 3):
        cluster(workers)
        same_arrays(*expected, *searching.search_many(blocks_of(place, held), sought, 5))


def test_a_block_is_asked_for_at_one_worker_and_read_once_if_it_fits(place, cluster, monkeypatch):
    held, read = content(range(210)), []
    original = files.read_block
    monkeypatch.setattr(holders, "read_block", lambda path, *rest: (read.append(path.name), original(path, *rest))[1])
    workers = cluster(3)
    found = blocks_of(place, held)
    rng = np.random.default_rng(0)
    for part in (1.0, 0.02, 0.5):
        searching.search(found, queries_like(held), rng.random(210) < part, 5)
    homes = {(name, worker) for worker, names in workers.asked for name in names}
    assert len(homes) == len(found) == 7
    assert {worker for _, worker in homes} == set(workers.workers)
    assert sorted(read) == sorted(name for name, _ in homes)
    read.clear()
    monkeypatch.setattr(holders, "limited_memory", lambda: 1)
    searching.search(found, queries_like(held), np.ones(210, bool), 5)
    searching.search(found, queries_like(held), np.ones(210, bool), 5)
    assert len(read) >= 12  # only one stays in memory


def test_blocks_that_are_missing_or_damaged_are_looked_at_here(tmp_path, cluster):
    held, place = content(range(210)), shelf_in(tmp_path, 1600)
    shelf.arrange_blocks(place, content(range(180)))  # the last ones are not on disk
    every = np.ones(210, bool)
    expected = searching.search(blocks_of(place, held), queries_like(held), every, 5)
    for damage in ("none", "before", "after"):
        for path in tmp_path.glob("*.faiss"):
            path.unlink()
        shelf.arrange_blocks(place, content(range(180)))
        (first, *_) = sorted(tmp_path.glob("*.faiss"))
        cluster(2)
        found, allowed = blocks_of(place, held), np.ones(210, bool)
        if damage == "before":
            first.write_bytes(first.read_bytes()[:-1])
        notes = searching.prepare(found, allowed)
        assert sum(note.data["damaged"] for note in notes) == (damage == "before")
        assert len(notes) == 1 + (damage == "before")
        assert not searching.prepare(found, allowed)
        if damage == "after":
            first.unlink()
            cluster(2)  # the workers start anew
        same_arrays(expected, searching.search(found, queries_like(held), every, 5))


def test_an_index_that_cannot_be_kept_is_searched_here(tmp_path, cluster):
    held, every = content(range(60)), np.ones(60, bool)
    (tmp_path / "file").touch()
    workers = cluster(2)
    found = blocks_of(shelf_in(tmp_path / "file" / "index", 1600), held)
    assert [note.data["kept"] for note in searching.prepare(found, every)] == [False, False]
    answer = searching.search(found, queries_like(held), every, 5)
    assert not workers.asked
    shelf.arrange_blocks(kept := shelf_in(tmp_path / "index", 1600), held)
    same_arrays(answer, searching.search(blocks_of(kept, held), queries_like(held), every, 5))
    assert workers.asked


@given(st.lists(st.integers(1, 10**7), min_size=1, max_size=60), st.integers(1, 12))
@settings(max_examples=50)
def test_blocks_are_divided_evenly_and_most_stay_when_a_worker_is_lost(rows, count):
    blocks = tuple((f"left_flank-{n:016x}", size) for n, size in enumerate(rows))
    workers = tuple(f"tcp://10.0.0.{n}:8000" for n in range(count))
    homes = assign(blocks, workers)
    assert homes == assign(blocks, workers)
    held = [sum(size for name, size in blocks if homes[name] == worker) for worker in workers]
    assert sum(held) == sum(rows)
    assert max(held) <= 1.1 * sum(rows) / count + max(rows)


def test_half_of_the_blocks_or_more_stay_when_a_worker_is_lost():
    blocks = tuple((f"left_flank-{n:016x}", 8_000_000) for n in range(150))
    workers = tuple(f"tcp://10.0.0.{n}:8000" for n in range(10))
    before, after = assign(blocks, workers), assign(blocks, workers[1:])
    kept = [name for name, worker in before.items() if worker != workers[0]]
    assert sum(after[name] == before[name] for name in kept) > len(kept) / 2
    assert max(list(after.values()).count(worker) for worker in workers) <= 18


@pytest.mark.skipif(find_spec("distributed") is None, reason="needs distributed")
class TestOnACluster:
    """With two real workers."""

    def test_a_worker_that_is_killed_in_the_middle_changes_nothing(self, place, monkeypatch):
        held, every = content(range(210)), np.ones(210, bool)
        expected = searching.search(blocks_of(place, held), queries_like(held), every, 5)
        found = blocks_of(place, held, memory := Loaded(1 << 30))
        killed, submit = [], executor.Cluster.submit

        def submit_and_kill(self, task, worker=None):
            waiting = submit(self, task, worker)
            if not killed:
                killed.append(executor._clusters[-1].run(os.getpid)[worker])
                os.kill(killed[0], signal.SIGKILL)
            return waiting

        with use_cluster("local:2"):
            assert not searching.prepare(found, every)
            same_arrays(expected, searching.search(found, queries_like(held), every, 5))
            monkeypatch.setattr(executor.Cluster, "submit", submit_and_kill)
            for _ in range(2):
                same_arrays(expected, searching.search(found, queries_like(held), every, 5))
        assert killed
        assert not memory.bytes

    @pytest.mark.slow
    def test_a_query_and_a_batch_that_does_not_fit_have_the_same_answers(self, survey, tmp_path, monkeypatch):
        folder = shutil.copytree(survey / "catalog", tmp_path / "catalog")
        photo = str(sorted((survey / "queries").rglob("*.jpg"))[0])
        looks = []
        monkeypatch.setattr(searching, "ask_workers", lambda *given: looks.append(1) or holders.ask_workers(*given))
        told = {}
        for name, more in (("here", []), ("cluster", ["--cluster", "local:2"])):
            asked = ["query", photo, "--catalog", str(folder), "--bodypart", "left_flank", "--json", *more]
            result = CliRunner().invoke(main, asked)
            assert result.exit_code == 0, result.output
            asked = ["batch", str(folder), photo, "--again", "--out", str(tmp_path / name), "--memory", "1MB", *more]
            monkeypatch.setattr(snowmatch.identify.session.Session, "fits_memory", False)
            assert CliRunner().invoke(main, asked).exit_code == 0
            told[name] = result.stdout, (tmp_path / f"{name}.jsonl").read_bytes()
            assert bool(looks) == (name == "cluster")
        assert told["here"] == told["cluster"]
