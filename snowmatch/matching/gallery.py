"""The gallery: the annotations that may answer queries, with their features, labels and search indexes."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from operator import itemgetter
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from snowmatch.core.executor import changed_there
from snowmatch.core.notes import Note
from snowmatch.core.types import BODY_PARTS, Annotation, Subject, same_part
from snowmatch.features.reader import FeatureReader
from snowmatch.matching.gallery_foreground import GalleryForeground
from snowmatch.matching.search.block import Block, Home, LazyIndex
from snowmatch.matching.search.blocks import prepare
from snowmatch.matching.search.forest import FlannIndex, forest_bytes, forest_rows
from snowmatch.matching.search.inverted_file import memory_bytes
from snowmatch.matching.search.loaded import Loaded
from snowmatch.matching.search.rows import Rows
from snowmatch.matching.search.shelf import (
    Content,
    Planned,
    Shelf,
    arrange_blocks,
    block_rows,
    cut_blocks,
    plan_blocks,
)
from snowmatch.screening.stored_maps import StoredMaps


class Animal(NamedTuple):
    """An individual (encounter "", number 0), or animal `number` of an encounter without a name. Its photos vote
    together.
    """

    individual: str | None
    encounter: str
    number: int


@dataclass(frozen=True)
class Gallery:
    """All annotations of a catalog that have features. Their order depends only on their content.

    annotations: A annotations. keys: (A,) the keys of their features in `reader`. supposed: (A,) a number for the
    animal that each annotation is supposed to show; annotations with one number are no rivals of each other. None:
    their names tell. loaded: the search indexes in memory. A gallery does not change, and several threads may search it
    at the same time.
    """

    annotations: tuple[Annotation, ...]
    keys: tuple[str, ...]
    reader: FeatureReader
    index_folder: Path
    extractor_key: str
    maps: StoredMaps = field(default_factory=StoredMaps, repr=False, compare=False)
    supposed: np.ndarray | None = field(default=None, repr=False, compare=False)
    loaded: Loaded = field(default_factory=Loaded, repr=False, compare=False)
    _blocks: dict[tuple[str, str, str], tuple[Block, ...]] = field(default_factory=dict, repr=False, compare=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False, compare=False)

    def __reduce__(self) -> tuple[Any, ...]:
        """In another process it is opened again, from the same folder."""
        folder = self.index_folder.absolute()
        return _open_there, (
            self.annotations,
            self.keys,
            self.reader,
            folder,
            self.extractor_key,
            self.maps,
            self.supposed,
            self.loaded,
        )

    @cached_property
    def foreground(self) -> GalleryForeground:
        """Where the animal is in each annotation."""
        return GalleryForeground(self.annotations, self.keys, self.reader, self.maps)

    @cached_property
    def individuals(self) -> tuple[Animal, ...]:
        """The I different animals: first those with a name, sorted by name."""
        return tuple(sorted(set(self._animals), key=lambda i: (i[0] is None, i[0] or "", i[1:])))

    @cached_property
    def _animals(self) -> list[Animal]:
        """The animal of each annotation."""
        return tell_animals(self.annotations)

    @cached_property
    def individual_numbers(self) -> np.ndarray:
        """(A,) int64, the index of each annotation's animal in `individuals`."""
        number = {animal: i for i, animal in enumerate(self.individuals)}
        return np.array([number[a] for a in self._animals], np.int64)

    def sightings(self, allowed: np.ndarray) -> np.ndarray:
        """Return (I,) int64, the number of encounters of each animal among the annotations `allowed` (A,)."""
        pairs = np.sort(self.individual_numbers[allowed] * len(self.annotations) + self._passages[allowed])
        pairs = pairs[np.diff(pairs, prepend=-1) > 0]  # np.unique takes fifty times as long
        return np.bincount(pairs // max(len(self.annotations), 1), minlength=len(self.individuals))

    @cached_property
    def _passages(self) -> np.ndarray:
        """(A,) int64, a number for the passage of each annotation, below A."""
        return np.unique([a.passage for a in self.annotations], return_inverse=True)[1].reshape(-1)

    @cached_property
    def kin(self) -> np.ndarray:
        """(A,) int64, the number of each annotation's animal; an unidentified one has the number of the individual that
        passed with it, if there is exactly one.

        Copies of a photo are one passage, also if one of them has a name and the other has none.
        """
        if self.supposed is not None:
            return self.supposed
        numbers = self.individual_numbers
        named: dict[str, set[int]] = {}
        for a, number in zip(self.annotations, numbers.tolist(), strict=True):
            if a.individual is not None:
                named.setdefault(a.passage, set()).add(number)
        only = {passage: found.copy().pop() for passage, found in named.items() if len(found) == 1}
        pairs = zip(self.annotations, numbers.tolist(), strict=True)
        return np.array([n if a.individual is not None else only.get(a.passage, n) for a, n in pairs], np.int64)

    def of_part(self, part: str) -> np.ndarray:
        """Return (A,) bool, whether an annotation may be compared with a body part."""
        return np.isin(self.foreground.parts, [n for n, name in enumerate(BODY_PARTS) if same_part(name, part)])

    def of_encounter(self, name: str) -> list[int]:
        """Return the numbers of the annotations of one encounter; none for an unknown one."""
        return self._encounters.get(name, [])

    @cached_property
    def _encounters(self) -> dict[str, list[int]]:
        found: dict[str, list[int]] = {}
        for n, a in enumerate(self.annotations):
            found.setdefault(a.encounter, []).append(n)
        return found

    def rivals(self, place: tuple[str, str] | None) -> np.ndarray:
        """Return (A,) bool: whether an annotation surely shows another animal than other annotations of the gallery do.

        An unidentified animal at the place of the query, (location, station), may be any of them. If the station is not
        known (None or ""), all count as other animals. Two animals in one photo without boxes are as near to any query.
        """
        rivals = ~self._doubled
        if place is not None and place[1] and self.supposed is None:
            rivals[[n for n in self._unnamed if self.may_be_place(n, place)]] = False
        return rivals

    @cached_property
    def _doubled(self) -> np.ndarray:
        """(A,) bool, whether the same features are also those of another animal."""
        of_key: dict[str, set[int]] = {}
        for key, number in zip(self.keys, self.kin.tolist(), strict=True):
            of_key.setdefault(key, set()).add(number)
        return np.array([len(of_key[key]) > 1 for key in self.keys], bool)

    @cached_property
    def _unnamed(self) -> list[int]:
        """The numbers of the annotations without an individual."""
        return [n for n, a in enumerate(self.annotations) if a.individual is None]

    def subject(self, entry: int) -> Subject:
        """Return annotation number `entry` with its features. With a mask, all features have weight 1, bars apart."""
        features, a = self.reader.read(self.keys[entry]), self.annotations[entry]
        weights = self.foreground.weights(entry, features.keypoints)
        return Subject(features, self.foreground.boxes[entry], weights, (a.location, a.station))

    def may_be_place(self, entry: int, place: tuple[str, str] | None) -> bool:
        """Return whether annotation number `entry` may be from a place: (location, station), or None if not known.

        An annotation without a station is of no place, because it need not be from a fixed camera.
        """
        a = self.annotations[entry]
        if not a.station:
            return False
        return place is None or (
            place[1] in ("", a.station) and ("" in (place[0], a.location) or place[0] == a.location)
        )

    def feature_count(self, entry: int) -> int:
        """Return the number of features of annotation number `entry`."""
        return int(self.foreground.counts[entry])

    @property
    def index_memory(self) -> int:
        """About how many bytes the search indexes of all annotations need in memory."""
        return memory_bytes(int(self.foreground.counts.sum()), self.reader.dimension)

    def blocks(self, backend: str, part: str, foreground: str = "auto") -> tuple[Block, ...]:
        """Return the blocks that a query of body part `part` is compared with. Their indexes are loaded when they
        are used.

        foreground: `auto`, so that in a large gallery (MANY_ROWS) features that a map shows to be scenery are not
        searched (a forest of `flann` holds them, too), or `given`, so that all are.
        """
        parts = (p for p in BODY_PARTS if same_part(p, part))
        return tuple(block for p in parts for block in self._blocks_of(backend, p, foreground))

    def prepare(self, backend: str, part: str, allowed: np.ndarray, foreground: str = "auto") -> list[Note]:
        """Load the indexes that a query of body part `part` needs, and return notes on those that were built.

        allowed: (A,) bool, whether an annotation may answer. foreground: see `blocks`.
        """
        return prepare(self.blocks(backend, part, foreground), allowed)

    def build_indexes(self, progress: Callable[[int, int], None] | None = None) -> int:
        """Bring the search blocks on disk up to date, and return the number of damaged ones that were built again.

        progress: a function that is called with (descriptors done, descriptors in total); merges of blocks add to the
        total.
        """
        limit = block_rows(self.reader.dimension)
        done = total = damaged = 0

        def told(more: int, further: int) -> None:
            nonlocal done, total
            done, total = done + more, total + further
            if progress is not None and total:
                progress(done, total)

        for part in BODY_PARTS:  # in this thread, so that Ctrl-C stops it
            content, _ = self._content(part, "auto")
            damaged += arrange_blocks(Shelf(self.index_folder, part, self.extractor_key, limit), content, told)
        with self._lock:
            self._blocks.clear()
        return damaged

    def _content(self, part: str, foreground: str) -> tuple[Content, list[np.ndarray]]:
        """Return what a body part holds, and the entries of each key: (U,) the first of each, the second or -1, ..."""
        entries = np.array([i for i, a in enumerate(self.annotations) if a.body_part == part], np.int64)
        entries = entries[self.foreground.counts[entries] > 0]
        keys = np.array([self.keys[i] for i in entries], "S32")
        order = np.argsort(keys, kind="stable")
        unique, first, copies = np.unique(keys[order], return_index=True, return_counts=True)
        entries = entries[order]
        owners = [
            np.where(copies > n, entries[np.minimum(first + n, len(entries) - 1)], -1)
            for n in range(int(copies.max(initial=0)))
        ]
        entries = entries[first]
        given, searched = foreground == "given", self.foreground.searched
        content = Content(
            unique,
            self.foreground.counts[entries],
            np.zeros(len(entries), np.uint64) if given else self.foreground.marks[entries],
            partial(self.reader.column, "descriptors"),
            partial(self.reader.places, "descriptors"),
            None if given else lambda places: searched(entries[places]),
        )
        return content, owners

    def _blocks_of(self, backend: str, part: str, foreground: str) -> tuple[Block, ...]:
        with self._lock:
            if (backend, part, foreground) not in self._blocks:
                content, owners = self._content(part, foreground)
                if backend == "flann":
                    limit = forest_rows(self.reader.dimension, self.reader.dtype)
                    made = [
                        b for run in cut_blocks(content.counts, limit) for b in self._forest(part, content, run, owners)
                    ]
                else:
                    shelf = Shelf(self.index_folder, part, self.extractor_key, block_rows(self.reader.dimension))
                    searched = None if foreground == "given" else self.foreground.searched
                    plans = plan_blocks(shelf, content)
                    made = [block for one in plans for block in self._views(one, owners, searched)]
                self._blocks[backend, part, foreground] = tuple(made)
            return self._blocks[backend, part, foreground]

    def _views(
        self,
        planned: Planned,
        owners: Sequence[np.ndarray],
        searched: Callable[[np.ndarray], list[np.ndarray]] | None,
    ) -> list[Block]:
        """Return a search block, once for each copy of its annotations: rows with the same content share their rows."""
        name = planned.path.name
        index = LazyIndex(name, planned.open_it, self.loaded, str(planned.path), planned.memory, planned.gone)
        home = Home(planned.path, planned.codebook)
        group = name.rpartition("-")[0]
        made = self._blocks_by_copy(planned.places, planned.counts, index, group, owners, planned.rows, home)
        return [replace(block, searched=searched) for block in made]

    def _forest(self, part: str, content: Content, run: slice, owners: Sequence[np.ndarray]) -> list[Block]:
        """Return the block of a FLANN forest. OpenCV loads a forest only with all its descriptors, so a stored one
        would save little time.
        """
        keys = content.keys[run]
        name, of = f"{part}-{run.start}", hashlib.sha256(keys.tobytes()).hexdigest()
        called = f"forest {self.extractor_key} {of}"  # the same name in another gallery may be of other annotations
        memory = partial(forest_bytes, int(content.counts[run].sum()), self.reader.dimension)

        def grow() -> tuple[FlannIndex, str]:
            return FlannIndex(content.rows_of(keys)), "could not be kept"

        index = LazyIndex(name, grow, self.loaded, called, memory)
        places = np.arange(run.start, run.stop)
        return self._blocks_by_copy(places, content.counts[run], index, "", owners)

    def _blocks_by_copy(
        self,
        places: np.ndarray,
        counts: np.ndarray,
        index: LazyIndex,
        group: str,
        owners: Sequence[np.ndarray],
        rows: Rows | None = None,
        home: Home | None = None,
    ) -> list[Block]:
        offsets = np.concatenate([[0], np.cumsum(counts)])
        views = (np.where(places >= 0, owner[np.maximum(places, 0)], -1) for owner in owners)
        return [Block(entries, offsets, index, group, rows, home) for entries in views if (entries >= 0).any()]


def fit_memory(galleries: Sequence[Gallery]) -> bool:
    """Return whether the search indexes of all galleries may be loaded together."""
    needed = sum(gallery.index_memory for gallery in galleries)
    return all(needed <= gallery.loaded.most for gallery in galleries)


def _open_there(*held: Any) -> Gallery:
    gallery = Gallery(*held)
    if not all(key in gallery.reader for key in gallery.keys):
        raise changed_there(gallery.index_folder.parents[2])
    return gallery


def tell_animals(annotations: Sequence[Annotation]) -> list[Animal]:
    """Return the animal of each annotation: an individual, or an unidentified animal of one encounter."""
    return [
        Animal(a.individual, "", 0) if a.individual is not None else Animal(None, a.encounter, a.animal)
        for a in annotations
    ]


def make_gallery(
    annotations: Sequence[Annotation],
    keys: Sequence[str | None],
    reader: FeatureReader,
    index_folder: Path,
    extractor_key: str,
    maps: StoredMaps | None = None,
    loaded: Loaded | None = None,
) -> Gallery:
    """Return the gallery of the annotations whose features `reader` contains. keys: the key of each annotation, or
    None.
    """
    held = set(reader.keys)
    place = {part: n for n, part in enumerate(BODY_PARTS)}
    known = [  # in the order of body part, key, path and row: one text is compared faster than three values
        (f"{place[a.body_part]}\0{k}\0{a.path}", k, a)
        for a, k in zip(annotations, keys, strict=True)
        if k is not None and k in held
    ]
    known.sort(key=itemgetter(0))
    return Gallery(
        tuple(each[2] for each in known),
        tuple(each[1] for each in known),
        reader,
        index_folder,
        extractor_key,
        maps or StoredMaps(),
        loaded=Loaded() if loaded is None else loaded,
    )


def named_again(gallery: Gallery, annotations: Sequence[Annotation], keys: Sequence[str | None]) -> Gallery:
    """Return the gallery of a catalog whose names, encounters or body parts have changed.

    annotations, keys: as of `make_gallery`, with the features that `gallery` has. Its search blocks are kept if they
    fit.
    """
    now = make_gallery(
        annotations, keys, gallery.reader, gallery.index_folder, gallery.extractor_key, gallery.maps, gallery.loaded
    )
    if now.keys != gallery.keys or not np.array_equal(now.foreground.parts, gallery.foreground.parts):
        return now
    return replace(now, _blocks=gallery._blocks, _lock=gallery._lock)
