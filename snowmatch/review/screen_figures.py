"""The figures of a classifier on labelled photos and passages. Pure functions on what was shown and what was told."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from snowmatch.catalog.species import NOTHING
from snowmatch.confidence.kinds import (
    FIGURES,
    bounded,
    calibration_error,
    confusion,
    macro_f1,
    pr_points,
    roc_points,
)
from snowmatch.confidence.quality import Bin, reliability_bins
from snowmatch.screening.passages import Threshold, choose_threshold

Bounds = tuple[float, float, float]  # a figure and its 95 % interval; NaN where not defined


@dataclass(frozen=True)
class Case:
    """A photo or a passage. shown: what it shows. fold: in which it was held out. scores: by kind, `nothing` included.

    A passage has the name of its encounter, and the path of its surest photo.
    """

    path: str
    encounter: str
    shown: str
    fold: int
    scores: Mapping[str, float]

    @property
    def told(self) -> str:
        """The kind with the highest score; of equal ones the first by name."""
        return max(sorted(self.scores), key=lambda name: self.scores[name])


@dataclass(frozen=True)
class KindFigures:
    """Of one kind against all others. figures: of kinds.FIGURES, by name. roc, pr: the points of the curves."""

    cases: int
    figures: Mapping[str, Bounds]
    roc: tuple[tuple[float, float], ...]
    pr: tuple[tuple[float, float], ...]


@dataclass(frozen=True)
class Told:
    """How well cases are told apart, by the kind with the highest score.

    kinds: those that are shown and that the classifier knows. accuracy, macro_f1, calibration_error, bins: of cases of
    these kinds; the last two of the score of the answer against whether it is right.
    """

    cases: int
    accuracy: Bounds
    macro_f1: Bounds
    calibration_error: Bounds
    confusion: Mapping[str, Mapping[str, int]]
    kinds: Mapping[str, KindFigures]
    bins: tuple[Bin, ...]


@dataclass(frozen=True)
class Kept:
    """What `snowmatch screen` would keep of passages of a species, with thresholds from the other folds.

    promised: in how many of the folds the other passages are enough to promise the share `keep`.
    """

    species: str
    keep: float
    folds: int
    promised: int
    thresholds: tuple[float, float]
    figures: Mapping[str, Bounds]


def passages_of(cases: Sequence[Case]) -> tuple[list[Case], list[str]]:
    """Return the passages of photos, by name, and the encounters that show two species, which are left out.

    A passage shows the species of its photos, or nothing if all show nothing. Its score of a species is the highest of
    its photos, that of nothing the lowest.
    """
    together: dict[str, list[Case]] = {}
    for case in cases:
        together.setdefault(case.encounter, []).append(case)
    found, mixed = [], []
    for name, photos in sorted(together.items()):
        shown = {case.shown for case in photos} - {NOTHING} or {NOTHING}
        if len(shown) > 1:
            mixed.append(name)
            continue
        scores = {
            kind: (min if kind == NOTHING else max)(case.scores[kind] for case in photos) for kind in photos[0].scores
        }
        passage = replace(photos[0], shown=min(shown), scores=scores)
        told = passage.told
        best = max(photos, key=lambda case: case.scores[told])
        found.append(replace(passage, path=best.path))
    return found, mixed


def measure_told(cases: Sequence[Case]) -> Told:
    """Return the figures of cases, with intervals of a bootstrap over passages. No cases give NaN and no kinds."""
    known = [case for case in cases if case.shown in case.scores]
    shown = np.array([case.shown for case in cases], dtype=str)
    answers = np.array([case.told for case in cases], dtype=str)
    clusters = np.array([case.encounter for case in cases], dtype=str)
    kinds = {}
    for kind in sorted({case.shown for case in known}):
        score = np.array([case.scores[kind] for case in cases])
        of, let_in = shown == kind, answers == kind
        kinds[kind] = KindFigures(
            int(of.sum()),
            {name: bounded(statistic, clusters, score, of, let_in) for name, statistic in FIGURES.items()},
            tuple(roc_points(score, of)),
            tuple(pr_points(score, of)),
        )
    answerable = np.array([case.shown in case.scores for case in cases], bool)
    shown_, told_, clusters = shown[answerable], answers[answerable], clusters[answerable]
    right = shown_ == told_
    sure = np.array([case.scores[case.told] for case in known], float)
    return Told(
        len(cases),
        bounded(lambda r: float(r.mean()) if len(r) else float("nan"), clusters, right),
        bounded(lambda a, b: macro_f1(a.tolist(), b.tolist()), clusters, shown_, told_),
        bounded(calibration_error, clusters, sure, right, right),
        confusion(shown.tolist(), answers.tolist()),
        kinds,
        reliability_bins(sure, right),
    )


def measure_kept(passages: Sequence[Case], species: str, keep: float, given: float | None) -> Kept | None:
    """Return what is kept of passages of `species`; None if no passage shows it or the classifier does not know it.

    given: the threshold; None to compute that of each fold from the passages of the other folds. The models of other
    folds have learned from this one: that reaches the threshold alone, which is one number.
    """
    if not passages or species not in passages[0].scores or all(case.shown != species for case in passages):
        return None
    folds = sorted({case.fold for case in passages})
    limits = {}
    for fold in folds:
        known = [case.scores[species] for case in passages if case.shown == species and case.fold != fold]
        chosen = choose_threshold(known, keep)
        limits[fold] = chosen if given is None else Threshold(given, keep, len(known), 0, False)
    score = np.array([case.scores[species] for case in passages])
    right = np.array([case.shown == species for case in passages])
    let_in = np.array([case.scores[species] >= limits[case.fold].value for case in passages])
    clusters = np.array([case.encounter for case in passages], dtype=str)
    values = [limit.value for limit in limits.values()]
    names = ("recall", "precision", "f1", "spared")
    return Kept(
        species,
        keep,
        len(folds),
        sum(limit.promised for limit in limits.values()),
        (min(values), max(values)),
        {name: bounded(FIGURES[name], clusters, score, right, let_in) for name in names},
    )
