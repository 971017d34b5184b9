"""Drawn surveys as graphs: true and false pairs of sightings, with the probabilities that an engine would give them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

SHORTLIST = 10  # candidates of each sighting
POOR, HUBS = 0.1, 0.05  # shares of sightings
RANKS = 5


@dataclass(frozen=True)
class Case:
    """A survey. truth: (n,) the individual of each sighting. i, j, p: (E,) pairs and their probability.

    rank_list: (n, 5), the best five other sightings of each, best first; -1 where there are fewer.
    """

    truth: np.ndarray
    i: np.ndarray
    j: np.ndarray
    p: np.ndarray
    rank_list: np.ndarray


def scores_of_pairs(random: np.random.Generator, individuals: int, encounters: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the truth (n,) and a symmetric (n, n) matrix of scores.

    Each sighting has a quality, which its true pairs share, so they are not independent. POOR sightings have no strong
    true pair. HUBS are more like all others than they should be.
    """
    truth = np.repeat(np.arange(individuals), encounters)
    n = len(truth)
    quality = random.normal(0, 1, n)
    quality[random.random(n) < POOR] = -6.0
    hub = np.where(random.random(n) < HUBS, random.uniform(0.5, 2.0, n), 0.0)
    noise = np.triu(random.normal(0, 1, (n, n)), 1)
    noise += noise.T
    false = noise - 1 + hub[:, None] + hub
    true = 4.2 + 0.8 * (quality[:, None] + quality) + 1.5 * noise
    scores = np.where(truth[:, None] == truth, np.maximum(true, noise - 0.5), false)
    np.fill_diagonal(scores, -np.inf)
    return truth, scores


def draw_case(seed: int, individuals: int = 60, encounters: int = 6) -> Case:
    """Return a drawn survey. Its probabilities are calibrated on ten others: right on average, for pairs on a list."""
    truth, scores = scores_of_pairs(np.random.default_rng([seed, 0]), individuals, encounters)
    i, j = shortlisted(scores)
    edges, values = calibration(individuals, encounters)
    p = np.interp(scores[i, j], edges, values)
    return Case(truth, i, j, p, np.argsort(-scores, axis=1, kind="stable")[:, :RANKS])


def shortlisted(scores: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the pairs of which one is among the SHORTLIST best of the other."""
    best = np.argsort(-scores, axis=1, kind="stable")[:, :SHORTLIST]
    rows = np.repeat(np.arange(len(scores)), best.shape[1])
    pairs = np.unique(np.sort(np.stack([rows, best.ravel()], 1), axis=1), axis=0)
    return pairs[:, 0], pairs[:, 1]


_kept: dict[tuple[int, int], tuple[np.ndarray, np.ndarray]] = {}


def calibration(individuals: int, encounters: int) -> tuple[np.ndarray, np.ndarray]:
    """Return scores and the share of true pairs at each, from ten surveys that no case uses; it never falls."""
    if (individuals, encounters) not in _kept:
        held, true = [], []
        for seed in range(10):
            truth, scores = scores_of_pairs(np.random.default_rng([seed, 1]), individuals, encounters)
            i, j = shortlisted(scores)
            held.append(scores[i, j])
            true.append(truth[i] == truth[j])
        score, same = np.concatenate(held), np.concatenate(true)
        parts = np.array_split(np.argsort(score, kind="stable"), 40)
        share = [(same[part].sum() + 0.5) / (len(part) + 1) for part in parts]
        _kept[individuals, encounters] = (
            np.array([score[part].mean() for part in parts]),
            np.maximum.accumulate(share),
        )
    return _kept[individuals, encounters]
