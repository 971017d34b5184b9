"""What persons answered about each pair of sightings: the last answer of each observer, and the adjudicator's."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import combinations

from snowmatch.decisions.row import CANNOT_TELL, REPEAT, Decision
from snowmatch.decisions.sightings import find_sighting
from snowmatch.decisions.who import Who

Key = tuple[str, str]  # a pair of sightings: an identifier of an annotation of either, in order
Place = Callable[[Decision], Key | None]


@dataclass(frozen=True)
class Reading:
    """The answers of persons to one pair.

    answers: by observer, the last of each. adjudicated: the adjudicator's last, or None.
    """

    answers: Mapping[str, Decision]
    adjudicated: Decision | None

    def comparisons(self) -> Iterator[tuple[Decision, Decision]]:
        """Yield the answers of every two observers, in the order of their names."""
        return combinations([self.answers[name] for name in sorted(self.answers)], 2)


def by_sighting(who: Who) -> Place:
    """Return the function that tells which pair a decision is about; None if its photos are not in the catalog.

    Two sides of one sighting are a pair as well: they have the identifiers of the sides.
    """

    def place(row: Decision) -> Key | None:
        a, b = find_sighting(who.number_of, row.side_a), find_sighting(who.number_of, row.side_b)
        if a is None or b is None:
            return None
        return by_annotation(row) if a == b else _key(who.sightings[a].key, who.sightings[b].key)

    return place


def by_annotation(row: Decision) -> Key:
    """Return the pair that a decision is about, without a catalog: the smallest identifiers of its sides."""
    return _key(min(row.side_a), min(row.side_b))


def _key(one: str, other: str) -> Key:
    return (one, other) if one <= other else (other, one)


def is_reading(row: Decision) -> bool:
    """Return whether a row is an observer's answer about two sightings: no training, no import, no adjudication."""
    return row.kind == "pair" and row.role == "observer" and row.mode != "training"


def read_pairs(rows: Iterable[Decision], place: Place) -> dict[Key, Reading]:
    """Return the readings of all pairs that a person has answered, in the order of the first answer.

    rows: the decisions in effect, in the order of their identifiers. Hidden repetitions do not count, nor decisions
    that have no place. No rows give an empty dictionary.
    """
    answers: dict[Key, dict[str, Decision]] = {}
    adjudicated: dict[Key, Decision] = {}
    for row in rows:
        judges = row.kind == "pair" and row.role == "adjudicator" and row.mode != "training"
        if not judges and (not is_reading(row) or REPEAT in row.tags):
            continue
        key = place(row)
        if key is None:
            continue
        said = answers.setdefault(key, {})
        if judges:
            adjudicated[key] = row
        else:
            said[row.observer] = row
    return {key: Reading(said, adjudicated.get(key)) for key, said in answers.items()}


def independent(one: Decision, other: Decision) -> bool:
    """Return whether the later of two answers was given blind: that observer did not see the earlier one."""
    return max((one, other), key=lambda row: row.id).mode == "blind"


def decided(row: Decision | None) -> bool:
    """Return whether an answer is `same` or `different`."""
    return row is not None and row.answer != CANNOT_TELL
