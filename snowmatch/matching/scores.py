"""From weighted matches to scores of annotations and of individuals."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from snowmatch.core.types import Matches

# Factor for the scores of rejected annotations: without the prior, they rank below all accepted ones, in their order
# before the geometric check. Pre-scores stay below some thousands, and an accepted annotation has five votes of at
# least 5e-8.
REJECTED = 1e-10
VERIFIED = 1e-6  # a ranking score above this was accepted by the geometric check
# Number of annotations of one individual in its score, as in HotSpotter. 1, 2, 3, 5 and all were measured
# (docs/benchmarks-history.md): with all, the cat with the most photos wins too often; 1 is better on boxed leopards
# and worse on the other sets.
BEST = 3
# An individual met in e times as many encounters (e = 2.7) is preferred by this score. Accidental scores are about
# exponential with a mean of 0.1 to 0.25, the natural size; smaller is fairer to rare animals. See benchmarks-history.
PRIOR = 0.05


def annotation_scores(matches: Matches, annotations: int) -> np.ndarray:
    """Return the sum of the match weights of each annotation, (A,) float64; 0 without matches (HotSpotter's csum)."""
    return np.bincount(matches.annotation, weights=matches.weights, minlength=annotations)


def individual_scores(matches: Matches, individuals: np.ndarray, count: int) -> np.ndarray:
    """Return the scores of the individuals, (count,) float64, from the verified matches of their BEST annotations.

    individuals: (A,) the number of each annotation's individual. Only the best annotations count, because accidental
    matches with a hundred photos of one cat would add up. No matches give zeros.
    """
    best = _of_the_best(annotation_scores(matches, len(individuals)), individuals)
    return keypoint_votes(matches.take(best[matches.annotation]), individuals, count)


def above_chance(scores: np.ndarray, chance: float) -> np.ndarray:
    """Return the scores (I,) of one photo divided by the square root of `chance`; unchanged if `chance` is 0.

    chance: the score that a candidate gets by accident, before the geometric check. The spread of accidental scores
    grows as the square root of the number of votes, as for counts. A gallery of three photos gets all votes, each photo
    of a gallery of a thousand gets few. After the division, the best score of a wrong animal is the same in both (1 to
    39 individuals, docs/benchmarks-history.md), so that scores of different queries and galleries can be compared.
    """
    return scores / np.sqrt(chance) if chance else scores


def prior(sightings: np.ndarray) -> np.ndarray:
    """Return the scores (I,) that individuals have before any evidence, from their numbers of encounters (I,).

    An animal that was met often is more likely to be met again: this decides where there is no other evidence, or
    little. One encounter, or none, gives 0.
    """
    return PRIOR * np.log(np.maximum(sightings, 1))


def unverified_scores(matches: Matches, individuals: np.ndarray, count: int) -> np.ndarray:
    """Return the scores of the individuals, (count,) float64, from all matches, checked or not.

    The score is divided by the square root of the number of photos with a match: with more photos, the best accidental
    match is better. No matches give zeros.
    """
    photos = np.bincount(individuals[np.unique(matches.annotation)], minlength=count)
    return keypoint_votes(matches, individuals, count) / np.sqrt(np.maximum(photos, 1))


def keypoint_votes(matches: Matches, individuals: np.ndarray, count: int) -> np.ndarray:
    """Return the scores of the individuals, (count,) float64: each query keypoint votes once for each, with its best
    match.

    Ten photos of one passage therefore do not count ten times. No matches give zeros.

    Source: HotSpotter's name score "nsum" (ibeis, chip_match.py: fmech).
    """
    if not len(matches):
        return np.zeros(count)
    voter = matches.keypoint0.astype(np.int64) * count + individuals[matches.annotation]
    order = np.lexsort((matches.weights, voter))
    voter, weights = voter[order], matches.weights[order].astype(np.float64)
    best = np.append(voter[1:] != voter[:-1], True)  # the last value of each run is its largest
    return np.bincount(voter[best] % count, weights=weights[best], minlength=count)


def _of_the_best(scores: np.ndarray, individuals: np.ndarray) -> np.ndarray:
    """Return (A,) bool: whether an annotation is one of the BEST annotations of its individual, and has a score."""
    voted = np.flatnonzero(scores > 0)
    order = voted[np.lexsort((-scores[voted], individuals[voted]))]
    numbers = individuals[order]
    place = np.arange(len(order)) - np.searchsorted(numbers, numbers)
    kept = np.zeros(len(scores), bool)
    kept[order[place < BEST]] = True
    return kept


def together(scores: np.ndarray) -> np.ndarray:
    """Return the scores (I,) of F photos of one encounter from their scores (F, I): the squared mean of the square
    roots.

    The result lies between the mean, which one photo with a strong wrong match can decide, and one vote for each photo.
    One photo gives its own scores; several photos with equal scores give the same scores. No photos give zeros.
    """
    return np.sqrt(scores).mean(axis=0) ** 2 if len(scores) else np.zeros(scores.shape[1])


def ranking(scores: np.ndarray, pre_scores: np.ndarray, accepted: np.ndarray) -> np.ndarray:
    """Return one number to sort by: the score if accepted, else the pre-score, scaled below all accepted scores; 0:
    no vote.
    """
    return np.where(accepted, scores, pre_scores * REJECTED)


@dataclass(frozen=True)
class Scores:
    """The result of one query for every annotation (A,) and individual (I,) of a gallery.

    scores, individual_scores: from verified matches; those of individuals are divided as in `above_chance`.
    pre_scores, individual_pre_scores: from all matches, before the geometric check; those of individuals are corrected
    for their number of photos.
    checked: (A,) whether the geometric check looked at the annotation. accepted, individual_accepted: whether it
    passed.
    matches: the verified matches of each query photo. pre_matches: all its matches. Both are empty if several
    extractors were fused.
    chance: the score that a candidate gets by accident from the matches that were checked; 0 if no candidate has one.
    scenery: (A,) whether the annotation was refused because its matches lie still in the frames of one camera.
    individuals: (A,) the number of each annotation's individual. prior: (I,) the score of each individual before any
    evidence.
    """

    scores: np.ndarray
    pre_scores: np.ndarray
    checked: np.ndarray
    accepted: np.ndarray
    individual_scores: np.ndarray
    individual_pre_scores: np.ndarray
    individual_accepted: np.ndarray
    matches: tuple[Matches, ...]
    pre_matches: tuple[Matches, ...]
    chance: float
    scenery: np.ndarray
    individuals: np.ndarray
    prior: np.ndarray

    @cached_property
    def ranking(self) -> np.ndarray:
        """(A,) one number each to sort by, with the prior of the individual; 0: no vote."""
        own = ranking(self.scores, self.pre_scores, self.accepted)
        return np.where(own > 0, own + self.prior[self.individuals] * np.sqrt(self.chance or 1.0), 0.0)

    @cached_property
    def evidence(self) -> np.ndarray:
        """(I,) one number each, the evidence for an individual; rejected ones are below accepted ones, 0: no vote."""
        return ranking(self.individual_scores, self.individual_pre_scores, self.individual_accepted)

    @cached_property
    def individual_ranking(self) -> np.ndarray:
        """(I,) one number each to sort by: the evidence and the prior."""
        return self.evidence + self.prior


def chance_score(scores: np.ndarray) -> float:
    """Return the median of the scores (A,) above 0; 0 if there is none."""
    voted = scores[scores > 0]
    return float(np.median(voted)) if len(voted) else 0.0
