"""The pictures of the next questions are made before anybody opens them: a large photo takes long to decode."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path

from snowmatch.core.errors import SnowmatchError
from snowmatch.core.types import Annotation
from snowmatch.views.previews import SHOWN, preview
from snowmatch.web.onebyone import OneByOne
from snowmatch.web.state import State


class Ahead:
    """The pictures that one server makes ahead, one photo at a time, so that the pages hardly wait for it."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._asked: list[Annotation] = []  # of the last call
        self._waiting: list[Annotation] = []
        self._thread = OneByOne("snowmatch-ahead", self._take)

    def ask(self, photos: Sequence[Annotation]) -> None:
        """Make what a question shows of these photos, in this order, in a thread. What waited before is dropped."""

        def want() -> None:
            self._waiting = [a for a in photos if a not in self._asked or a in self._waiting]
            self._asked = list(photos)

        self._thread.ask(want)

    def _take(self) -> Callable[[], None] | None:
        return partial(self._make, self._waiting.pop(0)) if self._waiting else None

    def _make(self, annotation: Annotation) -> None:
        with suppress(SnowmatchError):  # who opens the question is told
            for kind, size in SHOWN:
                preview(self._folder, annotation, kind, size)


def ahead_of(state: State) -> Ahead:
    """Return what a server makes ahead."""
    found: Ahead = state.kept.setdefault("ahead", Ahead(state.folder))
    return found
