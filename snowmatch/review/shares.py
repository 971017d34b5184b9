"""A counted share with its interval."""

from __future__ import annotations

from dataclasses import dataclass

from snowmatch.confidence.quality import binomial_interval


@dataclass(frozen=True)
class Share:
    """`count` of `of` cases, with the exact 95 % interval of the share (low, high); 0 to 1 without cases."""

    count: int
    of: int
    low: float
    high: float

    @property
    def value(self) -> float | None:
        """The share, 0 to 1; None without cases."""
        return self.count / self.of if self.of else None


def make_share(count: int, of: int) -> Share:
    """Return a share with its interval. Source: Clopper & Pearson 1934, Biometrika 26.

    Raises ValueError if `count` is not between 0 and `of`.
    """
    if not 0 <= count <= of:
        raise ValueError(f"count is {count}, expected 0 to {of}")
    return Share(count, of, *binomial_interval(count, of))
