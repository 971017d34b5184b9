"""The four levels of an answer."""

from __future__ import annotations

from dataclasses import dataclass

from snowmatch.core.errors import SnowmatchError

LEVEL_NAMES = ("excellent", "good", "fair", "uncertain")
MARKS = {"excellent": "🔵", "good": "🟢", "fair": "🟡", "uncertain": "🔴"}


@dataclass(frozen=True)
class Levels:
    """The lowest probability of each level. Below `fair`, a decision is uncertain."""

    excellent: float = 0.99
    good: float = 0.95
    fair: float = 0.75

    def __post_init__(self) -> None:
        if not 1 > self.excellent > self.good > self.fair > 0:
            raise SnowmatchError(
                f"the levels are {self.excellent:g}, {self.good:g}, {self.fair:g}, expected three probabilities below "
                "1 and above 0, the highest first, such as 0.99,0.95,0.75"
            )

    def of(self, probability: float) -> str:
        """Return the level of a probability: excellent, good, fair or uncertain."""
        for name in LEVEL_NAMES[:-1]:
            if probability >= getattr(self, name):
                return name
        return LEVEL_NAMES[-1]
