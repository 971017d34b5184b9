"""Screening with a detector, or with results of other programs: answers, boxes, files that do not fit."""

import json
import sqlite3
from contextlib import closing

import cv2
import fake_classifier
import fake_detector
import pytest
from click.testing import CliRunner
from fake_classifier import BOX, SIZE, make_catalog, read_table, results, write_rows
from fake_extractor import Fake

import snowmatch
from snowmatch.catalog.found import BY_MAPS, BY_SCREENING, load_found
from snowmatch.catalog.screened import load_detections, load_screened
from snowmatch.cli import main
from snowmatch.core.home import database_path
from snowmatch.core.types import Detection
from snowmatch.features.indexing import index_catalog
from snowmatch.photos.pixels import read_photo
from snowmatch.review import screen
from snowmatch.review.flanks import TellFlank
from snowmatch.review.screen import screen_catalog
from snowmatch.review.screen_looks import Look
from snowmatch.review.teach import Describe
from snowmatch.views import screening

ROWS = fake_classifier.PASSAGES


@pytest.fixture
def catalog(tmp_path, monkeypatch):
    fake_classifier.use(monkeypatch)
    return make_catalog(tmp_path / "catalog", ROWS)


def run(*words):
    return CliRunner().invoke(main, ["screen", *map(str, words), "--workers", "1"])


def answers(result):
    return {photo.path: photo.answer for photo in result.photos}


def test_a_detector_keeps_what_the_classifier_does_not_name(catalog, monkeypatch):
    fake_detector.use(monkeypatch)
    result = screen_catalog(snowmatch.open_catalog(catalog).data, detector="eyes", workers=1)
    found = answers(result)
    assert {found[name] for name, what, *_ in ROWS if what == "empty"} == {"kept"}
    assert {found[name] for name, what, *_ in ROWS if what == "ibex"} == {"other mammal"}
    assert {photo.boxes for photo in result.photos} == {("20,15,40,30",)}


@pytest.mark.parametrize(
    ("label", "answer"),
    [("person", "person"), ("Person", "person"), ("vehicle", "nothing"), ("VEHICLE", "nothing"), ("animal", "kept")],
)
def test_what_a_detection_makes_of_a_passage(catalog, tmp_path, label, answer):
    about = {"detection_categories": {"1": label}}
    file = results(tmp_path / "md.json", {name: [] for name, *_ in ROWS} | {"p02.jpg": [("1", 0.9, BOX)]}, **about)
    result = run(catalog, "--classifier", "none", "--results", file, "--out", tmp_path / "out")
    assert result.exit_code == 0, result.output
    rows = read_table(tmp_path / "out.csv")
    assert {name: row["answer"] for name, row in rows.items() if row["answer"] != "nothing"} == (
        {"p02.jpg": answer, "p03.jpg": answer} if answer != "nothing" else {}
    )
    assert rows["p02.jpg"]["probability"] == ("1.0" if answer == "nothing" else "0.9")
    assert rows["p02.jpg"]["boxes"] == ("20,15,40,30" if label == "animal" else "")


@pytest.mark.parametrize("name", ["Human", "people", "Homo sapiens"])
def test_a_detector_may_name_a_person_with_a_capital_or_another_word(catalog, monkeypatch, name):
    fake_detector.use(monkeypatch)
    person = Detection((20, 15, 40, 30), name, 0.8)
    monkeypatch.setattr(fake_detector.Eyes, "detect", lambda self, photo: (person,))
    result = screen_catalog(snowmatch.open_catalog(catalog).data, detector="eyes", workers=1)
    assert {answers(result)[name] for name, what, *_ in ROWS if what in ("empty", "ibex")} == {"person"}
    assert all(photo.persons and not photo.boxes for photo in result.photos)


BAD = {
    "needs more memory than there is": MemoryError(),
    "OpenCV cannot handle it: bad": cv2.error("bad"),
    "cannot be read: no such luck": OSError("no such luck"),
}


@pytest.mark.parametrize("why", BAD)
def test_one_bad_photo_is_listed_and_stops_no_screening(catalog, monkeypatch, why):
    asked = fake_detector.use(monkeypatch)
    detect = fake_detector.Eyes.detect

    def fail_once(self, photo):
        found = detect(self, photo)
        if len(asked) == 3:
            raise BAD[why]
        return found

    monkeypatch.setattr(fake_detector.Eyes, "detect", fail_once)
    result = screen_catalog(snowmatch.open_catalog(catalog).data, detector="eyes", workers=1)
    assert result.failed == (("p02.jpg", why),)
    assert len(load_detections(catalog)) == len(ROWS) - 1


@pytest.mark.parametrize("why", BAD)
def test_no_task_of_a_photo_ends_in_a_traceback(catalog, why):
    class Bad:
        def fail(self, *_):
            raise BAD[why]

        left = classify = fail

    assert TellFlank("p00.jpg", (20, 15, 40, 30)).run(catalog, Bad()) == why
    assert Look("p00.jpg").run(catalog, Bad(), None) == why
    assert Describe("p00.jpg").run(catalog, Bad()) == why
    assert Look("gone.jpg").run(catalog, Bad(), None) == Describe("gone.jpg").run(catalog, Bad())


def test_a_detection_that_is_called_empty_is_no_animal(catalog, tmp_path):
    """Programs that put species in the place of categories have a category of that kind."""
    kinds = {"1": "animal", "2": "Blank"}
    file = results(tmp_path / "md.json", {name: [("2", 0.9, BOX)] for name, *_ in ROWS}, detection_categories=kinds)
    result = run(catalog, "--classifier", "none", "--results", file, "--out", tmp_path / "out")
    assert result.exit_code == 0, result.output
    assert {(row["answer"], row["boxes"]) for row in read_table(tmp_path / "out.csv").values()} == {("nothing", "")}


@pytest.mark.parametrize("what", ["missing", "of other photos"])
def test_results_that_cannot_be_used_are_told_before_all_photos_are_looked_at(catalog, tmp_path, monkeypatch, what):
    file = results(tmp_path / "md.json", {"elsewhere.jpg": []}) if what != "missing" else tmp_path / "none.json"
    monkeypatch.setattr(screen, "hash_photos", lambda *_: pytest.fail("photos were read"))
    result = run(catalog, "--results", file)
    assert result.exit_code == 1
    assert {"missing": "cannot be read", "of other photos": "choose the results of these"}[what] in result.output


@pytest.mark.parametrize("how", ["not listed", "failed"])
def test_a_passage_is_not_told_to_show_nothing_if_one_of_its_photos_was_not_seen(catalog, tmp_path, how):
    file = results(tmp_path / "md.json", {name: [] for name, *_ in ROWS if name != "p03.jpg"})
    if how == "failed":
        content = json.loads(file.read_text())
        content["images"].append({"file": "p03.jpg", "failure": "Failure image access"})
        file.write_text(json.dumps(content))
    result = run(catalog, "--classifier", "none", "--results", file, "--out", tmp_path / "out")
    assert result.exit_code == 0, result.output
    answers = {name: row["answer"] for name, row in read_table(tmp_path / "out.csv").items()}
    assert {name for name, answer in answers.items() if answer == "unknown"} == {"p02.jpg", "p03.jpg"}
    assert set(answers.values()) == {"unknown", "nothing"}
    assert "2 photos that no network has seen, or of such a passage: p02.jpg, p03.jpg" in result.output


def test_a_weak_detection_is_neither_an_animal_nor_a_person(catalog, tmp_path):
    weak = {name: [("1", 0.15, BOX), ("2", 0.19, BOX)] for name, *_ in ROWS}
    result = run(
        catalog, "--classifier", "none", "--results", results(tmp_path / "md.json", weak), "--out", tmp_path / "o"
    )
    assert result.exit_code == 0
    assert {row["answer"] for row in read_table(tmp_path / "o.csv").values()} == {"nothing"}
    assert {row["probability"] for row in read_table(tmp_path / "o.csv").values()} == {"0.85"}


def test_the_next_index_uses_the_boxes_but_a_persons_box_stays(catalog, tmp_path):
    write_rows(catalog, [("p00.jpg", "1,2,30,40"), ("p01.jpg", "")], ("path", "bbox"))
    file = results(tmp_path / "md.json", {name: [("1", 0.9, BOX)] for name in ("p00.jpg", "p01.jpg")})
    assert run(catalog, "--results", file, "--out", tmp_path / "out").exit_code == 0
    rows = read_table(tmp_path / "out.csv")
    assert [(row["boxes"], row["found_by"]) for row in rows.values()] == [("1,2,30,40", ""), ("20,15,40,30", "results")]
    data = snowmatch.open_catalog(catalog).data
    report = index_catalog(data, Fake(), 1, again=True)
    assert not report.failed
    assert [(a.bbox, a.own_box, a.box_by) for a in report.catalog.annotations] == [
        ((1, 2, 30, 40), (1, 2, 30, 40), ""),
        ((20, 15, 40, 30), None, "results"),
    ]
    with closing(sqlite3.connect(database_path(catalog))) as database:
        assert database.execute("SELECT count(*) FROM annotations").fetchone() == (2,)


def test_a_stopped_detector_continues(catalog, monkeypatch):
    asked = fake_detector.use(monkeypatch, stop=6)
    assert run(catalog, "--detector", "eyes", "-o", "people=true").exit_code == 1
    assert len(asked) == 6
    asked = fake_detector.use(monkeypatch)
    data = snowmatch.open_catalog(catalog).data
    result = screen_catalog(data, detector="eyes", options={"people": "true"}, workers=1)
    assert len(asked) == len(ROWS) - 6
    assert {photo.boxes for photo in result.photos} == {("20,15,40,30",)}
    assert answers(screen_catalog(data, detector="eyes", options={"people": "true"}, workers=1)) == answers(result)
    assert len(asked) == len(ROWS) - 6
    screen_catalog(data, detector="eyes", workers=1)  # other settings
    assert len(asked) == 2 * len(ROWS) - 6


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"info": {"format_version": "9.0"}}, "a later format"),
        ({"info": {"format_version": "0.1"}}, "an earlier format"),
        ({"detection_categories": []}, "detection_categories"),
    ],
)
def test_results_of_another_format_are_one_line(catalog, tmp_path, change, told):
    bad = run(catalog, "--results", results(tmp_path / "md.json", {"p00.jpg": []}, **change))
    assert bad.exit_code == 1
    assert told in bad.output
    assert len(bad.output.strip().splitlines()) == 1


def test_results_of_other_photos_are_one_line_and_of_some_photos_a_note(catalog, tmp_path):
    bad = run(catalog, "--results", results(tmp_path / "md.json", {"elsewhere/x.jpg": []}))
    assert bad.exit_code == 1
    assert bad.output.strip().splitlines() == [bad.output.strip()]
    assert "none of the 1 photo in the results is in the catalog" in bad.output
    some = run(catalog, "--results", results(tmp_path / "md.json", {"x.jpg": [], "p00.jpg": []}))
    assert some.exit_code == 0
    assert "15 photos of the catalog without a result" in some.output
    assert "1 photo of the results not in the catalog" in some.output


def test_without_a_classifier_the_notes_are_few_and_the_first_matters_most(catalog, tmp_path):
    """No classifier gives a score, so no threshold is told; photos of persons come first."""
    seen = {name: [("1", 0.9, BOX)] for name, *_ in ROWS} | {"p02.jpg": [("2", 0.9, BOX)], "empty.jpg": []}
    file = results(tmp_path / "md.json", seen)
    given = {"classifier": "none"}
    told = screen_catalog(snowmatch.open_catalog(catalog, **given).data, results=file, workers=1).notes
    assert [note.code for note in told] == ["photos-of-persons", "species-not-told", "results-without-photo"]
    assert told[1].text == ("no classifier was used: photos of any animal are kept, not only those of the snow leopard")
    assert told[2].text == "1 photo of the results not in the catalog, all without an animal: empty.jpg"


def test_a_threshold_or_a_share_without_a_classifier_is_told_to_decide_nothing(catalog, tmp_path):
    file = results(tmp_path / "md.json", {name: [("1", 0.4, BOX)] for name, *_ in ROWS})
    words = (catalog, "--classifier", "none", "--results", file)
    result = run(*words, "--threshold", "0.5", "--out", tmp_path / "out")
    assert {row["answer"] for row in read_table(tmp_path / "out.csv").values()} == {"kept"}
    assert "the threshold 0.5 decides nothing" in result.output
    assert "the share to keep 0.99 decides nothing" in run(*words, "--keep", "0.99").output
    assert "decides nothing" not in run(*words).output


def turn_first(file):
    """Give the first photo of a file of results its size as it is when the photo is turned."""
    content = json.loads(file.read_text())
    content["images"][0] |= {"width": SIZE[1], "height": SIZE[0]}
    file.write_text(json.dumps(content))


def test_many_photos_of_one_kind_are_one_note(catalog, tmp_path):
    file = results(tmp_path / "md.json", {name: [("1", 0.9, BOX)] for name, *_ in ROWS})
    content = json.loads(file.read_text())
    for n, image in enumerate(content["images"]):
        image |= {"width": SIZE[1], "height": SIZE[0]} if n < 9 else {"failure": f"why {n % 2}", "detections": None}
    file.write_text(json.dumps(content))
    data = snowmatch.open_catalog(catalog).data
    told = {note.code: note.text for note in screen_catalog(data, results=file, workers=1).notes}
    assert told["results-turned"].startswith("9 photos turned in the results, boxes left out")
    why = "7 photos of which MegaDetector found nothing out (why 0, why 1): p09.jpg"
    assert told["result-failed"].startswith(why)
    assert len(told) == len(screen_catalog(data, results=file, workers=1).notes)


def test_results_for_a_photo_of_another_size_are_left_out(catalog, tmp_path):
    file = results(tmp_path / "md.json", {"p00.jpg": [("1", 0.9, BOX)], "p01.jpg": []})
    turn_first(file)
    result = run(catalog, "--classifier", "none", "--results", file, "--out", tmp_path / "out")
    assert "1 photo turned in the results" in result.output
    assert read_table(tmp_path / "out.csv")["p00.jpg"]["boxes"] == ""


def test_a_photo_to_which_the_results_give_another_shape_is_not_told_to_show_nothing(catalog, tmp_path):
    file = results(tmp_path / "md.json", {"p00.jpg": [("1", 0.9, BOX)]})
    turn_first(file)
    result = run(catalog, "--classifier", "none", "--results", file, "--out", tmp_path / "out")
    assert "boxes left out" in result.output
    assert "; 0 photos (0 %) not kept" in result.output  # an unknown photo is asked about and counts
    assert read_table(tmp_path / "out.csv")["p00.jpg"]["answer"] == "unknown"
    assert not load_detections(catalog)


def test_a_later_screening_remembers_the_persons(catalog, tmp_path):
    file = results(tmp_path / "md.json", {name: [] for name, *_ in ROWS} | {"p02.jpg": [("2", 0.9, BOX)]})
    assert run(catalog, "--results", file, "--out", tmp_path / "out").exit_code == 0
    first = read_table(tmp_path / "out.csv")
    again = run(catalog, "--out", tmp_path / "again", "--explain", tmp_path / "why")
    assert again.exit_code == 0, again.output
    assert "detections of an earlier screening are used for 16 photos" in again.output
    assert read_table(tmp_path / "again.csv") == first
    assert first["p02.jpg"]["persons"] == "1"
    assert not list((tmp_path / "why").glob("person*"))


def test_results_of_the_next_card_leave_those_of_the_first_card(catalog, tmp_path):
    names = [name for name, *_ in ROWS]
    first = {name: [("1", 0.9, BOX)] for name in names[:4]} | {"p02.jpg": [("2", 0.9, BOX)]}
    assert run(catalog, "--results", results(tmp_path / "one.json", first)).exit_code == 0
    boxes = load_found(catalog, BY_SCREENING)
    second = results(tmp_path / "two.json", {name: [] for name in names[4:]})
    told = run(catalog, "--results", second, "--out", tmp_path / "out")
    assert told.exit_code == 0, told.output
    assert "detections of an earlier screening are used for 4 photos" in told.output
    assert boxes.items() <= load_found(catalog, BY_SCREENING).items()
    assert read_table(tmp_path / "out.csv")["p02.jpg"]["persons"] == "1"
    assert "keep them private" in told.output
    over = results(tmp_path / "three.json", {name: [] for name in names[:4]})
    assert run(catalog, "--results", over, "--out", tmp_path / "over").exit_code == 0
    assert read_table(tmp_path / "over.csv")["p02.jpg"]["persons"] == "0"  # what is listed again is replaced
    assert not any(load_found(catalog, BY_SCREENING).values())


def test_a_photo_of_a_person_in_a_kept_passage_is_not_drawn(catalog, tmp_path):
    file = results(tmp_path / "md.json", {name: [] for name, *_ in ROWS} | {"p00.jpg": [("2", 0.9, BOX)]})
    result = run(catalog, "--results", file, "--out", tmp_path / "out", "--explain", tmp_path / "why")
    assert result.exit_code == 0, result.output
    rows = read_table(tmp_path / "out.csv")
    assert rows["p00.jpg"]["answer"] == rows["p01.jpg"]["answer"] == "kept"
    assert "keep them private (p00.jpg)" in result.output
    assert len(list((tmp_path / "why").glob("kept-*.jpg"))) > 0
    drawn = draw_of(tmp_path, catalog)
    assert "p00.jpg" not in drawn


@pytest.mark.parametrize("people", [1, 8])
def test_pictures_of_an_earlier_run_do_not_stay(catalog, tmp_path, people):
    """They had been drawn before a detector saw the persons: of the last passage, or of all passages."""
    why = tmp_path / "why"
    assert run(catalog, "--explain", why, "--threshold", 1).exit_code == 0
    assert len(list(why.iterdir())) == 8
    (why / "mine-0008.jpg").write_bytes(b"mine")
    seen = {name: [("2", 0.9, BOX)] for name, *_ in ROWS[-2 * people :]}
    result = run(catalog, "--results", results(tmp_path / "md.json", seen), "--explain", why, "--threshold", 1)
    assert result.exit_code == 0, result.output
    assert sorted(path.name[-8:] for path in why.iterdir()) == [f"{n:04}.jpg" for n in range(1, 9 - people)] + [
        "0008.jpg"
    ]
    assert (why / "mine-0008.jpg").read_bytes() == b"mine"


def test_pictures_of_a_species_without_latin_letters_do_not_stay_either(catalog, tmp_path, monkeypatch):
    names = tuple(name.replace("other mammal", "岩羊") for name in fake_classifier.NAMES)
    monkeypatch.setattr(fake_classifier, "NAMES", names)
    why = tmp_path / "why"
    assert run(catalog, "--explain", why).exit_code == 0
    assert {path.name for path in why.glob("other-*")} == {"other-0003.jpg", "other-0007.jpg"}
    (why / "other-0003.jpg").rename(why / "-0003.jpg")  # as earlier versions called it
    seen = {name: [("2", 0.9, BOX)] for name, *_ in ROWS}
    assert run(catalog, "--results", results(tmp_path / "md.json", seen), "--explain", why).exit_code == 0
    assert list(why.iterdir()) == []


def test_pictures_are_of_photos_that_can_be_read(catalog, tmp_path):
    """The better photo of the first passage is away, and both of another one; the last one shows a person by now."""
    why = tmp_path / "why"
    assert run(catalog, "--explain", why, "--threshold", 1, "--out", tmp_path / "out").exit_code == 0
    scores = {name: float(row["score"]) for name, row in read_table(tmp_path / "out.csv").items()}
    for name in (max(("p00.jpg", "p01.jpg"), key=scores.__getitem__), "p04.jpg", "p05.jpg"):
        (catalog / name).unlink()
    file = results(tmp_path / "md.json", {"p14.jpg": [("2", 0.9, BOX)]})
    result = run(catalog, "--results", file, "--explain", why, "--threshold", 1)
    assert result.exit_code == 1
    assert "with a person or of such a passage" in result.output
    assert "1 passage without a picture, as no photo of it can be read: E02" in result.output
    assert "failed: p04.jpg" in result.output
    assert sorted(path.name[-8:-4] for path in why.iterdir()) == ["0001", "0002", "0004", "0005", "0006", "0007"]


def draw_of(tmp_path, catalog):
    """Return the photos that the pictures show."""
    shown = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(screening, "read_photo", lambda path: shown.append(path.name) or read_photo(path))
        data = snowmatch.open_catalog(catalog).data
        screening.draw_screening(screen_catalog(data, workers=1).photos, data, tmp_path / "again")
    return shown


def test_prune_forgets_photos_that_left(catalog):
    assert run(catalog).exit_code == 0
    before = set(load_screened(catalog).answers)
    table = (catalog / "catalog.csv").read_text().splitlines(keepends=True)
    (catalog / "catalog.csv").write_text("".join(table[:-2]))
    assert CliRunner().invoke(main, ["index", str(catalog), "--workers", "1"]).exit_code == 0
    assert set(load_screened(catalog).answers) == before
    assert CliRunner().invoke(main, ["index", str(catalog), "--workers", "1", "--prune"]).exit_code == 0
    assert len(load_screened(catalog).answers) == len(before) - 2


@pytest.mark.parametrize("column", ["sha256", "detections"])
def test_damaged_detections_are_told_until_they_are_made_again(catalog, tmp_path, column):
    file = results(tmp_path / "md.json", {name: [("2", 0.9, BOX)] for name, *_ in ROWS[2:4]})
    assert run(catalog, "--results", file).exit_code == 0
    data = snowmatch.open_catalog(catalog).data
    whole = screen_catalog(data, workers=1)
    assert answers(whole)[ROWS[2][0]] == "person"
    with closing(sqlite3.connect(database_path(catalog))) as database, database:
        database.execute(f"UPDATE detected SET {column} = replace({column}, 'a', 'b')")
        database.execute(f"UPDATE detected SET {column} = replace({column}, '2', '3')")
    damaged = screen_catalog(data, workers=1)
    assert "detections-damaged" in {note.code for note in damaged.notes}
    assert run(catalog, "--results", file).exit_code == 0
    again = screen_catalog(data, workers=1)
    assert (answers(again), [note.code for note in again.notes]) == (answers(whole), [n.code for n in whole.notes])


@pytest.mark.parametrize("by", ["results", "detector"])
def test_detections_are_forgotten_and_the_next_index_finds_its_own_boxes(catalog, tmp_path, monkeypatch, by):
    assert not index_catalog(snowmatch.open_catalog(catalog).data, Fake(), 1, again=True).failed
    before = {a.path: (a.bbox, a.box_by) for a in snowmatch.open_catalog(catalog).data.annotations}
    maps = load_found(catalog, BY_MAPS)
    fake_detector.use(monkeypatch)
    file = results(tmp_path / "md.json", {name: [("1", 0.9, BOX)] for name, *_ in ROWS})
    words = ("--results", file) if by == "results" else ("--detector", "eyes")
    assert run(catalog, *words).exit_code == 0
    assert {a.box_by for a in snowmatch.open_catalog(catalog).data.annotations} == {by}
    told = CliRunner().invoke(main, ["screen", str(catalog), "--forget-results"])
    assert told.exit_code == 0, told.output
    assert f"the stored detections of {len(ROWS)} photos were removed" in told.output
    assert load_detections(catalog) == load_found(catalog, BY_SCREENING) == {}
    assert load_found(catalog, BY_MAPS) == maps
    report = index_catalog(snowmatch.open_catalog(catalog).data, Fake(), 1, again=True)
    assert {a.path: (a.bbox, a.box_by) for a in report.catalog.annotations} == before
    again = CliRunner().invoke(main, ["screen", str(catalog), "--forget-results"])
    assert "of 0 photos were removed" in again.output


@pytest.mark.parametrize(
    "option",
    ["--species", "--keep", "--threshold", "--detector", "--results", "--learn", "--out", "--decisions", "--workers"],
)
def test_forgetting_results_does_nothing_else(catalog, option):
    result = run(catalog, "--forget-results", option, "1")
    assert result.exit_code == 2
    assert "--forget-results only removes detections" in result.output
