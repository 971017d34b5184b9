"""A survey: the stations, the effort and the captures of a catalog, and what was left out of them."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import TypedDict, Unpack

import numpy as np

from snowmatch.catalog.load import CatalogData
from snowmatch.catalog.species import is_counted, species_of
from snowmatch.catalog.stations import Span, read_stations
from snowmatch.core.errors import SnowmatchError
from snowmatch.core.home import STATIONS_NAME
from snowmatch.core.notes import Note
from snowmatch.core.text import choices, counted, some
from snowmatch.review.identities import Identities
from snowmatch.survey.captures import (
    FLANKS,
    SIDES,
    Capture,
    FlankChoice,
    LeftOut,
    Unnamed,
    choose_flanks,
    flank_choices,
    group_flank,
    independent,
    side_session,
)
from snowmatch.survey.effort import day_effort, occasion_effort
from snowmatch.survey.occasions import Session, read_length
from snowmatch.survey.places import Finder, Place, find_places, site_of, working_periods
from snowmatch.survey.sessions import described, find_sessions, long_gaps, short_occasions
from snowmatch.survey.sightings import Sighting, make_sightings
from snowmatch.survey.traits import SurveyTraits, survey_traits
from snowmatch.survey.uncounted import left_out_notes, outside_work, sides_apart, sides_unknown

# Codes of the catalog's notes on what makes the numbers of a survey wrong: names, times and passages
DECISIONS_WRONG = ("several-names", "decisions-quarrel", "names-refused")
CATALOG_WRONG = (
    *("doubtful-names", "unnamed-names", "camera-folders", "individuals-alike", "individuals-in-several-locations"),
    *("individuals-together", "individuals-rewritten", "stations-rewritten", "locations-alike", "stations-alike"),
    *("two-names", "copies", "copies-with-two-names", *DECISIONS_WRONG, "named-encounters-long"),
    *("clock-set-back", "early-times", "other-times", "dates-swapped", "dates-half-swapped"),
    *("settings-damaged", "folders-of-years", "encounters-at-several-places", "encounters-half-named"),
)


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


@dataclass(frozen=True, eq=False)
class Survey:
    """The captures of a catalog and the effort for them.

    J places (in the order of their labels), D days and K occasions of a session. spans: by label, when each camera
    worked, and its session ("": any). effort: by the session's name, (J, D) camera-days. captures: of the chosen
    flanks; all_captures: before that choice. unidentified: by session, (J, K) number of unidentified sightings.
    unnamed: each of these; all_unnamed: before the choice of flanks. crs: EPSG code of the positions, 0 without
    positions. settings: for a manifest. traits: sex, age class and quality of annotations, by row. identities: who is
    who, if it is known.
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
    unnamed: tuple[Unnamed, ...]
    choices: tuple[FlankChoice, ...]
    left_out: tuple[LeftOut, ...]
    notes: tuple[Note, ...]
    settings: Mapping[str, object]
    traits: SurveyTraits
    identities: Identities | None = None
    all_unnamed: tuple[Unnamed, ...] = ()

    def occasion_effort(self, session: Session) -> np.ndarray:
        """Return the camera-days of each station and occasion, (J, K)."""
        return occasion_effort(self.effort[session.name], session)

    @property
    def seasons(self) -> tuple[Session, ...]:
        """The sessions, each once: of left and right as two sessions, the left one. Their effort adds up."""
        split = self.settings["flanks"] == "sessions"
        return tuple(s for s in self.sessions if not split or s.name == side_session(s.name.rpartition(" ")[0], "left"))

    @property
    def seen(self) -> tuple[Capture, ...]:
        """The captures, each once: of left and right as two sessions, one that shows both sides is in both."""
        return tuple({c.rows: c for c in self.captures[::-1]}.values())[::-1]

    @property
    def seen_unnamed(self) -> tuple[Unnamed, ...]:
        """The unidentified sightings, each once."""
        return tuple({u.rows: u for u in self.unnamed[::-1]}.values())[::-1]

    def worked(self, session: Session) -> np.ndarray:
        """Return for each occasion whether any camera worked, (K,) bool."""
        found: np.ndarray = self.occasion_effort(session).sum(axis=0) > 0
        return found

    @property
    def positions(self) -> dict[str, tuple[float, float]]:
        """The positions (m) of the stations that have one, by label."""
        return {p.label: (p.x, p.y) for p in self.places if p.x is not None and p.y is not None}


def make_survey(data: CatalogData, identities: Identities | None = None, **options: Unpack[SurveyOptions]) -> Survey:
    """Return the survey of a catalog. identities: who is who in it, for what persons said about sex
    and quality, and for what is told about the identifications.

    Raises SnowmatchError if the table of stations or an option has problems, and if no sighting has a time: then there
    are no occasions. Sightings that cannot count are listed in `left_out`.
    """
    length, start_hour = read_length(options.get("occasion", "5d")), options.get("start_hour", 0)
    flanks, apart = options.get("flanks", "both"), options.get("independence", 0.0)
    if flanks not in FLANKS:
        raise SnowmatchError(f"flanks {flanks!r}; {choices(str(flanks), FLANKS)}")
    notes = [note for note in data.notes if note.code in CATALOG_WRONG]
    table = options.get("stations")
    if table is None and (data.folder / STATIONS_NAME).exists():
        table = data.folder / STATIONS_NAME
    deployments = None if table is None else read_stations(table, notes, data.settings.dates)
    traits = survey_traits(data.folder, data.annotations, identities)
    if traits.unread:
        text = f"no sex: {some(traits.unread)} in the column sex; expected female or male"
        notes.append(Note("sexes-unread", text, {"texts": list(traits.unread)}))
    sightings = make_sightings(data.annotations, traits.known, notes)
    sightings = _of_species(sightings, identities, notes)
    places, crs = find_places(sightings, deployments, data, notes, asked=bool(options.get("sessions")))
    spans = working_periods(places, data, notes)
    sessions = find_sessions(places, spans, options.get("sessions", ()), length, start_hour)
    effort = {
        s.name: np.array([day_effort([span for span, own in spans[p.label] if own in ("", s.name)], s) for p in places])
        for s in sessions
    }
    finder = Finder(places, sessions, {s.name: occasion_effort(effort[s.name], s) for s in sessions}, spans)
    captures, left_out = _captures(sightings, finder, timedelta(minutes=apart))
    chosen, named = choose_flanks(captures, flanks), tuple(sessions)
    of_table = not options.get("sessions") and not all(place.from_photos for place in places)
    notes += [*short_occasions(sessions), *long_gaps(sessions, effort, of_table)]
    if start_hour and (dated := sum(s.dated for s in sightings)):
        text = (
            f"{counted(dated, 'sighting')} with a day without a time of day: days begin at {start_hour}:00, and "
            "these count for the one that begins on the day before"
        )
        notes.append(Note("days-before", text, {"count": dated}))
    split = flanks == "sessions"
    unidentified = {
        name: np.zeros((len(places), s.occasions), int)
        for s in sessions
        for name in ([side_session(s.name, side) for side in SIDES] if split else [s.name])
    }
    sideless, unnamed, all_unnamed = 0, [], []
    for s in (s for s in sightings if s.individual is None):
        found = finder.find(s)
        if isinstance(found, str):
            left_out.append(LeftOut("", s.encounter, s.location, site_of(s), s.start, found, s.dated))
            continue
        session, occasion, number = found
        assert s.start is not None
        all_unnamed.append(Unnamed(session, places[number].label, s.start, s.rows, s.dated))
        sideless += (split or flanks in SIDES) and not s.flank
        shown = [side for side, letter in SIDES.items() if s.shows(letter)]
        names = [side_session(session, side) for side in shown] if split else [session]
        for name in names if flanks not in SIDES or flanks in shown else ():
            unidentified[name][number, occasion] += 1
            unnamed.append(Unnamed(name, places[number].label, s.start, s.rows, s.dated))
    if sideless:
        told = "each session is of one side" if split else f"only the {flanks} side counts"
        text = f"{counted(sideless, 'unidentified sighting')} without a side: not counted, as {told}"
        notes.append(Note("unidentified-without-side", text, {"count": sideless}))
    if split:
        named = tuple(replace(s, name=side_session(s.name, side)) for side in SIDES for s in sessions)
        effort = {side_session(name, side): table for side in SIDES for name, table in effort.items()}
    notes += [*left_out_notes(left_out), *outside_work(chosen, unnamed, spans)]
    notes += [*sides_unknown(captures, data, flanks), *sides_apart(captures, flanks)]
    settings = {
        "occasion": f"{length}d",
        "start_hour": start_hour,
        "sessions": [described(s) for s in named],
        "flanks": flanks,
        "independence_minutes": apart,
        "stations": "" if table is None else table.name,
    }
    return Survey(
        data=data,
        sessions=named,
        places=places,
        crs=crs,
        spans=spans,
        effort=effort,
        captures=tuple(chosen),
        all_captures=tuple(captures),
        unidentified=unidentified,
        unnamed=tuple(unnamed),
        choices=flank_choices(captures),
        left_out=tuple(left_out),
        notes=tuple(notes),
        settings=settings,
        traits=traits,
        identities=identities,
        all_unnamed=tuple(all_unnamed),
    )


def uncounted_survey(data: CatalogData, identities: Identities | None = None) -> Survey:
    """Return a survey that counts nothing, for what shows all annotations of a catalog: it needs no station or time."""
    return Survey(
        data=data,
        sessions=(),
        places=(),
        crs=0,
        spans={},
        effort={},
        captures=(),
        all_captures=(),
        unidentified={},
        unnamed=(),
        choices=(),
        left_out=(),
        notes=tuple(note for note in data.notes if note.code in DECISIONS_WRONG),
        settings={},
        traits=survey_traits(data.folder, data.annotations, identities),
        identities=identities,
    )


def _of_species(sightings: list[Sighting], identities: Identities | None, notes: list[Note]) -> list[Sighting]:
    """Return the sightings without unidentified animals of species that no individual has, and without empty photos.

    Who is who tells it, for photos with identifiers: an animal that a person compared counts, and individuals without a
    name do not tell which species do.
    """
    told = species_of(s.species for s in sightings if s.individual is not None)
    if len(told) > 1:
        text = f"individuals of {len(told)} species are counted together: {some(sorted(told))}"
        notes.append(Note("several-species", text))
    nameless = {i.handle for i in identities.who.individuals if i.name is None} if identities is not None else ()
    named = species_of(s.species for s in sightings if s.individual is not None and s.individual not in nameless)
    kept: list[Sighting] = []
    gone: list[Sighting] = []
    for s in sightings:
        (kept if s.individual is not None or _is_counted(s, named, identities) else gone).append(s)
    if not named:
        others = [s for s in kept if s.individual is None and species_of([s.species]) - told]
        if others and any(s.individual is not None for s in kept):
            text = f"no individual has a species: {counted(len(others), 'unidentified sighting')} counted, of "
            notes.append(Note("species-of-none", text + some(sorted({s.species for s in others}))))
    if gone:
        which = some(sorted({s.species for s in gone}))
        text = f"{counted(len(gone), 'unidentified sighting')} of species without individuals: not counted ({which})"
        notes.append(Note("other-species", text, {"count": len(gone)}))
    return kept


def _is_counted(s: Sighting, named: Collection[str], identities: Identities | None) -> bool:
    """Return whether an unidentified sighting counts beside individuals of the species `named`."""
    if identities is not None and any(names := [identities.annotations[row].annotation for row in s.rows]):
        return any(name in identities.who.number_of for name in names)
    return is_counted(s.species, named)


def _captures(sightings: Sequence[Sighting], finder: Finder, apart: timedelta) -> tuple[list[Capture], list[LeftOut]]:
    captures, left_out, usable, numbers = [], [], [], []
    for s in sightings:
        if s.individual is None:
            continue
        found = finder.find(s)
        if isinstance(found, str):
            left_out.append(LeftOut(s.individual, s.encounter, s.location, site_of(s), s.start, found, s.dated))
        else:
            usable.append(s)
            numbers.append(found[2])
    for group in independent(usable, numbers, apart):
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
                dated=first.dated,
            )
        )
    return sorted(captures, key=lambda c: (c.session, c.start, c.place, c.individual)), left_out
