"""What batch makes of a screening: animals that are not asked come last, with what their photos show."""

import csv
import hashlib
import json
from dataclasses import dataclass, replace
from types import SimpleNamespace
from typing import ClassVar

import numpy as np
import pytest
from click.testing import CliRunner
from fake_classifier import Colours
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

import snowmatch
from snowmatch.catalog.screened import KEPT, PERSON, UNKNOWN, Screened, load_screened, save_screened
from snowmatch.catalog.species import NOTHING
from snowmatch.cli import main
from snowmatch.cli.advice import advice
from snowmatch.core.errors import SnowmatchError
from snowmatch.core.types import Classes
from snowmatch.review import batch, left_out
from snowmatch.review.batch import run_batch
from snowmatch.review.groups import BatchPhoto, Group
from snowmatch.review.left_out import OTHER_SPECIES, decision_of, kept_first, screening_answer, unscreened_note
from snowmatch.review.watch import Watch
from snowmatch.screening import finders
from snowmatch.screening.scenes import Finders

ANSWERS = (KEPT, NOTHING, PERSON, UNKNOWN, "other mammal")
RED, BLUE, GREY = (230, 20, 20), (20, 20, 230), (120, 120, 120)


def draw(path, colour, seed=0):
    """Write a photo of one colour; each seed is another content."""
    path.parent.mkdir(parents=True, exist_ok=True)
    noise = np.random.default_rng(seed).integers(-9, 10, (60, 80, 3))
    Image.fromarray((np.array(colour) + noise).clip(0, 255).astype(np.uint8)).save(path)
    return path


# One animal


def group(*photos):
    """Return the group of these photos. photos: their contents, or the paths of files outside the catalog."""
    return Group("E", 1, tuple(BatchPhoto(str(p), str(p), "unknown", f"sha of {p}") for p in photos))


def session(tmp_path, classifier=None):
    return SimpleNamespace(folder=tmp_path, finders=Finders(classifier))


def screened(**answers):
    return Screened({f"sha of {name}": answer for name, answer in answers.items()}, "snow leopard", 0.5)


@given(st.lists(st.sampled_from(ANSWERS), min_size=1, max_size=6))
def test_an_animal_is_asked_exactly_if_a_photo_is_kept_or_not_seen(tmp_path_factory, answers):
    names = "abcdef"[: len(answers)]
    found = screening_answer(
        session(tmp_path_factory), group(*names), screened(**dict(zip(names, answers, strict=True)))
    )
    assert (found == "") == (KEPT in answers or UNKNOWN in answers)
    assert found in ("", *answers)
    if "person" in answers:  # such photos are private, whatever else the others show
        assert found in ("", "person")
    else:
        assert not found or answers.count(found) == max(map(answers.count, answers))


@pytest.mark.parametrize(("colour", "answer"), [(GREY, PERSON), (BLUE, PERSON), (RED, "")])
def test_a_photo_of_a_person_stays_one_if_another_photo_of_the_passage_came_later(tmp_path, colour, answer):
    """The classifier is asked about both then, and knows no persons."""
    seen, later = draw(tmp_path / "a.png", GREY, 1), draw(tmp_path / "b.png", colour, 2)
    rule = Screened({f"sha of {seen}": PERSON}, "snow leopard", 0.5)
    assert screening_answer(session(tmp_path, Colours()), group(seen, later), rule) == answer
    assert screening_answer(session(tmp_path), group(seen, later), rule) == ""  # without a classifier


def test_without_a_screening_everything_is_asked(tmp_path):
    assert screening_answer(session(tmp_path, Colours()), group(draw(tmp_path / "a.png", GREY)), None) == ""


@pytest.mark.parametrize(
    ("colours", "answer"),
    [
        ([RED], ""),
        ([GREY], NOTHING),
        ([BLUE], "other mammal"),
        ([GREY, BLUE], "other mammal"),
        ([BLUE, GREY, RED], ""),
    ],
)
def test_new_photos_are_given_to_the_classifier_together(tmp_path, colours, answer):
    photos = [draw(tmp_path / f"{n}.png", colour, n) for n, colour in enumerate(colours)]
    assert screening_answer(session(tmp_path, Colours()), group(*photos), screened()) == answer
    assert screening_answer(session(tmp_path), group(*photos), screened()) == ""  # without a classifier


def test_the_threshold_of_the_screening_holds_for_new_photos(tmp_path):
    photo = draw(tmp_path / "a.png", (80, 20, 20))  # 0.24
    for threshold, answer in ((0.1, ""), (0.5, NOTHING)):
        given_rule = replace(screened(), threshold=threshold)
        assert screening_answer(session(tmp_path, Colours()), group(photo), given_rule) == answer


def test_one_kept_photo_is_enough_beside_a_new_one(tmp_path):
    """A detector's box keeps a photo in which the classifier sees nothing; a new photo does not change that."""
    seen, new = draw(tmp_path / "seen.png", GREY, 1), draw(tmp_path / "new.png", GREY, 2)
    rule = Screened({f"sha of {seen}": KEPT}, "snow leopard", 0.5)
    assert screening_answer(session(tmp_path, Colours()), group(seen, new), rule) == ""
    rule = Screened({f"sha of {seen}": NOTHING}, "snow leopard", 0.5)
    assert screening_answer(session(tmp_path, Colours()), group(seen, new), rule) == NOTHING
    assert screening_answer(session(tmp_path, Colours()), group(seen, draw(new, RED, 2)), rule) == ""


def test_a_new_photo_that_cannot_be_read_has_to_be_asked(tmp_path):
    (tmp_path / "a.png").write_bytes(b"no photo")
    photos = [draw(tmp_path / "b.png", GREY), tmp_path / "a.png"]
    assert screening_answer(session(tmp_path, Colours()), group(*photos), screened()) == ""


@dataclass(frozen=True)
class Others:
    """A classifier that does not know the species of the screening."""

    REVISION: ClassVar[int] = 1

    def check(self):
        pass

    def classify(self, photo):
        return Classes(("fox", NOTHING), np.array([0.9, 0.1]), np.zeros((2, 3, 4), np.float32), np.zeros(2))


def test_a_classifier_of_other_species_leaves_nothing_out(tmp_path):
    photo = draw(tmp_path / "a.png", RED)
    assert screening_answer(session(tmp_path, Others()), group(photo), screened()) == ""
    assert screening_answer(session(tmp_path, Others()), group(photo), replace(screened(), species="fox")) == ""
    for name in ("fox", "Fox"):
        rule = replace(screened(), species=name, threshold=0.95)
        assert screening_answer(session(tmp_path, Others()), group(photo), rule) == NOTHING


def test_decisions():
    assert [decision_of(a) for a in (NOTHING, PERSON, "fox", "snow leopard")] == [
        "nothing",
        "person",
        OTHER_SPECIES,
        OTHER_SPECIES,
    ]


@given(st.lists(st.sampled_from(["", *ANSWERS]), max_size=9))
def test_what_is_asked_comes_first_and_each_part_keeps_its_order(answers):
    groups = [Group(str(n), 1, ()) for n in range(len(answers))]
    found, told = kept_first(groups, answers)
    assert [answers[int(g.encounter)] for g in found] == told
    order = [int(g.encounter) for g in found]
    asked = told.count("")
    assert told[:asked] == [""] * asked
    assert order[:asked] == sorted(order[:asked])
    assert order[asked:] == sorted(order[asked:])
    assert sorted(order) == list(range(len(answers)))


# A batch

ROWS = [
    ("a1.png", GREY, "E1", ""),  # nothing
    ("b1.png", BLUE, "E2", ""),  # another species
    ("c1.png", RED, "E3", ""),  # kept, with c2
    ("c2.png", GREY, "E3", ""),
    ("d1.png", GREY, "E4", ""),  # a person
    ("e1.png", RED, "E5", "aika"),
    ("f1.png", RED, "E6", ""),  # kept
]


@pytest.fixture
def catalog(tmp_path, monkeypatch):
    """Return the folder of an indexed catalog of drawn photos without a screening."""
    monkeypatch.setattr(finders, "_classifier", lambda name: None if name == "none" else Colours())
    folder = tmp_path / "catalog"
    for seed, (name, colour, *_) in enumerate(ROWS):
        draw(folder / name, colour, seed)
    with open(folder / "catalog.csv", "w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["path", "station", "encounter", "individual"])
        writer.writerows([name, encounter, encounter, who] for name, _, encounter, who in ROWS)
    assert run("index", folder, "--workers", 1).exit_code == 0
    return folder


def run(*words):
    return CliRunner().invoke(main, [str(word) for word in words])


def screen(folder, tmp_path):
    """Screen a catalog; a file of results says that d1.png shows a person."""
    person = [{"category": "2", "conf": 0.9, "bbox": [0.1, 0.1, 0.5, 0.8]}]
    images = [{"file": name, "detections": person if name == "d1.png" else []} for name, *_ in ROWS]
    about = {"info": {"format_version": "1.3"}, "detection_categories": {"1": "animal", "2": "person"}}
    (tmp_path / "results.json").write_text(json.dumps({**about, "images": images}))
    result = run("screen", folder, "--results", tmp_path / "results.json", "--workers", 1)
    assert result.exit_code == 0, result.output


def rows_of(folder, *photos):
    return run_batch(snowmatch.open_catalog(folder), photos or None).rows


def test_what_the_screening_leaves_out_comes_last_and_is_not_asked(catalog, tmp_path, monkeypatch):
    screen(catalog, tmp_path)
    asked = []
    before = batch.ask_many

    def ask(session, questions):
        asked.extend(sorted(photo.path for photo in question.photos) for question in questions)
        return before(session, questions)

    monkeypatch.setattr(batch, "ask_many", ask)
    rows = rows_of(catalog)
    assert asked == [["c1.png", "c2.png"], ["f1.png"]]
    assert [row.encounter for row in rows] == ["E3", "E6", "E1", "E2", "E4"]
    assert [row.decision for row in rows[2:]] == ["nothing", "other species", "person"]
    assert [row.reasons for row in rows[2:]] == [
        ("the screening sees nothing",),
        ("the screening sees another species: other mammal",),
        ("the screening sees person",),
    ]
    for row in rows[2:]:
        assert (row.individual, row.same_as, row.probability, row.level, row.runner_up) == ("", "", None, None, "")
        assert row.station == row.encounter
        assert row.photos
    result = run("batch", catalog, "--unidentified", "--out", tmp_path / "answers")
    assert result.exit_code == 0, result.output
    assert "nothing 1; other species 1; person 1" in result.output
    with open(tmp_path / "answers.csv", newline="") as file:
        assert [row["encounter"] for row in csv.DictReader(file)] == ["E3", "E6", "E1", "E2", "E4"]
    lines = [json.loads(line) for line in (tmp_path / "answers.jsonl").read_text().splitlines()]
    assert [line["decision"] for line in lines[2:]] == ["nothing", "other species", "person"]


def unfounded(rows):
    """Return the rows without what was found in their photos: a screening also finds where the animal is."""
    return [replace(row, reasons=tuple(why for why in row.reasons if "no outline" not in why)) for row in rows]


def test_without_a_screening_nothing_changes(catalog, tmp_path):
    rows = rows_of(catalog)
    assert [row.encounter for row in rows] == ["E1", "E2", "E3", "E4", "E6"]
    assert {row.decision for row in rows} == {"not comparable"}  # plain photos have no features
    assert all("1 of 1 photo had no features" in row.reasons[-1] for row in rows if row.encounter != "E3")
    assert load_screened(catalog) is None
    screen(catalog, tmp_path)
    everything = Screened(dict.fromkeys(load_screened(catalog).answers, KEPT), "snow leopard", 0.01)
    save_screened(catalog, everything)
    assert unfounded(rows_of(catalog)) == unfounded(rows)


def test_another_screening_is_followed_although_answers_are_kept(catalog, tmp_path):
    first = rows_of(catalog)
    screen(catalog, tmp_path)
    assert [row.encounter for row in rows_of(catalog)] == ["E3", "E6", "E1", "E2", "E4"]
    assert run("screen", catalog, "--threshold", 0, "--workers", 1).exit_code == 0
    assert unfounded(rows_of(catalog)) == unfounded(first)


def test_photos_outside_the_catalog_are_judged_when_they_are_asked(catalog, tmp_path):
    screen(catalog, tmp_path)
    new = {"empty": GREY, "ibex": BLUE, "leopard": RED}
    photos = [draw(tmp_path / name / "new.png", colour, 50 + n) for n, (name, colour) in enumerate(new.items())]
    rows = rows_of(catalog, *photos, catalog / "a1.png")
    told = {row.photos[0].split("/")[-2]: row.decision for row in rows}
    assert told == {"leopard": "not comparable", "empty": "nothing", "ibex": "other species", "catalog": "nothing"}
    assert rows[0].photos == (photos[2].as_posix(),)


def test_what_the_classifier_sees_in_new_photos_is_kept_and_has_a_bar(catalog, tmp_path, monkeypatch):
    screen(catalog, tmp_path)
    new = [GREY, BLUE, RED, GREY]
    photos = [draw(tmp_path / str(n) / "new.png", colour, 50 + n) for n, colour in enumerate(new)]
    photos.append(tmp_path / "bad.png")
    photos[-1].write_bytes(b"no photo")
    looked, classify = [], Colours.classify

    def stop(self, photo):
        looked.append(1)
        if len(looked) == 3:
            raise KeyboardInterrupt
        return classify(self, photo)

    monkeypatch.setattr(Colours, "classify", stop)
    calls = []
    with pytest.raises(KeyboardInterrupt):
        run_batch(snowmatch.open_catalog(catalog), photos, looking=lambda *now: calls.append(now))
    assert calls == [(1, 5), (2, 5)]
    calls.clear()
    first = run_batch(snowmatch.open_catalog(catalog), photos, looking=lambda *now: calls.append(now))
    assert calls == [(1, 3), (2, 3), (3, 3)]
    monkeypatch.setattr(Colours, "classify", lambda self, photo: pytest.fail("a photo was looked at"))
    again = run_batch(snowmatch.open_catalog(catalog), photos)
    assert again.rows == first.rows
    assert sorted(row.decision for row in first.rows) == ["", "not comparable", "nothing", "nothing", "other species"]


@pytest.mark.parametrize("told_before", [True, False])
def test_a_classifier_that_does_not_know_the_species_is_told(catalog, tmp_path, monkeypatch, told_before):
    """Some classifiers tell before a look which species they know, others only by what they see."""
    screen(catalog, tmp_path)
    if told_before:
        monkeypatch.setattr(Others, "names", ("fox", NOTHING), raising=False)
    monkeypatch.setattr(finders, "_classifier", lambda name: Others())
    found = run_batch(snowmatch.open_catalog(catalog), [draw(tmp_path / "new.png", GREY, 50)])
    assert [row.decision for row in found.rows] == ["not comparable"]
    (text,) = [note.text for note in found.notes if note.code == "species-not-screened"]
    assert text.startswith("the classifier does not know the species snow leopard: new photos are not screened")
    seen_before = run_batch(snowmatch.open_catalog(catalog), [catalog / "a1.png"])
    assert "species-not-screened" not in [note.code for note in seen_before.notes]


def test_a_classifier_that_is_off_now_is_told_where_photos_are_new(catalog, tmp_path):
    screen(catalog, tmp_path)
    assert run("index", catalog, "--classifier", "none", "--workers", 1).exit_code == 0
    new = draw(tmp_path / "new.png", GREY, 50)
    told = run("batch", catalog, new, "--out", tmp_path / "answers")
    assert told.exit_code == 0, told.output
    text = "this catalog is set to use no classifier, so new photos are not screened, but all asked about"
    assert told.output.count(f"{text} (snowmatch screen CATALOG --classifier auto)") == 1
    note = unscreened_note("new-unscreened", "/cards/ours.npz", "")
    assert note.text.startswith("the catalog's classifier /cards/ours.npz is not on this computer")
    assert advice(note.code, note.data) == "snowmatch index CATALOG --classifier auto, or --classifier FILE.npz"
    seen_before = run_batch(snowmatch.open_catalog(catalog), [catalog / "a1.png"])
    assert "new-unscreened" not in [note.code for note in seen_before.notes]
    arrived = tmp_path / "cards" / "new.png"
    arrived.parent.mkdir()
    new.rename(arrived)
    notes = Watch(arrived.parent, catalog, quiet=0, add=True).look().notes
    assert [note.code for note in notes if "unscreened" in note.code] == ["added-unscreened"]


def test_a_catalog_that_cannot_be_written_screens_new_photos_with_a_note(catalog, tmp_path, monkeypatch):
    screen(catalog, tmp_path)

    def full(*_):
        raise SnowmatchError("the disk is full")

    monkeypatch.setattr(left_out, "save_classes", full)
    found = run_batch(snowmatch.open_catalog(catalog), [draw(tmp_path / "new.png", GREY, 50)])
    assert [row.decision for row in found.rows] == ["nothing"]
    (text,) = [note.text for note in found.notes if note.code == "classes-not-kept"]
    assert text == "what the classifier sees in new photos is not kept for the next batch: the disk is full"


def test_a_photo_that_cannot_be_read_fails_as_it_did(catalog, tmp_path):
    screen(catalog, tmp_path)
    (tmp_path / "bad.jpg").write_bytes(b"no photo")
    found = run_batch(snowmatch.open_catalog(catalog), [tmp_path / "bad.jpg"])
    assert [path for path, _ in found.failed] == [(tmp_path / "bad.jpg").as_posix()]
    assert found.rows[0].decision == ""


def test_if_nothing_is_kept_nobody_is_asked(catalog, tmp_path, monkeypatch):
    assert run("screen", catalog, "--threshold", 1, "--workers", 1).exit_code == 0
    monkeypatch.setattr(batch, "ask_many", lambda *_: pytest.fail("a photo was asked about"))
    result = run("batch", catalog, "--unidentified", "--out", tmp_path / "answers")
    assert result.exit_code == 0, result.output
    assert "no queries" in result.output
    assert len((tmp_path / "answers.jsonl").read_text().splitlines()) == 5


def test_a_photo_whose_copy_is_in_another_passage_is_kept_if_one_of_them_is(catalog, tmp_path):
    content = (catalog / "c2.png").read_bytes()
    for name in ("b1.png", "d1.png"):
        (catalog / f"copy-{name}").write_bytes(content)
    with open(catalog / "catalog.csv", "a", newline="") as file:
        csv.writer(file).writerows([("copy-b1.png", "E2", "E2", ""), ("copy-d1.png", "E4", "E4", "")])
    assert run("screen", catalog, "--workers", 1, "--out", tmp_path / "table").exit_code == 0
    told = load_screened(catalog).answers
    assert told[hashlib.sha256(content).hexdigest()] == KEPT
    with open(tmp_path / "table.csv", newline="") as file:
        answers = {row["path"]: row["answer"] for row in csv.DictReader(file)}
    assert (answers["c2.png"], answers["copy-b1.png"], answers["copy-d1.png"]) == (KEPT, "other mammal", NOTHING)
