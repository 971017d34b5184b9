"""The value of the encounters of a catalog as evidence."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from itertools import combinations

from snowmatch.catalog.load import CatalogData
from snowmatch.core.notes import Note
from snowmatch.core.types import Annotation, same_part

# Codes of the notes that matter for figures of a catalog
EVIDENCE = (
    "no-times",
    "no-station",
    "no-station-no-camera",
    "long-encounters",
    "named-encounters-long",
    "clock-set-back",
    "other-times",
    "copies",
    "copies-with-two-names",
    "two-names",
    "encounters-at-several-places",
    "encounters-half-named",
    "names-of-machine",
    "doubtful-names",
    "camera-folders",
    "individuals-alike",
    "individuals-together",
    "individuals-rewritten",
    "folders-of-years",
    "decisions-quarrel",
    "settings-damaged",
)


def evidence_notes(data: CatalogData) -> list[Note]:
    """Return those notes of the catalog that say whether its photos may be evidence for themselves, or its names wrong.

    With damaged settings, encounters may be divided otherwise.
    """
    return [note for note in data.notes if note.code in EVIDENCE]


def count_encounter_pairs(annotations: Iterable[Annotation]) -> int:
    """Return the number of pairs of passages that show one individual from the same side, or from an unknown side."""
    parts: dict[str, dict[str, set[str]]] = {}
    for a in annotations:
        if a.individual is not None:
            parts.setdefault(a.individual, {}).setdefault(a.passage, set()).add(a.body_part)
    return sum(_pairs(Counter(map(frozenset, passages.values()))) for passages in parts.values())


def _pairs(kinds: Counter[frozenset[str]]) -> int:
    """Return the number of pairs of passages with a side in common. kinds: the number of passages with each set of
    sides.
    """
    total = sum(
        count * (count - 1) // 2 for count in kinds.values()
    )  # passages with equal sets of sides have a side in common
    for (one, n), (other, m) in combinations(kinds.items(), 2):
        if any(same_part(p, q) for p in one for q in other):
            total += n * m
    return total
