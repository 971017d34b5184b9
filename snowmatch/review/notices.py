"""Notices of sightings: on the desktop, or to a program at an address. They are sent beside the watching."""

from __future__ import annotations

import os
import queue
import shutil
import subprocess
import threading
import time
from collections.abc import Collection, Iterable, Sequence
from contextlib import suppress

from snowmatch.core.notes import Note
from snowmatch.core.text import counted, did_you_mean, same_name
from snowmatch.core.types import Annotation
from snowmatch.decisions.who import is_name
from snowmatch.review.hook import Hook, post
from snowmatch.review.watched import Event, event_line

WAITS = (1.0, 5.0, 20.0)  # seconds before each further try
KEPT = 1000  # notices that wait at most
BELL = "\a"
NEW = "new"  # what is chosen for new animals; the decision about them
_STOP = None
_MAC = (
    "on run argv", "display notification (item 1 of argv) with title (item 2 of argv)", "end run",
)  # fmt: skip
_WINDOWS = (
    "Add-Type -AssemblyName System.Windows.Forms;$n=New-Object System.Windows.Forms.NotifyIcon;"
    "$n.Icon=[System.Drawing.SystemIcons]::Information;$n.Visible=$true;"
    "$n.ShowBalloonTip(5000,$env:SNOWMATCH_TITLE,$env:SNOWMATCH_TEXT,'Info');Start-Sleep 5;$n.Dispose()"
)


class Notices:
    """Tells sightings while the folder is watched.

    chosen: names of individuals, and "new", that cause notices, also where blanks or the form of a letter differ; none:
    the hook is told every sighting, and there are no notices on the desktop. desktop: whether there are any. waits:
    seconds before each further try of the hook.
    """

    def __init__(
        self, chosen: Collection[str], hook: Hook | None, *, desktop: bool = True, waits: Sequence[float] = WAITS
    ) -> None:
        self.chosen, self.hook, self.desktop, self.waits = _as_kept(chosen), hook, desktop, tuple(waits)
        self._waiting: queue.Queue[tuple[Event, str] | None] = queue.Queue(KEPT)
        self._said: queue.SimpleQueue[str] = queue.SimpleQueue()
        self._stopping = threading.Event()
        self._failing = False
        self._lost = 0
        self._thread = threading.Thread(target=self._run, daemon=True, name="snowmatch-notices")
        self._thread.start()

    def tell(self, event: Event, text: str) -> None:
        """Send a notice of a sighting, if it is one of the chosen. It does not wait. text: the sighting in words."""
        is_chosen = bool(_as_kept([called_of(event), *str(event.get("individual", "")).split(", ")]) & self.chosen)
        if (self.chosen and not is_chosen) or (not self.chosen and self.hook is None):
            return
        try:
            self._waiting.put_nowait((event, text))
        except queue.Full:
            self._lost += 1

    def said(self) -> list[str]:
        """Return what is to be said in the terminal: lines about notices that failed, and the bell."""
        found = []
        while not self._said.empty():
            found.append(self._said.get())
        if self._lost:
            found.append(f"{self._lost} notices were not sent: too many wait")
            self._lost = 0
        return found

    def close(self, patience: float) -> list[str]:
        """Send what waits, at most for `patience` seconds, and return what is to be said."""
        until = time.monotonic() + patience
        stop = 0  # number of marks of the end in the queue, which are no notices
        with suppress(queue.Full):
            self._waiting.put(_STOP, timeout=patience)
            stop = 1
        self._thread.join(max(until - time.monotonic(), 0))
        self._stopping.set()
        left = self._waiting.qsize() - stop + 1 if self._thread.is_alive() else 0  # one is being sent
        return self.said() + (
            [f"{counted(left, 'notice')} may not have been sent: the program stopped"] if left else []
        )

    def _run(self) -> None:
        while (item := self._waiting.get()) is not _STOP:
            event, text = item
            if self.hook is not None:
                self._post(self.hook, event)
            if self.chosen and not (self.desktop and show_on_desktop("snowmatch", text)):
                self._said.put(BELL)

    def _post(self, hook: Hook, event: Event) -> None:
        """Send an event, again if that fails. While the other side is away, each further event is tried once."""
        body, why = event_line(event), ""
        for wait in (*(() if self._failing else self.waits), None):
            why = post(hook, body)
            if not why:
                self._failing = False
                return
            if wait is None or self._stopping.wait(wait):
                break
        self._failing = True
        self._said.put(f"{hook.shown} was not told of {called_of(event) or 'a sighting'} ({event['id']}): {why}")


def notes_on_chosen(chosen: Iterable[str], annotations: Iterable[Annotation]) -> tuple[Note, ...]:
    """Return a note on each chosen name that nobody has. annotations: of the catalog."""
    known = sorted({a.individual for a in annotations if is_name(a.individual)})
    notes = []
    for name in dict.fromkeys(chosen):
        if not _as_kept([name]) & {NEW, *_as_kept(known)}:
            text = f"nobody is called {name!r}{did_you_mean(name, known)}: no notice comes unless somebody is"
            notes.append(Note("nobody-called", text, {"name": name}))
    return tuple(notes)


def _as_kept(names: Iterable[str]) -> frozenset[str]:
    """Return names as `checked_name` keeps typed ones."""
    return frozenset(same_name(" ".join(name.split())) for name in names)


def called_of(event: Event) -> str:
    """Return what an event is called in --notify: the individual, or "new"."""
    return str(event["decision"] if event["decision"] == NEW else event["individual"])


def show_on_desktop(title: str, text: str) -> bool:
    """Show a notice on the desktop by a program of the system, and return whether there is one that did."""
    more: dict[str, str] = {}
    shown = "".join(c if c.isprintable() else " " for c in text)[:300]
    if program := shutil.which("notify-send"):
        command = [program, "--app-name=snowmatch", "--", title, shown]
    elif program := shutil.which("osascript"):
        command = [program, *(word for line in _MAC for word in ("-e", line)), shown, title]
    elif program := shutil.which("powershell.exe"):
        command = [program, "-NoProfile", "-NonInteractive", "-WindowStyle", "Hidden", "-Command", _WINDOWS]
        more = {"SNOWMATCH_TITLE": title, "SNOWMATCH_TEXT": shown}  # never part of a command
    else:
        return False
    quiet = subprocess.DEVNULL
    try:
        done = subprocess.run(command, stdin=quiet, stdout=quiet, stderr=quiet, timeout=15, env={**os.environ, **more})
    except (OSError, subprocess.SubprocessError):
        return False
    return done.returncode == 0
