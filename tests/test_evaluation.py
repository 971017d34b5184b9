"""Evaluation: the gallery of each protocol, the table of scores, and the evaluation of the engine."""

import csv
import errno
import io
import json
import shutil
from dataclasses import fields, replace

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

import snowmatch
from snowmatch.cli import main
from snowmatch.confidence.cases import make_cases
from snowmatch.confidence.measures import measure
from snowmatch.confidence.score_table import ScoreTable, is_table, load_table, make_table, save_table
from snowmatch.confidence.scoring import score_trial
from snowmatch.confidence.trial import make_trial
from snowmatch.core.errors import SnowmatchError
from snowmatch.core.home import calibration_path
from snowmatch.core.types import Annotation
from snowmatch.matching.gallery import Gallery
from snowmatch.matching.query import score_query
from snowmatch.matching.scores import REJECTED, VERIFIED, prior
from snowmatch.matching.search import inverted_file
from snowmatch.views.evaluation import format_evaluation
from snowmatch.views.text import MARKS

pytestmark = pytest.mark.usefixtures("seen_once")


def annotation(row, individual, part="left_flank", encounter=None, station="", split=""):
    return Annotation(
        row, f"{row}.jpg", individual, part, encounter=encounter or f"e{row}", station=station, split=split
    )


HAND = (
    annotation(0, "aika", encounter="e0", station="s1", split="test"),
    annotation(1, "aika", encounter="e0", station="s1", split="train"),
    annotation(2, "aika", encounter="e1", station="s2", split="train"),
    annotation(3, "bars", encounter="e2", station="s1", split="train"),
    annotation(4, "bars", "right_flank", encounter="e3", station="s2", split="test"),
    annotation(5, None, encounter="e4", station="s3"),
    annotation(6, "bars", "unknown", encounter="e5", station="", split="train"),
    annotation(7, "cora", encounter="e6", station="", split="test"),
)


def test_cross_encounter_leaves_out_the_own_encounter_other_flanks_and_unidentified_photos():
    trial = make_trial(HAND, "cross-encounter")
    assert list(trial.queries) == list(trial.gallery) == [0, 1, 2, 3, 4, 6, 7]
    asked = dict(zip(trial.queries, trial.allowed, strict=True))
    assert list(trial.gallery[asked[0]]) == [2, 3, 6, 7]
    assert list(trial.gallery[asked[4]]) == [6]  # a right flank is compared with unknown parts only, here
    assert list(trial.gallery[asked[6]]) == [0, 1, 2, 3, 4, 7]
    assert trial.individual_names == ("aika", "bars", "cora")


def test_a_damaged_calibration_is_told_before_the_queries_are_asked(own_survey, monkeypatch):
    asked = []
    monkeypatch.setattr("snowmatch.identify.evaluate.score_trial", lambda *_: asked.append(1))
    calibration_path(own_survey / "catalog").write_text("{}", encoding="utf-8")
    with pytest.raises(SnowmatchError, match=r"calibration\.json is damaged"):
        snowmatch.open_catalog(own_survey / "catalog").evaluate()
    assert not asked


def test_cross_station_counts_an_empty_station_as_one():
    trial = make_trial(HAND, "cross-station")
    asked = dict(zip(trial.queries, trial.allowed, strict=True))
    assert list(trial.gallery[asked[0]]) == [2, 6, 7]
    assert list(trial.gallery[asked[6]]) == [0, 1, 2, 3, 4]


def test_split_has_test_queries_and_a_train_gallery_without_the_own_encounter():
    trial = make_trial(HAND, "split")
    assert list(trial.queries) == [0, 4, 7]
    assert list(trial.gallery) == [1, 2, 3, 6]
    assert list(trial.gallery[trial.allowed[0]]) == [2, 3, 6]
    assert trial.individual_names == ("aika", "bars")


def test_one_group_is_one_body_part_of_one_individual_in_one_encounter():
    assert list(make_trial(HAND, "cross-encounter").groups) == [0, 0, 1, 2, 3, 4, 5]


def test_a_group_of_cross_station_has_one_station_because_its_queries_share_what_may_answer():
    mixed = (
        annotation(0, "aika", encounter="e0", station="s1"),
        annotation(1, "aika", encounter="e0", station=""),
        replace(annotation(2, "aika", encounter="e0", station="s1"), location="naryn"),
        annotation(3, "aika", encounter="e1", station="s1"),
        annotation(4, "bars", encounter="e2", station=""),
    )
    trial = make_trial(mixed, "cross-station")
    assert list(trial.groups) == [0, 1, 2, 3, 4]
    assert list(make_trial(mixed, "cross-encounter").groups) == [0, 0, 0, 1, 2]
    for group in set(trial.groups):
        assert len(np.unique(trial.allowed[trial.groups == group], axis=0)) == 1


@pytest.mark.parametrize(
    ("annotations", "protocol", "message"),
    [
        (HAND, "cross-encounters", "did you mean 'cross-encounter'"),
        (HAND[:5], "splits", "expected one of"),
        ([annotation(0, "aika")], "split", "has: \\(empty\\)"),
        ([annotation(0, None)], "cross-encounter", "no annotation has an individual"),
    ],
)
def test_a_trial_that_cannot_be_made_raises_an_error_with_the_reason(annotations, protocol, message):
    with pytest.raises(SnowmatchError, match=message):
        make_trial(annotations, protocol)


def hand_table():
    trial = make_trial(HAND[:4], "cross-encounter")
    #                    gallery 0    1    2    3
    scores = np.array(
        [
            [9.0, 9.0, 3.0, 5.0],
            [9.0, 9.0, 6.0, 2.0],
            [4.0, 1.0, 9.0, 2.0],
            [1.0, 2.0, -np.inf, 9.0],
        ]
    )
    return trial, make_table(trial, scores)


def test_forbidden_pairs_are_nan_and_other_scores_are_derived():
    _, table = hand_table()
    nan, low = np.nan, -np.inf
    np.testing.assert_array_equal(table.scores, [[nan, nan, 3, 5], [nan, nan, 6, 2], [4, 1, nan, 2], [1, 2, low, nan]])
    assert list(table.individual_names) == ["aika", "bars"]
    np.testing.assert_array_equal(table.individual_scores, [[3, 5], [6, 2], [4, 2], [2, nan]])
    np.testing.assert_array_equal(table.left_out_scores, [[nan, 5], [nan, 2], [nan, 2], [2, nan]])
    np.testing.assert_array_equal(table.group_scores, [[9, 7], [4, 2], [2, nan]])
    np.testing.assert_array_equal(table.group_left_out_scores, [[nan, 7], [nan, 2], [2, nan]])
    assert list(table.group_queries) == [0, 2, 3]


def test_how_often_an_animal_was_met_is_counted_in_passages_as_a_query_does(tmp_path):
    met = [("aika", "e0", "p"), ("aika", "e1", "p"), ("aika", "e2", "q"), ("bars", "e3", "r"), ("bars", "e4", "s")]
    rows = tuple(
        replace(annotation(n, name, encounter=encounter), passage=passage)
        for n, (name, encounter, passage) in enumerate(met)
    )
    table = make_table(make_trial(rows, "cross-encounter"), np.ones((5, 5)))
    assert [table.sightings(query).tolist() for query in (0, 2, 3)] == [[1, 2], [1, 2], [2, 1]]
    gallery = Gallery(rows, tuple("abcde"), None, tmp_path, "x")
    for query in range(5):
        allowed = np.array([a.passage != rows[query].passage for a in rows])
        np.testing.assert_array_equal(table.sightings(query), gallery.sightings(allowed))
    cases = make_cases(table)
    assert {tuple(case.encounters) for case in cases if case.passage == "r" and case.right >= 0} == {(2, 1)}
    save_table(tmp_path / "a.npz", table)
    assert load_table(tmp_path / "a.npz").sightings(3).tolist() == [2, 1]


def test_the_figures_of_a_table_are_as_computed_by_hand():
    _, table = hand_table()
    measured = measure(table)
    assert (measured.queries, measured.answerable, measured.groups) == (4, 3, 2)
    figures = {name: figure.value for name, figure in measured.figures.items()}
    # photos: 3 is below 5, 6 above 2, 4 above 2 (the only query of bars has no right answer)
    assert figures["annotation_top1"] == figures["individual_top1"] == pytest.approx(2 / 3)
    assert figures["annotation_top5"] == 1
    assert figures["annotation_macro_top1"] == pytest.approx(2 / 3)  # one flank of one animal
    assert figures["encounter_top1"] == 1
    assert figures["annotation_map"] == pytest.approx((1 / 2 + 1 + (1 + 2 / 3) / 2) / 3)
    assert figures["annotation_dt5ap"] == pytest.approx((0 + 1 + (1 + 1 / 2) / 2) / 3)
    # known: the highest scores are 5, 6, 4; new: 5, 2, 2, 2; 4 and 5 exceed three of four (5 ties), 6 exceeds all
    assert figures["individual_auroc"] == pytest.approx((3 / 4 + 1 + 3 / 4) / 3)
    assert figures["individual_detection_rate"] == pytest.approx(1 / 3)  # only 6 is above 5, and its answer is right
    animal = measured.by_animal[0]
    assert (animal.individual, animal.queries, animal.annotation_right, animal.individual_right) == ("aika", 3, 2, 2)


def test_a_missing_score_raises_an_error():
    trial = make_trial(HAND[:4], "cross-encounter")
    with pytest.raises(ValueError, match="NaN"):
        make_table(trial, np.full((4, 4), np.nan))
    with pytest.raises(ValueError, match="expected \\(4, 4\\)"):
        make_table(trial, np.zeros((4, 3)))


def test_a_table_is_saved_with_the_same_bytes_twice_and_read_back(tmp_path):
    _, table = hand_table()
    save_table(tmp_path / "a.npz", table)
    save_table(tmp_path / "b.npz", table)
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()
    with np.load(tmp_path / "a.npz", allow_pickle=False) as stored:
        assert (stored["scores"].dtype, stored["individual_scores"].dtype) == (np.float64, np.float32)
        assert set(stored) >= {"paths", "individual", "body_part", "encounter", "station", "queries", "gallery"}
        assert set(stored) >= {"scores", "individual_names", "individual_scores"}
    again = load_table(tmp_path / "a.npz")
    for name in stored.files:
        np.testing.assert_array_equal(getattr(again, name), getattr(table, name))


@pytest.mark.parametrize("content", [b"", b"not a zip", b"PK\x03\x04broken"])
def test_a_file_that_is_not_a_table_raises_an_error(tmp_path, content):
    (tmp_path / "x.npz").write_bytes(content)
    with pytest.raises(SnowmatchError, match="damaged or is not a valid score table file"):
        load_table(tmp_path / "x.npz")


@pytest.fixture(scope="module")
def evaluated(survey):
    return snowmatch.open_catalog(survey / "catalog").evaluate()


def test_the_engine_finds_the_synthetic_animals(evaluated):
    figures = evaluated.measured.figures
    assert figures["annotation_top1"].value >= 0.7
    assert figures["encounter_top1"].value >= 0.7
    assert figures["individual_auroc"].value > 0.5
    assert any("unidentified" in note.text for note in evaluated.notes)


def test_the_ranking_prefers_animals_that_were_met_often_as_a_query_does(evaluated, survey):
    table = evaluated.table
    trial = make_trial(snowmatch.open_catalog(survey / "catalog").data.annotations, "cross-encounter")
    numbers = trial.individual_numbers
    for group in range(len(table.prior)):
        query = int(np.flatnonzero(table.groups == group)[0])
        met = [
            len({trial.annotations[row].passage for row in trial.gallery[trial.allowed[query] & (numbers == i)]})
            for i in range(len(table.individual_names))
        ]
        assert table.prior[group] == pytest.approx(prior(np.array(met)), abs=1e-6)
    assert table.prior.max() > 0
    assert table.ranking(table.queries[:0]).dtype == np.float64


def test_scores_follow_the_rules_of_the_table(evaluated, survey):
    table = evaluated.table
    trial = make_trial(snowmatch.open_catalog(survey / "catalog").data.annotations, "cross-encounter")
    np.testing.assert_array_equal(np.isnan(table.scores), ~trial.allowed)
    assert (table.scores[trial.allowed] >= 0).all()
    own = table.individual[table.queries][:, None] == table.individual_names
    assert np.isnan(table.left_out_scores[own]).all()


def test_the_scores_of_annotations_with_the_prior_are_the_ranking_of_a_single_query(evaluated, survey):
    table, session = evaluated.table, snowmatch.open_catalog(survey / "catalog").session()
    trial = make_trial(session.data.annotations, "cross-encounter")
    gallery, method = session.gallery, session.method
    entries = {a.row: entry for entry, a in enumerate(gallery.annotations)}
    columns = [entries[row] for row in trial.gallery]
    ranked = table.annotation_ranking()
    for query in range(0, len(trial.queries), 5):
        allowed = np.zeros(len(gallery.annotations), bool)
        allowed[[entries[row] for row in trial.gallery[trial.allowed[query]]]] = True
        row = trial.queries[query]
        part, subject = trial.annotations[row].body_part, gallery.subject(entries[row])
        scores = score_query([subject], gallery, allowed, part, method.matcher, method.geometry)
        expected = np.where(trial.allowed[query], scores.ranking[columns], np.nan)
        assert np.nansum(expected) > 0
        np.testing.assert_allclose(ranked[query], expected, rtol=1e-6)  # the table has the prior as float32
        own = np.where(scores.accepted, scores.scores, REJECTED * scores.pre_scores)[columns]
        np.testing.assert_array_equal(table.scores[query], np.where(trial.allowed[query], own, np.nan))


def test_a_rejected_annotation_of_an_animal_met_often_stays_below_every_verified_one(evaluated):
    table = evaluated.table
    rejected = (table.scores > 0) & (table.scores <= VERIFIED)
    assert rejected.any()
    assert (table.annotation_ranking()[rejected] > VERIFIED).any()  # the prior ranks it, and is not in its score
    trial = make_trial(HAND[:4], "cross-encounter")
    scores = np.where([[1, 1, 0, 1]] * 4, 1e-9, 0.12)  # the third photo is the one that was verified
    table = make_table(trial, scores, prior=np.tile(np.float32([0.15, 0.0]), (3, 1)), chance=np.array([1, 4, 1, 1.0]))
    first, second = (table.annotation_ranking()[n][2:] for n in (0, 1))
    np.testing.assert_allclose(first, [0.12 + 0.15, 1e-9], rtol=1e-6)
    np.testing.assert_allclose(second, [0.12 + 0.3, 1e-9], rtol=1e-6)
    assert table.scores[0, 2] == 0.12
    often = replace(table, prior=np.tile(np.float32([0.0, 0.15]), (3, 1)))
    right = table.individual[table.gallery] == "aika"
    assert table.annotation_places(0, right).tolist() == [1]
    assert often.annotation_places(0, right).tolist() == [2]


def test_the_table_and_a_query_have_the_same_scores(evaluated, survey):
    """A query through the Python interface gives the same individuals in the same order with the same scores."""
    catalog = snowmatch.open_catalog(survey / "catalog")
    table = evaluated.table
    unnamed = [a.encounter for a in catalog.data.annotations if a.individual is None]
    for q in (0, len(table.queries) // 2):
        row = catalog.data.annotations[table.queries[q]]
        answer = catalog.query(survey / "catalog" / row.path, exclude_encounters=sorted(set(unnamed)), top=100)
        found = {c.individual: c.score for c in answer.candidates if c.accepted}
        scores = dict(zip(table.individual_names.tolist(), table.individual_scores[q].tolist(), strict=True))
        assert found
        for name, score in found.items():
            assert scores[name] == pytest.approx(score, rel=1e-5)
        rejected = [c.individual for c in answer.candidates if not c.accepted]
        assert all(scores[name] < min(found.values()) for name in rejected)


def test_left_out_scores_equal_those_of_a_catalog_without_the_animal(survey, tmp_path, monkeypatch):
    # Exhaustive search finds the same neighbours in both catalogs
    monkeypatch.setattr(inverted_file, "EXHAUSTIVE_ROWS", 1 << 30)
    catalog = snowmatch.open_catalog(survey / "catalog")
    trial = make_trial(catalog.data.annotations, "cross-encounter")
    one = replace(trial, queries=trial.queries[:1], open_to=trial.open_to.of(np.array([0])), groups=trial.groups[:1])
    session = catalog.session()
    table = score_trial(one, session.galleries, session.method.matcher, session.method.geometry)
    name, query_path = str(table.individual[table.queries[0]]), str(table.paths[table.queries[0]])
    folder = shutil.copytree(survey / "catalog", tmp_path / "without")
    lines = (folder / "catalog.csv").read_text(encoding="utf-8").splitlines(keepends=True)
    kept = [line for line in lines if f",{name}," not in line or line.startswith(query_path)]
    assert len(kept) < len(lines)
    (folder / "catalog.csv").write_text("".join(kept), encoding="utf-8")
    without = snowmatch.open_catalog(folder)
    without.index()
    unnamed = sorted({a.encounter for a in without.data.annotations if a.individual is None})
    answer = without.query(folder / query_path, exclude_encounters=unnamed, top=100)
    found = {c.individual: c.score for c in answer.candidates if c.accepted}
    scores = dict(zip(table.individual_names.tolist(), table.left_out_scores[0].tolist(), strict=True))
    assert found
    assert name not in found
    for other, score in found.items():
        assert scores[other] == pytest.approx(score, rel=1e-5)


def test_an_annotation_without_features_counts_as_wrong(own_survey):
    folder = own_survey / "catalog"
    (folder / "masks").joinpath("none.png").write_bytes(_black_png())
    lines = (folder / "catalog.csv").read_text(encoding="utf-8").splitlines()
    head = lines[0].split(",")
    rows = list(csv.DictReader(lines))
    first = rows[0]["individual"]
    names = sorted({row["individual"] for row in rows} - {first, ""})[:2]  # three animals are enough
    rows = [row for row in rows if row["individual"] in (first, *names)]
    rows[0]["mask"] = "masks/none.png"
    with (folder / "catalog.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, head)
        writer.writeheader()
        writer.writerows(rows)
    catalog = snowmatch.open_catalog(folder)
    catalog.index()
    result = catalog.evaluate()
    table = result.table
    column = int(np.flatnonzero(table.gallery == 0)[0])
    scores = table.scores[:, column]
    assert np.isneginf(scores[~np.isnan(scores)]).all()
    asked = int(np.flatnonzero(table.queries == 0)[0])
    assert np.isneginf(table.scores[asked][~np.isnan(table.scores[asked])]).all()
    assert any("have no features" in note.text for note in result.notes)


def _black_png():
    stored = io.BytesIO()
    Image.new("L", (800, 533)).save(stored, "PNG")
    return stored.getvalue()


def test_the_text_has_every_figure_and_animal(evaluated):
    text = format_evaluation(evaluated)
    assert f"{100 * evaluated.measured.figures['annotation_top1'].value:.1f} % [" in text
    assert "found at 1 % false alarms" in text
    assert f"in {evaluated.measured.groups} encounters (each body part of an encounter counts once)" in text
    assert all(f"{MARKS[level.level]} {level.level}" in text for level in evaluated.quality.levels)
    assert f"{evaluated.quality.decisions} answers" in text
    assert len(text.splitlines()) == 31 + len(evaluated.measured.by_animal)


def test_the_command_prints_json_and_saves_the_scores(survey, evaluated, tmp_path):
    saved = tmp_path / "scores.npz"
    run = CliRunner().invoke(main, ["evaluate", str(survey / "catalog"), "--save", str(saved), "--json"])
    assert run.exit_code == 0, run.output
    assert "unidentified" in run.stderr
    printed = json.loads(run.stdout)
    assert printed["schema"] == "snowmatch.evaluate/1"
    assert printed["method"]["extractor"]["name"] == "hesaff"
    for name, figure in evaluated.measured.figures.items():  # a second evaluation gives the same figures
        assert printed["figures"][name]["value"] == pytest.approx(figure.value, abs=1e-6), name
    with np.load(saved) as stored:
        for name in stored.files:
            np.testing.assert_array_equal(stored[name], getattr(evaluated.table, name))


def test_a_catalog_without_answerable_queries_prints_a_sentence(own_survey):
    folder = own_survey / "catalog"
    head, *lines = (folder / "catalog.csv").read_text(encoding="utf-8").splitlines(keepends=True)
    once = [next(line for line in lines if f",{name}," in line) for name in ("aika", "bars")]
    (folder / "catalog.csv").write_text("".join([head, *once]), encoding="utf-8")
    run = CliRunner().invoke(main, ["evaluate", str(folder)])
    assert run.exit_code == 0, run.output
    assert "Nothing to measure" in run.stdout


def test_one_individual_cannot_be_measured_and_the_error_says_what_can_be_done(own_survey):
    folder = own_survey / "catalog"
    head, *lines = (folder / "catalog.csv").read_text(encoding="utf-8").splitlines(keepends=True)
    own = [line for line in lines if ",aika," in line]
    assert len(own) > 1
    (folder / "catalog.csv").write_text("".join([head, *own]), encoding="utf-8")
    run = CliRunner().invoke(main, ["evaluate", str(folder)])
    assert (run.exit_code, run.stdout) == (1, "")
    assert "all photos with a name show one individual, aika: no other could be the answer" in run.stderr
    assert f"(snowmatch query PHOTO --catalog {folder} --draw answer/)" in run.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--protocol", "cross"], "expected one of"),
        (["--save", "."], "is a folder"),
        (["--extractor", "sift", "--extractor", "sift"], "expected at least one, each once"),
        (["--extractor", "sift"], "snowmatch index"),
    ],
)
def test_bad_arguments_give_an_error_without_traceback(survey, arguments, message):
    run = CliRunner().invoke(main, ["evaluate", str(survey / "catalog"), *arguments])
    assert run.exit_code in (1, 2)
    assert message in run.stderr
    assert "Traceback" not in run.output


def test_the_surest_photo_of_an_encounter_has_the_highest_score(survey):
    catalog = snowmatch.open_catalog(survey / "catalog")
    trial = make_trial(catalog.data.annotations, "cross-encounter")
    group = int(np.argmax(np.bincount(trial.groups)))
    members = np.flatnonzero(trial.groups == group)
    assert len(members) > 1
    own, (q, i) = trial.own()[members[0]], (len(trial.queries), len(trial.individual_names))
    right = trial.individual_numbers[own][0]
    individual = np.zeros((q, i))
    individual[members, right] = 1  # every photo is right, except the surest
    individual[members[-1], (right + 1) % i] = 2
    scores = np.zeros((q, len(trial.gallery)), np.float32)
    table = make_table(trial, scores, individual)
    figures = measure(table).figures
    queries = figures["encounter_best_photo"].queries
    assert figures["encounter_best_photo"].value == 0
    individual[members[0], right] = 3
    assert measure(make_table(trial, scores, individual)).figures["encounter_best_photo"].value == 1 / queries


def test_a_score_table_of_an_earlier_version_is_told_and_may_be_replaced(tmp_path):
    path = tmp_path / "scores.npz"
    names = [field.name for field in fields(ScoreTable) if field.name not in ("passage", "chance")]
    np.savez(path, **{"scores" if name == "cells" else name: np.zeros((1, 1)) for name in names})
    assert is_table(path)
    with pytest.raises(SnowmatchError, match="written by an earlier version of snowmatch: evaluate the catalog again"):
        load_table(path)


def test_figures_are_told_before_a_file_that_cannot_be_written(survey, tmp_path, monkeypatch):
    def full(path, mode):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("snowmatch.core.files._create", full)
    run = CliRunner().invoke(main, ["evaluate", str(survey / "catalog"), "--save", str(tmp_path / "scores.npz")])
    assert run.exit_code == 1
    assert "by individual" in run.stdout
    assert "No space left on device; free some disk space and run it again" in run.stderr
