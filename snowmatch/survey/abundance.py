"""How many animals there are, seen or not: estimates for a closed population, from who was caught when.

A capture history is (I, T) bool: whether individual I was caught on occasion T. Rows without a capture are not counted.
A closed population: nobody is born, dies, comes or leaves between the first and the last occasion.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

NORMAL = 1.959964  # of a normal distribution, 2.5 % lie above it
DROP = NORMAL**2 / 2  # how far a log likelihood falls from its highest value to the ends of its 95 % interval


@dataclass(frozen=True)
class Estimate:
    """A number of animals, not a whole one, and its 95 % interval; `seen` were caught at least once.

    All are nan where nobody was caught. `value` and `high` are infinite where nobody was caught twice and the model
    learns from nothing else.
    """

    value: float
    low: float
    high: float
    seen: int


UNKNOWN = Estimate(math.nan, math.nan, math.nan, 0)


def capture_history(names: Sequence[str], occasions: Sequence[int], count: int) -> np.ndarray:
    """The history (I, count) bool of the encounters, each a name and its occasion from 0; I in order of the names.

    No encounters give (0, count). IndexError: an occasion of `count` or more.
    """
    individuals = sorted(set(names))
    number = {name: row for row, name in enumerate(individuals)}
    history = np.zeros((len(individuals), count), bool)
    history[[number[name] for name in names], list(occasions)] = True
    return history


def m0(history: np.ndarray) -> Estimate:
    """How many animals there are if each is as likely to be caught on every occasion.

    The most likely chance of being caught, given who was caught at all, says what share was never seen. The interval
    holds all numbers whose profile likelihood is not clearly lower.
    Source: model M0, Otis et al., 1978 (Wildlife Monographs 62); likelihood of those seen, Huggins, 1989 (Biometrika
    76:133-140); interval, Cormack, 1992 (Biometrics 48:567-576).
    """
    times = _times_caught(history)
    seen, captures, occasions = len(times), int(times.sum()), history.shape[1]
    if not seen:
        return UNKNOWN
    value = _most_likely(seen, captures, occasions)
    if math.isinf(value):
        highest = seen * math.log(seen / occasions)  # what the likelihood rises to as the number grows
    else:
        highest = _log_likelihood(value, seen, captures, occasions)

    def inside(number: float) -> bool:
        return _log_likelihood(number, seen, captures, occasions) >= highest - DROP

    middle, far = (value, 2 * value) if math.isfinite(value) else (2.0 * seen, math.inf)
    while not inside(middle):
        middle *= 2
    low = float(seen) if inside(seen) else _border(inside, middle, seen)
    while math.isfinite(far) and inside(far):
        far *= 2
    return Estimate(value, low, _border(inside, middle, far) if math.isfinite(far) else far, seen)


def chao(history: np.ndarray) -> Estimate:
    """A lower bound of the number of animals that holds where some are caught more easily than others (Mh).

    From those caught on one and on two occasions; of several forms the bias-corrected one, which is finite also where
    nobody was caught on two. It is the number seen where at most one animal was caught once. The interval takes the
    logarithm of the number of animals that were not seen as normal, so that it never reaches below those seen.
    Source: Chao, 1987 (Biometrics 43:783-791); bias-corrected form, variances, and the interval where the estimate is
    the number seen: Colwell, EstimateS 9 user's guide, appendix B (Chao2).
    """
    times = _times_caught(history)
    seen, captures = len(times), int(times.sum())
    if not seen:
        return UNKNOWN
    once, twice = int((times == 1).sum()), int((times == 2).sum())
    few = (history.shape[1] - 1) / history.shape[1]  # a correction for few occasions
    unseen = few * once * (once - 1) / (2 * (twice + 1))
    value = seen + unseen
    if history.shape[1] == 1:  # nobody can be caught twice: nothing speaks against any larger number
        return Estimate(value, value, math.inf, seen)
    if not unseen:
        missed = math.exp(-captures / seen)  # the chance that an animal was never caught
        middle, spread = seen / (1 - missed), NORMAL * math.sqrt(seen * missed) / (1 - missed)
        return Estimate(value, value, max(value, middle + spread), seen)
    variance = unseen + few**2 * once * (2 * once - 1) ** 2 / (4 * (twice + 1) ** 2)
    if twice:
        variance += few**2 * once**2 * twice * (once - 1) ** 2 / (4 * (twice + 1) ** 4)
    else:
        variance -= few**2 * once**4 / (4 * value)
    factor = math.exp(NORMAL * math.sqrt(math.log1p(max(variance, 0.0) / unseen**2)))
    return Estimate(value, seen + unseen / factor, seen + unseen * factor, seen)


def _times_caught(history: np.ndarray) -> np.ndarray:
    times = history.sum(axis=1)
    return times[times > 0]


def _most_likely(seen: int, captures: int, occasions: int) -> float:
    """The estimate by M0; infinite where nobody was caught twice: then nothing speaks against any larger number."""
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


def _log_likelihood(number: float, seen: int, captures: int, occasions: int) -> float:
    """The highest log likelihood by M0 that `number` animals (`seen` or more) reach, but for a constant.

    Factorials are Stirling's, so that it is highest exactly where `_most_likely` says.
    """
    unseen, chances = number - seen, number * occasions
    missed = chances - captures
    parts = [number * math.log(number), captures * math.log(captures / chances)]
    parts += [-unseen * math.log(unseen)] if unseen > 0 else []
    parts += [missed * math.log(missed / chances)] if missed > 0 else []
    return math.fsum(parts)


def _border(inside: Callable[[float], bool], within: float, without: float) -> float:
    """Where `inside` changes between a number within and one without, to a billionth."""
    while abs(within - without) > 1e-9 * max(within, without):
        middle = (within + without) / 2
        within, without = (middle, without) if inside(middle) else (within, middle)
    return within
