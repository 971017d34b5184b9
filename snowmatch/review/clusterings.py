"""Correlation clustering: individuals are the sets that agree best with the weights of pairs, and their alternatives.

The score of a clustering is the sum of the weights of all pairs inside its clusters, and `alone` for each cluster.
(With the pairs between clusters subtracted, as it is often written, all scores double and lose a constant.) A local
alternative is another clustering of one or two clusters.

Source: local clusterings and their alternatives, WildMeOrg/wbia-plugin-lca; greedy additive edge contraction, Keuper et
al., ICCV 2015 (arXiv:1505.06973).
"""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from snowmatch.review.evidence import FORBIDDEN, Graph

TINY = 1e-9  # smaller differences of scores are rounding
FORCED = 4  # pairs inside a cluster whose weight disagrees, and that are forced apart to find alternatives


@dataclass(frozen=True)
class Alternative:
    """Another clustering of some nodes. gain: its score minus the score of the present one. parts: sorted sets."""

    gain: float
    parts: tuple[tuple[int, ...], ...]


def cluster(graph: Graph) -> tuple[np.ndarray, list[tuple[int, int]]]:
    """Return the greedy clustering of a whole graph, and its steps.

    The two clusters with the largest weight between them become one, as long as that weight is above `alone`. The
    labels, (nodes,) int, are the smallest node of each cluster. The steps are pairs of labels; the smaller one stays.
    """
    near = [dict(row) for row in graph.near]
    sides = list(graph.sides)
    label = np.arange(len(near))
    above = list(range(len(near)))

    def weight(a: int, b: int) -> float:
        return near[a][b] + graph.absent * graph.compared(sides[a], sides[b])

    least = graph.alone + TINY
    heap = [(-w, a, b) for a, row in enumerate(near) for b in row if a < b and (w := weight(a, b)) > least]
    heapq.heapify(heap)
    steps = []
    while heap:
        negative, a, b = heapq.heappop(heap)
        if above[a] != a or above[b] != b or weight(a, b) != -negative:
            continue
        steps.append((a, b))
        above[b] = a
        sides[a] = tuple(x + y for x, y in zip(sides[a], sides[b], strict=True))  # type: ignore[assignment]
        del near[a][b], near[b][a]
        for c, w in near[b].items():
            near[a][c] = near[c][a] = near[a].get(c, 0.0) + w
            del near[c][b]
        near[b] = {}
        for c in near[a]:
            if (w := weight(a, c)) > least:
                heapq.heappush(heap, (-w, min(a, c), max(a, c)))
    for k in range(len(above)):  # ascending, so what is above is already right
        above[k] = above[above[k]]
        label[k] = above[k]
    return label, steps


def matrix(graph: Graph, nodes: Sequence[int]) -> np.ndarray:
    """Return the weights between some nodes, (K, K) float, symmetric, 0 on the diagonal."""
    place = {node: at for at, node in enumerate(nodes)}
    held = np.zeros((len(nodes), len(nodes)))
    if graph.absent:
        size, left, right = graph.size[list(nodes)], graph.left[list(nodes)], graph.right[list(nodes)]
        compared = np.multiply.outer(size, size) - np.multiply.outer(left, right) - np.multiply.outer(right, left)
        held += graph.absent * compared
        np.fill_diagonal(held, 0)
    for at, node in enumerate(nodes):
        row = graph.near[node]
        if len(row) < len(nodes):
            for other, w in row.items():
                if (to := place.get(other)) is not None:
                    held[at, to] += w
        else:
            for other, to in place.items():
                if other in row:
                    held[at, to] += row[other]
    return held


def greedy(weights: np.ndarray, alone: float = 0.0, least: int = 1) -> np.ndarray:
    """Return the greedy clustering of (K, K) weights as labels (K,) int, with `least` clusters or more.

    Afterwards single nodes change to the cluster that raises the score most, until none does.
    """
    count = len(weights)
    label = np.arange(count)
    held = weights.copy()
    np.fill_diagonal(held, -np.inf)
    left = count
    while left > least:
        a, b = sorted(divmod(int(held.argmax()), count))
        if not held[a, b] > alone + TINY:
            break
        held[a] += held[b]
        held[:, a] = held[a]
        held[b] = held[:, b] = -np.inf
        held[a, a] = -np.inf
        label[label == b] = a
        left -= 1
    return _improve(weights, label, alone, least)


def _improve(weights: np.ndarray, label: np.ndarray, alone: float, least: int) -> np.ndarray:
    count = len(label)
    inside = np.zeros((count, count))
    inside[np.arange(count), label] = 1.0
    for _ in range(4 * count):
        pull = weights @ inside  # the weight of each node to each cluster
        size = inside.sum(0)
        own = np.where(size[label] == 1, alone, pull[np.arange(count), label])
        pull[:, size == 0] = alone
        change = pull - own[:, None]
        change[np.arange(count), label] = -np.inf
        change[np.ix_(size[label] == 1, size == 0)] = -np.inf  # the same clustering
        if (size > 0).sum() <= least:
            change[size[label] == 1] = -np.inf
        node, to = divmod(int(change.argmax()), count)
        if not change[node, to] > TINY:
            break
        inside[node, label[node]] = 0.0
        inside[node, to] = 1.0
        label[node] = to
    return label


def score(weights: np.ndarray, label: np.ndarray, alone: float = 0.0) -> float:
    """Return the score of a clustering, (K,) labels, of K nodes."""
    return float(weights[label[:, None] == label].sum() / 2) + alone * len(np.unique(label))


def best_alternative(graph: Graph, clusters: Sequence[Sequence[int]]) -> Alternative | None:
    """Return the best other clustering of one cluster or of two; None for one cluster of one node.

    One cluster: the greedy clustering into two or more, each single node by itself, and the greedy clusterings with one
    disagreeing pair forced apart. Two clusters: the greedy clustering, their union, and each single move between them.
    """
    nodes = [node for part in clusters for node in part]
    if len(nodes) < 2:
        return None
    weights = matrix(graph, nodes)
    now = np.repeat(np.arange(len(clusters)), [len(part) for part in clusters])
    tried = _other(weights, now, graph.alone)
    base = score(weights, now, graph.alone)
    same = now[:, None] == now
    best: tuple[float, np.ndarray] | None = None
    for label in tried:
        if ((label[:, None] == label) == same).all():
            continue
        gain = score(weights, label, graph.alone) - base
        if best is None or gain > best[0] + TINY:
            best = gain, label
    if best is None:
        return None
    array = np.asarray(nodes)
    parts = sorted(tuple(sorted(array[best[1] == k].tolist())) for k in np.unique(best[1]))
    return Alternative(best[0], tuple(parts))


def _other(weights: np.ndarray, now: np.ndarray, alone: float) -> list[np.ndarray]:
    count = len(now)
    if now[-1] == 0:
        lone = now.copy()
        lone[int(weights.sum(0).argmin())] = 1
        tried = [lone]
        if count > 2:
            tried.append(greedy(weights, alone, 2))
            i, j = np.nonzero(np.triu(weights, 1) < -TINY)
            order = np.argsort(weights[i, j], kind="stable")[:FORCED]
            for a, b in zip(i[order].tolist(), j[order].tolist(), strict=True):
                forced = weights.copy()
                forced[a, b] = forced[b, a] = FORBIDDEN
                tried.append(greedy(forced, alone, 2))
        return tried
    tried = [np.zeros(count, int), greedy(weights, alone)]
    side = now[:, None] == now
    change = (weights * ~side).sum(1) - (weights * side).sum(1)
    for k in (0, 1):
        if (now == k).sum() > 1:
            moved = now.copy()
            moved[int(np.where(now == k, change, -np.inf).argmax())] = 1 - k
            tried.append(moved)
    return tried
