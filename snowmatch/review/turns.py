"""Whose turn it is: pairs that an observer has on the screen, and pairs that an observer skipped.

Both are in a small file of the catalog, because several programs and computers may ask at the same time. It can
be deleted at any time: then a pair may be shown to two observers at once, and skipped pairs come in their usual order.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from snowmatch.core.files import make_folder, replace_file
from snowmatch.core.home import home_of
from snowmatch.core.plain import read_summed_json, with_json_sum

LASTS = 600.0  # seconds that a pair stays with an observer who does not answer; chosen
WAIT = 5.0  # seconds to wait for another program
Pair = tuple[str, str]  # the keys of two sightings, the smaller one first
MARK = "\x1f"  # between two keys, which may have blanks: no identifier in a decision has it


def take(folder: Path, observer: str, pair: Pair, now: float | None = None) -> bool:
    """Reserve a pair for an observer, and return whether that worked: no other observer has it.

    Earlier pairs of the observer are free again. now: seconds (default: the clock). A catalog that cannot be written
    has no reservations: the answer is True.
    """
    now = time.time() if now is None else now
    with _changed(folder) as state:
        if state is None:
            return True
        held = {k: v for k, v in state["held"].items() if _lasts(v[1], now) and v[0] != observer}
        free = _text(pair) not in held
        if free:
            held[_text(pair)] = [observer, now]
        state["held"] = held
    return free


def held_by_others(folder: Path, observer: str, now: float | None = None) -> frozenset[Pair]:
    """Return the pairs that other observers have on their screens. now: seconds (default: the clock)."""
    now = time.time() if now is None else now
    held = _read(folder)["held"]
    return frozenset(_pair(k) for k, (who, when) in held.items() if who != observer and _lasts(when, now))


def _lasts(when: float, now: float) -> bool:
    """Return whether a reservation lasts. One from far in the future was made before the clock was set back."""
    return abs(now - when) < LASTS


def skip(folder: Path, observer: str, pair: Pair) -> None:
    """Remember that an observer skipped a pair: it comes last. A catalog that cannot be written forgets it."""
    with _changed(folder) as state:
        if state is not None:
            skipped = state["skipped"].setdefault(observer, [])
            if _text(pair) not in skipped:
                skipped.append(_text(pair))
            state["held"].pop(_text(pair), None)


def skipped_by(folder: Path, observer: str) -> tuple[Pair, ...]:
    """Return the pairs that an observer skipped, the first one first."""
    return tuple(_pair(text) for text in _read(folder)["skipped"].get(observer, ()))


def are_damaged(folder: Path) -> bool:
    """Return whether there is a file of turns that cannot be used."""
    return _path(folder).exists() and _known(folder) is None


def _path(folder: Path) -> Path:
    return home_of(folder) / "turns.json"


def _text(pair: Pair) -> str:
    return MARK.join(sorted(pair))


def _pair(text: str) -> Pair:
    one, other = text.split(MARK, 1)
    return one, other


def _texts(text: str) -> list[str]:
    """Return what is stored for a pair, in a list. Older versions had a blank as the mark: several tell no pair."""
    if MARK not in text and text.count(" ") == 1:
        text = text.replace(" ", MARK)
    return [text] if MARK in text else []


def _read(folder: Path) -> dict[str, Any]:
    """Return the state. A missing or damaged file gives an empty one."""
    return _known(folder) or {"held": {}, "skipped": {}}


def _known(folder: Path) -> dict[str, Any] | None:
    """Return the state; None if the file is missing or damaged."""
    try:
        state = read_summed_json(_path(folder).read_text(encoding="utf-8"))
        held = {key: [str(v[0]), float(v[1])] for k, v in state["held"].items() for key in _texts(k)}
        skipped = {str(k): [key for p in v for key in _texts(p)] for k, v in state["skipped"].items()}
        return {"held": held, "skipped": skipped}
    except (OSError, ValueError, KeyError, TypeError, AttributeError, IndexError, OverflowError):
        return None


@contextmanager
def _changed(folder: Path) -> Iterator[dict[str, Any] | None]:
    """Yield the state, and write what becomes of it. Yields None if the catalog cannot be written."""
    path = _path(folder)
    try:
        make_folder(path.parent)
        lock = FileLock(str(path.with_suffix(".lock")), timeout=WAIT)
        lock.acquire()
    except (OSError, Timeout):
        yield None
        return
    try:
        state = _read(folder)
        yield state
        text = json.dumps(with_json_sum(state), ensure_ascii=False, sort_keys=True)
        replace_file(path, lambda file: file.write(text.encode()))
    finally:
        lock.release()
