"""A finding: one kind of fault in a catalog, with all its cases."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from typing import Any

from snowmatch.catalog.ids import all_ids
from snowmatch.catalog.load import CatalogData
from snowmatch.catalog.records import Records
from snowmatch.core.notes import Note
from snowmatch.core.text import counted
from snowmatch.core.types import Annotation
from snowmatch.decisions.effect import in_effect
from snowmatch.review.doctor.stations import Stations
from snowmatch.review.identities import Identities

# `serious`: counts are wrong, or a name contradicts a fact. `check`: a person should look. `hint`: it can be better.
SERIOUS, CHECK, HINT = SEVERITIES = ("serious", "check", "hint")


@dataclass(frozen=True)
class Finding:
    """One kind of fault, with all its cases. The text names no command; the command line adds it by the code.

    severity: one of SEVERITIES. text: what was found, with the number of cases. cases: one line for each case, the
    worst first; () if the text says all. photos: paths. annotations: identifiers, of photos that were indexed.
    encounters: names. data: the values behind the text.
    """

    code: str
    severity: str
    text: str
    cases: tuple[str, ...] = ()
    data: Mapping[str, Any] = field(default_factory=dict, compare=False)
    photos: tuple[str, ...] = ()
    annotations: tuple[str, ...] = ()
    encounters: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.severity not in SEVERITIES:
            raise ValueError(f"severity is {self.severity!r}, expected one of {', '.join(SEVERITIES)}")


@dataclass(frozen=True, eq=False)
class Patient:
    """What is examined: a catalog, the records of its files, and the places of its stations.

    now: times after it are in the future. identities: who is who by the decisions, and by the reading that `data` is
    of; None without a file of decisions.
    """

    data: CatalogData
    records: Records
    stations: Stations
    now: datetime
    identities: Identities | None = None

    @cached_property
    def identifiers(self) -> tuple[str, ...]:
        """The identifier of each annotation, in the catalog's order; "" if it was never indexed."""
        return all_ids(self.data.folder, self.data.annotations)

    @cached_property
    def photos(self) -> Mapping[str, tuple[Annotation, ...]]:
        """The annotations of each photo, by path, sorted by path."""
        return grouped(self.data.annotations, lambda a: a.path)

    @cached_property
    def encounters(self) -> Mapping[str, tuple[Annotation, ...]]:
        """The annotations of each encounter, by its name, sorted by name."""
        return grouped(self.data.annotations, lambda a: a.encounter)

    @cached_property
    def decided(self) -> frozenset[int]:
        """The numbers of the annotations that have their names by decisions, which a correction of the table leaves.

        A rename gives the name of the table another text: of a row with another name there, it says nothing.
        """
        who = self.identities
        if who is None:
            return frozenset()
        acts = [row for row in in_effect(who.rows) if row.kind in ("name", "merge", "split")]
        named = {each for row in acts for each in (*row.side_a, *(row.side_b if row.kind == "merge" else ()))}
        labels = who.who.labels
        return frozenset(
            a.row
            for a, old in zip(self.data.annotations, who.annotations, strict=True)
            if self.identifiers[a.row] in named or a.individual != labels.get(old.individual or "", old.individual)
        )

    @cached_property
    def renamed(self) -> frozenset[int]:
        """The numbers of the annotations with another name than in the table: there it may mean a second animal."""
        who = self.identities
        pairs = zip(self.data.annotations, who.annotations, strict=True) if who is not None else ()
        return frozenset(a.row for a, old in pairs if a.individual != old.individual)

    def taken(self, a: Annotation) -> datetime | None:
        """Return the time of an annotation; None without one, or if it is a date alone."""
        return None if a.dated else a.timestamp

    def notes(self, *codes: str) -> Iterator[Note]:
        """Return the notes of the loading with these codes."""
        return (note for note in self.data.notes if note.code in codes)

    def finding(
        self,
        code: str,
        severity: str,
        text: str,
        cases: Sequence[str],
        about: Iterable[Annotation],
        **data: Any,
    ) -> Finding:
        """Return a finding about some annotations, with their photos, identifiers and encounters.

        Its data has `decided` if one of them has its name by decisions, and `renamed` if that is not the table's.
        """
        rows = {a.row: a for a in about}
        data |= {"decided": True} if rows.keys() & self.decided else {}
        data |= {"renamed": True} if rows.keys() & self.renamed else {}
        return Finding(
            code,
            severity,
            text,
            tuple(cases),
            data,
            tuple(sorted({a.path for a in rows.values()})),
            tuple(sorted({name for row in rows if (name := self.identifiers[row])})),
            tuple(sorted({a.encounter for a in rows.values()})),
        )


# One subject of the examination. To add one, write a function and add it to SOURCES in `examine`.
Source = Callable[[Patient], Iterable[Finding]]


def grouped(annotations: Iterable[Annotation], key: Callable[[Annotation], str]) -> dict[str, tuple[Annotation, ...]]:
    """Return the annotations by a text, sorted by the text; the order inside a group stays. None give {}."""
    groups: dict[str, list[Annotation]] = {}
    for a in annotations:
        groups.setdefault(key(a), []).append(a)
    return {name: tuple(groups[name]) for name in sorted(groups)}


def names_of(annotations: Iterable[Annotation]) -> list[str]:
    """Return the names of the individuals, sorted, each once. Unidentified animals have none."""
    return sorted({a.individual for a in annotations if a.individual is not None})


def verb(number: int, one: str, several: str) -> str:
    """Return the number's form of a verb: "1 photo has", "2 photos have"."""
    return one if number == 1 else several


def count_of(items: Collection[Any], word: str, several: str = "") -> str:
    """Return the number of items with their noun."""
    return counted(len(items), word, several)
