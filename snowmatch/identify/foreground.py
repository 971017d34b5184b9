"""The third step of a query: find the foreground of each query photo and the weights of its keypoints."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from snowmatch.core.notes import Note
from snowmatch.core.types import Annotation, Features, Subject
from snowmatch.identify.allow import Allowed
from snowmatch.identify.question import Question
from snowmatch.identify.resolve import AskedPhoto, Resolved
from snowmatch.identify.session import Session
from snowmatch.screening.foreground import ForegroundMap, evidence_of, foreground_weights
from snowmatch.screening.scenery import Preview
from snowmatch.screening.scenes import MOST, make_map, read_preview, station_photos

OUTLINED = ("mask", "box")  # the animal has an outline that a person or a detector drew
TEXTS = {
    "burst": "keypoints count where something moved between the frames of the burst",
    "station": "keypoints count where other photos of the station show something else, most near the centre",
    "burst and station": "keypoints count where something moved in the burst and other photos of the station show "
    "something else",
    "centre": "keypoints near the centre of the photo count most; give a box, or for a crop let everything count",
}


@dataclass(frozen=True, eq=False)
class Seen:
    """One query photo with its foreground.

    evidence: the source of the foreground: `mask`, `box`, `burst`, `station`, `burst and station`, `centre` (no source,
    so the centre of the photo counts most), or `given` (everything counts).
    map: the foreground map computed from other photos of the same place, or None.
    """

    photo: AskedPhoto
    evidence: str
    map: ForegroundMap | None

    def subject(self, features: Features) -> Subject:
        """Return the photo with the features of one extractor and their foreground weights.

        There are no weights (all features count fully) if the photo has a mask, if it has a box and no map, or if
        `evidence` is `given`.
        """
        bbox, size = self.photo.bbox, self.photo.image_size
        weights = None
        if self.map is not None or self.evidence not in (*OUTLINED, "given"):
            weights = foreground_weights(features.keypoints, size, self.map, boxed=bbox is not None)
        return Subject(features, bbox or (0, 0, *size), weights)


@dataclass(frozen=True, eq=False)
class Foreground:
    """The query photos that are compared, with their foregrounds, and notes on the sources of the foregrounds.

    seen: the photos with features; all photos if none has features.
    """

    seen: tuple[Seen, ...]
    notes: tuple[Note, ...]


def tell_foreground(session: Session, question: Question, resolved: Resolved, allowed: Allowed) -> Foreground:
    """Return the foreground of each query photo.

    A photo with a mask needs no map. A photo on record uses its stored map. For any other photo, a map is computed from
    the other query photos and from photos on record of the question's station, if there are any. With the setting
    foreground=given, everything counts.
    """
    photos = resolved.voting or resolved.bare
    if session.method.matcher.foreground == "given":
        return Foreground(tuple(Seen(a, outline_of(a) or "given", None) for a in photos), ())
    station: list[Preview] | None = None
    seen = []
    for a in photos:
        found = None if a.mask is not None else session.gallery.maps.of_content(a.content)
        if a.mask is None and found is None:
            if station is None:
                station = _station_previews(session, question, allowed)
            others = [b.preview for b in photos if not np.array_equal(b.preview.grey, a.preview.grey)]  # not itself
            found = make_map(a.preview, others[:MOST], station)
        seen.append(Seen(a, evidence_of(outline_of(a), found), found))
    notes = (*_query_notes(seen), *session.gallery.evidence_notes(np.flatnonzero(allowed.entries)))
    return Foreground(tuple(seen), notes)


def outline_of(photo: AskedPhoto | Annotation) -> str:
    """Return what outlines the animal: `mask`, `box` or "" (nothing)."""
    masked = bool(photo.mask) if isinstance(photo, Annotation) else photo.mask is not None
    return "mask" if masked else "box" if photo.bbox is not None else ""


def _station_previews(session: Session, question: Question, allowed: Allowed) -> list[Preview]:
    """Return previews of photos on record from the question's station. Excluded encounters are skipped.

    Returns an empty list if the question has no station.
    """
    at_station = [
        (a, state.photo_sha256)
        for a, state in zip(session.data.annotations, session.states, strict=True)
        if question.station is not None and a.station == question.station and a.encounter not in allowed.excluded
        if not question.locations or a.location in question.locations
    ]
    read = (read_preview(session.folder / path, content) for path, content in station_photos(at_station))
    return [preview for preview in read if preview is not None]


def _query_notes(seen: Sequence[Seen]) -> list[Note]:
    """Return one note for each source of the foregrounds of photos with neither a box nor a mask."""
    notes = []
    for evidence, text in TEXTS.items():
        if bare := [s.photo.path or "the photo" for s in seen if s.evidence == evidence]:
            about = {"evidence": evidence, "photos": bare}
            notes.append(
                Note(f"animal-by-{evidence.replace(' ', '-')}", f"no box or mask of {', '.join(bare)}: {text}", about)
            )
    return notes
