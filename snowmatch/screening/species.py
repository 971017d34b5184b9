"""The names of the cats that every classifier tells, and the score of several species together."""

from __future__ import annotations

import numpy as np

CATS = ("snow leopard", "other cat")


def log_sum(scores: np.ndarray) -> np.ndarray:
    """Return the logarithm of the summed exponentials of `scores` (C, ...) over the classes. C must be 1 or more.

    This is the score of any of the classes. scipy has the function too, but loads longer than a query takes.
    """
    highest = scores.max(axis=0)
    total: np.ndarray = highest + np.log(np.exp(scores - highest).sum(axis=0))
    return total
