"""Settings of the training of LightGlue."""

from __future__ import annotations

from dataclasses import dataclass

from snowmatch.core.errors import SnowmatchError

FEWEST = 64  # fewest keypoints of a training view: a batch is cut to its smallest view


@dataclass(frozen=True)
class Training:
    """All settings that, with the data, determine the weights.

    keypoints: the strongest of each photo. layers, dim, heads: the network's size. LighterGlue has 6 layers of 96; one
    core trains half as many layers in minutes. warps: views of each photo. rate: AdamW's highest learning rate.
    """

    keypoints: int = 512
    layers: int = 3
    dim: int = 96
    heads: int = 1
    steps: int = 800
    batch: int = 8
    rate: float = 1e-3
    warps: int = 2
    held_out: float = 0.2
    seed: int = 0

    def __post_init__(self) -> None:
        for name, good, expected in (
            ("keypoints", self.keypoints >= FEWEST, f"at least {FEWEST}"),
            ("layers", self.layers >= 1, "at least 1"),
            ("heads", self.heads >= 1, "at least 1"),
            ("dim", self.dim >= 4 and self.dim % (2 * self.heads) == 0, "4 or more, a multiple of 2 x heads"),
            ("steps", self.steps >= 1, "at least 1"),
            ("batch", self.batch >= 1, "at least 1"),
            ("rate", self.rate > 0, "above 0"),
            ("warps", self.warps >= 1, "at least 1"),
            ("held_out", 0 < self.held_out < 1, "between 0 and 1"),
        ):
            if not good:
                raise SnowmatchError(f"{name} is {getattr(self, name)}, expected {expected}")
