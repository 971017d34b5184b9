"""Is it the same animal or not: the score above which two photos are called the same, and how often that is right."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from snowmatch.evaluation import Figure
from snowmatch.metrics import interval
from snowmatch.scoretable import ScoreTable


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


def choose_threshold(scores: np.ndarray, same: np.ndarray) -> float:
    """The score from which on pairs are called the same, by the highest F1 of "same"; infinite where no pair is.

    scores, same: of `pairs_of`. Accuracy would not do: of twenty pairs about one is the same animal, so calling none
    the same is 95 % right. Between the lowest score that is accepted and the next below, halfway. Source: F1, van
    Rijsbergen 1979, Information Retrieval, chapter 7.
    """
    compared = np.isfinite(scores)
    values, hits = scores[compared], same[compared]
    if not hits.any():
        return float("inf")
    order = np.argsort(-values, kind="stable")
    values, hits = values[order], hits[order]
    right = hits.cumsum()
    accepted = np.arange(1, len(values) + 1)
    # what ties is accepted or refused together
    last = np.append(values[:-1] != values[1:], True)
    f1 = np.where(last, 2 * right / (accepted + int((same & ~np.isnan(scores)).sum())), -1.0)
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


def clusters_of(table: ScoreTable) -> np.ndarray:
    """(Q,) the individual x encounter of each query: its photos are alike, so intervals draw them together."""
    return np.array([f"{table.individual[row]}\n{table.encounter[row]}" for row in table.queries], str)
