"""Sightings of a catalog: one animal in one encounter, with its flanks, its time and what is known of the animal."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from snowmatch.core.notes import Note
from snowmatch.core.text import counted, some
from snowmatch.core.types import Annotation

TOGETHER = timedelta(seconds=10)  # photos of both sides this close show one animal at one moment
TRAITS = ("sex", "age_class")  # what a sighting tells of its animal


@dataclass(frozen=True)
class Sighting:
    """One animal in one encounter. An empty text means "not known".

    individual: None for an unidentified animal. start, end: of its photos; None without times. flank: `L`, `R`, `B`
    (both sides) or "". simultaneous: both sides within TOGETHER or in one photo. rows: numbers of its annotations.
    dated: whether `start` is a day, without a time of day.
    """

    encounter: str
    individual: str | None
    animal: int
    location: str
    station: str
    cameras: tuple[str, ...]
    start: datetime | None
    end: datetime | None
    flank: str
    simultaneous: bool
    rows: tuple[int, ...]
    photos: tuple[str, ...]
    species: str = ""
    sex: str = ""
    age_class: str = ""
    dated: bool = False

    def shows(self, side: str) -> bool:
        """Return whether the sighting shows this side, `L` or `R`."""
        return self.flank in (side, "B")


def make_sightings(
    annotations: Iterable[Annotation], traits: Mapping[str, Mapping[int, str]], notes: list[Note]
) -> list[Sighting]:
    """Return the sightings, in the order of time, then of name. No annotations give none.

    What the screening left out is none, with a note.
    traits: for `sex` and `age_class`, the value of each annotation that has one, by row. An animal has one sex: a
    contradiction makes it unknown, with a note.
    """
    groups: dict[tuple[str, str, int], list[Annotation]] = defaultdict(list)
    left_out = 0
    for a in annotations:
        if a.left_out:
            left_out += 1
            continue
        named = a.individual is not None
        groups[a.encounter, a.individual or "", 0 if named else a.animal + 1].append(a)
    if left_out:
        text = f"{counted(left_out, 'annotation')} of which the screening kept no photo are no sightings"
        notes.append(Note("screened-out", text, {"count": left_out}))
    found = [_sighting(members, traits) for members in groups.values()]
    sexes = _one_sex(found, traits["sex"], notes)
    found = [s if s.individual is None else replace(s, sex=sexes.get(s.individual, "")) for s in found]
    return sorted(
        found, key=lambda s: (s.start or datetime.max, s.location, s.station, s.encounter, s.individual or "", s.animal)
    )


def _sighting(members: Sequence[Annotation], traits: Mapping[str, Mapping[int, str]]) -> Sighting:
    first = members[0]
    times = [a.timestamp for a in members if a.timestamp is not None]
    left = [a for a in members if a.body_part == "left_flank"]
    right = [a for a in members if a.body_part == "right_flank"]
    return Sighting(
        encounter=first.encounter,
        individual=first.individual,
        animal=first.animal,
        location=first.location,
        station=next((a.station for a in members if a.station), ""),
        cameras=tuple(sorted({a.camera for a in members if a.camera})),
        start=min(times, default=None),
        end=max(times, default=None),
        flank="B" if left and right else "L" if left else "R" if right else "",
        simultaneous=any(_together(a, b) for a in left for b in right),
        rows=tuple(a.row for a in members),
        photos=tuple(sorted({a.path for a in members})),
        species=next((a.species for a in members if a.species), ""),
        dated=any(a.dated and a.timestamp == min(times) for a in members),
        **{name: _single(traits[name][a.row] for a in members if a.row in traits[name]) for name in TRAITS},
    )


def _together(a: Annotation, b: Annotation) -> bool:
    if a.path == b.path:
        return True
    if a.timestamp is None or b.timestamp is None or a.dated or b.dated:
        return False
    return abs(a.timestamp - b.timestamp) <= TOGETHER


def _single(values: Iterable[str]) -> str:
    different = sorted(set(values))
    return different[0] if len(different) == 1 else ""


def _one_sex(sightings: Iterable[Sighting], known: Mapping[int, str], notes: list[Note]) -> dict[str, str]:
    """Return the sex of each individual whose photos agree."""
    told: dict[str, set[str]] = defaultdict(set)
    for s in sightings:
        if s.individual is not None:
            told[s.individual] |= {known[row] for row in s.rows if row in known}
    if unclear := sorted(name for name, sexes in told.items() if len(sexes) > 1):
        text = f"the catalog has both sexes for {some(unclear)}: their sex counts as unknown"
        notes.append(Note("sexes-contradict", text, {"individuals": unclear}))
    return {name: next(iter(sexes)) for name, sexes in told.items() if len(sexes) == 1}
