"""From scores to probabilities, "a new animal" among them, and to the four levels."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any

import numpy as np

from snowmatch.confidence.levels import Levels
from snowmatch.matching.scores import VERIFIED

ANY = "any"  # the group of all queries
BOXED = "boxed"  # outlined by boxes alone: only what is shipped tells these from masks
ENOUGH_PAIRS = 30  # pairs of encounters of one animal that a group of queries needs for a model of its own
# Scores that tell nothing more to either side: an exponent below the first knot and above the last one. Beyond them
# there is nearly nothing to learn from, and scenery that two photos share scores higher than any coat.
BELOW, ABOVE = 1.5, 1.5
FEATURES_RANGE = 3.0  # natural logarithms: a photo with a twentieth of the usual features tells nothing, nor does less
# The least share of new animals to expect, and of known ones: births and immigrants come in every year, and the
# encounters of one catalog are too few to show a smaller share.
RAREST = 0.1
# The share that calibrations are learned at: each encounter is asked about with its animal on record and without.
LEARNED_NEW = 0.5


LARGEST = 1e9  # every number of a model is smaller


@dataclass(frozen=True)
class Model:
    """What a calibration has learned: how much a score speaks for an individual, against all others and a new one.

    An individual that the geometric check let pass has the log-odds `accepted` plus a line in pieces of its score's
    logarithm: `knots` (K,) are where the slope changes, `slopes` (K + 1,) those of the pieces, from BELOW under the
    first knot to ABOVE over the last. One without a vote has 0. A new individual has `new`, and `features` more for
    every e-fold of features that the query has more than `usual_features`. `individuals`: how many were compared.
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
    """What scores of one method mean: models by group of queries, and the levels.

    groups: a group's name to its models. Of several models the one that claims least counts; see `group_names`.
    source: `catalog` (learned from its own encounters) or `shipped`; shipped: the groups whose models are shipped.
    """

    source: str
    groups: Mapping[str, tuple[Model, ...]]
    levels: Levels
    encounters: int
    shipped: tuple[str, ...] = ()

    def group(self, outlined: bool, masked: bool, body_part: str) -> str | None:
        """The most special group of such queries that has models; None where none has. masked: by masks alone."""
        special, kind, every = group_names(outlined, body_part)
        boxed = [BOXED] if outlined and not masked else []
        return next((name for name in (special, *boxed, kind, every) if name in self.groups), None)

    def described(self) -> dict[str, Any]:
        """What an answer tells of its calibration."""
        return {
            "source": self.source,
            "encounters": self.encounters,
            "shipped": list(self.shipped),
            "levels": asdict(self.levels),
        }


@dataclass(frozen=True)
class Probabilities:
    """Of one query: individuals (I,), NaN where one was not compared, and `new`; together at most 1."""

    individuals: np.ndarray
    new: float

    def decision(self, ranking: np.ndarray | None = None) -> int:
        """The number of the likeliest individual, -1 for a new one; ties go to the individual.

        ranking (I,): of equally likely individuals the one that ranks highest is taken, without it the first.
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
    """The groups that a query belongs to, the most special first.

    outlined: every photo has a box or a mask. Where scenery can be seen, scores are lower and wrong ones higher.
    """
    kind = "outlined" if outlined else "whole"
    return f"{kind} {body_part}", kind, ANY


def evidence(scores: np.ndarray, knots: Sequence[float]) -> np.ndarray:
    """(..., K + 2) float64 what a model's weights are for: verified or not, and how far the score is in each piece.

    scores (...) are those to rank by (see `score.ranking`): what the geometric check rejected is VERIFIED at most.
    Source: piecewise-linear (hinge) basis, Hastie, Tibshirani & Friedman 2009, section 5.2.
    """
    edges = np.array([knots[0] - BELOW, *knots, knots[-1] + ABOVE])
    verified = scores > VERIFIED
    log = np.log(np.where(verified, scores, 1.0))
    pieces = np.clip(log[..., None], edges[:-1], edges[1:]) - edges[:-1]
    return np.concatenate([verified[..., None], np.where(verified[..., None], pieces, 0.0)], axis=-1)


def richness(features: np.ndarray | float, usual: float) -> np.ndarray:
    """How many times e the features of a query are those usual; 0 where their number is not known (0)."""
    known = np.maximum(np.asarray(features, np.float64), 1e-9)
    ratio = np.clip(np.log(known / usual), -FEATURES_RANGE, FEATURES_RANGE)
    return np.where(np.asarray(features) > 0, ratio, 0.0)


def expected_new(encounters: np.ndarray) -> float:
    """The chance that the next passage is of an animal not on record, from how often each one (I,) was met.

    The share of encounters that met an animal for the only time, between RAREST and 1 - RAREST. Nobody on record: 0.5.
    Source: Good 1953, Biometrika 40 (Good-Turing), with one case of either kind added.
    """
    encounters = encounters[encounters > 0]
    share = (np.sum(encounters == 1) + 1) / (np.sum(encounters) + 2)
    return float(np.clip(share, RAREST, 1 - RAREST))


def probabilities(
    models: Sequence[Model], scores: np.ndarray, named: np.ndarray, features: float, new_share: float
) -> Probabilities:
    """What the scores (I,) of one query say: who it is, or that it is nobody on record; the least that a model says.

    scores: NaN where an individual is not compared. named (I,) bool: False for the animals of unidentified encounters;
    they and "new" share what the named ones leave. features: of the query, per photo. new_share: see `expected_new`.

    For an individual, new animals are taken to be as frequent as in learning or as `new_share` says, what is more, and
    no rarer beside few candidates than beside as many as in learning: a filter that leaves two cats makes neither of
    them likelier. For "new" they are taken to be as rare as `new_share` says, whatever the number of candidates. So
    either is understated where it is not known how frequent new animals are.
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
    """The model as plain values, rounded to six digits."""
    return {
        f.name: [_rounded(v) for v in value] if isinstance(value := getattr(model, f.name), tuple) else _rounded(value)
        for f in fields(Model)
    }


def model_from_json(held: Mapping[str, Any]) -> Model:
    """What `model_to_json` gave; ValueError, KeyError or TypeError where it is something else."""
    given = {f.name: held[f.name] for f in fields(Model)}
    values: dict[str, Any] = {k: tuple(map(float, v)) if isinstance(v, list) else float(v) for k, v in given.items()}
    return Model(**values)


def _rounded(value: float) -> float:
    return float(f"{value:.6g}")
