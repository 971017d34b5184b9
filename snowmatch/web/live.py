"""What open pages are told while things happen: sightings of a watched folder, progress of work, what waits.

One look serves all pages. It reads the end of the journal of `snowmatch watch`, and the files of jobs. What waits is
computed in a thread, when something that it depends on has changed.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import PurePath
from typing import Any

from snowmatch.core.errors import SnowmatchError
from snowmatch.core.text import printable
from snowmatch.review.watch_events import ON_RECORD
from snowmatch.review.watched import Event, events_since
from snowmatch.views.text import MARKS
from snowmatch.web.background import Same, background
from snowmatch.web.jobs import list_jobs
from snowmatch.web.page import called, shown_percent
from snowmatch.web.state import State
from snowmatch.web.texts import Translate
from snowmatch.web.waiting import Waiting, waiting_now

# What of the numbers that wait pages are told: the others change only while work goes on, or begin or end with it
TOLD = (
    *("unindexed", "working", "joins", "machine", "questions", "quarrels", "disputed", "doubtful", "groups"),
    *("learnable", "decisions"),
)
LOOK = 1.0  # seconds between two looks
SHOWN = 10  # sightings that a page shows
# The words for a sighting that is of no known animal, by its decision; others have no answer
DECISIONS = {
    "new": "home.arrived.new",
    "nothing": "home.arrived.nothing",
    "on record": "home.arrived.on_record",
    "other species": "home.arrived.other",
    "person": "home.arrived.person",
}


@dataclass(frozen=True)
class Look:
    """What one look gave. end: of the journal (bytes). jobs: by identifier. waiting: None while it is not known."""

    end: int
    events: tuple[tuple[int, Event], ...]
    jobs: Mapping[str, Mapping[str, Any]]
    waiting: Mapping[str, Any] | None


class Live:
    """What the server keeps for the open pages of one observer. Its methods may be called from several threads."""

    def __init__(self, state: State) -> None:
        self.state = state
        self._lock = threading.Lock()
        self._last: Look | None = None
        self._looked = 0.0
        self._again = 0  # number of times that what waits was asked again, since not all of it was known

    def look(self) -> Look:
        """Return what is there now; what was found less than LOOK seconds ago is given again."""
        with self._lock:
            if self._last is None or time.monotonic() - self._looked >= LOOK:
                self._last = self._now(self._last)
                self._looked = time.monotonic()
            return self._last

    def _now(self, last: Look | None) -> Look:
        state = self.state
        found, end = events_since(state.folder, last.end if last is not None else None)
        kept = last.events if last is not None and last.end <= end else ()
        events = (*kept, *((end, event) for event in found))[-5 * SHOWN :]
        jobs = {
            job.id: {"state": job.state, "title": job.title, "done": job.done, "total": job.total}
            for job in list_jobs(state.folder)[:SHOWN]
        }
        return Look(end, events, jobs, self._waiting(jobs))

    def _waiting(self, jobs: Mapping[str, Mapping[str, Any]]) -> Mapping[str, Any] | None:
        state = self.state
        try:
            identities = state.identities() if state.ready else None
            if identities is None:
                return None
            key = (identities.stored.head, Same(identities.data), state.observer, state.comparing is None,
                   tuple((name, job["state"]) for name, job in jobs.items()), self._again)  # fmt: skip
            name = f"waiting for {state.observer}"
            value: tuple[Waiting, bool] | None
            value, fresh = background(state, name).get(key, lambda: waiting_now(state))
        except SnowmatchError:  # the pages say it
            return None
        if value is None:
            return None
        found, known = value
        # The evidence may be there any moment
        if fresh and not known and not found.working and state.comparing is None:
            self._again += 1
        return {name: getattr(found, name) for name in TOLD}


def live_of(state: State) -> Live:
    """Return what the server keeps for the open pages of the observer who asks."""
    found: Live = state.kept.setdefault(f"live for {state.observer}", Live(state))
    return found


def sighting_of(event: Event, t: Translate) -> dict[str, Any]:
    """Return what a page is told of a sighting. It has no paths of this computer, and no coordinates.

    text: who it is and how sure, when and where, and the photos; word: of its level. Both in the page's language.
    """
    told = {name: event.get(name) for name in ("id", "decision", "individual", "probability", "level", "station")}
    photos = [PurePath(str(name).replace("\\", "/")).name for name in event.get("photos") or ()]
    known, like, decision = (str(event.get(name) or "") for name in ("individual", "same_as", "decision"))
    who = (
        called(t, known)
        if known
        else (t("home.arrived.like", encounter=like) if like else t(DECISIONS.get(decision, "home.arrived.none")))
    )
    if decision == ON_RECORD and known:
        who = f"{t(DECISIONS[ON_RECORD])}: {who}"
    if isinstance(chance := event.get("probability"), float):
        who += f" {shown_percent(t, chance)}"
    when = " ".join(str(event[name]) for name in ("date", "time") if event.get(name))
    names = " ".join((photos[0], t("home.arrived.more", n=len(photos) - 1)) if len(photos) > 1 else photos)
    text = printable(" · ".join(part for part in (who, when, str(event.get("station") or ""), names) if part))
    level = event.get("level")
    return {**told, "text": text, "photos": len(photos), "word": t(f"level.{level}") if level in MARKS else ""}


def stopping(state: State) -> bool:
    """Return whether the server is about to stop, so that no page may hold it."""
    asked = state.kept.get("stopping")
    return bool(asked is not None and asked())
