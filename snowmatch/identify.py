"""From query photos to an answer: the only file that knows the order of the steps."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from snowmatch.confidence import Levels, Model, Probabilities, expected_new, probabilities
from snowmatch.core.types import Annotation, BBox, Features, Matches, Subject, same_part
from snowmatch.matching.gallery import Gallery
from snowmatch.matching.geometry.check import inliers
from snowmatch.matching.geometry.frames import Frames, Geometry
from snowmatch.matching.matchers.lnbnn import Lnbnn
from snowmatch.matching.scores import (
    above_chance,
    annotation_scores,
    individual_scores,
    ranking,
    together,
    unverified_scores,
)
from snowmatch.screening.foreground import ForegroundMap


@dataclass(frozen=True)
class Scores:
    """What one query says about every annotation (A,) and individual (I,) of a gallery, ready to sort and to save.

    The score arrays come from verified matches, those of individuals over the root of chance (see `above_chance`); the
    pre_ arrays from all matches, before the geometric check, those of individuals corrected for how many photos each
    has. checked says which annotations that check looked at, accepted which it let pass. `matches` has, per query
    photo, the verified matches; `pre_matches` all; both are empty where several extractors were fused. chance: what a
    candidate gets by chance from the matches that were checked, before the check; 0 where nobody has one.
    """

    scores: np.ndarray
    pre_scores: np.ndarray
    checked: np.ndarray
    accepted: np.ndarray
    individual_scores: np.ndarray
    individual_pre_scores: np.ndarray
    individual_accepted: np.ndarray
    matches: tuple[Matches, ...]
    pre_matches: tuple[Matches, ...]
    chance: float

    @cached_property
    def ranking(self) -> np.ndarray:
        """(A,) one number each to sort by, rejected ones below accepted ones."""
        return ranking(self.scores, self.pre_scores, self.accepted)

    @cached_property
    def individual_ranking(self) -> np.ndarray:
        """(I,) likewise."""
        return ranking(self.individual_scores, self.individual_pre_scores, self.individual_accepted)


Memory = dict[tuple[Subject, int], tuple[np.ndarray, np.ndarray, np.ndarray]]  # pairs that were matched before


def score_query(
    subjects: Sequence[Subject],
    gallery: Gallery,
    allowed: np.ndarray,
    body_part: str,
    matcher: Any,
    geometry: Geometry,
) -> Scores:
    """Match the photos of one encounter with the annotations where `allowed` (A,) is True, check geometry, and score.

    Photos vote together. Labels of `gallery` tell individuals apart; the query's own is not
    known here. A query without features, or nothing allowed, gives zeros.
    """
    pre_matches = match_photos(subjects, gallery, allowed, body_part, matcher)
    return score_matches(subjects, pre_matches, gallery, matcher, geometry)


def voter(matcher: Any) -> Any | None:
    """The one-against-many matcher that comes first: `matcher` itself, LNBNN before one that looks at pairs.

    None where every pair is looked at.
    """
    if not matcher.PAIRWISE:
        return matcher
    return Lnbnn(foreground=matcher.foreground) if matcher.candidates else None


def match_photos(
    subjects: Sequence[Subject],
    gallery: Gallery,
    allowed: np.ndarray,
    body_part: str,
    matcher: Any,
    memory: Memory | None = None,
) -> tuple[Matches, ...]:
    """The matches of each query photo with the annotations where `allowed` (A,) is True, before any check.

    A vote counts as the geometric mean of both sides' foreground weights says; features of weight 0 are not looked up.
    A matcher of pairs has others vote for its shortlist; if it is to look at every pair, these are its matches.
    Source: HotSpotter's foreground weight (ibeis, scoring.py).
    """
    votes = voter(matcher)
    if votes is None:
        entries = np.array([same_part(a.body_part, body_part) for a in gallery.annotations], bool) & allowed
        return tuple(match_pairs(s, gallery, np.flatnonzero(entries), matcher, memory) for s in subjects)
    blocks = gallery.blocks(votes.backend, body_part)
    found = []
    for subject in subjects:
        weights = _weights(subject, votes)
        on = np.flatnonzero(weights)
        asked = subject.features if len(on) == len(subject) else subject.features.take(on)
        m = votes.match(asked, blocks, allowed, gallery.individual_numbers)
        worth = m.weights
        if votes.foreground == "auto":
            worth = worth * np.sqrt(weights[on[m.keypoint0]] * gallery.match_weights(m))
        counting = np.flatnonzero(worth > 0)
        found.append(Matches(on[m.keypoint0], m.annotation, m.keypoint1, worth).take(counting))
    return tuple(found)


def match_pairs(
    subject: Subject, gallery: Gallery, entries: np.ndarray, matcher: Any, memory: Memory | None = None
) -> Matches:
    """The matches of one query photo with each of the annotations numbered `entries`, one pair after the other.

    Only the strongest features on the animal are compared, as many as `matcher.keypoints`; a match counts as the
    geometric mean of both sides' foreground weights says. `memory` has pairs matched before and takes the new ones.
    """
    memory = {} if memory is None else memory
    strongest = _strongest(subject, matcher)
    one = subject.take(strongest)
    weights = _weights(one, matcher)
    missing = [entry for entry in entries.tolist() if (subject, entry) not in memory]
    rows, other_weights = strongest, weights  # of the pair in hand

    def others() -> Iterator[Subject]:  # read when its turn comes: a gallery may be larger than memory
        nonlocal rows, other_weights
        for entry in missing:
            other = gallery.subject(entry)
            rows = _strongest(other, matcher)
            other = other.take(rows)
            other_weights = _weights(other, matcher)
            yield other

    pairs = matcher.pairs(one, others(), gallery.reader.described)
    for entry, (keypoint0, keypoint1, worth) in zip(missing, pairs, strict=True):
        worth = worth * np.sqrt(weights[keypoint0] * other_weights[keypoint1])
        memory[subject, entry] = strongest[keypoint0], rows[keypoint1], worth.astype(np.float32)
    found = [memory[subject, entry] for entry in entries.tolist()]
    if not found:
        return Matches(*(np.zeros(0, np.int64) for _ in range(3)), np.zeros(0, np.float32))
    keypoint0, keypoint1, worth = (np.concatenate(column) for column in zip(*found, strict=True))
    return Matches(keypoint0, np.repeat(entries, [len(f[0]) for f in found]), keypoint1, worth)


def _weights(subject: Subject, matcher: Any) -> np.ndarray:
    """How much each feature of a subject counts, (N,)."""
    if subject.weights is None or matcher.foreground == "given":
        return np.ones(len(subject), np.float32)
    return subject.weights


def _strongest(subject: Subject, matcher: Any) -> np.ndarray:
    """Rows, ascending, of the features that a matcher of pairs is given: by detector response, on the animal."""
    worth = _weights(subject, matcher)
    order = np.argsort(-subject.features.scores * worth, kind="stable")
    return np.sort(order[worth[order] > 0][: matcher.keypoints])


def score_matches(
    subjects: Sequence[Subject],
    pre_matches: Sequence[Matches],
    gallery: Gallery,
    matcher: Any,
    geometry: Geometry,
    memory: Memory | None = None,
) -> Scores:
    """Check the geometry of `pre_matches`, those of each query photo, and score what is left, all photos together.

    A matcher of pairs puts its own matches in the place of those that made its shortlist.
    """
    a, i = len(gallery.annotations), len(gallery.individuals)
    numbers = gallery.individual_numbers
    pre_scores = np.sum([annotation_scores(m, a) for m in pre_matches], axis=0)
    reranks = matcher.PAIRWISE and bool(matcher.candidates)
    checked = np.argsort(-pre_scores, kind="stable")[: matcher.candidates if reranks else geometry.shortlist]
    checked = np.sort(checked[pre_scores[checked] > 0])
    found = [match_pairs(s, gallery, checked, matcher, memory) for s in subjects] if reranks else pre_matches
    matches = tuple(_verify(s.features, m, gallery, checked, geometry) for s, m in zip(subjects, found, strict=True))
    scores = np.sum([annotation_scores(m, a) for m in matches], axis=0)
    by_chance = [_chance(annotation_scores(m.take(np.isin(m.annotation, checked)), a)) for m in found]
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
        _chance(np.sum([annotation_scores(m.take(np.isin(m.annotation, checked)), a) for m in found], axis=0)),
    )


def fuse(parts: Sequence[Scores]) -> Scores:
    """One answer from those that several extractors gave about the same gallery, in the scale of the first.

    Scores add up: another extractor's spots are other witnesses. Each is brought to the first's scale by what a chance
    candidate gets, the median of its scores before the geometric check (those of the shortlist's votes by their own
    median, where pairs were matched after it). The matches stay with the parts. A single part comes back as it is.

    Source: calibrated scores added up, Cermak et al., 2024 (WildFusion); the calibration here is one factor.
    """
    if len(parts) == 1:
        return parts[0]
    verified, votes = scales(parts), _scales([_chance(part.pre_scores) for part in parts])
    factors = {
        "scores": verified,
        "individual_scores": np.sqrt(verified),  # these are already over the root of their own chance
        "pre_scores": votes,
        "individual_pre_scores": votes,
    }

    def total(name: str) -> np.ndarray:
        return np.sum([f * getattr(part, name) for f, part in zip(factors[name], parts, strict=True)], axis=0)

    def either(name: str) -> np.ndarray:
        return np.any([getattr(part, name) for part in parts], axis=0)

    return Scores(
        total("scores"),
        total("pre_scores"),
        either("checked"),
        either("accepted"),
        total("individual_scores"),
        total("individual_pre_scores"),
        either("individual_accepted"),
        (),
        (),
        parts[0].chance,
    )


def scales(parts: Sequence[Scores]) -> list[float]:
    """The factor that brings each part's verified matches to the first one's scale; 1 where either has no match."""
    return _scales([part.chance for part in parts])


def _scales(chance: Sequence[float]) -> list[float]:
    return [chance[0] / own if own and chance[0] else 1.0 for own in chance]


def _chance(scores: np.ndarray) -> float:
    """The median of the scores (A,) above 0; 0 where there is none."""
    voted = scores[scores > 0]
    return float(np.median(voted)) if len(voted) else 0.0


def _verify(query: Features, matches: Matches, gallery: Gallery, checked: np.ndarray, geometry: Geometry) -> Matches:
    """Those matches with the annotations `checked` that agree on one placement of the animal."""
    starts = np.searchsorted(matches.annotation, checked, side="left")
    stops = np.searchsorted(matches.annotation, checked, side="right")
    enough = stops - starts >= geometry.minimum
    checked, starts, stops = checked[enough], starts[enough], stops[enough]
    keep = np.zeros(len(matches), bool)
    if not len(checked):
        return matches.take(keep)
    keys = [gallery.keys[i] for i in checked]
    lengths = stops - starts
    ends = np.cumsum(lengths)
    # (M,) the matches of all checked annotations, one annotation after the other
    rows = np.repeat(starts - ends + lengths, lengths) + np.arange(ends[-1])

    def of_gallery(name: str) -> np.ndarray:
        parts = [matches.keypoint1[start:stop] for start, stop in zip(starts, stops, strict=True)]
        columns = gallery.reader.column(name, keys)
        return np.concatenate([column[part] for column, part in zip(columns, parts, strict=True)])

    framed = query.shapes is not None and gallery.reader.frames
    rows0 = matches.keypoint0[rows]
    side0 = Frames.of(query.keypoints[rows0], query.shapes[rows0] if framed else None, query.oris[rows0])
    side1 = Frames.of(of_gallery("keypoints"), of_gallery("shapes") if framed else None, of_gallery("oris"))
    for entry, start, end, length in zip(checked, starts, ends, lengths, strict=True):
        part = slice(end - length, end)
        diagonal = float(gallery.diagonals[entry])
        keep[start : start + length] = inliers(side0.take(part), side1.take(part), diagonal, geometry)
    return matches.take(keep)


@dataclass(frozen=True)
class QueryPhoto:
    """One photo of the query; `mask` is (H, W) bool over the whole upright photo, or None where all of it counts.

    `path` is as the user gave it (empty for an array); `image` is the upright RGB photo where it was given as an array.
    evidence: what tells the animal from the scenery (`mask`, `box`, `burst`, `station`, `burst and station`, `centre`,
    or `given` where everything counts); `foreground` is the map where other photos of the place tell.
    """

    path: str
    bbox: BBox | None
    mask: np.ndarray | None
    image_size: tuple[int, int]
    features: int
    image: np.ndarray | None = None
    evidence: str = ""
    foreground: ForegroundMap | None = None


@dataclass(frozen=True)
class Candidate:
    """One individual (or one unidentified encounter) that the query was compared with.

    `best` is its annotation with the highest score, `best_query` the number of the query photo that gave it;
    keypoints0 and keypoints1 (M, 2), scales0, scales1 and weights (M,) are the matched spots of that pair in photo
    pixels. `accepted` is False where no annotation of it passed the geometric check: its score then is what it had
    before that check, its spots are the unverified ones, and it ranks below every accepted one. `checked` is False
    where none of its annotations was among those that the check looked at. evidence and foreground: as in QueryPhoto.
    """

    rank: int
    individual: str | None
    score: float
    inliers: int
    accepted: bool
    checked: bool
    best: Annotation
    best_query: int
    keypoints0: np.ndarray
    keypoints1: np.ndarray
    scales0: np.ndarray
    scales1: np.ndarray
    weights: np.ndarray
    evidence: str = ""
    foreground: ForegroundMap | None = None
    probability: float | None = None
    level: str | None = None


@dataclass(frozen=True)
class Answer:
    """What a query says: candidates in order, what was compared, and how.

    calibration: what `confidence.Calibration.described` tells; None where there is none, as are `new_probability`,
    `level` and `decision` then. The decision is `individual` (the likeliest one, which may be none of the `candidates`
    where unidentified encounters score higher) or `new`; `decided` names that individual, or the encounter of an
    unidentified one; probability and level are the decision's.
    """

    photos: tuple[QueryPhoto, ...]
    body_part: str
    locations: tuple[str, ...]
    excluded_encounters: tuple[str, ...]
    catalog_path: str
    annotations: int
    compared: int
    individuals: int
    extractor: dict[str, Any]
    matcher: dict[str, Any]
    candidates: tuple[Candidate, ...]
    notes: tuple[str, ...]
    calibration: dict[str, Any] | None = None
    new_probability: float | None = None
    decision: str | None = None
    decided: str | None = None
    probability: float | None = None
    level: str | None = None


@dataclass(frozen=True)
class Part:
    """What one extractor contributes to an answer: its scores, the query photos with its features, and its gallery.

    factor: what brings its weights to the scale of the answer.
    """

    scores: Scores
    subjects: Sequence[Subject]
    gallery: Gallery
    factor: float = 1.0


def judge(
    scores: Scores, gallery: Gallery, allowed: np.ndarray, models: Sequence[Model], features: float
) -> Probabilities:
    """How likely each individual (I,) of the gallery is, and a new one; NaN for those with nothing `allowed` (A,).

    features: of the query, per photo. At least one of `models`.
    """
    numbers = gallery.individual_numbers
    named = np.array([name is not None for name, _, _ in gallery.individuals], bool)
    compared = np.isin(np.arange(len(named)), numbers[allowed])
    met = {(n, gallery.annotations[e].encounter) for e, n in enumerate(numbers) if allowed[e] and named[n]}
    encounters = np.bincount(np.array([n for n, _ in met], np.int64), minlength=len(named))
    asked = np.where(compared, scores.individual_ranking, np.nan)
    return probabilities(models, asked, named, features, expected_new(encounters))


def candidates(
    scores: Scores,
    parts: Sequence[Part],
    allowed: np.ndarray,
    top: int,
    judged: Probabilities | None = None,
    levels: Levels | None = None,
) -> tuple[Candidate, ...]:
    """The `top` individuals among the allowed annotations, accepted ones first, by score; ties by name.

    `scores` are those of all `parts` together; their galleries have the same annotations in the same order. judged and
    levels: what `judge` said of them, where there is a calibration.
    """
    rows = np.flatnonzero(allowed)
    numbers = parts[0].gallery.individual_numbers
    present = np.unique(numbers[rows])
    order = present[np.lexsort((present, -scores.individual_ranking[present]))][:top]
    found = [_candidate(rank, i, rows[numbers[rows] == i], scores, parts) for rank, i in enumerate(order, start=1)]
    if judged is None:
        return tuple(found)
    each = [float(judged.individuals[i]) for i in order]
    return tuple(replace(c, probability=p, level=levels.of(p)) for c, p in zip(found, each, strict=True))


def _candidate(rank: int, number: int, own: np.ndarray, scores: Scores, parts: Sequence[Part]) -> Candidate:
    entry = int(own[np.argmax(scores.ranking[own])])
    accepted = bool(scores.individual_accepted[number])
    by_part = [
        [m.take(m.annotation == entry) for m in (part.scores.matches if accepted else part.scores.pre_matches)]
        for part in parts
    ]
    votes = [[part.factor * m.weights.sum() for m in found] for found, part in zip(by_part, parts, strict=True)]
    photo = int(np.argmax(np.sum(votes, axis=0)))
    spots = [_spots(found[photo], part, photo, entry) for found, part in zip(by_part, parts, strict=True)]
    gallery = parts[0].gallery
    score = scores.individual_scores[number] if accepted else scores.individual_pre_scores[number]
    together = {name: np.concatenate([each[name] for each in spots]) for name in spots[0]}
    return Candidate(
        rank,
        gallery.individuals[number][0],
        float(score),
        len(together["weights"]) if accepted else 0,
        accepted,
        bool(scores.checked[own].any()),
        gallery.annotations[entry],
        photo,
        **together,
        evidence=gallery.evidence(entry),
        foreground=gallery.map_of(entry),
    )


def _spots(matches: Matches, part: Part, photo: int, entry: int) -> dict[str, np.ndarray]:
    query, features = part.subjects[photo].features, part.gallery.reader.read(part.gallery.keys[entry])
    return {
        "keypoints0": query.keypoints[matches.keypoint0],
        "keypoints1": features.keypoints[matches.keypoint1],
        "scales0": query.scales[matches.keypoint0],
        "scales1": features.scales[matches.keypoint1],
        "weights": (part.factor * matches.weights).astype(np.float32),
    }
