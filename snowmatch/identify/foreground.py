"""The third step of a query: find the foreground of each query photo and the weights of its keypoints."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from snowmatch.core.notes import Note
from snowmatch.core.types import Annotation, Features, Subject
from snowmatch.identify.allow import Allowed
from snowmatch.identify.question import Question
from snowmatch.identify.resolve import AskedPhoto, Resolved, extract
from snowmatch.identify.session import Session
from snowmatch.photos.pixels import read_photo, read_small
from snowmatch.screening.finders import CLASSIFIER_GONE, SEGMENTER_GONE, is_gone
from snowmatch.screening.foreground import (
    ForegroundMap,
    evidence_in_words,
    evidence_of,
    foreground_weights,
    map_beside,
)
from snowmatch.screening.locate import boxes_of
from snowmatch.screening.scenery import Preview
from snowmatch.screening.scenes import (
    LEAST,
    MOST,
    animal_map,
    make_map,
    outline_map,
    read_preview,
    shows_burst,
    station_photos,
    tells,
)

OUTLINED = ("mask", "box")  # the animal has an outline that a person drew
CENTRE = "spots near the centre of the photo count most; give a box, or for a crop let everything count"


@dataclass(frozen=True, eq=False)
class Seen:
    """One query photo with its foreground.

    evidence: what showed where the animal is: `mask`, `box`, the evidence of the map (such as `burst and classifier`),
    `centre` (nothing, so the centre of the photo counts most), or `given` (everything counts).
    map: the foreground map of the photo, or None. place: its location and station, as in `Subject`.
    """

    photo: AskedPhoto
    evidence: str
    map: ForegroundMap | None
    place: tuple[str, str] | None = None

    def subject(self, features: Features) -> Subject:
        """Return the photo with the features of one extractor and their foreground weights.

        There are no weights (all features count fully) if the photo has a box or a mask and no map, or if `evidence` is
        `given`.
        """
        bbox, size = self.photo.bbox, self.photo.image_size
        weights = None
        if self.map is not None or self.evidence not in (*OUTLINED, "given"):
            whole = (0, 0, *size) if self.photo.mask is not None else None
            weights = foreground_weights(features.keypoints, size, self.map, box=bbox or whole)
        return Subject(features, bbox or (0, 0, *size), weights, self.place)


@dataclass(frozen=True, eq=False)
class Foreground:
    """The query photos with their features and foregrounds, and notes on what showed where the animal is.

    seen: the photos with features, which are compared; all photos if none has features. bare: the photos without
    features, if others have some.
    """

    seen: tuple[Seen, ...]
    bare: tuple[Seen, ...]
    notes: tuple[Note, ...]

    @property
    def voting(self) -> tuple[Seen, ...]:
        """The photos with features."""
        return tuple(seen for seen in self.seen if seen.photo.feature_count)


def tell_foreground(session: Session, question: Question, resolved: Resolved, allowed: Allowed) -> Foreground:
    """Return the foreground of each query photo, with the box of the animal if it has to be found.

    A photo on record uses its stored map. For any other photo, a map is computed from the other query photos, from
    photos on record of the question's station, if there are any, and by the classifier. With a mask, the map only
    leaves out bars with text. With the setting foreground=given, everything counts.
    """
    photos = resolved.photos
    if session.method.matcher.foreground == "given":
        seen = [Seen(a, outline_of(a) or "given", None, _place(session, question, a)) for a in photos]
        return _foreground(seen, ())
    station: list[Preview] | None = None
    seen = []
    for a in photos:
        found = session.gallery.maps.of_content(a.content) if a.content else None
        if found is None and a.mask is not None:
            found = make_map(a.preview, (), ())
        elif found is None:
            if station is None:
                station = _station_previews(session, question, allowed)
            others = [b.preview for b in photos if not np.array_equal(b.preview.grey, a.preview.grey)]  # not itself
            found = make_map(a.preview, others[:MOST], station, *_networks(session, a, others[:MOST], station))
        found = map_beside(found, masked=a.mask is not None, boxed=a.drawn_box is not None)
        if a.features is None:
            a = _with_features(session, a, found)
        evidence = evidence_of(outline_of(a), found.evidence if found is not None else None)
        seen.append(Seen(a, evidence, found, _place(session, question, a)))
    notes = (
        *_query_notes(seen),
        *_missing_classifier(session),
        *_missing_segmenter(session),
        *_missing_middle(session),
        *session.gallery.foreground.evidence_notes(np.flatnonzero(allowed.entries), session.folder),
    )
    return _foreground(seen, notes)


def _missing_classifier(session: Session) -> list[Note]:
    """Return a note if the catalog's classifier, or the one that its maps were made with, is not on this computer."""
    if session.finders.classifier is not None:
        return []
    if is_gone("classifiers", name := session.data.settings.classifier):
        return [_gone(session, CLASSIFIER_GONE, f"the catalog's classifier {name} is", file=name)]
    if not any(map(session.gallery.foreground.shown_by, ("classifier", "middle"))):
        return []
    return [_gone(session, "no-classifier", "the catalog was indexed with a classifier whose weights are")]


def _missing_segmenter(session: Session) -> list[Note]:
    """Return a note if the catalog's segmenter is not on this computer."""
    if not is_gone("segmenters", name := session.data.settings.segmenter):
        return []
    return [_gone(session, SEGMENTER_GONE, f"the catalog's segmenter {name} is", file=name)]


def _gone(session: Session, code: str, what: str, **about: str) -> Note:
    text = f"{what} not on this computer: in photos outside the catalog, the animal is found less well"
    return Note(code, text, {"catalog": str(session.folder), **about})


def _missing_middle(session: Session) -> list[Note]:
    """Return a note if maps of the catalog were made by what was learned from its photos, and that cannot be used."""
    finders = session.finders
    if finders.classifier is None or finders.middle is not None or not session.gallery.foreground.shown_by("middle"):
        return []
    about = {"catalog": str(session.folder)}
    if finders.sees:
        text = "what was learned from the middles of the catalog's photos is missing or damaged: index again"
        return [Note("no-middle", text, about)]
    text = (
        "the catalog was indexed with the weights efficientnet-lite0 (.pth), which are not on this computer: in photos "
        "outside the catalog, the animal is found less well"
    )
    return [Note("no-texture", text, about)]


def _foreground(photos: Sequence[Seen], notes: Sequence[Note]) -> Foreground:
    """Return the foreground of the photos, with notes on those without features."""
    voting = tuple(seen for seen in photos if seen.photo.feature_count)
    bare = tuple(seen for seen in photos if not seen.photo.feature_count)
    told = []
    for seen in bare:
        name = seen.photo.path or "the photo"
        told.append(Note("no-features", f"{name} has no features to compare", {"photo": seen.photo.path}))
    return Foreground(voting or bare, bare if voting else (), (*told, *notes))


def _networks(
    session: Session, photo: AskedPhoto, burst: Sequence[Preview], station: Sequence[Preview]
) -> tuple[np.ndarray | None, np.ndarray | None, np.ndarray | None]:
    """Return where the classifier, the segmenter, and what was learned from the catalog, see the animal in a photo:
    (h, w) float32, or None.
    """
    finders, animal, outline, middle = session.finders, None, None, None
    given, path = photo.image, Path(photo.path)
    small = read_small(path, LEAST) if given is None and (finders.classifier or finders.middle) else given
    if finders.classifier is not None and small is not None:
        animal = animal_map(finders.classifier.classify(small))
    if finders.segmenter is not None and not shows_burst(photo.preview, burst):
        outline = outline_map(finders.segmenter, read_photo(path) if given is None else given)
    nothing = animal is None and outline is None and outline_of(photo) == ""
    if finders.middle is not None and small is not None and nothing and not tells(photo.preview, burst, station):
        middle = finders.middle.animal(small)
    return animal, outline, middle


def _with_features(session: Session, photo: AskedPhoto, found: ForegroundMap | None) -> AskedPhoto:
    """Return a photo with the box of the animal in its map, if it shows one, and with the features inside the box."""
    box = next(iter(boxes_of(found, photo.image_size)), None)
    pixels = photo.image if photo.image is not None else read_photo(Path(photo.path))
    box_by = found.evidence if box is not None and found is not None else ""
    return replace(photo, bbox=box, box_by=box_by, features=extract(session, pixels, box, None))


def _place(session: Session, question: Question, photo: AskedPhoto) -> tuple[str, str] | None:
    """Return the location and the station of a query photo; None if the station is not known.

    The question's station counts first, then that of a row on record.
    """
    if question.station is not None:
        return (question.locations[0] if len(question.locations) == 1 else "", question.station)
    rows = [a for name in photo.encounters for a in session.of_encounter(name) if a.station]
    first = min(rows, key=lambda a: a.row, default=None)
    return (first.location, first.station) if first is not None else None


def outline_of(photo: AskedPhoto | Annotation) -> str:
    """Return what outlines the animal: `mask`, `box` or "" (nothing)."""
    masked = bool(photo.mask) if isinstance(photo, Annotation) else photo.mask is not None
    return "mask" if masked else "box" if photo.drawn_box is not None else ""


def _station_previews(session: Session, question: Question, allowed: Allowed) -> list[Preview]:
    """Return previews of photos on record from the question's station. Excluded encounters are skipped.

    Returns an empty list if the question has no station.
    """
    if question.station is None:
        return []
    at_station = [
        (a, state.photo_sha256)
        for a, state in zip(session.data.annotations, session.states, strict=True)
        if a.station == question.station and a.encounter not in allowed.excluded
        if not question.locations or a.location in question.locations
    ]
    read = (read_preview(session.folder / path, content) for path, content in station_photos(at_station))
    return [preview for preview in read if preview is not None]


def _query_notes(seen: Sequence[Seen]) -> list[Note]:
    """Return a note for each way in which the animal was found in photos with neither a box nor a mask."""
    photos: dict[tuple[str, bool], list[str]] = {}
    for s in seen:
        if s.evidence not in (*OUTLINED, "given"):
            photos.setdefault((s.evidence, s.photo.bbox is not None), []).append(s.photo.path or "the photo")
    notes = []
    for (evidence, boxed), paths in sorted(photos.items()):
        text = CENTRE if evidence == "centre" else f"spots count where {evidence_in_words(evidence)}"
        if boxed:
            text += ", inside the box that was found there"
        about = {"evidence": evidence, "boxed": boxed, "photos": paths}
        code = f"animal-by-{evidence.replace(' ', '-')}"
        notes.append(Note(code, f"no box or mask of {', '.join(paths)}: {text}", about))
    return notes
