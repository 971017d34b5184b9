"""Datasets are made from catalogs, metadata.csv and thin air; a run keeps its scores, and figures come from them."""

import csv
import json
import sys

import cv2
import datasets
import numpy as np
import pytest
import run

import snowmatch
from snowmatch.confidence.score_table import make_table, save_table
from snowmatch.confidence.trial import make_trial
from snowmatch.core.errors import SnowmatchError


def rows_in(folder):
    with (folder / "catalog.csv").open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_a_catalog_becomes_a_dataset_without_being_touched(survey, tmp_path):
    source = survey / "catalog"
    before = sorted(p.name for p in source.iterdir())
    made = datasets.prepare(f"{source},masks=no,parts=left_flank", tmp_path)
    assert made.name == "catalog-masks_no-parts_left_flank"
    rows = rows_in(made.folder)
    assert {row["body_part"] for row in rows} == {"left_flank"}
    assert not any(row["mask"] for row in rows)
    assert sorted(p.name for p in source.iterdir()) == before
    annotations = snowmatch.open_catalog(made.folder).data.annotations
    original = {a.path: a for a in snowmatch.open_catalog(source).data.annotations}
    for a in annotations:
        assert (a.individual, a.encounter, a.station) == tuple(
            getattr(original[a.path], name) for name in ("individual", "encounter", "station")
        )


def test_two_halves_of_a_catalog_share_no_individual(survey, tmp_path):
    source = survey / "catalog"
    halves = [
        {row["individual"] for row in rows_in(datasets.prepare(f"{source},{keys}", tmp_path).folder)}
        for keys in ("every=2", "every=2,from=1")
    ]
    everybody = {a.individual or "" for a in snowmatch.open_catalog(source).data.annotations}
    assert all(halves)
    assert not halves[0] & halves[1]
    assert halves[0] | halves[1] == everybody


def test_one_box_for_every_photo(survey, tmp_path):
    made = datasets.prepare(f"{survey / 'catalog'},box=0.25/0.5/0.5/0.25,first=3", tmp_path)
    assert [row["bbox"] for row in rows_in(made.folder)] == ["200,266,400,133"] * 3  # photos are 800 x 533


def test_boxes_round_masks_and_flanks_left_out(survey, tmp_path):
    source = survey / "catalog"
    made = datasets.prepare(f"{source},boxes=mask,flanks=no,first=4,name=around", tmp_path)
    assert made.name == "around"
    original = {a.path: a for a in snowmatch.open_catalog(source).data.annotations}
    masked = 0
    for row in rows_in(made.folder):
        assert row["body_part"] == "unknown"
        if original[row["path"]].mask:
            x, y, w, h = (int(n) for n in row["bbox"].split(","))
            mask = cv2.imread(str(source / original[row["path"]].mask), cv2.IMREAD_GRAYSCALE) > 127
            largest = np.zeros_like(mask)
            largest[y : y + h, x : x + w] = mask[y : y + h, x : x + w]
            assert largest.sum() >= 0.5 * mask.sum()
            assert mask[y : y + h, x].any()
            assert mask[y, x : x + w].any()
            masked += 1
    assert masked


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{catalog},mask=no", "no key 'mask'"),
        ("{catalog},parts=tail", "is left"),
        ("synthetic,boxed=yes", "no key 'boxed'"),
    ],
)
def test_what_cannot_be_prepared_says_why(survey, tmp_path, text, message):
    with pytest.raises(SnowmatchError, match=message):
        datasets.prepare(text.format(catalog=survey / "catalog"), tmp_path)


def test_wildlife_datasets_metadata(tmp_path):
    (tmp_path / "data" / "images").mkdir(parents=True)
    path = tmp_path / "data" / "metadata.csv"
    path.write_text(
        "image_id,identity,path,bbox,orientation,date,original_split\n"
        '1,Aika,images/a.jpg,"[1.4, 2, 30, 40]",left,2012-09-17 19:42:18,train\n'
        "2,unknown,images/b.jpg,,right,2012-09-18,test\n"
        "3,Bars,images\\c.jpg,,,,\n",
        encoding="utf-8",
    )
    rows = rows_in(datasets.prepare(str(path), tmp_path / "work").folder)
    assert [r["individual"] for r in rows] == ["Aika", "", "Bars"]
    assert [r["body_part"] for r in rows] == ["left_flank", "right_flank", "unknown"]
    assert rows[0]["bbox"] == "1,2,30,40"
    assert rows[0]["timestamp"] == "2012-09-17T19:42:18"
    assert [r["encounter"] for r in rows] == ["2012-09-17", "2012-09-18", ""]
    assert [r["split"] for r in rows] == ["train", "test", ""]
    assert rows[2]["path"] == "images/c.jpg"


@pytest.mark.parametrize(
    ("line", "message"),
    [("a,b\n1,2\n", "no columns path and identity"), ('path,identity,bbox\nx.jpg,A,"1,2"\n', "expected \\[x, y")],
)
def test_metadata_of_another_kind_is_refused(tmp_path, line, message):
    (tmp_path / "metadata.csv").write_text(line, encoding="utf-8")
    with pytest.raises(SnowmatchError, match=message):
        datasets.prepare(str(tmp_path / "metadata.csv"), tmp_path / "work")


def test_a_synthetic_survey_is_made_once(tmp_path):
    text = "synthetic,individuals=2,encounters=2,stations=2,seed=5"
    made = datasets.prepare(text, tmp_path)
    photo = next((made.folder / "images").iterdir())
    stamp = photo.stat().st_mtime_ns
    assert datasets.prepare(text, tmp_path) == made
    assert photo.stat().st_mtime_ns == stamp
    assert len({row["individual"] for row in rows_in(made.folder)}) == 2


def test_method_settings_take_their_defaults_type():
    name, settings = run.parse_method("hotspotter,repeats=3,every_annotation=yes")
    assert name == "hotspotter"
    assert settings["repeats"] == 3
    assert settings["every_annotation"] is True
    with pytest.raises(SnowmatchError, match="no method 'hotspot'"):
        run.parse_method("hotspot")
    with pytest.raises(SnowmatchError, match="no setting 'trees'"):
        run.parse_method("hotspotter,trees=4")


@pytest.mark.parametrize("suite", sorted(run.SUITES))
def test_every_run_of_a_suite_names_a_method_and_dataset_that_exist(suite):
    for one in run.SUITES[suite]:
        run.parse_method(one.method)
        assert datasets.name_of(one.dataset.format(data="data"))
        assert one.protocol in ("cross-encounter", "cross-station", "split")


def table_of(survey, scores):
    trial = make_trial(snowmatch.open_catalog(survey / "catalog").data.annotations, "cross-encounter")
    return make_table(trial, scores(trial))


def test_figures_come_from_the_first_table_and_the_spread_from_all(survey, tmp_path):
    save_table(tmp_path / "0.npz", table_of(survey, lambda t: t.own().astype(float)))
    save_table(tmp_path / "1.npz", table_of(survey, lambda t: 1 - t.own().astype(float)))
    result = run.figures_of(sorted(tmp_path.glob("*.npz")))
    assert result["figures"]["annotation_top1"]["value"] == 1
    assert result["figures"]["annotation_top1"]["spread"] == [0, 1]
    assert result["repeats"] == 2
    json.dumps(result, allow_nan=False)


def test_known_against_new_is_not_claimed_by_a_method_that_was_not_asked_again(survey, tmp_path):
    save_table(tmp_path / "0.npz", table_of(survey, lambda t: t.own().astype(float)))
    asked, not_asked = (run.figures_of([tmp_path / "0.npz"], again)["figures"] for again in (True, False))
    assert asked["individual_auroc"]["value"] == asked["individual_auroc_dropped"]["value"] == 1
    for name in ("individual_auroc", "encounter_auroc", "individual_detection_rate", "encounter_detection_rate"):
        assert not_asked[name]["value"] is None
    assert not_asked["individual_auroc_dropped"]["value"] == 1


def test_the_histogram_counts_every_compared_pair(survey):
    for scores in (
        lambda t: t.own() * 5.0,
        lambda t: np.where(t.own(), 0.9, -0.3),
        lambda t: np.zeros(t.allowed.shape),
    ):
        table = table_of(survey, scores)
        counted = run.histogram(table)
        assert sum(counted["same"]) + sum(counted["different"]) == np.isfinite(table.scores).sum()
        assert len(counted["edges"]) == len(counted["same"]) + 1


@pytest.mark.slow
def test_a_run_is_kept_and_not_done_twice(tmp_path, monkeypatch, capsys):
    """The whole way, with a method that costs nothing: an embedding of random numbers."""
    work, results = tmp_path / "work", tmp_path / "results"
    text = "synthetic,individuals=3,encounters=3,stations=2,seed=1"
    folder = datasets.prepare(text, work).folder
    paths = sorted({row["path"] for row in rows_in(folder)})
    vectors = np.random.default_rng(0).normal(size=(len(paths), 8))
    np.savez(tmp_path / "vectors.npz", paths=np.array(paths), embeddings=vectors)
    arguments = ["run.py", "--dataset", text, "--method", f"embedding,file={tmp_path / 'vectors.npz'}"]
    arguments += ["--work", str(work), "--results", str(results)]
    monkeypatch.setattr(sys, "argv", arguments)
    for variable in run.THREAD_VARIABLES:
        monkeypatch.setenv(variable, "1")  # the run sets them; put back afterwards
    run.main()
    (path,) = results.rglob("*.json")
    first = json.loads(path.read_text(encoding="utf-8"))
    assert first["schema"] == "snowmatch.benchmark/1"
    assert first["dataset"]["individuals"] == 3
    assert first["seconds"]["total"] > 0
    assert "pytest" not in json.dumps(first)
    monkeypatch.setattr(sys, "argv", [*arguments, "--queries", "2"])
    run.main()  # a part of the queries is another result
    assert json.loads(path.read_text(encoding="utf-8")) == first
    (part,) = set(results.rglob("*.json")) - {path}
    assert json.loads(part.read_text(encoding="utf-8"))["queries"] == 2
    monkeypatch.setattr(sys, "argv", arguments)
    monkeypatch.setattr(run, "_make_scores", lambda *_: pytest.fail("done twice"))
    path.unlink()
    run.main()  # figures again, from the scores that were kept
    assert json.loads(path.read_text(encoding="utf-8"))["figures"] == first["figures"]


@pytest.mark.slow
def test_a_method_that_fails_is_an_error_not_a_zero(tmp_path, monkeypatch, capsys):
    arguments = ["run.py", "--dataset", "synthetic,individuals=3,encounters=3,stations=2,seed=1"]
    arguments += ["--method", "embedding,file=nowhere.npz", "--work", str(tmp_path), "--results", str(tmp_path / "r")]
    monkeypatch.setattr(sys, "argv", arguments)
    with pytest.raises(SystemExit, match="1 of 1 runs failed"):
        run.main()
    assert "nowhere.npz" in capsys.readouterr().err
    assert not list((tmp_path / "r").rglob("*.json"))
