"""A catalog at one moment together with a method: everything that a query needs, ready for many queries."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from snowmatch.catalog.evidence import count_encounter_pairs
from snowmatch.catalog.load import CatalogData
from snowmatch.catalog.records import current_status, load_records, paths_with
from snowmatch.catalog.states import AnnotationState, annotation_states, state_notes
from snowmatch.confidence.file import CalibrationFile, choose, load_calibrations
from snowmatch.confidence.model import Calibration
from snowmatch.core.collection import without_collection
from snowmatch.core.errors import SnowmatchError
from snowmatch.core.files import file_sha256
from snowmatch.core.home import features_path, indexes_path
from snowmatch.core.notes import Note
from snowmatch.core.plugins import Extractor, make_plugin, settings, settings_key
from snowmatch.core.text import counted
from snowmatch.core.types import Annotation
from snowmatch.core.version import __version__
from snowmatch.decisions.named import checked_names
from snowmatch.features.made_with import check_weights, index_folder, indexes_of_others
from snowmatch.features.reader import FeatureReader, list_features, open_features, unused_features, unused_note
from snowmatch.features.segments import features_folder
from snowmatch.identify.method import DEFAULT_MATCHER, Method, as_method, settings_text
from snowmatch.matching.gallery import Gallery, fit_memory, make_gallery, named_again
from snowmatch.matching.geometry.frames import Geometry
from snowmatch.matching.search.loaded import Loaded
from snowmatch.matching.search.shelf import NotKeptError
from snowmatch.photos.likeness import Likenesses
from snowmatch.screening.classifiers.efficientnet_lite0 import texture_is_here
from snowmatch.screening.finders import finders_here, finders_in_words
from snowmatch.screening.maps import maps_stamp
from snowmatch.screening.middle import load_middle
from snowmatch.screening.scenes import Finders
from snowmatch.screening.stored_maps import StoredMaps, open_maps

# A note suggests a new calibration if this many times as many encounters have names as when it was made
GROWN = 1.5


@dataclass(frozen=True, eq=False)
class Session:
    """A method and the data that it compares with. It never changes, and several threads may use it at the same time.

    states: the state of every annotation of the catalog.
    galleries: one for each extractor, all with the same annotations in the same order.
    calibration: of this method; None if there is none. notes: notes for every answer.
    """

    data: CatalogData
    method: Method
    states: tuple[AnnotationState, ...]
    galleries: tuple[Gallery, ...]
    calibration: Calibration | None
    notes: tuple[Note, ...]

    @property
    def folder(self) -> Path:
        """The folder of the catalog."""
        return self.data.folder

    @property
    def gallery(self) -> Gallery:
        """The gallery of the first extractor."""
        return self.galleries[0]

    @property
    def fits_memory(self) -> bool:
        """Whether the search indexes of all extractors may be loaded together."""
        return fit_memory(self.galleries)

    def map_notes(self) -> list[Note]:
        """Return notes on foreground maps that were read and found damaged."""
        return [note for gallery in self.galleries[:1] for note in gallery.maps.notes()]

    def missing_maps(self) -> list[Note]:
        """Return a note if photos of the catalog have no foreground map yet, and maps are used."""
        galleries = [g for g in self.galleries[:1] if self.method.matcher.foreground != "given"]
        told = [
            note for g in galleries for note in g.foreground.evidence_notes(np.arange(len(g.annotations)), self.folder)
        ]
        return [note for note in told if note.code == "maps-missing"]

    @cached_property
    def finders(self) -> Finders:
        """What finds the animal in photos that are not on record, without what is not on this computer: the file of a
        classifier that somebody taught, plugins of other packages, or what was learned, if its file is damaged.
        """
        settings = self.data.settings
        finders = finders_here(settings.classifier, settings.segmenter)
        with suppress(SnowmatchError):
            finders = replace(finders, middle=load_middle(self.folder) if finders.sees else None)
        return finders

    @property
    def finds_boxes(self) -> bool:
        """Whether an animal without a box or mask gets the box that snowmatch finds."""
        return self.data.settings.boxes and self.method.matcher.foreground == "auto"

    def rows_of(self, content: str, photo: Path) -> list[Annotation]:
        """Return the catalog's annotations of all photos with this content, in the order of the catalog.

        content: the sha256 of the query photo. photo: its path. Photos with a current record are found by their
        recorded sha256. Photos of the catalog without one are read if they have the same size as the query photo. No
        such annotation: returns an empty list.
        """
        known = paths_with(self.folder, content)
        paths = {path for path, taken in known.items() if current_status(f"{self.folder}/{path}", taken) is not None}
        size = photo.stat().st_size
        for path in self._unread:
            file = self.folder / path
            if file.is_file() and file.stat().st_size == size and file_sha256(file) == content:
                paths.add(path)
        return sorted((a for path in paths for a in self._by_path.get(path, ())), key=lambda a: a.row)

    @cached_property
    def encounter_pairs(self) -> int:
        """The number of pairs of encounters that show one individual with the same body part (or `unknown`).

        Names are those of `checked_names`, as a calibration counts them.
        """
        return count_encounter_pairs(checked_names(self.data.annotations, self.data.lent))

    @cached_property
    def _unread(self) -> tuple[str, ...]:
        """The paths of photos that have no current record."""
        pairs = zip(self.data.annotations, self.states, strict=True)
        return tuple(dict.fromkeys(a.path for a, state in pairs if not state.photo_sha256))

    def of_encounter(self, name: str) -> list[Annotation]:
        """Return the catalog's annotations of one encounter, in its order; none for an unknown one."""
        return self._by_encounter.get(name, [])

    def encounters_of(self, passage: str) -> set[str]:
        """Return the names of the encounters that are one passage; none for an unknown one."""
        return self._by_passage.get(passage, set())

    @cached_property
    def likenesses(self) -> tuple[list[str], Likenesses]:
        """The paths of the photos whose facts are known, and their likenesses."""
        facts = self.data.facts
        return list(facts), Likenesses([known.likeness for known in facts.values()])

    @cached_property
    def _by_encounter(self) -> dict[str, list[Annotation]]:
        found: dict[str, list[Annotation]] = {}
        for a in self.data.annotations:
            found.setdefault(a.encounter, []).append(a)
        return found

    @cached_property
    def _by_passage(self) -> dict[str, set[str]]:
        found: dict[str, set[str]] = {}
        for a in self.data.annotations:
            found.setdefault(a.passage, set()).add(a.encounter)
        return found

    @cached_property
    def _by_path(self) -> dict[str, list[Annotation]]:
        """The annotations of each photo, by path."""
        found: dict[str, list[Annotation]] = {}
        for a in self.data.annotations:
            found.setdefault(a.path, []).append(a)
        return found


@dataclass(frozen=True)
class Galleries:
    """A cache of the galleries of one catalog. A gallery is used again as long as its data have not changed.

    Names and body parts are data, too: persons decide them while the catalog is open.
    """

    _cached: dict[str, tuple[Any, tuple[Annotation, ...], Gallery]] = field(default_factory=dict)
    _maps: dict[Any, StoredMaps] = field(default_factory=dict)  # by their stamp: those of all galleries
    loaded: Loaded = field(default_factory=Loaded)  # the search indexes of all galleries
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def get(
        self, data: CatalogData, reader: FeatureReader, states: Sequence[AnnotationState], *, part: bool
    ) -> Gallery:
        """Return the gallery of the indexed annotations, ready to be searched.

        reader: the features of one extractor. states: the current states of all annotations of the catalog.
        part: True if some annotations with features are skipped, because another extractor has no features of them.
        """
        key = settings_key(reader.described)
        folder = features_folder(features_path(data.folder), reader.described)
        name = folder.name + ("-part" if part else "")
        keys = tuple(state.key for state in states)
        with self._lock:
            stamp = maps_stamp(data.folder)
            maps = self._maps.get(stamp)
            if maps is None or maps.mended():  # the stamp of a map that was made again is that of the damaged one
                self._maps.clear()
                maps = self._maps[stamp] = open_maps(data.folder)
            indexes = index_folder(indexes_path(data.folder), folder)
            now = keys, maps, indexes, reader.files  # a damaged file is replaced by one with the same keys
            annotations = data.annotations
            entry = self._cached.get(name)
            if entry is None or entry[0] != now:
                made = make_gallery(annotations, keys, reader, indexes, key, maps, self.loaded)
                entry = self._cached[name] = now, annotations, made
            elif entry[1] != annotations:
                entry = self._cached[name] = now, annotations, named_again(entry[2], annotations, keys)
            return entry[2]

    def clear(self) -> None:
        """Remove all galleries from the cache."""
        with self._lock:
            self._cached.clear()
            self._maps.clear()


def open_session(data: CatalogData, method: Method, cache: Galleries) -> Session:
    """Return the session for queries of this catalog with this method. cache: galleries that were made before.

    Raises SnowmatchError if the catalog is not indexed with the extractors of the method.
    """
    states, galleries = indexed(data, method, cache)
    asked = {"extractor": method.extractor, "matcher": method.matching}
    calibrations = load_calibrations(data.folder, asked)
    calibration, refused = choose(calibrations, method.extractor, method.matching, __version__)
    about = {"catalog": str(data.folder), **asked}
    notes = [note for note in data.notes if note.code in ("settings-damaged", "names-refused")]
    notes += state_notes(data.folder, states, method.extractor)
    held = {str(described["name"]) for described in list_features(features_path(data.folder))}
    unused = [each for each in unused_features(features_path(data.folder)) if each.name.rpartition("-")[0] not in held]
    if unused:  # of an extractor that would have answered, perhaps
        notes.append(unused_note(unused))
    if refused:
        text = f"the calibration of this catalog is not used, {refused}: calibrate it again"
        notes.append(Note("calibration-refused", text, about))
    if calibration is None:
        notes.append(Note("not-calibrated", "not calibrated: scores can be compared within this answer only", about))
    elif calibration.source == "catalog" and (other := _found_otherwise(data, calibrations, method)):
        notes.append(Note("calibration-found-otherwise", other, about))
    elif outgrown(calibration, checked := checked_names(data.annotations, data.lent)):
        named = named_encounters(checked)
        text = f"calibrated when {calibration.named} encounters had names, but {named} have names now: calibrate again"
        notes.append(Note("calibration-outgrown", text, about))
    return Session(data, method, states, galleries, calibration, tuple(notes))


@without_collection()
def indexed(
    data: CatalogData, method: Method, cache: Galleries
) -> tuple[tuple[AnnotationState, ...], tuple[Gallery, ...]]:
    """Return the state of every annotation, and one gallery for each extractor of the method.

    All galleries contain the same annotations: those that every extractor has indexed. Raises SnowmatchError if an
    extractor has indexed nothing, or with other weights.
    """
    records = load_records(data.folder)
    readers = [open_features(features_path(data.folder), settings(plugin)) for plugin in method.extractors]
    states_of_readers = []
    for plugin, reader in zip(method.extractors, readers, strict=True):
        states = annotation_states(data.folder, data.annotations, records, reader.keys)
        _check_indexed(data.folder, states, reader.described)
        check_weights(features_path(data.folder), plugin)
        states_of_readers.append(states)
    if len(readers) == 1:
        return states, (cache.get(data, readers[0], states, part=False),)
    # An annotation that one extractor has not indexed counts as not indexed
    joint = tuple(next((s for s in each if s.key is None), each[0]) for each in zip(*states_of_readers, strict=True))
    if all(state.key is None for state in joint):
        counts = [sum(state.key is not None for state in states) for states in states_of_readers]
        fewest = readers[counts.index(min(counts))].described
        names = " and ".join(reader.described["name"] for reader in readers)
        raise SnowmatchError(
            f"no annotation in {data.folder} is indexed with all of {names}: index it with {fewest['name']}, "
            f"which has {counted(min(counts), 'annotation')}",
            "not-indexed",
            catalog=str(data.folder),
            extractor=fewest["name"],
            settings=fewest,
        )
    keys = [state.key for state in joint]
    partial = [[state.key for state in states] != keys for states in states_of_readers]
    pairs = zip(readers, partial, strict=True)
    return joint, tuple(cache.get(data, reader, joint, part=part) for reader, part in pairs)


def build_index(
    data: CatalogData,
    extractor: Extractor,
    cache: Galleries,
    progress: Callable[[int, int], None] | None = None,
) -> tuple[Note, ...]:
    """Bring the search index of the default matcher up to date, so that the first query does not wait for it.

    A part of the existing index is checked; that of features of other weights is deleted. progress: as of
    `Gallery.build_indexes`. Returns notes on blocks that were damaged and were built again, or on an index that could
    not be stored: it then stays as it was.
    """
    votes = make_plugin("matchers", DEFAULT_MATCHER)
    _, (gallery,) = indexed(data, as_method([extractor], votes, Geometry()), cache)
    try:
        damaged = gallery.build_indexes(progress)
    except NotKeptError as error:
        text = f"the search index could not be stored, so the first query builds what is missing ({error})"
        return (Note("indexes-not-kept", text, {"catalog": str(data.folder)}),)
    own = gallery.index_folder
    for other in indexes_of_others(own, features_folder(features_path(data.folder), gallery.reader.described)):
        shutil.rmtree(other, ignore_errors=True)  # on Windows, what another process has opened stays
    if not damaged:
        return ()
    text = f"{counted(damaged, 'search index', 'search indexes')} had damaged files and were built again"
    return (Note("indexes-mended", text, {"count": damaged}),)


def found_by(data: CatalogData) -> str:
    """Return how animals without a box or mask are found in a catalog, in words."""
    settings, middle = data.settings, None
    with suppress(SnowmatchError):
        middle = load_middle(data.folder) if texture_is_here() else None
    learned = "" if middle is None else middle.mark
    return finders_in_words(settings.classifier, settings.segmenter, boxes=settings.boxes, learned=learned)


def _found_otherwise(data: CatalogData, calibrations: CalibrationFile, method: Method) -> str:
    """Return the text of a note if animals were found in another way when the catalog was calibrated; "" otherwise."""
    learned, now = calibrations.of(method.extractor, method.matching), found_by(data)
    if learned is None or learned.found_by in ("", now):
        return ""
    return (
        f"calibrated when animals without a box or mask were found with {learned.found_by}, now it is {now}: the "
        "probabilities may be too high or too low, calibrate again"
    )


def outgrown(calibration: Calibration, annotations: Sequence[Annotation]) -> bool:
    """Return whether a calibration is of this catalog, and GROWN times as many encounters as then have names now.

    annotations: with the names of `checked_names`.
    """
    return calibration.source == "catalog" and named_encounters(annotations) >= GROWN * calibration.named


def named_encounters(annotations: Sequence[Annotation]) -> int:
    """Return the number of encounters with a named animal. An encounter counts once for each named animal."""
    return len({(a.encounter, a.individual) for a in annotations if a.individual is not None})


def _check_indexed(folder: Path, states: Sequence[AnnotationState], described: Mapping[str, Any]) -> None:
    """Raise SnowmatchError if no annotation is indexed. described: the settings of the extractor."""
    if any(state.key is not None for state in states):
        return
    about = {"catalog": str(folder), "extractor": described["name"], "settings": described}
    if all(state.state == "stale" for state in states):
        raise SnowmatchError(
            f"every annotation in {folder} has changed since the last index run (its photo, its box or its mask): "
            "index the catalog again",
            "not-indexed",
            **about,
        )
    stored = "; ".join(f"{d['name']} ({settings_text(d)})" for d in list_features(features_path(folder))) or "nothing"
    raise SnowmatchError(
        f"none of the {counted(len(states), 'annotation')} in {folder} is indexed with these settings (indexed with: "
        f"{stored}): index it first",
        "not-indexed",
        **about,
    )
