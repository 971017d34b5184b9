"""Scores of many queries and a whole gallery, of which only those that are not 0 are held."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

CELL = 12  # bytes of one held score: its column and its value
LARGEST = 8 << 30  # bytes of the held scores of a file: a small file must not fill the memory


@dataclass(frozen=True, eq=False)
class Allowed:
    """Which of G gallery annotations may answer which of Q queries. Queries with equal rows share one.

    bits: (P, ceil(G / 8)) uint8, the P different rows as `np.packbits` packs them. numbers: (Q,) int64, the row of each
    query. width: G.
    """

    bits: np.ndarray
    numbers: np.ndarray
    width: int

    @property
    def shape(self) -> tuple[int, int]:
        """Q and G."""
        return len(self.numbers), self.width

    def row(self, query: int) -> np.ndarray:
        """Return (G,) bool, what may answer one query."""
        return np.unpackbits(self.bits[self.numbers[query]], count=self.width).astype(bool)

    def patterns(self) -> Iterator[np.ndarray]:
        """Give the P different rows, (G,) bool each."""
        return (np.unpackbits(bits, count=self.width).astype(bool) for bits in self.bits)

    def any(self) -> np.ndarray:
        """Return (Q,) bool, whether anything may answer a query."""
        return np.asarray(self.bits.any(axis=1))[self.numbers]

    def dense(self) -> np.ndarray:
        """Return (Q, G) bool."""
        return np.unpackbits(self.bits, axis=1, count=self.width).astype(bool)[self.numbers]

    def of(self, queries: np.ndarray) -> Allowed:
        """Return what may answer some of the queries."""
        return Allowed(self.bits, self.numbers[queries], self.width)

    def same(self, other: Allowed) -> bool:
        """Return whether both allow the same pairs."""
        if self.shape != other.shape:
            return False
        pairs = set(zip(self.numbers.tolist(), other.numbers.tolist(), strict=True))
        return all(np.array_equal(self.bits[a], other.bits[b]) for a, b in pairs)


def allowed_of(rows: Iterable[np.ndarray], width: int) -> Allowed:
    """Return the pairs of Q rows (G,) bool, each of G = `width`; no rows: of no query."""
    numbers: dict[bytes, int] = {}
    of_query = [numbers.setdefault(np.packbits(row).tobytes(), len(numbers)) for row in rows]
    bits = np.frombuffer(b"".join(numbers), np.uint8).reshape(len(numbers), -(-width // 8))
    return Allowed(bits, np.array(of_query, np.int64), width)


class Row(NamedTuple):
    """The held scores of one query: columns (N,) int32, ascending, and values (N,) float64."""

    columns: np.ndarray
    values: np.ndarray


EMPTY = Row(np.zeros(0, np.int32), np.zeros(0))


@dataclass(frozen=True, eq=False)
class Cells:
    """The scores of Q queries and G gallery annotations; higher is better.

    open_to: the pairs that the trial allows; the score of any other is NaN. blank: (Q,) bool, queries without features,
    and bare: (G,) bool, annotations without: -inf. rows: the other scores of each query, but for those that are 0.
    """

    open_to: Allowed
    blank: np.ndarray
    bare: np.ndarray
    rows: tuple[Row, ...]

    @property
    def shape(self) -> tuple[int, int]:
        """Q and G."""
        return self.open_to.shape

    def row(self, query: int) -> np.ndarray:
        """Return (G,) float64, all scores of one query: NaN if not allowed, 0 without a vote."""
        allowed = self.open_to.row(query)
        if self.blank[query]:
            return np.where(allowed, -np.inf, np.nan)
        scores = np.where(self.bare, -np.inf, 0.0)
        scores[self.rows[query].columns] = self.rows[query].values
        scores[~allowed] = np.nan
        return scores

    def dense(self) -> np.ndarray:
        """Return (Q, G) float64. It takes 8 bytes for each pair."""
        return np.array([self.row(query) for query in range(len(self.rows))]).reshape(self.shape)

    def at(self, query: int, column: int) -> float:
        """Return one score."""
        if not self.open_to.bits[self.open_to.numbers[query], column // 8] & (0x80 >> column % 8):
            return float("nan")
        if self.blank[query] or self.bare[column]:
            return float("-inf")
        columns, values = self.rows[query]
        place = int(np.searchsorted(columns, column))
        return float(values[place]) if place < len(columns) and columns[place] == column else 0.0

    def of(self, queries: np.ndarray) -> Cells:
        """Return the scores of some of the queries."""
        rows = tuple(self.rows[query] for query in queries.tolist())
        return Cells(self.open_to.of(queries), self.blank[queries], self.bare, rows)

    def comparable(self) -> np.ndarray:
        """Return (Q,) bool: whether a query has a finite score."""
        able = np.array([np.count_nonzero(row & ~self.bare) for row in self.open_to.patterns()], np.int64)
        infinite = np.array([np.count_nonzero(np.isinf(row.values)) for row in self.rows], np.int64)
        return ~self.blank & (able[self.open_to.numbers] > infinite)

    def places(self, query: int, right: np.ndarray, preferred: np.ndarray | None = None) -> np.ndarray:
        """Return the places (1: first) of the right answers that may answer a query, ascending.

        right: (G,) bool, whether an annotation is a right answer. preferred: (G,) what is added to scores above 0; None
        adds nothing. Wrong answers with equal scores come first. No right answer that may answer: none.
        """
        allowed = self.open_to.row(query)
        right, wrong = right & allowed, allowed & ~right
        columns, values = EMPTY if self.blank[query] else self.rows[query]
        if preferred is not None:
            values = np.where(values > 0, values + preferred[columns], values)
        low = allowed if self.blank[query] else self.bare
        mine, others = right[columns], np.sort(values[wrong[columns]])
        lowest, lowest_others = np.count_nonzero(right & low), np.count_nonzero(wrong & low)
        nothing = np.count_nonzero(right) - np.count_nonzero(mine) - lowest
        nothing_others = np.count_nonzero(wrong) - len(others) - lowest_others
        scores = np.concatenate([np.sort(values[mine]), np.zeros(nothing), np.full(lowest, -np.inf)])
        scores = -np.sort(-scores)
        before = len(others) - np.searchsorted(others, scores)
        before += np.where(scores <= 0, nothing_others, 0) + np.where(np.isneginf(scores), lowest_others, 0)
        return before + np.arange(1, len(scores) + 1)


def held_row(scores: np.ndarray, allowed: np.ndarray, bare: np.ndarray) -> Row:
    """Return what is held of the scores (G,) of one query. allowed, bare: (G,) bool.

    Raises ValueError if a score that is allowed is NaN.
    """
    columns = np.flatnonzero(allowed & ~bare & ((scores != 0) | np.signbit(scores)))  # -0 stays -0 in a file
    values = scores[columns].astype(np.float64)
    if np.isnan(values).any():
        raise ValueError("a score that the trial allows is NaN: give 0 for no vote, -inf where a side has no features")
    return Row(columns.astype(np.int32), values)


def cells_of(rows: Iterable[np.ndarray], width: int, open_to: Allowed | None = None) -> Cells:
    """Return the scores of Q rows (G,), each of G = `width`.

    open_to: the pairs that count; without it, those whose score is not NaN. Raises ValueError if a score that counts is
    NaN, or if too many scores are not 0 for the memory.
    """
    bare = np.zeros(width, bool)
    held: list[Row] = []
    blank: list[bool] = []

    def each() -> Iterator[np.ndarray]:
        size = 0
        for number, scores in enumerate(rows):
            allowed = ~np.isnan(scores) if open_to is None else open_to.row(number)
            blank.append(bool(allowed.any() and np.isneginf(scores[allowed]).all()))
            held.append(EMPTY if blank[-1] else held_row(scores, allowed, bare))
            size += CELL * len(held[-1].columns)
            if size > LARGEST:
                raise ValueError("more scores than fit into memory")
            yield allowed

    found = allowed_of(each(), width)
    return Cells(found if open_to is None else open_to, np.array(blank, bool), bare, tuple(held))
