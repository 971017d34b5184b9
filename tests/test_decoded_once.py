"""An index run decodes a photo once for its fingerprint and all maps, and once for its features."""

import shutil
from collections import Counter

import cv2
import numpy as np
import pytest
from drawn_scenes import make_survey
from fake_extractor import Fake
from PIL import Image

from snowmatch.catalog.records import load_records
from snowmatch.core.executor import open_pool
from snowmatch.core.home import home_of
from snowmatch.features.indexing import index_catalog
from snowmatch.photos import pixels
from snowmatch.photos.likeness import DECODED
from snowmatch.photos.pixels import read_grey, read_greys
from snowmatch.screening import mapping, previews, scenes
from snowmatch.screening.maps import KEY, load_maps
from snowmatch.screening.previews import Previews, decoded
from snowmatch.screening.scenery import PREVIEW
from snowmatch.screening.scenes import Companions


@pytest.fixture
def data(tmp_path):
    scenes.kept_preview.cache_clear()
    return make_survey(tmp_path / "catalog")


@pytest.fixture
def decodings(monkeypatch):
    """Return how often this process decodes each photo. It keeps no preview by itself."""
    count, real = Counter(), pixels._decoded
    monkeypatch.setattr(
        pixels, "_decoded", lambda image, path, *of: count.update([path.name]) or real(image, path, *of)
    )
    monkeypatch.setattr(scenes, "kept_preview", scenes.kept_preview.__wrapped__)
    return count


def contents_of(data):
    return {path: known.sha256 for path, known in load_records(data.folder).photos.items()}


def maps_of(data):
    entries = load_maps(data.folder, [content[:KEY] for content in contents_of(data).values()])
    return {key: (mark, None if found is None else found.values.tobytes()) for key, (mark, found) in entries.items()}


def test_a_photo_is_decoded_once_to_be_known_and_seen_and_once_for_its_features(data, decodings):
    assert index_catalog(data, Fake(), 1).mapped == 12
    assert set(decodings.values()) == {2}
    assert len(decodings) == 12


def test_a_photo_that_is_known_is_decoded_once_for_all_maps(data, decodings):
    index_catalog(data, Fake(), 1)
    contents = contents_of(data)
    shutil.rmtree(home_of(data.folder))
    decodings.clear()
    assert mapping.update_maps(data.folder, data.annotations, contents, {}, 1) == 12
    assert set(decodings.values()) == {1}


def test_previews_that_do_not_fit_are_decoded_again_and_the_maps_are_equal(data, decodings, monkeypatch):
    index_catalog(data, Fake(), 1)
    whole = maps_of(data)
    assert any(values for _, values in whole.values())
    shutil.rmtree(home_of(data.folder))
    decodings.clear()
    monkeypatch.setattr(previews, "KEPT_BYTES", 100_000)
    index_catalog(data, Fake(), 1)
    assert max(decodings.values()) > 2
    assert maps_of(data) == whole


def test_workers_get_the_previews_of_all_photos_and_give_the_same_maps(data, monkeypatch):
    index_catalog(data, Fake(), 1)
    whole = maps_of(data)
    shutil.rmtree(home_of(data.folder))
    given = []

    def seen_through(pool, to_do, held):
        for key, greys in decoded(pool, to_do, held):
            given.append((to_do[key], greys))
            yield key, greys

    monkeypatch.setattr(mapping, "decoded", seen_through)
    index_catalog(data, Fake(), 2)
    assert maps_of(data) == whole
    assert len(given) == 12
    for seen, greys in given:
        assert len(greys) == len(seen.photos) > 1
        for (path, _), grey in zip(seen.photos, greys, strict=True):
            assert np.array_equal(grey, scenes.make_preview(read_grey(data.folder / path, PREVIEW)).grey)


def test_a_preview_is_kept_from_its_first_to_its_last_use(data):
    photos = [(a.path, str(n)) for n, a in enumerate(data.annotations)]
    to_do = {str(n): Companions(photos[n], (photos[n + 1],), ()) for n in range(6)}
    held = Previews()
    with open_pool(1, (data.folder, None)) as pool:
        for number, (key, greys) in enumerate(decoded(pool, to_do, held)):
            assert key == str(number)
            assert all(grey is not None for grey in greys)
            assert [n for n in range(12) if held.get(str(n)) is not None] == [number, number + 1]
    assert [n for n in range(12) if held.get(str(n)) is not None] == []


def test_a_photo_that_cannot_be_read_has_no_preview(data):
    (data.folder / data.annotations[1].path).write_bytes(b"no photo")
    photos = [(a.path, str(n)) for n, a in enumerate(data.annotations[:2])]
    with open_pool(1, (data.folder, None)) as pool:
        ((_, greys),) = decoded(pool, {"0": Companions(photos[0], (photos[1],), ())}, Previews())
    assert greys[0] is not None
    assert greys[1] is None


SIZES = [(1280, 960), (1919, 1439), (1920, 1440), (2048, 1536), (1024, 3000), (250, 100), (120, 90), (9, 2500)]


@pytest.mark.slow
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("ending", ["jpg", "png"])
def test_a_larger_copy_of_the_same_decoding_is_equal_to_one_that_is_read_alone(tmp_path, size, ending):
    coarse = np.random.default_rng(3).integers(0, 256, (size[1] // 9 + 1, size[0] // 9 + 1, 3), dtype=np.uint8)
    photo, path = cv2.resize(coarse, size), tmp_path / f"photo.{ending}"
    Image.fromarray(photo).save(path, exif=Image.Exif())
    small, larger = read_greys(path, DECODED, PREVIEW)
    assert np.array_equal(small, read_grey(path, DECODED))
    same = np.array_equal(read_grey(path, PREVIEW), small)
    assert (larger is not None) == same == (ending == "png" or max(size) >= 1920 or max(size) < 256)
    assert larger is None or np.array_equal(larger, read_grey(path, PREVIEW))


def test_both_copies_are_upright(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(np.zeros((2000, 3000, 3), np.uint8)).save(tmp_path / "photo.jpg", exif=exif)
    small, larger = read_greys(tmp_path / "photo.jpg", DECODED, PREVIEW)
    assert small.shape == larger.shape == (375, 250)
