"""Identities: previews, names, files; the command line; names that the other commands use at once."""

import difflib
import json
import shlex
import sqlite3
import time
from types import SimpleNamespace

import pytest
from blank_survey import encounters, names_of, run, without_names
from click.testing import CliRunner
from drawn_table import ROWS, write_catalog
from fake_extractor import age
from hypothesis import given
from hypothesis import strategies as st

from snowmatch.api import open_catalog
from snowmatch.catalog.ids import give_ids, load_ids, save_ids
from snowmatch.catalog.load import load_catalog
from snowmatch.catalog.records import Records, save_records, take_fingerprint
from snowmatch.cli import main
from snowmatch.core.errors import SnowmatchError
from snowmatch.core.text import choices, nearest
from snowmatch.review.contradictions import contradictions_of
from snowmatch.review.divide import split_photos
from snowmatch.review.history import history_of
from snowmatch.review.identities import (
    answer_pair,
    append,
    decide,
    draft,
    find_individual,
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
from snowmatch.review.observer_name import observer_name
from snowmatch.views.identities import format_individual, format_pair
from snowmatch.web.adding import _check_new

pytestmark = pytest.mark.usefixtures("seen_once")


@pytest.fixture
def catalog(own_survey):
    return without_names(own_survey)


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


def test_an_individual_is_found_by_its_name_with_blanks_around_it_or_between(tmp_path):
    names = ("Cat 1", "Cat  2", "Bars", "Bars")
    rows = "".join(f"p{n}.png,{name},left_flank,e{n},a{n}\n" for n, name in enumerate(names))
    (tmp_path / "catalog.csv").write_text(f"path,individual,body_part,encounter,annotation\n{rows}")
    who = open_identities(tmp_path)
    for typed in ("Cat 1", "Cat 1 ", " Cat  1"):
        assert find_individual(who, typed).name == "Cat 1"
        assert "Cat 1: 1 sighting" in run(tmp_path, "show", typed)
    assert find_individual(who, "Cat  2").name == "Cat  2"  # as the table has it
    joined, _ = decide(who, [answer_pair(who, 0, 2, "same", "Anna")])
    (further,) = find_individual(joined, "Bars").names[1:]
    with pytest.raises(SnowmatchError, match="is a further name of 'Bars'"):
        find_individual(joined, f"{further} ")
    after, _ = decide(joined, merge(joined, ["Bars ", f" {further}"], "Anna"))
    assert find_individual(after, "Bars").names == ("Bars",)


def test_animals_that_no_index_run_has_read_are_told_where_sightings_are_listed_or_named(tmp_path):
    folder = write_catalog(tmp_path / "c")
    text = (folder / "catalog.csv").read_text().splitlines()
    named = [
        f"{text[0]},annotation",
        *(f"{line},{'' if 'cholpon' in line else f'a{n}'}" for n, line in enumerate(text[1:])),
    ]
    (folder / "catalog.csv").write_text("\n".join(named))
    for words in (("list",), ("methods",)):
        told = run(folder, *words)
        assert "1 annotation not indexed yet and therefore of no sighting" in told
        assert f"(snowmatch index {folder}" in told
    who = open_identities(folder)
    assert {each.name for each in who.who.individuals} == {"aika", "bars", None}
    for find, name in ((find_individual, "cholpon"), (find_sighting_named, "p7.jpg"), (find_sighting_named, "e7")):
        with pytest.raises(SnowmatchError, match=f"'{name}' is in .*, but not indexed yet") as refused:
            find(who, name)
        assert refused.value.code == "not-indexed"
    with pytest.raises(SnowmatchError, match=r"no individual 'dastan'.*expected one of"):
        find_individual(who, "dastan")


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


def test_a_photo_that_has_changed_is_not_named_before_it_is_indexed(tmp_path):
    (tmp_path / "catalog.csv").write_text("path,encounter\na.jpg,e0\nb.jpg,e1\nc.jpg,e2\n", encoding="utf-8")

    def index():
        for name in "abc":
            age(tmp_path / f"{name}.jpg")
        photos = {f"{name}.jpg": take_fingerprint(tmp_path / f"{name}.jpg", photo=False) for name in "abc"}
        kept = load_ids(tmp_path)
        contents = {path: taken.sha256 for path, taken in photos.items()}
        save_records(tmp_path, Records(photos))
        save_ids(tmp_path, give_ids(load_catalog(tmp_path).annotations, contents, kept), kept)

    for name in "abc":
        (tmp_path / f"{name}.jpg").write_text(name)
    index()
    for path, content in (("a.jpg", "b"), ("b.jpg", "a")):  # two files change their names
        (tmp_path / path).write_text(content)
    (tmp_path / "c.jpg").unlink()
    for name in ("a.jpg", "e0"):
        told = run(tmp_path, "name", "Aika", name, "--observer", "Anna", code=1)
        assert "a.jpg has changed since it was indexed" in told
        shown = run(tmp_path, "show", name)
        assert "unnamed " in shown
        assert "a.jpg has changed since it was indexed: this may be the individual of another photo" in shown
    first = open_identities(tmp_path).annotations[0].annotation
    assert "has changed" not in run(tmp_path, "show", first)
    run(tmp_path, "name", "Cholpon", "c.jpg", "--observer", "Anna")
    (tmp_path / "c.jpg").write_text("c")
    index()
    run(tmp_path, "name", "Aika", "a.jpg", "--observer", "Anna")
    assert names_of(tmp_path) == {"e0": "Aika", "e1": None, "e2": "Cholpon"}


def test_decisions_of_another_catalog_are_told_to_have_no_effect(catalog, tmp_path):
    append(tmp_path / "other.sqlite", [draft("pair", "Bob", "same", side_a=("a1",), side_b=("a2",))])
    told = run(catalog, "merge-files", str(tmp_path / "other.sqlite"))
    assert "1 decision added, 0 were known" in told
    assert "1 new decision without effect here: its photos are not in the catalog" in told


def test_a_name_that_the_other_file_gave_first_is_told_to_be_refused_here(catalog, tmp_path):
    one, other, third, *_ = encounters(catalog)
    for name, encounter in (("Aika", one), ("Bars", other)):
        run(catalog, "name", name, encounter, "--observer", "Anna")
    who, path = open_identities(catalog), tmp_path / "other.sqlite"
    append(path, [name_sightings(who, [find_sighting_named(who, third)], "Cat7", "Bob")])
    run(catalog, "merge", "Aika", "Bars", "--into", "Cat7")
    told = run(catalog, "merge-files", str(path))
    refused = "is not used: the merged individual is not called 'Cat7', a name that existed already"
    assert f"1 name that an earlier decision chose {refused.replace('used', 'used here')}" in told
    assert f"1 name that a decision chose {refused}: merge, or choose another name" in run(catalog, "check")
    notes = {note.code: note for note in open_catalog(catalog).data.notes}
    assert f"1 name that a decision chose {refused}" in notes["names-refused"].text
    assert "decisions-idle" not in notes  # the merge has its effect: both are one individual
    assert "names-refused" in [note.code for note in open_catalog(catalog).session().notes]  # answers tell it


def test_all_annotations_of_a_photo_leave_a_sighting_that_it_divides(tmp_path):
    lines = [f"{photo}.jpg,aika,{part},e0,{photo}-{part}\n" for photo in "ab" for part in ("left_flank", "head")]
    (tmp_path / "catalog.csv").write_text("path,individual,body_part,encounter,annotation\n" + "".join(lines))

    def parts():
        return {sighting.annotations for sighting in open_identities(tmp_path).who.sightings}

    assert len(parts()) == 1
    for one, other in (("a.jpg", "a-head"), ("a.jpg", "a.jpg"), ("a.jpg", "e0")):
        told = run(tmp_path, "decide", one, other, "different", "--observer", "Anna", code=1)
        assert "name two of its photos or annotations" in told
    run(tmp_path, "decide", "a.jpg", "b.jpg", "different", "--observer", "Anna")
    assert parts() == {("a-left_flank", "a-head"), ("b-left_flank", "b-head")}
    run(tmp_path, "undo")
    run(tmp_path, "decide", "a.jpg", "b-head", "different")
    assert parts() == {("a-left_flank", "a-head", "b-left_flank"), ("b-head",)}


def test_a_change_that_came_too_late_is_told_to_have_no_effect(catalog, monkeypatch):
    one, other, *_ = encounters(catalog)
    run(catalog, "name", "Aika", one, "--observer", "Anna")

    def preview_meanwhile(who, drafts):  # Bob gives the name to another animal before Anna's change is stored
        append(who.path, [name_sightings(who, [find_sighting_named(who, other)], "Umut", "Bob")])
        return preview(who, drafts)

    monkeypatch.setattr("snowmatch.review.identities.preview", preview_meanwhile)
    told = run(catalog, "rename", "Aika", "Umut")
    assert "1 name that a new decision chose is not used here: the name 'Umut' existed already" in told


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


def test_a_preview_tells_individuals_that_get_several_names(catalog):
    who = open_identities(catalog)
    named = [name_sightings(who, [number], "Aika", "Anna") for number in (0, 2)]
    who, _ = decide(who, [*named, answer_pair(who, 0, 1, "same", "Anna")])
    change = preview(who, [name_sightings(who, [1], "Bars", "Anna")])
    assert (change.sightings, change.several) == (0, (("Aika", "Bars"),))
    told = run(catalog, "name", "Bars", who.who.sightings[1].key, "--observer", "Anna")
    assert "Aika has several names then (Aika, Bars): merge them, or split the individual" in told
    (note,) = [note for note in open_catalog(catalog).data.notes if note.code == "several-names"]
    assert note.text.endswith("each counts as one, by its first name: Aika (also Bars)")
    who = open_identities(catalog)
    assert not preview(who, [name_sightings(who, [2], "", "Anna")]).several  # as before
    assert not preview(who, [rename(who, "Aika", "Umut", "Anna")]).several
    assert not preview(who, merge(who, ["Aika", "Bars"], "Anna")).several
    who, _ = decide(who, merge(who, ["Aika", "Bars"], "Anna"))
    assert "several-names" not in {note.code for note in open_catalog(catalog).data.notes}
    assert preview(who, undo(who, last_of(who, "Anna"), "Anna")).several == (("Aika", "Bars"),)
    change = preview(who, [name_sightings(who, [3], "Cat7", "Anna"), answer_pair(who, 3, 0, "same", "Anna")])
    assert change.several == (("Aika", "Cat7"),)


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


def test_undo_of_a_split_that_divided_a_sighting_joins_its_photos_again(tmp_path):
    rows = "".join(f"p{n}.png,aika,left_flank,e{n // 2},a{n}\n" for n in range(4))
    (tmp_path / "catalog.csv").write_text(f"path,individual,body_part,encounter,annotation\n{rows}")
    who = open_identities(tmp_path)
    parted, _ = decide(who, split_photos(who, "aika", ["a1"], "Anna", "Bars"))
    assert [each.name for each in parted.who.individuals] == ["aika", "Bars"]
    assert "Bars -> aika: 1 sighting\n" in run(tmp_path, "undo", "--observer", "Anna")
    assert open_identities(tmp_path).who.individuals == who.who.individuals
    assert run(tmp_path, "check").strip() == "nothing contradicts"


def test_a_preview_tells_the_name_that_a_part_of_a_sighting_loses_when_it_is_one_again(tmp_path):
    rows = "".join(f"p{n}.png,aika,left_flank,e{n // 2},a{n}\n" for n in range(4))
    (tmp_path / "catalog.csv").write_text(f"path,individual,body_part,encounter,annotation\n{rows}")
    who = open_identities(tmp_path)
    parted, stored = decide(who, split_photos(who, "aika", ["a1"], "Anna", "Bars"))
    change = preview(parted, undo(parted, [row.id for row in stored.rows], "Anna"))
    assert (change.names, change.sightings) == ((("Bars", "aika", 1),), 1)


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
    ("word", "known", "expected"),
    [
        ("e001", ["e0051", "e0010", "e0011", "e0012", "n9"], ["e0051", "e0010", "e0011"]),  # equally near: in order
        ("abcdef", ["abcdxef", "abcdfe", "abcde"], ["abcdxef", "abcde", "abcdfe"]),
        ("abcd", ["abcdefg", "bcd", "abc", "abcde"], ["abcde", "bcd", "abc"]),
        ("left_flnk", ["right_flank", "left_flank", "head"], ["left_flank"]),  # no other is about as near
        ("Umut", ["Aika", ""], []),
        ("", ["Aika", ""], []),
    ],
)
def test_the_nearest_names_are_told_the_nearest_first(word, known, expected):
    assert nearest(word, known) == expected
    assert nearest(word, [*known, *known]) == expected


@given(st.text("abc", max_size=6), st.lists(st.text("abc", max_size=6), max_size=12))
def test_the_first_suggestion_is_as_near_as_any_name(word, known):
    found = nearest(word, known)
    ratios = {name: difflib.SequenceMatcher(None, name, word).ratio() if name or word else 0.0 for name in known}
    near = {name: ratio for name, ratio in ratios.items() if ratio >= 0.6 and name and word}
    assert len(found) == min(3, sum(ratio >= max(near.values()) - 0.2 for ratio in near.values()))
    assert [near[name] for name in found] == sorted(near.values(), reverse=True)[: len(found)]


def test_of_many_names_only_the_nearest_are_told():
    names = [f"snow_leopard_{n:05}" for n in range(20_000)]
    start = time.process_time()
    told = choices("snow_leopard_0512", names)
    assert time.process_time() - start < 5
    assert told == (
        "expected one of 20000 names (did you mean 'snow_leopard_00512', 'snow_leopard_01512' or 'snow_leopard_02512'?)"
    )
    assert choices("Q", names).endswith("snow_leopard_00029 and 19970 more")
    assert choices("Q", names[:2]) == "expected one of snow_leopard_00000, snow_leopard_00001"


def test_an_unknown_individual_or_annotation_is_answered_with_the_nearest_ones(catalog):
    who = open_identities(catalog)
    with pytest.raises(SnowmatchError, match=r"no individual 'Aika' in .*; it has no individuals yet: name one"):
        find_individual(who, "Aika")
    drafts = [name_sightings(who, [n], name, "Anna") for n, name in enumerate(("Aika1", "Bars", "Aika2", "Aika3"))]
    who, _ = decide(who, drafts)
    with pytest.raises(SnowmatchError, match=r"did you mean 'Aika1', 'Aika2' or 'Aika3'\?\)$"):
        find_individual(who, "Aika")
    annotation = who.who.sightings[3].annotations[0]
    with pytest.raises(SnowmatchError, match=rf"did you mean '{annotation}'\?\)"):
        find_sighting_named(who, f"{annotation[:-1]}")


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


def test_one_person_under_two_spellings_is_told_before_an_agreement(catalog):
    one, other, *_ = encounters(catalog)
    for name, told in (("Anna", False), ("Boris", False), ("anna ", True)):
        run(catalog, "decide", one, other, "same", "--observer", name)
        for command in ("agreement", "methods"):
            assert ("as two persons, also for their agreement: 'Anna' and 'anna'" in run(catalog, command)) is told


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


def test_all_commands_that_tell_who_is_who_read_a_given_file_of_decisions(catalog, tmp_path):
    one, there, out = encounters(catalog)[0], str(tmp_path / "elsewhere.sqlite"), tmp_path / "out"
    for name, observer in (("Umut", "Anna"), ("Umai", "Boris"), ("Umut", "Clara")):
        run(catalog, "name", name, one, "--observer", observer, "--decisions", there)

    def told(command, *words):
        found = CliRunner().invoke(main, [command, str(catalog), *map(str, words)])
        assert found.exit_code in (0, command == "doctor"), found.output
        return found.output

    for more, known in ([], False), (["--decisions", there], True):
        assert ("Umut" in told("show", *more)) is known
        assert ("different names of observers" in told("doctor", *more)) is known
        told("survey", "--draws", 2, "--out", out, "--no-figures", "--force", *more)
        assert ("Umut" in (out / "captures.csv").read_text("utf-8")) is known
        for name, table in (("catalog", "catalog.csv"), ("csv", "captures.csv")):
            told("export", out / name, "--format", name, "--force", *more)
            assert ("Umut" in (out / name / table).read_text("utf-8")) is known
    assert "--decisions" in CliRunner().invoke(main, ["doctor", "--system", "--decisions", there]).output


def test_a_given_file_of_decisions_that_does_not_exist_is_told_once(tmp_path):
    catalog, absent, there = write_catalog(tmp_path / "c", ROWS), str(tmp_path / "absent"), str(tmp_path / "there")
    append(tmp_path / "there", [draft("pair", "Bob", "same", side_a=("a1",), side_b=("a2",))])
    for words, code in (
        (["identities", str(catalog), "list"], 0),
        (["show", str(catalog)], 0),
        (["evaluate", str(catalog)], 1),  # also before an error, which it may explain
    ):
        for more, count in ([], 0), (["--decisions", absent], 1), (["--decisions", there], 0):
            found = CliRunner().invoke(main, [*words, *more])
            assert found.exit_code == code, found.output
            assert found.output.count("absent does not exist: no decision counts") == count, words


@pytest.mark.parametrize("command", ["merge-files", "import-decisions"])
def test_a_file_that_decisions_of_another_file_make_is_told_to_be_made(tmp_path, command):
    catalog, new, other = write_catalog(tmp_path / "c", ROWS), tmp_path / "new.sqlite", tmp_path / "other.sqlite"
    append(other, [draft("pair", "Bob", "same", side_a=("a1",), side_b=("a2",))])
    if command == "import-decisions":
        run(catalog, "export-decisions", str(tmp_path / "rows"), "--decisions", str(other))
        other = tmp_path / "rows"
    told = run(catalog, command, str(other), "--decisions", str(new))
    assert "no decision counts" not in told
    assert "new.sqlite does not exist: it is made\n" in told
    assert "1 decision added" in told
    assert "it is made" not in run(catalog, command, str(other), "--decisions", str(new))


@pytest.mark.parametrize("name", ["laptop.sqlite", "decisions.sqlite"])
@pytest.mark.parametrize("command", ["list --decisions", "merge-files"])
def test_the_advice_about_a_damaged_file_exports_that_file_and_then_imports_it(tmp_path, name, command):
    folder, out = write_catalog(tmp_path / "c", ROWS), tmp_path / "rows"
    damaged = tmp_path / "my files" / name
    damaged.parent.mkdir()
    append(damaged, [draft("pair", "Bob", "same", side_a=("a1",), side_b=("a2",))])
    with sqlite3.connect(damaged) as database:
        database.execute("DROP INDEX decisions_by_id")
    database.close()
    told = run(folder, *command.split(), str(damaged), code=1)
    typed = told[told.rindex("(snowmatch") + 1 : told.rindex(")")]
    _, *words = shlex.split(typed.replace("CATALOG", str(folder)).replace("FILE", str(out)))
    told = CliRunner().invoke(main, words).output
    assert "1 decisions written" in told
    assert "export-decisions" not in told
    assert ("--decisions" in words) is (name != "decisions.sqlite")
    damaged.rename(tmp_path / "away")
    typed = told[told.rindex("(snowmatch") + 1 : told.rindex(")")]
    _, *words = shlex.split(typed.replace("CATALOG", str(folder)))
    if name == "decisions.sqlite":
        write_catalog(damaged.parent, ROWS)
    assert "1 decision added" in CliRunner().invoke(main, words).output
    assert damaged.is_file()


def test_decisions_are_not_exported_into_a_catalog(tmp_path):
    folder, inside = write_catalog(tmp_path / "c", ROWS), tmp_path / "c" / "out.jsonl"
    append(folder / "decisions.sqlite", [draft("pair", "Bob", "same", side_a=("a1",), side_b=("a2",))])
    assert "choose a place outside the catalog" in run(folder, "export-decisions", str(inside), code=1)
    assert not inside.exists()


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
