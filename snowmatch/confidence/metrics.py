"""Measures of identification: pure functions on arrays of scores. Ties count against the method everywhere.

A score matrix is (Q, G), higher is better, NaN where query and gallery entry are not compared. `right` (Q, G) bool
marks the entries that would be a right answer. A query without one is NaN in every per-query result, and left out of
means.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

REPLICATES = 1000  # of the bootstrap: customary for 95 % percentile intervals
CONFIDENCE = 0.95


def ranks(scores: np.ndarray, right: np.ndarray) -> np.ndarray:
    """(Q,) float64 rank of the best right answer, 1 is first; NaN where there is none. Wrong ones that tie go before.

    Source: the rank of rank match detection; Phillips et al., PAMI 2000 (FERET), section 3.1.
    """
    compared = ~np.isnan(scores)
    right = right & compared
    best = np.where(right, scores, -np.inf).max(axis=1, initial=-np.inf)
    before = (compared & ~right & (np.where(compared, scores, -np.inf) >= best[:, None])).sum(axis=1)
    return np.where(right.any(axis=1), before + 1.0, np.nan)


def top_k(rank: np.ndarray, k: int) -> float:
    """Share of queries whose best right answer is among the first k (top-k rank match detection); NaN without any.

    Source: Phillips et al., PAMI 2000, section 3.1.
    """
    rank = rank[~np.isnan(rank)]
    return float((rank <= k).mean()) if len(rank) else float("nan")


def cmc(rank: np.ndarray, length: int) -> np.ndarray:
    """(length,) top-k for k = 1 ... length: the cumulative match characteristic.

    Source: Phillips et al., PAMI 2000, section 3.1.
    """
    return np.array([top_k(rank, k) for k in range(1, length + 1)])


def average_precision(scores: np.ndarray, right: np.ndarray) -> np.ndarray:
    """(Q,) mean over the right answers of the precision at their places; its mean over queries is mAP.

    Source: Zheng et al., ICCV 2015 (Market-1501), section 5; Voorhees & Harman, TREC.
    """
    precision, hits = _precision(scores, right)
    total = hits.sum(axis=1)
    return np.where(total > 0, (precision * hits).sum(axis=1) / np.maximum(total, 1), np.nan)


def dynamic_top_k_precision(scores: np.ndarray, right: np.ndarray, k_max: int = 5) -> np.ndarray:
    """(Q,) mean precision at j = 1 ... k, k = min(right answers there are, k_max); mean over queries: DTkAP (DT5AP).

    The right answers of a query are the photos of its individual but itself, so k is min(n_same - 1, k_max).
    Source: Colomer Matachana 2024, "dynamic top-k average precision".
    """
    precision, hits = _precision(scores, right)
    k = np.minimum(hits.sum(axis=1), k_max)
    counted = np.arange(precision.shape[1]) < k[:, None]
    return np.where(k > 0, (precision * counted).sum(axis=1) / np.maximum(k, 1), np.nan)


def _precision(scores: np.ndarray, right: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(Q, G) share of right answers among the first 1 ... G, and whether the one at each place is right."""
    compared = ~np.isnan(scores)
    right = right & compared
    # not compared: last; among equals the wrong ones first
    order = np.lexsort((right, -np.where(compared, scores, -np.inf), ~compared), axis=1)
    hits = np.take_along_axis(right, order, axis=1)
    return hits.cumsum(axis=1) / np.arange(1, scores.shape[1] + 1), hits


def macro_top_1(rank: np.ndarray, groups: np.ndarray) -> float:
    """Mean over `groups` (Q,) (individual x body part) of the share of their queries answered right first.

    So that an animal with a hundred photos counts as much as one with three. Source: macro-averaged recall; Sokolova &
    Lapalme 2009, Information Processing & Management 45.
    """
    number = np.unique(groups, return_inverse=True)[1]
    known = ~np.isnan(rank)
    if not known.any():
        return float("nan")
    hits = np.bincount(number[known], weights=(rank[known] <= 1).astype(float))
    counts = np.bincount(number[known])
    return float((hits[counts > 0] / counts[counts > 0]).mean())


def auroc(known: np.ndarray, new: np.ndarray) -> float:
    """Chance that an animal on record scores higher than one that is not; both (n,) best scores; NaN without either.

    Here too a tie counts against us (as 0, not as one half). Source: Fawcett 2006, Pattern Recognition Letters 27.
    """
    if not len(known) or not len(new):
        return float("nan")
    below = np.searchsorted(np.sort(new), known, side="left")  # how many new ones score strictly less
    return float(below.mean() / len(new))


def detection_rate(known: np.ndarray, right: np.ndarray, new: np.ndarray, false_alarms: float = 0.01) -> float:
    """Share of animals on record that are accepted and named right, where `false_alarms` of the new ones are accepted.

    known (n,) best scores of animals on record, right (n,) whether that best one is right, new (m,) best scores of
    animals that are not. Accepted is what scores above the threshold, the lowest at which at most that share of `new`
    is above. With fewer than 100 new ones at 1 %, none may be. NaN without either.
    Source: Phillips, Grother & Micheals 2011, Handbook of Face Recognition, ch. 21 (detection and identification rate).
    """
    if not len(known) or not len(new):
        return float("nan")
    let_in = int(np.floor(false_alarms * len(new) + 1e-9))
    threshold = np.sort(new)[::-1][let_in] if let_in < len(new) else -np.inf
    return float((right & (known > threshold)).mean())


def interval(
    statistic: Callable[[np.ndarray], float],
    clusters: np.ndarray,
    *,
    replicates: int = REPLICATES,
    confidence: float = CONFIDENCE,
) -> tuple[float, float]:
    """Percentile bootstrap interval of `statistic`, drawing whole clusters with replacement; NaN for fewer than two.

    clusters (n,): the cluster that each case belongs to (an individual's encounter: its photos are alike, so drawing
    photos would make the interval too narrow). `statistic` gets the numbers of the drawn cases. Seeded.
    Source: Davison & Hinkley 1997, Bootstrap Methods, section 3.8; Field & Welsh 2007, JRSS B 69 (cluster bootstrap).
    """
    number = np.unique(clusters, return_inverse=True)[1]
    members = [np.flatnonzero(number == c) for c in range(int(number.max()) + 1)] if len(number) else []
    if len(members) < 2:
        return float("nan"), float("nan")
    random = np.random.default_rng(0)
    values = []
    for _ in range(replicates):
        drawn = random.integers(len(members), size=len(members))
        values.append(statistic(np.concatenate([members[c] for c in drawn])))
    tails = (1 - confidence) / 2
    values = [v for v in values if not np.isnan(v)]
    if not values:
        return float("nan"), float("nan")
    low, high = np.quantile(values, [tails, 1 - tails])
    return float(low), float(high)
