"""The figures of a score table, with intervals."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import numpy as np

from snowmatch.confidence.metrics import (
    auroc,
    cmc,
    detection_rate,
    intervals,
    macro_top_1,
    precision_at,
    precision_of_first,
    top_k,
)
from snowmatch.confidence.score_table import ScoreTable

TOP = (1, 5, 10)
CMC_LENGTH = 20


@dataclass(frozen=True)
class Figure:
    """One measured value with its 95 % interval and its number of queries; NaN if it is not defined."""

    value: float
    low: float
    high: float
    queries: int


@dataclass(frozen=True)
class Measured:
    """All figures of a score table. `measure` explains the names of `figures`."""

    queries: int
    answerable: int
    groups: int
    figures: dict[str, Figure]
    cmc: dict[str, tuple[float, ...]]
    by_animal: tuple[AnimalResult, ...]


@dataclass(frozen=True)
class AnimalResult:
    """The result of one individual's body part: the number of right first answers, and the number of queries with a
    right answer.
    """

    individual: str
    body_part: str
    queries: int
    annotation_right: int
    individual_right: int


def measure(table: ScoreTable) -> Measured:
    """Return all figures of a score table, with intervals from a bootstrap over the encounters of individuals.

    `annotation_...`: the ranking of single photos. `individual_...`: the ranking of individuals. `encounter_...`: the
    ranking of individuals if all photos of an encounter are asked together. `encounter_best_photo`: the top1 of the
    photo with the highest score alone.
    The first three have `top1`, `top5`, `top10` and `macro_top1` (mean over individual x body part). Annotations also
    have `map` and `dt5ap`. The other two have `auroc` of known against new individuals and `detection_rate` at 1 %
    false alarms; for "new", the same queries are asked without their individual in the gallery.
    """
    photo = _View.of(table, table.queries, table.photo_ranks(), table.individual_scores, table.left_out_scores)
    encounter = _View.of(
        table, table.group_queries, table.group_ranks(), table.group_scores, table.group_left_out_scores
    )
    annotation_rank, average_precision, first_precision = _annotation_results(table)
    wanted: list[_Wanted] = []
    for name, rank, view in (
        ("annotation", annotation_rank, photo),
        ("individual", photo.rank, photo),
        ("encounter", encounter.rank, encounter),
    ):
        wanted += [_Wanted(f"{name}_top{k}", partial(top_k, k=k), view, (rank,)) for k in TOP]
        wanted.append(_Wanted(f"{name}_macro_top1", macro_top_1, view, (rank, view.animals)))
    surest = _surest(table, photo.best)
    wanted.append(_Wanted("encounter_best_photo", partial(top_k, k=1), encounter, (photo.rank[surest],)))
    for name, each in (
        ("annotation_map", average_precision),
        ("annotation_dt5ap", first_precision),
    ):
        wanted.append(_Wanted(name, _mean, photo, (each,)))
    for name, view in (("individual", photo), ("encounter", encounter)):
        columns = view.rank, view.best, view.best_left_out
        wanted.append(_Wanted(f"{name}_auroc", _separation, view, columns))
        wanted.append(_Wanted(f"{name}_detection_rate", _detection, view, columns))
    found = {name: figure for view in (photo, encounter) for name, figure in _figures(wanted, view).items()}
    figures = {each.name: found[each.name] for each in wanted}
    curves = {"annotation": annotation_rank, "individual": photo.rank, "encounter": encounter.rank}
    return Measured(
        queries=len(table.queries),
        answerable=int((~np.isnan(annotation_rank)).sum()),
        groups=int((~np.isnan(encounter.rank)).sum()),
        figures=figures,
        cmc={name: tuple(cmc(rank, CMC_LENGTH)) for name, rank in curves.items()},
        by_animal=_by_animal(table, annotation_rank, photo.rank),
    )


@dataclass(frozen=True)
class _View:
    """Rankings of individuals for N queries (photos, or groups of photos)."""

    rank: np.ndarray  # (N,)
    best: np.ndarray  # (N,) the highest score of any individual
    best_left_out: np.ndarray  # (N,) the same without the own individual in the gallery; NaN: no individual is left
    animals: np.ndarray  # (N,) number of the individual x body part
    clusters: np.ndarray  # (N,) number of the individual x encounter

    @staticmethod
    def of(table: ScoreTable, rows: np.ndarray, rank: np.ndarray, scores: np.ndarray, left_out: np.ndarray) -> _View:
        return _View(
            rank,
            _highest(scores),
            _highest(left_out),
            _numbered(table.individual[rows], table.body_part[rows]),
            _numbered(table.individual[rows], table.encounter[rows]),
        )


def _annotation_results(table: ScoreTable) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return (Q,) each: the rank of the best right annotation, the mean precision at the right ones, and that of the
    first five ranks (`metrics.average_precision`, `metrics.dynamic_top_k_precision`); NaN without a right one.
    """
    names = table.individual.tolist()
    numbers = {name: number for number, name in enumerate(dict.fromkeys(names))}
    shown = np.array([numbers[name] for name in names], np.int64)
    of_gallery = shown[table.gallery]
    found = np.full((3, len(table.queries)), np.nan)
    for query, row in enumerate(table.queries.tolist()):
        places = table.annotation_places(query, of_gallery == shown[row])
        if len(places):
            width = len(table.gallery)
            found[:, query] = places[0], precision_at(places, width), precision_of_first(places, width)
    return found[0], found[1], found[2]


def _surest(table: ScoreTable, best: np.ndarray) -> np.ndarray:
    """Return (E,) the query of each group with the highest best score `best` (Q,); the first of equal ones."""
    order = np.lexsort((np.arange(len(best)), -np.nan_to_num(best, nan=-np.inf), table.groups))
    return order[np.unique(table.groups[order], return_index=True)[1]]


def _numbered(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Return (N,) int64: equal numbers for equal pairs of texts."""
    numbers: dict[tuple[str, str], int] = {}
    return np.array([numbers.setdefault((str(a), str(b)), len(numbers)) for a, b in zip(first, second, strict=True)])


def _highest(scores: np.ndarray) -> np.ndarray:
    """Return (N,) the highest value of each row; NaN if all are NaN."""
    if not scores.shape[1]:
        return np.full(len(scores), np.nan)
    return np.fmax.reduce(scores, axis=1)


class _Wanted(NamedTuple):
    """A statistic of columns (N,) for the queries of a view. The first is NaN for queries that do not count."""

    name: str
    statistic: Callable[..., float]
    view: _View
    columns: tuple[np.ndarray, ...]

    def of(self, drawn: np.ndarray | slice) -> float:
        return self.statistic(*(column[drawn] for column in self.columns))


def _figures(wanted: Sequence[_Wanted], view: _View) -> dict[str, Figure]:
    """Return the figures of one view with their intervals; the cases are drawn once for all of them."""
    mine = [each for each in wanted if each.view is view]
    bounds = intervals([each.of for each in mine], view.clusters)
    return {
        each.name: Figure(each.of(slice(None)), low, high, int((~np.isnan(each.columns[0])).sum()))
        for each, (low, high) in zip(mine, bounds, strict=True)
    }


def _separation(rank: np.ndarray, best: np.ndarray, left_out: np.ndarray) -> float:
    return auroc(best[~np.isnan(rank)], left_out[~np.isnan(left_out)])


def _detection(rank: np.ndarray, best: np.ndarray, left_out: np.ndarray) -> float:
    known = ~np.isnan(rank)
    return detection_rate(best[known], rank[known] <= 1, left_out[~np.isnan(left_out)])


def _mean(values: np.ndarray) -> float:
    values = values[~np.isnan(values)]
    return float(values.mean()) if len(values) else float("nan")


def _by_animal(table: ScoreTable, annotation_rank: np.ndarray, individual_rank: np.ndarray) -> tuple[AnimalResult, ...]:
    animals: dict[tuple[str, str], list[int]] = {}
    for n, row in enumerate(table.queries):
        if not np.isnan(annotation_rank[n]):
            animals.setdefault((str(table.individual[row]), str(table.body_part[row])), []).append(n)
    return tuple(
        AnimalResult(
            individual,
            part,
            len(members),
            int((annotation_rank[members] <= 1).sum()),
            int((individual_rank[members] <= 1).sum()),
        )
        for (individual, part), members in sorted(animals.items())
    )
