"""Alpha: how often an identification is right, from the machine's audited sample and from second readings."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from snowmatch.decisions.row import CANNOT_TELL, Decision
from snowmatch.decisions.who import Who
from snowmatch.review.machine import machine_error
from snowmatch.review.readings import by_sighting, decided, independent, read_pairs
from snowmatch.review.shares import Share, make_share


@dataclass(frozen=True)
class Alpha:
    """How often decisions about two sightings are right, 0 to 1, with 95 % intervals.

    machine: of the machine's decisions, in the sample that persons have checked. persons: of the first answers of
    persons, where a second observer answered blind. waiting: of these, disagreements that no adjudicator has decided;
    each counts as wrong.
    """

    machine: Share
    persons: Share
    waiting: int


def identification_rate(rows: Sequence[Decision], who: Who) -> Alpha:
    """Return how often decisions are right. rows: all, in the order of their identifiers. No decisions give 0 of 0.

    A capture that rests on one decision is identified rightly as often. Two observers who agree count as right: both
    may be wrong, so alpha is rather too high.
    Source: alpha of closed models with misidentification, Lukacs & Burnham, 2005 (J. Wildlife Management 69:396-403).
    """
    wrong = machine_error(rows, who).wrong
    right = of = waiting = 0
    for reading in read_pairs(rows, by_sighting(who)).values():
        answers = sorted(reading.first.values(), key=lambda row: row.id)
        if len(answers) < 2 or not independent(answers[0], answers[1]) or not all(map(decided, answers[:2])):
            continue
        truth = reading.adjudicated
        if truth is not None and truth.answer == CANNOT_TELL:
            continue
        agreed = answers[0].answer == answers[1].answer
        of += 1
        right += answers[0].answer == truth.answer if truth is not None else agreed
        waiting += truth is None and not agreed
    return Alpha(make_share(wrong.of - wrong.count, wrong.of), make_share(right, of), waiting)
