"""Whether a catalog has enough names to learn from it how sure an answer is."""

from __future__ import annotations

from collections.abc import Sequence

from snowmatch.catalog.evidence import count_encounter_pairs
from snowmatch.confidence.model import ENOUGH_PAIRS
from snowmatch.core.types import Annotation
from snowmatch.identify.session import Session, outgrown


def learnable_pairs(session: Session, named: Sequence[Annotation]) -> int:
    """Return the number of pairs of encounters of one animal if a calibration would learn from them; else 0.

    named: the annotations with the names of `checked_names`. It would if there is no calibration of this catalog, or if
    that is outgrown; it needs ENOUGH_PAIRS. No annotations give 0.
    """
    calibration = session.calibration
    if calibration is not None and calibration.source == "catalog" and not outgrown(calibration, named):
        return 0
    pairs = count_encounter_pairs(named)
    return pairs if pairs >= ENOUGH_PAIRS else 0
