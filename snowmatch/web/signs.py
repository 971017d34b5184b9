"""Signs for photos of a reader: who answers blind must not meet an identifier that the table may have made of a name.

A sign is random and lasts until the server ends. Only what was asked has one, so a reader reaches no other photo.
"""

from __future__ import annotations

import secrets
import threading
from collections.abc import Mapping
from typing import Any

from snowmatch.core.errors import SnowmatchError
from snowmatch.core.types import Annotation
from snowmatch.web.people import OBSERVER, may, need
from snowmatch.web.state import State


class Signs:
    """The signs of one reader. Threads may share it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._of: dict[str, str] = {}
        self._meant: dict[str, str] = {}

    def of(self, key: str) -> str:
        """Return the sign of what stands for an annotation elsewhere; a new one if there is none."""
        with self._lock:
            if key not in self._of:
                sign = secrets.token_hex(8)
                self._of[key], self._meant[sign] = sign, key
            return self._of[key]

    def meant(self, sign: object) -> str:
        """Return what a sign stands for; "" if it is none."""
        return self._meant.get(sign, "") if isinstance(sign, str) else ""


def signs_of(state: State) -> Signs:
    """Return the signs of the reader who asks."""
    found: Signs = state.kept.setdefault(f"signs of {state.observer}", Signs())
    return found


def asked_with_signs(state: State, question: dict[str, Any]) -> dict[str, Any]:
    """Return a question as who asks may see it: a reader gets signs for the identifiers of sightings and photos."""
    if may(OBSERVER):
        return question
    of = signs_of(state).of
    sides = [
        {**side, "frames": [{**frame, "key": of(frame["key"])} for frame in side["frames"]]}
        for side in question["sides"]
    ]
    return {**question, "pair": [of(key) for key in question["pair"]], "sides": sides}


def with_signs(state: State, keys: list[str]) -> list[str]:
    """Return the identifiers of sightings as who asks may see them."""
    return keys if may(OBSERVER) else [signs_of(state).of(key) for key in keys]


def without_signs(state: State, values: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return what a page sent about a question, with identifiers for a reader's signs.

    Raises SnowmatchError if a reader names a sighting or a photo that was not asked about.
    """
    if may(OBSERVER):
        return values
    signs, found = signs_of(state), dict(values)
    for name in ("pair", "frames"):
        if isinstance(sent := values.get(name), list):
            found[name] = [signs.meant(sign) for sign in sent]
            if not all(found[name]):
                raise SnowmatchError("this pair is no longer a question here: load the page again", "load-again")
    return found


def pictured(state: State, key: str) -> Annotation | None:
    """Return the annotation whose pictures an address means; None if there is none.

    Raises SnowmatchError, with the code `not-allowed`, if a reader was not asked about it.
    """
    if may(OBSERVER):
        return state.pictured(key)
    meant = signs_of(state).meant(key)
    if not meant:
        need(OBSERVER)
    return state.pictured(meant)
