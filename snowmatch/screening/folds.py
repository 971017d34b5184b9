"""Folds of labelled photos for cross-validation: whole groups, and each fold with its share of every kind."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

FOLDS = 5


def folds_of(groups: Sequence[str], labels: Sequence[str], count: int = FOLDS) -> np.ndarray:
    """Return the fold of each photo (N,), 0 to `count` - 1. All photos of a group are in one fold.

    Groups are placed one after the other, those with the most uneven numbers of kinds first, each where the shares of
    the kinds in the folds stay most alike. Nothing is drawn by chance: the same photos give the same folds, in any
    order. Fewer groups than `count` give as many folds as groups. No photos give no folds.

    Source: the greedy placing of StratifiedGroupKFold; Pedregosa et al., JMLR 12, 2011 (scikit-learn).
    """
    names, kinds = sorted(set(groups)), sorted(set(labels))
    count = min(count, len(names))
    if not count:
        return np.zeros(0, np.int64)
    row, column = {g: n for n, g in enumerate(names)}, {k: n for n, k in enumerate(kinds)}
    held = np.zeros((len(names), len(kinds)))
    for group, label in zip(groups, labels, strict=True):
        held[row[group], column[label]] += 1
    total = held.sum(axis=0)
    filled = np.zeros((count, len(kinds)))
    fold = np.zeros(len(names), np.int64)
    for n in sorted(range(len(names)), key=lambda n: (-held[n].std(), -held[n].sum(), n)):
        uneven = []
        for k in range(count):
            tried = filled.copy()
            tried[k] += held[n]
            uneven.append((round(float((tried / total).std(axis=0).mean()), 9), filled[k].sum(), k))
        fold[n] = min(uneven)[2]
        filled[fold[n]] += held[n]
    return fold[[row[group] for group in groups]]
