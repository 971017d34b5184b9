"""What a query says."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from snowmatch.core.notes import Note
from snowmatch.core.types import Annotation, BBox
from snowmatch.screening.foreground import ForegroundMap


@dataclass(frozen=True)
class QueryPhoto:
    """One photo of the query; `mask` is (H, W) bool over the whole upright photo, or None where all of it counts.

    `path` is as the user gave it (empty for an array); `image` is the upright RGB photo where it was given as an array.
    evidence: what tells the animal from the scenery (`mask`, `box`, `burst`, `station`, `burst and station`, `centre`,
    or `given` where everything counts); `foreground` is the map where other photos of the place tell.
    """

    path: str
    bbox: BBox | None
    mask: np.ndarray | None
    image_size: tuple[int, int]
    features: int
    image: np.ndarray | None = None
    evidence: str = ""
    foreground: ForegroundMap | None = None


@dataclass(frozen=True)
class Candidate:
    """One individual (or one unidentified encounter) that the query was compared with.

    `best` is its annotation with the highest score, `best_query` the number of the query photo that gave it;
    keypoints0 and keypoints1 (M, 2), scales0, scales1 and weights (M,) are the matched spots of that pair in photo
    pixels. `accepted` is False where no annotation of it passed the geometric check: its score then is what it had
    before that check, its spots are the unverified ones, and it ranks below every accepted one. `checked` is False
    where none of its annotations was among those that the check looked at. evidence and foreground: as in QueryPhoto.
    """

    rank: int
    individual: str | None
    score: float
    inliers: int
    accepted: bool
    checked: bool
    best: Annotation
    best_query: int
    keypoints0: np.ndarray
    keypoints1: np.ndarray
    scales0: np.ndarray
    scales1: np.ndarray
    weights: np.ndarray
    evidence: str = ""
    foreground: ForegroundMap | None = None
    probability: float | None = None
    level: str | None = None


@dataclass(frozen=True)
class Decision:
    """What a query comes to: the likeliest individual on record, or a new one, with its probability and level.

    individual: its name; None for a new animal, and for an unidentified animal on record: that one's `encounter` is
    given instead.
    """

    individual: str | None
    new: bool
    probability: float
    level: str
    encounter: str = ""

    @property
    def name(self) -> str:
        """Whom it is about, in words."""
        if self.new:
            return "a new individual"
        return self.individual if self.individual is not None else f"unidentified ({self.encounter})"


@dataclass(frozen=True)
class Answer:
    """What a query says: candidates in order, what was compared, and how.

    calibration: what `confidence.model.Calibration.described` tells; None where there is none, as are
    `new_probability` and `decision` then. `decided` is the candidate that the decision names, None for a new animal; it
    may be none of `candidates`, where unidentified encounters score higher. `runner_up` is the likeliest one besides.
    notes: what to know about the answer.
    """

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
    notes: tuple[Note, ...]
    calibration: dict[str, Any] | None = None
    new_probability: float | None = None
    decision: Decision | None = None
    decided: Candidate | None = None
    runner_up: Candidate | None = None

    @property
    def level(self) -> str | None:
        """The decision's."""
        return self.decision.level if self.decision is not None else None
