"""The pictures and the page of `explain`: a network's heat map above, snowmatch's matched spots below."""

from __future__ import annotations

import html
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
from embedding.crops import crop
from embedding.inputs import Shape, read_input
from PIL import Image, ImageDraw

from deep.answers import Pair, Seen
from snowmatch.core.text import printable
from snowmatch.core.types import Annotation
from snowmatch.views.failures import head, side_of
from snowmatch.views.lettering import write_text
from snowmatch.views.pictures import draw_pair
from snowmatch.views.side_by_side import BACKGROUND, FAINT, GAP, TEXT, WARNING

TALLEST = 520  # px, greatest height of a photo in the upper row, so that a picture fits one or two screens
STRIP, CAPTION = 92, 40  # px, heights above the photos: headline with legend, and a title for each photo
COVER = 0.6  # opacity of the maximum: the coat stays visible below it
VERDICTS = {True: ("right", (90, 205, 120)), False: ("wrong", (240, 110, 90))}


def overlay(pixels: np.ndarray, heat: np.ndarray) -> np.ndarray:
    """Return the pixels (H, W, 3) with the heat (h, w), 0 to 1, over them, as uint8. Heat 0 changes no pixel."""
    height, width = pixels.shape[:2]
    heat = np.clip(cv2.resize(heat, (width, height), interpolation=cv2.INTER_LINEAR), 0, 1)
    cover = COVER * heat[:, :, None]
    return np.rint(pixels * (1 - cover) + _colours(heat) * cover).astype(np.uint8)


def _colours(heat: np.ndarray) -> np.ndarray:
    """Return (..., 3) uint8 RGB of heat from 0 to 1: blue, green, yellow, red."""
    levels = np.rint(40 + 190 * heat).astype(np.uint8)
    return cv2.applyColorMap(levels.reshape(-1, 1), cv2.COLORMAP_TURBO)[:, 0, ::-1].reshape(*heat.shape, 3)


def draw(folder: Path, pair: Pair, heats: tuple[np.ndarray, np.ndarray], seen: Seen, shape: Shape) -> Image.Image:
    """Draw both rows of one pair: the network's above, snowmatch's below."""
    lower = _matches_row(folder, pair, seen)
    upper = _network_row(folder, pair, heats, shape, lower.width)
    picture = Image.new("RGB", (lower.width, upper.height + GAP + lower.height), BACKGROUND)
    picture.paste(upper, (0, 0))
    ImageDraw.Draw(picture).line((0, upper.height + GAP // 2, lower.width, upper.height + GAP // 2), FAINT)
    picture.paste(lower, (0, upper.height + GAP))
    return picture


def _network_row(
    folder: Path, pair: Pair, heats: tuple[np.ndarray, np.ndarray], shape: Shape, width: int
) -> Image.Image:
    """Draw the two photos as the network gets them, in their own aspect ratio, with their heat."""
    panel = (width - GAP) // 2
    panels = []
    for annotation, heat in zip((pair.query, pair.photo), heats, strict=True):
        seen = read_input(folder, annotation, replace(shape, channels="rgb"))
        height, across = crop(folder, annotation).shape[:2]
        scale = min(panel / across, TALLEST / height)
        size = max(round(across * scale), 1), max(round(height * scale), 1)
        panels.append(overlay(cv2.resize(seen, size, interpolation=cv2.INTER_CUBIC), heat))
    row = Image.new("RGB", (width, STRIP + CAPTION + max(len(p) for p in panels)), BACKGROUND)
    draw = ImageDraw.Draw(row)
    word, colour = VERDICTS[pair.right]
    right = write_text(draw, (width - 16, 10), word, 32, colour, anchor="right")
    right = write_text(draw, (right - 24, 10), f"similarity {pair.similarity:.3f}", 32, TEXT, anchor="right")
    write_text(draw, (16, 10), f"Network's answer: {_name(pair.photo)}", 32, TEXT, room=right - 48)
    right = write_text(draw, (width - 16, 58), "most", 18, FAINT, anchor="right") - 8
    for step, shade in enumerate(_colours(np.linspace(0, 1, 160))):
        draw.line((right - 160 + step, 60, right - 160 + step, 76), fill=tuple(int(v) for v in shade))
    right = write_text(draw, (right - 168, 58), "none", 18, FAINT, anchor="right")
    legend = "Grad-CAM: where each photo is similar to the other; 1 is the photo's own maximum"
    write_text(draw, (16, 58), legend, 18, FAINT, room=right - 32)
    for side, (annotation, heat, pixels) in enumerate(zip((pair.query, pair.photo), heats, panels, strict=True)):
        left = side * (panel + GAP)
        row.paste(Image.fromarray(pixels), (left + (panel - pixels.shape[1]) // 2, STRIP + CAPTION))
        title = f"{('QUERY', 'CATALOG')[side]}   {_name(annotation)}   {annotation.body_part}"
        end = write_text(draw, (left + 16, STRIP + 4), title, 20, TEXT, room=panel - 24)
        if not heat.any():
            room = left + panel - end - 24
            write_text(
                draw, (end + 24, STRIP + 4), "zero everywhere: no place raises the similarity", 20, WARNING, room=room
            )
    return row


def _matches_row(folder: Path, pair: Pair, seen: Seen) -> Image.Image:
    """Draw snowmatch's own answer as text, and below it the pair with its matches."""
    sides = [side_of(folder, a, name) for a, name in ((pair.query, "QUERY"), (pair.photo, "CATALOG"))]
    strongest = float(seen.candidate.weights.max(initial=0.0))
    drawn = draw_pair(seen.candidate, *sides, strongest)["matches" if seen.candidate.accepted else "plain"]
    row = Image.new("RGB", (drawn.width, STRIP + drawn.height), BACKGROUND)
    row.paste(drawn, (0, STRIP))
    draw = ImageDraw.Draw(row)
    right = row.width - 16
    if seen.best is not None:
        word, colour = VERDICTS[seen.right]
        right = write_text(draw, (right, 10), word, 32, colour, anchor="right")
    write_text(draw, (16, 10), f"snowmatch's answer: {_answered(seen)}", 32, TEXT, room=right - 48)
    line = f"below: the network's pair, rank {seen.candidate.rank} of {seen.answering} photos"
    if not seen.candidate.accepted:
        line += ", no verified match"
    colour = FAINT if seen.candidate.accepted else WARNING
    write_text(draw, (16, 58), line, 18, colour)
    return row


def _answered(seen: Seen) -> str:
    if seen.best is None:
        return "no match with any photo"
    return _name(seen.best) + ("" if seen.verified else " (unverified)")


def _name(annotation: Annotation) -> str:
    return printable(annotation.individual or "unidentified")


def page(about: Sequence[str], shown: Sequence[tuple[Pair, Seen, str]]) -> str:
    """Return the HTML page of all pairs. `shown` has each pair with the file name of its picture; it may be empty."""
    title = f"Where the network looks: {about[0] if about else ''}"
    parts = [
        *head(title),
        f"<h1>{_html(title)}</h1>",
        *(f"<p>{_html(line)}</p>" for line in about[1:]),
        '<p class="small">Above: Grad-CAM of the similarity; red is where a photo is more similar to the other one '
        "than the rest of it is (1 is its own maximum). Below: the verified matches of the same two photos.</p>",
    ]
    for right, heading in ((True, "Right best answers"), (False, "Wrong best answers")):
        members = [each for each in shown if each[0].right == right]
        parts.append(f"<h2>{heading} ({len(members)})</h2>")
        parts += [_article(*each) for each in members]
    return "\n".join([*parts, "</body></html>", ""])


def _article(pair: Pair, seen: Seen, file: str) -> str:
    asked = f"{_name(pair.query)} {pair.query.body_part}"
    kind = "right" if pair.right else "wrong"
    match = seen.candidate
    verified = "no verified match of the two"
    if match.accepted:
        verified = f"score {match.score:.2f}, {match.inliers} inliers, rank {match.rank} of {seen.answering}"
    verdict = "" if seen.best is None else ", right" if seen.right else ", wrong"
    return (
        f'<article><h3>{_html(asked)}: <span class="{kind}">{_html(_name(pair.photo))}, {kind}</span></h3>'
        f'<p class="small">network: similarity {pair.similarity:.3f}; snowmatch: {verified}; '
        f"its own answer: {_html(_answered(seen))}{verdict}<br>query: {_html(pair.query.path)}; "
        f"photo: {_html(pair.photo.path)}</p>"
        f'<a href="pictures/{file}"><img loading="lazy" src="pictures/{file}" alt="query and best photo"></a></article>'
    )


def _html(text: str) -> str:
    """Return `text` as HTML. Markup in names is escaped, and invisible characters are shown."""
    return html.escape(printable(text))
