"""Fusion: one result from the results of several extractors."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from snowmatch.matching.scores import Scores, chance_score


def fuse(parts: Sequence[Scores]) -> Scores:
    """Return one result from those of several extractors for the same gallery, in the scale of the first extractor.

    The scores are added: the spots of another extractor are additional evidence. Before, each result is divided by its
    chance score (the median of the scores before the geometric check) and multiplied by that of the first. Where pairs
    were matched after votes, the votes are scaled by their own median. The matches stay in the parts. A single part is
    returned unchanged.

    Source: calibrated scores added up, Cermak et al., 2024 (WildFusion); the calibration here is one factor.
    """
    if len(parts) == 1:
        return parts[0]
    verified, votes = scales(parts), _scales([chance_score(part.pre_scores) for part in parts])
    factors: dict[str, Iterable[float]] = {
        "scores": verified,
        "individual_scores": np.sqrt(verified),  # these are already divided by the square root of their own chance
        "pre_scores": votes,
        "individual_pre_scores": votes,
    }

    def total(name: str) -> np.ndarray:
        return np.sum([f * getattr(part, name) for f, part in zip(factors[name], parts, strict=True)], axis=0)

    def either(name: str) -> np.ndarray:
        return np.any([getattr(part, name) for part in parts], axis=0)

    return Scores(
        total("scores"),
        total("pre_scores"),
        either("checked"),
        either("accepted"),
        total("individual_scores"),
        total("individual_pre_scores"),
        either("individual_accepted"),
        (),
        (),
        parts[0].chance,
        either("scenery"),
        parts[0].individuals,
        parts[0].prior,
    )


def scales(parts: Sequence[Scores]) -> list[float]:
    """Return the factor that brings the verified matches of each part to the scale of the first; 1 if one of them
    has none.
    """
    return _scales([part.chance for part in parts])


def _scales(chance: Sequence[float]) -> list[float]:
    return [chance[0] / own if own and chance[0] else 1.0 for own in chance]
