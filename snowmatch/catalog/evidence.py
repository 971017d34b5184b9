"""What a catalog's encounters are worth as evidence."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from itertools import combinations

from snowmatch.catalog.load import CatalogData
from snowmatch.core.notes import Note
from snowmatch.core.types import Annotation, same_part

# Codes of notes without which figures of a catalog are misread
EVIDENCE = (
    "no-times",
    "no-station",
    "no-station-no-camera",
    "long-encounters",
    "clock-set-back",
    "other-times",
    "copies",
    "copies-with-two-names",
    "encounters-at-several-places",
)


def evidence_notes(data: CatalogData) -> list[Note]:
    """Those of the catalog's notes that say whether its photos may be evidence for themselves."""
    return [note for note in data.notes if note.code in EVIDENCE]


def count_encounter_pairs(annotations: Iterable[Annotation]) -> int:
    """How many pairs of passages show one individual from the same side (or from one that is not known)."""
    parts: dict[str, dict[str, set[str]]] = {}
    for a in annotations:
        if a.individual is not None:
            parts.setdefault(a.individual, {}).setdefault(a.passage, set()).add(a.body_part)
    return sum(_pairs(Counter(map(frozenset, passages.values()))) for passages in parts.values())


def _pairs(kinds: Counter[frozenset[str]]) -> int:
    """How many pairs of passages have a side in common, from how many passages show which sides."""
    total = sum(count * (count - 1) // 2 for count in kinds.values())  # a passage's sides fit themselves
    for (one, n), (other, m) in combinations(kinds.items(), 2):
        if any(same_part(p, q) for p in one for q in other):
            total += n * m
    return total
