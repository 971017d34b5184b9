"""Summaries of captures: individuals, capture frequencies, accumulation, estimates."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

import numpy as np

from snowmatch.survey.abundance import Estimate, chao, m0
from snowmatch.survey.captures import Capture, history
from snowmatch.survey.occasions import Session

ASSUMES = {
    "m0": "M0 assumes a closed population (no birth, death, arrival or departure), every animal equally easy to "
    "capture on every occasion, and no identification error",
    "chao": "Mh (Chao) assumes a closed population and no identification error; animals may differ in how easily they "
    "are captured, and the estimate is then a lower bound",
}


@dataclass(frozen=True)
class Individual:
    """What is known of one individual of a survey. captures: one a station and occasion. flanks: such as `L`, `LR` (in
    different captures) or `B` (both sides in one capture). stations, sessions: their names. first, last: dates without
    a time of day where only the day is known. age_class: the last one that is known.
    """

    name: str
    sex: str
    age_class: str
    first: date
    last: date
    captures: int
    sightings: int
    occasions: int
    stations: tuple[str, ...]
    sessions: tuple[str, ...]
    flanks: str


def individuals(captures: Sequence[Capture]) -> list[Individual]:
    """Return the captured individuals by name. No captures give none."""
    found = []
    groups: dict[str, list[Capture]] = defaultdict(list)
    for c in captures:
        groups[c.individual].append(c)
    for name, own in sorted(groups.items()):
        sides = {c.flank for c in own} - {""}
        found.append(
            Individual(
                name,
                own[0].sex,
                max(own, key=lambda c: (bool(c.age_class), c.start)).age_class,
                min(own, key=lambda c: c.start).began,
                max(own, key=lambda c: c.end).ended,
                len({c.cell for c in own}),
                len({c.rows for c in own}),
                len({(c.session, c.occasion) for c in own}),
                tuple(sorted({c.place for c in own})),
                tuple(sorted({c.session for c in own})),
                "B" if "B" in sides else "".join(sorted(sides)),
            )
        )
    return found


def frequencies(captures: Sequence[Capture], session: Session) -> dict[int, int]:
    """Return how many animals were captured on exactly 1, 2, ... occasions of a session."""
    _, table = history(captures, session.name, session.occasions)
    return dict(sorted(Counter(int(n) for n in table.sum(axis=1)).items()))


def accumulation(captures: Sequence[Capture], session: Session) -> list[tuple[int, int, int]]:
    """Return (occasion, animals captured on it, different animals captured up to it) for each occasion, from 1."""
    _, table = history(captures, session.name, session.occasions)
    if not len(table):
        return [(k + 1, 0, 0) for k in range(session.occasions)]
    so_far = np.maximum.accumulate(table, axis=1).sum(axis=0)
    return [(k + 1, int(table[:, k].sum()), int(so_far[k])) for k in range(session.occasions)]


def estimates(captures: Sequence[Capture], session: Session, worked: np.ndarray) -> dict[str, Estimate]:
    """Return the estimates of the number of animals in a session, by model (`m0`, `chao`).

    worked: (K,) bool, whether any camera worked on an occasion. On the others nothing can be captured: they do not
    count, but for those with captures, where a part of a survey begins after its cameras worked.
    """
    _, table = history(captures, session.name, session.occasions)
    table = table[:, worked | table.any(axis=0)]
    return {"m0": m0(table), "chao": chao(table)}
