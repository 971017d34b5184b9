"""The fifth step of a query: compute the probabilities of all individuals and of a new animal."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from snowmatch.confidence.levels import Levels
from snowmatch.confidence.model import (
    ENOUGH_PAIRS,
    FEWEST,
    Calibration,
    Model,
    Probabilities,
    expected_new,
    probabilities,
    says_nothing,
)
from snowmatch.core.notes import Note
from snowmatch.core.text import counted
from snowmatch.core.types import Subject
from snowmatch.decisions.who import is_name
from snowmatch.identify.allow import Allowed
from snowmatch.identify.foreground import OUTLINED, Foreground
from snowmatch.identify.match import Matched
from snowmatch.identify.question import Question
from snowmatch.identify.resolve import Resolved
from snowmatch.identify.session import Session
from snowmatch.matching.gallery import Gallery
from snowmatch.matching.scores import Scores

CONVINCING = 0.5  # an animal on record that is likelier than this speaks for an animal in the photo; chosen


@dataclass(frozen=True, eq=False)
class Judged:
    """The probabilities of a query, and the lowest probabilities of the levels.

    probabilities is None if there is no calibration for the query, if no annotation may answer, or if no query photo
    has features. levels is None in the last two cases and if there is no calibration for the method.
    """

    probabilities: Probabilities | None
    levels: Levels | None
    notes: tuple[Note, ...]


def judge(
    session: Session,
    question: Question,
    resolved: Resolved,
    allowed: Allowed,
    foreground: Foreground,
    matched: Matched,
) -> Judged:
    """Return the probabilities of the compared individuals and of a new animal.

    The models are those of the most special calibrated group that the query belongs to, as `Calibration.group` chooses
    it.
    """
    calibration = session.calibration
    if not foreground.voting and allowed.entries.any():
        return Judged(None, None, tuple(_no_animal(foreground, "")))
    if calibration is None or not allowed.entries.any():
        return Judged(None, None, ())
    outlined, masked = (all(s.evidence in kinds for s in foreground.seen) for kinds in (OUTLINED, ("mask",)))
    group = calibration.group(outlined, masked, resolved.body_part)
    notes = []
    if group is None:
        text = "no probability: neither this catalog nor snowmatch has a calibration for this kind of photos"
        notes.append(Note("no-probability", text))
    elif group in calibration.shipped:
        notes.append(_shipped_note(session, calibration, group))
    models = calibration.groups.get(group, ()) if group is not None else ()
    rich = float(np.mean([len(s.photo.features[0]) for s in foreground.voting if s.photo.features]))
    spots = float(np.mean([_compared(subject) for subject in matched.witnesses[0].subjects]))
    scores, gallery = matched.scores, session.gallery
    found = judge_scores(scores, gallery, allowed.entries, models, rich, question.new, spots) if models else None
    if found is not None and says_nothing(scores.evidence, rich, spots):
        few = f"{rich:.0f} features" if rich < FEWEST else f"{spots:.0f} of {rich:.0f} features were compared"
        text = f"nothing to go by: {few} and no verified match; the probabilities are those before looking"
        notes.append(Note("nothing-to-go-by", text, {"features": round(rich), "compared": round(spots)}))
        notes += _no_animal(foreground, "")
    elif found is not None and np.nanmax(found.individuals, initial=0.0) < CONVINCING:
        notes += _no_animal(foreground, "no animal on record is likelier than not, and ")
    return Judged(found, calibration.levels, tuple(notes))


def _compared(subject: Subject) -> int:
    """Return how many features of a query photo are compared: those with a weight."""
    return len(subject) if subject.weights is None else int(np.count_nonzero(subject.weights))


def _no_animal(foreground: Foreground, before: str) -> list[Note]:
    """Return a note that photos may show no animal, if nothing showed one in any of them. before: begins the text."""
    seen = [*foreground.seen, *foreground.bare]
    if any(s.evidence in (*OUTLINED, "given") or s.photo.bbox is not None for s in seen):
        return []
    names = [s.photo.path for s in seen]
    text = f"{before}no outline of an animal was found in {', '.join(name or 'the photo' for name in names)}"
    text += "; the photo may show no animal" if len(names) == 1 else "; the photos may show no animal"
    return [Note("no-animal-found", text, {"photos": names})]


def judge_scores(
    scores: Scores,
    gallery: Gallery,
    allowed: np.ndarray,
    models: Sequence[Model],
    features: float,
    new: float | None = None,
    spots: float | None = None,
) -> Probabilities:
    """Return the probabilities of the individuals (I,) of the gallery and of a new animal.

    allowed: (A,) bool, the annotations that may answer; an individual without one gets NaN.
    models: at least one. features: mean number of features per query photo. new: the probability of a new animal
    before any evidence; None for what the encounters on record suggest. spots: mean number of features per query photo
    that were compared; None for all.
    """
    numbers = gallery.individual_numbers
    named = np.array([is_name(animal.individual) for animal in gallery.individuals], bool)
    compared = np.isin(np.arange(len(named)), numbers[allowed])
    encounters = np.where(named, gallery.sightings(allowed), 0)
    asked = np.where(compared, scores.evidence, np.nan)
    share = expected_new(encounters) if new is None else new
    return probabilities(models, asked, named, features, share, encounters, spots)


# Kinds of queries, as calibrations name them, in words
KINDS = {
    "outlined": "photos with a box or a mask",
    "boxed": "photos with a box",
    "whole": "photos without a box or mask",
}


def kind_in_words(group: str) -> str:
    """Return the name of a calibration's group in words, such as "photos with a box or a mask (left flank)"."""
    kind, _, part = group.partition(" ")
    return KINDS.get(kind, "all photos") + (f" ({part.replace('_', ' ')})" if part else "")


def _shipped_note(session: Session, calibration: Calibration, group: str) -> Note:
    """Return the note that the probabilities come from the calibration that comes with snowmatch."""
    pairs = session.encounter_pairs
    own = [kind_in_words(name) for name in sorted(calibration.groups) if name not in calibration.shipped]
    learned = "the probabilities were learned from other photos"
    if own:
        text = f"this catalog is calibrated for {'; '.join(own)}, but not for {kind_in_words(group)}: {learned}"
    else:
        text = (
            f"not calibrated on this catalog: {learned}; the catalog has {counted(pairs, 'pair')} of encounters of one "
            f"animal, a calibration needs {ENOUGH_PAIRS} with photos of this kind"
        )
    about = {
        "catalog": str(session.folder),
        "extractor": session.method.extractor,
        "matcher": session.method.matching,
        "pairs": pairs,
        "needed": ENOUGH_PAIRS,
        "group": group,
    }
    return Note("calibration-shipped" if not own else "calibration-of-others", text, about)
