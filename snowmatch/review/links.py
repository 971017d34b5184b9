"""What joins the sightings of one individual, and which of these links are weak."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass

from snowmatch.core.unions import Unions
from snowmatch.decisions.row import SAME
from snowmatch.decisions.sightings import comparable
from snowmatch.decisions.who import DISPUTED, Individual, Pair, Who
from snowmatch.review.likely import Evidence

UNLIKELY = 0.5  # the photos speak against a link below this probability
ENOUGH = 0.95  # one answer alone is enough if the photos are as sure as this; chosen: the level good


@dataclass(frozen=True)
class Link:
    """What joins two sightings of one individual.

    how: of `answer`, `merge` and `name`. answers: number of observers, the machine included, who said `same`.
    probability: by the photos; None if they say next to nothing, or if nothing was compared. weak: `unlikely` (the
    photos speak against it), `single` (one answer alone holds the two parts of the individual together, and the photos
    are not sure), or "".
    """

    a: int
    b: int
    how: tuple[str, ...]
    answers: int
    probability: float | None
    weak: str


def links_of(who: Who, individual: Individual, evidence: Evidence | None) -> tuple[Link, ...]:
    """Return the links of an individual, the weak ones first. evidence: of these sightings; None: nothing is weak.

    Sightings with one given name form a chain. An individual of one sighting has no links.
    """
    members = set(individual.sightings)
    how: dict[Pair, list[str]] = defaultdict(list)
    answers: dict[Pair, int] = {}
    for pair, state in who.pairs.items():
        if pair[0] in members and pair[1] in members and state.answer in (SAME, DISPUTED):
            how[pair].append("answer")
            answers[pair] = sum(said.answer == SAME for said in state.answers)
    for pair in sorted(who.links):
        if pair[0] in members and pair[1] in members:
            how[pair].append("merge")
    last: dict[str, int] = {}
    for number in individual.sightings:
        key = who.names[number]
        if key is not None:
            if key in last:
                how[last[key], number].append("name")
            last[key] = number
    found = [_link(who, pair, tuple(how[pair]), answers.get(pair, 0), list(how), evidence) for pair in how]
    rank = {"unlikely": 0, "single": 1, "": 2}
    return tuple(sorted(found, key=lambda link: (rank[link.weak], link.a, link.b)))


def _link(
    who: Who, pair: Pair, how: tuple[str, ...], answers: int, pairs: list[Pair], evidence: Evidence | None
) -> Link:
    a, b = pair
    if evidence is None:
        return Link(a, b, how, answers, None, "")
    probability = _probability(who, pair, evidence)
    weak = ""
    if probability is not None and probability < UNLIKELY and how != ("name",):
        weak = "unlikely"
    elif how == ("answer",) and answers < 2 and (probability is None or probability < ENOUGH):
        weak = "single" if _holds_alone(pair, pairs) else ""
    return Link(a, b, how, answers, probability, weak)


def _probability(who: Who, pair: Pair, evidence: Evidence) -> float | None:
    one, other = (who.sightings[n] for n in pair)
    if not comparable(one, other) or one.passage == other.passage:
        return None
    likely = evidence.pairs.get(pair)
    return likely.probability if likely is not None and likely.speaks else None


def _holds_alone(pair: Pair, pairs: list[Pair]) -> bool:
    """Return whether the two ends come apart without this link."""
    number: dict[int, int] = {}
    for each in pairs:
        for n in each:
            number.setdefault(n, len(number))
    joined = Unions(len(number))
    for each in pairs:
        if each != pair:
            joined.join(number[each[0]], number[each[1]])
    return joined.group_of(number[pair[0]]) != joined.group_of(number[pair[1]])
