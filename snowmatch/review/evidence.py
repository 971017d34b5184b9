"""What is known about pairs of sightings, as weights: natural logarithms of the odds that both show one individual."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np

from snowmatch.core.unions import Unions

FORBIDDEN = -1e7  # the weight of a pair that is surely different; no sum of other weights comes near it
# What a sighting shows. One that shows LEFT alone is never compared with one of RIGHT alone
LEFT, RIGHT, BOTH = 1, 2, 3


def log_odds(probability: np.ndarray | float, most: float) -> np.ndarray:
    """Return ln(p / (1 - p)) of probabilities, not beyond -most and most. Empty input gives an empty array."""
    low = 1 / (1 + math.exp(most))
    p = np.clip(np.asarray(probability, np.float64), low, 1 - low)
    return np.asarray(np.log(p / (1 - p)), np.float64)


def pair_weights(
    n: int, probability: np.ndarray, *, missed: float = 0.15, most: float = 4.5
) -> tuple[np.ndarray, float]:
    """Return what the probabilities of the listed pairs say, (E,) float, and what each individual adds (`alone`).

    A calibrated probability holds what the comparison says and how common true pairs are. The latter is taken out of
    each pair, as a pair of sightings is together or apart with all their other pairs: it is counted once for each
    individual. n: sightings. missed: the share of true pairs that are not listed. most: log odds beyond -most and most
    do not count.
    """
    pairs = n * (n - 1) / 2
    true = max(float(np.sum(probability)), 1.0) / (1 - missed)
    alone = math.log(max(pairs / true - 1, 1.0))
    return log_odds(probability, most) + alone, alone


@dataclass(frozen=True)
class Weights:
    """The evidence about the sightings 0 to n - 1. Pairs that are not listed have the weight `absent`.

    i, j: (E,) int, i < j, each pair once. machine: (E,) float, what the pair's comparison says, of `pair_weights`;
    `absent` for a pair that is listed only because persons answered it.
    human: (E,) float, the sum over the answers to a pair: the log odds of the observer's accuracy, positive for `same`,
    negative for `different`; 0 without answers. absent: zero or less. alone: what each individual adds to the score of
    a clustering, zero or more; so joining two clusters has to be worth more than this.
    together, apart: pairs that are surely one individual, and surely two.
    views: (n,) int, LEFT, RIGHT or BOTH; None: all sightings can be compared. Pairs that cannot be compared are never
    asked and have no weight. What joins the two sides of an individual is a sighting of both, or a pair of `together`.
    Raises ValueError for numbers out of range, and for a pair that is listed twice or cannot be compared.
    """

    n: int
    i: np.ndarray
    j: np.ndarray
    machine: np.ndarray
    human: np.ndarray
    absent: float = 0.0
    alone: float = 0.0
    together: tuple[tuple[int, int], ...] = ()
    apart: tuple[tuple[int, int], ...] = ()
    views: np.ndarray | None = None

    def __post_init__(self) -> None:
        sizes = {len(self.i), len(self.j), len(self.machine), len(self.human)}
        if len(sizes) != 1:
            raise ValueError(f"i, j, machine and human have {sorted(sizes)} values, expected equal numbers")
        if len(self.i) and (self.i.min() < 0 or self.j.max() >= self.n or (self.i >= self.j).any()):
            raise ValueError(f"expected 0 <= i < j < {self.n} for every pair")
        if len(np.unique(self.i.astype(np.int64) * self.n + self.j)) < len(self.i):
            raise ValueError("a pair is listed twice")
        if not (
            np.isfinite(self.machine).all()
            and np.isfinite(self.human).all()
            and -1e3 <= self.absent <= 0 <= self.alone <= 1e3
        ):
            raise ValueError("expected finite weights, -1000 <= absent <= 0 and 0 <= alone <= 1000")
        if any(not 0 <= k < self.n for pair in (*self.together, *self.apart) for k in pair):
            raise ValueError(f"expected sightings from 0 to {self.n - 1}")
        if self.views is not None and (len(self.views) != self.n or not np.isin(self.views, (1, 2, 3)).all()):
            raise ValueError(f"views: expected {self.n} values of 1, 2 and 3")
        if self.views is not None and ((self.views[self.i] & self.views[self.j]) == 0).any():
            raise ValueError(
                "a pair is listed that cannot be compared: one side shows the left alone, the other the right"
            )


@dataclass
class Graph:
    """Sightings that are surely together, as one node each, and the weights between the nodes.

    node: (n,) int, the node of each sighting. members: the sightings of each node, ascending.
    near: for each node its neighbours, with the sum of (weight - absent) over the listed pairs between them.
    size, left, right: (nodes,) int, sightings of each node: all, those of LEFT alone, those of RIGHT alone.
    """

    absent: float
    alone: float
    node: np.ndarray
    members: list[list[int]]
    near: list[dict[int, float]]
    size: np.ndarray
    left: np.ndarray
    right: np.ndarray
    sides: list[tuple[int, int, int]] = field(default_factory=list)

    def compared(self, one: tuple[int, int, int], other: tuple[int, int, int]) -> int:
        """Return how many pairs of sightings can be compared between two sets, each (size, left, right)."""
        return one[0] * other[0] - one[1] * other[2] - one[2] * other[1]

    def count(self, nodes: Iterable[int]) -> tuple[int, int, int]:
        """Return (size, left, right) of some nodes together."""
        size = left = right = 0
        for k in nodes:
            s, lef, r = self.sides[k]
            size, left, right = size + s, left + lef, right + r
        return size, left, right


def graph_of(weights: Weights) -> Graph:
    """Return the graph of some weights. Raises ValueError if hard facts contradict each other."""
    unions = Unions(weights.n)
    for a, b in weights.together:
        unions.join(a, b)
    members = unions.groups()
    node = np.zeros(weights.n, np.int64)
    for number, group in enumerate(members):
        node[group] = number
    near: list[dict[int, float]] = [{} for _ in members]
    views = np.full(weights.n, BOTH) if weights.views is None else np.asarray(weights.views)
    excess = weights.machine + weights.human - weights.absent
    for a, b, w in zip(node[weights.i].tolist(), node[weights.j].tolist(), excess.tolist(), strict=True):
        if a != b:
            near[a][b] = near[b][a] = near[a].get(b, 0.0) + w
    for x, y in weights.apart:
        a, b = int(node[x]), int(node[y])
        if a == b:
            raise ValueError(f"sightings {x} and {y} are surely together and surely apart")
        near[a][b] = near[b][a] = FORBIDDEN
    sides = np.stack([np.ones(weights.n, np.int64), views == LEFT, views == RIGHT]).astype(np.int64)
    size, left, right = (np.bincount(node, side, len(members)).astype(np.int64) for side in sides)
    triples = list(zip(size.tolist(), left.tolist(), right.tolist(), strict=True))
    return Graph(weights.absent, weights.alone, node, members, near, size, left, right, triples)
