"""The spots that agree on two photos of a catalog."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from snowmatch.core.errors import SnowmatchError
from snowmatch.identify.session import Session
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

    The first extractor of the session is used. No spot agrees: M = 0. Raises SnowmatchError if a row is not indexed.
    """
    gallery = session.gallery
    entry_of = {a.row: n for n, a in enumerate(gallery.annotations)}
    missing = [row for row in (row0, row1) if row not in entry_of]
    if missing:
        path = session.data.annotations[missing[0]].path
        raise SnowmatchError(f"{path} is not indexed: index the catalog", "not-indexed", catalog=str(session.folder))
    one, other = entry_of[row0], entry_of[row1]
    subject, features = gallery.subject(one), gallery.subject(other).features
    allowed = np.zeros(len(gallery.annotations), bool)
    allowed[other] = True
    part = gallery.annotations[other].body_part
    matcher = session.method.matcher
    if (votes := voter(matcher)) is not None:
        gallery.prepare(votes.backend, part, allowed)
    (matches,) = score_query([subject], gallery, allowed, part, matcher, session.method.geometry).matches
    matches = matches.take(np.argsort(matches.weights, kind="stable"))
    return Spots(
        subject.features.keypoints[matches.keypoint0],
        features.keypoints[matches.keypoint1],
        subject.features.scales[matches.keypoint0],
        features.scales[matches.keypoint1],
        matches.weights,
    )
