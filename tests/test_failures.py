"""The page of wrong answers: it counts all, shows the worst, gives hints about the reason, and escapes names."""

import re
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

import snowmatch
from snowmatch.confidence.score_table import make_table
from snowmatch.confidence.trial import make_trial
from snowmatch.core.errors import SnowmatchError
from snowmatch.core.outputs import MARK
from snowmatch.core.types import Annotation
from snowmatch.identify.answer import Candidate
from snowmatch.identify.losses import HINTS, Failure, Lost, Usual, find_lost, hints_of, share_in_place
from snowmatch.views.failures import page, write_failures

USUAL = Usual(features=1000, right_score=10.0)
COORDINATES = re.compile(r"\d+\.\d{3,}")


@pytest.fixture(scope="module")
def catalog(survey):
    return snowmatch.open_catalog(survey / "catalog")


@pytest.fixture(scope="module")
def trial(catalog):
    return make_trial(catalog.data.annotations, "cross-encounter")


def lose(trial, count=4):
    """Return a table in which `count` queries get a wrong answer, the last one the worst. All others are right."""
    scores = np.where(trial.own(), 9.0, 1.0)
    answerable = (trial.own() & trial.allowed).any(axis=1) & (~trial.own() & trial.allowed).any(axis=1)
    lost = np.flatnonzero(answerable)[:count]
    scores[lost] = np.where(trial.own()[lost], 2.0, 5.0) + np.arange(len(lost))[:, None] * ~trial.own()[lost]
    return make_table(trial, scores)


def write(folder, catalog, table, most=40, extractor="hesaff", progress=None):
    return write_failures(folder, catalog.session(extractor=extractor), "cross-encounter", table, most, progress)


@pytest.fixture(scope="module")
def written(catalog, trial, tmp_path_factory):
    """Return the three failures shown of four, and the folder of their page."""
    folder = tmp_path_factory.mktemp("page") / "failures"
    return write(folder, catalog, lose(trial), most=3), folder


@pytest.fixture
def plain():
    """Return a failure without a hint: a weak wrong answer from another station."""
    spots = np.zeros((1, 2), np.float32)
    ones = np.ones(1, np.float32)
    wrong = Candidate(
        1,
        "B",
        5.0,
        12,
        True,
        True,
        Annotation(1, "wrong.jpg", "B", "left_flank", station="S2", encounter="E3"),
        0,
        spots,
        spots,
        ones,
        ones,
        ones,
    )
    best = Annotation(2, "right.jpg", "A", "left_flank", station="S1", encounter="E2")
    right = replace(wrong, rank=2, individual="A", score=2.0, best=best)
    query = Annotation(0, "query.jpg", "A", "left_flank", station="S1", encounter="E1")
    return Failure(Lost(0, 1, 0, 2, 3.0), query, ("B", "A"), wrong, right)


class TestLost:
    def test_every_query_with_a_wrong_first_individual_is_lost_the_worst_first(self, trial):
        table = make_table(trial, np.random.default_rng(0).uniform(1, 20, trial.allowed.shape))
        lost = find_lost(table)
        own = table.individual[table.queries][:, None] == table.individual_names
        expected = []
        for n, scores in enumerate(table.individual_scores):
            right = scores[own[n]]
            if not np.isnan(right).all() and np.nanmax(scores[~own[n]]) >= right.max():
                expected.append(n)
        assert sorted(each.query for each in lost) == expected
        assert len(lost) > 10
        gaps = [each.gap for each in lost]
        assert gaps == sorted(gaps, reverse=True)
        assert all(table.individual_names[each.right] == table.individual[table.queries[each.query]] for each in lost)
        assert all(each.rank > 1 and each.wrong != each.right for each in lost)

    def test_right_answers_give_no_losses(self, trial):
        assert find_lost(make_table(trial, np.where(trial.own(), 9.0, 1.0))) == ()

    def test_a_tie_is_a_loss_and_a_query_without_features_is_the_worst(self, trial):
        scores = np.where(trial.own(), 9.0, 1.0)
        answerable = (trial.own() & trial.allowed).any(axis=1) & (~trial.own() & trial.allowed).any(axis=1)
        first, second = np.flatnonzero(answerable)[:2]
        scores[first] = 4.0
        scores[second] = -np.inf
        lost = find_lost(make_table(trial, scores))
        assert [each.query for each in lost] == [second, first]
        assert [each.gap for each in lost] == [float("inf"), 0]


class TestHints:
    def test_a_failure_without_a_reason_has_no_hint(self, plain):
        assert hints_of(plain, 0.0, 1000, USUAL) == ()

    def test_the_hint_scenery_needs_a_station_and_a_verified_match(self, plain):
        assert hints_of(plain, 0.6, 1000, USUAL) == ("scenery",)
        assert hints_of(replace(plain, query=replace(plain.query, station="")), 0.6, 1000, USUAL) == ()
        assert hints_of(replace(plain, wrong=replace(plain.wrong, accepted=False)), 0.6, 1000, USUAL) == ()

    def test_the_hint_names_to_check_needs_a_strong_answer_from_another_station(self, plain):
        strong = replace(plain, wrong=replace(plain.wrong, score=11.0))
        assert hints_of(strong, 0.0, 1000, USUAL) == ("names to check",)
        assert hints_of(strong, 0.6, 1000, USUAL) == ("scenery",)
        same_station = replace(strong.wrong, best=replace(strong.wrong.best, station="S1"))
        assert hints_of(replace(strong, wrong=same_station), 0.0, 1000, USUAL) == ()
        assert hints_of(strong, 0.0, 1000, Usual(1000, float("nan"))) == ()

    def test_the_hint_flank_unknown_needs_an_unknown_part_without_a_verified_match(self, plain):
        rejected = replace(plain, right=replace(plain.right, accepted=False))
        assert hints_of(rejected, 0.0, 1000, USUAL) == ()
        unknown = replace(rejected, query=replace(plain.query, body_part="unknown"))
        assert hints_of(unknown, 0.0, 1000, USUAL) == ("flank unknown",)
        assert hints_of(replace(unknown, right=plain.right), 0.0, 1000, USUAL) == ()

    def test_the_hint_few_spots_needs_few_features(self, plain):
        assert hints_of(plain, 0.0, 249, USUAL) == ("few spots",)
        assert hints_of(replace(plain, wrong=None, right=None), 0.0, 0, USUAL) == ("few spots",)

    def test_the_share_in_place_counts_spots_at_the_same_place_of_both_photos(self, plain):
        points = np.random.default_rng(0).uniform(100, 280, (40, 2)).astype(np.float32)
        ones = np.ones(40, np.float32)
        same = replace(plain.wrong, keypoints0=points, keypoints1=points + 3, weights=ones)
        assert share_in_place(same, (600, 400), (600, 400)) == 1
        assert share_in_place(replace(same, keypoints1=points * 2), (600, 400), (1200, 800)) == 1
        assert share_in_place(replace(same, keypoints1=points + 60), (600, 400), (600, 400)) == 0
        none = replace(same, keypoints0=points[:0], keypoints1=points[:0], weights=ones[:0])
        assert share_in_place(none, (600, 400), (600, 400)) == 0


class TestPage:
    def test_all_losses_are_counted_and_the_worst_are_shown(self, trial, written):
        failures, folder = written
        table = lose(trial)
        assert [f.lost for f in failures] == list(find_lost(table)[:3])
        assert [f.lost.gap for f in failures] == [6, 5, 4]
        text = (folder / "index.html").read_text(encoding="utf-8")
        assert "for 4 of them the first answer is a wrong animal." in text
        assert "The 3 worst are shown." in text
        assert re.findall(r'<article id="f(\d+)">', text) == ["1", "2", "3"]
        for failure in failures:
            assert failure.query.individual == failure.individuals[1] != failure.individuals[0]
            assert failure.right.best.individual == failure.query.individual
            assert failure.query.encounter not in (failure.wrong.best.encounter, failure.right.best.encounter)
            assert failure.query.path in text
            assert set(failure.hints) <= set(HINTS)

    def test_the_page_needs_no_other_files_and_shows_no_coordinates(self, written):
        folder = written[1]
        text = (folder / "index.html").read_text(encoding="utf-8")
        assert "<script" not in text
        assert "http" not in text
        assert not COORDINATES.search(re.sub(r"<style>.*?</style>", "", text, flags=re.DOTALL))
        assert all((folder / link).is_file() for link in re.findall(r'(?:src|href)="([^#"]+)"', text))

    def test_each_failure_has_two_pictures_without_exif(self, written):
        pictures = sorted((written[1] / "pictures").iterdir())
        assert [p.name for p in pictures] == [f"{n:03d}-{side}.jpg" for n in (1, 2, 3) for side in ("right", "wrong")]
        for path in pictures:
            with Image.open(path) as picture:
                assert picture.width <= 1400
                assert not picture.getexif()
                assert np.asarray(picture).std() > 5

    def test_a_page_is_written_without_losses(self, catalog, trial, tmp_path):
        assert write(tmp_path, catalog, make_table(trial, np.where(trial.own(), 9.0, 1.0))) == ()
        text = (tmp_path / "index.html").read_text(encoding="utf-8")
        assert "0 of " in text
        assert "<table>" not in text

    def test_a_table_of_another_trial_is_refused(self, catalog, trial, tmp_path):
        table = lose(trial)
        with pytest.raises(SnowmatchError, match="another trial"):
            write(tmp_path, catalog, replace(table, queries=table.queries[::-1].copy()))

    def test_nothing_is_written_elsewhere_and_only_old_pictures_are_deleted(
        self, survey, catalog, trial, tmp_path, monkeypatch
    ):
        def state(folder):
            return {p: (p.stat().st_mtime_ns, p.stat().st_size) for p in folder.rglob("*") if not p.is_dir()}

        (tmp_path / "page" / "pictures").mkdir(parents=True)
        stale, foreign = (tmp_path / "page" / "pictures" / name for name in ("999-wrong.jpg", "mine.jpg"))
        stale.write_bytes(b"x " + MARK.encode())
        foreign.write_bytes(b"about snowmatch")
        before = state(survey)
        monkeypatch.chdir(tmp_path)
        steps = []
        write(tmp_path / "page", catalog, lose(trial), most=1, progress=lambda *step: steps.append(step))
        assert steps == [(1, 1)]
        assert state(survey) == before
        assert sorted(path.name for path in (tmp_path / "page").iterdir()) == ["index.html", "pictures"]
        assert foreign.is_file()
        assert not stale.exists()

    def test_the_page_names_a_photo_that_cannot_be_read(self, own_survey, tmp_path):
        catalog = snowmatch.open_catalog(own_survey / "catalog")
        trial = make_trial(catalog.data.annotations, "cross-encounter")
        table = lose(trial, count=1)
        query = trial.annotations[trial.queries[find_lost(table)[0].query]]
        session = catalog.session()
        (catalog.folder / query.path).unlink()
        shown = write_failures(tmp_path, session, "cross-encounter", table)
        assert len(shown) == 1
        assert list((tmp_path / "pictures").iterdir()) == []
        assert "a photo could not be read" in (tmp_path / "index.html").read_text(encoding="utf-8")

    def test_the_page_names_a_query_without_features(self, plain, trial):
        bare = replace(plain, wrong=None, right=None, hints=("few spots",))
        text = page("catalog", trial, lose(trial), [plain.lost], [bare], set())
        assert text.count("no features, so not compared") == 2
        assert "possible reasons: few spots" in text

    def test_special_characters_in_names_are_escaped(self, plain, trial):
        odd = replace(
            plain,
            query=replace(plain.query, path='a"<script>&\u202e.jpg'),
            individuals=("<i>B</i>", "A & C"),
            wrong=replace(plain.wrong, best=replace(plain.wrong.best, path="b'<img src=x>.jpg", station="<u>")),
        )
        text = page("<title>", trial, lose(trial), [plain.lost], [odd], set())
        for raw in ("<script", "<i>", "<u>", "<img src=x", "\u202e", "<title><title>"):
            assert raw not in text
        assert "a&quot;&lt;script&gt;&amp;\\u202e.jpg" in text
        assert "A &amp; C" in text

    @pytest.mark.slow
    def test_fused_extractors_are_explained_together(self, own_survey, tmp_path):
        catalog = snowmatch.open_catalog(own_survey / "catalog")
        catalog.index("sift")
        trial = make_trial(catalog.data.annotations, "cross-encounter")
        failures = write(tmp_path, catalog, lose(trial, count=1), extractor=("hesaff", "sift"))
        assert len(failures) == 1
        assert len(list((tmp_path / "pictures").iterdir())) == 2
