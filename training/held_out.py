"""Division of individuals: one part for training, the other held out for measuring."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from datasets import name_of

from snowmatch.core.errors import SnowmatchError
from snowmatch.core.types import Annotation


def divide(annotations: Sequence[Annotation], share: float, seed: int) -> tuple[list[Annotation], list[Annotation]]:
    """Return annotations for training, and those held out: `share` of the individuals, at least two.

    Animals without a name are in neither part, because they could be any individual. Raises SnowmatchError if fewer
    than two individuals would be left for training.
    """
    names = sorted({a.individual for a in annotations if a.individual is not None})
    count = max(2, round(share * len(names)))
    if len(names) - count < 2:
        raise SnowmatchError(f"{len(names)} individuals are too few: expected at least 2 for training and 2 held out")
    out = set(np.random.default_rng(seed).permutation(names)[:count].tolist())
    named = [a for a in annotations if a.individual is not None]
    return [a for a in named if a.individual not in out], [a for a in named if a.individual in out]


def of_each(annotations: Sequence[Annotation], source: str) -> list[list[Annotation]]:
    """Return the annotations of each of the joined catalogs `source` (A;B, see datasets.py); of one catalog, one list.

    annotations: of the joined catalog, whose photos are in a folder for each.
    """
    if ";" not in source:
        return [list(annotations)]
    return [[a for a in annotations if a.path.startswith(f"{name_of(part)}/")] for part in source.split(";")]
