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
from snowmatch.core.text import counted
from snowmatch.core.types import BODY_PARTS, Annotation, BBox, Matches, Subject, same_part
from snowmatch.features.reader import FeatureReader
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
from snowmatch.photos.chips import clip_bbox
from snowmatch.screening.foreground import (
    ForegroundMap,
    evidence_beside,
    evidence_of,
    foreground_weights,
    foreground_weights_of,
    map_beside,
    outline_in_words,
    stands_alone,
)
from snowmatch.screening.stored_maps import StoredMaps


class Animal(NamedTuple):
    """An individual (encounter "", number 0), or animal `number` of an encounter without a name. Its photos vote
    together.
    """

    individual: str | None
    encounter: str
    number: int


# Rows of a body part from which features of scenery are not searched. They show what accidental matches look like. In
# a large gallery other animals show that as well, and speed counts. Chosen: docs/benchmarks-history.md
MANY_ROWS = 10_000_000
SEARCHED_AT_ONCE = 512  # annotations of which features and maps are read together


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
        return np.isin(self._parts, [n for n, name in enumerate(BODY_PARTS) if same_part(name, part)])

    def of_encounter(self, name: str) -> list[int]:
        """Return the numbers of the annotations of one encounter; none for an unknown one."""
        return self._encounters.get(name, [])

    @cached_property
    def _parts(self) -> np.ndarray:
        """(A,) int8, the place of each annotation's body part in BODY_PARTS."""
        place = {part: n for n, part in enumerate(BODY_PARTS)}
        return np.array([place[a.body_part] for a in self.annotations], np.int8)

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

    @cached_property
    def diagonals(self) -> np.ndarray:
        """(A,) float64, the diagonal of each annotation's clipped box, or of its whole photo (px)."""
        return np.hypot(*np.array([box[2:] for box in self._boxes], np.float64).reshape(-1, 2).T)

    @cached_property
    def _boxes(self) -> list[BBox]:
        pairs = zip(self.annotations, self._sizes, strict=True)
        return [clip_bbox(a.bbox, size) if a.bbox else (0, 0, *size) for a, size in pairs]

    @cached_property
    def _outlined(self) -> np.ndarray:
        """(A,) bool, whether an annotation has a box or a mask in the catalog."""
        return np.array([a.drawn_box is not None or bool(a.mask) for a in self.annotations], bool)

    @cached_property
    def _map_evidence(self) -> list[str | None]:
        """The evidence of the map that each annotation uses; None for an annotation that uses none."""
        pairs = zip(self.annotations, self.maps.evidence(self.keys), strict=True)
        return [evidence_beside(e, masked=bool(a.mask), boxed=a.drawn_box is not None) for a, e in pairs]

    @cached_property
    def _weighed(self) -> np.ndarray:
        """(A,) bool, whether features of an annotation have weights below 1: it has a map, or neither box nor mask."""
        pairs = zip(self.annotations, self._map_evidence, strict=True)
        return np.array([evidence is not None or (not a.mask and a.bbox is None) for a, evidence in pairs], bool)

    @cached_property
    def _boxed(self) -> np.ndarray:
        """(A,) bool, whether an annotation has a box, also one that a map made, or a mask."""
        return np.array([a.bbox is not None or bool(a.mask) for a in self.annotations], bool)

    def _weights(self, entry: int, keypoints: np.ndarray, found: ForegroundMap | None) -> np.ndarray:
        """Return the confidence (N,) that the keypoints (N, 2) of annotation number `entry` lie on the animal.

        found: its foreground map.
        """
        return foreground_weights(keypoints, self._sizes[entry], found, box=self._outline(entry))

    def _outline(self, entry: int) -> BBox | None:
        """Return the box of an annotation, the whole photo for one with only a mask; None for one with neither."""
        return self._boxes[entry] if self._boxed[entry] else None

    def subject(self, entry: int) -> Subject:
        """Return annotation number `entry` with its features. With a mask, all features have weight 1, bars apart."""
        features = self.reader.read(self.keys[entry])
        weights = self._weights(entry, features.keypoints, self.map_of(entry)) if self._weighed[entry] else None
        a = self.annotations[entry]
        return Subject(features, self._boxes[entry], weights, (a.location, a.station))

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

    def map_of(self, entry: int) -> ForegroundMap | None:
        """Return the foreground map of annotation number `entry`; None if it has none.

        With a mask, only a map that leaves out bars with text is used.
        """
        return self._maps_of([entry])[0]

    def _maps_of(self, entries: Sequence[int]) -> list[ForegroundMap | None]:
        maps = self.maps.of_contents([self.keys[entry] for entry in entries])
        drawn = [self.annotations[entry] for entry in entries]
        return [
            map_beside(found, masked=bool(a.mask), boxed=a.drawn_box is not None)
            for found, a in zip(maps, drawn, strict=True)
        ]

    def evidence(self, entry: int) -> str:
        """Return what showed where annotation number `entry` is, such as "box" or "burst and station"."""
        a = self.annotations[entry]
        return evidence_of("mask" if a.mask else "box" if a.drawn_box is not None else "", self._map_evidence[entry])

    def evidence_notes(self, entries: np.ndarray, folder: Path) -> list[Note]:
        """Return notes on what showed where these annotations are; none if all have boxes or masks.

        folder: of the catalog, for the command that a note tells.
        """
        names, counts = np.unique(self._evidence[entries], return_counts=True)
        if not set(names) - {"mask", "box"}:
            return []
        about = {str(name): int(count) for name, count in zip(names, counts, strict=True)}
        told = ", ".join(f"{outline_in_words(name)} ({count})" for name, count in about.items())
        notes = [Note("catalog-foreground", f"where the animal is in photos on record was shown by: {told}", about)]
        lone = [self.keys[e] for e in entries if not self._outlined[e]]
        if missing := int((~self.maps.listed(lone)).sum()):
            what = counted(missing, "photo")
            text = f"{what} of the catalog not yet compared with other photos of the station: index again"
            described = self.reader.described
            with_it = {"catalog": str(folder), "extractor": described["name"], "settings": described}
            notes.append(Note("maps-missing", text, {"count": missing, **with_it}))
        return notes

    @cached_property
    def _evidence(self) -> np.ndarray:
        """(A,) text, what showed where each annotation is."""
        return np.array([self.evidence(entry) for entry in range(len(self.annotations))], str)

    def shown_by(self, source: str) -> bool:
        """Return whether a source, such as "classifier", helped to make one of the maps."""
        return any(source in evidence for evidence in self._evidences)

    @cached_property
    def _evidences(self) -> list[str]:
        return [str(evidence) for evidence in np.unique(self._evidence)]

    def match_weights(self, matches: Matches) -> np.ndarray:
        """Return the confidence (M,) float32 that the gallery's side of `matches` lies on the animal."""
        weights = np.ones(len(matches), np.float32)
        lone = np.flatnonzero(self._weighed[matches.annotation])
        if len(lone):
            entries = matches.annotation[lone]
            starts = np.flatnonzero(np.diff(entries, prepend=-1))  # matches are sorted by annotation
            some = entries[starts]
            columns = self.reader.column("keypoints", [self.keys[i] for i in some])
            ends, rows = [*starts[1:].tolist(), len(lone)], matches.keypoint1[lone]
            runs = zip(columns, starts.tolist(), ends, strict=True)
            keypoints = np.concatenate([column[rows[start:end]] for column, start, end in runs])
            photos = np.repeat(np.arange(len(some)), np.diff(starts, append=len(lone)))
            boxes = [self._outline(entry) for entry in some.tolist()]
            maps = self._maps_of(some.tolist())
            weights[lone] = foreground_weights_of(keypoints, photos, self._size_table[some], maps, boxes)
        return weights

    @cached_property
    def _sizes(self) -> list[tuple[int, int]]:
        place = {key: i for i, key in enumerate(self.reader.keys)}
        return [tuple(self.reader.image_sizes[place[key]]) for key in self.keys]

    @cached_property
    def _size_table(self) -> np.ndarray:
        """(A, 2), (width, height) of the photo of each annotation."""
        return np.array(self._sizes, np.int64).reshape(-1, 2)

    @cached_property
    def _counts(self) -> np.ndarray:
        place = {key: i for i, key in enumerate(self.reader.keys)}
        return np.array([self.reader.counts[place[key]] for key in self.keys], np.int64)

    def box_of(self, entry: int) -> BBox:
        """Return the clipped box of annotation number `entry`; the whole photo if it has none."""
        return self._boxes[entry]

    def size_of(self, entry: int) -> tuple[int, int]:
        """Return (width, height) of the photo of annotation number `entry`."""
        return self._sizes[entry]

    def feature_count(self, entry: int) -> int:
        """Return the number of features of annotation number `entry`."""
        return int(self._counts[entry])

    @property
    def index_memory(self) -> int:
        """About how many bytes the search indexes of all annotations need in memory."""
        return memory_bytes(int(self._counts.sum()), self.reader.dimension)

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
        entries = entries[self._counts[entries] > 0]
        keys = np.array([self.keys[i] for i in entries], "S32")
        order = np.argsort(keys, kind="stable")
        unique, first, copies = np.unique(keys[order], return_index=True, return_counts=True)
        entries = entries[order]
        owners = [
            np.where(copies > n, entries[np.minimum(first + n, len(entries) - 1)], -1)
            for n in range(int(copies.max(initial=0)))
        ]
        entries = entries[first]
        given = foreground == "given"
        content = Content(
            unique,
            self._counts[entries],
            np.zeros(len(entries), np.uint64) if given else self._marks[entries],
            partial(self.reader.column, "descriptors"),
            partial(self.reader.places, "descriptors"),
            None if given else lambda places: self.searched(entries[places]),
        )
        return content, owners

    @cached_property
    def _marks(self) -> np.ndarray:
        """(A,) uint64, another number if a map lets other features of an annotation be searched; 0 without a map.

        The highest bit tells that LEAST_MAPPED decides: blocks of versions before 0.3.0, where more counted, lack it.
        The lowest bit is missing in a box that a person drew: there, a map that is weak in the whole box does not cut.
        The first blocks of 0.3.0, where it did, have that bit. (A box that was found has a strong place.)
        """
        drawn = np.array([a.drawn_box is not None for a in self.annotations], bool)
        alone = [evidence is not None and stands_alone(evidence) for evidence in self._map_evidence]
        marks = self.maps.checksums_of(self.keys) << np.uint64(3)  # a checksum has 60 bits
        marks |= (~drawn + 2 * self._boxed.astype(np.uint64) + 4 * np.array(alone, np.uint64)).astype(np.uint64)
        marks |= np.uint64(1 << 63)
        return np.where(self._cut, marks, np.uint64(0))

    @cached_property
    def _cut(self) -> np.ndarray:
        """(A,) bool, whether scenery of an annotation is not searched: it has a map, and its body part many rows."""
        rows = np.bincount(self._parts, self._counts, len(BODY_PARTS))
        mapped = np.array([evidence is not None for evidence in self._map_evidence], bool)
        return mapped & (rows >= MANY_ROWS)[self._parts]

    def searched(self, entries: np.ndarray) -> list[np.ndarray]:
        """Return which features of the annotations number `entries` (E,) are searched: E arrays (N,) bool.

        In a large gallery, those that a map gives weight 0 are not: no match of theirs counts. Without a map, or with a
        damaged one, all are: the centre of the photo is a guess, and what lies around it shows what accidental matches
        look like.
        """
        found = [np.ones(count, bool) for count in self._counts[entries].tolist()]
        mapped = np.flatnonzero(self._cut[entries])
        for start in range(0, len(mapped), SEARCHED_AT_ONCE):
            some = mapped[start : start + SEARCHED_AT_ONCE]
            numbers = entries[some].tolist()
            columns = self.reader.column("keypoints", [self.keys[n] for n in numbers])
            for place, entry, keypoints, map_ in zip(some, numbers, columns, self._maps_of(numbers), strict=True):
                if map_ is not None:
                    found[place] = self._weights(entry, keypoints, map_) > 0
        return found

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
                    searched = None if foreground == "given" else self.searched
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
    if now.keys != gallery.keys or not np.array_equal(now._parts, gallery._parts):
        return now
    return replace(now, _blocks=gallery._blocks, _lock=gallery._lock)
