"""A cluster gives the bytes of one process, also if a worker is killed; what is wrong with it is told in one line."""

import json
import os
import pickle
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import fake_classifier
import numpy as np
import pytest
from click.testing import CliRunner
from conftest import until
from PIL import Image

import snowmatch
from snowmatch.catalog.database import writing
from snowmatch.cli import main, shared
from snowmatch.confidence import scoring
from snowmatch.core import executor
from snowmatch.core.errors import SnowmatchError
from snowmatch.core.executor import in_order, open_pool, use_cluster
from snowmatch.core.home import features_path, indexes_path
from snowmatch.core.notes import Note
from snowmatch.identify import session as identify_session
from snowmatch.matching.search import encoding, holders, loaded
from snowmatch.review import batch
from snowmatch.review.batch import Asker, AskGroups
from snowmatch.review.groups import photo_groups, unidentified_groups
from snowmatch.screening import finders

distributed = pytest.importorskip("distributed")


def fresh(survey, folder):
    """Return a copy of the survey with 6 photos, never indexed. The times of its files are old and the same."""
    shutil.copytree(survey / "catalog", folder, ignore=shutil.ignore_patterns(".snowmatch"))
    lines = (folder / "catalog.csv").read_text(encoding="utf-8").splitlines(keepends=True)
    (folder / "catalog.csv").write_text("".join(lines[:7]), encoding="utf-8")
    return snowmatch.open_catalog(folder, classifier="none")


def contents(folder):
    paths = [p for top in (features_path(folder), indexes_path(folder)) for p in sorted(top.rglob("*")) if p.is_file()]
    return {
        str(p.relative_to(folder)): p.read_bytes() for p in paths if p.suffix != ".lock" and p.name != "checked.json"
    }


@pytest.fixture(scope="module")
def alone(survey, tmp_path_factory):
    """The bytes that an index run in one process leaves."""
    folder = tmp_path_factory.mktemp("alone") / "catalog"
    report = fresh(survey, folder).index(workers=1)
    assert report.done
    assert not report.failed
    return contents(folder)


@pytest.mark.parametrize("kill", [pytest.param(False, marks=pytest.mark.slow), True])
@pytest.mark.slow
def test_an_index_run_on_two_workers_gives_the_bytes_of_one_process(survey, alone, tmp_path, kill):
    catalog = fresh(survey, tmp_path / "catalog")
    killed = []

    def progress(done, total):
        if kill and not killed and done < total and executor._clusters:  # a quick computer may tell nothing in between
            pids = executor._clusters[-1].run(os.getpid)
            killed.append(sorted(pids.items())[0][1])
            os.kill(killed[0], signal.SIGKILL)

    with use_cluster("local:2"):
        report = catalog.index(progress=progress)
    assert bool(killed) == kill
    assert not report.failed
    assert contents(tmp_path / "catalog") == alone


@pytest.mark.slow
def test_search_blocks_are_encoded_by_workers_and_a_killed_one_changes_nothing(survey, alone, tmp_path, monkeypatch):
    catalog = fresh(survey, tmp_path / "catalog")
    catalog.index(workers=1)
    shutil.rmtree(indexes_path(tmp_path / "catalog"))
    monkeypatch.setattr(encoding, "ROWS_AT_ONCE", 500)
    tasks = []
    submit = executor.Cluster.submit

    def kill_one(self, task, worker=None):
        waiting = submit(self, task, worker)
        if isinstance(task, encoding.CodeRows):
            tasks.append(task)
            if len(tasks) == 3:
                os.kill(min(executor._clusters[-1].run(os.getpid).values()), signal.SIGKILL)
        return waiting

    monkeypatch.setattr(executor.Cluster, "submit", kill_one)
    with use_cluster("local:2"):
        assert catalog.index().reused == 6
    assert len(tasks) > 3
    assert contents(tmp_path / "catalog") == alone


@pytest.mark.slow
def test_a_batch_on_a_cluster_gives_the_same_tables(own_survey, tmp_path):
    tables = []
    kept = CliRunner().invoke(main, ["index", str(own_survey / "catalog"), "--classifier", "none"])
    assert kept.exit_code == 0, kept.output  # workers may have networks that the tests hide
    clusters = (("two", ["--cluster", "local:2"]), ("four", ["--cluster", "local:4"]))
    for name, more in (("one", []), *clusters):
        out = tmp_path / name
        asked = ["batch", str(own_survey / "catalog"), "--unidentified", "--again", "--out", str(out), *more]
        told = CliRunner().invoke(main, asked)
        assert told.exit_code == 0, told.output
        tables.append([out.with_suffix(suffix).read_bytes() for suffix in (".csv", ".jsonl")])
    assert tables[0] == tables[1] == tables[2]


def test_a_worker_in_another_folder_finds_the_photos_of_a_batch(own_survey, tmp_path, monkeypatch):
    (tmp_path / "cards").mkdir()
    Image.new("RGB", (60, 40), (90, 120, 60)).save(tmp_path / "cards" / "new.jpg")
    monkeypatch.chdir(tmp_path)
    session = snowmatch.open_catalog(own_survey / "catalog").session()
    task = AskGroups(tuple(photo_groups(session, ["cards"], None, [])))
    sent = pickle.dumps((task, Asker(session, None, {}, (), None)))
    here, *_ = task.run(Asker(session, None, {}, (), None))
    monkeypatch.chdir(own_survey)
    task, asker = pickle.loads(sent)
    assert task.run(asker)[0] == here
    assert [(record["failed"], record["row"]["photos"]) for record in here] == [([], ["cards/new.jpg"])]


def test_a_photo_that_only_the_computer_of_the_command_sees_is_told(own_survey, tmp_path):
    """Such as one on a memory card."""
    card = tmp_path / "card"
    card.mkdir()
    Image.new("RGB", (60, 40), (90, 120, 60)).save(card / "new.jpg")
    session = snowmatch.open_catalog(own_survey / "catalog").session()
    task = AskGroups(tuple(photo_groups(session, [str(card)], None, [])))
    sent = pickle.dumps((task, Asker(session, None, {}, (), None)))
    shutil.rmtree(card)
    task, asker = pickle.loads(sent)
    ((_, why),) = task.run(asker)[0][0]["failed"]
    assert "new.jpg is not seen by the computer" in why
    assert "under the same path" in why


def test_a_worker_tells_of_a_photo_on_record_as_one_process_does(own_survey, monkeypatch):
    catalog = own_survey / "catalog"
    monkeypatch.chdir(own_survey)
    broken = next(a.path for a in snowmatch.open_catalog("catalog").data.annotations if a.individual is None)
    (catalog / broken).write_bytes((catalog / broken).read_bytes()[:90])
    session = snowmatch.open_catalog("catalog").session()
    groups = [g for g in unidentified_groups(session, None) if broken in [photo.name for photo in g.photos]]
    task, asker = AskGroups(tuple(groups[:1])), Asker(session, None, {}, (), None)
    sent = pickle.dumps((task, asker))
    here, *_ = task.run(asker)
    monkeypatch.chdir(catalog)
    task, asker = pickle.loads(sent)
    assert task.run(asker)[0] == here
    assert f"catalog/{broken} " in here[0]["failed"][0][1]


def test_a_worker_without_the_weights_that_find_the_animal_here_is_refused(own_survey, monkeypatch):
    """Its answers would be others, and kept as if they were those of this computer."""
    fake_classifier.use(monkeypatch)
    monkeypatch.setattr(finders, "weights_are_here", lambda name: True)
    session = snowmatch.open_catalog(own_survey / "catalog").session()
    sent = pickle.dumps(Asker(session, None, {}, (), None))
    assert pickle.loads(sent).session.finders.mark == session.finders.mark
    monkeypatch.setattr(finders, "_classifier", lambda name: None)
    monkeypatch.setattr(finders, "weights_are_here", lambda name: False)
    with pytest.raises(SnowmatchError, match=r"with classifier none, .* expected classifier eff.* weights"):
        pickle.loads(sent)


def test_a_worker_that_finds_another_calibration_asks_nothing(own_survey, monkeypatch):
    session = snowmatch.open_catalog(own_survey / "catalog").session()
    sent = pickle.dumps(Asker(session, None, {}, (), None))
    other = replace(session.calibration, encounters=session.calibration.encounters + 1)
    monkeypatch.setattr(identify_session, "choose", lambda *_: (other, ""))
    with pytest.raises(SnowmatchError, match="has changed, or is another one"):
        pickle.loads(sent)


def test_the_memory_of_a_batch_bounds_no_later_command_on_the_same_worker(own_survey, monkeypatch):
    sent = []
    for limit in ([500_000_000], []):
        monkeypatch.setattr(loaded, "_limit", limit)
        sent.append(pickle.dumps(Asker(snowmatch.open_catalog(own_survey / "catalog").session(), None, {}, (), None)))
    monkeypatch.setattr(loaded, "_limit", [])  # from here on: the worker
    default = loaded.default_memory()
    assert [pickle.loads(one).session.gallery.loaded.most for one in sent] == [500_000_000, default]
    assert loaded.default_memory() == default


@pytest.mark.slow
@pytest.mark.parametrize("memory", [[], ["--memory", "1MB"]])
def test_an_evaluation_on_a_cluster_has_the_same_scores_also_if_a_worker_is_killed(
    own_survey, tmp_path, monkeypatch, memory
):
    """With little memory, the workers hold the search index instead."""
    catalog = own_survey / "catalog"
    tasks, killed = [], []
    submit = executor.Cluster.submit

    def watched(self, task, worker=None):
        waiting = submit(self, task, worker)
        tasks.append(type(task))
        if len(tasks) == 2 and not memory:
            killed.append(min(executor._clusters[-1].run(os.getpid).values()))
            os.kill(killed[0], signal.SIGKILL)
        return waiting

    monkeypatch.setattr(executor.Cluster, "submit", watched)
    monkeypatch.setattr(scoring, "AT_ONCE", 4)
    monkeypatch.setattr(loaded, "_limit", [])
    monkeypatch.setitem(shared.UNITS, "MB", 1)
    told = []
    for name, more in (("one", []), ("cluster", ["--cluster", "local:2", *memory])):
        found = CliRunner().invoke(
            main, ["evaluate", str(catalog), "--json", "--save", str(tmp_path / f"{name}.npz"), *more]
        )
        assert found.exit_code == 0, found.output
        told.append((json.loads(found.stdout), (tmp_path / f"{name}.npz").read_bytes()))
    assert set(tasks) == {holders.LookAt if memory else scoring.ScoreGroups}
    assert bool(killed) == (not memory)
    assert told[0] == told[1]


def test_notes_on_search_indexes_are_the_same_whichever_worker_tells_them_first(own_survey, tmp_path, monkeypatch):
    told = []

    def turned(*arguments, **more):
        """Two workers have built all of them; each tells what it took for the reason, and in another order."""
        for item, (found, notes, damaged) in executor.spread(*arguments, **more):
            others = [Note(n.code, f"{n.text}, because it was damaged", {**n.data, "damaged": True}) for n in notes]
            yield item, (found, (*notes[::-1], *others[1:], *notes[1:]), damaged)

    for name, spread in (("one", executor.spread), ("two", turned)):
        catalog = shutil.copytree(own_survey / "catalog", tmp_path / name)
        for sums in indexes_path(catalog).rglob("*-*-*.sums"):
            sums.unlink()
        monkeypatch.setattr(scoring, "spread", spread)
        notes = snowmatch.open_catalog(catalog).evaluate(sample=1).notes
        told.append([note.data["index"] for note in notes if note.code == "index-made"])
    assert len(told[0]) > 1
    assert told[0] == told[1]


def test_a_gallery_is_the_same_in_another_process_or_none(own_survey, tmp_path):
    catalog = shutil.copytree(own_survey / "catalog", tmp_path / "catalog")
    gallery = snowmatch.open_catalog(catalog).session().gallery
    sent = pickle.dumps(gallery)
    there = pickle.loads(sent)
    assert there.annotations == gallery.annotations
    assert (there.reader.described, there.reader.keys) == (gallery.reader.described, gallery.reader.keys)
    entries = range(len(gallery.annotations))
    maps = [
        [np.nan if m is None else m.values.tobytes() for m in map(each.foreground.map_of, entries)]
        for each in (gallery, there)
    ]
    assert str(maps[0]) == str(maps[1])
    shutil.rmtree(features_path(catalog))
    with pytest.raises(SnowmatchError, match="has changed, or is another one"):
        pickle.loads(sent)


def elsewhere(items, task_of, context, *, here):
    """Do as `spread` does on a cluster: what is sent and what comes back is pickled."""
    there = pickle.loads(pickle.dumps(context))
    for item in items:
        yield item, pickle.loads(pickle.dumps(task_of(item).run(*there)))


@pytest.mark.slow
def test_what_another_process_finds_damaged_is_told(own_survey, tmp_path, monkeypatch):
    """Maps without their cells, and search indexes that it builds: the same notes as in one process."""
    told = []
    for name in ("one", "other"):
        catalog = shutil.copytree(own_survey / "catalog", tmp_path / name)
        with writing(catalog) as database:
            database.execute("UPDATE maps SET cells = CAST(substr(cells, 2) || X'07' AS BLOB)")
        for file in indexes_path(catalog).rglob("*.faiss"):
            file.write_bytes(b"damaged")
        if name == "other":
            monkeypatch.setattr(scoring, "spread", elsewhere)
        found = snowmatch.open_catalog(catalog).evaluate()
        told.append([(note.code, note.text.replace(str(catalog), "")) for note in found.notes])
    assert told[0] == told[1]
    assert {"index-made", "maps-damaged"} <= {code for code, _ in told[0]}


def test_maps_that_another_process_of_a_batch_finds_damaged_are_told(own_survey, tmp_path, monkeypatch):
    told = []
    for name in ("one", "other"):
        catalog = shutil.copytree(own_survey / "catalog", tmp_path / name, copy_function=shutil.copy2)
        with writing(catalog) as database:
            database.execute("UPDATE maps SET cells = CAST(substr(cells, 2) || X'07' AS BLOB)")
        if name == "other":
            monkeypatch.setattr(batch, "spread", elsewhere)
        found = batch.run_batch(snowmatch.open_catalog(catalog))
        told.append([(note.code, note.text.replace(str(catalog), "")) for note in found.notes])
    assert told[0] == told[1]
    assert [code for code, _ in told[0]].count("maps-damaged") == 1


def test_a_screening_on_a_cluster_gives_the_same_table(tmp_path, monkeypatch):
    fake_classifier.use(monkeypatch)
    tables = []
    for name, more in (("one", ["--workers", "1"]), ("cluster", ["--cluster", "local:2"])):
        fake_classifier.make_catalog(tmp_path / name, fake_classifier.PASSAGES)
        out = tmp_path / f"{name}.csv"
        asked = ["screen", str(tmp_path / name), "--out", str(out), *more]
        told = CliRunner().invoke(main, asked)
        assert told.exit_code == 0, told.output
        tables.append(out.read_bytes())
    assert tables[0] == tables[1]
    assert not executor._clusters


def test_processes_of_a_cluster_that_do_not_start_are_told_in_one_line(tmp_path, monkeypatch):
    def killed(*_, **__):
        """Do as distributed does if one is killed while it starts."""
        raise RuntimeError("Nanny failed to start.")

    monkeypatch.setattr(distributed, "LocalCluster", killed)
    told = CliRunner().invoke(main, ["evaluate", str(tmp_path), "--cluster", "local:2"])
    assert told.exit_code == 1
    assert told.stderr.count("\n") == 1
    assert "local:2 do not start (Nanny failed to start), probably because memory ran out: use fewer" in told.stderr


def test_local_starts_as_many_processes_as_asked_for():
    number = 2 if executor.cores() != 2 else 3  # the number of cores would also start by default
    with use_cluster(f"local:{number}"), open_pool(1, (1,)) as pool:
        assert len(pool.workers) == number


class OpenedOnce:
    """A context that only the first process opens: the catalog has changed before the second one does."""

    def __init__(self, mark):
        self.mark = mark

    def __reduce__(self):
        return _open_once, (self.mark,)

    def __add__(self, number):
        return 7 + number


def _open_once(mark):
    try:
        mark.touch(exist_ok=False)
    except FileExistsError:
        raise SnowmatchError("it has changed: ask again") from None
    return OpenedOnce(mark)


def test_a_context_that_a_second_worker_cannot_open_is_told_and_not_waited_for(tmp_path, capfd):
    with use_cluster("local:2"), open_pool(1, (OpenedOnce(tmp_path / "opened"),)) as pool:
        first, second = (pool.submit(Wait(1), worker) for worker in pool.workers)
        told = [waiting.future.result(timeout=20) for waiting in (first, second)]
        assert sorted(str(error) for _, error in told) == ["None", "it has changed: ask again"]
        assert [found for found, error in told if error is None] == [8]
    assert capfd.readouterr().err == ""


INTERRUPTED = """
import signal, time
signal.signal(signal.SIGINT, signal.default_int_handler)  # the background jobs of a shell ignore it
from snowmatch.core.executor import use_cluster
try:
    with use_cluster("local:2"):
        print("there", flush=True)
        time.sleep(60)
except KeyboardInterrupt:
    print("stopped", flush=True)
"""


@pytest.mark.skipif(os.name == "nt", reason="Windows has no process groups of this kind")
def test_ctrl_c_in_a_terminal_reaches_only_the_command_and_not_its_workers():
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    with subprocess.Popen([sys.executable, "-c", INTERRUPTED], start_new_session=True, **pipes) as process:
        assert process.stdout.readline() == "there\n"
        os.killpg(process.pid, signal.SIGINT)
        told, errors = process.communicate(timeout=60)
    assert (told, errors, process.returncode) == ("stopped\n", "", 0)


class Wait:
    """A task that gives its number, the later ones sooner."""

    def __init__(self, number):
        self.number, self.path = number, f"{number}.jpg"

    def run(self, start):
        time.sleep(0.02 * (5 - self.number % 5))
        if isinstance(start, str):  # to die
            os.kill(os.getpid(), signal.SIGKILL)
        return start + self.number


@pytest.mark.slow
def test_results_come_in_order_and_tasks_run_ahead(monkeypatch):
    with use_cluster("local:2"):
        with open_pool(1, (100,)) as pool:
            assert [found for _, found in in_order(pool, range(20), Wait)] == list(range(100, 120))
        with open_pool(1, (np.zeros(2_000_000),)) as pool:  # 16 MB: no warning
            assert (pool.submit(Wait(3)).result() == 3).all()
        with (
            pytest.raises(SnowmatchError, match=r"killed at 0\.jpg.*what is stored is kept"),
            open_pool(1, ("die",)) as pool,
        ):
            list(in_order(pool, range(1), Wait))
        with open_pool(1, (7,)) as pool:  # the workers are there again
            assert [found for _, found in in_order(pool, range(3), Wait)] == [7, 8, 9]
        with pytest.raises(SnowmatchError, match="does not see /nowhere/catalog"):
            open_pool(1, (Path("/nowhere/catalog"),)).__enter__()
        monkeypatch.setattr(executor, "__version__", "9.9")
        with pytest.raises(SnowmatchError, match=r"has snowmatch .*, expected snowmatch 9\.9"), open_pool(1, (1,)):
            pass


@pytest.mark.parametrize(
    ("where", "message"),
    [
        ("local:0", "expected local:N"),
        ("local:two", "expected local:N"),
        ("tcp://127.0.0.1:1", "no worker"),
        ("tls://127.0.0.1:1", "needs Dask's settings of TLS"),
    ],
)
def test_a_cluster_that_is_not_there_is_told(where, message, monkeypatch):
    monkeypatch.setattr(executor, "CLUSTER_SECONDS", 1.0)
    with pytest.raises(SnowmatchError, match=message), use_cluster(where):
        pass


def test_a_protocol_that_is_not_installed_is_told_in_one_line(tmp_path, monkeypatch):
    def abstract(*_, **__):
        """Do as distributed does for ucx without its package."""
        raise TypeError("Can't instantiate abstract class UCXConnector")

    monkeypatch.setattr(distributed, "Client", abstract)
    told = CliRunner().invoke(main, ["evaluate", str(tmp_path), "--cluster", "ucx://127.0.0.1:1"])
    assert told.exit_code == 1
    assert "no worker of the cluster ucx://127.0.0.1:1 answers (Can't instantiate" in told.stderr
    assert told.stderr.count("\n") == 1


def test_a_cluster_that_has_lost_all_workers_is_not_waited_for_without_end(monkeypatch):
    monkeypatch.setattr(executor, "CLUSTER_SECONDS", 5.0)  # of the cluster's own start, too
    monkeypatch.setattr(executor, "LONELY_SECONDS", 1.0)
    with (
        distributed.LocalCluster(1, threads_per_worker=1, processes=False, dashboard_address="127.0.0.1:0") as cluster,
        use_cluster(cluster.scheduler_address),
        open_pool(1, (7,)) as pool,
    ):
        monkeypatch.setattr(executor, "CLUSTER_SECONDS", 0.5)
        assert pool.submit(Wait(1)).result() == 8
        cluster.scale(0)
        until(lambda: not executor._clusters[-1].nthreads())
        with pytest.raises(SnowmatchError, match=r"no worker for 1 seconds.*what is stored is kept: run it again"):
            pool.submit(Wait(2)).result()


def test_workers_with_several_threads_are_refused():
    with (
        distributed.LocalCluster(1, threads_per_worker=2, processes=False, dashboard_address="127.0.0.1:0") as cluster,
        use_cluster(cluster.scheduler_address),
        pytest.raises(SnowmatchError, match="has 2 threads, expected 1"),
        open_pool(1, (1,)),
    ):
        pass


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("faiss", r"has faiss .*, expected faiss 9\.9"),
        ("PIL", r"has .*PIL .*, expected .*PIL 9\.9"),  # it decides how photos are decoded
        # where kornia is not installed, it is missing there as well
        ("kornia", r"has .*kornia .*, expected .*kornia 9\.9|lacks a package .*kornia.*, with the extras used"),
    ],
)
def test_workers_with_another_version_of_a_package_in_use_are_refused(name, message, monkeypatch):
    with use_cluster("local:1"):
        monkeypatch.setitem(sys.modules, name, SimpleNamespace(__version__="9.9"))
        with pytest.raises(SnowmatchError, match=message), open_pool(1, (1,)):
            pass
        monkeypatch.undo()


@pytest.mark.parametrize("command", ["index", "screen"])
def test_a_number_of_workers_beside_a_cluster_is_refused_before_it_starts(tmp_path, monkeypatch, command):
    monkeypatch.delattr(distributed, "LocalCluster")
    for words in (["--workers", "2", "--cluster", "local:2"], ["--cluster", "local:2", "--workers", "2"]):
        told = CliRunner().invoke(main, [command, str(tmp_path), *words])
        assert told.exit_code == 2
        assert "--workers is of no use with --cluster" in told.stderr
