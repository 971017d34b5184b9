"""Fourth step of a query: its photos matched with what may answer, checked and scored, by each extractor, and fused."""

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
from snowmatch.matching.query import score_query, voter
from snowmatch.matching.scores import Scores


@dataclass(frozen=True, eq=False)
class Witness:
    """What one extractor contributes to an answer: its scores, the query photos with its features, and its gallery.

    factor: what brings its weights to the scale of the answer.
    """

    scores: Scores
    subjects: tuple[Subject, ...]
    gallery: Gallery
    factor: float = 1.0


@dataclass(frozen=True, eq=False)
class Matched:
    """The scores of all extractors together, and what each of them contributed."""

    scores: Scores
    witnesses: tuple[Witness, ...]
    notes: tuple[Note, ...]


def match(session: Session, body_part: str, allowed: Allowed, foreground: Foreground) -> Matched:
    """Scores of every annotation and individual for the photos together; nothing allowed gives zeros."""
    method, notes = session.method, list[Note]()
    scores, subjects = [], []
    votes = voter(method.matcher)
    for number, gallery in enumerate(session.galleries):
        asked = tuple(seen.subject(seen.photo.features[number]) for seen in foreground.seen)
        if votes is not None:
            notes += gallery.prepare(votes.backend, body_part, allowed.entries)
        scores.append(score_query(asked, gallery, allowed.entries, body_part, method.matcher, method.geometry))
        subjects.append(asked)
    together = fuse(scores)
    witnesses = tuple(Witness(*each) for each in zip(scores, subjects, session.galleries, scales(scores), strict=True))
    if unchecked := int(((together.pre_scores > 0) & ~together.checked).sum()):
        setting = "candidates" if method.matcher.PAIRWISE and method.matcher.candidates else "shortlist"
        text = f"{counted(unchecked, 'annotation')} had too few votes to be checked: the setting {setting} limits them"
        notes.append(Note("not-checked", text, {"count": unchecked, "setting": setting}))
    return Matched(together, witnesses, tuple(notes))
