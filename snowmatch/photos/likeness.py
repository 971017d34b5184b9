"""Likenesses find photos that are nearly the same picture: a copy that was resized, saved again or stamped.

A likeness has one bit for each pair of neighbouring pixels of a small grey copy: whether the left pixel is brighter
than the right one. Source: the difference hash (dHash), N. Krawetz, "Kind of Like That", 2013.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from snowmatch.photos.pixels import read_grey

SIDE = 16  # rows, and bits of a row
BITS = SIDE * SIDE
LENGTH = BITS // 8  # bytes
# Copies of the leopard photos (half the size, JPEG quality 60, a black bar at the bottom) differ in at most 12 bits
# (99 %). Photos that one station took in different encounters differ in 19 bits at least. Cropped copies are not found.
NEARLY_EQUAL = 12
BLANK = 8  # grey levels between the darkest and the brightest position: with fewer, only noise is compared
_PARTS = NEARLY_EQUAL + 1  # parts of a likeness: two that differ in at most NEARLY_EQUAL bits have an equal part
DECODED = 8 * SIDE  # longest side (px) that is decoded; a JPEG is decoded quickly at a smaller scale


def photo_likeness(path: Path) -> bytes:
    """Return the likeness (32 bytes) of a photo file. Raises SnowmatchError if it cannot be read."""
    return likeness(read_grey(path, DECODED))


def likeness(grey: np.ndarray) -> bytes:
    """Return the likeness (32 bytes) of grey pixels (H, W) uint8; b"" for a blank photo, which is like any other."""
    if not grey.size:
        return b""
    small = Image.fromarray(grey).resize((SIDE + 1, SIDE), Image.Resampling.LANCZOS, reducing_gap=2.0)
    values = np.asarray(small, np.int16)
    if np.ptp(values) < BLANK:
        return b""
    return np.packbits(values[:, 1:] > values[:, :-1]).tobytes()


def difference(one: bytes, other: bytes) -> int:
    """Return the number of different bits of two likenesses, 0 to 256; 256 if one is not known."""
    if len(one) != LENGTH or len(other) != LENGTH:
        return BITS
    return (int.from_bytes(one) ^ int.from_bytes(other)).bit_count()


class Likenesses:
    """Many likenesses, ready to be compared with one."""

    def __init__(self, likenesses: Sequence[bytes]) -> None:
        known = [i for i, each in enumerate(likenesses) if len(each) == LENGTH]
        self._known = np.array(known, np.int64)
        self._words = _words([likenesses[i] for i in known])

    def nearly_equal(self, one: bytes) -> list[int]:
        """Return the positions of the likenesses that differ from `one` in at most NEARLY_EQUAL bits."""
        if len(one) != LENGTH:
            return []
        bits = np.bitwise_count(self._words ^ _words([one])).sum(axis=1)
        return self._known[bits <= NEARLY_EQUAL].tolist()


def nearly_equal_pairs(
    likenesses: Sequence[bytes],
    moments: Sequence[Hashable | None] | None = None,
    groups: Sequence[int] | None = None,
    names: Sequence[Hashable | None] | None = None,
) -> list[tuple[int, int]]:
    """Return pairs (i, j), i < j, of likenesses that differ in at most NEARLY_EQUAL bits, sorted. They join all photos
    that such pairs join. A pair inside what is joined already is returned only if it has two names, and one of its
    photos has no such pair yet: all pairs of alike photos would be too many.

    moments: when the photos were taken; photos of two known moments are no pair. groups: photos of equal ones are
    joined from the start. names: what the photos show. None is not known, and an unknown likeness has no pair.
    """
    known = np.array([i for i, each in enumerate(likenesses) if len(each) == LENGTH], np.int64)
    if len(known) < 2:
        return []
    moment, name = (_numbers(values, len(likenesses))[known] for values in (moments, names))
    same = np.arange(len(known)) if groups is None else np.asarray(groups)[known]
    _, first_of, member = np.unique(same, return_index=True, return_inverse=True)
    group = first_of[member]
    words = _words([likenesses[i] for i in known])
    bits = np.unpackbits(words.view(np.uint8).reshape(len(known), -1), axis=1)
    # Bits of one region are equal in all photos of a station, so a part takes its bits from the whole picture
    places = np.random.default_rng(0).permutation(BITS)
    found: set[tuple[int, int]] = set()
    told = name == 0  # the photos that have a pair with two names, or that can have none
    # Two such likenesses have at least one of _PARTS parts in common, so only those with an equal part are compared
    for columns in np.array_split(places, _PARTS):
        packed = np.packbits(bits[:, columns], axis=1)
        padded = np.zeros((len(known), 4), np.uint8)
        padded[:, : packed.shape[1]] = packed
        part = padded.view(np.uint32).ravel()
        order = np.lexsort((moment, part))  # unknown moments are the first of each run of equal parts
        part, time = part[order], moment[order]
        starts = np.flatnonzero(np.concatenate([[True], part[1:] != part[:-1]]))
        run = np.searchsorted(starts, np.arange(len(order)), side="right") - 1
        open_runs = _open_runs(group[order], name[order], told[order], starts)
        first, away = np.arange(len(order)), 1  # all pairs of neighbours, then of next but one neighbours, ...
        while len(first := first[first + away < len(order)]):
            at_once = (time[first] == 0) | (time[first] == time[first + away])
            first = first[(part[first] == part[first + away]) & at_once & open_runs[run[first]]]
            one, other = order[first], order[first + away]
            two_names = (name[one] != name[other]) & (name[one] > 0) & (name[other] > 0)
            wanted = (group[one] != group[other]) | (two_names & ~(told[one] & told[other]))
            one, other, two_names = one[wanted], other[wanted], two_names[wanted]
            close = np.bitwise_count(words[one] ^ words[other]).sum(axis=1) <= NEARLY_EQUAL
            if close.any():
                found.update(zip(one[close].tolist(), other[close].tolist(), strict=True))
                told[one[close & two_names]] = told[other[close & two_names]] = True
                _join(group, one[close], other[close])
                open_runs = _open_runs(group[order], name[order], told[order], starts)
            away += 1
    numbers = known.tolist()
    return sorted({(min(i, j), max(i, j)) for i, j in ((numbers[i], numbers[j]) for i, j in found)})


def _numbers(values: Sequence[Hashable | None] | None, count: int) -> np.ndarray:
    """Return equal numbers for equal values, from 1; 0 for None."""
    seen: dict[Hashable, int] = {}
    numbers = [0 if v is None else seen.setdefault(v, len(seen) + 1) for v in values or [None] * count]
    return np.array(numbers, np.int64)


def _open_runs(group: np.ndarray, name: np.ndarray, told: np.ndarray, starts: np.ndarray) -> np.ndarray:
    """Return which runs, beginning at `starts`, have members of two groups, or with two names and not all `told`."""
    unnamed_last = np.where(name > 0, name, np.iinfo(name.dtype).max)
    two_names = np.maximum.reduceat(name, starts) > np.minimum.reduceat(unnamed_last, starts)
    two_names &= ~np.logical_and.reduceat(told, starts)
    return two_names | (np.minimum.reduceat(group, starts) != np.maximum.reduceat(group, starts))


def _join(group: np.ndarray, one: np.ndarray, other: np.ndarray) -> None:
    """Join the groups of each pair, in place. The number of a group is that of its first member."""
    while len(one := one[apart := group[one] != group[other]]):
        other = other[apart]
        np.minimum.at(group, np.maximum(group[one], group[other]), np.minimum(group[one], group[other]))
        while ((above := group[group]) != group).any():
            group[:] = above


def _words(likenesses: Sequence[bytes]) -> np.ndarray:
    """Return the likenesses as (N, 4) uint64."""
    return np.frombuffer(b"".join(likenesses), np.uint64).reshape(-1, BITS // 64)
