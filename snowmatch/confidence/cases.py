"""Cases: queries whose right answers are known, for the learning of a model."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from snowmatch.confidence.model import ANY, group_names
from snowmatch.confidence.score_table import ScoreTable
from snowmatch.core.errors import SnowmatchError
from snowmatch.core.types import Annotation


def make_cases(
    table: ScoreTable,
    features: np.ndarray | None = None,
    outlined: np.ndarray | None = None,
    masked: np.ndarray | None = None,
) -> tuple[Case, ...]:
    """Return every query of a score table as two cases: with its own individual in the gallery, and without.

    Photos are asked one by one and all together. features: (A,) the number of features of each annotation (0: not
    known). outlined: (A,) bool, whether it has a box or a mask. masked: (A,) bool, whether it has a mask. A query
    without features, or with no individual to compare, gives no case.
    """
    count = len(table.paths)
    features = np.zeros(count) if features is None else features
    outlined, masked = (np.zeros(count, bool) if given is None else given for given in (outlined, masked))
    names = table.individual_names
    numbers = table.own[table.gallery]
    met, comparable = table.passage[table.gallery].tolist(), table.cells.comparable()
    cases: list[Case] = []
    for group in range(len(table.group_queries)):
        members = np.flatnonzero(table.groups == group)
        usable = members[comparable[members]].tolist()
        if not usable:
            continue
        rows = table.queries[usable]
        open_to = table.cells.open_to.row(usable[0])
        encounters = table.sightings(usable[0])
        row = rows[0]
        own = np.flatnonzero(names == table.individual[row])
        again = sorted({met[n] for n in np.flatnonzero(open_to & (numbers == own[0]))}) if len(own) else ()
        case_of = partial(
            Case,
            group=group_names(bool(outlined[rows].all()), str(table.body_part[row]))[0],
            masked=bool(masked[rows].all()),
            individual=str(table.individual[row]),
            passage=str(table.passage[row]),
            again=tuple(again),
        )
        asked = [(table.group_scores[group], table.group_left_out_scores[group], float(features[rows].mean()))]
        if len(rows) > 1:
            asked += [
                (table.individual_scores[q], table.left_out_scores[q], float(features[table.queries[q]]))
                for q in usable
            ]
        shared: dict[bytes, np.ndarray] = {}  # cases of one group with the same individuals have the same encounters
        for number, (with_own, without, rich) in enumerate(asked):
            share = 1.0 if len(asked) == 1 else 0.5 if number == 0 else 0.5 / len(rows)
            for scores, is_known in ((with_own, True), (without, False)):
                compared = np.flatnonzero(~np.isnan(scores))
                right = np.flatnonzero(compared == own[0]) if len(own) else np.zeros(0, int)
                if len(compared) and bool(len(right)) == is_known:
                    cases.append(
                        case_of(
                            scores[compared].astype(np.float64),
                            int(right[0]) if is_known else -1,
                            shared.setdefault(compared.tobytes(), encounters[compared]),
                            rich,
                            together=number == 0,
                            weight=share,
                        )
                    )
    return tuple(cases)


def count_pairs(cases: Iterable[Case]) -> dict[str, int]:
    """Return the number of pairs of passages of one animal in each group of queries, and in all (`any`). Each pair
    counts once.
    """
    pairs: dict[str, set[tuple[str, frozenset[str]]]] = defaultdict(set)
    for case in cases:
        for other in case.again:
            for name in (case.group, kind_of(case), ANY):
                pairs[name].add((case.individual, frozenset((case.passage, other))))
    return {name: len(found) for name, found in pairs.items()}


def kind_of(case: Case) -> str:
    return case.group.split()[0]


def members_of(cases: Sequence[Case], group: str) -> list[Case]:
    return [case for case in cases if group in (case.group, kind_of(case), ANY)]


def check_labels(annotations: Iterable[Annotation]) -> None:
    """Raise SnowmatchError if one animal in one photo has two names, or if fewer than two individuals have a name."""
    seen: dict[tuple, Annotation] = {}
    names = set()
    for a in annotations:
        if a.individual is None:
            continue
        names.add(a.individual)
        other = seen.setdefault((a.path, a.bbox, a.mask), a)
        if other.individual != a.individual:
            box = "the whole photo" if a.bbox is None else "box " + ",".join(map(str, a.bbox))
            raise SnowmatchError(
                f"{a.path} ({box}, encounter {a.encounter}) is named {other.individual} and {a.individual}: "
                "one animal has one name; mend catalog.csv, give each animal its own box, then calibrate again"
            )
    if not names:
        raise SnowmatchError("no annotation has an individual: calibration needs encounters whose animals are known")
    if len(names) == 1:
        raise SnowmatchError(
            f"all annotations are of one individual, {names.pop()}: calibration needs two or more, "
            "to learn what a wrong match scores"
        )


@dataclass(frozen=True, eq=False)
class Case:
    """One query whose right answer is known.

    scores: (I,) of the individuals that were compared. right: the index of the right one; -1 if the animal is not in
    the gallery.
    encounters: (I,) in how many passages each individual was met: encounters that share one count once.
    features: features of the query per photo.
    group: the most special of its groups (see `model.group_names`). masked: whether all its photos have a mask.
    individual: the true individual. passage: that of the query. again: the other passages in which its animal can be
    found.
    together: whether all photos of the encounter were asked together.
    weight: the cases of one encounter have a total weight of 1 with their animal in the gallery, and 1 without.
    """

    scores: np.ndarray
    right: int
    encounters: np.ndarray
    features: float
    group: str
    masked: bool
    individual: str
    passage: str
    again: tuple[str, ...]
    together: bool
    weight: float
