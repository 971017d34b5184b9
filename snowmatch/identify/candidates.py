"""From scores to candidates, their matched spots and their probabilities."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from snowmatch.confidence.levels import Levels
from snowmatch.confidence.model import Model, Probabilities, expected_new, probabilities
from snowmatch.core.types import Matches, Subject
from snowmatch.identify.answer import Candidate
from snowmatch.matching.gallery import Gallery
from snowmatch.matching.scores import Scores


@dataclass(frozen=True)
class Part:
    """What one extractor contributes to an answer: its scores, the query photos with its features, and its gallery.

    factor: what brings its weights to the scale of the answer.
    """

    scores: Scores
    subjects: Sequence[Subject]
    gallery: Gallery
    factor: float = 1.0


def judge(
    scores: Scores, gallery: Gallery, allowed: np.ndarray, models: Sequence[Model], features: float
) -> Probabilities:
    """How likely each individual (I,) of the gallery is, and a new one; NaN for those with nothing `allowed` (A,).

    features: of the query, per photo. At least one of `models`.
    """
    numbers = gallery.individual_numbers
    named = np.array([name is not None for name, _, _ in gallery.individuals], bool)
    compared = np.isin(np.arange(len(named)), numbers[allowed])
    met = {(n, gallery.annotations[e].encounter) for e, n in enumerate(numbers) if allowed[e] and named[n]}
    encounters = np.bincount(np.array([n for n, _ in met], np.int64), minlength=len(named))
    asked = np.where(compared, scores.individual_ranking, np.nan)
    return probabilities(models, asked, named, features, expected_new(encounters))


def candidates(
    scores: Scores,
    parts: Sequence[Part],
    allowed: np.ndarray,
    top: int,
    judged: Probabilities | None = None,
    levels: Levels | None = None,
) -> tuple[Candidate, ...]:
    """The `top` individuals among the allowed annotations, accepted ones first, by score; ties by name.

    `scores` are those of all `parts` together; their galleries have the same annotations in the same order. judged and
    levels: what `judge` said of them, where there is a calibration.
    """
    rows = np.flatnonzero(allowed)
    numbers = parts[0].gallery.individual_numbers
    present = np.unique(numbers[rows])
    order = present[np.lexsort((present, -scores.individual_ranking[present]))][:top]
    found = [_candidate(rank, i, rows[numbers[rows] == i], scores, parts) for rank, i in enumerate(order, start=1)]
    if judged is None:
        return tuple(found)
    each = [float(judged.individuals[i]) for i in order]
    return tuple(replace(c, probability=p, level=levels.of(p)) for c, p in zip(found, each, strict=True))


def _candidate(rank: int, number: int, own: np.ndarray, scores: Scores, parts: Sequence[Part]) -> Candidate:
    entry = int(own[np.argmax(scores.ranking[own])])
    accepted = bool(scores.individual_accepted[number])
    by_part = [
        [m.take(m.annotation == entry) for m in (part.scores.matches if accepted else part.scores.pre_matches)]
        for part in parts
    ]
    votes = [[part.factor * m.weights.sum() for m in found] for found, part in zip(by_part, parts, strict=True)]
    photo = int(np.argmax(np.sum(votes, axis=0)))
    spots = [_spots(found[photo], part, photo, entry) for found, part in zip(by_part, parts, strict=True)]
    gallery = parts[0].gallery
    score = scores.individual_scores[number] if accepted else scores.individual_pre_scores[number]
    together = {name: np.concatenate([each[name] for each in spots]) for name in spots[0]}
    return Candidate(
        rank,
        gallery.individuals[number][0],
        float(score),
        len(together["weights"]) if accepted else 0,
        accepted,
        bool(scores.checked[own].any()),
        gallery.annotations[entry],
        photo,
        **together,
        evidence=gallery.evidence(entry),
        foreground=gallery.map_of(entry),
    )


def _spots(matches: Matches, part: Part, photo: int, entry: int) -> dict[str, np.ndarray]:
    query, features = part.subjects[photo].features, part.gallery.reader.read(part.gallery.keys[entry])
    return {
        "keypoints0": query.keypoints[matches.keypoint0],
        "keypoints1": features.keypoints[matches.keypoint1],
        "scales0": query.scales[matches.keypoint0],
        "scales1": features.scales[matches.keypoint1],
        "weights": (part.factor * matches.weights).astype(np.float32),
    }
