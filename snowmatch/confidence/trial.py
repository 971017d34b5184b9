"""Trials: which annotations of a labelled catalog are queries, and which may answer each of them."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from snowmatch.confidence.cells import Allowed
from snowmatch.core.errors import SnowmatchError
from snowmatch.core.notes import Note
from snowmatch.core.text import counted, did_you_mean
from snowmatch.core.types import BODY_PARTS, Annotation, same_part

PROTOCOLS = ("cross-encounter", "cross-station", "split")


@dataclass(frozen=True)
class Trial:
    """One test of identification on the A annotations of a catalog, in its order.

    queries: (Q,) int64 and gallery: (G,) int64, row numbers of identified annotations.
    open_to: which gallery annotation may answer which query, (Q, G).
    groups: (Q,) int64, the number of the group that is asked together: the queries of one encounter, individual and
    body part (`cross-station`: and of one station), which therefore have the same row of `open_to`.
    left_out: number of identified annotations that are not asked, because only a sample is asked. wished: whether the
    sample is as small as the user asked for; otherwise memory limits it.
    """

    protocol: str
    annotations: tuple[Annotation, ...]
    queries: np.ndarray
    gallery: np.ndarray
    open_to: Allowed
    groups: np.ndarray
    left_out: int = 0
    wished: bool = False

    @property
    def individual_names(self) -> tuple[str, ...]:
        """The names of the I individuals of the gallery, sorted."""
        return tuple(sorted({self.annotations[row].individual for row in self.gallery}))

    @property
    def individual_numbers(self) -> np.ndarray:
        """(G,) int64, the index of each gallery annotation's individual in `individual_names`."""
        number = {name: i for i, name in enumerate(self.individual_names)}
        return np.array([number[self.annotations[row].individual] for row in self.gallery], np.int64)

    @property
    def allowed(self) -> np.ndarray:
        """(Q, G) bool, which gallery annotation may answer which query: a byte for each pair, for small trials."""
        return self.open_to.dense()

    def own(self) -> np.ndarray:
        """Return (Q, G) bool: whether a gallery annotation shows the query's individual, allowed or not. It takes a
        byte for each pair.
        """
        individual = np.array([a.individual or "" for a in self.annotations])
        return individual[self.queries][:, None] == individual[self.gallery]


def sample_notes(trial: Trial) -> list[Note]:
    """Return a note if a trial asks only a sample of the identified annotations."""
    if not trial.left_out:
        return []
    asked, total = len(trial.queries), len(trial.queries) + trial.left_out
    text = f"only {asked} of {counted(total, 'identified annotation')} are asked, in a random sample of encounters"
    text += "" if trial.wished else ": the scores of all would need too much memory"
    text += "; the intervals of the figures count that in"
    return [Note("sampled", text, {"asked": asked, "total": total})]


def sides_of(annotations: Sequence[Annotation], protocol: str) -> tuple[list[Annotation], list[Annotation]]:
    """Return the annotations that are asked about in a trial of `protocol`, if all are, and those that may answer.

    Raises SnowmatchError if the trial cannot be made.
    """
    if protocol not in PROTOCOLS:
        raise SnowmatchError(
            f"protocol is {protocol!r}, expected one of {', '.join(PROTOCOLS)}{did_you_mean(protocol, PROTOCOLS)}"
        )
    named = [a for a in annotations if a.individual is not None]
    if not named:
        raise SnowmatchError("no annotation has an individual: evaluation needs photos whose animals are known")
    asked = [a for a in named if a.split == "test"] if protocol == "split" else named
    answering = [a for a in named if a.split == "train"] if protocol == "split" else named
    if not asked or not answering:
        splits = sorted({a.split or "(empty)" for a in named})
        raise SnowmatchError(
            "protocol split needs rows of split test to ask about and rows of split train to answer; "
            f"the column split of this catalog has: {', '.join(splits)}"
        )
    return asked, answering


def make_trial(
    annotations: Sequence[Annotation], protocol: str, most: int | None = None, *, sample: int | None = None
) -> Trial:
    """Return the trial of `protocol` with all identified annotations.

    The protocol says which annotations may answer a query. All: those of a compatible body part and another passage.
    `cross-station`: also of another station (an empty station equals an empty one). `split`: the queries are the `test`
    rows, and the `train` rows answer.

    most: largest number of queries that fit into the memory. sample: the number that the user wants. None: all. Of
    more, only a sample of their encounters is asked; the gallery is never sampled. Raises SnowmatchError if the
    trial cannot be made.
    """
    annotations = tuple(annotations)
    asked, answering = sides_of(annotations, protocol)
    everything = len(asked)
    room = everything if most is None else max(most, 1)
    asked = _sample(asked, room if sample is None else min(room, sample))

    numbers: dict[tuple[str | None, ...], int] = {}
    names = ("encounter", "individual", "body_part", *_places(protocol))
    groups = [numbers.setdefault(tuple(getattr(a, name) for name in names), len(numbers)) for a in asked]
    return Trial(
        protocol,
        annotations,
        np.array([a.row for a in asked], np.int64),
        np.array([a.row for a in answering], np.int64),
        _open_to(protocol, asked, answering),
        np.array(groups, np.int64),
        everything - len(asked),
        sample is not None and sample <= room,
    )


def _places(protocol: str) -> tuple[str, ...]:
    """Return which fields on the place of a query decide who may answer it."""
    return ("station", "location") if protocol == "cross-station" else ()


def _open_to(protocol: str, asked: Sequence[Annotation], answering: Sequence[Annotation]) -> Allowed:
    """Return which of the `answering` annotations may answer which of the `asked` ones."""
    names = ("body_part", "passage", *_places(protocol))
    codes: dict[str, dict[str, int]] = {name: {} for name in names}
    of_gallery = {
        name: np.array([codes[name].setdefault(getattr(a, name), len(codes[name])) for a in answering], np.int64)
        for name in names
    }
    kinds: dict[tuple[str, ...], int] = {}
    numbers = [kinds.setdefault(tuple(getattr(a, name) for name in names), len(kinds)) for a in asked]

    def elsewhere(name: str, text: str) -> np.ndarray:
        return of_gallery[name] != codes[name].get(text, -1)

    fitting = {
        part: ~np.logical_and.reduce([elsewhere("body_part", o) for o in BODY_PARTS if same_part(part, o)])
        for part in BODY_PARTS
    }
    bits = np.zeros((len(kinds), -(-len(answering) // 8)), np.uint8)
    for (part, passage, *place), number in kinds.items():
        if part not in fitting:
            continue
        allowed = fitting[part] & elsewhere("passage", passage)
        if place:
            station, location = place
            apart = elsewhere("station", station)
            if station and location:  # S01 of one location is not S01 of another
                apart = apart | (elsewhere("location", location) & elsewhere("location", ""))
            allowed &= apart
        bits[number] = np.packbits(allowed)
    return Allowed(bits, np.array(numbers, np.int64), len(answering))


def _sample(asked: Sequence[Annotation], most: int) -> list[Annotation]:
    """Return the queries of some encounters: `most` queries at most, but those of the smallest encounter at least.

    An encounter that does not fit any more is left out, and a later one may fit. The same catalog always gives the same
    sample, and `most` as large as a sample gives that sample.
    """
    if len(asked) <= most:
        return list(asked)
    groups: dict[tuple[str, str | None, str], list[Annotation]] = {}
    for a in asked:
        groups.setdefault((a.encounter, a.individual, a.body_part), []).append(a)
    order = sorted(groups, key=lambda group: hashlib.sha256(repr(group).encode("utf-8", "backslashreplace")).digest())
    chosen: list[Annotation] = []
    for group in order:
        if len(chosen) + len(groups[group]) <= most:
            chosen += groups[group]
    return sorted(chosen or groups[min(order, key=lambda group: len(groups[group]))], key=lambda a: a.row)
