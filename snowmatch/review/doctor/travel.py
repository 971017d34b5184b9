"""One animal in two places: at one time, or sooner than a cat can walk there."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from datetime import timedelta
from itertools import chain, pairwise

from snowmatch.core.text import printable, some
from snowmatch.core.types import Annotation
from snowmatch.review.doctor.finding import CHECK, HINT, SERIOUS, Finding, Patient, count_of, grouped, verb
from snowmatch.review.doctor.stations import distance_km

# Chosen, not measured. Cats walk 3 to 5 km/h for hours; they run for some hundred metres only
FASTEST = 15.0  # km/h
RUN = 0.5  # km: nearer stations can be passed at a run, or their clocks differ by some minutes
SAME_TIME = timedelta(minutes=1)

Place = tuple[str, str]
Step = tuple[Annotation, Annotation, float | None]  # before, after, km


def findings_of_travel(patient: Patient) -> Iterator[Finding]:
    """Yield the findings about named animals that are in two places too soon, and about the table of stations.

    With places, the distance decides; without, two stations within a minute. Times that are dates alone are not used.
    """
    together: list[Step] = []
    fast: list[Step] = []
    for _, photos in grouped(patient.data.annotations, lambda a: a.individual or "").items():
        if photos[0].individual is None:
            continue
        for step in _steps(patient, photos):
            _, _, km = step
            (together if _between(step) <= SAME_TIME else fast).append((*step[:2], km))
    # Without a distance, the two stations may stand side by side
    for severity, known in ((SERIOUS, True), (CHECK, False)):
        steps = [step for step in together if (step[2] is not None) is known]
        if steps:
            cases = [_words(step) for step in steps]
            text = f"{count_of(cases, 'time')} one animal is in two places at one time: a name or a clock is wrong"
            yield patient.finding("two-places", severity, text, cases, _photos(steps))
    if fast:
        fast.sort(key=lambda step: -_speed(step))
        cases = [_words(step) for step in fast]
        text = (
            f"{count_of(cases, 'time')} one animal moves faster than a cat can travel ({FASTEST:g} km/h): a name, a "
            "clock or a place is wrong"
        )
        yield patient.finding("too-fast", SERIOUS, text, cases, _photos(fast), fastest=_speed(fast[0]))
    yield from _table(patient)


def _steps(patient: Patient, photos: tuple[Annotation, ...]) -> Iterator[Step]:
    """Yield the impossible steps of one animal, each pair of encounters once.

    A photo without a station, a location or a place does not come between two photos that have one.
    """
    moments = [(moment, a.row, a) for a in photos if (moment := patient.taken(a)) is not None]
    timed = [a for _, _, a in sorted(moments)]
    posted, located = [a for a in timed if a.station], [a for a in timed if a.location]
    placed = [a for a in posted if patient.stations.position(a.location, a.station) is not None]
    seen = set()
    for one, other in chain(pairwise(posted), pairwise(located), pairwise(placed)):
        if not _elsewhere((one.location, one.station), (other.location, other.station)):
            continue
        places = [patient.stations.position(a.location, a.station) for a in (one, other) if a.station]
        km = distance_km(places[0], places[1]) if len(places) == 2 and places[0] and places[1] else None
        step = one, other, km
        wrong = _between(step) <= SAME_TIME if km is None else km > RUN and _speed(step) > FASTEST
        pair = frozenset((one.encounter, other.encounter))
        if wrong and pair not in seen:
            seen.add(pair)
            yield step


def _elsewhere(one: Place, other: Place) -> bool:
    """Return whether two places surely differ. An empty name may be any place."""
    return any(a and b and a != b for a, b in zip(one, other, strict=True))


def _between(step: Step) -> timedelta:
    assert step[0].timestamp is not None
    assert step[1].timestamp is not None
    return step[1].timestamp - step[0].timestamp


def _speed(step: Step) -> float:
    """Return the speed of a step (km/h), from the distance beyond a run; 0 if the distance is not known."""
    km = step[2]
    return max(km - RUN, 0.0) / max(_between(step).total_seconds() / 3600, 1 / 3600) if km is not None else 0.0


def _words(step: Step) -> str:
    one, other, km = step
    where = [_name((a.location, a.station)) for a in (one, other)]
    far = f", {km:.1f} km apart" if km is not None else ""
    minutes = _between(step).total_seconds() / 60
    return (
        f"{one.individual}: {where[0]} at {one.timestamp} and {where[1]} {minutes:.0f} min later{far} "
        f"({one.path} and {other.path})"
    )


def _photos(steps: list[Step]) -> list[Annotation]:
    return [a for step in steps for a in step[:2]]


def _table(patient: Patient) -> Iterator[Finding]:
    """Yield the findings about stations.csv itself."""
    stations = patient.stations
    if stations.problems:
        text = (
            f"{count_of(stations.problems, 'problem')} of stations.csv: a survey refuses it, and rows without a usable "
            "place were not used"
        )
        yield Finding("stations-unread", CHECK, text, stations.problems)
    used = sorted({(a.location, a.station) for a in patient.data.annotations if a.station})
    sites = {(a.location, a.station or a.camera or a.location) for a in patient.data.annotations}  # as a survey does
    none_counts = bool(stations.periods) and not any(site and stations.counts(place, site) for place, site in sites)
    elsewhere = [place for place in used if not stations.counts(*place) and stations.locations(place[1])]
    for code, places, has in (
        ("stations-elsewhere", [place for place in elsewhere if place[0]], "another location in stations.csv"),
        (
            "stations-without-location",
            [place for place in elsewhere if not place[0]],
            "no location there, and several in stations.csv",
        ),
    ):
        if places:
            there = [some([_name((at, name)) for at in stations.locations(name)]) for _, name in places]
            cases = [f"{_name(place)}: {names} in stations.csv" for place, names in zip(places, there, strict=True)]
            text = (
                f"{count_of(places, 'station')} of the catalog {verb(len(places), 'has', 'have')} {has}: a survey "
                "counts no capture there"
            )
            severity = SERIOUS if none_counts else CHECK
            yield patient.finding(code, severity, text, cases, _photos_of(patient, places))
    bare = [place for place in used if stations.position(*place) is None and place not in elsewhere]
    if stations.exists and bare:
        names = [_name(place) for place in bare]
        text = f"{count_of(bare, 'station')} of the catalog {verb(len(bare), 'has', 'have')} no place in stations.csv"
        severity = SERIOUS if none_counts else HINT
        yield patient.finding("stations-without-place", severity, text, names, _photos_of(patient, bare))


def _name(place: Place) -> str:
    return printable("/".join(filter(None, place)))


def _photos_of(patient: Patient, places: Collection[Place]) -> list[Annotation]:
    return [a for a in patient.data.annotations if (a.location, a.station) in places]
