"""The stress tests of tests/stress, each for some seconds: they run, and find nothing."""

import os
import sys
from pathlib import Path

import pytest

pytest.importorskip("av")
pytest.importorskip("onnxruntime")
pytest.importorskip("openpyxl")
if not hasattr(__import__("os"), "fork"):
    pytest.skip("the stress tests fork", allow_module_level=True)
sys.path.insert(0, str(Path(__file__).parent / "stress"))

import damage
from faults import NAMES, Faults
from fuzz import FOUND, Fuzz
from kills import Kills
from stress import State

pytestmark = pytest.mark.slow


def test_damaged_files_are_refused_or_read_right(tmp_path):
    found = Fuzz(tmp_path).batch(0, 300, seed=5)
    assert {outcome for *_, outcome, _ in found} <= {1, 2}, [each for each in found if each[2] >= FOUND]
    assert len({kind for kind, *_ in found}) == 9


def test_a_crash_of_the_process_is_found_and_the_batch_goes_on(tmp_path, monkeypatch):
    import os

    fuzz = Fuzz(tmp_path)
    usual = fuzz.try_one
    crashing = fuzz.readers[7]
    monkeypatch.setattr(fuzz, "try_one", lambda r, c: os.kill(os.getpid(), 9) if r is crashing else usual(r, c))
    found = fuzz.batch(0, 20, seed=5)
    assert [n for n, each in enumerate(found) if each[2] == 4] == [7]
    assert "SIGKILL" in found[7][3]
    assert all(each[2] in (1, 2) for n, each in enumerate(found) if n != 7)


def test_killed_commands_run_again_to_the_same_end(tmp_path):
    kills = Kills(tmp_path)
    # batch, a batch and an export over older files, an export, decisions, an import
    for number in (2, 3, 5, 7, 12, 13):
        assert kills.trial(number, seed=5)[1] == ""


def test_a_damaged_byte_is_noticed_or_changes_nothing(tmp_path, monkeypatch):
    monkeypatch.setattr(damage, "BATCH", 40)
    trials = damage.Damage(tmp_path, seed=5, every=2500)
    found, part = [], trials.batch(0)
    while part:
        found += part
        part = trials.batch(len(found))
    assert len(found) == len(trials.trials)
    assert [each for each in found if each[2]] == []
    assert {kind for kind, *_ in found} >= {"calibration.json", "catalog.sqlite", "features/*.h5", "jobs/job.json"}
    assert trials.summary().startswith("Every 2500th of all ")

    usual = trials.trial
    crashing = trials.trials[7]
    monkeypatch.setattr(
        trials, "trial", lambda n, asker: os.kill(os.getpid(), 9) if trials.trials[n] == crashing else usual(n, asker)
    )
    found = trials.batch(0)[:10]
    assert [n for n, each in enumerate(found) if each[1] == "crashed"] == [7]
    assert f"{crashing[0].name}, byte {crashing[1]}" in found[7][2]


def test_commands_on_a_failing_computer_end_with_one_line(tmp_path):
    faults = Faults(tmp_path)
    for number in range(len(NAMES)):
        name, text = faults.trial(number, seed=5)
        assert (name, text) == (NAMES[number], "")


def test_counts_are_kept_from_one_run_to_the_next(tmp_path):
    path = tmp_path / "counts.json"
    one = State(path)
    one.add("kills", "index", "as before", "")
    one.add("fuzz", "images", "found", "7 photo.jpg: a traceback")
    one.next["kills"] = 1
    one.save()
    two = State(path)
    assert (two.next, two.found(), two.texts) == ({"kills": 1}, 1, ["fuzz 7 photo.jpg: a traceback"])
    two.add("kills", "index", "as before", "")
    assert "| kills | index | 2 | 2 as before | 0 |" in two.table()
