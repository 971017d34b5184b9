"""The spots that agree on two photos of a catalog."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from snowmatch.core.errors import SnowmatchError
from snowmatch.core.types import Matches, same_part
from snowmatch.identify.pairs import by_sighting, prepare_votes
from snowmatch.identify.session import Session
from snowmatch.matching.gallery import Gallery
from snowmatch.matching.query import score_query, voter


@dataclass(frozen=True, eq=False)
class Spots:
    """M matched spots of two photos.

    keypoints0, keypoints1: (M, 2) px, x then y. scales0, scales1: (M,) diameters (px). weights: (M,) their votes.
    """

    keypoints0: np.ndarray
    keypoints1: np.ndarray
    scales0: np.ndarray
    scales1: np.ndarray
    weights: np.ndarray


def spots_between(session: Session, row0: int, row1: int) -> Spots:
    """Return the matched spots of the annotations in two rows of the catalog, checked for one position of the animal.
    The strongest is the last.

    They are those that the evidence of pairs counts: all annotations of other passages vote that show this body part,
    and each passage is an animal of its own. The direction with more spots is shown; if there are none, the two are
    compared alone. The first extractor of the session is used. No spot agrees: M = 0. Raises SnowmatchError if a row is
    not indexed.
    """
    entry_of = {a.row: n for n, a in enumerate(session.gallery.annotations)}
    missing = [row for row in (row0, row1) if row not in entry_of]
    if missing:
        path = session.data.annotations[missing[0]].path
        raise SnowmatchError(f"{path} is not indexed: index the catalog", "not-indexed", catalog=str(session.folder))
    one, other = entry_of[row0], entry_of[row1]
    rows: dict[str, list[int]] = {}
    for a in session.gallery.annotations:
        rows.setdefault(a.passage, []).append(a.row)
    gallery = by_sighting(session.gallery, list(rows.values()))
    passages = np.array([a.passage for a in gallery.annotations], str)
    there, back = (
        _matches(session, gallery, a, b, (passages != passages[a]) | (np.arange(len(passages)) == b))
        for a, b in ((one, other), (other, one))
    )
    matches = there if len(there) >= len(back) else _turned(back, other)
    if not len(matches):
        matches = _matches(session, gallery, one, other, np.arange(len(passages)) == other)
    matches = matches.take(np.argsort(matches.weights, kind="stable"))
    features0, features1 = gallery.subject(one).features, gallery.subject(other).features
    return Spots(
        features0.keypoints[matches.keypoint0],
        features1.keypoints[matches.keypoint1],
        features0.scales[matches.keypoint0],
        features1.scales[matches.keypoint1],
        matches.weights,
    )


def _matches(session: Session, gallery: Gallery, one: int, other: int, allowed: np.ndarray) -> Matches:
    """Return the checked matches of entry `one` with entry `other`. allowed: (A,) bool, the annotations that vote."""
    matcher, part = session.method.matcher, gallery.annotations[one].body_part
    if not same_part(part, gallery.annotations[other].body_part):
        part = gallery.annotations[other].body_part
    allowed = allowed & gallery.of_part(part)  # more animals would make each vote worth more
    if (votes := voter(matcher)) is not None:
        prepare_votes(gallery, votes, part, allowed)
    (matches,) = score_query([gallery.subject(one)], gallery, allowed, part, matcher, session.method.geometry).matches
    return matches.take(np.flatnonzero(matches.annotation == other))


def _turned(matches: Matches, entry: int) -> Matches:
    """Return matches from the other side. entry: the annotation that was asked about."""
    return Matches(matches.keypoint1, np.full_like(matches.annotation, entry), matches.keypoint0, matches.weights)
