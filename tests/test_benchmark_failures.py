"""The page of failures: every loss once, rules on evidence made by hand, and what a person wrote stays."""

import csv
import re
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

sys.path.insert(0, str(Path(__file__).parents[1] / "benchmarks"))

import failures as page
from conftest import read_rows

import snowmatch
from snowmatch.confidence.score_table import make_table
from snowmatch.confidence.trial import make_trial
from snowmatch.core.errors import SnowmatchError
from snowmatch.core.types import Annotation


def shuffled(trial, seed=0):
    """A table of random scores: most of its first answers are wrong."""
    return make_table(trial, np.random.default_rng(seed).uniform(1, 20, trial.allowed.shape))


def four_lost(trial):
    """A table in which four queries get a wrong answer, all others the right one: quick to explain."""
    scores = np.where(trial.own(), 9.0, 1.0)
    answerable = (trial.own() & trial.allowed).any(axis=1) & (~trial.own() & trial.allowed).any(axis=1)
    lost = np.flatnonzero(answerable)[:4]
    scores[lost] = np.where(trial.own()[lost], 2.0, 5.0) + np.arange(4)[:, None] * ~trial.own()[lost]
    return make_table(trial, scores)


def ask(folder, catalog, table=None, most=3, protocol="cross-encounter"):
    trial = make_trial(catalog.data.annotations, protocol)
    (plugin,), matcher, geometry = catalog.method(None, "lnbnn", {})
    return page.write_page(catalog, plugin, matcher, geometry, trial, table or shuffled(trial), folder, most)


@pytest.fixture(scope="module")
def catalog(survey):
    return snowmatch.open_catalog(survey / "catalog")


@pytest.fixture(scope="module")
def four(catalog):
    return four_lost(make_trial(catalog.data.annotations, "cross-encounter"))


@pytest.fixture(scope="module")
def written(catalog, tmp_path_factory):
    """The failures of a shuffled table and the folder of their page."""
    folder = tmp_path_factory.mktemp("page") / "failures"
    return ask(folder, catalog), folder


@pytest.fixture
def plain():
    """A failure that no rule explains: good photos, a weak wrong answer on the animal, from another station."""
    looks = page.Looks(features=1000, sharpness=200.0, covered=0.7, size=0.5, edge=False)
    pair = page.Pair(5.0, 5.0, 12, True, 0.9, 0.8, 0.0)
    return page.Failure(
        Annotation(0, "query.jpg", "A", "left_flank", station="S1", encounter="E1"),
        Annotation(1, "wrong.jpg", "B", "left_flank", station="S2", encounter="E3"),
        Annotation(2, "right.jpg", "A", "left_flank", station="S1", encounter="E2"),
        looks,
        looks,
        looks,
        pair,
        replace(pair, rank_score=2.0),
        right_rank=2,
    )


NORMS = page.Norms(features=1000, sharpness=50.0, right_score=10.0)


def test_page_lists_every_failure_once(catalog, written):
    failures, folder = written
    trial = make_trial(catalog.data.annotations, "cross-encounter")
    table = shuffled(trial)
    own = trial.own()
    lost = [
        int(row)
        for n, row in enumerate(trial.queries)
        if (own[n] & trial.allowed[n]).any()
        and np.nanmax(np.where(own[n], np.nan, table.scores[n])) >= np.nanmax(np.where(own[n], table.scores[n], np.nan))
    ]
    assert len(lost) > 10
    assert sorted(f.query.row for f in failures) == sorted(lost)
    gaps = [f.gap for f in failures]
    assert gaps == sorted(gaps, reverse=True)
    text = (folder / "index.html").read_text(encoding="utf-8")
    assert sorted(map(int, re.findall(r'<article id="f(\d+)">', text))) == list(range(1, len(lost) + 1))
    assert all(failure.query.path in text for failure in failures)
    assert "<script" not in text
    assert "http" not in text
    assert all((folder / link).is_file() for link in re.findall(r'(?:src|href)="([^#"]+)"', text))


def test_csv_has_one_row_per_failure(written):
    failures, folder = written
    rows = read_rows(folder / "failures.csv")
    assert [r["query"] for r in rows] == [f.query.path for f in failures]
    assert [r["wrong_individual"] for r in rows] == [f.wrong.individual for f in failures]
    assert all(r["individual"] == r["right_individual"] != r["wrong_individual"] for r in rows)
    assert {r["kind"] for r in rows} <= set(page.KINDS)
    assert all(r["kind_by_eye"] == "" for r in rows)
    assert all(int(r["query_features"]) > 0 and float(r["query_sharpness"]) > 0 for r in rows)
    assert all(0 <= float(r["wrong_in_place"]) <= 1 for r in rows if r["wrong_in_place"])


def test_pictures_are_small_and_as_many_as_asked_for(written):
    pictures = sorted((written[1] / "pictures").iterdir())
    assert len(pictures) == 6
    for path in pictures:
        with Image.open(path) as picture:
            assert picture.width <= 900
            assert np.asarray(picture).std() > 5


def test_worst_right_photo_is_the_best_of_the_right_ones(catalog, written):
    trial = make_trial(catalog.data.annotations, "cross-encounter")
    table = shuffled(trial)
    for failure in written[0]:
        n = int(np.flatnonzero(trial.queries == failure.query.row)[0])
        right = trial.own()[n] & trial.allowed[n]
        assert failure.right_pair.rank_score == pytest.approx(np.nanmax(table.scores[n][right]))
        assert failure.query.encounter != failure.right.encounter
        assert failure.right_rank > 1


def test_ties_count_against_and_no_features_are_no_crash(catalog, tmp_path):
    trial = make_trial(catalog.data.annotations, "cross-encounter")
    answerable = (trial.own() & trial.allowed).any(axis=1) & (~trial.own() & trial.allowed).any(axis=1)
    scores = np.where(trial.own(), 9.0, 1.0)
    first, second = np.flatnonzero(answerable)[:2]
    scores[first] = 4.0
    scores[second] = -np.inf
    failures = ask(tmp_path / "page", catalog, make_table(trial, scores))
    assert [f.query.row for f in failures] == [int(trial.queries[n]) for n in (second, first)]
    assert failures[0].gap == float("inf")
    assert failures[1].gap == 0


def test_nothing_lost_is_a_page_too(catalog, tmp_path):
    trial = make_trial(catalog.data.annotations, "cross-encounter")
    assert ask(tmp_path, catalog, make_table(trial, np.where(trial.own(), 9.0, 1.0))) == ()
    assert read_rows(tmp_path / "failures.csv") == []
    assert "0 of" in (tmp_path / "index.html").read_text(encoding="utf-8")


def test_kind_by_eye_survives_and_leads(catalog, four, tmp_path):
    assert len(ask(tmp_path, catalog, four, most=0)) == 4
    rows = read_rows(tmp_path / "failures.csv")
    rows[0]["kind_by_eye"] = " occlusion "
    rows[2]["kind_by_eye"] = "<b>fog</b>"
    with (tmp_path / "failures.csv").open("w", newline="", encoding="utf-8-sig") as file:  # as a spreadsheet saves it
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)
    for _ in range(2):
        failures = ask(tmp_path, catalog, four, most=0)
        kept = read_rows(tmp_path / "failures.csv")
        assert [r["kind_by_eye"] for r in kept[:3]] == ["occlusion", "", "<b>fog</b>"]
        assert [r["kind"] for r in kept] == [r["kind"] for r in rows]
        assert failures[0].kind == "occlusion"
    text = (tmp_path / "index.html").read_text(encoding="utf-8")
    assert "&lt;b&gt;fog&lt;/b&gt; (1)" in text
    assert "<b>fog" not in text
    assert "by rule alone" in text


def test_a_csv_that_is_something_else_is_not_overwritten(catalog, four, tmp_path):
    (tmp_path / "failures.csv").write_text("a,b\n1,2\n", encoding="utf-8")
    with pytest.raises(SnowmatchError, match="kind_by_eye"):
        ask(tmp_path, catalog, four)
    assert (tmp_path / "failures.csv").read_text(encoding="utf-8") == "a,b\n1,2\n"


def test_a_table_of_another_trial_is_refused(catalog, tmp_path):
    other = make_trial(catalog.data.annotations, "cross-station")
    table = shuffled(other)
    table = replace(table, queries=table.queries[::-1].copy())
    with pytest.raises(SnowmatchError, match="another trial"):
        ask(tmp_path, catalog, table)


def test_nothing_is_written_outside_the_folder(survey, catalog, four, tmp_path, monkeypatch):
    def state(folder):
        return {path: (path.stat().st_mtime_ns, path.stat().st_size) for path in folder.rglob("*") if not path.is_dir()}

    (tmp_path / "page" / "pictures").mkdir(parents=True)
    stale, foreign = (tmp_path / "page" / "pictures" / name for name in ("999-wrong.jpg", "mine.jpg"))
    for path in (stale, foreign):
        path.write_bytes(b"x")
    before = state(survey)
    monkeypatch.chdir(tmp_path)
    ask(tmp_path / "page", catalog, four, most=1)
    assert state(survey) == before
    assert [path.name for path in tmp_path.iterdir()] == ["page"]
    assert sorted(path.name for path in (tmp_path / "page").iterdir()) == ["failures.csv", "index.html", "pictures"]
    assert foreign.is_file()
    assert not stale.exists()


def test_odd_names_are_escaped(plain):
    odd = replace(
        plain,
        query=replace(plain.query, path='a"<script>&\u202e.jpg', individual="<i>A</i>"),
        wrong=replace(plain.wrong, path="b'<img src=x>.jpg", individual="B & C", station="<u>"),
    )
    text = page._page("<title>", [odd], {0}, {("<i>A</i>", "left_flank"): 1}, NORMS)
    for raw in ("<script", "<i>", "<u>", "<img src=x", "\u202e", "<title><title>"):
        assert raw not in text
    assert "a&quot;&lt;script&gt;&amp;\\u202e.jpg" in text
    assert "B &amp; C" in text


def test_no_rule_fires_without_reason(plain):
    assert page.kinds_of(plain, NORMS) == ("unexplained",)


def test_evidence_that_is_missing_fires_nothing(plain):
    nan = float("nan")
    bare = page.Looks(features=1000)
    unknown = replace(
        plain,
        query_looks=bare,
        right_looks=bare,
        wrong_pair=replace(plain.wrong_pair, animal_query=nan, animal_photo=nan, in_place=nan),
    )
    assert page.kinds_of(unknown, page.Norms(1000, nan, nan)) == ("unexplained",)


@pytest.mark.parametrize("side", ["query_looks", "right_looks"])
@pytest.mark.parametrize(
    ("change", "kind"),
    [
        ({"features": 249}, "too few spots"),
        ({"features": 0}, "too few spots"),
        ({"sharpness": 49.0}, "blur"),
        ({"covered": 0.2}, "occlusion"),
        ({"edge": True}, "occlusion"),
        ({"size": 0.1}, "occlusion"),
    ],
)
def test_rules_on_looks(plain, side, change, kind):
    assert page.kinds_of(replace(plain, **{side: replace(getattr(plain, side), **change)}), NORMS) == (kind,)
    # the wrong photo's own flaws are no reason
    assert page.kinds_of(replace(plain, wrong_looks=replace(plain.wrong_looks, **change)), NORMS) == ("unexplained",)


def with_pair(failure, **change):
    return replace(failure, wrong_pair=replace(failure.wrong_pair, **change))


def test_background_off_the_animal_on_either_side(plain):
    assert page.kinds_of(with_pair(plain, animal_query=0.2), NORMS) == ("background",)
    assert page.kinds_of(with_pair(plain, animal_photo=0.2), NORMS) == ("background",)
    unverified = with_pair(plain, animal_photo=0.2, accepted=False)
    assert page.kinds_of(unverified, NORMS) == ("unexplained",)


def test_background_in_place_needs_fixed_cameras(plain):
    still = with_pair(plain, in_place=0.9)
    assert page.kinds_of(replace(still, wrong=replace(still.wrong, station="S1")), NORMS) == ("background",)  # rocks
    assert page.kinds_of(still, NORMS) == ("background",)  # the bar that all of one make write
    assert page.kinds_of(with_pair(still, in_place=0.4), NORMS) == ("unexplained",)
    for name in ("query", "wrong"):
        by_hand = replace(still, **{name: replace(getattr(still, name), station="")})
        assert page.kinds_of(by_hand, NORMS) == ("unexplained",)


def test_other_flank_only_where_nothing_was_verified(plain):
    unknown = replace(plain, right=replace(plain.right, body_part="unknown"))
    assert page.kinds_of(unknown, NORMS) == ("unexplained",)
    rejected = replace(unknown, right_pair=replace(unknown.right_pair, accepted=False))
    assert page.kinds_of(rejected, NORMS) == ("other flank",)
    same = replace(plain, right_pair=replace(plain.right_pair, accepted=False))
    assert page.kinds_of(same, NORMS) == ("unexplained",)


def test_label_doubtful_needs_strength_the_animal_and_another_station(plain):
    strong = with_pair(plain, rank_score=11.0)
    assert page.kinds_of(strong, NORMS) == ("label doubtful",)
    assert page.kinds_of(with_pair(strong, accepted=False), NORMS) == ("unexplained",)
    assert page.kinds_of(with_pair(strong, animal_photo=0.3), NORMS) == ("background",)
    assert page.kinds_of(replace(strong, wrong=replace(strong.wrong, station="S1")), NORMS) == ("unexplained",)


def test_kinds_come_in_their_order(plain):
    several = replace(
        with_pair(plain, animal_query=0.1),
        query_looks=replace(plain.query_looks, sharpness=1.0, features=10, edge=True),
    )
    assert page.kinds_of(several, NORMS) == ("background", "too few spots", "occlusion", "blur")


def test_spots_at_the_same_place_of_both_photos():
    rng = np.random.default_rng(0)
    views = [page.View(np.zeros((400, 600, 3), np.uint8), None, None) for _ in range(2)]
    larger = page.View(np.zeros((800, 1200, 3), np.uint8), None, None)
    points = rng.uniform(100, 280, (40, 2))
    ones = np.ones(40)
    assert page._shares(page.Spots(points, points + 3, ones, ones, ones), *views)[2] == 1
    assert page._shares(page.Spots(points, points * 2, ones, ones, ones), views[0], larger)[2] == 1
    assert page._shares(page.Spots(points, points + 60, ones, ones, ones), *views)[2] == 0
    none = np.zeros((0, 2))
    assert np.isnan(page._shares(page.Spots(none, none, ones[:0], ones[:0], ones[:0]), *views)).all()


def test_on_the_animal_by_mask_box_or_middle():
    photo = np.zeros((400, 600, 3), np.uint8)
    mask = np.zeros((400, 600), bool)
    mask[100:300, 100:300] = True
    points = np.array([[200.0, 200.0], [101.0, 200.0], [500.0, 200.0], [200.0, 390.0]])
    assert page.on_animal(page.View(photo, None, mask), points).tolist() == [True, False, False, False]
    box = (400, 100, 190, 200)
    assert page.on_animal(page.View(photo, box, None), points).tolist() == [False, False, True, False]
    assert page.on_animal(page.View(photo, None, None), points).tolist() == [True, True, True, False]
    empty = page.View(photo, box, np.zeros_like(mask))
    assert page.on_animal(empty, points).tolist() == [False, False, True, False]


def test_looks_of_a_photo():
    rng = np.random.default_rng(0)
    sharp = rng.integers(0, 255, (300, 400, 1), np.uint8).repeat(3, axis=2)
    flat = np.full_like(sharp, 90)
    mask = np.zeros((300, 400), bool)
    mask[:, :200] = True
    looks = page.looks_of(page.View(sharp, (0, 50, 400, 100), mask), 7)
    assert (looks.features, looks.covered, looks.size, looks.edge) == (7, 0.5, 1.0, True)
    assert looks.sharpness > 100 > page.looks_of(page.View(flat, None, None), 7).sharpness
    assert not page.looks_of(page.View(sharp, (100, 100, 100, 100), None), 7).edge
    assert not page.looks_of(page.View(sharp, None, None), 7).edge  # a whole photo is not cut off
    assert page.looks_of(None, 0) == page.Looks(0)


def test_drawn_are_the_worst_of_each_kind_in_turn(plain):
    kinds = ["blur"] * 3 + ["background", "unexplained"]
    failures = [replace(plain, query=replace(plain.query, row=row), kinds=(kind,)) for row, kind in enumerate(kinds)]
    assert page._chosen(failures, 4) == {0, 1, 3, 4}
    assert page._chosen(failures, 0) == set()


def test_scores_that_are_not_repeated_are_told(plain):
    same = replace(plain, right_pair=replace(plain.right_pair, score=2.0))
    assert page._doubts([same]) == ""
    assert "1 of 2 got other scores" in page._doubts([same, with_pair(same, score=4.0)])
    rejected = with_pair(same, accepted=False, score=3.0, rank_score=3e-10)
    assert page._doubts([rejected]) == ""
