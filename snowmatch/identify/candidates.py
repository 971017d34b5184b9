"""The candidates of an answer: individuals with their scores and the matched keypoints of the best pair of photos."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from snowmatch.catalog.ids import with_ids
from snowmatch.core.types import Matches
from snowmatch.identify.answer import Candidate
from snowmatch.identify.foreground import outline_of
from snowmatch.identify.judge import Judged
from snowmatch.identify.match import Matched, Witness
from snowmatch.identify.session import Session
from snowmatch.matching.geometry.covered import covered_share
from snowmatch.matching.scores import Scores


def rank_individuals(scores: Scores, numbers: np.ndarray, allowed: np.ndarray) -> np.ndarray:
    """Return the numbers of the individuals that have an allowed annotation, best first, (K,) int.

    numbers: (A,) the number of each annotation's individual. allowed: (A,) bool. Individuals with equal scores are
    ordered by number, and therefore by name. No allowed annotations: returns an empty array.
    """
    present = np.unique(numbers[allowed])
    return present[np.lexsort((present, -scores.individual_ranking[present]))]


def find_candidates(
    session: Session, allowed: np.ndarray, ranked: Sequence[int], matched: Matched, judged: Judged
) -> tuple[Candidate, ...]:
    """Return one candidate for each individual number in `ranked`, in the same order.

    allowed: (A,) bool, the annotations that may answer. Each candidate shows its allowed annotation with the highest
    score. Every individual in `ranked` must have an allowed annotation.
    """
    numbers = session.gallery.individual_numbers
    rows = np.flatnonzero(allowed)
    found = [_candidate(n, i, rows[numbers[rows] == i], matched) for n, i in enumerate(ranked, start=1)]
    named = with_ids(session.folder, [c.best for c in found], session.data.annotations)
    found = [replace(c, best=best) for c, best in zip(found, named, strict=True)]
    if session.method.matcher.foreground == "given":
        found = [replace(c, evidence=outline_of(c.best) or "given", foreground=None) for c in found]
    if judged.probabilities is None or judged.levels is None:
        return tuple(found)
    likely = [judged.probabilities.of(i) for i in ranked]
    return tuple(
        replace(c, probability=p, careful=careful, level=judged.levels.of(careful))
        for c, (p, careful) in zip(found, likely, strict=True)
    )


def _candidate(rank: int, number: int, own: np.ndarray, matched: Matched) -> Candidate:
    """Return the candidate for individual `number`. own: its allowed annotations, as numbers in the galleries."""
    scores, witnesses = matched.scores, matched.witnesses
    entry = int(own[np.argmax(scores.ranking[own])])
    accepted = bool(scores.individual_accepted[number])
    found = [
        [m.take(m.annotation == entry) for m in (w.scores.matches if accepted else w.scores.pre_matches)]
        for w in witnesses
    ]
    pairs = list(zip(found, witnesses, strict=True))
    votes = [[w.factor * m.weights.sum() for m in matches] for matches, w in pairs]
    photo = int(np.argmax(np.sum(votes, axis=0)))
    spots = [_spots(matches[photo], w, photo, entry) for matches, w in pairs]
    keypoints0, keypoints1, scales0, scales1, weights = (np.concatenate(column) for column in zip(*spots, strict=True))
    gallery = witnesses[0].gallery
    score = scores.individual_scores[number] if accepted else scores.individual_pre_scores[number]
    return Candidate(
        rank,
        gallery.individuals[number].individual,
        float(score),
        len(weights) if accepted else 0,
        accepted,
        bool(scores.checked[own].any()),
        gallery.annotations[entry],
        photo,
        keypoints0,
        keypoints1,
        scales0,
        scales1,
        weights,
        evidence=gallery.foreground.evidence(entry),
        foreground=gallery.foreground.map_of(entry),
        covered=covered_share(keypoints0, keypoints1, witnesses[0].subjects[photo].box, gallery.foreground.boxes[entry])
        if accepted
        else None,
    )


def _spots(matches: Matches, witness: Witness, photo: int, entry: int) -> tuple[np.ndarray, ...]:
    """Return keypoints0, keypoints1, scales0, scales1 and weights of the matches, as `Candidate` defines them.

    photo: number of the query photo. entry: number of the annotation in the gallery.
    """
    query, reader, keys = witness.subjects[photo].features, witness.gallery.reader, [witness.gallery.keys[entry]]
    return (
        query.keypoints[matches.keypoint0],
        reader.column("keypoints", keys)[0][matches.keypoint1],
        query.scales[matches.keypoint0],
        reader.column("scales", keys)[0][matches.keypoint1],
        (witness.factor * matches.weights).astype(np.float32),
    )
