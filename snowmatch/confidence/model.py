"""The model: from scores to probabilities of each individual and of a new animal."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any

import numpy as np

from snowmatch.confidence.levels import Levels
from snowmatch.matching.scores import VERIFIED

ANY = "any"  # the group of all queries
BOXED = "boxed"  # outlined by boxes alone: only the shipped calibration separates these from masks
ENOUGH_PAIRS = 30  # pairs of encounters of one animal that a group of queries needs for a model of its own
# The slopes end so far (natural logarithm) below the first knot and above the last one. Beyond, there are too few
# cases to learn from, and scenery that two photos share scores higher than any coat.
BELOW, ABOVE = 1.5, 1.5
FEATURES_RANGE = 3.0  # natural logarithm: fewer than a twentieth of the usual features have no further effect
# Lowest expected share of new animals, and of known ones: there are births and immigrants every year, and one catalog
# has too few encounters to show a smaller share.
RAREST = 0.1
# Share of new animals in learning: each encounter is asked once with its animal in the gallery and once without.
LEARNED_NEW = 0.5


LARGEST = 1e9  # every number of a model is smaller


@dataclass(frozen=True)
class Model:
    """A learned model: how strongly a score speaks for an individual, against all others and against a new one.

    An individual that passed the geometric check has the log-odds `accepted` plus a piecewise linear function of the
    logarithm of its score. knots: (K,) where the slope changes. slopes: (K + 1,) of the pieces, from BELOW under the
    first knot to ABOVE over the last one. An individual without a vote has log-odds 0. A new individual has `new`, plus
    `features` for each factor e by which the query has more features than `usual_features`. individuals: the number of
    individuals that were compared.
    """

    knots: tuple[float, ...]
    accepted: float
    slopes: tuple[float, ...]
    new: float
    features: float
    usual_features: float
    individuals: float

    def __post_init__(self) -> None:
        if len(self.slopes) != len(self.knots) + 1 or any(slope < 0 for slope in self.slopes):
            raise ValueError(f"{len(self.knots)} knots and slopes {self.slopes}, expected one slope more, none below 0")
        numbers = (
            *self.knots,
            *self.slopes,
            self.accepted,
            self.new,
            self.features,
            self.usual_features,
            self.individuals,
        )
        if not all(math.isfinite(number) and abs(number) < LARGEST for number in numbers):
            raise ValueError(f"a model with the values {numbers}, expected finite numbers below {LARGEST:g}")
        if list(self.knots) != sorted(self.knots) or not self.knots or self.usual_features <= 0 or self.individuals < 1:
            raise ValueError(f"knots {self.knots}, {self.usual_features} features, {self.individuals} individuals")


@dataclass(frozen=True)
class Calibration:
    """The meaning of the scores of one method: models by group of queries, and the levels.

    groups: the models of each group. If a group has several models, the one with the lowest probability counts; see
    `group_names`.
    source: `catalog` (learned from its own encounters) or `shipped` (comes with snowmatch). shipped: the groups with
    shipped models.
    """

    source: str
    groups: Mapping[str, tuple[Model, ...]]
    levels: Levels
    encounters: int
    shipped: tuple[str, ...] = ()

    def group(self, outlined: bool, masked: bool, body_part: str) -> str | None:
        """Return the most special group of such queries that has models; None if none has. masked: by masks alone."""
        special, kind, every = group_names(outlined, body_part)
        boxed = [BOXED] if outlined and not masked else []
        return next((name for name in (special, *boxed, kind, every) if name in self.groups), None)

    def described(self) -> dict[str, Any]:
        """Return the calibration as an answer reports it."""
        return {
            "source": self.source,
            "encounters": self.encounters,
            "shipped": list(self.shipped),
            "levels": asdict(self.levels),
        }


@dataclass(frozen=True)
class Probabilities:
    """The probabilities of one query: of individuals (I,), NaN if not compared, and of a `new` one. Their sum is at
    most 1.
    """

    individuals: np.ndarray
    new: float

    def decision(self, ranking: np.ndarray | None = None) -> int:
        """Return the index of the most likely individual; -1 for a new one. In a tie, the individual counts.

        ranking: (I,) decides between equally likely individuals: the highest counts. Without it, the first counts.
        """
        if not len(self.individuals) or np.isnan(self.individuals).all():
            return -1
        likeliest = np.flatnonzero(self.individuals == np.nanmax(self.individuals))
        best = int(likeliest[0 if ranking is None else ranking[likeliest].argmax()])
        return best if self.individuals[best] >= self.new else -1

    @property
    def best(self) -> float:
        """The probability of the decision."""
        decision = self.decision()
        return self.new if decision < 0 else float(self.individuals[decision])


def group_names(outlined: bool, body_part: str) -> tuple[str, ...]:
    """Return the groups that a query belongs to, the most special first.

    outlined: every photo has a box or a mask. With visible scenery, scores of right answers are lower and those of
    wrong ones higher.
    """
    kind = "outlined" if outlined else "whole"
    return f"{kind} {body_part}", kind, ANY


def evidence(scores: np.ndarray, knots: Sequence[float]) -> np.ndarray:
    """Return (..., K + 2) float64, the inputs of a model: whether the score is verified, and its extent in each piece.

    scores: (...) ranking scores (see `scores.ranking`): rejected ones are at most VERIFIED.

    Source: piecewise-linear (hinge) basis, Hastie, Tibshirani & Friedman 2009, section 5.2.
    """
    edges = np.array([knots[0] - BELOW, *knots, knots[-1] + ABOVE])
    verified = scores > VERIFIED
    log = np.log(np.where(verified, scores, 1.0))
    pieces = np.clip(log[..., None], edges[:-1], edges[1:]) - edges[:-1]
    return np.concatenate([verified[..., None], np.where(verified[..., None], pieces, 0.0)], axis=-1)


def richness(features: np.ndarray | float, usual: float) -> np.ndarray:
    """Return the natural logarithm of the number of features divided by the usual number; 0 if the number is not
    known (0).
    """
    known = np.maximum(np.asarray(features, np.float64), 1e-9)
    ratio = np.clip(np.log(known / usual), -FEATURES_RANGE, FEATURES_RANGE)
    return np.where(np.asarray(features) > 0, ratio, 0.0)


def expected_new(encounters: np.ndarray) -> float:
    """Return the probability that the next passage is of a new animal, from the number of encounters of each known one
    (I,).

    It is the share of encounters with an animal that was met once, between RAREST and 1 - RAREST. Without known
    animals: 0.5.

    Source: Good 1953, Biometrika 40 (Good-Turing), with one case of either kind added.
    """
    encounters = encounters[encounters > 0]
    share = (np.sum(encounters == 1) + 1) / (np.sum(encounters) + 2)
    return float(np.clip(share, RAREST, 1 - RAREST))


def probabilities(
    models: Sequence[Model], scores: np.ndarray, named: np.ndarray, features: float, new_share: float
) -> Probabilities:
    """Return the probabilities from the scores (I,) of one query: the lowest that a model gives.

    scores: NaN for an individual that is not compared. named: (I,) bool, False for animals of unidentified encounters;
    they and "new" share what the named ones leave. features: of the query, per photo. new_share: see `expected_new`.

    The frequency of new animals is not known, so each probability uses the less favourable value. For an individual,
    new animals are as frequent as in learning or as `new_share`, whichever is more, and a short list of candidates does
    not make them rarer: a filter that leaves two cats makes neither of them more likely. For "new", they are as rare as
    `new_share`, whatever the number of candidates.

    Source: conditional logit with an outside option, McFadden 1974; bounds over a set of priors, Berger 1990 (robust
    Bayes).
    """
    compared = ~np.isnan(scores)
    found = [_of_model(model, scores[compared], named[compared], features, new_share) for model in models]
    individuals = np.full(len(scores), np.nan)
    individuals[compared] = np.min([p for p, _ in found], axis=0)
    return Probabilities(individuals, float(min(new for _, new in found)))


def _of_model(
    model: Model, scores: np.ndarray, named: np.ndarray, features: float, new_share: float
) -> tuple[np.ndarray, float]:
    speaks = np.exp(evidence(scores, model.knots) @ np.array([model.accepted, *model.slopes]))
    new = np.exp(model.new + model.features * float(richness(features, model.usual_features)))
    odds = new_share / (1 - new_share) * (1 - LEARNED_NEW) / LEARNED_NEW
    p, left, p_new = np.zeros(len(scores)), 1.0, 1.0
    for members in (named, ~named):  # the unidentified ones share what the named ones leave
        if not members.any():
            continue
        crowd, of_them = members.sum() / model.individuals, speaks[members].sum()
        frequent, rare = new * max(crowd, 1.0) * max(odds, 1.0), new * crowd * odds
        p[members] = left * speaks[members] / (of_them + frequent)
        left *= frequent / (of_them + frequent)
        p_new *= rare / (of_them + rare)
    return p, float(p_new) if len(scores) else 0.0


def model_to_json(model: Model) -> dict[str, Any]:
    """Return the model as plain values, rounded to six digits."""
    return {
        f.name: [_rounded(v) for v in value] if isinstance(value := getattr(model, f.name), tuple) else _rounded(value)
        for f in fields(Model)
    }


def model_from_json(held: Mapping[str, Any]) -> Model:
    """Return the model that `model_to_json` described. Raises ValueError, KeyError or TypeError for anything else."""
    given = {f.name: held[f.name] for f in fields(Model)}
    values: dict[str, Any] = {k: tuple(map(float, v)) if isinstance(v, list) else float(v) for k, v in given.items()}
    return Model(**values)


def _rounded(value: float) -> float:
    return float(f"{value:.6g}")
