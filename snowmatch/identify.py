"""From query photos to an answer: the only file that knows the order of the steps."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from snowmatch.types import Annotation, BBox


@dataclass(frozen=True)
class QueryPhoto:
    """One photo of the query; `mask` is (H, W) bool over the whole upright photo, or None where all of it counts.

    `path` is as the user gave it (empty for an array); `image` is the upright RGB photo where it was given as an array.
    """

    path: str
    bbox: BBox | None
    mask: np.ndarray | None
    image_size: tuple[int, int]
    features: int
    image: np.ndarray | None = None


@dataclass(frozen=True)
class Candidate:
    """One individual (or one unidentified encounter) that the query was compared with.

    `best` is its annotation with the highest score, `best_query` the number of the query photo that gave it;
    keypoints0 and keypoints1 (M, 2), scales0, scales1 and weights (M,) are the matched spots of that pair in photo
    pixels. `accepted` is False where no annotation of it passed the geometric check: its score then is what it had
    before that check, and it ranks below every accepted one.
    """

    rank: int
    individual: str | None
    score: float
    inliers: int
    accepted: bool
    best: Annotation
    best_query: int
    keypoints0: np.ndarray
    keypoints1: np.ndarray
    scales0: np.ndarray
    scales1: np.ndarray
    weights: np.ndarray
    probability: float | None = None
    level: str | None = None


@dataclass(frozen=True)
class Answer:
    """What a query says: candidates in order, what was compared, and how."""

    photos: tuple[QueryPhoto, ...]
    body_part: str
    locations: tuple[str, ...]
    excluded_encounters: tuple[str, ...]
    catalog_path: str
    annotations: int
    compared: int
    individuals: int
    extractor: dict[str, Any]
    matcher: dict[str, Any]
    candidates: tuple[Candidate, ...]
    notes: tuple[str, ...]
    new_probability: float | None = None
    level: str | None = None
