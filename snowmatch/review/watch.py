"""A folder that is watched: photos are asked about as they arrive, and become part of the catalog if that is wanted.

Each step is written to the journal (see `watched`), so that nothing is lost and nothing is done twice, also after a
restart. A photo is asked when it is whole, or has not changed for some seconds: a photo that is still being copied
waits. The folder may disappear, as a memory card does, and return.
"""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Any

from snowmatch.api import Catalog, open_catalog
from snowmatch.catalog.screened import Screened
from snowmatch.core.errors import SnowmatchError
from snowmatch.core.files import file_sha256
from snowmatch.core.home import CSV_NAME, EXCEL_NAME, STATIONS_NAME, features_path, settings_path
from snowmatch.core.notes import Note
from snowmatch.core.plain import plain
from snowmatch.core.text import counted
from snowmatch.decisions.file import decisions_path, read_head
from snowmatch.photos.facts import read_facts
from snowmatch.review.arriving import Places, is_whole, list_photos, location_of, part_of, place_of, places_of, stamp_of
from snowmatch.review.batch import run_batch
from snowmatch.review.left_out import unscreened_note
from snowmatch.review.rows import LEFT_OUT, Row
from snowmatch.review.taking_in import check_can_add, index_added, on_record, take_in
from snowmatch.review.watch_events import event_of, recorded_row
from snowmatch.review.watched import Event, Stamp, ToAdd, Watched, event_id, read_memory, watched_path, write_step
from snowmatch.screening.finders import choose_finders
from snowmatch.screening.passages import DEFAULT, SPECIES

WHOLE = 0.5  # seconds that a photo whose end is there must be unchanged
EMPTY = 60.0  # the same of a file without content: programs that copy make it first
AT_ONCE = 20  # photos that are asked together, and those of the same passage
MOST = 200  # photos of one look at most
IDLE = 2.0  # seconds without a new photo after which added photos are indexed
INDEX_AFTER = 60.0  # seconds after which they are indexed although more arrive
AGAIN = 10.0  # seconds before something that failed is tried again


@dataclass(frozen=True)
class Arrival:
    """What one look at the folder gave.

    events: one for each sighting (see `event_of`). failed: photos that failed, with the reason. waiting: number of
    photos that were still changing. left: number of photos that are ready and come next. copies: number of photos
    whose content was asked before, under another name. here: whether the folder could be read. added: paths in the
    catalog. skipped: what else is in the folder and was left out, once in a run (see `Listed`). indexed: whether the
    catalog was indexed. left_out: number of photos that were not added, by the answer of
    the screening. species: that the screening keeps. notes: those of the answers. problem: why the catalog could not be
    asked or written; "" if it could.
    """

    events: tuple[Event, ...] = ()
    failed: tuple[tuple[str, str], ...] = ()
    waiting: int = 0
    left: int = 0
    copies: int = 0
    here: bool = True
    added: tuple[str, ...] = ()
    skipped: tuple[tuple[str, str], ...] = ()
    indexed: bool = False
    left_out: Mapping[str, int] = field(default_factory=dict)
    species: str = ""
    notes: tuple[Note, ...] = ()
    problem: str = ""

    @property
    def news(self) -> bool:
        """Whether there is something to tell."""
        done = self.events or self.failed or self.copies or self.added or self.indexed or self.problem
        return bool(done or self.skipped)


@dataclass
class Watch:
    """A watched folder and the catalog that is asked.

    quiet: seconds that a photo must be unchanged if its end does not tell that it is whole. add: photos that show an
    animal are added to the catalog. station: of all photos; "" for the names of their folders. method: of the answers.
    """

    folder: Path
    catalog: Path
    quiet: float = 3.0
    body_part: str | None = None
    locations: Sequence[str] = ()
    method: Mapping[str, Any] = field(default_factory=dict)
    add: bool = False
    station: str = ""

    def __post_init__(self) -> None:
        self.folder = Path(os.path.abspath(self.folder))  # the journal and the events have the paths of its photos
        if self.add:
            check_can_add(self.catalog, self.folder, self.station)
        self.memory = read_memory(self.catalog)
        self._seen: dict[str, tuple[Stamp, float]] = {}
        self._failed: dict[str, Stamp] = {}  # in this run; another run tries again
        self._told: set[tuple[str, str]] = set()  # failures of adding
        self._skipped: set[tuple[str, str]] = set()  # that were told
        self._opened: Catalog | None = None
        self._stamp: tuple[object, ...] = ()
        self._places: Places | None = None
        self._asked_last = self._added_first = 0.0
        self._add_again = self._index_again = 0.0
        self._added = 0  # photos in this run
        self._beside = ThreadPoolExecutor(1, "snowmatch-index")
        self._indexing: Future[tuple[int, tuple[tuple[str, str], ...], tuple[Note, ...]]] | None = None

    def look(self, now: float | None = None) -> Arrival:
        """Look at the folder once, ask about photos that are ready, and return what was found.

        now: seconds (default: a clock that never jumps). Raises SnowmatchError if the catalog cannot be asked or
        written. What was found is in the journal when this returns: call `tell` when it was told.
        """
        now = time.monotonic() if now is None else now
        found = list_photos(self.folder)
        if found is None:
            self._seen.clear()
            return Arrival(here=False)
        ready, waiting = [], 0
        skipped = tuple(each for each in found.skipped if each not in self._skipped)
        for path, stamp in found.photos:
            if stamp in (self.memory.asked.get(path), self._failed.get(path)):
                continue
            before = self._seen.get(path)
            if before is None or before[0] != stamp:
                self._seen[path] = before = (stamp, now)
            unchanged = now - before[1]
            quiet = self.quiet if stamp[0] else max(self.quiet, EMPTY)
            if unchanged >= quiet or (unchanged >= WHOLE and is_whole(path)):
                ready.append((path, stamp))
            else:
                waiting += 1
        if not ready:
            self._skipped.update(skipped)
            return Arrival(waiting=waiting, skipped=skipped)
        some = self._first(ready)
        arrival = self._ask(some)
        self._asked_last = now
        self._skipped.update(skipped)
        for path, _ in some:
            self._seen.pop(path, None)
        return replace(arrival, waiting=waiting, skipped=skipped, left=arrival.left + len(ready) - len(some))

    def settle(self, now: float | None = None, *, at_once: bool = False, beside: bool = False) -> Arrival:
        """Add to the catalog what waits for it, index it when no more photos arrive, and return what was done.

        at_once: index now. beside: index in a thread, so that photos that arrive are answered meanwhile; what that gave
        is returned by a later call. Raises SnowmatchError if the catalog cannot be written or indexed; it is tried
        again.
        """
        now = time.monotonic() if now is None else now
        if not self.add:
            return Arrival()
        added, failed = self._add(now) if now >= self._add_again else ((), ())
        arrival = Arrival(added=added, failed=failed)
        due = at_once or now - self._asked_last >= IDLE or now - self._added_first > INDEX_AFTER
        if due and self._indexing is None and self.memory.to_index and now >= self._index_again:
            self._index_again = now + AGAIN  # unless this works
            folder, count = self.catalog, self._added
            self._indexing = self._beside.submit(lambda: (count, *index_added(open_catalog(folder))))
        if self._indexing is None or (beside and not self._indexing.done()):
            return arrival
        done, self._indexing = self._indexing, None
        count, why, notes = done.result()
        self._opened = None
        self._index_again = 0.0
        if count == self._added:  # otherwise photos were added while it was indexed: they come next
            write_step(self.catalog, self.memory, indexed=True)
        self._added_first = now
        return replace(arrival, failed=(*arrival.failed, *why), indexed=True, notes=notes)

    def _add(self, now: float) -> tuple[tuple[str, ...], tuple[tuple[str, str], ...]]:
        """Add what waits for the catalog. Return the paths there, and failures that were not told before."""
        if not self.memory.to_add:
            return (), ()
        only = self.locations[0] if len(self.locations) == 1 else ""
        photos = [replace(each, location=each.location or only) for each in self.memory.to_add.values()]
        if not (self.catalog / CSV_NAME).is_file() and any(each.station and not each.location for each in photos):
            places = self._known_places()  # the folders need the location, which the table of stations may have by now
            photos = [replace(each, location=each.location or location_of(each.station, places)) for each in photos]
        if not self.memory.to_index:
            self._added_first = now
        taken = take_in(self.catalog, photos)
        if taken.added:
            self._added += len(taken.added)
            write_step(self.catalog, self.memory, added=dict(taken.added))
        if taken.failed:  # of a card that was pulled out, say
            self._add_again = now + AGAIN
        failed = sorted(set(taken.failed.values()) - self._told)
        self._told.update(failed)
        return tuple(taken.added.values()), tuple(failed)

    def close(self) -> None:
        """Wait until an index run that is at work has ended. What it did is kept."""
        self._beside.shutdown()

    def tell(self, events: Sequence[Event]) -> None:
        """Remember that events were told. Raises SnowmatchError if the catalog cannot be written."""
        if told := [event["id"] for event in events if event["id"] in self.memory.untold]:
            write_step(self.catalog, self.memory, told=told)

    @property
    def busy(self) -> bool:
        """Whether photos wait for the catalog."""
        return self.add and bool(self.memory.to_index or self.memory.to_add)

    def _first(self, ready: Sequence[tuple[str, Stamp]]) -> list[tuple[str, Stamp]]:
        """Return the first photos that are ready; a passage is not divided."""
        if len(ready) <= AT_ONCE:
            return list(ready)
        gap = self._catalog().data.settings.gap
        some = list(ready[:AT_ONCE])
        last = _taken(some[-1][0])
        for path, stamp in ready[AT_ONCE:MOST]:
            taken = _taken(path)
            same = os.path.dirname(path) == os.path.dirname(some[-1][0])
            if not same or last is None or taken is None or abs(taken - last) > gap:
                break
            some.append((path, stamp))
            last = taken
        return some

    def _ask(self, ready: Sequence[tuple[str, Stamp]]) -> Arrival:
        """Ask about photos, and write the answers to the journal."""
        catalog = self._catalog()
        failed: dict[str, str] = {}
        copies: list[Watched] = []
        known: list[tuple[Watched, Event]] = []
        new: dict[str, Watched] = {}
        for path, stamp in ready:
            if plain(path) != path:  # neither events nor a table can name it
                failed[path] = "its path is not valid text: rename the file, or the folder that is called so"
                continue
            if not stamp[0]:
                failed[path] = "it is empty (0 bytes): copy it again from the camera's card"
                continue
            try:
                sha256 = file_sha256(Path(path))
            except SnowmatchError as error:
                failed[path] = str(error)
                continue
            taken = _taken(path)
            photo = Watched(path, *stamp, sha256, taken.isoformat() if taken is not None else "")
            before = self.memory.contents.get(sha256)
            if before is not None or any(sha256 == other.sha256 for other in new.values()):
                copies.append(photo)
            elif rows := on_record(catalog, sha256):
                known.append((photo, event_of(recorded_row(path, rows), event_id([sha256], 1))))
            else:
                new[path] = photo
        events, notes, why, species = self._answers(catalog, new) if new else ([], (), {}, "")
        failed |= why
        changed = {path for path, stamp in ready if stamp_of(path) != stamp}  # or gone: asked when they are back
        failed = {path: reason for path, reason in failed.items() if path not in changed}
        self._failed.update({path: stamp for path, stamp in ready if path in failed})
        asked = {path: photo for path, photo in new.items() if path not in failed and path not in changed}
        there = {photo.sha256 for photo in asked.values()} | self.memory.contents.keys()
        alone = [photo for photo in copies if photo.sha256 not in there]  # the first of its content was not asked
        copies = [photo for photo in copies if photo.sha256 in there]
        events = [event for event in events if any(photo in asked for photo in event["photos"])]
        events += [event for _, event in known]
        event_of_photo = {photo: event["id"] for event in events for photo in event["photos"]}
        photos = [replace(photo, event=event_of_photo.get(path, "")) for path, photo in asked.items()]
        photos += [replace(photo, event=event["id"]) for photo, event in known] + copies
        shown = {photo: event for event in events for photo in event["photos"] if event["decision"] not in LEFT_OUT}
        to_add = [
            ToAdd(
                path,
                photo.sha256,
                self.body_part or part_of(path, self.folder),
                shown[path]["location"],
                shown[path]["station"],
            )
            for path, photo in asked.items()
            if self.add and path in shown
        ]
        # A file that was renamed before it was added is added from its new place
        moved = [(photo.path, self.memory.to_add.get(photo.sha256)) for photo in copies]
        to_add += [replace(old, path=path) for path, old in moved if old is not None and not os.path.exists(old.path)]
        if photos:
            write_step(self.catalog, self.memory, photos=photos, events=events, to_add=to_add)
        left_out = Counter(
            event["decision"] for event in events for path in event["photos"]
            if event["decision"] in LEFT_OUT and path in asked
        )  # fmt: skip
        return Arrival(
            tuple(events),
            tuple(sorted(failed.items())),
            left=len(alone),
            copies=len(copies),
            left_out=left_out,
            species=species,
            notes=notes,
        )

    def _answers(
        self, catalog: Catalog, new: Mapping[str, Watched]
    ) -> tuple[list[Event], tuple[Note, ...], dict[str, str], str]:
        """Return the events of new photos, notes, what failed, and the species that the screening keeps.

        Earlier photos of a passage are asked again.
        """
        notes: list[Note] = []
        if self.memory.damaged:
            text = (
                f"{counted(self.memory.damaged, 'line')} of {watched_path(self.catalog)} cannot be read: their photos "
                "are asked about again, and may be told twice"
            )
            notes.append(Note("watched-damaged", text))
        earlier: dict[str, Watched] = {}
        for folder in {os.path.dirname(path) for path in new}:
            times = [datetime.fromisoformat(p.taken) for p in new.values() if p.taken and _folder(p) == folder]
            near = self.memory.near(folder, times, catalog.data.settings)
            earlier |= {p.path: p for p in near if p.event and stamp_of(p.path) == p.stamp}  # copies have no event
        batch = run_batch(
            catalog,
            [*new, *(path for path in earlier if path not in new)],
            body_part=self.body_part,
            locations=self.locations,
            screened=self._screening(catalog, notes),
            **self.method,
        )
        called = {Path(path).as_posix(): path for path in (*new, *earlier)}
        events = []
        for row in batch.rows:
            photos = tuple(called.get(name, name) for name in row.photos)
            fresh = [path for path in photos if path in new]
            if not fresh:
                continue
            before = {earlier[path].event for path in photos if path in earlier}
            # What was added meanwhile is on record, and not asked again
            times = [datetime.fromisoformat(new[path].taken) for path in fresh if new[path].taken]
            near = self.memory.near(os.path.dirname(fresh[0]), times, catalog.data.settings)
            before |= {p.event for p in near if p.event and on_record(catalog, p.sha256)}
            contents = [(new.get(path) or earlier[path]).sha256 for path in photos if path in new or path in earlier]
            events.append(
                self._event(replace(row, photos=photos), event_id(contents, row.animal), sorted(before - {""}))
            )
        failed = {called.get(path, path): reason for path, reason in batch.failed}
        failed = {path: reason for path, reason in failed.items() if path in new}
        of_batch = [note for note in batch.notes if not (self.add and note.code == "new-unscreened")]  # told by `notes`
        return events, (*of_batch, *notes), failed, batch.species

    def _event(self, row: Row, name: str, before: Sequence[str] = ()) -> Event:
        if not (row.station and row.location):
            only = self.locations[0] if len(self.locations) == 1 else ""
            station, location = place_of(row.photos[0], self.folder, self._known_places(), row.station or self.station,
                                         row.location or only)  # fmt: skip
            row = replace(row, station=station, location=location)
        return event_of(row, name, before)

    def _known_places(self) -> Places:
        """Return the places that the catalog knows now."""
        data = self._catalog().data
        if self._places is None:
            self._places = places_of(data)
        return self._places

    def _screening(self, catalog: Catalog, notes: list[Note]) -> Screened | None:
        """Return how photos are screened in a catalog that was not: by its classifier, if that is on this computer."""
        if not self.add:
            return None
        settings = catalog.data.settings
        if choose_finders(settings.classifier, settings.segmenter).classifier is None:
            then = ": all that can be read are added"
            notes.append(unscreened_note("added-unscreened", settings.classifier, then))
            return None
        return Screened({}, SPECIES, DEFAULT)

    def _catalog(self) -> Catalog:
        """Return the catalog as it is now."""
        state = _stamp_of(self.catalog)
        if self._opened is None or state != self._stamp:  # indexed again, or somebody decided
            self._opened, self._stamp, self._places = open_catalog(self.catalog), state, None
        return self._opened


def _taken(path: str) -> datetime | None:
    try:
        return read_facts(Path(path)).taken
    except SnowmatchError:
        return None


def _folder(photo: Watched) -> str:
    return os.path.dirname(photo.path)


def _stamp_of(catalog: Path) -> tuple[object, ...]:
    """Return what changes with the names, the settings and the gallery of a catalog.

    These are the size and time of each file, and of the decisions the last one: a time may be as coarse as 2 s.
    """
    files = (
        *(catalog / name for name in (CSV_NAME, EXCEL_NAME, STATIONS_NAME)),
        *(path(catalog) for path in (settings_path, features_path)),
        *sorted(features_path(catalog).glob("*/")),  # of each extractor: another program may index, too
    )
    return read_head(decisions_path(catalog)), *(stamp_of(str(path)) for path in files)
