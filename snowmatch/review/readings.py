"""What persons answered about each pair of sightings: each observer's first and last answer, and the adjudicator's."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import combinations

from snowmatch.decisions.effect import holding
from snowmatch.decisions.row import CANNOT_TELL, REPEAT, Decision
from snowmatch.decisions.sightings import find_sighting
from snowmatch.decisions.who import Who

Key = tuple[str, str]  # a pair of sightings: an identifier of an annotation of either, in order
Place = Callable[[Decision], Key | None]

SLIP = 30 * 60.0  # seconds: an answer that its observer takes back by then was never one; chosen


@dataclass(frozen=True)
class Reading:
    """The answers of persons to one pair.

    first: by observer, the first of each: how well persons tell animals apart. A later one may have learned from
    others. answers: by observer, the last of each that is in effect: what they say now. adjudicated: the adjudicator's
    last, or None.
    """

    first: Mapping[str, Decision]
    answers: Mapping[str, Decision]
    adjudicated: Decision | None

    def comparisons(self) -> Iterator[tuple[Decision, Decision]]:
        """Yield the first answers of every two observers, in the order of their names."""
        return combinations([self.first[name] for name in sorted(self.first)], 2)


def by_sighting(who: Who) -> Place:
    """Return the function that tells which pair a decision is about; None if its photos are not in the catalog.

    Two sides of one sighting are a pair as well: they have the smallest identifiers of the sides that are in the
    catalog.
    """

    def place(row: Decision) -> Key | None:
        a, b = find_sighting(who.number_of, row.side_a), find_sighting(who.number_of, row.side_b)
        if a is None or b is None:
            return None
        if a != b:
            return _key(who.sightings[a].key, who.sightings[b].key)
        one, other = (min(name for name in side if name in who.number_of) for side in (row.side_a, row.side_b))
        return _key(one, other)

    return place


def by_annotation(row: Decision) -> Key:
    """Return the pair that a decision is about, without a catalog: the smallest identifiers of its sides."""
    return _key(min(row.side_a), min(row.side_b))


def by_sighting_or_annotation(who: Who | None) -> Callable[[Decision], Key]:
    """Return the function that tells which pair a decision is about: as `by_sighting` does, so that answers from before
    and after a photo came are about one pair; as `by_annotation`, if its photos are not in the catalog, or for None.
    """
    place = by_sighting(who) if who is not None else lambda _: None
    return lambda row: place(row) or by_annotation(row)


def _key(one: str, other: str) -> Key:
    return (one, other) if one <= other else (other, one)


def is_reading(row: Decision) -> bool:
    """Return whether a row is an observer's answer about two sightings: no training, no import, no adjudication."""
    return row.kind == "pair" and row.role == "observer" and row.mode != "training"


def is_judgement(row: Decision) -> bool:
    """Return whether a row is an adjudicator's answer about two sightings."""
    return row.kind == "pair" and row.role == "adjudicator" and row.mode != "training"


def read_pairs(rows: Sequence[Decision], place: Place) -> dict[Key, Reading]:
    """Return the readings of all pairs that a person has answered, in the order of the first answer.

    rows: all decisions, in the order of their identifiers. Hidden repetitions do not count, nor decisions that have no
    place. An answer that was taken back is no last one. It is no first one either if its observer took it back within
    SLIP; who takes it back later may have learned that it was wrong. No rows give an empty dictionary.
    """
    valid = holding(rows)
    slips = _slips(rows, valid)
    first: dict[Key, dict[str, Decision]] = {}
    answers: dict[Key, dict[str, Decision]] = {}
    adjudicated: dict[Key, Decision] = {}
    for row in rows:
        judges = is_judgement(row)
        if not judges and (not is_reading(row) or REPEAT in row.tags):
            continue
        if row.id in slips or (judges and row.id not in valid):
            continue
        key = place(row)
        if key is None:
            continue
        said = first.setdefault(key, {})
        if judges:
            adjudicated[key] = row
        else:
            said.setdefault(row.observer, row)
            if row.id in valid:
                answers.setdefault(key, {})[row.observer] = row
    return {key: Reading(said, answers.get(key, {}), adjudicated.get(key)) for key, said in first.items()}


def without_slips(rows: Sequence[Decision]) -> list[Decision]:
    """Return the decisions but for those that their observer took back within SLIP, in the order of `rows`.

    Those that were taken back later, or by somebody else, are among them. rows: all decisions, in the order of their
    identifiers.
    """
    slips = _slips(rows, holding(rows))
    return [row for row in rows if row.id not in slips]


def _slips(rows: Sequence[Decision], valid: set[str]) -> set[str]:
    """Return the ids of the decisions that their observer took back within SLIP. valid: the ids of what holds.

    If the time is not known, it counts as short.
    """
    by_id = {row.id: row for row in rows}
    found = set()
    for undo in rows:
        row = by_id.get(undo.answer) if undo.kind == "undo" and undo.id in valid else None
        if row is not None and row.observer == undo.observer:
            took = seconds_between(row.decided_at, undo.decided_at)
            if took is None or took <= SLIP:
                found.add(row.id)
    return found


def seconds_between(earlier: str, later: str) -> float | None:
    """Return the seconds from one moment (ISO 8601, UTC if no zone is given) to another; None if one is not known."""
    try:
        moments = [datetime.fromisoformat(text) for text in (earlier, later)]
    except ValueError:
        return None
    opened, closed = (each if each.tzinfo else each.replace(tzinfo=UTC) for each in moments)
    return (closed - opened).total_seconds()


def independent(one: Decision, other: Decision) -> bool:
    """Return whether the later of two answers was given blind: that observer did not see the earlier one."""
    return max((one, other), key=lambda row: row.id).mode == "blind"


def decided(row: Decision | None) -> bool:
    """Return whether an answer is `same` or `different`."""
    return row is not None and row.answer != CANNOT_TELL
