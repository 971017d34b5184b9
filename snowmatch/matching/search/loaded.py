"""What is loaded of the search indexes, with a bound for its memory: the least recently used goes first."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil

SHARE = 0.5  # of the memory that this process may use
GROUPS, GROUP_FILES = Path("/proc/self/cgroup"), Path("/sys/fs/cgroup")  # control groups exist only on Linux

_limit: list[int] = []  # what `limit_memory` was told last


def limit_memory(most: int) -> None:
    """Set the bytes that the loaded search indexes of each catalog that is opened from now on may take together.

    Raises ValueError below 1.
    """
    if most < 1:
        raise ValueError(f"most is {most}, expected at least 1 byte")
    _limit[:] = [most]


def limited_memory() -> int | None:
    """Return what `limit_memory` was told last; None if it was not told anything."""
    return _limit[-1] if _limit else None


def default_memory() -> int:
    """Return the bytes that loaded search indexes may take: as limited, or else half of the memory.

    The memory is that of the machine, or less if a container or a job has a limit.
    """
    if _limit:
        return _limit[-1]
    return int(SHARE * min([psutil.virtual_memory().total, *_group_limits()]))


def _group_limits() -> Iterator[int]:
    """Yield the limits of the control groups that this process is in, such as those of a container; none if unlimited.

    A group never has more than those above it. In a container, the folder of the group may be called otherwise.
    """
    try:
        lines = GROUPS.read_text().splitlines()
    except OSError:
        return
    for line in lines:
        _, kinds, path = line.split(":", 2)
        if kinds and "memory" not in kinds.split(","):
            continue
        top, name = (GROUP_FILES / "memory", "memory.limit_in_bytes") if kinds else (GROUP_FILES, "memory.max")
        parts = [part for part in path.split("/") if part]
        for count in range(len(parts) + 1):
            try:
                told = top.joinpath(*parts[:count], name).read_text().strip()
            except OSError:  # not there, or not for this user
                continue
            if told.isdecimal():  # else "max"
                yield int(told)


class Loaded:
    """Search indexes by name, at most `most` bytes together, or the one that was loaded last.

    An index that is in use elsewhere stays in memory until its use ends.
    """

    def __init__(self, most: int | None = None) -> None:
        self.most = default_memory() if most is None else most
        self._held: OrderedDict[str, tuple[Any, int]] = OrderedDict()
        self._lock = threading.Lock()

    def __reduce__(self) -> tuple[Any, ...]:
        """In another process nothing is loaded yet, and the bound is what was asked for, or that of its computer."""
        return Loaded, (limited_memory(),)

    def get(self, name: str) -> Any:
        """Return an index, or None. It counts as used."""
        with self._lock:
            if name not in self._held:
                return None
            self._held.move_to_end(name)
            return self._held[name][0]

    def make_room(self, size: int) -> None:
        """Drop what must go before an index of `size` bytes is loaded: those that were not used for longest."""
        with self._lock:
            while self._held and self.bytes + size > self.most:
                self._held.popitem(last=False)

    def put(self, name: str, index: Any, size: int) -> None:
        """Keep an index of `size` bytes, and drop those that were not used for longest."""
        with self._lock:
            self._held[name] = (index, size)
            self._held.move_to_end(name)
            self._drop()

    def bound(self, most: int) -> None:
        """Hold at most `most` bytes from now on."""
        with self._lock:
            self.most = most
            self._drop()

    def _drop(self) -> None:
        while len(self._held) > 1 and self.bytes > self.most:
            self._held.popitem(last=False)

    @property
    def bytes(self) -> int:
        """The memory of all indexes that are held."""
        return sum(size for _, size in self._held.values())
