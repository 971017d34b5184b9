"""Every named encounter asked twice: with the other encounters of its own individual, and without them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from snowmatch.confidence.levels import Levels
from snowmatch.confidence.model import Calibration, Probabilities, expected_new, probabilities
from snowmatch.confidence.score_table import ScoreTable
from snowmatch.confidence.scoring import most_queries, score_trial
from snowmatch.confidence.trial import make_trial, sample_notes, sides_of
from snowmatch.core.errors import SnowmatchError
from snowmatch.core.notes import Note
from snowmatch.core.text import counted
from snowmatch.core.types import Annotation
from snowmatch.identify.calibrate import facts_of
from snowmatch.identify.session import Session


@dataclass(frozen=True, eq=False)
class Judged:
    """The photos of one encounter, individual and body part, asked together.

    own: the index of the individual in `names`; -1 if no other encounter of it could answer. met: (I,) the number of
    encounters of each individual that could. found: the probabilities. without: the same without the own individual.
    """

    photos: tuple[Annotation, ...]
    names: tuple[str, ...]
    own: int
    met: np.ndarray
    found: Probabilities
    without: Probabilities | None

    @property
    def individual(self) -> str:
        """The name that the photos carry."""
        return self.photos[0].individual or ""


def judge_names(
    session: Session, progress: Callable[[int, int], None] | None = None
) -> tuple[list[Judged], Levels, list[Note]]:
    """Ask about all named encounters of a catalog; only other encounters may answer.

    progress: called with (done, total) queries. Returns also the levels of the catalog, and notes on what was not
    asked. Raises SnowmatchError if there is no calibration or if no animal has a name.
    """
    calibration = session.calibration
    if calibration is None:
        raise SnowmatchError("there is no calibration for this method, so a score has no probability", "not-calibrated")
    annotations, gallery, matcher = session.data.annotations, session.gallery, session.method.matcher
    most = most_queries(*sides_of(annotations, "cross-encounter"), session.galleries, matcher)
    trial = make_trial(annotations, "cross-encounter", most)
    table = score_trial(trial, session.galleries, matcher, session.method.geometry, progress)
    facts = facts_of(annotations, gallery)
    judged, comparable, names = [], table.cells.comparable(), tuple(table.individual_names.tolist())
    for group in range(len(table.group_queries)):
        members = np.flatnonzero(table.groups == group)
        usable = members[comparable[members]].tolist()
        if usable:
            one = _judge(table, names, group, usable, annotations, calibration, facts)
            judged += [one] if one is not None else []
    notes = [*sample_notes(trial), *(note for note in session.data.notes if note.code == "names-of-machine")]
    if bare := len(table.group_queries) - len(judged):
        text = f"{counted(bare, 'named encounter')} without features, or with nothing to compare, could not be asked"
        notes.append(Note("encounters-not-asked", text, {"count": bare}))
    return judged, calibration.levels, notes


def _judge(
    table: ScoreTable,
    names: tuple[str, ...],
    group: int,
    usable: Sequence[int],
    annotations: Sequence[Annotation],
    calibration: Calibration,
    facts: Mapping[str, np.ndarray],
) -> Judged | None:
    """Return the probabilities of one group of queries; None without a model for such photos."""
    rows = table.queries[usable]
    outlined, masked = bool(facts["outlined"][rows].all()), bool(facts["masked"][rows].all())
    kind = calibration.group(outlined, masked, str(table.body_part[rows[0]]))
    if kind is None:
        return None
    met = table.sightings(usable[0])
    own = int(table.own[rows[0]])
    rich, models, named = float(facts["features"][rows].mean()), calibration.groups[kind], np.ones(len(names), bool)

    def ask(scores: np.ndarray, encounters: np.ndarray) -> Probabilities:
        return probabilities(models, scores.astype(np.float64), named, rich, expected_new(encounters), encounters)

    others = np.where(np.arange(len(names)) == own, 0, met)
    return Judged(
        tuple(annotations[row] for row in rows),
        names,
        own if met[own] else -1,
        met,
        ask(table.group_scores[group], met),
        ask(table.group_left_out_scores[group], others) if others.any() else None,
    )
