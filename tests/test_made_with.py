"""Features of other weights have the same keys: what was made from the earlier features is not used any more."""

import shutil

import cv2
import numpy as np
import pytest
from PIL import Image

import snowmatch
from snowmatch.confidence.file import CalibrationFile, MethodCalibration
from snowmatch.core.errors import SnowmatchError
from snowmatch.core.home import features_path, indexes_path
from snowmatch.core.types import Features
from snowmatch.core.version import __version__
from snowmatch.features.extractors.sift import Sift
from snowmatch.identify.compact import compact_catalog
from snowmatch.matching.search import inverted_file
from snowmatch.review.batch import run_batch


@pytest.fixture
def weights(monkeypatch):
    """Let sift be a network: its weights tell how far its descriptors are turned."""
    monkeypatch.setattr(inverted_file, "EXHAUSTIVE_ROWS", 20)
    used, extract = ["a" * 64], Sift.extract

    def turned(self, chip):
        f = extract(self, chip)
        descriptors = np.roll(f.descriptors, 40 * (used[0] != "a" * 64), axis=1)
        return Features(f.keypoints, descriptors, f.scores, f.scales, f.oris, f.shapes, f.image_size)

    monkeypatch.setattr(Sift, "extract", turned)
    monkeypatch.setattr(Sift, "weights_content", lambda self: used[0], raising=False)
    return used


@pytest.fixture
def catalog(tmp_path, weights):
    folder = tmp_path / "catalog"
    folder.mkdir()
    for n in range(8):
        noise = cv2.GaussianBlur(np.random.default_rng(n).integers(0, 256, (200, 200), np.uint8), None, 2)
        Image.fromarray(cv2.equalizeHist(noise)).convert("RGB").save(folder / f"{n}.png")
    rows = [f'{n}.png,{f"aika{n}" if n < 7 else ""},left_flank,"0,0,200,200"\n' for n in range(8)]
    (folder / "catalog.csv").write_text("path,individual,body_part,bbox\n" + "".join(rows))
    moved = np.roll(np.array(Image.open(folder / "3.png")), 70, axis=1)  # else it would be of the same passage
    Image.fromarray(moved).save(tmp_path / "query.png")
    opened = snowmatch.open_catalog(folder, classifier="none")
    opened.index(extractor="sift", options={"max_features": "200"}, workers=1)
    return opened


def score(catalog):
    """Return the score of the animal of the query, which is the first answer."""
    photo = catalog.folder.parent / "query.png"
    first = catalog.query(photo, extractor="sift", body_part="left_flank", bbox=(0, 0, 200, 200)).candidates[0]
    return first.individual, first.score


def remove_features(catalog):
    """Do what the error says."""
    (folder,) = features_path(catalog.folder).iterdir()
    shutil.rmtree(folder)


@pytest.mark.parametrize("opened_again", [True, False])
def test_search_indexes_of_other_weights_are_not_used(catalog, weights, opened_again):
    before = score(catalog)
    assert before[0] == "aika3"
    assert before[1] > 20
    weights[0] = "b" * 64
    with pytest.raises(SnowmatchError, match="remove this folder and index again"):
        score(catalog)
    remove_features(catalog)
    if opened_again:
        catalog = snowmatch.open_catalog(catalog.folder, classifier="none")
    catalog.index(extractor="sift", options={"max_features": "200"}, workers=1)
    name, now = score(catalog)
    assert name == "aika3"
    assert now == pytest.approx(before[1], rel=0.1)
    (index,) = indexes_path(catalog.folder).iterdir()  # that of the other weights is gone
    assert index.name.endswith("-" + "b" * 16)


def test_search_indexes_are_compacted_where_they_are(catalog):
    assert list(indexes_path(catalog.folder).rglob("*.faiss"))
    (own,) = indexes_path(catalog.folder).iterdir()
    other = own.with_name(own.name.rpartition("-")[0])  # of features without a note of weights
    shutil.copytree(own, other)
    compact_catalog(catalog.folder)
    assert not list(indexes_path(catalog.folder).rglob("*.faiss"))
    assert not other.exists()


def test_answers_of_a_batch_and_calibrations_are_of_one_file_of_weights(catalog, weights):
    def asked():
        return run_batch(catalog, extractor="sift")

    first = asked()
    assert "answers-kept" in [note.code for note in asked().notes]
    method = catalog.method(extractor="sift")
    learned = MethodCalibration(method.extractor, method.matching, __version__, 0, {})
    remove_features(catalog)
    weights[0] = "b" * 64
    catalog.index(extractor="sift", options={"max_features": "200"}, workers=1)
    assert "answers-kept" not in [note.code for note in asked().notes]
    assert len(first.rows) == 1
    other = catalog.method(extractor="sift")
    assert CalibrationFile().put(learned).of(other.extractor, other.matching) is None
    assert other.matching["made_with"] == ["sift " + "b" * 16]
