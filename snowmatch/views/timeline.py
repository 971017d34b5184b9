"""When and where an animal was seen, as positions for a drawing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from snowmatch.core.text import printable, shortened
from snowmatch.decisions.sightings import Sighting
from snowmatch.review.doctor.times import impossible
from snowmatch.survey.layout import Site, site_among

WIDTH, LEFT, RIGHT, ROW, TOP = 900, 130, 20, 26, 16  # px of the drawing
TICKS = 6
SHAPES = {"left": "M-7 0L6 -7V7Z", "right": "M7 0L-6 -7V7Z", "both": "M-7 0L0 -7L7 0L0 7Z", "other": "M-5 -5H5V5H-5Z"}
STEPS = (1, 2, 3, 7, 14, 31, 61, 92, 183, 366, 731, 1827)  # days between two dates on the axis


@dataclass(frozen=True)
class Dot:
    """One sighting in the drawing. number: of the sighting. shows: a key of SHAPES."""

    number: int
    x: float
    y: float
    shows: str
    path: str
    weak: bool


@dataclass(frozen=True)
class Timeline:
    """A drawing of sightings: time from left to right, a row for each station. rows: (y, short name, name). left_out:
    numbers of sightings with impossible times, beside which the others would not be told apart.
    """

    width: int
    height: int
    left: int
    bottom: int
    rows: tuple[tuple[float, str, str], ...]
    ticks: tuple[tuple[float, str], ...]
    dots: tuple[Dot, ...]
    left_out: tuple[int, ...]


def make_timeline(
    sightings: Sequence[Sighting], numbers: Sequence[int], now: datetime, weak: Collection[int] = ()
) -> Timeline | None:
    """Return the drawing of the sightings with these numbers. Without any time: None. weak: numbers to be marked.

    now: times after it are impossible. Sightings with impossible times are left out if others are there.
    """
    known = [(n, datetime.fromisoformat(sightings[n].time).replace(tzinfo=None)) for n in numbers if sightings[n].time]
    timed = [(n, moment) for n, moment in known if not impossible(moment, now)] or known
    if not timed:
        return None
    moments = [moment for _, moment in timed]
    first, last = min(moments), max(moments)
    span = max((last - first).total_seconds(), 86400.0)
    place_of = _places([sightings[n] for n, _ in timed])
    places = sorted(set(place_of.values()))
    height_of = {place: TOP + ROW * (k + 0.5) for k, place in enumerate(places)}
    bottom = TOP + ROW * len(places)
    room = WIDTH - LEFT - RIGHT - 20

    def x_of(moment: datetime) -> float:
        return round(LEFT + 10 + room * (moment - first).total_seconds() / span, 1)

    dots = tuple(
        Dot(
            n,
            x_of(m),
            height_of[place_of[_site(sightings[n])]],
            shows := flanks_of(sightings[n]),
            SHAPES[shows],
            n in set(weak),
        )
        for n, m in timed
    )
    end = first + min(timedelta(seconds=span), datetime.max - first)  # 9999-12-31: a day after it is none
    ticks = tuple((x_of(m), f"{m:%Y-%m-%d}") for m in _dates(first, end))
    rows = tuple((height_of[place], shortened(place, 18), place) for place in places)
    drawn = {dot.number for dot in dots}
    left_out = tuple(n for n, _ in known if n not in drawn)
    return Timeline(WIDTH, bottom + 28, LEFT, bottom, rows, ticks, dots, left_out)


def flanks_of(sighting: Sighting) -> str:
    """Return `left`, `right`, `both` or `other`: which flanks a sighting shows."""
    left, right = "left_flank" in sighting.body_parts, "right_flank" in sighting.body_parts
    return "both" if left and right else "left" if left else "right" if right else "other"


def _places(sightings: Sequence[Sighting]) -> dict[Site, str]:
    """Return what the place of each sighting is called: its station, with the location where two have that name."""
    sites = {_site(s) for s in sightings}
    located = [site for site in sites if site[0]]
    meant = {site: site_among(located, *site) if site[1] else site for site in sites}
    short = {(location, station): station or location or "–" for location, station in meant.values()}
    often = Counter(short.values())
    whole = {site: "/".join(filter(None, site)) if often[name] > 1 else name for site, name in short.items()}
    return {site: printable(whole[meant[site]]) for site in sites}


def _site(sighting: Sighting) -> Site:
    return sighting.location, sighting.station


def _dates(first: datetime, last: datetime) -> list[datetime]:
    days = (last - first).days or 1
    step = next((step for step in STEPS if days / step <= TICKS), days // TICKS + 1)
    found, at = [], datetime(first.year, first.month, first.day)
    while at <= last:
        if at >= first:
            found.append(at)
        try:
            at += timedelta(days=step)
        except OverflowError:
            break
    return found or [first]
