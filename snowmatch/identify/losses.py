"""The wrong answers of an evaluation: which they are, the evidence behind them, and what may be the reason."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from snowmatch.confidence.metrics import ranks
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

STILL = 0.02  # of the photo's diagonal: how far a spot may lie from its match and be "at the same place"
IN_PLACE = 0.5  # share of the matched weight at the same place from which scenery is suspected
FEW = 0.25  # of the median number of features: nine photos of ten have more than half of it
HINTS = {
    "scenery": "most matched spots lie at the same place of both photos, as rocks before a fixed camera do",
    "names to check": "as strong as a typical right answer, from another station: the two may be one animal",
    "flank unknown": "the right animal had no verified match, and the body part of one of the photos is unknown",
    "few spots": "the query or the right animal's photo has far fewer features than usual in this catalog",
}


@dataclass(frozen=True)
class Lost:
    """A query whose first individual is wrong, by the numbers of the score table alone.

    query: its place in `table.queries`; wrong, right: columns of `table.individual_scores`; rank: of the right one;
    gap: the wrong one's score less the right one's, infinite where the query or the right animal has no features.
    """

    query: int
    wrong: int
    right: int
    rank: int
    gap: float


@dataclass(frozen=True)
class Failure:
    """A lost query with its evidence: the best photo of the wrong and of the right animal, and what may be the reason.

    A candidate is None where its side has no features. hints: keys of HINTS.
    """

    lost: Lost
    query: Annotation
    individuals: tuple[str, str]
    wrong: Candidate | None
    right: Candidate | None
    hints: tuple[str, ...] = ()


@dataclass(frozen=True)
class Usual:
    """What is usual: median number of features, median score of the right animal where it came first (else nan)."""

    features: float
    right_score: float


def find_lost(table: ScoreTable) -> tuple[Lost, ...]:
    """The queries whose first individual is wrong, the worst first; ties are lost. None lost gives none."""
    own = table.individual[table.queries][:, None] == table.individual_names
    rank = ranks(table.individual_scores, own)
    found = []
    for n in np.flatnonzero(rank > 1):
        scores = np.where(np.isnan(table.individual_scores[n]), -np.inf, table.individual_scores[n])
        compared = ~np.isnan(table.individual_scores[n])
        others = np.flatnonzero(compared & ~own[n])
        wrong, right = int(others[np.argmax(scores[others])]), int(np.flatnonzero(own[n])[0])
        gap = float(scores[wrong]) - float(scores[right]) if np.isfinite(scores[right]) else float("inf")
        found.append(Lost(int(n), wrong, right, int(rank[n]), gap))
    return tuple(sorted(found, key=lambda lost: (-lost.gap, lost.query)))


def check_table(table: ScoreTable, trial: Trial) -> None:
    """SnowmatchError where the table's scores are not those of the trial's questions."""
    same = table.scores.shape == trial.allowed.shape and all(
        np.array_equal(a, b)
        for a, b in (
            (table.queries, trial.queries),
            (table.gallery, trial.gallery),
            (table.paths, [a.path for a in trial.annotations]),
        )
    )
    if not same:
        raise SnowmatchError("the score table is of another trial: make both from the same catalog and protocol")


def ask_again(lost: Lost, trial: Trial, table: ScoreTable, session: Session) -> Failure:
    """A lost query with its matched spots, asked again as the trial allows it."""
    query = trial.annotations[trial.queries[lost.query]]
    names = (str(table.individual_names[lost.wrong]), str(table.individual_names[lost.right]))
    gallery = session.gallery
    entry_of = {a.row: entry for entry, a in enumerate(gallery.annotations)}
    own = entry_of.get(query.row, -1)
    if own < 0 or not any(each.feature_count(own) for each in session.galleries):
        return Failure(lost, query, names, None, None)
    allowed = np.zeros(len(gallery.annotations), bool)
    open_to = trial.gallery[trial.allowed[lost.query]].tolist()
    allowed[[entry_of[row] for row in open_to if row in entry_of]] = True
    matched = _matched(session, own, query.body_part, allowed)
    number_of = {animal.individual: number for number, animal in enumerate(gallery.individuals)}
    there = set(gallery.individual_numbers[allowed].tolist())
    ranks_of = {number_of[n]: rank for n, rank in zip(names, (1, lost.rank), strict=True) if number_of.get(n) in there}
    found = find_candidates(session, allowed, list(ranks_of), matched, Judged(None, None, ()))
    ranked = {c.individual: replace(c, rank=rank) for c, rank in zip(found, ranks_of.values(), strict=True)}
    return Failure(lost, query, names, ranked.get(names[0]), ranked.get(names[1]))


def _matched(session: Session, own: int, body_part: str, allowed: np.ndarray) -> Matched:
    """The annotation number `own` of the galleries asked about."""
    method = session.method
    subjects = [(each.subject(own),) for each in session.galleries]
    scores = [
        score_query(asked, each, allowed, body_part, method.matcher, method.geometry)
        for asked, each in zip(subjects, session.galleries, strict=True)
    ]
    parts = zip(scores, subjects, session.galleries, scales(scores), strict=True)
    return Matched(fuse(scores), tuple(Witness(*each) for each in parts), ())


def hints_of(failure: Failure, in_place: float, fewest: int, usual: Usual) -> tuple[str, ...]:
    """What may be the reason, as keys of HINTS, none or several.

    in_place: share of the matched weight of query and wrong photo that lies at the same place of both; fewest: features
    of the query or of the right animal's photo, whichever has fewer.
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
    """Share of the matched weight whose spots lie at the same place of both photos, whose sizes are (width, height).

    Places are shares of the sides, so that one camera's photos in two sizes compare. 0 without matches.
    """
    total = float(candidate.weights.sum())
    if not total:
        return 0.0
    own, other = np.array(size0, np.float64), np.array(size1, np.float64)
    moved = ((candidate.keypoints0 + 0.5) / own - (candidate.keypoints1 + 0.5) / other) * own
    still = np.hypot(moved[:, 0], moved[:, 1]) < STILL * np.hypot(own[0], own[1])
    return float(candidate.weights[still].sum()) / total


def feature_counts(galleries: Sequence[Gallery]) -> dict[int, int]:
    """How many features each annotation has, by its row, of all extractors together."""
    rows = [a.row for a in galleries[0].annotations]
    return {row: sum(each.feature_count(entry) for each in galleries) for entry, row in enumerate(rows)}


def fewest_features(failure: Failure, counts: Mapping[int, int]) -> int:
    """Features of the query or of the right animal's photo, whichever has fewer; `counts` are by row."""
    photos = [failure.query, *([failure.right.best] if failure.right else [])]
    return min(counts.get(a.row, 0) for a in photos)


def usual_in(table: ScoreTable, counts: Mapping[int, int]) -> Usual:
    """What is usual in a catalog; `counts`: features of each annotation."""
    own = table.individual[table.queries][:, None] == table.individual_names
    won = ranks(table.individual_scores, own) == 1
    scores = table.individual_scores[won][own[won]]
    scores = scores[np.isfinite(scores)]
    features = float(np.median(list(counts.values()))) if counts else 0.0
    return Usual(features, float(np.median(scores)) if len(scores) else float("nan"))
