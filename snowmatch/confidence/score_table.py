"""The scores of one trial as arrays, from which all metrics are computed, and their file (npz)."""

from __future__ import annotations

import zipfile
from dataclasses import dataclass, fields, replace
from functools import cached_property
from pathlib import Path

import numpy as np

from snowmatch.confidence.cells import Cells, cells_of
from snowmatch.confidence.metrics import ranks
from snowmatch.confidence.trial import Trial
from snowmatch.core.arrays import Rows, load_arrays, save_arrays
from snowmatch.core.errors import SnowmatchError

AT_ONCE = 256  # queries whose individuals are ranked at once: 20 MB with 10,000 individuals


@dataclass(frozen=True)
class ScoreTable:
    """The scores of one method in one trial: A annotations, Q queries, G gallery annotations, I individuals, E groups.

    paths, individual, body_part, encounter, passage, station: (A,) text in the catalog's order ("": not known).
    Encounters of one passage are never compared, and how often an animal was met is counted in passages.
    queries: (Q,) int64 and gallery: (G,) int64, row numbers. individual_names: (I,) text.
    groups: (Q,) int64, the number of the group that is asked together (the queries of one encounter, individual and
    body part, see `Trial.groups`).
    cells: the scores (Q, G) of annotations. individual_scores: (Q, I), of individuals.
    left_out_scores: (Q, I), of individuals without the query's own individual in the gallery (NaN for that one).
    group_scores: (E, I) and group_left_out_scores: (E, I), the same if all photos of a group are asked together.
    prior: (E, I), what is added to the scores of individuals to rank them (those of a group and of each of its photos):
    how often they were met. 0 for methods without such a preference. No score contains it.
    chance: (Q,) float64, the score that an annotation gets by accident; 1 where it is not known. To rank annotations,
    the prior of their individual times the root of this is added to scores above 0.

    Scores are float32, those of annotations float64; higher is better. NaN: the trial does not allow it (an individual:
    none of its annotations). 0: no vote. -inf: query or gallery annotation has no features.
    """

    paths: np.ndarray
    individual: np.ndarray
    body_part: np.ndarray
    encounter: np.ndarray
    passage: np.ndarray
    station: np.ndarray
    queries: np.ndarray
    gallery: np.ndarray
    groups: np.ndarray
    cells: Cells
    individual_names: np.ndarray
    individual_scores: np.ndarray
    left_out_scores: np.ndarray
    group_scores: np.ndarray
    group_left_out_scores: np.ndarray
    prior: np.ndarray
    chance: np.ndarray

    def __post_init__(self) -> None:
        q, g, i = len(self.queries), len(self.gallery), len(self.individual_names)
        e = int(self.groups.max()) + 1 if q else 0
        shapes = {
            "cells": (q, g),
            "individual_scores": (q, i),
            "left_out_scores": (q, i),
            "group_scores": (e, i),
            "group_left_out_scores": (e, i),
            "prior": (e, i),
            "chance": (q,),
            "groups": (q,),
        }
        for name, shape in shapes.items():
            if getattr(self, name).shape != shape:
                raise ValueError(f"{name} is {getattr(self, name).shape}, expected {shape}")

    @property
    def scores(self) -> np.ndarray:
        """(Q, G) float64, the scores of annotations: 8 bytes for each pair, for small trials and for analysis."""
        return self.cells.dense()

    def ranking(self, queries: np.ndarray) -> np.ndarray:
        """Return (N, I) float64, the number to rank individuals by for each of N single photos."""
        return self.individual_scores[queries].astype(np.float64) + self.prior[self.groups[queries]]

    def annotation_places(self, query: int, right: np.ndarray) -> np.ndarray:
        """Return the places (1: first) of the right answers (G,) bool of a single photo, as in `Cells.places`."""
        return self.cells.places(query, right, self._preferred(query))

    def annotation_ranking(self) -> np.ndarray:
        """Return (Q, G) float64, the number to rank annotations by for each single photo: for small trials."""
        rows = [(query, self.cells.row(query)) for query in range(len(self.queries))]
        found = [np.where(row > 0, row + self._preferred(query), row) for query, row in rows]
        return np.array(found).reshape(self.cells.shape)

    def _preferred(self, query: int) -> np.ndarray:
        """Return (G,) float64, what the prior adds to scores above 0."""
        preferred = self.prior[self.groups[query]].astype(np.float64) * np.sqrt(self.chance[query])
        return preferred[self.own[self.gallery]]

    @cached_property
    def own(self) -> np.ndarray:
        """(A,) int64, the index of each annotation's individual in `individual_names`; -1 without."""
        numbers = {name: number for number, name in enumerate(self.individual_names.tolist())}
        return np.array([numbers.get(name, -1) for name in self.individual.tolist()], np.int64)

    def photo_ranks(self) -> np.ndarray:
        """Return (Q,) float64, the rank of the right individual for each single photo; NaN without one."""
        return self._ranks(self.queries, self.individual_scores, self.groups)

    def group_ranks(self) -> np.ndarray:
        """Return (E,) float64, the rank of the right individual for each group."""
        return self._ranks(self.group_queries, self.group_scores, np.arange(len(self.prior)))

    def _ranks(self, rows: np.ndarray, scores: np.ndarray, groups: np.ndarray) -> np.ndarray:
        """Return the ranks (N,) by scores (N, I) and the prior of groups (N,); the queries are of annotations (N,)."""
        found = np.full(len(rows), np.nan)
        for start in range(0, len(rows), AT_ONCE):
            some = slice(start, start + AT_ONCE)
            right = self.own[rows[some]][:, None] == np.arange(len(self.individual_names))
            found[some] = ranks(scores[some].astype(np.float64) + self.prior[groups[some]], right)
        return found

    def sightings(self, query: int) -> np.ndarray:
        """Return (I,) int64, in how many passages each individual that may answer a query was met."""
        individuals, of_gallery = self._passages
        seen = np.zeros(len(individuals), bool)
        seen[of_gallery[self.cells.open_to.row(query)]] = True
        return np.bincount(individuals[seen], minlength=len(self.individual_names))

    @cached_property
    def _passages(self) -> tuple[np.ndarray, np.ndarray]:
        """(M,) the individual of each passage of an individual in the gallery, and (G,) which of these is whose."""
        names = self.passage[self.gallery].tolist()
        numbers: dict[tuple[int, str], int] = {}
        of_gallery = [
            numbers.setdefault(pair, len(numbers)) for pair in zip(self.own[self.gallery].tolist(), names, strict=True)
        ]
        return np.array([individual for individual, _ in numbers], np.int64), np.array(of_gallery, np.int64)

    @property
    def group_queries(self) -> np.ndarray:
        """(E,) the row number of the first query of each group."""
        return self.queries[np.unique(self.groups, return_index=True)[1]]


def make_table(
    trial: Trial,
    scores: np.ndarray | Cells,
    individual_scores: np.ndarray | None = None,
    left_out_scores: np.ndarray | None = None,
    group_scores: np.ndarray | None = None,
    group_left_out_scores: np.ndarray | None = None,
    prior: np.ndarray | None = None,
    chance: np.ndarray | None = None,
) -> ScoreTable:
    """Return the table of `trial` from `scores` (Q, G). Scores that the trial does not allow become NaN.

    Missing arrays are derived; without a prior it is 0, and without a chance it is 1. The score of an individual is
    that of its best annotation. Without the own individual, its column is NaN (exact if annotations are scored one by
    one). The scores of a group are the sums of its photos' scores; photos without features add nothing.
    """
    names, numbers = trial.individual_names, trial.individual_numbers
    if scores.shape != trial.open_to.shape:
        raise ValueError(f"scores are {scores.shape}, expected {trial.open_to.shape}")
    cells = scores if isinstance(scores, Cells) else cells_of(scores, len(trial.gallery), trial.open_to)
    open_to = [np.bincount(numbers[row], minlength=len(names)) > 0 for row in trial.open_to.patterns()]
    present = np.array(open_to, bool).reshape(-1, len(names))[trial.open_to.numbers]  # (Q, I)
    own = np.array([trial.annotations[row].individual for row in trial.queries], str)
    place = np.minimum(np.searchsorted(names, own), len(names) - 1)
    others = present.copy()  # (Q, I) without the own individual
    others[np.arange(len(own)), place] &= np.array(names)[place] != own
    if individual_scores is None:
        order = np.argsort(numbers, kind="stable")
        starts = np.searchsorted(numbers[order], np.arange(len(names)))
        best = [np.fmax.reduceat(cells.row(query)[order], starts) for query in range(len(own))]
        individual_scores = np.array(best).reshape(present.shape)
    individual_scores = _masked(individual_scores, present)
    left_out_scores = _masked(individual_scores if left_out_scores is None else left_out_scores, others)
    first = np.unique(trial.groups, return_index=True)[1]  # of each group; its queries share what is allowed
    if group_scores is None:
        group_scores = _sums(individual_scores, trial.groups)
    if group_left_out_scores is None:
        group_left_out_scores = _sums(left_out_scores, trial.groups)
    text = {
        name: np.array([getattr(a, name) or "" for a in trial.annotations], str)
        for name in ("individual", "body_part", "encounter", "passage", "station")
    }
    return ScoreTable(
        paths=np.array([a.path for a in trial.annotations], str),
        **text,
        queries=trial.queries,
        gallery=trial.gallery,
        groups=trial.groups,
        cells=cells,
        individual_names=np.array(names, str),
        individual_scores=individual_scores,
        left_out_scores=left_out_scores,
        group_scores=_masked(group_scores, present[first]),
        group_left_out_scores=_masked(group_left_out_scores, others[first]),
        prior=np.zeros((len(first), len(names)), np.float32) if prior is None else prior.astype(np.float32, copy=False),
        chance=np.ones(len(trial.queries)) if chance is None else chance,
    )


def _masked(scores: np.ndarray, allowed: np.ndarray) -> np.ndarray:
    """Return scores (N, I) as float32, NaN where they are not allowed."""
    if scores.shape != allowed.shape:
        raise ValueError(f"scores are {scores.shape}, expected {allowed.shape}")
    if (np.isnan(scores) & allowed).any():
        raise ValueError("a score that the trial allows is NaN: give 0 for no vote, -inf where a side has no features")
    return np.where(allowed, scores.astype(np.float32, copy=False), np.float32(np.nan))


def _sums(scores: np.ndarray, groups: np.ndarray) -> np.ndarray:
    """Return (E, I) the sums over the queries of each group; -inf if all of them are -inf."""
    count = int(groups.max()) + 1 if len(groups) else 0
    sums = np.zeros((count, scores.shape[1]))
    featured = np.zeros((count, scores.shape[1]), bool)
    np.add.at(sums, groups, np.where(np.isneginf(scores), 0, scores))
    np.logical_or.at(featured, groups, ~np.isneginf(scores))
    return np.where(featured, sums, -np.inf)


def with_scores(table: ScoreTable, scores: np.ndarray) -> ScoreTable:
    """Return the table with other scores (Q, G) of annotations; NaN: not allowed."""
    return replace(table, cells=cells_of(scores, len(table.gallery)))


def save_table(path: Path, table: ScoreTable) -> None:
    """Write the table as npz: one array per field, no pickles. The same table gives the same bytes."""
    cells = Rows(table.cells.shape, (table.cells.row(query) for query in range(len(table.queries))))
    save_arrays(path, {name: cells if name == "scores" else getattr(table, name) for name in _FIELDS})


def is_table(path: Path) -> bool:
    """Return whether a file has the arrays of a score table, also of an earlier version. The arrays are not read."""
    return _arrays_in(path) >= _FIRST_FIELDS


def _arrays_in(path: Path) -> set[str]:
    """Return the names of the arrays in an npz file; none if it is another file."""
    try:
        with zipfile.ZipFile(path) as archive:
            return {name.removesuffix(".npy") for name in archive.namelist()}
    except (OSError, ValueError, NotImplementedError, zipfile.BadZipFile):
        return set()


def load_table(path: Path) -> ScoreTable:
    """Return the table that `save_table` wrote. Raises SnowmatchError for any other file."""
    advice = "evaluate the catalog again and save its scores"
    if (held_names := _arrays_in(path)) >= _FIRST_FIELDS and not held_names.issuperset(_FIELDS):
        raise SnowmatchError(f"{path} was written by an earlier version of snowmatch: {advice}")
    held = load_arrays(path, _FIELDS, "score table", advice, {"scores": cells_of})
    try:
        return ScoreTable(cells=held.pop("scores"), **held)
    except ValueError as error:
        raise SnowmatchError(f"{path} is damaged or is not a valid score table file: {advice}") from error


# The names of the arrays in a file: the scores of annotations are an array there
_FIELDS = tuple("scores" if field.name == "cells" else field.name for field in fields(ScoreTable))
_FIRST_FIELDS = set(_FIELDS) - {"passage", "chance"}  # those of all versions
