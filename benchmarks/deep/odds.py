"""Scores as log odds that two photos show one animal, so that different methods can be added up."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy.optimize import minimize
from scipy.special import expit

from snowmatch.core.errors import SnowmatchError
from snowmatch.matching.scores import REJECTED, VERIFIED

PENALTY = 1e3  # variance of the weights' prior, in standard deviations of the features
FLATTEST = 1e-6  # above 0, so that log odds keep the order of the scores


def features_of(scores: np.ndarray, votes: bool) -> np.ndarray:
    """Return (N, F) float64 features of scores (N,). Each rises with the score, or stays the same.

    A similarity is its own feature. Votes have four: whether the geometric check accepted; the logarithm of an
    accepted score, and that of a rejected one, both against the border between them (snowmatch.matching.scores), 0 for
    the other kind; and the score itself, because with logarithms alone the log odds of cats were flat: few pairs have
    a high score, and nearly all of these show one cat. No votes, or no keypoints, count as the lowest score.
    """
    if not votes:
        return scores[:, None]
    accepted = scores > VERIFIED
    held = np.maximum(np.where(np.isfinite(scores), scores, 0), VERIFIED * REJECTED)
    logarithm = np.log(held / VERIFIED)
    return np.stack([accepted, np.where(accepted, logarithm, 0), np.where(accepted, 0, logarithm), held], axis=1)


def calibrate(scores: np.ndarray, same: np.ndarray, votes: bool) -> Callable[[np.ndarray], np.ndarray]:
    """Return a function from scores of any shape to log odds that two photos show one animal; NaN stays NaN.

    It is a logistic regression of `same` (Q, G) bool on the scores (Q, G); NaN pairs are not compared. No weight is
    negative, so the log odds keep the order of the scores. With free weights, pairs of a few cats that the geometric
    check had rejected got higher log odds than accepted ones. Raises SnowmatchError if all pairs are the same animal,
    or none is. Source: Platt 1999, Probabilistic outputs for support vector machines; each score separately, as in
    WildFusion (Cermak et al. 2024).
    """
    compared = ~np.isnan(scores)
    truth = same[compared]
    if truth.all() or not truth.any():
        raise SnowmatchError("--training needs pairs of the same animal and pairs of different animals: add photos")
    features = features_of(scores[compared], votes)
    spread = np.where(np.ptp(features, axis=0) > 0, features.std(axis=0), 1.0)
    middle, signs = features.mean(axis=0), np.where(truth, -1.0, 1.0)
    known = (features - middle) / spread

    def loss(weights: np.ndarray) -> tuple[float, np.ndarray]:
        margin = signs * (known @ weights[1:] + weights[0])
        slope = signs * expit(margin)
        pull = np.append(0.0, weights[1:]) / PENALTY  # a weak one, so that separable scores have a solution
        return (
            float(np.logaddexp(0, margin).sum() + pull @ weights / 2),
            np.append(slope.sum(), known.T @ slope) + pull,
        )

    bounds = [(None, None), *[(FLATTEST, None)] * known.shape[1]]
    weights = minimize(loss, np.append(0.0, np.ones(known.shape[1])), jac=True, bounds=bounds, method="L-BFGS-B").x

    def log_odds(asked: np.ndarray) -> np.ndarray:
        found = np.full(asked.shape, np.nan)
        valid = ~np.isnan(asked)
        found[valid] = (features_of(asked[valid], votes) - middle) / spread @ weights[1:] + weights[0]
        return found

    return log_odds
