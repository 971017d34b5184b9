"""The common part of the matchers that compare two photos at a time."""

from __future__ import annotations

import numpy as np

from snowmatch.core.plugins import Pair
from snowmatch.screening.foreground import FOREGROUNDS


def no_matches(number: int) -> Pair:
    """Return the Pair of this number without matches."""
    return Pair(number, np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0, np.float32))


def unit_rows(descriptors: np.ndarray) -> np.ndarray:
    """Return descriptors (N, D) of any type as float32 of norm 1; rows of zeros stay zero."""
    rows = descriptors.astype(np.float32)
    length = np.linalg.norm(rows, axis=1, keepdims=True)
    return rows / np.maximum(length, np.finfo(np.float32).tiny)


def check_pairing(candidates: int, keypoints: int, foreground: str) -> None:
    """Raise ValueError if a setting that all pair matchers have is out of range."""
    if candidates < 0:
        raise ValueError(f"candidates is {candidates}, expected 0 (every annotation) or more")
    if keypoints < 1:
        raise ValueError(f"keypoints is {keypoints}, expected at least 1")
    if foreground not in FOREGROUNDS:
        raise ValueError(f"foreground is {foreground!r}, expected one of {', '.join(FOREGROUNDS)}")
