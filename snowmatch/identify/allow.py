"""The second step of a query: the choice of the annotations that may answer."""

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
    """The annotations that may answer a query.

    entries: (A,) bool, True for each annotation of the galleries that may answer.
    excluded: the names of the encounters that may not answer.
    """

    entries: np.ndarray
    excluded: frozenset[str]
    notes: tuple[Note, ...]


def allow(session: Session, question: Question, resolved: Resolved) -> Allowed:
    """Return which annotations of the galleries may answer the question.

    An annotation may answer if its body part is compatible with the query's, if it is from one of the question's
    locations (no locations: from any), and if its encounter is not excluded. Three kinds of encounters are excluded:
    encounters that the question names, encounters that contain a query photo, and encounters at the question's station
    at the time of the query. Raises SnowmatchError if a location or an encounter is not in the catalog.
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
        text = f"{counted(nowhere, 'annotation')} without a location and therefore not compared"
        notes.append(Note("without-location", text, {"count": nowhere}))
    return Allowed(entries, excluded, tuple(notes))


def _same_passage(
    session: Session, question: Question, taken: Sequence[datetime | None]
) -> tuple[set[str], list[Note]]:
    """Return the encounters of the same passage as the query, and notes.

    They have a photo from the question's station that was taken at most ENCOUNTER_GAP before or after a query photo.
    Photos of one passage are not evidence for each other.
    """
    station, notes = question.station, list[Note]()
    if station is None:
        if question.timestamp is not None:
            text = "the time excludes no encounter, because the station is not known: give the station too"
            notes.append(Note("time-without-station", text))
        return set(), notes
    here = [
        a
        for a in session.data.annotations
        if a.station == station and (not question.locations or a.location in question.locations)
    ]
    times = [question.timestamp] if question.timestamp is not None else [t for t in taken if t is not None]
    if not here:
        known = sorted({a.station for a in session.data.annotations if a.station})
        text = f"the catalog has no photo from station {station!r}{did_you_mean(station, known)}"
        notes.append(Note("unknown-station", text, {"station": station}))
    elif not times:
        text = f"the time of the query is not known, so encounters of the same passage at station {station} may answer"
        notes.append(Note("station-without-time", text, {"station": station}))
    passing = {a.encounter for a in here if a.timestamp and any(abs(a.timestamp - t) <= ENCOUNTER_GAP for t in times)}
    if passing:
        text = f"same passage at station {station} and therefore not compared: {', '.join(sorted(passing))}"
        notes.append(Note("same-passage", text, {"station": station, "encounters": sorted(passing)}))
    return passing, notes


def _check_encounters(session: Session, names: Sequence[str]) -> None:
    known = {a.encounter for a in session.data.annotations} if names else set()
    for name in names:
        if name not in known:
            raise SnowmatchError(
                f"{session.folder} has no encounter {name!r}{did_you_mean(name, sorted(known))}",
                "unknown-encounter",
                catalog=str(session.folder),
            )
