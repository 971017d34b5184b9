"""Drawn photos of stations with rocks and animals before them, for tests of foreground maps."""

from datetime import datetime, timedelta

import cv2
import numpy as np
import pytest
from fake_extractor import age
from PIL import Image
from test_scenery import animal_area, rocks, take

import snowmatch
from snowmatch.catalog.load import CatalogData
from snowmatch.core.files import file_sha256
from snowmatch.core.types import Annotation
from snowmatch.demo.coats import grow_coat

NOON = datetime(2024, 5, 1, 12)
WALK = ((50, 60), (120, 90), (185, 60))  # where the animal is in a burst of new photos


def note(path, **fields):
    return Annotation(0, path, **{"location": "naryn", "station": "S1", "encounter": "E1", **fields})


def grey_file(path, grey, **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.repeat(grey[..., None], 3, axis=2)).save(path, **options)
    age(path)
    return path.name, file_sha256(path)


def frame_of(station, encounter, shot, size=(240, 160)):
    """Return a photo of an artificial survey. A station has its own rocks, a passage its own coat, light and shift."""
    rng = np.random.default_rng([station, encounter])
    shift = tuple(rng.uniform(-20, 20, 2)) if encounter else (0, 0)
    where = WALK[(shot + encounter) % 3]
    coat = 10 * station + encounter
    return take(rocks(station, size), where, coat=coat, shift=shift, gain=rng.uniform(0.7, 1.1), bias=shot)


def make_survey(folder, stations=2, encounters=2, shots=3):
    annotations = []
    for s in range(stations):
        for e in range(encounters):
            for n in range(shots):
                path = f"photos/s{s}e{e}n{n}.png"
                grey_file(folder / path, frame_of(s, e, n))
                when = NOON + timedelta(days=e, seconds=n)
                fields = {"station": f"S{s}", "encounter": f"s{s}e{e}", "location": "naryn", "timestamp": when}
                annotations.append(Annotation(len(annotations), path, **fields))
    return CatalogData(folder, tuple(annotations), ())


ANIMALS, STATIONS, SHOTS = 4, 3, 2
SMALL = {"chip_size": "240", "max_features": "300"}
COAT = (72, 48)  # px, of the animal in a photo


@pytest.fixture(scope="module")
def coats():
    """Return one piece of coat per animal, with mean 0 and deviation 1."""
    pieces = []
    for number in range(ANIMALS + 1):
        coat = cv2.resize(grow_coat(5, number, "left")[100:400, 100:550, 0], COAT, interpolation=cv2.INTER_AREA)
        pieces.append((coat.astype(np.float32) - coat.mean()) / coat.std())
    return pieces


def stand_before(station, coat, where, light=1.0, shift=(0, 0), seed=0):
    """Return a photo (160, 240) uint8: an animal with `coat` on a station's rocks, which have more contrast."""
    photo = take(1.3 * rocks(station) - 33, shift=shift, gain=light, noise=0).astype(np.float32)
    photo[animal_area(where, length=COAT)] = light * (120 + 35 * coat)
    noise = np.random.default_rng(seed).normal(0, 1.5, photo.shape)
    return np.clip(photo + noise, 0, 255).round().astype(np.uint8)


@pytest.fixture(scope="module")
def station_survey(tmp_path_factory, coats):
    """Return an indexed catalog: every animal passes every station once, two photos each; no boxes, no masks."""
    folder = tmp_path_factory.mktemp("scenes") / "catalog"
    rows = ["path,individual,location,station,timestamp,encounter"]
    for animal in range(ANIMALS):
        for station in range(STATIONS):
            rng = np.random.default_rng([animal, station])
            light, shift = rng.uniform(0.75, 1.1), tuple(rng.uniform(-3, 3, 2))
            spots = rng.permutation([(60, 55), (125, 100), (185, 70)])[:SHOTS]
            for shot, where in enumerate(spots):
                path = f"a{animal}s{station}n{shot}.png"
                grey = stand_before(station, coats[animal], tuple(where.tolist()), light, shift, seed=animal + shot)
                grey_file(folder / path, grey)
                when = NOON + timedelta(days=animal * STATIONS + station, seconds=2 * shot)
                location = "sarychat" if station == 2 else "naryn"
                rows.append(f"{path},cat{animal},{location},S{station},{when.isoformat()},a{animal}s{station}")
    (folder / "catalog.csv").write_text("\n".join(rows) + "\n", encoding="utf-8")
    report = snowmatch.open_catalog(folder, boxes=False).index("sift", SMALL, workers=1)
    assert report.mapped == report.done == ANIMALS * STATIONS * SHOTS
    return folder


@pytest.fixture(scope="module")
def catalog(station_survey):
    """Return the catalog without found boxes: these tests look at the weights of keypoints all over the photo."""
    return snowmatch.open_catalog(station_survey, boxes=False)


@pytest.fixture(scope="module")
def new_burst(tmp_path_factory, coats):
    """Return two photos of animal 1 at station 0 that are not on record."""
    folder = tmp_path_factory.mktemp("new")
    for n, where in enumerate([(70, 60), (160, 95)]):
        grey_file(folder / f"new{n}.png", stand_before(0, coats[1], where, 0.9, (1.5, -2), seed=90 + n))
    return [folder / f"new{n}.png" for n in range(2)]


def evidence(answer):
    return [photo.evidence for photo in answer.photos]
