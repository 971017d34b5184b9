"""The fourth step of a query: match its photos with the annotations that may answer, check and score the matches.

This is done for each extractor; the scores of several extractors are fused.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from snowmatch.core.notes import Note
from snowmatch.core.text import counted
from snowmatch.core.types import Subject
from snowmatch.identify.allow import Allowed
from snowmatch.identify.foreground import Foreground
from snowmatch.identify.session import Session
from snowmatch.matching.fusion import fuse, scales
from snowmatch.matching.gallery import Gallery
from snowmatch.matching.query import Photos, match_many, score_matches, voter
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


def match_all(session: Session, queries: Sequence[tuple[str, Allowed, Foreground]]) -> list[Matched]:
    """Return the scores of all annotations and individuals for each of several queries, for all its photos together.

    queries: body part, what may answer, and the photos of each. Annotations that are not allowed to answer get the
    score 0. Each photo is compared with its own body part. Each search block is read once for all queries.
    """
    notes: list[list[Note]] = [[] for _ in queries]
    scores: list[list[Scores]] = [[] for _ in queries]
    subjects: list[list[tuple[Subject, ...]]] = [[] for _ in queries]
    votes = voter(session.method.matcher)
    for number, gallery in enumerate(session.galleries):
        photos, parts = [], []
        for told, (body_part, allowed, foreground) in zip(notes, queries, strict=True):
            seen = [each for each in foreground.seen if each.photo.features]
            parts.append([each.photo.body_part for each in seen])
            features = [(each, each.photo.features) for each in seen if each.photo.features]
            photos.append(Photos([each.subject(of[number]) for each, of in features], allowed.entries))
            if votes is not None:
                told += gallery.prepare(votes.backend, body_part, allowed.entries, votes.foreground)
        for n, found in enumerate(_scores(session, gallery, photos, parts)):
            scores[n].append(found)
            subjects[n].append(tuple(photos[n].subjects))
    found_by_all = zip(scores, subjects, notes, strict=True)
    return [_matched(session, found, photos, told) for found, photos, told in found_by_all]


def _scores(
    session: Session, gallery: Gallery, photos: Sequence[Photos], parts: Sequence[Sequence[str]]
) -> list[Scores]:
    """Return the scores of each query by one extractor. parts: the body part of each photo of each query."""
    matcher, geometry = session.method.matcher, session.method.geometry
    one_part = {n: (*of, "unknown")[0] for n, of in enumerate(parts) if len(set(of)) < 2}
    found: dict[int, Scores] = {}
    for part in dict.fromkeys(one_part.values()):
        mine = [n for n, of in one_part.items() if of == part]
        for n, matches in zip(mine, match_many([photos[n] for n in mine], gallery, part, matcher), strict=True):
            found[n] = score_matches(photos[n].subjects, matches, gallery, photos[n].allowed, matcher, geometry)
    for n, of in enumerate(parts):
        if n not in found:
            found[n] = score_sides(photos[n].subjects, of, gallery, photos[n].allowed, matcher, geometry)
    return [found[n] for n in range(len(photos))]


def _matched(
    session: Session, scores: Sequence[Scores], subjects: Sequence[tuple[Subject, ...]], notes: list[Note]
) -> Matched:
    """Return the fused scores of one query, with notes on what was not checked or refused."""
    method = session.method
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
