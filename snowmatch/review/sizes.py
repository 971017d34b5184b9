"""How often individuals are met: the distribution of the number of sightings, and what it says about a clustering.

If the number of individuals is Poisson with the mean N, and each has s sightings with the probability f(s), the
probability of a clustering is the product of N f(s) s! over its clusters, times a constant. So a single sighting is an
individual of its own, rather than one more of those known, with the odds f(1) : sum of s f(s). f is a negative binomial
distribution without 0. It is fitted to individuals with two sightings or more: single sightings are often pieces of
others.

Source: exchangeable partitions, Pitman, 2006 (Combinatorial stochastic processes, chapter 1).
"""

from __future__ import annotations

import math

import numpy as np

SHAPES = (0.5, 0.7, 1.0, 1.5, 2.0, 3.0, 5.0, 10.0, 1000.0)  # of the negative binomial; the last is nearly Poisson
MEANS = tuple(float(v) for v in np.geomspace(0.3, 60, 40))


def _tables(most: int) -> np.ndarray:
    """Return ln f(s) for all shapes and means, (360, most + 1) float; s = 0 is -inf."""
    s = np.arange(most + 1)
    factorial = np.cumsum(np.log(np.maximum(s, 1)))
    rows = []
    for shape in SHAPES:
        rising = np.concatenate([[0.0], np.cumsum(np.log(shape + s[:-1]))])
        for mean in MEANS:
            row = rising - factorial + s * math.log(mean / (mean + shape)) + shape * math.log(shape / (mean + shape))
            row -= math.log1p(-math.exp(row[0]))
            row[0] = -np.inf
            rows.append(row)
    return np.array(rows)


class Sizes:
    """The distributions that are tried, for at most `most` sightings of an individual."""

    def __init__(self, most: int) -> None:
        self.most = most
        self._table = _tables(most)
        single = np.exp(self._table[:, 1]) if most else np.zeros(len(self._table))
        self._two = self._table - np.log(np.maximum(1 - single, 1e-12))[:, None]  # given two or more
        self._factorial = np.cumsum(np.log(np.maximum(np.arange(most + 1), 1)))

    def odds(self, counts: np.ndarray) -> np.ndarray:
        """Return the log likelihood of each distribution, for (most + 1,) numbers of individuals with each size."""
        return np.asarray(self._two[:, 2:] @ counts[2:])

    def weights(self, number: int, individuals: float) -> np.ndarray:
        """Return what a cluster of each size adds to ln P(clustering), (most + 1,); 0 for the empty one."""
        row = self._table[number] + self._factorial + math.log(max(individuals, 1))
        row[0] = 0.0
        return np.asarray(row)

    def draw(self, counts: np.ndarray, random: np.random.Generator) -> np.ndarray:
        """Return `weights` for a distribution drawn by its likelihood; (most + 1,) counts as of `odds`."""
        number = int((self.odds(counts) + random.gumbel(size=len(self._table))).argmax())
        return self.weights(number, float(random.gamma(counts[1:].sum() + 0.5)))

    def likeliest(self, counts: np.ndarray) -> np.ndarray:
        """Return `weights` for the likeliest distribution."""
        return self.weights(int(self.odds(counts).argmax()), float(counts[1:].sum()))
