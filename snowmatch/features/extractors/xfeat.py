"""XFeat, a network small enough for a laptop, through kornia.

Source: Potje et al., "XFeat: Accelerated features for lightweight image matching", CVPR 2024.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import ClassVar

import torch
from kornia.feature.xfeat import XFeat

from snowmatch.features.extractors._learned import Found, Learned, check_threshold
from snowmatch.models.cache import find_weights, weights_sum
from snowmatch.models.torch_io import fill, pick_device, read_tensors

EVERYTHING = 1 << 20  # more keypoints than any chip has: the mask and max_features decide
# Only the dense variant of XFeat uses this part, and the export for kornia leaves it out
DENSE_ONLY = "fine_matcher."


@dataclass(frozen=True)
class Xfeat(Learned):
    """Keypoints of a fast network, 64 numbers a descriptor; weights by the authors, Apache-2.0.

    chip_size, max_features, device: as for all networks. threshold: least value of the keypoint map, 0 to 1 (authors:
    0.05).
    """

    REVISION: ClassVar[int] = 1
    DIMENSION: ClassVar[int] = 64

    threshold: float = 0.05

    def __post_init__(self) -> None:
        super().__post_init__()
        check_threshold(self.threshold)

    def network(self) -> XFeat:
        path = find_weights("xfeat")
        return _network(path, weights_sum(path), pick_device(self.device))

    def detect(self, network: XFeat, images: torch.Tensor) -> list[Found]:
        # kornia resizes to multiples of 32 and maps pixel corners back; here pixels are named by their centres
        size = torch.tensor([images.shape[3], images.shape[2]], device=images.device)
        shift = 0.5 * size / (size // 32 * 32) - 0.5
        found = network.detectAndCompute(images, EVERYTHING, self.threshold)
        return [(f["keypoints"] + shift, f["scores"], f["descriptors"]) for f in found]


@lru_cache(maxsize=2)
def _network(path: Path, content: str, device: torch.device) -> XFeat:
    network = XFeat()
    del network.net.fine_matcher
    fill(network.net, read_tensors(path), path, optional=(DENSE_ONLY,))
    return network.eval().to(device)


PLUGIN = Xfeat
