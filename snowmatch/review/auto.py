"""Decisions of the machine, by a rule that a person states."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

from snowmatch.confidence.levels import LEVEL_NAMES, Levels
from snowmatch.core.errors import SnowmatchError
from snowmatch.core.text import choices
from snowmatch.decisions.effect import in_effect
from snowmatch.decisions.row import SAME, Decision
from snowmatch.decisions.row import SAMPLE as SAMPLE
from snowmatch.decisions.sightings import comparable
from snowmatch.review.graph import Known
from snowmatch.review.identities import Identities, draft, sides_of
from snowmatch.review.likely import Evidence
from snowmatch.review.observer_name import MACHINE


@dataclass(frozen=True)
class Policy:
    """Which pairs the machine decides: those of the level `lowest` or better.

    sample: the share that persons check; above 0 it is at least one pair of each run.
    """

    lowest: str = "excellent"
    sample: float = 0.05

    def __post_init__(self) -> None:
        if self.lowest not in LEVEL_NAMES[:-1]:
            raise SnowmatchError(
                f"{self.lowest!r} is not a level to decide from; {choices(self.lowest, LEVEL_NAMES[:-1])}"
            )
        if not 0 <= self.sample <= 1:
            raise SnowmatchError(f"sample is {self.sample:g}, expected a share from 0 to 1, such as 0.05")


def auto_drafts(identities: Identities, evidence: Evidence, levels: Levels, policy: Policy) -> tuple[Decision, ...]:
    """Return the decisions of the machine: pairs of sightings that are one animal, the most likely first.

    A pair that follows from earlier decisions, or that was answered, is left out. A decision that was taken back is
    none: its pair is decided again, unless a person answers it. A sighting is never joined to an individual with
    another name. Nothing is stored. No pair of that level gives ().
    """
    who, known = identities.who, Known(identities.who)
    names = {n: {each.name} - {None} for n, each in ((known.individual(i.sightings[0]), i) for i in who.individuals)}
    lowest = LEVEL_NAMES.index(policy.lowest)
    rule = f"Pairs of the level {policy.lowest}" + ("" if policy.lowest == LEVEL_NAMES[0] else " or better")
    rule += (
        f", that is, one animal with a probability of {100 * getattr(levels, policy.lowest):g} % or more (lower bound)"
    )
    drafts: list[Decision] = []
    numbers: list[float] = []
    for likely in sorted(evidence.pairs.values(), key=lambda pair: (-pair.odds, pair.one, pair.other)):
        a, b = likely.one, likely.other
        level = levels.of(likely.careful)
        if LEVEL_NAMES.index(level) > lowest or not comparable(who.sightings[a], who.sightings[b]):
            continue
        one, other = known.individual(a), known.individual(b)
        if one == other or known.different(a, b) or (names[one] and names[other] and names[one] != names[other]):
            continue
        if (pair := who.pairs.get((a, b))) is not None and pair.answers:  # a person could not tell
            continue
        shown = {
            "probability": round(likely.probability, 6),
            "level": level,
            "spots": likely.spots,
            "from": policy.lowest,
        }
        drafts.append(
            draft(
                "pair",
                MACHINE,
                SAME,
                role="machine",
                side_a=sides_of(identities, [a]),
                side_b=sides_of(identities, [b]),
                note=rule,
                shown=shown,
            )
        )
        numbers.append(_number(identities, a, b))
        known.join(a, b)
        names[known.individual(a)] = names[one] | names[other]
    least = min(numbers, default=0.0)
    return tuple(
        d._replace(tags=(SAMPLE,)) if number < policy.sample or (policy.sample and number == least) else d
        for d, number in zip(drafts, numbers, strict=True)
    )


def _number(identities: Identities, a: int, b: int) -> float:
    """Return a number from 0 to 1 that depends only on the two sightings; the sample has the smallest numbers."""
    keys = sorted(identities.who.sightings[n].key for n in (a, b))
    return int(hashlib.sha256(" ".join(keys).encode()).hexdigest()[:8], 16) / 2**32


def read_share(text: str) -> float:
    """Return the share in a text such as "5%" or "0.05". Raises SnowmatchError if it is none."""
    try:
        share = float(text.removesuffix("%")) / (100 if text.endswith("%") else 1)
    except ValueError:
        share = -1.0
    if not 0 <= share <= 1:
        raise SnowmatchError(f"{text!r} is not a share, expected a number such as 5% or 0.05")
    return share


def machine_rows(rows: Sequence[Decision]) -> tuple[str, ...]:
    """Return the ids of all decisions of the machine that are in effect."""
    return tuple(row.id for row in in_effect(rows) if row.role == "machine")
