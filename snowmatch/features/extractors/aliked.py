"""ALIKED, a light network with deformable descriptors, through kornia.

Source: Zhao et al., "ALIKED: A lighter keypoint and descriptor extraction network via deformable transformation", IEEE
Transactions on Instrumentation and Measurement, 2023.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import ClassVar

import torch
from kornia.feature import ALIKED

from snowmatch.features.extractors._learned import Found, Learned
from snowmatch.models.cache import find_weights, weights_sum
from snowmatch.models.torch_io import fill, pick_device, read_tensors

DIMENSIONS = {"t16": 64, "n16": 128, "n16rot": 128, "n32": 128}


@dataclass(frozen=True)
class Aliked(Learned):
    """Corners and blobs with a network's descriptors; weights by the authors, BSD-3-Clause.

    chip_size, max_features, device: as for all networks. model: `t16` (tiny, 64 numbers a descriptor), `n16`,
    `n16rot` (trained on turned photos), `n32` (32 places a descriptor). threshold: what a maximum
    of the score map has to exceed, above 0, below 1 (authors: 0.2).
    """

    REVISION: ClassVar[int] = 1

    model: str = "n16"
    threshold: float = 0.2

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.model not in DIMENSIONS:
            raise ValueError(f"model is {self.model!r}, expected one of {', '.join(DIMENSIONS)}")
        if not 0 < self.threshold < 1:  # kornia takes 0 for the mean of the photo's scores
            raise ValueError(f"threshold is {self.threshold}, expected above 0, below 1")

    @property
    def DIMENSION(self) -> int:  # noqa: N802 - the name all extractors have; here it depends on the model
        return DIMENSIONS[self.model]

    def network(self) -> ALIKED:
        path = find_weights(f"aliked-{self.model}")
        return _network(f"aliked-{self.model}", self.threshold, path, weights_sum(path), pick_device(self.device))

    def detect(self, network: ALIKED, images: torch.Tensor) -> list[Found]:
        found = []
        for f in network(images):
            # Where nothing reaches the threshold, kornia gives what is above the mean: noise on a blank wall
            kept = slice(None) if (f.keypoint_scores > self.threshold).any() else slice(0)
            found.append((f.keypoints[kept], f.keypoint_scores[kept], f.descriptors[kept]))
        return found


@lru_cache(maxsize=2)
def _network(name: str, threshold: float, path: Path, content: str, device: torch.device) -> ALIKED:
    network = ALIKED(name, detection_threshold=threshold)
    return fill(network, read_tensors(path), path, optional=("dkd.hw_grid",)).to(device)  # a constant


PLUGIN = Aliked
