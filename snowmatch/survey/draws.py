"""Drawn identities as captures: as many sets of them, so that estimates know how unsure identification is."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import count
from typing import Unpack

import numpy as np

from snowmatch.core.notes import Note
from snowmatch.core.types import Annotation
from snowmatch.decisions.who import Who
from snowmatch.review.accuracy import accuracy_by_name
from snowmatch.review.counting import draw_groupings
from snowmatch.review.graph import weights_of
from snowmatch.review.identities import Identities
from snowmatch.review.likely import Evidence
from snowmatch.survey.captures import Capture
from snowmatch.survey.run import Survey, SurveyOptions, make_survey


@dataclass(frozen=True, eq=False)
class Drawn:
    """Draws of who is who. labels: (D, S) int, the individual of each sighting. captures: those of each draw. notes: on
    the evidence.
    """

    labels: np.ndarray
    captures: tuple[tuple[Capture, ...], ...]
    seed: int
    notes: tuple[Note, ...] = ()


def draw_identities(identities: Identities, evidence: Evidence, draws: int, seed: int = 0) -> np.ndarray:
    """Return drawn groupings of the sightings of a catalog, (draws, S) int: a number for the individual of each.

    The same decisions, evidence and seed give the same groupings. No sightings give (draws, 0).
    """
    weights = weights_of(identities.who, evidence, accuracy_by_name(identities.rows, identities.who))
    return draw_groupings(weights, draws, seed)


def drawn_captures(
    survey: Survey, identities: Identities, labels: np.ndarray, **options: Unpack[SurveyOptions]
) -> Iterator[tuple[Capture, ...]]:
    """Yield the captures of each draw. labels: (D, S) of `draw_identities`. options: those of the survey.

    A single sighting that nobody has identified stays unidentified, as in the survey; with others it is an individual.
    """
    for row in labels:
        annotations = with_drawn_names(survey.data.annotations, identities.annotations, identities.who, row)
        yield make_survey(replace(survey.data, annotations=annotations), identities, **options).captures


def with_drawn_names(
    named: Sequence[Annotation], identified: Sequence[Annotation], who: Who, labels: np.ndarray
) -> tuple[Annotation, ...]:
    """Return the annotations with the names of one draw. named: with the names by all decisions. identified: the same
    with identifiers.

    labels: (S,) int. A drawn individual has the name that most of its sightings have now; if several have the same
    name, all but the largest get a number after it.
    """
    now = [named[sighting.rows[0]].individual for sighting in who.sightings]
    groups: dict[int, list[int]] = defaultdict(list)
    for number, label in enumerate(labels.tolist()):
        groups[label].append(number)
    names: dict[int, str] = {}
    used = set[str]()
    taken = set(now)  # no number after a name may make the name of another animal
    for label, members in sorted(groups.items(), key=lambda each: (-len(each[1]), each[0])):
        known = Counter(name for n in members if (name := now[n]) is not None)
        if not known and len(members) == 1:
            continue
        name = min(known, key=lambda k: (-known[k], k)) if known else f"unnamed {who.sightings[members[0]].key}"
        numbered = (f"{name} ({n})" for n in count(2))
        names[label] = name if name not in used else next(n for n in numbered if n not in used and n not in taken)
        used.add(names[label])
    drawn = {row: names.get(int(labels[n])) for n, s in enumerate(who.sightings) for row in s.rows}
    return tuple(
        replace(a, individual=drawn[a.row]) if identified[a.row].annotation and a.row in drawn else a for a in named
    )
