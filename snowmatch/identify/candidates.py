"""From scores to candidates: whom the query may show, with the matched spots of the best pair of photos."""

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
from snowmatch.matching.scores import Scores


def rank_individuals(scores: Scores, numbers: np.ndarray, allowed: np.ndarray) -> np.ndarray:
    """The numbers of the individuals that have something `allowed` (A,), best first, ties by number (by name).

    `numbers` (A,) has the individual of each annotation. Nothing allowed gives an empty array.
    """
    present = np.unique(numbers[allowed])
    return present[np.lexsort((present, -scores.individual_ranking[present]))]


def find_candidates(
    session: Session, allowed: np.ndarray, ranked: Sequence[int], matched: Matched, judged: Judged
) -> tuple[Candidate, ...]:
    """The individuals numbered `ranked`, in their order, as candidates: each by its best annotation `allowed` (A,)."""
    numbers = session.gallery.individual_numbers
    rows = np.flatnonzero(allowed)
    found = [_candidate(n, i, rows[numbers[rows] == i], matched) for n, i in enumerate(ranked, start=1)]
    named = with_ids(session.folder, [c.best for c in found], session.data.annotations)
    found = [replace(c, best=best) for c, best in zip(found, named, strict=True)]
    if session.method.matcher.foreground == "given":
        found = [replace(c, evidence=outline_of(c.best) or "given", foreground=None) for c in found]
    if judged.probabilities is None or judged.levels is None:
        return tuple(found)
    likely = [float(judged.probabilities.individuals[i]) for i in ranked]
    return tuple(replace(c, probability=p, level=judged.levels.of(p)) for c, p in zip(found, likely, strict=True))


def _candidate(rank: int, number: int, own: np.ndarray, matched: Matched) -> Candidate:
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
        evidence=gallery.evidence(entry),
        foreground=gallery.map_of(entry),
    )


def _spots(matches: Matches, witness: Witness, photo: int, entry: int) -> tuple[np.ndarray, ...]:
    """Keypoints and scales of both sides, and weights, as a candidate has them."""
    query, features = witness.subjects[photo].features, witness.gallery.reader.read(witness.gallery.keys[entry])
    return (
        query.keypoints[matches.keypoint0],
        features.keypoints[matches.keypoint1],
        query.scales[matches.keypoint0],
        features.scales[matches.keypoint1],
        (witness.factor * matches.weights).astype(np.float32),
    )
