"""The model: from scores to probabilities of each individual and of a new animal."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any

import numpy as np

from snowmatch.confidence.background import beside_others
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
# The expected share of new animals if the catalog tells nothing about it, and how many encounters of animals that were
# met again count as much. Both are chosen, not measured: the user can set the share.
USUAL_NEW, USUAL_WEIGHT = 0.2, 10.0
# With fewer features a photo shows no coat: nothing on it can speak for a new animal. A boxed leopard has 480 to 4,300,
# an empty wall some; chosen, not measured.
FEWEST = 30
# Share of new animals in learning: each encounter is asked once with its animal in the gallery and once without.
LEARNED_NEW = 0.5


LARGEST = 1e9  # every number of a model is smaller


@dataclass(frozen=True)
class Model:
    """A learned model: how strongly a score speaks for an individual, against all others and against a new one.

    An individual that passed the geometric check has the log-odds `accepted` plus a piecewise linear function of the
    logarithm of its score beside the others (`beside_others`). knots: (K,) where the slope changes. slopes: (K + 1,) of
    the pieces, from BELOW under the first knot to ABOVE over the last one. An individual without a vote has log-odds 0.
    An individual that was met in e times as many encounters gains `sightings`. A new individual has `new`, plus
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
    sightings: float

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
            self.sightings,
        )
        if not all(math.isfinite(number) and abs(number) < LARGEST for number in numbers):
            raise ValueError(f"a model with the values {numbers}, expected finite numbers below {LARGEST:g}")
        if list(self.knots) != sorted(self.knots) or not self.knots or self.usual_features <= 0 or self.individuals < 1:
            raise ValueError(f"knots {self.knots}, {self.usual_features} features, {self.individuals} individuals")


@dataclass(frozen=True)
class Calibration:
    """The meaning of the scores of one method: models by group of queries, and the levels.

    groups: the models of each group, see `group_names`. If a group has several models, a probability is their mean, and
    its careful value is the lowest.
    source: `catalog` (learned from its own encounters) or `shipped` (comes with snowmatch). shipped: the groups with
    shipped models. named: number of encounters of this catalog that had names then; 0 for `shipped`.
    """

    source: str
    groups: Mapping[str, tuple[Model, ...]]
    levels: Levels
    encounters: int
    shipped: tuple[str, ...] = ()
    named: int = 0

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
    """The probabilities of one query: of individuals (I,), NaN if not compared, and of a `new` one. They add up to 1.

    careful, careful_new: the same, but as low as the uncertainty of the models and of the share of new animals can make
    each of them; the levels come from these. expected_new: the probability of a new one before any evidence. shipped:
    whether a cross-validation had to take the shipped calibration.
    """

    individuals: np.ndarray
    new: float
    careful: np.ndarray
    careful_new: float
    expected_new: float
    shipped: bool = False

    def decision(self, ranking: np.ndarray | None = None) -> int:
        """Return the index of the most likely individual; -1 for a new one. In a tie, the individual counts.

        ranking: (I,) decides between equally likely individuals: the highest counts. Without it, the first counts.
        """
        if not len(self.individuals) or np.isnan(self.individuals).all():
            return -1
        likeliest = np.flatnonzero(self.individuals == np.nanmax(self.individuals))
        best = int(likeliest[0 if ranking is None else ranking[likeliest].argmax()])
        return best if self.individuals[best] >= self.new else -1

    def of(self, decision: int) -> tuple[float, float]:
        """Return the probability of a decision, and its careful value. decision: an individual, or -1 for a new one."""
        if decision < 0:
            return self.new, self.careful_new
        return float(self.individuals[decision]), float(self.careful[decision])


def group_names(outlined: bool, body_part: str) -> tuple[str, ...]:
    """Return the groups that a query belongs to, the most special first.

    outlined: every photo has a box or a mask. With visible scenery, scores of right answers are lower and those of
    wrong ones higher.
    """
    kind = "outlined" if outlined else "whole"
    return f"{kind} {body_part}", kind, ANY


def evidence(scores: np.ndarray, knots: Sequence[float]) -> np.ndarray:
    """Return (..., K + 2) float64, the inputs of a model: whether the score is verified, and its extent in each piece.

    scores: (...) beside those of the others (see `beside_others`): rejected ones are at most VERIFIED.

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

    It is the share of encounters with an animal that was met once, between RAREST and 1 - RAREST. This says something
    only if animals were met again: a catalog with one photo of each animal is a list, not a survey. So the share is
    mixed with USUAL_NEW, by the number of encounters with an animal that was met before.

    Source: Good 1953, Biometrika 40 (Good-Turing), with one case of either kind added.
    """
    encounters = encounters[encounters > 0]
    again = float(np.sum(encounters - 1))
    share = (np.sum(encounters == 1) + 1) / (np.sum(encounters) + 2)
    mixed = (again * share + USUAL_WEIGHT * USUAL_NEW) / (again + USUAL_WEIGHT)
    return float(np.clip(mixed, RAREST, 1 - RAREST))


def probabilities(
    models: Sequence[Model],
    scores: np.ndarray,
    named: np.ndarray,
    features: float,
    new_share: float,
    encounters: np.ndarray | None = None,
    spots: float | None = None,
) -> Probabilities:
    """Return the probabilities from the evidence scores (I,) of one query.

    scores: NaN for an individual that is not compared. named: (I,) bool, False for animals of unidentified encounters;
    they and "new" share what the named ones leave. features: of the query, per photo. new_share: the probability of a
    new animal before any evidence, above 0 and below 1; see `expected_new`. encounters: (I,) the number of encounters
    of each individual (not given: one each). spots: how many of the features were compared; None for all.

    The scores are set beside those of the others first, see `beside_others`. The probabilities are the mean of the
    models' posterior. If nothing speaks, they are what was expected before. The careful value of an individual assumes
    the least favourable model, that new animals are as frequent as in learning or as `new_share`, whichever is more,
    that a short list of candidates does not make them rarer, and that others that match nothing make no score say more.
    That of "new" assumes that they are as rare as `new_share`, whatever the number of candidates.

    Source: conditional logit with an outside option, McFadden 1974; Bayes' rule; bounds over a set of priors, Berger
    1990 (robust Bayes).
    """
    compared = ~np.isnan(scores)
    met = np.ones(len(scores)) if encounters is None else np.maximum(encounters, 1)
    plain, known = scores[compared], named[compared]
    beside = beside_others(plain, known)
    given = known, features, new_share
    posteriors = [_posterior(model, beside, *given, met[compared], spots) for model in models]
    lowest = [_bounds(model, np.minimum(beside, plain), *given)[0] for model in models]
    lowest_new = [_bounds(model, beside, *given)[1] for model in models]
    individuals, careful = np.full(len(scores), np.nan), np.full(len(scores), np.nan)
    individuals[compared] = np.mean([p for p, _ in posteriors], axis=0)
    careful[compared] = np.minimum(np.min(lowest, axis=0), individuals[compared])
    new = float(np.mean([p for _, p in posteriors]))
    return Probabilities(individuals, new, careful, min(new, *lowest_new), new_share)


def says_nothing(scores: np.ndarray, features: float, spots: float | None = None) -> bool:
    """Return whether a query says nothing about its animal: no score is verified, and few features were compared.

    features: of the query; 0 if the number is not known. spots: how many of them were compared; None for all.
    """
    few = features > 0 and (features if spots is None else spots) < FEWEST
    return bool(few and not (np.nan_to_num(scores) > VERIFIED).any())


def _posterior(
    model: Model,
    scores: np.ndarray,
    named: np.ndarray,
    features: float,
    new_share: float,
    met: np.ndarray,
    spots: float | None,
) -> tuple[np.ndarray, float]:
    """Return the probabilities of the individuals and of a new one.

    The animal of an unidentified encounter may be a named one. So it speaks against the named ones only as far as its
    evidence is stronger than that of the best of them.
    """
    if not len(scores):
        return np.zeros(0), 1.0
    if says_nothing(scores, features, spots):
        speaks, against = np.ones(len(scores)), 1.0
    else:
        speaks = np.exp(evidence(scores, model.knots) @ np.array([model.accepted, *model.slopes]))
        # in learning, each of `individuals` had the prior (1 - LEARNED_NEW) / individuals
        against = np.exp(model.new + model.features * float(richness(features, model.usual_features)))
        against *= (1 - LEARNED_NEW) / LEARNED_NEW / model.individuals
    prior = (1 - new_share) * _expected(named, met, model.sightings)
    weights, new = prior * speaks, new_share * against
    strongest = speaks[named].max(initial=1.0)
    rest = prior[~named] * (np.minimum(speaks[~named], 1.0) + np.maximum(speaks[~named] - strongest, 0.0))
    total = weights[named].sum() + rest.sum() + new
    left, others = (rest.sum() + new) / total, weights[~named].sum() + new
    p = np.zeros(len(scores))
    p[named], p[~named] = weights[named] / total, left * weights[~named] / others
    return p, float(left * new / others)


def _expected(named: np.ndarray, met: np.ndarray, power: float) -> np.ndarray:
    """Return the probabilities (I,) of the individuals on record before looking; their sum is 1.

    They grow with the number of encounters. All unidentified animals together get at most one half: they may be the
    named ones.
    """
    prior = met**power
    prior = prior / prior.sum()
    if named.any() and not named.all() and (unnamed := prior[~named].sum()) > 0.5:
        prior = prior * np.where(named, 0.5 / (1 - unnamed), 0.5 / unnamed)
    return prior


def _bounds(
    model: Model, scores: np.ndarray, named: np.ndarray, features: float, new_share: float
) -> tuple[np.ndarray, float]:
    """Return the careful probabilities (I,) of the individuals and that of a new one, as `probabilities` tells."""
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
