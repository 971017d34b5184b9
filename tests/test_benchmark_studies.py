"""Levels, shipped calibrations and speed: small runs of the whole scripts on synthetic photos."""

import json
import shutil

import importing
import indexing
import levels
import pytest
import ship_calibration
import speed
from datasets import contents_of, prepare
from measure import engine_commit
from store import read_runs
from study_tables import importing_table, indexing_table

import snowmatch
from snowmatch.confidence.learn import cross_validate
from snowmatch.confidence.score_table import save_table
from snowmatch.confidence.shipped import SHIPPED

pytestmark = pytest.mark.slow


@pytest.fixture
def source(survey, tmp_path):
    """Return a copy of the survey's catalog without an index."""
    return shutil.copytree(survey / "catalog", tmp_path / "cats", ignore=shutil.ignore_patterns(".snowmatch"))


def test_levels_are_measured_for_the_engine_and_for_a_table_of_scores(survey, source, tmp_path):
    save_table(tmp_path / "scores.npz", snowmatch.open_catalog(survey / "catalog").evaluate().table)
    made = {"commit": engine_commit(), "contents": contents_of(prepare(str(source), tmp_path / "work").folder)}
    (tmp_path / "run.json").write_text(json.dumps(made), encoding="utf-8")
    out, work = tmp_path / "levels.json", tmp_path / "work"
    words = [str(source), "--work", str(work), "--out", str(out), "--method", "sift:lnbnn"]
    levels.main([*words, "--table", f"elsewhere={tmp_path / 'scores.npz'}"])
    ours, theirs = read_runs(out)
    assert (ours["run"], theirs["run"]) == ("cats cross-encounter sift:lnbnn", "cats cross-encounter elsewhere")
    for run in (ours, theirs):
        assert [name for name, *_ in run["levels"]] == ["excellent", "good", "fair", "uncertain"]
        assert all(0 <= wrong <= answers for _, answers, wrong in run["levels"])
        assert len(run["auroc"]) == 3
        assert str(tmp_path) not in json.dumps(run)
    levels.main(words)  # the engine's scores are stored and used again
    assert read_runs(out)[0]["levels"] == ours["levels"]


def test_calibrations_are_judged_and_written_only_with_the_option_ship(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(ship_calibration, "SURVEYS", ("synthetic,individuals=6,encounters=4,stations=3,seed=1",))
    before = SHIPPED.read_bytes()
    learned = []

    def spied(cases, groups, shipped, asked):
        learned.append(shipped)
        return cross_validate(cases, groups, shipped, asked)

    monkeypatch.setattr(ship_calibration, "cross_validate", spied)
    words = ["--work", str(tmp_path), "--method", "sift:lnbnn", "--out", str(tmp_path / "calibration.json")]
    ship_calibration.main(words)
    assert "differ from the shipped ones" in capsys.readouterr().out
    assert SHIPPED.read_bytes() == before
    (run,) = read_runs(tmp_path / "calibration.json")
    assert set(run["judged"]) == {"synthetic (outlined)", "synthetic (whole)", "synthetic boxes (boxed)"}
    assert learned == [None] * 3  # the drawn cases are those of the asked animals
    assert {each["others"] for each in run["judged"].values()} == {None}  # all are drawn of the same cats
    assert {each["calibrated"] for each in run["judged"].values()} == {None}  # six cats are too few without others
    ship_calibration.main([*words, "--ship", str(tmp_path / "shipped.json")])
    made = json.loads((tmp_path / "shipped.json").read_text(encoding="utf-8"))["methods"]
    held = json.loads(before)["methods"]
    assert [entry["extractor"]["name"] for entry in made] == ["hesaff", "sift"]
    assert (made[0], made[1] == held[1]) == (held[0], False)
    assert made[1].keys() == held[1].keys()


def test_calibrations_of_one_method_replace_its_own_only(tmp_path, monkeypatch, capsys):
    before = SHIPPED.read_bytes()
    hesaff, sift = json.loads(before)["methods"]
    made = {"hesaff:lnbnn": hesaff, "sift:lnbnn": sift | {"encounters": 1}}
    monkeypatch.setattr(ship_calibration, "shipped_of", lambda method, *_: (made[method], {}))
    words = ["--work", str(tmp_path), "--out", str(tmp_path / "calibration.json"), "--method"]
    ship_calibration.main([*words, "hesaff:lnbnn"])
    assert not capsys.readouterr().out
    ship_calibration.main([*words, "sift:lnbnn", "--method", "hesaff:lnbnn"])
    assert "The calibrations of sift:lnbnn differ from the shipped ones" in capsys.readouterr().out
    ship_calibration.main([*words, "hesaff:lnbnn", "--ship", str(tmp_path / "same.json")])
    assert (tmp_path / "same.json").read_bytes() == before
    ship_calibration.main([*words, "sift:lnbnn", "--ship", str(tmp_path / "shipped.json")])
    written = json.loads((tmp_path / "shipped.json").read_text(encoding="utf-8"))["methods"]
    assert written == [hesaff, made["sift:lnbnn"]]


def test_every_stage_of_the_engine_takes_time(source, monkeypatch):
    monkeypatch.setattr(speed, "ASKED", 2)
    seconds = speed.engine_stages(source, "sift")
    assert tuple(seconds) == speed.STAGES
    assert all(value > 0 for value in seconds.values())
    assert seconds["query"] > seconds["score"]


def test_speed_is_measured_for_several_sizes_of_the_gallery(source, tmp_path):
    words = ["scaling", "--dataset", str(source), "--real", "8", "--distractors", "12", "--peer", ""]
    speed.main([*words, "--work", str(tmp_path / "work"), "--out", str(tmp_path / "speed.json")])
    (run,) = read_runs(tmp_path / "speed.json")
    assert [(row["method"], row["annotations"]) for row in run["rows"]] == [
        ("snowmatch", 8),
        ("snowmatch, distractors", 12),
    ]
    assert all(row["query"] > 0 and row["bytes_on_disk"] > 0 for row in run["rows"])
    assert run["rows"][1]["descriptors"] <= 12 * speed.FEATURES
    assert run["seconds"]["total"] > 0


def test_the_waiting_times_of_a_user_are_measured(tmp_path, monkeypatch):
    monkeypatch.setattr(speed, "INDEXED", 8)
    speed.main(["waiting", "--individuals", "2", "--work", str(tmp_path), "--out", str(tmp_path / "speed.json")])
    (run,) = read_runs(tmp_path / "speed.json")
    assert run["annotations"] > 8
    for name in ("help", "index_one_worker", "index_all_workers", "query_loaded", "query_one_flank", "query_command"):
        assert run[name] > 0


def test_an_index_run_is_measured_beside_its_extractor_and_tabled(tmp_path):
    words = ["--dataset", "synthetic,individuals=2,encounters=2", "--extractor", "sift", "--workers", "1", "2"]
    out = tmp_path / "indexing.json"
    indexing.main([*words, "--work", str(tmp_path / "work"), "--out", str(out)])
    one, two = read_runs(out)
    assert (one["workers"], two["workers"]) == (1, 2)
    assert one["photos"] == two["photos"] > 3
    assert one["features"] == two["features"] > 0
    for run in (one, two):
        assert (
            0 < run["share"] == pytest.approx(run["seconds"]["extractor_cpu"] / run["seconds"]["index_cpu"], abs=0.01)
        )
    assert sum(one["stages"].values()) == pytest.approx(one["seconds"]["index_cpu"], abs=0.1)
    assert min(one["stages"].values()) >= 0
    assert one["stages"]["extractor"] == pytest.approx(one["seconds"]["extractor_cpu"], rel=0.5, abs=0.2)
    assert two["stages"] is None
    rows = indexing_table([one, two]).splitlines()[-2:]
    assert [row.split(" | ")[:3] for row in rows] == [["| `sift`", one["classifier"], n] for n in ("1", "2")]


def test_an_import_of_a_season_is_measured_and_tabled(tmp_path):
    importing.main(["--photos", "1100", "--work", str(tmp_path), "--out", str(tmp_path / "importing.json")])
    (run,) = read_runs(tmp_path / "importing.json")
    assert 30 < run["rows"] < 90
    assert run["seconds"]["import"] > 0
    assert list(tmp_path.iterdir()) == [tmp_path / "importing.json"]  # the photos are gone
    assert importing_table([run]).splitlines()[-1].startswith(f"| 1,100 | {run['rows']} | ")
