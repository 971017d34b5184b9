"""Identities: previews, names, files; the command line; names that the other commands use at once."""

import contextlib
import csv
import json
import math
import random
import sqlite3
import time
from dataclasses import replace
from itertools import combinations, pairwise
from types import SimpleNamespace

import numpy as np
import pytest
from click.testing import CliRunner
from drawn_table import ROWS, write_catalog
from PIL import Image

from snowmatch.api import open_catalog
from snowmatch.cli import main
from snowmatch.cli.identities_ask import _ask_all, _draw, _outlook
from snowmatch.confidence.levels import Levels
from snowmatch.core.errors import SnowmatchError
from snowmatch.core.home import database_path, home_of
from snowmatch.core.plain import with_json_sum
from snowmatch.decisions.effect import in_effect
from snowmatch.decisions.row import SAMPLE
from snowmatch.features.extractors.hesaff import Hesaff
from snowmatch.features.extractors.sift import Sift
from snowmatch.review import turns
from snowmatch.review.accuracy import ACCURACY, accuracy_by_name, truth_tag
from snowmatch.review.auto import Policy, auto_drafts
from snowmatch.review.contradictions import contradictions_of
from snowmatch.review.divide import split_photos
from snowmatch.review.history import history_of
from snowmatch.review.identities import (
    answer_pair,
    append,
    decide,
    draft,
    find_individual,
    find_sides,
    find_sighting_named,
    last_of,
    merge,
    merge_other,
    name_sightings,
    open_identities,
    preview,
    rename,
    sides_of,
    split,
    undo,
)
from snowmatch.review.likely import LEAST, Evidence, Likely, check_one_reading, gather_evidence
from snowmatch.review.links import links_of
from snowmatch.review.observer_name import observer_name
from snowmatch.review.queue import Queue, _chosen, answer_item, doubtful_answers
from snowmatch.screening.stored_maps import StoredMaps
from snowmatch.views import pairs
from snowmatch.views.identities import format_individual, format_item, format_pair
from snowmatch.web.adding import _check_new

pytestmark = pytest.mark.usefixtures("seen_once")


def blank(folder):
    """Take all names out of a catalog's table, and return the true name of each encounter."""
    table = folder / "catalog.csv"
    with table.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    truth = {row["encounter"]: row["individual"] for row in rows}
    with table.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, rows[0].keys())
        writer.writeheader()
        writer.writerows({**row, "individual": ""} for row in rows)
    return truth


@pytest.fixture
def catalog(own_survey):
    folder = own_survey / "catalog"
    (own_survey / "truth.json").write_text(json.dumps(blank(folder)), encoding="utf-8")
    return folder


def run(folder, *words, code=0, **values):
    result = CliRunner().invoke(main, ["identities", str(folder), *words], **values)
    assert result.exit_code == code, result.output
    return result.output


def names_of(folder):
    return {a.encounter: a.individual for a in open_catalog(folder).data.annotations}


def encounters(folder):
    return sorted({a.encounter for a in open_catalog(folder).data.annotations})


COMPOSED, APART = "\u0419\u043e\u043b", "\u0418\u0306\u043e\u043b"  # one name; macOS stores the second form


def test_a_name_is_one_however_its_letters_are_stored(catalog):
    one, other, third, *_ = encounters(catalog)
    run(catalog, "name", COMPOSED, one, "--observer", COMPOSED)
    told = run(catalog, "name", APART, other, "--observer", APART)
    assert names_of(catalog)[one] == names_of(catalog)[other] == COMPOSED
    assert "nearly" not in told
    assert "2 sightings" in run(catalog, "show", APART)
    assert {row.observer for row in open_identities(catalog).rows} == {COMPOSED}
    who = open_identities(catalog)
    with pytest.raises(SnowmatchError, match="is an individual already"):
        split(who, COMPOSED, [find_sighting_named(who, one)], "Anna", APART)
    assert "is not a name" in run(catalog, "name", "_Unidentified", third, code=1)


def test_the_log_has_as_many_decisions_as_asked_for_in_json_too(tmp_path):
    folder = write_catalog(tmp_path / "c", ROWS)
    drafts = [draft("pair", "Bob", answer, side_a=("a1",), side_b=("a2",)) for answer in ("same", "different")]
    append(folder / "decisions.sqlite", drafts)
    for words, answers in ((), ["same", "different"]), (("--last", "1"), ["different"]):
        shown = json.loads(run(folder, "log", "--json", *words))["decisions"]
        assert [row["answer"] for row in shown] == answers


def test_a_missing_file_of_decisions_is_told_without_advice_about_photos(tmp_path):
    folder = write_catalog(tmp_path / "c", ROWS)
    told = run(folder, "import-decisions", str(tmp_path / "none.jsonl"), code=1)
    assert "none.jsonl does not exist: expected a file of exported decisions" in told


def test_a_training_ends_with_q_and_a_number(own_survey):
    told = run(own_survey / "catalog", "train", "--observer", "Anna", input="q4\n")
    assert "Nobody has answered pairs" in told


def test_an_odd_number_of_pairs_is_told_to_be_odd_not_that_no_more_are_left(own_survey):
    for number, note, other in ((3, "3 is odd", "are left"), (999, "pairs are left to train with", "is odd")):
        told = run(own_survey / "catalog", "train", "--observer", "Anna", "--number", str(number), input="q\n")
        assert note in told
        assert other not in told


def test_a_question_replaces_no_picture_of_somebody_else(own_survey, tmp_path):
    mine = tmp_path / "question.jpg"
    mine.write_text("mine")
    told = run(own_survey / "catalog", "train", "--observer", "A", "--draw", str(tmp_path), input="q\n", code=1)
    assert "choose another folder" in told
    assert "--force" not in told  # the command has no such option
    assert mine.read_text() == "mine"


def test_a_check_of_the_machine_and_a_repetition_look_like_new_questions(tmp_path):
    head = "path,individual,body_part,location,timestamp,encounter,annotation\n"
    rows = [f"p{n}.jpg,,left_flank,naryn,2023-05-0{n + 1},e{n},a{n}\n" for n in range(4)]
    (tmp_path / "catalog.csv").write_text(head + "".join(rows), encoding="utf-8")
    who = open_identities(tmp_path)
    machine = {"role": "machine", "tags": ("sample",)}
    drafts = [answer_pair(who, 0, 1, "same", "machine", **machine), answer_pair(who, 2, 3, "same", "Anna")]
    who, _ = decide(who, drafts)
    queue = Queue(who, Evidence({}, 0.001, -6.0, 0), "Anna", repeats=0.0)
    (check,) = queue.next()
    queue.repeats, queue._order = 1.0, [(2, 3)] * 30
    repeat = queue.next()[0]
    for item, why, pair in ((check, "check", "e0 (1 sighting) and e1"), (repeat, "repeat", "e2 (1 sighting) and e3")):
        told = format_item(who, item, hidden=False)
        assert item.why == why
        assert "unnamed" not in told
        assert f"`same` joins {pair} (1 sighting)" in told


def write_two_sightings(folder, times):
    """Write a catalog of one animal in two encounters of two photos, whose paths and encounters have its name."""
    folder.mkdir()
    lines = ["path,individual,body_part,timestamp,encounter,annotation"]
    for n, moment in enumerate(times):
        Image.new("RGB", (60, 40), (40 * n, 90, 90)).save(folder / f"aika-{n}.png")
        lines.append(f"aika-{n}.png,aika,left_flank,{moment},aika {n // 2},a{n}")
    (folder / "catalog.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return open_identities(folder)


def test_a_hidden_question_and_its_picture_tell_neither_names_nor_the_photos_that_agree_best(tmp_path, monkeypatch):
    times = ["2023-05-01T10:00:00", "2023-05-01T10:00:05", "2023-06-02", "2023-06-02"]
    who = write_two_sightings(tmp_path / "c", times)
    told, read = [], []
    for module in ("pairs", "side_by_side"):
        monkeypatch.setattr(f"snowmatch.views.{module}.write_text", lambda draw, at, text, *_, **__: told.append(text))
    photo = pairs.read_photo
    monkeypatch.setattr(pairs, "read_photo", lambda path: (read.append(path.name), photo(path))[1])
    monkeypatch.setattr(pairs, "spots_between", lambda *_: pairs.NO_SPOTS)
    best = Likely(0, 1, 3.0, 0.9, 0.9, 12, ("a1", "a3"))
    for hidden, names, files in (
        (True, ["aika-0.png", "aika-2.png"], ["question.jpg"]),
        (False, ["aika-1.png", "aika-3.png"], ["question.jpg", "question-lines.jpg"]),
    ):
        told.clear(), read.clear()
        written = pairs.write_pair(None, who, 0, 1, best, tmp_path / "questions", hidden=hidden)
        assert [path.name for path in written] == files
        assert read[:2] == names
        assert ("aika" in " ".join(told)) is not hidden
        assert any("2023-05-01 10:00" in text for text in told)
    for mode, files in (("blind", 1), ("adjudicate", 2)):
        queue = Queue(who, Evidence({(0, 1): best}, 0.001, -6.0, 0), "Anna", mode=mode)
        _draw(None, queue, queue.about(0, 1), tmp_path / mode)
        assert len(list((tmp_path / mode).glob("*.jpg"))) == files
    timeless = write_two_sightings(tmp_path / "d", [""] * 4)
    assert "aika" not in format_pair(timeless, 0, 1, hidden=True)
    assert "aika" in format_pair(timeless, 0, 1, hidden=False)


def test_a_merge_makes_several_names_of_one_individual_one(tmp_path):
    names = ("aika", "aika", "bars", "bars")
    rows = "".join(f"p{n}.png,{name},left_flank,e{n},a{n}\n" for n, name in enumerate(names))
    (tmp_path / "catalog.csv").write_text(f"path,individual,body_part,encounter,annotation\n{rows}")
    who = open_identities(tmp_path)
    merged, _ = decide(who, merge(who, ["aika", "bars"], "Anna"))
    assert [each.names for each in merged.who.individuals] == [("aika",)]
    apart, _ = decide(merged, undo(merged, last_of(merged, "Anna"), "Anna"))
    joined, _ = decide(apart, [answer_pair(apart, 1, 2, "same", "Anna")])
    assert [each.names for each in joined.who.individuals] == [("aika", "bars")]
    for first in ("aika", "bars"):
        drafts = merge(joined, ["aika", "bars"], "Anna", first)
        assert preview(joined, drafts).names == ((("aika", "bars", 4),) if first == "bars" else ())
        after, appended = decide(joined, drafts)
        assert [each.names for each in after.who.individuals] == [(first,)]
        with pytest.raises(SnowmatchError, match="one individual"):
            merge(after, [first, first], "Anna")
        joined, _ = decide(after, undo(after, [row.id for row in appended.rows], "Anna"))
    with pytest.raises(SnowmatchError, match="one individual"):
        merge(joined, ["bars"], "Anna")


def test_a_photo_with_two_boxes_of_one_animal_is_one_photo(tmp_path):
    rows = "p1.png,aika,head,e1,a0\np1.png,aika,left_flank,e1,a1\np2.png,,left_flank,e2,a2\n"
    (tmp_path / "catalog.csv").write_text(f"path,individual,body_part,encounter,annotation\n{rows}")
    who = open_identities(tmp_path)
    assert "head and left flank, 1 photo " in format_pair(who, 0, 1, hidden=False)
    assert "1 photo " in format_individual(who, who.who.individuals[0])


def test_animals_of_one_photo_are_told_apart_by_their_places(tmp_path):
    rows = ['p1.png,e1,a0,"90,5,40,30"', 'p1.png,e1,a1,"7,9,40,30"', "p2.png,e2,a2,", "p3.png,e2,a3,", "p3.png,e2,a4,"]
    (tmp_path / "catalog.csv").write_text("\n".join(["path,encounter,annotation,bbox", *rows]) + "\n")
    who = open_identities(tmp_path)
    who, _ = decide(who, [draft("box", "Anna", "8,9,40,30", side_a=("a1",))])
    for name, told in {
        "p1.png": "from left to right: a1 (box 8,9,40,30), a0 (box 90,5,40,30)",
        "e1": "from left to right: a1 (box 8,9,40,30), a0 (box 90,5,40,30)",
        "p3.png": "a3 (no box), a4 (no box)",
    }.items():
        with pytest.raises(SnowmatchError) as error:
            find_sighting_named(who, name)
        assert str(error.value) == f"{name} shows 2 animals; name one of the annotations {told}"
    who, _ = decide(who, [draft("pair", "Anna", "different", side_a=("a2",), side_b=("a3",))])
    with pytest.raises(SnowmatchError, match=r"annotations a2 \(p2.png, no box\), a3 \(p3.png, no box\)"):
        find_sighting_named(who, "e2")


def test_a_photo_is_named_as_a_terminal_completes_its_path(tmp_path, monkeypatch):
    folder = tmp_path / "catalog"
    folder.mkdir()
    rows = ["in/p1.png,e1,a1", "in/p2.png,e2,a2", "in/p2.png,e2,a3", "in/p4.png,e4,a4", "in/p5.png,e4,a5"]
    (folder / "catalog.csv").write_text("\n".join(["path,encounter,annotation", *rows]) + "\n")
    monkeypatch.chdir(tmp_path)
    for start in ("", "./", "catalog/", f"{folder}/"):
        for name in (f"{start}in/p1.png", f"{start}in/p1.png".replace("/", "\\")):
            assert "unnamed a1: 1 sighting" in run("catalog", "show", name)
            run("catalog", "name", "Aika", name, "--observer", "Anna", "--dry-run")
    assert "catalog/in/p2.png shows 2 animals" in run(folder, "show", "catalog/in/p2.png", code=1)
    assert "no individual 'in/p9.png'" in run(folder, "show", "in/p9.png", code=1)
    run(folder, "decide", "catalog/in/p4.png", "in\\p5.png", "different", "--observer", "Anna")
    assert len(open_identities(folder).who.sightings) == 5


def test_lines_of_an_earlier_question_are_not_left_beside_a_hidden_one(tmp_path, monkeypatch):
    who = write_two_sightings(tmp_path / "c", ["2023-05-01"] * 2 + ["2023-06-02"] * 2)
    monkeypatch.setattr(pairs, "spots_between", lambda *_: pairs.NO_SPOTS)
    folder, lines = tmp_path / "questions", tmp_path / "questions" / "question-lines.jpg"
    pairs.write_pair(None, who, 0, 1, None, folder, hidden=False)
    assert lines.exists()
    pairs.write_pair(None, who, 0, 1, None, folder, hidden=True)
    assert [path.name for path in folder.iterdir()] == ["question.jpg"]
    lines.write_text("of somebody else")
    pairs.write_pair(None, who, 0, 1, None, folder, hidden=True)
    assert lines.read_text() == "of somebody else"


def test_decisions_of_another_catalog_are_told_to_have_no_effect(catalog, tmp_path):
    append(tmp_path / "other.sqlite", [draft("pair", "Bob", "same", side_a=("a1",), side_b=("a2",))])
    told = run(catalog, "merge-files", str(tmp_path / "other.sqlite"))
    assert "1 decision added, 0 were known" in told
    assert "1 new decision without effect here: its photos are not in the catalog" in told


def test_a_change_that_came_too_late_is_told_to_have_no_effect(catalog, monkeypatch):
    one, other, *_ = encounters(catalog)
    run(catalog, "name", "Aika", one, "--observer", "Anna")

    def preview_meanwhile(who, drafts):  # Bob gives the name to another animal before Anna's change is stored
        append(who.path, [name_sightings(who, [find_sighting_named(who, other)], "Umut", "Bob")])
        return preview(who, drafts)

    monkeypatch.setattr("snowmatch.review.identities.preview", preview_meanwhile)
    told = run(catalog, "rename", "Aika", "Umut")
    assert "1 new decision without effect here: the name 'Umut' existed already" in told


def test_names_that_differ_in_little_are_told_before_and_after(catalog):
    one, other, *_ = encounters(catalog)
    assert "nearly" not in run(catalog, "name", "Aika", one, "--observer", "Anna")
    told = run(catalog, "name", "aika", other)
    assert "'Aika' and 'aika' are nearly the same name, and count as different animals" in told
    assert "'Aika', 'aika'" in next(n.text for n in open_catalog(catalog).data.notes if n.code == "individuals-alike")
    assert "nearly" not in run(catalog, "merge", "Aika", "aika")
    assert "individuals-alike" not in [note.code for note in open_catalog(catalog).data.notes]


def test_a_name_is_used_at_once_and_taken_back(catalog):
    one, other, *_ = encounters(catalog)
    run(catalog, "name", "Aika", one, other, "--observer", "Anna")
    assert names_of(catalog)[one] == names_of(catalog)[other] == "Aika"
    assert "Aika" in run(catalog, "list")
    shown = CliRunner().invoke(main, ["show", str(catalog)]).output
    assert "Aika" in shown
    told = run(catalog, "undo")  # the observer's name is remembered
    assert "Anna" in told.splitlines()[1]  # which decision is taken back
    assert "name" in told.splitlines()[1]
    assert set(names_of(catalog).values()) == {None}


def test_a_decision_is_taken_back_once_and_given_back_as_it_is_told(catalog):
    one, other, *_ = encounters(catalog)
    run(catalog, "name", "Aika", one, other, "--observer", "Anna")
    name = open_identities(catalog).rows[0].id
    run(catalog, "undo", name, name[-8:], name)
    assert len(open_identities(catalog).rows) == 2
    told = run(catalog, "undo", name, code=1)
    assert "taken back already" in told
    run(catalog, "undo", told.split("`undo ")[1].split("`")[0])
    assert names_of(catalog)[one] == "Aika"
    run(catalog, "undo", name)
    assert names_of(catalog)[one] is None


def test_an_undo_that_was_taken_back_is_told_as_such(catalog):
    run(catalog, "name", "Aika", encounters(catalog)[0], "--observer", "Anna")
    for _ in range(3):
        run(catalog, "undo", open_identities(catalog).rows[-1].id)
    who = open_identities(catalog)
    valid = [False, True, False, True]  # the name, its undo, and so on
    assert ["taken back" not in line for line in run(catalog, "log").splitlines()[1:]] == valid
    assert [row["in_effect"] for row in json.loads(run(catalog, "log", "--json"))["decisions"]] == valid
    past = history_of(who, who.who.sightings[0].annotations)
    assert [each.valid for each in reversed(past)] == valid


def test_the_table_is_never_changed(catalog):
    before = (catalog / "catalog.csv").read_bytes()
    one, other, *_ = encounters(catalog)
    run(catalog, "decide", one, other, "same", "--observer", "Anna")
    run(catalog, "rename", open_identities(catalog).who.individuals[0].handle, "Bars")
    assert (catalog / "catalog.csv").read_bytes() == before


def test_a_dry_run_stores_nothing(catalog):
    one, other, *_ = encounters(catalog)
    told = run(catalog, "name", "Aika", one, other, "--observer", "Anna", "--dry-run")
    assert "2 sightings get another name" in told
    assert not (catalog / "decisions.sqlite").exists()


def test_previews_tell_what_happens(catalog):
    who = open_identities(catalog)
    drafts = [name_sightings(who, [0, 1], "Aika", "Anna")]
    change = preview(who, drafts)
    after, _ = decide(who, drafts)
    assert (change.sightings, change.individuals) == (2, (len(who.who.individuals), len(after.who.individuals)))
    assert preview(after, undo(after, last_of(after, "Anna"), "Anna")).names == (("Aika", "", 2),)


def test_a_preview_tells_new_contradictions(catalog):
    who = open_identities(catalog)
    who, _ = decide(who, [answer_pair(who, 0, 1, "different", "Anna")])
    change = preview(who, [name_sightings(who, [0, 1], "Aika", "Anna")])
    assert change.quarrels == ((0, 1),)


def test_merge_and_split_any_number(catalog):
    who = open_identities(catalog)
    who, _ = decide(who, [name_sightings(who, [n], f"Cat{n}", "Anna") for n in range(4)])
    who, _ = decide(who, merge(who, ["Cat0", "Cat1", "Cat2", "Cat3"], "Anna", "Umut"))
    assert find_individual(who, "Umut").sightings == (0, 1, 2, 3)
    who, _ = decide(who, [split(who, "Umut", [1, 3], "Anna", "Bars")])
    assert find_individual(who, "Umut").sightings == (0, 2)
    assert find_individual(who, "Bars").sightings == (1, 3)


def test_a_name_that_a_merge_gave_up_leads_to_the_individual_that_has_it(catalog):
    one, other, third, *_ = encounters(catalog)
    for name, encounter in (("Aika", one), ("Bars", other), ("Cat7", third)):
        run(catalog, "name", name, encounter, "--observer", "Anna")
    run(catalog, "merge", "Aika", "Bars")
    run(catalog, "rename", "Aika", "Umut")
    assert "it was merged into 'Umut'" in run(catalog, "show", "Bars", code=1)
    assert "it was renamed to 'Umut'" in run(catalog, "show", "Aika", code=1)
    run(catalog, "name", "Dog", other)
    assert "it was merged into 'Umut'" in run(catalog, "show", "Bars", code=1)  # no sighting has it now
    assert "'Bars' is a name of 'Umut'" in run(catalog, "rename", "Dog", "Bars", code=1)
    run(catalog, "decide", one, third, "same")
    names = find_individual(open_identities(catalog), "Umut" if "Umut" in run(catalog, "list") else "Cat7").names
    assert f"it is a further name of {names[0]!r}" in run(catalog, "show", names[1], code=1)
    assert "did you mean" in run(catalog, "show", "Umux", code=1)


def test_an_observer_where_nobody_decides_is_told_to_have_no_effect(catalog):
    one, *_ = encounters(catalog)
    assert "no effect" not in run(catalog, "name", "Aika", one, "--observer", "Anna")
    assert "--observer has no effect here" in run(catalog, "log", "--observer", "Boris")
    assert "Anna" in run(catalog, "log")


def test_the_log_shows_long_names_from_their_beginning(catalog):
    name = "Aika, the female of the upper valley with a torn ear"
    run(catalog, "name", name, encounters(catalog)[0], "--observer", "Anna")
    assert name in run(catalog, "log")


def test_undo_of_a_merge_takes_all_its_rows_back(catalog):
    who = open_identities(catalog)
    who, _ = decide(who, [name_sightings(who, [n], f"Cat{n}", "Anna") for n in range(3)])
    who, _ = decide(who, merge(who, ["Cat0", "Cat1", "Cat2"], "Anna"))
    who, _ = decide(who, undo(who, last_of(who, "Anna"), "Anna"))
    assert [find_individual(who, f"Cat{n}").sightings for n in range(3)] == [(0,), (1,), (2,)]


def test_an_individual_may_get_a_name_that_nobody_has_any_more(catalog):
    who = open_identities(catalog)
    who, _ = decide(who, [name_sightings(who, [0, 1], "Aika", "Anna"), name_sightings(who, [2], "Bars", "Anna")])
    who, _ = decide(who, [name_sightings(who, [2], "Dog", "Anna")])  # nobody is Bars now
    who, _ = decide(who, [rename(who, "Aika", "Bars", "Anna")])
    assert who.who.idle == ()
    assert find_individual(who, "Bars").sightings == (0, 1)


def test_a_rename_of_another_observer_to_a_name_that_nobody_has_any_more_is_no_second_opinion(catalog):
    who = open_identities(catalog)
    who, _ = decide(who, [name_sightings(who, [0], "Cat", "Boris")])
    who, _ = decide(who, [name_sightings(who, [0], "Eva", "Anna")])
    who, _ = decide(who, [rename(who, "Eva", "Cat", "Ben")])
    assert who.who.disputed_names == {}
    assert find_individual(who, "Cat").sightings == (0,)
    named, _ = decide(who, [name_sightings(who, [1], "Cat", "Anna")])
    assert find_individual(named, "Cat").sightings == (0, 1)


@pytest.mark.parametrize("merged", [True, False])
def test_a_name_that_a_merge_gave_up_and_a_further_name_are_not_free(catalog, merged):
    who = open_identities(catalog)
    names = {"Aika": [0, 1], "Bars": [2], "Cat": [3], "Dog": [4, 5]}
    who, _ = decide(who, [name_sightings(who, numbers, name, "Anna") for name, numbers in names.items()])
    drafts = merge(who, ["Aika", "Bars"], "Anna") if merged else [answer_pair(who, 0, 2, "same", "Anna")]
    who, _ = decide(who, drafts)
    photos = who.who.sightings[4].annotations
    for change in (
        lambda: rename(who, "Cat", "Bars", "Anna"),
        lambda: merge(who, ["Cat", "Dog"], "Anna", "Bars"),
        lambda: split(who, "Dog", [4], "Anna", "Bars"),
        lambda: split(who, "Aika", [0], "Anna", "Bars"),
        lambda: split_photos(who, "Dog", photos[:1], "Anna", "Bars"),
        lambda: _check_new(who, "Bars"),
    ):
        with pytest.raises(SnowmatchError, match="'Bars' is a name of 'Aika'"):
            change()
    for drafts in (
        [rename(who, "Aika", "Bars", "Anna")],  # a name of its own
        merge(who, ["Cat", "Aika"], "Anna", "Bars"),
        [split(who, "Aika", [2], "Anna", "Bars")],
    ):
        after, _ = decide(who, drafts)
        assert 2 in find_individual(after, "Bars").sightings
        assert after.who.idle == ()
        assert all(len(each.names) < 2 for each in after.who.individuals)
        who, _ = decide(after, undo(after, last_of(after, "Anna"), "Anna"))


@pytest.mark.parametrize("merged", [True, False])
def test_a_part_gets_a_name_of_its_individual_with_all_that_have_it_as_is_advised(catalog, merged):
    who = open_identities(catalog)
    names = {"Aika": [0, 1], "Bars": [2, 3], "Cat": [4]}
    who, _ = decide(who, [name_sightings(who, numbers, name, "Anna") for name, numbers in names.items()])
    who, _ = decide(who, merge(who, ["Aika", "Bars"], "Anna") if merged else [answer_pair(who, 0, 2, "same", "Anna")])
    photos = sides_of(who, [2])
    both = r"'Bars' is a name of 'Aika' already: choose another name, or split off all that have it$"
    for change, told in (
        (lambda: split(who, "Aika", [2], "Anna", "Bars"), both),
        (lambda: split_photos(who, "Aika", photos, "Anna", "Bars"), both),
        (lambda: split(who, "Aika", [2], "Anna", "Aika"), "choose another name$"),
        (lambda: split(who, "Aika", [2], "Anna", "Cat"), "choose another name, or give the sightings its name$"),
    ):
        with pytest.raises(SnowmatchError, match=told):
            change()
    who, _ = decide(who, [split(who, "Aika", [2, 3], "Anna", "Bars")])
    assert find_individual(who, "Bars").sightings == (2, 3)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda who: find_individual(who, "Aik"), "did you mean 'Aika'"),
        (lambda who: find_sighting_named(who, "e9999"), "no annotation, photo or encounter"),
        (lambda who: rename(who, "Aika", "Bars", "Anna"), "merge"),
        (lambda who: rename(who, "Aika", "  ", "Anna"), "not a name"),
        (lambda who: rename(who, "Aika", "Aika", "Anna"), "its name already"),
        (lambda who: merge(who, ["Aika"], "Anna"), "two or more"),
        (lambda who: split(who, "Aika", [1], "Anna"), "not of 'Aika'"),
        (lambda who: split(who, "Aika", [0], "Anna"), "leaves one or more"),
        (lambda who: undo(who, ["nothing"], "Anna"), "no decision ends"),
    ],
)
def test_bad_input_is_one_line(catalog, change, told):
    who = open_identities(catalog)
    who, _ = decide(who, [name_sightings(who, [0], "Aika", "Anna"), name_sightings(who, [1], "Bars", "Anna")])
    with pytest.raises(SnowmatchError, match=told) as error:
        change(who)
    assert "\n" not in str(error.value)


def test_an_observer_is_needed_once(catalog):
    one, other, *_ = encounters(catalog)
    assert "--observer NAME" in run(catalog, "decide", one, other, "same", code=1)
    run(catalog, "decide", one, other, "same", "--observer", "Anna")
    assert observer_name(catalog) == "Anna"
    with pytest.raises(SnowmatchError, match="the program's own"):
        observer_name(catalog, "Machine")


@pytest.mark.parametrize("name", ["Zo\udceb", "An\u202ena", "An\x00na", "An\u200cna"])  # the first: no UTF-8
def test_an_observer_has_a_name_that_can_be_shown(tmp_path, name):
    folder = write_catalog(tmp_path / "c", ROWS)
    told = run(folder, "auto", "--undo", "--observer", name, code=1)
    assert "is not a name: expected visible characters" in told
    assert told.isascii()
    assert open_identities(folder).rows == ()


def test_the_name_of_an_observer_may_have_the_joiners_that_its_script_needs(tmp_path):
    name = "\u0645\u0647\u200c\u062f\u06cc"  # Persian
    assert observer_name(tmp_path, name) == observer_name(tmp_path) == name


def test_an_observer_who_lets_the_machine_decide_is_remembered(tmp_path, monkeypatch):
    folder = write_catalog(tmp_path / "c", ROWS)
    monkeypatch.setattr("snowmatch.cli.identities_ask.gathered", lambda *_: (SimpleNamespace(calibration=None), None))
    run(folder, "auto", "--observer", "Anna", code=1)
    assert observer_name(folder) == "Anna"


def test_two_files_merge(catalog, tmp_path):
    other_file = tmp_path / "laptop.sqlite"
    here, there = open_identities(catalog), open_identities(catalog, other_file)
    here, _ = decide(here, [name_sightings(here, [0], "Aika", "Anna")])
    decide(there, [name_sightings(there, [1], "Bars", "Boris")])
    here, merged = merge_other(here, other_file)
    assert len(merged.added) == 1
    assert {each.name for each in here.who.individuals} >= {"Aika", "Bars"}


@pytest.mark.parametrize("command", ["merge-files", "import-decisions"])
def test_names_that_a_merge_of_files_changes_are_told(catalog, tmp_path, command):
    laptop, file = tmp_path / "laptop.sqlite", tmp_path / "sent"
    one, other, third, *_ = encounters(catalog)

    def merged():
        if command == "merge-files":
            return run(catalog, command, str(laptop))
        file.unlink(missing_ok=True)
        run(catalog, "export-decisions", str(file), "--decisions", str(laptop))
        return run(catalog, command, str(file))

    run(catalog, "name", "Aika", third, "--observer", "Anna")
    run(catalog, "export-decisions", str(file))
    run(catalog, "import-decisions", str(file), "--decisions", str(laptop))
    run(catalog, "name", "M1", one)
    run(catalog, "name", "M1", other, "--observer", "Ben", "--decisions", str(laptop))
    told = merged()
    assert "without a name -> M1: 1 sighting" in told
    assert f"'M1' was a new name on both sides, here of {one}, there of {other}: one individual now" in told
    run(catalog, "rename", "Aika", "Umut")
    run(catalog, "name", "Aika", encounters(catalog)[3], "--decisions", str(laptop))
    told = merged()
    assert "without a name -> Aika: 1 sighting" in told
    assert "what the added decisions call 'Aika' is Aika (1 sighting) and Umut (1 sighting) now" in told
    assert "M1" not in told


def test_a_name_whose_sighting_does_not_count_after_a_merge_of_files_is_told(tmp_path):
    folder, laptop = tmp_path / "c", tmp_path / "laptop.sqlite"
    folder.mkdir()
    rows = [f"p{n}.png,{'Aika' if n < 4 else ''},e{n},{'snow leopard' if n < 6 else 'ibex'},a{n}" for n in range(9)]
    (folder / "catalog.csv").write_text("\n".join(["path,individual,encounter,species,annotation", *rows]) + "\n")
    run(folder, "name", "Ivan", "e8", "--observer", "Ben", "--decisions", str(laptop))
    for name, encounter in (("Ivan", "e4"), ("Max", "e8"), ("", "e8")):
        run(folder, "name", name, encounter, "--observer", "Anna")
    told = run(folder, "merge-files", str(laptop))
    assert "1 new decision without effect here: its photos are not in the catalog, not indexed, or do not count" in told
    assert "both sides" not in told


def test_two_names_of_two_observers_are_told_when_files_merge_and_until_somebody_settles_it(catalog, tmp_path):
    other_file = tmp_path / "laptop.sqlite"
    here, there = open_identities(catalog), open_identities(catalog, other_file)
    encounter = here.who.sightings[0].encounter
    decide(here, [name_sightings(here, [0], "Tulpar", "Anna")])
    decide(there, [name_sightings(there, [0], "Boris", "Boris")])
    more = "1 more sighting with different names of observers"
    assert more in run(catalog, "name", "Boris", encounter, "--observer", "Boris", "--dry-run")
    assert more not in run(catalog, "name", "Boris", encounter, "--observer", "Boris", "--dry-run", "--adjudicator")
    assert more in run(catalog, "merge-files", str(other_file))
    told = f"observers gave {encounter} different names (Anna: Tulpar, Boris: Boris); the last one counts"
    assert told in run(catalog, "check")
    doctor = CliRunner().invoke(main, ["doctor", str(catalog)]).output
    assert "1 sighting with different names of observers" in doctor
    run(catalog, "name", "Tulpar", encounter, "--adjudicator", "--observer", "Clara")
    assert "nothing contradicts" in run(catalog, "check")
    assert "different names" not in CliRunner().invoke(main, ["doctor", str(catalog)]).output


def test_a_read_only_folder_is_told_where_to_write(catalog, tmp_path):
    one, other, *_ = encounters(catalog)
    there = tmp_path / "elsewhere.sqlite"
    run(catalog, "decide", one, other, "same", "--observer", "Anna", "--decisions", str(there))
    assert not (catalog / "decisions.sqlite").exists()
    assert "Anna" in run(catalog, "log", "--decisions", str(there))
    run(catalog, "name", "Umut", one, "--observer", "Anna", "--decisions", str(there))
    photo = str(catalog / open_catalog(catalog).data.annotations[-1].path)
    words = ["query", photo, "--catalog", str(catalog), "--json", "--top", "1000"]
    for more, known in ([], False), (["--decisions", str(there)], True):
        answer = json.loads(CliRunner().invoke(main, [*words, *more]).stdout)
        assert ("Umut" in {each["individual"] for each in answer["candidates"]}) is known


def test_sightings_are_compared_by_one_extractor():
    session = SimpleNamespace(method=SimpleNamespace(extractors=(Hesaff(), Sift())))
    with pytest.raises(SnowmatchError, match="of one extractor, not of hesaff and sift: name one"):
        gather_evidence(session, [])


def test_lists_as_json(catalog):
    one, other, *_ = encounters(catalog)
    run(catalog, "decide", one, other, "same", "--observer", "Anna", "--certainty", "3")
    found = json.loads(run(catalog, "list", "--json"))
    assert found["schema"] == "snowmatch.identities/1"
    assert max(len(each["sightings"]) for each in found["individuals"]) == 2
    (row,) = json.loads(run(catalog, "log", "--json"))["decisions"]
    assert (row["answer"], row["certainty"], row["in_effect"]) == ("same", 3, True)


def test_photos_of_one_sighting_can_be_parted(catalog):
    who = open_identities(catalog)
    several = next(s for s in who.who.sightings if len(s.rows) > 1)
    photos = [who.annotations[row].path for row in several.rows]
    run(catalog, "decide", photos[0], photos[1], "different", "--observer", "Anna")
    assert len(open_identities(catalog).who.sightings) == len(who.who.sightings) + 1


def test_hostile_names_change_no_terminal(catalog):
    one, *_ = encounters(catalog)
    run(catalog, "name", "\x1b[31mred", one, "--observer", "Anna")
    assert "\x1b" not in run(catalog, "list") + run(catalog, "log") + run(catalog, "show", one)


def asked(queue):
    return [(item.a, item.b) for item in queue.next(1)]


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


def test_no_second_repetition_follows_a_repetition_when_the_queue_is_started_again(tmp_path):
    head = "path,individual,body_part,location,timestamp,encounter,annotation\n"
    rows = [f"p{n}.jpg,,left_flank,naryn,2023-05-{n + 1:02},e{n},a{n}\n" for n in range(24)]
    (tmp_path / "catalog.csv").write_text(head + "".join(rows), encoding="utf-8")
    who = open_identities(tmp_path)
    name = next(n for n in map(str, range(99)) if _chosen(n, 23, 0.5) and not _chosen(n, 24, 0.5))
    who, _ = decide(who, [answer_pair(who, 0, n, "different", name) for n in range(1, 24)])
    queue = Queue(who, Evidence({}, 0.001, -6.0, 0), name, repeats=0.5)
    (item,) = queue.next()
    assert item.why == "repeat"
    after, stored = decide(who, [answer_item(queue, item, "different", "", hidden=False)])
    queue.take(after, item, stored.rows[0])
    assert not queue.next()
    queue.start_again(after)
    assert not queue.next()


def test_what_joins_two_groups_of_several_sightings_is_asked_first_the_largest_before_the_surest(catalog):
    who = open_identities(catalog)
    sightings = who.who.sightings
    left = [n for n, s in enumerate(sightings) if s.body_parts == ("left_flank",)][:9]
    groups = left[:2], left[2:4], left[4:7], left[7:]
    pairs = [(groups[0][0], groups[1][0], 0.99), (groups[1][1], groups[2][1], 0.8), (groups[2][2], groups[3][0], 0.4)]
    likely = {(a, b): Likely(a, b, 3.0, p, p, 30, ("", "")) for a, b, p in pairs}
    evidence = Evidence(likely, 0.1, -4.0, 0)
    assert not list(Queue(who, evidence, "Anna")._joining())  # all sightings are alone
    for members in groups:
        for a, b in pairwise(members):
            who, _ = decide(who, [answer_pair(who, a, b, "same", "Anna")])
    queue = Queue(who, evidence, "Anna", repeats=0)
    first = [(item.a, item.b, item.why) for item in queue.next(2)]
    assert first == [(*pairs[1][:2], "confirm"), (*pairs[0][:2], "confirm")]  # 2 x 3 sightings, then 2 x 2
    item = queue.next()[0]
    after, stored = decide(queue.identities, [answer_item(queue, item, "different", "", hidden=False)])
    queue.take(after, item, stored.rows[0])
    assert (queue.next()[0].a, queue.next()[0].b) == pairs[0][:2]
    named = after
    for name, n in (("Aika", groups[0][0]), ("Bars", groups[1][0])):
        named, _ = decide(named, [name_sightings(named, [n], name, "Anna")])
    assert not list(Queue(named, evidence, "Anna")._joining())  # somebody named them as two animals


def test_persons_check_at_least_one_pair_of_few_that_the_machine_joins(catalog):
    who = open_identities(catalog)
    left = [n for n, s in enumerate(who.who.sightings) if s.body_parts == ("left_flank",)]
    pairs = list(pairwise(left))[:5]
    evidence = Evidence({p: Likely(*p, 9.0, 0.9999, 0.9995, 60, ("", "")) for p in pairs}, 0.1, -4.0, 0)

    def sampled(share):
        drafts = auto_drafts(who, evidence, Levels(0.999, 0.99, 0.9), Policy(sample=share))
        assert len(drafts) == len(pairs)
        return [SAMPLE in each.tags for each in drafts]

    assert [sum(sampled(share)) for share in (0.0, 1e-9, 1.0)] == [0, 1, len(pairs)]
    assert sampled(1e-9) == sampled(1e-9)


def test_the_machine_decides_again_what_was_taken_back_unless_a_person_answers_it(catalog):
    who = open_identities(catalog)
    a, b = [n for n, s in enumerate(who.who.sightings) if s.body_parts == ("left_flank",)][:2]
    evidence = Evidence({(a, b): Likely(a, b, 9.0, 0.9999, 0.9995, 60, ("", ""))}, 0.1, -4.0, 0)
    who, appended = decide(who, auto_drafts(who, evidence, Levels(0.999, 0.99, 0.9), Policy()))
    who, _ = decide(who, undo(who, [row.id for row in appended.rows], "Anna"))
    assert len(auto_drafts(who, evidence, Levels(0.999, 0.99, 0.9), Policy())) == 1
    for answer in ("different", "cannot_tell"):
        answered, _ = decide(who, [answer_pair(who, a, b, answer, "Anna")])
        assert auto_drafts(answered, evidence, Levels(0.999, 0.99, 0.9), Policy()) == ()


def test_nothing_is_left_to_ask_only_if_a_new_queue_has_nothing_either(tmp_path):
    draw, names = random.Random(12), [f"a{n:02d}" for n in range(16)]
    table = "".join(f"{name}.jpg,left_flank,e{name},{name}\n" for name in names)
    (tmp_path / "catalog.csv").write_text(f"path,body_part,encounter,annotation\n{table}", encoding="utf-8")
    animal = [draw.randrange(5) for _ in names]
    likely = {}
    for a, b in combinations(range(16), 2):
        if draw.random() < 0.6:
            odds = draw.gauss(0.2 if animal[a] == animal[b] else -1.2, 0.8)
            share = 1 / (1 + math.exp(1 - odds))
            likely[a, b] = Likely(a, b, odds, share, share, 20, (names[a], names[b]))
    evidence, who = Evidence(likely, 0.3, -6.0, 0), open_identities(tmp_path)
    queue, told = Queue(who, evidence, "Anna", repeats=0), []
    while not told or told[-1] != "nothing left to ask":
        while items := queue.next():
            answer = "same" if animal[items[0].a] == animal[items[0].b] else "different"
            who, stored = decide(who, [answer_item(queue, items[0], answer, "", hidden=False)])
            queue.take(who, items[0], stored.rows[0])
        told.append(_outlook(queue))
        assert len(told) < 5
    assert "about 1 more" in told[0]
    assert not Queue(who, evidence, "Anna", repeats=0).next()


def test_what_is_left_to_ask_is_told_with_the_accuracies_that_a_further_run_takes(tmp_path):
    names = ("a", "b", "c", "d")
    table = "".join(f"{name}.jpg,left_flank,e{name},{name}\n" for name in names)
    (tmp_path / "catalog.csv").write_text(f"path,body_part,encounter,annotation\n{table}", encoding="utf-8")
    who = open_identities(tmp_path)
    queue = Queue(who, Evidence({}, 0.3, -6.0, 0), "Anna", repeats=0)
    test = draft("pair", "Anna", "same", side_a=("a",), side_b=("b",), mode="training", tags=(truth_tag("different"),))
    queue.identities, _ = decide(who, [test])
    while items := queue.next():
        said = answer_item(queue, items[0], "different", "", hidden=False)
        after, stored = decide(queue.identities, [said])
        queue.take(after, items[0], stored.rows[0])
    _outlook(queue)
    assert queue.accuracy("Anna") == accuracy_by_name(queue.identities.rows)("Anna") < ACCURACY


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


def test_what_an_observer_could_not_tell_twice_comes_last(catalog):
    """Nobody can tell anything about the first animal; all other answers are right."""
    truth = true_names(catalog)
    who = open_identities(catalog)
    evidence = gather_evidence(open_catalog(catalog).session(), who.who.sightings)
    queue = Queue(who, evidence, "Anna", repeats=0)
    poor, asked = None, []
    while items := queue.next():
        (item,) = items
        poor = item.b if poor is None else poor
        vague = poor in (item.a, item.b)
        if sum(asked) >= 3 and vague:  # only such questions are left
            assert all(poor in (each.a, each.b) for each in queue.next(50))
        asked.append(vague)
        sightings = queue.identities.who.sightings
        same = truth[sightings[item.a].encounter] == truth[sightings[item.b].encounter]
        answer = "cannot_tell" if vague else "same" if same else "different"
        after, appended = decide(queue.identities, [answer_item(queue, item, answer, "", hidden=False)])
        queue.take(after, item, appended.rows[0])
    assert sum(asked) > 3  # they are asked in the end
    assert not all(asked[: sum(asked)])


def test_what_could_not_be_told_stays_known_after_answers_are_corrected_and_taken_back(catalog):
    """After each answer, the queue knows what a queue that starts afresh knows."""
    who = open_identities(catalog)
    part = who.who.sightings[0].body_parts
    a, b, c, d = [n for n, each in enumerate(who.who.sightings) if each.body_parts == part][:4]
    evidence = Evidence({(a, b): Likely(a, b, 4.0, 0.6, 0.5, 9, ("", ""))}, 0.3, -6.0, 0)
    queue = Queue(who, evidence, "Anna", repeats=0)

    def known(queue):
        return set(queue._unclear), +queue._told

    rows = []
    for pair, answer in (
        ((a, b), "different"),
        ((a, c), "cannot_tell"),
        ((a, b), "cannot_tell"),
        ((a, c), "different"),
        ((b, d), "different"),
    ):
        item = queue.about(*pair)
        after, appended = decide(queue.identities, [answer_item(queue, item, answer, "", hidden=False)])
        queue.take(after, item, appended.rows[0])
        rows += appended.rows
        assert known(queue) == known(Queue(after, evidence, "Anna", repeats=0)), (pair, answer)
    after, _ = decide(queue.identities, undo(queue.identities, [rows[-1].id], "Anna"))
    assert queue.take_back(after, rows[-1])
    assert known(queue) == known(Queue(after, evidence, "Anna", repeats=0))
    assert known(queue)[0] == {(a, b)}


def test_a_contradiction_that_was_taken_back_is_no_longer_asked_about(catalog):
    who = open_identities(catalog)
    part = who.who.sightings[0].body_parts
    a, b, c = [n for n, each in enumerate(who.who.sightings) if each.body_parts == part][:3]
    who, _ = decide(who, [answer_pair(who, *pair, "same", "Boris") for pair in ((a, b), (b, c))])
    unsure = {(a, b): Likely(a, b, 1.0, 0.4, 0.3, 9, ("", ""))}
    queue = Queue(who, Evidence(unsure, 0.3, -6.0, 0), "Anna", repeats=0)
    before = queue.next(9)
    item = queue.about(a, c)
    after, appended = decide(who, [answer_item(queue, item, "different", "", hidden=False)])
    queue.take(after, item, appended.rows[0])
    assert len(queue._quarrels) == 1
    after, _ = decide(after, undo(after, [appended.rows[0].id], "Anna"))
    assert queue.take_back(after, appended.rows[0])
    assert queue.next(9) == before


def test_two_individuals_that_an_observer_could_not_tell_apart_twice_come_last(catalog):
    who = open_identities(catalog)
    part = who.who.sightings[0].body_parts
    a, b, c, d, e, f = [n for n, each in enumerate(who.who.sightings) if each.body_parts == part][:6]
    drafts = [answer_pair(who, *pair, "same", "Boris") for pair in ((a, b), (c, d))]
    vague = [answer_pair(who, *pair, "cannot_tell", "Anna") for pair in ((a, c), (b, d))]
    odds = {(a, d): 4.0, (e, f): 3.0}
    evidence = Evidence({pair: Likely(*pair, of, 0.6, 0.5, 9, ("", "")) for pair, of in odds.items()}, 0.3, -6.0, 0)

    def first(who):
        (item,) = Queue(who, evidence, "Anna", repeats=0).next()
        return {item.a, item.b}

    who, _ = decide(who, [*drafts, vague[0]])
    assert first(who) <= {a, b, c, d}
    who, _ = decide(who, [vague[1]])
    assert first(who) == {e, f}


def test_after_the_clock_was_set_back_no_pair_is_held(tmp_path):
    pair = ("a", "b")
    assert turns.take(tmp_path, "Anna", pair, now=100_000)
    assert turns.held_by_others(tmp_path, "Boris", now=100_010) == {pair}
    assert turns.held_by_others(tmp_path, "Boris", now=99_990) == {pair}
    assert turns.held_by_others(tmp_path, "Boris", now=10_000) == frozenset()
    assert turns.take(tmp_path, "Boris", pair, now=10_000)


def test_identifiers_with_blanks_are_skipped_and_reserved_as_others(tmp_path):
    lines = [f"p{n}.jpg,left_flank,e{n},photo {n}" for n in range(4)]
    table = "\n".join(["path,body_part,encounter,annotation", *lines]) + "\n"
    (tmp_path / "catalog.csv").write_text(table, encoding="utf-8")
    who = open_identities(tmp_path)
    odds = {(0, 1): 3.0, (2, 3): 2.0}
    evidence = Evidence({pair: Likely(*pair, of, 0.6, 0.5, 9, ("", "")) for pair, of in odds.items()}, 0.3, -6.0, 0)
    queue = Queue(who, evidence, "Anna", repeats=0)
    pair = queue.keys_of(queue.next()[0])
    turns.skip(tmp_path, "Anna", pair)
    assert turns.skipped_by(tmp_path, "Anna") == (pair,)
    second = queue.keys_of(queue.next()[0])
    assert second != pair
    assert turns.take(tmp_path, "Ben", second)
    assert turns.held_by_others(tmp_path, "Anna") == {second}
    assert queue.keys_of(queue.next()[0]) == pair  # what was skipped comes last, and is free


def test_turns_of_an_older_version_are_read(tmp_path):
    old = {"held": {"a b": ["Ben", time.time()]}, "skipped": {"Anna": ["a c", "photo 1 photo 2"]}}
    home_of(tmp_path).mkdir()
    (home_of(tmp_path) / "turns.json").write_text(json.dumps(with_json_sum(old)), encoding="utf-8")
    assert turns.held_by_others(tmp_path, "Anna") == {("a", "b")}
    assert turns.skipped_by(tmp_path, "Anna") == (("a", "c"),)  # of the other, nobody can say which pair it was


def test_undo_while_asking_takes_back_the_last_answer_of_this_mode_and_tells_it(tmp_path, monkeypatch, capsys):
    lines = [f"p{n}.jpg,left_flank,e{n},a{n}" for n in range(6)]
    table = "\n".join(["path,body_part,encounter,annotation", *lines]) + "\n"
    (tmp_path / "catalog.csv").write_text(table, encoding="utf-8")
    who = open_identities(tmp_path)
    blind = draft("pair", "Anna", "same", side_a=("a2",), side_b=("a3",), mode="blind")
    who, _ = decide(who, [answer_pair(who, 0, 1, "same", "Anna"), answer_pair(who, 0, 1, "same", "Boris"), blind])
    who, _ = decide(who, [name_sightings(who, [3], "Aika", "Anna")])
    odds = {(0, 2): 3.0, (4, 5): 1.0}
    evidence = Evidence({pair: Likely(*pair, of, 0.6, 0.5, 9, ("", "")) for pair, of in odds.items()}, 0.3, -6.0, 0)
    said = iter(["d", "u", "u", "u", "q"])
    monkeypatch.setattr("click.prompt", lambda *words, **options: next(said))
    assert _ask_all(Queue(who, evidence, "Anna", repeats=0), None, None, None) == 0
    told = capsys.readouterr().err
    first, second = told.split("taken back:")[1:]
    assert first.startswith(" different\n  e0")
    assert "  e2 " in first
    assert second.startswith(" same\n  e0")
    assert "  e1 " in second
    assert "nothing to take back" in second
    after = open_identities(tmp_path)
    assert [row.kind for row in after.rows] == ["pair", "pair", "pair", "name", "pair", "undo", "undo"]
    assert {row.kind for row in in_effect(after.rows) if row.observer == "Anna"} == {"pair", "name"}


def test_asking_ends_when_others_change_which_sightings_there_are(tmp_path, monkeypatch, capsys):
    lines = [f"p{n}.jpg,left_flank,e{n // 2},a{n}" for n in range(6)]
    table = "\n".join(["path,body_part,encounter,annotation", *lines]) + "\n"
    (tmp_path / "catalog.csv").write_text(table, encoding="utf-8")
    who = open_identities(tmp_path)
    evidence = Evidence({(1, 2): Likely(1, 2, 3.0, 0.6, 0.5, 9, ("", ""))}, 0.3, -6.0, 0)

    def boris_divides_the_first(*words, **options):
        decide(open_identities(tmp_path), [find_sides(who, "p0.jpg", "p1.jpg", "different", "Boris")])
        return "s"

    monkeypatch.setattr("click.prompt", boris_divides_the_first)
    assert _ask_all(Queue(who, evidence, "Anna", repeats=0), None, None, None) == 1
    assert "which sightings there are has changed meanwhile: run it again" in capsys.readouterr().err
    assert [row.observer for row in open_identities(tmp_path).rows] == ["Boris", "Anna"]  # the answer is stored


def true_names(folder):
    """Return the true name of each encounter of the drawn survey, which `blank` has taken away."""
    with (folder.parent / "truth.json").open(encoding="utf-8") as file:
        return json.load(file)


def test_a_contradiction_is_explained(catalog):
    who = open_identities(catalog)
    drafts = [answer_pair(who, *pair, "same", "Anna") for pair in ((0, 1), (1, 2), (0, 3), (3, 2))]
    who, _ = decide(who, [*drafts, answer_pair(who, 0, 2, "different", "Boris", certainty=4)])
    (found,) = contradictions_of(who.who, lambda _: 0.97)
    assert (found.a, found.b) == (0, 2)
    assert [voice.decision.observer for voice in found.different] == ["Boris"]
    assert len(found.same) == 2  # one of each way round
    assert found.suspects == "different"
    told = run(catalog, "check")
    assert all(voice.decision.id[-8:] in told for voice in (*found.different, *found.same))


def test_names_that_quarrel_with_an_answer(catalog):
    who = open_identities(catalog)
    who, _ = decide(who, [name_sightings(who, [0, 1], "Aika", "Anna"), answer_pair(who, 0, 1, "different", "Boris")])
    (found,) = contradictions_of(who.who, lambda _: 0.97)
    assert found.same == ()
    assert "names or merges join them" in run(catalog, "check")


def test_a_corrected_body_part_counts_at_once(catalog):
    who = open_identities(catalog)
    named = who.annotations[0].annotation
    decide(who, [draft("body_part", "Anna", "head", side_a=(named,))])
    opened = open_catalog(catalog)
    assert opened.data.annotations[0].body_part == "head"
    gallery = opened.session().gallery  # without indexing again
    assert any(a.path == opened.data.annotations[0].path and a.body_part == "head" for a in gallery.annotations)


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


def test_rows_of_two_readings_of_a_catalog_are_never_mixed(catalog):
    who = open_identities(catalog)
    table = catalog / "catalog.csv"
    head, *rows = table.read_text(encoding="utf-8").splitlines()
    table.write_text("\n".join([head, *reversed(rows)]) + "\n", encoding="utf-8")
    session = open_catalog(catalog).session()
    with pytest.raises(SnowmatchError, match="changed at this very moment"):
        check_one_reading(who.annotations, session)
    check_one_reading(open_identities(catalog).annotations, session)


def test_evidence_that_cannot_be_kept_is_told(catalog, monkeypatch):
    def full(folder, records):
        raise SnowmatchError("the disk is full")

    monkeypatch.setattr("snowmatch.review.likely.keep", full)
    session = open_catalog(catalog).session()
    evidence = gather_evidence(session, open_identities(catalog).who.sightings)
    assert evidence.pairs
    assert [note.code for note in evidence.notes] == ["evidence-not-kept"]
