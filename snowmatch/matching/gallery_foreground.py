"""Where the animal is in each annotation of a gallery: boxes, masks, and maps of the foreground."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np

from snowmatch.core.notes import Note
from snowmatch.core.text import counted
from snowmatch.core.types import BODY_PARTS, Annotation, BBox, Matches
from snowmatch.features.reader import FeatureReader
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

# Rows of a body part from which features of scenery are not searched. They show what accidental matches look like. In
# a large gallery other animals show that as well, and speed counts. Chosen: docs/benchmarks-history.md
MANY_ROWS = 10_000_000
SEARCHED_AT_ONCE = 512  # annotations of which features and maps are read together


@dataclass(frozen=True)
class GalleryForeground:
    """Where the animal is in the A annotations of a gallery, and which of their features lie on it.

    keys: (A,) the keys of their features in `reader`. maps: the foreground maps of the catalog. Search blocks hold this
    and not their gallery, which holds them: else nothing would free the memory and the files of a gallery in time.
    """

    annotations: tuple[Annotation, ...]
    keys: tuple[str, ...]
    reader: FeatureReader
    maps: StoredMaps = field(default_factory=StoredMaps, repr=False, compare=False)

    @cached_property
    def parts(self) -> np.ndarray:
        """(A,) int8, the place of each annotation's body part in BODY_PARTS."""
        place = {part: n for n, part in enumerate(BODY_PARTS)}
        return np.array([place[a.body_part] for a in self.annotations], np.int8)

    @cached_property
    def diagonals(self) -> np.ndarray:
        """(A,) float64, the diagonal of each annotation's clipped box, or of its whole photo (px)."""
        return np.hypot(*np.array([box[2:] for box in self.boxes], np.float64).reshape(-1, 2).T)

    @cached_property
    def boxes(self) -> list[BBox]:
        """A clipped boxes; the whole photo for an annotation without one."""
        pairs = zip(self.annotations, self.sizes, strict=True)
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

    def weights(self, entry: int, keypoints: np.ndarray) -> np.ndarray | None:
        """Return the confidence (N,) that the keypoints (N, 2) of annotation number `entry` lie on the animal.

        None: all have weight 1.
        """
        return self._weights_by(self.map_of(entry), entry, keypoints) if self._weighed[entry] else None

    def _weights_by(self, found: ForegroundMap | None, entry: int, keypoints: np.ndarray) -> np.ndarray:
        return foreground_weights(keypoints, self.sizes[entry], found, box=self._outline(entry))

    def _outline(self, entry: int) -> BBox | None:
        """Return the box of an annotation, the whole photo for one with only a mask; None for one with neither."""
        return self.boxes[entry] if self._boxed[entry] else None

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
    def sizes(self) -> list[tuple[int, int]]:
        """A sizes, (width, height) of the photo of each annotation."""
        place = {key: i for i, key in enumerate(self.reader.keys)}
        return [tuple(self.reader.image_sizes[place[key]]) for key in self.keys]

    @cached_property
    def _size_table(self) -> np.ndarray:
        """(A, 2), (width, height) of the photo of each annotation."""
        return np.array(self.sizes, np.int64).reshape(-1, 2)

    @cached_property
    def counts(self) -> np.ndarray:
        """(A,) int64, the number of features of each annotation."""
        place = {key: i for i, key in enumerate(self.reader.keys)}
        return np.array([self.reader.counts[place[key]] for key in self.keys], np.int64)

    @cached_property
    def marks(self) -> np.ndarray:
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
        rows = np.bincount(self.parts, self.counts, len(BODY_PARTS))
        mapped = np.array([evidence is not None for evidence in self._map_evidence], bool)
        return mapped & (rows >= MANY_ROWS)[self.parts]

    def searched(self, entries: np.ndarray) -> list[np.ndarray]:
        """Return which features of the annotations number `entries` (E,) are searched: E arrays (N,) bool.

        In a large gallery, those that a map gives weight 0 are not: no match of theirs counts. Without a map, or with a
        damaged one, all are: the centre of the photo is a guess, and what lies around it shows what accidental matches
        look like.
        """
        found = [np.ones(count, bool) for count in self.counts[entries].tolist()]
        mapped = np.flatnonzero(self._cut[entries])
        for start in range(0, len(mapped), SEARCHED_AT_ONCE):
            some = mapped[start : start + SEARCHED_AT_ONCE]
            numbers = entries[some].tolist()
            columns = self.reader.column("keypoints", [self.keys[n] for n in numbers])
            for place, entry, keypoints, map_ in zip(some, numbers, columns, self._maps_of(numbers), strict=True):
                if map_ is not None:
                    found[place] = self._weights_by(map_, entry, keypoints) > 0
        return found
