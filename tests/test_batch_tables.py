"""Many photos at once: the tables of a real catalog, and the files that a batch writes or leaves alone."""

import csv
import io
import json
import re
import shutil
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from batch_answers import AIKA, answers, long, run, same_files, says
from conftest import read_rows
from PIL import Image

import snowmatch
from snowmatch.api import Catalog
from snowmatch.confidence.file import CalibrationFile, MethodCalibration, save_calibrations
from snowmatch.confidence.model import Model
from snowmatch.core.types import Annotation
from snowmatch.features.reader import FeatureReader
from snowmatch.review.batch import run_batch
from snowmatch.review.rows import COLUMNS, Row
from snowmatch.review.screened_photos import ScreenedPhoto
from snowmatch.review.tables import check_out, rows_to_csv, rows_to_jsonl
from snowmatch.views.screening import check_table, write_table

__all__ = ["long", "says"]  # fixtures

MODEL = Model((1.0,), 2.0, (1.5, 1.5), 2.0, 0.0, 1000.0, 6.0, 0.0)


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
    monkeypatch.setattr(snowmatch.api, "open_catalog", lambda folder, decisions=None: said.catalog)
    result = run("catalog", "--unidentified", "--out", tmp_path / "answers.csv")
    assert result.exit_code == 0
    assert (
        result.stderr.strip()
        == f"note: {said.catalog.folder} has no unidentified annotations: there is nothing to identify"
    )
    assert (tmp_path / "answers.csv").read_text() == ",".join(COLUMNS) + "\n"
    assert (tmp_path / "answers.jsonl").read_bytes() == b""
    assert run("catalog", "--unidentified").stdout == ",".join(COLUMNS) + "\n"


LINE_ENDS = "a\u2028b\u0085c\x1cd.jpg"  # of a text, but not of a file


def test_a_table_with_a_name_that_has_line_ends_of_a_text_is_known_again(tmp_path):
    row = Row(
        "e1", 1, "", "", "", "", "", (LINE_ENDS,), ("a1",), ("head",), "", "", "", *[None] * 2, "", "", *[None] * 2, ()
    )
    (tmp_path / "out.csv").write_bytes(rows_to_csv([row, row]).encode())
    (tmp_path / "out.jsonl").write_bytes(rows_to_jsonl([row, row]).encode())
    check_out(tmp_path / "out", tmp_path / "catalog", force=False)
    photo = ScreenedPhoto(LINE_ENDS, *[""] * 6, "kept", 0.9, "fox", None, (), "", 0)
    for _ in range(2):
        check_table(tmp_path / "screened", tmp_path / "catalog")
        write_table([photo, photo], tmp_path / "screened")


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


# --- the files --------------------------------------------------------------------------------------------------------


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
