"""Results of MegaDetector and SpeciesNet: read, paired with photos, put into pixels."""

import copy
import json
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from snowmatch.core.errors import SnowmatchError
from snowmatch.core.types import Detection
from snowmatch.screening.results import (
    TEXTS,
    ObjectResult,
    PhotoResult,
    Results,
    Species,
    Tally,
    detections_of,
    for_photos,
    read_results,
)

MEGADETECTOR = {
    "info": {
        "format_version": "1.6",
        "detector": "md_v5a.0.0.pt",
        "detection_completion_time": "2026-05-26 19:11:27",
        "classifier": "leopards.pt",
        "detector_metadata": {"megadetector_version": "v5a.0.1", "typical_detection_threshold": 0.2},
        "summary_report": "<p>text</p>",
    },
    "detection_categories": {"1": "animal", "2": "person", "7": "vehicle"},
    "classification_categories": {"3": "snow leopard", "0": "fox"},
    "classification_category_descriptions": {
        "3": "animalia;chordata;mammalia;carnivora;felidae;pantherauncia",
        "0": "",
    },
    "images": [
        {
            "file": "cam1\\IMG_0001.JPG",
            "width": 2000,
            "height": 1000,
            "detections": [
                {"category": "7", "conf": 0.5, "bbox": [0.5, 0.5, 0.25, 0.1]},
                {
                    "category": "1",
                    "conf": 0.926,
                    "bbox": [0.0, 0.25, 0.1, 0.5],
                    "classifications": [["0", 0.07], ["3", 0.9]],
                },
            ],
            "failure": None,
        },
        {"file": "cam1/empty.jpg", "detections": []},
        {"file": "cam2/bad.jpg", "failure": "Failure image access", "detections": None},
        {"file": "cam2/worse.jpg", "failure": "Failure inference"},
        {
            "file": "cam2/clip.mp4",
            "frame_rate": 20,
            "frames_processed": [0, 20],
            "detections": [{"category": "2", "conf": 0.8, "bbox": [0.1, 0.2, 0.3, 0.4], "frame_number": 20}],
        },
    ],
}
LEOPARD = "a1;mammalia;carnivora;felidae;panthera;uncia;snow leopard"
FELID = "b2;mammalia;carnivora;felidae;;;"
BLANK = "f1856211-cfb7-4a5b-9158-c0f72fd09ee6;;;;;;blank"
SPECIESNET4 = {
    "predictions": [
        {
            "filepath": "C:\\survey\\cam1\\IMG_0001.JPG",
            "country": "KGZ",
            "classifications": {"classes": [LEOPARD, BLANK], "scores": [0.7, 0.2]},
            "detections": [
                {"category": "1", "label": "animal", "conf": 0.9, "bbox": [0.0, 0.25, 0.1, 0.5]},
                {"category": "2", "label": "human", "conf": 0.3, "bbox": [0.5, 0.5, 0.25, 0.1]},
            ],
            "prediction": FELID,
            "prediction_score": 0.81,
            "prediction_source": "classifier+rollup_to_family",
            "model_version": "4.0.1a",
        },
        {"filepath": "C:/survey/cam1/empty.jpg", "detections": [], "model_version": "4.0.1a"},
        {"filepath": "C:/survey/cam1/bad.jpg", "failures": ["CLASSIFIER", "DETECTOR"], "model_version": "4.0.1a"},
        {"filepath": "C:/survey/cam1/worse.jpg", "failures": ["DETECTOR"], "detections": []},
        {"filepath": "C:/survey/cam1/classified.jpg", "classifications": {"classes": [LEOPARD], "scores": [0.6]}},
        {"filepath": "C:/survey/cam1/half.jpg", "failures": ["CLASSIFIER"], "detections": []},
    ]
}
SPECIESNET5 = {
    "info": {"format_version": "20261015"},
    "predictions": [
        {
            "filepath": "cam1/IMG_0001.JPG",
            "detections": [
                {"category": "0", "label": "whole_image_classification", "conf": 1.0, "bbox": [0.0, 0.0, 1.0, 1.0],
                 "raw_classifications": {"classes": [LEOPARD], "scores": [0.4]}},
                {
                    "category": "1",
                    "label": "animal",
                    "conf": 0.9,
                    "bbox": [0.0, 0.25, 0.1, 0.5],
                    "raw_classifications": {
                        "classes": [LEOPARD, FELID],
                        "scores": [0.6, 0.3],
                        "target_classes": [LEOPARD],
                        "target_logits": [-3.5],
                    },
                    "processed_classification": {"class": LEOPARD, "score": 0.77, "source": "classifier"},
                },
                {
                    "category": "1",
                    "label": "animal",
                    "conf": 0.5,
                    "bbox": [0.2, 0.2, 0.1, 0.1],
                    "raw_classifications": {"classes": [LEOPARD, FELID], "scores": [0.6, 0.3]},
                },
                {"category": "3", "label": "vehicle", "conf": 0.05, "bbox": [0.5, 0.5, 0.25, 0.1]},
            ],
            "model_version": "4.0.3a",
        }
    ],
}  # fmt: skip


def written(tmp_path, data, encoding="utf-8"):
    path = tmp_path / "results.json"
    path.write_bytes((data if isinstance(data, str) else json.dumps(data)).encode(encoding))
    return path


def reading(tmp_path, data):
    return read_results(written(tmp_path, data))


def codes(notes):
    return [note.code for note in notes]


def image(**values):
    """Return MegaDetector's results of one photo, with one animal changed by `values`."""
    one = {"category": "1", "conf": 0.5, "bbox": [0.1, 0.2, 0.3, 0.4]} | values
    return MEGADETECTOR | {"images": [{"file": "a.jpg", "detections": [one]}]}


def photo(name, *boxes, size=None):
    return PhotoResult(name, tuple(ObjectResult(box, "animal", 0.5) for box in boxes), image_size=size)


def results(*names):
    return Results("MegaDetector", "1.6", "", "", {name: photo(name) for name in names})


# MegaDetector


def test_megadetector_is_read(tmp_path):
    found = reading(tmp_path, MEGADETECTOR)
    assert (found.program, found.version) == ("MegaDetector", "1.6")
    assert (found.detector, found.classifier) == ("md_v5a.0.0.pt", "leopards.pt")
    assert list(found.photos) == ["cam1/IMG_0001.JPG", "cam1/empty.jpg", "cam2/bad.jpg", "cam2/worse.jpg"]
    assert found.photos["cam1/IMG_0001.JPG"] == PhotoResult(
        "cam1/IMG_0001.JPG",
        (
            ObjectResult(
                (0.0, 0.25, 0.1, 0.5),
                "animal",
                0.926,
                (
                    Species("snow leopard", 0.9, "animalia;chordata;mammalia;carnivora;felidae;pantherauncia"),
                    Species("fox", 0.07),
                ),
            ),
            ObjectResult((0.5, 0.5, 0.25, 0.1), "vehicle", 0.5),
        ),
        image_size=(2000, 1000),
    )
    assert found.photos["cam1/empty.jpg"] == PhotoResult("cam1/empty.jpg")
    assert found.photos["cam2/bad.jpg"].failure == "Failure image access"
    assert found.photos["cam2/worse.jpg"].failure == "Failure inference"
    assert codes(found.notes) == ["videos-in-results"]
    assert "1 video" in str(found.notes[0])
    assert "cam2/clip.mp4" in str(found.notes[0])


@pytest.mark.parametrize("version", ["1.0", 1.0, 1, "1.1", 1.2, "1.3", 1.4, "1.5", "1.6", 1.6])
def test_every_version_of_the_format_is_read(version, tmp_path):
    old = copy.deepcopy(MEGADETECTOR)
    old["info"]["format_version"] = version
    old["images"][0]["max_detection_conf"] = 0.926
    found = reading(tmp_path, old)
    assert found.version == f"{float(version):.1f}"
    assert found.photos == reading(tmp_path, MEGADETECTOR).photos


@pytest.mark.parametrize(
    ("version", "match"),
    [
        ("1.7", "a later format; supported are 1.0 to 1.6"),
        ("1.10", "a later format; supported are 1.0 to 1.6"),
        (2.0, "a later format"),
        ("0.9", "an earlier format"),
        (None, "expected the version"),
        ("new", "expected the version"),
        (True, "expected the version"),
        ("-1.0", "expected the version"),
    ],
)
def test_other_versions_are_refused(version, match, tmp_path):
    later = MEGADETECTOR | {"info": {"format_version": version}}
    with pytest.raises(SnowmatchError, match=match) as caught:
        reading(tmp_path, later)
    assert repr(version) in str(caught.value)


def test_a_file_that_names_no_detector_gives_a_note(tmp_path):
    found = reading(tmp_path, MEGADETECTOR | {"info": {"format_version": "1.0"}})
    assert found.detector == ""
    assert "detector-not-named" in codes(found.notes)
    metadata = {"format_version": "1.2", "detection_metadata": {"megadetector_version": "v5a.0.0"}}
    assert reading(tmp_path, MEGADETECTOR | {"info": metadata}).detector == "v5a.0.0"


OTHERS = ("DeepFaune v1.3", "SpeciesNet v4.0.1a", "AddaxAI detector v2", "CamD 3")


@pytest.mark.parametrize("name", ["megadetector_v4.1", "md_v4.1.0.pb", "v3", "MDv4", "MegaDetector 4"])
def test_confidences_of_a_detector_before_version_5_give_a_note(name, tmp_path):
    found = reading(tmp_path, MEGADETECTOR | {"info": {"format_version": "1.2", "detector": name}})
    (note,) = [note for note in found.notes if note.code == "detector-before-5"]
    assert f"the results are of {name}" in note.text
    for later in ("md_v5a.0.0.pt", "MDV5A", "v1000-redwood", "v5b.0.1", "our v40", *OTHERS):
        found = reading(tmp_path, MEGADETECTOR | {"info": {"format_version": "1.2", "detector": later}})
        assert "detector-before-5" not in codes(found.notes)


def test_a_category_that_is_not_listed_is_no_detection(tmp_path):
    found = reading(tmp_path, image(category="9"))
    assert found.photos["a.jpg"] == PhotoResult("a.jpg")
    assert codes(found.notes) == ["unknown-categories"]
    found = reading(tmp_path, image(classifications=[["9", 0.5], ["0", 0.25]]))
    assert [s.name for s in found.photos["a.jpg"].detections[0].species] == ["fox"]
    assert codes(found.notes) == ["unknown-species"]


def test_a_photo_without_a_result_never_counts_as_empty(tmp_path):
    entries = [
        {"file": "absent.jpg"},
        {"file": "null.jpg", "detections": None, "failure": None},
        {"file": "both.jpg", "failure": "Failure", "detections": image()["images"][0]["detections"]},
    ]
    found = reading(tmp_path, MEGADETECTOR | {"images": entries})
    assert all(p.failure and not p.detections for p in found.photos.values())
    assert codes(found.notes) == ["failures-with-detections"]


# SpeciesNet


def test_speciesnet_4_is_read(tmp_path):
    found = reading(tmp_path, SPECIESNET4)
    assert (found.program, found.version, found.detector) == ("SpeciesNet", "4", "SpeciesNet 4.0.1a")
    first = found.photos["C:/survey/cam1/IMG_0001.JPG"]
    assert first.detections == (
        ObjectResult((0.0, 0.25, 0.1, 0.5), "animal", 0.9),
        ObjectResult((0.5, 0.5, 0.25, 0.1), "person", 0.3),
    )
    assert first.species == (Species("felidae", 0.81, FELID),)
    assert found.photos["C:/survey/cam1/empty.jpg"] == PhotoResult("C:/survey/cam1/empty.jpg")
    assert found.photos["C:/survey/cam1/bad.jpg"].failure == "failed: CLASSIFIER, DETECTOR"
    assert found.photos["C:/survey/cam1/worse.jpg"].failure == "failed: DETECTOR"
    classified = found.photos["C:/survey/cam1/classified.jpg"]
    assert classified.species == (Species("snow leopard", 0.6, LEOPARD),)
    assert "no detections" in classified.failure
    assert not found.photos["C:/survey/cam1/half.jpg"].failure
    assert codes(found.notes) == ["parts-failed"]


def test_speciesnet_5_is_read(tmp_path):
    found = reading(tmp_path, SPECIESNET5)
    assert (found.program, found.version, found.detector) == ("SpeciesNet", "20261015", "SpeciesNet 4.0.3a")
    (only,) = found.photos.values()
    assert only.species == (Species("snow leopard", 0.4, LEOPARD),)
    assert only.detections == (
        ObjectResult((0.0, 0.25, 0.1, 0.5), "animal", 0.9, (Species("snow leopard", 0.77, LEOPARD),)),
        ObjectResult(
            (0.2, 0.2, 0.1, 0.1),
            "animal",
            0.5,
            (Species("snow leopard", 0.6, LEOPARD), Species("felidae", 0.3, FELID)),
        ),
        ObjectResult((0.5, 0.5, 0.25, 0.1), "vehicle", 0.05),
    )
    assert not found.notes


@pytest.mark.parametrize("version", ["20270101", "1.6", 20261015, "", "2026101a"])
def test_other_versions_of_speciesnet_are_refused(version, tmp_path):
    with pytest.raises(SnowmatchError, match="'20261015'"):
        reading(tmp_path, SPECIESNET5 | {"info": {"format_version": version}})


def test_labels_of_speciesnet(tmp_path):
    box = {"conf": 0.5, "bbox": [0.1, 0.2, 0.3, 0.4]}
    entry = {
        "filepath": "a.jpg",
        "detections": [box | {"category": "2"}, box | {"category": "9", "label": "kite"}, box],
    }
    found = reading(tmp_path, {"predictions": [entry]})
    assert sorted(d.label for d in found.photos["a.jpg"].detections) == ["kite", "person"]
    assert codes(found.notes) == ["unknown-categories"]


# Files that cannot be read

WHOLE = json.dumps(MEGADETECTOR)


@pytest.mark.parametrize("text", [WHOLE[:-1], WHOLE[: len(WHOLE) // 2], "", "{", "not JSON", "\0" * 20])
def test_half_a_file_is_refused(text, tmp_path):
    with pytest.raises(SnowmatchError, match=r"results\.json is not complete JSON .* half a file"):
        reading(tmp_path, text)


@pytest.mark.parametrize(
    ("data", "match"),
    [
        ([], "it is a JSON list"),
        (3, "it is a JSON int"),
        ({}, "nothing in it"),
        ({"images": []}, "another JSON file, with 'images'"),
        ({"images": [], "annotations": [], "categories": []}, "COCO"),
        ({"annotations": [{"img_id": "a.jpg"}], "categories": []}, "PytorchWildlife"),
        ({"predictions": {}}, "another JSON file"),
        (MEGADETECTOR | {"images": {}}, "images is dict, expected a list"),
        (MEGADETECTOR | {"info": []}, "info is list, expected an object"),
        (MEGADETECTOR | {"detection_categories": {"1": 2}}, "expected names by number"),
        (MEGADETECTOR | {"images": ["a.jpg"]}, "expected a list of objects"),
        (MEGADETECTOR | {"images": [{}]}, "photo 1: file is None, expected a text"),
        (MEGADETECTOR | {"images": [{"file": "a.jpg", "detections": {}}]}, "photo a.jpg: detections is dict"),
        (MEGADETECTOR | {"images": [{"file": "a.jpg", "detections": [], "width": 0, "height": 5}]}, "width and height"),
        (image(classifications=["0", 0.5]), "expected pairs"),
        ({"predictions": [{"filepath": ""}]}, "photo 1: filepath is ''"),
        ({"predictions": [{"filepath": "a.jpg", "failures": "DETECTOR"}]}, "expected a list"),
        ({"predictions": [{"filepath": "a", "classifications": {"classes": [FELID], "scores": []}}]}, "one length"),
        ({"predictions": [{"filepath": "a", "prediction": FELID, "prediction_score": 2}]}, "score of a classification"),
    ],
)
def test_other_files_are_refused_with_what_they_are(data, match, tmp_path):
    with pytest.raises(SnowmatchError, match=match) as caught:
        reading(tmp_path, data)
    assert "results.json" in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("value", [1.2, -0.1, "0.5", None, True, float("nan"), float("inf"), 10**400, [0.5]])
def test_a_confidence_out_of_range_is_refused_with_its_photo(value, tmp_path):
    for data in (image(conf=value), image(classifications=[["0", value]])):
        with pytest.raises(SnowmatchError, match=r"photo a\.jpg: conf.* expected a number from 0 to 1"):
            reading(tmp_path, data)


def test_a_confidence_that_is_rounded_up_is_accepted(tmp_path):
    assert reading(tmp_path, image(conf=1.0000001)).photos["a.jpg"].detections[0].confidence == 1.0


@pytest.mark.parametrize(
    "box",
    [
        [0.1, 0.2, 0.3],
        [0.1, 0.2, 0.3, 0.4, 0.5],
        [],
        None,
        {"x": 1},
        ["0.1", 0.2, 0.3, 0.4],
        [0.1, 0.2, float("nan"), 0.4],
        [0.1, 0.2, -0.3, 0.4],
        [100, 200, 300, 400],
        [0.9, 0.2, 0.9, 0.4],
        [True, 0, 0.5, 0.5],
    ],
)
def test_a_wrong_box_is_refused_with_its_photo(box, tmp_path):
    speciesnet = {"predictions": [{"filepath": "a.jpg", "detections": [{"category": "1", "conf": 0.5, "bbox": box}]}]}
    for data in (image(bbox=box), speciesnet):
        with pytest.raises(SnowmatchError, match=r"photo a\.jpg: bbox is .* expected the numbers x, y, width, height"):
            reading(tmp_path, data)


def test_encodings(tmp_path):
    assert read_results(written(tmp_path, MEGADETECTOR, "utf-8-sig")) == reading(tmp_path, MEGADETECTOR)
    cyrillic = MEGADETECTOR | {"images": [{"file": "ущелье/кадр.jpg", "detections": []}]}
    path = written(tmp_path, json.dumps(cyrillic, ensure_ascii=False))
    assert list(read_results(path).photos) == ["ущелье/кадр.jpg"]
    with pytest.raises(SnowmatchError, match="not text in UTF-8"):
        read_results(written(tmp_path, json.dumps(cyrillic, ensure_ascii=False), "utf-16"))


def test_files_that_are_not_there_or_endless(tmp_path):
    with pytest.raises(SnowmatchError, match="cannot be read"):
        read_results(tmp_path / "nothing.json")
    with pytest.raises(SnowmatchError, match="cannot be read"):
        read_results(tmp_path)
    for text in ("[" * 200_000, '{"images": ' + "1" * 5000 + "}"):
        with pytest.raises(SnowmatchError, match=r"results\.json"):
            reading(tmp_path, text)


# The order of the photos, and photos that occur twice


@given(st.data())
def test_the_order_of_the_photos_does_not_matter(tmp_path_factory, data):
    folder = tmp_path_factory.mktemp("order")
    for whole, key in ((MEGADETECTOR, "images"), (SPECIESNET4, "predictions")):
        entries = whole[key] + [whole[key][1], {"file": "cam1/empty.jpg", "filepath": "x", "failure": "other"}]
        first = reading(folder, whole | {key: entries})
        mixed = reading(folder, whole | {key: data.draw(st.permutations(entries))})
        assert mixed == first
        assert list(mixed.photos) == list(first.photos)


def test_a_photo_that_occurs_twice_counts_once_if_both_say_the_same(tmp_path):
    entry = MEGADETECTOR["images"][0]
    other = entry | {"file": "cam1/IMG_0001.JPG"}
    assert len(reading(tmp_path, MEGADETECTOR | {"images": [entry, other]}).photos) == 1
    found = reading(tmp_path, MEGADETECTOR | {"images": [entry, other | {"detections": []}]})
    assert not found.photos
    assert codes(found.notes) == ["results-contradict"]
    assert "cam1/IMG_0001.JPG" in str(found.notes[0])


def test_no_photos_is_no_error(tmp_path):
    found = reading(tmp_path, MEGADETECTOR | {"images": []})
    assert not found.photos
    assert for_photos(found, ["a.jpg"]).photos == {}


# Pairs of results and photos


def test_the_same_path_comes_first():
    paired = for_photos(results("./cam1/a.jpg", "a.jpg"), ["a.jpg", "cam1/a.jpg"])
    assert {path: r.file for path, r in paired.photos.items()} == {"a.jpg": "a.jpg", "cam1/a.jpg": "./cam1/a.jpg"}
    assert not paired.notes


@pytest.mark.parametrize(
    ("file", "path"),
    [
        ("C:/survey/photos/cam1/a.jpg", "cam1/a.jpg"),
        ("a.jpg", "photos/cam1/a.jpg"),
        ("./cam1/a.jpg", "cam1/a.jpg"),
        (unicodedata.normalize("NFD", "Йети/a.jpg"), unicodedata.normalize("NFC", "Йети/a.jpg")),
        (unicodedata.normalize("NFD", "D:/x/Йети/a.jpg"), unicodedata.normalize("NFC", "Йети/a.jpg")),
    ],
)
def test_one_path_may_end_with_the_other(file, path):
    paired = for_photos(results(file), [path])
    assert {p: r.file for p, r in paired.photos.items()} == {path: file}
    assert not paired.notes


def test_a_name_that_fits_several_is_never_guessed():
    paired = for_photos(results("a.jpg", "b.jpg"), ["cam1/a.jpg", "cam2/a.jpg", "cam1/b.jpg"])
    assert list(paired.photos) == ["cam1/b.jpg"]
    assert codes(paired.notes) == ["results-ambiguous"]
    assert "2 photos" in str(paired.notes[0])
    paired = for_photos(results("x/cam1/a.jpg", "y/cam1/a.jpg", "x/b.jpg"), ["cam1/a.jpg", "b.jpg"])
    assert list(paired.photos) == ["b.jpg"]
    assert codes(paired.notes) == ["results-ambiguous"]
    assert not for_photos(results("x/cam1/a.jpg"), ["cam1/a.jpg", "a.jpg"]).photos


def test_a_part_of_a_name_is_no_end_of_a_path():
    with pytest.raises(SnowmatchError, match="none of the 1 photo"):
        for_photos(results("cam1/IMG_a.jpg"), ["a.jpg"])


def test_photos_and_results_without_a_partner_are_listed():
    paired = for_photos(results("a.jpg", "b.jpg"), ["b.jpg", "c.jpg"])
    assert list(paired.photos) == ["b.jpg"]
    assert codes(paired.notes) == ["photos-without-result", "results-without-photo"]
    assert "c.jpg" in str(paired.notes[0])
    assert "a.jpg" in str(paired.notes[1])


def test_results_of_other_photos_are_refused():
    with pytest.raises(SnowmatchError, match=r"none of the 2 photos .*'x/1\.jpg', the catalog has 'y/3\.jpg'"):
        for_photos(results("x/1.jpg", "x/2.jpg"), ["y/3.jpg"])
    assert for_photos(results("x/1.jpg"), []).photos == {}


NAMES = st.lists(st.text("ab/", min_size=1, max_size=5).map(lambda t: f"{t}x"), unique=True, max_size=8)


@given(NAMES, NAMES, st.randoms(use_true_random=False))
def test_pairs_are_one_to_one_and_do_not_depend_on_the_order(files, paths, random):
    found = results(*files)
    try:
        paired = for_photos(found, paths)
    except SnowmatchError:
        ends = [(f, p) for f in files for p in paths if f"/{f}".endswith(f"/{p}") or f"/{p}".endswith(f"/{f}")]
        assert not ends
        return
    used = [r.file for r in paired.photos.values()]
    assert len(set(used)) == len(used)
    assert set(files) & set(paths) <= set(paired.photos)
    for path, one in paired.photos.items():
        assert path == one.file or path.endswith(f"/{one.file}") or one.file.endswith(f"/{path}")
    random.shuffle(files)
    random.shuffle(paths)
    assert for_photos(results(*files), paths) == paired


def test_many_photos_of_one_name_take_no_quadratic_step():
    count = 20_000  # compared with each other, these would be 400 million pairs
    paths = [f"cam{n}/IMG_0001.JPG" for n in range(count)]
    paired = for_photos(results(*(f"D:/survey/{path}" for path in paths)), paths)
    assert len(paired.photos) == count
    assert not paired.notes


# Boxes in pixels

SIDE = st.integers(1, 5000)


def in_pixels(result, size):
    tally = Tally()
    return detections_of(result, size, tally), tally.notes(TEXTS)


@given(SIDE, SIDE, st.data())
def test_a_box_in_pixels_comes_back_from_its_shares(width, height, data):
    x0, x1 = sorted(data.draw(st.lists(st.integers(0, width), min_size=2, max_size=2, unique=True)))
    y0, y1 = sorted(data.draw(st.lists(st.integers(0, height), min_size=2, max_size=2, unique=True)))
    box = (x0 / width, y0 / height, (x1 - x0) / width, (y1 - y0) / height)
    found, notes = in_pixels(photo("a.jpg", box), (width, height))
    assert found == (Detection((x0, y0, x1 - x0, y1 - y0), "animal", 0.5),)
    assert not notes


SHARE = st.floats(-0.5, 1.5)


@given(st.lists(st.tuples(SHARE, SHARE, st.floats(0, 1), st.floats(0, 1)), max_size=5), SIDE, SIDE)
def test_boxes_lie_inside_the_photo_and_none_is_lost_in_silence(boxes, width, height):
    found, notes = in_pixels(photo("a.jpg", *boxes), (width, height))
    for one in found:
        x, y, w, h = one.bbox
        assert 0 <= x < x + w <= width
        assert 0 <= y < y + h <= height
    assert (len(found) < len(boxes)) == ("empty-boxes" in codes(notes))


def test_boxes_without_an_area_are_counted():
    found, notes = in_pixels(photo("a.jpg", (0.5, 0.5, 0, 0.2), (0.1, 0.1, 1e-5, 1e-5), (0, 0, 1, 1)), (640, 480))
    assert [d.bbox for d in found] == [(0, 0, 640, 480)]
    assert codes(notes) == ["empty-boxes"]
    assert notes[0].text == "2 detections without an area left out: a.jpg"


def test_boxes_that_reach_beyond_the_photo_are_cut_off_and_noted():
    found, notes = in_pixels(photo("a.jpg", (-0.1, 0, 0.3, 1.001)), (100, 100))
    assert [d.bbox for d in found] == [(0, 0, 20, 100)]
    assert codes(notes) == ["boxes-beyond-photo"]
    assert not in_pixels(photo("a.jpg", (-0.001, 0, 0.3, 1.001)), (100, 100))[1]


def test_a_photo_of_another_shape_gives_no_boxes_but_a_note():
    turned = photo("a.jpg", (0, 0, 0.5, 0.5), size=(4000, 3000))
    found, notes = in_pixels(turned, (3000, 4000))
    assert found is None
    assert codes(notes) == ["results-turned"]
    assert notes[0].text.endswith("upright photos: a.jpg (4000 x 3000 px, upright 3000 x 4000)")
    found, notes = in_pixels(turned, (1920, 1080))
    assert found is None
    assert codes(notes) == ["results-of-other-size"]
    found, notes = in_pixels(turned, (1999, 1500))  # a smaller copy: shares of the photo stay the same
    assert [d.bbox for d in found] == [(0, 0, 1000, 750)]
    assert not notes
