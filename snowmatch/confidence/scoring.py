"""The scores of all queries of a trial, as a score table."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any, NamedTuple

import numpy as np

from snowmatch.confidence.cells import CELL, EMPTY, Cells, Row, held_row
from snowmatch.confidence.score_table import ScoreTable, make_table
from snowmatch.confidence.trial import Trial
from snowmatch.core.executor import spread
from snowmatch.core.notes import Note
from snowmatch.core.types import BODY_PARTS, Annotation, Matches, Subject, same_part
from snowmatch.matching.fusion import fuse
from snowmatch.matching.gallery import Gallery, fit_memory
from snowmatch.matching.geometry.frames import Geometry
from snowmatch.matching.query import Memory, Photos, match_many, score_matches, voter
from snowmatch.matching.scores import Scores, ranking
from snowmatch.matching.search.block import made_indexes

MEMORY = 3e9  # bytes that the scores of a trial, and what is learned from them, may take: chosen
# Bytes for each query and individual, and for each query whatever its scores: tables, cases, and what a model is
# learned from. Measured with two photos a group, which need most: 300 to 456, and 4,000 to 6,000
INDIVIDUAL, QUERY = 460, 6000
AT_ONCE = 16  # groups that are asked together: each search block is read once for all of them


class Asked(NamedTuple):
    """A group of queries: its number, its queries, those with features, the body part, and which gallery annotations
    may answer (G,). subjects, memory: for each extractor, its photos and the pairs matched so far.
    """

    group: int
    members: np.ndarray
    usable: np.ndarray
    part: str
    open_to: np.ndarray
    subjects: list[list[Subject]]
    memory: list[Memory]


def most_queries(
    asked: Sequence[Annotation], answering: Sequence[Annotation], galleries: Sequence[Gallery], matcher: Any
) -> int:
    """Return how many queries can be asked so that their scores, and what is learned from them, take MEMORY bytes.

    asked, answering: as `trial.sides_of` returns them, not empty. A photo has a score for those annotations of its body
    part that one of its features votes for: not more than votes.
    """
    parts = Counter(a.body_part for a in answering)
    scores = float(
        max(sum(n for part, n in parts.items() if same_part(part, own)) for own in {a.body_part for a in asked})
    )
    votes = getattr(voter(matcher), "k", None)
    if votes is not None:
        counts = [[gallery.feature_count(e) for e in range(len(gallery.annotations))] for gallery in galleries]
        scores = min(scores, votes * sum(float(np.mean(of)) for of in counts if of))
    individuals = len({a.individual for a in answering})
    return int(MEMORY / query_bytes(scores, len(answering), individuals))


def query_bytes(scores: float, answering: int, individuals: int) -> float:
    """Return the bytes of a query with so many scores that are not 0, and of what is learned from it.

    answering: the number of annotations that may answer. individuals: how many these show.
    """
    return CELL * scores + answering / 8 + INDIVIDUAL * individuals + QUERY


class Scored(NamedTuple):
    """The scores of a group of M queries, numbers `members` (M,), for the I individuals of a trial.

    individual, left_out: (M, I) float32, of each query alone, with its own individual and without. together,
    together_left_out: (I,) the same of all together. prior: (I,) float32. rows, chance: the scores of the gallery
    without the prior, and the score by accident, for those queries that have features, by number.
    """

    members: np.ndarray
    individual: np.ndarray
    left_out: np.ndarray
    together: np.ndarray
    together_left_out: np.ndarray
    prior: np.ndarray
    rows: dict[int, Row]
    chance: dict[int, float]


@dataclass(frozen=True, eq=False)
class Scorer:
    """What all queries of a trial have in common. In another process, it opens the same galleries there.

    galleries: one for each extractor, all with the same annotations in the same order.
    """

    trial: Trial
    galleries: tuple[Gallery, ...]
    matcher: Any
    geometry: Geometry

    def __reduce__(self) -> tuple[Any, ...]:
        return Scorer, (self.trial, self.galleries, self.matcher, self.geometry)

    @cached_property
    def _entry_of(self) -> dict[int, int]:
        return {a.row: i for i, a in enumerate(self.galleries[0].annotations)}

    @cached_property
    def _entries(self) -> np.ndarray:
        """(G,) int64, the entry of each gallery annotation of the trial; -1: no stored features."""
        return np.array([self._entry_of.get(row, -1) for row in self.trial.gallery], np.int64)

    @cached_property
    def bare(self) -> np.ndarray:
        """(G,) bool, whether a gallery annotation of the trial has no features."""
        return np.array([e < 0 or not any(g.feature_count(e) for g in self.galleries) for e in self._entries], bool)

    @cached_property
    def _columns(self) -> np.ndarray:
        """(I,) int64, the number of each individual of the trial among those of the galleries; -1: none."""
        numbers = {animal[0]: i for i, animal in enumerate(self.galleries[0].individuals) if animal[0] is not None}
        return np.array([numbers.get(name, -1) for name in self.trial.individual_names], np.int64)

    @cached_property
    def _names(self) -> np.ndarray:
        return self.trial.individual_numbers

    @cached_property
    def _number_of(self) -> dict[str, int]:
        return {name: n for n, name in enumerate(self.trial.individual_names)}

    @cached_property
    def notes(self) -> tuple[Note, ...]:
        """Notes on search indexes that had to be built. All indexes are loaded for that."""
        if (votes := voter(self.matcher)) is None:
            return ()
        everything = np.ones(len(self.galleries[0].annotations), bool)
        parts = ((gallery, part) for gallery in self.galleries for part in BODY_PARTS)
        found = (gallery.prepare(votes.backend, part, everything, votes.foreground) for gallery, part in parts)
        return tuple(note for each in found for note in each)

    def score(self, groups: range) -> list[Scored]:
        """Ask about some groups of queries together."""
        some = [self._prepared(group) for group in groups]
        found = [self._blank(asked) for asked in some]
        place = {asked.group: n for n, asked in enumerate(some)}
        for leave_out in (False, True):
            asking = []
            for asked, scored in zip(some, found, strict=True):
                own = self.trial.annotations[self.trial.queries[asked.members[0]]].individual
                mine = self._names == self._number_of.get(own, -1)
                if leave_out and not (asked.open_to & mine).any():  # the gallery does not have it: the same answer
                    scored.left_out[:], scored.together_left_out[:] = scored.individual, scored.together
                elif len(asked.usable):
                    asking.append((asked, asked.open_to & ~mine if leave_out else asked.open_to))
            for (asked, answering), (alone, all_of_them) in zip(asking, self._ask(asking), strict=True):
                scored = found[place[asked.group]]
                table, joint = (
                    (scored.left_out, scored.together_left_out) if leave_out else (scored.individual, scored.together)
                )
                for m, answer in zip(asked.usable.tolist(), alone, strict=True):
                    table[np.flatnonzero(scored.members == m)] = self._by_individual(answer, answering)
                    if not leave_out:
                        scores = ranking(answer.scores, answer.pre_scores, answer.accepted)
                        scored.rows[m] = held_row(scores[self._entries], asked.open_to, self.bare)
                        scored.chance[m] = answer.chance or 1.0
                joint[:] = self._by_individual(all_of_them, answering)
                if not leave_out:
                    scored.prior[:] = all_of_them.prior[self._columns]
        return found

    def _blank(self, asked: Asked) -> Scored:
        i, m = len(self.trial.individual_names), len(asked.members)

        def nothing(*shape: int) -> np.ndarray:
            return np.full(shape, -np.inf, np.float32)

        prior = np.zeros(i, np.float32)
        return Scored(asked.members, nothing(m, i), nothing(m, i), nothing(i), nothing(i), prior, {}, {})

    def _prepared(self, group: int) -> Asked:
        trial = self.trial
        members = np.flatnonzero(trial.groups == group)
        found = [self._entry_of.get(trial.queries[m], -1) for m in members]
        usable = [n for n, e in enumerate(found) if e >= 0 and any(g.feature_count(e) for g in self.galleries)]
        subjects = [[each.subject(found[n]) for n in usable] for each in self.galleries]
        part = trial.annotations[trial.queries[members[0]]].body_part
        # pairs that were matched with the right animal in the gallery need not be matched again without it
        memory: list[Memory] = [{} for _ in self.galleries]
        return Asked(group, members, members[usable], part, trial.open_to.row(members[0]), subjects, memory)

    def _ask(self, asking: list[tuple[Asked, np.ndarray]]) -> list[tuple[list[Scores], Scores]]:
        """Return the scores of each photo of each group alone, and of all together. (G,) bool: what may answer."""
        allowed = np.zeros((len(asking), len(self.galleries[0].annotations)), bool)
        for row, (_, open_to) in zip(allowed, asking, strict=True):
            row[self._entries[open_to & ~self.bare]] = True
        apart: list[list[list[Scores]]] = [[[] for _ in asked.subjects[0]] for asked, _ in asking]
        joint: list[list[Scores]] = [[] for _ in asking]
        for number, each in enumerate(self.galleries):
            for part in dict.fromkeys(asked.part for asked, _ in asking):
                mine = [n for n, (asked, _) in enumerate(asking) if asked.part == part]
                photos = [Photos(asking[n][0].subjects[number], allowed[n], asking[n][0].memory[number]) for n in mine]
                for n, query, matches in zip(mine, photos, match_many(photos, each, part, self.matcher), strict=True):

                    def scored(
                        some: Sequence[Subject], found: Sequence[Matches], query: Photos = query, each: Gallery = each
                    ) -> Scores:
                        return score_matches(
                            some, found, each, query.allowed, self.matcher, self.geometry, query.memory
                        )

                    for scores_of, subject, match in zip(apart[n], query.subjects, matches, strict=True):
                        scores_of.append(scored([subject], [match]))
                    joint[n].append(scored(query.subjects, matches) if len(query.subjects) > 1 else apart[n][0][-1])
        return [
            ([fuse(scores_of) for scores_of in alone], fuse(all_)) for alone, all_ in zip(apart, joint, strict=True)
        ]

    def _by_individual(self, answer: Scores, open_to: np.ndarray) -> np.ndarray:
        """Return the scores (I,); -inf for an individual without any annotation with features."""
        featured = np.bincount(self._names[open_to & ~self.bare], minlength=len(self._columns)) > 0
        return np.where(featured, answer.evidence[self._columns], -np.inf)


@dataclass(frozen=True)
class ScoreGroups:
    """The task to ask about some groups of queries. telling: whether notes on search indexes are wanted."""

    groups: range
    telling: bool

    def run(self, scorer: Scorer) -> tuple[list[Scored], tuple[Note, ...], list[frozenset[str]]]:
        """Return the scores of each group, notes on search indexes, and which maps of each gallery were found damaged
        so far.
        """
        notes = scorer.notes if self.telling else ()
        return scorer.score(self.groups), notes, [gallery.maps.damaged for gallery in scorer.galleries]

    @property
    def path(self) -> str:
        return f"encounter {self.groups.start + 1}"


def score_trial(
    trial: Trial,
    galleries: Sequence[Gallery],
    matcher: Any,
    geometry: Geometry,
    progress: Callable[[int, int], None] | None = None,
    notes: list[Note] | None = None,
) -> ScoreTable:
    """Ask every query of `trial`: alone, with its group, and both again without its own individual in the gallery.

    galleries: one for each extractor, all with the same annotations in the same order; their scores are fused.
    Annotations without features, and queries without features, score -inf. progress: called with (done, total) queries.
    notes: those on search indexes that had to be built are added to it. On a cluster, each worker asks about some of
    the groups, or, if its memory is too small for that, holds a part of the search index.
    """
    scorer = Scorer(trial, tuple(galleries), matcher, geometry)
    q, i, e = len(trial.queries), len(trial.individual_names), int(trial.groups.max()) + 1
    rows: list[Row] = [EMPTY] * q
    blank, chance = np.ones(q, bool), np.ones(q)
    individual, left_out = (np.full((q, i), -np.inf, np.float32) for _ in range(2))
    together, together_left_out, priors = (np.empty((e, i), np.float32) for _ in range(3))
    runs = (range(start, min(start + AT_ONCE, e)) for start in range(0, e, AT_ONCE))
    done = 0
    made: list[Note] = []
    task = partial(ScoreGroups, telling=notes is not None)
    for groups, (found, told, damaged) in spread(runs, task, (scorer,), here=not fit_memory(galleries)):
        made += told
        for group, scored in zip(groups, found, strict=True):
            individual[scored.members], left_out[scored.members] = scored.individual, scored.left_out
            together[group], together_left_out[group] = scored.together, scored.together_left_out
            priors[group] = scored.prior
            for m, row in scored.rows.items():
                rows[m], blank[m], chance[m] = row, False, scored.chance[m]
            done += len(scored.members)
        for gallery, names in zip(galleries, damaged, strict=True):
            gallery.maps.tell_damaged(names)
        if progress is not None:
            progress(done, q)
    if notes is not None:
        notes += made_indexes(made)
    cells = Cells(trial.open_to, blank, scorer.bare, tuple(rows))
    return make_table(trial, cells, individual, left_out, together, together_left_out, priors, chance)
