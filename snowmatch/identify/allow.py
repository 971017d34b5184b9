"""Second step of a query: which annotations on record may answer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import numpy as np

from snowmatch.catalog.encounters import ENCOUNTER_GAP
from snowmatch.catalog.load import check_locations
from snowmatch.core.errors import SnowmatchError
from snowmatch.core.notes import Note
from snowmatch.core.text import counted, did_you_mean
from snowmatch.core.types import same_part
from snowmatch.identify.question import Question
from snowmatch.identify.resolve import Resolved
from snowmatch.identify.session import Session


@dataclass(frozen=True, eq=False)
class Allowed:
    """(A,) bool: which annotations of the galleries may answer, and the encounters that were left out."""

    entries: np.ndarray
    excluded: frozenset[str]
    notes: tuple[Note, ...]


def allow(session: Session, question: Question, resolved: Resolved) -> Allowed:
    """Annotations of a compatible body part, in the locations asked about, and of other encounters than the query's.

    Left out are the encounters named in the question, those that the photos are on record in, and passages on record
    at the question's station at the same time. SnowmatchError where a location or an encounter is not in the catalog.
    """
    check_locations(session.data, question.locations)
    _check_encounters(session, question.exclude_encounters)
    passing, notes = _same_passage(session, question, [a.taken for a in resolved.photos])
    excluded = frozenset(question.exclude_encounters).union(passing, *(a.encounters for a in resolved.photos))
    annotations = session.gallery.annotations
    entries = np.array(
        [
            same_part(a.body_part, resolved.body_part)
            and a.encounter not in excluded
            and (not question.locations or a.location in question.locations)
            for a in annotations
        ],
        bool,
    )
    if question.locations and (nowhere := sum(not a.location for a in annotations)):
        text = f"{counted(nowhere, 'annotation')} without a location left out"
        notes.append(Note("without-location", text, {"count": nowhere}))
    return Allowed(entries, excluded, tuple(notes))


def _same_passage(
    session: Session, question: Question, taken: Sequence[datetime | None]
) -> tuple[set[str], list[Note]]:
    """Encounters on record at the station within the encounter gap of the photos: the same passage, no evidence."""
    station, notes = question.station, list[Note]()
    if station is None:
        if question.timestamp is not None:
            notes.append(Note("time-without-station", "the time alone leaves nothing out: give the station too"))
        return set(), notes
    here = [
        a
        for a in session.data.annotations
        if a.station == station and (not question.locations or a.location in question.locations)
    ]
    times = [question.timestamp] if question.timestamp is not None else [t for t in taken if t is not None]
    if not here:
        known = sorted({a.station for a in session.data.annotations if a.station})
        text = f"no photo on record is from station {station!r}{did_you_mean(station, known)}"
        notes.append(Note("unknown-station", text, {"station": station}))
    elif not times:
        text = f"no time for station {station}, so nothing could be left out as the same passage"
        notes.append(Note("station-without-time", text, {"station": station}))
    passing = {a.encounter for a in here if a.timestamp and any(abs(a.timestamp - t) <= ENCOUNTER_GAP for t in times)}
    if passing:
        text = f"left out as the same passage at station {station}: {', '.join(sorted(passing))}"
        notes.append(Note("same-passage", text, {"station": station, "encounters": sorted(passing)}))
    return passing, notes


def _check_encounters(session: Session, names: Sequence[str]) -> None:
    known = {a.encounter for a in session.data.annotations} if names else set()
    for name in names:
        if name not in known:
            raise SnowmatchError(
                f"no encounter {name!r} in {session.folder}{did_you_mean(name, sorted(known))}",
                "unknown-encounter",
                catalog=str(session.folder),
            )
