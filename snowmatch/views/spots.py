"""The spots that agree on two photos, as plain values."""

from __future__ import annotations

from snowmatch.identify.session import Session
from snowmatch.identify.spots import spots_between

MOST = 60  # spots that a page shows: the strongest


def spots_to_json(session: Session, row0: int, row1: int) -> list[list[float]]:
    """Return the strongest spots that agree on two annotations, the strongest first.

    Each is x, y, diameter in the first photo, then in the second one (px). No spot agrees: []. Raises SnowmatchError as
    `spots_between`.
    """
    spots = spots_between(session, row0, row1)
    columns = (
        *spots.keypoints0.T,
        spots.scales0,
        *spots.keypoints1.T,
        spots.scales1,
    )
    rows = [[round(float(value), 1) for value in row] for row in zip(*columns, strict=True)]
    return rows[::-1][:MOST]
