"""The second step of a query: the choice of the annotations that may answer."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np

from snowmatch.catalog.encounters import is_derived
from snowmatch.catalog.load import check_locations
from snowmatch.core.errors import SnowmatchError
from snowmatch.core.notes import Note
from snowmatch.core.text import counted, did_you_mean, some
from snowmatch.core.types import Annotation
from snowmatch.identify.question import Question
from snowmatch.identify.resolve import AskedPhoto, Resolved
from snowmatch.identify.session import Session
from snowmatch.photos.facts import NO_FACTS


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

    An annotation may answer if its body part is compatible with that of a query photo, if it is from one of the
    question's locations (no locations: from any), and if its encounter is not excluded. These encounters are excluded:
    those that the question names, those that contain a query photo or a copy of one, and those at the question's
    station or of the photos' camera at the time of the query. Raises SnowmatchError if a location or an encounter is
    not in the catalog.
    """
    check_locations(session.data, question.locations)
    _check_encounters(session, question.exclude_encounters)
    passing, notes = _same_passage(session, question, [a.facts.taken for a in resolved.photos])
    recorded = frozenset(question.exclude_encounters).union(*(a.encounters for a in resolved.photos))
    copies = _copies(session, resolved.photos, recorded | passing, notes)
    passing |= _same_camera(session, resolved.photos, recorded | passing | copies, notes)
    passages = {a.passage for name in recorded | passing | copies for a in session.of_encounter(name)}
    excluded = frozenset(name for passage in passages for name in session.encounters_of(passage))
    annotations = session.gallery.annotations
    parts = {photo.body_part for photo in resolved.photos}
    entries = np.logical_or.reduce([session.gallery.of_part(part) for part in sorted(parts)])
    entries[[n for name in excluded for n in session.gallery.of_encounter(name)]] = False
    if question.locations:
        entries &= np.array([a.location in question.locations for a in annotations], bool)
    if question.locations and (nowhere := sum(not a.location for a in annotations)):
        text = f"{counted(nowhere, 'annotation')} without a location and therefore not compared"
        notes.append(Note("without-location", text, {"count": nowhere}))
    return Allowed(entries, excluded, tuple(notes))


def _copies(
    session: Session, photos: Sequence[AskedPhoto], known: AbstractSet[str], notes: list[Note]
) -> frozenset[str]:
    """Return the encounters on record with nearly the same picture as one of the photos, and add notes on new ones.

    A photo that the camera took more than the encounter gap before or after is not the same picture.
    """
    paths, likenesses = session.likenesses
    gap = session.data.settings.gap
    encounters: set[str] = set()
    for photo in photos:
        alike = [paths[n] for n in likenesses.nearly_equal(photo.facts.likeness)]
        times = [(path, photo.facts.exposed, session.data.facts[path].exposed) for path in alike]
        same = {path for path, one, other in times if one is None or other is None or abs(one - other) <= gap}
        found = {a.encounter for a in session.data.annotations if a.path in same} if same else set()
        if found - known:
            where = sorted({a.path for a in session.data.annotations if a.path in same and a.encounter not in known})
            name = photo.path or "the photo"
            text = f"{name} is nearly the same picture as {some(where)} on record, which is no evidence"
            notes.append(Note("copy-on-record", text, {"photo": photo.path, "paths": where}))
        encounters |= found
    return frozenset(encounters)


def _same_camera(
    session: Session, photos: Sequence[AskedPhoto], known: AbstractSet[str], notes: list[Note]
) -> set[str]:
    """Return the encounters on record from the same camera, within the encounter gap of one of the photos."""
    gap = session.data.settings.gap
    times = defaultdict(list)
    for photo in photos:
        if photo.facts.serial and photo.facts.taken is not None:
            times[photo.facts.serial].append(photo.facts.taken)
    found = set()
    for a in session.data.annotations if times else ():
        facts = session.data.facts.get(a.path, NO_FACTS)
        if facts.taken is not None and any(abs(facts.taken - t) <= gap for t in times.get(facts.serial, ())):
            found.add(a.encounter)
    if found - known:
        text = (
            f"left out as the same passage, by the camera's serial number and time: {', '.join(sorted(found - known))}"
        )
        notes.append(Note("same-passage", text, {"encounters": sorted(found - known)}))
    return found


def _same_passage(
    session: Session, question: Question, taken: Sequence[datetime | None]
) -> tuple[set[str], list[Note]]:
    """Return the encounters of the same passage as the query, and notes.

    They have a photo from the question's station that was taken at most the encounter gap before or after a query
    photo; one without a time of day may be of any passage of that day. Photos of one passage are not evidence for each
    other.
    """
    station, notes, gap = question.station, list[Note](), session.data.settings.gap
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
    locations = sorted({a.location for a in here if a.location})
    if not here:
        known = sorted({a.station for a in session.data.annotations if a.station})
        text = f"the catalog has no photo from station {station!r}{did_you_mean(station, known)}"
        notes.append(Note("unknown-station", text, {"station": station}))
    elif not times:
        text = f"the time of the query is not known, so encounters of the same passage at station {station} may answer"
        notes.append(Note("station-without-time", text, {"station": station}))
    if len(locations) > 1:
        text = f"station {station} is in {' and '.join(locations)}, and all of them count: give the location too"
        notes.append(Note("station-in-several-locations", text, {"station": station, "locations": locations}))
    passing = {a.encounter for a in here if any(_near(a, time, gap) for time in times)}
    if passing:
        text = f"same passage at station {station} and therefore not compared: {', '.join(sorted(passing))}"
        notes.append(Note("same-passage", text, {"station": station, "encounters": sorted(passing)}))
    return passing, notes


def passage_notes(
    session: Session, question: Question, photos: Sequence[AskedPhoto], best: Annotation
) -> tuple[Note, ...]:
    """Return a note if the photo that decides a query may be of the query's own passage.

    That is: both were taken within the encounter gap, and no station or location tells that they are of two passages;
    or both are of one station, on either side of the cut of a long chain of photos.
    As in the catalog, the camera tells it only where no station is known: a station may have two.
    """
    recorded = [a for photo in photos for name in sorted(photo.encounters) for a in session.of_encounter(name)]
    if question.timestamp is not None:
        times = [(question.timestamp, False)]
    else:
        times = [(a.timestamp, a.dated) for a in recorded if a.timestamp is not None]
        times += [(a.facts.taken, False) for a in photos if a.facts.taken is not None and not a.encounters]
    if not any(_near(best, time, session.data.settings.gap, dated=dated) for time, dated in times):
        return ()
    stations = {question.station} if question.station is not None else {a.station for a in recorded}
    cut = best.station in stations and _was_cut(session, recorded, best)
    # Of one station, the catalog or `_same_passage` has compared the times
    if _known({best.station}, stations) and not cut:
        return ()
    if _differ({best.location}, {a.location for a in recorded}):
        return ()
    cameras = {best.camera}, {a.camera for a in recorded}
    if not _known(*cameras):  # a name and a serial number cannot be compared
        cameras = {session.data.facts.get(best.path, NO_FACTS).serial}, {photo.facts.serial for photo in photos}
    if not (best.station or any(stations)) and _differ(*cameras):
        return ()
    if not _known(stations):
        unknown, do = "whose station is not known", "say where the query was taken, or "
    elif cut:
        longest = session.data.settings.longest_encounter
        unknown, do = (
            f"and both encounters of this station together last longer than {longest:g} h, the most of one",
            "",
        )
    else:
        unknown, do = "and its own station is not known", "fill in its station, or "
    text = (
        f"{best.path} was taken within {session.data.settings.encounter_gap:g} min of the query, {unknown}: if both "
        f"are of one passage, the answer is no evidence; {do}leave out encounter {best.encounter}"
    )
    return (Note("perhaps-same-passage", text, {"station": best.station, "encounter": best.encounter}),)


def _was_cut(session: Session, recorded: Sequence[Annotation], best: Annotation) -> bool:
    """Return whether photos of the query and of `best` are parted only because an encounter of both were too long.

    If the table names one of the two encounters, a person parted them. recorded: the annotations of the query's
    encounters.
    """
    settings = session.data.settings
    beside = {
        a.encounter
        for a in recorded
        if a.station == best.station
        and a.timestamp is not None
        and _near(best, a.timestamp, settings.gap, dated=a.dated)
    }
    own = _derived_span(session, best.encounter, best)
    others = [_derived_span(session, name, best) for name in beside]
    return own is not None and any(
        other is not None and max(own[1], other[1]) - min(own[0], other[0]) > settings.longest for other in others
    )


def _derived_span(session: Session, name: str, place: Annotation) -> tuple[datetime, datetime] | None:
    """Return the first and the last time of an encounter at the place of an annotation; None if the table names it."""
    times = [a.timestamp for a in session.of_encounter(name) if a.timestamp is not None and not a.dated]
    if not times or not is_derived(name, place.location, place.station, min(times)):
        return None
    return min(times), max(times)


def _known(*places: AbstractSet[str]) -> bool:
    """Return whether all of these are known."""
    return all(place and "" not in place for place in places)


def _differ(one: AbstractSet[str], others: AbstractSet[str]) -> bool:
    """Return whether all of these are known, and none of one side is on the other."""
    return _known(one, others) and not one & others


def _near(a: Annotation, time: datetime, gap: timedelta, *, dated: bool = False) -> bool:
    """Return whether an annotation may have been taken at most `gap` before or after a time (`dated`: a day)."""
    if a.timestamp is None:
        return False
    return a.timestamp.date() == time.date() if a.dated or dated else abs(a.timestamp - time) <= gap


def _check_encounters(session: Session, names: Sequence[str]) -> None:
    known = {a.encounter for a in session.data.annotations} if names else set()
    for name in names:
        if name not in known:
            raise SnowmatchError(
                f"{session.folder} has no encounter {name!r}{did_you_mean(name, sorted(known))}",
                "unknown-encounter",
                catalog=str(session.folder),
            )
