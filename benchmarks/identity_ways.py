"""Ways to find out who is who from pairs and an observer: snowmatch's questions, ranked lists, graph identification."""

from __future__ import annotations

import heapq
from collections import Counter, defaultdict
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from drawn_pairs import Case

from snowmatch.core.unions import Unions
from snowmatch.review.draws import draw
from snowmatch.review.evidence import Weights, log_odds, pair_weights
from snowmatch.review.quarrels import Answer, find_quarrels
from snowmatch.review.questions import Questions

SAME, DIFFERENT, UNKNOWN = 1, -1, 0
Ask = Callable[[int, int], int]


class Observer:
    """A simulated person: right with the probability `accuracy`, undecided with the probability `cannot_tell`."""

    def __init__(self, truth: np.ndarray, accuracy: float, cannot_tell: float, seed: int) -> None:
        self.truth, self.accuracy, self.cannot_tell = truth, accuracy, cannot_tell
        self.random = np.random.default_rng([seed, 7])
        self.decisions = 0

    def __call__(self, i: int, j: int) -> int:
        """Return SAME, DIFFERENT or UNKNOWN. Each call is a decision."""
        self.decisions += 1
        undecided, right = self.random.random() < self.cannot_tell, self.random.random() < self.accuracy
        if undecided:
            return UNKNOWN
        return SAME if bool(self.truth[i] == self.truth[j]) == bool(right) else DIFFERENT


@dataclass(frozen=True)
class Settings:
    """How the questions weigh evidence. human: the weight of an answer, at most. margin: times that weight."""

    absent: float = -0.3
    human: float = 4.0
    margin: float = 1.5
    repeats: int = 2


def human_weight(accuracy: float, settings: Settings) -> float:
    return float(log_odds(accuracy, settings.human))


def weights_of(case: Case, settings: Settings, human: dict[tuple[int, int], float] | None = None) -> Weights:
    """Return the weights of a case and the answers so far."""
    human = human or {}
    listed, alone = pair_weights(len(case.truth), case.p)
    weight = dict(zip(zip(case.i.tolist(), case.j.tolist(), strict=True), listed.tolist(), strict=True))
    pairs = sorted({*weight, *human})
    i, j = np.array(pairs, np.int64).reshape(-1, 2).T
    machine = np.array([weight.get(k, settings.absent) for k in pairs])
    answers = np.array([human.get(k, 0.0) for k in pairs])
    return Weights(len(case.truth), i, j, machine, answers, absent=settings.absent, alone=alone)


@dataclass(frozen=True)
class Found:
    """What a way found: the label of each sighting, decisions spent, the human weights of its answers."""

    labels: np.ndarray
    decisions: int
    human: dict[tuple[int, int], float]


def by_questions(case: Case, observer: Observer, settings: Settings, most: int | None = None) -> Found:
    """Ask what snowmatch would ask, until all is settled or `most` decisions are spent."""
    weight = human_weight(observer.accuracy, settings)
    questions = Questions(weights_of(case, settings), margin=settings.margin * weight, most=settings.repeats)
    human: dict[tuple[int, int], float] = defaultdict(float)
    while (most is None or observer.decisions < most) and (asked := questions.ask()):
        i, j = asked[0].i, asked[0].j
        answer = observer(i, j)
        human[i, j] += weight * answer
        questions.answer(i, j, weight * answer)
    return Found(questions.labels, observer.decisions, dict(human))


def draws_of(case: Case, found: Found, settings: Settings, seed: int) -> np.ndarray:
    """Return draws of who is who, (200, n), with the answers that were found."""
    return draw(weights_of(case, settings, found.human), draws=200, chains=40, warm=30, thin=3, seed=seed)


def joined(n: int, same: list[tuple[int, int]]) -> np.ndarray:
    unions = Unions(n)
    for a, b in same:
        unions.join(a, b)
    return np.array([unions.group_of(k) for k in range(n)])


def by_ranked_list(case: Case, observer: Observer, *, skip: bool) -> Found:
    """Compare each sighting, in order, with its best five. No pair is asked twice.

    skip: the observer stops at the first that is the same, and pairs that already bear one name are not shown.
    """
    n = len(case.truth)
    unions = Unions(n)
    asked: set[tuple[int, int]] = set()
    same = []
    for x in range(n):
        for y in case.rank_list[x].tolist():
            pair = (min(x, y), max(x, y))
            if y < 0 or pair in asked or (skip and unions.group_of(x) == unions.group_of(y)):
                if skip and y >= 0 and unions.group_of(x) == unions.group_of(y):
                    break
                continue
            asked.add(pair)
            if observer(*pair) == SAME:
                same.append(pair)
                unions.join(*pair)
                if skip:
                    break
    return Found(joined(n, same), observer.decisions, {})


def by_graph_identification(
    case: Case, observer: Observer, *, auto: float = 0.97, patience: int = 72, chance: float = 0.052, span: int = 20
) -> Found:
    """Graph identification with twofold redundancy: candidates by probability, repair by minimum cuts, until turns of
    questions change nothing any more.

    auto: pairs at least this probable (or improbable) are answered by the machine. patience, chance, span: the stop
    rule. Source: Crall, 2017 (thesis, chapter 5); ibeis.
    """
    return _GraphIdentification(case, observer, auto).run(patience, chance, span)


class _GraphIdentification:
    def __init__(self, case: Case, observer: Observer, auto: float) -> None:
        self.case, self.observer, self.auto = case, observer, auto
        self.n = len(case.truth)
        self.p = dict(zip(zip(case.i.tolist(), case.j.tolist(), strict=True), case.p.tolist(), strict=True))
        self.answers: dict[tuple[int, int], int] = {}
        self.reviews: Counter[tuple[int, int]] = Counter()
        self.labels = np.arange(self.n)

    def run(self, patience: int, chance: float, span: int) -> Found:
        candidates = {(min(x, y), max(x, y)) for x in range(self.n) for y in self.case.rank_list[x].tolist() if y >= 0}
        for _ in range(10):
            changes = self._turn(candidates, patience, chance, span)
            changes += self._redundancy()
            if not changes:
                break
        return Found(self.labels, self.observer.decisions, {})

    def _turn(self, candidates: set[tuple[int, int]], patience: int, chance: float, span: int) -> int:
        mean, share, changes = 1.0, 2 / (span + 1), 0
        heap = [(-self._priority(pair), pair) for pair in candidates if pair not in self.answers]
        heapq.heapify(heap)
        while heap:
            key, pair = heapq.heappop(heap)
            if -key != (now := self._priority(pair)):
                heapq.heappush(heap, (-now, pair))
                continue
            if pair in self.answers or self._is_redundant(pair):
                continue
            p = self.p.get(pair, 0.0)
            if p >= self.auto or p <= 1 - self.auto:
                changes += self._take(pair, SAME if p >= 0.5 else DIFFERENT)
            else:
                changed = self._take(pair, self.observer(*pair))
                changes += changed
                mean = share * changed + (1 - share) * mean
            changes += self._repair()
            if 1 - (1 - mean) ** patience < chance:
                break
        return changes

    def _priority(self, pair: tuple[int, int]) -> float:
        p = self.p.get(pair, 0.0)
        return 1 - p if self.labels[pair[0]] == self.labels[pair[1]] else p

    def _take(self, pair: tuple[int, int], answer: int) -> int:
        before = self.labels
        self.answers[pair] = answer
        self.reviews[pair] += 1
        if answer == SAME and before[pair[0]] == before[pair[1]]:
            return 0
        self.labels = joined(self.n, [k for k, a in self.answers.items() if a == SAME])
        return int((before != self.labels).any())

    def _near(self) -> dict[int, set[int]]:
        near: dict[int, set[int]] = defaultdict(set)
        for (a, b), answer in self.answers.items():
            if answer == SAME:
                near[a].add(b)
                near[b].add(a)
        return near

    def _is_redundant(self, pair: tuple[int, int]) -> bool:
        one, two = self.labels[pair[0]], self.labels[pair[1]]
        if one == two:
            return two_ways(self._near(), *pair)
        between = sum(
            answer == DIFFERENT and {self.labels[a], self.labels[b]} == {one, two}
            for (a, b), answer in self.answers.items()
        )
        return between >= min(2, (self.labels == one).sum(), (self.labels == two).sum())

    def _repair(self) -> int:
        changes = 0
        for _ in range(20):
            pairs = [k for k, a in self.answers.items() if a != UNKNOWN]
            given = [Answer(*k, self.answers[k] == SAME, self._weight(k)) for k in pairs]
            ask = {
                pairs[k]
                for quarrel in find_quarrels(self.n, given)
                for k in (quarrel.different if quarrel.suspects == "different" else quarrel.same)
                if self.reviews[pairs[k]] < 4
            }
            if not ask:
                break
            pair = min(ask, key=lambda k: (self.reviews[k], k))
            changes += self._take(pair, self.observer(*pair))
        return changes

    def _weight(self, pair: tuple[int, int]) -> float:
        p = self.p.get(pair, 0.0)
        return self.reviews[pair] + (p if self.answers[pair] == SAME else 1 - p)

    def _redundancy(self) -> int:
        changes = 0
        for label in np.unique(self.labels).tolist():
            while True:
                group = np.flatnonzero(self.labels == label).tolist()
                near = self._near()
                weak = [
                    (-self.p.get((a, b), 0.0), a, b)
                    for a in group
                    for b in group
                    if a < b and (a, b) not in self.answers and not two_ways(near, a, b)
                ]
                if not weak:
                    break
                _, a, b = min(weak)
                changes += self._take((a, b), self.observer(a, b))
                changes += self._repair()
        return changes


def two_ways(near: dict[int, set[int]], a: int, b: int) -> bool:
    """Return whether two ways without a common edge lead from a to b."""
    flow: set[tuple[int, int]] = set()
    for _ in range(2):
        back = {a: a}
        queue = [a]
        for node in queue:
            for other in sorted(near.get(node, ())):
                if other not in back and (node, other) not in flow:
                    back[other] = node
                    queue.append(other)
        if b not in back:
            return False
        node = b
        while node != a:
            step = (back[node], node)
            if step[::-1] in flow:
                flow.discard(step[::-1])
            else:
                flow.add(step)
            node = back[node]
    return True
