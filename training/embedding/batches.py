"""The photos of a batch: up to four of each individual, from both flanks if both exist."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

PER_INDIVIDUAL = 4  # N of Colomer Matachana 2024
PER_FLANK = 2  # each flank has a positive, and the other flank is a hard negative


def flank_classes(individuals: Sequence[str], parts: Sequence[str]) -> np.ndarray:
    """Return (N,) int64: a class for each individual and body part, because a cat's two flanks have different coats."""
    names = sorted(set(zip(individuals, parts, strict=True)))
    number = {name: i for i, name in enumerate(names)}
    return np.array([number[pair] for pair in zip(individuals, parts, strict=True)], np.int64)


def singletons(classes: np.ndarray) -> np.ndarray:
    """Return (N,) bool: photos that are the only one of their class."""
    return np.bincount(classes)[classes] == 1 if len(classes) else np.zeros(0, bool)


def batches(
    individuals: Sequence[str], classes: np.ndarray, size: int, random: np.random.Generator
) -> list[np.ndarray]:
    """Return the batches of one epoch as int64 row numbers: each photo once, about `size` a batch. No photos: no batch.

    An individual's photos are divided into groups of four, two of each flank as long as it has both. Its groups go to
    different batches as long as there are enough, so that an individual with hundreds of photos does not fill a batch.
    """
    rows_of: dict[str, list[int]] = {}
    for row, name in enumerate(individuals):
        rows_of.setdefault(name, []).append(row)
    fours: list[list[int]] = []
    for name in random.permutation(sorted(rows_of)):
        rows = np.array(rows_of[name], np.int64)
        by_flank = [random.permutation(rows[classes[rows] == c]) for c in sorted(set(classes[rows]))]
        dealt: list[int] = []
        while any(len(flank) for flank in by_flank):
            for number, flank in enumerate(by_flank):
                dealt += list(flank[:PER_FLANK])
                by_flank[number] = flank[PER_FLANK:]
        fours += [dealt[i : i + PER_INDIVIDUAL] for i in range(0, len(dealt), PER_INDIVIDUAL)]
    count = max(1, round(len(individuals) / size))
    made = [np.array([row for four in fours[first::count] for row in four], np.int64) for first in range(count)]
    return [made[i] for i in random.permutation(count) if len(made[i])]
