"""Trials: which annotations of a labelled catalog are queries, and which may answer each of them."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from snowmatch.core.errors import SnowmatchError
from snowmatch.core.notes import Note
from snowmatch.core.text import counted, did_you_mean
from snowmatch.core.types import BODY_PARTS, Annotation, same_part

CELLS = 100_000_000  # largest number of scores (queries x gallery) in one trial: 0.9 GB of memory (measured)
PROTOCOLS = ("cross-encounter", "cross-station", "split")


@dataclass(frozen=True)
class Trial:
    """One test of identification on the A annotations of a catalog, in its order.

    queries: (Q,) int64 and gallery: (G,) int64, row numbers of identified annotations.
    allowed: (Q, G) bool, which gallery annotation may answer which query.
    groups: (Q,) int64, the number of the group that is asked together: the queries of one encounter, individual and
    body part, which therefore have the same row of `allowed`.
    left_out: number of identified annotations that are not asked, because only a sample is asked. wished: whether the
    sample is as small as the user asked for; otherwise memory limits it.
    """

    protocol: str
    annotations: tuple[Annotation, ...]
    queries: np.ndarray
    gallery: np.ndarray
    allowed: np.ndarray
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

    def own(self) -> np.ndarray:
        """Return (Q, G) bool: whether a gallery annotation shows the query's individual, allowed or not."""
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


def make_trial(
    annotations: Sequence[Annotation], protocol: str, most: int = CELLS, *, sample: int | None = None
) -> Trial:
    """Return the trial of `protocol` with all identified annotations.

    The protocol says which annotations may answer a query. All: those of a compatible body part and another passage.
    `cross-station`: also of another station (an empty station equals an empty one). `split`: the queries are the `test`
    rows, and the `train` rows answer.

    most: largest number of scores. Of a larger catalog, only a sample of its encounters is asked; the gallery is never
    sampled. sample: largest number of queries; None for all. Raises SnowmatchError if the trial cannot be made.
    """
    if protocol not in PROTOCOLS:
        raise SnowmatchError(
            f"protocol is {protocol!r}, expected one of {', '.join(PROTOCOLS)}{did_you_mean(protocol, PROTOCOLS)}"
        )
    annotations = tuple(annotations)
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

    everything = len(asked)
    room = max(most // len(answering), 1)
    asked = _sample(asked, room if sample is None else min(room, sample))

    def columns(name: str) -> tuple[np.ndarray, np.ndarray]:
        """(Q, 1) of the queries and (G,) of the gallery, as text."""
        queries, gallery = (np.array([getattr(a, name) for a in side], str) for side in (asked, answering))
        return queries[:, None], gallery

    parts0, parts1 = columns("body_part")
    allowed = np.zeros((len(asked), len(answering)), bool)
    for part in BODY_PARTS:
        for other in BODY_PARTS:
            if same_part(part, other):
                allowed |= (parts0 == part) & (parts1 == other)
    passages0, passages1 = columns("passage")
    allowed &= passages0 != passages1
    if protocol == "cross-station":
        stations0, stations1 = columns("station")
        locations0, locations1 = columns("location")
        elsewhere = (locations0 != locations1) & (locations0 != "") & (locations1 != "") & (stations0 != "")
        allowed &= (stations0 != stations1) | elsewhere  # S01 of one location is not S01 of another
    numbers: dict[tuple[str, str | None, str], int] = {}
    groups = [numbers.setdefault((a.encounter, a.individual, a.body_part), len(numbers)) for a in asked]
    return Trial(
        protocol,
        annotations,
        np.array([a.row for a in asked], np.int64),
        np.array([a.row for a in answering], np.int64),
        allowed,
        np.array(groups, np.int64),
        everything - len(asked),
        sample is not None and sample <= room,
    )


def _sample(asked: Sequence[Annotation], most: int) -> list[Annotation]:
    """Return the queries of some encounters: `most` queries at most, but those of one encounter at least.

    The same catalog always gives the same sample.
    """
    if len(asked) <= most:
        return list(asked)
    groups: dict[tuple[str, str | None, str], list[Annotation]] = {}
    for a in asked:
        groups.setdefault((a.encounter, a.individual, a.body_part), []).append(a)
    order = sorted(groups, key=lambda group: hashlib.sha256(repr(group).encode("utf-8", "backslashreplace")).digest())
    chosen: list[Annotation] = []
    for group in order:
        if chosen and len(chosen) + len(groups[group]) > most:
            break
        chosen += groups[group]
    return sorted(chosen, key=lambda a: a.row)
