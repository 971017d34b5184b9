"""A folder that is watched: photos are asked about as they arrive.

What was asked is remembered in the catalog, line by line, so that nothing is asked twice, also after a restart. A file
is asked when it has not changed for some seconds: a photo that is still being copied waits. The folder may disappear,
as a memory card does, and return.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Unpack

from snowmatch.api import Catalog, open_catalog
from snowmatch.core.errors import SnowmatchError
from snowmatch.core.files import make_folder, unwritable
from snowmatch.core.home import CSV_NAME, EXCEL_NAME, features_path, home_of
from snowmatch.core.notes import Note
from snowmatch.core.plain import plain, read_json
from snowmatch.decisions.file import decisions_path
from snowmatch.identify.method import MethodOptions
from snowmatch.photos.formats import EXTENSIONS
from snowmatch.review.batch import run_batch
from snowmatch.review.rows import Row

SCHEMA = "snowmatch.sighting/1"
Stamp = tuple[int, int]  # size and time of a file


@dataclass(frozen=True)
class Arrival:
    """What one look at the folder gave: the sightings of the photos that were ready, and photos that failed.

    waiting: number of photos that were still changing. here: whether the folder could be read. notes: those of the
    answers.
    """

    rows: tuple[Row, ...] = ()
    failed: tuple[tuple[str, str], ...] = ()
    waiting: int = 0
    here: bool = True
    notes: tuple[Note, ...] = ()


@dataclass
class Watch:
    """A watched folder and the catalog that is asked. quiet: seconds that a photo must be unchanged."""

    folder: Path
    catalog: Path
    quiet: float = 3.0
    body_part: str | None = None
    locations: Sequence[str] = ()
    method: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._asked = read_asked(self.catalog)
        self._seen: dict[str, tuple[Stamp, float]] = {}
        self._opened: Catalog | None = None
        self._stamp: tuple[int, ...] = ()

    def look(self, now: float | None = None, tell: Callable[[Arrival], None] | None = None) -> Arrival:
        """Look at the folder once, ask about the photos that are ready, and return what was found.

        now: seconds (default: the clock). tell: is called with what was found before that is remembered, so that what
        was never told is asked again. Raises SnowmatchError if the catalog cannot be asked, or nothing remembered.
        """
        now = time.time() if now is None else now
        found = list_photos(self.folder)
        if found is None:
            self._seen.clear()
            return Arrival(here=False)
        ready, waiting = [], 0
        for path, stamp in found:
            if self._asked.get(path) == stamp:
                continue
            before = self._seen.get(path)
            if before is None or before[0] != stamp:
                self._seen[path] = (stamp, now)
                since = now
            else:
                since = before[1]
            if now - since >= self.quiet and stamp[0]:
                ready.append((path, stamp))
            else:
                waiting += 1
        if not ready:
            return Arrival(waiting=waiting)
        state = _stamp_of(self.catalog)
        if self._opened is None or state != self._stamp:  # indexed again, or somebody decided
            self._opened, self._stamp = open_catalog(self.catalog), state
        photos = [path for path, _ in ready]
        batch = run_batch(
            self._opened, photos, body_part=self.body_part, locations=self.locations, again=False, **self.method
        )
        arrival = Arrival(batch.rows, batch.failed, waiting, notes=batch.notes)
        if tell is not None and (arrival.rows or arrival.failed):
            tell(arrival)
        remember(self.catalog, ready)
        self._asked.update(ready)
        for path, _ in ready:
            self._seen.pop(path, None)
        return arrival


def watch(
    folder: Path,
    catalog: Path,
    on_rows: Callable[[Arrival], None],
    *,
    every: float = 1.0,
    quiet: float = 3.0,
    body_part: str | None = None,
    locations: Sequence[str] = (),
    once: bool = False,
    wait: Callable[[float], None] = time.sleep,
    **method: Unpack[MethodOptions],
) -> None:
    """Ask about photos in `folder` as they arrive, until the program is stopped.

    on_rows: called after each look that found something, and when the folder disappears or returns. every: seconds
    between two looks. once: stop when everything that is there was asked. All else is as in `Watch`.
    """
    if not folder.is_dir() and once:
        raise SnowmatchError(f"{folder} does not exist, expected a folder of photos: check the path")
    watched = Watch(folder, catalog, quiet, body_part, locations, dict(method))
    was_here = True
    while True:
        arrival = watched.look(tell=on_rows)
        if arrival.here != was_here and not (arrival.rows or arrival.failed):
            on_rows(arrival)
        was_here = arrival.here
        if once and arrival.here and not arrival.waiting and not arrival.rows:
            return
        wait(every)


def list_photos(folder: Path) -> list[tuple[str, Stamp]] | None:
    """Return the photos in a folder and its subfolders, by path, with size and time; None if it cannot be read.

    Hidden files and folders, and links to folders, are left out.
    """
    if not folder.is_dir():
        return None
    return sorted(_photos(os.fspath(folder)))


def _photos(folder: str) -> Iterator[tuple[str, Stamp]]:
    try:
        entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
    except OSError:  # the card was pulled out
        return
    for entry in entries:
        if entry.name.startswith("."):
            continue
        try:
            if entry.is_dir(follow_symlinks=False):
                yield from _photos(entry.path)
            elif os.path.splitext(entry.name)[1].lower() in EXTENSIONS:
                status = entry.stat()
                yield entry.path, (status.st_size, status.st_mtime_ns)
        except OSError:
            continue


def _stamp_of(catalog: Path) -> tuple[int, ...]:
    """Return the times of the files that the names and the gallery of a catalog come from; 0 for a missing file."""
    files = (catalog / CSV_NAME, catalog / EXCEL_NAME, decisions_path(catalog), features_path(catalog))
    times = []
    for path in files:
        try:
            times.append(path.stat().st_mtime_ns)
        except OSError:
            times.append(0)
    return tuple(times)


def watched_path(catalog: Path) -> Path:
    """Return the file that remembers what was asked."""
    return home_of(catalog) / "watched.jsonl"


def read_asked(catalog: Path) -> dict[str, Stamp]:
    """Return the photos that were asked about, with size and time. A damaged line is skipped: it is asked again."""
    asked: dict[str, Stamp] = {}
    try:
        lines = watched_path(catalog).read_text(encoding="utf-8").splitlines()
    except (OSError, ValueError):
        return asked
    for line in lines:
        try:
            path, size, moment = read_json(line)
            asked[str(path)] = (int(size), int(moment))
        except (ValueError, TypeError, OverflowError):
            continue
    return asked


def remember(catalog: Path, photos: Iterable[tuple[str, Stamp]]) -> None:
    """Remember that photos were asked about. Raises SnowmatchError if the catalog cannot be written."""
    path = watched_path(catalog)
    try:
        make_folder(path.parent)
        with path.open("a", encoding="utf-8") as file:
            file.writelines(json.dumps([name, *stamp], ensure_ascii=True) + "\n" for name, stamp in photos)
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        raise unwritable(path.parent, error) from error


def event_of(row: Row) -> str:
    """Return a sighting as one line of JSON, with the schema "snowmatch.sighting/1"."""
    return json.dumps({"schema": SCHEMA, **plain(asdict(row))}, ensure_ascii=False, allow_nan=False)


def add_events(path: Path, rows: Iterable[Row]) -> None:
    """Add sightings to a file of lines. A last line that is not whole, of a killed run, stays a line of its own.

    Raises OSError if the file cannot be written.
    """
    text = "".join(event_of(row) + "\n" for row in rows)
    with path.open("a+b") as file:
        if file.seek(0, os.SEEK_END):
            file.seek(-1, os.SEEK_END)
            text = text if file.read(1) == b"\n" else "\n" + text
        file.write(text.encode())
