"""Times that are missing or cannot be right, or at which no camera stood there, and encounters that are too long."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from itertools import pairwise

from snowmatch.catalog.clocks import FEW_STEPS, MOST_STEPS
from snowmatch.catalog.shots import file_number, file_order, name_series
from snowmatch.catalog.stations import DAY, Span
from snowmatch.core.text import counted, printable, some
from snowmatch.core.types import Annotation
from snowmatch.photos.facts import NO_FACTS
from snowmatch.review.doctor.finding import CHECK, HINT, SERIOUS, Finding, Patient, count_of, verb

FIRST_YEAR = 2005  # digital camera traps were rare before: an earlier time is that of a clock that was never set
AHEAD = timedelta(days=1)  # a clock may be in another time zone
YEAR = timedelta(days=365, hours=6)
LONG = timedelta(hours=4)  # chosen: an animal rarely stays so long before one station


def impossible(taken: datetime, now: datetime) -> str:
    """Return the code of the finding about a time at which no camera with a right clock took a photo; "" for others."""
    return "early-times" if taken.year < FIRST_YEAR else "future-times" if taken > now + AHEAD else ""


def findings_of_times(patient: Patient) -> Iterator[Finding]:
    """Yield the findings about times: missing, impossible, set back, without a camera; and about long encounters."""
    yield from _impossible(patient)
    yield from _backwards(patient)
    yield from _reset(patient)
    yield from _without_camera(patient)
    yield from _long(patient)
    yield from _cameras(patient)
    timeless = [photo for photo in patient.photos.values() if photo[0].timestamp is None]
    if timeless:
        text = (
            f"{counted(len(timeless), 'photo')} of {len(patient.photos)} {verb(len(timeless), 'has', 'have')} no time: "
            "photos of one passage may count as evidence for each other"
        )
        yield patient.finding("no-times", CHECK, text, [p[0].path for p in timeless], [a for p in timeless for a in p])


def _impossible(patient: Patient) -> Iterator[Finding]:
    times = [(photo, photo[0].timestamp) for photo in patient.photos.values()]
    timed = [(photo, impossible(taken, patient.now)) for photo, taken in times if taken is not None]
    early = f"before {FIRST_YEAR}, so the camera's clock was not set"
    for code, when in (("future-times", "in the future"), ("early-times", early)):
        found = [photo for photo, wrong in timed if wrong == code]
        if found:
            cases = [f"{photo[0].path} ({photo[0].timestamp})" for photo in found]
            text = f"{count_of(found, 'photo')} with a time {when}"
            yield patient.finding(code, CHECK, text, cases, [a for photo in found for a in photo])


def _backwards(patient: Patient) -> Iterator[Finding]:
    """Yield a finding on times that decrease in a folder while the file numbers increase.

    Folders whose file names are not in the order of time are left alone, and so is a file counter that started again.
    Files whose names differ in more than digits are looked at apart. Otherwise the resets count that grouping into
    encounters found.
    """
    folders: dict[tuple[object, ...], list[Annotation]] = defaultdict(list)
    for path, photo in patient.photos.items():
        first = photo[0]
        if patient.taken(first) is not None:
            folder = path.rpartition("/")[0]
            folders[first.location, first.station, first.camera, folder, name_series(path)].append(first)
    steps = []
    for photos in folders.values():
        if any(file_number(a.path) is None for a in photos):
            continue
        photos.sort(key=lambda a: file_order(a.path))
        back = [(a, b) for a, b in pairwise(photos) if _taken(a) - _taken(b) > patient.data.settings.gap]
        if len(back) <= max(FEW_STEPS, MOST_STEPS * len(photos)) and 2 * len(back) < len(photos):
            steps += [(a, b) for a, b in back if not _counter_restarts(a, b)]
    if steps:
        cases = [f"{b.path} ({b.timestamp}) follows {a.path} ({a.timestamp})" for a, b in steps]
        text = f"{count_of(steps, 'time')} a camera's clock runs backwards against the file names"
        yield patient.finding("times-backwards", CHECK, text, cases, [a for step in steps for a in step])
    else:
        for note in patient.notes("clock-set-back"):
            yield Finding(note.code, CHECK, note.text, data=note.data, photos=tuple(note.data["photos"]))


def _counter_restarts(one: Annotation, other: Annotation) -> bool:
    """Return whether the file names jump so far that the counter went over its end (IMG_9999, IMG_0001) between."""
    numbers = file_number(one.path), file_number(other.path)
    name = other.path.rsplit("/", 1)[-1].rsplit(".", 1)[0]
    digits = len(name) - len(name.rstrip("0123456789"))
    return None not in numbers and numbers[1] - numbers[0] > 10**digits / 2  # type: ignore[operator]


def _reset(patient: Patient) -> Iterator[Finding]:
    """Yield a finding on encounters that begin at the same first minute of a year: a clock starts there without
    battery.
    """
    years: dict[int, list[Annotation]] = defaultdict(list)
    for photos in patient.encounters.values():
        timed = [a for a in photos if patient.taken(a) is not None]
        first = min(timed, key=_taken, default=None)
        if first is not None and _taken(first) - datetime(_taken(first).year, 1, 1) < timedelta(minutes=1):
            years[_taken(first).year].append(first)
    several = {year: found for year, found in sorted(years.items()) if len(found) > 1}
    if several:
        cases = [f"{year}-01-01 00:00: {a.encounter} ({a.path})" for year, found in several.items() for a in found]
        text = f"{count_of(cases, 'encounter')} at the first minute of a year: the clock was reset"
        yield patient.finding("clock-reset", CHECK, text, cases, [a for found in several.values() for a in found])


def _without_camera(patient: Patient) -> Iterator[Finding]:
    """Yield the findings on stations with photos from days on which no camera stood there: one case a station.

    Serious if these are more than half of its photos. A photo up to a day before or after is none: people set
    cameras up and take them down. What the screening left out is none either.
    """
    stations: dict[tuple[str, str], list[Annotation]] = defaultdict(list)
    for photo in patient.photos.values():
        a = next((a for a in photo if not a.left_out), None)
        if a is not None and a.timestamp is not None:
            stations[a.location, a.station or a.camera or a.location].append(a)
    found: dict[str, list[tuple[float, str, list[Annotation]]]] = {SERIOUS: [], CHECK: []}
    for (location, station), photos in sorted(stations.items()):
        periods = patient.stations.worked(location, station)
        away = [(days, a) for a in photos if abs(days := _days_outside(_taken(a), periods)) > 1]
        if away:
            outside = [a for _, a in away]
            name = printable("/".join(dict.fromkeys(filter(None, (location, station)))))
            case = f"{name}: {_words_outside(away, len(photos), periods)}"
            severity = SERIOUS if 2 * len(away) > len(photos) else CHECK
            found[severity].append((-len(away) / len(photos), case, outside))
    for severity, cases in found.items():
        if cases:
            cases.sort(key=lambda each: each[:2])
            text = (
                f"{count_of(cases, 'station')} with {'most ' if severity == SERIOUS else ''}photos from days on which "
                "stations.csv has no camera there: a clock or stations.csv is wrong, or they are from setting it up"
            )
            about = [a for *_, outside in cases for a in outside]
            yield patient.finding("photos-without-camera", severity, text, [case for _, case, _ in cases], about)


def _days_outside(moment: datetime, periods: Sequence[Span]) -> float:
    """Return how many days a moment is after the nearest period, negative before; 0 inside one, and without periods."""
    if any(moment in span for span in periods):
        return 0.0
    distances = [(moment - span.end) / DAY for span in periods if moment >= span.end]
    distances += [(moment - span.start) / DAY for span in periods if moment < span.start]
    return min(distances, key=abs, default=0.0)


def _words_outside(away: Sequence[tuple[float, Annotation]], photos: int, periods: Sequence[Span]) -> str:
    times = [_taken(a) for _, a in away]
    far = []
    for side, word in ((-1, "before"), (1, "after")):
        days = sorted(int(side * days) for days, _ in away if side * days > 0)
        if days:
            between = f"{days[0]} to {days[-1]} days" if days[0] < days[-1] else counted(days[0], "day")
            far.append(f"{between} {word}")
    fits = [
        f"; one year {word}, all of these would fit"
        for shift, word in ((YEAR, "later"), (-YEAR, "earlier"))
        if all(abs(_days_outside(t, [Span(s.start - shift, s.end - shift) for s in periods])) <= 1 for t in times)
    ]
    worked = [f"{span.start.date()} to {(span.end - timedelta.resolution).date()}" for span in periods]
    return (
        f"{len(away)} of {counted(photos, 'photo')}, from {min(times).date()} to {max(times).date()}, "
        f"{' and '.join(far)} a camera stood there ({some(worked)}){''.join(fits[:1])}"
    )


def _long(patient: Patient) -> Iterator[Finding]:
    long = []
    for name, photos in patient.encounters.items():
        times = [moment for a in photos if (moment := patient.taken(a)) is not None]
        times = times or [a.timestamp for a in photos if a.timestamp is not None]  # days alone
        if times and max(times) - min(times) > LONG:
            long.append((max(times) - min(times), name, photos))
    long.sort(key=lambda each: (-each[0], each[1]))
    if long:
        cases = [
            f"{printable(name)} ({span.total_seconds() / 3600:.1f} h, {count_of({a.path for a in photos}, 'photo')})"
            for span, name, photos in long
        ]
        text = (
            f"{count_of(long, 'encounter')} longer than {LONG.total_seconds() / 3600:g} h: several passages may be "
            "chained into one"
        )
        yield patient.finding("encounters-long", CHECK, text, cases, [a for _, _, photos in long for a in photos])
    else:
        for note in patient.notes("long-encounters", "named-encounters-long"):
            yield Finding(note.code, HINT, note.text, encounters=tuple(note.data["encounters"]), data=note.data)


def _cameras(patient: Patient) -> Iterator[Finding]:
    """Yield a finding on encounters with photos of several cameras. Two that face each other are usual."""
    found = []
    for name, photos in patient.encounters.items():
        cameras = {a.camera or patient.data.facts.get(a.path, NO_FACTS).serial for a in photos} - {""}
        if len(cameras) > 1:
            found.append((name, sorted(cameras), photos))
    if found:
        cases = [f"{printable(name)} (cameras {', '.join(cameras)})" for name, cameras, _ in found]
        text = (
            f"{count_of(found, 'encounter')} with photos of several cameras: right if the cameras face each other and "
            "their clocks agree"
        )
        yield patient.finding("encounters-of-cameras", HINT, text, cases, [a for _, _, p in found for a in p])


def _taken(a: Annotation) -> datetime:
    assert a.timestamp is not None
    return a.timestamp
