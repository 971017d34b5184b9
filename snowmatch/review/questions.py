"""Which pair of sightings to ask about next: the one that decides between the clustering and its best alternative."""

from __future__ import annotations

import heapq
import math
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import product

import numpy as np

from snowmatch.review.clusterings import TINY, Alternative, best_alternative, cluster
from snowmatch.review.evidence import BOTH, FORBIDDEN, Weights, graph_of

Key = tuple[int, ...]  # the labels of the one or two clusters that an alternative is about


@dataclass(frozen=True)
class Question:
    """A pair to be asked about, i < j.

    gain: what the alternative scores more than the present clustering (below 0: less). merges: the alternative has the
    pair together; otherwise it has it apart. alternative: its sets of sightings. asked: how often the pair was asked
    before; above 0 the question is a double check.
    """

    i: int
    j: int
    gain: float
    merges: bool
    alternative: tuple[tuple[int, ...], ...]
    asked: int


class Questions:
    """The clustering of some sightings, kept up to date with every answer, and the questions that are open.

    margin: a cluster is settled when its best alternative scores at least this much less. The log odds of an observer's
    accuracy mean: settled when one more answer could not change it. most: how often a pair may be asked. quiet: zero or
    less; a comparison that says no more than this speaks for nothing. Clusters between which no other pair is listed
    are not asked about unless `faint` questions are asked for. Pairs that are not listed are never asked.
    asked: pairs that were asked before (i < j), each as often as it was asked, `cannot_tell` included. labels: the
    clustering to start with, (n,) int; default: the greedy clustering.
    Raises ValueError if `labels` separates sightings that are surely together, or if `quiet` is above zero.
    """

    def __init__(
        self,
        weights: Weights,
        *,
        margin: float,
        most: int = 1,
        asked: Iterable[tuple[int, int]] = (),
        labels: np.ndarray | None = None,
        quiet: float = -math.inf,
    ) -> None:
        if quiet > 0:
            raise ValueError(f"quiet is {quiet}, expected zero or less")
        self.margin, self.most = margin, most
        self._graph = graph_of(weights)
        self._views = np.full(weights.n, BOTH) if weights.views is None else np.asarray(weights.views)
        self._machine = {
            pair: w
            for *pair_, w in zip(weights.i.tolist(), weights.j.tolist(), weights.machine.tolist(), strict=True)
            if (pair := (pair_[0], pair_[1]))
        }
        self._all_speak = quiet == -math.inf
        # Pairs of nodes that speak: how many pairs of sightings do, and what persons have said beyond that
        ends = np.sort(self._graph.node[np.stack([weights.i, weights.j])], axis=0)
        (speaking,), (answered,) = np.nonzero(weights.machine > quiet), np.nonzero(weights.human)
        self._speaks = Counter((a, b) for a, b in ends[:, speaking].T.tolist())
        self._said: dict[tuple[int, int], float] = defaultdict(float)
        for (a, b), said in zip(ends[:, answered].T.tolist(), weights.human[answered].tolist(), strict=True):
            self._said[a, b] += said
        self._asked = Counter(asked)
        start = cluster(self._graph)[0] if labels is None else self._labels_of_nodes(labels)
        self._label = start.tolist()
        nodes: dict[int, list[int]] = {}
        for node, label in enumerate(self._label):
            nodes.setdefault(label, []).append(node)
        self._clusters = {label: tuple(held) for label, held in nodes.items()}
        self._sides = {label: self._graph.count(held) for label, held in nodes.items()}
        self._between: dict[int, dict[int, float]] = {label: {} for label in self._clusters}
        self._heard: dict[int, set[int]] = {}  # of each cluster, the others that a pair which speaks links it to
        self._best: dict[Key, Alternative] = {}
        self._spent: set[Key] = set()
        self._shut: set[Key] = set()  # all pairs of these alternatives may not be asked
        self._heap: list[tuple[float, Key]] = []
        self._faint: list[tuple[float, Key]] = []
        for label in self._clusters:
            self._between[label] = self._sums(label)
        self._renew(self._clusters)
        self._settle()

    @property
    def labels(self) -> np.ndarray:
        """The present clustering, (n,) int: the smallest sighting of each cluster."""
        first = {label: min(self._graph.members[k][0] for k in nodes) for label, nodes in self._clusters.items()}
        return np.array([first[self._label[k]] for k in self._graph.node.tolist()], np.int64)

    def alternatives(self) -> list[tuple[float, tuple[tuple[int, ...], ...]]]:
        """Return the gain and the sets of sightings of every alternative that is kept, best first."""
        kept = sorted((-best.gain, self._sightings(best.parts)) for best in self._best.values())
        return [(-loss, parts) for loss, parts in kept]

    def answer(self, i: int, j: int, weight: float) -> None:
        """Take an answer: `weight` is added to the pair's weight (0: cannot tell), and the pair counts as asked."""
        pair = (min(i, j), max(i, j))
        self._asked[pair] += 1
        self.change(i, j, weight)

    def change(self, i: int, j: int, weight: float, *, asked: int = 0) -> None:
        """Add to a pair's weight, such as for an answer that is undone, and `asked` to how often it was asked.

        Raises ValueError for a pair that cannot be compared.
        """
        pair = (min(i, j), max(i, j))
        if i == j or not self._comparable(i, j):
            raise ValueError(f"sightings {i} and {j} cannot be compared")
        self._asked[pair] += asked
        a, b = (int(self._graph.node[k]) for k in pair)
        one, two = self._label[a], self._label[b]
        for key in [(one,), (two,), tuple(sorted((one, two)))]:
            if key in self._spent or key in self._shut:  # it may have a question again
                self._spent.discard(key)
                self._shut.discard(key)
                self._push(key)
        if asked < 0:  # with an answer that is taken back, others may be asked again
            for key in sorted(self._shut):
                self._push(key)
            self._shut.clear()
        if a == b or (b in self._graph.near[a] and self._graph.near[a][b] <= FORBIDDEN / 2):
            return
        self._graph.near[a][b] = self._graph.near[b][a] = self._graph.near[a].get(b, 0.0) + weight
        self._said[min(a, b), max(a, b)] += weight
        if one == two:
            self._renew([one])
        else:
            # Sums are taken again, not added to, so that the order of answers does not change a bit of them
            self._between[one] = self._sums(one)
            self._between[two] = self._sums(two)
            for at in (one, two):
                self._tell_others(at)
            self._renew_pair(one, two)
        self._settle()

    def ask(
        self,
        count: int = 1,
        closed: Callable[[int, int], bool] | None = None,
        *,
        margin: float | None = None,
        beyond: float = -math.inf,
        faint: bool = False,
    ) -> list[Question]:
        """Return up to `count` questions, the most open first, each about another alternative. None: all is settled.

        closed(i, j): pairs that may not be asked; they stay so until an answer is taken back (see `change`). margin: in
        place of that of these questions. beyond: only alternatives that score at least so much less than the present
        clustering. faint: ask about clusters for which no pair speaks, and about nothing else.
        """
        margin = self.margin if margin is None else margin
        heap = self._faint if faint else self._heap
        found: dict[tuple[int, int], Question] = {}
        back: list[tuple[float, Key]] = []
        while heap and len(found) < count:
            entry = heapq.heappop(heap)
            if not self._valid(entry) or entry[1] in self._spent or entry[1] in self._shut or entry in back[-1:]:
                continue
            if -entry[0] <= -margin:
                heapq.heappush(heap, entry)
                break
            if entry[0] < beyond:
                back.append(entry)
                continue
            best = self._best[entry[1]]
            question = self._question(best, None)
            if question is None:
                self._spent.add(entry[1])
                continue
            if closed is not None and (question := self._question(best, closed)) is None:
                self._shut.add(entry[1])
                continue
            back.append(entry)
            found.setdefault((question.i, question.j), question)
        for entry in back:
            heapq.heappush(heap, entry)
        return list(found.values())

    def pairs(
        self, closed: Callable[[int, int], bool], *, margin: float | None = None, faint: bool = False
    ) -> list[tuple[int, int]]:
        """Return the pairs that `ask` would ask now about all alternatives that are not settled, the most open first.

        closed, margin, faint: as of `ask`. An alternative that no pair can settle has none.
        """
        margin = self.margin if margin is None else margin
        kept = (
            (-best.gain, key)
            for key, best in self._best.items()
            if best.gain > -margin and self._is_faint(key) == faint
        )
        asked = (
            self._question(self._best[key], closed)
            for _, key in sorted(kept)
            if key not in self._spent and key not in self._shut
        )
        return list(dict.fromkeys((question.i, question.j) for question in asked if question is not None))

    # Clusters and their alternatives

    def _labels_of_nodes(self, labels: np.ndarray) -> np.ndarray:
        start = np.zeros(len(self._graph.members), np.int64)
        first: dict[int, int] = {}
        for node, members in enumerate(self._graph.members):
            if len({int(labels[k]) for k in members}) > 1:
                raise ValueError(f"labels separate the sightings {members}, which are surely together")
            start[node] = first.setdefault(int(labels[members[0]]), node)
        return start

    def _is_heard(self, one: int, other: int) -> bool:
        """Return whether photos or persons speak for two nodes being one animal."""
        pair = min(one, other), max(one, other)
        return self._all_speak or self._speaks[pair] > 0 or self._said.get(pair, 0.0) > TINY

    def _sums(self, label: int) -> dict[int, float]:
        held: dict[int, float] = {}
        heard = self._heard[label] = set()
        for node in self._clusters[label]:
            for other, w in self._graph.near[node].items():
                to = self._label[other]
                if to != label:
                    held[to] = held.get(to, 0.0) + w
                    if self._is_heard(node, other):
                        heard.add(to)
        return held

    def _tell_others(self, label: int) -> None:
        """Let the other clusters know what is between them and a cluster whose sums were taken again."""
        for other, held in self._between[label].items():
            self._between[other][label] = held
            if other in self._heard[label]:
                self._heard[other].add(label)
            else:
                self._heard[other].discard(label)

    def _weight(self, one: int, two: int) -> float:
        graph = self._graph
        one, two = min(one, two), max(one, two)
        compared = graph.compared(self._sides[one], self._sides[two])
        return self._between[one].get(two, 0.0) + graph.absent * compared

    def _mixes(self, one: int, two: int) -> bool:
        """Return whether a part of one cluster could go to the other without losing more than the margin.

        What it loses where it leaves is at least what the best split of that cluster loses.
        """
        cuts = [self._graph.alone - self._best[key,].gain for key in (one, two) if (key,) in self._best]
        return bool(cuts) and self._between[one].get(two, 0.0) - min(cuts) > -self.margin

    def _set(self, key: Key, best: Alternative | None) -> None:
        if best is None or best.gain < FORBIDDEN / 2:
            self._best.pop(key, None)
            self._spent.discard(key)
            self._shut.discard(key)
        elif self._best.get(key) != best:
            self._best[key] = best
            self._spent.discard(key)
            self._shut.discard(key)
            self._push(key)

    def _is_faint(self, key: Key) -> bool:
        """Return whether an alternative joins two clusters for which no pair speaks."""
        return len(key) == 2 and key[1] not in self._heard[key[0]]

    def _push(self, key: Key) -> None:
        if key in self._best:
            heapq.heappush(self._faint if self._is_faint(key) else self._heap, (-self._best[key].gain, key))

    def _valid(self, entry: tuple[float, Key]) -> bool:
        return entry[1] in self._best and self._best[entry[1]].gain == -entry[0]

    def _renew(self, labels: Iterable[int]) -> None:
        labels = dict.fromkeys(labels)
        for label in labels:
            self._set((label,), best_alternative(self._graph, [self._clusters[label]]))
        for label in labels:
            for other in self._between[label]:
                if other > label or other not in labels:
                    self._renew_pair(label, other)

    def _renew_pair(self, one: int, two: int) -> None:
        one, two = min(one, two), max(one, two)
        if two not in self._between[one]:
            self._set((one, two), None)
            return
        first, second = self._clusters[one], self._clusters[two]
        # To join a part to a cluster for which nothing speaks scores less than only to part it
        if two in self._heard[one] and self._mixes(one, two):
            self._set((one, two), best_alternative(self._graph, [first, second]))
        else:
            self._set(
                (one, two), Alternative(self._weight(one, two) - self._graph.alone, (tuple(sorted(first + second)),))
            )

    def _settle(self) -> None:
        """Apply the best alternative as long as it scores more than the present clustering."""
        while self._heap:
            entry = self._heap[0]
            if not self._valid(entry):
                heapq.heappop(self._heap)
            elif -entry[0] > TINY:
                self._apply(entry[1], self._best[entry[1]].parts)
            else:
                break

    def _apply(self, key: Key, parts: tuple[tuple[int, ...], ...]) -> None:
        for label in key:
            for other in self._between[label]:
                self._set((min(label, other), max(label, other)), None)
                self._between[other].pop(label, None)
                self._heard[other].discard(label)
            self._set((label,), None)
            del self._clusters[label], self._between[label], self._sides[label], self._heard[label]
        for part in parts:
            self._clusters[part[0]] = part
            self._sides[part[0]] = self._graph.count(part)
            for node in part:
                self._label[node] = part[0]
        made = [part[0] for part in parts]
        for label in made:
            self._between[label] = self._sums(label)
        for label in made:
            self._tell_others(label)
        self._renew(made)

    # Questions

    def _sightings(self, parts: Iterable[Iterable[int]]) -> tuple[tuple[int, ...], ...]:
        return tuple(tuple(sorted(s for k in part for s in self._graph.members[k])) for part in parts)

    def _comparable(self, i: int, j: int) -> bool:
        return bool(self._views[i] & self._views[j])

    def _disputed(self, best: Alternative) -> Iterator[tuple[int, int, bool]]:
        """Yield the pairs of nodes that the alternative has otherwise than the clustering, and whether together."""
        pieces = [[(self._label[node], at, node) for node in part] for at, part in enumerate(best.parts)]
        flat = [piece for part in pieces for piece in part]
        for x in range(len(flat)):
            for y in range(x):
                one, two = flat[y], flat[x]
                if (one[0] == two[0]) != (one[1] == two[1]):
                    yield one[2], two[2], one[1] == two[1]

    def _question(self, best: Alternative, closed: Callable[[int, int], bool] | None) -> Question | None:
        """Return the pair to ask: the least asked; of these the one that the machine finds likeliest the same."""
        chosen: tuple[int, float, int, int] | None = None
        merges = False
        for a, b, joins in self._disputed(best):
            if self._graph.near[a].get(b, 0.0) <= FORBIDDEN / 2:
                continue
            for x, y in product(self._graph.members[a], self._graph.members[b]):
                i, j = min(x, y), max(x, y)
                said, times = self._machine.get((i, j)), self._asked[i, j]
                if said is None or times >= self.most or (closed is not None and closed(i, j)):
                    continue
                rank = (times, -said, i, j)
                if chosen is None or rank < chosen:
                    chosen, merges = rank, joins
        if chosen is None:
            return None
        times, _, i, j = chosen
        return Question(i, j, best.gain, merges, self._sightings(best.parts), times)
