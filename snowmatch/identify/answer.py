"""The answer to a query: photos, candidates, decision and notes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from snowmatch.core.notes import Note
from snowmatch.core.types import Annotation, BBox
from snowmatch.screening.foreground import ForegroundMap


@dataclass(frozen=True)
class QueryPhoto:
    """One photo of the query.

    path: as the user wrote it; "" for an array.
    bbox: the animal's box, clipped to the photo; None if there is no box.
    mask: (H, W) bool over the whole upright photo, True on the animal; None if there is no mask.
    image_size: (width, height) of the upright photo.
    features: number of features, of all extractors together.
    image: (H, W, 3) uint8 RGB, the upright photo if the user gave an array; None otherwise.
    evidence: what showed where the animal is: `mask`, `box`, a map (`burst`, `station`, `classifier`, or several of
    these joined by "and"), `centre` (nothing, so the centre of the photo counts most), or `given` (everything counts).
    foreground: the foreground map of the photo, or None.
    box_by: what found the box; "" if a person drew it or there is none.
    """

    path: str
    bbox: BBox | None
    mask: np.ndarray | None
    image_size: tuple[int, int]
    features: int
    image: np.ndarray | None = None
    evidence: str = ""
    foreground: ForegroundMap | None = None
    box_by: str = ""


@dataclass(frozen=True)
class Candidate:
    """An individual, or an unidentified animal of one encounter, that the query was compared with.

    rank: 1 is the best candidate.
    individual: its name; None for an unidentified animal.
    score: the evidence of the matches, 0 or more. Scores can be compared within one answer only.
    inliers: number of matches of the best pair of photos that passed the geometric check; 0 if not `accepted`.
    accepted: True if an annotation of the candidate passed the geometric check. If False, `score` is the score before
    the check, and the matches are not verified.
    checked: True if the geometric check was computed for at least one annotation of the candidate.
    best: the candidate's annotation with the highest score. best_query: number of the query photo, from 0, with the
    highest score against `best`.
    keypoints0, keypoints1: (M, 2) positions of the M matched keypoints in the query photo and in the photo of `best`
    (px, x then y). scales0, scales1: (M,) their diameters (px). weights: (M,) the votes of the matches.
    evidence, foreground: of the photo of `best`, as in QueryPhoto.
    covered: 0 to 1, the share of what both photos show of the animal that the verified matches cover, see
    `covered_share`; None if it cannot be told.
    probability: 0 to 1, that the query shows this animal. careful: its careful value, see Decision. level: the level of
    `careful`. All three are None if there are no probabilities.
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
    covered: float | None = None
    probability: float | None = None
    careful: float | None = None
    level: str | None = None


@dataclass(frozen=True)
class Decision:
    """The most probable result of a query: an animal on record, or a new animal.

    individual: the animal's name; None for a new animal and for an unidentified animal on record.
    new: True for a new animal.
    probability: 0 to 1, that the decision is right. careful: the same, as low as the uncertainty of the calibration and
    of the share of new animals can make it. level: the level of `careful`.
    encounter: the encounter of an unidentified animal on record; "" for a named or a new animal.
    """

    individual: str | None
    new: bool
    probability: float
    level: str
    careful: float
    encounter: str = ""

    @property
    def name(self) -> str:
        """The text that names the animal: "a new individual", its name, or "unidentified (ENCOUNTER)"."""
        if self.new:
            return "a new individual"
        return self.individual if self.individual is not None else f"unidentified ({self.encounter})"


@dataclass(frozen=True)
class Answer:
    """The answer to a query.

    body_part: the body part that the query shows. locations: the locations that may answer; empty for all locations.
    annotations: number of annotations in the catalog. compared: number of annotations that were allowed to answer.
    individuals: number of individuals among the compared annotations, unidentified animals included.
    extractor, matcher: settings, as in `identify.method.Method`.
    candidates: the best candidates, in the order of their ranks.
    notes: remarks on the answer, such as what was not compared.
    calibration: as `confidence.model.Calibration.described` returns it; None without a calibration.
    new_probability: 0 to 1, that the animal is not on record. expected_new: the same before any evidence. decision: the
    most probable result. All three are None if there are no probabilities.
    decided: the candidate that the decision names; None for a new animal. It may be missing from `candidates`, because
    candidates are ranked by score and not by probability.
    runner_up: the most probable candidate apart from `decided`.
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
    expected_new: float | None = None
    decision: Decision | None = None
    decided: Candidate | None = None
    runner_up: Candidate | None = None

    @property
    def bounds(self) -> tuple[float, ...]:
        """The lowest probability of each level; empty without a calibration."""
        return tuple(self.calibration["levels"].values()) if self.calibration is not None else ()

    @property
    def level(self) -> str | None:
        """The level of the decision; None without a decision."""
        return self.decision.level if self.decision is not None else None
