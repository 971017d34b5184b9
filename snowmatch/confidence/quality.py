"""The quality of stated probabilities."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import betaincinv

from snowmatch.confidence.cases import Case
from snowmatch.confidence.levels import LEVEL_NAMES, Levels
from snowmatch.confidence.metrics import CONFIDENCE
from snowmatch.confidence.model import Probabilities


@dataclass(frozen=True)
class LevelCount:
    """`wrong` of the `answers` decisions of one level were wrong, with the 95 % interval of this share (`clustered`);
    `new` were "new".
    """

    level: str
    answers: int
    wrong: int
    low: float
    high: float
    new: int
    new_wrong: int


@dataclass(frozen=True)
class Bin:
    """Decisions of similar probability: their number, mean probability, number of right ones, and the 95 % interval of
    the share of these.
    """

    answers: int
    stated: float
    right: int
    low: float
    high: float


@dataclass(frozen=True)
class Quality:
    """How well probabilities agree with the results of N decisions; NaN without decisions.

    brier, log_loss, calibration_error: of the probability of the decision against whether it was right. shipped: number
    of decisions with the shipped calibration, where none was learned from other individuals.
    """

    decisions: int
    brier: float
    log_loss: float
    calibration_error: float
    levels: tuple[LevelCount, ...]
    bins: tuple[Bin, ...]
    shipped: int = 0


BINS = 10  # of the reliability diagram and the calibration error; a usual number


def measure_quality(cases: Sequence[Case], found: Sequence[Probabilities | None], levels: Levels) -> Quality:
    """Return the quality of the decisions on `cases`. Cases without probabilities are skipped.

    Source: Brier 1950; expected calibration error over BINS equal bins, Naeini et al., AAAI 2015; intervals, see
    `clustered`.
    """
    told = [(case, p) for case, p in zip(cases, found, strict=True) if p is not None]
    decided = np.array([p.decision() for _, p in told], np.int64)
    stated, careful = np.array([p.of(d) for (_, p), d in zip(told, decided, strict=True)]).reshape(-1, 2).T
    right = decided == np.array([case.right for case, _ in told], np.int64)
    new = decided < 0
    animals = np.array([case.individual for case, _ in told], str)
    names = np.array([levels.of(p) for p in careful])
    of_level = []
    for level in LEVEL_NAMES:
        of = names == level if len(told) else np.zeros(0, bool)
        n, wrong = int(of.sum()), int((of & ~right).sum())
        of_level.append(
            LevelCount(
                level,
                n,
                wrong,
                *clustered(wrong, n, animals[of]),
                int((of & new).sum()),
                int((of & new & ~right).sum()),
            )
        )
    bins = reliability_bins(stated, right, animals)
    if not told:
        return Quality(0, float("nan"), float("nan"), float("nan"), tuple(of_level), ())
    sure = np.clip(stated, 1e-12, 1 - 1e-12)
    return Quality(
        len(told),
        float(np.mean((stated - right) ** 2)),
        float(-np.mean(np.where(right, np.log(sure), np.log(1 - sure)))),
        float(sum(b.answers * abs(b.stated - b.right / b.answers) for b in bins) / len(told)),
        tuple(of_level),
        bins,
        sum(p.shipped for _, p in told),
    )


def reliability_bins(stated: np.ndarray, right: np.ndarray, animals: np.ndarray | None = None) -> tuple[Bin, ...]:
    """Return the bins of the reliability diagram: BINS of equal width, without empty ones.

    stated: (N,) probabilities, 0 to 1. right: (N,) bool. animals: (N,) whom each decision is about, for the intervals;
    None: each about another. Source: Murphy & Winkler 1977, Applied Statistics 26.
    """
    place = np.minimum((stated * BINS).astype(int), BINS - 1)
    bins = []
    for number in np.unique(place):
        of = place == number
        n, hits = int(of.sum()), int(right[of].sum())
        bounds = binomial_interval(hits, n) if animals is None else clustered(hits, n, animals[of])
        bins.append(Bin(n, float(stated[of].mean()), hits, *bounds))
    return tuple(bins)


def clustered(count: int, of: int, animals: np.ndarray) -> tuple[float, float]:
    """Return the 95 % interval of a share of answers, as wide as if each animal had given one: 0 to 1 without answers.

    animals: (of,) whom each answer is about. The answers about one animal are right or wrong together: each encounter
    is asked twice, and a coat that is hard to tell stays so. This is on the safe side: it takes them for one answer.

    Source: the exact interval with the effective number of trials, Korn & Graubard 1998, Survey Methodology 24.
    """
    different = len(np.unique(animals))
    return binomial_interval(count / of * different if of else 0, different)


def binomial_interval(successes: float, trials: float) -> tuple[float, float]:
    """Return the exact 95 % interval of a share; 0 to 1 without trials. Source: Clopper & Pearson 1934, Biometrika
    26.
    """
    tail = (1 - CONFIDENCE) / 2
    low = betaincinv(successes, trials - successes + 1, tail) if successes else 0.0
    high = betaincinv(successes + 1, trials - successes, 1 - tail) if successes < trials else 1.0
    return float(low), float(high)
