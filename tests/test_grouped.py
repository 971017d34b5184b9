"""Many queries at once: each search block is loaded once for all of them, and the answers are those of single ones."""

import shutil
import tracemalloc
from dataclasses import replace

import numpy as np
import pytest
from conftest import read_rows
from hypothesis import given, settings
from hypothesis import strategies as st
from test_shelf import blocks_of, content, queries_like, rows_of, shelf_in

import snowmatch
from snowmatch.api import Catalog
from snowmatch.confidence import scoring
from snowmatch.core.errors import SnowmatchError
from snowmatch.core.types import Features
from snowmatch.identify import match, pairs
from snowmatch.identify.ask import ask, ask_many
from snowmatch.identify.question import make_question
from snowmatch.matching.matchers.lnbnn import Lnbnn
from snowmatch.matching.search import blocks as searching
from snowmatch.matching.search import inverted_file, shelf
from snowmatch.matching.search.loaded import Loaded
from snowmatch.review import batch
from snowmatch.review.batch import run_batch

pytestmark = pytest.mark.usefixtures("seen_once")


def same_arrays(one, other):
    for name in ("distances", "entries", "keypoints"):
        assert getattr(one, name).tobytes() == getattr(other, name).tobytes(), name


@pytest.fixture(scope="module")
def places(tmp_path_factory):
    """Blocks of 90 annotations in three and in one, and as so few rows that all are compared."""
    found = {}
    for name, limit, count in (("three", 1600, 90), ("one", 1 << 20, 90), ("few", 1 << 20, 15)):
        place, held = shelf_in(tmp_path_factory.mktemp(name), limit), content(range(count))
        shelf.arrange_blocks(place, held)
        found[name] = place, held
    return found


@given(
    kind=st.sampled_from(["three", "one", "few"]),
    shares=st.lists(st.sampled_from([0.0, 0.02, 0.3, 0.95, 1.0]), min_size=1, max_size=6),
    k=st.sampled_from([1, 5, 40]),
    seed=st.integers(0, 99),
)
@settings(max_examples=25)
def test_neighbours_of_many_are_those_of_each(places, kind, shares, k, seed):
    place, held = places[kind]
    rng = np.random.default_rng(seed)
    every = queries_like(held)
    found = blocks_of(place, held)
    sought = [
        searching.Sought(every[rng.permutation(len(every))[: rng.integers(0, 12)]], rng.random(len(held.keys)) < share)
        for share in shares
    ]
    for each, many in zip(sought, searching.search_many(found, sought, k), strict=True):
        same_arrays(searching.search(found, each.descriptors, each.allowed, k), many)


def test_each_block_is_loaded_once_for_all(places, monkeypatch):
    """Also where only one block fits into memory at a time."""
    place, held = places["three"]
    opened, memory = [], Loaded(1)
    original = shelf._open
    monkeypatch.setattr(shelf, "_open", lambda *given: (opened.append(given[2].path.name), original(*given))[1])
    found = blocks_of(place, held, memory)
    assert len(found) >= 3
    sought = [searching.Sought(rows_of(key)[:4], np.arange(90) != n) for n, key in enumerate(held.keys.astype(str)[:8])]
    searching.search_many(found, sought, 5)
    assert sorted(opened) == sorted({block.index._name for block in found})
    opened.clear()
    for each in sought:
        searching.search(found, each.descriptors, each.allowed, 5)
    assert len(opened) == 8 * len(found)


def test_each_further_query_takes_less_memory_than_a_byte_for_each_row(places):
    """So that many queries together fit into memory, too, on large catalogs."""
    place, held = places["one"]
    found = blocks_of(place, held)

    def peak(count):
        sought = [searching.Sought(rows_of(held.keys[0].decode())[:1], np.arange(90) != 1)] * count
        tracemalloc.start()
        searching.search_many(found, sought, 5)
        most = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return most

    peak(1)
    assert (peak(250) - peak(50)) / 200 < held.rows + 1500  # of each query, this is what its descriptor needs


def features_of(rows):
    n = len(rows)
    one = np.ones(n, np.float32)
    return Features(np.zeros((n, 2), np.float32), rows, one, one, one, None, (100, 100))


@pytest.mark.parametrize("kind", ["three", "one", "few"])
def test_votes_of_many_are_those_of_each(places, kind):
    place, held = places[kind]
    count = len(held.keys)
    rng = np.random.default_rng(3)
    animals = np.sort(rng.integers(0, 4, count))  # so few that all neighbours are often of one
    asked = [
        (features_of(rows_of(key)[: 10 * n]), (animals != n % 5) & (rng.random(count) < 0.9), rng.random(count) < 0.8)
        for n, key in enumerate(held.keys.astype(str)[:6])
    ]
    asked.append((asked[0][0], np.zeros(count, bool), np.ones(count, bool)))
    found = blocks_of(place, held)
    many = Lnbnn().match_many(asked, found, animals)
    assert sum(map(len, many)) > 0
    for (query, allowed, rivals), matches in zip(asked, many, strict=True):
        one = Lnbnn().match(query, found, allowed, animals, rivals)
        for name in ("keypoint0", "annotation", "keypoint1", "weights"):
            assert getattr(one, name).tobytes() == getattr(matches, name).tobytes()


@pytest.fixture
def few_lists(monkeypatch):
    """Small galleries have inverted files, too."""
    monkeypatch.setattr(inverted_file, "EXHAUSTIVE_ROWS", 100)


def test_questions_asked_together_have_their_own_answers_and_errors(survey):
    catalog = snowmatch.open_catalog(survey / "catalog")
    session = catalog.session()
    rows = [r for r in read_rows(survey / "queries" / "queries.csv") if r["body_part"] == "left_flank"][:3]
    photos = [survey / "queries" / row["path"] for row in rows]
    questions = [
        make_question(photos[0], body_part="left_flank"),
        make_question(survey / "nothing.jpg"),
        make_question(photos[1]),
        make_question(catalog.data.annotations[0]),
        make_question(photos[:2], body_part="left_flank", top=2),
    ]
    found = ask_many(session, questions)
    assert isinstance(found[1], SnowmatchError)
    for question, answer in zip(questions, found, strict=True):
        if isinstance(answer, SnowmatchError):
            with pytest.raises(SnowmatchError, match="nothing"):
                ask(session, question)
        else:
            single = ask(session, question)
            assert single.notes == answer.notes
            assert [(c.individual, c.score, c.probability, c.inliers, c.best) for c in single.candidates] == [
                (c.individual, c.score, c.probability, c.inliers, c.best) for c in answer.candidates
            ]
    assert ask_many(session, []) == []


@pytest.mark.slow
def test_an_evaluation_does_not_depend_on_how_many_are_asked_at_once(survey, monkeypatch):
    """Of the first annotations of three animals, so that it does not take long."""
    catalog = snowmatch.open_catalog(survey / "catalog")
    names = sorted({a.individual for a in catalog.data.annotations if a.individual})[:3]
    some = tuple(a for a in catalog.data.annotations if a.individual in names)
    catalog = Catalog(replace(catalog.data, annotations=some))

    def evaluated(at_once):
        monkeypatch.setattr(scoring, "AT_ONCE", at_once)
        return catalog.evaluate().table

    expected = evaluated(scoring.AT_ONCE)
    assert len(expected.group_queries) > 6  # so that the numbers below make a difference
    for at_once in (1, 3, 100):
        table = evaluated(at_once)
        for name in {*table.__dataclass_fields__, "scores"} - {"cells"}:
            assert getattr(table, name).tobytes() == getattr(expected, name).tobytes(), (at_once, name)


def test_the_evidence_of_pairs_does_not_depend_on_how_many_are_asked_at_once(survey, monkeypatch):
    catalog = snowmatch.open_catalog(survey / "catalog")
    session = catalog.session()
    encounters = {}
    for a in catalog.data.annotations:
        encounters.setdefault((a.encounter, a.individual), []).append(a.row)
    sightings = list(encounters.values())[:30]
    expected = pairs.compare_sightings(session, sightings, range(len(sightings)))
    assert expected
    monkeypatch.setattr(pairs, "AT_ONCE", 1)
    assert pairs.compare_sightings(session, sightings, range(len(sightings))) == expected


def test_a_batch_that_does_not_fit_into_memory_has_the_same_rows(survey, tmp_path, monkeypatch):
    folder = shutil.copytree(survey / "catalog", tmp_path / "catalog")
    rows = sorted((survey / "queries").rglob("*.jpg"))[:5]
    catalog = snowmatch.open_catalog(folder)
    expected = run_batch(catalog, rows, again=True)
    asked = []
    monkeypatch.setattr(batch, "ask_many", lambda session, some: (asked.append(len(some)), ask_many(session, some))[1])
    monkeypatch.setattr(type(catalog.session()), "fits_memory", False)
    monkeypatch.setattr(batch, "AT_ONCE", 3)
    found = run_batch(catalog, rows, again=True)
    assert max(asked) > 1
    assert found.rows == expected.rows
    assert replace(found, notes=()) == replace(expected, notes=())


def test_indexes_fit_into_memory_only_if_those_of_all_extractors_do(survey):
    session = snowmatch.open_catalog(survey / "catalog").session()
    two = replace(session, galleries=session.galleries * 2)
    gallery, most = session.gallery, session.gallery.loaded.most
    try:
        gallery.loaded.most = gallery.index_memory
        assert session.fits_memory
        assert not two.fits_memory
        gallery.loaded.most = 2 * gallery.index_memory
        assert two.fits_memory
    finally:
        gallery.loaded.most = most


@pytest.mark.parametrize("fits", [True, False])
def test_a_photo_that_meets_damage_while_it_is_compared_does_not_stop_the_others(survey, tmp_path, monkeypatch, fits):
    folder = shutil.copytree(survey / "catalog", tmp_path / "catalog")
    photos = sorted((survey / "queries").rglob("*.jpg"))[:4]
    catalog = snowmatch.open_catalog(folder)
    expected = run_batch(catalog, photos, again=True)
    original, first = match.score_matches, []

    def damaged(subjects, *rest):
        first.append(len(subjects[0]))
        if len(subjects[0]) == first[0]:
            raise SnowmatchError("the features are damaged")
        return original(subjects, *rest)

    monkeypatch.setattr(match, "score_matches", damaged)
    monkeypatch.setattr(type(catalog.session()), "fits_memory", fits)
    found = run_batch(catalog, photos, again=True)
    assert [why for _, why in found.failed] == ["the features are damaged"]
    assert len(set(found.rows) & set(expected.rows)) == len(expected.rows) - 1 > 1
