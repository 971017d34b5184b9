"""A part of a survey: some days, one location, one animal."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, datetime, time

import numpy as np

from snowmatch.catalog.stations import DAY
from snowmatch.core.errors import SnowmatchError
from snowmatch.survey.captures import Capture, LeftOut, Unnamed, flank_choices
from snowmatch.survey.occasions import Session
from snowmatch.survey.places import Place, key_of, locations_of
from snowmatch.survey.run import Survey


def select(survey: Survey, first: date | None = None, last: date | None = None, location: str = "") -> Survey:
    """Return the part of a survey from `first` to `last` (both belong to it; None: open) in one location ("": all).

    Sessions are cut to the whole days inside, and their occasions are counted anew. Working periods of cameras
    (`spans`) and notes stay as they are. A station whose location no table tells is where its photos are. A
    sighting that is left out is where its station is; without one of the survey, in its own location. Raises
    SnowmatchError if no day or no station is left.
    """
    if first is None and last is None and not location:
        return survey
    listed = locations_of((p.location, p.station) for p in survey.places)
    here = (a for a in survey.data.annotations if a.location == location)
    there = {key_of(location, a.station or a.camera or location, listed) for a in here}
    inside = [p.location == location if p.location else ("", p.station) in there for p in survey.places]
    rows = [n for n, within in enumerate(inside) if within or not location]
    if not rows:
        raise SnowmatchError(f"no station is in the location {location!r}: choose another one", "nothing-selected")
    places = tuple(survey.places[n] for n in rows)
    sessions, effort = [], {}
    for s in survey.sessions:
        start, end = _days(s, first, last)
        if start < end:
            sessions.append(Session(s.name, s.first + start * DAY, end - start, s.length))
            effort[s.name] = survey.effort[s.name][rows, start:end]
    if not sessions:
        told = f"{first or ''}..{last or ''}"
        raise SnowmatchError(f"no day of the survey is in {told}: choose another time", "nothing-selected")
    by_name, labels = {s.name: s for s in sessions}, {p.label for p in places}
    if survey.settings["flanks"] == "sessions":  # captures before the choice have the session of both sides
        by_name |= {s.name.rpartition(" ")[0]: s for s in sessions}
    captures = _inside(survey.captures, by_name, labels)
    every = captures if survey.all_captures == survey.captures else _inside(survey.all_captures, by_name, labels)
    unnamed, all_unnamed = (
        tuple(u for u in each if u.place in labels and u.session in by_name and u.start in by_name[u.session].span)
        for each in (survey.unnamed, survey.all_unnamed)
    )
    chosen = {(p.location, p.station) for p in places}
    stations = {p.station for p in places}

    def is_here(e: LeftOut) -> bool:
        if (key := key_of(e.location, e.station, listed)) is not None:
            return key in chosen
        return e.location == location if e.location else e.station in stations

    return replace(
        survey,
        sessions=tuple(sessions),
        places=places,
        spans={label: spans for label, spans in survey.spans.items() if label in labels},
        effort=effort,
        captures=captures,
        all_captures=every,
        unnamed=unnamed,
        all_unnamed=all_unnamed,
        unidentified=_counted(unnamed, sessions, places),
        choices=flank_choices(every),
        left_out=tuple(
            e
            for e in survey.left_out
            if (not location or is_here(e))
            and (e.start is None or any(e.start in s.span for s in sessions) or (first is None and last is None))
        ),
        settings={**survey.settings, "from": str(first or ""), "to": str(last or ""), "location": location},
    )


def only(survey: Survey, individual: str) -> Survey:
    """Return the survey with the captures of one animal and no unidentified sighting; the effort stays.

    "": as it is. An unknown name leaves no captures.
    """
    if not individual:
        return survey
    own = tuple(c for c in survey.captures if c.individual == individual)
    every = tuple(c for c in survey.all_captures if c.individual == individual)
    return replace(
        survey,
        captures=own,
        all_captures=every,
        unnamed=(),
        all_unnamed=(),
        unidentified=_counted((), survey.sessions, survey.places),
        choices=flank_choices(every),
        left_out=tuple(e for e in survey.left_out if e.individual == individual),
        settings={**survey.settings, "individual": individual},
    )


def _days(s: Session, first: date | None, last: date | None) -> tuple[int, int]:
    """Return the first day of a session that is inside, and the first after it."""
    start, end = 0, s.days
    if first is not None:
        start = max(-((s.first - datetime.combine(first, time())) // DAY), 0)
    if last is not None:
        end = min((datetime.combine(last, time()) - s.first) // DAY + 1, s.days)
    return start, end


def _inside(captures: tuple[Capture, ...], sessions: dict[str, Session], labels: set[str]) -> tuple[Capture, ...]:
    found = []
    for c in captures:
        s = sessions.get(c.session)
        occasion = None if s is None else s.occasion(c.start)
        if occasion is not None and c.place in labels:
            found.append(c if c.occasion == occasion + 1 else replace(c, occasion=occasion + 1))
    return tuple(found)


def _counted(
    unnamed: tuple[Unnamed, ...], sessions: tuple[Session, ...] | list[Session], places: tuple[Place, ...]
) -> dict[str, np.ndarray]:
    number = {p.label: n for n, p in enumerate(places)}
    tables = {s.name: np.zeros((len(places), s.occasions), int) for s in sessions}
    by_name = {s.name: s for s in sessions}
    for u in unnamed:
        occasion = by_name[u.session].occasion(u.start)
        assert occasion is not None
        tables[u.session][number[u.place], occasion] += 1
    return tables
