"""Cameras whose clock was set back: the same times appear twice and mean different moments."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise

from snowmatch.catalog.shots import Shot, file_number, file_order, name_series

# A folder with more steps back in time than this share of its photos, and more than FEW_STEPS, has file names that are
# not in the order of time
MOST_STEPS = 0.05
FEW_STEPS = 3


@dataclass(frozen=True)
class ClockReset:
    """One camera's clock was set back between two photos of a folder.

    beside: the photos of series of that folder in which no clock was set back.
    """

    before: str
    after: str
    beside: tuple[str, ...]


def clock_runs(shots: Sequence[Shot], gap: timedelta) -> tuple[list[int], list[ClockReset]]:
    """Return, for each photo, the number of its camera's run between two resets of the clock, and all resets.

    A clock was set back if times in a folder decrease by more than `gap` while the file numbers increase, and if
    earlier times then appear again. Files whose names differ in more than digits are looked at apart: they may be of
    two cameras. Each such series counts its own runs. So frames of videos that begin only after a reset are of run 0,
    apart from the photos of run 1. Photos of different runs are never one encounter. Without a reset, all photos of a
    series are of run 0.
    """
    runs = [0] * len(shots)
    found: dict[tuple, list[tuple[int, int]]] = {}
    folders: dict[tuple, list[int]] = defaultdict(list)
    for n, shot in enumerate(shots):
        if shot.taken is not None and not shot.dated:
            folders[shot.location, shot.station, shot.camera, shot.folder, name_series(shot.name)].append(n)
    for series, numbers in folders.items():
        if any(file_number(shots[n].name) is None for n in numbers):
            continue
        numbers.sort(key=lambda n: file_order(shots[n].name))
        back = [(a, b) for a, b in pairwise(numbers) if _taken(shots[a]) - _taken(shots[b]) > gap]
        if not back or len(back) > max(FEW_STEPS, MOST_STEPS * len(numbers)):
            continue
        pieces = _pieces(numbers, {b for _, b in back})
        if not _come_again(shots, pieces):
            continue  # the file counter started again (IMG_9999, IMG_0001): no time appears twice
        for run, piece in enumerate(pieces):
            for n in piece:
                runs[n] = run
        found[series] = back
    others: dict[tuple, list[str]] = {series[:-1]: [] for series in found}
    for series, numbers in folders.items() if found else ():
        if series not in found and series[:-1] in others:
            others[series[:-1]] += [shots[n].name for n in numbers]
    beside = {place: tuple(sorted(names)) for place, names in others.items()}
    resets = [
        ClockReset(shots[a].name, shots[b].name, beside[series[:-1]]) for series, back in found.items() for a, b in back
    ]
    return runs, sorted(resets, key=lambda reset: reset.after)


def _pieces(numbers: Sequence[int], starts: set[int]) -> list[list[int]]:
    pieces: list[list[int]] = [[]]
    for n in numbers:
        if n in starts:
            pieces.append([])
        pieces[-1].append(n)
    return pieces


def _come_again(shots: Sequence[Shot], pieces: Sequence[Sequence[int]]) -> bool:
    """Return whether the times of two pieces overlap."""
    spans = sorted((min(_taken(shots[n]) for n in piece), max(_taken(shots[n]) for n in piece)) for piece in pieces)
    return any(later[0] <= earlier[1] for earlier, later in pairwise(spans))


def _taken(shot: Shot) -> datetime:
    assert shot.taken is not None
    return shot.taken
