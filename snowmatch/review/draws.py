"""Draws of who is who: clusterings, each as often as the weights make it probable.

ln P(clustering) is its score, plus a constant: the sum of the weights of the pairs inside clusters, and `alone` for each
cluster. For independent pairs with log odds w this is exact, as each pair contributes p if it is together and 1 - p if it
is apart, and ln p - ln(1 - p) = w. (It is half the score in which pairs apart are subtracted.) Pairs are not independent:
a poor photo of one sighting makes all its pairs improbable at once. So the log odds of single pairs must not be added up as
they are; the weights have to be those that give each sighting the right probabilities (`Evidence`).

Source: block Gibbs sampling, Liu, Wong and Kong, Biometrika 1994; the blocks are the steps of the greedy clustering.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from snowmatch.review.clusterings import best_alternative, cluster
from snowmatch.review.evidence import BOTH, FORBIDDEN, LEFT, RIGHT, Graph, Weights, graph_of

SURE = 9.0  # in natural logarithms: 1 in 8000
RARELY = 5  # blocks that moved in no chain while these warmed up are tried in every fifth sweep
CAP = 400  # sightings of a cluster beyond these do not count, where no pair with it is listed


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
    random = np.random.default_rng(seed)
    sampler = _Sampler(graph, blocks[: len(start)], start, chains, random, lopsided=bool((views != BOTH).any()))
    kept = []
    moved = np.zeros(len(blocks), np.int64)
    for sweep in range(1, warm + thin * -(-draws // chains) + 1):
        for k in sampler.random.permutation(len(blocks)):
            if sweep <= warm:
                moved[k] += sampler.move(blocks[k])
            elif moved[k] or (sweep + k) % RARELY == 0:
                sampler.move(blocks[k])
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
        extent = len(shown), shown.count(LEFT), shown.count(RIGHT), sum(v >= BOTH for v in shown)
        blocks.append(_Block(np.array(nodes), np.array(outside, np.int64), values, (*graph.count(nodes), *extent)))
    return blocks


class _Sampler:
    """The state of all chains: label and, for each label, how many sightings and nodes it has.

    The seven rows of `sides` are sightings that are not weak (all, left alone, right alone), and nodes (all, left alone,
    right alone, those that join both sides).
    """

    def __init__(
        self, graph: Graph, single: list[_Block], start: np.ndarray, chains: int, random: np.random.Generator, *, lopsided: bool
    ) -> None:
        count = len(start)
        self.absent, self.alone, self.random, self.lopsided = graph.absent, graph.alone, random, lopsided
        self._cap = min(CAP, int(graph.size.sum()))
        self.rows = np.arange(chains)
        self.label = np.repeat(start[None], chains, 0)
        sides = np.stack([np.bincount(start, s, count) for s in zip(*(b.sides for b in single), strict=True)])
        self.sides = np.repeat(sides[:, None].astype(np.int64), chains, 1)
        self._pull = np.zeros((chains, count))
        self._mark = np.full((chains, count), -1)
        self._histogram = np.zeros((chains, self._cap + 1))
        for chain in self.rows:
            filled = self.sides[3, chain] > 0
            np.add.at(self._histogram[chain], np.minimum(self.sides[0, chain, filled], self._cap), 1)

    def _absent(self, block: _Block, sides: np.ndarray) -> np.ndarray:
        """Return the weight of joining clusters of some sides by pairs that are not listed.

        It is -inf for a block of left sides alone and a cluster of right sides alone, and the reverse.
        """
        compared = block.sides[0] * sides[0] - block.sides[1] * sides[2] - block.sides[2] * sides[1]
        value = self.absent * compared
        if self.lopsided and len(sides) > 3:
            nodes, left, right = block.sides[3:6]
            value = np.where((left == nodes) & (sides[5] == sides[3]) & (sides[3] > 0), -np.inf, value)
            value = np.where((right == nodes) & (sides[4] == sides[3]) & (sides[3] > 0), -np.inf, value)
        return np.asarray(value)

    def _count(self, chains: np.ndarray, labels: np.ndarray, block: _Block, sign: int) -> None:
        before = self.sides[:, chains, labels]
        after = before + sign * np.array(block.sides)[:, None]
        for held, change in ((before, -1), (after, 1)):
            some = held[3] > 0
            self._histogram[chains[some], np.minimum(held[0, some], self._cap)] += change
        self.sides[:, chains, labels] = after

    def move(self, block: _Block) -> int:
        """Give the block a new cluster in each chain where it is all in one, by the probability of each choice.

        Return in how many chains it moved to another cluster.
        """
        label = self.label[:, block.nodes]
        chains = np.flatnonzero((label == label[:, :1]).all(1))
        own = label[chains, 0]
        if self.lopsided:
            rest = self.sides[:, chains, own] - np.array(block.sides)[:, None]
            stays = (rest[4] > 0) & (rest[5] > 0) & (rest[6] == 0)
            chains, own = chains[~stays], own[~stays]  # what it left behind would have nothing to be compared by
        if not len(chains):
            return 0
        self._count(chains, own, block, -1)
        column = chains[:, None]
        near = np.concatenate([own[:, None], self.label[column, block.outside]], axis=1)
        pulls = np.broadcast_to(np.concatenate([[0.0], block.pull]), near.shape)
        np.add.at(self._pull, (column, near), pulls)
        order = np.arange(near.shape[1])
        self._mark[column, near] = order  # one of equal labels stays marked
        sides = self.sides[:, column, near]
        value = self._pull[column, near] + self._absent(block, sides)
        listed = self._mark[column, near] == order
        filled = sides[3] > 0
        value = np.where(listed & filled, value, -np.inf)
        value[value < FORBIDDEN / 2] = -np.inf
        elsewhere = self._elsewhere(block, chains, near, listed & filled)
        choices = np.concatenate([value, np.full((len(chains), 1), self.alone), elsewhere[:, None]], axis=1)
        chosen = (choices + self.random.gumbel(size=choices.shape)).argmax(1)
        last = near.shape[1]
        to = near[np.arange(len(chains)), np.minimum(chosen, last - 1)]
        alone = chosen == last
        to[alone] = block.nodes[0]
        taken = self.sides[3, chains, to] > 0
        for at in np.flatnonzero(alone & taken):  # that label is in use by others
            to[at] = np.flatnonzero(self.sides[3, chains[at]] == 0)[0]
        for at in np.flatnonzero(chosen == last + 1):
            to[at] = self._far(block, chains[at], near[at])
        self._pull[column, near] = 0.0
        self.label[column, block.nodes] = to[:, None]
        self._count(chains, to, block, 1)
        return int((chosen > 0).sum())

    def _elsewhere(self, block: _Block, chains: np.ndarray, near: np.ndarray, known: np.ndarray) -> np.ndarray:
        """Return the log of the summed weights of all clusters without a listed pair to the block."""
        if self.lopsided:
            value = self._absent(block, self.sides[:, chains])
            weight = np.where(self.sides[3, chains] > 0, np.exp(value), 0.0)
            np.put_along_axis(weight, near, 0.0, axis=1)
            total = weight.sum(1)
        else:
            table = np.exp(self.absent * block.sides[0] * np.arange(self._cap + 1))
            sizes = np.minimum(self.sides[0, chains[:, None], near], self._cap)
            total = self._histogram[chains] @ table - (table[sizes] * known).sum(1)
        with np.errstate(divide="ignore"):
            return np.asarray(np.log(np.where(total > 1e-12, total, 0)))

    def _far(self, block: _Block, chain: int, near: np.ndarray) -> int:
        sides = self.sides[:, chain]
        value = self._absent(block, sides)
        value[sides[3] == 0] = -np.inf
        value[near] = -np.inf
        return int((value + self.random.gumbel(size=len(value))).argmax())
