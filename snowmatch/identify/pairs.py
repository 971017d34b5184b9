"""How strongly photos speak for two sightings being of one animal, whatever names they have."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from snowmatch.confidence.background import beside_others
from snowmatch.confidence.model import Model, evidence, richness
from snowmatch.core.mended import keep_mended
from snowmatch.core.notes import Note
from snowmatch.core.types import BODY_PARTS, Matches, same_part
from snowmatch.identify.foreground import OUTLINED
from snowmatch.identify.session import Session
from snowmatch.matching.gallery import Gallery
from snowmatch.matching.query import Photos, match_many, score_matches, voter
from snowmatch.matching.scores import VERIFIED

# The most that photos without box or mask say in one direction, as log odds: what is taken for the animal may be rocks
# (docs/benchmarks-history.md, "What pairs of sightings say"). Chosen: 400 to 1 with the other direction
MOST_WHOLE = 3.0
AT_ONCE = 16  # sightings that are asked together: each search block is read once for all of them


@dataclass(frozen=True)
class PairEvidence:
    """What the photos of one sighting say about another one.

    asked, other: numbers of the sightings. odds: natural logarithm of how much more likely the scores are if both show
    one animal. careful: the same by the least favourable model. spots: number of verified matches of the best two
    photos; rows: the rows of these photos.
    """

    asked: int
    other: int
    odds: float
    careful: float
    spots: int
    rows: tuple[int, int]


def compare_sightings(
    session: Session,
    sightings: Sequence[Sequence[int]],
    asked: Sequence[int],
    supposed: Sequence[int] | None = None,
    top: int = 20,
    progress: Callable[[int, int], None] | None = None,
    notes: list[Note] | None = None,
) -> list[PairEvidence]:
    """Return, for each sighting of `asked`, its evidence for up to `top` other sightings, the strongest first.

    sightings: the rows of the catalog in each. supposed: a number for the animal that each sighting is supposed to
    show: sightings of one animal do not silence each other's votes. None: each shows another animal. Sightings of one
    passage are not compared, nor are body parts that differ. A sighting without features, or without any verified
    match, has no evidence. The method of the session has one extractor. notes: those on search indexes that had to be
    built are added to it.
    """
    gallery = by_sighting(session.gallery, sightings, supposed)
    matcher, geometry = session.method.matcher, session.method.geometry
    votes = voter(matcher)
    entry_of = {a.row: n for n, a in enumerate(gallery.annotations)}
    number_of = np.array([int(a.individual or -1) for a in gallery.annotations], np.int64)
    passages = np.array([a.passage for a in gallery.annotations], str)
    parts = np.array([a.body_part for a in gallery.annotations], str)
    if votes is not None:
        for part in BODY_PARTS:
            told = prepare_votes(gallery, votes, part, np.ones(len(gallery.annotations), bool))
            if notes is not None:
                notes += told
    found: list[PairEvidence] = []
    for start in range(0, len(asked), AT_ONCE):
        some = asked[start : start + AT_ONCE]
        waiting: list[tuple[int, str, list[int], Photos]] = []
        for done, number in enumerate(some, start=start):
            if progress is not None:
                progress(done, len(asked))
            entries = [entry_of[row] for row in sightings[number] if row in entry_of]
            for part in sorted({str(parts[e]) for e in entries}, key=BODY_PARTS.index):
                own = [e for e in entries if parts[e] == part and gallery.feature_count(e)]
                open_to = np.array([same_part(part, p) for p in parts], bool)
                open_to &= (passages != passages[own[0]]) & (number_of >= 0) if own else False
                if own and open_to.any():
                    waiting.append((number, part, own, Photos([gallery.subject(e) for e in own], open_to)))
        matched: dict[int, tuple[Matches, ...]] = {}
        for part in dict.fromkeys(part for _, part, _, _ in waiting):
            mine = [n for n, each in enumerate(waiting) if each[1] == part]
            matches = match_many([waiting[n][3] for n in mine], gallery, part, matcher)
            matched |= dict(zip(mine, matches, strict=True))
        odds: dict[int, dict[int, np.ndarray]] = {number: {} for number in some}
        whole: dict[int, dict[int, np.ndarray]] = {number: {} for number in some}  # of photos without box or mask
        best: dict[int, dict[int, tuple[int, int, int]]] = {number: {} for number in some}
        for place, (number, part, own, photos) in enumerate(waiting):
            scores = score_matches(photos.subjects, matched[place], gallery, photos.allowed, matcher, geometry)
            models = _models(session, own, part, gallery)
            rich = float(np.mean([len(s) for s in photos.subjects]))
            compared = np.unique(gallery.individual_numbers[photos.allowed])
            log = np.zeros((2, len(gallery.individuals)))
            log[:, compared] = _log_odds(models, scores.evidence[compared], rich)
            for n in np.flatnonzero(scores.evidence > VERIFIED).tolist():
                other = int(gallery.individuals[n].individual or -1)
                said = odds if all(gallery.foreground.evidence(e) in OUTLINED for e in own) else whole
                said[number][other] = said[number].get(other, np.zeros(2)) + log[:, n]
                shown = np.flatnonzero((gallery.individual_numbers == n) & photos.allowed)
                entry = int(shown[np.argmax(scores.ranking[shown])])
                spots = [int((m.annotation == entry).sum()) for m in scores.matches]
                photo = int(np.argmax(spots))
                if spots[photo] > best[number].get(other, (0, 0, 0))[0]:
                    rows = gallery.annotations[own[photo]].row, gallery.annotations[entry].row
                    best[number][other] = (spots[photo], *rows)
        for number in some:
            for other, log in whole[number].items():
                odds[number][other] = odds[number].get(other, np.zeros(2)) + np.minimum(log, MOST_WHOLE)
            strongest = sorted(odds[number], key=lambda other: (-float(odds[number][other][0]), other))[:top]
            for other in strongest:
                count, own_row, other_row = best[number].get(other, (0, 0, 0))
                mean, careful = (float(value) for value in odds[number][other])
                found.append(PairEvidence(number, other, mean, careful, count, (own_row, other_row)))
    if progress is not None:
        progress(len(asked), len(asked))
    return found


def prepare_votes(gallery: Gallery, votes: Any, part: str, allowed: np.ndarray) -> list[Note]:
    """Load the search indexes as `Gallery.prepare`, and return its notes. `doctor` tells those that were damaged: not
    every page that compares photos has a place for notes.
    """
    notes = gallery.prepare(votes.backend, part, allowed, votes.foreground)
    for note in notes:
        if note.data["damaged"] and note.data["kept"]:
            keep_mended(gallery.index_folder / note.data["index"])
    return notes


def by_sighting(gallery: Gallery, sightings: Sequence[Sequence[int]], supposed: Sequence[int] | None = None) -> Gallery:
    """Return the gallery with the number of its sighting as the name of each annotation.

    sightings, supposed: as for `compare_sightings`.
    """
    number: Mapping[int, int] = {row: n for n, rows in enumerate(sightings) for row in rows}
    annotations = tuple(
        replace(a, individual=f"{number[a.row]:09d}" if a.row in number else None) for a in gallery.annotations
    )
    animals = range(len(sightings)) if supposed is None else supposed
    kin = np.array([animals[number[a.row]] if a.row in number else -1 for a in annotations], np.int64)
    lone = kin < 0
    kin[lone] = kin.max(initial=0) + 1 + np.arange(lone.sum())
    return replace(gallery, annotations=annotations, supposed=kin)


def _models(session: Session, own: Sequence[int], part: str, gallery: Gallery) -> Sequence[Model]:
    calibration = session.calibration
    if calibration is None:
        return ()
    outlined, masked = (all(gallery.foreground.evidence(e) in kinds for e in own) for kinds in (OUTLINED, ("mask",)))
    group = calibration.group(outlined, masked, part)
    return calibration.groups.get(group, ()) if group is not None else ()


def _log_odds(models: Sequence[Model], scores: np.ndarray, features: float) -> np.ndarray:
    """Return (2, I) the natural logarithm of the likelihood ratio of each score, one animal or two: mean and lowest of
    the models.

    scores: (I,) of the sightings that are compared. A score that is not verified has 0. For the lowest, others that
    match nothing make no score say more, as in `model.probabilities`.
    """
    if not models:
        return np.zeros((2, len(scores)))
    beside = beside_others(scores)
    mean = np.mean([_of_model(model, beside, features) for model in models], axis=0)
    lowest = np.min([_of_model(model, np.minimum(beside, scores), features) for model in models], axis=0)
    return np.where(scores > VERIFIED, np.stack([mean, lowest]), 0.0)


def _of_model(model: Model, scores: np.ndarray, features: float) -> np.ndarray:
    """Return (I,) the natural logarithm of the likelihood ratio of each score by one model."""
    speaks = evidence(scores, model.knots) @ np.array([model.accepted, *model.slopes])
    against = model.new + model.features * float(richness(features, model.usual_features))
    return np.asarray(speaks - np.logaddexp(0.0, against - np.log(model.individuals)) + np.log(2.0))
