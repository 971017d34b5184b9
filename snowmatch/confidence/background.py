"""Scores beside those of the other individuals: where everything matches a little, a match says less."""

from __future__ import annotations

import numpy as np

from snowmatch.matching.scores import VERIFIED

# Chosen on drawn cats, leopards and nyala with `hesaff` and `sift`; neighbouring values gained as much
# (docs/benchmarks-history.md, "Scores beside those of the others").
OTHERS = 10  # so many of the best others count: with all of them, the mean would fall with the number of animals
MOST = 0.5  # one of the others counts no more: it may be the same animal under another name
USUAL, USUAL_WEIGHT = 0.2, 5.0  # what the best others score by accident, and how many of them this counts for


def beside_others(scores: np.ndarray, named: np.ndarray | None = None) -> np.ndarray:
    """Return (I,) float64, the scores of one query divided by the root of what the others score, as a share of USUAL.

    scores: (I,) ranking scores of all individuals that are compared, without NaN (see `scores.ranking`): rejected ones,
    at most VERIFIED, stay. For each individual the OTHERS best of the others count, each at most MOST. named: (I,)
    bool, those that count as others; None for all: an unidentified sighting may show the same animal. No individuals:
    no scores.

    Source: normalisation by a cohort of impostors (T-norm), Auckenthaler, Carey & Lloyd-Thomas 2000, Digital Signal
    Processing 10; here the root of the cohort's mean, shrunk to the usual one.
    """
    named = np.ones(len(scores), bool) if named is None else named
    counted = np.where(named, np.clip(scores.astype(np.float64), 0.0, MOST), -1.0)  # -1: below all that count
    best = -np.sort(-counted[named])[: OTHERS + 1]
    among = named & (counted >= best[-1] if len(best) > OTHERS else True)  # without it, the next one counts
    of_others = np.where(among, best.sum() - counted, best[:OTHERS].sum())
    number = np.minimum(len(best) - named, OTHERS)
    background = (of_others + USUAL_WEIGHT * USUAL) / (number + USUAL_WEIGHT)
    beside = scores / np.sqrt(background / USUAL)
    return np.where(scores > VERIFIED, np.maximum(beside, np.nextafter(VERIFIED, 1.0)), scores)
