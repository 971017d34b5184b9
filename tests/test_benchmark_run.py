"""The benchmarks: datasets from catalogs, from metadata.csv and synthetic; suites; scores of runs and their figures."""

import csv
import json
import runpy
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import cv2
import datasets
import decisions
import draws
import engine_cases
import figures
import halves
import indexing
import levels
import measure
import numpy as np
import own_boxes
import population
import pytest
import run
import scaling
import scenery
import scoring
import ship_calibration
import speed
import store
import study_tables
import suites

import snowmatch
from snowmatch.catalog.found import BY_MAPS, Found, save_found
from snowmatch.catalog.records import Records, save_records, take_fingerprint
from snowmatch.catalog.settings import CatalogSettings, keep_settings
from snowmatch.confidence.score_table import make_table, save_table
from snowmatch.confidence.trial import make_trial
from snowmatch.core.errors import SnowmatchError
from snowmatch.screening import finders
from snowmatch.screening.bars import info_bars
from snowmatch.screening.classifiers.efficientnet_lite0 import EfficientnetLite0


def rows_in(folder):
    with (folder / "catalog.csv").open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_a_catalog_becomes_a_dataset_and_does_not_change(survey, tmp_path):
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


def test_a_trial_without_a_right_answer_is_refused(survey):
    annotations = snowmatch.open_catalog(survey / "catalog").data.annotations
    scoring.check_answerable(make_trial(annotations, "cross-station"))
    nowhere = [replace(a, station="", location="") for a in annotations]
    with pytest.raises(SnowmatchError, match="no query has a right answer that the protocol cross-station allows"):
        scoring.check_answerable(make_trial(nowhere, "cross-station"))


def small_catalog(folder, name, shade):
    """Write a catalog of one grey photo of the individual `name`."""
    (folder / "images").mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(folder / "images" / "a.jpg"), np.full((40, 60), shade, np.uint8))
    (folder / "catalog.csv").write_text(f"path,individual\nimages/a.jpg,{name}\n", encoding="utf-8")
    return folder


@pytest.mark.parametrize("links", [True, False])
def test_a_catalog_with_the_name_of_another_one_has_its_own_photos(tmp_path, monkeypatch, links):
    if not links:
        monkeypatch.setattr(datasets.os, "symlink", lambda *_, **__: (_ for _ in ()).throw(OSError("no right")))
    one, other = (small_catalog(tmp_path / top / "catalog", "Aika", shade) for top, shade in (("a", 50), ("b", 200)))
    shades, contents = [], []
    for source in (one, other, one):
        for keys in ("name=x", "name=barred,bars=wrong"):
            made = datasets.prepare(f"{source},{keys}", tmp_path / "work")
            photo = datasets.read_photo(made.folder / rows_in(made.folder)[0]["path"])
            shades.append(int(photo[0, 0, 0]) // 100)
            contents.append(datasets.contents_of(made.folder))
    assert shades == [0, 0, 2, 2, 0, 0]
    assert contents[:2] == contents[4:]
    assert not set(contents[:2]) & set(contents[2:4])


def test_scores_are_of_the_rows_and_photos_that_a_catalog_has_now(tmp_path, monkeypatch):
    def scored(*_, kept, **__):
        kept.mkdir(parents=True, exist_ok=True)
        asked.append(name)
        return {"versions": {}, "seconds": {"total": 1}}

    asked = []
    monkeypatch.setattr(scoring, "apart", scored)
    monkeypatch.setattr(measure, "engine_commit", lambda: "abc1234")
    for name in ("Aika", "Aika", "Bars"):
        catalog = small_catalog(tmp_path / "catalog", name, 50)
        scoring.scores_of(suites.Run(str(catalog), "cross-encounter", "wildid"), tmp_path / "work")
    assert asked == ["Aika", "Bars"]
    for commit in ("abc1234+", "abc1234+", "", ""):  # of an engine that nobody can name
        monkeypatch.setattr(measure, "engine_commit", lambda commit=commit: commit)
        scoring.scores_of(suites.Run(str(catalog), "cross-encounter", "wildid"), tmp_path / "work")
    assert len(asked) == 6


def test_scores_are_of_the_networks_that_a_computer_has_now(tmp_path, monkeypatch):
    def scored(*_, kept, **__):
        kept.mkdir(parents=True, exist_ok=True)
        return {"versions": {}, "seconds": {"total": 1}}

    monkeypatch.setattr(scoring, "apart", scored)
    monkeypatch.setattr(measure, "engine_commit", lambda: "abc1234")
    asked = suites.Run(str(small_catalog(tmp_path / "catalog", "Aika", 50)), "cross-encounter", "snowmatch_engine")
    made = []
    for here in (False, False, True):
        monkeypatch.setattr(finders, "weights_are_here", lambda _, here=here: here)
        monkeypatch.setattr(finders, "texture_is_here", lambda: False)
        monkeypatch.setattr(EfficientnetLite0, "check", lambda _: None)
        costs = scoring.scores_of(asked, tmp_path / "work").folder / "run.json"
        made.append((costs.stat().st_mtime_ns, json.loads(costs.read_text())["finders"]["classifier"]))
    assert made[0] == made[1] != made[2]
    assert [name for _, name in made[1:]] == ["none", "efficientnet_lite0"]


def test_levels_take_only_scores_of_this_engine_and_these_photos(tmp_path, monkeypatch):
    folder, path = small_catalog(tmp_path / "catalog", "Aika", 50), tmp_path / "0.npz"
    monkeypatch.setattr(measure, "engine_commit", lambda: "abc1234")
    monkeypatch.setattr(levels, "engine_commit", lambda: "abc1234")
    monkeypatch.setattr(levels, "load_table", lambda path: path)
    with pytest.raises(SnowmatchError, match=r"0\.npz has no run\.json beside it"):
        levels.present_table(path, folder)
    right = {"commit": "abc1234", "contents": datasets.contents_of(folder)}
    for wrong, message in (
        ({"commit": "0ld5678"}, "is of commit 0ld5678, expected abc1234, without changes: run its suite again"),
        ({"contents": "another"}, "is of other photos or rows than catalog"),
    ):
        (tmp_path / "run.json").write_text(json.dumps(right | wrong), encoding="utf-8")
        with pytest.raises(SnowmatchError, match=message):
            levels.present_table(path, folder)
    (tmp_path / "run.json").write_text(json.dumps(right), encoding="utf-8")
    assert levels.present_table(path, folder) == path
    (tmp_path / "run.json").write_text(json.dumps(right | {"commit": "abc1234+"}), encoding="utf-8")
    monkeypatch.setattr(measure, "engine_commit", lambda: "abc1234+")
    with pytest.raises(SnowmatchError, match=r"is of commit abc1234\+"):
        levels.present_table(path, folder)


def test_drawn_cats_are_not_judged_by_models_of_the_same_cats():
    drawn, boxed, real = "synthetic", "synthetic boxes", "snow_leopard-all-boxes"
    assert ship_calibration.same_animals(drawn, boxed)
    assert ship_calibration.same_animals(real, real)
    assert not ship_calibration.same_animals(real, boxed)


def test_a_drawn_survey_is_drawn_again_if_its_name_has_other_keys(tmp_path, monkeypatch):
    drawn = []
    monkeypatch.setattr(datasets, "make_survey", lambda folder, *, seed, **_: drawn.append(seed))
    for seed in (1, 1, 2):
        datasets.prepare(f"synthetic,seed={seed},name=survey", tmp_path)
    assert drawn == [1, 2]


def test_what_an_earlier_run_has_stored_with_a_dataset_does_not_count(survey, tmp_path, monkeypatch):
    source = f"{survey / 'catalog'},first=3,name=few"
    made, used = datasets.prepare(source, tmp_path), []
    keep_settings(made.folder, CatalogSettings(classifier="none", boxes=False))

    def stop(catalog, *_):
        used.append(catalog.data.settings)
        raise SnowmatchError("stopped")

    monkeypatch.setattr(levels, "engine_cases", stop)
    with pytest.raises(SnowmatchError, match="stopped"):
        levels.main([source, "--work", str(tmp_path), "--method", "hesaff:lnbnn"])
    method = "snowmatch_engine,segmenter=isnet"
    scored = scoring.Scored(tmp_path, made, SimpleNamespace(protocol=""), *scoring.parse_method(method), method)
    monkeypatch.setattr("snowmatch.api.Catalog.session", lambda catalog, **_: stop(catalog))
    with pytest.raises(SnowmatchError, match="stopped"):
        run.explain(scored, tmp_path)
    assert used == [CatalogSettings(), CatalogSettings(segmenter="isnet")]


def test_the_cases_of_a_catalog_are_kept_under_its_contents(tmp_path, monkeypatch):
    scored = []
    chosen = SimpleNamespace(extractor={}, matcher=None, matching={}, geometry=None)
    session = SimpleNamespace(method=chosen, galleries=(), gallery=None)
    monkeypatch.setattr(engine_cases, "contents_of", lambda folder: folder)
    monkeypatch.setattr(engine_cases, "save_arrays", lambda path, *_: path.write_bytes(b""))
    monkeypatch.setattr(engine_cases, "save_table", lambda path, _: path.parent.mkdir(parents=True, exist_ok=True))
    monkeypatch.setattr(engine_cases, "score_trial", lambda *_: scored.append(measure.engine_commit()))
    for name in ("make_trial", "facts_of", "load_table"):
        monkeypatch.setattr(engine_cases, name, lambda *_: None)
    monkeypatch.setattr(engine_cases, "load_arrays", lambda *_: {})
    monkeypatch.setattr(engine_cases, "make_cases", lambda _: ())
    monkeypatch.setattr(engine_cases, "finders_of", lambda given: {"classifier": given["classifier"]})
    named = [("abc1234", folder, "auto") for folder in ("one", "one", "other")] + [("abc1234", "one", "none")]
    unnamed = [("abc1234+", "one", "auto")] * 2
    for commit, folder, classifier in named + unnamed:
        for module in (engine_cases, measure):
            monkeypatch.setattr(module, "engine_commit", lambda commit=commit: commit)
        catalog = SimpleNamespace(
            folder=folder,
            data=SimpleNamespace(annotations=(), settings=CatalogSettings(classifier=classifier)),
            index=lambda _: None,
            session=lambda **_: session,
        )
        engine_cases.engine_cases(catalog, "catalog", "hesaff:lnbnn", "split", tmp_path)
    assert scored == ["abc1234"] * 3 + ["abc1234+"] * 2


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


def test_each_nth_annotation_is_kept(survey, tmp_path):
    source = survey / "catalog"
    whole = [row["path"] for row in rows_in(datasets.prepare(f"{source},name=whole", tmp_path).folder)]
    third = [row["path"] for row in rows_in(datasets.prepare(f"{source},each=3", tmp_path).folder)]
    assert third == whole[::3]
    assert len(third) > 2


def test_a_relative_box_is_given_to_every_photo(survey, tmp_path):
    made = datasets.prepare(f"{survey / 'catalog'},box=0.25/0.5/0.5/0.25,first=3", tmp_path)
    assert [row["bbox"] for row in rows_in(made.folder)] == ["200,266,400,133"] * 3  # photos are 800 x 533


def test_boxes_are_drawn_around_masks_and_flanks_become_unknown(survey, tmp_path):
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


def test_found_animals_are_no_rows_of_a_dataset(tmp_path):
    folder = small_catalog(tmp_path / "catalog", "Aika", 50)
    before = datasets.rows_of(folder)
    taken = take_fingerprint(folder / "images" / "a.jpg", photo=True)
    save_records(folder, Records({"images/a.jpg": taken}))
    save_found(folder, BY_MAPS, {taken.sha256: (Found((1, 2, 20, 20), "map"), Found((30, 2, 20, 20), "map"))})
    assert [a.found for a in snowmatch.open_catalog(folder).data.annotations] == [False, True]
    assert datasets.rows_of(folder) == before
    assert [(row["individual"], row["bbox"]) for row in before] == [("Aika", "")]


def test_the_times_of_a_dataset_are_those_of_its_catalog(tmp_path):
    times = ["2023-05-01T10:00:00", "2023-05-01", ""]
    lines = [f"{n}.jpg,S1,{time}\n" for n, time in enumerate(times)]
    (tmp_path / "catalog.csv").write_text("path,station,timestamp\n" + "".join(lines))
    assert [row["timestamp"] for row in datasets.rows_of(tmp_path)] == times


@pytest.mark.slow
def test_found_boxes_are_those_that_an_index_run_finds(survey, tmp_path, monkeypatch):
    source = survey / "catalog"
    made = rows_in(datasets.prepare(f"{source},boxes=found,masks=no,name=found", tmp_path).folder)
    bare = datasets.prepare(f"{source},boxes=no,masks=no,name=bare", tmp_path)
    catalog = snowmatch.open_catalog(bare.folder)
    catalog.index()
    indexed = {a.path: a for a in snowmatch.open_catalog(bare.folder).data.annotations}
    assert any(row["bbox"] for row in made)
    for row in made:
        box = indexed[row["path"]].bbox if indexed[row["path"]].box_by else None
        assert row["bbox"] == ("" if box is None else ",".join(map(str, box)))
    monkeypatch.setattr(own_boxes, "look", None)  # the boxes of the first time are kept
    assert rows_in(datasets.prepare(f"{source},boxes=found,masks=no,name=found", tmp_path).folder) == made


def test_joined_datasets_have_the_rows_of_both(survey, tmp_path):
    source = survey / "catalog"
    both = datasets.prepare(f"{source},every=2,name=even;{source},every=2,from=1,name=odd", tmp_path)
    assert both.name == "even+odd"
    parts = {name: rows_in(tmp_path / "datasets" / name) for name in ("even", "odd")}
    joined = rows_in(both.folder)
    assert [row["path"] for row in joined] == [f"{n}/{row['path']}" for n, rows in parts.items() for row in rows]
    assert all((both.folder / row["path"]).is_file() for row in joined)
    assert all(not row["mask"] or (both.folder / row["mask"]).is_file() for row in joined)
    annotations = snowmatch.open_catalog(both.folder).data.annotations
    alone = sum(len({row["encounter"] for row in rows}) for rows in parts.values())
    assert len({a.encounter for a in annotations}) == alone
    with pytest.raises(SnowmatchError, match=r"is in even and in all, expected other animals in each"):
        datasets.prepare(f"{source},every=2,name=even;{source},name=all", tmp_path)


def test_two_datasets_of_one_run_have_two_names(tmp_path):
    one, other = (f"{tmp_path / place / 'catalog'}" for place in ("naryn", "sarychat"))
    for text in (f"{one};{other}", f"{one};{one}"):
        with pytest.raises(SnowmatchError, match=r"have one name, 'catalog': add ,name=NAME"):
            datasets.prepare(text, tmp_path)
    with pytest.raises(SnowmatchError, match="have one name, 'catalog'"):
        run.main(["--dataset", one, "--dataset", other, "--method", "snowmatch_engine"])
    with pytest.raises(SnowmatchError, match="have one name, 'catalog'"):
        datasets.check_names([f"{one};synthetic", other])
    datasets.check_names([one, f"{other},name=sarychat", one])


def test_photos_without_a_box_stay_without_a_name(survey, tmp_path):
    source = survey / "catalog"
    rows = rows_in(datasets.prepare(f"{source},boxes=mask,name=drawn", tmp_path).folder)
    boxed = [row for row in rows if row["bbox"]]
    source_rows = {(row["path"], row["individual"]) for row in boxed[::2] if row["individual"]}
    path = tmp_path / "datasets" / "drawn" / "catalog.csv"
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows({**row, "bbox": row["bbox"] if row in boxed[::2] else ""} for row in rows)
    made = rows_in(datasets.prepare(f"{path.parent},named=boxed,boxes=no", tmp_path).folder)
    assert len(made) == len(rows)
    assert not any(row["bbox"] for row in made)
    assert {(row["path"], row["individual"]) for row in made if row["individual"]} == source_rows


def test_bars_of_wrong_animals_are_found_as_bars(survey, tmp_path):
    folder = tmp_path / "split"
    rows = datasets.rows_of(survey / "catalog")
    rows = [{**row, "split": ("train", "test")[n % 2]} for n, row in enumerate(rows[:8])]
    datasets._write(folder, survey / "catalog", rows)
    made = datasets.prepare(f"{folder},bars=wrong,box=0/0/1/1", tmp_path)
    texts = {}
    for old, new in zip(rows, rows_in(made.folder), strict=True):
        assert [new[name] for name in ("individual", "split")] == [old[name] for name in ("individual", "split")]
        photo, plain = (datasets.read_photo(f / row["path"]) for f, row in ((made.folder, new), (folder, old)))
        bar = info_bars(cv2.cvtColor(photo, cv2.COLOR_RGB2GRAY))
        assert bar == (0, round(datasets.BAR_HEIGHT * len(photo)))
        rest = len(photo) - bar[1] - 8
        assert np.abs(photo[:rest].astype(float) - plain[:rest]).mean() < 3  # the bar alone was drawn
        texts.setdefault((new["individual"], new["split"]), []).append(photo[-bar[1] :])
    names = sorted({name for name, _ in texts})
    assert len(names) > 1
    for (name, split), bars in texts.items():
        other = texts.get((names[(names.index(name) + 1) % len(names)], "train"))
        if split == "test" and other:
            assert np.abs(bars[0].astype(float) - other[0]).mean() < 5


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{catalog},mask=no", "no key 'mask'"),
        ("{catalog},parts=tail", "change these keys"),
        ("synthetic,boxed=yes", "no key 'boxed'"),
        ("{catalog},masks=false", "masks is 'false'; expected one of yes, no"),
        ("{catalog},boxes=none", "boxes is 'none'; expected"),
        ("{catalog},named=box", "named is 'box'; expected one of all, boxed"),
        ("{catalog},boxed=True", "boxed is 'True'; expected one of no, yes"),
        ("{catalog},bars=yes", "bars is 'yes'; expected one of no, wrong"),
        ("{catalog},parts=left_flank+right", "parts is 'right'; expected"),
        ("{catalog},every=0", "every is '0', expected a whole number from 1 up"),
        ("{catalog},each=0", "each is '0', expected a whole number from 1 up"),
        ("{catalog},each=x", "each is 'x'"),
        ("{catalog},first=²", "first is '²'"),
        ("{catalog},box=0/0/1", "box is '0/0/1', expected four shares"),
        ("{catalog},box=a/0/1/1", "box is 'a/0/1/1'"),
        ("{catalog},box=0/0/1/1.5", "box is '0/0/1/1.5'"),
        ("synthetic,individuals=x", "individuals is 'x'"),
        ("synthetic,stations=0", "stations is '0', expected a whole number from 1 up"),
        ("synthetic,seed=-1", "seed is '-1', expected a whole number from 0 up"),
    ],
)
def test_a_dataset_that_cannot_be_prepared_raises_an_error_with_the_reason(survey, tmp_path, text, message):
    with pytest.raises(SnowmatchError, match=message):
        datasets.prepare(text.format(catalog=survey / "catalog"), tmp_path)


def test_metadata_of_wildlife_datasets_becomes_a_catalog(tmp_path):
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


def test_method_settings_have_the_type_of_their_default():
    name, settings = scoring.parse_method("hotspotter,repeats=3,every_annotation=yes")
    assert name == "hotspotter"
    assert settings["repeats"] == 3
    assert settings["every_annotation"] is True
    with pytest.raises(SnowmatchError, match="no method 'hotspot'"):
        scoring.parse_method("hotspot")
    with pytest.raises(SnowmatchError, match="no setting 'trees'"):
        scoring.parse_method("hotspotter,trees=4")


# suites


@pytest.mark.parametrize("suite", sorted(suites.SUITES))
def test_every_run_of_a_suite_names_an_existing_method_dataset_and_protocol(suite):
    made = []
    for one in suites.SUITES[suite]:
        if isinstance(one, suites.Script):
            assert (Path(run.__file__).parent / one.arguments[0]).exists()
            made += one.makes
            continue
        scoring.parse_method(one.method)
        assert one.dataset in suites.DATASETS
        assert one.protocol in suites.PROTOCOLS
        made.append((one.dataset, one.protocol, one.method.replace(",keep=yes", "")))
    assert len(made) == len(set(made))


def test_a_named_dataset_keeps_its_name(tmp_path):
    for name in suites.DATASETS:
        assert datasets.name_of(suites.source_of(name, tmp_path)) == name
    assert suites.source_of("catalog/,every=2", tmp_path) == "catalog/,every=2"


def test_hotspotter_runs_once_for_each_dataset_and_protocol():
    asked = [(r.dataset, r.protocol) for runs in suites.SUITES.values() for r in runs if isinstance(r, suites.Run)]
    hotspotter = [
        (r.dataset, r.protocol)
        for runs in suites.SUITES.values()
        for r in runs
        if isinstance(r, suites.Run) and r.method.startswith("hotspotter")
    ]
    assert len(hotspotter) == len(set(hotspotter))
    assert set(hotspotter) <= set(asked)


# figures


def table_of(survey, scores):
    trial = make_trial(snowmatch.open_catalog(survey / "catalog").data.annotations, "cross-encounter")
    return make_table(trial, scores(trial))


def test_figures_come_from_the_first_table_and_the_spread_from_all(survey, tmp_path):
    save_table(tmp_path / "0.npz", table_of(survey, lambda t: t.own().astype(float)))
    save_table(tmp_path / "1.npz", table_of(survey, lambda t: 1 - t.own().astype(float)))
    result = figures.figures_of(sorted(tmp_path.glob("*.npz")))
    assert result["figures"]["annotation_top1"] == [1, 1, 1]
    assert result["spread"]["annotation_top1"] == [0, 1]
    assert result["cmc"] == [1] * 10
    assert set(result["figures"]) == {column.name for column in figures.FIGURES}
    assert "spread" not in figures.figures_of([tmp_path / "0.npz"])
    json.dumps(result, allow_nan=False)


def test_a_method_without_left_out_queries_has_no_figures_of_known_against_new(survey, tmp_path):
    save_table(tmp_path / "0.npz", table_of(survey, lambda t: t.own().astype(float)))
    asked, not_asked = (figures.figures_of([tmp_path / "0.npz"], again)["figures"] for again in (True, False))
    assert asked["individual_auroc"][0] == asked["individual_auroc_dropped"][0] == 1
    assert not_asked["individual_auroc"] is None
    assert not_asked["individual_detection_rate"] is None
    assert not_asked["individual_auroc_dropped"][0] == 1


# results that are stored


ROW = {"command": "python x", "date": "2026-11-26", "commit": "abc1234", "snowmatch": "0.1.0"}


def test_a_run_replaces_the_run_with_the_same_name(tmp_path):
    path = tmp_path / "new" / "suite.json"
    assert store.read_runs(path) == []
    for name, value in (("a", 1), ("b", 2), ("a", 3)):
        store.put_run(path, {"run": name, **ROW, "value": value})
    assert [(r["run"], r["value"]) for r in store.read_runs(path)] == [("a", 3), ("b", 2)]
    assert store.find_run(path, "b")["value"] == 2
    assert store.find_run(path, "c") is None
    lines = path.read_text(encoding="utf-8").splitlines()
    assert (lines[0], lines[-1], len(lines)) == ("[", "]", 4)  # one run a line
    assert ": " not in lines[1]


@pytest.mark.parametrize(
    ("text", "message"),
    [("{", "not readable as JSON"), ("{}", "expected a list"), ('[{"run": "a"}]', "run 'a' has no command")],
)
def test_a_wrong_file_of_results_raises_an_error_of_one_line(tmp_path, text, message):
    (tmp_path / "suite.json").write_text(text, encoding="utf-8")
    with pytest.raises(SystemExit, match=message) as caught:
        store.read_runs(tmp_path / "suite.json")
    assert "\n" not in str(caught.value)


def test_the_engines_commit_changes_with_the_package_but_not_with_the_docs(tmp_path, monkeypatch):
    def git(*arguments):
        subprocess.run(["git", *arguments], cwd=tmp_path, check=True, capture_output=True)

    def commit(path):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text("x", encoding="utf-8")
        git("add", "-A")
        git("-c", "user.name=a", "-c", "user.email=a@b.c", "commit", "-m", path)

    git("init")
    monkeypatch.setattr(measure, "HERE", tmp_path / "benchmarks")
    commit("benchmarks/datasets.py")
    commit("snowmatch/api.py")
    engine = measure.engine_commit()
    assert engine
    commit("docs/page.md")
    assert measure.engine_commit() == engine
    commit("training/embedding/networks.py")  # the method `trained` runs it
    assert measure.engine_commit() != engine
    engine = measure.engine_commit()
    (tmp_path / "snowmatch" / "api.py").write_text("y", encoding="utf-8")
    assert measure.engine_commit() == engine + "+"
    monkeypatch.setenv("PATH", str(tmp_path / "nowhere"))
    assert measure.engine_commit() == ""


def test_results_hide_the_folders_of_files():
    given = ["--data", "/home/me/data", "--method", "embedding,file=/home/me/v.npz"]
    assert measure.command_line(given).endswith(" --data data --method embedding,file=v.npz")


def test_a_gallery_has_the_photos_that_there_are(tmp_path, monkeypatch):
    folder = small_catalog(tmp_path / "catalog", "Aika", 50)
    numbers = {"features_per_annotation": 3, "bytes_on_disk_per_annotation": 5}
    costs = {"numbers": numbers, "seconds": {"index": 1, "query": 1}, "peak_memory": 1}
    monkeypatch.setattr(speed, "apart", lambda *_, **__: costs)
    given = speed.parse(["scaling", "--dataset", str(folder), "--work", str(tmp_path / "w"), "--out", "speed.json"])
    given.real, given.distractors, given.peer = "100", "", ""
    count = len(rows_in(folder))
    (row,) = speed.scaling(given)["scaling"]["rows"]
    assert (row["annotations"], row["descriptors"], row["bytes_on_disk"]) == (count, 3 * count, 5 * count)


@pytest.mark.parametrize(
    ("program", "words"),
    [
        (speed, ["stages", "--dataset", "catalog/"]),
        (speed, ["waiting", "--individuals", "2"]),
        (scaling, ["--dataset", "catalog/"]),
        (draws, ["--animals", "10"]),
        (population, ["--seeds", "2", "--work", "w"]),
        (scenery, ["--each", "3", "--work", "w"]),
        (indexing, ["--dataset", "catalog/", "--work", "w"]),
    ],
)
def test_published_rows_are_of_the_published_settings(program, words):
    with pytest.raises(SnowmatchError, match=rf"^{words[-2 if '--work' not in words else -4]} is not that of"):
        program.main(words)


@pytest.mark.slow
def test_a_run_is_stored_and_not_repeated(tmp_path, monkeypatch, capsys):
    """Run a whole benchmark with a fast method: an embedding of random numbers."""
    monkeypatch.setattr(measure, "engine_commit", lambda: "abc1234")
    work = tmp_path / "work"
    text = "synthetic,individuals=3,encounters=3,stations=2,seed=1"
    folder = datasets.prepare(text, work).folder
    paths = sorted({row["path"] for row in rows_in(folder)})
    vectors = np.random.default_rng(0).normal(size=(len(paths), 8))
    np.savez(tmp_path / "vectors.npz", paths=np.array(paths), embeddings=vectors)
    arguments = ["--dataset", text, "--method", f"embedding,file={tmp_path / 'vectors.npz'}", "--work", str(work)]
    monkeypatch.setattr(sys, "argv", ["run.py", *arguments])
    for variable in measure.THREAD_VARIABLES:
        monkeypatch.setenv(variable, "1")  # the run sets them; monkeypatch restores them
    run.main(arguments)
    output = capsys.readouterr().out
    assert "| embedding file=vectors.npz@" in output
    (first,) = store.read_runs(work / "own.json")
    assert first["dataset"]["individuals"] == 3
    assert first["seconds"]["total"] > 0
    assert str(tmp_path) not in json.dumps(first)
    run.main([*arguments, "--queries", "2"])  # a run of some of the queries is another result
    stored = store.read_runs(work / "own.json")
    assert stored[0] == first
    assert stored[1]["queries"] == 2
    with monkeypatch.context() as patched:
        patched.setattr(scoring, "apart", lambda *_, **__: pytest.fail("done twice"))
        (work / "own.json").unlink()
        run.main(arguments)  # the figures come again from the stored scores
        assert store.read_runs(work / "own.json")[0]["figures"] == first["figures"]
    asked = []
    monkeypatch.setattr(measure, "engine_commit", lambda: "another")
    monkeypatch.setattr(scoring, "apart", lambda *_, **__: asked.append(1) or {"versions": {}, "seconds": {"total": 1}})
    run.main(arguments)  # scores of an older engine are not used
    assert asked == [1]


@pytest.mark.slow
def test_a_method_that_fails_raises_an_error_and_stores_no_result(tmp_path, capsys):
    arguments = ["--dataset", "synthetic,individuals=3,encounters=3,stations=2,seed=1"]
    arguments += ["--method", "embedding,file=nowhere.npz", "--work", str(tmp_path)]
    with pytest.raises(SystemExit, match="1 of 1 runs failed"):
        run.main(arguments)
    assert "nowhere.npz" in capsys.readouterr().err
    assert not (tmp_path / "own.json").exists()


def test_a_script_is_not_run_again_if_this_engine_made_its_results(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(measure, "engine_commit", lambda: "abc1234")
    script = suites.Script(("nowhere.py", "{data}"), ("a", "b"))
    given = run.parse(["--suite", "speed", "--work", str(tmp_path), "--data", "photos"])
    path = tmp_path / "speed.json"
    store.put_run(path, {"run": "a", **ROW})
    with pytest.raises(SnowmatchError, match=r"nowhere\.py ended with status"):
        run.perform(script, given, path)
    store.put_run(path, {"run": "b", **ROW})
    run.perform(script, given, path)
    assert "done already" in capsys.readouterr().out
    for commit, engine in (("older", "abc1234"), ("", ""), ("abc1234+", "abc1234+")):
        monkeypatch.setattr(measure, "engine_commit", lambda engine=engine: engine)
        for name in "ab":
            store.put_run(path, {"run": name, **ROW, "commit": commit})
        with pytest.raises(SnowmatchError, match=r"nowhere\.py"):
            run.perform(script, given, path)


def test_a_script_finds_its_folder(tmp_path, monkeypatch):
    def started(words, **_):
        assert Path(words[words.index("--work") + 1]).is_dir()
        return SimpleNamespace(returncode=0)

    given = run.parse(["--suite", "watching", "--work", str(tmp_path / "new" / "work")])
    monkeypatch.setattr(run.subprocess, "run", started)
    run.perform_script(suites.Script(("watching.py",), ("watching",)), given, tmp_path / "watching.json")


def test_decisions_take_the_seconds_of_the_clock_in_all(tmp_path, monkeypatch):
    clock = iter([10.0, 17.0])
    monkeypatch.setattr(decisions, "time", SimpleNamespace(process_time=lambda: 0.5, perf_counter=clock.__next__))
    words = ["--work", str(tmp_path), "--out", str(tmp_path / "decisions.json")]
    decisions.main([*words, "--sightings", "200", "--decisions", "50"])
    (run,) = store.read_runs(tmp_path / "decisions.json")
    assert run["seconds"].pop("total") == 7.0
    assert set(run["seconds"].values()) == {0.0}


def test_decisions_are_drawn_anew_after_a_run_that_was_stopped(tmp_path, monkeypatch):
    words = ["--work", str(tmp_path), "--out", str(tmp_path / "d.json"), "--sightings", "200", "--decisions", "50"]
    append, counts = decisions.append, []
    monkeypatch.setattr(decisions, "append", lambda file, rows: file.touch() or 1 / 0)
    with pytest.raises(ZeroDivisionError):
        decisions.main(words)
    who = decisions.who_is_who
    monkeypatch.setattr(decisions, "append", append)
    monkeypatch.setattr(decisions, "who_is_who", lambda seen, rows: counts.append(len(rows)) or who(seen, rows))
    decisions.main(words)
    assert counts[0] == 50


def test_photos_are_watched_only_where_the_system_tells_changes(tmp_path, monkeypatch):
    watching = pytest.importorskip("watching")
    monkeypatch.setattr(watching.folder_changes, "_why_polling", lambda _: "the package watchfiles is missing")
    with pytest.raises(SnowmatchError, match=r"does not tell the changes of .*: the package watchfiles is missing"):
        watching.main(["--work", str(tmp_path), "--out", str(tmp_path / "watching.json")])


def test_the_load_is_left_out_where_the_system_does_not_tell_it(monkeypatch):
    app = pytest.importorskip("app")
    monkeypatch.delattr(app.os, "getloadavg", raising=False)
    assert app.load() == {}
    waits = dict.fromkeys(("median", "p90", "most"), 1.0)
    table = study_tables.app_table(
        [{"waits": dict.fromkeys(("upload", "command line"), waits), "limits": {}, "cores": 2}]
    )
    assert table.splitlines()[-1].endswith("| – |")


def test_draws_are_measured_with_the_words_that_a_suite_gives(tmp_path):
    words = ["--work", str(tmp_path), "--out", str(tmp_path / "draws.json")]
    draws.main([*words, "--seeds", "1", "--animals", "12", "--draws", "2"])
    draws.main([*words, "--seeds", "2", "--animals", "3", "--draws", "2"])  # fewer sightings than a list has places
    with pytest.raises(SnowmatchError, match="--animals is 0, expected 1 or more"):
        draws.main([*words, "--animals", "0"])
    run = store.read_runs(tmp_path / "draws.json")[0]
    assert sorted(run["settings"]) == ["accuracy", "animals", "capture", "draws", "effort", "occasions", "seeds"]


def test_the_list_shows_the_duration_of_each_suite(tmp_path, capsys):
    store.put_run(tmp_path / "synthetic.json", {"run": "a", **ROW, "seconds": {"total": 150}})
    run.main(["--list", "--results", str(tmp_path)])
    output = capsys.readouterr().out
    assert "; 2 runs, 2 minutes\n    synthetic-40 cross-station snowmatch_engine\n" in output
    assert "; 3 runs, about 25 minutes\n    speed.py waiting\n" in output
    assert set(suites.ABOUT) == set(suites.SUITES)


def test_the_minutes_of_a_suite_are_those_of_its_own_runs():
    (made,) = [script.makes for script in suites.SUITES["scaling"]]
    whole = [{"run": name, "seconds": {"total": 60}} for name in made]
    other = {"run": "large annotations=100000,features=2500", "seconds": {"total": 9000}}
    assert suites.minutes_of("scaling", [*whole, other]) == 3
    assert suites.minutes_of("scaling", [*whole[:-1], {"run": made[-1], "seconds": {}}]) is None
    assert suites.minutes_of("scaling", [other]) is None
    assert suites.minutes_of("synthetic", [{"run": "any", "seconds": {"total": 130}}, {"run": "none"}]) == 2


def test_half_of_each_animals_encounters_are_on_record_for_all_queries(survey):
    trial = make_trial(snowmatch.open_catalog(survey / "catalog").data.annotations, "cross-encounter")
    half = halves.halved(trial, 1)
    asked, record = ({halves._passage(half.annotations[row]) for row in rows} for rows in (half.queries, half.gallery))
    assert asked
    assert not asked & record
    animals = {animal[:2] for animal in asked | record}
    assert animals == {animal[:2] for animal in record}  # at least one encounter of each
    for animal in animals:
        on, off = (sum(passage[:2] == animal for passage in group) for group in (record, asked))
        assert on == max(1, (on + off) // 2)
    assert half.allowed.shape == (len(half.queries), len(half.gallery))
    assert sorted(set(half.groups.tolist())) == list(range(half.groups.max() + 1))
    assert (halves.halved(trial, 1).gallery == half.gallery).all()


def test_all_suites_do_not_repeat_the_runs_of_others_as_the_engine_alone(tmp_path):
    names = {name for name, _ in run.chosen_runs(run.parse(["--suite", "all", "--work", str(tmp_path)]))}
    assert names == set(suites.SUITES) - {"engine"}
    assert run.chosen_runs(run.parse(["--suite", "engine", "--work", str(tmp_path)]))


def test_a_suite_can_be_limited_to_one_method(tmp_path):
    every = run.chosen_runs(run.parse(["--suite", "nyala", "--work", str(tmp_path)]))
    ours = run.chosen_runs(run.parse(["--suite", "nyala", "--work", str(tmp_path), "--method", "snowmatch_engine"]))
    assert ours == [(name, each) for name, each in every if each.method.startswith("snowmatch_engine")]
    assert 0 < len(ours) < len(every)
    with pytest.raises(SnowmatchError, match="suite nyala has no run of lens"):
        run.chosen_runs(run.parse(["--suite", "nyala", "--method", "lens"]))


def test_a_program_runs_with_the_engine_of_its_folder_alone(monkeypatch, tmp_path):
    ran = []
    measure.run_command(lambda: ran.append(1))
    monkeypatch.setattr(measure, "HERE", tmp_path / "benchmarks")
    with pytest.raises(SystemExit, match="set PYTHONPATH"):
        measure.run_command(lambda: ran.append(2))
    assert ran == [1]
    for program in ("benchmarks/deep", "training"):
        folder = Path(__file__).parents[1] / program
        command = next(iter(runpy.run_path(str(folder / "__main__.py"))["COMMANDS"]))
        monkeypatch.setattr(sys, "argv", [program, command, "--help"])
        monkeypatch.setattr(sys, "path", [str(folder), *sys.path])
        with pytest.raises(SystemExit, match="set PYTHONPATH"):
            runpy.run_path(str(folder / "__main__.py"), run_name="__main__")


def test_a_commit_during_a_run_gets_no_credit(tmp_path, monkeypatch):
    commits = ["abc1234"]

    def scored(*_, kept, **__):
        kept.mkdir(parents=True, exist_ok=True)
        commits.append("new5678")
        return {"versions": {}, "seconds": {"total": 1}}

    monkeypatch.setattr(scoring, "apart", scored)
    monkeypatch.setattr(measure, "engine_commit", lambda: commits[-1])
    catalog = small_catalog(tmp_path / "catalog", "Aika", 50)
    made = scoring.scores_of(suites.Run(str(catalog), "cross-encounter", "wildid"), tmp_path / "work")
    assert made.costs["commit"] == "abc1234"
