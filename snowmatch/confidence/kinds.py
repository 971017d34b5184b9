"""How well kinds of cases are told apart: one kind against the rest, and all kinds together.

Of one kind, all functions get the same columns of N cases: score, of the kind; right, whether the case is of the kind;
let_in, whether it was taken for the kind.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from snowmatch.confidence.metrics import auroc, average_precision, detection_rate, interval
from snowmatch.confidence.quality import reliability_bins


def precision(score: np.ndarray, right: np.ndarray, let_in: np.ndarray) -> float:
    """Return the share of cases taken for the kind that are of it; NaN if none is taken for it."""
    return _share(right[let_in])


def recall(score: np.ndarray, right: np.ndarray, let_in: np.ndarray) -> float:
    """Return the share of cases of the kind that are taken for it; NaN without such cases."""
    return _share(let_in[right])


def f1(score: np.ndarray, right: np.ndarray, let_in: np.ndarray) -> float:
    """Return the harmonic mean of precision and recall; NaN if nothing is right or let in."""
    either = right.sum() + let_in.sum()
    return float(2 * (right & let_in).sum() / either) if either else float("nan")


def spared(score: np.ndarray, right: np.ndarray, let_in: np.ndarray) -> float:
    """Return the share of other cases that are not taken for the kind: nobody has to look at them. NaN without them."""
    return _share(~let_in[~right])


def roc_area(score: np.ndarray, right: np.ndarray, let_in: np.ndarray) -> float:
    """Return the area under the ROC curve: the probability that a case of the kind has a higher score than another.

    A tie counts as one half, as the area under `roc_points` does. NaN without cases of the kind or without others.

    Source: Fawcett 2006, Pattern Recognition Letters 27.
    """
    own, other = score[right], score[~right]
    return (auroc(own, other) + 1 - auroc(other, own)) / 2


def pr_area(score: np.ndarray, right: np.ndarray, let_in: np.ndarray) -> float:
    """Return the average precision, which is the area under the steps of precision against recall.

    Of equal scores, the wrong cases come first. NaN without cases of the kind.
    """
    return float(average_precision(score[None], right[None])[0])


def clean_recall(score: np.ndarray, right: np.ndarray, let_in: np.ndarray) -> float:
    """Return the share of cases of the kind with a score above that of every other case."""
    hits = score[right]
    return detection_rate(hits, np.ones(len(hits), bool), score[~right], false_alarms=0.0)


def calibration_error(score: np.ndarray, right: np.ndarray, let_in: np.ndarray) -> float:
    """Return the mean difference between score and share of right cases over equal bins; NaN without cases.

    Source: expected calibration error, Naeini et al., AAAI 2015.
    """
    if not len(score):
        return float("nan")
    bins = reliability_bins(score, right)
    return float(sum(b.answers * abs(b.stated - b.right / b.answers) for b in bins) / len(score))


FIGURES: dict[str, Callable[..., float]] = {
    "precision": precision,
    "recall": recall,
    "f1": f1,
    "spared": spared,
    "auroc": roc_area,
    "average_precision": pr_area,
    "clean_recall": clean_recall,
    "calibration_error": calibration_error,
}


def bounded(statistic: Callable[..., float], clusters: np.ndarray, *columns: np.ndarray) -> tuple[float, float, float]:
    """Return statistic(*columns) with the 95 % interval of a bootstrap over clusters (N,); NaN where not defined."""
    value = statistic(*columns)
    if np.isnan(value):
        return value, float("nan"), float("nan")
    low, high = interval(lambda drawn: statistic(*(column[drawn] for column in columns)), clusters)
    return value, low, high


def roc_points(score: np.ndarray, right: np.ndarray) -> list[tuple[float, float]]:
    """Return the ROC curve: (false alarms, recall) from (0, 0) to (1, 1), one point for each different score.

    No cases of the kind, or no others, give no points. Source: Fawcett 2006, Pattern Recognition Letters 27.
    """
    if right.all() or not right.any():
        return []
    levels = np.unique(score)[::-1]
    return [(0.0, 0.0), *((_share(score[~right] >= t), _share(score[right] >= t)) for t in levels)]


def pr_points(score: np.ndarray, right: np.ndarray) -> list[tuple[float, float]]:
    """Return the curve of (recall, precision), one point for each different score, the highest score first.

    No cases of the kind give no points.
    """
    if not right.any():
        return []
    return [(_share(score[right] >= t), _share(right[score >= t])) for t in np.unique(score)[::-1]]


def confusion(shown: Sequence[str], told: Sequence[str]) -> dict[str, dict[str, int]]:
    """Return how many cases of each kind (`shown`) got each answer (`told`), both sorted; kinds without cases lack."""
    counts: dict[str, dict[str, int]] = {}
    for kind, answer in sorted(zip(shown, told, strict=True)):
        of = counts.setdefault(kind, {})
        of[answer] = of.get(answer, 0) + 1
    return counts


def macro_f1(shown: Sequence[str], told: Sequence[str]) -> float:
    """Return the mean of F1 over the kinds that are shown: each kind counts the same. NaN without cases.

    Source: macro-averaging; Sokolova & Lapalme 2009, Information Processing & Management 45.
    """
    is_, said = np.array(shown, str), np.array(told, str)
    values = [f1(np.zeros(0), is_ == kind, said == kind) for kind in sorted(set(shown))]
    return float(np.mean(values)) if values else float("nan")


def _share(values: np.ndarray) -> float:
    return float(values.mean()) if len(values) else float("nan")
