"""Query photos made ready: pixels, box, mask and features, taken from the catalog where their content is on record."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from snowmatch.catalog.records import annotation_key
from snowmatch.core.errors import SnowmatchError
from snowmatch.core.files import file_sha256
from snowmatch.core.types import Annotation, BBox, Features, same_part
from snowmatch.features.extractors import extract_from_photo
from snowmatch.features.reader import FeatureReader
from snowmatch.identify.answer import QueryPhoto
from snowmatch.photos.chips import clip_bbox
from snowmatch.photos.exif import read_timestamp
from snowmatch.photos.pixels import read_mask, read_photo
from snowmatch.screening.foreground import evidence_of
from snowmatch.screening.maps import SceneMaps
from snowmatch.screening.scenery import View, make_view
from snowmatch.screening.scenes import MOST, make_map, read_view, station_photos

Photo = str | Path | np.ndarray | Annotation  # an annotation of the catalog: its photo, box, mask and body part
Mask = str | Path | np.ndarray | None


@dataclass(frozen=True)
class AskedPhoto:
    """One query photo with its features; body part and `encounters` are those on record for its content (a sha256).

    features: of each extractor. view: a small grey copy, to tell the animal from the scenery.
    """

    photo: QueryPhoto
    content: str
    features: tuple[Features, ...]
    body_part: str
    encounters: frozenset[str]
    taken: datetime | None
    view: View
    notes: tuple[str, ...]


def one_each(what: str, values: list[Any], photos: int) -> list[Any]:
    """`values` stretched to one per photo: nothing given is nothing for each; SnowmatchError on another number."""
    if len(values) == 1 and values[0] is None:
        return values * photos
    if len(values) != photos:
        raise SnowmatchError(f"{len(values)} {what} given for {photos} photos: give one for each, or ask one by one")
    return values


def one_box(box: Sequence[float] | None) -> BBox | None:
    """A box given in Python as four whole numbers; SnowmatchError for anything else."""
    if box is None:
        return None
    numbers = np.asarray(box)
    if numbers.shape != (4,) or not np.issubdtype(numbers.dtype, np.number) or (numbers != np.round(numbers)).any():
        raise SnowmatchError(f"the box is {box!r}, expected x, y, width, height in whole pixels of the upright photo")
    x, y, width, height = (int(n) for n in numbers)
    return x, y, width, height


def common_part(parts: Sequence[str]) -> str:
    """The one body part that all photos of a query show, `unknown` where none is known."""
    known = sorted(set(parts) - {"unknown"})
    if len(known) > 1:
        raise SnowmatchError(f"the photos show {' and '.join(known)}: ask about one body part, with --bodypart")
    return known[0] if known else "unknown"


def ask_about(
    photo: Photo,
    body_part: str | None,
    bbox: BBox | None,
    mask: Mask,
    *,
    catalog_folder: Path,
    rows_of: Callable[[str, Path], list[Annotation]],
    extractors: Sequence[tuple[FeatureReader, Any]],
) -> AskedPhoto:
    """Make one photo ready. `rows_of` gives the catalog's annotations of a photo, from its sha256 and path.

    What is given goes before what is on record. `extractors` are plugins, each with a reader of what is on record:
    features come from there where it has them. SnowmatchError where a file cannot be read or the photo has several
    annotations and none was chosen.
    """
    chosen = None
    if isinstance(photo, Annotation):
        photo, chosen = catalog_folder / photo.path, photo
    if isinstance(photo, np.ndarray):
        if photo.dtype != np.uint8 or photo.ndim != 3 or photo.shape[2] != 3:
            raise SnowmatchError(f"the photo is {photo.dtype} {photo.shape}, expected uint8 (H, W, 3) RGB")
        path, content, taken, pixels = "", "", None, photo
    else:
        _check_file(Path(photo), "a photo")
        path, content = str(photo), file_sha256(Path(photo))
        taken, pixels = read_timestamp(Path(photo)), read_photo(Path(photo))
    rows = rows_of(content, Path(photo)) if content else []
    row = chosen or _choose_row(path, rows, body_part, bbox)
    if isinstance(mask, str | Path):
        _check_file(Path(mask), "a mask")
    size = (pixels.shape[1], pixels.shape[0])
    if bbox is None and row is not None:
        bbox = row.bbox
    if mask is None and row is not None and row.mask:
        mask = catalog_folder / row.mask
    key = None
    if isinstance(mask, np.ndarray):
        if mask.shape != pixels.shape[:2]:
            raise SnowmatchError(f"the mask is {mask.shape}, expected the photo's {pixels.shape[:2]}")
        animal = mask.astype(bool)
    else:
        animal = read_mask(Path(mask), size) if mask is not None else None
        key = annotation_key(content, bbox, file_sha256(Path(mask)) if mask is not None else "") if content else None
    features = tuple(
        reader.read(key) if key is not None and key in reader else extract_from_photo(plugin, pixels, bbox, animal)
        for reader, plugin in extractors
    )
    shown = clip_bbox(bbox, size) if bbox is not None else None
    notes = []
    if row is not None and chosen is None and row.path != path:
        notes.append(f"{path} is on record as {row.path}")
    if row is not None and body_part is not None and not same_part(row.body_part, body_part):
        notes.append(f"{path} is on record as {row.body_part}, asked about as {body_part}")
    if animal is not None and not animal.any():
        notes.append(f"the mask of {path or 'the photo'} is black everywhere: no animal is left")
    if not path:
        notes.append("a photo given as an array is not looked up: name its own encounter in exclude_encounters")
    if shown != bbox:
        notes.append(f"the box {_box_text(bbox)} reaches out of the photo and was clipped to {_box_text(shown)}")
    return AskedPhoto(
        QueryPhoto(path, shown, animal, size, sum(map(len, features)), None if path else photo),
        content,
        features,
        row.body_part if row is not None else "unknown",
        frozenset(r.encounter for r in (*rows, *filter(None, [chosen]))),
        taken,
        make_view(cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY)),
        tuple(notes),
    )


def find_foreground(
    asked: Sequence[AskedPhoto], maps: SceneMaps, station: Sequence[Annotation], contents: Sequence[str], folder: Path
) -> list[QueryPhoto]:
    """The query's photos with what tells their animal from the scenery: the map on record, or one made now.

    A photo that is not on record is compared with the others that were asked, and with those of `station`: annotations
    of the catalog in `folder`, and the sha256 of each one's photo.
    """
    views: list[View] | None = None
    photos = []
    for a in asked:
        outlined = "mask" if a.photo.mask is not None else "box" if a.photo.bbox is not None else ""
        found = None if outlined == "mask" else maps.of_content(a.content)
        if outlined != "mask" and found is None:
            if views is None:
                there = station_photos(zip(station, contents, strict=True))
                read = (read_view(folder / path, content) for path, content in there)
                views = [view for view in read if view is not None]
            others = [b.view for b in asked if not np.array_equal(b.view.grey, a.view.grey)]  # not the photo once more
            found = make_map(a.view, others[:MOST], views)
        photos.append(replace(a.photo, evidence=evidence_of(outlined, found), foreground=found))
    return photos


def _check_file(path: Path, expected: str) -> None:
    if not os.path.isfile(path):
        problem = "is a folder" if os.path.isdir(path) else "does not exist"
        raise SnowmatchError(f"{path} {problem}, expected {expected}: check the path")


def _box_text(bbox: BBox | None) -> str:
    return ",".join(map(str, bbox)) if bbox is not None else "no box"


def _choose_row(path: str, rows: list[Annotation], body_part: str | None, bbox: BBox | None) -> Annotation | None:
    """Which of the catalog's rows of this photo is asked about; None where the photo is not on record."""
    left = [r for r in rows if bbox is None or r.bbox == bbox] or (rows if len(rows) == 1 else [])
    if body_part is not None and len(left) > 1:
        left = [r for r in left if r.body_part == body_part] or left
    if len({(r.bbox, r.mask, r.body_part) for r in left}) == 1 or not rows:
        return left[0] if left else None
    listed = "; ".join(f"{_box_text(r.bbox)} ({r.body_part})" for r in rows)
    raise SnowmatchError(f"{path} has {len(rows)} annotations in the catalog: choose one with --bbox: {listed}")
