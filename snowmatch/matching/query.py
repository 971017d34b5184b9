"""The steps from query photos to scores: matches, geometric check, scores."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from snowmatch.core.errors import SnowmatchError
from snowmatch.core.plugins import GalleryMatcher, Matcher, PairMatcher, make_plugin
from snowmatch.core.types import NO_MATCHES, Matches, Subject, same_part
from snowmatch.matching.gallery import Gallery
from snowmatch.matching.geometry.check import inliers
from snowmatch.matching.geometry.frames import Geometry, points_of
from snowmatch.matching.geometry.still import is_scenery, still_spots
from snowmatch.matching.scores import (
    Scores,
    above_chance,
    annotation_scores,
    chance_score,
    individual_scores,
    prior,
    together,
    unverified_scores,
)

Memory = dict[tuple[Subject, int], tuple[np.ndarray, np.ndarray, np.ndarray]]  # the pairs that were matched before


def score_query(
    subjects: Sequence[Subject],
    gallery: Gallery,
    allowed: np.ndarray,
    body_part: str,
    matcher: Matcher,
    geometry: Geometry,
) -> Scores:
    """Match the photos of one encounter with the allowed annotations, check the geometry, and return the scores.

    allowed: (A,) bool. The photos vote together. A query without features, or without allowed annotations, gives zeros.
    """
    pre_matches = match_photos(subjects, gallery, allowed, body_part, matcher)
    return score_matches(subjects, pre_matches, gallery, allowed, matcher, geometry)


def voter(matcher: Matcher) -> GalleryMatcher | None:
    """Return the matcher that compares with the whole gallery: `matcher` itself, or the voter of a pair matcher.

    Returns None if a pair matcher compares all pairs. Raises SnowmatchError if the voter does not exist or is a pair
    matcher.
    """
    if not matcher.PAIRWISE:
        return matcher
    if not matcher.candidates:
        return None
    votes: Matcher = make_plugin("matchers", matcher.voter, {"foreground": matcher.foreground})
    if votes.PAIRWISE:
        raise SnowmatchError(f"the voter is {matcher.voter!r}, expected a gallery matcher, such as lnbnn")
    return votes


@dataclass(frozen=True, eq=False)
class Photos:
    """The photos of one query that vote together, and the annotations that may answer: allowed, (A,) bool.

    memory: pairs that a pair matcher has matched before; new pairs are added to it.
    """

    subjects: Sequence[Subject]
    allowed: np.ndarray
    memory: Memory | None = None


def match_photos(
    subjects: Sequence[Subject],
    gallery: Gallery,
    allowed: np.ndarray,
    body_part: str,
    matcher: Matcher,
    memory: Memory | None = None,
) -> tuple[Matches, ...]:
    """Return the matches of each query photo with the allowed annotations, before any geometric check.

    allowed: (A,) bool. The weight of a match is multiplied by the geometric mean of the foreground weights of its two
    keypoints. Keypoints with weight 0 are not searched. For a pair matcher, these are the matches of its voter; if it
    compares all pairs, they are its own matches.

    Source: HotSpotter's foreground weight (ibeis, scoring.py).
    """
    return match_many([Photos(subjects, allowed, memory)], gallery, body_part, matcher)[0]


def match_many(
    queries: Sequence[Photos], gallery: Gallery, body_part: str, matcher: Matcher
) -> list[tuple[Matches, ...]]:
    """Return what `match_photos` returns for each of several queries of one body part.

    A matcher that has `match_many` reads each search block once for all of them.
    """
    votes = voter(matcher) or matcher
    if votes.PAIRWISE:
        part = np.array([same_part(a.body_part, body_part) for a in gallery.annotations], bool)
        return [
            tuple(match_pairs(s, gallery, np.flatnonzero(part & q.allowed), votes, q.memory) for s in q.subjects)
            for q in queries
        ]
    blocks = gallery.blocks(votes.backend, body_part, votes.foreground)
    weights = [_weights(subject, votes) for q in queries for subject in q.subjects]
    every = [(subject, q.allowed) for q in queries for subject in q.subjects]
    on = [np.flatnonzero(each) for each in weights]
    asked = [
        (
            subject.features if len(some) == len(subject) else subject.features.take(some),
            allowed,
            gallery.rivals(subject.place),
        )
        for (subject, allowed), some in zip(every, on, strict=True)
    ]
    together = getattr(votes, "match_many", None)
    if together is None:
        matches = [votes.match(query, blocks, allowed, gallery.kin, rivals) for query, allowed, rivals in asked]
    else:
        matches = together(asked, blocks, gallery.kin)
    found = []
    for m, some, weight in zip(matches, on, weights, strict=True):
        worth = m.weights
        if votes.foreground == "auto":
            worth = worth * np.sqrt(weight[some[m.keypoint0]] * gallery.foreground.match_weights(m))
        counting = np.flatnonzero(worth > 0)
        found.append(Matches(some[m.keypoint0], m.annotation, m.keypoint1, worth).take(counting))
    waiting = iter(found)
    return [tuple(next(waiting) for _ in q.subjects) for q in queries]


def match_pairs(
    subject: Subject, gallery: Gallery, entries: np.ndarray, matcher: PairMatcher, memory: Memory | None = None
) -> Matches:
    """Return the matches of one query photo with each of the annotations numbered `entries`, one pair at a time.

    Only the strongest features on the animal are compared, `matcher.keypoints` of each photo. The weight of a match is
    multiplied by the geometric mean of the foreground weights of its two keypoints. memory: the pairs that were matched
    before; new pairs are added to it.
    """
    memory = {} if memory is None else memory
    strongest = _strongest(subject, matcher)
    one = subject.take(strongest)
    weights = _weights(one, matcher)
    missing = [entry for entry in entries.tolist() if (subject, entry) not in memory]
    waiting: dict[int, tuple[np.ndarray, np.ndarray]] = {}  # rows and weights of the pairs that wait

    def others() -> Iterator[tuple[int, Subject]]:  # each is read when it is needed
        for entry in missing:
            other = gallery.subject(entry)
            rows = _strongest(other, matcher)
            other = other.take(rows)
            waiting[entry] = rows, _weights(other, matcher)
            yield entry, other

    for pair in matcher.pairs(one, others(), gallery.reader.described):
        rows, other_weights = waiting.pop(pair.number)
        worth = pair.weights * np.sqrt(weights[pair.keypoint0] * other_weights[pair.keypoint1])
        memory[subject, pair.number] = strongest[pair.keypoint0], rows[pair.keypoint1], worth.astype(np.float32)
    if left := [entry for entry in missing if (subject, entry) not in memory]:
        raise ValueError(f"the matcher returned no pair for {len(left)} of {len(missing)} photos")
    found = [memory[subject, entry] for entry in entries.tolist()]
    if not found:
        return NO_MATCHES
    keypoint0, keypoint1, worth = (np.concatenate(column) for column in zip(*found, strict=True))
    return Matches(keypoint0, np.repeat(entries, [len(f[0]) for f in found]), keypoint1, worth)


def _weights(subject: Subject, matcher: Matcher) -> np.ndarray:
    """Return the weight (N,) of each feature of a subject."""
    if subject.weights is None or matcher.foreground == "given":
        return np.ones(len(subject), np.float32)
    return subject.weights


def _strongest(subject: Subject, matcher: PairMatcher) -> np.ndarray:
    """Return the rows, ascending, of the features that a pair matcher compares: those with the highest weighted
    score.
    """
    worth = _weights(subject, matcher)
    order = np.argsort(-subject.features.scores * worth, kind="stable")
    return np.sort(order[worth[order] > 0][: matcher.keypoints])


def score_matches(
    subjects: Sequence[Subject],
    pre_matches: Sequence[Matches],
    gallery: Gallery,
    allowed: np.ndarray,
    matcher: Matcher,
    geometry: Geometry,
    memory: Memory | None = None,
) -> Scores:
    """Check the geometry of the matches of each query photo, and return the scores of all photos together.

    pre_matches: one Matches for each query photo. allowed: (A,) bool, the annotations that may answer. A pair matcher
    replaces the matches that selected its candidates by its own.
    """
    a, i = len(gallery.annotations), len(gallery.individuals)
    numbers = gallery.individual_numbers
    pre_scores = np.sum([annotation_scores(m, a) for m in pre_matches], axis=0)
    second = matcher if matcher.PAIRWISE and matcher.candidates else None  # the matcher whose matches are scored
    checked = np.argsort(-pre_scores, kind="stable")[: geometry.shortlist if second is None else second.candidates]
    checked = np.sort(checked[pre_scores[checked] > 0])
    found = pre_matches if second is None else [match_pairs(s, gallery, checked, second, memory) for s in subjects]
    refuse = matcher.foreground == "auto"
    verified = [_verify(s, m, gallery, checked, geometry, refuse) for s, m in zip(subjects, found, strict=True)]
    matches = tuple(m for m, _ in verified)
    scenery = np.isin(np.arange(a), [entry for _, still in verified for entry in still])
    if scenery.any():  # such matches are no evidence before the check either
        pre_matches = tuple(m.take(~scenery[m.annotation]) for m in pre_matches)
        pre_scores = np.where(scenery, 0.0, pre_scores)
    scores = np.sum([annotation_scores(m, a) for m in matches], axis=0)
    by_chance = [chance_score(annotation_scores(m.take(np.isin(m.annotation, checked)), a)) for m in found]
    by_individual = together(
        np.array(
            [above_chance(individual_scores(m, numbers, i), c) for m, c in zip(matches, by_chance, strict=True)]
        ).reshape(-1, i)
    )
    unverified = together(np.array([unverified_scores(m, numbers, i) for m in pre_matches]).reshape(-1, i))
    return Scores(
        scores,
        pre_scores,
        np.isin(np.arange(a), checked),
        scores > 0,
        by_individual,
        unverified,
        by_individual > 0,
        matches,
        tuple(pre_matches),
        chance_score(np.sum([annotation_scores(m.take(np.isin(m.annotation, checked)), a) for m in found], axis=0)),
        scenery,
        numbers,
        # its size was measured for votes: the scores of pairs have another scale
        np.zeros(i) if matcher.PAIRWISE else prior(gallery.sightings(allowed)),
    )


def _verify(
    subject: Subject, matches: Matches, gallery: Gallery, checked: np.ndarray, geometry: Geometry, refuse: bool
) -> tuple[Matches, list[int]]:
    """Return the matches with the annotations `checked` that agree on one position of the animal.

    If `refuse`, the numbers of those annotations are returned too whose matches are scenery: they lie still in the
    frames of one camera. None of their matches is returned.
    """
    query = subject.features
    starts = np.searchsorted(matches.annotation, checked, side="left")
    stops = np.searchsorted(matches.annotation, checked, side="right")
    enough = stops - starts >= geometry.minimum
    checked, starts, stops = checked[enough], starts[enough], stops[enough]
    keep = np.zeros(len(matches), bool)
    if not len(checked):
        return matches.take(keep), []
    keys = [gallery.keys[i] for i in checked]
    lengths = stops - starts
    ends = np.cumsum(lengths)
    # (M,) the matches of all checked annotations, one annotation after the other
    rows = np.repeat(starts - ends + lengths, lengths) + np.arange(ends[-1])

    def of_gallery(name: str) -> np.ndarray:
        parts = [matches.keypoint1[start:stop] for start, stop in zip(starts, stops, strict=True)]
        columns = gallery.reader.column(name, keys)
        return np.concatenate([column[part] for column, part in zip(columns, parts, strict=True)])

    shapes = query.shapes if gallery.reader.frames else None
    rows0 = matches.keypoint0[rows]
    side0 = points_of(query.keypoints[rows0], shapes[rows0] if shapes is not None else None, query.oris[rows0])
    side1 = points_of(of_gallery("keypoints"), of_gallery("shapes") if shapes is not None else None, of_gallery("oris"))
    scales1 = of_gallery("scales")
    scenery = []
    for entry, start, end, length in zip(checked, starts, ends, lengths, strict=True):
        part = slice(end - length, end)
        diagonal = float(gallery.foreground.diagonals[entry])
        agree = inliers(side0.take(part), side1.take(part), diagonal, geometry)
        if refuse and agree.any() and gallery.may_be_place(entry, subject.place):
            on = np.flatnonzero(agree)
            still = still_spots(
                side0.points[part][on],
                side1.points[part][on],
                query.scales[rows0[part]][on],
                scales1[part][on],
                query.image_size,
                gallery.foreground.sizes[entry],
            )
            if is_scenery(still):
                scenery.append(int(entry))
                continue
        keep[start : start + length] = agree
    return matches.take(keep), scenery
