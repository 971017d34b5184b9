"""Foreground maps: which photos are compared, what a map is, and the small grey copies it is made of."""

import dataclasses
import hashlib
import random
from collections import Counter
from datetime import timedelta

import cv2
import numpy as np
import pytest
from drawn_scenes import NOON, grey_file, note
from PIL import Image
from test_scenery import PLACES, animal_area, rocks, take

from snowmatch.core.errors import SnowmatchError
from snowmatch.photos.pixels import read_grey, read_photo
from snowmatch.screening.scenery import PREVIEW, make_preview
from snowmatch.screening.scenes import CELL, MOST, Companions, Finders, companions, look, make_map


def contents(annotations):
    return {a.path: f"sha-{a.path}" for a in annotations}


def planned(annotations, known=None):
    """Return the companions by path: {path: (burst paths, station paths)}."""
    found = companions(annotations, contents(annotations) if known is None else known)
    return {c.photo[0]: (sorted(path for path, _ in c.burst), sorted(path for path, _ in c.station)) for c in found}


# --- companions -------------------------------------------------------------------------------------------------------


def test_companions_are_frames_of_the_passage_and_photos_of_the_stations_other_passages():
    annotations = [note("a1"), note("a2"), note("b1", encounter="E2"), note("c1", encounter="E3", station="S2")]
    assert planned(annotations) == {
        "a1": (["a2"], ["b1"]),
        "a2": (["a1"], ["b1"]),
        "b1": ([], ["a1", "a2"]),
        "c1": ([], []),
    }


def test_a_station_belongs_to_its_location_and_an_empty_name_is_no_station():
    annotations = [
        note("a"),
        note("b", encounter="E2", location="sarychat"),
        note("c", encounter="E3", station=""),
        note("d", encounter="E4", station=""),
        note("e", encounter="E5"),
    ]
    assert planned(annotations) == {"a": ([], ["e"]), "b": ([], []), "c": ([], []), "d": ([], []), "e": ([], ["a"])}


def test_a_copy_of_the_photo_in_its_own_burst_is_no_companion():
    annotations = [note("a"), note("copy"), note("b")]
    known = {"a": "1", "copy": "1", "b": "2"}
    assert planned(annotations, known)["a"] == (["b"], [])
    assert planned(annotations, known)["copy"] == (["b"], [])


def test_a_copy_of_the_photo_in_another_encounter_is_no_companion():
    annotations = [note("a"), note("copy", encounter="E2"), note("b", encounter="E3")]
    known = {"a": "1", "copy": "1", "b": "2"}
    assert planned(annotations, known)["a"] == ([], ["b"])
    assert planned(annotations, known)["copy"] == ([], ["b"])


def test_only_photos_without_a_mask_have_companions_but_all_photos_are_companions():
    annotations = [
        note("a"),
        note("box", bbox=(1, 2, 3, 4)),
        note("mask", mask="m.png"),
        note("two", mask="n.png"),
    ]
    annotations += [note("two"), note("two"), note("visit", encounter="E2", mask="o.png")]
    assert planned(annotations) == {
        "a": (["box", "mask", "two"], ["visit"]),
        "box": (["a", "mask", "two"], ["visit"]),
        "two": (["a", "box", "mask"], ["visit"]),
        "mask": ([], []),
        "visit": ([], []),
    }
    assert {c.photo[0] for c in companions(annotations, contents(annotations)) if c.masked} == {"mask", "visit"}


def test_photos_that_could_not_be_read_have_no_companions_and_are_none():
    annotations = [note("a"), note("bad"), note("b")]
    assert planned(annotations, {"a": "1", "b": "2"}) == {"a": (["b"], []), "b": (["a"], [])}
    assert planned(annotations, {}) == {}


def test_the_order_of_the_rows_changes_no_companions():
    annotations = [note(f"{n:02}", timestamp=NOON + timedelta(seconds=50 - n)) for n in range(6)]
    annotations.append(note("undated"))
    shuffled = random.Random(0).sample(annotations, len(annotations))
    assert companions(shuffled, contents(annotations)) == companions(annotations, contents(annotations))


def many(count):
    """Return a burst of 40 photos, and `count` visits of one photo each."""
    return [note(f"{n:03}") for n in range(40)] + [note(f"v{n:03}", encounter=f"V{n}") for n in range(count)]


def test_of_many_photos_only_a_few_are_companions():
    for found in companions(many(100), contents(many(100))):
        own = found.photo[0]
        assert len({path for path, _ in found.burst}) == (MOST if not own.startswith("v") else 0)
        assert len({path for path, _ in found.station}) == MOST == 8
        assert own not in {path for path, _ in (*found.burst, *found.station)}


def test_every_photo_is_a_companion_of_some_and_a_new_one_changes_few():
    hashed = {a.path: hashlib.sha256(a.path.encode()).hexdigest() for a in many(101)}
    before, after = ({c.photo[0]: c for c in companions(many(n), hashed)} for n in (100, 101))
    told = Counter(path for c in after.values() for path, _ in c.station)
    assert set(told) == set(after)
    changed = [path for path, c in before.items() if c != after[path]]
    assert 0 < len(changed) <= 2 * MOST + 40  # its neighbours, and photos next to the burst before it
    assert set(after) - set(before) == {"v100"}


def test_names_of_individuals_have_no_effect():
    annotations = [note(f"{n}", encounter=f"E{n % 3}") for n in range(9)]
    named = [dataclasses.replace(a, individual=f"cat{n % 2}", body_part="head") for n, a in enumerate(annotations)]
    assert companions(annotations, contents(annotations)) == companions(named, contents(named))


def test_the_mark_depends_only_on_the_contents_of_photos_and_the_classifier():
    whole = Companions(("a", "1"), (("b", "2"), ("c", "3")), (("d", "4"),))
    renamed = Companions(("A", "1"), (("B", "2"), ("C", "3")), (("D", "4"),))
    others = [
        Companions(("a", "9"), whole.burst, whole.station),
        Companions(whole.photo, (("b", "9"), ("c", "3")), whole.station),
        Companions(whole.photo, whole.burst, (("d", "9"),)),
        Companions(whole.photo, whole.burst[:1], whole.station),
        Companions(whole.photo, whole.burst, ()),
        Companions(whole.photo, whole.burst[:1], (("c", "3"), *whole.station)),
    ]
    assert whole.mark("") == renamed.mark("")
    marks = {c.mark("") for c in (whole, *others)} | {whole.mark("other")}
    assert len(marks) == len(others) + 2
    masked = Companions(("a", "1"), (), (), masked=True)
    assert masked.mark("") == masked.mark("other")  # the classifier does not see the photo
    assert all(len(mark) == 32 and set(mark) <= set("0123456789abcdef") for mark in marks)


# --- maps -------------------------------------------------------------------------------------------------------------


def test_a_map_has_one_cell_for_every_few_pixels_of_the_view():
    first, *others = (make_preview(take(rocks(0), where)) for where in PLACES)
    made = make_map(first, others, [])
    assert made.evidence == "burst"
    assert made.values.shape == (160 // CELL, 240 // CELL)
    rows, columns = (slice(s.start // CELL + 2, s.stop // CELL - 2) for s in animal_area(PLACES[0]))
    assert made.values[rows, columns].mean() > 240
    assert (made.values > 127).sum() < 2 * 48 * 32 / CELL**2
    assert make_map(first, [], []) is None


def test_missing_or_damaged_photos_are_ignored(tmp_path):
    files = [grey_file(tmp_path / f"{n}.png", take(rocks(0), where)) for n, where in enumerate(PLACES)]
    (tmp_path / "bad.png").write_bytes(b"no photo")
    away = (("bad.png", "x1"), ("gone.png", "x2"))
    complete, whole, *_ = look(tmp_path, Companions(files[0], tuple(files[1:]), ()), Finders())
    assert complete
    assert whole.evidence == "burst"
    complete, some, *_ = look(tmp_path, Companions(files[0], (away[0], *files[1:], away[1]), away), Finders())
    assert not complete
    assert (some.values == whole.values).all()
    assert look(tmp_path, Companions(files[0], away, away), Finders())[:2] == (False, None)
    assert look(tmp_path, Companions(away[0], tuple(files), ()), Finders())[:2] == (False, None)


# --- read_grey --------------------------------------------------------------------------------------------------------


def picture(size, seed=0):
    """Return (h, w, 3) uint8 that is smooth, so that a smaller copy looks the same."""
    width, height = size
    noise = np.random.default_rng(seed).integers(0, 256, (height // 20 + 2, width // 20 + 2, 3), dtype=np.uint8)
    return cv2.resize(noise, size, interpolation=cv2.INTER_CUBIC)


def alike(grey, whole):
    """Return whether `grey` is a smaller copy of `whole`; its border may be wrong by one pixel."""
    small = cv2.resize(whole, grey.shape[::-1], interpolation=cv2.INTER_AREA)
    assert abs(float(grey.mean()) - float(small.mean())) < 2
    return np.corrcoef(grey.ravel(), small.ravel())[0, 1] > 0.97


@pytest.mark.parametrize(
    "size", [(1920, 1080), (1919, 1077), (481, 1000), (479, 300), (240, 160), (100, 30), (2000, 7)]
)
def test_a_small_grey_copy_of_a_jpeg_has_the_requested_size_and_looks_like_the_photo(tmp_path, size):
    path = tmp_path / "photo.jpg"
    Image.fromarray(picture(size)).save(path, quality=95)
    grey = read_grey(path, PREVIEW)
    assert grey.dtype == np.uint8
    assert min(PREVIEW, max(size)) <= max(grey.shape) <= max(size)
    assert max(grey.shape) < 4 * PREVIEW
    assert grey.shape[1] / size[0] == pytest.approx(grey.shape[0] / size[1], abs=0.5 / min(size) + 0.02)
    whole = cv2.cvtColor(read_photo(path), cv2.COLOR_RGB2GRAY)
    assert alike(grey, whole)


def test_a_large_jpeg_is_decoded_at_a_reduced_size(tmp_path):
    Image.fromarray(picture((2000, 1200))).save(tmp_path / "photo.jpg")
    assert read_grey(tmp_path / "photo.jpg", PREVIEW).shape == (150, 250)
    assert read_grey(tmp_path / "photo.jpg", 251).shape == (300, 500)
    assert read_grey(tmp_path / "photo.jpg", 5000).shape == (1200, 2000)


@pytest.mark.parametrize("suffix", ["png", "bmp", "tif", "webp"])
def test_other_formats_are_read_in_full(tmp_path, suffix):
    path = tmp_path / f"photo.{suffix}"
    Image.fromarray(picture((500, 350))).save(path, **({"lossless": True} if suffix == "webp" else {}))
    grey = read_grey(path, PREVIEW)
    assert grey.shape == (350, 500)
    assert np.abs(grey.astype(int) - cv2.cvtColor(read_photo(path), cv2.COLOR_RGB2GRAY)).max() <= 1


@pytest.mark.parametrize("turn", range(1, 9))
@pytest.mark.parametrize("suffix", ["jpg", "png"])
def test_the_grey_copy_is_upright(tmp_path, suffix, turn):
    exif = Image.Exif()
    exif[0x0112] = turn
    path = tmp_path / f"photo.{suffix}"
    Image.fromarray(picture((600, 400))).save(path, exif=exif, **({"quality": 95} if suffix == "jpg" else {}))
    whole = cv2.cvtColor(read_photo(path), cv2.COLOR_RGB2GRAY)
    grey = read_grey(path, PREVIEW)
    assert (grey.shape[0] > grey.shape[1]) == (whole.shape[0] > whole.shape[1]) == (turn >= 5)
    assert alike(grey, whole)


def test_a_photo_that_cannot_be_read_is_an_error_with_its_name(tmp_path):
    Image.fromarray(picture((1200, 800))).save(tmp_path / "photo.jpg")
    path = tmp_path / "photo.jpg"
    path.write_bytes(path.read_bytes()[:2000])
    for bad in (path, tmp_path / "gone.jpg"):
        with pytest.raises(SnowmatchError, match=bad.name):
            read_grey(bad, PREVIEW)
