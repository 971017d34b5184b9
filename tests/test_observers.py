"""Observers: agreement, contradictions of one's own, training, accuracy, the machine's error, the methods paragraph."""

import json
import random
from collections import Counter
from dataclasses import replace
from datetime import datetime, timedelta
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from snowmatch.core.errors import SnowmatchError
from snowmatch.core.types import Annotation
from snowmatch.core.version import __version__
from snowmatch.decisions.row import ANSWERS, CANNOT_TELL, DIFFERENT, SAME, Decision
from snowmatch.decisions.sightings import comparable
from snowmatch.decisions.who import who_is_who
from snowmatch.review.accuracy import ACCURACY, HIGHEST, LOWEST, accuracies, accuracy_by_name, truth_of, truth_tag
from snowmatch.review.alpha import identification_rate
from snowmatch.review.kappa import cohens_kappa, pooled_interval, pooled_kappa, tables_of
from snowmatch.review.machine import machine_error
from snowmatch.review.methods_text import Told, methods_paragraph
from snowmatch.review.observers import UNKNOWN, agreement, seconds_of
from snowmatch.review.shares import make_share
from snowmatch.review.training import answered_pairs, training_pairs, training_results, trusted_names
from snowmatch.views.observers import agreement_to_json, format_agreement, format_training

START = datetime(2026, 1, 1)


def catalog(names, parts=None, passages=None):
    """Return the annotations of one sighting for each name: a0, a1, ... in the encounters e0, e1, ..."""
    return tuple(
        Annotation(
            n,
            f"{n}.jpg",
            name,
            body_part=(parts or {}).get(n, "left_flank"),
            station="st1",
            timestamp=START + timedelta(days=n),
            encounter=f"e{n}",
            passage=(passages or {}).get(n, ""),
            annotation=f"a{n}",
        )
        for n, name in enumerate(names)
    )


class Book:
    """Rows with ascending identifiers."""

    def __init__(self):
        self.rows = []

    def pair(self, a, b, answer, observer="ann", **values):
        return self.add("pair", observer, answer, side_a=(f"a{a}",), side_b=(f"a{b}",), **values)

    def add(self, kind, observer, answer, **values):
        n = len(self.rows)
        values = {"decided_at": f"2026-05-04T09:{n // 60:02}:{n % 60:02}.000Z"} | values
        self.rows.append(Decision(f"id{n:06}", observer=observer, kind=kind, answer=answer, **values))
        return self.rows[-1]

    def undo(self, row):
        return self.add("undo", row.observer, row.id)


def group(groups, *name):
    (found,) = [each for each in groups if each.name == name]
    return found


# --- kappa -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("table", "kappa"),
    [
        ([[20, 5], [10, 15]], 0.4),  # by hand: 35 of 50 agree; chance 0.5 * 0.6 + 0.5 * 0.4 = 0.5
        ([[88, 14, 18], [10, 40, 10], [2, 6, 12]], 0.29 / 0.59),  # Fleiss, Cohen & Everitt 1969: 0.70, 0.41, 0.49
        ([[0, 5], [5, 0]], -1.0),
        ([[7, 0, 0], [0, 2, 0], [0, 0, 1]], 1.0),
        ([[9, 0, 0], [0, 0, 0], [0, 0, 0]], None),  # both only ever said one thing: chance alone explains it
        ([[0, 0], [0, 0]], None),
        ([[4, 4], [0, 0]], 0.0),  # one observer who does not look at all
    ],
)
def test_kappa_is_that_of_the_books(table, kappa):
    assert cohens_kappa(np.array(table)) == (None if kappa is None else pytest.approx(kappa))


TABLES = arrays(int, (3, 3), elements=st.integers(0, 30))


@given(TABLES)
def test_kappa_is_symmetric_bounded_and_does_not_depend_on_the_order_of_answers_or_the_number_of_cases(table):
    kappa = cohens_kappa(table)
    assert cohens_kappa(table.T) == (None if kappa is None else pytest.approx(kappa))
    if kappa is None:
        return
    assert -1 - 1e-9 <= kappa <= 1 + 1e-9
    assert (kappa > 1 - 1e-9) == (table.sum() == np.trace(table))
    assert cohens_kappa(table[::-1, ::-1]) == pytest.approx(kappa)
    assert cohens_kappa(7 * table) == pytest.approx(kappa)


@given(st.lists(TABLES, min_size=1, max_size=4))
def test_a_pooled_kappa_is_between_those_of_its_pairs_of_observers(tables):
    single = [kappa for kappa in map(cohens_kappa, tables) if kappa is not None]
    pooled = pooled_kappa(np.array(tables))
    turned = pooled_kappa(np.array([t.T if n % 2 else t for n, t in enumerate(tables)]))
    assert (pooled is None) == (not single)
    if pooled is not None:
        assert turned == pytest.approx(pooled)
        assert min(single) - 1e-9 <= pooled <= max(single) + 1e-9


def test_the_interval_of_kappa_covers_the_true_kappa():
    draw = np.random.default_rng(1)
    shares = np.array([[0.35, 0.05, 0.03], [0.05, 0.4, 0.03], [0.03, 0.03, 0.03]])
    truth = cohens_kappa(shares * 10**6)
    hits = 0
    for _ in range(60):
        table = draw.multinomial(120, shares.ravel()).reshape(3, 3)
        patterns = {((0, a, b),): int(table[a, b]) for a in range(3) for b in range(3) if table[a, b]}
        assert (tables_of(patterns, 3)[0] == table).all()
        low, high = pooled_interval(patterns, 3)
        assert low <= cohens_kappa(table) <= high
        hits += low <= truth <= high
    assert hits >= 52  # 95 % of 60 are 57


# --- agreement -------------------------------------------------------------------------------------------------------


def test_agreement_counts_the_first_answers_of_observers_and_nobody_elses():
    annotations = catalog([None] * 6, parts={4: "right_flank", 5: "right_flank"})
    book = Book()
    book.pair(0, 1, SAME, shown={"level": "good"}, certainty=4)
    book.pair(1, 0, SAME, "bo", mode="blind", certainty=2, shown={"level": "fair"})
    book.pair(0, 1, DIFFERENT, certainty=1)
    book.pair(0, 1, SAME)
    book.pair(2, 3, SAME)
    book.pair(2, 3, DIFFERENT, "bo")
    book.pair(4, 5, DIFFERENT, certainty=3)
    book.pair(4, 5, DIFFERENT, "bo", mode="blind", certainty=3)
    taken_back = book.pair(0, 2, SAME)
    book.pair(0, 2, DIFFERENT, "bo", mode="blind")
    book.undo(taken_back)
    book.pair(0, 3, SAME)
    for role in ("machine", "import", "adjudicator"):
        book.pair(0, 3, DIFFERENT, role, role=role)
    book.pair(0, 3, DIFFERENT, "bo", mode="training", tags=(truth_tag(SAME),))
    book.pair(0, 3, DIFFERENT, "ann", tags=("repeat",))
    book.add("quality", "bo", "good", side_a=("a0", "a1", "a2"))
    book.add("quality", "bo", "poor", side_a=("a3",))
    book.pair(0, 99, SAME)
    found = agreement(book.rows, who_is_who(annotations, book.rows))
    assert found.pairs == 5
    assert found.observers == ("ann", "bo")
    assert (found.overall.pairs, found.overall.agreed.count, found.overall.agreed.of) == (3, 2, 3)
    assert (found.independent.pairs, found.independent.agreed.count) == (2, 2)
    assert group(found.by_observers, "ann", "bo").table == ((1, 1, 0), (0, 1, 0), (0, 0, 0))
    assert found.overall.kappa == pytest.approx(cohens_kappa(np.array([[1, 1, 0], [0, 1, 0], [0, 0, 0]])))
    assert {each.name[0]: each.pairs for each in found.by_flank} == {"left_flank": 2, "right_flank": 1}
    assert {each.name[0]: each.pairs for each in found.by_level} == {"fair": 1, UNKNOWN: 2}
    assert {each.name[0]: each.pairs for each in found.by_quality} == {"good": 1, "good and poor": 1, UNKNOWN: 1}
    assert {each.name[0]: each.pairs for each in found.by_certainty} == {"2": 1, "3": 1, UNKNOWN: 1}
    assert found.by_level[-1].name == (UNKNOWN,)
    assert found.gone == 1
    (each,) = found.disagreements
    assert (each.a, each.b, each.opposite, each.adjudicated) == (2, 3, True, None)


def corrected(book, way):
    """Add 40 pairs: ann answers openly, bo blind; they differ on 4, and ann corrects these in some way."""
    first = [book.pair(2 * n, 2 * n + 1, SAME if n % 2 else DIFFERENT) for n in range(40)]
    for n in range(40):
        book.pair(2 * n, 2 * n + 1, SAME if n % 2 != (n < 4) else DIFFERENT, "bo", mode="blind")
    for n in range(4):
        if way == "taken back":
            book.add("undo", "ann", first[n].id, decided_at="2026-05-05T09:00:00.000Z")
        if way:
            book.pair(2 * n, 2 * n + 1, DIFFERENT if n % 2 else SAME)
    return book.rows


@pytest.mark.parametrize("way", ["answered again", "taken back"])
def test_who_corrects_a_mistake_has_made_it(way):
    before, after = corrected(Book(), ""), corrected(Book(), way)
    annotations = catalog([None] * 80)
    one, other = (agreement(rows, who_is_who(annotations, rows)) for rows in (before, after))
    assert (one.independent.agreed.count, one.independent.agreed.of) == (36, 40)
    assert (other.independent, other.overall, other.by_observers) == (one.independent, one.overall, one.by_observers)
    assert (len(one.disagreements), len(other.disagreements)) == (4, 0)
    alpha = [identification_rate(rows, who_is_who(annotations, rows)).persons for rows in (before, after)]
    assert alpha[0] == alpha[1] == make_share(36, 40)
    assert accuracies(after) == accuracies(before)


def test_a_slip_that_was_taken_back_is_no_answer_and_a_slip_given_back_is_one():
    for observer, minutes, back, expected in (
        ("ann", 29, False, SAME),
        ("ann", 31, False, DIFFERENT),
        ("cy", 1, False, DIFFERENT),  # somebody else did not slip
        ("ann", 1, True, DIFFERENT),
    ):
        book = Book()
        slip = book.pair(0, 1, DIFFERENT, decided_at="2026-05-04T09:00:00.000Z")
        undo = book.add("undo", observer, slip.id, decided_at=f"2026-05-04T09:{minutes:02}:00.000Z")
        if back:
            book.undo(undo)
        book.pair(0, 1, SAME)
        book.pair(0, 1, SAME, "bo", mode="blind")
        found = agreement(book.rows, who_is_who(catalog([None] * 2), book.rows))
        assert found.independent.agreed.count == (expected == SAME), (observer, minutes)
        assert found.disagreements == ()


def test_an_answer_is_independent_only_if_the_later_one_was_blind():
    for modes, expected in ((("open", "blind"), 1), (("blind", "open"), 0), (("open", "open"), 0)):
        book = Book()
        for observer, mode in zip(("zoe", "ann"), modes, strict=True):
            book.pair(0, 1, SAME, observer, mode=mode)
        assert agreement(book.rows, who_is_who(catalog([None] * 2), book.rows)).independent.pairs == expected


def test_three_observers_of_a_pair_are_three_comparisons_and_the_names_do_not_matter():
    draw = random.Random(3)
    book = Book()
    for n in range(1, 30):
        for observer in "abc":
            book.pair(0, n, draw.choice(ANSWERS), observer)
    annotations = catalog([None] * 30)
    found = agreement(book.rows, who_is_who(annotations, book.rows))
    assert (found.overall.pairs, found.overall.agreed.of) == (29, 87)
    assert [each.name for each in found.by_observers] == [("a", "b"), ("a", "c"), ("b", "c")]
    assert found.overall.interval[0] < found.overall.kappa < found.overall.interval[1]
    other = [row._replace(observer={"a": "z", "b": "m", "c": "b"}[row.observer]) for row in book.rows]
    again = agreement(other, who_is_who(annotations, other))
    assert again.overall.kappa == pytest.approx(found.overall.kappa)
    assert again.overall.agreed == found.overall.agreed
    assert len(found.disagreements) == len(again.disagreements)


def test_disagreements_without_an_adjudicator_come_first_and_opposite_ones_before_doubts():
    book = Book()
    for n, (one, other, judge) in enumerate(
        [(SAME, DIFFERENT, SAME), (SAME, CANNOT_TELL, None), (DIFFERENT, SAME, None), (SAME, SAME, None)]
    ):
        book.pair(2 * n, 2 * n + 1, one)
        book.pair(2 * n, 2 * n + 1, other, "bo", mode="blind")
        if judge:
            book.pair(2 * n, 2 * n + 1, judge, "cy", role="adjudicator")
    found = agreement(book.rows, who_is_who(catalog([None] * 8), book.rows))
    assert [each.a for each in found.disagreements] == [4, 2, 0]
    assert found.waiting == 2
    assert found.disagreements[-1].adjudicated.answer == SAME


def test_two_sides_of_one_encounter_are_a_pair_of_their_own():
    annotations = tuple(replace(a, encounter="e", passage="e") for a in catalog([None] * 4))
    book = Book()
    book.pair(0, 1, SAME)
    book.pair(0, 1, SAME, "bo", mode="blind")
    book.pair(2, 3, SAME)
    book.pair(2, 3, CANNOT_TELL, "bo", mode="blind")
    book.pair(2, 3, SAME, "cy", role="adjudicator")
    who = who_is_who(annotations, book.rows)
    assert len(who.sightings) == 1
    found = agreement(book.rows, who)
    assert (found.overall.pairs, found.overall.agreed.count) == (2, 1)
    assert [each.sides for each in found.disagreements] == [("a2", "a3")]
    assert "a2" in format_agreement(found, who)


def test_a_doubt_about_two_sightings_that_became_one_encounter_waits_for_nobody():
    before = catalog([None] * 4)
    after = tuple(replace(a, encounter="e", passage="e") if a.row < 2 else a for a in before)
    book = Book()
    for a in (0, 2):
        book.pair(a, a + 1, SAME)
        book.pair(a, a + 1, CANNOT_TELL, "bo", mode="blind")
    told = [agreement(book.rows, who_is_who(annotations, book.rows)) for annotations in (before, after)]
    assert [[each.sides for each in found.disagreements] for found in told] == [
        [("a0", "a1"), ("a2", "a3")],
        [("a2", "a3")],
    ]
    assert [found.waiting for found in told] == [2, 1]
    assert [found.overall.pairs for found in told] == [2, 2]


def test_a_disagreement_that_a_split_settled_waits_for_nobody():
    annotations, book = catalog([None] * 4), Book()
    for a, other in (0, DIFFERENT), (2, CANNOT_TELL):
        book.pair(a, a + 1, SAME)
        book.pair(a, a + 1, other, "bo", mode="blind")
    assert agreement(book.rows, who_is_who(annotations, book.rows)).waiting == 2
    for a in (0, 2):
        split = book.add("split", "ann", "", side_a=(f"a{a}",), side_b=(f"a{a + 1}",))
    found = agreement(book.rows, who_is_who(annotations, book.rows))
    assert (found.disagreements, found.overall.pairs) == ((), 2)
    book.pair(0, 1, SAME, "bo")  # said since the split
    book.pair(0, 1, DIFFERENT)
    book.undo(split)
    found = agreement(book.rows, who_is_who(annotations, book.rows))
    assert [each.a for each in found.disagreements] == [0, 2]


def test_two_sides_of_one_encounter_are_a_pair_when_their_first_photo_has_left_the_catalog():
    annotations = tuple(replace(a, encounter="e", passage="e", row=n) for n, a in enumerate(catalog([None] * 5)[1:]))
    book = Book()
    for observer, answer in (("ann", SAME), ("bo", CANNOT_TELL)):
        book.add("pair", observer, answer, side_a=("a0", "a1"), side_b=("a2", "a3"), mode="blind")
    book.add("pair", "cy", SAME, side_a=("a0", "a1"), side_b=("a2", "a3"), role="adjudicator")
    who = who_is_who(annotations, book.rows)
    found = agreement(book.rows, who)
    assert (found.overall.pairs, found.gone) == (1, 0)
    assert [each.sides for each in found.disagreements] == [("a1", "a2")]
    assert "a1" in format_agreement(found, who)


def test_hidden_repetitions_are_compared_with_the_answer_before():
    book = Book()
    for n, (before, now) in enumerate([(SAME, SAME), (SAME, DIFFERENT), (DIFFERENT, CANNOT_TELL), (DIFFERENT, SAME)]):
        book.pair(n, n + 1, before)
        book.pair(n, n + 1, before, "bo")
        book.pair(n + 1, n, now, tags=("repeat",))
    book.pair(0, 4, SAME, tags=("repeat",))  # the answer before it is not there
    (found,) = agreement(book.rows, who_is_who(catalog([None] * 5), book.rows)).repeats
    assert (found.observer, found.reversed.count, found.reversed.of) == ("ann", 2, 4)
    assert (found.changed.count, found.alone) == (3, 1)
    assert found.reversed == make_share(2, 4)


def test_times_leave_out_the_implausible_and_count_it():
    book = Book()
    for n, seconds in enumerate([2, 4, 6, 8, 10, 1801, -5]):
        opened = f"2026-05-04T{9 + n:02}:00:00.000Z"
        closed = (datetime.fromisoformat(opened) + timedelta(seconds=seconds)).isoformat()
        book.pair(0, 1, SAME, opened_at=opened, decided_at=closed)
    book.pair(0, 1, SAME)
    book.pair(0, 1, SAME, opened_at="yesterday")
    (found,) = agreement(book.rows, who_is_who(catalog([None] * 2), book.rows)).times
    assert (found.timed, found.lower, found.median, found.upper) == (5, 4, 6, 8)
    assert (found.too_long, found.untimed) == (2, 2)
    local = Decision("x", "2026-05-04T09:00:09", "ann", "note", opened_at="2026-05-04T11:00:00+02:00")
    assert seconds_of(local) == 9


def test_nothing_answered_is_not_known():
    who = who_is_who(catalog([None] * 3), [])
    found = agreement([], who)
    assert (found.pairs, found.overall.pairs, found.overall.kappa, found.overall.interval) == (0, 0, None, None)
    assert found.disagreements == found.times == found.repeats == found.by_flank == ()
    assert "not known" in format_agreement(found, who)
    assert training_results([]) == ()
    assert machine_error([], who).checked == 0
    assert "no decision" in methods_paragraph([], who, date="2026-05-05").lower()


@given(st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 3), st.sampled_from(ANSWERS), st.booleans())))
def test_groups_of_any_answers_add_up(given_answers):
    book = Book()
    for observer, number, answer, blind in given_answers:
        book.pair(number, number + 1, answer, observer, mode="blind" if blind else "open")
    found = agreement(book.rows, who_is_who(catalog([None] * 5), book.rows))
    last = {(observer, number): answer for observer, number, answer, _ in given_answers}
    per_pair = Counter(number for _, number in last)
    assert found.overall.agreed.of == sum(n * (n - 1) // 2 for n in per_pair.values())
    assert found.overall.pairs == sum(n > 1 for n in per_pair.values())
    for groups in (found.by_observers, found.by_flank, found.by_level, found.by_quality, found.by_certainty):
        assert sum(each.agreed.of for each in groups) == found.overall.agreed.of
        assert sum(each.agreed.count for each in groups) == found.overall.agreed.count
    json.dumps(agreement_to_json(found, who_is_who(catalog([None] * 5), book.rows)), allow_nan=False)


# --- training --------------------------------------------------------------------------------------------------------


def survey(individuals=8, encounters=5, **values):
    names = [f"cat {n % individuals}" for n in range(individuals * encounters)]
    who = who_is_who(catalog(names, **values), [])
    return who, trusted_names(who, "ann")


def likely(**odds):
    return {tuple(map(int, key[1:].split("_"))): SimpleNamespace(odds=value) for key, value in odds.items()}


def test_training_pairs_are_half_same_half_different_comparable_and_of_two_encounters():
    parts = {n: ("left_flank", "right_flank", "unknown")[n % 3] for n in range(40)}
    who, names = survey(parts=parts, passages={n: f"p{n // 2}" for n in range(40)})
    pairs = training_pairs(who.sightings, names, {}, 20, 1, "ann")
    assert Counter(each.truth for each in pairs) == {SAME: 10, DIFFERENT: 10}
    assert len({(each.one, each.other) for each in pairs}) == 20
    for each in pairs:
        one, other = who.sightings[each.one], who.sightings[each.other]
        assert each.one < each.other
        assert (names[each.one] == names[each.other]) == (each.truth == SAME)
        assert comparable(one, other)
        assert one.passage != other.passage
        assert not each.hard
    own = Counter(names[each.one] for each in pairs if each.truth == SAME)
    assert max(own.values()) <= 2  # every animal is drawn equally often


def test_training_pairs_are_the_same_for_one_seed_and_observer_only():
    who, names = survey()
    evidence = likely(_0_1=5.0, _0_2=1.0, _0_8=9.0, _3_4=2.0, _5_6=-1.0)
    first = training_pairs(who.sightings, names, evidence, 16, 4, "ann")
    assert first == training_pairs(who.sightings, names, evidence, 16, 4, "ann")
    assert first != training_pairs(who.sightings, names, evidence, 16, 4, "bo")
    assert first != training_pairs(who.sightings, names, evidence, 16, 5, "ann")
    hard = {(each.one, each.other) for each in first if each.hard}
    assert hard == {(0, 1), (0, 2), (3, 4), (5, 6)}  # 0 and 8 are one animal
    assert all(each.truth == DIFFERENT for each in first if each.hard)


def test_the_hard_pairs_are_the_most_likely_wrong_ones():
    who, names = survey()
    wrong = [(a, b) for a in range(40) for b in range(a + 1, 40) if names[a] != names[b]]
    evidence = {pair: SimpleNamespace(odds=float(-n)) for n, pair in enumerate(wrong)}
    pairs = training_pairs(who.sightings, names, evidence, 20, 0)
    hard = {(each.one, each.other) for each in pairs if each.hard}
    assert len(hard) == 5
    assert hard <= set(wrong[:15])


def test_answered_pairs_do_not_come_back_and_few_pairs_stay_balanced():
    who, names = survey(individuals=3, encounters=2)  # three pairs of one animal, twelve of two
    pairs = training_pairs(who.sightings, names, {}, 40, 0)
    assert Counter(each.truth for each in pairs) == {SAME: 3, DIFFERENT: 3}
    book = Book()
    for each in pairs[:-1]:
        book.pair(each.other, each.one, SAME, mode="training", tags=(truth_tag(each.truth),))
    answered = answered_pairs(book.rows, who, "ann")
    assert answered == {(each.one, each.other) for each in pairs[:-1]}
    assert answered_pairs(book.rows, who, "bo") == set()
    for each in pairs:
        if each.truth == SAME:
            answered |= {(each.one, each.other)}
    with pytest.raises(SnowmatchError, match="no pair of one animal is left"):
        training_pairs(who.sightings, names, {}, 40, 0, "ann", answered)


def test_sightings_of_one_passage_are_never_a_pair():
    who, names = survey(individuals=2, encounters=3, passages={n: f"p{n // 2}" for n in range(6)})
    pairs = training_pairs(who.sightings, names, likely(_0_1=9.0), 12, 0)
    different = {(each.one, each.other) for each in pairs if each.truth == DIFFERENT}
    assert different == {(0, 3), (0, 5), (1, 2), (1, 4), (2, 5), (3, 4)}
    assert len(pairs) == 12


def test_training_needs_two_known_animals():
    who, names = survey(individuals=1, encounters=3)
    with pytest.raises(SnowmatchError, match="two animals"):
        training_pairs(who.sightings, names, {}, 10, 0)
    with pytest.raises(SnowmatchError, match="0 named individuals"):
        training_pairs(who.sightings, [None] * 3, {}, 10, 0)
    with pytest.raises(ValueError, match="count is 1"):
        training_pairs(who.sightings, names, {}, 1, 0)


def test_names_of_contradictory_or_joined_individuals_are_not_trusted():
    annotations = catalog(["a", "a", "b", "b", "c", "d", None])
    book = Book()
    book.pair(0, 1, DIFFERENT)
    book.pair(4, 5, SAME)
    assert trusted_names(who_is_who(annotations, book.rows), "ann") == (None, None, "b", "b", None, None, None)


def test_nobody_is_trained_by_own_answers_or_by_joins_of_the_machine():
    book = Book()
    book.pair(0, 1, SAME, "machine", role="machine")
    book.pair(1, 2, SAME, "bo")
    book.pair(0, 3, SAME, "ann")
    book.pair(4, 3, SAME, "ann")
    book.pair(0, 4, SAME, "bo")
    book.add("merge", "ann", "", side_a=("a4",), side_b=("a5",))
    who = who_is_who(catalog(["aika"] + [None] * 5), book.rows)
    assert len(who.individuals) == 1
    assert trusted_names(who, "ann") == ("aika", None, None, None, "aika", "aika")
    assert trusted_names(who, "bo") == ("aika", None, None, "aika", "aika", "aika")
    assert trusted_names(who, "Chinara") == ("aika", None, None, "aika", "aika", "aika")


def test_training_results_tell_both_kinds_of_error():
    book = Book()
    said = [
        (SAME, SAME, 4),
        (SAME, DIFFERENT, 1),
        (SAME, CANNOT_TELL, 1),
        (DIFFERENT, SAME, 4),
        (DIFFERENT, DIFFERENT, 4),
    ]
    for n, (truth, answer, certainty) in enumerate(said):
        book.pair(n, n + 1, answer, mode="training", tags=(truth_tag(truth),), certainty=certainty)
    book.pair(1, 2, SAME, mode="training", tags=(truth_tag(SAME),))  # now she knows
    book.pair(5, 6, SAME, "bo", mode="training", tags=(truth_tag(SAME),))
    book.pair(6, 7, SAME, "bo", mode="training")  # without the truth: tells nothing
    book.pair(7, 8, SAME, "bo", tags=(truth_tag(SAME),))  # not training
    ann, bo = training_results(book.rows)
    assert (ann.observer, ann.pairs) == ("ann", 5)
    assert ann.split == make_share(1, 2)
    assert ann.lumped == make_share(1, 2)
    assert ann.cannot_tell == make_share(1, 5)
    assert ann.by_certainty == ((1, make_share(1, 1)), (4, make_share(1, 3)))
    assert (bo.pairs, bo.lumped.value, (bo.lumped.low, bo.lumped.high)) == (1, None, (0, 1))
    text = format_training((ann, bo), accuracies(book.rows))
    assert "50.0 %" in text
    assert "-" in text


def test_the_truth_travels_in_a_tag():
    assert truth_of(Book().pair(0, 1, SAME, tags=("x", truth_tag(DIFFERENT)))) == DIFFERENT
    assert truth_of(Book().pair(0, 1, SAME, tags=("truth maybe",))) == ""
    with pytest.raises(ValueError, match="cannot_tell"):
        truth_tag(CANNOT_TELL)


# --- accuracy --------------------------------------------------------------------------------------------------------


def trained(book, right, wrong, observer="ann"):
    for n in range(right + wrong):
        book.pair(n, n + 1, SAME if n < right else DIFFERENT, observer, mode="training", tags=(truth_tag(SAME),))


def test_accuracy_starts_at_the_prior_and_goes_to_what_was_measured():
    assert accuracy_by_name([])("ann") == ACCURACY
    book = Book()
    trained(book, 15, 5)
    assert accuracy_by_name(book.rows)("ann") == pytest.approx((20 * 0.97 + 15) / 40)
    assert accuracy_by_name(book.rows)("bo") == ACCURACY
    long = Book()
    trained(long, 1600, 400)
    assert accuracy_by_name(long.rows)("ann") == pytest.approx(0.8, abs=0.005)


@given(st.integers(0, 300), st.integers(0, 300))
def test_accuracy_has_bounds_and_grows_with_right_answers(right, wrong):
    book, more = Book(), Book()
    trained(book, right, wrong)
    trained(more, right + 1, wrong)
    assert LOWEST <= accuracy_by_name(book.rows)("ann") <= accuracy_by_name(more.rows)("ann") <= HIGHEST


def simulated(errors, pairs=2000, mode="blind", judged=1.0, seed=2):
    """Return the rows of observers with these shares of errors about pairs, and of an adjudicator who never errs."""
    draw, book = random.Random(seed), Book()
    for n in range(pairs):
        truth = draw.choice((SAME, DIFFERENT))
        other = DIFFERENT if truth == SAME else SAME
        said = {name: other if draw.random() < share else truth for name, share in errors.items()}
        for k, (name, answer) in enumerate(said.items()):
            book.pair(2 * n, 2 * n + 1, answer, name, mode=mode if k else "open")
        if len(set(said.values())) > 1 and draw.random() < judged:
            book.pair(2 * n, 2 * n + 1, truth, "judge", role="adjudicator")
    return book.rows


def test_adjudicated_disagreements_tell_observers_apart_and_condemn_nobody():
    found = accuracies(simulated({"good": 0.02, "bad": 0.15}))
    assert found["good"] == pytest.approx(0.98, abs=0.01)
    assert found["bad"] == pytest.approx(0.85, abs=0.02)
    assert "judge" not in found
    waiting = accuracies(simulated({"good": 0.02, "bad": 0.15}, judged=0))
    assert waiting["good"] == waiting["bad"] == pytest.approx(1 - 0.17 / 2, abs=0.02)


def test_answers_that_saw_the_first_one_measure_nobody():
    assert accuracies(simulated({"good": 0.02, "bad": 0.15}, pairs=50, mode="open")) == {}


def test_no_hidden_answer_is_measured_twice_and_slips_never():
    book = Book()
    trained(book, 10, 0)
    row = book.pair(50, 51, DIFFERENT, mode="training", tags=(truth_tag(SAME),))
    before = accuracy_by_name(book.rows)("ann")
    book.undo(row)
    assert accuracy_by_name(book.rows)("ann") > before


def test_who_takes_a_wrong_answer_in_training_back_has_given_it():
    who = who_is_who(catalog([None] * 2), [])
    for minutes, count in ((29, 0), (31, 1)):
        book = Book()
        wrong = book.pair(0, 1, DIFFERENT, mode="training", tags=(truth_tag(SAME),))
        before = accuracies(book.rows), training_results(book.rows)
        book.add("undo", "ann", wrong.id, decided_at=f"2026-05-04T09:{minutes}:00.000Z")
        assert len(answered_pairs(book.rows, who, "ann")) == count
        book.pair(0, 1, SAME, mode="training", tags=(truth_tag(SAME),))
        (found,) = training_results(book.rows)
        assert (found.split.count, found.split.of) == (count, 1)
        assert ((accuracies(book.rows), training_results(book.rows)) == before) is (count == 1)


def test_an_adjudicator_corrects_what_was_right_in_training():
    book = Book()
    book.pair(0, 1, DIFFERENT, mode="training", tags=(truth_tag(SAME),))
    book.pair(2, 3, SAME, mode="training", tags=(truth_tag(SAME),))
    before = accuracies(book.rows), training_results(book.rows)
    judged = book.pair(1, 0, DIFFERENT, "eve", role="adjudicator")
    (found,) = training_results(book.rows)
    assert (found.pairs, found.split.count, found.split.of, found.lumped.count, found.lumped.of) == (2, 0, 1, 0, 1)
    assert accuracies(book.rows)["ann"] == pytest.approx((20 * 0.97 + 2) / 22)
    book.undo(judged)
    assert (accuracies(book.rows), training_results(book.rows)) == before
    book.pair(0, 1, "cannot_tell", "eve", role="adjudicator")
    (found,) = training_results(book.rows)
    assert (found.pairs, found.split.count, found.split.of) == (1, 0, 1)


# --- the machine -----------------------------------------------------------------------------------------------------


def test_an_adjudicator_of_a_pair_that_got_a_photo_since_measures_its_observers():
    annotations = tuple(replace(a, encounter=f"e{max(a.row, 1)}") for a in catalog([None] * 3))  # a0 came later
    book = Book()
    book.pair(1, 2, SAME)
    book.pair(1, 2, DIFFERENT, "bo", mode="blind")
    book.pair(1, 2, SAME, "di", mode="training", tags=(truth_tag(SAME),))
    book.add("pair", "cy", DIFFERENT, side_a=("a0", "a1"), side_b=("a2",), role="adjudicator")
    who = who_is_who(annotations, book.rows)
    found = accuracies(book.rows, who)
    assert found["ann"] < ACCURACY < found["bo"]
    assert found["di"] == found["ann"]
    assert accuracy_by_name(book.rows, who)("ann") == found["ann"]
    (trained,) = training_results(book.rows, who)
    assert (trained.split.of, trained.lumped.count) == (0, 1)
    assert accuracies(book.rows, who_is_who(annotations[:0], book.rows)) == accuracies(book.rows)  # they have gone


def test_the_machine_is_measured_by_the_drawn_decisions_that_persons_answered_later():
    book = Book()
    book.pair(14, 15, SAME)  # earlier than the machine: no check
    drawn = {}
    for n, answer in enumerate([SAME, SAME, DIFFERENT, SAME, SAME, DIFFERENT, SAME, SAME, SAME]):
        tags = ("sample",) if n < 8 else ()
        drawn[n] = book.pair(2 * n, 2 * n + 1, answer, "machine", role="machine", tags=tags)
    book.pair(0, 1, SAME, tags=("sample",))  # right
    book.pair(2, 3, DIFFERENT, "bo", mode="blind")  # wrong: lumped
    book.pair(4, 5, SAME)  # wrong: split
    book.pair(6, 7, CANNOT_TELL)
    book.pair(8, 9, SAME)
    book.pair(8, 9, DIFFERENT, "bo")  # disputed
    book.pair(10, 11, SAME)
    book.pair(10, 11, DIFFERENT, "judge", role="adjudicator")  # right after all
    book.pair(12, 13, DIFFERENT, mode="training", tags=(truth_tag(SAME),))  # no check
    book.pair(16, 17, DIFFERENT)  # not drawn
    who = who_is_who(catalog([None] * 20), book.rows)
    found = machine_error(book.rows, who)
    assert (found.decisions, found.sample, found.checked) == (9, 8, 4)
    assert found.wrong == make_share(2, 4)
    assert (found.lumped, found.split) == (make_share(1, 2), make_share(1, 2))
    assert (found.cannot_tell, found.disputed, found.waiting, found.gone, found.taken_back) == (1, 1, 2, 0, 0)
    book.undo(drawn[1])
    again = machine_error(book.rows, who_is_who(catalog([None] * 20), book.rows))
    assert (again.wrong, again.taken_back) == (make_share(1, 3), 1)
    fewer = machine_error(book.rows, who_is_who(catalog([None] * 5), book.rows))
    assert fewer.gone == 6
    book.pair(0, 1, SAME, "machine", role="machine", tags=("sample",))
    twice = machine_error(book.rows, who_is_who(catalog([None] * 20), book.rows))
    assert (twice.sample, twice.gone, twice.again) == (8, 0, 1)
    told = format_agreement(agreement(book.rows, who), who, twice)
    assert "(0 of photos that have gone or are one encounter now, 1 decided again later, 1 taken back: " in told
    total = fewer.checked + fewer.cannot_tell + fewer.disputed + fewer.waiting + fewer.gone
    assert total == fewer.sample == 7


# --- text ------------------------------------------------------------------------------------------------------------


def test_drawn_decisions_about_sightings_that_became_one_encounter_wait_for_nobody():
    before, book = catalog([None] * 6), Book()
    after = tuple(replace(a, encounter=f"e{min(a.row, 2)}" if a.row < 4 else "e4") for a in before)
    for a in (0, 2, 4):
        book.pair(a, a + 1, SAME, "machine", role="machine", tags=("sample",))
    book.pair(4, 5, SAME)
    found = [machine_error(book.rows, who_is_who(annotations, book.rows)) for annotations in (before, after)]
    assert [(each.sample, each.checked, each.waiting, each.gone) for each in found] == [(3, 1, 2, 0), (3, 1, 1, 1)]


def test_a_split_of_a_drawn_decision_of_the_machine_says_that_it_was_wrong():
    book = Book()
    for n in range(3):
        book.pair(n, n + 1, SAME, "machine", role="machine", tags=("sample",) if n else ())
    split = book.add("split", "ann", "", side_a=("a3",), side_b=("a0", "a1", "a2"))
    who = who_is_who(catalog([None] * 4), book.rows)
    assert (2, 3) not in who.pairs  # so nobody is asked about it any more
    found = machine_error(book.rows, who)
    assert (found.lumped, found.waiting) == (make_share(1, 1), 1)
    book.pair(2, 3, SAME)  # her last word
    assert machine_error(book.rows, who_is_who(catalog([None] * 4), book.rows)).lumped == make_share(0, 1)
    book.undo(book.rows[-1])
    book.undo(split)
    assert machine_error(book.rows, who_is_who(catalog([None] * 4), book.rows)).waiting == 2


def test_a_split_looks_only_at_the_drawn_decisions_about_its_sightings():
    book = Book()
    for n in range(0, 60, 2):
        book.pair(n, n + 1, SAME, "machine", role="machine", tags=("sample",))
    for n in range(0, 40, 2):
        book.add("split", "ann", "", side_a=(f"a{n}",), side_b=(f"a{n + 1}",))
    looked = []

    class Counting(dict):
        def __getitem__(self, name):
            looked.append(name)
            return super().__getitem__(name)

    who = who_is_who(catalog([None] * 60), book.rows)
    found = machine_error(book.rows, replace(who, number_of=Counting(who.number_of)))
    assert (found.lumped, found.waiting) == (make_share(20, 20), 10)
    assert len(looked) <= 60 + 40, "each photo of a drawn pair once, and each of a split"


def full_story():
    annotations = catalog(["aika", "aika", None, None, None, None, None], parts={2: "right_flank", 3: "right_flank"})
    book = Book()
    for a, b, one, other in (
        (0, 4, SAME, SAME),
        (2, 3, SAME, SAME),
        (0, 5, DIFFERENT, SAME),
        (0, 6, DIFFERENT, DIFFERENT),
    ):
        book.pair(a, b, one, marks=((0, 0, 1, 1),) * 3, program="0.1.0")
        book.pair(a, b, other, "bo\x1b", mode="blind", program=__version__)
    book.pair(0, 5, DIFFERENT, "cy", role="adjudicator")
    book.pair(0, 4, DIFFERENT, tags=("repeat",))
    book.pair(0, 1, SAME, mode="training", tags=(truth_tag(SAME),))
    book.pair(2, 3, SAME, mode="training", tags=(truth_tag(DIFFERENT),))
    book.pair(1, 4, SAME, "machine", role="machine", tags=("sample",), note="Pairs of the level excellent")
    book.pair(1, 4, SAME, tags=("sample",))
    return annotations, book.rows


def test_the_methods_paragraph_has_all_figures():
    annotations, rows = full_story()
    rows = [row for row in rows if "repeat" not in row.tags] + [row for row in rows if "repeat" in row.tags]
    rows = [row._replace(id=f"id{n:06}") for n, row in enumerate(rows)]
    told = Told(criteria="Two animals were one if three marks agreed", experience="Both had five years of practice.")
    who = who_is_who(annotations, rows)
    text = methods_paragraph(rows, who, date="2026-05-05", photos=120, told=told)
    assert "\n" not in text
    assert "  " not in text
    for part in (
        f"snowmatch {__version__}; some decisions were made with version 0.1.0; figures are as of 2026-05-05.",
        "120 photos with 7 annotations (one animal in one photo), which formed 7 sightings",
        "Two animals were one if three marks agreed. Two observers gave 9 answers (6 same",
        "marks on the coat were recorded for 4 of the 9 answers",
        "Both had five years of practice.",
        "One adjudicator gave 1 answer",
        "Four pairs were answered by two or more observers independently",
        "Their first answers agreed in 3 of 4 (75.0 %, 95 % interval 19.4 to 99.4 %); Cohen's kappa was 0.50",
        "about 1 pair (1 of them: same against different); an adjudicator decided 1 of them, and 0 remain open",
        "opposite answer in 1 of 1",
        "One observer answered 2 pairs of sightings of known animals",
        "The program decided 1 pair of sightings by itself. Its rule: Pairs of the level excellent. Persons checked a",
        "0 of 1 (0.0 %, 95 % interval 0.0 to 97.5 %) of those checked were wrong, that is 0 of 1 decisions same.",
        "Two individuals were distinguished: 0 by both flanks, 1 by the left flank only and 1 by the right flank only",
        "counts as two: if no flank was assigned wrongly, these are 1 to 2 animals.",
        "Not recorded: how encounters were told apart; which animals (such as cubs) were left out; what was done with",
    ):
        assert part in text, (part, text)


def test_the_methods_paragraph_tells_the_photos_that_show_each_individual_and_which_were_usable():
    annotations, book = catalog(["A", "A", "B", None]), Book()
    for name, value in (("a0", "good"), ("a1", "poor"), ("a2", "poor"), ("a2", "fair")):
        book.add("quality", "ann", value, side_a=(name,))
    for name in ("a0", "a1", "a3"):  # two of one individual, and one of none
        book.add("note", "ann", "", side_a=(name,), tags=("portrait",))
    who = who_is_who(annotations, book.rows)
    text = methods_paragraph(book.rows, who, date="2026-05-05", unused=3)
    for part in (
        "Besides, 3 annotations formed no sighting: the screening kept no photo of them",
        "Photo quality was judged for 3 of the 4 annotations: 1 good, 1 fair, 1 poor.",
        "A photo to represent the individual was chosen by a person for 1 of 2.",
        "where a photo of each individual that shows its marks can be seen.",
    ):
        assert part in text, (part, text)
    shown = methods_paragraph(book.rows, who, date="2026-05-05", told=Told(evidence="Photos are in Appendix 2"))
    assert "chosen by a person for 1 of 2. Photos are in Appendix 2. Not recorded" in shown
    assert "can be seen" not in shown
    nothing = methods_paragraph([], who_is_who(catalog([None]), []), date="2026-05-05")
    assert "No decision tells the quality of a photo." in nothing
    assert "represent" not in nothing  # there is no individual
    assert "Besides" not in nothing


def test_what_is_not_known_is_said_to_be_unknown():
    who = who_is_who(catalog([None] * 3), [])
    text = methods_paragraph([], who, date="2026-05-05")
    for part in (
        "an unknown number of photos",
        "No comparison of two sightings by a person is on record.",
        "No pair was answered by a second observer, so agreement between observers is unknown.",
        "The error of the observers was not measured on known animals.",
        "The program made no decision by itself.",
        "No contradiction between decisions remains.",
        "No individuals were distinguished",
        "the experience of the observers",
    ):
        assert part in text, (part, text)
    assert "left to the machine" not in text  # it decided nothing


def test_the_methods_paragraph_tells_different_names_of_observers_until_they_are_settled():
    annotations, book = catalog([None] * 2), Book()
    for observer, name, role in (("ann", "A", "observer"), ("bo", "B", "observer"), ("cy", "A", "adjudicator")):
        book.add("name", observer, name, side_a=("a0",), role=role)
    texts = [methods_paragraph(r, who_is_who(annotations, r), date="2026-05-05") for r in (book.rows[:2], book.rows)]
    assert "Observers gave 1 sighting different names, of which the last counts." in texts[0]
    assert ["No contradiction between decisions remains." in text for text in texts] == [False, True]


def test_the_text_and_the_json_say_the_same_and_hide_control_characters():
    annotations, rows = full_story()
    who = who_is_who(annotations, rows)
    found, machine = agreement(rows, who), machine_error(rows, who)
    text = format_agreement(found, who, machine)
    assert "\x1b" not in text
    assert "75.0 % [19.4, 99.4] of 4" in text
    assert all(len(line) <= 120 for line in text.splitlines()), text
    values = agreement_to_json(
        found,
        who,
        catalog="c",
        trained=training_results(rows),
        accuracy=accuracies(rows),
        machine=machine,
    )
    values = json.loads(json.dumps(values, allow_nan=False))
    assert values["schema"] == "snowmatch.agreement/1"
    assert values["overall"]["kappa"] == pytest.approx(found.overall.kappa, rel=1e-5)
    assert values["disagreements"][0]["encounters"] == ["e0", "e5"]
    assert values["training"][0]["lumped"] == {"count": 1, "of": 1, "value": 1.0, "low": 0.025, "high": 1.0}
    assert values["machine"]["checked"] == 1


def test_a_share_has_the_exact_interval():
    # Clopper and Pearson: without a hit in n, the upper end is 1 - 0.025 ** (1 / n)
    assert make_share(0, 10).high == pytest.approx(1 - 0.025 ** (1 / 10))
    assert make_share(10, 10).low == pytest.approx(0.025 ** (1 / 10))
    assert make_share(0, 0).value is None
    with pytest.raises(ValueError, match="count is 3"):
        make_share(3, 2)
