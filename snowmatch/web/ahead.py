"""The pictures of the next questions are made before anybody opens them: a large photo takes long to decode."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from pathlib import Path

from snowmatch.core.errors import SnowmatchError
from snowmatch.core.types import Annotation
from snowmatch.views.previews import SHOWN, preview
from snowmatch.web.state import State


class Ahead:
    """The pictures that one server makes ahead, one photo at a time, so that the pages hardly wait for it."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._lock = threading.Lock()
        self._asked: list[Annotation] = []  # of the last call
        self._waiting: list[Annotation] = []
        self._running = False

    def ask(self, photos: Sequence[Annotation]) -> None:
        """Make what a question shows of these photos, in this order, in a thread. What waited before is dropped."""
        with self._lock:
            self._waiting = [a for a in photos if a not in self._asked or a in self._waiting]
            self._asked = list(photos)
            if self._running or not self._waiting:
                return
            self._running = True
        threading.Thread(target=self._work, daemon=True, name="snowmatch-ahead").start()

    def _work(self) -> None:
        while True:
            with self._lock:
                if not self._waiting:
                    self._running = False
                    return
                annotation = self._waiting.pop(0)
            try:
                for kind, size in SHOWN:
                    preview(self._folder, annotation, kind, size)
            except SnowmatchError:  # who opens the question is told
                continue
            except BaseException:
                self._running = False
                raise


def ahead_of(state: State) -> Ahead:
    """Return what a server makes ahead."""
    found: Ahead = state.kept.setdefault("ahead", Ahead(state.folder))
    return found
