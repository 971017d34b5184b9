"""Is it the same animal or not: the score above which two photos are called the same, and how often that is right."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from snowmatch.confidence.measures import Figure
from snowmatch.confidence.metrics import interval
from snowmatch.confidence.score_table import ScoreTable


@dataclass(frozen=True)
class Decisions:
    """Of each of Q queries (Q,): pairs called same rightly and wrongly, called different wrongly and rightly."""

    same_right: np.ndarray
    same_wrong: np.ndarray
    different_wrong: np.ndarray
    different_right: np.ndarray


def pairs_of(table: ScoreTable) -> tuple[np.ndarray, np.ndarray]:
    """(Q, G) float64 scores, NaN where the trial compares nothing, and (Q, G) bool where both show one animal."""
    same = table.individual[table.queries][:, None] == table.individual[table.gallery]
    return table.scores.astype(np.float64), same & ~np.isnan(table.scores)


def among(table: ScoreTable, individuals: set[str]) -> ScoreTable:
    """The table with pairs of `individuals` alone; other pairs are not compared."""
    inside = np.isin(table.individual, sorted(individuals))
    allowed = inside[table.queries][:, None] & inside[table.gallery]
    return replace(table, scores=np.where(allowed, table.scores, np.float32(np.nan)))


def choose_threshold(scores: np.ndarray, same: np.ndarray, different_each: float | None = None) -> float:
    """The score from which on pairs are called the same, by the highest F1 of "same"; infinite where no pair is.

    scores, same: of `pairs_of`. different_each: how many pairs of different animals there are to one of the same where
    the threshold will be used (None: as here); those here weigh so much. The best threshold moves with that share.
    Accuracy would not do: of forty pairs about one is the same animal, so calling none the same is 97 % right. Between
    the lowest score that is accepted and the next below, halfway. Source: F1, van Rijsbergen 1979, Information
    Retrieval, chapter 7.
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
    # what ties is accepted or refused together
    last = np.append(values[:-1] != values[1:], True)
    f1 = np.where(last, 2 * right / (accepted + all_same), -1.0)
    best = int(f1.argmax())
    below = values[best + 1] if best + 1 < len(values) else values[best] - 1
    return float((values[best] + below) / 2)


def decide(scores: np.ndarray, same: np.ndarray, threshold: float) -> Decisions:
    """Every compared pair called the same from `threshold` on, else different."""
    compared = ~np.isnan(scores)
    called = compared & (np.where(compared, scores, -np.inf) >= threshold)
    return Decisions(
        (called & same).sum(axis=1),
        (called & ~same).sum(axis=1),
        (compared & ~called & same).sum(axis=1),
        (compared & ~called & ~same).sum(axis=1),
    )


def rates(decisions: Decisions, clusters: np.ndarray) -> dict[str, Figure]:
    """`precision` and `recall` of "same", and `accuracy`, with 95 % intervals by drawing clusters (Q,) of queries.

    NaN where nothing was called the same (precision), or nothing is (recall).
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
    """(Q,) the individual of each query. What is claimed is claimed of animals nobody has seen, so intervals draw
    animals: the pairs of one depend on each other across its encounters."""
    return table.individual[table.queries]
