"""The scores of one trial as arrays, from which all metrics are computed, and their file (npz)."""

from __future__ import annotations

import zipfile
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np

from snowmatch.confidence.trial import Trial
from snowmatch.core.arrays import load_arrays, save_arrays
from snowmatch.core.errors import SnowmatchError


@dataclass(frozen=True)
class ScoreTable:
    """The scores of one method in one trial: A annotations, Q queries, G gallery annotations, I individuals, E groups.

    paths, individual, body_part, encounter, station: (A,) text in the catalog's order ("": not known).
    queries: (Q,) int64 and gallery: (G,) int64, row numbers. individual_names: (I,) text.
    groups: (Q,) int64, the number of the group that is asked together (the queries of one encounter, individual and
    body part).
    scores: (Q, G), of annotations. individual_scores: (Q, I), of individuals.
    left_out_scores: (Q, I), of individuals without the query's own individual in the gallery (NaN for that one).
    group_scores: (E, I) and group_left_out_scores: (E, I), the same if all photos of a group are asked together.
    prior: (E, I), what is added to the scores of individuals to rank them (those of a group and of each of its photos):
    how often they were met. 0 for methods without such a preference.

    Scores are float32, those of annotations float64; higher is better. NaN: the trial does not allow it (an individual:
    none of its annotations). 0: no vote. -inf: query or gallery annotation has no features.
    """

    paths: np.ndarray
    individual: np.ndarray
    body_part: np.ndarray
    encounter: np.ndarray
    station: np.ndarray
    queries: np.ndarray
    gallery: np.ndarray
    groups: np.ndarray
    scores: np.ndarray
    individual_names: np.ndarray
    individual_scores: np.ndarray
    left_out_scores: np.ndarray
    group_scores: np.ndarray
    group_left_out_scores: np.ndarray
    prior: np.ndarray

    def __post_init__(self) -> None:
        q, g, i = len(self.queries), len(self.gallery), len(self.individual_names)
        e = int(self.groups.max()) + 1 if q else 0
        shapes = {
            "scores": (q, g),
            "individual_scores": (q, i),
            "left_out_scores": (q, i),
            "group_scores": (e, i),
            "group_left_out_scores": (e, i),
            "prior": (e, i),
            "groups": (q,),
        }
        for name, shape in shapes.items():
            if getattr(self, name).shape != shape:
                raise ValueError(f"{name} is {getattr(self, name).shape}, expected {shape}")

    @property
    def individual_ranking(self) -> np.ndarray:
        """(Q, I), the number to rank individuals by for each single photo."""
        return self.individual_scores.astype(np.float64) + self.prior[self.groups]

    @property
    def group_queries(self) -> np.ndarray:
        """(E,) the row number of the first query of each group."""
        return self.queries[np.unique(self.groups, return_index=True)[1]]


def make_table(
    trial: Trial,
    scores: np.ndarray,
    individual_scores: np.ndarray | None = None,
    left_out_scores: np.ndarray | None = None,
    group_scores: np.ndarray | None = None,
    group_left_out_scores: np.ndarray | None = None,
    prior: np.ndarray | None = None,
) -> ScoreTable:
    """Return the table of `trial` from `scores` (Q, G). Scores that the trial does not allow become NaN.

    Missing arrays are derived. The score of an individual is that of its best annotation. Without the own individual,
    its column is NaN (exact if annotations are scored one by one). The scores of a group are the sums of its photos'
    scores; photos without features add nothing.
    """
    names, numbers = trial.individual_names, trial.individual_numbers
    present = np.stack([trial.allowed[:, numbers == i].any(axis=1) for i in range(len(names))], axis=1)  # (Q, I)
    text = {
        name: np.array([getattr(a, name) or "" for a in trial.annotations], str)
        for name in ("individual", "body_part", "encounter", "station")
    }
    own = text["individual"][trial.queries][:, None] == np.array(names)  # (Q, I)
    scores = _masked(scores, trial.allowed, np.float64)  # votes before the check differ by less than float32 can tell
    if individual_scores is None:
        individual_scores = np.stack(
            [np.fmax.reduce(scores[:, numbers == i], axis=1) for i in range(len(names))], axis=1
        )
    individual_scores = _masked(individual_scores, present)
    left_out_scores = _masked(individual_scores if left_out_scores is None else left_out_scores, present & ~own)
    first = np.unique(trial.groups, return_index=True)[1]  # of each group; its queries share what is allowed
    if group_scores is None:
        group_scores = _sums(individual_scores, trial.groups)
    if group_left_out_scores is None:
        group_left_out_scores = _sums(left_out_scores, trial.groups)
    return ScoreTable(
        paths=np.array([a.path for a in trial.annotations], str),
        **text,
        queries=trial.queries,
        gallery=trial.gallery,
        groups=trial.groups,
        scores=scores,
        individual_names=np.array(names, str),
        individual_scores=individual_scores,
        left_out_scores=left_out_scores,
        group_scores=_masked(group_scores, present[first]),
        group_left_out_scores=_masked(group_left_out_scores, (present & ~own)[first]),
        prior=np.zeros((len(first), len(names)), np.float32) if prior is None else prior.astype(np.float32),
    )


def _masked(scores: np.ndarray, allowed: np.ndarray, dtype: type[np.floating] = np.float32) -> np.ndarray:
    if scores.shape != allowed.shape:
        raise ValueError(f"scores are {scores.shape}, expected {allowed.shape}")
    if np.isnan(scores[allowed]).any():
        raise ValueError("a score that the trial allows is NaN: give 0 for no vote, -inf where a side has no features")
    return np.where(allowed, scores, np.nan).astype(dtype)


def _sums(scores: np.ndarray, groups: np.ndarray) -> np.ndarray:
    """Return (E, I) the sums over the queries of each group; -inf if all of them are -inf."""
    count = int(groups.max()) + 1 if len(groups) else 0
    sums = np.zeros((count, scores.shape[1]))
    featured = np.zeros((count, scores.shape[1]), bool)
    np.add.at(sums, groups, np.where(np.isneginf(scores), 0, scores))
    np.logical_or.at(featured, groups, ~np.isneginf(scores))
    return np.where(featured, sums, -np.inf)


def save_table(path: Path, table: ScoreTable) -> None:
    """Write the table as npz: one array per field, no pickles. The same table gives the same bytes."""
    save_arrays(path, {name: getattr(table, name) for name in _FIELDS})


def is_table(path: Path) -> bool:
    """Return whether a file has the arrays of a score table. The arrays are not read."""
    try:
        with zipfile.ZipFile(path) as archive:
            return {f"{name}.npy" for name in _FIELDS} <= set(archive.namelist())
    except (OSError, ValueError, NotImplementedError, zipfile.BadZipFile):
        return False


def load_table(path: Path) -> ScoreTable:
    """Return the table that `save_table` wrote. Raises SnowmatchError for any other file."""
    advice = "evaluate the catalog again and save its scores"
    held = load_arrays(path, _FIELDS, "score table", advice)
    try:
        return ScoreTable(**held)
    except ValueError as error:
        raise SnowmatchError(f"{path} is damaged or is not a valid score table file: {advice}") from error


_FIELDS = tuple(field.name for field in fields(ScoreTable))
