"""How well a catalog's own photos are identified: every labelled query asked, and what comes of it in figures."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from snowmatch.confidence import Levels, Quality
from snowmatch.core.types import Subject
from snowmatch.identify import Memory, Scores, fuse, match_photos, score_matches
from snowmatch.matching.gallery import Gallery
from snowmatch.matching.geometry.frames import Geometry
from snowmatch.metrics import (
    auroc,
    average_precision,
    cmc,
    detection_rate,
    dynamic_top_k_precision,
    interval,
    macro_top_1,
    ranks,
    top_k,
)
from snowmatch.protocol import Trial
from snowmatch.scoretable import ScoreTable, make_table

TOP = (1, 5, 10)
CMC_LENGTH = 20


class Asked(NamedTuple):
    """The photos of one encounter with one extractor's features, the body part, and pairs matched so far."""

    subjects: list[Subject]
    part: str
    memory: Memory


def score_trial(
    trial: Trial,
    galleries: Sequence[Gallery],
    matcher: Any,
    geometry: Geometry,
    progress: Callable[[int, int], None] | None = None,
) -> ScoreTable:
    """Ask about every query of `trial`: alone, with its group, and both again with its own individual left out.

    `galleries` has one of each extractor, all with the same annotations in the same order; their scores are fused.
    Annotations without features score -inf, as does a query without. `progress` is called with (done, total) queries.
    """
    gallery = galleries[0]
    entry_of = {a.row: i for i, a in enumerate(gallery.annotations)}
    entries = np.array([entry_of.get(row, -1) for row in trial.gallery], np.int64)  # (G,) -1: no features on record
    bare = np.array([e < 0 or not any(g.feature_count(e) for g in galleries) for e in entries], bool)
    numbers = {animal[0]: i for i, animal in enumerate(gallery.individuals) if animal[0] is not None}
    columns = np.array([numbers.get(name, -1) for name in trial.individual_names], np.int64)  # (I,)
    own, names = trial.own(), trial.individual_numbers
    q, g, i, e = len(trial.queries), len(trial.gallery), len(trial.individual_names), int(trial.groups.max()) + 1
    scores = np.full((q, g), -np.inf, np.float32)
    individual, left_out = np.full((q, i), -np.inf), np.full((q, i), -np.inf)
    together, together_left_out = np.full((e, i), -np.inf), np.full((e, i), -np.inf)

    def ask(asked: list[Asked], open_to: np.ndarray) -> tuple[list[Scores], Scores]:
        """Scores of each photo of a group alone, and of all together."""
        allowed = np.zeros(len(gallery.annotations), bool)
        allowed[entries[open_to & ~bare]] = True
        apart: list[list[Scores]] = [[] for _ in asked[0].subjects]
        joint: list[Scores] = []
        for each, (subjects, part, memory) in zip(galleries, asked, strict=True):
            matches = match_photos(subjects, each, allowed, part, matcher, memory)
            for scores_of, subject, match in zip(apart, subjects, matches, strict=True):
                scores_of.append(score_matches([subject], [match], each, matcher, geometry, memory))
            several = len(subjects) > 1
            joint.append(score_matches(subjects, matches, each, matcher, geometry, memory) if several else apart[0][-1])
        return [fuse(scores_of) for scores_of in apart], fuse(joint)

    def by_individual(answer: Scores, open_to: np.ndarray) -> np.ndarray:
        """(I,) scores; -inf for an individual none of whose annotations has features."""
        featured = np.bincount(names[open_to & ~bare], minlength=i) > 0
        return np.where(featured, answer.individual_ranking[columns], -np.inf)

    done = 0
    for group in range(e):
        members = np.flatnonzero(trial.groups == group)
        open_to = trial.allowed[members[0]]
        part = trial.annotations[trial.queries[members[0]]].body_part
        found = [entry_of.get(trial.queries[m], -1) for m in members]
        usable = [n for n, entry in enumerate(found) if entry >= 0 and any(g.feature_count(entry) for g in galleries)]
        members_asked = members[usable]
        # pairs that were matched with the right animal on record need not be matched again without it
        asked = [Asked([each.subject(found[n]) for n in usable], part, {}) for each in galleries]
        for leave_out, table, joint in ((False, individual, together), (True, left_out, together_left_out)):
            answering = open_to & ~own[members[0]] if leave_out else open_to
            if leave_out and not (open_to & own[members[0]]).any():  # nobody to leave out: the same answer
                table[members], joint[group] = individual[members], together[group]
                continue
            if not usable:
                continue
            alone, all_of_them = ask(asked, answering)
            for m, answer in zip(members_asked, alone, strict=True):
                table[m] = by_individual(answer, answering)
                if not leave_out:
                    scores[m] = np.where(bare, -np.inf, answer.ranking[entries])
            joint[group] = by_individual(all_of_them, answering)
        done += len(members)
        if progress is not None:
            progress(done, q)
    return make_table(trial, scores, individual, left_out, together, together_left_out)


@dataclass(frozen=True)
class Figure:
    """One measured value with its 95 % interval and the number of queries behind it; NaN where it is not defined."""

    value: float
    low: float
    high: float
    queries: int


@dataclass(frozen=True)
class Measured:
    """What a score table comes to. Names of `figures`: see `measure`."""

    queries: int
    answerable: int
    groups: int
    figures: dict[str, Figure]
    cmc: dict[str, tuple[float, ...]]
    by_animal: tuple[AnimalResult, ...]


@dataclass(frozen=True)
class AnimalResult:
    """How the queries of one individual's body part came out: how many were right first, of how many with an answer."""

    individual: str
    body_part: str
    queries: int
    annotation_right: int
    individual_right: int


def measure(table: ScoreTable) -> Measured:
    """All figures of a score table, with intervals by drawing encounters of individuals.

    `annotation_...`: the ranking of single photos; `individual_...`: of individuals; `encounter_...`: of individuals
    when all photos of an encounter are asked together; `encounter_best_photo`: the top1 that its surest photo alone
    would have. The three have `top1`, `top5`, `top10` and `macro_top1` (mean over individual x body part); annotations
    `map` and `dt5ap`; the other two `auroc` of known against new individuals and `detection_rate` at 1 % false alarms,
    "new" being the same queries with their individual left out of the gallery.
    """
    figures: dict[str, Figure] = {}
    photo = _View.of(table, table.queries, table.individual_scores, table.left_out_scores)
    encounter = _View.of(table, table.group_queries, table.group_scores, table.group_left_out_scores)
    right = table.individual[table.queries][:, None] == table.individual[table.gallery]
    annotation_rank = ranks(table.scores, right)
    for name, rank, view in (
        ("annotation", annotation_rank, photo),
        ("individual", photo.rank, photo),
        ("encounter", encounter.rank, encounter),
    ):
        for k in TOP:
            figures[f"{name}_top{k}"] = _figure(lambda d, rank=rank, k=k: top_k(rank[d], k), rank, view.clusters)
        figures[f"{name}_macro_top1"] = _figure(
            lambda d, rank=rank, view=view: macro_top_1(rank[d], view.animals[d]), rank, view.clusters
        )
    surest = _surest(table, photo.best)
    figures["encounter_best_photo"] = _figure(
        lambda d: top_k(photo.rank[surest][d], 1), photo.rank[surest], encounter.clusters
    )
    for name, each in (
        ("annotation_map", average_precision(table.scores, right)),
        ("annotation_dt5ap", dynamic_top_k_precision(table.scores, right)),
    ):
        figures[name] = _figure(lambda d, each=each: _mean(each[d]), each, photo.clusters)
    for name, view in (("individual", photo), ("encounter", encounter)):
        known, new = ~np.isnan(view.rank), ~np.isnan(view.best_left_out)

        def separation(d: np.ndarray, view: _View = view, known: np.ndarray = known, new: np.ndarray = new) -> float:
            return auroc(view.best[d][known[d]], view.best_left_out[d][new[d]])

        def detection(d: np.ndarray, view: _View = view, known: np.ndarray = known, new: np.ndarray = new) -> float:
            k = d[known[d]]
            return detection_rate(view.best[k], view.rank[k] <= 1, view.best_left_out[d][new[d]])

        figures[f"{name}_auroc"] = _figure(separation, view.rank, view.clusters)
        figures[f"{name}_detection_rate"] = _figure(detection, view.rank, view.clusters)
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
class Evaluation:
    """One catalog evaluated: what was asked and how, the score table, what it comes to, and what to know about it.

    quality: of the probabilities, each individual's encounters judged by a calibration of the others, for the `groups`
    of queries that have enough pairs (the shipped one judges the rest).
    """

    catalog_path: str
    protocol: str
    extractor: dict[str, Any]
    matcher: dict[str, Any]
    table: ScoreTable
    measured: Measured
    notes: tuple[str, ...]
    groups: tuple[str, ...]
    levels: Levels
    quality: Quality


@dataclass(frozen=True)
class _View:
    """Rankings of individuals for N queries (photos, or groups of them): ranks, best scores, what belongs together."""

    rank: np.ndarray  # (N,)
    best: np.ndarray  # (N,) the highest score of any individual
    best_left_out: np.ndarray  # (N,) the same with the own individual left out of the gallery; NaN: nobody is left
    animals: np.ndarray  # (N,) number of the individual x body part
    clusters: np.ndarray  # (N,) number of the individual x encounter

    @staticmethod
    def of(table: ScoreTable, rows: np.ndarray, scores: np.ndarray, left_out: np.ndarray) -> _View:
        own = table.individual[rows][:, None] == table.individual_names
        return _View(
            ranks(scores, own),
            _highest(scores),
            _highest(left_out),
            _numbered(table.individual[rows], table.body_part[rows]),
            _numbered(table.individual[rows], table.encounter[rows]),
        )


def _surest(table: ScoreTable, best: np.ndarray) -> np.ndarray:
    """(E,) the query of each group whose best score `best` (Q,) is highest; the first of equals."""
    order = np.lexsort((np.arange(len(best)), -np.nan_to_num(best, nan=-np.inf), table.groups))
    return order[np.unique(table.groups[order], return_index=True)[1]]


def _numbered(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """(N,) int64: equal numbers for equal pairs of texts."""
    numbers: dict[tuple[str, str], int] = {}
    return np.array([numbers.setdefault((str(a), str(b)), len(numbers)) for a, b in zip(first, second, strict=True)])


def _highest(scores: np.ndarray) -> np.ndarray:
    """(N,) the highest of each row, NaN where all are."""
    if not scores.shape[1]:
        return np.full(len(scores), np.nan)
    return np.fmax.reduce(scores, axis=1)


def _figure(statistic: Callable[[np.ndarray], float], each: np.ndarray, clusters: np.ndarray) -> Figure:
    """`statistic` of all cases and its interval; `each` (N,) is NaN for the queries that cannot count."""
    low, high = interval(statistic, clusters)
    return Figure(statistic(np.arange(len(each))), low, high, int((~np.isnan(each)).sum()))


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
