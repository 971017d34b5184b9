"""The method of Wild-ID: SIFT, photo against photo, ratio test, and a count of geometrically consistent matches.

Source: Bolger, Morrison, Vance, Lee & Farid, "A computer-assisted system for photographic mark-recapture analysis",
Methods in Ecology and Evolution 3 (2012); Lowe, IJCV 2004 (SIFT, ratio test); Fischler & Bolles, CACM 1981 (RANSAC).

This reimplements the idea; it is not the Java program. Wild-ID's score grows with the number of matches that keep their
relative positions, by a formula of its own. Our score is the number of matches that one affine map explains. A part
below 1 is added for how distinct they are: otherwise equal numbers would be ties, and ties count against a method. The
score is symmetric: matches are mutual nearest neighbours, and each unordered pair is matched once. Wild-ID uses crops
and no masks.
"""

from __future__ import annotations

import importlib.metadata
import statistics
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from threadpoolctl import threadpool_limits

from methods import Given, Outcome
from snowmatch.confidence.score_table import make_table
from snowmatch.core.errors import SnowmatchError
from snowmatch.core.types import Annotation
from snowmatch.photos.chips import make_chip
from snowmatch.photos.pixels import read_mask, read_photo

DEFAULTS: dict[str, Any] = {
    "chip_size": 700,  # longest side of the crop, px; enlarged at most 4 times
    "max_features": 800,  # the strongest; 0: all. Time grows with their square, and more did not find more animals
    "contrast": 0.04,  # OpenCV's contrast threshold of a keypoint
    "ratio": 0.8,  # threshold of nearest to 2nd-nearest distance (Lowe)
    "tolerance": 0.05,  # largest error of a consistent match, as a share of the second crop's diagonal
    "iterations": 2000,  # largest number of random triples
    "masks": False,  # whether to remove keypoints outside the catalog's masks
}
PACKAGES = ("numpy", "opencv-contrib-python-headless", "snowmatch")
SMALLEST = 8  # px; a smaller crop has no room for a keypoint in OpenCV's first octave
CONFIDENCE = 0.999  # probability that at least one tried triple has no wrong match


@dataclass(frozen=True)
class Pattern:
    """The N features of one crop.

    keypoints: (N, 2) float32, px of the crop. left, right: (N, 130) float32; left @ right.T of two crops are the
    squared distances of their descriptors. diagonal: of the crop, px.
    """

    keypoints: np.ndarray
    left: np.ndarray
    right: np.ndarray
    diagonal: float

    def __len__(self) -> int:
        return len(self.keypoints)


def run(given: Given, settings: dict[str, Any]) -> Outcome:
    """Score every allowed pair of photos by the matches between them that one affine map explains."""
    _check(settings)
    trial = given.trial
    rows = sorted({int(row) for row in np.concatenate([trial.queries, trial.gallery])})
    with _threads(given.threads):
        seconds, patterns = [], {}
        for row in rows:
            start = time.perf_counter()
            patterns[row] = _pattern(given.folder, trial.annotations[row], settings)
            seconds.append(time.perf_counter() - start)
    pairs = sorted({_ordered(trial.annotations, *pair) for pair in _allowed_pairs(given)})
    start = time.perf_counter()
    with _threads(1), ThreadPoolExecutor(given.threads) as pool:  # products are small: one pair per thread is faster
        matched = pool.map(lambda pair: _score(patterns[pair[0]], patterns[pair[1]], settings), pairs)
        counted = dict(zip(pairs, matched, strict=True))
    matching = time.perf_counter() - start

    scores = np.full(trial.allowed.shape, -np.inf, np.float32)
    for q, g in np.argwhere(trial.allowed):
        query, answer = int(trial.queries[q]), int(trial.gallery[g])
        if len(patterns[query]) and len(patterns[answer]):
            scores[q, g] = counted[_ordered(trial.annotations, query, answer)]
    features = [len(pattern) for pattern in patterns.values()]
    return Outcome(
        tables=(make_table(trial, scores),),
        seconds={
            "extract": statistics.median(seconds),
            "pair": matching / max(len(pairs), 1),
            "query": float(np.median(trial.allowed.sum(axis=1))) * matching / max(len(pairs), 1),
        },
        versions={name: importlib.metadata.version(name) for name in PACKAGES},
        numbers={
            "features": statistics.median(features),
            "without_features": features.count(0),
            "pairs": len(pairs),
        },
        notes=("query seconds: wall-clock time per pair times the pairs of a median query, as if none were shared",),
    )


def _check(settings: dict[str, Any]) -> None:
    expected = {
        "chip_size": (settings["chip_size"] >= SMALLEST, f"{SMALLEST} or more"),
        "max_features": (settings["max_features"] >= 0, "0 (all) or more"),
        "contrast": (0 <= settings["contrast"] < 1, "0 or more, below 1"),
        "ratio": (0 < settings["ratio"] <= 1, "above 0, at most 1"),
        "tolerance": (0 < settings["tolerance"] < 1, "above 0, below 1"),
        "iterations": (settings["iterations"] >= 1, "1 or more"),
    }
    for name, (good, text) in expected.items():
        if not good:
            raise SnowmatchError(f"method wildid: {name} is {settings[name]}, expected {text}")


@contextmanager
def _threads(count: int) -> Iterator[None]:
    """Limit OpenCV and linear algebra to `count` threads. Afterwards OpenCV's setting is restored."""
    before = cv2.getNumThreads()
    cv2.setNumThreads(count)
    try:
        with threadpool_limits(limits=count):
            yield
    finally:
        cv2.setNumThreads(before)


def _allowed_pairs(given: Given) -> Iterator[tuple[int, int]]:
    for q, g in np.argwhere(given.trial.allowed):
        yield int(given.trial.queries[q]), int(given.trial.gallery[g])


def _ordered(annotations: tuple[Annotation, ...], a: int, b: int) -> tuple[int, int]:
    """Return the pair in the order of matching: by path and box, so that the catalog's order has no effect."""
    first, second = ((annotations[n].path, annotations[n].own_box or ()) for n in (a, b))
    return (a, b) if first <= second else (b, a)


def _pattern(folder: Path, annotation: Annotation, settings: dict[str, Any]) -> Pattern:
    """Return the strongest SIFT features of an annotation's crop; none for a blank or tiny crop."""
    photo = read_photo(folder / annotation.path)
    mask = None
    if settings["masks"] and annotation.mask:
        mask = read_mask(folder / annotation.mask, (photo.shape[1], photo.shape[0]))
    try:
        chip = make_chip(photo, annotation.own_box, mask, settings["chip_size"], "grey")
    except SnowmatchError as error:
        raise SnowmatchError(f"{annotation.path}: {error}") from error
    height, width = chip.pixels.shape
    found: tuple[cv2.KeyPoint, ...] = ()
    descriptors = np.zeros((0, 128), np.float32)
    if min(width, height) >= SMALLEST:
        # Without the precise upscaling OpenCV's keypoints lie 0.25 px too far right and down.
        sift = cv2.SIFT_create(0, 3, settings["contrast"], 10, 1.6, enable_precise_upscale=True)
        visible = None if chip.mask is None else chip.mask.astype(np.uint8) * 255
        # by decreasing contrast, ties by position: the choice must not depend on the order of detection
        found = sorted(sift.detect(chip.pixels, visible), key=lambda k: (-k.response, k.pt, k.size, k.angle))
        found = tuple(found[: settings["max_features"] or None])
    if found:
        found, descriptors = sift.compute(chip.pixels, found)
    keypoints = np.array([k.pt for k in found], np.float32).reshape(-1, 2)
    return Pattern(keypoints, *_sides(descriptors), float(np.hypot(width, height)))


def _sides(descriptors: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return `left` and `right` of a Pattern, (N, 130) float32 each, for descriptors (N, 128) of integers 0 to 255.

    All sums stay integers below 2^24. float32 stores these exactly, so the order of addition and the number of threads
    have no effect.
    """
    squares = (descriptors**2).sum(axis=1, dtype=np.float32, keepdims=True)
    ones = np.ones_like(squares)
    return (
        np.concatenate([-2 * descriptors, squares, ones], axis=1),
        np.concatenate([descriptors, ones, squares], axis=1),
    )


def _score(first: Pattern, second: Pattern, settings: dict[str, Any]) -> float:
    """Return how many matches of a pair one affine map explains, plus a part below 1 for how distinct they are.

    An affine map needs three matches: fewer than three count as 0 plus the part below 1. No match at all gives 0.
    """
    here, there, ratios = _matches(first, second, settings["ratio"])
    if not len(here):
        return 0.0
    inliers = None
    if len(here) >= 3:
        _, inliers = cv2.estimateAffine2D(  # its random numbers start from a fixed seed at every call
            first.keypoints[here],
            second.keypoints[there],
            method=cv2.RANSAC,
            ransacReprojThreshold=settings["tolerance"] * second.diagonal,
            maxIters=settings["iterations"],
            confidence=CONFIDENCE,
            refineIters=0,
        )
    if inliers is None or not inliers.any():
        return float(1 - ratios.mean()) / 2
    consistent = inliers.ravel().astype(bool)
    return float(consistent.sum() + (1 - ratios[consistent].mean()) / 2)


def _matches(first: Pattern, second: Pattern, ratio: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the mutual nearest neighbours that pass the ratio test in both directions.

    (M,) and (M,) indices into first and second, and (M,) ratios of nearest to 2nd-nearest distance.
    """
    if len(first) < 2 or len(second) < 2:  # there is no 2nd-nearest neighbour
        return np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0, np.float32)
    distances = first.left @ second.right.T  # (N0, N1), squared
    best = distances.argmin(axis=1)
    nearest = distances[np.arange(len(first)), best]
    here = np.flatnonzero(nearest == distances.min(axis=0)[best])
    there, once = np.unique(best[here], return_index=True)  # equal descriptors tie; the ratio test then drops both
    here = here[once]
    distances[here, there] = np.inf
    runner_up = np.minimum(distances[here].min(axis=1), distances[:, there].min(axis=0))
    passed = nearest[here] < ratio**2 * runner_up
    return here[passed], there[passed], np.sqrt(nearest[here][passed] / runner_up[passed])
