"""The result of a screening as a table, and as pictures that show why a photo was kept or left out."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import cv2
import numpy as np
from PIL import Image, ImageDraw

from snowmatch.catalog.load import CatalogData
from snowmatch.catalog.screened import PERSON
from snowmatch.core.errors import SnowmatchError
from snowmatch.core.files import replace_together
from snowmatch.core.home import CSV_NAME
from snowmatch.core.notes import Note
from snowmatch.core.outputs import check_file, check_folder, csv_path, has_mark, jsonl_path, make_output_folder
from snowmatch.core.plain import plain, read_json
from snowmatch.core.plugins import Classifier
from snowmatch.core.text import counted, file_part, percent, plain_cell, printable, some
from snowmatch.photos.failures import Failure, or_failure
from snowmatch.photos.pixels import read_photo
from snowmatch.review.screened_photos import COLUMNS, ScreenedPhoto
from snowmatch.screening.finders import choose_finders
from snowmatch.screening.scenes import species_map
from snowmatch.views.lettering import write_text
from snowmatch.views.side_by_side import TEXT, write_picture

SCHEMA = "snowmatch.screen/2"
WIDTH, HEAD = 640, 64  # px of each of the two halves of a picture, and of the text above them
_DRAWN = re.compile(r".*-\d{4,}\.jpg")  # the name of a picture; earlier versions had nothing before some numbers


def screening_to_csv(photos: Sequence[ScreenedPhoto]) -> str:
    """Return the table as csv text. No photos give the head alone. Lists are joined by "; "; no cell is a formula."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    for photo in photos:
        values = ("; ".join(v) if isinstance(v, tuple) else "" if v is None else str(v) for v in vars(photo).values())
        writer.writerow(map(plain_cell, values))
    return text.getvalue()


def check_table(out: Path, catalog: Path, *, force: bool = False) -> None:
    """Raise SnowmatchError unless OUT.csv and OUT.jsonl may be written.

    An existing OUT.csv is replaced if it is what OUT.jsonl gives: then snowmatch wrote it, and nobody has edited it.
    """
    if csv_path(out).name.lower() == CSV_NAME:
        raise SnowmatchError(f"{csv_path(out)} has the name of a catalog: choose another name", "choose-output")
    check_file(jsonl_path(out), catalog, lambda path: _photos_in(path) is not None, force=force)
    check_file(csv_path(out), catalog, lambda path: _is_unedited(path, jsonl_path(out)), force=force)


def write_table(photos: Sequence[ScreenedPhoto], out: Path) -> None:
    """Write OUT.csv for people and OUT.jsonl for programs, with the schema "snowmatch.screen/2"."""
    lines = [{"schema": SCHEMA, **plain(asdict(photo))} for photo in photos]
    text = "".join(json.dumps(line, ensure_ascii=False, allow_nan=False) + "\n" for line in lines)
    replace_together((jsonl_path(out), text.encode()), (csv_path(out), screening_to_csv(photos).encode()))


def _photos_in(path: Path) -> list[ScreenedPhoto] | None:
    """Return the photos of a file that `write_table` wrote; None if it is any other file or does not exist."""
    try:
        # as bytes: in a text, some characters of a name would end a line
        lines = [read_json(line) for line in path.read_bytes().splitlines()]
        if any(line.pop("schema") != SCHEMA for line in lines):
            return None
        return [ScreenedPhoto(**{**line, "boxes": tuple(line["boxes"])}) for line in lines]
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def _is_unedited(path: Path, jsonl: Path) -> bool:
    photos = _photos_in(jsonl)
    try:
        return photos is not None and path.read_bytes().decode() == screening_to_csv(photos)
    except (OSError, ValueError):
        return False


def draw_screening(
    photos: Sequence[ScreenedPhoto], data: CatalogData, folder: Path, *, force: bool = False
) -> tuple[list[Path], tuple[Note, ...]]:
    """Write one picture for each passage into `folder`, and return their paths, and a note on passages without one.

    A picture shows the photo of the passage with the highest score, of those that can be read, and beside it where the
    classifier sees the species. The names of the files begin with the answer. Photos of persons are left out. The
    pictures of an earlier run are removed first: a passage may show a person by now. data: the catalog, whose settings
    name the classifier; without one, nothing is drawn. force: files that snowmatch did not write are replaced too.
    Raises SnowmatchError if the folder cannot be written.
    """
    check_folder(folder, data.folder)
    classifier = choose_finders(data.settings.classifier).classifier
    for old in folder.glob("*.jpg"):
        if _DRAWN.fullmatch(old.name) and has_mark(old):
            old.unlink()
    passages: dict[str, list[ScreenedPhoto]] = {}
    for photo in photos:
        if photo.score is not None and photo.answer != PERSON and not photo.persons:
            passages.setdefault(photo.encounter, []).append(photo)
    paths: list[Path] = []
    away: list[str] = []
    if passages and classifier is not None:
        make_output_folder(folder)
        for number, (encounter, seen) in enumerate(passages.items(), start=1):
            best = _best_readable(seen, data.folder)
            if best is None:
                away.append(encounter)
                continue
            photo, pixels = best
            path = folder / f"{file_part(photo.answer.replace(' ', '-')) or 'other'}-{number:04}.jpg"
            check_file(path, data.folder, has_mark, force=force)
            paths.append(write_picture(_picture(photo, pixels, classifier), path))
    if not away:
        return paths, ()
    text = f"{counted(len(away), 'passage')} without a picture, as no photo of it can be read: {some(away)}"
    return paths, (Note("pictures-missing", text, {"encounters": away}),)


def _best_readable(photos: Sequence[ScreenedPhoto], folder: Path) -> tuple[ScreenedPhoto, np.ndarray] | None:
    """Return the photo with the highest score that can be read, and its pixels; None if none can."""
    for photo in sorted(photos, key=lambda photo: -(photo.score or 0.0)):
        pixels = or_failure(folder / photo.path, read_photo)
        if not isinstance(pixels, Failure):
            return photo, pixels
    return None


def _picture(photo: ScreenedPhoto, pixels: np.ndarray, classifier: Classifier) -> Image.Image:
    factor = WIDTH / pixels.shape[1]
    size = (WIDTH, max(1, round(pixels.shape[0] * factor)))
    small = cv2.resize(pixels, size, interpolation=cv2.INTER_AREA if factor < 1 else cv2.INTER_LINEAR)
    values = cv2.resize(species_map(classifier.classify(pixels), photo.species), size, interpolation=cv2.INTER_LINEAR)
    colours = cv2.applyColorMap(np.round(255 * values).astype(np.uint8), cv2.COLORMAP_VIRIDIS)
    heat = cv2.cvtColor(colours, cv2.COLOR_BGR2RGB)
    canvas = Image.new("RGB", (2 * WIDTH, HEAD + size[1]), (20, 20, 20))
    canvas.paste(Image.fromarray(small), (0, HEAD))
    canvas.paste(Image.fromarray(cv2.addWeighted(small, 0.4, heat, 0.6, 0)), (WIDTH, HEAD))
    draw = ImageDraw.Draw(canvas)
    for box in photo.boxes:
        x, y, width, height = (round(int(n) * factor) for n in box.split(","))
        draw.rectangle((x, HEAD + y, x + width, HEAD + y + height), outline=(255, 255, 255), width=2)
    answer = f"{photo.answer}   {percent(photo.probability)}"
    lines = (f"{answer}   {photo.encounter}", photo.path)
    for line, text in enumerate(lines):
        write_text(draw, (8, 6 + 28 * line), printable(text), 20 - 4 * line, TEXT, room=2 * WIDTH - 16)
    return canvas
