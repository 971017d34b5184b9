"""The fit of a model: maximum likelihood of the known answers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from scipy.optimize import minimize

from snowmatch.confidence.background import beside_others
from snowmatch.confidence.cases import Case
from snowmatch.confidence.model import Model, evidence, richness
from snowmatch.core.threads import one_thread
from snowmatch.matching.scores import VERIFIED

# Weight (in encounters) of all shipped cases beside a catalog's own. On boxed leopards the log loss of the right
# answer with 10, 30 and 100 was .56, .56 and .61 (without: .64; scores not yet divided by the root of chance). Whole
# leopards gain too, whole nyala lose (results/shipped_calibrations.json).
SHIPPED_WEIGHT = 30.0
# Knots at these quantiles of the best scores of new animals, where right and wrong answers overlap. Four knots give a
# model eight numbers; straight lines were worse (log loss .68 against .51 on boxed leopards).
KNOTS = (0.05, 0.5, 0.9, 0.99)
AT_ONCE = 100  # cases whose scores become inputs at once
FREE = 0.05  # ridge penalty on the intercept of new animals: nearly none
RIDGE, SMOOTH = 0.02, 0.1  # penalties on slopes and on their changes: from .02 to .5 the log loss hardly moves


def fit(cases: Sequence[Case], shipped: Sequence[Case] = ()) -> Model:
    """Return the model that makes the answers of the cases most likely. The `shipped` cases together weigh
    SHIPPED_WEIGHT.

    One more individual is assumed to be in the gallery and never to match (add-one rule). So even if every animal of
    this catalog is found, "new" keeps a doubt of one in their number. Raises ValueError if no case has a new animal.

    Source: conditional logit, McFadden 1974; penalties, Eilers & Marx 1996 (P-splines); the shipped cases, Ibrahim &
    Chen 2000 (power prior); add-one, Laplace's rule of succession.
    """
    everything = [(case, case.weight) for case in cases]
    if shipped:
        total = sum(case.weight for case in shipped)
        everything += [(case, case.weight * SHIPPED_WEIGHT / total) for case in shipped]
    new = [case for case in cases if case.right < 0] or [case for case in shipped if case.right < 0]
    if not new:
        raise ValueError("no case of a new animal: nothing to tell them from")
    best = np.array([beside_others(case.scores).max() for case in new])
    best = np.log(best[best > VERIFIED])
    knots = tuple(np.unique(np.quantile(best, KNOTS).round(6)).tolist()) if len(best) else (0.0,)
    rich = [case.features for case in cases if case.features > 0]
    usual = float(np.median(rich)) if rich else 1.0
    known = sum(case.weight for case in cases if case.right >= 0)
    of_one = known / max(len({case.individual for case in cases}), 1)
    weight_of_new = sum(case.weight for case in new)
    everything += [(_hopeless(case, n), of_one * case.weight / weight_of_new) for n, case in enumerate(new)]
    accepted, slopes, constant, features, sightings = _maximise(everything, knots, usual)
    asked = cases or shipped
    crowd = float(np.average([len(case.scores) for case in asked], weights=[case.weight for case in asked]))
    return Model(knots, accepted, slopes, constant, features, usual, max(crowd, 1.0), sightings)


def _hopeless(case: Case, number: int) -> Case:
    """Return a case of a new animal as a case of a known one: each individual in turn is the right one, by the
    number of the case.
    """
    return replace(case, right=number % len(case.scores))


def _maximise(
    weighted: Sequence[tuple[Case, float]], knots: tuple[float, ...], usual: float
) -> tuple[float, tuple[float, ...], float, float, float]:
    """Return (accepted, slopes, new, features, sightings) of the most likely model.

    slopes, features and sightings are not negative. An individual's prior is relative to the mean of its case, so that
    it does not shift between known and new animals.
    """
    cases = [case for case, _ in weighted]
    weights = np.array([weight for _, weight in weighted])
    lengths = np.array([len(case.scores) + 1 for case in cases])  # the last entry of each case: a new animal
    starts = np.cumsum(lengths) - lengths
    pieces = len(knots) + 2
    rows = np.zeros((lengths.sum(), pieces + 3))
    last = starts + lengths - 1
    others = np.ones(len(rows), bool)
    others[last] = False
    for start in range(0, len(cases), AT_ONCE):  # the inputs of all scores at once would need twice the memory of rows
        some = slice(start, start + AT_ONCE)
        part = starts[start] + np.flatnonzero(others[starts[start] : last[some][-1] + 1])
        beside = np.concatenate([beside_others(case.scores) for case in cases[some]])
        rows[part, :pieces] = evidence(beside, knots)
        rows[part, pieces + 2] = np.concatenate([_met(case.encounters) for case in cases[some]])
    rows[last, pieces] = 1
    rows[last, pieces + 1] = richness(np.array([case.features for case in cases]), usual)
    right = np.array(
        [start + case.right if case.right >= 0 else end for case, start, end in zip(cases, starts, last, strict=True)]
    )
    steps = np.zeros((pieces - 2, pieces + 3))
    steps[:, 1:pieces] = np.eye(pieces - 2, pieces - 1) - np.eye(pieces - 2, pieces - 1, 1)
    penalty = RIDGE * np.diag([1.0] * pieces + [FREE, 1.0, 1.0]) + SMOOTH * steps.T @ steps

    def loss(weights_of: np.ndarray) -> tuple[float, np.ndarray]:
        speaks = rows @ weights_of
        top, of_right = np.maximum.reduceat(speaks, starts), speaks[right]
        speaks -= np.repeat(top, lengths)
        share = np.exp(speaks, out=speaks)
        sums = np.add.reduceat(share, starts)
        share /= np.repeat(sums, lengths)
        share *= np.repeat(weights, lengths)
        likelihood = weights @ (of_right - top - np.log(sums))
        slope = weights @ rows[right] - share @ rows
        return 0.5 * weights_of @ penalty @ weights_of - likelihood, penalty @ weights_of - slope

    bounds = [(None, None)] + [(0, None)] * (pieces - 1) + [(None, None), (0, None), (0, 1)]
    with one_thread():  # a dozen numbers: waking other threads took forty times as long as the work
        found = minimize(loss, np.zeros(pieces + 3), jac=True, method="L-BFGS-B", bounds=bounds).x
    constant, features, sightings = map(float, found[pieces:])
    return float(found[0]), tuple(map(float, found[1:pieces])), constant, features, sightings


def _met(encounters: np.ndarray) -> np.ndarray:
    """Return the logarithm of the numbers of encounters (I,), less that of their mean; 0 where it is not known (0)."""
    met = np.maximum(encounters, 1)
    return np.log(met) - np.log(met.mean())
