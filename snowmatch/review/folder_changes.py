"""Waiting for changes in a folder: the system tells them (package watchfiles), or the folder is looked at again."""

from __future__ import annotations

import ctypes
import importlib.util
import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

LOOK_ANYWAY = 30.0  # seconds after which a folder is looked at although the system told no change
LOCAL = frozenset("ext2 ext3 ext4 xfs btrfs zfs f2fs overlay tmpfs jfs reiserfs bcachefs ecryptfs".split())  # noqa: SIM905
MOMENT = 250  # ms that the system is asked to wait for a change
FIXED = 3  # of GetDriveType


class Changes:
    """Waits for changes in a folder.

    every: seconds between two looks while something settles, or where the system tells no changes. polling: the system
    is not asked. `told`: whether the system tells the changes. `why`: why it does not, "" if it does.
    """

    def __init__(self, folder: Path, every: float = 1.0, *, polling: bool = False) -> None:
        self.folder, self.every = folder, every
        self.why = "chosen" if polling else _why_polling(folder)
        self._changes: Iterator[Any] | None = None

    @property
    def told(self) -> bool:
        """Whether the system tells the changes."""
        return not self.why

    def wait(self, settling: bool) -> None:
        """Wait until the folder may have changed. settling: something there is looked at again soon in any case."""
        if self.why:
            time.sleep(self.every)
            return
        until = time.monotonic() + (0 if settling else LOOK_ANYWAY)
        while not self._changed() and time.monotonic() < until:
            pass

    def _changed(self) -> bool:
        """Wait a moment for a change, and return whether there may have been one."""
        try:
            if self._changes is None:
                self._changes = _watch(self.folder)
            return bool(next(self._changes))
        except (OSError, StopIteration) as error:  # the folder is gone, or the system has no more watches
            self._changes = None
            if self.folder.is_dir() and isinstance(error, OSError):
                self.why = f"the system tells no changes: {error.strerror or error}"
            time.sleep(self.every)
            return True


def _watch(folder: Path) -> Iterator[Any]:
    import watchfiles

    return watchfiles.watch(
        folder, watch_filter=None, debounce=50, step=20, rust_timeout=MOMENT, yield_on_timeout=True,
        ignore_permission_denied=True,
    )  # fmt: skip


def _why_polling(folder: Path) -> str:
    """Return why the system does not tell the changes of a folder; "" if it does."""
    if importlib.util.find_spec("watchfiles") is None:
        return "the package watchfiles is missing"
    return "" if is_local(folder) else "not on a local disk"


def is_local(folder: Path) -> bool:
    """Return whether a folder is on a disk of this computer that stays: no network share, and no memory card."""
    path = os.path.realpath(folder)
    if sys.platform == "win32":
        drive = os.path.splitdrive(path)[0]
        return len(drive) == 2 and ctypes.windll.kernel32.GetDriveTypeW(drive + "\\") == FIXED
    if sys.platform != "linux":  # macOS shows cards and shares here
        return not path.startswith(("/Volumes/", "/Network/", "/net/"))
    best, kind = "", ""
    try:
        for line in Path("/proc/self/mountinfo").read_text("utf-8", "replace").splitlines():
            fields, _, rest = line.partition(" - ")
            point = fields.split(" ")[4].replace("\\040", " ")
            if (path == point or path.startswith(point.rstrip("/") + "/")) and len(point) >= len(best):
                best, kind = point, rest.split(" ")[0]
    except (OSError, IndexError):
        return False
    return kind in LOCAL and not best.startswith(("/media/", "/run/media/"))
