"""Which decisions are in effect: those that were not taken back."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from snowmatch.decisions.row import REPEAT, Decision


def in_effect(rows: Sequence[Decision]) -> list[Decision]:
    """Return the decisions that were not taken back, in the order of `rows`, without the rows of the kind undo.

    An undo can be taken back as well. rows: in the order of their identifiers. No rows give an empty list.
    """
    found = holding(rows)
    return [row for row in rows if row.kind != "undo" and row.id in found]


def holding(rows: Sequence[Decision]) -> set[str]:
    """Return the ids of the rows that were not taken back, those of the kind undo as well."""
    undos: dict[str, list[Decision]] = defaultdict(list)
    for row in rows:
        if row.kind == "undo":
            undos[row.answer].append(row)
    known: dict[str, bool] = {}

    def holds(name: str) -> bool:
        waiting = [name]
        while waiting:
            at = waiting[-1]
            by = [undo.id for undo in undos.get(at, ())]
            known.setdefault(at, not by)  # rows that undo each other: each counts until the other is known
            if missing := [each for each in by if each not in known]:
                waiting += missing
                continue
            known[at] = not any(known[each] for each in by)
            waiting.pop()
        return known[name]

    return {row.id for row in rows if holds(row.id)} if undos else {row.id for row in rows}


def counts(decision: Decision) -> bool:
    """Return whether an answer says who is who: answers in training, and repetitions, only measure the observer."""
    return decision.mode != "training" and REPEAT not in decision.tags
