"""Two photos side by side: the parts that show the animals, outlines, matched spots, captions."""

from __future__ import annotations

import io
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from PIL import Image, ImageDraw

from snowmatch.core.files import replace_file
from snowmatch.core.outputs import MARK
from snowmatch.core.types import BBox
from snowmatch.identify.spots import Spots
from snowmatch.photos.chips import clip_bbox
from snowmatch.views.lettering import write_text

PANEL = (980, 760)  # px, largest size of one photo: two photos and the gap fit on a screen 2000 px wide
NARROWEST = 560  # px, smallest width of one photo, so that the caption of a narrow photo can be read
GAP = 16  # px between the photos
HEAD, CAPTION = 92, 92  # px, heights of the two strips above the photos: title and captions
LARGEST = 6.0  # largest enlargement; a tiny animal only gets blurred beyond it
MARGIN = 0.12  # of the longer side of the box, added around it: the outline and the ground stay visible
LINES = 60  # largest number of lines drawn; more lines hide the coat
BACKGROUND, TEXT, FAINT, WARNING = (24, 26, 28), (240, 240, 240), (170, 174, 178), (255, 176, 64)
RIM = (20, 20, 20)
LEVELS = {"excellent": (66, 135, 245), "good": (60, 190, 90), "fair": (240, 200, 40), "uncertain": (230, 70, 60)}


@dataclass(frozen=True)
class Side:
    """One photo to draw.

    photo: (H, W, 3) uint8 RGB pixels.
    bbox: the animal's box; None if it has no box.
    mask: (H, W) bool, True on the animal; None if it has no mask.
    caption: the lines of text above the photo.
    weights: (h, w) from 0 to 1, the weight of each position of the photo; None if all positions in the outline count
        fully.
    """

    photo: np.ndarray
    bbox: BBox | None
    mask: np.ndarray | None
    caption: tuple[str, ...]
    weights: np.ndarray | None = None


@dataclass(frozen=True)
class Cut:
    """A part of a photo and its place on the canvas.

    area: x, y, width and height of the part (px of the photo). scale: enlargement.
    corner: position of its upper left corner on the canvas (px).
    """

    area: BBox
    scale: float
    corner: tuple[int, int] = (0, 0)

    @property
    def size(self) -> tuple[int, int]:
        return max(round(self.area[2] * self.scale), 1), max(round(self.area[3] * self.scale), 1)

    def at(self, x: int, y: int) -> Cut:
        return Cut(self.area, self.scale, (x, y))

    def pixels(self, photo: np.ndarray) -> np.ndarray:
        x, y, w, h = self.area
        how = cv2.INTER_AREA if self.scale < 1 else cv2.INTER_CUBIC
        return cv2.resize(np.ascontiguousarray(photo[y : y + h, x : x + w]), self.size, interpolation=how)

    def place(self, points: np.ndarray) -> np.ndarray:
        """Return the canvas positions (M, 2) of photo positions. Pixel centres are at whole numbers in both."""
        ratio = np.array(self.size) / self.area[2:]
        return (np.asarray(points, np.float64) - self.area[:2] + 0.5) * ratio - 0.5 + self.corner


def cuts_of(sides: tuple[Side, Side], keypoints: tuple[np.ndarray, np.ndarray]) -> list[Cut]:
    """Return the cut of each photo. Two outlined animals get the same height; a whole photo is as large as fits."""
    animals = [_animal(side, points) for side, points in zip(sides, keypoints, strict=True)]
    areas = [
        _grown(animal, side) if animal else (0, 0, side.photo.shape[1], side.photo.shape[0])
        for side, animal in zip(sides, animals, strict=True)
    ]
    fitting = [min(PANEL[0] / area[2], PANEL[1] / area[3], LARGEST) for area in areas]
    outlined = [animal for animal in animals if animal is not None]
    if len(outlined) == len(sides):
        height = min(scale * animal[3] for scale, animal in zip(fitting, outlined, strict=True))
        fitting = [height / animal[3] for animal in outlined]
    return [Cut(area, scale) for area, scale in zip(areas, fitting, strict=True)]


def _animal(side: Side, points: np.ndarray) -> BBox | None:
    """Return the animal's box, or the box around the mask's large parts, extended to contain all matched spots.

    Returns None if the animal has neither box nor mask.
    """
    if side.bbox is not None:
        x, y, w, h = side.bbox
    elif side.mask is not None and side.mask.any():
        parts = cv2.connectedComponentsWithStats(side.mask.astype(np.uint8))[2][1:]
        parts = parts[parts[:, cv2.CC_STAT_AREA] * 10 >= parts[:, cv2.CC_STAT_AREA].max()]  # no specks
        x, y = parts[:, :2].min(0)
        w, h = (parts[:, :2] + parts[:, 2:4]).max(0) - (x, y)
    else:
        return None
    corners = np.concatenate([[(x, y), (x + w, y + h)], np.asarray(points, np.float64).reshape(-1, 2)])
    limit = side.photo.shape[1::-1]
    low, high = np.clip(np.floor(corners.min(0)), 0, limit), np.clip(np.ceil(corners.max(0)), 0, limit)
    x, y, w, h = (int(v) for v in (*low, *(high - low)))
    return x, y, w, h


def _grown(animal: BBox, side: Side) -> BBox:
    x, y, w, h = animal
    margin = round(MARGIN * max(w, h))
    return clip_bbox((x - margin, y - margin, w + 2 * margin, h + 2 * margin), side.photo.shape[1::-1])


def draw_outline(canvas: np.ndarray, side: Side, view: Cut) -> None:
    """Draw a thin light line around the mask; around the box if there is no mask."""
    if side.mask is not None:
        x, y, w, h = view.area
        mask = cv2.resize(side.mask[y : y + h, x : x + w].astype(np.float32), view.size, interpolation=cv2.INTER_LINEAR)
        contours = cv2.findContours((mask > 0.5).astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)[0]
        lines = [contour + np.array(view.corner, contour.dtype) for contour in contours]
    elif side.bbox is not None:
        x, y, w, h = side.bbox
        corners = np.array([(x, y), (x + w, y), (x + w, y + h), (x, y + h)]) - 0.5
        lines = [np.rint(view.place(corners)).astype(np.int32)[:, None]]
    else:
        return
    layer = canvas.copy()
    cv2.polylines(layer, lines, True, (255, 255, 255), 1, cv2.LINE_AA)
    cv2.addWeighted(layer, 0.6, canvas, 0.4, 0, canvas)


def darken(canvas: np.ndarray, side: Side, view: Cut) -> None:
    """Darken the photo by its weights. A position with weight 0 keeps a fifth of its brightness."""
    if side.weights is None:
        return
    height, width = side.photo.shape[:2]
    x, y, w, h = view.area
    weights = cv2.resize(side.weights, (width, height), interpolation=cv2.INTER_LINEAR)[y : y + h, x : x + w]
    weights = cv2.resize(weights, view.size, interpolation=cv2.INTER_AREA)
    (left, top), (across, down) = view.corner, view.size
    part = canvas[top : top + down, left : left + across]
    part[:] = np.rint(part * (0.2 + 0.8 * weights[:, :, None])).astype(np.uint8)


def draw_matches(canvas: np.ndarray, spots: Spots, views: list[Cut], strongest: float) -> int:
    """Draw the strongest LINES matches, the strongest last, and return the number drawn.

    Each match is two circles with the sizes of the spots, and a line from rim to rim.
    """
    order = np.argsort(spots.weights, kind="stable")[-LINES:]
    colours = colours_of(spots.weights[order] / strongest if strongest > 0 else spots.weights[order])
    ends = [view.place(k[order]) for view, k in zip(views, (spots.keypoints0, spots.keypoints1), strict=True)]
    radii = [
        np.clip(view.scale * s[order] / 2, 4, 60) for view, s in zip(views, (spots.scales0, spots.scales1), strict=True)
    ]
    away = ends[1] - ends[0]
    away /= np.maximum(np.linalg.norm(away, axis=1, keepdims=True), 1e-9)
    starts, stops = ends[0] + away * radii[0][:, None], ends[1] - away * radii[1][:, None]
    rims = canvas.copy()
    for centres, sizes in zip(ends, radii, strict=True):
        for centre, radius in zip(centres, sizes, strict=True):
            cv2.circle(rims, _fixed(centre), round(radius * 16), RIM, 4, cv2.LINE_AA, 4)
    for start, stop in zip(starts, stops, strict=True):
        cv2.line(rims, _fixed(start), _fixed(stop), RIM, 3, cv2.LINE_AA, 4)
    cv2.addWeighted(rims, 0.4, canvas, 0.6, 0, canvas)  # a faint shadow, so that lines are visible on light and dark
    layer = canvas.copy()
    for n, colour in enumerate(colours):
        cv2.line(layer, _fixed(starts[n]), _fixed(stops[n]), colour, 1, cv2.LINE_AA, 4)
    cv2.addWeighted(layer, 0.85, canvas, 0.15, 0, canvas)
    for centres, sizes in zip(ends, radii, strict=True):
        for centre, radius, colour in zip(centres, sizes, colours, strict=True):
            cv2.circle(canvas, _fixed(centre), round(radius * 16), colour, 2, cv2.LINE_AA, 4)
    return len(order)


def _fixed(point: np.ndarray) -> tuple[int, int]:
    """Return the point in sixteenths of a pixel, for OpenCV's `shift=4`."""
    return round(point[0] * 16), round(point[1] * 16)


def colours_of(weights: np.ndarray) -> list[tuple[int, int, int]]:
    """Return RGB colours for weights from 0 to 1: light blue, green, yellow, red.

    The colours are those of the colour map "turbo" without its dark ends, which are invisible on night photos.
    """
    if not len(weights):
        return []
    levels = np.rint(60 + 155 * np.clip(weights, 0, 1)).astype(np.uint8).reshape(-1, 1)
    return [(int(r), int(g), int(b)) for b, g, r in cv2.applyColorMap(levels, cv2.COLORMAP_TURBO)[:, 0]]


def draw_caption(picture: Image.Image, side: Side, view: Cut, left: int, width: int) -> None:
    """Write the caption. If only a part of the photo is drawn, draw a small copy of the whole photo beside it."""
    draw = ImageDraw.Draw(picture)
    h, w = side.photo.shape[:2]
    x = left + 16
    if view.area[2] * view.area[3] < 0.8 * w * h:
        scale = min(120 / w, (CAPTION - 12) / h)
        small = cv2.resize(
            side.photo, (max(round(w * scale), 1), max(round(h * scale), 1)), interpolation=cv2.INTER_AREA
        )
        picture.paste(Image.fromarray(small), (x, HEAD))
        ax, ay, aw, ah = (v * scale for v in view.area)
        draw.rectangle((x + ax, HEAD + ay, x + ax + aw - 1, HEAD + ay + ah - 1), outline=TEXT)
        x += small.shape[1] + 12
    for line, text in enumerate(side.caption):  # the last line is the file name: long and least important
        size, colour = (16, FAINT) if line == len(side.caption) - 1 else (20, TEXT)
        write_text(draw, (x, HEAD + 4 + 27 * line), text, size, colour, room=left + width - 8 - x)


def write_picture(picture: Image.Image, path: Path, quality: int = 90) -> Path:
    """Write a JPEG with the mark of snowmatch, and return its path. Raises SnowmatchError if it cannot be written."""
    held = io.BytesIO()
    # no chroma subsampling: it blurs thin lines
    picture.save(held, "JPEG", quality=quality, subsampling=0, comment=MARK)
    replace_file(path, lambda file: file.write(held.getvalue()))
    return path
