"""Groups of classes, and the sum of their scores."""

from __future__ import annotations

import numpy as np

NOTHING = "nothing"  # the name of the class without an animal, in every classifier
CATS = ("snow leopard", "other cat")


def log_sum(scores: np.ndarray) -> np.ndarray:
    """Return the logarithm of the summed exponentials of `scores` (C, ...) over the classes. C must be 1 or more.

    Source: the log-sum-exp function, which turns scores of classes into the score of their union.
    """
    highest = scores.max(axis=0)
    total: np.ndarray = highest + np.log(np.exp(scores - highest).sum(axis=0))
    return total
