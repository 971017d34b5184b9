"""One search block: which entries of a gallery it holds, where its rows are, and its index, which is loaded late."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from snowmatch.core.notes import Note
from snowmatch.matching.search.holders import Part
from snowmatch.matching.search.inverted_file import Codebook
from snowmatch.matching.search.loaded import Loaded
from snowmatch.matching.search.rows import Rows


class LazyIndex:
    """The search index of one block. It is read or built when it is needed, by any thread, and kept in `loaded`.

    open_it: reads or builds it, and tells how. key: what it is called in `loaded`. memory: returns the bytes that it
    will take, so that there is room for them. gone: another text for other annotations of the block that are gone; ""
    if none is: an index that is built lacks their rows, so it is not kept for a catalog that has them again.
    """

    def __init__(
        self,
        name: str,
        open_it: Callable[[], tuple[Any, str]],
        loaded: Loaded | None = None,
        key: str = "",
        memory: Callable[[], int] = int,
        gone: str = "",
    ) -> None:
        self._name, self._open, self._key, self.memory = name, open_it, key or name, memory
        self._built_key = f"{self._key} without {gone}" if gone else self._key
        self._loaded = Loaded() if loaded is None else loaded
        self._lock = threading.Lock()
        self.known = False  # whether it was loaded before, here or by a worker

    def get(self) -> tuple[Any, Note | None]:
        """Return the index, and a note for the caller that had to build it."""
        with self._lock:
            for key in (self._key, self._built_key):
                index = self._loaded.get(key)
                if index is not None:
                    return index, None
            self._loaded.make_room(self.memory())
            index, origin = self._open()
            self.known = True
            self._loaded.put(self._key if origin == "read" else self._built_key, index, index.memory)
        if origin == "read":
            return index, None
        text = f"the search index {self._name} was built for this query and {origin}"
        return index, Note(
            "index-made", text, {"index": self._name, "kept": origin.startswith("kept"), "damaged": "damaged" in origin}
        )

    def prepare(self) -> Note | None:
        """Load the index unless it was loaded before, and return a note if it had to be built."""
        return None if self.known else self.get()[1]


def made_indexes(notes: Iterable[Note]) -> list[Note]:
    """Return one of the notes `index-made` for each search index, by name: several processes may have built it at once.

    One that tells damage wins.
    """
    made: dict[str, Note] = {}
    for note in notes:
        if note.data["damaged"] or note.data["index"] not in made:
            made[note.data["index"]] = note
    return [made[index] for index in sorted(made)]


@dataclass(frozen=True, eq=False)
class Home:
    """Where a block is on disk. codebook: returns its codebook, or None for few rows."""

    path: Path
    codebook: Callable[[], Codebook | None]


@dataclass(frozen=True, eq=False)
class Block:
    """One part of a gallery that is searched separately.

    entries: (E,) int64, numbers of the gallery entries; -1 for those that are gone. offsets: (E + 1,) int64, where the
    rows of each begin. group: blocks with the same name share a codebook; "" has one of its own. rows: its rows; None
    if its index has them. home: where the workers of a cluster can read it, if its rows are known; None: they cannot.
    searched: returns (R,) bool, which rows of some gallery entries are searched; None: all.
    """

    entries: np.ndarray
    offsets: np.ndarray
    index: LazyIndex
    group: str = ""
    rows: Rows | None = None
    home: Home | None = None
    searched: Callable[[np.ndarray], list[np.ndarray]] | None = None

    def rows_by(self, index: Any) -> Any:
        """Return its rows. index: what was loaded."""
        return index.rows if self.rows is None else self.rows

    def load(self) -> Any:
        """Return the search index."""
        return self.index.get()[0]

    def part(self, place: int, lists: int, keeps: Mapping[int, tuple[np.ndarray, int]]) -> Part:
        """Return what a worker must know of it, see `Part`."""
        return Part(place, self.path.name, lists, keeps, self.index.memory())

    @property
    def path(self) -> Path:
        """Where it is on disk."""
        if self.home is None:
            raise ValueError("the block is not on disk")
        return self.home.path

    def allows(self, allowed: np.ndarray) -> np.ndarray:
        """Return (E,) bool, whether each entry may answer. allowed: (A,) bool, by number of the gallery entry."""
        return (self.entries >= 0) & allowed[np.maximum(self.entries, 0)] if len(allowed) else self.entries >= 0
