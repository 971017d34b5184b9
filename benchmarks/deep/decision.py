"""The decision "same animal or not": the threshold of the score, and how often the decision is right."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from snowmatch.confidence.measures import Figure
from snowmatch.confidence.metrics import interval
from snowmatch.confidence.score_table import ScoreTable, with_scores


@dataclass(frozen=True)
class Decisions:
    """Counts of pairs for each query, (Q,): rightly called same, wrongly same, wrongly different, rightly different."""

    same_right: np.ndarray
    same_wrong: np.ndarray
    different_wrong: np.ndarray
    different_right: np.ndarray


def pairs_of(table: ScoreTable) -> tuple[np.ndarray, np.ndarray]:
    """Return (Q, G) float64 scores to rank by, NaN for pairs that are not compared, and (Q, G) bool: one animal."""
    same = table.individual[table.queries][:, None] == table.individual[table.gallery]
    return table.annotation_ranking(), same & ~np.isnan(table.scores)


def among(table: ScoreTable, individuals: set[str]) -> ScoreTable:
    """Return the table with only the pairs of `individuals`; other pairs get NaN."""
    inside = np.isin(table.individual, sorted(individuals))
    allowed = inside[table.queries][:, None] & inside[table.gallery]
    return with_scores(table, np.where(allowed, table.scores, np.nan))


def choose_threshold(scores: np.ndarray, same: np.ndarray, different_each: float | None = None) -> float:
    """Return the threshold with the highest F1 of "same": pairs from this score up are called the same animal.

    scores, same: from `pairs_of`. different_each: how many pairs of different animals there are for each pair of the
    same animal where the threshold will be used (None: as in `scores`). Pairs of different animals get this weight,
    because the best threshold depends on that share. Accuracy is no good criterion: about one pair of forty shows the
    same animal, so calling no pair the same is 97 % right. The threshold is halfway between the lowest accepted score
    and the next lower one. It is infinite if no pair shows the same animal.
    Source: F1, van Rijsbergen 1979, Information Retrieval, chapter 7.
    """
    compared = np.isfinite(scores)
    values, hits = scores[compared], same[compared]
    if not hits.any():
        return float("inf")
    order = np.argsort(-values, kind="stable")
    values, hits = values[order], hits[order]
    all_same, all_different = int(same.sum()), int((~same & ~np.isnan(scores)).sum())
    weight = 1.0 if different_each is None or not all_different else different_each * all_same / all_different
    right = hits.cumsum()
    accepted = right + weight * (~hits).cumsum()
    # equal scores are accepted or refused together
    last = np.append(values[:-1] != values[1:], True)
    f1 = np.where(last, 2 * right / (accepted + all_same), -1.0)
    best = int(f1.argmax())
    below = values[best + 1] if best + 1 < len(values) else values[best] - 1
    return float((values[best] + below) / 2)


def decide(scores: np.ndarray, same: np.ndarray, threshold: float) -> Decisions:
    """Call every compared pair the same if its score is `threshold` or more, otherwise different."""
    compared = ~np.isnan(scores)
    called = compared & (np.where(compared, scores, -np.inf) >= threshold)
    return Decisions(
        (called & same).sum(axis=1),
        (called & ~same).sum(axis=1),
        (compared & ~called & same).sum(axis=1),
        (compared & ~called & ~same).sum(axis=1),
    )


def rates(decisions: Decisions, clusters: np.ndarray) -> dict[str, Figure]:
    """Return `precision` and `recall` of "same", and `accuracy`; 95 % intervals by bootstrap over clusters (Q,).

    Precision is NaN if no pair was called the same, recall if no pair shows the same animal.
    """
    tp, fp = decisions.same_right, decisions.same_wrong
    fn, tn = decisions.different_wrong, decisions.different_right
    shares = {"precision": (tp, tp + fp), "recall": (tp, tp + fn), "accuracy": (tp + tn, tp + fp + fn + tn)}
    figures = {}
    for name, (part, whole) in shares.items():

        def share(drawn: np.ndarray, part: np.ndarray = part, whole: np.ndarray = whole) -> float:
            total = whole[drawn].sum()
            return float(part[drawn].sum() / total) if total else float("nan")

        low, high = interval(share, clusters)
        figures[name] = Figure(share(np.arange(len(tp))), low, high, int(whole.sum()))
    return figures


def animals_of(table: ScoreTable) -> np.ndarray:
    """Return the individual of each query, (Q,), for intervals by drawing animals.

    The figures are about unseen animals, and the pairs of one animal depend on each other across its encounters.
    """
    return table.individual[table.queries]
