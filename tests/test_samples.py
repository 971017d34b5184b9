"""Evaluation and calibration of catalogs of which not all can be asked; probabilities in words."""

import numpy as np
import pytest
from click.testing import CliRunner

import snowmatch
from snowmatch.cli import main
from snowmatch.confidence import scoring
from snowmatch.confidence.levels import Levels
from snowmatch.confidence.score_table import load_table
from snowmatch.confidence.scoring import most_queries
from snowmatch.confidence.trial import make_trial, sample_notes, sides_of
from snowmatch.core.plugins import make_plugin
from snowmatch.core.text import percent, share_text
from snowmatch.core.types import Annotation
from snowmatch.identify.judge import kind_in_words
from snowmatch.matching.matchers.lnbnn import Lnbnn

pytestmark = pytest.mark.usefixtures("seen_once")

ANNOTATIONS = [
    Annotation(n, f"{n}.jpg", f"cat{n % 7}", "left_flank", encounter=f"e{n // 3}", station=f"S{n % 5}")
    for n in range(90)
]


def test_a_large_trial_asks_whole_encounters_of_a_sample_and_the_gallery_stays_whole():
    whole = make_trial(ANNOTATIONS, "cross-encounter")
    assert whole.left_out == 0
    small = make_trial(ANNOTATIONS, "cross-encounter", most=20)
    assert len(small.queries) <= 20 < len(small.queries) + 3
    assert small.left_out == 90 - len(small.queries)
    assert small.gallery.tolist() == whole.gallery.tolist()
    rows = np.isin(whole.queries, small.queries)
    assert (small.allowed == whole.allowed[rows]).all()
    assert small.groups.max() == len(set(small.groups.tolist())) - 1
    for query in small.queries:  # all photos of a group are asked, or none
        own = [a.row for a in ANNOTATIONS if (a.encounter, a.individual) == _group(query)]
        assert set(own) <= set(small.queries.tolist())
    again = make_trial(ANNOTATIONS[::1], "cross-encounter", most=20)
    assert again.queries.tolist() == small.queries.tolist()


def test_a_wished_sample_is_the_same_as_one_that_memory_forces_and_says_why():
    forced = make_trial(ANNOTATIONS, "cross-encounter", most=20)
    wished = make_trial(ANNOTATIONS, "cross-encounter", sample=20)
    assert wished.queries.tolist() == forced.queries.tolist()
    assert "memory" in sample_notes(forced)[0].text
    assert "memory" not in sample_notes(wished)[0].text
    assert make_trial(ANNOTATIONS, "cross-encounter", sample=90).left_out == 0
    assert make_trial(ANNOTATIONS, "cross-encounter", most=20, sample=80).queries.tolist() == forced.queries.tolist()
    # the sample that has the size of a sample is that sample: a page of wrong answers finds its queries so
    assert (
        make_trial(ANNOTATIONS, "cross-encounter", sample=len(wished.queries)).queries.tolist()
        == wished.queries.tolist()
    )


@pytest.mark.slow
def test_a_wished_sample_of_a_catalog_is_evaluated_calibrated_and_drawn(own_survey, tmp_path):
    folder = own_survey / "catalog"
    wrong, scores = tmp_path / "wrong", tmp_path / "scores.npz"
    asked = ["evaluate", str(folder), "--sample", "6", "--json", "--save", str(scores), "--failures", str(wrong)]
    told = CliRunner().invoke(main, asked)
    assert told.exit_code == 0, told.output
    assert "random sample" in told.stderr
    assert len(load_table(scores).queries) <= 6
    assert (wrong / "index.html").exists()
    everything = snowmatch.open_catalog(folder).evaluate().table
    part = load_table(scores)
    rows = np.isin(everything.queries, part.queries)
    np.testing.assert_array_equal(everything.scores[rows], part.scores)


def _group(row):
    return ANNOTATIONS[row].encounter, ANNOTATIONS[row].individual


def test_a_sampled_evaluation_says_so(survey, monkeypatch):
    catalog = snowmatch.open_catalog(survey / "catalog")
    named = sum(a.individual is not None for a in catalog.data.annotations)
    everything = most_queries(
        *sides_of(catalog.data.annotations, "cross-encounter"),
        catalog.session().galleries,
        catalog.session().method.matcher,
    )
    monkeypatch.setattr(scoring, "MEMORY", scoring.MEMORY / everything * 4.5)
    found = catalog.evaluate()
    assert len(found.table.queries) <= 4
    (note,) = [note for note in found.notes if note.code == "sampled"]
    assert f"only {len(found.table.queries)} of {named} identified annotations are asked" in note.text


class Described:
    """A gallery of which only the numbers of features are known."""

    def __init__(self, annotations, features):
        self.annotations, self.features = annotations, features

    def feature_count(self, entry):
        return self.features


def room(size, individuals, features, matcher, parts=("left_flank", "right_flank")):
    """Return how many queries fit into the memory beside such a gallery."""
    each = [Annotation(n, f"{n}.jpg", f"cat{n % individuals}", parts[n % len(parts)]) for n in range(size)]
    return most_queries(each, each, [Described(each, features)], matcher)


def test_how_many_are_asked_depends_on_votes_individuals_and_gallery():
    lnbnn = Lnbnn()
    usual = room(4000, 50, 100, lnbnn)
    assert room(4000, 100, 100, lnbnn) < usual
    assert room(4000, 50, 100, Lnbnn(k=4)) > usual > room(4000, 50, 200, lnbnn)
    # there are not more scores than annotations of a body part
    assert room(4000, 50, 1000, lnbnn) == room(4000, 50, 9000, lnbnn) > room(4000, 50, 9000, lnbnn, ("left_flank",))
    assert room(4000, 50, 9000, lnbnn, ("unknown", "head")) == room(4000, 50, 9000, lnbnn, ("tail",))
    every = make_plugin("matchers", "mutual", {"candidates": 0})  # compares all pairs
    assert room(4000, 50, 1, every) == room(4000, 50, 9000, lnbnn) < room(4000, 50, 1, lnbnn)
    bytes_of = scoring.MEMORY / usual
    assert bytes_of == pytest.approx(12 * 800 + 4000 / 8 + 460 * 50 + 6000, rel=1e-3)


LEVELS = (0.99, 0.95, 0.75)


@pytest.mark.parametrize(
    ("probability", "text"),
    [(0.9872, "98.7 %"), (0.9851, "98.5 %"), (0.98, "98 %"), (0.99, "99 %"), (0.98999999999, "98.9999 %"),
     (0.9499, "94.99 %"), (0.9461, "94.6 %"), (0.95, "95 %"), (0.746, "74.6 %"), (0.7499999, "74.9999 %"),
     (0.75, "75 %"), (0.5, "50 %"), (0.99999, "99.99 %"), (0.991, "99.10 %"), (0.004, "0.4 %"), (0.0001, "below 0.1 %"),
     (None, "")],
)  # fmt: skip
def test_a_percentage_never_reaches_the_next_level(probability, text):
    assert percent(probability, LEVELS) == text


def test_every_percentage_stays_in_its_level():
    levels = Levels(0.9731, 0.9012, 0.66666)
    bounds = (levels.excellent, levels.good, levels.fair)
    for p in np.random.default_rng(0).uniform(0.001, 0.9999, 3000):
        shown = float(percent(p, bounds).split()[0]) / 100
        assert levels.of(shown) == levels.of(p) or shown < p, (p, shown)
        assert [p < b for b in bounds] <= [shown < b for b in bounds] or shown <= p


@pytest.mark.parametrize(
    ("share", "decimals", "text"),
    [
        (0, 0, "0 %"), (1, 0, "100 %"), (0.5, 0, "50 %"), (0.994, 0, "99 %"), (0.996, 0, "99.6 %"), (0.004, 0, "0.4 %"),
        (0.9997, 1, "99.97 %"), (0.0004, 1, "0.04 %"), (0.984, 1, "98.4 %"), (1, 1, "100.0 %"),
    ],
)  # fmt: skip
def test_a_share_reads_100_or_0_percent_only_where_it_is(share, decimals, text):
    assert share_text(share, decimals) == text


def test_a_kind_of_photos_in_words():
    assert kind_in_words("outlined left_flank") == "photos with a box or a mask (left flank)"
    assert kind_in_words("whole") == "photos without a box or mask"
    assert kind_in_words("any") == "all photos"


def test_encounters_that_do_not_fit_into_a_sample_are_left_out_and_later_ones_fill_it():
    sizes = [20, 2] * 10
    encounters = [number for number, size in enumerate(sizes) for _ in range(size)]
    rows = [Annotation(n, f"{n}.jpg", f"cat{e % 4}", encounter=f"e{e}") for n, e in enumerate(encounters)]
    for most in (2, 3, 10, 33, 100, 150):
        asked = make_trial(rows, "cross-encounter", sample=most).queries
        assert len(asked) <= most
        assert all(size > most - len(asked) for e, size in enumerate(sizes) if e not in {encounters[n] for n in asked})
        assert make_trial(rows, "cross-encounter", sample=len(asked)).queries.tolist() == asked.tolist()
    smallest = make_trial(rows, "cross-encounter", sample=1).queries
    assert len(smallest) == 2  # an encounter is asked as a whole
    assert make_trial(rows, "cross-encounter", sample=2).queries.tolist() == smallest.tolist()
