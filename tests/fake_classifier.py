"""A classifier for tests: it tells the species by the colour of a drawn photo. Small catalogs of such photos."""

from __future__ import annotations

import csv
import json
from dataclasses import dataclass
from typing import ClassVar

import cv2
import numpy as np
from PIL import Image

from snowmatch.core.types import Classes
from snowmatch.screening import finders

NAMES = ("snow leopard", "other cat", "other mammal", "other animal", "nothing")
COLOURS = {"leopard": (230, 20, 20), "faint": (40, 20, 20), "ibex": (20, 20, 230), "empty": (120, 120, 120)}
SIZE = (80, 60)  # width, height (px) of a drawn photo
ABOUT = {"info": {"format_version": "1.6", "detector": "v5"}, "detection_categories": {"1": "animal", "2": "person"}}
KINDS = ("leopard", "empty", "ibex", "faint")
# The rows of a catalog: path, what the photo shows, station, encounter, individual; two photos of each passage
PASSAGES = [(f"p{n:02}.jpg", KINDS[n // 2 % 4], f"S{n // 4}", f"E{n // 2:02}", "") for n in range(16)]
BOX = [0.25, 0.25, 0.5, 0.5]  # of SIZE: 20,15,40,30


@dataclass(frozen=True)
class Colours:
    """Red is a snow leopard, blue another mammal, grey nothing."""

    REVISION: ClassVar[int] = 1

    def check(self) -> None:
        """Nothing is needed."""

    @property
    def names(self) -> tuple[str, ...]:
        """The species that it tells."""
        return NAMES

    def classify(self, photo: np.ndarray) -> Classes:
        """Return the species by the mean colour, and the activations of 3 x 4 parts of the photo by theirs."""
        values = _species(photo.reshape(-1, 3).mean(axis=0))
        parts = cv2.resize(photo, (4, 3), interpolation=cv2.INTER_AREA)
        activations = np.array([[_species(part) for part in row] for row in parts], np.float32).transpose(2, 0, 1)
        return Classes(NAMES, values, 12 * activations - 6, values)


def _species(colour: np.ndarray) -> np.ndarray:
    red, green, blue = np.asarray(colour, float) / 255
    leopard, mammal = float(np.clip(red - green, 0, 1)), float(np.clip(blue - green, 0, 1))
    return np.array([leopard, 0, mammal, 0, 1 - max(leopard, mammal)], np.float32)


def use(patch):
    """Use this classifier in place of the default one. patch: pytest's monkeypatch."""
    patch.setattr(finders, "_classifier", lambda name: None if name == "none" else Colours())


def draw(path, what, seed=0):
    """Write a photo of one colour with some noise; each seed is another content. what: a name in COLOURS."""
    noise = np.random.default_rng(seed).integers(-9, 10, (SIZE[1], SIZE[0], 3))
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray((np.array(COLOURS[what]) + noise).clip(0, 255).astype(np.uint8)).save(path, quality=95)


def write_rows(folder, rows, columns=("path", "station", "encounter", "individual")):
    """Write the catalog.csv of a folder."""
    with open(folder / "catalog.csv", "w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([columns, *rows])


def make_catalog(folder, rows):
    """Make a catalog of drawn photos, and return its folder. rows: (path, what, station, encounter, individual)."""
    folder.mkdir(parents=True)
    for seed, (name, what, *_) in enumerate(rows):
        draw(folder / name, what, seed)
    write_rows(folder, [(name, *rest) for name, _, *rest in rows])
    return folder


def read_table(path, column="path"):
    """Return the rows of a table by one of its columns."""
    with open(path, newline="", encoding="utf-8") as file:
        return {row[column]: row for row in csv.DictReader(file)}


def results(path, detections, **changes):
    """Write results of MegaDetector. detections: (category, confidence, box) by file."""
    images = [
        {"file": file, "detections": [{"category": c, "conf": conf, "bbox": box} for c, conf, box in found]}
        for file, found in detections.items()
    ]
    path.write_text(json.dumps({**ABOUT, **changes, "images": images}))
    return path
