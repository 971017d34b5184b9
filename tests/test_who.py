"""Who is who: components by names and decisions, splits, merges, undo, quarrels, and the names that follow."""

import math
from dataclasses import replace
from datetime import datetime
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from snowmatch.core.types import Annotation
from snowmatch.decisions import who as who_module
from snowmatch.decisions.advance import advanced
from snowmatch.decisions.effect import in_effect
from snowmatch.decisions.row import CANNOT_TELL, DIFFERENT, REPEAT, SAME, Decision
from snowmatch.decisions.who import DISPUTED, GONE, _Replay, who_is_who, with_names
from snowmatch.review.contradictions import contradictions_of
from snowmatch.review.counting import count_individuals
from snowmatch.review.graph import Known, silence, weights_of
from snowmatch.review.likely import Evidence, Likely
from snowmatch.views.question import _apart


def photo(row, encounter, individual=None, **values):
    values.setdefault("path", f"{row}.jpg")
    values.setdefault("body_part", "left_flank")
    return Annotation(row, individual=individual, encounter=encounter, annotation=f"a{row:02d}", **values)


def rows_of(*made):
    return [each._replace(id=f"{n:04d}") for n, each in enumerate(made)]


def pair(a, b, answer=SAME, observer="Anna", **values):
    one, other = ((side,) if isinstance(side, str) else tuple(side) for side in (a, b))
    return Decision("", "2026-01-01T00:00:00.000Z", observer, "pair", one, other, answer, **values)


def act(kind, a=(), b=(), answer="", observer="Anna"):
    return Decision("", "2026-01-01T00:00:00.000Z", observer, kind, tuple(a), tuple(b), answer)


def groups(who):
    """Return the individuals as sets of annotations."""
    return {
        frozenset(name for n in each.sightings for name in who.sightings[n].annotations) for each in who.individuals
    }


def of(who, annotation):
    return who.individuals[who.of[who.number_of[annotation]]]


FOUR = [photo(n, f"e{n}") for n in range(4)]


def test_a_sighting_is_one_animal_of_one_encounter():
    photos = [photo(0, "e0"), photo(1, "e0"), photo(2, "e0", "Aika"), photo(3, "e1")]
    assert groups(who_is_who(photos, [])) == {frozenset({"a00", "a01"}), frozenset({"a02"}), frozenset({"a03"})}


def test_a_day_without_a_time_of_day_is_told_as_a_day_and_no_seconds_are_between_it_and_a_time_of_that_day():
    day, noon = datetime(2023, 5, 1), datetime(2023, 5, 1, 12)
    photos = [photo(0, "e0", timestamp=day, dated=True), photo(1, "e1", timestamp=noon), photo(2, "e2", timestamp=day)]
    dated, timed, midnight = (s.time for s in who_is_who(photos, []).sightings)
    assert (dated, timed, midnight) == ("2023-05-01", "2023-05-01T12:00:00", "2023-05-01T00:00:00")
    assert [_apart(dated, each) for each in (dated, timed, midnight, "2023-05-03", "")] == [None] * 3 + [172800, None]
    assert _apart(timed, midnight) == 43200


def test_names_of_the_table_join_sightings():
    photos = [photo(0, "e0", "Aika"), photo(1, "e1", "Aika"), photo(2, "e2", "Bars")]
    who = who_is_who(photos, [])
    assert [each.name for each in who.individuals] == ["Aika", "Bars"]
    assert of(who, "a00") is of(who, "a01")


def test_same_joins_and_different_inside_is_a_contradiction():
    rows = rows_of(
        pair("a00", "a01"), pair("a01", "a02"), pair("a00", "a02", DIFFERENT), pair("a02", "a03", CANNOT_TELL)
    )
    who = who_is_who(FOUR, rows)
    assert groups(who) == {frozenset({"a00", "a01", "a02"}), frozenset({"a03"})}
    assert of(who, "a00").quarrels == ((0, 2),)  # it stays usable, and is marked


def test_an_undo_and_the_undo_of_an_undo():
    rows = rows_of(pair("a00", "a01"), act("undo", answer="0000"), act("undo", answer="0001"))
    assert len(groups(who_is_who(FOUR, rows[:1]))) == 3
    assert len(groups(who_is_who(FOUR, rows[:2]))) == 4
    assert len(groups(who_is_who(FOUR, rows))) == 3
    assert [row.id for row in in_effect(rows)] == ["0000"]


def test_undos_of_each_other_do_not_hang():
    rows = [act("undo", answer="0001")._replace(id="0000"), act("undo", answer="0000")._replace(id="0001")]
    assert in_effect(rows) == []


def test_the_last_answer_of_an_observer_counts():
    rows = rows_of(pair("a00", "a01"), pair("a00", "a01", DIFFERENT))
    assert len(groups(who_is_who(FOUR, rows))) == 4


@pytest.mark.parametrize("adjudicated", [SAME, DIFFERENT])
def test_observers_who_disagree_need_an_adjudicator(adjudicated):
    rows = [pair("a00", "a01"), pair("a01", "a00", DIFFERENT, "Boris")]
    who = who_is_who(FOUR, rows_of(*rows))
    assert who.pairs[0, 1].answer == DISPUTED
    assert of(who, "a00").quarrels == ((0, 1),)
    settled = who_is_who(FOUR, rows_of(*rows, pair("a00", "a01", adjudicated, "Clara", role="adjudicator")))
    assert settled.pairs[0, 1].answer == adjudicated
    assert (of(settled, "a00") is of(settled, "a01")) == (adjudicated == SAME)
    assert not of(settled, "a00").quarrels


@pytest.mark.parametrize("encounters", [("e0", "e1"), ("e0", "e0")], ids=["two sightings", "one sighting"])
def test_an_adjudicator_who_answers_as_an_observer_later_has_still_adjudicated(encounters):
    photos = [photo(n, encounter) for n, encounter in enumerate(encounters)]
    rows = [pair("a00", "a01", DIFFERENT, "Boris"), pair("a00", "a01", SAME, "Clara", role="adjudicator")]
    rows += [pair("a00", "a01", DIFFERENT, "Clara")]
    who = who_is_who(photos, rows_of(*rows))
    assert len(groups(who)) == 1
    assert not who.individuals[0].quarrels
    again = who_is_who(photos, rows_of(*rows, pair("a00", "a01", DIFFERENT, "Clara", role="adjudicator")))
    assert len(groups(again)) == 2


def test_a_person_outranks_the_machine():
    rows = rows_of(pair("a00", "a01", observer="machine", role="machine"), pair("a00", "a01", DIFFERENT))
    assert who_is_who(FOUR, rows).pairs[0, 1].answer == DIFFERENT


def test_training_and_repetitions_change_nothing():
    rows = rows_of(pair("a00", "a01", mode="training"), pair("a02", "a03", tags=(REPEAT,)))
    assert len(groups(who_is_who(FOUR, rows))) == 4


def test_two_animals_in_one_photo_are_different():
    photos = [photo(0, "e0", path="p.jpg", animal=0), photo(1, "e0", path="p.jpg", animal=1), photo(2, "e1")]
    who = who_is_who(photos, rows_of(pair("a00", "a02"), pair("a01", "a02")))
    assert who.individuals[0].quarrels == ((0, 1),)


def test_different_inside_a_sighting_divides_it():
    photos = [photo(0, "e0"), photo(1, "e0"), photo(2, "e0")]
    rows = rows_of(pair("a00", "a02", DIFFERENT))
    who = who_is_who(photos, rows)
    assert groups(who) == {frozenset({"a00", "a01"}), frozenset({"a02"})}
    named = with_names(photos, who)
    assert named[0].animal == named[1].animal != named[2].animal  # they no longer vote together
    assert len(groups(who_is_who(photos, [*rows, act("undo", answer="0000")._replace(id="0001")]))) == 1


@pytest.mark.parametrize("photos", [2, 3])
def test_observers_who_disagree_about_two_sides_of_a_sighting_need_an_adjudicator(photos):
    photos = [photo(n, "e0") for n in range(photos)]
    rows = rows_of(pair("a00", "a01", DIFFERENT, "Boris"), pair("a00", "a01"))
    who = who_is_who(photos, rows)
    assert who.pairs[0, 1].answer == DISPUTED
    assert of(who, "a00").quarrels == ((0, 1),)
    assert len(groups(who)) == 1
    assert advanced(who_is_who(photos, rows[:1]), photos, rows, rows[1:]).pairs == who.pairs
    for answer in (SAME, DIFFERENT):
        judged = pair("a00", "a01", answer, "Clara", role="adjudicator")
        settled = who_is_who(photos, rows_of(*rows, judged, pair("a00", "a01", observer="Dmitri")))
        assert len(groups(settled)) == (1 if answer == SAME else 2)
        assert not of(settled, "a00").quarrels
    assert len(who_is_who(photos, rows_of(*rows, pair("a00", "a01", observer="Boris"))).sightings) == 1  # he agrees now


def test_a_different_stays_when_an_encounter_gets_photos_of_both_sides():
    before = [photo(n, "e0" if n < 3 else "e1") for n in range(5)]
    said = pair(["a02", "a00", "a01"], ["a03", "a04"], DIFFERENT)
    assert who_is_who(before, rows_of(said)).pairs[0, 1].answer == DIFFERENT
    # a clock was corrected: the third photo is of an encounter of its own, and the others of one
    after = [photo(n, "e1" if n == 2 else "e0") for n in range(5)]
    who = who_is_who(after, rows_of(said))
    assert [each.annotations for each in who.sightings] == [("a00", "a01"), ("a02",), ("a03", "a04")]
    assert who.pairs[0, 2].answer == DIFFERENT
    assert same_state(advanced(who_is_who(after, []), after, rows_of(said), rows_of(said)), who)
    undone = rows_of(said, said._replace(answer=SAME))  # the observer's last answer counts
    assert len(who_is_who(after, undone).sightings) == 2


def test_names_of_two_sightings_stay_when_their_encounters_become_one():
    rows = rows_of(act("name", ["a00"], answer="Alpha"), act("name", ["a01"], answer="Beta"))
    apart = [photo(0, "e0"), photo(1, "e1"), photo(2, "e0"), photo(3, "e9")]
    assert {each.name for each in who_is_who(apart, rows).individuals} == {"Alpha", "Beta", None}
    together = [photo(n, "e0") for n in range(3)] + [photo(3, "e9")]
    who = who_is_who(together, rows)
    assert (of(who, "a00").name, of(who, "a01").name) == ("Alpha", "Beta")
    assert of(who, "a02").name is None  # nobody knows which of the two it shows
    assert [a.individual for a in with_names(together, who)] == ["Alpha", "Beta", None, None]
    one = who_is_who(together, rows_of(*rows, act("name", ["a00", "a01", "a02"], answer="Gamma")))
    assert groups(one) == {frozenset({"a00", "a01", "a02"}), frozenset({"a03"})}
    alone = who_is_who(together, rows_of(act("name", ["a00"], answer="Alpha")))
    assert groups(alone) == groups(one)  # photos that come later to a named sighting are of it


def test_a_split_stays_when_the_encounters_of_its_sides_become_one():
    split = rows_of(act("split", ["a01"], ["a00"], answer="Beta"))
    apart = [photo(0, "e0", "Aika"), photo(1, "e1", "Aika")]
    together = [photo(0, "e0", "Aika"), photo(1, "e0", "Aika")]
    for photos in (apart, together):
        who = who_is_who(photos, split)
        assert (of(who, "a00").name, of(who, "a01").name) == ("Aika", "Beta")
    unnamed = who_is_who(together, rows_of(act("split", ["a01"], ["a00"])))
    assert (of(unnamed, "a00").name, of(unnamed, "a01").name) == ("Aika", None)


@pytest.mark.parametrize(
    ("decision", "name"),
    [
        (act("rename", ["a00"], ["Aika"], answer="Umut"), "Umut"),
        (act("merge", ["a00"], ["a01"], answer="Bars"), "Bars"),
        (act("name", ["a00"], answer="Umut"), "Aika"),  # nobody bears the name any more
    ],
)
def test_photos_that_were_never_indexed_go_with_their_name(decision, name):
    lost = replace(photo(2, "e2", "Aika"), annotation="")
    photos = [photo(0, "e0", "Aika"), photo(1, "e1", "Bars"), lost]
    assert with_names(photos, who_is_who(photos, rows_of(decision)))[2].individual == name


def test_name_rename_and_taking_a_name_away():
    rows = rows_of(act("name", ["a00", "a01"], answer="Aika"), act("rename", ["a00"], ["Aika"], "Umut"))
    who = who_is_who(FOUR, rows)
    assert of(who, "a00").name == of(who, "a01").name == "Umut"
    again = who_is_who(FOUR, [*rows, act("name", ["a01"])._replace(id="0002")])
    assert of(again, "a01").name is None


def test_a_name_that_exists_is_not_taken_by_renaming():
    photos = [photo(0, "e0", "Aika"), photo(1, "e1", "Bars")]
    who = who_is_who(photos, rows_of(act("rename", ["a00"], ["Aika"], "Bars")))
    assert [each.name for each in who.individuals] == ["Aika", "Bars"]
    assert "existed already" in who.idle[0][1]
    assert who.refused == {"0000": (0, 1)}


CHOSEN = [
    act("merge", ["a00"], ["a01"], "Cat7"),
    act("rename", ["a00"], ["Aika"], "Cat7"),
    act("merge", ["a02"], ["a03"], "Cat7"),
]


@pytest.mark.parametrize("chosen", CHOSEN, ids=["merge", "rename", "merge without names"])
def test_a_chosen_name_that_newer_rows_have_is_told_until_one_name_is_merged_or_changed(chosen):
    photos = [photo(0, "e0", "Aika"), photo(1, "e1", "Bars"), photo(2, "e2"), photo(3, "e3")]
    newer = [*photos, photo(4, "e4", "Cat7")]
    first, *_ = chosen.side_a
    rows = rows_of(chosen)
    assert of(who_is_who(photos, rows), first).name == "Cat7"
    assert not who_is_who(photos, rows).idle
    who = who_is_who(newer, rows)
    now = "Aika" if first == "a00" else None
    assert (of(who, first).name, of(who, "a04").name) == (now, "Cat7")
    assert [(row, "existed already" in reason) for row, reason in who.idle] == [(rows[0], True)]
    ends = {who.individuals[who.of[number]].handle for number in who.refused["0000"]}
    assert ends == {of(who, first).handle, "Cat7"}
    last = act("rename", [first], ["Aika"], "Dara") if now else act("name", [first], answer="Dara")
    renamed, taken = act("rename", ["a04"], ["Cat7"], "Dara"), act("name", ["a04"])
    for then in (act("merge", ["a04"], [first], "Cat7"), last, renamed, taken, act("undo", answer="0000")):
        after = who_is_who(newer, rows_of(*rows, then))
        assert not after.idle
        assert not after.refused


def test_a_refused_name_that_a_merge_gave_up_or_a_third_animal_got_is_still_told():
    photos = [photo(n, f"e{n}", name) for n, name in enumerate(["Aika", "Cat7", "Bars"])]
    renamed = act("rename", ["a00"], ["Aika"], "Cat7")
    given_up = who_is_who(photos, rows_of(renamed, act("merge", ["a01"], ["a02"], "Bars")))
    assert given_up.refused == {"0000": (0, 1)}
    third = rows_of(renamed, act("rename", ["a01"], ["Cat7"], "Dara"), act("name", ["a02"], answer="Cat7"))
    assert who_is_who(photos, third).refused == {"0000": (0, 2)}


@pytest.mark.parametrize("chosen", CHOSEN, ids=["merge", "rename", "merge without names"])
def test_a_refused_name_is_no_longer_told_when_answers_join_both_animals(chosen):
    names = ["Aika", "Bars", None, None, "Cat7", None]
    photos = [photo(n, f"e{n}", name) for n, name in enumerate(names)]
    first, *_ = chosen.side_a
    rows = rows_of(chosen, pair("a04", "a05", SAME, "Anna"), pair("a05", first, SAME, "Anna"))
    before, after = who_is_who(photos, rows[:2]), who_is_who(photos, rows)
    assert list(before.refused) == ["0000"]
    assert "Cat7" in of(after, first).names
    assert not after.idle
    assert not after.refused
    assert same_state(advanced(before, photos, rows, rows[2:]), after)
    undone = rows_of(*rows, act("undo", answer="0002"))
    assert who_is_who(photos, undone).refused == before.refused


def test_a_name_that_a_merge_of_several_gives_at_last_was_not_refused():
    photos = [photo(n, f"e{n}", name) for n, name in enumerate(["Aika", "Bars", "Cat7"])]
    rows = rows_of(act("merge", ["a00"], ["a01"], "Cat7"), act("merge", ["a00"], ["a02"], "Cat7"))
    who = who_is_who(photos, rows)
    assert [each.names for each in who.individuals] == [("Cat7",)]
    assert not who.idle


def test_a_rename_of_another_catalog_changes_nothing():
    rows = rows_of(act("rename", ["z00"], ["Aika"], "Zulu"))
    who = who_is_who([photo(0, "e0", "Aika")], rows)
    assert of(who, "a00").name == "Aika"
    assert who.idle == ((rows[0], GONE),)


def test_names_of_two_observers_for_one_sighting_are_told_until_it_is_settled():
    anna, boris = act("name", ["a00"], answer="Tulpar"), act("name", ["a00"], answer="Boris", observer="Boris")
    other = act("name", ["a01"], answer="Tulpar")

    def disputed(*made):
        return who_is_who(FOUR, rows_of(*made)).disputed_names

    assert disputed(anna, boris, other) == {0: (("Anna", "Tulpar"), ("Boris", "Boris"))}
    assert disputed(boris, anna, other) == {0: (("Boris", "Boris"), ("Anna", "Tulpar"))}
    assert disputed(anna, boris, act("rename", ["a01"], ["Tulpar"], "Aika")) == {
        0: (("Anna", "Aika"), ("Boris", "Boris"))
    }
    own = anna._replace(answer="Aika")
    settled = [
        [anna, own],
        [anna, boris, anna._replace(answer="Boris")],
        [anna, boris, anna._replace(observer="Clara", role="adjudicator")],
        [anna, boris, boris._replace(answer=""), boris],
        [anna, boris, act("undo", answer="0001")],
        [anna, boris, other, act("merge", ["a00"], ["a01"], "Tulpar", "Clara")],
        [anna, other, act("split", ["a00"], ["a01"], "Boris", "Boris")],
        [anna, act("rename", ["a00"], ["Tulpar"], "Boris", "Boris")],
    ]
    assert [disputed(*made) for made in settled] == [{}] * len(settled)
    judged = anna._replace(observer="Clara", role="adjudicator")
    assert disputed(anna, judged, boris) == {0: (("Clara", "Tulpar"), ("Boris", "Boris"))}


def test_merge_gives_one_name():
    photos = [photo(0, "e0", "Aika"), photo(1, "e1", "Bars"), photo(2, "e2", "Bars")]
    who = who_is_who(photos, rows_of(act("merge", ["a00"], ["a01", "a02"], "Aika")))
    assert [each.name for each in who.individuals] == ["Aika"]
    assert {a.individual for a in with_names(photos, who)} == {"Aika"}
    third = who_is_who(photos, rows_of(act("merge", ["a00"], ["a01", "a02"], "Umut")))
    assert [each.name for each in third.individuals] == ["Umut"]


def test_a_name_that_a_merge_gave_up_is_no_second_name():
    photos = [photo(0, "e0", "Aika"), photo(1, "e1", "Bars"), photo(2, "e2", "Cholpon"), photo(3, "e3", "Bars")]
    rows = rows_of(act("merge", ["a00"], ["a01", "a03"], "Aika"))
    assert [each.names for each in who_is_who(photos, rows).individuals] == [("Aika",), ("Cholpon",)]
    rows = rows_of(*rows, pair("a03", "a02"))
    assert [each.names for each in who_is_who(photos, rows).individuals] == [("Aika", "Cholpon")]
    assert advanced(who_is_who(photos, rows[:1]), photos, rows, rows[1:]).individuals[0].names == ("Aika", "Cholpon")
    rows = rows_of(*rows, act("merge", ["a00", "a01", "a03"], ["a02"], "Cholpon"))
    assert [each.names for each in who_is_who(photos, rows).individuals] == [("Cholpon",)]
    rows = rows_of(*rows, act("split", ["a01", "a03"], ["a00", "a02"], "Bars"))
    assert {each.names for each in who_is_who(photos, rows).individuals} == {("Cholpon",), ("Bars",)}


@pytest.mark.parametrize("name", ["Bob", ""])
@pytest.mark.parametrize("moved", ["a00", "a01", "a02", "a03"])
@pytest.mark.parametrize("names", [("Aika", "Aika", "Bars", "Bars"), ("Aika", "Aika", "Bars", None), (None,) * 4])
def test_after_a_merge_a_sighting_that_is_named_leaves_alone(names, moved, name):
    photos = [photo(n, f"e{n}", each) for n, each in enumerate(names)]
    sides = (["a00", "a01"], ["a02", "a03"]) if any(names) else (["a00"], ["a01"])
    rows = rows_of(act("merge", *sides, "Aika"), act("name", [moved], answer=name))
    who = who_is_who(photos, rows)
    stayed = {each for side in sides for each in side if names[3] or each != "a03"} - {moved}
    assert {each.name for each in who.individuals} - {None} == {"Aika", name} - {""}
    assert {of(who, each).name for each in stayed} == {"Aika"}
    assert of(who, moved).name == (name or None)


def test_an_individual_keeps_the_name_of_a_merge_when_all_who_had_it_before_leave():
    photos = [photo(0, "e0", "Aika"), photo(1, "e1", "Bars"), photo(2, "e2", "Bars"), photo(3, "e3")]
    rows = rows_of(act("merge", ["a00"], ["a01", "a02"], "Aika"), act("name", ["a00"], answer="Bob"))
    assert [each.name for each in who_is_who(photos, rows).individuals] == ["Bob", "Aika", None]
    rows = rows_of(*rows, act("name", ["a03"], answer="Aika"))
    assert of(who_is_who(photos, rows), "a03").names == ("Aika",)
    rows = rows_of(*rows, act("split", ["a01", "a02"], ["a03"], "Bars"))
    assert [each.names for each in who_is_who(photos, rows).individuals] == [("Bob",), ("Bars",), ("Aika",)]


def test_a_merge_takes_no_name_from_another_individual():
    photos = [photo(n, f"e{n}", name) for n, name in enumerate(["Aika", "Bars", "Cat", "Dog", None])]
    first = act("merge", ["a00"], ["a01"], "Aika")
    who = who_is_who(photos, rows_of(first, act("merge", ["a02"], ["a03"], "Bars")))
    assert [each.names for each in who.individuals] == [("Aika",), ("Cat",), ()]
    act_of_two = [act("merge", ["a02"], [other], "Aika") for other in ("a03", "a00")]
    who = who_is_who(photos, rows_of(first, *act_of_two))
    assert [each.names for each in who.individuals] == [("Aika",), ()]  # three merged into the last of them
    rows = rows_of(act("name", ["a00"], answer="Umut"), act("merge", ["a02"], ["a03"], "Aika"))
    assert {each.name for each in who_is_who(photos, rows).individuals} == {"Umut", "Bars", "Aika", None}


def test_split_withdraws_what_joined_the_sides():
    rows = rows_of(
        pair("a00", "a01"),
        pair("a01", "a02"),
        act("name", ["a00"], answer="Aika"),
        act("split", ["a02", "a03"], ["a00", "a01"], "Bars"),
    )
    who = who_is_who(FOUR, rows)
    assert groups(who) == {frozenset({"a00", "a01"}), frozenset({"a02", "a03"})}
    assert {each.name for each in who.individuals} == {"Aika", "Bars"}
    assert not any(each.quarrels for each in who.individuals)
    later = who_is_who(FOUR, [*rows, pair("a01", "a02")._replace(id="0009")])
    assert of(later, "a01").quarrels  # somebody joins again what the split parted


def different(who, one, other):
    known = Known(who)
    return [known.different(who.number_of[one], who.number_of[name]) for name in other]


def test_a_split_stays_when_the_first_sighting_of_a_side_leaves():
    machine = pair("a02", "a03", observer="machine", role="machine")
    first = [pair("a00", "a01"), pair("a01", "a02"), machine, act("split", ["a03"], ["a00", "a01", "a02"])]
    assert different(who_is_who(FOUR, rows_of(*first)), "a03", ["a00", "a01", "a02"]) == [True] * 3
    rows = rows_of(*first, act("split", ["a00"], ["a01", "a02"]))
    who = who_is_who(FOUR, rows)
    assert different(who, "a03", ["a00", "a01", "a02"]) == [False, True, True]  # a00 and a03 may be one other animal
    weights = weights_of(who, Evidence({}, 0.1, -2.0, 0), lambda _: 0.97)
    assert set(weights.apart) == {(0, 1), (1, 3)}
    rows = rows_of(*rows, machine)  # as of a computer that did not know the split
    who = who_is_who(FOUR, rows)
    assert of(who, "a03").quarrels == ((1, 3),)  # one, though two pairs are joined that must be different
    assert same_state(advanced(who_is_who(FOUR, rows[:-1]), FOUR, rows, rows[-1:]), who)
    assert [(each.a, each.b) for each in contradictions_of(who, lambda _: 0.97)] == [(1, 3)]
    named = [photo(n, f"e{n}", None if n == 3 else "Aika") for n in range(4)]
    rows = rows_of(machine, first[-1], act("name", ["a00"], answer="Bars"))
    assert different(who_is_who(named, rows), "a03", ["a00", "a01", "a02"]) == [False, True, True]


def test_a_sighting_that_is_named_as_the_other_side_of_a_split_goes_there():
    photos = [photo(n, f"e{n}", "Aika") for n in range(5)]
    split = act("split", ["a03", "a04"], ["a00", "a01", "a02"], "Umut")
    for moved, name in (("a03", "Aika"), ("a04", "Aika"), ("a00", "Umut"), ("a02", "Umut")):
        who = who_is_who(photos, rows_of(split, act("name", [moved], answer=name)))
        assert of(who, moved).names == (name,)
        assert not any(each.quarrels for each in who.individuals)
        others = [a.annotation for a in photos if of(who, a.annotation).name != name]
        assert different(who, moved, others) == [True] * len(others)
    who = who_is_who(photos, rows_of(split, act("name", ["a03", "a04"], answer="Aika")))
    assert of(who, "a03").quarrels == ((0, 3),)  # a whole side goes nowhere


@pytest.mark.parametrize("moved", ["a00", "a01", "a02", "a03", "a04"])
def test_a_name_given_after_a_split_moves_one_sighting(moved):
    photos = [photo(n, f"e{n}", "Aika") for n in range(5)]
    rows = rows_of(act("split", ["a03", "a04"], ["a00", "a01", "a02"], "Umut"), act("name", [moved], answer="Bob"))
    who = who_is_who(photos, rows)
    assert of(who, moved).names == ("Bob",)
    assert {each.names: len(each.sightings) for each in who.individuals} == (
        {("Aika",): 2, ("Bob",): 1, ("Umut",): 2} if moved < "a03" else {("Aika",): 3, ("Bob",): 1, ("Umut",): 1}
    )


@pytest.mark.parametrize("answer", ["", "Umut"])
@pytest.mark.parametrize("chosen", [["a02", "a03"], ["a02"]])
def test_a_split_frees_a_name_that_a_merge_gave_up_if_nobody_else_has_it(chosen, answer):
    photos = [photo(n, f"e{n}", name) for n, name in enumerate(["Aika", "Aika", "Bars", "Bars", "Cat"])]
    rest = [name for name in ("a00", "a01", "a02", "a03", "a04") if name not in chosen]
    rows = rows_of(
        act("merge", ["a02", "a03"], ["a04"], "Bars"),
        act("merge", ["a00", "a01"], ["a02", "a03", "a04"], "Aika"),
        act("split", chosen, rest, answer),
        act("name", chosen, answer="Bars"),
    )
    who = who_is_who(photos, rows)
    all_left = len(chosen) == 2
    assert of(who, "a02").names == (("Bars",) if all_left else ("Aika",))
    assert of(who, "a04").names == of(who, "a00").names == ("Aika",)  # the name that Bars was given up for
    assert bool(of(who, "a00").quarrels) != all_left
    assert same_state(advanced(who_is_who(photos, rows[:2]), photos, rows, rows[2:]), who)


def test_decisions_about_photos_that_left_wait_for_them():
    rows = rows_of(pair("a00", "a09"))
    assert who_is_who(FOUR, rows).idle[0][1] == GONE
    back = [*FOUR, replace(photo(4, "e9"), annotation="a09")]
    assert of(who_is_who(back, rows), "a00") == of(who_is_who(back, rows), "a09")


def test_joined_sightings_without_a_name_vote_together():
    named = with_names(FOUR, who_is_who(FOUR, rows_of(pair("a00", "a01"))))
    assert named[0].individual == named[1].individual == "unnamed a00"
    assert named[2].individual is None


def test_a_body_part_is_corrected():
    rows = rows_of(act("body_part", ["a00"], answer="right_flank"), act("body_part", ["a01"], answer="nonsense"))
    who = who_is_who(FOUR, rows)
    assert who.sightings[0].body_parts == ("right_flank",)
    assert who.sightings[1].body_parts == ("left_flank",)
    again = who_is_who(FOUR, [*rows, act("undo", answer="0000")._replace(id="0002")])
    assert again.sightings[0].body_parts == ("left_flank",)


def test_the_first_photo_tells_the_time():
    photos = [photo(0, "e0", timestamp=datetime(2020, 1, 2)), photo(1, "e0", timestamp=datetime(2020, 1, 1))]
    assert who_is_who(photos, []).sightings[0].time == "2020-01-01T00:00:00"


NAMES = st.sampled_from(["Aika", "Bars", "Umut", ""])
SIDE = st.lists(st.sampled_from([f"a{n:02d}" for n in range(8)]), min_size=1, max_size=3, unique=True)
ANY = st.one_of(
    st.builds(pair, SIDE, SIDE, st.sampled_from([SAME, DIFFERENT, CANNOT_TELL]), st.sampled_from(["Anna", "Boris"])),
    st.builds(act, st.just("name"), SIDE, st.just(()), NAMES, st.sampled_from(["Anna", "Boris"])),
    st.builds(act, st.just("merge"), SIDE, SIDE, NAMES),
    st.builds(act, st.just("split"), SIDE, SIDE, NAMES),
    st.builds(act, st.just("rename"), SIDE, st.sampled_from([("Aika",), ("Bars",)]), st.just("Umut")),
    st.builds(act, st.just("box"), SIDE, st.just(()), st.sampled_from(["1,2,3,4", "5,6,7,8", "", "no box"])),
    st.builds(act, st.just("body_part"), SIDE, st.just(()), st.sampled_from(["left_flank", "tail", "", "no part"])),
    st.builds(lambda n: act("undo", answer=f"{n:04d}"), st.integers(0, 12)),
)


@settings(max_examples=300, deadline=None)
@given(st.lists(ANY, max_size=14))
def test_the_state_is_whole_after_any_decisions(made):
    photos = [photo(n, f"e{n // 2}", ["Aika", None, None][n % 3]) for n in range(8)]
    who = who_is_who(photos, rows_of(*made))
    assert sorted(name for s in who.sightings for name in s.annotations) == [a.annotation for a in photos]
    assert sorted(n for each in who.individuals for n in each.sightings) == list(range(len(who.sightings)))
    assert len({each.handle for each in who.individuals}) == len(who.individuals)  # two never share a name
    for (a, b), state in who.pairs.items():
        assert state.answer != SAME or who.of[a] == who.of[b]
    named = with_names(photos, who)
    for a in named:
        for b in named:
            same = who.of[who.number_of[a.annotation]] == who.of[who.number_of[b.annotation]]
            if a.individual is not None or b.individual is not None:
                assert (a.individual == b.individual) == same
            elif a.encounter == b.encounter:
                assert (a.animal == b.animal) == same


@settings(max_examples=200, deadline=None)
@given(st.lists(ANY, max_size=10), st.integers(0, 9))
def test_taking_back_the_last_decision_restores_the_state(made, at):
    photos = [photo(n, f"e{n}") for n in range(8)]
    rows = rows_of(*(each for each in made if each.kind != "undo"))
    for n, row in enumerate(rows):
        undone = [*rows[: n + 1], act("undo", answer=row.id)._replace(id=f"{n:04d}u")]
        assert groups(who_is_who(photos, undone)) == groups(who_is_who(photos, rows[:n]))


def same_state(one, other):
    names = "sightings", "of", "individuals", "links", "parted", "one_photo", "idle", "boxes", "values"
    names += ("disputed_names", "refused")
    return all(getattr(one, name) == getattr(other, name) for name in names) and list(one.pairs.items()) == list(
        other.pairs.items()
    )


@settings(max_examples=300, deadline=None)
@given(st.lists(ANY, max_size=14), st.integers(1, 3))
def test_step_by_step_is_the_same_as_all_at_once(made, step):
    photos = [photo(n, f"e{n // 2}", ["Aika", None, None][n % 3]) for n in range(8)]
    rows = rows_of(*made)
    who = who_is_who(photos, [])
    for start in range(0, len(rows), step):
        new = rows[start : start + step]
        who = advanced(who, photos, rows[: start + len(new)], new)
        assert same_state(who, who_is_who(photos, rows[: start + len(new)]))


@pytest.mark.parametrize("answer", [SAME, DIFFERENT])
def test_an_answer_about_photos_of_one_encounter_that_decisions_parted_is_read_with_all_others(answer):
    photos = [photo(n, "e0") for n in range(3)]
    named = act("name", ["a00"], answer="Aika"), act("name", ["a01"], answer="Bars")
    split = act("split", ["a00"], ["a02"])
    for before in (named, (split,)):
        rows = rows_of(*before, pair("a02", "a00", answer, "Boris"))
        who = advanced(who_is_who(photos, rows[:-1]), photos, rows, rows[-1:])
        assert same_state(who, who_is_who(photos, rows))


def test_an_answer_of_which_a_lesser_part_is_of_one_encounter_is_read_with_all_others():
    photos = [photo(n, f"e{n // 3}") for n in range(8)]
    named = act("name", ["a01"], answer="Umut"), act("name", ["a02"], answer="Aika")
    sides = ("a07", "a01", "a06"), ("a05", "a04", "a02")  # most photos of either side are of another encounter
    rows = rows_of(*named, pair(*sides, DIFFERENT, "Boris"))
    who = advanced(who_is_who(photos, rows[:-1]), photos, rows, rows[-1:])
    assert same_state(who, who_is_who(photos, rows))


def test_an_undo_that_came_long_before_its_decision_counts():
    """Two files were merged: the undo has the smaller identifier, and more than a thousand rows lie between."""
    undo = act("undo", answer="9999")._replace(id="0000")
    between = [act("note", ["a03"], answer="x")._replace(id=f"{n:04d}") for n in range(1, 1500)]
    rows = [undo, *between, pair("a00", "a01")._replace(id="9999")]
    who = advanced(who_is_who(FOUR, rows[:-1]), FOUR, rows, rows[-1:])
    assert groups(who) == groups(who_is_who(FOUR, rows))
    assert len(groups(who)) == 4


def test_sightings_of_one_passage_are_not_compared_so_that_no_photo_speaks_for_them_says_nothing():
    photos = [photo(n, f"e{n}", "Aika", passage="e0" if n < 3 else "") for n in range(4)]
    photos += [photo(4, "e4", passage="e4"), photo(5, "e5", passage="e4"), photo(6, "e6")]
    who = who_is_who(photos, [])
    spoken = {(a, 3): Likely(a, 3, 2.0, 0.9, 0.9, 20, ("a00", "a03")) for a in range(3)}
    evidence = Evidence(spoken, 0.1, -2.0, 0)
    weights = weights_of(who, evidence, lambda _: 0.97)
    weight = dict(zip(zip(weights.i.tolist(), weights.j.tolist(), strict=True), weights.machine.tolist(), strict=True))
    assert weight[4, 5] == 0  # two encounters that share a picture
    assert (4, 6) not in weight  # photos could speak for it, and do not
    # photos speak for all three pairs that were compared
    assert silence(who, evidence) == pytest.approx(math.log(1 - (3 + 4.5) / (3 + 10)))


@pytest.mark.parametrize(("answer", "weight"), [(SAME, 1), (DIFFERENT, -1), (CANNOT_TELL, 0)])
def test_only_the_adjudicators_answer_weighs_in_the_count(answer, weight):
    rows = [pair("a00", "a01", DIFFERENT), pair("a00", "a01", DIFFERENT, "Boris", mode="blind")]
    rows += [pair("a00", "a01", said, who, role="adjudicator") for said, who in ((SAME, "Clara"), (answer, "Dana"))]
    who = who_is_who(FOUR, rows_of(*rows, pair("a00", "a01", DIFFERENT, "Emil")))
    assert who.pairs[0, 1].answer == answer
    evidence = Evidence({(0, 1): Likely(0, 1, 3.0, 0.95, 0.9, 20, ("a00", "a01"))}, 0.1, -3.0, 0)
    weights = weights_of(who, evidence, lambda _: 0.97)
    assert weights.human.tolist() == pytest.approx([weight * math.log(0.97 / 0.03)])


def test_the_comparisons_that_are_told_are_without_those_that_follow_from_others():
    who = who_is_who([photo(n, f"e{n}") for n in range(3)], [])
    pairs = {(a, b): Likely(a, b, 1.0, 0.5, 0.5, 9, ("", "")) for a in range(3) for b in range(a + 1, 3)}
    assert count_individuals(who, Evidence(pairs, 0.5, -2.0, 0), lambda _: 0.97, draws=60).questions == 2


def test_a_name_looks_only_at_the_splits_of_its_sighting(monkeypatch):
    photos = [photo(n, f"e{n}", f"Cat{n // 2}") for n in range(40)]
    splits = [act("split", [f"a{n:02d}"], [f"a{n + 1:02d}"], f"New{n}") for n in range(0, 38, 2)]
    looked = []
    has_name = _Replay._has_name
    monkeypatch.setattr(_Replay, "_has_name", lambda self, *side: looked.append(1) or has_name(self, *side))
    who = who_is_who(photos, rows_of(*splits, act("name", ["a38"], answer="Aika"), act("name", ["a02"], answer="Cat1")))
    assert len(looked) <= 4, "the two sides of one split, and the names of each"
    assert len(who.parted) == 19


def test_names_and_splits_of_a_large_individual_look_at_few_sightings_and_few_answers(monkeypatch):
    looked = []
    for name in ("chosen_key", "_crosses"):
        known = getattr(who_module, name)
        monkeypatch.setattr(who_module, name, lambda *given, known=known: looked.append(1) or known(*given))
    names = [f"a{n:02d}" for n in range(80)]
    photos = [photo(n, f"e{n}") for n in range(80)]
    answers = [pair(a, b) for a, b in pairwise(names)]
    splits = [act("split", names[:1], names[1:], "Aika")]
    splits += [act("split", [each], names[:1]) for each in names[1:9]]
    named = [act("name", [each], answer="Cat1") for each in names[9:]]
    who = who_is_who(photos, rows_of(*answers, *splits, *named))
    assert who.parted[0] == ({0}, set(range(1, 80)))
    assert len(looked) < 10 * len(names), "once for some of the other sightings of each"
