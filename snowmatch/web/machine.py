"""What the machine may join: pairs of the level excellent, as decisions that one undo takes back."""

from __future__ import annotations

from snowmatch.core.errors import SnowmatchError
from snowmatch.review.auto import Policy, auto_drafts
from snowmatch.review.identities import Decision, Identities
from snowmatch.web.background import evidence_now
from snowmatch.web.state import State


def machine_drafts(state: State, identities: Identities) -> tuple[Decision, ...]:
    """Return the pairs that the machine would join now; () if none is excellent.

    Raises SnowmatchError while the photos are compared, or if nothing is indexed or calibrated.
    """
    evidence = evidence_now(state)
    if evidence is None:
        raise SnowmatchError("the photos are still being compared: try again in a moment", "comparing")
    calibration = state.session(names=False).calibration
    if calibration is None:
        raise SnowmatchError(
            "nothing is calibrated for this method, so no pair has a level: calibrate first", "no-levels"
        )
    return auto_drafts(identities, evidence, calibration.levels, Policy())
