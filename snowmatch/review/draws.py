"""Draws of who is who: clusterings, each as often as the weights make it probable.

ln P(clustering) is the sum of the weights of the pairs inside its clusters, plus what the sizes of its clusters add
(`sizes`), plus a constant. For independent pairs with log odds w this is exact, as each pair contributes p if it is together
and 1 - p if it is apart, and ln p - ln(1 - p) = w. (It is half the score in which pairs apart are subtracted.) Pairs are
not independent: a poor photo of one sighting makes all its pairs improbable at once. So the log odds of single pairs must
not be added up as they are; the weights have to be those that give each sighting the right probabilities (`Evidence`).
`alone` is not used here: the sizes say the same, and are learned from the survey itself.

Source: block Gibbs sampling, Liu, Wong and Kong, Biometrika 1994; the blocks are the steps of the greedy clustering.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from snowmatch.review.clusterings import best_alternative, cluster
from snowmatch.review.evidence import BOTH, FORBIDDEN, LEFT, RIGHT, Graph, Weights, graph_of
from snowmatch.review.sizes import Sizes

SURE = 9.0  # in natural logarithms: 1 in 8000
RARELY = 5  # blocks that moved in no chain while these warmed up are tried in every fifth sweep
LEFTS, RIGHTS, LINKS, NODES, SIGHTINGS = 4, 5, 6, 3, 7  # rows of `sides`


@dataclass(frozen=True)
class _Block:
    """Nodes that move as one. outside: their neighbours, with the excess weights `pull`. sides: as of _Sampler."""

    nodes: np.ndarray
    outside: np.ndarray
    pull: np.ndarray
    sides: tuple[int, ...]


def draw(
    weights: Weights, *, draws: int = 400, chains: int = 40, warm: int = 40, thin: int = 4, seed: int = 0
) -> np.ndarray:
    """Return `draws` clusterings, (draws, n) int32: the label of each sighting is the smallest sighting of its cluster.

    All chains start from the greedy clustering of the weights. Each drops `warm` sweeps, then gives the state of every
    `thin`-th. Sightings that are surely together or apart stay so in every draw. Sightings of which some show only the
    left side and the others only the right side are never one cluster. No sightings give (draws, 0). The same input
    gives the same bytes.
    """
    if not weights.n:
        return np.zeros((draws, 0), np.int32)
    chains = min(chains, draws)
    graph = graph_of(weights)
    graph = graph_of(replace(weights, together=(*weights.together, *_sure(graph))))
    start, steps = cluster(graph)
    views = np.full(weights.n, BOTH) if weights.views is None else np.asarray(weights.views)
    blocks = _blocks(graph, steps, views)
    sampler = _Sampler(blocks[: len(start)], start, chains, graph.absent, seed)
    kept = []
    moved = np.zeros(len(blocks), np.int64)
    for sweep in range(1, warm + thin * -(-draws // chains) + 1):
        for k in sampler.random.permutation(len(blocks)):
            if sweep <= warm:
                moved[k] += sampler.move(blocks[k])
            elif moved[k] or (sweep + k) % RARELY == 0:
                sampler.move(blocks[k])
        sampler.learn()
        if sweep > warm and (sweep - warm) % thin == 0:
            kept.append(sampler.label.copy())
    labels = np.concatenate(kept)[:draws][:, graph.node]
    return _canonical(labels)


def _sure(graph: Graph) -> list[tuple[int, int]]:
    """Return pairs of sightings that hold together: the largest sets of the greedy clustering that no split improves.

    Their best split is less probable than they are by a factor of exp(SURE) at least.
    """
    made: dict[int, _Tree] = {k: _Tree((k,), ()) for k in range(len(graph.members))}
    for one, two in cluster(graph)[1]:
        parts = made[one], made.pop(two)
        made[one] = _Tree(tuple(sorted(parts[0].nodes + parts[1].nodes)), parts)
    found = []
    trees = list(made.values())
    while trees:
        tree = trees.pop()
        best = best_alternative(graph, [tree.nodes])
        if best is None or best.gain > -SURE:
            trees.extend(tree.parts)
        else:
            first = graph.members[tree.nodes[0]][0]
            found.extend((first, graph.members[k][0]) for k in tree.nodes[1:])
    return found


@dataclass(frozen=True)
class _Tree:
    nodes: tuple[int, ...]
    parts: tuple[_Tree, ...]


def _canonical(labels: np.ndarray) -> np.ndarray:
    count = labels.shape[1]
    first = np.full((len(labels), count), count, np.int32)
    rows = np.arange(len(labels))
    for k in range(count - 1, -1, -1):
        first[rows, labels[:, k]] = k
    return first[rows[:, None], labels]


def _blocks(graph: Graph, steps: list[tuple[int, int]], views: np.ndarray) -> list[_Block]:
    """Return each node, and each set of nodes that a step of the greedy clustering made."""
    inside: dict[int, list[int]] = {k: [k] for k in range(len(graph.members))}
    sets = list(inside.values())
    for one, two in steps:
        inside[one] = sorted(inside[one] + inside[two])
        sets.append(inside[one])
    blocks = []
    for nodes in sets:
        held = set(nodes)
        pull: dict[int, float] = {}
        for node in nodes:
            for other, w in graph.near[node].items():
                if other not in held:
                    pull[other] = pull.get(other, 0.0) + w
        outside = sorted(pull)
        values = np.array([pull[k] for k in outside], np.float64)
        shown = [sum({int(views[s]) for s in graph.members[k]}) for k in nodes]  # 3 or more: it joins the sides
        sightings = sum(len(graph.members[k]) for k in nodes)
        extent = len(shown), shown.count(LEFT), shown.count(RIGHT), sum(v >= BOTH for v in shown)
        blocks.append(_Block(np.array(nodes), np.array(outside, np.int64), values, (*graph.count(nodes), *extent, sightings)))
    return blocks


class _Sampler:
    """The state of all chains: the label of each node, what each label holds, and what its size is worth.

    The rows of `sides` are sightings that are not weak (all, left alone, right alone), nodes (all, left alone, right
    alone, those that join both sides), and sightings.
    """

    def __init__(self, single: list[_Block], start: np.ndarray, chains: int, absent: float, seed: int) -> None:
        count = len(start)
        self.absent, self.random = absent, np.random.default_rng(seed)
        self.label = np.repeat(start[None], chains, 0)
        sides = np.stack([np.bincount(start, s, count) for s in zip(*(b.sides for b in single), strict=True)])
        self.sides = np.repeat(sides[:, None].astype(np.int64), chains, 1)
        self.lopsided = bool(sides[LEFTS].any() or sides[RIGHTS].any())
        self._most = int(sides[SIGHTINGS].sum())
        self._sizes = Sizes(self._most)
        self._worth = np.zeros((chains, self._most + 1))
        self._pull = np.zeros((chains, count))
        self.learn()

    def learn(self) -> None:
        """Draw for each chain how often individuals are met, given its clustering."""
        for chain, held in enumerate(self.sides[SIGHTINGS]):
            counts = np.bincount(held[self.sides[NODES, chain] > 0], minlength=self._most + 1)
            self._worth[chain] = self._sizes.draw(counts, self.random)

    def move(self, block: _Block) -> int:
        """Give the block a new cluster in each chain where it is all in one, by the probability of each choice.

        Return in how many chains it moved to another cluster.
        """
        label = self.label[:, block.nodes]
        chains = np.flatnonzero((label == label[:, :1]).all(1))
        own = label[chains, 0]
        sides = np.array(block.sides)[:, None]
        if self.lopsided:
            rest = self.sides[:, chains, own] - sides
            stays = (rest[LEFTS] > 0) & (rest[RIGHTS] > 0) & (rest[LINKS] == 0)
            chains, own = chains[~stays], own[~stays]  # what it left behind would have nothing to be compared by
        if not len(chains):
            return 0
        self.sides[:, chains, own] -= sides
        held = self.sides[:, chains]
        column = chains[:, None]
        near = self.label[column, block.outside]
        np.add.at(self._pull, (column, near), np.broadcast_to(block.pull, near.shape))
        compared = block.sides[0] * held[0] - block.sides[1] * held[2] - block.sides[2] * held[1]
        rows = np.arange(len(chains))[:, None]
        worth = self._worth[chains]
        size = held[SIGHTINGS]
        value = self._pull[chains] + self.absent * compared + worth[rows, size + block.sides[SIGHTINGS]]
        value -= worth[rows, size]
        value[(held[NODES] == 0) | (value < FORBIDDEN / 2)] = -np.inf
        if self.lopsided:
            for this, other in ((LEFTS, RIGHTS), (RIGHTS, LEFTS)):
                if block.sides[this] == block.sides[NODES]:
                    value[held[other] == held[NODES]] = -np.inf
        free = np.where(held[NODES, rows[:, 0], own] == 0, own, (held[NODES] == 0).argmax(1))
        value[rows[:, 0], free] = worth[:, block.sides[SIGHTINGS]]
        to = (value + self.random.gumbel(size=value.shape)).argmax(1)
        self._pull[column, near] = 0.0
        self.label[column, block.nodes] = to[:, None]
        self.sides[:, chains, to] += sides
        return int((to != own).sum())
