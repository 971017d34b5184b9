"""A catalog as it was at one moment, with a method: all that a query needs, ready for many queries at once."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from snowmatch.catalog.evidence import count_encounter_pairs
from snowmatch.catalog.load import CatalogData
from snowmatch.catalog.records import is_current, load_records, paths_with
from snowmatch.catalog.states import AnnotationState, annotation_states, state_notes
from snowmatch.confidence.file import choose, load_calibrations
from snowmatch.confidence.model import Calibration
from snowmatch.core.errors import SnowmatchError
from snowmatch.core.files import file_sha256
from snowmatch.core.home import features_path, indexes_path
from snowmatch.core.notes import Note
from snowmatch.core.plugins import Extractor, make_plugin, settings, settings_key
from snowmatch.core.text import counted
from snowmatch.core.types import Annotation
from snowmatch.core.version import __version__
from snowmatch.features.reader import FeatureReader, list_features, open_features
from snowmatch.identify.method import DEFAULT_MATCHER, Method, as_method, settings_text
from snowmatch.matching.gallery import Gallery, make_gallery
from snowmatch.matching.geometry.frames import Geometry
from snowmatch.screening.maps import load_maps, maps_stamp

GROWN = 1.5  # times the encounters it was calibrated on: then a note says that there is more to learn from


@dataclass(frozen=True, eq=False)
class Session:
    """A method and all that it compares with; it does not change, and several threads may ask it at the same time.

    states: of every annotation of the catalog. galleries: one of each extractor, all with the same annotations in the
    same order. notes: what holds for every answer.
    """

    data: CatalogData
    method: Method
    states: tuple[AnnotationState, ...]
    galleries: tuple[Gallery, ...]
    calibration: Calibration | None
    notes: tuple[Note, ...]

    @property
    def folder(self) -> Path:
        """The catalog's."""
        return self.data.folder

    @property
    def gallery(self) -> Gallery:
        """That of the first extractor."""
        return self.galleries[0]

    def rows_of(self, content: str, photo: Path) -> list[Annotation]:
        """The catalog's annotations of a photo with this content (sha256), in the catalog's order.

        Photos on record are looked up by content; one that is not on record yet is read where its size fits.
        """
        paths = {
            path for path, known in paths_with(self.folder, content).items() if is_current(self.folder / path, known)
        }
        size = photo.stat().st_size
        for path in self._unread:
            here = self.folder / path
            if here.is_file() and here.stat().st_size == size and file_sha256(here) == content:
                paths.add(path)
        return sorted((a for path in paths for a in self._by_path.get(path, ())), key=lambda a: a.row)

    @cached_property
    def encounter_pairs(self) -> int:
        """How many pairs of encounters show one individual from the same side."""
        return count_encounter_pairs(self.data.annotations)

    @cached_property
    def _unread(self) -> tuple[str, ...]:
        """Paths of photos of which no current content is known."""
        pairs = zip(self.data.annotations, self.states, strict=True)
        return tuple(dict.fromkeys(a.path for a, state in pairs if not state.photo_sha256))

    @cached_property
    def _by_path(self) -> dict[str, list[Annotation]]:
        found: dict[str, list[Annotation]] = {}
        for a in self.data.annotations:
            found.setdefault(a.path, []).append(a)
        return found


@dataclass(frozen=True)
class Galleries:
    """The galleries of one catalog that were made before, used again as long as nothing in them has changed."""

    _held: dict[str, tuple[Any, Gallery]] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def get(
        self, data: CatalogData, reader: FeatureReader, states: Sequence[AnnotationState], *, part: bool
    ) -> Gallery:
        """The annotations whose features `reader` has, ready to be searched.

        `states` are their states now. `part`: they leave out some that are indexed, which get a search index of their
        own.
        """
        key = settings_key(reader.described)
        name = f"{reader.described['name']}-{key}" + ("-part" if part else "")
        keys = tuple(state.key for state in states)
        with self._lock:
            now = keys, maps_stamp(data.folder)
            held = self._held.get(name)
            if held is None or held[0] != now:
                index_folder = indexes_path(data.folder) / name
                maps = load_maps(data.folder)
                held = now, make_gallery(data.annotations, keys, reader, index_folder, key, maps)
                self._held[name] = held
            return held[1]

    def clear(self) -> None:
        """Forget all of them."""
        with self._lock:
            self._held.clear()


def open_session(data: CatalogData, method: Method, held: Galleries) -> Session:
    """What queries need of the catalog, looked up once for many; SnowmatchError where it is not indexed."""
    states, galleries = indexed(data, method, held)
    calibrations = load_calibrations(data.folder)
    calibration, refused = choose(calibrations, method.extractor, method.matching, __version__)
    about = {"catalog": str(data.folder), "extractor": method.extractor, "matcher": method.matching}
    notes = list(state_notes(data.folder, states))
    if refused:
        text = f"the calibration of this catalog is not used, {refused}: calibrate it again"
        notes.append(Note("calibration-refused", text, about))
    if calibration is None:
        notes.append(Note("not-calibrated", "not calibrated: scores can be compared within this answer only", about))
    elif (
        calibration.source == "catalog"
        and (known := named_encounters(data.annotations)) >= GROWN * calibration.encounters
    ):
        text = f"calibrated on {calibration.encounters} encounters, {known} have names now: calibrate again"
        notes.append(Note("calibration-outgrown", text, about))
    return Session(data, method, states, galleries, calibration, tuple(notes))


def indexed(
    data: CatalogData, method: Method, held: Galleries
) -> tuple[tuple[AnnotationState, ...], tuple[Gallery, ...]]:
    """The state of every annotation, and the galleries of the method's extractors, all of the same annotations.

    What one extractor lacks takes no part. SnowmatchError where one has nothing.
    """
    records = load_records(data.folder)
    readers = [open_features(features_path(data.folder), settings(plugin)) for plugin in method.extractors]
    apart = []
    for reader in readers:
        states = annotation_states(data.folder, data.annotations, records, reader.keys)
        _check_indexed(data.folder, states, reader.described)
        apart.append(states)
    worst = tuple(next((s for s in each if s.key is None), each[0]) for each in zip(*apart, strict=True))
    keys = [state.key for state in worst]
    lacking = [[state.key for state in states] != keys for states in apart]
    pairs = zip(readers, lacking, strict=True)
    return worst, tuple(held.get(data, reader, worst, part=some) for reader, some in pairs)


def build_index(data: CatalogData, extractor: Extractor, held: Galleries) -> tuple[Note, ...]:
    """Build the search index that votes ask, so that the first query does not wait for it.

    An existing index is checked. Returns notes on those that were damaged and were built again.
    """
    votes = make_plugin("matchers", DEFAULT_MATCHER)
    _, (gallery,) = indexed(data, as_method([extractor], votes, Geometry()), held)
    damaged = sum(bool(note.data.get("damaged")) for note in gallery.build_indexes(votes.backend))
    if not damaged:
        return ()
    text = f"{counted(damaged, 'search index', 'search indexes')} had damaged files and were built again"
    return (Note("indexes-mended", text, {"count": damaged}),)


def named_encounters(annotations: Sequence[Annotation]) -> int:
    """How many encounters have an animal with a name; each of its animals counts."""
    return len({(a.encounter, a.individual) for a in annotations if a.individual is not None})


def _check_indexed(folder: Path, states: Sequence[AnnotationState], described: Mapping[str, Any]) -> None:
    if any(state.key is not None for state in states):
        return
    about = {"catalog": str(folder), "extractor": described["name"], "settings": described}
    if all(state.state == "stale" for state in states):
        raise SnowmatchError(
            f"all {len(states)} photos in {folder} have other times or sizes than when they were indexed (copied, "
            "perhaps): index it again; what has the same content is not done again",
            "not-indexed",
            **about,
        )
    held = "; ".join(f"{d['name']} ({settings_text(d)})" for d in list_features(features_path(folder))) or "nothing"
    raise SnowmatchError(
        f"none of the {counted(len(states), 'annotation')} in {folder} is indexed with these settings (indexed are: "
        f"{held}): index it first",
        "not-indexed",
        **about,
    )
