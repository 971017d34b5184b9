"""Rocks of a fixed camera are refused as evidence, an animal that stands elsewhere is not: drawn photos, matched."""

import csv
from functools import cache

import cv2
import numpy as np
import pytest
from PIL import Image
from test_scenery import texture

import snowmatch

pytestmark = pytest.mark.usefixtures("seen_once")

SIZE = (800, 600)
COAT = (260, 200)  # px
LEFT, RIGHT = (60, 90), (430, 300)  # the upper left corners of two places in the frame


@cache
def spots(seed, number, size, grain):
    """Return `texture`, drawn once: wide spots take long."""
    return texture([seed, number], size, grain)


def scenery(seed):
    return 110 + 28 * spots(seed, 0, SIZE, 3) + 22 * spots(seed, 1, SIZE, 8)


def photo(path, place, coat=None, where=LEFT, seed=0, resize=1.0, cut=0, shift=0):
    """Write a photo of a place, and a mask beside it: on the coat at `where`, or on the rocks there without a coat."""
    grey = scenery(place)
    mask = np.zeros(SIZE[::-1], np.uint8)
    area = slice(where[1], where[1] + COAT[1]), slice(where[0], where[0] + COAT[0])
    mask[area] = 255
    if coat is not None:
        grey[area] = 115 + 40 * spots(coat, 7, COAT, 4)
    grey += 25 * spots(seed, 9, SIZE, 90)  # the light of another day, or the photos would be taken for copies
    grey = 0.9 * grey + 3 * np.random.default_rng(seed).standard_normal(grey.shape)
    grey = np.roll(grey, shift, axis=1)[: SIZE[1] - cut]
    mask = np.roll(mask, shift, axis=1)[: SIZE[1] - cut]
    size = tuple(round(side * resize) for side in grey.shape[::-1])
    for name, pixels in ((path, grey), (path.with_suffix(".mask.png"), mask)):
        small = cv2.resize(np.clip(pixels, 0, 255).astype(np.uint8), size, interpolation=cv2.INTER_AREA)
        pixels = small if name != path else np.repeat(small[..., None], 3, axis=2)
        Image.fromarray(pixels).save(name, compress_level=1)


def catalog_of(folder, asked, station="S1", known_station="S1", **known):
    """Return a catalog of the animal aika, of another animal, and of the photo that is asked about."""
    folder.mkdir()
    photo(folder / "aika.png", **{"place": 1, **known})
    photo(folder / "bars.png", 2, coat=5, where=RIGHT)
    photo(folder / "asked.png", **{"place": 1, "seed": 3, **asked})
    rows = [("aika", known_station, "E1", "aika"), ("bars", "S2", "E2", "bars"), ("asked", station, "E3", "")]
    with open(folder / "catalog.csv", "w", newline="") as file:
        csv.writer(file).writerows(
            [
                ("path", "mask", "station", "encounter", "individual"),
                *((f"{name}.png", f"{name}.mask.png", *rest) for name, *rest in rows),
            ]
        )
    catalog = snowmatch.open_catalog(folder, classifier="none")
    assert not catalog.index(workers=1).failed
    return catalog


def ask(catalog, photo="asked.png", **options):
    """Return the verified spots that aika shares with the photo, and whether the note tells of scenery."""
    answer = catalog.query(catalog.data.folder / photo, **options)
    spots = {c.individual: c.inliers for c in answer.candidates if c.accepted}
    return spots.get("aika", 0), "scenery-refused" in {note.code for note in answer.notes}


def test_rocks_of_one_station_are_refused(tmp_path):
    assert ask(catalog_of(tmp_path / "c", {})) == (0, True)


def test_rocks_of_a_station_in_a_scaled_frame_are_refused(tmp_path):
    assert ask(catalog_of(tmp_path / "c", {"resize": 0.7})) == (0, True)


def test_rocks_of_a_camera_that_was_moved_a_little_are_refused(tmp_path):
    assert ask(catalog_of(tmp_path / "c", {"shift": 21})) == (0, True)


def test_a_foreground_that_is_given_is_trusted(tmp_path):
    spots, told = ask(catalog_of(tmp_path / "c", {}), options={"foreground": "given"})
    assert spots > 20
    assert not told


@pytest.mark.parametrize(
    "fields",
    [
        {"station": "S3"},  # the camera of another station
        {"known_station": ""},  # a photo of no fixed camera
        {"asked": {"cut": 60}},  # a frame of another shape
    ],
    ids=repr,
)
def test_what_is_not_of_one_fixed_camera_is_not_refused(tmp_path, fields):
    spots, told = ask(catalog_of(tmp_path / "c", **{"asked": {}, **fields}))
    assert spots > 20
    assert not told


def test_a_photo_of_an_unknown_station_may_be_of_this_one(tmp_path):
    assert ask(catalog_of(tmp_path / "c", {}, station="")) == (0, True)


def test_an_animal_that_stands_elsewhere_in_the_frame_is_not_refused(tmp_path):
    spots, told = ask(catalog_of(tmp_path / "c", {"coat": 4, "where": RIGHT}, coat=4, where=LEFT))
    assert spots > 20
    assert not told


def test_the_other_animals_of_the_catalog_stay(tmp_path):
    catalog = catalog_of(tmp_path / "c", {"coat": 5, "where": LEFT})
    answer = catalog.query(catalog.data.folder / "asked.png")
    assert answer.candidates[0].individual == "bars"
    assert answer.candidates[0].inliers > 20
