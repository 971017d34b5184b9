"""Search blocks that sit with the workers of a cluster: a query goes to all of them, and their lists are merged.

A worker reads a block from the shared folder when it is first asked about it, and keeps it for later queries, also of
other commands, as long as its memory allows. Each block is asked for at the same worker, as long as the workers are the
same; if one is lost, another reads its blocks. A worker returns the best of all its blocks.

Which rows are candidates does not depend on who looks where. So the answers are those of one process, to the last bit.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from hashlib import blake2b
from pathlib import Path

import numpy as np

from snowmatch.core.executor import open_workers
from snowmatch.matching.search.files import read_block, read_counts
from snowmatch.matching.search.inverted_file import Candidates, FaissIndex
from snowmatch.matching.search.loaded import Loaded, default_memory, limited_memory

UNEVEN = 1.1  # a worker holds at most so many times its share of the rows, or one block

Found = dict[int, tuple[np.ndarray, np.ndarray]]
_loaded = Loaded(1)  # the blocks that this process holds as a worker


@dataclass(frozen=True, eq=False)
class Asked:
    """One query in one round. queries: (N, D), uint8 or float32. near: (N, P) int32, the lists to look at.

    count, all_equal: see `Candidates`.
    """

    queries: np.ndarray
    near: np.ndarray
    count: int
    all_equal: bool


@dataclass(frozen=True, eq=False)
class Part:
    """A block that is asked for. place: its number. name: of its files. lists: the number of its lists.

    keeps: for each query that asks, by number: the bits of the entries that may answer, and the number of the first
    row. memory: the bytes that it takes.
    """

    place: int
    name: str
    lists: int
    keeps: Mapping[int, tuple[np.ndarray, int]]
    memory: int


@dataclass(frozen=True, eq=False)
class LookAt:
    """The task to look at the blocks of one worker."""

    parts: tuple[Part, ...]

    def run(self, folder: Path, memory: int | None, asked: Mapping[int, Asked]) -> tuple[Found, list[int]]:
        """Return distances (N, C) float32 and row numbers (N, C) of the best candidates of each query, by its number,
        and the places of the blocks that could not be read. The rows are int32 if that is enough.

        folder: where the blocks are. memory: bytes that the blocks held by this process may take; None: the default.
        """
        _loaded.bound(memory or default_memory())
        best = dict[int, Candidates]()
        missing = [part.place for part in self.parts if not _look(folder / part.name, part, asked, best)]
        return {number: (each.away, _small(each.rows)) for number, each in best.items()}, missing

    @property
    def path(self) -> str:
        return self.parts[0].name


def ask_workers(
    folder: Path, rows: Mapping[str, int], parts: Sequence[Part], asked: Mapping[int, Asked]
) -> Iterator[tuple[Found, list[int]]]:
    """Yield what each worker of the cluster in use finds in its blocks, see `LookAt.run`. Without queries, the workers
    only load their blocks.

    folder: where the blocks are, for all workers. rows: the rows of all blocks of the group, by name: they tell which
    worker has which. parts: those blocks that are asked for.
    """
    with open_workers((folder, limited_memory(), dict(asked))) as pool:
        # without a worker, the tasks wait for the next one
        homes = assign(tuple(rows.items()), tuple(pool.workers) or ("",))
        work: dict[str, list[Part]] = {}
        for part in parts:
            work.setdefault(homes[part.name], []).append(part)
        for waiting in [pool.submit(LookAt(tuple(mine)), worker or None) for worker, mine in work.items()]:
            yield waiting.result()


@lru_cache(maxsize=16)
def assign(blocks: tuple[tuple[str, int], ...], workers: tuple[str, ...]) -> dict[str, str]:
    """Return the worker of each block, by name. blocks: their names and numbers of rows.

    It depends only on these. If a worker is lost or a new one comes, most blocks stay where they are. Source: Mirrokni
    et al., SODA 2018, "Consistent hashing with bounded loads", with the hashes of Thaler & Ravishankar 1998.
    """
    rows, held = dict(blocks), dict.fromkeys(workers, 0)
    most = max(UNEVEN * sum(rows.values()) / len(workers), max(rows.values(), default=0))
    homes = {}
    for name in sorted(rows, key=lambda name: (-rows[name], name)):
        liked = sorted(workers, key=lambda worker: blake2b(f"{name} {worker}".encode(), digest_size=8).digest())
        home = next((worker for worker in liked if held[worker] + rows[name] <= most), min(liked, key=held.__getitem__))
        homes[name] = home
        held[home] += rows[name]
    return homes


def _look(path: Path, part: Part, asked: Mapping[int, Asked], best: dict[int, Candidates]) -> bool:
    """Add the best rows of a block for each query to `best`. Return whether the block could be read.

    Nothing of it stays in use: the next one may need its memory.
    """
    held = _hold(path, part)
    if held is None:
        return False
    index, counts = held
    for number, (bits, first) in part.keeps.items():
        each = asked[number]
        wanted = np.repeat(np.unpackbits(bits, count=len(counts)).astype(bool), counts)
        queries = np.ascontiguousarray(each.queries, np.float32)
        if number not in best:
            best[number] = Candidates(len(queries), each.count, all_equal=each.all_equal)
        best[number].add(*index.look(queries, each.near, wanted, each.count), first)
    return True


def _hold(path: Path, part: Part) -> tuple[FaissIndex, np.ndarray] | None:
    """Return a block and the number of rows of each of its entries; None if it is not there or damaged."""
    found: tuple[FaissIndex, np.ndarray] | None = _loaded.get(str(path))
    if found is None:
        _loaded.make_room(part.memory)
        index = read_block(path, part.lists)
        if index is not None:
            found = index, read_counts(path)
            _loaded.put(str(path), found, index.memory)
    return found


def _small(rows: np.ndarray) -> np.ndarray:
    return rows.astype(np.int32) if rows.max(initial=0) < 2**31 else rows
