"""The first step of a query: read each photo, look it up in the catalog, and find its animal and features."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import cv2
import numpy as np

from snowmatch.catalog.cells import RelativeBox
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
    """One query photo that is ready to be compared.

    path: as the user wrote it; "" for an array. content: its sha256; "" for an array.
    bbox: the animal's box, clipped to the photo; None without a box. box_by: what found it; "" if a person drew it.
    mask: (H, W) bool, True on the animal, or None. image_size: (width, height) of the upright photo (px).
    features: the features of each extractor, in pixels of the photo; None if the box has to be found first.
    body_part: what it is compared with: the question's, or that of its row; `unknown` if neither tells.
    encounters: names of the encounters on record that contain a photo with the same content, and the encounter of an
    annotation that the user chose.
    individual: the name on record; "" if there is none.
    facts: the time, the camera and the likeness of the photo. preview: a small grey copy, to find the foreground.
    image: the photo if the user gave an array; None otherwise.
    """

    path: str
    content: str
    bbox: BBox | None
    box_by: str
    mask: np.ndarray | None
    image_size: tuple[int, int]
    features: tuple[Features, ...] | None
    body_part: str
    encounters: frozenset[str]
    individual: str
    facts: PhotoFacts
    preview: Preview
    image: np.ndarray | None = None

    @property
    def feature_count(self) -> int:
        """Number of features, of all extractors together."""
        return sum(map(len, self.features or ()))

    @property
    def drawn_box(self) -> BBox | None:
        """The box that a person drew; None if there is none or snowmatch found it."""
        return None if self.box_by else self.bbox


@dataclass(frozen=True, eq=False)
class Resolved:
    """The result of the first step: the query photos, and the body part that they show; `unknown` if they show several.

    The body part of each photo says with which annotations it is compared.
    """

    photos: tuple[AskedPhoto, ...]
    body_part: str
    notes: tuple[Note, ...]


def resolve(session: Session, question: Question) -> Resolved:
    """Return the query photos of the question, ready to be compared. A photo that is given twice is kept once.

    Raises SnowmatchError if a file cannot be read, or if a photo has several annotations and none was chosen.
    """
    notes: list[Note] = []
    triples = zip(question.photos, question.boxes, question.masks, strict=True)
    asked = [_make_ready(session, photo, box, mask, question.body_part, notes) for photo, box, mask in triples]
    asked = _without_repeats(asked, notes)
    if len(names := sorted({a.individual for a in asked} - {""})) > 1:
        text = (
            f"the photos are on record as {' and '.join(names)}, and a query is about one animal: ask about each alone"
        )
        notes.append(Note("several-animals", text, {"individuals": names}))
    shown = sorted({a.body_part for a in asked} - {"unknown"})
    if question.body_part is None and len(shown) > 1:
        text = f"the photos show {' and '.join(shown)}: each is compared with its own, and each body part votes once"
        notes.append(Note("several-body-parts", text, {"body_parts": shown}))
        return Resolved(tuple(asked), "unknown", tuple(notes))
    part = question.body_part or (shown[0] if shown else "unknown")
    return Resolved(tuple(replace(a, body_part=part) for a in asked), part, tuple(notes))


def _make_ready(
    session: Session,
    photo: Photo,
    box: BBox | RelativeBox | None,
    mask: Mask,
    body_part: str | None,
    notes: list[Note],
) -> AskedPhoto:
    """Return one query photo, ready to be compared. Remarks are added to `notes`.

    A box or a mask in the question replaces the one on record. Stored features are used if there are any; otherwise
    the features are extracted. A photo whose box has to be found first gets no features here.
    """
    chosen = photo if isinstance(photo, Annotation) else None
    rows: list[Annotation] = []
    if isinstance(photo, np.ndarray):
        if photo.dtype != np.uint8 or photo.ndim != 3 or photo.shape[2] != 3 or not photo.size:
            raise SnowmatchError(f"the photo is {photo.dtype} {photo.shape}, expected uint8 (H, W, 3) RGB, not empty")
        path, content, pixels = "", "", photo
        facts = PhotoFacts(likeness=likeness(cv2.cvtColor(photo, cv2.COLOR_RGB2GRAY)))
        notes.append(
            Note(
                "photo-not-looked-up",
                "a photo given as an array is not looked up in the catalog: if it is on record, exclude its encounter",
            )
        )
    else:
        file = session.folder / photo.path if isinstance(photo, Annotation) else Path(photo)
        _check_file(file, "a photo")
        path, content = str(file if isinstance(photo, Annotation) else photo), file_sha256(file)
        facts, pixels = read_facts(file)._replace(likeness=photo_likeness(file)), read_photo(file)
        rows = session.rows_of(content, file)
    size = (pixels.shape[1], pixels.shape[0])
    bbox = box.of_photo(size) if isinstance(box, RelativeBox) else box
    has_mask = partial(_has_mask, session.folder, mask, size) if mask is not None else None
    row = chosen or _choose_row(path, rows, body_part, bbox, has_mask)
    box_by = ""
    if row is not None:
        notes += _notes_on_other_box(path, row, bbox, mask, body_part)
        if bbox is None and not (mask is not None and row.box_by):  # a mask in the question replaces a found box
            bbox, box_by = row.bbox, row.box_by
        mask = session.folder / row.mask if mask is None and row.mask else mask
        notes += _notes_on_row(session.folder, path, row, chosen, body_part)
    animal, mask_content = _read_animal(mask, size)
    if animal is not None and not animal.any():
        name = path or "the photo"
        notes.append(Note("mask-empty", f"the mask of {name} is black everywhere: it has no animal", {"photo": path}))
    key = annotation_key(content, bbox, mask_content) if content and mask_content is not None else None
    to_find = bbox is None and animal is None and row is None and session.finds_boxes
    features = None if to_find else extract(session, pixels, bbox, animal, key)
    shown = clip_bbox(bbox, size) if bbox is not None else None
    if shown != bbox:
        text = f"the box {_box_text(bbox)} extends beyond the photo and was clipped to {_box_text(shown)}"
        notes.append(Note("box-clipped", text, {"photo": path, "bbox": shown}))
    return AskedPhoto(
        path,
        content,
        shown,
        box_by,
        animal,
        size,
        features,
        row.body_part if row is not None else "unknown",
        frozenset(r.encounter for r in (*rows, *([chosen] if chosen is not None else []))),
        (row.individual or "") if row is not None else "",
        facts,
        make_preview(cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY)),
        None if path else pixels,
    )


def extract(
    session: Session, pixels: np.ndarray, bbox: BBox | None, animal: np.ndarray | None, key: str | None = None
) -> tuple[Features, ...]:
    """Return the features of each extractor: the stored ones of `key` if there are any, otherwise new ones.

    pixels: (H, W, 3) uint8 RGB. animal: the mask (H, W) bool, or None.
    """
    return tuple(
        gallery.reader.read(key)
        if key is not None and key in gallery.reader
        else extract_from_photo(plugin, pixels, bbox, animal)
        for gallery, plugin in zip(session.galleries, session.method.extractors, strict=True)
    )


def _read_animal(mask: Mask, size: tuple[int, int]) -> tuple[np.ndarray | None, str | None]:
    """Return the mask as (H, W) bool, and the sha256 of its file.

    Without a mask returns None and ""; with an array returns None as the sha256. size: (width, height) of the photo.
    Raises SnowmatchError if the size is wrong, the file cannot be read, or an array has several values beside 0.
    """
    if mask is None:
        return None, ""
    if isinstance(mask, np.ndarray):
        if mask.shape != size[::-1]:
            raise SnowmatchError(f"the mask is {mask.shape}, expected (height, width) of the photo, {size[::-1]}")
        animal = mask.astype(bool)
        if animal.any() and (mask != mask[animal][0])[animal].any():
            raise SnowmatchError(
                f"the mask has values from {mask.min():g} to {mask.max():g}, and which of them are the animal is not "
                "known, expected True on the animal: give a mask of True and False, such as mask > 127"
            )
        return animal, None
    _check_file(Path(mask), "a mask")
    return read_mask(Path(mask), size), file_sha256(Path(mask))


def _has_mask(folder: Path, mask: Mask, size: tuple[int, int], row: Annotation) -> bool:
    """Return whether a row of the catalog in `folder` has this mask. A row whose mask is not readable has not.

    size: (width, height) of the photo. Raises SnowmatchError if the given mask cannot be used.
    """
    animal, _ = _read_animal(mask, size)
    if not row.mask or animal is None:
        return False
    try:
        return np.array_equal(read_mask(folder / row.mask, size), animal)
    except SnowmatchError:
        return False


def _notes_on_row(
    folder: Path, path: str, row: Annotation, chosen: Annotation | None, body_part: str | None
) -> list[Note]:
    """Return notes if the photo is another file on record, or if its body part on record differs from the query's."""
    notes = []
    if chosen is None and not _same_file(folder / row.path, Path(path)):
        notes.append(Note("on-record", f"{path} is on record as {row.path}", {"photo": path, "path": row.path}))
    if body_part is not None and not same_part(row.body_part, body_part):
        text = f"{path} is on record as {row.body_part}, the query uses {body_part}"
        notes.append(Note("other-body-part", text, {"photo": path, "on_record": row.body_part}))
    return notes


def _notes_on_other_box(path: str, row: Annotation, bbox: BBox | None, mask: Mask, body_part: str | None) -> list[Note]:
    """Return a note if the query gives another box than the row has, and yet uses the row's mask or body part."""
    used = ["mask"] if mask is None and row.mask else []
    if bbox is None or bbox == row.own_box or not (used or row.own_box):
        return []
    used += [f"body part ({row.body_part})"] if body_part is None and row.body_part != "unknown" else []
    if not used:
        return []
    text = (
        f"{path} is on record with {_the_box(row.own_box)}, the query has {_the_box(bbox)} and uses the "
        f"{' and the '.join(used)} on record: if it is another animal, give these too"
    )
    return [Note("other-box", text, {"photo": path, "on_record": row.own_box, "bbox": bbox})]


def _same_file(one: Path, other: Path) -> bool:
    try:
        return os.path.samefile(one, other)
    except OSError:  # one of them is not there any more
        return False


def _choose_row(
    path: str,
    rows: list[Annotation],
    body_part: str | None,
    bbox: BBox | None,
    has_mask: Callable[[Annotation], bool] | None,
) -> Annotation | None:
    """Return the row of this photo in the catalog that the query is about; None if the photo is not on record.

    The row is chosen by the box, the mask and the body part of the question. has_mask: whether a row has that mask;
    None if the question has none. Raises SnowmatchError if several different rows remain.
    """
    kinds = {"box": "bbox", "mask": "mask", "body part": "body_part"}
    by = [kind for kind, name in kinds.items() if len({getattr(r, name) for r in rows}) > 1]
    left = [r for r in rows if bbox is None or r.bbox == bbox] or ([] if by else rows)
    if has_mask is not None and len(rows) > 1:
        left = [r for r in left or rows if has_mask(r)] or left
    if body_part is not None and len(left) > 1:
        left = [r for r in left if r.body_part == body_part] or left
    if len({(r.bbox, r.mask, r.body_part) for r in left}) == 1 or not rows:
        return left[0] if left else None
    listed = "; ".join(f"{_box_text(r.bbox)}{f', mask {r.mask}' if r.mask else ''} ({r.body_part})" for r in rows)
    told = f"{path} has {len(rows)} annotations in the catalog"
    if not left:
        told = f"none of the {len(rows)} annotations of {path} in the catalog has {_the_box(bbox)}"
    text = f"{told}: choose one by {' or '.join(f'its {kind}' for kind in by)}: {listed}"
    raise SnowmatchError(text, "choose-box", by=by)


def _without_repeats(asked: Sequence[AskedPhoto], notes: list[Note]) -> list[AskedPhoto]:
    """Return the photos without repeats, because a photo that is given twice would vote twice.

    A repeat has the content and the box of an earlier photo. Remarks are added to `notes`.
    """
    seen: set[tuple[str, BBox | None]] = set()
    kept = []
    for a in asked:
        what = (a.content, a.bbox)
        if a.content and what in seen:
            notes.append(Note("given-twice", f"{a.path} was given twice and votes only once", {"photo": a.path}))
            continue
        seen.add(what)
        kept.append(a)
    return kept


def _check_file(path: Path, expected: str) -> None:
    """Raise SnowmatchError if `path` is not a file. expected: what the file should be, such as "a photo"."""
    if not os.path.isfile(path):
        problem = (
            "is a folder" if os.path.isdir(path) else "is not a file" if os.path.exists(path) else "does not exist"
        )
        folder = expected == "a photo" and os.path.isdir(path)
        do = "name its photos, or ask about all of them with `snowmatch batch`" if folder else "check the path"
        raise SnowmatchError(f"{path} {problem}, expected {expected}: {do}")


def _box_text(bbox: BBox | None) -> str:
    return ",".join(map(str, bbox)) if bbox is not None else "no box"


def _the_box(bbox: BBox | None) -> str:
    return f"the box {_box_text(bbox)}" if bbox is not None else "no box"
