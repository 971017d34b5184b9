"""Encounters: the photos of one passage, and its name if the catalog does not name it.

Photos of one station that follow each other within the encounter gap are one encounter. Without a station, the camera
replaces it. Without both, only photos of one individual, and frames that look alike, are joined: two animals, or two
places, must not become one.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import lru_cache
from itertools import pairwise

from snowmatch.catalog.clocks import ClockReset, clock_runs
from snowmatch.catalog.settings import CatalogSettings
from snowmatch.catalog.shots import Shot, alike, file_order
from snowmatch.core.notes import Note
from snowmatch.core.text import counted, some
from snowmatch.core.unions import Unions


@dataclass(frozen=True)
class Encounter:
    """One passage: its name, and the numbers of its photos in the order of time."""

    name: str
    shots: tuple[int, ...]


def group_shots(
    shots: Sequence[Shot], settings: CatalogSettings, used: Iterable[str] = ()
) -> tuple[list[Encounter], list[Note]]:
    """Return the encounters of some photos, and notes. Each photo is in one encounter. No photos give no encounters.

    A name depends only on the encounter's own photos, so that photos added elsewhere do not change it. used: names that
    are taken.
    """
    joined = Unions(len(shots))
    runs, resets = clock_runs(shots, settings.gap)
    cameras: dict[tuple, list[int]] = defaultdict(list)
    loose: dict[tuple, list[int]] = defaultdict(list)
    days: dict[tuple, list[int]] = defaultdict(list)
    folders: dict[tuple, list[int]] = defaultdict(list)
    for n, shot in enumerate(shots):
        place = (shot.location, shot.station, "" if shot.station else shot.camera)
        if shot.taken is None:
            folders[*place, shot.folder].append(n)
        elif shot.dated:
            for who in ("",) if place[1:] != ("", "") else sorted(shot.individuals):
                days[*place, who, shot.taken].append(n)
        elif place[1:] != ("", ""):
            cameras[*place, runs[n]].append(n)
        else:
            loose[shot.location, runs[n]].append(n)
    for numbers in cameras.values():
        _join_passages(shots, numbers, settings.gap, joined)
    for numbers in loose.values():
        for who in sorted({name for n in numbers for name in shots[n].individuals}):
            _join_passages(shots, [n for n in numbers if who in shots[n].individuals], settings.gap, joined)
        numbers = sorted(numbers, key=lambda n: (_taken(shots[n]), file_order(shots[n].name)))
        for a, b in pairwise(numbers):
            if _taken(shots[b]) - _taken(shots[a]) <= settings.gap and alike(shots[a], shots[b]):
                joined.join(a, b)
    for numbers in days.values():
        joined.join_all(numbers)
    for numbers in folders.values() if settings.bursts else ():
        for a, b in pairwise(sorted(numbers, key=lambda n: file_order(shots[n].name))):
            if alike(shots[a], shots[b]):
                joined.join(a, b)
    groups = joined.groups()
    for group in groups:
        if len(group) > 1:
            group.sort(key=lambda n: (shots[n].taken or datetime.max, file_order(shots[n].name)))
    cut = [[group] if len(group) == 1 else list(_cut(shots, group, settings.longest)) for group in groups]
    notes = [*_station_notes(shots, loose, cut, settings), *_length_notes(shots, cut, settings)]
    notes += [*_time_notes(shots, groups, settings), *_clock_notes(resets)]
    names = set(used)
    encounters = [
        Encounter(unused(name, names), tuple(piece))
        for name, piece in sorted((_name(shots, piece), piece) for pieces in cut for piece in pieces)
    ]
    return encounters, notes


def named_length_notes(photos: Iterable[tuple[str, datetime, bool]], settings: CatalogSettings) -> list[Note]:
    """Return a note on encounters that the table names and that last longer than one passage can.

    photos: encounter and time of each, and whether the time is a day without a time of day.
    """
    times: dict[str, list[datetime]] = defaultdict(list)
    days = set()
    for name, taken, dated in photos:
        times[name].append(taken)
        if dated:
            days.add(name)
    spans = {name: max(taken) - min(taken) for name, taken in times.items()}
    long = [
        name for name, span in sorted(spans.items()) if span > settings.longest + timedelta(days=1) * (name in days)
    ]
    if not long:
        return []
    listed = some([f"{name}: {spans[name] / timedelta(hours=1):.0f} h" for name in long])
    text = (
        f"{counted(len(long), 'encounter')} of the table with photos more than {settings.longest_encounter:g} h apart "
        f"({listed}): all photos of a name are one passage and one capture; give each passage a name of its own"
    )
    return [Note("named-encounters-long", text, {"encounters": long})]


def passages(photos: Iterable[int], taken: Callable[[int], datetime], gap: timedelta) -> Iterator[list[int]]:
    """Return the photos of one camera in the order of time, cut where neighbours are more than `gap` apart."""
    passage: list[int] = []
    for photo in sorted(photos, key=taken):
        if passage and taken(photo) - taken(passage[-1]) > gap:
            yield passage
            passage = []
        passage.append(photo)
    if passage:
        yield passage


def is_derived(name: str, location: str, station: str, first: datetime) -> bool:
    """Return whether an encounter at a station has the name that it gets from its first photo, and not one of its own
    in the table.
    """
    return name.rstrip("+") == f"{place_name(location, station)}{first.isoformat()}"


def unused(name: str, used: set[str]) -> str:
    """Return `name`, with as many + as needed to differ from all names in `used`, and add it to `used`."""
    while name in used:
        name += "+"
    used.add(name)
    return name


@lru_cache(maxsize=1000)
def place_name(location: str, station: str) -> str:
    """Return 'naryn/S01 ', 'naryn ', '/S01 ' or ''. A slash in a name becomes %2F, so that two places never look
    alike.
    """
    location, station = (name.replace("%", "%25").replace("/", "%2F") for name in (location, station))
    return f"{location}/{station} " if station else (f"{location} " if location else "")


def _join_passages(shots: Sequence[Shot], numbers: Iterable[int], gap: timedelta, joined: Unions) -> None:
    for passage in passages(numbers, lambda n: _taken(shots[n]), gap):
        if len(passage) > 1:
            joined.join_all(passage)


def _cut(shots: Sequence[Shot], group: Sequence[int], longest: timedelta) -> Iterator[list[int]]:
    """Return a group in pieces of at most `longest`, in the order of time."""
    piece: list[int] = []
    for n in group:
        taken, first = shots[n].taken, shots[piece[0]].taken if piece else None
        if taken is not None and first is not None and taken - first > longest:
            yield piece
            piece = []
        piece.append(n)
    yield piece


def _name(shots: Sequence[Shot], group: Sequence[int]) -> str:
    first = shots[group[0]]
    if first.taken is None:
        return f"photo {first.name}"
    place = place_name(first.location, first.station)
    when = first.taken.date().isoformat() if first.dated else first.taken.isoformat()
    if first.station:
        return place + when
    if first.camera:
        return f"{place}camera {first.camera} {when}"
    return f"{place}{when} {first.name.rsplit('/', 1)[-1].rsplit('.', 1)[0]}"


def _taken(shot: Shot) -> datetime:
    assert shot.taken is not None
    return shot.taken


# --- notes ------------------------------------------------------------------------------------------------------------


def _station_notes(
    shots: Sequence[Shot], loose: dict[tuple, list[int]], cut: Iterable[list[list[int]]], settings: CatalogSettings
) -> list[Note]:
    """Return notes on photos without a station."""
    minutes = f"{settings.encounter_gap:g} min"
    by_camera = sum(not s.station and bool(s.camera) and s.taken is not None for s in shots)
    without = {n for numbers in loose.values() for n in numbers}
    alone = sum(
        len(piece) == 1 and piece[0] in without and not shots[piece[0]].individuals
        for pieces in cut
        for piece in pieces
    )
    notes = []
    if by_camera:
        text = (
            f"{counted(by_camera, 'photo')} with a time, but without a station: those of one camera within {minutes} "
            "are one encounter"
        )
        notes.append(Note("no-station", text, {"count": by_camera}))
    if len(without) > 1:
        text = (
            f"{len(without)} photos with a time of day, but without a station, and without a camera's name or serial "
            f"number: those of one individual within {minutes} are one encounter"
        )
        if alone:
            text += f"; {counted(alone, 'unidentified photo')} that no other frame resembles are an encounter each"
        notes.append(Note("no-station-no-camera", text, {"count": len(without), "alone": alone}))
    return notes


def _length_notes(shots: Sequence[Shot], cut: Iterable[list[list[int]]], settings: CatalogSettings) -> list[Note]:
    long = sorted(_name(shots, pieces[0]) for pieces in cut if len(pieces) > 1)
    if not long:
        return []
    text = (
        f"{counted(len(long), 'chain')} of photos, each within {settings.encounter_gap:g} min of the next, "
        f"{'lasts' if len(long) == 1 else 'last'} more than {settings.longest_encounter:g} h and "
        f"{'was' if len(long) == 1 else 'were'} cut into several encounters: {some(long)}"
    )
    return [Note("long-encounters", text, {"encounters": long})]


def _time_notes(shots: Sequence[Shot], groups: Iterable[Sequence[int]], settings: CatalogSettings) -> list[Note]:
    """Return notes on photos without a time. Results look too good if a burst is evidence for itself."""
    timeless = [n for n, shot in enumerate(shots) if shot.taken is None]
    if len(timeless) < 2:
        return []
    bursts = sum(len(group) > 1 and shots[group[0]].taken is None for group in groups)
    text = f"{len(timeless)} photos have no time, neither in the catalog nor in EXIF"
    if bursts:
        text += f": consecutive frames of a folder that look alike are one encounter ({counted(bursts, 'burst')})"
    elif settings.bursts:
        text += ": no consecutive frames are known to look alike, so each photo is an encounter of its own"
    else:
        text += ": each photo is an encounter of its own"
    text += (
        ". Photos of one passage that are not joined are evidence for each other, so results look better than they "
        "are: fill in the column timestamp or encounter"
    )
    return [Note("no-times", text, {"count": len(timeless), "bursts": bursts})]


def _clock_notes(resets: Sequence[ClockReset]) -> list[Note]:
    if not resets:
        return []
    listed = some([f"{reset.after} after {reset.before}" for reset in resets])
    text = (
        f"a camera's clock was set back {counted(len(resets), 'time')} ({listed}): photos from before and after it are "
        "never one encounter, and their times are doubtful"
    )
    if beside := sorted({name for reset in resets for name in reset.beside}):
        text += (
            f"; names of another kind in those folders count as from before it ({counted(len(beside), 'photo')}: "
            f"{some(beside)}): if that camera took them, fill in the column encounter"
        )
    return [Note("clock-set-back", text, {"photos": [reset.after for reset in resets]})]
