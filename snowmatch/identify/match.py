"""The fourth step of a query: match its photos with the annotations that may answer, check and score the matches.

This is done for each extractor; the scores of several extractors are fused.
"""

from __future__ import annotations

from dataclasses import dataclass

from snowmatch.core.notes import Note
from snowmatch.core.text import counted
from snowmatch.core.types import Subject
from snowmatch.identify.allow import Allowed
from snowmatch.identify.foreground import Foreground
from snowmatch.identify.session import Session
from snowmatch.matching.fusion import fuse, scales
from snowmatch.matching.gallery import Gallery
from snowmatch.matching.query import voter
from snowmatch.matching.scores import Scores
from snowmatch.matching.sides import score_sides


@dataclass(frozen=True, eq=False)
class Witness:
    """The part of one extractor in an answer.

    scores: its scores. subjects: the query photos with its features. gallery: its gallery.
    factor: the number that its match weights are multiplied by, so that they have the scale of the answer.
    """

    scores: Scores
    subjects: tuple[Subject, ...]
    gallery: Gallery
    factor: float = 1.0


@dataclass(frozen=True, eq=False)
class Matched:
    """The fused scores of all extractors, and the part of each extractor."""

    scores: Scores
    witnesses: tuple[Witness, ...]
    notes: tuple[Note, ...]


def match(session: Session, body_part: str, allowed: Allowed, foreground: Foreground) -> Matched:
    """Return the scores of all annotations and individuals, for all query photos together.

    Annotations that are not allowed to answer get the score 0. Each photo is compared with its own body part.
    """
    method, notes = session.method, list[Note]()
    scores, subjects = [], []
    votes = voter(method.matcher)
    for number, gallery in enumerate(session.galleries):
        parts = [seen.photo.body_part for seen in foreground.seen if seen.photo.features]
        asked = tuple(seen.subject(seen.photo.features[number]) for seen in foreground.seen if seen.photo.features)
        if votes is not None:
            notes += gallery.prepare(votes.backend, body_part, allowed.entries)
        scores.append(score_sides(asked, parts, gallery, allowed.entries, method.matcher, method.geometry))
        subjects.append(asked)
    together = fuse(scores)
    witnesses = tuple(Witness(*each) for each in zip(scores, subjects, session.galleries, scales(scores), strict=True))
    if unchecked := int(((together.pre_scores > 0) & ~together.checked).sum()):
        setting = "candidates" if method.matcher.PAIRWISE and method.matcher.candidates else "shortlist"
        text = (
            f"{counted(unchecked, 'annotation')} had too few votes for the geometric check: the setting {setting} "
            "limits how many are checked"
        )
        notes.append(Note("not-checked", text, {"count": unchecked, "setting": setting}))
    if scenery := int(together.scenery.sum()):
        text = (
            f"{counted(scenery, 'annotation')} refused: the spots that agree lie at the same place in both "
            "frames, so they are scenery of the station"
        )
        notes.append(Note("scenery-refused", text, {"count": scenery}))
    return Matched(together, witnesses, tuple(notes))
