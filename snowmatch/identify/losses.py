"""The wrong answers of an evaluation: the queries, the matches behind them, and possible reasons."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from snowmatch.confidence.score_table import ScoreTable
from snowmatch.confidence.trial import Trial
from snowmatch.core.errors import SnowmatchError
from snowmatch.core.types import Annotation
from snowmatch.identify.answer import Candidate
from snowmatch.identify.candidates import find_candidates
from snowmatch.identify.judge import Judged
from snowmatch.identify.match import Matched, Witness
from snowmatch.identify.session import Session
from snowmatch.matching.fusion import fuse, scales
from snowmatch.matching.gallery import Gallery
from snowmatch.matching.query import score_query

STILL = 0.02  # largest distance between a keypoint and its match "at the same place" (share of the photo's diagonal)
IN_PLACE = 0.5  # least share of the matched weight at the same place for the hint "scenery"
FEW = 0.25  # fewer features than this share of the median are few: 9 of 10 photos have more than half the median
HINTS = {
    "scenery": "most matched spots are at the same place in both photos, like rocks in front of a fixed camera",
    "names to check": "the score is as high as that of a typical right answer, and the photos are from different "
    "stations: the two individuals may be one animal",
    "flank unknown": "no match with the right animal passed the geometric check, and the body part of one of "
    "the photos is unknown",
    "few spots": "the query photo or the right animal's photo has far fewer features than is typical of this catalog",
}


@dataclass(frozen=True)
class Lost:
    """A query whose first individual is wrong, found in the score table.

    query: its position in `table.queries`.
    wrong: column of the best wrong individual in `table.ranking`. right: column of the right individual.
    rank: rank of the right individual; 1 is the first.
    gap: score of the wrong individual minus score of the right individual; infinite if the query or the right animal
    has no features.
    """

    query: int
    wrong: int
    right: int
    rank: int
    gap: float


@dataclass(frozen=True)
class Failure:
    """A lost query with its matches and possible reasons.

    individuals: the names of the wrong and of the right individual.
    wrong, right: the candidates of these individuals; None if the query or the individual has no features to compare.
    hints: keys of HINTS, the possible reasons.
    """

    lost: Lost
    query: Annotation
    individuals: tuple[str, str]
    wrong: Candidate | None
    right: Candidate | None
    hints: tuple[str, ...] = ()


@dataclass(frozen=True)
class Usual:
    """Typical values of a catalog.

    features: median number of features per annotation; 0 without annotations.
    right_score: median score of the right individual over the queries with a right first individual; nan without one.
    """

    features: float
    right_score: float


def find_lost(table: ScoreTable) -> tuple[Lost, ...]:
    """Return the queries whose first individual is wrong, largest gap first.

    A query is also lost if a wrong individual has the same score as the right individual.
    """
    rank = table.photo_ranks()
    found = []
    for n in np.flatnonzero(rank > 1):
        (scores,) = table.ranking(np.array([n]))
        right = int(table.own[table.queries[n]])
        others = np.setdiff1d(np.flatnonzero(~np.isnan(scores)), right)
        wrong = int(others[np.argmax(scores[others])])
        gap = float(scores[wrong]) - float(scores[right]) if np.isfinite(scores[right]) else float("inf")
        found.append(Lost(int(n), wrong, right, int(rank[n]), gap))
    return tuple(sorted(found, key=lambda lost: (-lost.gap, lost.query)))


def check_table(table: ScoreTable, trial: Trial) -> None:
    """Raise SnowmatchError if the table was not made from this trial."""
    same = table.cells.shape == trial.open_to.shape and all(
        np.array_equal(a, b)
        for a, b in (
            (table.queries, trial.queries),
            (table.gallery, trial.gallery),
            (table.paths, [a.path for a in trial.annotations]),
        )
    )
    if not same:
        raise SnowmatchError("the score table belongs to another trial: make both from the same catalog and protocol")


def ask_again(lost: Lost, trial: Trial, table: ScoreTable, session: Session) -> Failure:
    """Return a lost query with its matched keypoints.

    The query is computed again, because a score table contains no matches. The same annotations may answer as in the
    trial.
    """
    query = trial.annotations[trial.queries[lost.query]]
    names = (str(table.individual_names[lost.wrong]), str(table.individual_names[lost.right]))
    gallery = session.gallery
    entry_of = {a.row: entry for entry, a in enumerate(gallery.annotations)}
    own = entry_of.get(query.row, -1)
    if own < 0 or not any(each.feature_count(own) for each in session.galleries):
        return Failure(lost, query, names, None, None)
    allowed = np.zeros(len(gallery.annotations), bool)
    open_to = trial.gallery[trial.open_to.row(lost.query)].tolist()
    allowed[[entry_of[row] for row in open_to if row in entry_of]] = True
    matched = _matched(session, own, query.body_part, allowed)
    number_of = {animal.individual: number for number, animal in enumerate(gallery.individuals)}
    shown = set(gallery.individual_numbers[allowed].tolist())
    ranks_of = {number_of[n]: rank for n, rank in zip(names, (1, lost.rank), strict=True) if number_of.get(n) in shown}
    found = find_candidates(session, allowed, list(ranks_of), matched, Judged(None, None, ()))
    ranked = {c.individual: replace(c, rank=rank) for c, rank in zip(found, ranks_of.values(), strict=True)}
    return Failure(lost, query, names, ranked.get(names[0]), ranked.get(names[1]))


def _matched(session: Session, own: int, body_part: str, allowed: np.ndarray) -> Matched:
    """Return the scores and matches of a query, which is annotation number `own` of the galleries.

    allowed: (A,) bool, the annotations that may answer.
    """
    method = session.method
    subjects = [(each.subject(own),) for each in session.galleries]
    scores = [
        score_query(asked, each, allowed, body_part, method.matcher, method.geometry)
        for asked, each in zip(subjects, session.galleries, strict=True)
    ]
    parts = zip(scores, subjects, session.galleries, scales(scores), strict=True)
    return Matched(fuse(scores), tuple(Witness(*each) for each in parts), ())


def hints_of(failure: Failure, in_place: float, fewest: int, usual: Usual) -> tuple[str, ...]:
    """Return the possible reasons of a failure: keys of HINTS, none or several.

    in_place: share of the matched weight of the query photo and the wrong photo that is at the same place in both (0 to
    1), as `share_in_place` returns it.
    fewest: number of features of the query or of the right animal's photo, whichever is smaller.
    """
    query, wrong, right = failure.query, failure.wrong, failure.right
    hints = []
    if wrong and wrong.accepted and query.station and wrong.best.station:  # both from fixed cameras
        if in_place >= IN_PLACE:
            hints.append("scenery")
        elif query.station != wrong.best.station and wrong.score >= usual.right_score:
            hints.append("names to check")
    if right and not right.accepted and "unknown" in (query.body_part, right.best.body_part):
        hints.append("flank unknown")
    if fewest < FEW * usual.features:
        hints.append("few spots")
    return tuple(hints)


def share_in_place(candidate: Candidate, size0: Sequence[int], size1: Sequence[int]) -> float:
    """Return the share of the matched weight whose keypoints are at the same place in both photos (0 to 1).

    size0, size1: (width, height) of the query photo and of the candidate's photo (px). Places are compared as shares of
    the width and height, so photos of one camera in two sizes can be compared. No matches: returns 0.
    """
    total = float(candidate.weights.sum())
    if not total:
        return 0.0
    own, other = np.array(size0, np.float64), np.array(size1, np.float64)
    moved = ((candidate.keypoints0 + 0.5) / own - (candidate.keypoints1 + 0.5) / other) * own
    still = np.hypot(moved[:, 0], moved[:, 1]) < STILL * np.hypot(own[0], own[1])
    return float(candidate.weights[still].sum()) / total


def feature_counts(galleries: Sequence[Gallery]) -> dict[int, int]:
    """Return the number of features of each annotation, by its row, of all extractors together."""
    rows = [a.row for a in galleries[0].annotations]
    return {row: sum(each.feature_count(entry) for each in galleries) for entry, row in enumerate(rows)}


def fewest_features(failure: Failure, counts: Mapping[int, int]) -> int:
    """Return the number of features of the query or of the right animal's photo, whichever is smaller.

    counts: as `feature_counts` returns them.
    """
    photos = [failure.query, *([failure.right.best] if failure.right else [])]
    return min(counts.get(a.row, 0) for a in photos)


def usual_in(table: ScoreTable, counts: Mapping[int, int]) -> Usual:
    """Return the typical values of a catalog. counts: as `feature_counts` returns them."""
    won = np.flatnonzero(table.photo_ranks() == 1)
    scores = table.individual_scores[won, table.own[table.queries[won]]]
    scores = scores[np.isfinite(scores)]
    features = float(np.median(list(counts.values()))) if counts else 0.0
    return Usual(features, float(np.median(scores)) if len(scores) else float("nan"))
