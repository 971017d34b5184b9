"""The scores of all queries of a trial, as a score table."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from snowmatch.confidence.cells import CELL, EMPTY, Cells, Row, held_row
from snowmatch.confidence.score_table import ScoreTable, make_table
from snowmatch.confidence.trial import Trial
from snowmatch.core.types import Annotation, Matches, Subject, same_part
from snowmatch.matching.fusion import fuse
from snowmatch.matching.gallery import Gallery
from snowmatch.matching.geometry.frames import Geometry
from snowmatch.matching.query import Memory, Photos, match_many, score_matches, voter
from snowmatch.matching.scores import Scores

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
    return int(MEMORY / (CELL * scores + len(answering) / 8 + INDIVIDUAL * individuals + QUERY))


def score_trial(
    trial: Trial,
    galleries: Sequence[Gallery],
    matcher: Any,
    geometry: Geometry,
    progress: Callable[[int, int], None] | None = None,
) -> ScoreTable:
    """Ask every query of `trial`: alone, with its group, and both again without its own individual in the gallery.

    galleries: one for each extractor, all with the same annotations in the same order; their scores are fused.
    Annotations without features, and queries without features, score -inf. progress: called with (done, total) queries.
    """
    gallery = galleries[0]
    entry_of = {a.row: i for i, a in enumerate(gallery.annotations)}
    entries = np.array([entry_of.get(row, -1) for row in trial.gallery], np.int64)  # (G,) -1: no stored features
    bare = np.array([e < 0 or not any(g.feature_count(e) for g in galleries) for e in entries], bool)
    numbers = {animal[0]: i for i, animal in enumerate(gallery.individuals) if animal[0] is not None}
    columns = np.array([numbers.get(name, -1) for name in trial.individual_names], np.int64)  # (I,)
    names, number_of = trial.individual_numbers, {name: n for n, name in enumerate(trial.individual_names)}
    q, i, e = len(trial.queries), len(trial.individual_names), int(trial.groups.max()) + 1
    rows: list[Row] = [EMPTY] * q
    blank = np.ones(q, bool)

    def nothing(count: int) -> np.ndarray:
        return np.full((count, i), -np.inf, np.float32)

    individual, left_out, together, together_left_out = nothing(q), nothing(q), nothing(e), nothing(e)
    priors = np.zeros((e, i), np.float32)

    def ask(asking: list[tuple[Asked, np.ndarray]]) -> list[tuple[list[Scores], Scores]]:
        """Return the scores of each photo of each group alone, and of all together. (G,) bool: what may answer."""
        allowed = np.zeros((len(asking), len(gallery.annotations)), bool)
        for row, (_, open_to) in zip(allowed, asking, strict=True):
            row[entries[open_to & ~bare]] = True
        apart: list[list[list[Scores]]] = [[[] for _ in asked.subjects[0]] for asked, _ in asking]
        joint: list[list[Scores]] = [[] for _ in asking]
        for number, each in enumerate(galleries):
            for part in dict.fromkeys(asked.part for asked, _ in asking):
                mine = [n for n, (asked, _) in enumerate(asking) if asked.part == part]
                photos = [Photos(asking[n][0].subjects[number], allowed[n], asking[n][0].memory[number]) for n in mine]
                for n, query, matches in zip(mine, photos, match_many(photos, each, part, matcher), strict=True):

                    def scored(
                        some: Sequence[Subject], found: Sequence[Matches], query: Photos = query, each: Gallery = each
                    ) -> Scores:
                        return score_matches(some, found, each, query.allowed, matcher, geometry, query.memory)

                    for scores_of, subject, match in zip(apart[n], query.subjects, matches, strict=True):
                        scores_of.append(scored([subject], [match]))
                    joint[n].append(scored(query.subjects, matches) if len(query.subjects) > 1 else apart[n][0][-1])
        return [
            ([fuse(scores_of) for scores_of in alone], fuse(all_)) for alone, all_ in zip(apart, joint, strict=True)
        ]

    def by_individual(answer: Scores, open_to: np.ndarray) -> np.ndarray:
        """Return the scores (I,); -inf for an individual without any annotation with features."""
        featured = np.bincount(names[open_to & ~bare], minlength=i) > 0
        return np.where(featured, answer.evidence[columns], -np.inf)

    def prepared(group: int) -> Asked:
        members = np.flatnonzero(trial.groups == group)
        found = [entry_of.get(trial.queries[m], -1) for m in members]
        usable = [n for n, entry in enumerate(found) if entry >= 0 and any(g.feature_count(entry) for g in galleries)]
        subjects = [[each.subject(found[n]) for n in usable] for each in galleries]
        part = trial.annotations[trial.queries[members[0]]].body_part
        # pairs that were matched with the right animal in the gallery need not be matched again without it
        memory: list[Memory] = [{} for _ in galleries]
        return Asked(group, members, members[usable], part, trial.open_to.row(members[0]), subjects, memory)

    done = 0
    for start in range(0, e, AT_ONCE):
        some = [prepared(group) for group in range(start, min(start + AT_ONCE, e))]
        for leave_out, table, joint in ((False, individual, together), (True, left_out, together_left_out)):
            asking = []
            for asked in some:
                mine = names == number_of.get(trial.annotations[trial.queries[asked.members[0]]].individual, -1)
                if leave_out and not (asked.open_to & mine).any():  # the gallery does not have it: the same answer
                    table[asked.members], joint[asked.group] = individual[asked.members], together[asked.group]
                elif len(asked.usable):
                    asking.append((asked, asked.open_to & ~mine if leave_out else asked.open_to))
            for (asked, answering), (alone, all_of_them) in zip(asking, ask(asking), strict=True):
                for m, answer in zip(asked.usable, alone, strict=True):
                    table[m] = by_individual(answer, answering)
                    if not leave_out:
                        rows[m], blank[m] = held_row(answer.ranking[entries], asked.open_to, bare), False
                joint[asked.group] = by_individual(all_of_them, answering)
                if not leave_out:
                    priors[asked.group] = all_of_them.prior[columns]
        done += sum(len(asked.members) for asked in some)
        if progress is not None:
            progress(done, q)
    cells = Cells(trial.open_to, blank, bare, tuple(rows))
    return make_table(trial, cells, individual, left_out, together, together_left_out, priors)
