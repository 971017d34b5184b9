"""The search blocks of one body part of one extractor: which are used, what is missing, which are merged.

Annotations that are new in an index run make a new block. A block never changes: annotations that are gone are masked.
As in a log-structured merge tree, FANOUT blocks of one size class become one block of the next class, so an annotation
is written only a few times. A merged block is written before its parts are deleted; until then an annotation is in two
blocks, and the larger one counts. So a run that is killed leaves a valid set at every moment.

Source: O'Neil et al. 1996, "The log-structured merge-tree".
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np

from snowmatch.core.errors import SnowmatchError
from snowmatch.core.home import HOME
from snowmatch.core.locks import WRITER, is_held
from snowmatch.core.mended import keep_mended
from snowmatch.matching.search import inverted_file
from snowmatch.matching.search.encoding import encode, encode_stored
from snowmatch.matching.search.files import (
    CODES,
    ENDINGS,
    FEW,
    SUMS,
    Stored,
    drop_rows,
    fingerprint,
    is_sound,
    list_blocks,
    read_block,
    read_codebook,
    remove,
    touch,
    with_ending,
    write_block,
    write_codebook,
)
from snowmatch.matching.search.inverted_file import Codebook, FaissIndex, train_codebook
from snowmatch.matching.search.rows import Found, Rows

# Of the inverted file of a block. To search codes of no meaning, three blocks of 25 million rows took 0.8, and one of
# all rows 0.55 of the CPU time of nine blocks; but a block is loaded, merged and lost as a whole
BLOCK_BYTES = 1 << 30
FANOUT_BITS = 2  # 2 ** 2 blocks of one size class are merged; the next class holds four times as many rows
GROWTH = 4  # a codebook is trained anew if a body part has so many times more or fewer rows than it was trained for
LEAST_LIVE = 0.5  # a block is written again without what is gone if this share of its rows or less is left
CHECK_BYTES = 1 << 30  # of blocks that each index run checks; those checked longest ago come first
LEFT_OVER_SECONDS = 3600.0  # files of no block are deleted when they are older: another process may be writing them
Told = Callable[[int, int], None]  # of progress: how much more is done, and how much more there is to do


class NotKeptError(SnowmatchError):
    """The error for a search index that could not be written: the disk is full or read-only."""


@dataclass(frozen=True, eq=False)
class Content:
    """What a body part of a gallery holds. keys: (U,) S32, ascending, each once. counts: (U,) int64, rows of each.

    marks: (U,) uint64, another number if other rows of a key are searched; 0 if all are. descriptors: returns the rows
    of some keys, as one array each, checked. places: returns all stored arrays of rows, and the array and the first row
    there of each of some keys, unchecked; None if only `descriptors` tells them. searched: returns (R,) bool, which
    rows are searched, of the annotations number (E,); None: all.
    """

    keys: np.ndarray
    counts: np.ndarray
    marks: np.ndarray
    descriptors: Callable[[Sequence[str]], list[np.ndarray]]
    places: Callable[[Sequence[str]], Found] | None = None
    searched: Callable[[np.ndarray], list[np.ndarray]] | None = None

    @property
    def rows(self) -> int:
        """The number of rows."""
        return int(self.counts.sum())

    def rows_of(self, keys: np.ndarray) -> list[np.ndarray]:
        """Return the rows of some keys."""
        return self.descriptors([key.decode() for key in keys.tolist()])

    def searched_of(self, keys: np.ndarray) -> list[np.ndarray] | None:
        """Return which rows of some keys are searched, as `searched` does."""
        return None if self.searched is None else self.searched(np.searchsorted(self.keys, keys))

    def rows_at(self, places: np.ndarray, counts: np.ndarray) -> Rows:
        """Return the rows of the annotations number `places` (E,), -1 for those that are gone.

        counts: (E,) rows of each.
        """
        offsets = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)

        def find() -> Found:
            live = np.flatnonzero(places >= 0)
            keys = self.keys[places[live]]
            array, first = np.full(len(places), -1, np.int64), np.zeros(len(places), np.int64)
            if self.places is None:
                arrays, array[live] = self.rows_of(keys), np.arange(len(live))
                return arrays, array, first
            found, array[live], first[live] = self.places([key.decode() for key in keys.tolist()])
            return found, array, first

        def check(entries: np.ndarray) -> None:
            self.rows_of(self.keys[places[entries]])

        return Rows(offsets, find, None if self.places is None else check)


@dataclass(frozen=True, eq=False)
class Shelf:
    """The place of the blocks of one body part: a folder, the part, the key of the extractor's settings, and the
    largest number of rows of a block.
    """

    folder: Path
    part: str
    extractor_key: str
    limit: int

    def codebook_paths(self, name: str) -> tuple[Path, Path]:
        """Return the paths of a codebook and of its copy, without their endings."""
        path = self.folder / f"{self.part}-{name}"
        return path, path.with_name(f"{path.name}_2")

    def block_path(self, codebook: str, keys: np.ndarray, marks: np.ndarray) -> Path:
        """Return the path of the block of these annotations, without its ending. marks: see `Content`."""
        mark = fingerprint([*keys.tolist(), marks.tobytes()], self.extractor_key, codebook)
        return self.folder / f"{self.part}-{codebook}-{mark}"


@dataclass(frozen=True, eq=False)
class Planned:
    """A block to be searched. places: (E,) int64, the number of each annotation in the content, or -1 if it is gone.

    counts: (E,) rows of each. rows: where they are. open_it: reads or builds its index, and tells how. codebook:
    returns its codebook, or None for few rows. memory: returns the bytes that its index takes.
    """

    path: Path
    places: np.ndarray
    counts: np.ndarray
    rows: Rows
    open_it: Callable[[], tuple[FaissIndex, str]]
    codebook: Callable[[], Codebook | None]
    memory: Callable[[], int]

    @property
    def gone(self) -> str:
        """Another text for other annotations that are gone; "" if none is."""
        live = self.places >= 0
        return "" if live.all() else hashlib.sha256(np.packbits(live).tobytes()).hexdigest()


@dataclass(frozen=True, eq=False)
class _Chosen:
    """Blocks of one codebook with the places of their annotations, and the annotations (U,) that none of them holds."""

    name: str
    codebook: Codebook | None
    blocks: list[tuple[Stored, np.ndarray]]
    missing: np.ndarray


def block_rows(dimension: int) -> int:
    """Return the largest number of descriptors of this length in a block."""
    return BLOCK_BYTES // inverted_file.index_bytes(1, dimension)


def cut_blocks(counts: np.ndarray, limit: int) -> list[slice]:
    """Return consecutive runs of entries with at most `limit` rows. An entry with more rows is a run of its own."""
    runs, start, rows = [], 0, 0
    for i, count in enumerate(counts):
        if i > start and rows + count > limit:
            runs.append(slice(start, i))
            start, rows = i, 0
        rows += int(count)
    if len(counts) > start:
        runs.append(slice(start, len(counts)))
    return runs


def plan_blocks(shelf: Shelf, content: Content) -> list[Planned]:
    """Return the blocks that hold the content: those on disk, and blocks of what is missing, built when needed."""
    if not len(content.keys):
        return []
    stored, damaged = list_blocks(shelf.folder, shelf.part)
    chosen = _choose(shelf, stored, content)
    mended = bool(damaged)
    if chosen is None or (not _fits(chosen, content) and chosen.missing.sum() * 2 > len(content.keys)):
        mended = mended or (chosen is None and bool(stored))
        chosen = _Chosen(_codebook_name(shelf, content), None, [], np.ones(len(content.keys), bool))
    book = _Book(shelf, content, chosen, kept=False)
    planned = [
        Planned(
            block.path,
            places,
            block.counts,
            content.rows_at(places, block.counts),
            partial(_open, shelf, content, block, places, book),
            book.get,
            partial(_memory, block, book),
        )
        for block, places in chosen.blocks
    ]
    for keys in _cut(content, chosen.missing, shelf.limit):
        name = FEW if book.few else chosen.name
        places = np.searchsorted(content.keys, keys)
        path = shelf.block_path(name, keys, content.marks[places])
        counts = content.counts[places]
        block = Stored(path, name, keys, counts, content.marks[places], int(counts.sum()))
        build = partial(_build, content, block, places, book, mended)
        rows, memory = content.rows_at(places, counts), partial(_memory, block, book)
        planned.append(Planned(path, places, counts, rows, build, book.get, memory))
    return planned


def arrange_blocks(shelf: Shelf, content: Content, told: Told = lambda done, total: None) -> int:
    """Bring the blocks on disk up to date, and return the number of blocks and codebooks that were damaged.

    New annotations make new blocks, small blocks are merged, and blocks that are not needed any more are deleted. Some
    blocks are checked. told: a function that is called with how many more rows are done, and how many more there are to
    do. Raises NotKeptError if the disk is full or not writable; what was there stays valid.
    """
    damaged = _check(shelf)
    stored, unread = list_blocks(shelf.folder, shelf.part)
    damaged += len(unread)
    for path in unread:
        remove(path)
    if len(content.keys):
        chosen = _choose(shelf, stored, content)
        if chosen is None:
            damaged += bool([block for block in stored if block.codebook != FEW])
        if chosen is None or not _fits(chosen, content):
            chosen = _renew(shelf, stored, content)
        book = _Book(shelf, content, chosen, kept=True)
        told(0, int(content.counts[chosen.missing].sum()))
        for keys in _cut(content, chosen.missing, shelf.limit):
            _write(shelf, content, keys, book, told)
        while (group := _to_merge(shelf, content, book.name)) is not None:
            keys, parts = group
            told(0, int(content.counts[np.searchsorted(content.keys, keys)].sum()))
            _write(shelf, content, keys, book, told)
            for path in parts:  # the new block is complete
                remove(path)
        keep = {block.path for block, _ in _used(shelf, content, book.name).blocks}
        try:
            for path in keep:
                drop_rows(path)
        except SnowmatchError as error:
            raise NotKeptError(str(error)) from error
        keep |= set(shelf.codebook_paths(book.name))
    else:
        keep = set()
    _clear(shelf, keep)
    return damaged


def drop_blocks(folder: Path) -> None:
    """Delete all search blocks of an extractor. Their codebooks stay: with them, equal blocks are made."""
    for sums in sorted(folder.glob(f"*-*-*{SUMS}")):
        remove(sums.with_suffix(""))


class _Book:
    """The codebook of some blocks. It is trained and written when it is first needed, unless it is known.

    kept: whether it must be written. Without that, it is not written while an index run is at work: it is trained from
    what is there so far, and all later answers would depend on when somebody asked. passing: whether that is so.
    """

    def __init__(self, shelf: Shelf, content: Content, chosen: _Chosen, *, kept: bool) -> None:
        self._shelf, self._content, self._known, self._kept = shelf, content, chosen.codebook, kept
        self.few = content.rows <= inverted_file.EXHAUSTIVE_ROWS if not chosen.blocks else chosen.name == FEW
        self.name = FEW if self.few else chosen.name
        self.passing = False

    def get(self) -> Codebook | None:
        """Return the codebook; None for blocks of few rows. Several threads may train it: the result is the same.

        Raises NotKeptError if it must be written and cannot be.
        """
        if self.few or self._known is not None:
            return self._known
        found = _read_codebook(self._shelf, self.name)
        if found is None:
            keys = self._content.keys
            found = train_codebook(self.name, self._content.rows_of(keys), self._content.searched_of(keys))
            self.passing = not self._kept and _is_being_indexed(self._shelf.folder)
            if found is not None and not self.passing:
                try:
                    for path in self._shelf.codebook_paths(self.name):
                        write_codebook(path, found)
                except SnowmatchError as error:
                    if self._kept:
                        raise NotKeptError(str(error)) from error
        self._known = found
        return found


def _is_being_indexed(folder: Path) -> bool:
    """Return whether an index run is at work in the catalog that has its search blocks in `folder`."""
    return any(is_held(above / WRITER) for above in folder.parents if above.name == HOME)


def _read_codebook(shelf: Shelf, name: str) -> Codebook | None:
    """Return a codebook. If it, or its copy, is damaged or missing, that one is written again from the other.

    A codebook that is lost can be trained anew, but not as it was: its answers would differ a little.
    """
    paths = shelf.codebook_paths(name)
    # Before they are read: another process may be writing the copy now, or deleting both
    complete = [with_ending(path, SUMS).exists() for path in paths]
    found = [read_codebook(path) for path in paths]
    sound = next((each for each in found if each is not None), None)
    for path, each, whole in zip(paths, found, complete, strict=True):
        if sound is not None and each is None:
            if whole and with_ending(path, SUMS).exists():  # else it was not written to its end
                keep_mended(with_ending(path, CODES))
            try:
                write_codebook(path, sound)
            except SnowmatchError:  # the disk is full or read-only: the other one does
                continue
    return sound


def _codebook_name(shelf: Shelf, content: Content) -> str:
    return fingerprint([*content.keys.tolist(), content.marks.tobytes()], shelf.extractor_key, "codebook")


def _fits(chosen: _Chosen, content: Content) -> bool:
    """Return whether the codebook suits the size of the content."""
    if chosen.codebook is None:
        return content.rows <= inverted_file.EXHAUSTIVE_ROWS
    return content.rows > inverted_file.EXHAUSTIVE_ROWS and chosen.codebook.fits(content.rows, GROWTH)


def _choose(shelf: Shelf, stored: Sequence[Stored], content: Content) -> _Chosen | None:
    """Return the blocks of the codebook that hold most of the content; None if no blocks can be used."""
    best: tuple[int, str] | None = None
    found: _Chosen | None = None
    for name in sorted({block.codebook for block in stored}):
        codebook = None if name == FEW else _read_codebook(shelf, name)
        if name != FEW and codebook is None:
            continue
        each = _held(name, codebook, stored, content)
        rank = int(content.counts[~each.missing].sum()), name
        if best is None or rank > best:
            best, found = rank, each
    return found if stored else _lone_book(shelf, content)


def _lone_book(shelf: Shelf, content: Content) -> _Chosen | None:
    """Return the codebook that is there without blocks, if it suits the content: that of blocks that were dropped."""
    names = {
        path.stem.removeprefix(f"{shelf.part}-").partition("_")[0]
        for path in shelf.folder.glob(f"{shelf.part}-*{CODES}")
    }
    for name in sorted(names):
        codebook = _read_codebook(shelf, name)
        chosen = _Chosen(name, codebook, [], np.ones(len(content.keys), bool))
        if codebook is not None and _fits(chosen, content):
            return chosen
    return None


def _held(name: str, codebook: Codebook | None, stored: Sequence[Stored], content: Content) -> _Chosen:
    """Return the blocks of one codebook that hold something. An annotation in two blocks counts in the larger one."""
    blocks, missing = [], np.ones(len(content.keys), bool)
    for block in sorted((b for b in stored if b.codebook == name), key=lambda b: (-b.rows, b.path.name)):
        place = np.minimum(np.searchsorted(content.keys, block.keys), max(len(content.keys) - 1, 0))
        same = (content.keys[place] == block.keys) & (content.counts[place] == block.counts)
        same &= content.marks[place] == block.marks  # the same rows are searched
        places = np.where(same & missing[place], place, -1)
        missing[places[places >= 0]] = False
        if (places >= 0).any():
            blocks.append((block, places))
    return _Chosen(name, codebook, blocks, missing)


def _used(shelf: Shelf, content: Content, name: str) -> _Chosen:
    return _held(name, None, list_blocks(shelf.folder, shelf.part)[0], content)


def _renew(shelf: Shelf, stored: Sequence[Stored], content: Content) -> _Chosen:
    """Return the blocks of a codebook that is trained for the content now, if a killed run has left some."""
    few = content.rows <= inverted_file.EXHAUSTIVE_ROWS
    return _held(FEW if few else _codebook_name(shelf, content), None, stored, content)


def _cut(content: Content, chosen: np.ndarray, limit: int) -> list[np.ndarray]:
    """Return the keys of new blocks for some annotations."""
    keys, counts = content.keys[chosen], content.counts[chosen]
    return [keys[run] for run in cut_blocks(counts, limit)]


def _to_merge(shelf: Shelf, content: Content, name: str) -> tuple[np.ndarray, list[Path]] | None:
    """Return the keys and the paths of the blocks to merge next, or of one to write again; None if nothing is to do."""
    used = _used(shelf, content, name).blocks
    classes: dict[int, list[tuple[int, Path, np.ndarray]]] = {}
    for block, places in used:
        live = places[places >= 0]
        rows = int(content.counts[live].sum())
        if rows <= LEAST_LIVE * block.rows:
            return content.keys[np.sort(live)], [block.path]
        classes.setdefault((rows.bit_length() - 1) // FANOUT_BITS, []).append((rows, block.path, live))
    for _, members in sorted(classes.items()):
        if len(members) < 1 << FANOUT_BITS:
            continue
        total, group = 0, []
        for rows, path, live in sorted(members, key=lambda member: member[:2]):
            if total + rows > shelf.limit:
                break
            total += rows
            group.append((path, live))
        if len(group) > 1:
            live = np.sort(np.concatenate([live for _, live in group]))
            return content.keys[live], [path for path, _ in group]
    return None


def _write(shelf: Shelf, content: Content, keys: np.ndarray, book: _Book, told: Told) -> None:
    """Build a block and write it."""
    places = np.searchsorted(content.keys, keys)
    codebook, searched, counts, marks = (
        book.get(),
        content.searched_of(keys),
        content.counts[places],
        content.marks[places],
    )
    names = [key.decode() for key in keys.tolist()]
    lists = None
    if codebook is not None:
        lists = encode_stored(codebook, names, counts, searched, content.descriptors, lambda more: told(more, 0))
    try:
        write_block(shelf.block_path(book.name, keys, marks), keys, counts, _sums(counts, searched), marks, lists)
    except SnowmatchError as error:
        raise NotKeptError(str(error)) from error
    told(int(counts.sum()) - (0 if lists is None else int(lists.ntotal)), 0)


def _open(shelf: Shelf, content: Content, block: Stored, places: np.ndarray, book: _Book) -> tuple[FaissIndex, str]:
    """Read a block. If it is damaged, or was merged by another process, it is built again."""
    codebook = book.get()
    found = read_block(block.path, 0 if codebook is None else codebook.lists)
    if found is not None:
        return replace(found, codebook=codebook), "read"
    return _build(content, block, places, book, with_ending(block.path, SUMS).exists())


def _memory(block: Stored, book: _Book) -> int:
    """Return the bytes that the index of a block takes."""
    codebook = book.get()
    return 0 if codebook is None else codebook.memory_of(block.searched)


def _build(content: Content, block: Stored, places: np.ndarray, book: _Book, damaged: bool) -> tuple[FaissIndex, str]:
    """Build a block, and write it unless some of its annotations are gone. Their rows are then zeros."""
    codebook, live = book.get(), content.keys[places[places >= 0]]
    known, searched = content.rows_of(live), content.searched_of(live)
    missing = len(known) < len(places)
    if missing:
        waiting, some = iter(known), iter(searched or [np.ones(len(rows), bool) for rows in known])
        dimension, dtype = known[0].shape[1], known[0].dtype
        known, searched = [], []
        for place, count in zip(places.tolist(), block.counts.tolist(), strict=True):
            known.append(next(waiting) if place >= 0 else np.zeros((count, dimension), dtype))
            searched.append(next(some) if place >= 0 else np.zeros(count, bool))
    lists = None if codebook is None else encode(codebook, known, searched)
    index = FaissIndex(None, lists, codebook)
    try:
        if missing:
            why = ", because the one on disk was damaged and photos that it holds are gone" if damaged else ""
            return index, f"could not be kept{why}"
        if book.passing:
            return index, "not kept, because the catalog is being indexed"
        write_block(block.path, block.keys, block.counts, _sums(block.counts, searched), block.marks, lists)
    except SnowmatchError:
        return index, "could not be kept"
    return index, "kept, because the one on disk was damaged" if damaged else "kept"


def _sums(counts: np.ndarray, searched: list[np.ndarray] | None) -> np.ndarray:
    """Return the number of searched rows of each annotation."""
    return counts if searched is None else np.array([some.sum() for some in searched], np.int64)


def _check(shelf: Shelf) -> int:
    """Check some blocks, delete the damaged ones, and return their number."""
    size = damaged = 0
    sums = list(shelf.folder.glob(f"{shelf.part}-*{SUMS}"))
    for file in sorted(sums, key=lambda file: (file.stat().st_mtime_ns, file.name)):
        if size >= CHECK_BYTES:
            break
        path = file.with_suffix("")
        size += sum(each.stat().st_size for each in (with_ending(path, e) for e in ENDINGS) if each.exists())
        if is_sound(path):
            touch(path)
        else:
            remove(path)
            damaged += 1
    return damaged


def _clear(shelf: Shelf, keep: set[Path]) -> None:
    """Delete the blocks and codebooks of this body part that are not in `keep`, and what killed runs have left."""
    complete = {file.with_suffix("") for file in shelf.folder.glob(f"{shelf.part}-*{SUMS}")}
    for path in complete - keep:
        remove(path)
    for file in [*shelf.folder.glob(f"{shelf.part}-*"), *shelf.folder.glob(".snowmatch-*")]:
        try:
            if file.with_suffix("") not in keep and time.time() - file.stat().st_mtime > LEFT_OVER_SECONDS:
                file.unlink()
        except OSError:  # another process deletes it too, or uses it
            continue
