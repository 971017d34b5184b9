"""First step of a query: each photo made ready, with what is on record of it in the catalog."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np

from snowmatch.catalog.cells import RelativeBox
from snowmatch.catalog.load import check_body_part
from snowmatch.catalog.records import annotation_key
from snowmatch.core.errors import SnowmatchError
from snowmatch.core.files import file_sha256
from snowmatch.core.notes import Note
from snowmatch.core.types import Annotation, BBox, Features, same_part
from snowmatch.features.extractors import extract_from_photo
from snowmatch.identify.question import Mask, Photo, Question
from snowmatch.identify.session import Session
from snowmatch.photos.chips import clip_bbox
from snowmatch.photos.facts import PhotoFacts, read_facts
from snowmatch.photos.likeness import likeness, photo_likeness
from snowmatch.photos.pixels import read_mask, read_photo
from snowmatch.screening.scenery import Preview, make_preview


@dataclass(frozen=True, eq=False)
class AskedPhoto:
    """One query photo, ready: path as given ("" for an array), content (sha256, "" for an array), its animal's place.

    bbox is clipped; mask (H, W) bool or None. features: of each extractor, in pixels of the photo. body_part and
    `encounters` are those on record for its content. facts: its time, camera and likeness. preview: a small grey copy,
    to tell the animal from the scenery. image: the photo where it was given as an array.
    """

    path: str
    content: str
    bbox: BBox | None
    mask: np.ndarray | None
    image_size: tuple[int, int]
    features: tuple[Features, ...]
    body_part: str
    encounters: frozenset[str]
    facts: PhotoFacts
    preview: Preview
    image: np.ndarray | None = None

    @property
    def feature_count(self) -> int:
        """Of all extractors together."""
        return sum(map(len, self.features))


@dataclass(frozen=True, eq=False)
class Resolved:
    """What is asked about: the photos that have features and vote, those without, and the body part they show."""

    voting: tuple[AskedPhoto, ...]
    bare: tuple[AskedPhoto, ...]
    body_part: str
    notes: tuple[Note, ...]

    @property
    def photos(self) -> tuple[AskedPhoto, ...]:
        """All of them."""
        return (*self.voting, *self.bare)


def resolve(session: Session, question: Question) -> Resolved:
    """Every photo of the question made ready; one that is given twice counts once.

    SnowmatchError where a file cannot be read, a photo has several annotations and none was chosen, or the photos show
    several body parts.
    """
    if question.body_part is not None:
        check_body_part(question.body_part)
    notes: list[Note] = []
    triples = zip(question.photos, question.boxes, question.masks, strict=True)
    asked = [_make_ready(session, photo, box, mask, question.body_part, notes) for photo, box, mask in triples]
    asked = _without_repeats(asked, notes)
    part = question.body_part or _common_part([a.body_part for a in asked])
    for a in asked:
        if not a.feature_count:
            name = a.path or "the photo"
            notes.append(Note("no-features", f"{name} has no features to compare", {"photo": a.path}))
    voting = tuple(a for a in asked if a.feature_count)
    return Resolved(voting, tuple(a for a in asked if not a.feature_count), part, tuple(notes))


def _make_ready(
    session: Session,
    photo: Photo,
    box: BBox | RelativeBox | None,
    mask: Mask,
    body_part: str | None,
    notes: list[Note],
) -> AskedPhoto:
    """One photo; what is given goes before what is on record, and features come from the catalog where it has them."""
    chosen = photo if isinstance(photo, Annotation) else None
    rows: list[Annotation] = []
    if isinstance(photo, np.ndarray):
        if photo.dtype != np.uint8 or photo.ndim != 3 or photo.shape[2] != 3:
            raise SnowmatchError(f"the photo is {photo.dtype} {photo.shape}, expected uint8 (H, W, 3) RGB")
        path, content, pixels = "", "", photo
        facts = PhotoFacts(likeness=likeness(cv2.cvtColor(photo, cv2.COLOR_RGB2GRAY)))
        notes.append(
            Note(
                "photo-not-looked-up",
                "a photo given as an array is not looked up in the catalog: name its own encounter to leave it out",
            )
        )
    else:
        file = session.folder / photo.path if isinstance(photo, Annotation) else Path(photo)
        _check_file(file, "a photo")
        path, content = str(file if isinstance(photo, Annotation) else photo), file_sha256(file)
        facts, pixels = replace(read_facts(file), likeness=photo_likeness(file)), read_photo(file)
        rows = session.rows_of(content, file)
    size = (pixels.shape[1], pixels.shape[0])
    bbox = box.of_photo(size) if isinstance(box, RelativeBox) else box
    row = chosen or _choose_row(path, rows, body_part, bbox)
    if row is not None:
        bbox = row.bbox if bbox is None else bbox
        mask = session.folder / row.mask if mask is None and row.mask else mask
        notes += _notes_on_row(path, row, chosen, body_part)
    animal, mask_content = _read_animal(mask, size)
    if animal is not None and not animal.any():
        name = path or "the photo"
        notes.append(Note("mask-empty", f"the mask of {name} is black everywhere: no animal is left", {"photo": path}))
    key = annotation_key(content, bbox, mask_content) if content and mask_content is not None else None
    features = tuple(
        gallery.reader.read(key)
        if key is not None and key in gallery.reader
        else extract_from_photo(plugin, pixels, bbox, animal)
        for gallery, plugin in zip(session.galleries, session.method.extractors, strict=True)
    )
    shown = clip_bbox(bbox, size) if bbox is not None else None
    if shown != bbox:
        text = f"the box {_box_text(bbox)} reaches out of the photo and was clipped to {_box_text(shown)}"
        notes.append(Note("box-clipped", text, {"photo": path, "bbox": shown}))
    return AskedPhoto(
        path,
        content,
        shown,
        animal,
        size,
        features,
        row.body_part if row is not None else "unknown",
        frozenset(r.encounter for r in (*rows, *([chosen] if chosen is not None else []))),
        facts,
        make_preview(cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY)),
        None if path else pixels,
    )


def _read_animal(mask: Mask, size: tuple[int, int]) -> tuple[np.ndarray | None, str | None]:
    """The mask (H, W) bool, and its file's sha256: "" without a mask, None for an array."""
    if mask is None:
        return None, ""
    if isinstance(mask, np.ndarray):
        if mask.shape != size[::-1]:
            raise SnowmatchError(f"the mask is {mask.shape}, expected the photo's {size[::-1]}")
        return mask.astype(bool), None
    _check_file(Path(mask), "a mask")
    return read_mask(Path(mask), size), file_sha256(Path(mask))


def _notes_on_row(path: str, row: Annotation, chosen: Annotation | None, body_part: str | None) -> list[Note]:
    notes = []
    if chosen is None and row.path != path:
        notes.append(Note("on-record", f"{path} is on record as {row.path}", {"photo": path, "path": row.path}))
    if body_part is not None and not same_part(row.body_part, body_part):
        text = f"{path} is on record as {row.body_part}, asked about as {body_part}"
        notes.append(Note("other-body-part", text, {"photo": path, "on_record": row.body_part}))
    return notes


def _choose_row(path: str, rows: list[Annotation], body_part: str | None, bbox: BBox | None) -> Annotation | None:
    """Which of the catalog's rows of this photo is asked about; None where the photo is not on record."""
    left = [r for r in rows if bbox is None or r.bbox == bbox] or (rows if len(rows) == 1 else [])
    if body_part is not None and len(left) > 1:
        left = [r for r in left if r.body_part == body_part] or left
    if len({(r.bbox, r.mask, r.body_part) for r in left}) == 1 or not rows:
        return left[0] if left else None
    boxes = "; ".join(f"{_box_text(r.bbox)} ({r.body_part})" for r in rows)
    raise SnowmatchError(
        f"{path} has {len(rows)} annotations in the catalog: choose one by its box: {boxes}", "choose-box"
    )


def _without_repeats(asked: Sequence[AskedPhoto], notes: list[Note]) -> list[AskedPhoto]:
    """The photos without those given twice, which would vote twice."""
    seen: set[tuple[str, BBox | None]] = set()
    kept = []
    for a in asked:
        what = (a.content, a.bbox)
        if a.content and what in seen:
            notes.append(Note("given-twice", f"{a.path} was given twice and votes once", {"photo": a.path}))
            continue
        seen.add(what)
        kept.append(a)
    return kept


def _common_part(parts: Sequence[str]) -> str:
    """The one body part that all photos of a query show, `unknown` where none is known."""
    known = sorted(set(parts) - {"unknown"})
    if len(known) > 1:
        raise SnowmatchError(f"the photos show {' and '.join(known)}: ask about one body part", "choose-body-part")
    return known[0] if known else "unknown"


def _check_file(path: Path, expected: str) -> None:
    if not os.path.isfile(path):
        problem = "is a folder" if os.path.isdir(path) else "does not exist"
        raise SnowmatchError(f"{path} {problem}, expected {expected}: check the path")


def _box_text(bbox: BBox | None) -> str:
    return ",".join(map(str, bbox)) if bbox is not None else "no box"
