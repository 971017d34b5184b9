"""Pictures of a query and a candidate side by side.

There are up to three pictures of a pair: with the matched spots joined by lines, without lines, and with the scenery
darkened.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from functools import cache, partial
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from snowmatch.core.errors import SnowmatchError
from snowmatch.core.files import file_sha256
from snowmatch.core.outputs import check_file, check_folder, has_mark, make_output_folder
from snowmatch.core.text import counted, file_part, percent, printable
from snowmatch.identify.answer import Answer, Candidate
from snowmatch.identify.spots import Spots
from snowmatch.photos.chips import clip_bbox
from snowmatch.photos.pixels import read_mask, read_photo
from snowmatch.screening.foreground import evidence_in_words, foreground_picture
from snowmatch.views.lettering import write_text
from snowmatch.views.side_by_side import (
    BACKGROUND,
    CAPTION,
    FAINT,
    GAP,
    HEAD,
    LEVELS,
    NARROWEST,
    TEXT,
    WARNING,
    Side,
    colours_of,
    cuts_of,
    darken,
    draw_caption,
    draw_matches,
    draw_outline,
    write_picture,
)
from snowmatch.views.text import individual_name, place_texts, why_rejected


def draw_answer(answer: Answer, folder: Path, catalog_folder: Path, top: int, *, force: bool = False) -> list[Path]:
    """Write the pictures of the first `top` candidates into `folder` and return their paths.

    The folder is created if it does not exist. Without candidates, the function writes nothing. force: files that
    snowmatch did not write are replaced too.

    - `<query>-<digits>-<rank>-<individual>-matches.jpg`: lines join the matched spots; the colour shows the weight.
      The digits depend on the content of the query photos.
    - `...-plain.jpg`: the same two photos without lines.
    - `...-foreground.jpg`: the same two photos with the scenery darkened. Only written if that darkens something of
      what is shown: with a box or a mask, often all of it counts.

    Raises SnowmatchError if `folder` cannot be written, or, after all other pictures are written, if a photo or mask
    cannot be read.
    """
    check_folder(folder, catalog_folder)
    drawn: list[Path] = []
    failures: list[str] = []
    query = cache(partial(_query_side, answer))
    stem = _stem(answer) if answer.candidates[:top] else ""
    shown = answer.candidates[:top]
    scale = [c for c in shown if c.accepted] or shown  # unverified weights are often larger and are no evidence
    strongest = max((float(c.weights.max()) for c in scale if len(c.weights)), default=0.0)
    for candidate in shown:
        try:
            sides = query(candidate.best_query), _gallery_side(candidate, catalog_folder)
        except SnowmatchError as error:
            failures.append(f"candidate {candidate.rank}: {error}")
            continue
        name = f"{stem}-{candidate.rank:02d}-{file_part(individual_name(candidate)) or 'unnamed'}"
        for kind, picture in draw_pair(candidate, *sides, strongest, answer.bounds).items():
            path = folder / f"{name}-{kind}.jpg"
            make_output_folder(folder)
            check_file(path, catalog_folder, has_mark, force=force)
            drawn.append(write_picture(picture, path))
    if failures:
        raise SnowmatchError(
            f"pictures of {len(failures)} of {counted(len(shown), 'candidate')} not written: {'; '.join(failures)}"
        )
    return drawn


def draw_candidate(answer: Answer, candidate: Candidate, catalog_folder: Path) -> dict[str, Image.Image]:
    """Return the pictures of one candidate as `draw_pair` does, without titles and captions: a page has them beside.

    Raises SnowmatchError if a photo or mask cannot be read.
    """
    sides = _query_side(answer, candidate.best_query), _gallery_side(candidate, catalog_folder)
    strongest = max((float(c.weights.max()) for c in (*answer.candidates, candidate) if len(c.weights)), default=0.0)
    drawn = draw_pair(candidate, *sides, strongest, answer.bounds)
    return {kind: each.crop((0, HEAD + CAPTION, each.width, each.height)) for kind, each in drawn.items()}


def draw_pair(
    candidate: Candidate, query: Side, gallery: Side, strongest: float, bounds: Sequence[float] = ()
) -> dict[str, Image.Image]:
    """Return the pictures `matches` and `plain`, and `foreground` if something that they show counts less.

    strongest: the weight at the top of the colour scale.
    """
    views = cuts_of((query, gallery), (candidate.keypoints0, candidate.keypoints1))
    widths = [max(view.size[0], NARROWEST) for view in views]
    top, height = HEAD + CAPTION, max(view.size[1] for view in views)
    canvas = np.full((top + height, sum(widths) + GAP, 3), BACKGROUND, np.uint8)
    lefts = (0, widths[0] + GAP)
    for n, (side, view) in enumerate(zip((query, gallery), views, strict=True)):
        w, h = view.size
        views[n] = view = view.at(lefts[n] + (widths[n] - w) // 2, top + (height - h) // 2)
        x, y = view.corner
        canvas[y : y + h, x : x + w] = view.pixels(side.photo)
    plain, darkened = canvas.copy(), canvas.copy()
    for side, view in zip((query, gallery), views, strict=True):
        darken(darkened, side, view)
    for side, view in zip((query, gallery), views, strict=True):
        draw_outline(canvas, side, view)
    count = draw_matches(canvas, spots_of(candidate), views, strongest)
    pictures = {"matches": Image.fromarray(canvas), "plain": Image.fromarray(plain)}
    if not np.array_equal(darkened, plain):  # a map may leave out only a bar with text, outside the box
        pictures["foreground"] = Image.fromarray(darkened)
    for picture in pictures.values():
        _draw_head(picture, candidate, bounds)
        for side, view, left, width in zip((query, gallery), views, lefts, widths, strict=True):
            draw_caption(picture, side, view, left, width)
    _draw_legend(pictures["matches"], candidate, count, strongest)
    return pictures


def spots_of(candidate: Candidate) -> Spots:
    """Return the matched spots of a candidate."""
    c = candidate
    return Spots(c.keypoints0, c.keypoints1, c.scales0, c.scales1, c.weights)


def _draw_head(picture: Image.Image, candidate: Candidate, bounds: Sequence[float]) -> None:
    draw = ImageDraw.Draw(picture)
    right = picture.width - 16
    score, inliers = f"score {candidate.score:.2f}", counted(candidate.inliers, "inlier")
    if candidate.accepted:
        right = write_text(draw, (right, 10), f"{score}    {inliers}", 32, TEXT, anchor="right")
    else:
        right = write_text(draw, (right, 10), why_rejected(candidate), 32, WARNING, anchor="right")
    if candidate.level is not None:
        least = "" if candidate.careful is None else f" (≥ {percent(candidate.careful, bounds)})"
        level = printable(candidate.level) + f" {percent(candidate.probability)}{least}".rstrip()
        right = write_text(draw, (right - 32, 10), level, 32, TEXT, anchor="right")
        draw.ellipse((right - 34, 18, right - 10, 42), fill=LEVELS.get(candidate.level, FAINT))
        right -= 34
    write_text(draw, (16, 10), f"{candidate.rank}.  {individual_name(candidate)}", 32, TEXT, room=right - 48)


def _draw_legend(picture: Image.Image, candidate: Candidate, count: int, strongest: float) -> None:
    draw = ImageDraw.Draw(picture)
    match = "match" if candidate.accepted else "unverified match"
    matches = counted(len(candidate.weights), match, f"{match}es")
    score = "" if candidate.accepted else f", score {candidate.score:.2f} without the geometric check"
    write_text(draw, (16, 58), f"{matches}, {count} drawn{score}", 18, FAINT)
    right = write_text(draw, (picture.width - 16, 58), f"{strongest:.2g}", 18, FAINT, anchor="right") - 8
    for step, colour in enumerate(colours_of(np.linspace(0, 1, 160))):
        draw.line((right - 160 + step, 60, right - 160 + step, 76), fill=colour)
    write_text(draw, (right - 168, 58), "weight  0", 18, FAINT, anchor="right")


def _query_side(answer: Answer, number: int) -> Side:
    photos, asked = answer.photos, answer.photos[number]
    photo = read_photo(Path(asked.path)) if asked.image is None else asked.image
    which = f"photo {number + 1} of {len(photos)}" if len(photos) > 1 else ""
    # The title shows the candidate's own level. If the decision is "new", the picture must show that too.
    likely = ""
    if answer.decision is not None and answer.decision.new:
        likely = f"answer: {answer.decision.level}, a new individual {percent(answer.new_probability)}"
    line = "   ".join(filter(None, (which, likely)))
    lines = [line] if line else []
    box = clip_bbox(asked.bbox, photo.shape[1::-1]) if asked.bbox else None
    evidence = _evidence(asked.evidence)
    weights = None
    if evidence or asked.foreground is not None:
        whole = (0, 0, *asked.image_size) if asked.mask is not None else None
        weights = foreground_picture(asked.image_size, asked.foreground, box=box or whole)
    first = "   ".join(filter(None, ("QUERY", answer.body_part, evidence)))
    return Side(photo, box, asked.mask, (first, *lines, printable(Path(asked.path).name)), weights)


def _evidence(evidence: str) -> str:
    """Return what is taken for the animal, in words; "" if a person outlined it or everything counts."""
    if evidence in ("", "mask", "box", "given"):
        return ""
    return f"animal: {'assumed near the centre' if evidence == 'centre' else 'where ' + evidence_in_words(evidence)}"


def _gallery_side(candidate: Candidate, catalog_folder: Path) -> Side:
    best = candidate.best
    photo = read_photo(catalog_folder / best.path)
    size = photo.shape[1::-1]
    caption = (
        f"CATALOG   {best.body_part}",
        printable("   ".join(filter(None, (*place_texts(best), best.annotation)))),
        printable(best.path),
    )
    mask = read_mask(catalog_folder / best.mask, size) if best.mask else None
    box = clip_bbox(best.bbox, size) if best.bbox else None
    weights = None
    if _evidence(candidate.evidence) or candidate.foreground is not None:
        whole = (0, 0, *size) if mask is not None else None
        weights = foreground_picture(size, candidate.foreground, box=box or whole)
    return Side(photo, box, mask, caption, weights)


def _stem(answer: Answer) -> str:
    """Return the first part of the names of an answer's pictures: the photo's name, and 8 digits of the content.

    Photos of several cameras often have the same name.
    """
    digest = hashlib.sha256()
    for photo in answer.photos:
        content = file_sha256(Path(photo.path)) if photo.image is None else photo.image.tobytes()
        digest.update(repr((content, photo.bbox)).encode())
    name = file_part(Path(answer.photos[0].path).stem if answer.photos else "") or "query"
    return f"{name}-{digest.hexdigest()[:8]}"
