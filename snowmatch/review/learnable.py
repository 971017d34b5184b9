"""Whether a catalog has enough names to learn from it how sure an answer is."""

from __future__ import annotations

from collections.abc import Sequence

from snowmatch.catalog.evidence import count_encounter_pairs
from snowmatch.confidence.model import ENOUGH_PAIRS
from snowmatch.core.types import Annotation
from snowmatch.identify.session import GROWN, Session, named_encounters


def learnable_pairs(session: Session, named: Sequence[Annotation]) -> int:
    """Return the number of pairs of encounters of one animal if a calibration would learn from them; else 0.

    named: the annotations with their names now. A calibration is worth while if there is none of this catalog, or if
    GROWN times its encounters have names; it needs ENOUGH_PAIRS. No annotations give 0.
    """
    calibration = session.calibration
    if (
        calibration is not None
        and calibration.source == "catalog"
        and named_encounters(named) < GROWN * calibration.encounters
    ):
        return 0
    pairs = count_encounter_pairs(named)
    return pairs if pairs >= ENOUGH_PAIRS else 0
