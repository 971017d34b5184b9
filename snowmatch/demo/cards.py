"""A drawn survey as it comes home from the field: memory cards, a table of stations, and what a detector says.

The tutorial of the guide works through it. Nothing in it names an animal; truth.csv does, to compare with at the end.
"""

from __future__ import annotations

import csv
import json
import shutil
import tempfile
from collections import defaultdict
from collections.abc import Callable
from datetime import date, timedelta
from pathlib import Path

import numpy as np

from snowmatch.core.errors import SnowmatchError
from snowmatch.demo.survey import LOCATIONS, SIDES, make_survey

SEED = 5
ANIMALS, STATIONS = 6, 6
PASSAGES = (4, 2)  # of each animal, with the left and the right flank
EMPTY = 4  # photos without an animal on each card
SIZE = (960, 640)  # px
DAYS = 75
FIRST_DAY = date(2023, 3, 1)
SPACING, REACH = 3000, 2500  # metres between stations, and the scale of an animal's range
CORNER = (500_000, 4_600_000)  # metres of EPSG 32643: no camera stood there
MARK = "cards"  # the folder of the photos
LOCATION = LOCATIONS[0]  # all cameras are in one


def make_cards(folder: Path, progress: Callable[[int, int], None] | None = None) -> str:
    """Draw a survey as memory cards into `folder`, and return what is in it as text.

    cards/LOCATION/STATION/DCIM/100RECNX/ has the photos, stations.csv places and times of the cameras,
    detections.json boxes in MegaDetector's format, flanks.csv which flank a person saw, and truth.csv the animals.
    progress: called with (photos drawn, photos in total). The same files are made each time. Raises SnowmatchError if
    the folder contains files.
    """
    if folder.exists() and not folder.is_dir():
        raise SnowmatchError(f"{folder} is a file, expected a folder: name an empty folder or a new folder")
    if folder.exists() and any(folder.iterdir()):
        raise SnowmatchError(f"{folder} contains other files: name an empty folder or a new folder")
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(SEED)
    corners = np.array([(n % 3 * SPACING, n // 3 * SPACING) for n in range(STATIONS)], float)
    passages, places = _walk(rng, corners)
    with tempfile.TemporaryDirectory(prefix="snowmatch-") as drawn:
        made = make_survey(
            Path(drawn),
            individuals=ANIMALS,
            stations=STATIONS,
            photos=(1, 2),
            seed=SEED,
            size=SIZE,
            passages=passages,
            places=places,
            days=DAYS,
            empty=EMPTY,
            progress=progress,
        )
        rows = sorted((*made.catalog, *made.empty), key=lambda row: (row["station"], row["timestamp"], row["path"]))
        numbers: dict[str, int] = defaultdict(int)
        for row in rows:
            numbers[row["station"]] += 1
            row["card"] = f"{LOCATION}/{row['station']}/DCIM/100RECNX/IMG_{numbers[row['station']]:04d}.JPG"
            target = folder / MARK / row["card"]
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.move(Path(drawn) / row["path"], target)
    animals = [row for row in rows if row["animal"]]
    _write(folder / "stations.csv", ("station", "location", "x", "y", "crs", "from", "to"), _stations(corners))
    _write(folder / "flanks.csv", ("path", "body_part"), [(r["card"], r["body_part"]) for r in animals])
    _write(folder / "truth.csv", ("path", "individual"), [(r["card"], r["animal"]) for r in animals])
    text = json.dumps(_detections(rows, rng), indent=1)
    (folder / "detections.json").write_text(text + "\n", encoding="utf-8", newline="\n")
    return "\n".join(
        [
            f"A synthetic survey: computer-drawn cats, no real animal, no real place. {len(rows)} photos of "
            f"{STATIONS} cameras, {len(rows) - len(animals)} of them empty.",
            f"{folder / MARK}: the memory cards",
            f"{folder / 'stations.csv'}: where the cameras stood, and when",
            f"{folder / 'detections.json'}: boxes, as MegaDetector would write them (it did not run)",
            f"{folder / 'flanks.csv'}: which flank each photo shows, as a person would write it",
            f"{folder / 'truth.csv'}: which animal it is; do not look yet",
        ]
    )


def _walk(rng: np.random.Generator, corners: np.ndarray) -> tuple[list[tuple[int, str]], list[int]]:
    """Return the passages, (individual, flank) in order of time, and the station of each: near the animal's centre."""
    wanted = [
        (animal, side) for animal in range(ANIMALS) for side, n in zip(SIDES, PASSAGES, strict=True) for _ in range(n)
    ]
    passages = [wanted[n] for n in rng.permutation(len(wanted))]
    centres = rng.uniform(corners.min(axis=0), corners.max(axis=0), (ANIMALS, 2))
    distance = np.linalg.norm(centres[:, None] - corners[None], axis=2)
    chance = np.exp(-((distance / REACH) ** 2) / 2)
    chance /= chance.sum(axis=1, keepdims=True)
    return passages, [int(rng.choice(len(corners), p=chance[animal])) for animal, _ in passages]


def _stations(corners: np.ndarray) -> list[tuple[str, ...]]:
    days = (FIRST_DAY.isoformat(), (FIRST_DAY + timedelta(days=DAYS)).isoformat())
    return [
        (f"st{n + 1:02d}", LOCATION, str(CORNER[0] + int(x)), str(CORNER[1] + int(y)), "32643", *days)
        for n, (x, y) in enumerate(corners)
    ]


def _detections(rows: list[dict[str, str]], rng: np.random.Generator) -> dict[str, object]:
    """Return what MegaDetector would write: a box a few pixels off round each animal, and nothing in empty photos."""
    images = []
    for row in rows:
        found = []
        if row["animal"]:
            x, y, w, h = (int(n) for n in row["bbox"].split(","))
            left, top = max(0, x - int(rng.integers(8))), max(0, y - int(rng.integers(8)))
            right, bottom = (min(x + w + int(rng.integers(8)), SIZE[0]), min(y + h + int(rng.integers(8)), SIZE[1]))
            box = (left / SIZE[0], top / SIZE[1], (right - left) / SIZE[0], (bottom - top) / SIZE[1])
            found = [
                {"category": "1", "conf": round(float(rng.uniform(0.8, 0.97)), 3), "bbox": [round(v, 4) for v in box]}
            ]
        images.append({"file": row["card"], "detections": found})
    return {
        "info": {"format_version": "1.4", "detector": "drawn by snowmatch"},
        "detection_categories": {"1": "animal", "2": "person", "3": "vehicle"},
        "images": images,
    }


def _write(path: Path, head: tuple[str, ...], rows: list[tuple[str, ...]]) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerows([head, *rows])
