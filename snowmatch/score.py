"""From weighted matches to scores of annotations and of individuals."""

from __future__ import annotations

import numpy as np

from snowmatch.types import Matches

# Rank of what the geometric check rejected: below all that it accepted, in the order it had before. Pre-scores stay
# under some thousands and an accepted annotation has seven votes of at least 5e-8, so this factor separates them.
REJECTED = 1e-10


def annotation_scores(matches: Matches, annotations: int) -> np.ndarray:
    """The sum of the match weights of each annotation (A,) float64; 0 without matches (HotSpotter's csum)."""
    return np.bincount(matches.annotation, weights=matches.weights, minlength=annotations)


def individual_scores(matches: Matches, individuals: np.ndarray, count: int) -> np.ndarray:
    """Scores (count,) float64 of the individuals: each query keypoint votes once for each, with its best match.

    `individuals` (A,) numbers the individual of every annotation. So ten photos of one passage do not count ten times.
    No matches: zeros. Source: HotSpotter's name score "nsum" (ibeis, chip_match.py: fmech).
    """
    if not len(matches):
        return np.zeros(count)
    voter = matches.keypoint0.astype(np.int64) * count + individuals[matches.annotation]
    order = np.lexsort((matches.weights, voter))
    voter, weights = voter[order], matches.weights[order].astype(np.float64)
    best = np.append(voter[1:] != voter[:-1], True)  # the last of each run is its largest
    return np.bincount(voter[best] % count, weights=weights[best], minlength=count)


def ranking(scores: np.ndarray, pre_scores: np.ndarray, accepted: np.ndarray) -> np.ndarray:
    """One number to sort by: the score where accepted, else the pre-score far below every accepted one; 0 = no vote."""
    return np.where(accepted, scores, pre_scores * REJECTED)
