"""Training of observers: pairs of known animals, and how often an observer was wrong about them."""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

from snowmatch.core.errors import SnowmatchError
from snowmatch.core.text import counted
from snowmatch.core.unions import Unions
from snowmatch.decisions.row import CANNOT_TELL, DIFFERENT, SAME, Decision
from snowmatch.decisions.sightings import Sighting, comparable, find_sighting
from snowmatch.decisions.who import Pair, Who
from snowmatch.review.accuracy import training_answers
from snowmatch.review.graph import facts_together
from snowmatch.review.likely import Likely
from snowmatch.review.readings import without_slips
from snowmatch.review.shares import Share, make_share

HARD = 0.5  # share of the different pairs that are those which photos take most easily for one animal; chosen
POOL = 3  # hard pairs are drawn from so many times as many of the most likely ones, so that observers get other ones


@dataclass(frozen=True)
class TrainingPair:
    """Two sightings of known animals. truth: `same` or `different`. hard: different, but the photos look like one."""

    one: int
    other: int
    truth: str
    hard: bool


@dataclass(frozen=True)
class Trained:
    """How often one observer was wrong about known animals.

    pairs: number of pairs answered. split: of the pairs of one animal that were answered with same or different, those
    with different; lumped: of the pairs of two animals, those with same. cannot_tell: of all pairs. by_certainty: both
    kinds of error together for each certainty that was given (None: not asked).
    """

    observer: str
    pairs: int
    split: Share
    lumped: Share
    cannot_tell: Share
    by_certainty: tuple[tuple[int | None, Share], ...]


def trusted_names(who: Who, observer: str) -> tuple[str | None, ...]:
    """Return the name of each sighting (S,) whose individual has exactly one name and no contradictions; else None.

    A sighting that has no name of its own needs answers `same` of others than `observer` and the machine, or a merge,
    to one that has: nobody is measured by own answers, nor by those that nobody has checked.
    """
    joined = Unions(len(who.sightings))
    said = {pair for pair, state in who.pairs.items() if state.answer == SAME and _by_another(state.answers, observer)}
    for a, b in (*facts_together(who), *said):
        joined.join(a, b)
    named = {joined.group_of(n) for n, key in enumerate(who.names) if key is not None}
    return tuple(
        individual.name
        if len(individual.names) == 1 and not individual.quarrels and joined.group_of(number) in named
        else None
        for number, individual in enumerate(who.individuals[n] for n in who.of)
    )


def _by_another(answers: Sequence[Decision], observer: str) -> bool:
    return any(said.answer == SAME and said.role != "machine" and said.observer != observer for said in answers)


def answered_pairs(rows: Sequence[Decision], who: Who, observer: str) -> frozenset[Pair]:
    """Return the pairs of sightings that an observer has answered in any mode, the smaller number first.

    rows: all decisions, in the order of their identifiers. An answer that was taken back is one, but for a slip.
    """
    found = set()
    for row in without_slips(rows):
        if row.kind == "pair" and row.observer == observer:
            a, b = find_sighting(who.number_of, row.side_a), find_sighting(who.number_of, row.side_b)
            if a is not None and b is not None:
                found.add((min(a, b), max(a, b)))
    return frozenset(found)


def training_pairs(
    sightings: Sequence[Sighting],
    names: Sequence[str | None],
    evidence_pairs: Mapping[Pair, Likely],
    count: int,
    seed: int,
    observer: str = "",
    answered: Collection[Pair] = (),
) -> tuple[TrainingPair, ...]:
    """Return pairs of known animals in a random order: half of one animal, half of two.

    names: (S,) the trusted name of each sighting; those without one are not used. evidence_pairs: what the photos say;
    half of the different pairs are among the most likely wrong ones. Both sightings show comparable body parts, and are
    of two encounters that share no passage. Every animal is drawn equally often, not every sighting. answered: pairs to
    leave out. The same seed and observer give the same pairs. There are always as many of one kind as of the other: an
    odd `count` gives one pair less, and fewer come back if there are not enough.

    Raises SnowmatchError if there is no pair of one of the kinds, ValueError if `count` is below 2.
    """
    if count < 2:
        raise ValueError(f"count is {count}, expected 2 or more")
    draw = random.Random(f"{seed} {observer}")
    used = {(min(pair), max(pair)) for pair in answered}
    animals: dict[str, list[int]] = defaultdict(list)
    for number, name in enumerate(names):
        if name is not None:
            animals[name].append(number)
    same = list(_take(_same(sightings, animals, draw), used, count // 2))
    hard = _hard(sightings, names, evidence_pairs, used)[: POOL * int(count // 2 * HARD)]
    different = list(_take(iter(draw.sample(hard, len(hard))), used, int(len(same) * HARD)))
    hardest = frozenset(different)
    different += _take(_different(sightings, animals, draw), used, len(same) - len(different))
    if not same or not different:
        kind = "one animal" if not same else "two animals"
        raise SnowmatchError(
            f"no pair of {kind} is left to train with, among {counted(len(animals), 'named individual')}: expected two "
            "or more, one of them in two encounters that show the same flank; name more sightings first",
            "no-training",
        )
    drawn = [TrainingPair(*pair, SAME, False) for pair in same[: len(different)]]
    drawn += [TrainingPair(*pair, DIFFERENT, pair in hardest) for pair in different]
    return tuple(draw.sample(drawn, len(drawn)))


def _fits(sightings: Sequence[Sighting], a: int, b: int) -> bool:
    one, other = sightings[a], sightings[b]
    apart = one.encounter != other.encounter and one.passage != other.passage
    return apart and comparable(one, other)


def _take(pairs: Iterator[Pair], used: set[Pair], most: int) -> Iterator[Pair]:
    """Yield up to `most` pairs that are not used, and mark them as used."""
    while most > 0:
        pair = next(pairs, None)
        if pair is None:
            return
        if pair not in used:
            used.add(pair)
            most -= 1
            yield pair


def _same(sightings: Sequence[Sighting], animals: Mapping[str, list[int]], draw: random.Random) -> Iterator[Pair]:
    """Yield all pairs of one animal: each round one of every animal, in a random order."""
    left = {}
    for name in sorted(animals):
        own = animals[name]
        pairs = [(a, b) for n, a in enumerate(own) for b in own[n + 1 :] if _fits(sightings, a, b)]
        draw.shuffle(pairs)
        left[name] = pairs
    while left := {name: pairs for name, pairs in left.items() if pairs}:
        for name in draw.sample(list(left), len(left)):
            yield left[name].pop()


def _different(sightings: Sequence[Sighting], animals: Mapping[str, list[int]], draw: random.Random) -> Iterator[Pair]:
    """Yield pairs of two animals at random, each animal equally often, until no animal has any left."""
    left = {name: list(animals[name]) for name in sorted(animals)}
    done: set[Pair] = set()
    while left:
        name = draw.choice(list(left))
        number = draw.choice(left[name])
        others = [(min(number, b), max(number, b)) for other in animals if other != name for b in animals[other]]
        others = [pair for pair in others if pair not in done and _fits(sightings, *pair)]
        if others:
            pair = draw.choice(others)
            done.add(pair)
            yield pair
        else:
            left[name].remove(number)
            left = {name: numbers for name, numbers in left.items() if numbers}


def _hard(
    sightings: Sequence[Sighting], names: Sequence[str | None], pairs: Mapping[Pair, Likely], used: Collection[Pair]
) -> list[Pair]:
    """Return the pairs of two animals that photos say something about, the most likely one first."""
    wrong = [
        pair
        for pair in pairs
        if pair not in used
        and names[pair[0]] is not None
        and names[pair[1]] is not None
        and names[pair[0]] != names[pair[1]]
        and _fits(sightings, *pair)
    ]
    return sorted(wrong, key=lambda pair: (-pairs[pair].odds, pair))


def training_results(rows: Sequence[Decision], who: Who | None = None) -> tuple[Trained, ...]:
    """Return how often each observer was wrong in training, by name. The first answer about each pair counts.

    rows: all decisions, in the order of their identifiers. who: as of `training_answers`. Without training the tuple is
    empty.
    """
    own: dict[str, list[tuple[Decision, str]]] = defaultdict(list)
    for row, truth in training_answers(rows, who):
        own[row.observer].append((row, truth))
    return tuple(_trained(name, own[name]) for name in sorted(own))


def _trained(observer: str, answers: Sequence[tuple[Decision, str]]) -> Trained:
    said = [(row, truth) for row, truth in answers if row.answer != CANNOT_TELL]
    levels = sorted({row.certainty for row, _ in said}, key=lambda level: (level is None, level or 0))
    return Trained(
        observer,
        len(answers),
        _wrong([each for each in said if each[1] == SAME]),
        _wrong([each for each in said if each[1] == DIFFERENT]),
        make_share(len(answers) - len(said), len(answers)),
        tuple((level, _wrong([each for each in said if each[0].certainty == level])) for level in levels),
    )


def _wrong(answers: Sequence[tuple[Decision, str]]) -> Share:
    return make_share(sum(row.answer != truth for row, truth in answers), len(answers))
