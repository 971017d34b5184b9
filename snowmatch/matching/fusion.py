"""One answer from those of several extractors."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from snowmatch.matching.scores import Scores, chance_score


def fuse(parts: Sequence[Scores]) -> Scores:
    """One answer from those that several extractors gave about the same gallery, in the scale of the first.

    Scores add up: another extractor's spots are other witnesses. Each is brought to the first's scale by what a chance
    candidate gets, the median of its scores before the geometric check (those of the shortlist's votes by their own
    median, where pairs were matched after it). The matches stay with the parts. A single part comes back as it is.

    Source: calibrated scores added up, Cermak et al., 2024 (WildFusion); the calibration here is one factor.
    """
    if len(parts) == 1:
        return parts[0]
    verified, votes = scales(parts), _scales([chance_score(part.pre_scores) for part in parts])
    factors: dict[str, Iterable[float]] = {
        "scores": verified,
        "individual_scores": np.sqrt(verified),  # these are already over the root of their own chance
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
    )


def scales(parts: Sequence[Scores]) -> list[float]:
    """The factor that brings each part's verified matches to the first one's scale; 1 where either has no match."""
    return _scales([part.chance for part in parts])


def _scales(chance: Sequence[float]) -> list[float]:
    return [chance[0] / own if own and chance[0] else 1.0 for own in chance]
