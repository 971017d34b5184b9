"""DISK, a network that policy gradient trained for matching, through kornia.

Source: Tyszkiewicz et al., "DISK: Learning local features with policy gradient", NeurIPS 2020.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from snowmatch.features.extractors._network import Found, NetworkExtractor
from snowmatch.models.cache import find_weights, unchecked_sum, weights_sum
from snowmatch.models.registry import KORNIA, Weights, WeightsFile

if TYPE_CHECKING:
    import torch
    from kornia.feature import DISK

AUTHORS = "https://raw.githubusercontent.com/cvlab-epfl/disk/master/"


def _weights(name: str, what: str, size: int = 0, sha256: str = "") -> Weights:
    file = f"{name}-save.pth"
    addresses = (f"{AUTHORS}{file}", f"{KORNIA}disk/resolve/main/{file}")
    return Weights(f"disk-{name}", "DISK", what, "Apache-2.0", (WeightsFile(file, size, sha256, addresses),))


WEIGHTS = (
    _weights(
        "depth",
        "trained with depth maps, 128 numbers per keypoint",
        4_375_832,
        "9c2ee4ded238892dfa51569941372601e35e4a74aa6f84ea80053d2ab1c07abe",
    ),
    _weights("epipolar", "trained with camera positions only, 128 numbers per keypoint"),
)
MODELS = ("depth", "epipolar")


@dataclass(frozen=True)
class Disk(NetworkExtractor):
    """Many keypoints for each photo, with descriptors of length 128; weights by the authors, Apache-2.0.

    chip_size, max_features, device: as for all networks.
    model: `depth` (more exact) or `epipolar` (trained without depth).
    threshold: lowest score, 0 or more (authors: 0).
    """

    NEEDS: ClassVar[tuple[str, ...]] = ("torch", "kornia.feature:DISK", "safetensors")
    REVISION: ClassVar[int] = 1
    DIMENSION: ClassVar[int] = 128

    model: str = "depth"
    threshold: float = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.model not in MODELS:
            raise ValueError(f"model is {self.model!r}, expected one of {', '.join(MODELS)}")
        if not self.threshold >= 0:
            raise ValueError(f"threshold is {self.threshold}, expected 0 or more")

    def network(self) -> DISK:
        """Return the network with its weights, on the device."""
        from snowmatch.models.torch_io import pick_device

        path = find_weights(f"disk-{self.model}")
        return _network(path, weights_sum(path), pick_device(self.device))

    def weights_content(self) -> str:
        """Return a text that changes with the file of weights; "" where the registry has its sha256."""
        return unchecked_sum(f"disk-{self.model}")

    def detect(self, network: DISK, images: torch.Tensor) -> list[Found]:
        """Return the keypoints of each of the images (B, 3, H, W)."""
        found = network(images, score_threshold=self.threshold, pad_if_not_divisible=True)
        return [(f.keypoints, f.detection_scores, f.descriptors) for f in found]


@lru_cache(maxsize=2)
def _network(path: Path, content: str, device: torch.device) -> DISK:
    from kornia.feature import DISK

    from snowmatch.models.torch_io import fill, read_tensors

    return fill(DISK(), read_tensors(path, "extractor"), path).to(device)


PLUGIN = Disk
