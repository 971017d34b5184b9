"""Measures of identification: pure functions on arrays of scores. Ties always count against the method.

A score matrix is (Q, G); higher is better; NaN if query and gallery entry are not compared. right: (Q, G) bool, whether
the entry is a right answer. A query without a right answer is NaN in results per query, and is not in means.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

REPLICATES = 1000  # bootstrap samples: a usual number for 95 % percentile intervals
CONFIDENCE = 0.95


def ranks(scores: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Return (Q,) float64, the rank of the best right answer (1: first); NaN without one. Wrong answers with equal
    scores come first.

    Source: the rank of rank match detection; Phillips et al., PAMI 2000 (FERET), section 3.1.
    """
    compared = ~np.isnan(scores)
    right = right & compared
    best = np.where(right, scores, -np.inf).max(axis=1, initial=-np.inf)
    before = (compared & ~right & (np.where(compared, scores, -np.inf) >= best[:, None])).sum(axis=1)
    return np.where(right.any(axis=1), before + 1.0, np.nan)


def top_k(rank: np.ndarray, k: int) -> float:
    """Return the share of queries with a right answer among the first k; NaN without queries.

    Source: Phillips et al., PAMI 2000, section 3.1.
    """
    known = int(np.count_nonzero(~np.isnan(rank)))
    return int(np.count_nonzero(rank <= k)) / known if known else float("nan")


def cmc(rank: np.ndarray, length: int) -> np.ndarray:
    """Return (length,) the top-k shares for k = 1 ... length: the cumulative match characteristic.

    Source: Phillips et al., PAMI 2000, section 3.1.
    """
    return np.array([top_k(rank, k) for k in range(1, length + 1)])


def average_precision(scores: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Return (Q,) the mean precision at the ranks of the right answers. Its mean over queries is mAP.

    Source: Zheng et al., ICCV 2015 (Market-1501), section 5; Voorhees & Harman, TREC.
    """
    precision, hits = _precision(scores, right)
    total = hits.sum(axis=1)
    return np.where(total > 0, (precision * hits).sum(axis=1) / np.maximum(total, 1), np.nan)


def dynamic_top_k_precision(scores: np.ndarray, right: np.ndarray, k_max: int = 5) -> np.ndarray:
    """Return (Q,) the mean precision at j = 1 ... k, with k = min(number of right answers, k_max). Its mean is DTkAP
    (DT5AP).

    The right answers of a query are the other photos of its individual, so k is min(n_same - 1, k_max).

    Source: Colomer Matachana 2024, "dynamic top-k average precision".
    """
    precision, hits = _precision(scores, right)
    k = np.minimum(hits.sum(axis=1), k_max)
    counted = np.arange(precision.shape[1]) < k[:, None]
    return np.where(k > 0, (precision * counted).sum(axis=1) / np.maximum(k, 1), np.nan)


def _precision(scores: np.ndarray, right: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return (Q, G) the share of right answers among the first 1 ... G, and whether the answer at each rank is
    right.
    """
    compared = ~np.isnan(scores)
    right = right & compared
    # not compared: last; of equal scores, the wrong answers first
    order = np.lexsort((right, -np.where(compared, scores, -np.inf), ~compared), axis=1)
    hits = np.take_along_axis(right, order, axis=1)
    return hits.cumsum(axis=1) / np.arange(1, scores.shape[1] + 1), hits


def precision_at(places: np.ndarray, width: int) -> float:
    """Return the average precision of one query from the places (R,) of its right answers among `width` entries.

    places: 1 is the first; ascending, at least one. Equal to `average_precision`, to the bit.
    """
    return float(_spread(places - 1, np.arange(1, len(places) + 1) / places, width) / len(places))


def precision_of_first(places: np.ndarray, width: int, k_max: int = 5) -> float:
    """Return the dynamic top-k precision of one query from the places (R,) of its right answers among `width` entries.

    places: 1 is the first; ascending, at least one. Equal to `dynamic_top_k_precision`, to the bit.
    """
    first = np.arange(1, min(len(places), k_max) + 1)
    return float(_spread(first - 1, np.searchsorted(places, first, side="right") / first, width) / len(first))


def _spread(columns: np.ndarray, values: np.ndarray, width: int) -> float:
    """Return the sum of a row that is 0 but for some columns. Its zeros are added too: sums that are added in another
    order differ in the last bit.
    """
    row = np.zeros(width)
    row[columns] = values
    return float(row.sum())


def macro_top_1(rank: np.ndarray, groups: np.ndarray) -> float:
    """Return the mean over `groups` (Q,) (individual x body part) of the share of their queries with a right first
    answer.

    So an animal with a hundred photos counts as much as one with three. Source: macro-averaged recall; Sokolova &
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
    """Return the probability that a known animal scores higher than a new one, from best scores (n,) each; NaN if one
    is empty.

    A tie counts as 0, not as one half. Source: Fawcett 2006, Pattern Recognition Letters 27.
    """
    if not len(known) or not len(new):
        return float("nan")
    below = np.searchsorted(np.sort(new), known, side="left")  # how many new animals have a lower score
    return float(below.mean() / len(new))


def detection_rate(known: np.ndarray, right: np.ndarray, new: np.ndarray, false_alarms: float = 0.01) -> float:
    """Return the share of known animals that are accepted with the right name, if a share `false_alarms` of new ones is
    accepted.

    known: (n,) best scores of known animals. right: (n,) whether the best one is right. new: (m,) best scores of new
    animals. A score above the threshold is accepted; the threshold is the lowest one that accepts at most this share of
    `new`. At 1 % with fewer than 100 new animals, none may be accepted. NaN if one of them is empty.

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
    """Return the percentile bootstrap interval of `statistic`, with whole clusters drawn; NaN for fewer than two
    clusters.

    clusters: (n,) the cluster of each case: the encounter of an individual. Its photos are alike, so single photos
    would give too narrow an interval. statistic: gets the numbers of the drawn cases. The draw is seeded.

    Source: Davison & Hinkley 1997, Bootstrap Methods, section 3.8; Field & Welsh 2007, JRSS B 69 (cluster bootstrap).
    """
    return intervals([statistic], clusters, replicates=replicates, confidence=confidence)[0]


def intervals(
    statistics: Sequence[Callable[[np.ndarray], float]],
    clusters: np.ndarray,
    *,
    replicates: int = REPLICATES,
    confidence: float = CONFIDENCE,
) -> list[tuple[float, float]]:
    """Return the `interval` of each of several statistics of the same cases, which are drawn once for all of them."""
    number = np.unique(clusters, return_inverse=True)[1]
    members = [np.flatnonzero(number == c) for c in range(int(number.max()) + 1)] if len(number) else []
    if len(members) < 2:
        return [(float("nan"), float("nan"))] * len(statistics)
    random = np.random.default_rng(0)
    values: list[list[float]] = [[] for _ in statistics]
    for _ in range(replicates):
        drawn = np.concatenate([members[c] for c in random.integers(len(members), size=len(members)).tolist()])
        for statistic, of in zip(statistics, values, strict=True):
            of.append(statistic(drawn))
    return [_percentiles(np.array(of), confidence) for of in values]


def _percentiles(values: np.ndarray, confidence: float) -> tuple[float, float]:
    """Return the bounds that leave out equal tails of the values; values that are NaN do not count."""
    values = values[~np.isnan(values)]
    if not len(values):
        return float("nan"), float("nan")
    tails = (1 - confidence) / 2
    low, high = np.quantile(values, [tails, 1 - tails])
    return float(low), float(high)
