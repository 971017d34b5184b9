"""The foreground maps of a catalog for queries: the list of all maps in memory, the maps themselves on disk."""

from __future__ import annotations

import threading
from array import array
from collections import OrderedDict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from snowmatch.catalog.database import DamagedError
from snowmatch.core.notes import Note
from snowmatch.core.text import counted
from snowmatch.screening.foreground import ForegroundMap
from snowmatch.screening.maps import KEY, list_maps, load_maps

NO_MAP = 255  # in `StoredMaps.numbers`: there are far fewer evidences
OVERHEAD = 400  # bytes of a map in memory, its cells apart
# Of maps in memory, those used last. A query among 100,000 annotations uses ten thousand maps, of 2 to 10 KB each
KEPT_BYTES = 1 << 29


@dataclass(eq=False)
class StoredMaps:
    """The list of the stored foreground maps of P photos. A map is read when it is used; the last ones stay in memory.

    Several threads may use it at the same time. folder: of the catalog; None without maps. photos: (P,) uint64, sorted,
    the first 16 hex digits of each sha256. evidences: the different evidences of maps. numbers: (P,) uint8, the place
    of each photo's evidence in `evidences`; NO_MAP for a photo without a map. checksums: (P,) uint64, see `list_maps`.
    unsound: number of damaged entries of the list. unreadable: whether the list is missing, because the database is
    damaged.
    """

    folder: Path | None = None
    photos: np.ndarray = field(default_factory=lambda: np.zeros(0, np.uint64), repr=False)
    evidences: tuple[str, ...] = ()
    numbers: np.ndarray = field(default_factory=lambda: np.zeros(0, np.uint8), repr=False)
    checksums: np.ndarray = field(default_factory=lambda: np.zeros(0, np.uint64), repr=False)
    unsound: int = 0
    unreadable: bool = False
    _kept: OrderedDict[str, ForegroundMap | None] = field(default_factory=OrderedDict, repr=False)
    _size: int = field(default=0, repr=False)  # bytes of what is kept
    _damaged: set[str] = field(default_factory=set, repr=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def listed(self, contents: Sequence[str]) -> np.ndarray:
        """Return which of the photos were compared with others of their place, with or without a map: bool.

        contents: sha256 of the photos, or their first 16 digits. A key of features begins with these 16 digits too.
        """
        return self._places(contents) >= 0

    def evidence(self, contents: Sequence[str]) -> list[str | None]:
        """Return the evidence of the map of each photo; None for a photo without a map. contents: as in `listed`."""
        texts = (*self.evidences, *(None,) * (1 + NO_MAP - len(self.evidences)))
        places = self._places(contents)
        return [texts[self.numbers[place]] if place >= 0 else None for place in places.tolist()]

    def checksums_of(self, contents: Sequence[str]) -> np.ndarray:
        """Return the checksum (N,) uint64 of the map of each photo; 0 without a map. contents: as in `listed`."""
        places = self._places(contents)
        found = np.zeros(len(places), np.uint64)
        found[places >= 0] = self.checksums[places[places >= 0]]
        return found

    def of_contents(self, contents: Sequence[str]) -> list[ForegroundMap | None]:
        """Return the map of each photo; None for one without a map, or with a damaged map. contents: as in `listed`.

        Raises SnowmatchError if the database cannot be read.
        """
        told = self.evidence(contents)
        mapped = [content[:KEY] if name is not None else "" for content, name in zip(contents, told, strict=True)]
        with self._lock:
            known = {key: self._kept[key] for key in mapped if key in self._kept}
            for key in known:
                self._kept.move_to_end(key)
        missing = sorted({key for key in mapped if key and key not in known})
        if missing and self.folder is not None:
            known |= self._read(self.folder, missing)
        return [known.get(key) for key in mapped]

    def of_content(self, content: str) -> ForegroundMap | None:
        """Return the map of one photo. content, and the result: as in `of_contents`."""
        return self.of_contents([content])[0]

    @property
    def damaged(self) -> frozenset[str]:
        """The keys of the maps that were read and found damaged."""
        with self._lock:
            return frozenset(self._damaged)

    def tell_damaged(self, keys: Iterable[str]) -> None:
        """Take note of maps that another process found damaged."""
        with self._lock:
            self._damaged.update(keys)

    def mended(self) -> bool:
        """Return whether a map that was found damaged is sound now. Raises SnowmatchError if it cannot be read."""
        damaged = sorted(self.damaged)
        if not damaged or self.folder is None:
            return False
        return any(entry is not None for entry in load_maps(self.folder, damaged).values())

    def __reduce__(self) -> tuple[Any, ...]:
        """In another process, maps are read from the same folder."""
        folder = None if self.folder is None else self.folder.absolute()
        known = self.photos, self.evidences, self.numbers, self.checksums, self.unsound, self.unreadable
        return StoredMaps, (folder, *known)

    def notes(self) -> list[Note]:
        """Return a note if stored maps are damaged, as far as they were read; otherwise none."""
        if self.unreadable:
            text = "the foreground maps cannot be read from the database of photos, so none is used: index again"
            return [Note("maps-damaged", text, {"catalog": str(self.folder)})]
        if count := self.unsound + len(self._damaged):
            text = f"{counted(count, 'damaged foreground map')} in the database of photos skipped: index again"
            return [Note("maps-damaged", text, {"catalog": str(self.folder), "count": count})]
        return []

    def _read(self, folder: Path, keys: list[str]) -> dict[str, ForegroundMap | None]:
        """Read the maps with these keys from the database, and keep them in memory."""
        found = {key: entry[1] for key, entry in load_maps(folder, keys).items() if entry is not None}
        with self._lock:
            self._damaged.update(key for key in keys if key not in found)
            for key, map_ in found.items():
                if key not in self._kept:
                    self._size += _bytes_of(map_)
                self._kept[key] = map_
            while self._kept and self._size > KEPT_BYTES:
                self._size -= _bytes_of(self._kept.popitem(last=False)[1])
        return found

    def _places(self, contents: Sequence[str]) -> np.ndarray:
        """Return the place of each photo in `photos`; -1 if it is not there."""
        if not len(self.photos):
            return np.full(len(contents), -1)
        wanted = np.array([int(content[:KEY], 16) if content else 0 for content in contents], np.uint64)
        places = np.minimum(np.searchsorted(self.photos, wanted), len(self.photos) - 1)
        given = np.array([bool(content) for content in contents], bool)
        return np.where(given & (self.photos[places] == wanted), places, -1)


def _bytes_of(found: ForegroundMap | None) -> int:
    return OVERHEAD + (found.values.nbytes if found is not None else 0)


def open_maps(folder: Path) -> StoredMaps:
    """Return the stored maps of the catalog in `folder`. Raises SnowmatchError if the database cannot be read."""
    photos, numbers, checksums, unsound = array("Q"), array("B"), array("Q"), 0
    evidences: dict[str, int] = {}
    try:
        for entry in list_maps(folder):
            if entry is None:
                unsound += 1
                continue
            photo, evidence, checksum = entry
            photos.append(int(photo, 16))
            numbers.append(NO_MAP if evidence is None else evidences.setdefault(evidence, len(evidences)))
            checksums.append(checksum)
    except DamagedError:
        return StoredMaps(folder, unreadable=True)
    keys, held, marks = (np.array(column) for column in (photos, numbers, checksums))
    order = np.argsort(keys, kind="stable")
    return StoredMaps(folder, keys[order], tuple(evidences), held[order], marks[order], unsound)
