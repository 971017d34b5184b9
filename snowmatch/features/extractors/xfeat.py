"""XFeat, a network small enough for a laptop, through kornia.

Source: Potje et al., "XFeat: Accelerated features for lightweight image matching", CVPR 2024.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from snowmatch.features.extractors._network import Found, NetworkExtractor, check_threshold
from snowmatch.models.cache import find_weights, weights_sum
from snowmatch.models.registry import Weights, WeightsFile

if TYPE_CHECKING:
    import torch
    from kornia.feature.xfeat import XFeat

AUTHORS = "https://github.com/verlab/accelerated_features/raw/main/weights/"
WEIGHTS = (
    Weights(
        "xfeat",
        "XFeat",
        "small and quick, 64 numbers per keypoint",
        "Apache-2.0",
        (
            WeightsFile(
                "xfeat.pt",
                6_247_949,
                "0f5187fd7bedd26c7fe6acc9685444493a165a35ecc087b33c2db3627f3ea10b",
                (f"{AUTHORS}xfeat.pt",),
            ),
            # the same values with the names of kornia; batch normalisation is included
            WeightsFile(
                "xfeat.safetensors", 2_652_416, "8da15061e7987e8ec6a96f5230dce4c9ffe2b89dc08bdccd4a4c8d5ad7bc9365"
            ),
        ),
    ),
)
EVERYTHING = 1 << 20  # more than any chip has: the mask and max_features select the keypoints
# Only the dense variant of XFeat uses this part; the file for kornia does not contain it
DENSE_ONLY = "fine_matcher."


@dataclass(frozen=True)
class Xfeat(NetworkExtractor):
    """Keypoints of a fast network, with descriptors of length 64; weights by the authors, Apache-2.0.

    chip_size, max_features, device: as for all networks. threshold: lowest value of the keypoint map, 0 to 1 (authors:
    0.05).
    """

    NEEDS: ClassVar[tuple[str, ...]] = ("torch", "kornia.feature.xfeat:XFeat", "safetensors")
    REVISION: ClassVar[int] = 1
    DIMENSION: ClassVar[int] = 64

    threshold: float = 0.05

    def __post_init__(self) -> None:
        super().__post_init__()
        check_threshold(self.threshold)

    def network(self) -> XFeat:
        """Return the network with its weights, on the device."""
        from snowmatch.models.torch_io import pick_device

        path = find_weights("xfeat")
        return _network(path, weights_sum(path), pick_device(self.device))

    def detect(self, network: XFeat, images: torch.Tensor) -> list[Found]:
        """Return the keypoints of each of the images (B, 3, H, W)."""
        import torch

        # kornia resizes to multiples of 32 and maps pixel corners back; snowmatch uses pixel centres
        size = torch.tensor([images.shape[3], images.shape[2]], device=images.device)
        shift = 0.5 * size / (size // 32 * 32) - 0.5
        found = network.detectAndCompute(images, EVERYTHING, self.threshold)
        return [(f["keypoints"] + shift, f["scores"], f["descriptors"]) for f in found]


@lru_cache(maxsize=2)
def _network(path: Path, content: str, device: torch.device) -> XFeat:
    from kornia.feature.xfeat import XFeat

    from snowmatch.models.torch_io import fill, read_tensors

    network = XFeat()
    del network.net.fine_matcher
    fill(network.net, read_tensors(path), path, optional=(DENSE_ONLY,))
    return network.eval().to(device)


PLUGIN = Xfeat
