"""The files of search blocks and of their codebooks. They are written once and never changed.

A block `<part>-<codebook>-<mark>` has three files: `.keys` (its annotations, the number of rows of each, how many of
them are searched, and a mark of which), `.faiss` (the inverted file, unless its rows are few) and, written last,
`.sums` (the checksums of the others, and the format). Without checksums it is no block. Its rows are those of the
features; older versions kept a copy of them in `.npy`. A codebook `<part>-<codebook>` has `.codebook` and `.sums`.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from snowmatch.core.errors import SnowmatchError
from snowmatch.core.files import unreadable
from snowmatch.core.sums import is_unchanged, read_sums, write_sums, write_with_sums
from snowmatch.matching.search.inverted_file import Codebook, FaissIndex, read_lists, without_centres, write_lists

INDEX_FORMAT = 5  # increased if the way of building changes: blocks and codebooks of another format are not used
UNTOLD = 5  # the format of those whose checksums do not tell it; still older blocks are known by their lists of keys
KEYS, ROWS, LISTS, CODES, SUMS = ".keys", ".npy", ".faiss", ".codebook", ".sums"
ENDINGS = (SUMS, KEYS, ROWS, LISTS, CODES)  # the checksums go first when files are deleted
FEW = "few"  # in the place of the codebook's name, for blocks of few rows
KEY_ROWS = np.dtype([("key", "S32"), ("rows", "<i8"), ("searched", "<i8"), ("mark", "<u8")])
DAMAGE = (KeyError, TypeError, ValueError, EOFError, RuntimeError, SnowmatchError)  # RuntimeError: of faiss


@dataclass(frozen=True, eq=False)
class Stored:
    """A block on disk. keys: (E,) S32, ascending. counts: (E,) int64, the number of rows of each.

    marks: (E,) uint64, see `Content`. searched: how many of all rows are searched; more where that is not known yet.
    """

    path: Path
    codebook: str
    keys: np.ndarray
    counts: np.ndarray
    marks: np.ndarray
    searched: int

    @property
    def rows(self) -> int:
        """The number of rows."""
        return int(self.counts.sum())


def fingerprint(keys: Iterable[bytes], *others: str) -> str:
    """Return 16 hex digits that change if the annotations, or the way of indexing them, change."""
    digest = hashlib.sha256(" ".join((str(INDEX_FORMAT), *others)).encode() + b"\n")
    digest.update(b"\n".join(keys))
    return digest.hexdigest()[:16]


def with_ending(path: Path, ending: str) -> Path:
    """Return the path of one of the files of a block or codebook."""
    return path.with_name(path.name + ending)


def write_block(
    path: Path, keys: np.ndarray, counts: np.ndarray, searched: np.ndarray, marks: np.ndarray, lists: Any
) -> None:
    """Write a block. counts, searched: the number of rows of each key, and of those in `lists`. marks: see `Content`.

    lists: its inverted file, or None. Raises SnowmatchError if it cannot be written.
    """
    table = np.empty(len(keys), KEY_ROWS)
    table["key"], table["rows"], table["searched"], table["mark"] = keys, counts, searched, marks

    def write_keys(file: Any) -> None:
        np.lib.format.write_array(file, table, (1, 0))

    writers = {KEYS: write_keys}
    if lists is not None:
        writers[LISTS] = lambda file: write_lists(lists, file)
    sums = {path.name + ending: write_with_sums(with_ending(path, ending), write) for ending, write in writers.items()}
    sums[path.name + KEYS]["format"] = INDEX_FORMAT
    write_sums(with_ending(path, SUMS), sums)


def list_blocks(folder: Path, part: str) -> tuple[list[Stored], list[Path]]:
    """Return the complete blocks of a body part, by name, and the paths of those whose lists of keys are damaged.

    Blocks of another format are left out.
    """
    found, damaged = [], []
    for sums in sorted(folder.glob(f"{part}-*-*{SUMS}")):
        path = sums.with_suffix("")
        try:
            known = _sums(path)
            file = with_ending(path, KEYS)
            if file.name not in known or not _is_of_this_format(known[file.name]):
                continue
            if not is_unchanged(file, known[file.name]):
                raise ValueError("the list of keys has changed")
            table = np.load(file, allow_pickle=False)
            if table.dtype != KEY_ROWS:  # of an older format
                continue
            counts = table["rows"].astype(np.int64)
            searched = int(table["searched"].sum())
            found.append(Stored(path, path.name.split("-")[1], table["key"], counts, table["mark"], searched))
        except FileNotFoundError:  # merged meanwhile, or not complete
            if sums.exists():
                damaged.append(path)
        except OSError as error:
            raise unreadable(sums, error) from error
        except DAMAGE:
            damaged.append(path)
    return found, damaged


def _is_of_this_format(sums: Mapping[str, Any]) -> bool:
    """Return whether a list of keys, or a codebook, was written in the format of today. sums: its checksums."""
    return (int(sums["format"]) if "format" in sums else UNTOLD) == INDEX_FORMAT


def _sums(path: Path) -> dict[str, dict[str, Any]]:
    """Return the checksums of a block or codebook. Raises ValueError if they are damaged."""
    known = read_sums(with_ending(path, SUMS))
    if known is None:
        raise ValueError("the checksums are damaged")
    return known


def read_counts(stored: Path) -> np.ndarray:
    """Return the number of rows (E,) int64 of each annotation of a block that `read_block` has read."""
    counts: np.ndarray = np.load(with_ending(stored, KEYS), allow_pickle=False)["rows"].astype(np.int64)
    return counts


def read_block(stored: Path, count: int) -> FaissIndex | None:
    """Return the index of a block, without rows and codebook; None if it does not exist or is damaged.

    count: the number of lists; 0 for a block of few rows. Raises SnowmatchError if the system cannot read it.
    """
    try:
        known = _sums(stored)
        if not is_sound(stored):
            return None
        if not count or stored.name + LISTS not in known:
            return None if count else FaissIndex(None, None)
        with open(with_ending(stored, LISTS), "rb") as file:  # on Windows, faiss cannot open every path
            lists = without_centres(read_lists(file))
        rows = int(np.load(with_ending(stored, KEYS), allow_pickle=False)["searched"].sum())
        return FaissIndex(None, lists) if (lists.ntotal, lists.nlist) == (rows, count) else None
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise unreadable(with_ending(stored, SUMS), error) from error
    except DAMAGE:
        return None


def is_sound(path: Path) -> bool:
    """Return whether all files of a block or codebook that are used are there and have their checksums.

    Raises SnowmatchError if the system cannot read one.
    """
    try:
        used = {name: sums for name, sums in _sums(path).items() if not name.endswith(ROWS)}
        return all(is_unchanged(path.with_name(name), sums) for name, sums in used.items())
    except FileNotFoundError:
        return False
    except OSError as error:
        raise unreadable(with_ending(path, SUMS), error) from error
    except DAMAGE:
        return False


def write_codebook(path: Path, codebook: Codebook) -> None:
    """Write a codebook. Raises SnowmatchError if it cannot be written."""
    file = with_ending(path, CODES)
    sums = write_with_sums(file, lambda opened: write_lists(codebook.empty, opened))
    write_sums(with_ending(path, SUMS), {file.name: {**sums, "trained": codebook.trained, "format": INDEX_FORMAT}})


def read_codebook(path: Path) -> Codebook | None:
    """Return a codebook; None if it does not exist, is damaged or has another format.

    Raises SnowmatchError if the system cannot read it.
    """
    try:
        known, file = _sums(path), with_ending(path, CODES)
        if not _is_of_this_format(known[file.name]) or not is_unchanged(file, known[file.name]):
            return None
        with open(file, "rb") as opened:
            return Codebook(path.name, int(known[file.name]["trained"]), read_lists(opened))
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise unreadable(with_ending(path, SUMS), error) from error
    except DAMAGE:
        return None


def remove(path: Path) -> None:
    """Delete the files of a block or codebook. If the system does not allow it, they stay until the next time."""
    for ending in ENDINGS:
        try:
            with_ending(path, ending).unlink()
        except OSError:  # already deleted, or on Windows mapped by another process
            continue


def drop_rows(path: Path) -> None:
    """Delete the copy of its rows that older versions kept in a block. Raises SnowmatchError if that fails."""
    try:
        known = _sums(path)
    except (OSError, ValueError):  # damaged or merged meanwhile: it is not used
        return
    name = path.name + ROWS
    if name in known:
        write_sums(with_ending(path, SUMS), {other: sums for other, sums in known.items() if other != name})
    with suppress(OSError):  # on Windows mapped by another process: it stays until the next time
        with_ending(path, ROWS).unlink()


def touch(path: Path) -> None:
    """Record, in the time of its file, that a block was checked now."""
    try:
        os.utime(with_ending(path, SUMS))
    except OSError:  # a read-only disk: it is checked again next time
        return
