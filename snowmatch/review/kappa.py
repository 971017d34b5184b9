"""Cohen's kappa: agreement of observers beyond chance."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

DRAWS = 2000  # bootstrap samples of an interval
TAIL = 0.025  # on either side of a 95 % interval


def cohens_kappa(table: np.ndarray) -> float | None:
    """Return Cohen's kappa of a (K, K) table of counts: answers of one observer against those of the other.

    None if it is not defined: no cases, or both observers always gave one and the same answer.

    Source: Cohen 1960, Educational and Psychological Measurement 20:37-46.
    """
    return pooled_kappa(np.asarray(table)[None])


def pooled_kappa(tables: np.ndarray) -> float | None:
    """Return one kappa of the (P, K, K) tables of several pairs of observers, each weighted by its number of cases.

    It is (sum of agreement - chance) / (sum of 1 - chance), so that one pair of observers gives Cohen's kappa, and the
    order of the observers does not matter. None as in `cohens_kappa`.

    Source: Conger 1980, Psychological Bulletin 88:322-328; the weights are for observers that read different cases.
    """
    value = float(_kappas(np.asarray(tables, float)))
    return None if np.isnan(value) else value


def _kappas(tables: np.ndarray) -> np.ndarray:
    """Return kappa of (..., P, K, K) tables; NaN where it is not defined."""
    cases = tables.sum(axis=(-1, -2))
    by_chance = (tables.sum(axis=-1) * tables.sum(axis=-2)).sum(axis=-1) / np.maximum(cases, 1)
    agreed = np.trace(tables, axis1=-2, axis2=-1)
    beyond, possible = (agreed - by_chance).sum(axis=-1), (cases - by_chance).sum(axis=-1)
    defined = possible > 1e-9
    kappas: np.ndarray = np.where(defined, beyond / np.where(defined, possible, 1), np.nan)
    return kappas


def pooled_interval(patterns: Mapping[tuple[tuple[int, int, int], ...], int], size: int) -> tuple[float, float] | None:
    """Return the 95 % interval of the pooled kappa, from a bootstrap over cases with all their answers.

    patterns: how many cases have which answers; a case has (pair of observers, answer, answer) for every two observers.
    size: number of answers K. None if the interval is not defined: fewer than two cases, or no case of disagreement, so
    that every drawn sample would agree as well. The draw is seeded.

    Source: Efron & Tibshirani 1993, An Introduction to the Bootstrap, chapter 13 (percentile interval).
    """
    names = sorted(patterns)
    cases = sum(patterns.values())
    if cases < 2 or all(a == b for name in names for _, a, b in name):
        return None
    effect = _effects(names, size)
    shares = np.array([patterns[name] for name in names], float) / cases
    drawn = np.random.default_rng(0).multinomial(cases, shares / shares.sum(), size=DRAWS)
    kappas = _kappas((drawn @ effect).reshape(DRAWS, -1, size, size))
    kappas = kappas[~np.isnan(kappas)]
    if not len(kappas):
        return None
    low, high = np.quantile(kappas, [TAIL, 1 - TAIL])
    return float(low), float(high)


def tables_of(patterns: Mapping[tuple[tuple[int, int, int], ...], int], size: int) -> np.ndarray:
    """Return the (P, K, K) tables of the patterns of `pooled_interval`. P is 1 or more, also without cases."""
    names = sorted(patterns)
    counts = np.array([patterns[name] for name in names], int)
    tables: np.ndarray = (counts @ _effects(names, size)).reshape(-1, size, size)
    return tables


def _effects(names: Sequence[tuple[tuple[int, int, int], ...]], size: int) -> np.ndarray:
    """Return what one case of each pattern adds to the tables: (patterns, P * K * K)."""
    several = 1 + max((number for name in names for number, _, _ in name), default=0)
    effect = np.zeros((len(names), several, size, size), int)
    for row, name in enumerate(names):
        for number, a, b in name:
            effect[row, number, a, b] += 1
    return effect.reshape(len(names), several * size * size)
