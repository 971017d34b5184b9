"""How many animals there are, seen or not: estimates for a closed population, from who was caught when.

A capture history is (I, T) bool: whether individual I was caught on occasion T; rows without a capture are not counted.
An estimate is nan where there is no capture at all: nothing was learned.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np


def capture_history(names: Sequence[str], occasions: Sequence[int], count: int) -> np.ndarray:
    """The history (I, count) bool of the encounters, each a name and its occasion from 0; I in order of the names.

    No encounters give (0, count). IndexError: an occasion of `count` or more.
    """
    individuals = sorted(set(names))
    history = np.zeros((len(individuals), count), bool)
    history[[individuals.index(name) for name in names], list(occasions)] = True
    return history


def m0(history: np.ndarray) -> float:
    """How many animals there are if each is as likely to be caught on every occasion, not a whole number.

    The most likely chance of being caught, given who was caught at all, says what share was never seen. inf where
    nobody was caught on two occasions: then nothing speaks against any larger number.
    Source: model M0, Otis et al., 1978 (Wildlife Monographs 62); likelihood of those seen, Huggins, 1989.
    """
    times = _times_caught(history)
    seen, captures, occasions = len(times), int(times.sum()), history.shape[1]
    if not seen:
        return math.nan
    if captures == seen:
        return math.inf
    low, high = 0.0, 1.0
    while high - low > 1e-12:
        chance = (low + high) / 2
        # Captures that are expected of an animal seen at all: they rise with the chance, and the likelihood is highest
        # where they are as many as there were.
        expected = occasions * chance / (1 - (1 - chance) ** occasions)
        low, high = (chance, high) if expected < captures / seen else (low, chance)
    return seen / (1 - (1 - high) ** occasions)


def chao(history: np.ndarray) -> float:
    """A lower bound of the number of animals that holds where some are caught more easily than others (Mh).

    From those caught on one and on two occasions; of several forms the bias-corrected one, which is finite also where
    nobody was caught on two. It is the number seen where at most one animal was caught once.
    Source: Chao, 1987 (Biometrics 43:783-791); bias-corrected, few occasions: Gotelli and Colwell, 2011 (Chao2).
    """
    times = _times_caught(history)
    if not len(times):
        return math.nan
    once, twice = int((times == 1).sum()), int((times == 2).sum())
    occasions = history.shape[1]
    return len(times) + (occasions - 1) / occasions * once * (once - 1) / (2 * (twice + 1))


def _times_caught(history: np.ndarray) -> np.ndarray:
    times = history.sum(axis=1)
    return times[times > 0]
