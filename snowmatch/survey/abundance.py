"""Estimates of the number of animals in a closed population, from capture histories.

An animal is captured on an occasion if a photo of that occasion shows it. A capture history is (I, T) bool: True if
individual I was captured on occasion T. Rows without a capture are ignored. In a closed population, no animal is born,
dies, arrives or leaves between the first and the last occasion.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

NORMAL = 1.959964  # the 97.5 % quantile of the standard normal distribution
DROP = NORMAL**2 / 2  # difference of the log likelihood between its maximum and the ends of the 95 % interval


@dataclass(frozen=True)
class Estimate:
    """An estimated number of animals (float) and its 95 % confidence interval.

    value: the estimate. low, high: the ends of the interval. seen: number of animals that were captured at least once.
    If no animal was captured, value, low and high are nan. `value` and `high` are infinite if no animal was captured
    twice and the model uses no other information.
    """

    value: float
    low: float
    high: float
    seen: int


UNKNOWN = Estimate(math.nan, math.nan, math.nan, 0)


def capture_history(names: Sequence[str], occasions: Sequence[int], count: int) -> np.ndarray:
    """Return the capture history of the encounters, (I, count) bool; the individuals are in the order of their names.

    names, occasions: the individual and the occasion (0 to count - 1) of each encounter. No encounters give (0, count).
    Raises IndexError if an occasion is `count` or more.
    """
    individuals = sorted(set(names))
    number = {name: row for row, name in enumerate(individuals)}
    history = np.zeros((len(individuals), count), bool)
    history[[number[name] for name in names], list(occasions)] = True
    return history


def m0(history: np.ndarray) -> Estimate:
    """Return the estimate of model M0: every animal has the same capture probability on every occasion.

    The capture probability is the maximum likelihood estimate, given that an animal was captured at least once. The
    estimate is the number of captured animals divided by the probability that an animal is captured at least once. The
    interval contains all numbers with a profile log likelihood at most DROP below the maximum.
    Source: model M0, Otis et al., 1978 (Wildlife Monographs 62); likelihood of those seen, Huggins, 1989 (Biometrika
    76:133-140); interval, Cormack, 1992 (Biometrics 48:567-576).
    """
    times = _times_caught(history)
    seen, captures, occasions = len(times), int(times.sum()), history.shape[1]
    if not seen:
        return UNKNOWN
    value = _most_likely(seen, captures, occasions)
    if math.isinf(value):
        highest = seen * math.log(seen / occasions)  # the limit of the log likelihood for an infinite number
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
    """Return a lower bound of the number of animals if their capture probabilities differ (model Mh).

    It uses the number of animals captured on exactly one and on exactly two occasions. The bias-corrected form is used,
    because it is finite even if no animal was captured on two occasions. If at most one animal was captured on one
    occasion, the estimate is the number of captured animals. The interval assumes a log-normal number of unseen
    animals, so its lower end is never below the number of captured animals.
    Source: Chao, 1987 (Biometrics 43:783-791); bias-corrected form, variances, and the interval where the estimate is
    the number seen: Colwell, EstimateS 9 user's guide, appendix B (Chao2).
    """
    times = _times_caught(history)
    seen, captures = len(times), int(times.sum())
    if not seen:
        return UNKNOWN
    once, twice = int((times == 1).sum()), int((times == 2).sum())
    few = (history.shape[1] - 1) / history.shape[1]  # correction for a small number of occasions
    unseen = few * once * (once - 1) / (2 * (twice + 1))
    value = seen + unseen
    if history.shape[1] == 1:  # one occasion: no animal can be captured twice, so the upper end is infinite
        return Estimate(value, value, math.inf, seen)
    if not unseen:
        missed = math.exp(-captures / seen)  # probability that an animal is never captured
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
    """Return the number of captures of each captured individual, (K,) int."""
    times = history.sum(axis=1)
    return times[times > 0]


def _most_likely(seen: int, captures: int, occasions: int) -> float:
    """Return the M0 estimate. It is infinite if no animal was captured twice, because no upper limit is then known."""
    if captures == seen:
        return math.inf
    low, high = 0.0, 1.0
    while high - low > 1e-12:
        chance = (low + high) / 2
        # Expected number of captures of an animal that is captured at least once. It rises with the capture
        # probability. The likelihood is highest where it equals the mean number of captures per captured animal.
        expected = occasions * chance / (1 - (1 - chance) ** occasions)
        low, high = (chance, high) if expected < captures / seen else (low, chance)
    return seen / (1 - (1 - high) ** occasions)


def _log_likelihood(number: float, seen: int, captures: int, occasions: int) -> float:
    """Return the profile log likelihood of M0 for `number` animals (`seen` or more), without a constant term.

    Factorials use Stirling's approximation, so that the maximum is exactly at the value of `_most_likely`.
    """
    unseen, chances = number - seen, number * occasions
    missed = chances - captures
    parts = [number * math.log(number), captures * math.log(captures / chances)]
    parts += [-unseen * math.log(unseen)] if unseen > 0 else []
    parts += [missed * math.log(missed / chances)] if missed > 0 else []
    return math.fsum(parts)


def _border(inside: Callable[[float], bool], within: float, without: float) -> float:
    """Return the number at which `inside` changes from True to False, with a relative error below 1e-9.

    within: a number for which `inside` is True. without: a number for which it is False.
    """
    while abs(within - without) > 1e-9 * max(within, without):
        middle = (within + without) / 2
        within, without = (middle, without) if inside(middle) else (within, middle)
    return within
