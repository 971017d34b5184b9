"""Evidence of pairs of sightings: from photos to individuals, runs that go on, and when it is gathered again."""

import contextlib
import sqlite3
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from blank_survey import true_names, without_names

from snowmatch.api import open_catalog
from snowmatch.confidence.levels import Levels
from snowmatch.core.errors import SnowmatchError
from snowmatch.core.home import database_path
from snowmatch.features.extractors.hesaff import Hesaff
from snowmatch.features.extractors.sift import Sift
from snowmatch.review.identities import answer_pair, decide, draft, open_identities
from snowmatch.review.likely import LEAST, TOP, Evidence, Likely, check_one_reading, gather_evidence
from snowmatch.review.links import links_of
from snowmatch.review.queue import Queue, _could_tell, answer_item, doubtful_answers
from snowmatch.screening.stored_maps import StoredMaps
from snowmatch.views.identities import format_item

pytestmark = pytest.mark.usefixtures("seen_once")


@pytest.fixture
def catalog(own_survey):
    return without_names(own_survey)


def test_sightings_are_compared_by_one_extractor():
    session = SimpleNamespace(method=SimpleNamespace(extractors=(Hesaff(), Sift())))
    with pytest.raises(SnowmatchError, match="of one extractor, not of hesaff and sift: name one"):
        gather_evidence(session, [])


def test_from_nothing_to_individuals(catalog):
    """A perfect observer answers until nothing is left; the individuals are then the true ones, flank by flank."""
    truth = true_names(catalog)
    who = open_identities(catalog)
    session = open_catalog(catalog).session()
    evidence = gather_evidence(session, who.who.sightings)
    assert gather_evidence(session, who.who.sightings).asked == 0  # kept
    queue = Queue(who, evidence, "Anna", repeats=0)
    seen, told = set(), []
    while items := queue.next():
        told.append(queue.left())
        (item,) = items
        pair = frozenset((item.a, item.b))
        assert pair not in seen  # never a pair twice
        seen.add(pair)
        sightings = queue.identities.who.sightings
        parts = [set(sightings[n].body_parts) for n in (item.a, item.b)]
        assert parts[0] & parts[1]  # never across flanks
        same = truth[sightings[item.a].encounter] == truth[sightings[item.b].encounter]
        draft = answer_item(queue, item, "same" if same else "different", "", 4, hidden=False)
        after, appended = decide(queue.identities, [draft])
        queue.take(after, item, appended.rows[0])
    assert queue.left() == 0
    came = range(len(told), 0, -1)
    assert all(abs(said - number) <= max(4, number / 4) for said, number in zip(told, came, strict=True)), told
    found = queue.identities.who
    for individual in found.individuals:
        names = {truth[found.sightings[n].encounter] for n in individual.sightings}
        assert len(names) == 1
        assert not individual.quarrels
    fresh = open_identities(catalog).who
    assert [each.sightings for each in fresh.individuals] == [each.sightings for each in found.individuals]
    sightings = len(found.sightings)
    assert len(seen) < sightings * 3


def test_few_spots_that_agree_say_little_and_tell_no_probability(catalog, monkeypatch):
    who = open_identities(catalog)
    session = open_catalog(catalog).session()
    found = gather_evidence(session, who.who.sightings)
    surest = max(found.pairs.values(), key=lambda pair: pair.odds)
    assert surest.speaks
    assert min(pair.odds for pair in found.pairs.values()) >= LEAST
    monkeypatch.setattr("snowmatch.review.likely.LEAST", surest.odds + 1)  # as if this survey's photos were poor
    poor = gather_evidence(session, who.who.sightings)
    assert {pair.odds for pair in poor.pairs.values()} == {surest.odds + 1}
    assert not any(pair.speaks for pair in poor.pairs.values())
    item = Queue(who, poor, "Anna").about(surest.one, surest.other)
    assert (item.probability, item.careful, item.level, item.spots) == (None, None, None, surest.spots)
    assert "one animal at" not in format_item(who, item, hidden=False)
    assert set(item.photos) == set(surest.photos)


def test_photos_that_say_little_contradict_no_answer_but_one_is_looked_at_again(catalog):
    who = open_identities(catalog)
    first, second = (0, 1), (0, 2)
    who, _ = decide(who, [answer_pair(who, *pair, "same", "Anna") for pair in (first, second)])
    pairs = {
        pair: Likely(*pair, odds, 0.001, 0.001, 3, ("a", "b")) for pair, odds in ((first, LEAST), (second, LEAST + 0.1))
    }
    evidence = Evidence(pairs, 0.001, -6.0, 0)
    assert doubtful_answers(who, evidence) == [second, first]  # first what they contradict
    told = [item.reason for item in Queue(who, evidence, "Boris", mode="adjudicate").next(2)]
    assert [reason.endswith("the photos say next to nothing for it") for reason in told] == [False, True]
    who, _ = decide(who, [answer_pair(who, *first, "different", "Anna")])
    assert doubtful_answers(who, evidence) == [second]
    who, _ = decide(who, [answer_pair(who, *first, "same", "Anna")])
    individual = who.who.individuals[who.who.of[0]]
    assert {(link.b, link.weak) for link in links_of(who.who, individual, evidence)} == {(1, "single"), (2, "unlikely")}


def test_same_of_a_pair_that_no_comparison_lists_is_looked_at_again_if_photos_could_tell(tmp_path):
    rows = ("left_flank,e0", "left_flank,e1", "left_flank,e2", "right_flank,e3")
    lines = [f"p{n}.jpg,{row},a{n}" for n, row in enumerate(rows)]
    (tmp_path / "catalog.csv").write_text("\n".join(["path,body_part,encounter,annotation", *lines]) + "\n")
    who = open_identities(tmp_path)
    drafts = [answer_pair(who, *pair, "same", "Anna") for pair in ((0, 1), (0, 2), (0, 3))]
    who, _ = decide(who, [*drafts, answer_pair(who, 1, 2, "different", "Anna")])
    evidence = Evidence({(0, 1): Likely(0, 1, LEAST, 0.002, 0.002, 2, ("a0", "a1"))}, 0.001, -8.0, 0)
    assert doubtful_answers(who, evidence) == [(0, 2), (0, 1)]
    told = [item.reason for item in Queue(who, evidence, "Boris", mode="adjudicate").next(9)]
    assert told == ["Anna: same; the photos say next to nothing for it"] * 2
    one, other = (who.who.sightings[n] for n in (0, 2))
    assert not _could_tell(one, replace(other, passage=one.passage))
    full = {(n, 10 + k): Likely(n, 10 + k, 6.0, 0.9, 0.9, 60, ("a", "b")) for n in (0, 2) for k in range(TOP)}
    crowded = replace(evidence, pairs={**evidence.pairs, **full})  # neither list has room for the pair
    assert doubtful_answers(who, crowded) == [(0, 1)]


def test_answers_of_imported_files_are_not_doubted_as_those_of_persons(tmp_path):
    lines = [f"p{n}.jpg,left_flank,e{n},a{n}" for n in range(2)]
    (tmp_path / "catalog.csv").write_text("\n".join(["path,body_part,encounter,annotation", *lines]) + "\n")
    evidence = Evidence({}, 0.001, -8.0, 0)
    for role, doubted in (("import", []), ("observer", [(0, 1)])):
        who = open_identities(tmp_path)
        who, _ = decide(who, [answer_pair(who, 0, 1, "same", f"by {role}", role=role)])
        assert doubtful_answers(who, evidence) == doubted


@pytest.mark.parametrize(
    ("said", "doubted"), [([], False), ([("Anna", "cannot_tell")], False), ([("Anna", "different")], True)]
)
def test_a_slip_against_the_machine_goes_to_an_adjudicator(catalog, said, doubted):
    who = open_identities(catalog)
    who, _ = decide(who, [answer_pair(who, 0, 1, "same", "machine", role="machine", tags=("sample",))])
    who, _ = decide(who, [answer_pair(who, 0, 1, answer, observer) for observer, answer in said])
    evidence = Evidence({(0, 1): Likely(0, 1, 6.0, 0.995, 0.99, 60, ("a", "b"))}, 0.3, -2.0, 0)
    assert doubtful_answers(who, evidence) == [(0, 1)] * doubted
    asked = [item.reason for item in Queue(who, evidence, "Clara", mode="adjudicate").next(2)]
    assert asked == ["Anna: different; the photos say one animal at 99.50 %"] * doubted
    who, _ = decide(who, [answer_pair(who, 0, 1, "different", "Clara", role="adjudicator")])
    assert doubtful_answers(who, evidence) == []


def test_a_run_that_was_stopped_and_goes_on_finds_the_same_evidence(catalog, monkeypatch):
    session, sightings = open_catalog(catalog).session(), open_identities(catalog).who.sightings
    expected = gather_evidence(session, sightings, again=True)
    forget = database_path(catalog)
    with contextlib.closing(sqlite3.connect(forget)) as database, database:
        database.execute("DELETE FROM answers")
    monkeypatch.setattr("snowmatch.review.likely.AT_ONCE", 5)

    def stop(done, total):
        if done >= 10:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        gather_evidence(session, sightings, progress=stop)
    rest = gather_evidence(session, sightings)
    assert 0 < rest.asked < len(sightings)
    assert rest.pairs == expected.pairs


def test_evidence_is_gathered_again_for_other_maps_but_not_for_other_levels(catalog, monkeypatch):
    session, sightings = open_catalog(catalog).session(), open_identities(catalog).who.sightings
    gather_evidence(session, sightings)
    other = replace(session, calibration=replace(session.calibration, levels=Levels(0.999, 0.99, 0.9)))
    assert gather_evidence(other, sightings).asked == 0
    apart = [replace(s, passage=f"{s.passage} {n}") for n, s in enumerate(sightings)]
    assert gather_evidence(session, [apart[0], *sightings[1:]]).asked == 0  # another name of the passage
    together = [replace(s, passage="one") for s in sightings[:2]]
    assert gather_evidence(session, [*together, *sightings[2:]]).asked == 2
    monkeypatch.setattr(StoredMaps, "checksums_of", lambda self, contents: np.full(len(contents), 7, np.uint64))
    assert gather_evidence(session, sightings).asked == len(sightings)


def test_a_sighting_that_is_asked_again_for_its_passage_could_always_be_named(catalog):
    session, sightings = open_catalog(catalog).session(), list(open_identities(catalog).who.sightings)
    before = gather_evidence(session, sightings).pairs
    changed = [replace(s, passage="one") if n < 2 else s for n, s in enumerate(sightings)]
    now = gather_evidence(session, changed)
    assert now.asked == 2
    assert now.pairs.keys() == before.keys() - {(0, 1)}
    assert {pair: of.odds for pair, of in now.pairs.items()} == {pair: before[pair].odds for pair in now.pairs}


def test_sightings_that_were_away_are_compared_with_those_that_came_meanwhile(catalog, monkeypatch):
    session, sightings = open_catalog(catalog).session(), list(open_identities(catalog).who.sightings)
    expected = gather_evidence(session, sightings, again=True).pairs
    with contextlib.closing(sqlite3.connect(database_path(catalog))) as database, database:
        database.execute("DELETE FROM answers")
    away, new = max(expected, key=lambda pair: expected[pair].odds)
    gone = {away, next(n for n in range(len(sightings)) if n not in (away, new))}
    gather_evidence(session, [s for n, s in enumerate(sightings) if n != new])
    assert gather_evidence(session, [s for n, s in enumerate(sightings) if n not in gone]).asked == 1
    monkeypatch.setattr("snowmatch.review.likely.AT_ONCE", 1)

    def stop(done, total):
        if done == 2:  # the second one is not kept
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        gather_evidence(session, sightings, progress=stop)
    now = gather_evidence(session, sightings)
    assert now.asked == 1
    assert now.pairs[away, new].odds == pytest.approx(expected[away, new].odds, abs=2)
    assert gather_evidence(session, [s for n, s in enumerate(sightings) if n not in gone]).asked == 0
    again = gather_evidence(session, sightings)
    assert (again.asked, again.pairs) == (0, now.pairs)
    one = next(n for n in range(len(sightings)) if n not in {*gone, new})
    changed = [replace(s, passage="x") if n in (one, new) else s for n, s in enumerate(sightings)]
    assert gather_evidence(session, [s for n, s in enumerate(changed) if n not in gone]).asked == 2
    assert gather_evidence(session, changed).asked == 2  # those that were away: no pair is sure to be new, but may be
    assert gather_evidence(session, changed).asked == 0


def test_of_two_sightings_that_were_away_by_turns_one_is_compared_with_the_other(catalog):
    session, sightings = open_catalog(catalog).session(), list(open_identities(catalog).who.sightings)
    expected = gather_evidence(session, sightings, again=True).pairs
    with contextlib.closing(sqlite3.connect(database_path(catalog))) as database, database:
        database.execute("DELETE FROM answers")
    b, c = max(expected, key=lambda pair: expected[pair].odds)
    a, d = [n for n in range(len(sightings)) if n not in (b, c)][:2]
    for there in ((a, b), (a, c), (a, b, d)):
        gather_evidence(session, [sightings[n] for n in there])
    assert (0, 1) in {tuple(sorted(pair)) for pair in gather_evidence(session, [sightings[n] for n in (b, c)]).pairs}


def test_a_stopped_comparison_of_changed_passages_goes_on_to_the_same_evidence(catalog, monkeypatch):
    session, sightings = open_catalog(catalog).session(), list(open_identities(catalog).who.sightings)
    # The last one is new, and the passages of three others have changed: four are asked
    changed = [replace(s, passage="x") if n < 3 else s for n, s in enumerate(sightings)]

    def without_the_last():
        with contextlib.closing(sqlite3.connect(database_path(catalog))) as database, database:
            database.execute("DELETE FROM answers")
        gather_evidence(session, sightings[:-1])

    without_the_last()
    expected = gather_evidence(session, changed).pairs
    without_the_last()
    monkeypatch.setattr("snowmatch.review.likely.AT_ONCE", 1)

    def stop(done, total):
        if done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        gather_evidence(session, changed, progress=stop)
    assert gather_evidence(session, changed).pairs == expected


def test_rows_of_two_readings_of_a_catalog_are_never_mixed(catalog):
    who = open_identities(catalog)
    table = catalog / "catalog.csv"
    head, *rows = table.read_text(encoding="utf-8").splitlines()
    table.write_text("\n".join([head, *reversed(rows)]) + "\n", encoding="utf-8")
    session = open_catalog(catalog).session()
    with pytest.raises(SnowmatchError, match="changed at this very moment"):
        check_one_reading(who, session)
    who = open_identities(catalog)
    check_one_reading(who, session)
    part = "head" if who.annotations[0].body_part != "head" else "tail"
    after, _ = decide(who, [draft("body_part", "Anna", part, side_a=(who.annotations[0].annotation,))])
    check_one_reading(after, open_catalog(catalog).session())
    for one, other in (after, session), (who, open_catalog(catalog).session()):
        with pytest.raises(SnowmatchError, match="changed at this very moment"):
            check_one_reading(one, other)


def test_evidence_that_cannot_be_kept_is_told(catalog, monkeypatch):
    def full(folder, records):
        raise SnowmatchError("the disk is full")

    monkeypatch.setattr("snowmatch.review.likely.keep", full)
    session = open_catalog(catalog).session()
    evidence = gather_evidence(session, open_identities(catalog).who.sightings)
    assert evidence.pairs
    assert [note.code for note in evidence.notes] == ["evidence-not-kept"]
