"""The picture of a question: two sightings side by side."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from snowmatch.core.errors import SnowmatchError
from snowmatch.core.files import unwritable
from snowmatch.core.outputs import check_file, check_folder, has_mark, make_output_folder
from snowmatch.core.text import printable
from snowmatch.core.types import Annotation
from snowmatch.identify.session import Session
from snowmatch.identify.spots import Spots, spots_between
from snowmatch.photos.chips import clip_bbox
from snowmatch.photos.failures import Failure, or_failure
from snowmatch.photos.pixels import read_mask, read_photo
from snowmatch.review.identities import Identities
from snowmatch.review.likely import Likely
from snowmatch.views.lettering import write_text
from snowmatch.views.side_by_side import (
    BACKGROUND,
    CAPTION,
    GAP,
    HEAD,
    NARROWEST,
    TEXT,
    Side,
    cuts_of,
    draw_caption,
    draw_matches,
    draw_outline,
    write_picture,
)
from snowmatch.views.text import place_texts

NO_SPOTS = Spots(np.zeros((0, 2)), np.zeros((0, 2)), np.zeros(0), np.zeros(0), np.zeros(0))


def draw_question(
    folder: Path, photos: Sequence[Annotation], title: str, spots: Spots | None = None, *, hidden: bool = False
) -> Image.Image:
    """Return the picture of two photos of the catalog in `folder`.

    spots: lines join them; None: neither lines nor outlines, as observers see a question. hidden: without paths and
    encounters, which may tell the animals' names. Raises SnowmatchError if a photo cannot be read.
    """
    sides = [_side(folder, a, hidden) for a in photos]
    shown = NO_SPOTS if spots is None else spots
    views = cuts_of((sides[0], sides[1]), (shown.keypoints0, shown.keypoints1))
    widths = [max(view.size[0], NARROWEST) for view in views]
    top, height = HEAD + CAPTION, max(view.size[1] for view in views)
    canvas = np.full((top + height, sum(widths) + GAP, 3), BACKGROUND, np.uint8)
    lefts = (0, widths[0] + GAP)
    for n, (side, view) in enumerate(zip(sides, views, strict=True)):
        w, h = view.size
        views[n] = view = view.at(lefts[n] + (widths[n] - w) // 2, top + (height - h) // 2)
        x, y = view.corner
        canvas[y : y + h, x : x + w] = view.pixels(side.photo)
        if spots is not None:
            draw_outline(canvas, side, view)
    if spots is not None:
        draw_matches(canvas, spots, views, float(spots.weights.max(initial=0.0)))
    picture = Image.fromarray(canvas)
    write_text(ImageDraw.Draw(picture), (16, 10), printable(title), 32, TEXT, room=picture.width - 32)
    for side, view, left, width in zip(sides, views, lefts, widths, strict=True):
        draw_caption(picture, side, view, left, width)
    return picture


def write_pair(
    session: Session, identities: Identities, a: int, b: int, likely: Likely | None, folder: Path, *, hidden: bool
) -> list[Path] | Failure:
    """Write the picture of two sightings into `folder`, question.jpg, and with lines question-lines.jpg.

    likely: the evidence, which names the photos that agree best; None: the first photo of either sighting is drawn.
    hidden: the first photos without lines, paths and encounters; they tell neither names nor what the photos say.
    Earlier pictures of questions are removed, also if a photo cannot be read: then the reason is returned. Raises
    SnowmatchError if a file cannot be written.
    """
    check_folder(folder, identities.data.folder)
    by_name = {x.annotation: identities.corrected(x.row) for x in identities.annotations}
    sightings = identities.who.sightings
    names = (sightings[a].annotations[0], sightings[b].annotations[0])
    if likely is not None and not hidden:
        names = likely.photos if likely.one == a else (likely.photos[1], likely.photos[0])
    photos = [by_name[name] for name in names]
    kinds: list[tuple[str, Spots | None]] = [("question", None)]
    if not hidden:
        kinds.append(("question-lines", spots_between(session, photos[0].row, photos[1].row)))
    make_output_folder(folder)
    for earlier in (folder / "question.jpg", folder / "question-lines.jpg"):
        if not earlier.is_symlink() and has_mark(earlier):
            try:
                earlier.unlink()
            except OSError as error:
                raise unwritable(folder, error) from error
    drawn = []
    for name, spots in kinds:
        path = folder / f"{name}.jpg"
        if path.is_file() and not has_mark(path):
            raise SnowmatchError(f"{path} exists, and snowmatch did not write it: choose another folder")
        check_file(path, identities.data.folder, has_mark)
        picture = or_failure(identities.data.folder, draw_question, photos, "One animal?", spots, hidden=hidden)
        if isinstance(picture, Failure):
            return picture
        drawn.append(write_picture(picture, path))
    return drawn


def _side(folder: Path, a: Annotation, hidden: bool) -> Side:
    photo = read_photo(folder / a.path)
    size = photo.shape[1::-1]
    when = "" if a.timestamp is None else a.timestamp.date().isoformat() + ("" if a.dated else f" {a.timestamp:%H:%M}")
    caption = (
        printable(a.body_part.replace("_", " ")),
        printable("   ".join(filter(None, (*place_texts(replace(a, encounter="") if hidden else a), when)))),
        "" if hidden else printable(a.path),
    )
    mask = read_mask(folder / a.mask, size) if a.mask else None
    return Side(photo, clip_bbox(a.bbox, size) if a.bbox else None, mask, caption)
