"""Draws of who is who: clusterings, each as often as it is probable.

ln P(clustering) is the sum of what the pairs inside its clusters say, plus what the sizes of its clusters add
(`sizes`), plus a constant. For independent pairs with log odds w it is the sum of w alone: each pair contributes p if
it is together and 1 - p if it is apart, and ln p - ln(1 - p) = w. (It is half the score in which pairs apart are
subtracted.)

Pairs are not independent: a poor photo makes all pairs of its sighting improbable at once. So each sighting is poor or
not, which is drawn as well. Only if neither sighting is poor, the full weight of a pair counts, and that a pair is not
listed counts against it. Answers of persons always count.

Source: block Gibbs sampling, Liu, Wong and Kong, 1994 (Biometrika 81:27-40). The blocks are steps of the greedy
clustering.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from snowmatch.review.clusterings import best_alternative, cluster
from snowmatch.review.evidence import BOTH, FORBIDDEN, LEFT, RIGHT, Graph, Weights, graph_of
from snowmatch.review.sizes import Sizes

SURE = 12.0  # in natural logarithms: sets whose best split is less probable than this are never split
FAINT = 1.5  # the most that a pair with a poor sighting weighs
RARELY = 5  # blocks that moved in no chain while these warmed up are tried in every fifth sweep
NODES, LEFTS, RIGHTS, LINKS, SIGHTINGS = 0, 1, 2, 3, 4  # rows of `sides`, see _Sampler


@dataclass(frozen=True)
class _Block:
    """Nodes that move as one. outside: their neighbours. pull: weights that always count. push: those that count if
    neither side is poor, less the weight of a pair that is not listed. by: (nodes, outside) which node has them.
    """

    nodes: np.ndarray
    outside: np.ndarray
    pull: np.ndarray
    push: np.ndarray
    shown: np.ndarray


def draw(
    weights: Weights,
    *,
    draws: int = 400,
    chains: int = 40,
    warm: int = 40,
    thin: int = 4,
    seed: int = 0,
    missed: float = 0.15,
    poor: float = 0.1,
    poor_missed: float = 0.9,
) -> np.ndarray:
    """Return `draws` clusterings, (draws, n) int32: the label of each sighting is the smallest sighting of its cluster.

    All chains start from the greedy clustering of the weights. Each drops `warm` sweeps, then gives the state of every
    `thin`-th. missed: the share of true pairs of good sightings that are not listed. poor: the share of poor sightings;
    poor_missed: of their true pairs, the share that is not listed.
    Sightings that are surely together or apart stay so in every draw. Sightings of which some show only the left side
    and the others only the right side are never one cluster. No sightings give (draws, 0). The same input gives the
    same bytes.
    """
    if not weights.n:
        return np.zeros((draws, 0), np.int32)
    chains = min(chains, draws)
    absent = math.log(missed)
    unlisted = weights.machine == weights.absent
    machine = np.where(unlisted, absent, weights.machine)
    whole = replace(weights, machine=machine, absent=absent)
    whole = replace(whole, together=(*weights.together, *_sure(graph_of(whole))))
    always = math.log(poor_missed)
    little = np.where(unlisted, always, np.clip(machine, 0, FAINT))
    hard = replace(whole, machine=little, absent=always)
    soft = replace(whole, machine=machine - little, human=weights.human * 0, apart=(), absent=absent - always)
    graph = graph_of(whole)
    start, steps = cluster(graph)
    sampler = _Sampler(graph, graph_of(hard), graph_of(soft), start, chains, whole.views, poor, seed)
    blocks = sampler.blocks(steps)
    moved = np.zeros(len(blocks), np.int64)
    kept = []
    for sweep in range(1, warm + thin * -(-draws // chains) + 1):
        for k in sampler.random.permutation(len(blocks)):
            if sweep <= warm:
                moved[k] += sampler.move(blocks[k])
            elif moved[k] or (sweep + k) % RARELY == 0:
                sampler.move(blocks[k])
        sampler.learn()
        if sweep > warm and (sweep - warm) % thin == 0:
            kept.append(sampler.label.copy())
    return _canonical(np.concatenate(kept)[:draws][:, graph.node])


def _sure(graph: Graph) -> list[tuple[int, int]]:
    """Return pairs of sightings that hold together: the largest steps of the greedy clustering that are SURE."""
    made: dict[int, _Tree] = {k: _Tree((k,), ()) for k in range(len(graph.members))}
    for one, two in cluster(graph)[1]:
        parts = made[one], made.pop(two)
        made[one] = _Tree(tuple(sorted(parts[0].nodes + parts[1].nodes)), parts)
    found: list[tuple[int, int]] = []
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
    return np.asarray(first[rows[:, None], labels], np.int32)


class _Sampler:
    """The state of all chains: the label of each node, which are poor, what each label holds, what its size is worth.

    The rows of `sides`: nodes (all, left alone, right alone, those that join both sides), sightings (all, left alone,
    right alone), and the same of sightings that are not poor.
    """

    def __init__(
        self,
        graph: Graph,
        hard: Graph,
        soft: Graph,
        start: np.ndarray,
        chains: int,
        views: np.ndarray | None,
        poor: float,
        seed: int,
    ) -> None:
        count = len(start)
        self._hard, self._soft = hard, soft
        self.random = np.random.default_rng(seed)
        self._poor = math.log(poor) - math.log(1 - poor)
        self.label = np.repeat(start[None], chains, 0)
        self.good = np.ones((chains, count), bool)
        seen = np.full(len(graph.node), BOTH) if views is None else np.asarray(views)
        joined = np.zeros(count, np.int64)
        np.bitwise_or.at(joined, graph.node, seen)
        sides = [np.ones(count, np.int64), joined == LEFT, joined == RIGHT, joined == BOTH]
        counts = [graph.size, graph.left, graph.right]
        self._shown = np.stack([*sides, *counts, *counts]).astype(np.int64)
        self.lopsided = bool((seen != BOTH).any())
        summed = np.stack([np.bincount(start, side, count) for side in self._shown]).astype(np.int64)
        self.sides = np.repeat(summed[:, None], chains, 1)
        self._most = len(graph.node)
        self._sizes = Sizes(self._most)
        self._worth = np.zeros((chains, self._most + 1))
        self._pull = np.zeros((2, chains, count))
        self.learn()

    def blocks(self, steps: list[tuple[int, int]]) -> list[_Block]:
        """Return each node, and each set of nodes that a step of the greedy clustering made."""
        inside: dict[int, list[int]] = {k: [k] for k in range(len(self._hard.near))}
        sets = list(inside.values())
        for one, two in steps:
            inside[one] = sorted(inside[one] + inside[two])
            sets.append(inside[one])
        found = []
        for nodes in sets:
            held = set(nodes)
            outside = sorted({k for node in nodes for k in self._hard.near[node]} - held)
            pull = [sum(self._hard.near[node].get(k, 0.0) for node in nodes) for k in outside]
            push = [[self._soft.near[node].get(k, 0.0) for k in outside] for node in nodes]
            soft = np.array(push).reshape(len(nodes), len(outside))
            found.append(
                _Block(np.array(nodes), np.array(outside, np.int64), np.array(pull), soft, self._shown[:, nodes])
            )
        return found

    def learn(self) -> None:
        """Draw for each chain how often individuals are met, given its clustering."""
        for chain, held in enumerate(self.sides[SIGHTINGS]):
            counts = np.bincount(held[held > 0], minlength=self._most + 1)
            self._worth[chain] = self._sizes.draw(counts, self.random)

    def move(self, block: _Block) -> int:
        """Give the block a new cluster in each chain where it is all in one, by the probability of each choice.

        A single sighting also becomes poor or good. Return in how many chains the block moved to another cluster.
        """
        label = self.label[:, block.nodes]
        chains = np.flatnonzero((label == label[:, :1]).all(1))
        own = label[chains, 0]
        shown = block.shown.sum(1)
        if self.lopsided:
            rest = self.sides[:, chains, own] - shown[:, None]
            stays = (rest[LEFTS] > 0) & (rest[RIGHTS] > 0) & (rest[LINKS] == 0)
            chains, own = chains[~stays], own[~stays]  # what it left behind would have nothing to be compared by
        if not len(chains):
            return 0
        single = len(block.nodes) == 1 and shown[SIGHTINGS] == 1
        good = self.good[np.ix_(chains, block.nodes)]
        self.sides[:7, chains, own] -= shown[:7, None]
        self.sides[7:, chains, own] -= block.shown[7:] @ good.T
        held = self.sides[:, chains]
        column, rows = chains[:, None], np.arange(len(chains))
        near = self.label[column, block.outside]
        strength = np.ones_like(good) if single else good
        np.add.at(self._pull[0], (column, near), np.broadcast_to(block.pull, near.shape))
        np.add.at(self._pull[1], (column, near), (strength @ block.push) * self.good[column, block.outside])
        sure = strength @ block.shown[7:].T
        compared = sure[:, 0, None] * held[7] - sure[:, 1, None] * held[9] - sure[:, 2, None] * held[8]
        every = shown[4] * held[4] - shown[5] * held[6] - shown[6] * held[5]
        size, worth = held[SIGHTINGS], self._worth[chains]
        value = (
            self._pull[0, chains]
            + self._hard.absent * every
            + worth[rows[:, None], size + shown[SIGHTINGS]]
            - worth[rows[:, None], size]
        )
        value[(held[NODES] == 0) | (value < FORBIDDEN / 2)] = -np.inf
        if self.lopsided:
            for this, other in ((LEFTS, RIGHTS), (RIGHTS, LEFTS)):
                if shown[this] == shown[NODES]:
                    value[held[other] == held[NODES]] = -np.inf
        free = np.where(held[NODES, rows, own] == 0, own, (held[NODES] == 0).argmax(1))
        value[rows, free] = worth[:, shown[SIGHTINGS]]
        against = self._pull[1, chains] + self._soft.absent * compared
        choices = value + against
        if single:
            choices = np.concatenate([choices, value + self._poor], axis=1)
        chosen = (choices + self.random.gumbel(size=choices.shape)).argmax(1)
        to = chosen % value.shape[1]
        if single:
            good = (chosen < value.shape[1])[:, None]
            self.good[chains, block.nodes[0]] = good[:, 0]
        self._pull[:, column, near] = 0.0
        self.label[column, block.nodes] = to[:, None]
        self.sides[:7, chains, to] += shown[:7, None]
        self.sides[7:, chains, to] += block.shown[7:] @ good.T
        return int((to != own).sum())
