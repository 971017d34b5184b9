"""The sessions of a survey: those that are asked for, those of the table of stations, or one for all."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise

import numpy as np

from snowmatch.catalog.stations import DAY, Span
from snowmatch.core.errors import SnowmatchError
from snowmatch.core.notes import Note
from snowmatch.core.text import counted
from snowmatch.survey.occasions import Session, make_session, read_session
from snowmatch.survey.places import Place

LONG_GAP = 30  # days; chosen: a longer time without any camera is more likely between two seasons than a pause in one


def find_sessions(
    places: Sequence[Place],
    spans: Mapping[str, list[tuple[Span, str]]],
    asked: Sequence[str],
    length: int,
    start_hour: int,
) -> tuple[Session, ...]:
    """Return the sessions by name. asked: such as `a=2023-05-01..2023-08-31`; they replace those of `spans`, by label.

    length: days of an occasion. start_hour: 0 to 23. Raises SnowmatchError if sessions overlap, or if no camera worked
    at any known time.
    """
    if not 0 <= start_hour <= 23:
        raise SnowmatchError(f"start hour {start_hour}, expected 0 to 23")
    if not any(spans.values()):
        of_table = " of the table of stations" if any(place.deployments for place in places) else ""
        raise SnowmatchError(
            f"no sighting has both a time and a station{of_table}, so there are no occasions: fill in the columns "
            "timestamp and station of catalog.csv, or from and to of stations.csv; if the survey has no stations, "
            "write one common name in the column station",
            "no-occasions",
        )
    if asked:
        given = [read_session(text, start_hour) for text in asked]
        if len({name for name, _ in given}) < len(given):
            raise SnowmatchError("two sessions have the same name: give each its own, such as a=2023-05-01..2023-08-31")
        sessions = [make_session(name, span, length, start_hour) for name, span in given]
        for a, b in pairwise(sorted(sessions, key=lambda s: s.first)):
            if b.first < a.span.end:
                raise SnowmatchError(f"the sessions {a.name} and {b.name} overlap: give each its own days")
        # sessions that are asked for replace those of the table
        for each in spans.values():
            each[:] = [(span, "") for span, _ in each]
        return tuple(sorted(sessions, key=lambda s: s.name))
    groups: dict[str, list[tuple[Span, Place]]] = defaultdict(list)
    for place in places:
        for span, name in spans[place.label]:
            groups[name].append((span, place))
    if "" in groups and len(groups) > 1:
        raise SnowmatchError("some rows of the table of stations have a session and others none: fill in all of them")
    sessions = []
    for name, own in sorted(groups.items()):
        start, first = min(((span.start, place) for span, place in own), key=lambda each: each[0])
        end, last = max(((span.end, place) for span, place in own), key=lambda each: each[0])
        sessions.append(make_session(name or "1", Span(start, end), length, start_hour, _cause(first, last)))
    return tuple(sessions)


def _cause(first: Place, last: Place) -> str:
    """Return what tells the beginning and the end of a session, and what to correct if one is wrong."""
    begins, ends = (
        f"the photos of {place.label}" if place.from_photos else f"{place.label} in the table of stations"
        for place in (first, last)
    )
    wrong = {"the clock of the camera" if place.from_photos else "the table" for place in (first, last)}
    return f"it begins with {begins} and ends with {ends}; correct {' or '.join(sorted(wrong))}, or "


def short_occasions(sessions: Iterable[Session]) -> list[Note]:
    """Return a note for each session whose last occasion is shorter than the others."""
    notes = []
    for s in sessions:
        if rest := s.days % s.length:
            which, others = ("last", "the others") if s.occasions > 1 else ("only", "not")
            text = f"the {which} occasion of session {s.name} has {counted(rest, 'day')}, {others} {s.length}"
            notes.append(Note("short-occasion", text, {"session": s.name, "days": rest}))
    return notes


def long_gaps(sessions: Iterable[Session], effort: Mapping[str, np.ndarray], of_table: bool) -> list[Note]:
    """Return a note for each session without effort, and for each time of more than LONG_GAP days in a session on which
    no camera worked, between days on which one did.

    effort: by the session's name, (J, D) camera-days. of_table: whether the table of stations has the periods and the
    sessions; else the sessions can only be asked for.
    """
    notes = []
    for s in sessions:
        worked = np.flatnonzero(effort[s.name].sum(axis=0) > 0).tolist()
        if not worked:
            last = s.day(s.days - 1).start
            text = f"no camera worked in session {s.name}, {s.first.date()} to {last.date()}: nothing could be "
            text += "captured; correct its dates, or those of the stations"
            notes.append(Note("session-without-effort", text, {"session": s.name}))
        for before, after in pairwise(worked):
            if (days := after - before - 1) > LONG_GAP:
                since, until = s.first + (before + 1) * DAY, s.first + (after - 1) * DAY
                text = (
                    f"no camera worked from {since.date()} to {until.date()} ({days} days) in session {s.name}: "
                    "estimates and movements take the time before and after for one season; if these are two, "
                )
                text += (
                    "name each in the column session of the table of stations" if of_table else "ask for two sessions"
                )
                data = {"session": s.name, "days": days, "of_table": of_table}
                notes.append(Note("gap-in-session", text, data))
    return notes


def described(session: Session) -> dict[str, object]:
    """Return a session as values of a manifest."""
    return {"name": session.name, "first": session.first.isoformat(), "days": session.days}
