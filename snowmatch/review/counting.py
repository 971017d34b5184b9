"""How many individuals there are: groupings of the sightings, drawn from what photos and observers say."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from snowmatch.decisions.who import Who
from snowmatch.review.draws import draw
from snowmatch.review.graph import SURE, weights_of
from snowmatch.review.likely import Evidence
from snowmatch.review.questions import Questions

ENOUGH = 1.0  # individuals: comparisons stop to matter if the number would change by less


@dataclass(frozen=True)
class Count:
    """The number of individuals of some sightings.

    what: such as "all", "location naryn" or "left flank". sightings: their number. decided: individuals by the
    decisions alone. mean, low, high: of the draws, with a 95 % interval.
    """

    what: str
    sightings: int
    decided: int
    mean: float
    low: float
    high: float


@dataclass(frozen=True, eq=False)
class Counts:
    """The numbers of individuals, and the groupings that they come from.

    draws: (D, S) int, a number for the individual of each sighting. questions: about how many comparisons are left;
    would_change: by how many individuals they could change the number (the half width of the interval).
    """

    counts: tuple[Count, ...]
    draws: np.ndarray
    questions: int
    would_change: float


def count_individuals(
    who: Who, evidence: Evidence, accuracy: Callable[[str], float], *, draws: int = 400, seed: int = 0
) -> Counts:
    """Draw groupings of all sightings, and count individuals: all, by location, and by flank.

    The same decisions, evidence and seed give the same numbers. No sightings give zeros.
    """
    weights = weights_of(who, evidence, accuracy)
    labels = draw(weights, draws=draws, seed=seed)
    found = [_count("all", np.ones(len(who.sightings), bool), who, labels)]
    places = np.array([s.location for s in who.sightings], str)
    named = sorted({place for place in places.tolist() if place})
    if len(named) > 1 or (named and (places == "").any()):
        found += [_count(f"location {place}", places == place, who, labels) for place in named]
    for part, what in (("left_flank", "left flank"), ("right_flank", "right flank")):
        shows = np.array([part in s.body_parts for s in who.sightings], bool)
        if shows.any() and not shows.all():
            found.append(_count(what, shows, who, labels))
    open_questions = Questions(weights, margin=2 * SURE).open()
    spread = (found[0].high - found[0].low) / 2
    return Counts(tuple(found), labels, open_questions, spread)


def _count(what: str, members: np.ndarray, who: Who, labels: np.ndarray) -> Count:
    numbers = np.array([len(np.unique(row[members])) for row in labels], np.float64)
    decided = len({who.of[n] for n in np.flatnonzero(members).tolist()})
    if not len(numbers):
        return Count(what, 0, 0, 0.0, 0.0, 0.0)
    low, high = np.quantile(numbers, (0.025, 0.975), method="closest_observation")
    return Count(what, int(members.sum()), decided, float(numbers.mean()), float(low), float(high))
