"""Values that take long: computed in a thread, and kept until what they depend on changes."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable
from contextvars import copy_context
from typing import Any

from snowmatch.core.errors import SnowmatchError
from snowmatch.review.accuracy import accuracy_by_name
from snowmatch.review.counting import Counts, count_individuals
from snowmatch.review.likely import Evidence
from snowmatch.web.state import State

DRAWS = 200  # groupings for the page that counts; chosen: half of the command's, so that it takes half as long
RETRY = 10.0  # seconds after which what failed is tried again: a disk comes back, a program lets go of a file


class Same:
    """Stands for one object in a key: equal to itself alone. It keeps the object: its place stays taken."""

    def __init__(self, held: object) -> None:
        self.held = held

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Same) and self.held is other.held

    def __hash__(self) -> int:
        return id(self.held)


class Background:
    """One value, computed in a thread. Several threads may ask for it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._key: object = None
        self._value: Any = None
        self._error: SnowmatchError | None = None
        self._again = 0.0  # when what failed may be tried again
        self._running = False

    def get(self, key: object, compute: Callable[[], Any]) -> tuple[Any, bool]:
        """Return the value, and whether it is that of `key`; if not, it is an older one or None, and a thread starts.

        Raises SnowmatchError if the computation for this key did, a moment ago; later it is tried again.
        """
        with self._lock:
            if self._key == key and not self._running:
                if self._error is None:
                    return self._value, True
                if time.monotonic() < self._again:
                    raise self._error
            if not self._running:
                self._running = True
                run, asked = copy_context().run, (self._run, key, compute)  # the thread knows who asks
                threading.Thread(target=run, args=asked, daemon=True, name="snowmatch-compute").start()
            return self._value, False

    def _run(self, key: object, compute: Callable[[], Any]) -> None:
        value: Any = None
        error: SnowmatchError | None = SnowmatchError(
            "this could not be computed, the window of the program says why: start the app again", "not-computed"
        )
        began, wait = time.monotonic(), math.inf
        try:
            value, error = compute(), None
        except SnowmatchError as caught:
            error, wait = caught, max(RETRY, time.monotonic() - began)
        finally:  # without its value a page would wait for ever, also if there is no memory
            with self._lock:
                self._key, self._error, self._running = key, error, False
                self._again = time.monotonic() + wait
                if error is None:
                    self._value = value


def background(state: State, name: str) -> Background:
    """Return the value of this name that the server keeps."""
    found: Background = state.kept.setdefault(name, Background())
    return found


def evidence_now(state: State) -> Evidence | None:
    """Return the evidence about all pairs of sightings as they are now; None while it is gathered.

    Raises SnowmatchError if nothing is indexed.
    """
    identities = state.identities()

    def gather() -> tuple[object, Evidence]:
        while True:
            before = state.identities().who.sightings
            found = state.evidence()
            if state.identities().who.sightings == before:  # numbers of sightings mean the same as before
                return before, found

    value, _ = background(state, "evidence").get((Same(identities.data), identities.who.sightings), gather)
    return value[1] if value is not None and value[0] == identities.who.sightings else None


def evidence_at_hand(state: State) -> Evidence | None:
    """Return the evidence if it is there; None while it is gathered, and also if nothing is indexed."""
    try:
        return evidence_now(state)
    except SnowmatchError:
        return None


def counts_now(state: State) -> tuple[Counts | None, bool]:
    """Return the numbers of individuals, and whether they are of all decisions; None while the first are computed.

    Raises SnowmatchError if nothing is indexed.
    """
    identities, evidence = state.identities(), evidence_now(state)
    if evidence is None:
        return None, False

    def compute() -> Counts:
        accuracy = accuracy_by_name(identities.rows, identities.who)
        return count_individuals(identities.who, evidence, accuracy, draws=DRAWS)

    key = (identities.stored.head, Same(evidence))
    value, fresh = background(state, "counts").get(key, compute)
    return value, fresh
