"""Drawn surveys as graphs: true and false pairs of sightings, with the probabilities that an engine would give them."""

from __future__ import annotations

from dataclasses import dataclass, fields
from functools import cache
from pathlib import Path

import numpy as np

from snowmatch.core.errors import SnowmatchError

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


def equal(individuals: int, encounters: int) -> np.ndarray:
    """Return the truth, (n,) int, of individuals that were all met equally often."""
    return np.repeat(np.arange(individuals), encounters)


def varied(seed: int) -> np.ndarray:
    """Return the truth, (n,) int, of 40 to 80 individuals that were met once to often, six times on average."""
    random = np.random.default_rng([seed, 2])
    individuals = int(random.integers(40, 81))
    return np.repeat(np.arange(individuals), 1 + random.poisson(random.gamma(2, 2.5, individuals)))


def scores_of_pairs(random: np.random.Generator, truth: np.ndarray) -> np.ndarray:
    """Return a symmetric (n, n) matrix of scores.

    Each sighting has a quality, which its true pairs share, so they are not independent. POOR sightings have no strong
    true pair. HUBS are more like all others than they should be.
    """
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
    return scores


def draw_case(seed: int, truth: np.ndarray) -> Case:
    """Return a drawn survey. Its probabilities are calibrated on ten others: right on average, for pairs on a list."""
    scores = scores_of_pairs(np.random.default_rng([seed, 0]), truth)
    i, j = shortlisted(scores)
    p = np.interp(scores[i, j], *calibration())
    return Case(truth, i, j, p, np.argsort(-scores, axis=1, kind="stable")[:, :RANKS])


def read_case(path: Path) -> Case:
    """Return a survey from an npz file with the arrays of a Case. Raises SnowmatchError if one is missing."""
    with np.load(path, allow_pickle=False) as held:
        missing = [f.name for f in fields(Case) if f.name not in held]
        if missing:
            raise SnowmatchError(f"{path} has no array {missing[0]}, expected truth, i, j, p and rank_list")
        truth = np.unique(held["truth"], return_inverse=True)[1]
        i, j = np.sort(np.stack([held["i"], held["j"]]).astype(np.int64), axis=0)
        return Case(truth, i, j, held["p"].astype(np.float64), held["rank_list"].astype(np.int64))


def shortlisted(scores: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the pairs of which one is among the SHORTLIST best of the other."""
    best = np.argsort(-scores, axis=1, kind="stable")[:, :SHORTLIST]
    rows = np.repeat(np.arange(len(scores)), best.shape[1])
    pairs = np.stack([rows, best.ravel()], 1)[rows != best.ravel()]  # of few sightings each is among its own best
    pairs = np.unique(np.sort(pairs, axis=1), axis=0)
    return pairs[:, 0], pairs[:, 1]


@cache
def calibration() -> tuple[np.ndarray, np.ndarray]:
    """Return scores and the share of true pairs at each, from ten surveys that no case uses; it never falls."""
    held, true = [], []
    for seed in range(2000, 2010):
        truth = varied(seed)
        scores = scores_of_pairs(np.random.default_rng([seed, 1]), truth)
        i, j = shortlisted(scores)
        held.append(scores[i, j])
        true.append(truth[i] == truth[j])
    score, same = np.concatenate(held), np.concatenate(true)
    parts = np.array_split(np.argsort(score, kind="stable"), 40)
    share = [(same[part].sum() + 0.5) / (len(part) + 1) for part in parts]
    return np.array([score[part].mean() for part in parts]), np.maximum.accumulate(share)
