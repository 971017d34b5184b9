"""Answers that contradict each other, explained: which answers say `same`, which say `different`, and which are weaker.

Source: minimum cuts between the ends of a `different`, as graph identification repairs its mistakes, Crall, 2017
(thesis, chapter 5) and ibeis.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.sparse import csr_array
from scipy.sparse.csgraph import breadth_first_order, maximum_flow

from snowmatch.core.unions import Unions

CERTAINTY = {1: -1.0, 2: 0.0, 3: 0.5, 4: 1.5}  # what an observer's certainty adds to the weight of an answer
LEAST = 0.05  # weight of the weakest answer: none is without any
STEPS = 1000  # flows are whole numbers, in thousandths of a weight


@dataclass(frozen=True)
class Answer:
    """An answer about two sightings. same: otherwise different. weight: above 0, as of `answer_weight`."""

    i: int
    j: int
    same: bool
    weight: float


@dataclass(frozen=True)
class Quarrel:
    """A `different` inside an individual, and the answers that speak against it.

    different: numbers of the answers that say it (all about one pair). same: the numbers of the lightest answers that
    would have to be wrong if it is right; none if hard facts say `same`. suspects: `different` or `same`, the side with
    less weight. weights: of both sides, in that order; the second is infinite for hard facts.
    """

    different: tuple[int, ...]
    same: tuple[int, ...]
    suspects: str
    weights: tuple[float, float]


def answer_weight(accuracy: float, certainty: int | None, probability: float | None, same: bool) -> float:
    """Return how much an answer weighs, 0.05 or more.

    It is the log odds of the observer's accuracy (0.5 to below 1), plus CERTAINTY, plus the machine's probability of
    what was answered (None: 0.5).
    """
    if not 0.5 <= accuracy < 1:
        raise ValueError(f"accuracy is {accuracy}, expected 0.5 or more and less than 1")
    believed = 0.5 if probability is None else probability if same else 1 - probability
    sure = 0.0 if certainty is None else CERTAINTY[certainty]
    return max(float(np.log(accuracy / (1 - accuracy))) + sure + believed, LEAST)


def find_quarrels(n: int, answers: Sequence[Answer], together: Iterable[tuple[int, int]] = ()) -> list[Quarrel]:
    """Return the quarrels between answers about the sightings 0 to n - 1, in the order of their pairs.

    together: pairs that are surely one individual. Without contradictions the list is empty.
    """
    facts = Unions(n)
    for a, b in together:
        facts.join(a, b)
    whole = Unions(n)
    for k in range(n):
        whole.join(k, facts.group_of(k))
    for answer in answers:
        if answer.same:
            whole.join(answer.i, answer.j)
    against: dict[tuple[int, int], list[int]] = defaultdict(list)
    inside: dict[int, list[int]] = defaultdict(list)
    for number, answer in enumerate(answers):
        if whole.group_of(answer.i) != whole.group_of(answer.j):
            continue
        a, b = sorted((facts.group_of(answer.i), facts.group_of(answer.j)))
        if answer.same:
            inside[whole.group_of(a)].append(number)
        else:
            against[a, b].append(number)
    return [
        _explain(a, b, numbers, inside[whole.group_of(a)], answers, facts)
        for (a, b), numbers in sorted(against.items())
    ]


def _explain(
    a: int, b: int, numbers: list[int], inside: list[int], answers: Sequence[Answer], facts: Unions
) -> Quarrel:
    different = sum(answers[k].weight for k in numbers)
    if a == b:
        return Quarrel(tuple(numbers), (), "different", (different, float("inf")))
    ends = {k: (facts.group_of(answers[k].i), facts.group_of(answers[k].j)) for k in inside}
    near = minimum_cut([(*ends[k], answers[k].weight) for k in inside], a, b)
    cut = tuple(k for k in inside if (ends[k][0] in near) != (ends[k][1] in near))
    same = sum(answers[k].weight for k in cut)
    return Quarrel(tuple(numbers), cut, "different" if different < same else "same", (different, same))


def minimum_cut(edges: Sequence[tuple[int, int, float]], source: int, sink: int) -> set[int]:
    """Return the nodes on the side of `source` of the lightest set of edges that separates it from `sink`."""
    nodes = sorted({source, sink, *(k for a, b, _ in edges for k in (a, b))})
    place = {node: at for at, node in enumerate(nodes)}
    held: dict[tuple[int, int], float] = defaultdict(float)
    for a, b, weight in edges:
        if a != b:
            held[place[a], place[b]] += weight
            held[place[b], place[a]] += weight
    if not held:
        return {source}
    row, column = np.array(list(held)).T
    capacity = np.maximum(np.rint(np.array(list(held.values())) * STEPS), 1).astype(np.int32)
    whole = csr_array((capacity, (row, column)), shape=(len(nodes), len(nodes)))
    left = whole - maximum_flow(whole, place[source], place[sink]).flow
    left.eliminate_zeros()
    reached = breadth_first_order(left, place[source], return_predecessors=False)
    return {nodes[k] for k in reached.tolist()}
