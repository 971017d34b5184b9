"""The only writer of stored features: it collects features, writes them as segments, merges and removes segments."""

from __future__ import annotations

import os
import re
import socket
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
from filelock import Timeout

from snowmatch.core.errors import SnowmatchError
from snowmatch.core.files import make_folder, read_file, replace_json, unwritable
from snowmatch.core.locks import WRITER, file_lock
from snowmatch.core.plain import read_json
from snowmatch.core.types import Features
from snowmatch.features.checked import (
    CHECKED,
    Check,
    check_now,
    checks_to_json,
    doubted_files,
    forget_doubts,
    is_trusted,
    read_checks,
)
from snowmatch.features.segments import (
    COLUMNS,
    Entry,
    features_folder,
    open_segment,
    open_segments,
    segment_name,
    write_segment,
)

KEY = re.compile("[0-9a-f]{32}")
BUFFER_BYTES = 64 << 20  # of features that wait for a commit
COMMIT_SECONDS = 2.0  # the most work that is lost if the run is killed; a commit takes about 20 ms
# Smaller segments are merged up to this size. So few segments can all be open at once (1,000,000 annotations need about
# 160 GB), and the new photos of a survey do not rewrite much.
SEGMENT_BYTES = 512 << 20
MANY_SEGMENTS = 32  # number of small segments that are merged during a long run


class FeatureWriter:
    """The only writer of a features folder. Use it as `with FeatureWriter(...) as writer`, then add, commit, compact.

    Another process that wants to write waits `wait` seconds; then it gets a SnowmatchError that names this process.
    keys: the keys on disk. Added features count only after a commit; the end of the `with` block without an error
    commits. lost: number of annotations that a merge found damaged, so that they are on disk no more.
    """

    def __init__(self, features: Path, described: Mapping[str, Any], *, wait: float = 0.0) -> None:
        self.described = dict(described)
        self.folder = features_folder(features, described)
        self.keys: set[str] = set()
        self._home = Path(features).parent
        self._wait = wait
        self._lock = file_lock(self._home / WRITER)  # the system frees it when the process ends
        self.damaged_files = self.lost = 0
        self._holder = self._home / "writer.json"
        self._pending: dict[str, Entry] = {}
        self._bytes = 0
        self._last = time.monotonic()
        self._small = 0
        self._written: dict[str, Check] = {}

    def __enter__(self) -> FeatureWriter:
        try:
            make_folder(self.folder)
            self._lock.acquire(timeout=self._wait)
        except Timeout as error:
            raise SnowmatchError(self._held(), "being-indexed") from error
        except OSError as error:
            raise unwritable(self._home, error) from error
        try:
            holder = {"pid": os.getpid(), "host": socket.gethostname(), "since": time.strftime("%Y-%m-%d %H:%M:%S")}
            replace_json(self._holder, holder)
            for left_over in self.folder.glob("*.tmp"):  # left by a killed writer
                _delete(left_over)
            replace_json(self.folder / "settings.json", self.described)
            damaged: list[Path] = []
            for segment in open_segments(self.folder, self.described, damaged):
                self.keys.update(key.decode() for key in segment.keys.tolist())
                self._small += segment.size < SEGMENT_BYTES
            for path in damaged:  # its annotations are extracted again
                _delete(path)
            self.damaged_files = len(damaged)
        except BaseException:
            self._release()
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        try:
            if kind is None:
                self.commit()
            if self._written:
                with suppress(SnowmatchError, OSError):  # then they are checked when they are read
                    self._note_checked(self._written)
        finally:
            self._release()

    def add(self, key: str, features: Features) -> None:
        """Add the features of one annotation. Raises ValueError for an invalid key or a key that is already stored."""
        if not KEY.fullmatch(key) or key in self.keys or key in self._pending:
            raise ValueError(f"key {key!r} is not 32 hex digits or already in the store")
        arrays = {name: np.ascontiguousarray(getattr(features, name)) for name in COLUMNS if name != "shapes"}
        if features.shapes is not None:
            arrays["shapes"] = np.ascontiguousarray(features.shapes)
        self._pending[key] = Entry(key.encode(), features.image_size, arrays)
        self._bytes += sum(array.nbytes for array in arrays.values())

    @property
    def due(self) -> bool:
        """Whether it is time for a commit."""
        late = time.monotonic() - self._last >= COMMIT_SECONDS
        return bool(self._pending) and (late or self._bytes >= BUFFER_BYTES)

    def check(self, most: int | None) -> int:
        """Check the features on disk, remove the damaged ones, and return the number of damaged annotations.

        most: the check ends after so many bytes. Doubted files (see `checked.py`) are checked in any case. Those that
        are not trusted come next, then those that were checked longest ago. None checks all files.
        """
        doubted = doubted_files(self.folder)
        last = {
            name: check.at for name, check in read_checks(self.folder).items() if is_trusted(self.folder / name, check)
        }
        segments = open_segments(self.folder, self.described)
        order = sorted(segments, key=lambda s: (s.path.name not in doubted, last.get(s.path.name, 0.0), s.path.name))
        gone: list[str] = []
        new: dict[str, Check] = {}
        size = 0
        for segment in order:
            if most is not None and size >= most and segment.path.name not in doubted:
                break
            size += segment.size
            before = check_now(segment.path)
            damaged = [key.decode() for i, key in enumerate(segment.keys.tolist()) if not segment.is_sound(i)]
            gone += damaged
            if not damaged:  # a file that is written again gets another name
                new[segment.path.name] = before
        segments.clear()  # nothing is mapped any more: Windows deletes no mapped file
        order.clear()
        self.remove(gone)
        self._note_checked(new)
        forget_doubts(self.folder, doubted)
        return len(set(gone))

    def _note_checked(self, new: Mapping[str, Check]) -> None:
        """Keep when files were checked. Those that are gone are forgotten. Raises SnowmatchError if that fails."""
        checks = {**read_checks(self.folder), **new}
        here = {name: check for name, check in checks.items() if (self.folder / name).exists()}
        replace_json(self.folder / CHECKED, checks_to_json(here))

    def commit(self) -> None:
        """Write the added features to disk. Raises SnowmatchError if this fails; earlier commits stay."""
        if self._pending:
            size = self._write([self._pending[k] for k in sorted(self._pending)])
            self.keys.update(self._pending)
            self._pending.clear()
            self._bytes = 0
            self._small += size < SEGMENT_BYTES
            if self._small >= MANY_SEGMENTS:
                self.compact()
        self._last = time.monotonic()

    def compact(self) -> None:
        """Merge small segments into large ones, in the order of the keys, and delete segments that are no longer
        needed.
        """
        self.commit()
        seen: set[bytes] = set()
        small: list[tuple[Path, set[bytes], int]] = []
        found = [(s.keys.tolist(), s.path, s.size) for s in open_segments(self.folder, self.described)]
        # A merged segment comes before the segments it was made of, which a killed run may have left
        for keys, path, size in sorted(found, key=lambda entry: (-len(entry[0]), entry[1].name)):
            live = set(keys) - seen
            seen |= live
            if not live:
                _delete(path)
            elif size < SEGMENT_BYTES:
                small.append((path, live, size))
        self._small = 0
        while small:
            group, size = [], 0
            while small and size < SEGMENT_BYTES:
                group.append(small.pop())  # the smallest first: the rest is the one that is nearly full
                size += group[-1][2]
            self._small += size < SEGMENT_BYTES
            if len(group) > 1:
                self._rewrite([path for path, _, _ in group], set().union(*(live for _, live, _ in group)))

    def remove(self, keys: Iterable[str]) -> None:
        """Delete the features of these keys from disk. Unknown keys are ignored."""
        gone = {key.encode() for key in keys}
        found = [(s.path, set(s.keys.tolist())) for s in open_segments(self.folder, self.described)]
        for path, held in found:
            if held & gone:
                self._rewrite([path], held - gone)
        self.keys -= {key.decode() for key in gone}

    def disk_bytes(self) -> int:
        """Return the size of all segments on disk."""
        return sum(path.stat().st_size for path in self.folder.glob("features-*.h5"))

    def _rewrite(self, paths: list[Path], wanted: set[bytes]) -> None:
        """Replace several segments by one with the keys `wanted`."""
        entries: dict[bytes, Entry] = {}
        damaged: set[bytes] = set()
        for path in paths:
            segment = open_segment(path, self.described)
            for i, key in enumerate(segment.keys.tolist()):
                if key in wanted and key not in entries:
                    if segment.is_sound(i):
                        entries[key] = segment.entry(i)
                    else:
                        damaged.add(key)
        damaged -= entries.keys()
        self.keys -= {key.decode() for key in damaged}
        self.lost += len(damaged)
        kept = None
        if entries:
            merged = [entries[key] for key in sorted(entries)]
            self._write(merged)
            kept = segment_name(merged)  # the name of one of them, if the others have no sound annotation
            merged.clear()
        del segment
        entries.clear()  # nothing is mapped any more: Windows deletes no mapped file
        for path in paths:
            if path.name != kept:
                _delete(path)

    def _write(self, entries: Sequence[Entry]) -> int:
        """Write a segment, and return its size in bytes."""
        size = write_segment(self.folder, self.described, entries)
        path = self.folder / segment_name(entries)
        self._written[path.name] = check_now(path)  # now, and not at the end: somebody may write it in between
        return size

    def _release(self) -> None:
        if self._lock.is_locked:
            _delete(self._holder)
            self._lock.release()

    def _held(self) -> str:
        try:
            values = read_json(read_file(self._holder))
            who = f"process {values['pid']} on {values['host']}, since {values['since']}"
        except (OSError, ValueError, TypeError, KeyError):  # it has just started, or is about to end
            who = "another process"
        return f"{self._home.parent} is being indexed by {who}: wait until that has finished, then run it again"


def _delete(path: Path) -> None:
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        # Windows does not delete a file that a reader has mapped: the next run deletes it
        if not (isinstance(error, PermissionError) and sys.platform == "win32"):
            raise unwritable(path.parent, error) from error
