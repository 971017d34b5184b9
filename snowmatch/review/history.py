"""The decisions about some annotations, and the last answer of an observer."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from snowmatch.decisions.effect import holding, in_effect
from snowmatch.decisions.row import Decision
from snowmatch.review.identities import Identities

# For each way to review: the mode and the role that its answers are stored with
WAYS = {
    "open": ("open", "observer"),
    "blind": ("blind", "observer"),
    "adjudicate": ("open", "adjudicator"),
    "training": ("training", "observer"),
}


@dataclass(frozen=True)
class Past:
    """A decision, and whether it is in effect; an undo is, unless it was taken back itself."""

    decision: Decision
    valid: bool


def history_of(identities: Identities, annotations: Collection[str]) -> tuple[Past, ...]:
    """Return all decisions about some annotations, the last one first, those that were taken back included.

    annotations: their identifiers. Answers in training are left out. No decisions give ().
    """
    about = set(annotations)
    valid = holding(identities.rows)
    return tuple(
        Past(row, row.id in valid)
        for row in reversed(identities.rows)
        if row.mode != "training" and not about.isdisjoint((*row.side_a, *row.side_b))
    )


def last_answer(identities: Identities, observer: str, way: str) -> tuple[str, ...]:
    """Return the id of the observer's last answer in effect that was given in this way (see WAYS); () without one."""
    mode, role = WAYS[way]
    for row in reversed(in_effect(identities.rows)):
        if row.kind == "pair" and (row.observer, row.mode, row.role) == (observer, mode, role):
            return (row.id,)
    return ()
