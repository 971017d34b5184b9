"""Who is learned from, and who is kept apart to measure on."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from snowmatch.core.errors import SnowmatchError
from snowmatch.core.types import Annotation


def divide(annotations: Sequence[Annotation], share: float, seed: int) -> tuple[list[Annotation], list[Annotation]]:
    """To learn from and held out: `share` of the individuals, at least two. Unnamed animals may be anyone: neither.

    SnowmatchError where fewer than two individuals would be left to learn from.
    """
    names = sorted({a.individual for a in annotations if a.individual is not None})
    count = max(2, round(share * len(names)))
    if len(names) - count < 2:
        raise SnowmatchError(f"{len(names)} individuals are too few: expected at least 2 to learn from and 2 held out")
    out = set(np.random.default_rng(seed).permutation(names)[:count].tolist())
    named = [a for a in annotations if a.individual is not None]
    return [a for a in named if a.individual not in out], [a for a in named if a.individual in out]
