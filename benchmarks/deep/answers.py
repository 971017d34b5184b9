"""Answers of a network and of snowmatch for the same queries, and the choice of pairs of photos to show."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from snowmatch.confidence.trial import Trial
from snowmatch.core.types import Annotation
from snowmatch.identify.answer import Candidate
from snowmatch.matching.gallery import Gallery
from snowmatch.matching.geometry.frames import Geometry
from snowmatch.matching.query import score_query


@dataclass(frozen=True)
class Pair:
    """A query and the photo that the network finds most similar. `number` is the query's position in the trial."""

    number: int
    query: Annotation
    photo: Annotation
    similarity: float

    @property
    def right(self) -> bool:
        """Return whether both photos show one individual."""
        return self.query.individual == self.photo.individual


@dataclass(frozen=True)
class Seen:
    """snowmatch's result: the verified matches of a pair, with this photo's score and rank, and snowmatch's own answer.

    best: snowmatch's first photo, None if no photo has a match. verified: whether that photo passed the geometric
    check. right: whether it shows the query's individual. answering: how many photos could answer.
    """

    candidate: Candidate
    best: Annotation | None
    verified: bool
    right: bool
    answering: int


def best_pairs(trial: Trial, scores: np.ndarray) -> list[Pair]:
    """Return each query that has a right answer, with its best photo by the scores (Q, G).

    If a right and a wrong photo tie, the wrong one is taken. The list is empty if no individual was met twice.
    """
    given, own = np.where(trial.allowed, scores, -np.inf), trial.own()
    pairs = []
    for n in np.flatnonzero((own & trial.allowed).any(axis=1)):
        first = np.flatnonzero(trial.allowed[n] & (given[n] == given[n].max()))
        column = min(first, key=lambda c, n=n: (own[n, c], c))
        query, photo = (trial.annotations[int(row)] for row in (trial.queries[n], trial.gallery[column]))
        pairs.append(Pair(int(n), query, photo, float(given[n, column])))
    return pairs


def choose(pairs: Sequence[Pair], count: int) -> list[Pair]:
    """Return up to `count` right pairs, then up to `count` wrong ones; the most similar first.

    The choice takes the most similar pair of each individual, then the second of each, and so on. More photos of two
    encounters that were chosen already come last, because photos of a burst are alike. A pair that is best in both
    directions counts once.
    """
    return [pair for right in (True, False) for pair in _spread([p for p in pairs if p.right == right], count)]


def _spread(pairs: Sequence[Pair], count: int) -> list[Pair]:
    met: set[frozenset[int]] = set()
    shown: Counter[frozenset[str]] = Counter()
    place: Counter[tuple[int, str | None]] = Counter()
    turns = []
    for order, pair in enumerate(sorted(pairs, key=lambda p: (-p.similarity, p.query.row))):
        photos = frozenset((pair.query.row, pair.photo.row))
        if photos in met:
            continue
        met.add(photos)
        encounters = frozenset(a.encounter or a.path for a in (pair.query, pair.photo))
        again, name = shown[encounters], pair.query.individual
        turns.append((again, place[again, name], order, pair))
        shown[encounters] += 1
        place[again, name] += 1
    turns.sort(key=lambda turn: turn[:3])
    return [turn[-1] for turn in sorted(turns[:count], key=lambda turn: turn[2])]


def ask(trial: Trial, pair: Pair, gallery: Gallery, matcher: Any, geometry: Geometry) -> Seen:
    """Run snowmatch for the pair's query with the gallery of the trial, and return the matches with the pair's photo.

    A photo without features has no match. Ties count against the photo: its rank is behind all equal scores.
    """
    entry_of = {a.row: i for i, a in enumerate(gallery.annotations)}
    entries = [entry_of[int(row)] for row in trial.gallery[trial.allowed[pair.number]] if int(row) in entry_of]
    answering = int(trial.allowed[pair.number].sum())
    none, no_points = np.zeros(0, np.float32), np.zeros((0, 2), np.float32)
    candidate = Candidate(
        answering,
        pair.photo.individual,
        *(0.0, 0, False, False),
        pair.photo,
        0,
        *(no_points, no_points, none, none, none),
    )
    query, entry = entry_of.get(pair.query.row, -1), entry_of.get(pair.photo.row, -1)
    subject = gallery.subject(query) if query >= 0 else None
    if subject is None or not len(subject) or not entries:
        return Seen(candidate, None, False, False, answering)
    allowed = np.zeros(len(gallery.annotations), bool)
    allowed[entries] = True
    answer = score_query([subject], gallery, allowed, pair.query.body_part, matcher, geometry)
    if entry >= 0:
        accepted = bool(answer.accepted[entry])
        matches = answer.matches[0].take(answer.matches[0].annotation == entry)
        features = gallery.reader.read(gallery.keys[entry])
        candidate = replace(
            candidate,
            rank=int((answer.ranking[entries] >= answer.ranking[entry]).sum()),
            score=float((answer.scores if accepted else answer.pre_scores)[entry]),
            inliers=len(matches),
            accepted=accepted,
            checked=bool(answer.checked[entry]),
            keypoints0=subject.features.keypoints[matches.keypoint0],
            keypoints1=features.keypoints[matches.keypoint1],
            scales0=subject.features.scales[matches.keypoint0],
            scales1=features.scales[matches.keypoint1],
            weights=matches.weights.astype(np.float32),
        )
    best = min(
        entries,
        key=lambda e: (-answer.ranking[e], gallery.annotations[e].individual == pair.query.individual, e),
    )
    if answer.ranking[best] <= 0:
        return Seen(candidate, None, False, False, answering)
    first = gallery.annotations[best]
    return Seen(candidate, first, bool(answer.accepted[best]), first.individual == pair.query.individual, answering)
