"""What a query, an evaluation or a calibration must not do in silence: small photos of noise are enough."""

import csv
import shlex
import shutil

import cv2
import numpy as np
import pytest
from click.testing import CliRunner
from conftest import enough
from PIL import Image

import snowmatch
from snowmatch.catalog.database import writing
from snowmatch.catalog.found import load_found
from snowmatch.catalog.load import CatalogData
from snowmatch.catalog.settings import CatalogSettings
from snowmatch.cli import main
from snowmatch.cli.advice import advice
from snowmatch.cli.doctor_advice import finding_advice
from snowmatch.core.errors import SnowmatchError
from snowmatch.core.home import calibration_path, features_path
from snowmatch.core.plugins import make_plugin, settings
from snowmatch.features.reader import list_features
from snowmatch.identify import method, session
from snowmatch.identify.session import found_by
from snowmatch.review.doctor.examine import examine
from snowmatch.screening.middle import FEATURES, Middle, save_middle

BOX = (30, 24, 100, 72)
OTHER_BOX = (20, 20, 60, 60)


def coat(number, size):
    """Return the coat of an animal, (H, W, 3) uint8: blurred noise that depends on its number only."""
    small = np.random.default_rng(number).integers(0, 256, (18, 25), np.uint8)
    return np.repeat(cv2.resize(small, size, interpolation=cv2.INTER_CUBIC)[..., None], 3, axis=2)


def photo(animal, place):
    """Return a photo of an animal in its box; the scenery depends on `place`."""
    pixels = coat(1000 + place, (160, 120))
    x, y, width, height = BOX
    pixels[y : y + height, x : x + width] = coat(animal, (width, height))
    return pixels


@pytest.fixture
def catalog(tmp_path):
    """Return a function that makes and indexes a catalog of photos of (individual, body part, split)."""

    def make(animals, masked=False):
        folder = tmp_path / "catalog"
        folder.mkdir()
        numbers = {name: n for n, name in enumerate(sorted({name for name, _, _ in animals}))}
        mask = np.zeros((120, 160), np.uint8)
        mask[BOX[1] : BOX[1] + BOX[3], BOX[0] : BOX[0] + BOX[2]] = 255
        Image.fromarray(mask).save(folder / "mask.png")
        with (folder / "catalog.csv").open("w", newline="") as file:
            table = csv.writer(file)
            table.writerow(["path", "individual", "body_part", "encounter", "bbox", "mask", "split"])
            for n, (name, part, split) in enumerate(animals):
                Image.fromarray(photo(numbers[name], n)).save(folder / f"{n}.png")
                box = ",".join(map(str, BOX))
                table.writerow([f"{n}.png", name, part, f"e{n}", box, "mask.png" if masked else "", split])
        assert not snowmatch.open_catalog(folder).index(extractor="sift", workers=1).failed
        return snowmatch.open_catalog(folder)

    return make


def codes(notes):
    return [note.code for note in notes]


def test_answers_that_cannot_be_wrong_are_counted_in_a_note(catalog):
    left, right = ("aika", "left_flank", "train"), ("bars", "right_flank", "train")
    found = catalog([left, left, right, right, ("cora", "right_flank", "test"), ("aika", "left_flank", "test")])
    (note,) = [note for note in found.evaluate().notes if note.code == "no-other-individual"]
    assert note.data == {"count": 3}  # those of aika; bars and cora show one flank
    assert note.text.startswith("3 of the 5 queries with a right answer could be answered by no other individual")
    (note,) = [note for note in found.evaluate(protocol="split").notes if note.code == "no-other-individual"]
    assert note.text.startswith("1 of the 1 query with a right answer")


def test_with_another_individual_of_each_flank_there_is_no_such_note(catalog):
    named = [(name, "left_flank", "") for name in ("aika", "aika", "bars", "bars")]
    assert "no-other-individual" not in codes(catalog(named).evaluate().notes)


def test_figures_tell_names_that_are_probably_no_animals_or_one_animal_twice(catalog):
    named = [(name, "left_flank", "") for name in ("unknown", "unknown", "Aika", "aika", "aika", "aika + cub", "2-Jan")]
    told = codes(catalog(named).evaluate().notes)
    assert {"doubtful-names", "individuals-alike", "individuals-together", "individuals-rewritten"} <= set(told)


def test_the_command_beside_a_damaged_calibration_has_the_method_that_was_asked(catalog):
    found = catalog([(name, "left_flank", "") for name in ("aika", "aika", "bars", "bars")])
    calibration_path(found.data.folder).write_text("{}", encoding="utf-8")
    for asked in (found.session, found.evaluate):
        with pytest.raises(SnowmatchError, match="is damaged") as caught:
            asked(extractor="sift", matcher="mutual", options={"shortlist": "50"})
        command = advice(caught.value.code, caught.value.data)
        assert command.startswith(f"snowmatch calibrate {found.data.folder} --extractor sift --matcher mutual")
        assert "-o shortlist=50" in command


def test_a_classifier_that_was_taught_again_under_its_name_finds_animals_in_another_way(tmp_path):
    told = []
    taught = CatalogData(tmp_path, (), (), settings=CatalogSettings(classifier=str(tmp_path / "mine.npz")))
    for content in (b"one", b"another", b"one"):
        (tmp_path / "mine.npz").write_bytes(content)
        told.append(found_by(taught))
    assert told[0] == told[2] != told[1]
    assert f"classifier {tmp_path / 'mine.npz'} (content " in told[0]
    (tmp_path / "mine.npz").unlink()
    assert "content" not in found_by(taught)


def test_animals_are_found_in_another_way_once_the_middles_of_photos_were_learned(tmp_path, monkeypatch):
    monkeypatch.setattr(session, "texture_is_here", lambda: True)
    with_network, without = (
        CatalogData(tmp_path, (), (), settings=CatalogSettings(classifier=name)) for name in ("mobilenet_v2", "none")
    )
    before = found_by(with_network), found_by(without)
    made = Middle(np.ones(FEATURES, np.float32), 0.0, 60)
    save_middle(tmp_path, made)
    assert (found_by(with_network), found_by(without)) == (
        f"{before[0]}, middles of photos ({made.mark[:8]})",
        before[1],
    )
    monkeypatch.setattr(session, "texture_is_here", lambda: False)
    assert found_by(with_network) == before[0]


def test_a_box_beside_the_one_on_record_tells_that_the_mask_on_record_is_used(catalog):
    found = catalog([("aika", "left_flank", ""), ("bars", "left_flank", "")], masked=True)
    path = found.data.folder / "0.png"
    (note,) = [note for note in found.query(path, bbox=OTHER_BOX).notes if note.code == "other-box"]
    assert "with the box 30,24,100,72, the query has the box 20,20,60,60 and uses the mask and the body" in note.text
    for given in ({}, {"bbox": BOX}):
        assert "other-box" not in codes(found.query(path, **given).notes)
    whole = np.ones((120, 160), bool)
    own = found.query(path, bbox=OTHER_BOX, mask=whole, body_part="left_flank")
    assert "other-box" not in codes(own.notes)


def test_a_mask_of_several_grey_values_is_refused_and_one_of_two_values_is_not(catalog):
    found = catalog([("aika", "left_flank", ""), ("bars", "left_flank", "")])
    pixels = photo(0, 7)
    on = np.zeros((120, 160), bool)
    on[BOX[1] : BOX[1] + BOX[3], BOX[0] : BOX[0] + BOX[2]] = True
    counts = {found.query(pixels, mask=mask).photos[0].features for mask in (on, on * 1, on * np.uint8(255), on * 0.5)}
    assert len(counts) == 1
    for soft in (np.where(on, 255, 40).astype(np.uint8), np.where(on, 0.9, 0.1)):
        with pytest.raises(SnowmatchError, match=r"values from .* expected True on the animal"):
            found.query(pixels, mask=soft)


def test_an_empty_array_is_refused(catalog):
    found = catalog([("aika", "left_flank", "")])
    with pytest.raises(SnowmatchError, match=r"the photo is uint8 \(0, 5, 3\), expected"):
        found.query(np.zeros((0, 5, 3), np.uint8))


def test_a_calibration_from_before_animals_were_found_otherwise_is_told(catalog, monkeypatch):
    enough(monkeypatch, {})
    monkeypatch.setattr("snowmatch.identify.calibrate.load_shipped", lambda *_: None)  # fewer cases are learned sooner
    found = catalog([(name, "left_flank", "") for name in ("aika", "bars", "cora") for _ in range(3)])
    assert found.calibrate().pairs == 9
    folder = found.data.folder
    answer = found.query(folder / "0.png")
    assert answer.calibration["source"] == "catalog"
    assert "calibration-found-otherwise" not in codes(answer.notes)
    now = snowmatch.open_catalog(folder, boxes=False)
    now.index(extractor="sift", workers=1)
    (note,) = [n for n in now.query(folder / "0.png").notes if n.code == "calibration-found-otherwise"]
    assert "were found with classifier none, segmenter none, boxes, now it is" in note.text
    assert "snowmatch calibrate" in advice(note.code, note.data)


@pytest.mark.parametrize("options", [{}, {"contrast": "0.01"}])
def test_the_command_in_a_note_on_photos_that_are_not_compared_indexes_them(catalog, options):
    found = catalog([("aika", "left_flank", ""), ("bars", "left_flank", "")])
    folder = found.data.folder
    if options:
        shutil.rmtree(folder / ".snowmatch")
        found.index("sift", options, workers=1)
    Image.fromarray(photo(1, 9)).save(folder / "new.png")
    with (folder / "catalog.csv").open("a", newline="") as file:
        csv.writer(file).writerow(["new.png", "bars", "left_flank", "e9", "", "", ""])
    (note,) = [n for n in snowmatch.open_catalog(folder).query(folder / "0.png").notes if n.code[:7] == "missing"]
    words = shlex.split(advice(note.code, note.data))
    assert CliRunner().invoke(main, words[1:]).exit_code == 0, words
    opened = snowmatch.open_catalog(folder)
    assert "missing-annotations" not in codes(opened.query(folder / "0.png").notes)
    assert [each["name"] for each in list_features(features_path(folder))] == ["sift"]


@pytest.mark.parametrize("place", [600, -1])  # in the structure of the file, and in the last array
def test_the_command_beside_damaged_features_mends_them(catalog, place):
    found = catalog([("aika", "left_flank", ""), ("bars", "left_flank", "")])
    folder = found.data.folder
    shutil.rmtree(folder / ".snowmatch")
    found.index("sift", {"contrast": "0.01"}, workers=1)
    (path,) = features_path(folder).glob("*/features-*.h5")
    content = bytearray(path.read_bytes())
    content[place] ^= 255
    path.write_bytes(content)
    with pytest.raises(SnowmatchError, match="index again") as refused:
        snowmatch.open_catalog(folder).query(folder / "0.png")
    words = shlex.split(advice(refused.value.code, refused.value.data).replace("CATALOG", str(folder)))
    assert CliRunner().invoke(main, words[1:]).exit_code == 0, words
    assert snowmatch.open_catalog(folder).query(folder / "0.png").candidates


def test_the_commands_beside_other_damage_index_with_the_extractor_of_the_catalog(catalog):
    found = catalog([("aika", "left_flank", ""), ("bars", "left_flank", "")])
    folder = found.data.folder
    text = (folder / "catalog.csv").read_text().replace('"30,24,100,72"', "")
    (folder / "catalog.csv").write_text(text)
    shutil.rmtree(folder / ".snowmatch")
    snowmatch.open_catalog(folder, boxes=False).index("sift", {"contrast": "0.01"}, workers=1)
    with writing(folder) as database:
        database.execute("DELETE FROM maps")
        database.execute("INSERT INTO found VALUES ('a', 'maps', 0, '', '', '', 0.0, 1)")
    opened = snowmatch.open_catalog(folder, boxes=False)
    answer = opened.query(photo(0, 7), body_part="left_flank")
    with writing(folder) as database:
        database.execute("UPDATE files SET sum = 'x'")
    lost = []
    load_found(folder, notes=lost)
    told = {note.code: advice(note.code, note.data) for note in (*answer.notes, *lost)}
    seen = examine(folder)
    about = {"catalog": str(folder), "encounters": []}
    told |= {f.code: finding_advice(f.code, {**f.data, **about}) for f in (*seen.findings, *seen.unseen)}
    told |= {code: finding_advice(code, about) for code in ("encounters-long", "failed", "files-mended")}
    expected = "--extractor sift -o contrast=0.01"
    for code in ("maps-missing", "found-damaged", "records-damaged", "photos-unseen", "files-mended"):
        assert expected in told[code], (code, told.get(code))
    told = {code: text for code, text in told.items() if "snowmatch index" in text}
    assert not [code for code, text in told.items() if expected not in text]


def test_with_several_extractors_the_command_indexes_with_each():
    each = [settings(make_plugin("extractors", name)) for name in ("hesaff", "sift")]
    about = {"catalog": "survey", "extractor": "hesaff + sift", "settings": {"name": "hesaff + sift", "fused": each}}
    told = "snowmatch index survey --extractor hesaff; snowmatch index survey --extractor sift"
    assert advice("missing-annotations", about) == told


def test_features_of_a_version_with_another_setting_are_told_and_not_guessed(tmp_path, monkeypatch):
    later = {**settings(make_plugin("extractors", "sift")), "sharpness": 2}
    monkeypatch.setattr(method, "list_features", lambda _: [later])
    with pytest.raises(SnowmatchError, match="was indexed with another version of sift: index it again"):
        method.choose_method(tmp_path)
