"""Many photos at once: who is asked together, what a row says, and what a stopped run leaves."""

import csv
import io
import json
import os
import re
import shutil
import sqlite3
from collections import Counter
from contextlib import closing
from dataclasses import replace
from datetime import datetime, timedelta
from types import SimpleNamespace

import numpy as np
import pytest
from click.testing import CliRunner
from conftest import read_rows
from fake_classifier import Colours
from PIL import Image

import snowmatch
from snowmatch.api import Catalog
from snowmatch.catalog.database import forget_answers
from snowmatch.catalog.load import CatalogData
from snowmatch.catalog.settings import CatalogSettings
from snowmatch.catalog.states import AnnotationState
from snowmatch.cli import main
from snowmatch.confidence.file import CalibrationFile, MethodCalibration, save_calibrations
from snowmatch.confidence.levels import Levels
from snowmatch.confidence.model import Model
from snowmatch.core.errors import SnowmatchError
from snowmatch.core.home import database_path
from snowmatch.core.mended import forget_mended, note_on_mended
from snowmatch.core.notes import Note
from snowmatch.core.types import Annotation
from snowmatch.features.reader import FeatureReader
from snowmatch.identify.answer import Answer, Candidate, Decision, QueryPhoto
from snowmatch.identify.session import Session
from snowmatch.review import batch
from snowmatch.review.batch import run_batch
from snowmatch.review.groups import photo_groups, unidentified_groups
from snowmatch.review.kept import group_keys
from snowmatch.review.rows import COLUMNS, Row, format_summary
from snowmatch.review.tables import rows_to_csv, rows_to_jsonl
from snowmatch.screening.scenes import Finders

NONE = np.zeros(0)
NOON = datetime(2023, 5, 1, 12)
MODEL = Model((1.0,), 2.0, (1.5, 1.5), 2.0, 0.0, 1000.0, 6.0, 0.0)


def run(*arguments):
    return CliRunner().invoke(main, ["batch", *(str(a) for a in arguments)])


def photo(path, taken=None, colour=0):
    """A small photo; each colour is another content."""
    path.parent.mkdir(parents=True, exist_ok=True)
    image = Image.new("RGB", (64, 48), (colour, colour, colour))
    exif = Image.Exif()
    if taken is not None:
        exif.get_ifd(0x8769)[0x9003] = taken.strftime("%Y:%m:%d %H:%M:%S")
    image.save(path, "JPEG", exif=exif)
    return path


def calibrate(folder):
    """Give the catalog a calibration made by hand, for its default method."""
    session = snowmatch.open_catalog(folder).session()
    learned = MethodCalibration(
        session.method.extractor,
        session.method.matching,
        snowmatch.__version__,
        30,
        {"whole": (MODEL,), "outlined": (MODEL,)},
    )
    save_calibrations(folder, CalibrationFile(methods=(learned,)))


@pytest.fixture(scope="module")
def calibrated(survey, tmp_path_factory):
    """The survey with a calibration; to be read, not changed."""
    folder = shutil.copytree(survey, tmp_path_factory.mktemp("calibrated") / "survey")
    snowmatch.open_catalog(folder / "catalog").index()
    calibrate(folder / "catalog")
    return folder


# --- a catalog whose answers are written by hand ----------------------------------------------------------------------


class Said:
    """What `query` shall answer, by photo: (name or annotation's row, probability) of each candidate, and of new."""

    def __init__(self, folder, rows):
        unidentified = Counter()
        annotations = []
        for n, row in enumerate(rows):
            animal = unidentified[row["path"]] if row.get("individual") is None else 0
            unidentified[row["path"]] += row.get("individual") is None
            annotations.append(Annotation(n, **{"encounter": "q", "animal": animal, **row}))
        annotations = tuple(annotations)
        for n, a in enumerate(annotations):
            if not (folder / a.path).exists():
                photo(folder / a.path, colour=n)
        self.catalog = Catalog(CatalogData(folder, annotations, ()))
        self.answers, self.asked, self.bad, self.bare = {}, [], set(), set()

    def session(self, catalog):
        data = catalog.data
        states = tuple(AnnotationState("indexed", f"{a.path} {a.bbox}", "") for a in data.annotations)
        method = SimpleNamespace(extractor={"name": "x"}, matching={"name": "y"})
        return Session(data, method, states, (), None, ())

    def ask(self, session, question):
        photos, catalog = question.photos, session
        filters = {"locations": question.locations, "exclude_encounters": question.exclude_encounters}
        names = [os.path.basename(p.path if isinstance(p, Annotation) else p) for p in photos]
        self.asked.append((names, question.body_part, filters))
        if bad := self.bad & set(names):
            raise SnowmatchError(f"{sorted(bad)[0]} is truncated")
        boxes = [p.bbox if isinstance(p, Annotation) else None for p in photos]
        files = [str(catalog.folder / p.path) if isinstance(p, Annotation) else p for p in photos]
        shown = [QueryPhoto(f, b, None, (64, 48), 0 if n in self.bare else 9) for f, b, n in zip(files, boxes, names)]  # noqa: B905
        part = question.body_part
        found, new = self.answers.get((names[0], boxes[0]), self.answers.get((names[0], part), ({}, 0.9)))
        candidates = tuple(self.candidate(catalog, *each) for each in enumerate(found.items(), start=1))
        best = max(found.values(), default=0)
        decision, decided, others = None, None, list(candidates)
        if new is None:
            candidates = tuple(replace(c, probability=None, level=None) for c in candidates)
        elif candidates and best >= new:
            decided = max(candidates, key=lambda c: c.probability)
            others.remove(decided)
            encounter = "" if decided.individual is not None else decided.best.encounter
            decision = Decision(decided.individual, False, best, Levels().of(best), best, encounter)
        else:
            decision = Decision(None, True, new, Levels().of(new), new)
        return Answer(
            photos=tuple(shown),
            body_part=part,
            locations=(),
            excluded_encounters=(),
            catalog_path=str(catalog.folder),
            annotations=9,
            compared=9 if found or decision is not None else 0,
            individuals=3,
            extractor={},
            matcher={},
            candidates=candidates,
            notes=(Note("same", "same"),),
            new_probability=new,
            decision=decision,
            decided=decided,
            runner_up=max(others, key=lambda c: c.probability, default=None) if decision is not None else None,
        )

    def candidate(self, catalog, rank, told):
        name, probability = told
        own = next(a for a in catalog.data.annotations if name in (a.individual, a.row))
        return Candidate(
            rank, own.individual, 9.0 - rank, 40 - rank, True, True, own, 0, NONE, NONE, NONE, NONE, NONE,
            probability=probability, level="fair",
        )  # fmt: skip


def one_by_one(ask):
    """Return `ask_many` that asks with the function `ask`."""

    def ask_many(session, questions):
        found = []
        for question in questions:
            try:
                found.append(ask(session, question))
            except SnowmatchError as error:
                found.append(error)
        return found

    return ask_many


@pytest.fixture
def says(tmp_path, monkeypatch):
    """Makes a catalog of these rows whose queries are answered from a table."""

    def make(*rows):
        said = Said(tmp_path / "catalog", rows)
        monkeypatch.setattr(Catalog, "session", lambda self, **_: said.session(self))
        monkeypatch.setattr(batch, "ask_many", one_by_one(said.ask))
        return said

    return make


AIKA = {"path": "aika.jpg", "individual": "aika", "encounter": "known1"}
BARS = {"path": "bars.jpg", "individual": "bars", "encounter": "known2"}


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
    assert len(notes) == 2


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


# --- a real catalog ---------------------------------------------------------------------------------------------------


def table(text):
    return list(csv.DictReader(io.StringIO(text)))


def test_unidentified_animals_of_a_catalog(calibrated, tmp_path):
    catalog = calibrated / "catalog"
    result = run(catalog, "--unidentified", "--out", tmp_path / "answers")
    assert result.exit_code == 0, result.output
    assert result.stdout == ""
    rows = table((tmp_path / "answers.csv").read_text(encoding="utf-8"))
    unnamed = {}
    for row in read_rows(catalog / "catalog.csv"):
        if not row["individual"]:
            unnamed.setdefault(row["encounter"], []).append(row["path"])
    assert [(r["encounter"], r["photos"]) for r in rows] == [(e, "; ".join(p)) for e, p in sorted(unnamed.items())]
    assert tuple(rows[0]) == COLUMNS
    known = {r["individual"] for r in read_rows(catalog / "catalog.csv")} - {""}
    assert (rows[0]["decision"], rows[0]["individual"] in known) == ("individual", True)
    assert re.fullmatch(r"\d{4}-\d\d-\d\d", rows[0]["date"])
    assert re.fullmatch(r"\d\d:\d\d:\d\d", rows[0]["time"])
    assert all(rows[0][name] for name in ("location", "station"))
    assert float(rows[0]["probability"]) > 0.7
    assert "matched spots with images/" in rows[0]["reasons"]
    told = [json.loads(line) for line in (tmp_path / "answers.jsonl").read_text(encoding="utf-8").splitlines()]
    assert [tuple(each) for each in told] == [("schema", *COLUMNS)] * len(rows)
    assert told[0]["schema"] == "snowmatch.batch/2"
    assert told[0]["photos"] == unnamed[rows[0]["encounter"]]
    assert str(told[0]["probability"]) == rows[0]["probability"]
    assert f"{len(rows)} animals in {len(rows)} encounters: " in result.stderr.splitlines()[-1]
    assert run(catalog, "--unidentified").stdout_bytes == (tmp_path / "answers.csv").read_bytes()


def test_photos_of_an_encounter_vote_together(calibrated):
    encounters = {}
    for row in read_rows(calibrated / "queries" / "queries.csv"):
        encounters.setdefault(row["encounter"], []).append(calibrated / "queries" / row["path"])
    several = next(photos for photos in encounters.values() if len(photos) > 1)
    catalog = snowmatch.open_catalog(calibrated / "catalog")
    (row,) = run_batch(catalog, several, locations=["naryn"]).rows
    answer = catalog.query(several, locations=["naryn"], top=50)
    assert row.photos == tuple(p.as_posix() for p in sorted(several))
    assert row.new_probability == pytest.approx(answer.new_probability, rel=1e-5)


def test_two_animals_side_by_side_are_told_apart(calibrated, tmp_path):
    catalog = snowmatch.open_catalog(calibrated / "catalog")
    rows = {
        r["individual"]: r for r in read_rows(calibrated / "queries" / "queries.csv") if r["body_part"] == "left_flank"
    }
    boxes, pixels = [], []
    for n, name in enumerate(("bars", "cholpon")):
        x, *others = map(int, rows[name]["bbox"].split(","))
        boxes.append((x + 800 * n, *others))
        with Image.open(calibrated / "queries" / rows[name]["path"]) as shown:
            pixels.append(np.asarray(shown))
    Image.fromarray(np.hstack(pixels)).save(tmp_path / "pair.jpg", quality=95)
    count = len(catalog.data.annotations)
    pair = [
        Annotation(count + n, str(tmp_path / "pair.jpg"), None, "left_flank", encounter="pair", bbox=box, animal=n)
        for n, box in enumerate(boxes)
    ]
    shared = Catalog(replace(catalog.data, annotations=(*catalog.data.annotations, *pair)))
    found = run_batch(shared, tmp_path / "pair.jpg").rows
    assert [(r.encounter, r.animal, r.individual) for r in found] == [("pair", 1, "bars"), ("pair", 2, "cholpon")]


def test_a_bad_photo_is_in_its_row_and_at_the_end(calibrated, tmp_path):
    good = calibrated / "queries" / read_rows(calibrated / "queries" / "queries.csv")[0]["path"]
    shutil.copy(good, tmp_path / "good.jpg")
    (tmp_path / "bad.jpg").write_text("this is no photo")
    result = run(calibrated / "catalog", tmp_path, "--bodypart", "left_flank")
    assert result.exit_code == 1
    rows = table(result.stdout)
    assert len(rows) == 2
    assert rows[1]["encounter"] == f"photo {(tmp_path / 'bad.jpg').as_posix()}"
    assert "1 of 1 photo could not be read" in rows[1]["reasons"]
    assert f"failed: {(tmp_path / 'bad.jpg').as_posix()}: " in result.stderr


def test_a_photo_on_record_that_cannot_be_read_keeps_its_encounter(survey, tmp_path):
    catalog = snowmatch.open_catalog(survey / "catalog")
    (tmp_path / "bad.jpg").write_text("this is no photo")
    bad = Annotation(len(catalog.data.annotations), str(tmp_path / "bad.jpg"), encounter="bad")
    other = Catalog(replace(catalog.data, annotations=(*catalog.data.annotations, bad)))
    (row,) = run_batch(other, tmp_path).rows
    assert (row.encounter, row.decision) == ("bad", "")


def test_without_a_calibration_a_note_says_so(survey, monkeypatch):
    monkeypatch.setattr("snowmatch.identify.session.choose", lambda *_: (None, ""))
    result = run(survey / "catalog", "--unidentified")
    assert result.exit_code == 0, result.output
    assert {r["decision"] for r in table(result.stdout)} == {""}
    assert all(r["runner_up"] for r in table(result.stdout))
    assert "note: not calibrated" in result.stderr
    assert "without a probability 2" in result.stderr


def test_no_unidentified_annotation_is_an_empty_table(says, tmp_path, monkeypatch):
    said = says(AIKA)
    monkeypatch.setattr(snowmatch.api, "open_catalog", lambda folder: said.catalog)
    result = run("catalog", "--unidentified", "--out", tmp_path / "answers.csv")
    assert result.exit_code == 0
    assert (
        result.stderr.strip()
        == f"note: {said.catalog.folder} has no unidentified annotations: there is nothing to identify"
    )
    assert (tmp_path / "answers.csv").read_text() == ",".join(COLUMNS) + "\n"
    assert (tmp_path / "answers.jsonl").read_bytes() == b""
    assert run("catalog", "--unidentified").stdout == ",".join(COLUMNS) + "\n"


def test_texts_and_numbers_in_the_files():
    row = Row(
        "e\u202e1",
        1,
        "=2+3",
        "@x",
        "-",
        "",
        "",
        ("a.jpg", "Снежок.jpg"),
        ("a1", "a2"),
        ("head",),
        "individual",
        'Åsa "b", c',
        "",
        0.8,
        0.76,
        "fair",
        "",
        None,
        1e-5,
        ("x\ny",),
    )
    text = rows_to_csv([row])
    assert text.splitlines()[1] == (
        'e\\u202e1,1,\'=2+3,\'@x,\'-,,,a.jpg; Снежок.jpg,a1; a2,head,individual,"Åsa ""b"", c",,0.8,0.76,fair,,,1e-05,'
        "x\\ny"
    )
    (line,) = rows_to_jsonl([row]).splitlines()
    assert json.loads(line)["individual"] == 'Åsa "b", c'
    assert json.loads(line)["runner_up_probability"] is None


@pytest.mark.parametrize("arguments", [[], ["photo.jpg", "--unidentified"]], ids=["neither", "both"])
def test_photos_or_unidentified(survey, arguments):
    result = run(survey / "catalog", *arguments)
    assert result.exit_code == 2
    assert "--unidentified" in result.stderr


@pytest.mark.parametrize(
    ("out", "told"),
    [
        ("nowhere/answers", "nowhere"),
        (".", "is a folder"),
        ("catalog/answers", "lies in the catalog"),
        ("catalog", "is a folder"),
        ("elsewhere/catalog.csv", "name of a catalog"),
    ],
)
def test_where_nothing_can_be_written(own_survey, out, told):
    before = (own_survey / "catalog" / "catalog.csv").read_bytes()
    (own_survey / "elsewhere").mkdir()
    result = run(own_survey / "catalog", "--unidentified", "--out", own_survey / out)
    assert result.exit_code == 1
    assert told in result.stderr
    assert len(result.stderr.strip().splitlines()) == 1
    assert (own_survey / "catalog" / "catalog.csv").read_bytes() == before


# --- runs that are stopped, and run again -------------------------------------------------------------------------


@pytest.fixture
def long(says, tmp_path, monkeypatch):
    """A catalog with four unidentified encounters, two animals in the last one's photo."""
    left, right = (0, 0, 9, 9), (20, 0, 9, 9)
    lone = [{"path": f"{n}.jpg", "encounter": f"e{n}"} for n in range(3)]
    pair = [{"path": "3.jpg", "encounter": "e3", "bbox": b} for b in (left, right)]
    said = says(AIKA, *lone, *pair)
    said.answers = {("0.jpg", None): ({"aika": 0.123456789, 2: 0.05}, 0.1)}
    said.answers |= {("3.jpg", b): ({"aika": p}, 0.0) for b, p in ((left, 0.96), (right, 0.97))}
    monkeypatch.setattr(snowmatch.api, "open_catalog", lambda folder: said.catalog)
    assert run("catalog", "--unidentified", "--again", "--out", tmp_path / "whole").exit_code == 0
    forget_answers(said.catalog.folder)
    said.asked.clear()
    return said


def same_files(folder, one, other):
    return all(
        (folder / f"{one}.{kind}").read_bytes() == (folder / f"{other}.{kind}").read_bytes()
        for kind in ("csv", "jsonl")
    )


def stop_after(monkeypatch, count):
    """Ctrl-C while the next animal is asked about."""
    ask = batch._ask_group

    def stopping(*arguments):
        nonlocal count
        count -= 1
        if count < 0:
            raise KeyboardInterrupt
        return ask(*arguments)

    monkeypatch.setattr(batch, "_ask_group", stopping)
    return lambda: monkeypatch.setattr(batch, "_ask_group", ask)


def answers(folder, *more):
    return run("catalog", "--unidentified", *more, "--out", folder / "answers")


@pytest.mark.parametrize("count", [0, 2, 4])
def test_a_stopped_run_continues_and_gives_the_same_bytes(long, tmp_path, monkeypatch, count):
    go_on = stop_after(monkeypatch, count)
    result = answers(tmp_path)
    assert result.exit_code == 1
    assert result.stderr.splitlines()[-1] == (
        "Error: stopped; the catalog keeps the finished answers, and the same command continues"
    )
    assert not (tmp_path / "answers.csv").exists()
    go_on()
    before = len(long.asked)
    result = answers(tmp_path)
    assert result.exit_code == 0
    assert (f"{count} of 5 animals were answered" in result.stderr) == bool(count)
    assert len(long.asked) - before == 5 - count
    assert same_files(tmp_path, "answers", "whole")


def test_a_second_run_asks_only_what_is_new(long, tmp_path):
    answers(tmp_path)
    long.asked.clear()
    result = answers(tmp_path)
    assert not long.asked
    assert "5 of 5 animals were answered by an earlier run, and their answers are kept\n" in result.stderr
    data = long.catalog.data
    photo(long.catalog.folder / "new.jpg", colour=99)
    rows = (Annotation(0, "new.jpg", encounter="e9"), *(replace(a, row=a.row + 1) for a in data.annotations))
    long.catalog = Catalog(replace(data, annotations=rows))
    result = answers(tmp_path)
    assert [names for names, _, _ in long.asked] == [["new.jpg"]]
    assert "5 of them before other unidentified annotations were added or removed (--again)" in result.stderr
    assert [row["encounter"] for row in read_rows(tmp_path / "answers.csv")] == ["e0", "e1", "e2", "e3", "e3", "e9"]
    answers(tmp_path, "--again")
    assert len(long.asked) == 7


@pytest.mark.parametrize("change", ["label", "photo", "body part", "location", "settings", "network"])
def test_what_an_answer_depends_on_is_asked_again(long, tmp_path, monkeypatch, change):
    answers(tmp_path)
    long.asked.clear()
    data = long.catalog.data
    more = ()
    if change == "label":
        named = tuple(replace(a, individual="bars") if a.path == "aika.jpg" else a for a in data.annotations)
        long.catalog = Catalog(replace(data, annotations=named))
        long.answers = {}
    elif change == "photo":
        photo(long.catalog.folder / "2.jpg", colour=200)
    elif change == "body part":
        more = ("--bodypart", "head")
        long.answers = {}
    elif change == "settings":
        long.catalog = Catalog(replace(data, settings=CatalogSettings(encounter_gap=30.0)))
    elif change == "network":  # its weights were downloaded since
        monkeypatch.setattr("snowmatch.identify.session.choose_finders", lambda *_: Finders(Colours()))
    else:
        named = tuple(replace(a, location="naryn") for a in data.annotations)
        long.catalog = Catalog(replace(data, annotations=named))
        more = ("--location", "naryn")
    answers(tmp_path, *more)
    assert len(long.asked) == (1 if change == "photo" else 5)


def test_a_mask_of_a_photo_without_features_is_looked_at_again(says):
    said = says(AIKA, {"path": "1.jpg", "mask": "mask.png"})
    session = said.session(said.catalog)
    bare = replace(session, states=tuple(state._replace(state="missing", key=None) for state in session.states))
    keys = []
    for colour in (0, 255):
        Image.new("L", (64, 48), colour).save(said.catalog.folder / "mask.png")
        keys.append(group_keys(bare, unidentified_groups(bare, None), None, (), None))
    assert keys[0] != keys[1]


def test_a_photo_in_two_folders_is_one_animal(says, tmp_path):
    said = says(AIKA, BARS)
    for name in ("backup/1.jpg", "card/1.jpg", "card/2.jpg"):
        photo(tmp_path / "in" / name, NOON, colour=int(name[-5]))
    found = run_batch(said.catalog, [tmp_path / "in"])
    assert [len(row.photos) for row in found.rows] == [1, 1]
    assert [names for names, _, _ in said.asked] == [["1.jpg"], ["2.jpg"]]
    told = next(note.text for note in found.notes if note.code == "given-twice")
    assert told.endswith("backup/1.jpg: used once")


def test_a_photo_that_failed_is_asked_again(long, tmp_path):
    long.bad = {"1.jpg"}
    assert answers(tmp_path).exit_code == 1
    long.asked.clear()
    long.bad = set()
    assert answers(tmp_path).exit_code == 0
    assert [names for names, _, _ in long.asked] == [["1.jpg"]]
    assert same_files(tmp_path, "answers", "whole")


def test_a_damaged_kept_answer_is_asked_again(long, tmp_path):
    answers(tmp_path)
    with closing(sqlite3.connect(database_path(long.catalog.folder))) as database, database:
        database.execute("UPDATE answers SET answer = replace(answer, 'aika', 'bars')")
    long.asked.clear()
    answers(tmp_path)
    assert len(long.asked) == 3  # those of whom nothing is said
    assert same_files(tmp_path, "answers", "whole")
    assert list(note_on_mended(long.catalog.folder).data["files"]) == ["catalog.sqlite"]
    forget_mended(long.catalog.folder)
    answers(tmp_path)
    assert note_on_mended(long.catalog.folder) is None


def test_a_catalog_that_cannot_be_written_keeps_nothing_and_says_so(long, tmp_path, monkeypatch):
    def full(folder, records):
        raise SnowmatchError("no space")

    monkeypatch.setattr(batch, "keep", full)
    result = answers(tmp_path)
    assert result.exit_code == 0
    assert "the answers are not kept for the next batch: no space" in result.stderr
    assert same_files(tmp_path, "answers", "whole")


# --- the files ----------------------------------------------------------------------------------------------------


def test_a_table_that_somebody_has_edited_is_not_replaced(long, tmp_path):
    answers(tmp_path)
    path = tmp_path / "answers.csv"
    edited = path.read_text(encoding="utf-8").replace("aika", "Aika the second")
    path.write_text(edited, encoding="utf-8")
    result = answers(tmp_path)
    assert (result.exit_code, result.stderr.count("\n")) == (1, 1)
    assert "choose another name (--force)" in result.stderr
    assert path.read_text(encoding="utf-8") == edited
    assert answers(tmp_path, "--force").exit_code == 0
    assert same_files(tmp_path, "answers", "whole")


@pytest.mark.parametrize("kind", ["csv", "jsonl"])
def test_the_files_of_others_are_not_replaced(long, tmp_path, kind):
    path = tmp_path / f"answers.{kind}"
    path.write_text("my notes\n")
    (tmp_path / "answers.csv.tmp").write_text("mine")
    assert answers(tmp_path).exit_code == 1
    assert path.read_text() == "my notes\n"
    assert (tmp_path / "answers.csv.tmp").read_text() == "mine"
    assert not long.asked


def test_a_link_into_a_catalog_is_refused(long, tmp_path):
    (tmp_path / "link").symlink_to(long.catalog.folder, target_is_directory=True)
    result = run("catalog", "--unidentified", "--out", tmp_path / "link" / "answers")
    assert "lies in the catalog" in result.stderr
    other = tmp_path / "other"
    (other / "sub").mkdir(parents=True)
    (other / "catalog.csv").write_text("path\n")
    result = run("catalog", "--unidentified", "--out", other / "sub" / "answers")
    assert "lies in the catalog" in result.stderr
    assert list((other / "sub").iterdir()) == []


def test_a_table_for_excel_begins_with_a_mark_and_is_known_again(long, tmp_path):
    answers(tmp_path, "--bom")
    content = (tmp_path / "answers.csv").read_bytes()
    assert content == b"\xef\xbb\xbf" + (tmp_path / "whole.csv").read_bytes()
    assert answers(tmp_path, "--bom").exit_code == 0
    assert (tmp_path / "answers.csv").read_bytes() == content


def test_an_individual_called_new_is_not_a_new_one(says):
    said = says({**AIKA, "individual": "new"}, {"path": "one.jpg"}, {"path": "two.jpg", "encounter": "z"})
    said.answers = {("one.jpg", None): ({"new": 0.96}, 0.0)}
    rows = run_batch(said.catalog).rows
    assert [(r.decision, r.individual) for r in rows] == [("individual", "new"), ("new", "")]


def test_the_features_of_candidates_are_not_read_whole(own_survey, monkeypatch):
    catalog = snowmatch.open_catalog(own_survey / "catalog")
    read, keys = FeatureReader.read, Counter()

    def counting(reader, key):
        keys[key] += 1
        return read(reader, key)

    monkeypatch.setattr(FeatureReader, "read", counting)
    answered = run_batch(catalog)
    monkeypatch.undo()
    assert any(row.individual for row in answered.rows)
    asked = [a for a in catalog.data.annotations if a.individual is None]
    assert 0 < keys.total() <= len(asked)  # those of the photos that are asked, once


def test_prune_deletes_the_kept_answers(own_survey, tmp_path):
    catalog = snowmatch.open_catalog(own_survey / "catalog")
    catalog.index()
    run_batch(catalog)
    assert "answers-kept" in [note.code for note in run_batch(catalog).notes]
    catalog.index(prune=True)
    assert "answers-kept" not in [note.code for note in run_batch(catalog).notes]
