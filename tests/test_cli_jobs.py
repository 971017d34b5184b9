"""The command `snowmatch jobs`: the work that the app has started, seen and stopped from the terminal."""

import json
import time

import pytest
from click.testing import CliRunner
from conftest import until
from web_small import make_catalog, running_job

from snowmatch.cli import main
from snowmatch.web.jobs import jobs_path, read_job, start_job


def said(*arguments):
    result = CliRunner().invoke(main, ["jobs", *map(str, arguments)])
    return result.exit_code, result.output


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return make_catalog(tmp_path_factory.mktemp("jobs"))


def put(folder, name, progress=None, ended=None, messages=""):
    place = jobs_path(folder) / name
    place.mkdir(parents=True)
    about = {"kind": name.split("-")[2], "arguments": [], "started": time.time() - 30}
    (place / "job.json").write_text(json.dumps(about))
    for file, values in (("progress.json", progress), ("ended.json", ended)):
        if values is not None:
            (place / file).write_text(json.dumps(values))
    (place / "stderr").write_text(messages)


def test_work_is_listed_with_state_and_progress(folder):
    assert said(folder) == (0, "the app has started no work here\n")
    put(
        folder, "20260101-000000-index", ended={"status": 1, "ended": time.time()}, messages="one\nfailed: \x1b[2Jb.jpg"
    )
    put(folder, "20260102-000000-batch", ended={"status": 0, "ended": time.time()})
    put(folder, "20260103-000000-index", {"title": "extracting", "unit": "photo", "done": 5, "total": 20, "seconds": 9})
    status, text = said(folder)
    assert status == 0
    lost, done, failed = text.splitlines()
    assert lost == "20260103-000000-index  lost  extracting 5 of 20 photo"
    assert done.startswith("20260102-000000-batch  done  took 30 s")
    assert failed.startswith("20260101-000000-index  failed  took 30 s, failed: ")
    assert "\x1b" not in text
    found = json.loads(said(folder, "--json")[1])
    assert (found[0]["id"], found[0]["state"]) == ("20260103-000000-index", "lost")


def test_running_work_is_seen_and_stopped(folder):
    with running_job(folder) as place:
        assert f"{place.name}  running" in said(folder)[1]
        assert said(folder, "--stop", place.name) == (0, f"{place.name} is asked to stop\n")
        assert (place / "stop").exists()
    job = start_job(folder, "index")
    assert said(folder, "--stop", job.id)[0] == 0
    until(lambda: read_job(folder, job.id).state != "running")
    state = read_job(folder, job.id).state
    assert state in ("stopped", "done")  # it may have been quicker
    assert f"{job.id}  {state}" in said(folder)[1]
    assert said(folder, "--stop", job.id) == (0, f"{job.id} does not run any more: {state}\n")


@pytest.mark.parametrize("name", ["nothing", "../jobs", "20990101-000000-index", ""])
def test_work_that_is_not_there(folder, name):
    before = sorted(folder.parent.rglob("*"))
    status, text = said(folder, "--stop", name)
    assert status == 1
    assert "there is no work" in text
    assert sorted(folder.parent.rglob("*")) == before


def test_a_folder_that_is_not_there(tmp_path):
    status, text = said(tmp_path / "nowhere")
    assert (status, len(text.splitlines())) == (1, 1)
    assert list(tmp_path.iterdir()) == []
