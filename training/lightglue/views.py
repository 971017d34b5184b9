"""Pairs of views of one coat with known matches, to train and test a matcher (command.py).

The animal in a photo is warped, bent, relit and partly hidden. Then features are extracted from this view. Each
keypoint keeps its place on the animal; so the true matches between two views of one photo are known. For two photos of
one individual, the matches that pass the engine's geometric check are taken as true.
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

REVISION = 1  # increase it if the code makes other views: then all views are made again
CHIP = 700.0  # px, longest side of a chip, as in hesaff; places are in pixels of this chip
SAME = 3.0  # px of the chip: nearer keypoints are the same spot, as in LightGlue (section 4)
APART = 8.0  # px: farther keypoints are different spots; between SAME and APART not judged. Smallest keypoint: 4
RATIO = 0.9  # of nearest to 2nd-nearest distance; higher than Lowe's 0.8, because a geometric check follows

HIDDEN = 0.5  # share of views whose animal is partly hidden
BARE = 0.5  # share of views without a mask, in front of other scenery, so that scenery is learned too
AGREEING = 12  # fewest matches that must agree for two photos of one animal; pairs of different animals rarely have 12


@dataclass(frozen=True)
class View:
    """A matcher's input for one animal: N keypoints, and the place of each on the animal.

    keypoints (N, 2) float32, px of the box. descriptors (N, D) as extracted. scales, oris (N,), shapes (N, 3) float32
    (shape (0, 3) if there are none). places (N, 2) float32, px of the photo's chip; NaN off the animal. size: w, h.
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
        """Return the descriptors (N, D) float32, scaled to length 1."""
        return unit_rows(self.descriptors)

    def frames(self, rows: np.ndarray) -> Points:
        """Return the keypoints at `rows` as input of the geometric check."""
        return points_of(self.keypoints[rows], self.shapes[rows] if len(self.shapes) else None, self.oris[rows])


@dataclass(frozen=True)
class Truth:
    """True matches of a pair (K, 2) int, and the keypoints that have no match: none0 (M,), none1 (N,) bool."""

    matches: np.ndarray
    none0: np.ndarray
    none1: np.ndarray


def truth(places0: np.ndarray, places1: np.ndarray) -> Truth:
    """Return the truth from places (M, 2) and (N, 2) on one animal (NaN off it).

    Mutual nearest neighbours within SAME px match. A keypoint with no other within APART px has no match. Other
    keypoints are not judged.
    """
    apart = distances(places0, places1)
    if not apart.size:
        return Truth(np.zeros((0, 2), np.int64), np.ones(len(places0), bool), np.ones(len(places1), bool))
    matches = _mutual(apart)
    near = apart[matches[:, 0], matches[:, 1]] < SAME
    return Truth(matches[near], apart.min(axis=1) > APART, apart.min(axis=0) > APART)


def distances(places0: np.ndarray, places1: np.ndarray) -> np.ndarray:
    """Return the distances (M, N) between all places; infinite if one of them is not on the animal."""
    apart = np.linalg.norm(places0[:, None].astype(np.float32) - places1[None].astype(np.float32), axis=2)
    return np.where(np.isnan(apart), np.float32(np.inf), apart)


def strangers(view0: View, view1: View) -> Truth:
    """Return the truth of two different individuals: no keypoint has a match."""
    return Truth(np.zeros((0, 2), np.int64), np.ones(len(view0), bool), np.ones(len(view1), bool))


def mutual_matches(view0: View, view1: View) -> tuple[np.ndarray, np.ndarray]:
    """Return mutual nearest neighbours (K, 2) that pass the ratio test in both directions; weights (K,): 1 - ratio.

    Source: Lowe, IJCV 2004; Mishkin et al., CVIU 2015 (ratio in both directions).
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
    """Return the truth of two photos of one individual: from the matches that pass the engine's geometric check.

    A homography is fitted to these matches. Then each keypoint matches the most similar keypoint near its projected
    position, if this is mutual, and if they are as similar as the least similar accepted match. A keypoint has no match
    if no keypoint is near its projected position. Returns None if fewer than AGREEING matches agree.
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
    """Return the view of the photo itself, then `warps` warped views, and the seconds to make them.

    The views are kept in a file in `work`. `other` is the annotation whose photo has the scenery: it hides parts of the
    animal, or is the new background.
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
    """Return the view of the photo itself: (H, W, 3) uint8 RGB, its box, and its mask (H, W) bool or None."""
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
    """Return the animal as it could look on another day, in another place and pose.

    `scenery` (h, w, 3) uint8 hides parts of the animal. If there is a mask, half of the views are extracted without it;
    then the animal stands in front of the scenery.
    """
    image_size = (photo.shape[1], photo.shape[0])
    x, y, w, h = clip_bbox(bbox or (0, 0, *image_size), image_size)
    warp, (width, height) = draw_warp(random, (w, h))
    columns, rows = np.meshgrid(np.arange(width, dtype=np.float64), np.arange(height, dtype=np.float64))
    source = (warp.back(np.stack([columns, rows], axis=2)) + (x, y)).astype(np.float32)
    # pixels outside the box come from the photo; outside the photo they are mirrored and have no places
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
    """Extract features. `places` maps px of the box to px of the crop, whose longest side is `longest` px."""
    features = extract_from_photo(extractor, pixels, box, mask)
    keypoints = features.keypoints - np.array(box[:2], np.float32)
    shapes = np.zeros((0, 3), np.float32) if features.shapes is None else features.shapes
    on_chip = (places(keypoints.astype(np.float64)) * CHIP / longest).astype(np.float32)
    size = np.array(box[2:], np.int64)
    return View(keypoints, features.descriptors, features.scales, features.oris, shapes, on_chip, size)


def strongest(view: View, keypoints: int) -> View:
    """Return the view with only its first `keypoints`. Extractors sort by score, the highest first."""
    cut = {f.name: getattr(view, f.name)[:keypoints] for f in fields(View) if f.name != "size"}
    return View(**cut, size=view.size)


def _mutual(costs: np.ndarray) -> np.ndarray:
    """Return pairs (K, 2) with mutually lowest costs (M, N), by row. Infinite costs make no pair."""
    best0, best1 = costs.argmin(axis=1), costs.argmin(axis=0)
    rows = np.flatnonzero((best1[best0] == np.arange(len(costs))) & np.isfinite(costs.min(axis=1)))
    return np.stack([rows, best0[rows]], axis=1)
