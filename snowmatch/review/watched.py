"""The journal of a watched folder: what was asked, told, added and indexed, a line of JSON a step.

A step is one line with a checksum, written at once and then on the disk. A killed program leaves at most a part of its
last line, which counts for nothing: that step is done again. So nothing is lost, and nothing is written down twice.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from snowmatch.catalog.settings import CatalogSettings
from snowmatch.core.errors import SnowmatchError
from snowmatch.core.files import make_folder, open_regular, unwritable
from snowmatch.core.home import home_of
from snowmatch.core.outputs import check_outside
from snowmatch.core.plain import read_json, read_summed_json, with_json_sum

Stamp = tuple[int, int]  # size (bytes) and time (ns) of a file
Event = Mapping[str, Any]
NEWEST = 1 << 18  # bytes at the end of the journal that hold its newest events
LARGEST = 64 << 20  # bytes of an event: one of a day of frames in quick succession names thousands of photos
END = b'"sum": '  # what stands before the digits at the end of each whole line


@dataclass(frozen=True)
class Watched:
    """A photo that was looked at. sha256: of its content. taken: ISO 8601, "" if not known. event: "" without one."""

    path: str
    size: int
    time: int
    sha256: str
    taken: str = ""
    event: str = ""

    @property
    def stamp(self) -> Stamp:
        """Size and time of the file."""
        return self.size, self.time


@dataclass(frozen=True)
class ToAdd:
    """A photo that is to be in the catalog. Empty texts are not known."""

    path: str
    sha256: str
    body_part: str = ""
    location: str = ""
    station: str = ""


@dataclass
class Memory:
    """What the journal says.

    asked: size and time of each photo that was asked about, by path. contents: the photo, by its content. by_folder:
    the same photos, by their folder. to_add: photos that wait for the catalog, by content. to_index: whether photos
    were added and not indexed since. untold: events that were written down and may not have been told. damaged: number
    of lines that cannot be read, apart from those that a killed program left half.
    """

    asked: dict[str, Stamp] = field(default_factory=dict)
    contents: dict[str, Watched] = field(default_factory=dict)
    by_folder: dict[str, list[Watched]] = field(default_factory=dict)
    to_add: dict[str, ToAdd] = field(default_factory=dict)
    to_index: bool = False
    untold: dict[str, Event] = field(default_factory=dict)
    damaged: int = 0

    def take(self, step: Any) -> None:
        """Take in one step. Raises KeyError, TypeError or ValueError if it is none."""
        if isinstance(step, list):  # older versions wrote path, size and time
            path, size, moment = step
            self.asked[str(path)] = (int(size), int(moment))
            return
        photos = [_read_photo(each) for each in step.get("photos", ())]
        for photo in photos:
            self.asked[photo.path] = photo.stamp
            self.contents.setdefault(photo.sha256, photo)
            self.by_folder.setdefault(os.path.dirname(photo.path), []).append(photo)
        self.untold.update({str(event["id"]): event for event in step.get("events", ())})
        for name in step.get("told", ()):
            self.untold.pop(name, None)
        self.to_add.update({each["sha256"]: ToAdd(**each) for each in step.get("to_add", ())})
        for sha256 in step.get("added", ()):
            self.to_add.pop(sha256, None)
            self.to_index = True
        for sha256 in step.get("not_added", ()):
            self.to_add.pop(sha256, None)
        if step.get("indexed"):
            self.to_index = False

    def near(self, folder: str, times: Sequence[datetime], settings: CatalogSettings) -> list[Watched]:
        """Return the photos of a folder that may be of one encounter with a photo taken at one of `times`.

        Each was taken within the encounter gap of one of them, or of another such photo, and no further from all of
        them than an encounter may last.
        """
        taken = [(datetime.fromisoformat(p.taken), p) for p in self.by_folder.get(folder, ()) if p.taken]
        known = [(t, p) for t, p in taken if any(abs(t - r) <= settings.longest for r in times)]
        found: list[Watched] = []
        reached = list(times)
        while True:
            new = [(t, p) for t, p in known if any(abs(t - r) <= settings.gap for r in reached)]
            if not new:
                return list({photo.path: photo for photo in found}.values())
            known = [each for each in known if each not in new]
            reached = [t for t, _ in new]
            found += [photo for _, photo in new]


def _read_photo(values: Sequence[Any]) -> Watched:
    path, size, moment, sha256, taken, event = values
    if taken:
        datetime.fromisoformat(taken)
    return Watched(str(path), int(size), int(moment), str(sha256), str(taken), str(event))


def watched_path(catalog: Path) -> Path:
    """Return the file of the journal."""
    return home_of(catalog) / "watched.jsonl"


def read_memory(catalog: Path) -> Memory:
    """Return what the journal says. A damaged line is skipped: its photos are asked again."""
    memory = Memory()
    for line in _lines(watched_path(catalog)):
        try:
            memory.take(_step(line))
        except (ValueError, TypeError, KeyError, AttributeError, OverflowError):
            memory.damaged += not _is_torn(line)
    return memory


def _step(line: bytes) -> Any:
    """Return the step of a line. Raises ValueError if it is damaged or torn."""
    return read_summed_json(line) if line.startswith(b"{") else read_json(line)  # a list is of an older version


def _is_torn(line: bytes) -> bool:
    """Return whether a line that cannot be read may be the part that a killed program left: it lacks its end."""
    return not line.endswith(b"}") and not (END in line and line.rpartition(END)[2].strip(b"0123456789"))


def write_step(catalog: Path, memory: Memory, **step: Any) -> None:
    """Write one step and take it in. Raises SnowmatchError if the catalog cannot be written; then nothing is taken in.

    step: `photos` (Watched), `events`, `told`, `to_add` (ToAdd), `added`, `not_added`, `indexed`.
    """
    if "photos" in step:
        step["photos"] = [list(asdict(photo).values()) for photo in step["photos"]]
    if "to_add" in step:
        step["to_add"] = [asdict(each) for each in step["to_add"]]
    path = watched_path(catalog)
    try:
        make_folder(path.parent)
        with open(path, "a+b") as file:
            if file.tell():
                file.seek(-1, os.SEEK_END)
                torn = file.read(1) != b"\n"  # the last program was killed while it wrote
            else:
                torn = False
            file.write(
                b"\n" * torn + json.dumps(with_json_sum(step), ensure_ascii=True, allow_nan=False).encode() + b"\n"
            )
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        raise unwritable(path.parent, error) from error
    memory.take(step)


def event_id(contents: Iterable[str], animal: int) -> str:
    """Return 16 hex digits that the same photos (sha256) and number of an animal always give."""
    return hashlib.sha256(json.dumps([sorted(contents), animal]).encode()).hexdigest()[:16]


def events_since(catalog: Path, offset: int | None, most: int = 50) -> tuple[list[Event], int]:
    """Return the events written to the journal after an offset (bytes), at most the newest `most`, and the new offset.

    offset: None for the newest events of all. A journal that was made anew is read from its start. No journal gives no
    events and 0.
    """
    path = watched_path(catalog)
    try:
        size = path.stat().st_size
        wanted = size - NEWEST if offset is None else offset
        start = max(wanted, 0) if wanted <= size else 0
        with open(path, "rb") as file:
            file.seek(start)
            content = file.read(size - start)
    except OSError:
        return [], 0
    whole = content.rfind(b"\n") + 1
    events: list[Event] = []
    for line in content[:whole].splitlines():
        try:
            step = _step(line)
            events += [e for e in step.get("events", ()) if isinstance(e, dict)] if isinstance(step, dict) else []
        except ValueError:  # damaged, torn, or the middle of a line
            continue
    return events[-most:], start + whole


def event_line(event: Event) -> str:
    """Return an event as one line of JSON."""
    return json.dumps(event, ensure_ascii=False, allow_nan=False)


def check_events(path: Path, catalog: Path) -> None:
    """Raise SnowmatchError unless events may be added to a file of the user: a new one, or one that has events.

    catalog: the folder of the catalog that is asked; the file may lie in no catalog.
    """
    check_outside(path, catalog)
    if not path.exists():
        if not path.parent.is_dir():
            raise SnowmatchError(f"{path.parent} is not a folder, so {path} cannot be written: make the folder first")
        return
    try:
        with open_regular(path) as file:
            line = file.readline(LARGEST)
    except OSError as error:
        raise SnowmatchError(f"{path} cannot be read ({error.strerror or error}): choose another file") from error
    try:
        ours = not line or "continues" in read_json(line)
    except (ValueError, TypeError):
        ours = False
    if not ours:
        raise SnowmatchError(f"{path} is not a file of events, so none is added to it: choose another file")


def append_events(path: Path, events: Sequence[Event], again: bool) -> None:
    """Add events to a file of the user, one line each. again: some may be there already, and are not added twice.

    Raises SnowmatchError if the file cannot be written.
    """
    there = set()
    if again:
        for line in _lines(path):
            try:
                there.add(read_json(line)["id"])
            except (ValueError, TypeError, KeyError):
                continue
    try:
        with path.open("ab+") as file:
            torn = False
            if file.tell():
                file.seek(-1, os.SEEK_END)
                torn = file.read(1) != b"\n"
            lines = [event_line(event) + "\n" for event in events if event["id"] not in there]
            file.write(b"\n" * torn + "".join(lines).encode())
    except OSError as error:
        raise SnowmatchError(f"{path} cannot be written ({error.strerror or error}): choose another file") from error


def _lines(path: Path) -> list[bytes]:
    try:
        return path.read_bytes().splitlines()
    except OSError:
        return []
