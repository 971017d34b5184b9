"""From weighted matches to scores of annotations and of individuals."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from snowmatch.core.types import Matches

# Rank of what the geometric check rejected: below all that it accepted, in the order it had before. Pre-scores stay
# under some thousands and an accepted annotation has five votes of at least 5e-8, so this factor separates them.
REJECTED = 1e-10
VERIFIED = 1e-6  # so what ranks above this was let pass, or is next to nothing
# Annotations of one individual that its score is made of, as in HotSpotter. 1, 2, 3, 5 and all were measured
# (docs/benchmarks-history.md): all of them lose animals to the cat with the most photos; 1 gains on boxed leopards
# and loses on the other sets.
BEST = 3


def annotation_scores(matches: Matches, annotations: int) -> np.ndarray:
    """The sum of the match weights of each annotation (A,) float64; 0 without matches (HotSpotter's csum)."""
    return np.bincount(matches.annotation, weights=matches.weights, minlength=annotations)


def individual_scores(matches: Matches, individuals: np.ndarray, count: int) -> np.ndarray:
    """Scores (count,) float64 of the individuals, from verified matches, by their BEST annotations alone.

    `individuals` (A,) numbers the individual of every annotation. A cat with a hundred photos would else collect what
    agrees by chance from all of them. No matches: zeros.
    """
    best = _of_the_best(annotation_scores(matches, len(individuals)), individuals)
    return keypoint_votes(matches.take(best[matches.annotation]), individuals, count)


def above_chance(scores: np.ndarray, chance: float) -> np.ndarray:
    """Scores (I,) of one photo over the root of `chance`, what a candidate gets before the geometric check; 0: as is.

    What agrees by accident scatters as the root of how many votes there are, as counts do. A gallery of three photos
    gets all votes, one of a thousand few for each; an impostor's best score over this root is the same in both (1 to 39
    individuals, docs/benchmarks-history.md), so that scores can be compared between queries and galleries.
    """
    return scores / np.sqrt(chance) if chance else scores


def unverified_scores(matches: Matches, individuals: np.ndarray, count: int) -> np.ndarray:
    """Scores (count,) float64 of the individuals from all matches, over the root of how many photos have one.

    The more photos an individual has, the better its best chance matches are. No matches: zeros.
    """
    photos = np.bincount(individuals[np.unique(matches.annotation)], minlength=count)
    return keypoint_votes(matches, individuals, count) / np.sqrt(np.maximum(photos, 1))


def keypoint_votes(matches: Matches, individuals: np.ndarray, count: int) -> np.ndarray:
    """Scores (count,) float64 of the individuals: each query keypoint votes once for each, with its best match.

    So ten photos of one passage do not count ten times. No matches: zeros. Source: HotSpotter's name score "nsum"
    (ibeis, chip_match.py: fmech).
    """
    if not len(matches):
        return np.zeros(count)
    voter = matches.keypoint0.astype(np.int64) * count + individuals[matches.annotation]
    order = np.lexsort((matches.weights, voter))
    voter, weights = voter[order], matches.weights[order].astype(np.float64)
    best = np.append(voter[1:] != voter[:-1], True)  # the last of each run is its largest
    return np.bincount(voter[best] % count, weights=weights[best], minlength=count)


def _of_the_best(scores: np.ndarray, individuals: np.ndarray) -> np.ndarray:
    """(A,) bool: the BEST annotations of each individual among those with a score."""
    voted = np.flatnonzero(scores > 0)
    order = voted[np.lexsort((-scores[voted], individuals[voted]))]
    numbers = individuals[order]
    place = np.arange(len(order)) - np.searchsorted(numbers, numbers)
    kept = np.zeros(len(scores), bool)
    kept[order[place < BEST]] = True
    return kept


def together(scores: np.ndarray) -> np.ndarray:
    """(I,) from the scores (F, I) of F photos of one encounter: the square of their square roots' mean.

    Between the mean, which one photo with a strong wrong match decides, and counting whom each photo votes for. One
    photo gives its own scores; more photos as sure as it give the same. No photos: zeros.
    """
    return np.sqrt(scores).mean(axis=0) ** 2 if len(scores) else np.zeros(scores.shape[1])


def ranking(scores: np.ndarray, pre_scores: np.ndarray, accepted: np.ndarray) -> np.ndarray:
    """One number to sort by: the score where accepted, else the pre-score far below every accepted one; 0 = no vote."""
    return np.where(accepted, scores, pre_scores * REJECTED)


@dataclass(frozen=True)
class Scores:
    """What one query says about every annotation (A,) and individual (I,) of a gallery, ready to sort and to save.

    The score arrays come from verified matches, those of individuals over the root of chance (see `above_chance`); the
    pre_ arrays from all matches, before the geometric check, those of individuals corrected for how many photos each
    has. checked says which annotations that check looked at, accepted which it let pass. `matches` has, per query
    photo, the verified matches; `pre_matches` all; both are empty where several extractors were fused. chance: what a
    candidate gets by chance from the matches that were checked, before the check; 0 where nobody has one.
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

    @cached_property
    def ranking(self) -> np.ndarray:
        """(A,) one number each to sort by, rejected ones below accepted ones."""
        return ranking(self.scores, self.pre_scores, self.accepted)

    @cached_property
    def individual_ranking(self) -> np.ndarray:
        """(I,) likewise."""
        return ranking(self.individual_scores, self.individual_pre_scores, self.individual_accepted)


def chance_score(scores: np.ndarray) -> float:
    """The median of the scores (A,) above 0; 0 where there is none."""
    voted = scores[scores > 0]
    return float(np.median(voted)) if len(voted) else 0.0
