"""Estimates of several draws of identities as one, with an interval that knows about identification."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist, fmean, pvariance

from snowmatch.survey.abundance import NORMAL, Estimate

CLOSE = 1e-6  # relative error of a quantile


@dataclass(frozen=True)
class Pooled:
    """An estimate over draws of identities, with 95 % intervals; nan without draws.

    value, low, high: median and ends of the mixture of the draws' distributions; the median is infinite only if half of
    the draws or more are. rubin_low, rubin_high: by Rubin's rules on the logarithm of the estimate. draws: number of
    draws with captures. infinite: of these, those without an upper end; Rubin's rules leave them out.
    """

    value: float
    low: float
    high: float
    rubin_low: float
    rubin_high: float
    draws: int
    infinite: int


def pool(estimates: Sequence[Estimate]) -> Pooled:
    """Return the estimates of the same number from several draws as one. Draws without captures do not count.

    Each draw stands for a distribution of the animals that were not seen: log-normal on either side of its estimate,
    with the ends of its interval as quantiles.
    Source: Rubin, 1987, Multiple Imputation for Nonresponse in Surveys, section 3.1.
    """
    found = [e for e in estimates if e.seen]
    if not found:
        return Pooled(math.nan, math.nan, math.nan, math.nan, math.nan, 0, 0)
    finite = [e for e in found if math.isfinite(e.high) and math.isfinite(e.value)]
    rubin = (math.nan, math.nan)
    if finite:
        logs = [math.log(e.value) for e in finite]
        within = fmean(((math.log(e.high) - math.log(e.low)) / (2 * NORMAL)) ** 2 for e in finite)
        between = pvariance(logs) * len(finite) / (len(finite) - 1) if len(finite) > 1 else 0.0
        spread = NORMAL * math.sqrt(within + (1 + 1 / len(finite)) * between)
        rubin = (math.exp(fmean(logs) - spread), math.exp(fmean(logs) + spread))
    value, low, high = (_quantile(found, share) for share in (0.5, 0.025, 0.975))
    return Pooled(value, low, high, *rubin, len(found), len(found) - len(finite))


def _quantile(estimates: Sequence[Estimate], share: float) -> float:
    """Return the smallest number with at least `share` of the mixture at or below it; infinite if there is none."""

    def below(number: float) -> float:
        return fmean(_below(e, number) for e in estimates)

    high = max((e.high for e in estimates if math.isfinite(e.high)), default=1.0) * 2
    while below(high) < share:
        high *= 2
        if high > 1e9:
            return math.inf
    low = float(min(e.seen for e in estimates))
    if below(low) >= share:
        return low
    while high - low > CLOSE * high:
        middle = (low + high) / 2
        low, high = (low, middle) if below(middle) >= share else (middle, high)
    return high


def _below(e: Estimate, number: float) -> float:
    """Return how much of the distribution of one estimate is at `number` or below it."""
    if number < e.seen or math.isinf(e.value):
        return 0.0
    at, middle = math.log(number - e.seen + 0.5), math.log(e.value - e.seen + 0.5)
    end = e.high if number >= e.value else e.low
    if math.isinf(end):
        return 0.5
    width = abs(math.log(max(end - e.seen, 0.0) + 0.5) - middle)
    if width < 1e-9:
        return 1.0 if number >= e.value else 0.0
    return NormalDist().cdf(NORMAL * (at - middle) / width)
