"""HotSpotter as a method of the benchmarks: the code around ibeis. The tests do not need ibeis itself."""

import json
import os
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from snowmatch.confidence.trial import make_trial
from snowmatch.core.errors import SnowmatchError
from snowmatch.core.types import Annotation

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"


@pytest.fixture
def hotspotter(monkeypatch):
    """Return the module benchmarks/methods/hotspotter.py."""
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    from methods import hotspotter

    monkeypatch.delenv(hotspotter.PYTHON_VARIABLE, raising=False)
    return hotspotter


def annotation(row, individual, encounter, split="", body_part="left_flank"):
    return Annotation(
        row, f"images/{row}.jpg", individual, body_part, encounter=encounter, split=split, bbox=(row, 2, 30, 40)
    )


@pytest.fixture
def one_against_all():
    """Return a trial of seven photos, each an encounter: six of three known animals, and row 3 without a name."""
    individuals = ["ann", "ann", "bob", None, "bob", "cid", "ann"]
    return make_trial([annotation(i, name, f"e{i}") for i, name in enumerate(individuals)], "cross-encounter")


@pytest.fixture
def bursts():
    """Return a trial with two encounters of ann and one of bob, each with two photos."""
    encounters = ["a1", "a1", "a2", "a2", "b1", "b1"]
    return make_trial([annotation(i, e[0], e) for i, e in enumerate(encounters)], "cross-encounter")


@pytest.fixture
def split():
    """Return a trial with two photos of bob as queries, and a gallery of ann, bob and cid."""
    names = ["ann", "bob", "cid", "bob", "bob"]
    sides = ["train", "train", "train", "test", "test"]
    return make_trial(
        [annotation(i, n, f"e{i}", s) for i, (n, s) in enumerate(zip(names, sides, strict=True))], "split"
    )


def given_for(hotspotter, trial, folder, threads=1):
    photos = folder / "catalog" / "images"
    photos.mkdir(parents=True)
    for a in trial.annotations:
        (photos / f"{a.row}.jpg").write_bytes(b"photo")
    return hotspotter.Given(folder / "catalog", trial, threads, folder / "work")


def answers_for(trial, databases, annotation_votes, individual_votes, repeats=1, counts=None):
    """Return the arrays that a worker writes."""
    questions = sum(len(d.queries) for d in databases)
    rows = len({*trial.queries.tolist(), *trial.gallery.tolist()})
    return {
        "index_seconds": np.full((repeats, len(databases)), 2.0),
        "query_seconds": np.full((repeats, questions), 0.5),
        "index_cpu_seconds": np.full((repeats, len(databases)), 1.5),
        "query_cpu_seconds": np.full((repeats, questions), 0.4),
        "indexed": np.full(len(databases), 100),
        "annotation_votes": np.array(annotation_votes, float).reshape(-1, 4),
        "individual_votes": np.array(individual_votes, float).reshape(-1, 4),
        "config": np.array("_vsmany"),
        "extract_seconds": np.arange(1.0, rows + 1),
        "extract_cpu_seconds": np.full(rows, 0.9),
        "feature_counts": np.full(rows, 10) if counts is None else np.array(counts),
        "same_pixels": np.array(0),
        "bytes_on_disk": np.array(1000 * rows),
        "peak_memory": np.array(123),
        "versions": np.array(json.dumps({"ibeis": "2.6.0"})),
    }


def test_one_photo_an_encounter_needs_one_index(hotspotter, one_against_all):
    (database,) = hotspotter.group_queries(one_against_all, one_against_all.allowed)
    assert database.gallery == (0, 1, 2, 4, 5, 6)
    assert database.queries == (0, 1, 2, 3, 4, 5)


def test_bursts_need_one_index_per_encounter(hotspotter, bursts):
    databases = hotspotter.group_queries(bursts, bursts.allowed)
    assert [(d.gallery, d.queries) for d in databases] == [
        ((2, 3, 4, 5), (0, 1)),
        ((0, 1, 4, 5), (2, 3)),
        ((0, 1, 2, 3), (4, 5)),
    ]


def test_a_split_needs_one_index_without_the_queries(hotspotter, split):
    (database,) = hotspotter.group_queries(split, split.allowed)
    assert (database.gallery, database.queries) == ((0, 1, 2), (0, 1))


def test_leaving_individuals_out_needs_one_index_per_individual(hotspotter, one_against_all):
    trial = one_against_all
    databases = hotspotter.group_queries(trial, trial.allowed & ~trial.own())
    for database in databases:
        (individual,) = {trial.annotations[trial.queries[q]].individual for q in database.queries}
        gallery = {trial.annotations[row].individual for row in database.gallery}
        own = [row for row in database.gallery if trial.annotations[row].individual == individual]
        # the gallery may hold the query itself: ibeis never returns it
        assert len(gallery) == 3 - (not own)
        assert own in ([], [int(trial.queries[database.queries[0]])])
    assert sorted(q for d in databases for q in d.queries) == [0, 1, 2, 3, 4, 5]
    assert len(databases) == 3


@pytest.mark.parametrize("trial_name", ["one_against_all", "bursts", "split"])
def test_grouping_keeps_the_allowed_gallery_of_every_query(hotspotter, trial_name, request):
    trial = request.getfixturevalue(trial_name)
    for allowed in (trial.allowed, trial.allowed & ~trial.own()):
        for database in hotspotter.group_queries(trial, allowed):
            for q in database.queries:
                assert set(database.gallery) - {int(trial.queries[q])} == set(trial.gallery[allowed[q]].tolist())


def test_a_query_without_gallery_is_left_out(hotspotter):
    trial = make_trial(
        [annotation(0, "ann", "e0"), annotation(1, "ann", "e1"), annotation(2, "bob", "e2", body_part="right_flank")],
        "cross-encounter",
    )
    (database,) = hotspotter.group_queries(trial, trial.allowed)
    assert database.queries == (0, 1)


def test_a_job_has_photos_boxes_numbers_for_individuals_and_settings(hotspotter, one_against_all, tmp_path):
    given = given_for(hotspotter, one_against_all, tmp_path, threads=2)
    databases = hotspotter.group_queries(one_against_all, one_against_all.allowed)
    job = hotspotter.make_job(given, hotspotter.DEFAULTS | {"repeats": 3}, databases, Path("python"))
    assert json.loads(json.dumps(job))["databases"] == [{"gallery": [0, 1, 2, 3, 4, 5], "queries": [0, 1, 2, 3, 4, 5]}]
    assert [Path(a["path"]).name for a in job["annotations"]] == [f"{i}.jpg" for i in (0, 1, 2, 4, 5, 6)]
    assert job["annotations"][3]["bbox"] == (4, 2, 30, 40)
    assert [a["individual"] for a in job["annotations"]] == [0, 0, 1, 1, 2, 0]
    assert (job["repeats"], job["threads"], job["max_side"]) == (3, 2, 0)
    assert job["config"] == {"fg_on": False, "featweight_enabled": False, "flann_cores": 2}


def test_a_job_hides_the_individuals_of_the_queries(hotspotter, split, tmp_path):
    given = given_for(hotspotter, split, tmp_path)
    databases = hotspotter.group_queries(split, split.allowed)
    job = hotspotter.make_job(given, hotspotter.DEFAULTS, databases, Path("python"))
    assert [a["individual"] for a in job["annotations"]] == [0, 1, 2, None, None]
    assert "bob" not in json.dumps(job)


def test_every_annotation_makes_the_short_lists_long(hotspotter, split, tmp_path):
    given = given_for(hotspotter, split, tmp_path)
    job = hotspotter.make_job(given, hotspotter.DEFAULTS | {"every_annotation": True}, [], Path("python"))
    assert job["config"]["nNameShortlistSVER"] == job["config"]["nAnnotPerNameSVER"] == hotspotter.EVERY


def test_each_set_of_photos_has_its_own_database(hotspotter, split, tmp_path):
    given = given_for(hotspotter, split, tmp_path)

    def place(**settings):
        return hotspotter.make_job(given, hotspotter.DEFAULTS | settings, [], Path("python"))["database"]

    first = place()
    assert place() == place(every_annotation=True, repeats=4) == first
    assert place(max_side=500) != first
    (given.folder / "images" / "1.jpg").write_bytes(b"another photo")
    assert place() != first


def test_votes_become_tables_of_scores(hotspotter, one_against_all):
    trial = one_against_all
    asked = hotspotter.group_queries(trial, trial.allowed)
    # the first query (row 0) has votes for rows 1 and 6 of its own individual, the last (row 6) for row 5
    votes = [(0, 0, 1, 7.5), (0, 0, 5, 2.0), (0, 5, 4, 3.0), (1, 0, 1, 7.0)]
    names = [(0, 0, 0, 9.0), (0, 5, 2, 3.0), (1, 0, 0, 7.0)]
    tables = hotspotter.make_tables(trial, asked, [], answers_for(trial, asked, votes, names, repeats=2))
    assert len(tables) == 2
    first = tables[0]
    np.testing.assert_array_equal(first.scores[0], np.array([np.nan, 7.5, 0, 0, 0, 2], np.float32))
    np.testing.assert_array_equal(first.scores[5], np.array([0, 0, 0, 0, 3, np.nan], np.float32))
    assert first.individual_names.tolist() == ["ann", "bob", "cid"]
    assert first.individual_scores[0].tolist() == [9, 0, 0]
    assert first.individual_scores[5].tolist() == [0, 0, 3]
    assert np.isnan(first.individual_scores[4, 2])  # cid has one photo
    assert np.isnan(first.left_out_scores[0, 0])
    assert first.left_out_scores[5].tolist()[1:] == [0, 3]
    assert tables[1].scores[0, 1] == 7
    assert tables[1].scores[5, 4] == 0


def test_votes_without_the_own_individual_become_left_out_scores(hotspotter, one_against_all):
    trial = one_against_all
    asked = hotspotter.group_queries(trial, trial.allowed)
    left_out = hotspotter.group_queries(trial, trial.allowed & ~trial.own())
    questions = [q for d in [*asked, *left_out] for q in d.queries]
    again = questions.index(0, 6)
    votes = [(0, 0, 1, 7.5), (0, again, 2, 99.0)]
    names = [(0, 0, 0, 9.0), (0, 0, 1, 1.0), (0, again, 1, 4.0)]
    answers = answers_for(trial, [*asked, *left_out], votes, names)
    (table,) = hotspotter.make_tables(trial, asked, left_out, answers)
    assert table.individual_scores[0].tolist() == [9, 1, 0]
    assert table.scores[0, 2] == 0  # the score of an annotation comes from the query of the whole gallery
    np.testing.assert_array_equal(table.left_out_scores[0], np.array([np.nan, 4, 0], np.float32))


def test_photos_without_features_score_minus_infinity(hotspotter, one_against_all):
    trial = one_against_all
    asked = hotspotter.group_queries(trial, trial.allowed)
    answers = answers_for(trial, asked, [], [], counts=[10, 10, 0, 10, 0, 10])  # rows 2 and 5 have none
    (table,) = hotspotter.make_tables(trial, asked, [], answers)
    np.testing.assert_array_equal(table.scores[0], np.array([np.nan, 0, -np.inf, 0, -np.inf, 0], np.float32))
    assert table.individual_scores[0].tolist() == [0, 0, -np.inf]
    assert table.individual_scores[2, 0] == -np.inf


def test_a_run_returns_times_numbers_and_tables(hotspotter, one_against_all, tmp_path, monkeypatch):
    given = given_for(hotspotter, one_against_all, tmp_path)
    monkeypatch.setenv(hotspotter.PYTHON_VARIABLE, sys.executable)
    asked = hotspotter.group_queries(one_against_all, one_against_all.allowed)
    answers = answers_for(one_against_all, asked, [(0, 0, 1, 7.5)], [(0, 0, 0, 7.5)])
    answers["query_seconds"][0, 1] = np.nan
    # a worker that copies prepared answers
    prepared = tmp_path / "prepared.npz"
    np.savez(prepared, **answers)
    worker = tmp_path / "worker.py"
    worker.write_text(f"import shutil, sys\nshutil.copy({str(prepared)!r}, sys.argv[2])\n", encoding="utf-8")
    monkeypatch.setattr(hotspotter, "WORKER", worker)
    outcome = hotspotter.run(given, {})
    assert outcome.seconds == {"extract": 3.5, "index": 2.0, "query": 0.5}
    assert outcome.numbers["query_cpu_seconds"] == 0.4
    assert outcome.numbers["features_per_annotation"] == 10
    assert outcome.numbers["bytes_on_disk_per_annotation"] == 1000
    assert outcome.numbers["indexes_built"] == 1
    assert (outcome.versions, outcome.peak_memory, len(outcome.tables)) == ({"ibeis": "2.6.0"}, 123, 1)


def test_a_failing_workers_last_lines_are_in_the_error(hotspotter, split, tmp_path, monkeypatch):
    given = given_for(hotspotter, split, tmp_path)
    monkeypatch.setenv(hotspotter.PYTHON_VARIABLE, sys.executable)
    worker = tmp_path / "worker.py"
    worker.write_text("print('chatter ' * 9)\nraise SystemExit('the disk is full')\n", encoding="utf-8")
    monkeypatch.setattr(hotspotter, "WORKER", worker)
    with pytest.raises(SnowmatchError, match=r"exit code 1.*hotspotter\.log(.|\n)*the disk is full"):
        hotspotter.run(given, hotspotter.DEFAULTS)


def test_worker_without_ibeis_fails(hotspotter, split, tmp_path, monkeypatch):
    """Run the real worker in an environment without ibeis."""
    given = given_for(hotspotter, split, tmp_path)
    monkeypatch.setenv(hotspotter.PYTHON_VARIABLE, sys.executable)
    with pytest.raises(SnowmatchError, match="No module named 'ibeis'"):
        hotspotter.run(given, {})


def test_named_python_must_exist(hotspotter, split, tmp_path, monkeypatch):
    monkeypatch.setenv(hotspotter.PYTHON_VARIABLE, str(tmp_path / "nowhere"))
    with pytest.raises(SnowmatchError, match=r"nowhere, which is no file"):
        hotspotter.environment(tmp_path)


def test_a_complete_environment_is_used_again(hotspotter, tmp_path, monkeypatch):
    calls = []
    place = tmp_path / "hotspotter-venv"

    def make(command, *rest):
        calls.append(command)
        place.mkdir(exist_ok=True)

    monkeypatch.setattr(hotspotter, "_call", make)
    python = hotspotter.environment(tmp_path)
    assert python.parent.parent == place
    assert len(calls) == 2
    assert "ibeis==2.6.0" in calls[1]
    assert hotspotter.environment(tmp_path) == python
    assert len(calls) == 2
    (place / "complete.txt").write_text("ibeis==2.5.0\n", encoding="utf-8")
    hotspotter.environment(tmp_path)
    assert len(calls) == 4


def test_an_environment_that_cannot_be_made_raises_an_error(hotspotter, tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "executable", str(tmp_path / ("none.exe" if os.name == "nt" else "none")))
    with pytest.raises(SnowmatchError, match=hotspotter.PYTHON_VARIABLE):
        hotspotter.environment(tmp_path)


def test_a_setting_out_of_range_raises_an_error(hotspotter, split, tmp_path):
    given = given_for(hotspotter, split, tmp_path)
    with pytest.raises(SnowmatchError, match="repeats is 0"):
        hotspotter.run(given, {"repeats": 0})


def test_a_missing_photo_raises_an_error(hotspotter, split, tmp_path):
    given = given_for(hotspotter, split, tmp_path)
    (given.folder / "images" / "2.jpg").unlink()
    with pytest.raises(SnowmatchError, match=r"cannot read .*2\.jpg"):
        hotspotter.make_job(given, hotspotter.DEFAULTS, [], Path("python"))


def test_the_worker_gets_upright_photos(hotspotter, tmp_path):
    from methods import _hotspotter_worker as worker

    pixels = np.zeros((20, 30, 3), np.uint8)
    pixels[:5, :5] = 255  # top left
    plain, turned, copy = (tmp_path / name for name in ("plain.png", "turned.png", "copy.png"))
    Image.fromarray(pixels).save(plain)
    exif = Image.Exif()
    exif[0x0112] = 6  # the viewer must turn it clockwise by a quarter
    Image.fromarray(pixels).save(turned, exif=exif)
    assert worker.upright(plain, copy, 0) == (plain, (30, 20), 1.0)
    assert worker.upright(plain, copy, 30) == (plain, (30, 20), 1.0)
    assert worker.upright(turned, copy, 0) == (copy, (20, 30), 1.0)
    with Image.open(copy) as image:
        assert image.getexif().get(0x0112, 1) == 1
        assert image.getpixel((18, 2)) == (255, 255, 255)  # top right
    assert worker.upright(plain, copy, 15) == (copy, (15, 10), 0.5)
    with Image.open(copy) as image:
        assert image.size == (15, 10)


def test_boxes_are_cut_to_the_photo(hotspotter):
    from methods import _hotspotter_worker as worker

    assert worker.inside(None, (30, 20), 1.0) == (0, 0, 30, 20)
    assert worker.inside([-5, 4, 100, 6], (30, 20), 1.0) == (0, 4, 30, 6)
    assert worker.inside([10, 4, 10, 6], (15, 10), 0.5) == (5, 2, 5, 3)
