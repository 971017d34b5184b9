"""ALIKED, a light network with deformable descriptors, through kornia.

Source: Zhao et al., "ALIKED: A lighter keypoint and descriptor extraction network via deformable transformation", IEEE
Transactions on Instrumentation and Measurement, 2023.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from snowmatch.features.extractors._network import Found, NetworkExtractor
from snowmatch.models.cache import find_weights, weights_sum
from snowmatch.models.registry import KORNIA, Weights, WeightsFile

if TYPE_CHECKING:
    import torch
    from kornia.feature import ALIKED

AUTHORS = "https://github.com/Shiaoming/ALIKED/raw/main/models/"


def _weights(name: str, what: str, size: int, sha256: str) -> Weights:
    file = f"{name}.pth"
    addresses = (f"{AUTHORS}{file}", f"{KORNIA}aliked/resolve/main/{file}")
    return Weights(name, "ALIKED", what, "BSD-3-Clause", (WeightsFile(file, size, sha256, addresses),))


WEIGHTS = (
    _weights(
        "aliked-t16",
        "the smallest, 64 numbers per keypoint",
        794_859,
        "56782336919db220144a884e710e2b6af13b3b8f8da15b915a239078ab471085",
    ),
    _weights(
        "aliked-n16",
        "the usual one, 128 numbers per keypoint",
        2_738_091,
        "5be8704840ed662d9d8c561bf7279c222092674e7eb05fd0feab94899e9d82f2",
    ),
    _weights(
        "aliked-n16rot",
        "the usual one, trained with turned images too",
        2_738_325,
        "ddf3abbf38e86f6a74540d214e1a9712c54b2d8551abc864542199f2347d7332",
    ),
    _weights(
        "aliked-n32",
        "looks at 32 places for each keypoint instead of 16",
        3_946_667,
        "055283fd1624d3ab46a05c3b617b1a79a3f28d1f551737eef2d653e8c8232890",
    ),
)
DIMENSIONS = {"t16": 64, "n16": 128, "n16rot": 128, "n32": 128}


@dataclass(frozen=True)
class Aliked(NetworkExtractor):
    """Corners and blobs with descriptors of a network; weights by the authors, BSD-3-Clause.

    chip_size, max_features, device: as for all networks.
    model: `t16` (tiny, descriptors of length 64), `n16`, `n16rot` (trained on rotated photos) or `n32` (32 sampling
    positions for a descriptor).
    threshold: a maximum of the score map must exceed this value, above 0 and below 1 (authors: 0.2).
    """

    NEEDS: ClassVar[tuple[str, ...]] = ("torch", "kornia.feature:ALIKED", "safetensors")
    REVISION: ClassVar[int] = 1

    model: str = "n16"
    threshold: float = 0.2

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.model not in DIMENSIONS:
            raise ValueError(f"model is {self.model!r}, expected one of {', '.join(DIMENSIONS)}")
        if not 0 < self.threshold < 1:  # kornia replaces 0 by the mean of the photo's scores
            raise ValueError(f"threshold is {self.threshold}, expected above 0, below 1")

    @property
    def DIMENSION(self) -> int:  # noqa: N802 - the name all extractors have; here it depends on the model
        return DIMENSIONS[self.model]

    def network(self) -> ALIKED:
        """Return the network with its weights, on the device."""
        from snowmatch.models.torch_io import pick_device

        path = find_weights(f"aliked-{self.model}")
        return _network(f"aliked-{self.model}", self.threshold, path, weights_sum(path), pick_device(self.device))

    def detect(self, network: ALIKED, images: torch.Tensor) -> list[Found]:
        """Return the keypoints of each of the images (B, 3, H, W)."""
        found = []
        for f in network(images):
            # If no score reaches the threshold, kornia returns scores above the mean: noise on a blank wall
            kept = slice(None) if (f.keypoint_scores > self.threshold).any() else slice(0)
            found.append((f.keypoints[kept], f.keypoint_scores[kept], f.descriptors[kept]))
        return found


@lru_cache(maxsize=2)
def _network(name: str, threshold: float, path: Path, content: str, device: torch.device) -> ALIKED:
    from kornia.feature import ALIKED

    from snowmatch.models.torch_io import fill, read_tensors

    network = ALIKED(name, detection_threshold=threshold)
    return fill(network, read_tensors(path), path, optional=("dkd.hw_grid",)).to(device)  # a constant


PLUGIN = Aliked
