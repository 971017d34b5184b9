"""The scores of all queries of a trial, as a score table."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from snowmatch.confidence.score_table import ScoreTable, make_table
from snowmatch.confidence.trial import Trial
from snowmatch.core.types import Subject
from snowmatch.matching.fusion import fuse
from snowmatch.matching.gallery import Gallery
from snowmatch.matching.geometry.frames import Geometry
from snowmatch.matching.query import Memory, match_photos, score_matches
from snowmatch.matching.scores import Scores


class Asked(NamedTuple):
    """The photos of one encounter with the features of one extractor, their body part, and the pairs matched so far."""

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
    own, names = trial.own(), trial.individual_numbers
    q, g, i, e = len(trial.queries), len(trial.gallery), len(trial.individual_names), int(trial.groups.max()) + 1
    scores = np.full((q, g), -np.inf)
    individual, left_out = np.full((q, i), -np.inf), np.full((q, i), -np.inf)
    together, together_left_out = np.full((e, i), -np.inf), np.full((e, i), -np.inf)
    priors = np.zeros((e, i))

    def ask(asked: list[Asked], open_to: np.ndarray) -> tuple[list[Scores], Scores]:
        """Return the scores of each photo of a group alone, and of all together."""
        allowed = np.zeros(len(gallery.annotations), bool)
        allowed[entries[open_to & ~bare]] = True
        apart: list[list[Scores]] = [[] for _ in asked[0].subjects]
        joint: list[Scores] = []
        for each, (subjects, part, memory) in zip(galleries, asked, strict=True):
            matches = match_photos(subjects, each, allowed, part, matcher, memory)
            for scores_of, subject, match in zip(apart, subjects, matches, strict=True):
                scores_of.append(score_matches([subject], [match], each, allowed, matcher, geometry, memory))
            several = len(subjects) > 1
            if several:
                joint.append(score_matches(subjects, matches, each, allowed, matcher, geometry, memory))
            else:
                joint.append(apart[0][-1])
        return [fuse(scores_of) for scores_of in apart], fuse(joint)

    def by_individual(answer: Scores, open_to: np.ndarray) -> np.ndarray:
        """Return the scores (I,); -inf for an individual without any annotation with features."""
        featured = np.bincount(names[open_to & ~bare], minlength=i) > 0
        return np.where(featured, answer.evidence[columns], -np.inf)

    done = 0
    for group in range(e):
        members = np.flatnonzero(trial.groups == group)
        open_to = trial.allowed[members[0]]
        part = trial.annotations[trial.queries[members[0]]].body_part
        found = [entry_of.get(trial.queries[m], -1) for m in members]
        usable = [n for n, entry in enumerate(found) if entry >= 0 and any(g.feature_count(entry) for g in galleries)]
        members_asked = members[usable]
        # pairs that were matched with the right animal in the gallery need not be matched again without it
        asked = [Asked([each.subject(found[n]) for n in usable], part, {}) for each in galleries]
        for leave_out, table, joint in ((False, individual, together), (True, left_out, together_left_out)):
            answering = open_to & ~own[members[0]] if leave_out else open_to
            if leave_out and not (open_to & own[members[0]]).any():  # the gallery does not have it: the same answer
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
            if not leave_out:
                priors[group] = all_of_them.prior[columns]
        done += len(members)
        if progress is not None:
            progress(done, q)
    return make_table(trial, scores, individual, left_out, together, together_left_out, priors)
