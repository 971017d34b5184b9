"""Foreground weights: the confidence that a keypoint lies on the animal, for photos without a mask.

1 is on the animal, 0 is on the scenery.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np

from snowmatch.core.types import BBox

# Standard deviations (horizontal, vertical) of the centre weights, as shares of the photo's width and height. They were
# measured on two species (docs/benchmarks-history.md, "Where the animal is"). Narrower, wider and flat-topped bells and
# boxes all ranked fewer animals first on one of the two species.
SPREAD = (0.15, 0.12)
# Keypoints with a lower weight are not compared: each costs a search and adds almost nothing to a score.
LEAST_CENTRED = 0.05
# Where a map alone says where the animal is, lower values are mostly scenery: on nyala that no network knows, more
# animals come first without it (docs/benchmarks-history.md, "Weak places of a map do not count").
LEAST_MAPPED = 0.3

ALONE = ("burst", "classifier", "segmenter", "middle")  # sources that need no centre weights

WORDS = {
    "burst": "something moved between the frames of the burst",
    "station": "other photos of the station show something else",
    "classifier": "the classifier sees a cat",
    "segmenter": "the segmenter sees an animal",
    "middle": "the middles of the catalog's photos show what an animal looks like",
}
OUTLINES = {
    "mask": "a mask",
    "box": "a box",
    "burst": "other frames of the burst",
    "station": "other photos of the station",
    "classifier": "the classifier",
    "segmenter": "the segmenter",
    "middle": "what is in the middle of the catalog's photos",
    "centre": "nothing, so their centre counts most",
}
FOREGROUNDS = ("auto", "given")


@dataclass(frozen=True)
class ForegroundMap:
    """A map of the animal in one photo, computed from other photos of the same place or by networks.

    values: (h, w) uint8 over the whole photo; 0 is scenery, 255 is animal.
    evidence: what the map was computed from: `burst`, `station`, `classifier`, `segmenter`, or several of them, such as
    "burst and classifier"; `middle` if none of them told anything; "" if the map only leaves out bars with text.
    """

    values: np.ndarray
    evidence: str

    def __post_init__(self) -> None:
        if self.values.dtype != np.uint8 or self.values.ndim != 2 or not self.values.size:
            raise ValueError(f"map is {self.values.dtype} {self.values.shape}, expected uint8 (h, w)")


@cache
def stands_alone(evidence: str) -> bool:
    """Return whether a map with this evidence needs no centre weights."""
    return any(source in evidence for source in ALONE)


def foreground_weights(
    keypoints: np.ndarray, image_size: tuple[int, int], found: ForegroundMap | None = None, *, box: BBox | None = None
) -> np.ndarray:
    """Return the foreground weights of keypoints: (N,) float32, 0 to 1. Small weights become 0.

    keypoints: (N, 2), photo px. No keypoints give an empty array.
    image_size: (width, height) of the photo.
    found: the foreground map of the photo, or None.
    box: the animal's box inside the photo, the whole photo for an animal with only a mask, or None. With a box, the
    centre weights are not used, because the box gives the position; the map is still used, because a box contains rocks
    too.

    The weight is the value of the map at the keypoint. It is multiplied by the centre weight unless the map uses a
    burst or a network: photos of the station from other days show the scenery in another light, so such a map is
    less reliable. Without a map the weight is the centre weight, or 1 in a box. A weight below LEAST_CENTRED becomes 0,
    and below LEAST_MAPPED where the centre weight is not used and the map has a higher value anywhere in the box (in
    the photo, without a box).
    """
    photos = np.zeros(len(keypoints), np.int64)
    return foreground_weights_of(keypoints, photos, np.array([image_size]), [found], [box])


def foreground_weights_of(
    keypoints: np.ndarray,
    photos: np.ndarray,
    image_sizes: np.ndarray,
    maps: Sequence[ForegroundMap | None],
    boxes: Sequence[BBox | None],
) -> np.ndarray:
    """Return what `foreground_weights` returns, (N,) float32, for keypoints (N, 2) of P photos.

    photos: (N,) int64, ascending, the number of each keypoint's photo. image_sizes: (P, 2), (width, height). maps: of
    the P photos. boxes: of the P animals.
    """
    boxed = np.array([box is not None for box in boxes], bool)
    mapped = np.array([found is not None for found in maps], bool)
    alone = np.array([found is not None and stands_alone(found.evidence) for found in maps], bool)
    shapes = np.array([found.values.shape[::-1] if found is not None else (1, 1) for found in maps]).reshape(-1, 2)
    size, shape = image_sizes[photos], shapes[photos]
    places = (np.asarray(keypoints, np.float64) + 0.5) / np.asarray(size, np.float64)
    columns, rows = np.clip((places * shape).astype(np.int64), 0, shape - 1).reshape(-1, 2).T
    cells = rows * shape[:, 0] + columns
    values = np.full(len(photos), 255, np.uint8)
    least = np.where(boxed | (mapped & alone), LEAST_MAPPED, LEAST_CENTRED)[photos]
    ends = np.searchsorted(photos, np.arange(len(maps) + 1)).tolist()
    areas = _cells_of(boxes, np.asarray(image_sizes).reshape(-1, 2), shapes)
    for found, start, end, (left, top, right, bottom) in zip(maps, ends[:-1], ends[1:], areas, strict=True):
        if found is not None:
            values[start:end] = found.values.ravel()[cells[start:end]]
            if found.values[top : bottom + 1, left : right + 1].max() < 255 * LEAST_MAPPED:  # no spot would be left
                least[start:end] = LEAST_CENTRED
    weights = values.astype(np.float32) / 255
    centred = ~(boxed | (mapped & alone))[photos]
    weights[centred] *= centre_weights(keypoints[centred], size[centred])
    return np.where(weights < least, np.float32(0), weights)


def _cells_of(boxes: Sequence[BBox | None], image_sizes: np.ndarray, shapes: np.ndarray) -> list[list[int]]:
    """Return the first and the last column and row of each box in a map: (left, top, right, bottom); of None, all."""
    photos = np.hstack([np.zeros_like(image_sizes), image_sizes]).tolist()
    areas = np.array([box or photo for box, photo in zip(boxes, photos, strict=True)], np.float64).reshape(-1, 2, 2)
    corners = np.stack([areas[:, 0] + 0.5, areas.sum(axis=1) - 0.5], axis=1) / image_sizes[:, None]
    cells = np.clip((corners * shapes[:, None]).astype(np.int64), 0, shapes[:, None] - 1)
    return cells.reshape(-1, 4).tolist()


def centre_weights(keypoints: np.ndarray, image_size: tuple[int, int] | np.ndarray) -> np.ndarray:
    """Return the centre weights of keypoints (N, 2): (N,) float32, 0 to 1. A weight below LEAST_CENTRED becomes 0.

    The weight is a Gaussian of the distance from the photo's centre. An animal that passes the middle of the view
    triggers the camera, and a photographer aims at the animal. image_size: (width, height) of the photo, or (N, 2) of
    each keypoint's photo. No keypoints give an empty array.
    """
    places = (np.asarray(keypoints, np.float64) + 0.5) / np.asarray(image_size, np.float64) - 0.5
    weights = np.exp(-0.5 * ((places / SPREAD) ** 2).sum(axis=1))
    return np.where(weights < LEAST_CENTRED, 0.0, weights).astype(np.float32)


def foreground_picture(
    image_size: tuple[int, int], found: ForegroundMap | None, *, box: BBox | None = None
) -> np.ndarray:
    """Return the foreground weights over a whole photo of `image_size` (width, height): (h, w) float32.

    box: as in `foreground_weights`. The longest side of the result is 160 px. This is enough for a picture, because the
    maps have at most 120 cells on their longest side.
    """
    factor = 160 / max(image_size)
    width, height = (max(1, round(side * factor)) for side in image_size)
    columns, rows = np.meshgrid(np.arange(width), np.arange(height))
    places = (np.stack([columns.ravel(), rows.ravel()], axis=1) + 0.5) * image_size / (width, height) - 0.5
    return foreground_weights(places, image_size, found, box=box).reshape(height, width)


def evidence_of(outlined: str, mapped: str | None) -> str:
    """Return what showed where the animal is: `outlined` (`mask`, `box` or ""), or else `mapped`, or else `centre`.

    mapped: the evidence of the map; None without a map.
    """
    return outlined or mapped or "centre"


def evidence_beside(evidence: str | None, *, masked: bool, boxed: bool) -> str | None:
    """Return what a map with this evidence shows of an animal that has a mask, or a box that a person drew; None if it
    does not count. "": it only leaves out bars with text.

    With a mask, only such a map counts: the mask is better. With a box, what was learned from the middles of photos
    leaves out the bars alone: it takes the place in the photo into account, and the box is better.
    """
    if masked and evidence:
        return None
    return "" if boxed and evidence == "middle" else evidence


def map_beside(found: ForegroundMap | None, *, masked: bool, boxed: bool) -> ForegroundMap | None:
    """Return the map to use for an animal that has a mask (`masked`) or a box that a person drew, if one counts."""
    if found is None:
        return None
    evidence = evidence_beside(found.evidence, masked=masked, boxed=boxed)
    if evidence is None or evidence == found.evidence:
        return found if evidence is not None else None
    bars = (found.values == 0).all(axis=1)  # rows, see `scenes.make_map`
    values = np.where(bars[:, None], np.uint8(0), np.full_like(found.values, 255))
    return ForegroundMap(values, evidence) if bars.any() else None


def outline_in_words(evidence: str) -> str:
    """Return what showed where the animal is, such as "a box" or "other frames of the burst and the classifier"."""
    return " and ".join(OUTLINES[source] for source in evidence.split(" and "))


def evidence_in_words(evidence: str) -> str:
    """Return where spots count, for the evidence of a map: "something moved between the frames of the burst"."""
    told = [WORDS[source] for source in evidence.split(" and ")]
    text = " and ".join(told)
    return text if any(source in evidence for source in ALONE) else f"{text}, most near the centre"
