"""Scores of pairs of photos from one vector for each photo."""

from __future__ import annotations

import numpy as np

from snowmatch.confidence.trial import Trial
from snowmatch.core.errors import SnowmatchError

METRICS = ("cosine", "euclidean")


def check_vectors(vectors: np.ndarray, names: list[str], source: str) -> None:
    """Raise SnowmatchError if one of the vectors (N, D) of `names` is zero, NaN or infinite."""
    for problem, bad in (
        ("NaN or infinite values", ~np.isfinite(vectors).all(axis=1)),
        ("only zeros", ~vectors.any(axis=1)),
    ):
        if bad.any():
            first = ", ".join([name for name, wrong in zip(names, bad, strict=True) if wrong][:3])
            raise SnowmatchError(
                f"{source}: {int(bad.sum())} of {len(vectors)} embeddings have {problem} ({first}), expected finite "
                "vectors that are not zero: compute them again"
            )


def pair_scores(trial: Trial, vectors: dict[int, np.ndarray], metric: str) -> np.ndarray:
    """Return (Q, G) float64 scores of one vector (D,) per row: cosine similarity, or minus the Euclidean distance."""
    queries = np.array([vectors[int(row)] for row in trial.queries], np.float64)
    gallery = np.array([vectors[int(row)] for row in trial.gallery], np.float64)
    if metric == "cosine":
        queries /= np.linalg.norm(queries, axis=1, keepdims=True)
        gallery /= np.linalg.norm(gallery, axis=1, keepdims=True)
        return queries @ gallery.T
    # One query at a time: a matrix product would round small distances too much.
    return -np.array([np.linalg.norm(gallery - query, axis=1) for query in queries])
