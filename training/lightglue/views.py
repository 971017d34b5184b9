"""Pairs of photos of one coat whose matches are known, to train a matcher on and to test it (command.py).

A photo's animal is warped, bent, lit, darkened and hidden, and described again. Each keypoint remembers its place on
the animal, so that two views of one photo say themselves which of their keypoints are the same. Two photos of one
individual say so where the engine's geometric check agrees.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from lightglue.warps import blend, draw_hidden, draw_warp, relight, scenery_of
from snowmatch.core.files import file_sha256
from snowmatch.core.plugins import settings, settings_key
from snowmatch.core.types import Annotation, BBox
from snowmatch.features.extractors import extract_from_photo
from snowmatch.matching.geometry.check import inliers
from snowmatch.matching.geometry.frames import Geometry, Points, points_of
from snowmatch.matching.matchers._pairs import unit_rows
from snowmatch.photos.chips import clip_bbox
from snowmatch.photos.pixels import read_mask, read_photo

REVISION = 1  # raise it when views come out differently: they are made anew
CHIP = 700.0  # places are in pixels of a chip with this longest side, hesaff's
SAME = 3.0  # px of such a chip: nearer keypoints are the same spot, as in LightGlue (section 4)
APART = 8.0  # farther ones are certainly not; what lies between is not judged. The smallest keypoints measure 4 px
RATIO = 0.9  # of nearest and second nearest distance; looser than Lowe's 0.8, since geometry follows

HIDDEN = 0.5  # share of views whose animal is partly hidden
BARE = 0.5  # share of views without mask, before other scenery: so that scenery is learned too
AGREEING = 12  # matches of two photos of one animal that must agree: of different animals' pairs hardly one has so many


@dataclass(frozen=True)
class View:
    """What a matcher sees of one animal: N keypoints, and where on the animal each of them is.

    keypoints (N, 2) float32 in px of the box; descriptors (N, D) as extracted; scales, oris (N,), shapes (N, 3) float32
    (zeros (0, 3) for none); places (N, 2) float32 in px of the photo's chip, NaN off the animal; size (2,) w, h.
    """

    keypoints: np.ndarray
    descriptors: np.ndarray
    scales: np.ndarray
    oris: np.ndarray
    shapes: np.ndarray
    places: np.ndarray
    size: np.ndarray

    def __len__(self) -> int:
        return len(self.keypoints)

    @property
    def unit_descriptors(self) -> np.ndarray:
        """(N, D) float32 of length 1."""
        return unit_rows(self.descriptors)

    def frames(self, rows: np.ndarray) -> Points:
        """Of the keypoints at `rows`, as the geometric check takes them."""
        return points_of(self.keypoints[rows], self.shapes[rows] if len(self.shapes) else None, self.oris[rows])


@dataclass(frozen=True)
class Truth:
    """What is known of a pair: matches (K, 2) int, and which keypoints none0 (M,), none1 (N,) bool have no match."""

    matches: np.ndarray
    none0: np.ndarray
    none1: np.ndarray


def truth(places0: np.ndarray, places1: np.ndarray) -> Truth:
    """From places (M, 2) and (N, 2) on one animal, NaN off it: mutually nearest within SAME px match.

    A keypoint with nothing within APART px has no match; the others are not judged.
    """
    apart = distances(places0, places1)
    if not apart.size:
        return Truth(np.zeros((0, 2), np.int64), np.ones(len(places0), bool), np.ones(len(places1), bool))
    matches = _mutual(apart)
    near = apart[matches[:, 0], matches[:, 1]] < SAME
    return Truth(matches[near], apart.min(axis=1) > APART, apart.min(axis=0) > APART)


def distances(places0: np.ndarray, places1: np.ndarray) -> np.ndarray:
    """(M, N) between all places, infinite where one of them is not on the animal."""
    apart = np.linalg.norm(places0[:, None].astype(np.float32) - places1[None].astype(np.float32), axis=2)
    return np.where(np.isnan(apart), np.float32(np.inf), apart)


def strangers(view0: View, view1: View) -> Truth:
    """Of two individuals: nothing matches."""
    return Truth(np.zeros((0, 2), np.int64), np.ones(len(view0), bool), np.ones(len(view1), bool))


def mutual_matches(view0: View, view1: View) -> tuple[np.ndarray, np.ndarray]:
    """Mutual nearest neighbours (K, 2) that pass the ratio test seen from both sides, and weights (K,): 1 - ratio.

    Source: Lowe, IJCV 2004; Mishkin et al., CVIU 2015 (first to second nearest from both sides).
    """
    if min(len(view0), len(view1)) < 2:
        return np.zeros((0, 2), np.int64), np.zeros(0)
    apart = np.sqrt(np.maximum(2 - 2 * view0.unit_descriptors @ view1.unit_descriptors.T, 1e-12))
    matches = _mutual(apart)
    first = apart[matches[:, 0], matches[:, 1]]
    second = np.minimum(
        np.partition(apart, 1, axis=1)[matches[:, 0], 1], np.partition(apart, 1, axis=0)[1, matches[:, 1]]
    )
    ratio = first / second
    return matches[ratio < RATIO], (1 - ratio)[ratio < RATIO]


def verified(view0: View, view1: View) -> Truth | None:
    """Truth of two photos of one individual: what the engine's check accepts, and what else fits its homography.

    Matches are, for each keypoint, the most alike one near where the homography puts it, mutually, if as alike as those
    accepted. A keypoint has no match where it falls outside or nothing is near. None where too few agree.
    """
    matches, _ = mutual_matches(view0, view1)
    geometry = Geometry(minimum=AGREEING)
    diagonal = float(np.hypot(*view1.size))
    agree = inliers(view0.frames(matches[:, 0]), view1.frames(matches[:, 1]), diagonal, geometry)
    if not agree.any():
        return None
    matches = matches[agree]
    homography, _ = cv2.findHomography(view0.keypoints[matches[:, 0]], view1.keypoints[matches[:, 1]], 0)
    if homography is None:
        return None
    moved = cv2.perspectiveTransform(view0.keypoints[:, None].astype(np.float64), homography)[:, 0]
    far = distances(moved, view1.keypoints) > np.sqrt(geometry.position) * diagonal
    unlike = np.sqrt(np.maximum(2 - 2 * view0.unit_descriptors @ view1.unit_descriptors.T, 0))
    alike = unlike[matches[:, 0], matches[:, 1]].max()
    candidates = np.where(far, np.inf, unlike)
    found = _mutual(candidates)
    found = found[candidates[found[:, 0], found[:, 1]] <= alike]
    return Truth(found, far.all(axis=1), far.all(axis=0))


def views_of(
    extractor: Any, folder: Path, annotation: Annotation, other: Annotation, warps: int, seed: int, work: Path
) -> tuple[list[View], float]:
    """The animal as it was photographed, then `warps` views of it, and seconds to make them; kept in a file in `work`.

    `other` is the annotation whose photo gives scenery to hide the animal with and to put it before.
    """
    described = {
        "extractor": settings(extractor),
        "revision": REVISION,
        "warps": warps,
        "seed": [seed, annotation.row],
        "photos": [file_sha256(folder / a.path) for a in (annotation, other)],
        "mask": file_sha256(folder / annotation.mask) if annotation.mask else "",
        "boxes": [annotation.bbox, other.bbox],
    }
    path = work / "views" / f"{settings_key(described)}.npz"
    if not path.exists():
        start = time.perf_counter()
        photo = read_photo(folder / annotation.path)
        mask = read_mask(folder / annotation.mask, photo.shape[1::-1]) if annotation.mask else None
        made = [plain_view(extractor, photo, annotation.bbox, mask)]
        random = np.random.default_rng([seed, annotation.row])
        if warps:
            scenery = scenery_of(read_photo(folder / other.path), other.bbox)
            made += [warped_view(extractor, photo, annotation.bbox, mask, scenery, random) for _ in range(warps)]
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_suffix(f".{os.getpid()}.npz")
        arrays = {f"{f.name}{i}": getattr(v, f.name) for i, v in enumerate(made) for f in fields(View)}
        np.savez(part, **arrays, seconds=time.perf_counter() - start)
        part.replace(path)
    with np.load(path, allow_pickle=False) as stored:
        views = [View(**{f.name: stored[f"{f.name}{i}"] for f in fields(View)}) for i in range(warps + 1)]
        return views, float(stored["seconds"])


def plain_view(extractor: Any, photo: np.ndarray, bbox: BBox | None, mask: np.ndarray | None) -> View:
    """The animal as photographed: (H, W, 3) uint8 RGB, its box and mask (H, W) bool or None."""
    image_size = (photo.shape[1], photo.shape[0])
    x, y, w, h = clip_bbox(bbox or (0, 0, *image_size), image_size)
    return _view(extractor, photo, (x, y, w, h), mask, lambda points: points, max(w, h))


def warped_view(
    extractor: Any,
    photo: np.ndarray,
    bbox: BBox | None,
    mask: np.ndarray | None,
    scenery: np.ndarray,
    random: np.random.Generator,
) -> View:
    """The animal as another day, place and step might show it; `scenery` (h, w, 3) uint8 hides parts of it.

    With a mask, half of the views are extracted without one and stand before that scenery.
    """
    image_size = (photo.shape[1], photo.shape[0])
    x, y, w, h = clip_bbox(bbox or (0, 0, *image_size), image_size)
    warp, (width, height) = draw_warp(random, (w, h))
    columns, rows = np.meshgrid(np.arange(width, dtype=np.float64), np.arange(height, dtype=np.float64))
    source = (warp.back(np.stack([columns, rows], axis=2)) + (x, y)).astype(np.float32)
    # what the box cuts off is in the photo still; beyond the photo its edge is mirrored, and has no places
    pixels = cv2.remap(photo, source[..., 0], source[..., 1], cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT)
    animal = np.ones((height, width), bool)
    if mask is not None:
        moved = cv2.remap(mask.astype(np.uint8) * 255, source[..., 0], source[..., 1], cv2.INTER_LINEAR)
        animal = moved > 127
    ground = cv2.resize(scenery, (width, height), interpolation=cv2.INTER_AREA)
    given = animal if mask is not None else None
    if mask is not None and random.random() < BARE:
        pixels, given = blend(pixels, ground, ~animal), None
    if random.random() < HIDDEN:
        hidden = draw_hidden(random, (width, height))
        pixels = blend(pixels, ground[::-1, ::-1], hidden)
        animal = animal & ~hidden
    pixels = relight(random, pixels)

    def places(points: np.ndarray) -> np.ndarray:
        back = warp.back(points)
        column, row = np.clip(np.rint(points).astype(int), 0, (width - 1, height - 1)).T
        inside = ((back >= 0) & (back <= (w - 1, h - 1))).all(axis=1) & animal[row, column]
        return np.where(inside[:, None], back, np.nan)

    return _view(extractor, pixels, (0, 0, width, height), given, places, max(w, h))


def _view(
    extractor: Any,
    pixels: np.ndarray,
    box: BBox,
    mask: np.ndarray | None,
    places: Callable[[np.ndarray], np.ndarray],
    longest: int,
) -> View:
    """Extract, and put the keypoints' places (box px to crop px by `places`) in px of a chip of `longest` px."""
    features = extract_from_photo(extractor, pixels, box, mask)
    keypoints = features.keypoints - np.array(box[:2], np.float32)
    shapes = np.zeros((0, 3), np.float32) if features.shapes is None else features.shapes
    there = (places(keypoints.astype(np.float64)) * CHIP / longest).astype(np.float32)
    size = np.array(box[2:], np.int64)
    return View(keypoints, features.descriptors, features.scales, features.oris, shapes, there, size)


def strongest(view: View, keypoints: int) -> View:
    """The view with its first `keypoints` alone: extractors sort by falling score."""
    cut = {f.name: getattr(view, f.name)[:keypoints] for f in fields(View) if f.name != "size"}
    return View(**cut, size=view.size)


def _mutual(costs: np.ndarray) -> np.ndarray:
    """Pairs (K, 2) that are each other's cheapest in costs (M, N), by row; infinite costs pair nothing."""
    best0, best1 = costs.argmin(axis=1), costs.argmin(axis=0)
    rows = np.flatnonzero((best1[best0] == np.arange(len(costs))) & np.isfinite(costs.min(axis=1)))
    return np.stack([rows, best0[rows]], axis=1)
