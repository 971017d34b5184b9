"""Fifth step of a query: how likely each individual is, and a new one, and what is decided."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from snowmatch.confidence.levels import Levels
from snowmatch.confidence.model import ENOUGH_PAIRS, Model, Probabilities, expected_new, probabilities
from snowmatch.core.notes import Note
from snowmatch.core.text import counted
from snowmatch.identify.allow import Allowed
from snowmatch.identify.foreground import OUTLINED, Foreground
from snowmatch.identify.match import Matched
from snowmatch.identify.resolve import Resolved
from snowmatch.identify.session import Session
from snowmatch.matching.gallery import Gallery
from snowmatch.matching.scores import Scores


@dataclass(frozen=True, eq=False)
class Judged:
    """Probabilities with the levels they are called by; None where nothing is calibrated or nobody was compared."""

    probabilities: Probabilities | None
    levels: Levels | None
    notes: tuple[Note, ...]


def judge(session: Session, resolved: Resolved, allowed: Allowed, foreground: Foreground, matched: Matched) -> Judged:
    """The probabilities of all individuals compared and of a new one, by the calibration for such photos."""
    calibration = session.calibration
    if calibration is None or not allowed.entries.any() or not resolved.voting:
        return Judged(None, None, ())
    outlined, masked = (all(s.evidence in kinds for s in foreground.seen) for kinds in (OUTLINED, ("mask",)))
    group = calibration.group(outlined, masked, resolved.body_part)
    notes = []
    if group is None:
        text = "no probability: nothing is calibrated for such photos, here or in the package"
        notes.append(Note("no-probability", text))
    elif group in calibration.shipped:
        notes.append(_shipped_note(session))
    models = calibration.groups.get(group, ()) if group is not None else ()
    rich = float(np.mean([len(a.features[0]) for a in resolved.voting]))
    found = judge_scores(matched.scores, session.gallery, allowed.entries, models, rich) if models else None
    return Judged(found, calibration.levels, tuple(notes))


def judge_scores(
    scores: Scores, gallery: Gallery, allowed: np.ndarray, models: Sequence[Model], features: float
) -> Probabilities:
    """How likely each individual (I,) of the gallery is, and a new one; NaN for those with nothing `allowed` (A,).

    features: of the query, per photo. At least one of `models`.
    """
    numbers = gallery.individual_numbers
    named = np.array([animal.individual is not None for animal in gallery.individuals], bool)
    compared = np.isin(np.arange(len(named)), numbers[allowed])
    met = {(n, gallery.annotations[e].passage) for e, n in enumerate(numbers) if allowed[e] and named[n]}
    encounters = np.bincount(np.array([n for n, _ in met], np.int64), minlength=len(named))
    asked = np.where(compared, scores.individual_ranking, np.nan)
    return probabilities(models, asked, named, features, expected_new(encounters))


def _shipped_note(session: Session) -> Note:
    pairs = session.encounter_pairs
    return Note(
        "calibration-shipped",
        "not calibrated on this catalog: the probabilities are those of other photos, on the safe side; it has "
        f"{counted(pairs, 'pair')} of encounters of one animal, and can be calibrated with "
        f"{ENOUGH_PAIRS} of such photos",
        {"catalog": str(session.folder), "pairs": pairs, "needed": ENOUGH_PAIRS},
    )
