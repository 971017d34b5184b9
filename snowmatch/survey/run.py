"""A survey: the stations, the effort and the captures of a catalog, and what was left out of them."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import TypedDict, Unpack

import numpy as np

from snowmatch.catalog.load import CatalogData
from snowmatch.core.errors import SnowmatchError
from snowmatch.core.notes import Note
from snowmatch.core.text import choices, counted, some
from snowmatch.survey.captures import (
    FLANKS,
    Capture,
    FlankChoice,
    choose_flanks,
    flank_choices,
    group_flank,
    independent,
)
from snowmatch.survey.effort import day_effort, occasion_effort, quiet_times, span_of_photos, working_time
from snowmatch.survey.occasions import Session, make_session, read_length, read_session
from snowmatch.survey.projection import to_metres
from snowmatch.survey.sightings import Sighting, make_sightings, read_traits
from snowmatch.survey.stations import Deployment, Span, read_stations

STATIONS_CSV = "stations.csv"
NO_PERIOD = "the working period of the station is not known"


class SurveyOptions(TypedDict, total=False):
    """How the captures of a survey are counted.

    stations: the table of stations (default: stations.csv of the catalog, where it is). occasion: such as `5d`.
    start_hour: the hour at which a day begins, 0 to 23. sessions: such as `2023=2023-05-01..2023-08-31`; they replace
    the column `session`. flanks: one of FLANKS. independence: minutes; sightings of one animal at one station that are
    nearer count as one; 0: the encounters of the catalog.
    """

    stations: Path | None
    occasion: str
    start_hour: int
    sessions: Sequence[str]
    flanks: str
    independence: float


@dataclass(frozen=True)
class Place:
    """One station: its label (unique in the survey), and its position (m) if it is known."""

    label: str
    location: str
    station: str
    x: float | None
    y: float | None
    traits: Mapping[str, str] = field(default_factory=dict)
    deployments: tuple[Deployment, ...] = ()
    from_photos: bool = False  # its working period is that of its photos


@dataclass(frozen=True)
class LeftOut:
    """An identified sighting that is no capture, with the reason."""

    individual: str
    encounter: str
    station: str
    start: datetime | None
    reason: str


@dataclass(frozen=True, eq=False)
class Survey:
    """The captures of a catalog and the effort for them.

    J places (in the order of their labels), D days and K occasions of a session. spans: by label, when each camera
    worked, and its session ("": any). effort: by the session's name, (J, D) camera-days. captures: of the chosen
    flanks; all_captures: before that choice. unidentified: by session, (J, K) number of unidentified sightings. crs:
    EPSG code of the positions, 0 without positions. settings: for a manifest.
    """

    data: CatalogData
    sessions: tuple[Session, ...]
    places: tuple[Place, ...]
    crs: int
    spans: Mapping[str, Sequence[tuple[Span, str]]]
    effort: Mapping[str, np.ndarray]
    captures: tuple[Capture, ...]
    all_captures: tuple[Capture, ...]
    unidentified: Mapping[str, np.ndarray]
    choices: tuple[FlankChoice, ...]
    left_out: tuple[LeftOut, ...]
    notes: tuple[Note, ...]
    settings: Mapping[str, object]

    def occasion_effort(self, session: Session) -> np.ndarray:
        """Return the camera-days of each station and occasion, (J, K)."""
        return occasion_effort(self.effort[session.name], session)

    @property
    def positions(self) -> dict[str, tuple[float, float]]:
        """The positions (m) of the stations that have one, by label."""
        return {p.label: (p.x, p.y) for p in self.places if p.x is not None and p.y is not None}


def make_survey(data: CatalogData, **options: Unpack[SurveyOptions]) -> Survey:
    """Return the survey of a catalog.

    Raises SnowmatchError if the table of stations or an option has problems, and if no sighting has a time: then there
    are no occasions. Sightings that cannot be captures are listed in `left_out`.
    """
    length, start_hour = read_length(options.get("occasion", "5d")), options.get("start_hour", 0)
    flanks, apart = options.get("flanks", "both"), options.get("independence", 0.0)
    if flanks not in FLANKS:
        raise SnowmatchError(f"flanks {flanks!r}; {choices(str(flanks), FLANKS)}")
    notes: list[Note] = []
    table = options.get("stations")
    if table is None and (data.folder / STATIONS_CSV).exists():
        table = data.folder / STATIONS_CSV
    deployments = () if table is None else read_stations(table, notes, data.settings.dates)
    sightings = make_sightings(data.annotations, read_traits(data.folder, data.annotations), notes)
    sightings = _of_species(sightings, notes)
    places, crs = _places(sightings, deployments, table is not None, notes)
    spans = {p.label: _periods(p, data, notes) for p in places}
    sessions = _sessions(places, spans, options.get("sessions", ()), length, start_hour)
    effort = {
        s.name: np.array([day_effort([span for span, own in spans[p.label] if own in ("", s.name)], s) for p in places])
        for s in sessions
    }
    finder = _Finder(places, sessions, {s.name: occasion_effort(effort[s.name], s) for s in sessions})
    captures, left_out = _captures(sightings, finder, timedelta(minutes=apart))
    chosen = choose_flanks(captures, flanks)
    notes += _short_occasions(sessions)
    unidentified = {s.name: np.zeros((len(places), s.occasions), int) for s in sessions}
    outside = 0
    for s in (s for s in sightings if s.individual is None):
        found = finder.find(s)
        if isinstance(found, str):
            outside += 1
        else:
            unidentified[found[0]][found[2], found[1]] += 1
    if outside:
        text = f"{counted(outside, 'unidentified sighting')} without a station, a time or effort: not counted"
        notes.append(Note("unidentified-left-out", text, {"count": outside}))
    notes += _left_out_notes(left_out)
    settings = {
        "occasion": f"{length}d",
        "start_hour": start_hour,
        "sessions": [_described(s) for s in sessions],
        "flanks": flanks,
        "independence_minutes": apart,
        "stations": "" if table is None else table.name,
    }
    return Survey(
        data=data,
        sessions=sessions,
        places=places,
        crs=crs,
        spans=spans,
        effort=effort,
        captures=tuple(chosen),
        all_captures=tuple(captures),
        unidentified=unidentified,
        choices=flank_choices(captures),
        left_out=tuple(left_out),
        notes=tuple(notes),
        settings=settings,
    )


def _described(session: Session) -> dict[str, object]:
    return {"name": session.name, "first": session.first.isoformat(), "days": session.days}


def _of_species(sightings: list[Sighting], notes: list[Note]) -> list[Sighting]:
    """Return the sightings without unidentified animals of species that no individual has."""
    named = {s.species for s in sightings if s.individual is not None and s.species}
    if len(named) > 1:
        text = f"individuals of {len(named)} species are counted together: {some(sorted(named))}"
        notes.append(Note("several-species", text))
    kept = [s for s in sightings if s.individual is not None or not named or s.species in ("", *named)]
    if gone := len(sightings) - len(kept):
        text = f"{counted(gone, 'unidentified sighting')} of species without individuals: not counted"
        notes.append(Note("other-species", text, {"count": gone}))
    return kept


def _site(s: Sighting) -> str:
    """Return the name of the place of a sighting: its station, else its camera, else its location."""
    return s.station or "/".join(s.cameras) or s.location


def _places(
    sightings: Iterable[Sighting], deployments: Sequence[Deployment], listed: bool, notes: list[Note]
) -> tuple[tuple[Place, ...], int]:
    """Return the places by label, and the EPSG code of their positions."""
    groups: dict[tuple[str, str], list[Deployment]] = defaultdict(list)
    for d in deployments:
        groups[d.location, d.station].append(d)
    replaced = 0
    if not listed:
        for s in sightings:
            if s.start is not None and (site := _site(s)):
                groups[s.location if site != s.location else "", site] = []
                replaced += not s.station
    if replaced:
        text = f"{counted(replaced, 'sighting')} without a station: the camera or the location stands for it"
        notes.append(Note("no-stations", text, {"count": replaced}))
    often = Counter(station for _, station in groups)
    points = {key: (d.x, d.y, d.crs) for key, own in groups.items() for d in own[::-1] if d.x is not None}
    try:
        moved, crs = to_metres([(float(x or 0), float(y or 0), code) for x, y, code in points.values()])
    except SnowmatchError as error:
        if error.code != "no-pyproj":
            raise
        notes.append(Note(error.code, f"no distances and no map: {error}"))
        points, moved, crs = {}, [], 0
    where = dict(zip(points, moved, strict=True))
    places = []
    for (location, station), own in groups.items():
        x, y = where.get((location, station), (None, None))
        traits = {name: value for d in own[::-1] for name, value in d.traits.items() if value}
        label = station if often[station] == 1 else f"{location}/{station}"
        untimed = not any(d.working for d in own)
        places.append(Place(label, location, station, x, y, traits, tuple(own), untimed))
    return tuple(sorted(places, key=lambda p: p.label)), crs


def _periods(place: Place, data: CatalogData, notes: list[Note]) -> list[tuple[Span, str]]:
    """Return when the cameras of a place worked, with the session of each period ("": any)."""
    if not place.from_photos:
        return [(span, d.session) for d in place.deployments for span in working_time(d)]
    times = [
        a.timestamp
        for a in data.annotations
        if a.timestamp is not None
        and (a.station or a.camera or a.location) == place.station
        and place.location in ("", a.location)
    ]
    span = span_of_photos(times)
    if span is None:
        return []
    quiet = quiet_times(times)
    longest = max(((q.end - q.start).days for q in quiet), default=0)
    text = f"the effort of {place.label} is that of its photos, {span.start.date()} to {max(times).date()}"
    if quiet:
        text += f", {counted(len(quiet), 'gap')} of up to {longest} days without a photo included"
    notes.append(Note("effort-from-photos", text, {"station": place.label, "longest": longest}))
    return [(span, next((d.session for d in place.deployments), ""))]


def _sessions(
    places: Sequence[Place],
    spans: Mapping[str, list[tuple[Span, str]]],
    asked: Sequence[str],
    length: int,
    start_hour: int,
) -> tuple[Session, ...]:
    if not 0 <= start_hour <= 23:
        raise SnowmatchError(f"start hour {start_hour}, expected 0 to 23")
    if asked:
        given = [read_session(text) for text in asked]
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
    groups: dict[str, list[Span]] = defaultdict(list)
    for place in places:
        for span, name in spans[place.label]:
            groups[name].append(span)
    if not groups:
        raise SnowmatchError(
            "no sighting has both a time and a station, so there are no occasions: fill in the columns timestamp and "
            "station of catalog.csv, or from and to of stations.csv"
        )
    if "" in groups and len(groups) > 1:
        raise SnowmatchError("some rows of the table of stations have a session and others none: fill in all of them")
    whole = {name: Span(min(s.start for s in own), max(s.end for s in own)) for name, own in groups.items()}
    return tuple(make_session(name or "1", span, length, start_hour) for name, span in sorted(whole.items()))


class _Finder:
    """Finds session, occasion and place of sightings."""

    def __init__(self, places: Sequence[Place], sessions: Sequence[Session], effort: Mapping[str, np.ndarray]) -> None:
        self.sessions, self.effort = sessions, effort
        self.exact = {(p.location, p.station): n for n, p in enumerate(places)}
        self.by_station: dict[str, list[int]] = defaultdict(list)
        for n, p in enumerate(places):
            self.by_station[p.station].append(n)
        self.places = places

    def find(self, s: Sighting) -> tuple[str, int, int] | str:
        """Return session, occasion (from 0) and number of the place; a text with the reason if there is none."""
        if s.start is None:
            return "no time"
        site = _site(s)
        if not site:
            return "no station"
        number = self.exact.get((s.location, site))
        if number is None:
            alike = [n for n in self.by_station.get(site, []) if not self.places[n].location or not s.location]
            if len(alike) != 1:
                return f"station {site} is not in the table of stations"
            number = alike[0]
        inside = False
        for session in self.sessions:
            occasion = session.occasion(s.start)
            if occasion is not None:
                inside = True
                if self.effort[session.name][number, occasion] > 0:
                    return session.name, occasion, number
        return f"no camera of {site} worked on that occasion" if inside else "outside all sessions"


def _captures(sightings: Sequence[Sighting], finder: _Finder, apart: timedelta) -> tuple[list[Capture], list[LeftOut]]:
    captures, left_out, usable = [], [], []
    for s in sightings:
        if s.individual is None:
            continue
        found = finder.find(s)
        if isinstance(found, str):
            left_out.append(LeftOut(s.individual, s.encounter, _site(s), s.start, found))
        else:
            usable.append(s)
    for group in independent(usable, apart):
        found = finder.find(group[0])
        first = group[0]
        assert not isinstance(found, str)
        assert first.start is not None
        captures.append(
            Capture(
                session=found[0],
                occasion=found[1] + 1,
                place=finder.places[found[2]].label,
                individual=first.individual or "",
                start=first.start,
                end=max(s.end for s in group if s.end is not None),
                cameras=tuple(sorted({c for s in group for c in s.cameras})),
                flank=group_flank(group),
                simultaneous=any(s.simultaneous for s in group),
                sex=first.sex,
                age_class=next((s.age_class for s in group if s.age_class), ""),
                encounters=tuple(s.encounter for s in group),
                photos=tuple(sorted({p for s in group for p in s.photos})),
                rows=tuple(row for s in group for row in s.rows),
            )
        )
    return sorted(captures, key=lambda c: (c.session, c.start, c.place, c.individual)), left_out


def _short_occasions(sessions: Iterable[Session]) -> list[Note]:
    notes = []
    for s in sessions:
        if rest := s.days % s.length:
            text = f"the last occasion of session {s.name} has {counted(rest, 'day')}, the others {s.length}"
            notes.append(Note("short-occasion", text, {"session": s.name, "days": rest}))
    return notes


def _left_out_notes(left_out: Sequence[LeftOut]) -> list[Note]:
    reasons: dict[str, list[str]] = defaultdict(list)
    for each in left_out:
        reasons[each.reason].append(each.encounter)
    return [
        Note(
            "captures-left-out",
            f"{counted(len(which), 'identified sighting')} left out, {reason}: {some(which)}",
            {"encounters": which, "reason": reason},
        )
        for reason, which in sorted(reasons.items())
    ]
