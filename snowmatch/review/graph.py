"""The identity graph of a catalog: evidence of photos and answers of observers, as weights."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import combinations, product

import numpy as np

from snowmatch.core.unions import Unions
from snowmatch.decisions.row import DIFFERENT, SAME, Decision
from snowmatch.decisions.sightings import Sighting, comparable
from snowmatch.decisions.who import Who
from snowmatch.review.accuracy import ACCURACY
from snowmatch.review.evidence import BOTH, LEFT, RIGHT, Weights
from snowmatch.review.likely import Evidence

CERTAIN = {None: 1.0, 1: 0.25, 2: 0.5, 3: 1.0, 4: 1.0}  # how much an answer of each certainty counts; chosen
SURE = math.log(ACCURACY / (1 - ACCURACY))  # photos never weigh more than an answer of a person
# The share of true pairs that photos speak for, before anything is known, and how many pairs that counts as; and the
# lowest weight of a pair that no photo speaks for. On drawn flanks the share is 0.98, on whole nyala 0.36.
USUAL_SHARE, USUAL_PAIRS, LOWEST = 0.45, 10.0, -1.5
MOST_OF_ONE = 40  # sightings of one individual that are looked at for this share
MOST_NAMES = 200  # pairs of names grow as their square: with 300 names the draws took twice as long
VIEWS: dict[tuple[str, ...], int] = {("left_flank",): LEFT, ("right_flank",): RIGHT}


def weights_of(who: Who, evidence: Evidence, accuracy: Callable[[str], float]) -> Weights:
    """Return the weights of all pairs of sightings with evidence or answers.

    A pair weighs what its photos say, not what is expected before: how rarely two sightings show one animal is told
    once for each individual (`alone`), not once for each pair. accuracy: of an observer, by name, from 0.5 to below 1.
    Answers of the machine have no weight of their own: they are what the photos say. Names, merges and splits are
    facts, and so are two animals in one photo.
    """
    alone, absent = rarity(evidence), silence(who, evidence)
    human = {
        pair: sum(answer_weight(said, accuracy(said.observer)) for said in weighing(state.answers))
        for pair, state in who.pairs.items()
    }
    for pair in {*evidence.pairs, *human}:  # two names are an answer of whoever gave them; "cannot tell" says nothing
        if not human.get(pair) and differently_named(who, *pair):
            human[pair] = -SURE
    human |= dict.fromkeys(_apart_by_name(who, human), -SURE)
    machine = {pair: min(max(likely.odds, -SURE), SURE + alone) for pair, likely in evidence.pairs.items()}
    machine |= dict.fromkeys(_of_one_passage(who.sightings), 0.0)  # nothing compares them, so their photos say nothing
    pairs = [p for p in sorted({*machine, *human}) if comparable(who.sightings[p[0]], who.sightings[p[1]])]
    views = np.array([VIEWS.get(sighting.body_parts, BOTH) for sighting in who.sightings], np.int64)
    together = tuple(facts_together(who))
    joined = Unions(len(who.sightings))
    for a, b in together:
        joined.join(a, b)
    # What contradicts a fact is shown as a contradiction; the graph itself must be free of them
    apart = [
        (a, b)
        for a, b in sorted({*who.one_photo, *_apart_by_split(who, joined)})
        if joined.group_of(a) != joined.group_of(b)
    ]
    return Weights(
        len(who.sightings),
        np.array([i for i, _ in pairs], np.int64),
        np.array([j for _, j in pairs], np.int64),
        np.array([machine.get(pair, absent) for pair in pairs], np.float64),
        np.array([human.get(pair, 0.0) for pair in pairs], np.float64),
        absent=absent,
        alone=alone,
        together=together,
        apart=tuple(apart),
        views=views,
    )


def _apart_by_split(who: Who, joined: Unions) -> Iterator[tuple[int, int]]:
    """Yield one pair of sightings for any two groups of `joined` that are on two sides of a split."""
    for sides in who.parted:
        one, other = ({joined.group_of(n): n for n in sorted(side, reverse=True)}.values() for side in sides)
        for a, b in product(one, other):
            yield min(a, b), max(a, b)


def differently_named(who: Who, a: int, b: int) -> bool:
    """Return whether two sightings are of individuals that have different names."""
    one, other = (who.individuals[who.of[n]].name for n in (a, b))
    return one is not None and other is not None and one != other


def _apart_by_name(who: Who, said: Iterable[tuple[int, int]]) -> Iterator[tuple[int, int]]:
    """Yield one pair of comparable sightings for any two names that no pair of `said` keeps apart.

    Else only the silence of the photos would keep two animals apart that somebody has named. More than MOST_NAMES names
    yield nothing: there are too many pairs, and silence says more where animals are many (see `rarity`).
    """
    names: dict[str, dict[tuple[str, ...], int]] = {}
    name_of = [who.individuals[number].name for number in who.of]
    for number, sighting in enumerate(who.sightings):
        if (name := name_of[number]) is not None:
            names.setdefault(name, {}).setdefault(sighting.body_parts, number)
    if len(names) > MOST_NAMES:
        return
    told = {frozenset((name_of[a], name_of[b])) for a, b in said if comparable(who.sightings[a], who.sightings[b])}
    for one, other in combinations(names, 2):
        if frozenset((one, other)) not in told:
            pairs = product(names[one].values(), names[other].values())
            found = next((p for p in pairs if comparable(who.sightings[p[0]], who.sightings[p[1]])), None)
            if found is not None:
                yield min(found), max(found)


def _of_one_passage(sightings: Sequence[Sighting]) -> Iterator[tuple[int, int]]:
    """Yield the pairs of sightings of one passage, such as of two encounters that share a picture."""
    passages: dict[str, list[int]] = defaultdict(list)
    for number, sighting in enumerate(sightings):
        passages[sighting.passage].append(number)
    for members in passages.values():
        yield from combinations(members, 2)


def rarity(evidence: Evidence) -> float:
    """Return the log odds that two sightings taken at random are different animals; 0 without evidence."""
    return max(-math.log(evidence.expected / (1 - evidence.expected)), 0.0) if evidence.pairs else 0.0


def silence(who: Who, evidence: Evidence) -> float:
    """Return the weight of a pair that no photo speaks for: the log of the share of true pairs that are so.

    The share is learned from individuals that names and answers made: from those of their pairs that nobody was asked
    about, and that are of two passages. Where photos are poor it is large, and such a pair says little.
    """
    spoken = total = 0
    for individual in who.individuals:
        members = individual.sightings[:MOST_OF_ONE]
        if len(members) < 3 or individual.quarrels:
            continue
        for pair in combinations(members, 2):
            one, other = who.sightings[pair[0]], who.sightings[pair[1]]
            if pair not in who.pairs and comparable(one, other) and one.passage != other.passage:
                total += 1
                spoken += pair in evidence.pairs
    share = (spoken + USUAL_SHARE * USUAL_PAIRS) / (total + USUAL_PAIRS)
    return max(math.log(1 - share), LOWEST)


def answer_weight(said: Decision, accuracy: float) -> float:
    """Return the weight of an answer: positive for `same`, 0 if it says nothing, or if the machine gave it."""
    if said.role == "machine" or said.answer not in (SAME, DIFFERENT):
        return 0.0
    weight = math.log(accuracy / (1 - accuracy)) * CERTAIN[said.certainty]
    return weight if said.answer == SAME else -weight


def weighing(answers: Sequence[Decision]) -> Sequence[Decision]:
    """Return those of the answers about a pair that weigh: all, or the last of an adjudicator, who settles it."""
    judged = [said for said in answers if said.role == "adjudicator"]
    return [max(judged, key=lambda said: said.id)] if judged else answers


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
        split = _apart_by_split(who, self._joined)
        for pair in (*who.one_photo, *split, *(p for p, s in who.pairs.items() if s.answer == DIFFERENT)):
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
