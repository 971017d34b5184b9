"""Learning what scores mean, from queries whose answers are known, and how well the probabilities then hold."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

import numpy as np
from scipy.optimize import minimize
from scipy.special import betaincinv

from snowmatch.calibration_file import Case, Shipped
from snowmatch.confidence import (
    ANY,
    BOXED,
    ENOUGH_PAIRS,
    LEARNED_NEW,
    LEVEL_NAMES,
    Bin,
    LevelCount,
    Levels,
    Model,
    Probabilities,
    Quality,
    evidence,
    expected_new,
    group_names,
    probabilities,
    richness,
)
from snowmatch.core.errors import SnowmatchError
from snowmatch.core.types import Annotation
from snowmatch.matching.scores import VERIFIED
from snowmatch.metrics import CONFIDENCE
from snowmatch.scoretable import ScoreTable

# Weight, in encounters, that shipped cases keep beside a catalog's own. On boxed leopards the log loss of the right
# answer with 10, 30 and 100 was .56, .56 and .61 (without: .64; scores not yet over the root of chance). Whole leopards
# gain too, whole nyala lose (results/shipped_calibrations.json).
SHIPPED_WEIGHT = 30.0
FOLDS = 5  # customary; individuals, not encounters, are held out
# Knots at these shares of what new animals score best: there right and wrong answers overlap. Four, so that a model has
# eight numbers; straight lines were worse (log loss .68 against .51 on boxed leopards).
KNOTS = (0.05, 0.5, 0.9, 0.99)
FREE = 0.05  # of the ridge for how often an animal is new: nearly free, as an intercept should be
RIDGE, SMOOTH = 0.02, 0.1  # penalties on slopes and on their changes: from .02 to .5 the log loss hardly moves
BINS = 10  # of the reliability diagram and the calibration error; customary


def make_cases(
    table: ScoreTable,
    features: np.ndarray | None = None,
    outlined: np.ndarray | None = None,
    masked: np.ndarray | None = None,
) -> tuple[Case, ...]:
    """Every query of a score table, with its own individual on record and without; photos together and one by one.

    features (A,): of each annotation (0 = not known); outlined (A,) bool: whether it has a box or a mask; masked (A,)
    bool: whether it has a mask. A query without features, or with nobody to compare, is no case.
    """
    count = len(table.paths)
    features = np.zeros(count) if features is None else features
    outlined, masked = (np.zeros(count, bool) if given is None else given for given in (outlined, masked))
    names = table.individual_names
    numbers = np.searchsorted(names, table.individual[table.gallery])
    met = np.unique(table.encounter[table.gallery], return_inverse=True)[1]
    cases: list[Case] = []
    for group in range(len(table.group_queries)):
        members = np.flatnonzero(table.groups == group)
        usable = [q for q in members if np.isfinite(table.scores[q]).any()]
        if not usable:
            continue
        rows = table.queries[usable]
        open_to = ~np.isnan(table.scores[usable[0]])
        pairs = np.unique(np.stack([numbers[open_to], met[open_to]]), axis=1)
        encounters = np.bincount(pairs[0], minlength=len(names))
        row = rows[0]
        own = np.flatnonzero(names == table.individual[row])
        common = {
            "group": group_names(bool(outlined[rows].all()), str(table.body_part[row]))[0],
            "masked": bool(masked[rows].all()),
            "individual": str(table.individual[row]),
            "encounter": str(table.encounter[row]),
            "again": tuple(np.unique(table.encounter[table.gallery[open_to & (numbers == own[0])]]).tolist())
            if len(own)
            else (),
        }
        asked = [(table.group_scores[group], table.group_left_out_scores[group], float(features[rows].mean()))]
        if len(rows) > 1:
            asked += [
                (table.individual_scores[q], table.left_out_scores[q], float(features[table.queries[q]]))
                for q in usable
            ]
        for number, (with_own, without, rich) in enumerate(asked):
            share = 1.0 if len(asked) == 1 else 0.5 if number == 0 else 0.5 / len(rows)
            for scores, is_known in ((with_own, True), (without, False)):
                compared = np.flatnonzero(~np.isnan(scores))
                right = np.flatnonzero(compared == own[0]) if len(own) else np.zeros(0, int)
                if len(compared) and bool(len(right)) == is_known:
                    cases.append(
                        Case(
                            scores[compared].astype(np.float64),
                            int(right[0]) if is_known else -1,
                            encounters[compared],
                            rich,
                            together=number == 0,
                            weight=share,
                            **common,
                        )
                    )
    return tuple(cases)


def fit(cases: Sequence[Case], shipped: Sequence[Case] = ()) -> Model:
    """The model that makes the cases' answers likeliest, those of `shipped` cases weighing SHIPPED_WEIGHT in all.

    One more individual is imagined on record which never matches (the add-one rule): however well all are found in
    this catalog, "new" stays doubtful by one in their number. ValueError: no case of a new animal.
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
    best = np.array([case.scores.max() for case in new])
    best = np.log(best[best > VERIFIED])
    knots = tuple(np.unique(np.quantile(best, KNOTS).round(6)).tolist()) if len(best) else (0.0,)
    rich = [case.features for case in cases if case.features > 0]
    usual = float(np.median(rich)) if rich else 1.0
    known = sum(case.weight for case in cases if case.right >= 0)
    of_one = known / max(len({case.individual for case in cases}), 1)
    weight_of_new = sum(case.weight for case in new)
    everything += [(_hopeless(case, n), of_one * case.weight / weight_of_new) for n, case in enumerate(new)]
    accepted, slopes, constant, features = _maximise(everything, knots, usual)
    asked = cases or shipped
    crowd = float(np.average([len(case.scores) for case in asked], weights=[case.weight for case in asked]))
    return Model(knots, accepted, slopes, constant, features, usual, max(crowd, 1.0))


def _hopeless(case: Case, number: int) -> Case:
    """A case of a new animal, told as one of an animal on record: of each in turn, by the case's `number`."""
    return replace(case, right=number % len(case.scores))


def _maximise(
    weighted: Sequence[tuple[Case, float]], knots: tuple[float, ...], usual: float
) -> tuple[float, tuple[float, ...], float, float]:
    """(accepted, slopes, new, features) of the likeliest model; slopes and features are not negative."""
    cases = [case for case, _ in weighted]
    weights = np.array([weight for _, weight in weighted])
    lengths = np.array([len(case.scores) + 1 for case in cases])  # the last one of each case: a new animal
    starts = np.cumsum(lengths) - lengths
    pieces = len(knots) + 2
    rows = np.zeros((lengths.sum(), pieces + 2))
    last = starts + lengths - 1
    others = np.ones(len(rows), bool)
    others[last] = False
    rows[others, :pieces] = evidence(np.concatenate([case.scores for case in cases]), knots)
    rows[last, pieces] = 1
    rows[last, pieces + 1] = richness(np.array([case.features for case in cases]), usual)
    right = np.array(
        [start + case.right if case.right >= 0 else end for case, start, end in zip(cases, starts, last, strict=True)]
    )
    of_case = np.repeat(np.arange(len(cases)), lengths)
    steps = np.zeros((pieces - 2, pieces + 2))
    steps[:, 1:pieces] = np.eye(pieces - 2, pieces - 1) - np.eye(pieces - 2, pieces - 1, 1)
    penalty = RIDGE * np.diag([1.0] * pieces + [FREE, 1.0]) + SMOOTH * steps.T @ steps

    def loss(weights_of: np.ndarray) -> tuple[float, np.ndarray]:
        speaks = rows @ weights_of
        top = np.maximum.reduceat(speaks, starts)
        grown = np.exp(speaks - top[of_case])
        sums = np.add.reduceat(grown, starts)
        share = grown / sums[of_case] * weights[of_case]
        likelihood = weights @ (speaks[right] - top - np.log(sums))
        slope = weights @ rows[right] - share @ rows
        return 0.5 * weights_of @ penalty @ weights_of - likelihood, penalty @ weights_of - slope

    bounds = [(None, None)] + [(0, None)] * (pieces - 1) + [(None, None), (0, None)]
    found = minimize(loss, np.zeros(pieces + 2), jac=True, method="L-BFGS-B", bounds=bounds).x
    return float(found[0]), tuple(map(float, found[1:pieces])), float(found[pieces]), float(found[pieces + 1])


def count_pairs(cases: Iterable[Case]) -> dict[str, int]:
    """How many pairs of encounters of one animal each group of queries has, and `any` all of them; each counts once."""
    pairs: dict[str, set[tuple[str, frozenset[str]]]] = defaultdict(set)
    for case in cases:
        for other in case.again:
            for name in (case.group, _kind(case), ANY):
                pairs[name].add((case.individual, frozenset((case.encounter, other))))
    return {name: len(found) for name, found in pairs.items()}


def choose_groups(cases: Sequence[Case], shipped: Shipped | None = None) -> tuple[str, ...]:
    """The groups of queries that get a model of their own: those with ENOUGH_PAIRS, none where all have too few.

    A body part gets one where that clearly lowers the log loss on held-out individuals. None for a group whose animals
    are never asked about without being on record, as where all photos of a kind show one animal.
    """
    pairs = count_pairs(cases)
    kinds = sorted({_kind(case) for case in cases})
    chosen = []
    for name in ([ANY] if len(kinds) > 1 else []) + kinds:
        members = _members(cases, name)
        if pairs.get(name, 0) >= ENOUGH_PAIRS and _held_out(members, members, _prior(shipped, name)) is not None:
            chosen.append(name)
    for kind in [name for name in chosen if name != ANY]:
        for name in sorted({case.group for case in _members(cases, kind)}):
            own = [case for case in cases if case.group == name]
            if pairs.get(name, 0) < ENOUGH_PAIRS or len(own) == len(_members(cases, kind)):
                continue
            alone, pooled = (_held_out(own, _members(cases, g), _prior(shipped, g)) for g in (name, kind))
            if alone is not None and pooled is not None and _gains(own, alone, pooled):
                chosen.append(name)
    return tuple(chosen)


def learn(cases: Sequence[Case], groups: Iterable[str], shipped: Shipped | None = None) -> dict[str, tuple[Model, ...]]:
    """A model for each of `groups`, from its cases and what is shipped."""
    return {name: (fit(_members(cases, name), _prior(shipped, name)),) for name in groups}


def cross_validate(
    cases: Sequence[Case], groups: Sequence[str], shipped: Shipped | None, asked: Sequence[Case] | None = None
) -> list[Probabilities | None]:
    """What a calibration by the individuals of the other folds says of each case, or of those `asked` among them.

    Queries of none of the `groups` are told by what is shipped; None where that has nothing for them either.
    """
    place = _folds(cases)
    learned: dict[int, dict[str, tuple[Model, ...]]] = {}
    found: list[Probabilities | None] = []
    for case in cases if asked is None else asked:
        fold = place[case.individual]
        if fold not in learned:
            others = [other for other in cases if place[other.individual] != fold]
            able = [name for name in groups if _has_new(_members(others, name), _prior(shipped, name))]
            learned[fold] = learn(others, able, shipped)
        models = next((learned[fold][g] for g in (case.group, _kind(case), ANY) if g in learned[fold]), None)
        if models is None and shipped is not None:
            models = tell_apart(shipped.models, case)
        found.append(ask(models, case) if models else None)
    return found


def tell_apart(shipped: Mapping[str, tuple[Model, ...]], case: Case) -> tuple[Model, ...] | None:
    """The shipped models for such a case; None where there are none."""
    kind = _kind(case)
    boxed = shipped.get(BOXED) if kind == "outlined" and not case.masked else None
    return boxed or shipped.get(kind)


def ask(models: Sequence[Model], case: Case) -> Probabilities:
    """What models say of one case; all its individuals are named."""
    named = np.ones(len(case.scores), bool)
    return probabilities(models, case.scores, named, case.features, expected_new(case.encounters))


def _kind(case: Case) -> str:
    return case.group.split()[0]


def _members(cases: Sequence[Case], group: str) -> list[Case]:
    return [case for case in cases if group in (case.group, _kind(case), ANY)]


def _prior(shipped: Shipped | None, group: str) -> tuple[Case, ...]:
    if shipped is None:
        return ()
    return tuple(case for kind, cases in shipped.cases.items() if group.split()[0] in (kind, ANY) for case in cases)


def _folds(cases: Iterable[Case]) -> dict[str, int]:
    """Which of FOLDS each individual is held out in; the heaviest first, each into the lightest fold."""
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
    """What a model of those `training` cases says whose individual is in another fold, of each of `cases`.

    None where a fold leaves no case of a new animal to learn from.
    """
    place = _folds(training)
    models = {}
    for fold in sorted({place[case.individual] for case in cases}):
        others = [case for case in training if place[case.individual] != fold]
        if not _has_new(others, prior):
            return None
        models[fold] = fit(others, prior)
    return [_as_learned(models[place[case.individual]], case) for case in cases]


def _has_new(cases: Sequence[Case], prior: Sequence[Case]) -> bool:
    return any(case.right < 0 for case in (*cases, *prior))


def _as_learned(model: Model, case: Case) -> Probabilities:
    """What a model says where new animals are as frequent as in learning: adds up to one, so models can be compared."""
    model = replace(model, individuals=float(len(case.scores)))
    return probabilities((model,), case.scores, np.ones(len(case.scores), bool), case.features, LEARNED_NEW)


def _gains(cases: Sequence[Case], found: Sequence[Probabilities], before: Sequence[Probabilities]) -> bool:
    """Whether the log loss falls by more than twice the standard error of that, over encounters asked together.

    Source: a stricter one-standard-error rule; Hastie, Tibshirani & Friedman 2009, section 7.10.
    """
    pairs = [(c, p, q) for c, p, q in zip(cases, found, before, strict=True) if c.together]
    gain = np.array([_log_loss(case, q) - _log_loss(case, p) for case, p, q in pairs])
    return bool(gain.mean() > 2 * gain.std() / np.sqrt(len(gain)))


def _log_loss(case: Case, found: Probabilities) -> float:
    """Minus the logarithm of what was given to the right answer."""
    given = found.new if case.right < 0 else found.individuals[case.right]
    return float(-np.log(max(given, 1e-12)))


def measure_quality(cases: Sequence[Case], found: Sequence[Probabilities | None], levels: Levels) -> Quality:
    """How the decisions on `cases` came out; those without probabilities are left out.

    Source: Brier 1950; expected calibration error over BINS equal bins, Naeini et al., AAAI 2015; intervals, Clopper &
    Pearson 1934.
    """
    told = [(case, p) for case, p in zip(cases, found, strict=True) if p is not None]
    stated = np.array([p.best for _, p in told])
    right = np.array([p.decision() == case.right for case, p in told], bool)
    new = np.array([p.decision() < 0 for _, p in told], bool)
    names = np.array([levels.of(p) for p in stated])
    of_level = []
    for level in LEVEL_NAMES:
        of = names == level if len(told) else np.zeros(0, bool)
        n, wrong = int(of.sum()), int((of & ~right).sum())
        of_level.append(
            LevelCount(
                level, n, wrong, *binomial_interval(wrong, n), int((of & new).sum()), int((of & new & ~right).sum())
            )
        )
    place = np.minimum((stated * BINS).astype(int), BINS - 1)
    bins = []
    for number in np.unique(place):
        of = place == number
        n, hits = int(of.sum()), int(right[of].sum())
        bins.append(Bin(n, float(stated[of].mean()), hits, *binomial_interval(hits, n)))
    if not told:
        return Quality(0, float("nan"), float("nan"), float("nan"), tuple(of_level), ())
    sure = np.clip(stated, 1e-12, 1 - 1e-12)
    return Quality(
        len(told),
        float(np.mean((stated - right) ** 2)),
        float(-np.mean(np.where(right, np.log(sure), np.log(1 - sure)))),
        float(sum(b.answers * abs(b.stated - b.right / b.answers) for b in bins) / len(told)),
        tuple(of_level),
        tuple(bins),
    )


def binomial_interval(successes: int, trials: int) -> tuple[float, float]:
    """The exact 95 % interval of a share; 0 to 1 without trials. Source: Clopper & Pearson 1934, Biometrika 26."""
    tail = (1 - CONFIDENCE) / 2
    low = betaincinv(successes, trials - successes + 1, tail) if successes else 0.0
    high = betaincinv(successes + 1, trials - successes, 1 - tail) if successes < trials else 1.0
    return float(low), float(high)


def check_labels(annotations: Iterable[Annotation]) -> None:
    """SnowmatchError where one animal in one photo has two names, or fewer than two individuals have one."""
    seen: dict[tuple, Annotation] = {}
    names = set()
    for a in annotations:
        if a.individual is None:
            continue
        names.add(a.individual)
        other = seen.setdefault((a.path, a.bbox, a.mask), a)
        if other.individual != a.individual:
            box = "the whole photo" if a.bbox is None else "box " + ",".join(map(str, a.bbox))
            raise SnowmatchError(
                f"{a.path} ({box}, encounter {a.encounter}) is named {other.individual} and {a.individual}: "
                "one animal has one name; mend catalog.csv, give each animal its own box, then calibrate again"
            )
    if not names:
        raise SnowmatchError("no annotation has an individual: calibration needs encounters whose animals are known")
    if len(names) == 1:
        raise SnowmatchError(
            f"all annotations are of one individual, {names.pop()}: calibration needs two or more, "
            "to learn what a wrong match scores"
        )
