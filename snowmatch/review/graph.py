"""The identity graph of a catalog: evidence of photos and answers of observers, as weights."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Iterable

import numpy as np

from snowmatch.core.unions import Unions
from snowmatch.decisions.row import DIFFERENT, SAME
from snowmatch.decisions.sightings import Sighting, comparable
from snowmatch.decisions.who import Who
from snowmatch.review.accuracy import ACCURACY
from snowmatch.review.evidence import BOTH, LEFT, RIGHT, Weights
from snowmatch.review.likely import Evidence

CERTAIN = {None: 1.0, 1: 0.25, 2: 0.5, 3: 1.0, 4: 1.0}  # how much an answer of each certainty counts; chosen
SURE = math.log(ACCURACY / (1 - ACCURACY))  # photos never weigh more than an answer of a person
VIEWS: dict[tuple[str, ...], int] = {("left_flank",): LEFT, ("right_flank",): RIGHT}


def weights_of(who: Who, evidence: Evidence, accuracy: Callable[[str], float]) -> Weights:
    """Return the weights of all pairs of sightings with evidence or answers.

    accuracy: of an observer, by name, from 0.5 to below 1. Answers of the machine have no weight of their own: they are
    what the photos say. Names, merges and splits are facts, and so are two animals in one photo.
    """
    human: dict[tuple[int, int], float] = {}
    for pair, state in who.pairs.items():
        total = 0.0
        for said in state.answers:
            if said.role != "machine" and said.answer in (SAME, DIFFERENT):
                weight = math.log(accuracy(said.observer) / (1 - accuracy(said.observer))) * CERTAIN[said.certainty]
                total += weight if said.answer == SAME else -weight
        human[pair] = total
    machine = {pair: clipped(likely.probability) for pair, likely in evidence.pairs.items()}
    absent = max(evidence.unlisted, -SURE)
    views = np.array([VIEWS.get(sighting.body_parts, BOTH) for sighting in who.sightings], np.int64)
    listed = [p for p in sorted(set(human) | set(machine)) if comparable(who.sightings[p[0]], who.sightings[p[1]])]
    together = tuple(facts_together(who))
    joined = Unions(len(who.sightings))
    for a, b in together:
        joined.join(a, b)
    # What contradicts a fact is shown as a contradiction; the graph itself must be free of them
    apart = [(a, b) for a, b in sorted(who.one_photo | who.parted) if joined.group_of(a) != joined.group_of(b)]
    return Weights(
        len(who.sightings),
        np.array([i for i, _ in listed], np.int64),
        np.array([j for _, j in listed], np.int64),
        np.array([machine.get(pair, absent) for pair in listed], np.float64),
        np.array([human.get(pair, 0.0) for pair in listed], np.float64),
        absent,
        together=together,
        apart=tuple(apart),
        views=views,
    )


def clipped(probability: float) -> float:
    """Return the log odds of a probability, not beyond those of an answer of a person."""
    p = min(max(probability, 1e-9), 1 - 1e-9)
    return min(max(math.log(p / (1 - p)), -SURE), SURE)


def facts_together(who: Who) -> Iterable[tuple[int, int]]:
    """Yield pairs of sightings that names, merges or splits join; of each name a chain of pairs."""
    last: dict[str, int] = {}
    for number, key in enumerate(who.names):
        if key is not None:
            if key in last:
                yield last[key], number
            last[key] = number
    yield from sorted(who.links)


class Known:
    """What follows from the answers so far: which sightings are one individual, and which are surely two."""

    def __init__(self, who: Who) -> None:
        self._joined = Unions(len(who.sightings))
        first: dict[int, int] = {}
        for number, individual in enumerate(who.of):
            self._joined.join(first.setdefault(individual, number), number)
        self._apart: dict[int, set[int]] = defaultdict(set)
        for pair in (*who.one_photo, *who.parted, *(p for p, s in who.pairs.items() if s.answer == DIFFERENT)):
            self.part(*pair)

    def same(self, a: int, b: int) -> bool:
        """Return whether two sightings are one individual by now."""
        return self._joined.group_of(a) == self._joined.group_of(b)

    def different(self, a: int, b: int) -> bool:
        """Return whether somebody said that the individuals of two sightings are different."""
        one, other = self._joined.group_of(a), self._joined.group_of(b)
        return other in self._apart.get(one, ())

    def join(self, a: int, b: int) -> None:
        """Take note that two sightings are one individual."""
        one, other = self._joined.group_of(a), self._joined.group_of(b)
        if one == other:
            return
        self._joined.join(one, other)
        kept = self._joined.group_of(one)
        gone = other if kept == one else one
        for third in self._apart.pop(gone, set()):
            self._apart[third].discard(gone)
            self._apart[third].add(kept)
            self._apart[kept].add(third)

    def part(self, a: int, b: int) -> None:
        """Take note that two sightings are different."""
        one, other = self._joined.group_of(a), self._joined.group_of(b)
        self._apart[one].add(other)
        self._apart[other].add(one)

    def individual(self, sighting: int) -> int:
        """Return a number for the individual of a sighting: that of its first sighting."""
        return self._joined.group_of(sighting)


def sighting_pair(sightings: tuple[Sighting, ...], a: int, b: int) -> tuple[str, str]:
    """Return the keys of two sightings, sorted."""
    one, other = sorted((sightings[a].key, sightings[b].key))
    return one, other
