"""What the server holds: the catalog, who is who, and a session, loaded when needed and renewed when files change."""

from __future__ import annotations

import math
import os
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from snowmatch.api import Catalog, Session, open_catalog
from snowmatch.core.errors import SnowmatchError
from snowmatch.core.home import CSV_NAME, EXCEL_NAME, calibration_path, database_path, features_path, settings_path
from snowmatch.core.types import Annotation
from snowmatch.review.identities import (
    Decision,
    Identities,
    OvertakenError,
    append,
    decisions_path,
    open_identities,
    read_head,
    refreshed,
)
from snowmatch.review.likely import Evidence, gather_evidence
from snowmatch.review.uploads import forget_old_uploads, paths_with
from snowmatch.views.explorer import states_of
from snowmatch.views.previews import key_of
from snowmatch.web.people import asking

Stamp = tuple[tuple[int, int] | None, ...]
COARSE = 3.0  # seconds: a time stamp may be that much before the change; 2 on FAT32
PATIENCE = 4.0  # a catalog that took t seconds to load is not loaded again for PATIENCE * t: an index run writes often


class State:
    """The catalog of one server. Its methods may be called from several threads.

    folder: of the catalog. decisions: the file of decisions (None: the catalog's own). observer: who decides; "" until
    the person said it. Where several people log in, it is who asks.
    """

    def __init__(self, folder: Path, decisions: Path | None = None, observer: str = "") -> None:
        self.folder, self.decisions, self._observer = folder, decisions, observer
        self._lock = threading.RLock()  # of what was loaded
        self._writing = threading.Lock()  # one append at a time
        self._identities: Identities | None = None
        self._stamp: Stamp = ()
        self._folders: tuple[Path, ...] = ()  # below the catalog's, when it was loaded
        self._loaded, self._took = 0.0, 0.0
        self._keys: dict[str, int] = {}  # the row of each annotation, by what stands for it in addresses
        self._keys_of: object = None
        self._looking = threading.Lock()  # of the states: other pages need not wait for a look at each file
        self._states: tuple[tuple[str, str], ...] = ()
        self._states_of: object = None
        self._catalog: Catalog | None = None
        self._catalog_stamp: tuple[Stamp, str] = (), ""
        self._sessions: dict[str | None, Session] = {}
        self._gathering = threading.Lock()  # of the evidence
        self._evidence: Evidence | None = None
        self._evidence_key: object = None
        self.comparing: tuple[int, int] | None = None  # sightings compared so far, and all; None if none is
        self.kept: dict[str, Any] = {}  # what pages keep from one request to the next

    @property
    def observer(self) -> str:
        """Who decides."""
        person = asking.get()
        return self._observer if person is None else person.name

    @observer.setter
    def observer(self, name: str) -> None:
        self._observer = name

    @property
    def decisions_file(self) -> Path:
        """The file of decisions."""
        return self.decisions or decisions_path(self.folder)

    @property
    def ready(self) -> bool:
        """Whether the identities are loaded, so that a page need not wait for them."""
        return self._identities is not None

    def warm_up(self) -> None:
        """Load the identities in the background. An error shows again on the page that needs them."""

        def load() -> None:
            forget_old_uploads(self.folder)
            try:
                self.identities()
            except SnowmatchError:
                return

        threading.Thread(target=load, daemon=True, name="snowmatch-load").start()

    def identities(self) -> Identities:
        """Return who is who now: with the decisions of others, and with the catalog as it is.

        Raises SnowmatchError if the catalog or the file of decisions cannot be read.
        """
        with self._lock:
            now = time.monotonic()
            if self._identities is None or now - self._loaded > PATIENCE * self._took:
                stamp = self.catalog_files()
                if self._identities is None or stamp != self._stamp:
                    started = time.time()
                    self._identities = open_identities(self.folder, self.decisions)
                    self._folders = () if any(stamp[:2]) else _folders_below(self.folder)
                    self._stamp = (*stamp[:-1], self._photo_folders(stamp, started - COARSE))
                    self._loaded = time.monotonic()
                    self._took = self._loaded - now
                    return self._identities
            self._identities = refreshed(self._identities)
            return self._identities

    def annotation(self, key: str) -> Annotation | None:
        """Return the annotation that an address means (see `key_of`), with its name now; None if there is none."""
        identities, row = self._row(key)
        return None if row is None else identities.named[row]

    def pictured(self, key: str) -> Annotation | None:
        """Return the annotation that an address means, as persons corrected it and with the name of the table: a
        picture of it need not wait for the names. None if there is none.
        """
        identities, row = self._row(key)
        return None if row is None else identities.corrected(row)

    def _row(self, key: str) -> tuple[Identities, int | None]:
        identities = self.identities()
        with self._lock:
            if self._keys_of is not identities.data:
                self._keys = {key_of(a): a.row for a in identities.annotations}
                self._keys_of = identities.data
            return identities, self._keys.get(key)

    def states(self) -> tuple[tuple[str, str], ...]:
        """Return the state of each annotation by its row, and why it failed, as of when the catalog was read."""
        identities = self.identities()
        with self._looking:
            key = (identities.data, _features(self.folder), identities.who.boxes)
            if self._states_of != key:
                corrected = [identities.corrected(a.row) for a in identities.annotations]
                self._states, self._states_of = states_of(self.folder, corrected), key
            return self._states

    def on_record(self, sha256: str) -> list[Annotation]:
        """Return the annotations of photos with this content, with their names now; [] if there are none."""
        paths = paths_with(self.folder, sha256)
        return [a for a in self.identities().named if a.path in paths] if paths else []

    def renew(self) -> None:
        """Look at the catalog's files again at once, after a change of our own."""
        with self._lock:
            self._loaded = -math.inf

    def append(self, make: Callable[[Identities], Sequence[Decision]]) -> tuple[Decision, ...]:
        """Store the decisions that `make` returns for who is who now, and return them as stored.

        One caller at a time, so that nobody decides on a state that has just changed; `make` is called again if another
        program has decided meanwhile. What follows from them is computed when the next page asks. Raises SnowmatchError
        as `make` does, or if the file cannot be written.
        """
        with self._writing:
            while True:
                identities = self.identities()
                with suppress(OvertakenError):
                    return append(self.decisions_file, make(identities), identities.stored.head).rows

    def catalog(self) -> Catalog:
        """Return the catalog with the names by all decisions."""
        with self._lock:
            stamp = self.catalog_files(), read_head(self.decisions_file)  # a time stamp may be coarse: 2 s on FAT32
            if self._catalog is None or stamp != self._catalog_stamp:
                opened = open_catalog(self.folder, self.decisions)
                if self._catalog is not None:  # galleries are made once: they are used again as long as they fit
                    opened = replace(opened, _galleries=self._catalog._galleries)
                self._catalog, self._catalog_stamp, self._sessions = opened, stamp, {}
            return self._catalog

    def session(self, extractor: str | None = None, *, names: bool = True) -> Session:
        """Return the session of an extractor (None: the catalog's own), ready for queries.

        names: with the names by all decisions; without, a session of before the last decisions will do, which is at
        hand at once. Raises SnowmatchError if nothing is indexed.
        """
        with self._lock:
            found = self._sessions.get(extractor)
            if found is not None and not names and self._catalog_stamp[0] == self.catalog_files():
                return found
            catalog = self.catalog()
            if extractor not in self._sessions:
                self._sessions[extractor] = catalog.session(extractor=extractor)
            return self._sessions[extractor]

    def of_one_catalog(self) -> tuple[Identities, Session]:
        """Return who is who, and a session that is ready for comparing: its names may be of before the last decisions.
        Rows mean the same in both, and body parts are as corrected.

        Raises SnowmatchError as these do.
        """
        identities, session = self.identities(), self.session(names=False)
        now = [(a.path, identities.corrected(a.row).body_part) for a in identities.annotations]
        if now != [(a.path, a.body_part) for a in session.data.annotations]:
            self.renew()  # rows have come or gone since the identities were loaded, or a body part was corrected
            identities, session = self.identities(), self.session()
        return identities, session

    def evidence(self) -> Evidence:
        """Return the evidence about all pairs of sightings. What is missing is compared first, which may take minutes.

        `comparing` tells how far that is. Raises SnowmatchError if nothing is indexed.
        """
        identities, session = self.of_one_catalog()
        sightings = identities.who.sightings
        with self._gathering:
            key = (session, sightings)
            if self._evidence is None or self._evidence_key != key:
                self.comparing = 0, len(sightings)  # before the first is compared, kept evidence is read
                try:
                    self._evidence = gather_evidence(session, sightings, progress=self._tell_comparing)
                    self._evidence_key = key
                finally:
                    self.comparing = None
            return self._evidence

    def _tell_comparing(self, done: int, total: int) -> None:
        self.comparing = done, total

    def catalog_files(self) -> Stamp:
        """Return what changes when the catalog's files do; not when somebody decides."""
        folder = self.folder
        files = (folder / CSV_NAME, folder / EXCEL_NAME, database_path(folder), settings_path(folder))
        stamp = (*(_stamp(path) for path in (*files, calibration_path(folder))), _features(folder))
        return (*stamp, self._photo_folders(stamp))

    def _photo_folders(self, files: Stamp, since: float = math.inf) -> tuple[int, int] | None:
        """Return what changes when photos come or go in a catalog of folders; None for one with a table.

        files: the stamps of the tables first. since: a folder that changed after that moment (s since 1970) gives what
        no later call gives, so that the catalog is loaded once more. The catalog's own folder changes with each
        decision: of it, the names of the folders count.
        """
        if any(files[:2]):
            return None
        try:
            with os.scandir(self.folder) as entries:
                names = sorted(entry.name for entry in entries if entry.is_dir() and not entry.name.startswith("."))
            times = [path.stat().st_mtime_ns for path in self._folders]
        except OSError:  # one has gone
            return None
        just_now = any(since <= moment / 1e9 <= time.time() for moment in times)  # a file's clock may be wrong by years
        return (0, -1) if just_now else (hash((*names, *times)), len(times))


def _folders_below(folder: Path) -> tuple[Path, ...]:
    """Return the folders that photos lie in, or may come into, empty ones too. Links are followed, and each folder is
    there once.
    """
    found: dict[tuple[int, int], Path] = {}
    for here, below, _ in os.walk(folder, followlinks=True):
        try:
            status = os.stat(here)
        except OSError:  # it has gone, which the time of the one above tells
            continue
        below[:] = [name for name in below if not name.startswith(".")]
        if found.setdefault((status.st_dev, status.st_ino), Path(here)) != Path(here):
            below.clear()
    return tuple(sorted(path for path in found.values() if path != folder))


def _features(folder: Path) -> tuple[int, int] | None:
    """Return what changes when features are added or removed: each extractor has a folder, and writes whole files."""
    try:
        stamps = [each.stat().st_mtime_ns for each in features_path(folder).iterdir()]
    except OSError:
        return None
    return max(stamps, default=0), len(stamps)


def _stamp(path: Path) -> tuple[int, int] | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_mtime_ns, status.st_size
