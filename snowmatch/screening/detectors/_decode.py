"""From a photo to the input of an ONNX detector, and from its outputs to boxes in the photo."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import cv2
import numpy as np
from PIL import Image

from snowmatch.core.boxes import pixel_box
from snowmatch.core.errors import SnowmatchError
from snowmatch.core.types import Detection
from snowmatch.screening.detectors._description import LAYOUTS, Description

FILTERS = {
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
    "lanczos": Image.Resampling.LANCZOS,
}
ROUNDING = 1e-3  # a score may be that far outside 0 to 1: a network in half precision rounds
NEAR = 2.0  # px; boxes in pixels of which none reaches further from the corner are shares of the photo


class Placed(NamedTuple):
    """Where the photo lies in the input of the network: its upper left corner and its size there (px)."""

    left: int
    top: int
    width: int
    height: int


class Boxes(NamedTuple):
    """N boxes in pixels of the network's input: (N, 4) left, top, right, bottom; (N,) scores; (N,) classes."""

    corners: np.ndarray
    scores: np.ndarray
    classes: np.ndarray

    def take(self, rows: np.ndarray) -> Boxes:
        return Boxes(self.corners[rows], self.scores[rows], self.classes[rows])


def placed(photo_size: tuple[int, int], described: Description) -> Placed:
    """Return where a photo of (width, height) lies in the input of the network."""
    (w, h), (width, height) = photo_size, described.input_size
    if described.resize == "stretch":
        return Placed(0, 0, width, height)
    scale = min(width / w, height / h)
    inner = [min(max(round(side * scale), 1), most) for side, most in ((w, width), (h, height))]
    return Placed((width - inner[0]) // 2, (height - inner[1]) // 2, inner[0], inner[1])


def prepared(photo: np.ndarray, described: Description) -> np.ndarray:
    """Return the input of the network, (1, 3, height, width) float32. photo: (H, W, 3) uint8 RGB."""
    left, top, *sides = placed((photo.shape[1], photo.shape[0]), described)
    size = (sides[0], sides[1])
    pixels = np.ascontiguousarray(photo)
    if described.interpolation == "cv2_bilinear":
        pixels = cv2.resize(pixels, size, interpolation=cv2.INTER_LINEAR)
    else:
        pixels = np.asarray(Image.fromarray(pixels).resize(size, FILTERS[described.interpolation]))
    width, height = described.input_size
    filled = np.full((height, width, 3), described.pad, np.uint8)
    filled[top : top + size[1], left : left + size[0]] = pixels
    if described.channels == "bgr":
        filled = filled[:, :, ::-1]
    ready: np.ndarray = np.ascontiguousarray(filled.transpose(2, 0, 1)[None], np.float32) / np.float32(described.scale)
    return ready


def read_boxes(
    outputs: Sequence[np.ndarray], names: Sequence[str], described: Description, threshold: float, where: str
) -> Boxes:
    """Return the boxes of confidence `threshold` or more, before NMS.

    outputs, names: of the network. where: the file, for the error. Raises SnowmatchError if the outputs are not those
    that the description promises: another shape, scores beyond 0 to 1, boxes that cannot lie in a photo.
    """
    wrong = _Wrong(described, [tuple(o.shape) for o in outputs], where)
    if not all(np.isfinite(np.asarray(o, np.float64)).all() for o in outputs):
        raise wrong.error("values that are not finite numbers")
    read = {"detr": _detr, "rows": _rows, "rows_centre": _rows}.get(described.layout, _yolo)
    boxes = read([np.asarray(o, np.float64) for o in outputs], names, described, wrong)
    boxes = boxes._replace(scores=boxes.scores.clip(0, 1))
    return _in_pixels(boxes.take(boxes.scores >= threshold), described, wrong)


def suppressed(boxes: Boxes, overlap: float) -> Boxes:
    """Return the boxes without those that overlap a better one of the same class by more than `overlap`, 0 to 1.

    Of two boxes of equal score, the first is better. Source: greedy non-maximum suppression, as in YOLO.
    """
    left, top, right, bottom = boxes.corners.T
    areas = (right - left) * (bottom - top)
    order, kept = np.argsort(-boxes.scores, kind="stable"), []
    while len(order):
        best, rest = order[0], order[1:]
        kept.append(best)
        width = np.minimum(right[best], right[rest]) - np.maximum(left[best], left[rest])
        height = np.minimum(bottom[best], bottom[rest]) - np.maximum(top[best], top[rest])
        common = width.clip(0) * height.clip(0)
        same = common > overlap * (areas[best] + areas[rest] - common)
        order = rest[~(same & (boxes.classes[rest] == boxes.classes[best]))]
    return boxes.take(np.array(kept, np.int64))


def in_photo(boxes: Boxes, photo_size: tuple[int, int], described: Description) -> tuple[Detection, ...]:
    """Return the boxes as detections in a photo of (width, height), by descending confidence.

    Boxes are cut off at the edge of the photo. Boxes that lie wholly in the padding are left out.
    """
    left, top, width, height = placed(photo_size, described)
    factor = np.array([photo_size[0] / width, photo_size[1] / height] * 2)
    corners = (boxes.corners - np.array([left, top] * 2)) * factor
    found = []
    for (x0, y0, x1, y1), score, number in zip(
        corners.tolist(), boxes.scores.tolist(), boxes.classes.tolist(), strict=True
    ):
        bbox = pixel_box(x0, y0, x1, y1, photo_size)
        if bbox is not None:
            found.append(Detection(bbox, described.labels[number], score))
    return tuple(sorted(found, key=lambda d: (-d.confidence, d.bbox, d.label)))


class _Wrong(NamedTuple):
    """Makes the error for outputs that are not those of the description."""

    described: Description
    shapes: list[tuple[int, ...]]
    where: str

    def error(self, what: str) -> SnowmatchError:
        shapes = " and ".join(" x ".join(map(str, shape)) or "one number" for shape in self.shapes)
        return SnowmatchError(
            f"{self.where} gives {what} (outputs: {shapes}), expected the layout {self.described.layout!r}, "
            f"{LAYOUTS[self.described.layout]}, with C = {len(self.described.labels)}: it is a network of another "
            "kind; correct its settings file or choose another network"
        )

    def check_scores(self, scores: np.ndarray) -> None:
        if scores.size and (scores.min() < -ROUNDING or scores.max() > 1 + ROUNDING):
            raise self.error(f"scores from {scores.min():.3g} to {scores.max():.3g}, not 0 to 1")


def _table(output: np.ndarray, wrong: _Wrong) -> np.ndarray:
    """Return the only photo's table (A, B) of an output (1, A, B) or (A, B)."""
    if output.ndim == 3 and len(output) == 1:
        output = output[0]
    if output.ndim != 2:
        raise wrong.error("an output that is not a table")
    return output


def _only(outputs: Sequence[np.ndarray], wrong: _Wrong) -> np.ndarray:
    if len(outputs) != 1:
        raise wrong.error(f"{len(outputs)} outputs")
    return _table(outputs[0], wrong)


def _yolo(outputs: Sequence[np.ndarray], names: Sequence[str], described: Description, wrong: _Wrong) -> Boxes:
    table = _only(outputs, wrong)
    first = 5 if described.layout == "yolo_objectness" else 4
    columns = first + len(described.labels)
    if (table.shape[0] == columns) == (table.shape[1] == columns):
        raise wrong.error(f"a table of {table.shape[0]} x {table.shape[1]}, where one side must be {columns}")
    if table.shape[0] == columns:
        table = table.T
    wrong.check_scores(table[:, 4:])
    scores = table[:, first:]
    best = scores.max(axis=1) * (table[:, 4] if first == 5 else 1)
    return Boxes(_corners(table), best, scores.argmax(axis=1))


def _rows(outputs: Sequence[np.ndarray], names: Sequence[str], described: Description, wrong: _Wrong) -> Boxes:
    table = _only(outputs, wrong)
    if table.shape[1] != 6:
        raise wrong.error(f"rows of {table.shape[1]} numbers")
    table = table[(table != table[:, :1]).any(axis=1)]  # a row of six equal numbers fills an output of fixed length
    wrong.check_scores(table[:, 4])
    classes = np.rint(table[:, 5])
    if (classes != table[:, 5]).any() or (classes < 0).any() or (classes >= len(described.labels)).any():
        raise wrong.error("classes that are not whole numbers from 0 to C - 1")
    corners = table[:, :4] if described.layout == "rows" else _corners(table)
    return Boxes(corners, table[:, 4], classes.astype(np.int64))


def _detr(outputs: Sequence[np.ndarray], names: Sequence[str], described: Description, wrong: _Wrong) -> Boxes:
    if len(outputs) != 2:
        raise wrong.error(f"{len(outputs)} outputs")
    tables, number = [_table(o, wrong) for o in outputs], len(described.labels)
    boxed = [table.shape[1] == 4 for table in tables]
    if number == 4:  # both tables have 4 columns: only the names tell them apart
        boxed = ["box" in name.lower() for name in names]
    if sum(boxed) != 1:
        raise wrong.error("no output, or two, that can be the boxes")
    boxes, logits = tables[boxed.index(True)], tables[boxed.index(False)]
    if boxes.shape[1] != 4 or logits.shape[1] != number or len(boxes) != len(logits):
        raise wrong.error("tables of other sizes")
    scores = 1 / (1 + np.exp(-logits.clip(-50, 50)))
    return Boxes(_corners(boxes), scores.max(axis=1), scores.argmax(axis=1))


def _corners(centred: np.ndarray) -> np.ndarray:
    middle, half = centred[:, :2], centred[:, 2:4] / 2
    return np.hstack([middle - half, middle + half])


def _in_pixels(boxes: Boxes, described: Description, wrong: _Wrong) -> Boxes:
    """Return boxes in pixels of the input. Raises SnowmatchError if they cannot be boxes in a photo."""
    corners, size = boxes.corners, np.array(described.input_size * 2, np.float64)
    if not len(corners):
        return boxes
    if described.relative:
        corners = corners * size
    elif np.abs(corners).max() <= NEAR:
        raise wrong.error("boxes as shares of the input, not in its pixels (relative = true)")
    if (corners < -size).any() or (corners > 2 * size).any():
        raise wrong.error("boxes far outside its input")
    if (corners[:, :2] > corners[:, 2:]).any():
        raise wrong.error("boxes whose right edge is left of the left edge, or whose bottom is above the top")
    return boxes._replace(corners=corners)
