"""The contradictions of a catalog's decisions, explained: which answers quarrel with which."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from snowmatch.decisions.row import DIFFERENT, SAME, Decision
from snowmatch.decisions.who import DISPUTED, Individual, Who, parted_in
from snowmatch.review.graph import facts_together
from snowmatch.review.likely import Evidence
from snowmatch.review.quarrels import Answer, answer_weight, find_quarrels

FACT = 100.0  # weight of a fact: heavier than all answers about a few sightings


@dataclass(frozen=True)
class Voice:
    """An answer about two sightings, or a fact: then `decision` is None, and `fact` is `one_photo` or `split`."""

    a: int
    b: int
    same: bool
    decision: Decision | None
    fact: str
    weight: float


@dataclass(frozen=True)
class Contradiction:
    """Voices that say `different` inside an individual, and the lightest answers that would be wrong if they are right.

    a, b: the two sightings that must be different. same: () if names or merges say that they are one. suspects:
    `different` or `same`, the side with less weight.
    """

    individual: Individual
    a: int
    b: int
    different: tuple[Voice, ...]
    same: tuple[Voice, ...]
    suspects: str


def contradictions_of(
    who: Who, accuracy: Callable[[str], float], evidence: Evidence | None = None
) -> tuple[Contradiction, ...]:
    """Return every contradiction inside the individuals, in their order. None give ().

    accuracy: of an observer, by name. evidence: what the photos say, if it is known.
    """
    individuals = [each for each in who.individuals if each.quarrels]
    if not individuals:
        return ()
    together = list(facts_together(who))
    return tuple(found for each in individuals for found in _of_one(who, each, together, accuracy, evidence))


def _of_one(
    who: Who,
    individual: Individual,
    together: list[tuple[int, int]],
    accuracy: Callable[[str], float],
    evidence: Evidence | None,
) -> list[Contradiction]:
    place = {number: n for n, number in enumerate(individual.sightings)}
    voices = _voices(who, place, accuracy, evidence)
    ends = [(place[v.a], place[v.b]) for v in voices]
    answers = [Answer(min(pair), max(pair), v.same, v.weight) for pair, v in zip(ends, voices, strict=True)]
    facts = [(place[a], place[b]) for a, b in together if a in place and b in place]
    found = []
    for quarrel in find_quarrels(len(place), answers, facts):
        different = tuple(voices[k] for k in quarrel.different)
        same = tuple(voices[k] for k in quarrel.same)
        a, b = sorted((different[0].a, different[0].b))
        found.append(Contradiction(individual, a, b, different, same, quarrel.suspects))
    return found


def _voices(
    who: Who, place: dict[int, int], accuracy: Callable[[str], float], evidence: Evidence | None
) -> list[Voice]:
    voices = []
    for (a, b), state in who.pairs.items():
        if a not in place or b not in place:
            continue
        likely = evidence.pairs.get((a, b)) if evidence is not None else None
        counting = (SAME, DIFFERENT) if state.answer == DISPUTED else (state.answer,)
        for said in state.answers:
            if said.answer in counting and said.answer in (SAME, DIFFERENT):
                right = 0.5 if said.role == "machine" else min(accuracy(said.observer), 0.999)
                same = said.answer == SAME
                weight = answer_weight(right, said.certainty, likely.probability if likely else None, same)
                voices.append(Voice(a, b, same, said, "", weight))
    for pairs, fact in ((who.one_photo, "one_photo"), (parted_in(who.parted, who.of), "split")):
        voices += [Voice(a, b, False, None, fact, FACT) for a, b in sorted(pairs) if a in place and b in place]
    return voices
