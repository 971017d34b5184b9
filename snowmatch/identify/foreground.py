"""Third step of a query: what of each photo is animal, and how much each spot counts."""

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

OUTLINED = ("mask", "box")  # evidence with which all that was extracted counts
TEXTS = {
    "burst": "what moved between the frames of the burst counts",
    "station": "what other photos of the station do not show counts, most near the centre",
    "burst and station": "what moved in the burst and is not in other photos of the station counts",
    "centre": "what lies about its centre counts; give a box, or let everything count where photos are crops",
}


@dataclass(frozen=True, eq=False)
class Seen:
    """One photo of the query with its animal told from the scenery.

    evidence: what tells (`mask`, `box`, `burst`, `station`, `burst and station`, `centre`, or `given` where everything
    counts); map: what other photos of the place say, where they tell.
    """

    photo: AskedPhoto
    evidence: str
    map: ForegroundMap | None

    def subject(self, features: Features) -> Subject:
        """The photo with one extractor's features; where a mask tells, or all is given, all of them count."""
        bbox, size = self.photo.bbox, self.photo.image_size
        weights = None
        if self.map is not None or self.evidence not in (*OUTLINED, "given"):
            weights = foreground_weights(features.keypoints, size, self.map, boxed=bbox is not None)
        return Subject(features, bbox or (0, 0, *size), weights)


@dataclass(frozen=True, eq=False)
class Foreground:
    """The photos that vote, or all where none does, and what told the animals of query and catalog from scenery."""

    seen: tuple[Seen, ...]
    notes: tuple[Note, ...]


def tell_foreground(session: Session, question: Question, resolved: Resolved, allowed: Allowed) -> Foreground:
    """What tells the animal from the scenery in each photo of the query: the map on record, or one made now.

    A photo that is not on record is compared with the other photos of the query, and with those of its station.
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
    """What outlines the animal: `mask`, `box` or ""."""
    masked = bool(photo.mask) if isinstance(photo, Annotation) else photo.mask is not None
    return "mask" if masked else "box" if photo.bbox is not None else ""


def _station_previews(session: Session, question: Question, allowed: Allowed) -> list[Preview]:
    """Small copies of photos on record of the question's station, of other passages."""
    there = [
        (a, state.photo_sha256)
        for a, state in zip(session.data.annotations, session.states, strict=True)
        if question.station is not None and a.station == question.station and a.encounter not in allowed.excluded
        if not question.locations or a.location in question.locations
    ]
    read = (read_preview(session.folder / path, content) for path, content in station_photos(there))
    return [preview for preview in read if preview is not None]


def _query_notes(seen: Sequence[Seen]) -> list[Note]:
    """What told the animal from the scenery in the photos that have neither box nor mask."""
    notes = []
    for evidence, text in TEXTS.items():
        if bare := [s.photo.path or "the photo" for s in seen if s.evidence == evidence]:
            about = {"evidence": evidence, "photos": bare}
            notes.append(
                Note(f"animal-by-{evidence.replace(' ', '-')}", f"no box or mask of {', '.join(bare)}: {text}", about)
            )
    return notes
