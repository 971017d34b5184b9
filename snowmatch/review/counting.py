"""How many individuals a catalog has: groupings of its sightings, drawn from what photos and observers say."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from snowmatch.decisions.sightings import comparable
from snowmatch.decisions.who import Who
from snowmatch.review.counts import ahead, count, individuals
from snowmatch.review.draws import draw
from snowmatch.review.evidence import Weights
from snowmatch.review.graph import SURE, Known, weights_of
from snowmatch.review.likely import LEAST, Evidence

ENOUGH = 1.0  # individuals: comparisons stop to matter if the number would change by less
Pair = tuple[int, int]


@dataclass(frozen=True)
class Part:
    """The number of individuals of some sightings.

    what: such as "all", "location naryn" or "left flank". sightings: their number. decided: individuals by the
    decisions alone. mean, low, high: of the draws, with a 95 % interval.
    """

    what: str
    sightings: int
    decided: int
    mean: float
    low: int
    high: int


@dataclass(frozen=True, eq=False)
class Counts:
    """The numbers of individuals, and the groupings that they come from.

    draws: (D, S) int, a number for the individual of each sighting. questions: about how many comparisons decide
    between the groupings; `ask` also asks to confirm. would_change: half of the 95 % interval, by which the number of
    individuals may still change.
    """

    counts: tuple[Part, ...]
    draws: np.ndarray
    questions: int
    would_change: float


def draw_groupings(weights: Weights, draws: int, seed: int = 0) -> np.ndarray:
    """Return drawn groupings, (draws, S) int. How often a true pair has no evidence is what `absent` says."""
    return draw(weights, draws=draws, chains=min(40, draws), seed=seed, missed=min(math.exp(weights.absent), 0.9))


def open_pairs(who: Who, evidence: Evidence) -> list[Pair]:
    """Return the pairs with evidence that nobody has answered, that are comparable, and that follow from nothing."""
    known = Known(who)
    return [
        (a, b)
        for a, b in evidence.pairs
        if (a, b) not in who.pairs
        and comparable(who.sightings[a], who.sightings[b])
        and not known.same(a, b)
        and not known.different(a, b)
    ]


def count_individuals(
    who: Who, evidence: Evidence, accuracy: Callable[[str], float], *, draws: int = 400, seed: int = 0
) -> Counts:
    """Draw groupings of all sightings, and count individuals: all, by location, and by flank.

    The same decisions, evidence and seed give the same numbers. No sightings give zeros.
    """
    weights = weights_of(who, evidence, accuracy)
    labels = draw_groupings(weights, draws, seed)
    found = [_part("all", np.ones(len(who.sightings), bool), who, labels)]
    places = np.array([s.location for s in who.sightings], str)
    named = sorted({place for place in places.tolist() if place})
    if len(named) > 1 or (named and (places == "").any()):
        found += [_part(f"location {place}", places == place, who, labels) for place in named]
    for part, what in (("left_flank", "left flank"), ("right_flank", "right flank")):
        shows = np.array([part in s.body_parts for s in who.sightings], bool)
        if shows.any() and not shows.all():
            found.append(_part(what, shows, who, labels))

    def closed() -> tuple[Callable[[int, int], bool], Callable[[int, int, bool], None]]:
        """Return what `ask` does not ask: what follows from the answers so far, and what cannot be compared."""
        known = Known(who)
        return (
            lambda a, b: (
                known.same(a, b) or known.different(a, b) or not comparable(who.sightings[a], who.sightings[b])
            ),
            lambda a, b, same: (known.join if same else known.part)(a, b),
        )

    asked = who.pairs.keys()
    more = ahead(weights, labels, margin=2 * SURE, answer=SURE, quiet=LEAST, asked=asked, closed=closed)
    return Counts(tuple(found), labels, more, (found[0].high - found[0].low) / 2)


def _part(what: str, members: np.ndarray, who: Who, labels: np.ndarray) -> Part:
    decided = len({who.of[n] for n in np.flatnonzero(members).tolist()})
    drawn = count(individuals(labels, members))
    return Part(what, int(members.sum()), decided, drawn.mean, drawn.low, drawn.high)
