"""Learning: models from queries whose answers are known, and cross-validation of their probabilities."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

import numpy as np

from snowmatch.confidence.cases import Case, count_pairs, kind_of, members_of
from snowmatch.confidence.fit import fit
from snowmatch.confidence.model import (
    ANY,
    BOXED,
    ENOUGH_PAIRS,
    LEARNED_NEW,
    Model,
    Probabilities,
    expected_new,
    probabilities,
)
from snowmatch.confidence.shipped import Shipped

FOLDS = 5  # a usual number; individuals, not encounters, are held out


def choose_groups(cases: Sequence[Case], shipped: Shipped | None = None) -> tuple[str, ...]:
    """Return the groups of queries that get their own model: those with at least ENOUGH_PAIRS pairs.

    All photos together (`any`) get one only if no kind gets its own: it may be learned from hardly any photo of the
    other kind. A body part gets its own model only if this clearly lowers the log loss on held-out individuals. A group
    gets none if its animals are never asked without being in the gallery, for example if all photos of this kind show
    one animal.
    """
    pairs = count_pairs(cases)
    kinds = sorted({kind_of(case) for case in cases})

    def able(name: str) -> bool:
        members = members_of(cases, name)
        return pairs.get(name, 0) >= ENOUGH_PAIRS and _can_hold_out(members, members, _prior(shipped, name))

    own_kinds = [kind for kind in kinds if able(kind)]
    if not own_kinds:
        return (ANY,) if len(kinds) > 1 and able(ANY) else ()
    chosen = list(own_kinds)
    for kind in own_kinds:
        for name in sorted({case.group for case in members_of(cases, kind)}):
            own = [case for case in cases if case.group == name]
            if pairs.get(name, 0) < ENOUGH_PAIRS or len(own) == len(members_of(cases, kind)):
                continue
            alone, pooled = (_held_out(own, members_of(cases, g), _prior(shipped, g)) for g in (name, kind))
            if alone is not None and pooled is not None and _gains(own, alone, pooled):
                chosen.append(name)
    return tuple(chosen)


def learn(cases: Sequence[Case], groups: Iterable[str], shipped: Shipped | None = None) -> dict[str, tuple[Model, ...]]:
    """Return the models of each of `groups`, from its own cases and the shipped ones.

    The first is learned from all cases, the others each without a fifth of the individuals: how far they differ tells
    how uncertain the calibration is.

    Source: delete-a-group jackknife, Efron & Tibshirani 1993, chapter 11.
    """
    learned = {}
    for name in groups:
        members, prior = members_of(cases, name), _prior(shipped, name)
        place = _folds(members)
        parts = [[case for case in members if place[case.individual] != fold] for fold in sorted(set(place.values()))]
        learned[name] = (fit(members, prior), *(fit(part, prior) for part in parts if part and _has_new(part, prior)))
    return learned


def cross_validate(
    cases: Sequence[Case], groups: Sequence[str], shipped: Shipped | None, asked: Sequence[Case] | None = None
) -> list[Probabilities | None]:
    """Return, for each case (or each case of `asked`), the probabilities from a calibration on the individuals of the
    other folds.

    Queries of none of the `groups` get the shipped probabilities; None if the shipped calibration does not cover them.
    """
    place = _folds(cases)
    learned: dict[int, dict[str, tuple[Model, ...]]] = {}
    found: list[Probabilities | None] = []
    for case in cases if asked is None else asked:
        fold = place[case.individual]
        if fold not in learned:
            others = [other for other in cases if place[other.individual] != fold]
            able = [name for name in groups if _has_new(members_of(others, name), _prior(shipped, name))]
            learned[fold] = learn(others, able, shipped)
        models = next((learned[fold][g] for g in (case.group, kind_of(case), ANY) if g in learned[fold]), None)
        own = models is not None
        if models is None and shipped is not None:
            models = tell_apart(shipped.models, case)
        found.append(replace(ask(models, case), shipped=not own) if models else None)
    return found


def tell_apart(shipped: Mapping[str, tuple[Model, ...]], case: Case) -> tuple[Model, ...] | None:
    """Return the shipped models for such a case; None if there are none."""
    kind = kind_of(case)
    boxed = shipped.get(BOXED) if kind == "outlined" and not case.masked else None
    return boxed or shipped.get(kind)


def ask(models: Sequence[Model], case: Case) -> Probabilities:
    """Return the probabilities of one case. All its individuals have names.

    Each encounter is asked with its animal on record and without it, so half of the animals are new. The careful values
    do not rely on that: they are those of a query of this catalog, if these are lower.
    """
    named = np.ones(len(case.scores), bool)
    found, query = (
        probabilities(models, case.scores, named, case.features, share, case.encounters)
        for share in (LEARNED_NEW, expected_new(case.encounters))
    )
    careful = np.minimum(found.careful, query.careful)
    return replace(found, careful=careful, careful_new=min(found.careful_new, query.careful_new))


def _prior(shipped: Shipped | None, group: str) -> tuple[Case, ...]:
    if shipped is None:
        return ()
    return tuple(case for kind, cases in shipped.cases.items() if group.split()[0] in (kind, ANY) for case in cases)


def _folds(cases: Iterable[Case]) -> dict[str, int]:
    """Return the fold (of FOLDS) in which each individual is held out. The heaviest individual comes first, into the
    lightest fold.
    """
    weights: dict[str, float] = defaultdict(float)
    for case in cases:
        weights[case.individual] += case.weight
    load = np.zeros(min(FOLDS, len(weights)))
    place = {}
    for name in sorted(weights, key=lambda name: (-weights[name], name)):
        place[name] = int(load.argmin())
        load[place[name]] += weights[name]
    return place


def _held_out(cases: Sequence[Case], training: Sequence[Case], prior: Sequence[Case]) -> list[Probabilities] | None:
    """Return the probabilities of each of `cases`, from a model of the `training` cases whose individual is in another
    fold.

    None if a fold has no case of a new animal in the others.
    """
    if not _can_hold_out(cases, training, prior):
        return None
    place = _folds(training)
    models = {
        fold: fit([case for case in training if place[case.individual] != fold], prior)
        for fold in sorted({place[case.individual] for case in cases})
    }
    return [_as_learned(models[place[case.individual]], case) for case in cases]


def _can_hold_out(cases: Sequence[Case], training: Sequence[Case], prior: Sequence[Case]) -> bool:
    """Return whether each fold of `cases` has a case of a new animal in the other folds of the `training` cases."""
    place = _folds(training)
    return all(
        _has_new([case for case in training if place[case.individual] != fold], prior)
        for fold in {place[case.individual] for case in cases}
    )


def _has_new(cases: Sequence[Case], prior: Sequence[Case]) -> bool:
    return any(case.right < 0 for case in (*cases, *prior))


def _as_learned(model: Model, case: Case) -> Probabilities:
    """Return the probabilities with the share of new animals that was used for learning. They add up to one, so
    models can be compared.
    """
    model = replace(model, individuals=float(len(case.scores)))
    named = np.ones(len(case.scores), bool)
    return probabilities((model,), case.scores, named, case.features, LEARNED_NEW, case.encounters)


def _gains(cases: Sequence[Case], found: Sequence[Probabilities], before: Sequence[Probabilities]) -> bool:
    """Return whether the log loss decreases by more than twice its standard error, over encounters asked together.

    Source: a stricter one-standard-error rule; Hastie, Tibshirani & Friedman 2009, section 7.10.
    """
    pairs = [(c, p, q) for c, p, q in zip(cases, found, before, strict=True) if c.together]
    gain = np.array([_log_loss(case, q) - _log_loss(case, p) for case, p, q in pairs])
    return bool(gain.mean() > 2 * gain.std() / np.sqrt(len(gain)))


def _log_loss(case: Case, found: Probabilities) -> float:
    """Return the negative logarithm of the probability of the right answer."""
    given = found.new if case.right < 0 else found.individuals[case.right]
    return float(-np.log(max(given, 1e-12)))
