"""When each camera of a station worked: the deployments of other programs."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime

from snowmatch.catalog.stations import Span
from snowmatch.core.notes import Note
from snowmatch.core.text import counted
from snowmatch.interchange.exporting import Export
from snowmatch.survey.effort import working_time
from snowmatch.survey.places import Place
from snowmatch.survey.run import Survey


@dataclass(frozen=True)
class Period:
    """A time in which one camera ("": not known) stood at a station. key: its identifier in the file."""

    key: str
    place: str
    camera: str
    span: Span


def camera_times(survey: Survey, place: Place, session: str | None = None) -> Iterator[tuple[str, list[Span]]]:
    """Yield each camera of a station and when it worked, in the order of time. session: only the times that the table
    of stations has for it, or for none.
    """
    by_camera: dict[str, list[Span]] = defaultdict(list)
    # of sessions that are asked for, the periods are of any
    own = {name for _, name in survey.spans[place.label] if name in ("", session)}
    for d in place.deployments:
        if session is None or "" in own or d.session in own:
            by_camera[d.camera] += working_time(d)
    if place.from_photos:
        by_camera = {"": [span for span, name in survey.spans[place.label] if session is None or name in own]}
    for camera, spans in sorted(by_camera.items()):
        if spans:
            yield camera, sorted(spans, key=lambda s: s.start)


def inside(spans: Iterable[Span], whole: Span) -> list[Span]:
    """Return the parts of some times that lie in another one, in the order of time."""
    cut = (Span(max(a.start, whole.start), min(a.end, whole.end)) for a in spans)
    return sorted((span for span in cut if span.start < span.end), key=lambda s: s.start)


def in_sessions(survey: Survey, span: Span) -> list[Span]:
    """Return the parts of a time that lie in the sessions: outside them, captures are not exported. Sessions that
    touch do not part it.
    """
    found: list[Span] = []
    for part in sorted((p for s in survey.seasons for p in inside([span], s.span)), key=lambda s: s.start):
        if found and part.start <= found[-1].end:
            found[-1] = Span(found[-1].start, max(found[-1].end, part.end))
        else:
            found.append(part)
    return found


def note_cut(given: Export, spans: Iterable[Span]) -> None:
    """Note how many of some times of cameras are not wholly in the sessions."""
    if number := sum(in_sessions(given.survey, span) != [span] for span in spans):
        text = f"{counted(number, 'working time')} of cameras not wholly in the sessions: cut to the sessions"
        given.notes.append(Note("format-cuts-to-sessions", text, {"count": number}))


def nearest_period(periods: Iterable[Period], place: str, cameras: Collection[str], moment: datetime) -> str:
    """Return the key of the period of a photo: of its camera and time if there is one, else the station's nearest.

    cameras: that may have taken it.
    """

    def rank(period: Period) -> tuple[bool, bool, float]:
        start, end = period.span.start, period.span.end
        away = max((start - moment).total_seconds(), (moment - end).total_seconds(), 0.0)
        return away > 0, period.camera not in ("", *cameras), away

    return min((period for period in periods if period.place == place), key=rank).key
