"""Many photos at once: who is asked together, and what an answer says."""

import shutil
from datetime import timedelta

import pytest
from batch_answers import AIKA, BARS, NOON, photo, says

from snowmatch.core.errors import SnowmatchError
from snowmatch.core.notes import Note
from snowmatch.review.batch import run_batch
from snowmatch.review.groups import photo_groups
from snowmatch.review.rows import format_summary
from snowmatch.review.screen import _row
from snowmatch.review.watch_events import recorded_row

__all__ = ["says"]  # fixtures

# --- a catalog whose answers are written by hand ----------------------------------------------------------------------


def test_boxes_that_share_a_photo_are_different_animals_and_never_vote_together(says):
    left, right = (0, 0, 9, 9), (20, 0, 9, 9)
    said = says(
        AIKA, BARS,
        {"path": "one.jpg", "bbox": left}, {"path": "one.jpg", "bbox": right},
        {"path": "two.jpg", "bbox": left}, {"path": "two.jpg", "bbox": right},
    )  # fmt: skip
    said.answers = {("one.jpg", left): ({"aika": 0.99}, 0.0), ("one.jpg", right): ({"bars": 0.8, "aika": 0.1}, 0.05)}
    rows = run_batch(said.catalog).rows
    assert [(r.encounter, r.animal, r.photos) for r in rows] == [
        ("q", 1, ("one.jpg", "two.jpg")),
        ("q", 2, ("one.jpg", "two.jpg")),
    ]
    assert [names for names, _, _ in said.asked] == [["one.jpg", "two.jpg"]] * 2
    assert [(r.individual, r.probability, r.level) for r in rows] == [
        ("aika", 0.99, "excellent"),
        ("bars", 0.8, "fair"),
    ]
    assert (rows[1].runner_up, rows[1].runner_up_probability, rows[1].new_probability) == ("aika", 0.1, 0.05)
    assert rows[1].reasons == ("39 matched spots with bars.jpg (encounter known2)", "next: aika at 10 %")


def test_an_encounter_named_after_its_photo_is_named_once(says):
    said = says({**AIKA, "encounter": "photo aika.jpg"}, {"path": "one.jpg"})
    said.answers[("one.jpg", "unknown")] = ({"aika": 0.99}, 0.01)
    (row,) = run_batch(said.catalog).rows
    assert row.reasons[0] == "39 matched spots with aika.jpg"


def test_two_animals_of_one_photo_are_never_the_same_one(says):
    left, right = (0, 0, 9, 9), (20, 0, 9, 9)
    said = says(AIKA, {"path": "one.jpg", "bbox": left}, {"path": "one.jpg", "bbox": right})
    said.answers = {("one.jpg", left): ({"aika": 0.96}, 0.0), ("one.jpg", right): ({"aika": 0.99}, 0.0)}
    first, second = run_batch(said.catalog).rows
    assert (first.individual, first.level, second.level) == ("aika", "uncertain", "excellent")
    assert first.reasons[-1] == "animal 2 of the same photo also has the decision aika, and is surer"


def test_nobody_is_whom_the_record_names_beside_it(says):
    left, right = (0, 0, 9, 9), (20, 0, 9, 9)
    said = says(AIKA, {"path": "one.jpg", "bbox": left, "individual": "aika"}, {"path": "one.jpg", "bbox": right})
    said.answers = {("one.jpg", right): ({"aika": 0.99}, 0.0)}
    (row,) = run_batch(said.catalog).rows
    assert (row.level, row.reasons[-1]) == ("uncertain", "aika is another animal in the same photo one.jpg")


def test_different_encounters_may_show_the_same_animal(says):
    said = says(AIKA, {"path": "one.jpg", "encounter": "e2"}, {"path": "two.jpg", "encounter": "e1"})
    said.answers = {(name, None): ({"aika": 0.96}, 0.0) for name in ("one.jpg", "two.jpg")}
    rows = run_batch(said.catalog).rows
    assert [(r.encounter, r.level) for r in rows] == [("e1", "good"), ("e2", "good")]


def test_a_day_without_a_time_of_day_has_no_time_in_the_tables(says):
    day = {"path": "r.jpg", "timestamp": NOON.replace(hour=0), "dated": True, "encounter": "r"}
    said = says({"path": "q.jpg", "timestamp": NOON}, day)
    found = run_batch(said.catalog)
    assert [(row.date, row.time) for row in found.rows] == [("2023-05-01", "12:00:00"), ("2023-05-01", "")]
    (dated,) = [a for a in said.catalog.data.annotations if a.dated]
    recorded, screened = recorded_row("r.jpg", [dated]), _row([dated], "kept", 0.9, "", None, (), 0)
    assert [(row.date, row.time) for row in (recorded, screened)] == [("2023-05-01", "")] * 2


def test_the_year_1_of_a_clock_that_was_not_set_has_four_digits(says):
    said = says({"path": "q.jpg", "timestamp": NOON.replace(year=1)})
    (row,) = run_batch(said.catalog).rows
    recorded = recorded_row("q.jpg", said.catalog.data.annotations)
    assert row.date == recorded.date == "0001-05-01"


def test_an_unidentified_animal_may_be_the_answer(says):
    said = says({"path": "one.jpg", "encounter": "e1"}, {"path": "two.jpg", "encounter": "e2"})
    said.answers = {("one.jpg", None): ({1: 0.8}, 0.1), ("two.jpg", None): ({0: 0.8}, 0.1)}
    rows = run_batch(said.catalog).rows
    assert [(r.decision, r.individual, r.same_as) for r in rows] == [
        ("unidentified", "", "e2"),
        ("unidentified", "", "e1"),
    ]


def test_body_parts_are_asked_apart_and_an_individual_beats_new(says):
    said = says(
        AIKA,
        {"path": "one.jpg", "body_part": "left_flank"},
        {"path": "two.jpg", "body_part": "right_flank"},
        {"path": "three.jpg"},
    )
    said.answers = {("one.jpg", "left_flank"): ({"aika": 0.8}, 0.1), ("two.jpg", "right_flank"): ({"aika": 0.01}, 0.97)}
    (row,) = run_batch(said.catalog).rows
    assert sorted(names for names, _, _ in said.asked) == [["one.jpg"], ["three.jpg"], ["two.jpg"]]
    assert (row.decision, row.individual, row.probability, row.level) == ("individual", "aika", 0.8, "fair")
    assert row.body_parts == ("left_flank", "right_flank", "unknown")
    assert row.reasons[:2] == ("the photos show left_flank and right_flank and unknown", "decided by left_flank")
    assert "right_flank: new at 97 %" in row.reasons


def test_unknown_parts_join_the_only_known_one_or_the_one_that_is_given(says):
    said = says(AIKA, {"path": "a.jpg", "body_part": "head"}, {"path": "b.jpg"}, {"path": "c.jpg", "encounter": "z"})
    assert [r.body_parts for r in run_batch(said.catalog).rows] == [("head",), ("unknown",)]
    assert [(names, part) for names, part, _ in said.asked] == [(["a.jpg", "b.jpg"], "head"), (["c.jpg"], "unknown")]
    assert [r.body_parts for r in run_batch(said.catalog, body_part="tail").rows] == [("head", "tail"), ("tail",)]


@pytest.mark.parametrize(("surety", "level"), [(0.8, "uncertain"), (0.6, "good")])
def test_parts_that_name_different_individuals(says, surety, level):
    said = says(
        AIKA, BARS, {"path": "one.jpg", "body_part": "left_flank"}, {"path": "two.jpg", "body_part": "right_flank"}
    )
    said.answers = {
        ("one.jpg", "left_flank"): ({"aika": 0.96}, 0.1),
        ("two.jpg", "right_flank"): ({"bars": surety}, 0.1),
    }
    (row,) = run_batch(said.catalog).rows
    assert (row.individual, row.level) == ("aika", level)
    assert ("one animal cannot be both aika and bars" in row.reasons) == (level == "uncertain")


def test_warnings_of_one_answer_are_reasons_of_its_row_and_a_perhaps_same_passage_is_uncertain(says):
    said = says(
        AIKA, {"path": "one.jpg"}, {"path": "two.jpg", "encounter": "r"}, {"path": "three.jpg", "encounter": "s"}
    )
    said.answers = {(f"{name}.jpg", None): ({"aika": 0.999}, 0.0) for name in ("one", "two", "three")}
    path = said.catalog.folder / "two.jpg"
    said.warned = {
        "one.jpg": (Note("perhaps-same-passage", "the answer is no evidence"),),
        "two.jpg": (Note("not-checked", "7 had too few votes"), Note("mask-empty", f"the mask of {path} is black")),
    }
    for _ in range(2):  # the kept answers say it too
        found = run_batch(said.catalog)
        one, two, three = found.rows
        assert [row.level for row in found.rows] == ["uncertain", "excellent", "excellent"]
        assert one.reasons == (*three.reasons, "the answer is no evidence")
        assert two.reasons == (*three.reasons, "the mask of two.jpg is black", "7 had too few votes")
    assert "answers-kept" in {note.code for note in found.notes}


def test_warnings_of_the_other_flank_are_reasons_too(says):
    said = says(AIKA, {"path": "one.jpg", "body_part": "left_flank"}, {"path": "two.jpg", "body_part": "right_flank"})
    said.answers = {("one.jpg", "left_flank"): ({"aika": 0.999}, 0.0), ("two.jpg", "right_flank"): ({"aika": 0.9}, 0.0)}
    said.warned = {"two.jpg": (Note("perhaps-same-passage", "the answer is no evidence"),)}
    (row,) = run_batch(said.catalog).rows
    assert row.level == "excellent"
    assert "right_flank: the answer is no evidence" in row.reasons


def test_what_is_not_calibrated_still_names_the_best(says):
    said = says(AIKA, BARS, {"path": "one.jpg"})
    said.answers = {("one.jpg", None): ({"bars": 0.0, "aika": 0.0}, None)}
    (row,) = run_batch(said.catalog).rows
    assert (row.decision, row.probability, row.level, row.new_probability) == ("", None, None, None)
    assert (row.runner_up, row.runner_up_probability) == ("bars", None)
    assert row.reasons == (
        "best by score: bars, 39 matched spots with bars.jpg (encounter known2)",
        "next: aika, 38 matched spots",
    )


def test_a_photo_that_fails_leaves_the_others_of_its_encounter(says):
    said = says(AIKA, {"path": "a.jpg"}, {"path": "b.jpg"}, {"path": "c.jpg"}, {"path": "d.jpg", "encounter": "z"})
    said.bad, said.bare = {"b.jpg", "d.jpg"}, {"a.jpg"}
    said.answers = {("a.jpg", None): ({"aika": 0.96}, 0.0)}
    found = run_batch(said.catalog)
    first, second = found.rows
    assert (first.photos, first.individual) == (("a.jpg", "b.jpg", "c.jpg"), "aika")
    assert first.reasons[-2:] == (
        "1 of 3 photos had no features: a.jpg",
        "1 of 3 photos could not be read: b.jpg is truncated",
    )
    assert (second.decision, second.level) == ("", None)
    assert second.reasons == ("1 of 1 photo could not be read: d.jpg is truncated",)
    assert found.failed == (("b.jpg", "b.jpg is truncated"), ("d.jpg", "d.jpg is truncated"))
    assert "2 photos failed" in format_summary(found)


# --- who is asked about -----------------------------------------------------------------------------------------------


def groups_of(said, *photos, body_part=None):
    notes = []
    groups = photo_groups(said.session(said.catalog), photos, body_part, notes)
    return groups, [note.text for note in notes]


def test_photos_not_on_record_are_cut_into_encounters_by_folder_and_time(says, tmp_path, monkeypatch):
    said = says(AIKA)
    for n, minutes in enumerate((0, 60, 121)):
        photo(tmp_path / "cards" / "S1" / f"{n}.jpg", NOON + timedelta(minutes=minutes), 50 + n)
    photo(tmp_path / "cards" / "S2" / "0.jpg", NOON, 60)
    photo(tmp_path / "cards" / "S2" / "x.jpg", None, 61)
    photo(tmp_path / "cards" / "S2" / "y.jpg", None, 62)
    (tmp_path / "cards" / "list.txt").write_text("no photo")
    monkeypatch.chdir(tmp_path)
    groups, notes = groups_of(said, "cards", "cards/S2/x.jpg", body_part="head")
    assert [(g.encounter, g.animal, [p.name for p in g.photos]) for g in groups] == [
        ("cards/S1 2023-05-01T12:00:00", 1, ["cards/S1/0.jpg", "cards/S1/1.jpg"]),
        ("cards/S1 2023-05-01T14:01:00", 1, ["cards/S1/2.jpg"]),
        ("cards/S2 2023-05-01T12:00:00", 1, ["cards/S2/0.jpg"]),
        ("photo cards/S2/x.jpg", 1, ["cards/S2/x.jpg"]),
        ("photo cards/S2/y.jpg", 1, ["cards/S2/y.jpg"]),
    ]
    assert {p.body_part for g in groups for p in g.photos} == {"head"}
    assert notes[0] == "1 files that are not photos were skipped: 1 .txt"
    assert notes[1].startswith("2 photos have no time")
    assert notes[2].startswith("1 passage of several photos without a camera")
    assert len(notes) == 3


def test_photos_on_record_are_asked_with_their_rows(says, tmp_path):
    said = says(
        AIKA,
        {"path": "one.jpg", "bbox": (0, 0, 9, 9)},
        {"path": "one.jpg", "bbox": (20, 0, 9, 9), "individual": "bars"},
    )
    copy = tmp_path / "card" / "copy.jpg"
    copy.parent.mkdir()
    shutil.copy(said.catalog.folder / "one.jpg", copy)
    again = shutil.copy(copy, tmp_path / "card" / "copy2.jpg")
    groups, notes = groups_of(said, copy, again)
    assert [(g.encounter, g.animal, [p.name for p in g.photos]) for g in groups] == [
        ("q", 1, [copy.as_posix()]),
        ("q", 2, [copy.as_posix()]),
    ]
    assert [g.photos[0].photo.row for g in groups] == [1, 2]
    assert notes == [f"{again.as_posix()} is the same photo as {copy.as_posix()}: used once"]
    reasons = [row.reasons for row in run_batch(said.catalog, copy).rows]
    assert ["named bars in the catalog" in r for r in reasons] == [False, True]


def test_masks_are_no_photos_to_ask_about(says):
    said = says(AIKA, {"path": "one.jpg", "mask": "mask.jpg"})
    photo(said.catalog.folder / "mask.jpg")
    groups, notes = groups_of(said, said.catalog.folder)
    assert [g.encounter for g in groups] == ["known1", "q"]
    assert notes == ["1 mask of the catalog skipped: masks are not photos"]


def test_a_new_photo_of_a_burst_on_record_has_no_evidence_in_it(says, tmp_path):
    said = says(AIKA, {"path": "one.jpg"})
    photo(said.catalog.folder / "one.jpg", NOON, 1)
    card = tmp_path / "card"
    card.mkdir()
    shutil.copy(said.catalog.folder / "one.jpg", card)
    photo(card / "two.jpg", NOON + timedelta(seconds=9), 90)
    photo(card / "late.jpg", NOON + timedelta(hours=9), 91)
    groups, _ = groups_of(said, card)
    assert sorted((g.photos[0].name[-8:], g.excluded) for g in groups) == [
        ("/one.jpg", ()),
        ("/two.jpg", ("q",)),
        ("late.jpg", ()),
    ]
    rows = run_batch(said.catalog, [card]).rows
    assert [filters["exclude_encounters"] for _, _, filters in said.asked] == [g.excluded for g in groups]
    assert ["excluded, because it is the same passage: q" in r.reasons for r in rows] == [
        bool(g.excluded) for g in groups
    ]


@pytest.mark.parametrize("what", ["missing.jpg", "empty"])
def test_what_is_not_there_is_an_error(says, tmp_path, what):
    said = says(AIKA)
    (tmp_path / "empty").mkdir()
    with pytest.raises(SnowmatchError, match=what):
        run_batch(said.catalog, [tmp_path / what])
    with pytest.raises(SnowmatchError, match="no photos: expected photos"):
        run_batch(said.catalog, [])
