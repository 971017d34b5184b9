"""Datasets for benchmarks. Each one becomes a catalog folder of its own.

A dataset is written SOURCE or SOURCE,key=value,...  SOURCE is a catalog folder, a wildlife-datasets `metadata.csv`, or
`synthetic` (a drawn survey). name=NAME gives the dataset a name: two datasets of one run need two names. A;B joins
datasets: no animal may be in both.

Keys for photos:
boxed=yes                     keep only annotations with a box
named=boxed                   take the names away from annotations without a box: their photos stay, nobody asks them
masks=no, boxes=no, flanks=no leave out masks, boxes or flanks (every body part is then `unknown`)
boxes=mask                    use the box around the largest connected piece of the mask
boxes=found                   use the box that snowmatch finds without boxes and masks; without one, the whole photo
box=X/Y/W/H                   use the same box in every photo, as shares of the photo's width and height
bars=wrong                    burn a bar with text into each photo. The text of a test photo is that of another animal
parts=left_flank+right_flank  keep only these body parts
every=N                       keep each N-th individual, in order of names
from=K                        start with the K-th individual; 0 is the first (every=2 and every=2,from=1 share nobody)
each=N                        keep each N-th annotation
first=N                       keep only the first N annotations

Keys for `synthetic`: individuals, encounters, stations, seed.
"""

from __future__ import annotations

import ast
import csv
import hashlib
import io
import json
import os
import re
import shutil
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, Unpack

import cv2
import numpy as np
from own_boxes import found_boxes

from snowmatch.api import Catalog, open_catalog
from snowmatch.catalog.settings import CatalogSettings, SettingsOptions
from snowmatch.core.errors import SnowmatchError
from snowmatch.core.files import file_sha256, replace_file
from snowmatch.core.text import choices
from snowmatch.core.types import BODY_PARTS
from snowmatch.demo.survey import make_survey
from snowmatch.photos.facts import read_facts
from snowmatch.photos.pixels import read_mask, read_photo

COLUMNS = (
    "path",
    "individual",
    "body_part",
    "location",
    "station",
    "camera",
    "timestamp",
    "encounter",
    "bbox",
    "mask",
    "split",
)
PHOTO_KEYS = {
    "boxed": "no",
    "named": "all",
    "bars": "no",
    "masks": "yes",
    "boxes": "yes",
    "flanks": "yes",
    "box": "",
    "parts": "",
    "every": "1",
    "from": "0",
    "each": "1",
    "first": "0",
}
VALUES = {
    "boxed": ("no", "yes"),
    "named": ("all", "boxed"),
    "bars": ("no", "wrong"),
    "masks": ("yes", "no"),
    "boxes": ("yes", "no", "mask", "found"),
    "flanks": ("yes", "no"),
}
BARRED, BAR_HEIGHT = "barred", 0.06  # folder of photos with a bar; share of the photo's height
SYNTHETIC_KEYS = {"individuals": "12", "encounters": "3", "stations": "4", "seed": "0"}
SMALLEST = {"every": 1, "from": 0, "each": 1, "first": 0, "individuals": 1, "encounters": 1, "stations": 1, "seed": 0}
SHARE = r"(0?\.\d+|[01](\.0*)?)"  # from 0 to 1
SIDES = {"left": "left_flank", "right": "right_flank", "head": "head", "face": "head", "tail": "tail"}
UNNAMED = ("", "unknown", "nan")  # how wildlife-datasets writes an unknown identity


@dataclass(frozen=True)
class Dataset:
    """A catalog folder for a benchmark. Its name states how it differs from its source."""

    name: str
    folder: Path


def prepare(text: str, work: Path) -> Dataset:
    """Make the dataset written as `text` as a catalog folder below `work`.

    The source is never changed. Its rows are copied. Photos and masks are links, or copies if the system allows no
    links. Raises SnowmatchError if the dataset cannot be made.
    """
    if ";" in text:
        return _joined(text, work)
    source, *pairs = text.split(",")
    given = dict(pair.partition("=")[::2] for pair in pairs)
    given.pop("name", None)
    defaults = SYNTHETIC_KEYS if source == "synthetic" else PHOTO_KEYS
    unknown = sorted(set(given) - set(defaults))
    if unknown:
        raise SnowmatchError(f"dataset {text!r} has no key {unknown[0]!r}; keys: {', '.join(defaults)}")
    keys = {**defaults, **given}
    for key, smallest in SMALLEST.items():
        if key in keys and not (keys[key].isdecimal() and int(keys[key]) >= smallest):
            raise SnowmatchError(
                f"dataset {text!r}: {key} is {keys[key]!r}, expected a whole number from {smallest} up"
            )
    chosen = [(key, keys[key], VALUES[key]) for key in VALUES if key in keys]
    chosen += [("parts", part, BODY_PARTS) for part in filter(None, keys.get("parts", "").split("+"))]
    for key, value, allowed in chosen:
        if value not in allowed:
            raise SnowmatchError(f"dataset {text!r}: {key} is {value!r}; {choices(value, allowed)}")
    if keys.get("box") and not re.fullmatch(rf"{SHARE}(/{SHARE}){{3}}", keys["box"], re.ASCII):
        raise SnowmatchError(f"dataset {text!r}: box is {keys['box']!r}, expected four shares from 0 to 1: X/Y/W/H")
    path, name = Path(source), name_of(text)
    folder = work / "datasets" / name
    if source == "synthetic":
        _make_synthetic(folder, {key: int(value) for key, value in keys.items()})
        return Dataset(name, folder / "catalog")
    rows = rows_of(path)
    own, chosen = path.parent if path.suffix == ".csv" else path, _chosen(rows, keys, path)
    if keys["boxes"] == "found":
        boxes = found_boxes(path, {row["path"] for row in chosen}, work)
        chosen = [{**row, "bbox": ",".join(map(str, boxes[row["path"]] or ()))} for row in chosen]
    _write(folder, own, chosen)
    if keys["bars"] != "no":
        _write(folder, own, _barred(folder, chosen))
    return Dataset(name, folder)


def _joined(text: str, work: Path) -> Dataset:
    """Make the datasets of `text`, and one catalog of all their rows.

    Raises SnowmatchError if they share a name or an animal.
    """
    check_names([text])
    parts = [prepare(part, work) for part in text.split(";")]
    name, rows, owner = name_of(text), [], {"": ""}
    for part in parts:
        for row in rows_of(part.folder):
            if owner.setdefault(row["individual"], part.name if row["individual"] else "") not in ("", part.name):
                shared = f"{row['individual']!r} is in {owner[row['individual']]} and in {part.name}"
                raise SnowmatchError(f"{shared}, expected other animals in each: rename it, or leave one set out")
            files = {key: f"{part.name}/{row[key]}" if row[key] else "" for key in ("path", "mask")}
            rows.append({**row, **files, "encounter": f"{part.name} {row['encounter']}"})
    _write(work / "datasets" / name, work / "datasets", rows)
    return Dataset(name, work / "datasets" / name)


def name_of(text: str) -> str:
    """Return a name for the dataset written as `text`: its source and keys. It is a valid folder name."""
    if ";" in text:
        return "+".join(map(name_of, text.split(";")))
    source, *pairs = text.split(",")
    named = [pair.removeprefix("name=") for pair in pairs if pair.startswith("name=")]
    if named:
        return re.sub(r"[^\w.+-]+", "_", named[-1])
    path = Path(source)
    stem = path.resolve().parent.name if path.suffix == ".csv" else path.resolve().name
    stem = source if source == "synthetic" else stem
    return "-".join([stem, *(re.sub(r"[^\w.+]+", "_", pair) for pair in pairs)])


def check_names(texts: Iterable[str]) -> None:
    """Raise SnowmatchError if two datasets, also parts of joined ones, have one name: they would have one folder."""
    held: dict[str, str] = {}
    for text in texts:
        parts = text.split(";")
        for each in (*parts, text):
            name = name_of(each)
            if held.setdefault(name, each) != each or parts.count(each) > 1:
                raise SnowmatchError(f"{held[name]} and {each} have one name, {name!r}: add ,name=NAME to one of them")


def rows_of(source: Path) -> list[dict[str, str]]:
    """Return the annotations of a catalog folder or of a wildlife-datasets metadata.csv as rows of a catalog.csv.

    Animals and boxes that snowmatch found are no rows: a catalog gives the same ones before and after an index run.
    """
    if source.suffix == ".csv":
        with source.open(newline="", encoding="utf-8-sig") as file:
            return [_from_metadata(row, source) for row in csv.DictReader(file)]
    return [
        {
            "path": a.path,
            "individual": a.individual or "",
            "body_part": a.body_part,
            "location": a.location,
            "station": a.station,
            "camera": a.camera,
            "timestamp": a.time_text,
            "encounter": a.encounter,
            "bbox": ",".join(map(str, a.own_box)) if a.own_box else "",
            "mask": a.mask,
            "split": a.split,
        }
        for a in open_catalog(source, boxes=False).data.annotations
    ]


def _from_metadata(row: dict[str, str], source: Path) -> dict[str, str]:
    """Convert one row of wildlife-datasets: identity, path and, if they exist, bbox, orientation, date and split.

    A date stands for an encounter: photos of one day (and one camera or location) count as one passage.
    """
    if not row.get("path") or "identity" not in row:
        raise SnowmatchError(f"{source} has no columns path and identity: expected a wildlife-datasets metadata.csv")
    side = (row.get("orientation") or row.get("position") or row.get("side") or "").lower()
    individual = row["identity"].strip()
    date = (row.get("date") or row.get("timestamp") or "").strip().replace(" ", "T")
    place = row.get("station") or row.get("camera") or row.get("location") or ""
    split = (row.get("split") or row.get("original_split") or "").lower()
    return {
        "path": row["path"].replace("\\", "/"),
        "individual": "" if individual.lower() in UNNAMED else individual,
        "body_part": next((part for word, part in SIDES.items() if word in side), "unknown"),
        "location": row.get("location") or "",
        "station": row.get("station") or "",
        "camera": row.get("camera") or "",
        "timestamp": date if "T" in date else "",
        "encounter": row.get("encounter") or (f"{place} {date[:10]}".strip() if date else ""),
        "bbox": _box_text(row.get("bbox") or "", source),
        "mask": "",
        "split": {"database": "train", "query": "test"}.get(split, split),
    }


def _box_text(text: str, source: Path) -> str:
    if not text.strip() or text.strip().lower() == "nan":
        return ""
    try:
        numbers = [round(float(n)) for n in ast.literal_eval(text if text.strip()[0] in "[(" else f"[{text}]")]
    except (ValueError, SyntaxError, TypeError):
        numbers = []
    if len(numbers) != 4:
        raise SnowmatchError(f"{source}: bbox is {text!r}, expected [x, y, width, height]")
    return ",".join(map(str, numbers))


def _chosen(rows: list[dict[str, str]], keys: dict[str, str], source: Path) -> list[dict[str, str]]:
    folder = source.parent if source.suffix == ".csv" else source
    parts = set(filter(None, keys["parts"].split("+")))
    kept = [row for row in rows if (keys["boxed"] == "no" or row["bbox"]) and (not parts or row["body_part"] in parts)]
    names = sorted({row["individual"] for row in kept})
    wanted = set(names[int(keys["from"]) :: int(keys["every"])])
    kept = [row for row in kept if row["individual"] in wanted]
    kept = kept[:: int(keys["each"])]
    kept = kept[: int(keys["first"])] if int(keys["first"]) else kept
    if not kept:
        raise SnowmatchError(f"no annotation of {source} fits {keys}: change these keys")
    if keys["named"] == "boxed":
        kept = [row if row["bbox"] else {**row, "individual": ""} for row in kept]
    if keys["boxes"] == "mask":
        kept = [{**row, "bbox": _box_of_mask(folder / row["mask"]) if row["mask"] else ""} for row in kept]
    if keys["masks"] == "no":
        kept = [{**row, "mask": ""} for row in kept]
    if keys["flanks"] == "no":
        kept = [{**row, "body_part": "unknown"} for row in kept]
    if keys["boxes"] in ("no", "found"):
        kept = [{**row, "bbox": ""} for row in kept]
    if keys["box"]:
        shares = [float(n) for n in keys["box"].split("/")]
        kept = [{**row, "bbox": _fixed_box(folder / row["path"], shares)} for row in kept]
    return kept


def _fixed_box(photo: Path, shares: list[float]) -> str:
    height, width = read_photo(photo).shape[:2]
    x, y, w, h = shares
    return f"{round(x * width)},{round(y * height)},{round(w * width)},{round(h * height)}"


def _box_of_mask(path: Path) -> str:
    """Return the box around the largest connected piece of the mask; empty text for a black mask.

    Small pieces may be the photo's info bar, not the animal.
    """
    mask = read_mask(path, read_facts(path).image_size).astype(np.uint8)
    pieces = cv2.connectedComponentsWithStats(mask)[2][1:]
    return ",".join(str(int(n)) for n in pieces[pieces[:, cv2.CC_STAT_AREA].argmax()][:4]) if len(pieces) else ""


def _barred(folder: Path, rows: list[dict[str, str]]) -> list[dict[str, str]]:
    """Write a copy of each photo with a bar at its bottom, and return the rows of the copies.

    All photos of an animal have the same text. Test photos have the text of the next animal.
    """
    names = sorted({row["individual"] for row in rows})
    (folder / BARRED).mkdir(exist_ok=True)
    made = []
    for row in rows:
        number = (names.index(row["individual"]) + (row["split"] == "test")) % len(names)
        content = file_sha256(folder / row["path"])[:12]
        path = f"{BARRED}/{PurePosixPath(row['path']).stem}-{content}-{number}.jpg"
        if not (folder / path).exists():
            photo = read_photo(folder / row["path"])
            cv2.imwrite(str(folder / path), _with_bar(photo, number)[:, :, ::-1], [cv2.IMWRITE_JPEG_QUALITY, 95])
        made.append({**row, "path": path, "mask": ""})
    return made


def _with_bar(photo: np.ndarray, number: int) -> np.ndarray:
    """Return the photo with a black bar at its bottom. Its text is drawn from `number`, and as large as real ones."""
    rng = np.random.default_rng(number)
    height, width = photo.shape[:2]
    tall = round(BAR_HEIGHT * height)
    made = photo.copy()
    made[height - tall :] = 0
    day, time, place = rng.integers((1, 0, 100), (29, 86400, 1000))
    clock = f"{time // 3600:02d}:{time // 60 % 60:02d}:{time % 60:02d}"
    text = f"2019-{1 + number % 12:02d}-{day:02d} {clock} M {1 + number % 3}/3 ST-{place} {number % 40 - 10}C"
    scale = 0.6 * cv2.getFontScaleFromHeight(cv2.FONT_HERSHEY_SIMPLEX, tall)
    wide = cv2.getTextSize(text, cv2.FONT_HERSHEY_SIMPLEX, scale, 2)[0][0]
    scale *= min(1.0, 0.96 * width / wide)
    place_of = (round(0.02 * width), height - round(0.3 * tall))
    return cv2.putText(made, text, place_of, cv2.FONT_HERSHEY_SIMPLEX, scale, (255, 255, 255), 2, cv2.LINE_AA)


def _write(folder: Path, source: Path, rows: list[dict[str, str]]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    tops = {PurePosixPath(path).parts[0] for row in rows for path in (row["path"], row["mask"]) if path}
    for top in sorted(tops):
        _link(source.resolve() / top, folder / top)
    held = io.StringIO(newline="")
    writer = csv.DictWriter(held, COLUMNS)
    writer.writeheader()
    writer.writerows(rows)
    text, path = held.getvalue().encode("utf-8"), folder / "catalog.csv"
    if not path.exists() or path.read_bytes() != text:  # another process may be reading it
        replace_file(path, lambda file: file.write(text))


def _link(source: Path, target: Path) -> None:
    """Make `target` a link to `source`, also if it led to another file or folder. A copy is made again."""
    own = not source.exists() and target.exists() and not target.is_symlink()  # the folder of photos with a bar
    if own or target.resolve() == source.resolve():
        return
    if target.is_symlink():
        target.unlink()
    try:
        os.symlink(source, target, target_is_directory=source.is_dir())
    except OSError:  # Windows without the right to make links
        if source.is_dir():
            shutil.copytree(source, target, dirs_exist_ok=True)
        else:
            shutil.copy2(source, target)


def _make_synthetic(folder: Path, keys: dict[str, int]) -> None:
    """Draw a survey with these `keys`, one or two photos a passage. It is kept until the same name has other keys."""
    done, drawn = folder / "complete", json.dumps(keys, sort_keys=True)
    if done.exists() and done.read_text(encoding="utf-8") == drawn:
        return
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    make_survey(
        folder / "catalog",
        individuals=keys["individuals"],
        encounters=keys["encounters"],
        stations=keys["stations"],
        photos=(1, 2),
        seed=keys["seed"],
        size=(960, 640),
    )
    done.write_text(drawn, encoding="utf-8")


def open_prepared(folder: Path, **settings: Unpack[SettingsOptions]) -> Catalog:
    """Return the catalog of a dataset with these settings, and default ones, whatever an earlier run has stored."""
    options = CatalogSettings().options()
    options.update(settings)
    return open_catalog(folder, **options)


def contents_of(folder: Path) -> str:
    """Return a checksum of a dataset's rows, photos and masks: its name does not show which catalog it came from."""
    table = (folder / "catalog.csv").read_bytes()
    digest = hashlib.sha256(table)
    rows = csv.DictReader(io.StringIO(table.decode("utf-8-sig"), newline=""))
    for name in sorted({row[key] for row in rows for key in ("path", "mask") if row.get(key)}):
        digest.update((file_sha256(folder / name) if (folder / name).is_file() else "missing").encode())
    return digest.hexdigest()[:12]


def described(dataset: Dataset, annotations: Iterable[Any]) -> dict[str, Any]:
    """Return what a result states about its dataset: name and counts, no paths."""
    named = [a for a in annotations if a.individual is not None]
    return {
        "name": dataset.name,
        "annotations": len(named),
        "individuals": len({a.individual for a in named}),
        "encounters": len({a.encounter for a in named}),
    }
