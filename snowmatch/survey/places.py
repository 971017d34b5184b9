"""The places of a survey: its stations, when their cameras worked, and the place and occasion of a sighting."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

import numpy as np

from snowmatch.catalog.load import CatalogData
from snowmatch.catalog.stations import FIRST_YEAR, LAST_YEAR, Deployment, Span
from snowmatch.core.errors import SnowmatchError
from snowmatch.core.notes import Note
from snowmatch.core.text import counted, some
from snowmatch.core.types import Annotation
from snowmatch.survey.effort import quiet_times, span_of_photos, working_time
from snowmatch.survey.occasions import Session
from snowmatch.survey.projection import is_far, to_metres
from snowmatch.survey.sightings import Sighting


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
    within: Span | None = None  # photos of other times do not tell its working period


def site_of(s: Sighting) -> str:
    """Return the name of the place of a sighting: its station, else its camera (of several the first by name), else its
    location.
    """
    return s.station or next(iter(s.cameras), "") or s.location


def find_places(
    sightings: Iterable[Sighting],
    deployments: Sequence[Deployment] | None,
    data: CatalogData,
    notes: list[Note],
    *,
    asked: bool = False,
) -> tuple[tuple[Place, ...], int]:
    """Return the places by label, and the EPSG code of their positions.

    deployments: of the table of stations. None without one: then the places are those of the sightings, and the
    stations and cameras of other annotations, such as those of other species, since a camera worked there, too. asked:
    whether sessions are asked for. If not, those others do not make the survey longer: only those count that are of the
    time of the photos at places of sightings.
    """
    groups: dict[tuple[str, str], list[Deployment]] = defaultdict(list)
    for d in deployments or ():
        groups[d.location, d.station].append(d)
    notes += _several_values(groups)
    replaced = 0
    outside: set[str] = set()
    within: Span | None = None
    added: set[tuple[str, str]] = set()
    sightings = list(sightings)
    if deployments is None:
        seen = [(s, site) for s in sightings if s.start is not None and (site := site_of(s))]
        replaced = sum(not s.station for s, _ in seen)
        groups.update({(s.location if site != s.location else "", site): [] for s, site in seen if s.location})
        listed = locations_of(groups)  # a sighting without a location is at the only station of its name
        bare = dict.fromkeys(("", site) for s, site in seen if not s.location and key_of("", site, listed) is None)
        notes += _without_location([site for _, site in bare], listed)
        groups.update({key: [] for key in bare})
        if groups and not asked:
            within = span_of_photos([t for times in _photo_times(data, groups).values() for t in times])
        if groups:
            added, outside = _of_others(sightings, groups, data, within)
        groups.update((key, []) for key in sorted(added))
    else:
        notes += _in_several_locations(sightings, groups)
    if replaced:
        text = f"{counted(replaced, 'sighting')} without a station: the camera or the location stands for it"
        notes.append(Note("no-stations", text, {"count": replaced}))
    if outside and within is not None:
        text = (
            f"{counted(len(outside), 'photo')} at stations without a sighting, before {within.start.date()} or after "
            f"{(within.end - datetime.resolution).date()}: no effort is counted for them"
        )
        notes.append(Note("photos-outside", text, {"count": len(outside)}))
    often = Counter(station for _, station in groups)
    points = {key: (d.x, d.y, d.crs) for key, own in groups.items() for d in own[::-1] if d.x is not None}
    names = ["/".join(filter(None, key)) for key in points]
    try:
        moved, crs = to_metres([(float(x or 0), float(y or 0), code) for x, y, code in points.values()], names)
    except SnowmatchError as error:
        if error.code != "no-pyproj":
            raise
        notes.append(Note(error.code, f"no distances and no map: {error}", {"why": str(error)}))
        points, moved, crs = {}, [], 0
    where = dict(zip(points, moved, strict=True))
    if far := sorted({station for (_, station), (x, _) in where.items() if is_far(x, crs)}):
        text = (
            f"{some(far)}: far from the middle of the UTM zone of the positions, so that distances there are too long"
        )
        notes.append(
            Note("far-stations", f"{text}; count each area on its own, with a table of its stations", {"stations": far})
        )
    places = []
    for (location, station), own in groups.items():
        x, y = where.get((location, station), (None, None))
        traits = {name: value for d in own[::-1] for name, value in d.traits.items() if value}
        label = station if often[station] == 1 else f"{location}/{station}"
        untimed = not any(d.working for d in own)
        of_others = within if (location, station) in added else None
        places.append(Place(label, location, station, x, y, traits, tuple(own), untimed, of_others))
    return tuple(sorted(places, key=lambda p: p.label)), crs


def _of_others(
    sightings: Iterable[Sighting], groups: Collection[tuple[str, str]], data: CatalogData, within: Span | None
) -> tuple[set[tuple[str, str]], set[str]]:
    """Return the stations and cameras that only annotations without a sighting tell of, and the photos of these places
    from another time than `within`, which do not tell of any. None: all times count.
    """
    added: set[tuple[str, str]] = set()
    outside: set[str] = set()
    seen = {row for s in sightings for row in s.rows}
    listed = locations_of(groups)
    for a in data.annotations:
        site = a.station or a.camera
        key = a.location if site != a.location else "", site
        if a.row in seen or a.timestamp is None or not _is_timed(a) or not site:
            continue
        if key_of(a.location, site, listed) is not None:
            continue
        if within is None or a.timestamp in within:
            added.add(key)
        else:
            outside.add(a.path)
    return added, outside


def _without_location(sites: Iterable[str], listed: Mapping[str, Sequence[str]]) -> list[Note]:
    """Return a note on each station without a location that may be each of several. listed: as of `locations_of`."""
    return [
        Note(
            "station-without-location",
            f"station {site} has sightings without a location, and {some(sorted(listed[site]))} have a station of this "
            "name: they count as one more station; fill in the column location",
        )
        for site in sorted(sites)
        if site in listed
    ]


def _in_several_locations(sightings: Iterable[Sighting], groups: Collection[tuple[str, str]]) -> list[Note]:
    """Return a note on each station of the table without a location that has sightings in several locations."""
    seen: dict[str, set[str]] = defaultdict(set)
    for s in sightings:
        if (s.location, site_of(s)) not in groups and ("", site_of(s)) in groups:
            seen[site_of(s)].add(s.location)
    return [
        Note(
            "station-in-several-locations",
            f"station {name} has sightings in {some(sorted(where))}, and the table of stations tells no location: they "
            "count as one station; fill in the column location",
        )
        for name, where in sorted(seen.items())
        if len(where) > 1
    ]


def _several_values(groups: Mapping[tuple[str, str], Sequence[Deployment]]) -> list[Note]:
    """Return a note on the stations whose rows have different values of a covariate."""
    found = sorted(
        f"{name} of {station}"
        for (_, station), own in groups.items()
        for name in {name for d in own for name in d.traits}
        if len({d.traits[name] for d in own if d.traits.get(name)}) > 1
    )
    if not found:
        return []
    text = f"{counted(len(found), 'covariate')} with several values in the table of stations: the first counts"
    return [Note("several-values", f"{text}: {some(found)}", {"covariates": found})]


def working_periods(places: Sequence[Place], data: CatalogData, notes: list[Note]) -> dict[str, list[tuple[Span, str]]]:
    """Return when the cameras of each place worked, by label, with the session of each period ("": any).

    Where no table says it, it is from the first photo to the last. One note names all such places. Others name what has
    no effort: the cameras without dates beside one with dates, and the stations with neither dates nor photos.
    """
    found: dict[str, list[tuple[Span, str]]] = {}
    told: list[str] = []
    undated: list[str] = []
    unknown: list[str] = []
    longest = 0
    times_of = _photo_times(data, [(place.location, place.station) for place in places])
    for place in places:
        if not place.from_photos:
            undated += ["/".join(filter(None, (place.label, d.camera))) for d in place.deployments if not d.working]
            found[place.label] = [(span, d.session) for d in place.deployments for span in working_time(d)]
            continue
        times = times_of.get((place.location, place.station), [])
        times = [t for t in times if place.within is None or t in place.within]
        span = span_of_photos(times)
        found[place.label] = []
        if span is None:
            unknown.append(place.label)
        else:
            found[place.label] = [(span, next((d.session for d in place.deployments), ""))]
            told.append(f"{place.label} {span.start.date()} to {max(times).date()}")
            longest = max([longest, *((q.end - q.start).days for q in quiet_times(times))])
    if told:
        text = f"no table of stations says when the cameras of {counted(len(told), 'station')} worked"
        text += f": their effort is from the first photo to the last ({some(told)})"
        text += f", with gaps of up to {longest} days without a photo" if longest else ""
        notes.append(Note("effort-from-photos", text, {"count": len(told), "longest": longest}))
    if undated:
        text = (
            f"{counted(len(undated), 'row')} of the table of stations without from and to, beside others of the same "
            f"station that have them: no effort is counted for {some(undated)}; fill in from and to"
        )
        notes.append(Note("cameras-without-dates", text, {"cameras": undated}))
    if unknown:
        text = (
            f"{counted(len(unknown), 'station')} without from and to, and without a photo of a possible time: no "
            f"effort is counted for {some(unknown)}; fill in from and to: without stations that saw nothing, a density "
            "is too high"
        )
        notes.append(Note("stations-without-dates", text, {"stations": unknown}))
    return found


def _photo_times(data: CatalogData, keys: Iterable[tuple[str, str]]) -> Mapping[tuple[str, str], list[datetime]]:
    """Return the possible times of the photos of each place, by its location and station: one of `keys`."""
    found: dict[tuple[str, str], list[datetime]] = defaultdict(list)
    listed = locations_of(keys)
    for a in data.annotations:
        if a.timestamp is not None and _is_timed(a) and (key := key_of(a.location, _site(a), listed)) is not None:
            found[key].append(a.timestamp)
    return found


def locations_of(keys: Iterable[tuple[str, str]]) -> Mapping[str, list[str]]:
    """Return under which locations each station is listed. keys: location and station of places."""
    found: dict[str, list[str]] = defaultdict(list)
    for location, station in keys:
        found[station].append(location)
    return found


def key_of(location: str, site: str, listed: Mapping[str, Sequence[str]]) -> tuple[str, str] | None:
    """Return location and station of the place of a photo; None if no place, or more than one, may be it.

    A station of the same location is it. Else it may be each of this name, if the photo or the place has no location.
    """
    under = listed.get(site, [])
    alike = [location] if location in under else [each for each in under if not each or not location]
    return (alike[0], site) if len(alike) == 1 else None


def _is_timed(a: Annotation) -> bool:
    return a.timestamp is not None and FIRST_YEAR <= a.timestamp.year <= LAST_YEAR


def _site(a: Annotation) -> str:
    return a.station or a.camera or a.location


class Finder:
    """Finds session, occasion and place of sightings.

    Sessions may share a day that does not begin at midnight: a session whose camera worked at that moment comes first.
    """

    def __init__(
        self,
        places: Sequence[Place],
        sessions: Sequence[Session],
        effort: Mapping[str, np.ndarray],
        spans: Mapping[str, Sequence[tuple[Span, str]]],
    ) -> None:
        self.sessions, self.effort, self.spans = sessions, effort, spans
        self.numbers = {(p.location, p.station): n for n, p in enumerate(places)}
        self.listed = locations_of(self.numbers)
        self.places = places

    def find(self, s: Sighting) -> tuple[str, int, int] | str:
        """Return session, occasion (from 0) and number of the place; a text with the reason if there is none."""
        if s.start is None:
            return "no time"
        site = site_of(s)
        if not site:
            return "no station"
        key = key_of(s.location, site, self.listed)
        if key is None:
            return _not_listed(site, s.location, sorted(self.listed.get(site, [])))
        number = self.numbers[key]
        inside = False
        worked: list[tuple[str, int, int]] = []
        for session in self.sessions:
            occasion = session.occasion(s.start)
            if occasion is not None:
                inside = True
                if self.effort[session.name][number, occasion] > 0:
                    worked.append((session.name, occasion, number))
        if len(worked) > 1:
            own = {name for span, name in self.spans[self.places[number].label] if s.start in span}
            worked.sort(key=lambda found: found[0] not in own)
        if worked:
            return worked[0]
        return f"no camera of {site} worked on that occasion" if inside else "outside all sessions"


def _not_listed(site: str, location: str, listed: Sequence[str]) -> str:
    """Return why a sighting has no place. listed: the locations under which the table has a station of this name."""
    if not listed:
        return f"station {site} is not in the table of stations"
    under = f"station {site} is in the table of stations under {some(listed)}"
    if not location:
        return f"{under}, and the catalog tells no location: fill in the column location"
    return f"{under}, not {location}: write the location alike in both, or add the station"
