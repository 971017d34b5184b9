"""SuperPoint, written from the paper: kornia does not have it.

Source: DeTone et al., "SuperPoint: Self-supervised interest point detection and description", CVPR workshops 2018.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from snowmatch.features.extractors._network import Found, NetworkExtractor, check_threshold
from snowmatch.models.cache import find_weights, unchecked_sum, weights_sum
from snowmatch.models.registry import LIGHTGLUE, Weights, WeightsFile

if TYPE_CHECKING:
    import torch
    from torch import nn

WEIGHTS = (
    Weights(
        "superpoint_v1",
        "SuperPoint",
        "Magic Leap's own, 256 numbers per keypoint",
        "Magic Leap: academic or non-profit, non-commercial research use only",
        (
            WeightsFile(
                "superpoint_v1.pth",
                5_206_086,
                "52b6708629640ca883673b5d5c097c4ddad37d8048b33f09c8ca0d69db12c40e",
                (
                    f"{LIGHTGLUE}superpoint_v1.pth",
                    "https://github.com/magicleap/SuperPointPretrainedNetwork/raw/master/superpoint_v1.pth",
                ),
            ),
        ),
    ),
    Weights(
        "superpoint_v6_from_tf",
        "SuperPoint",
        "trained again under a free licence, 256 numbers per keypoint",
        "MIT",
        (
            WeightsFile(
                "superpoint_v6_from_tf.pth",
                addresses=("https://github.com/rpautrat/SuperPoint/raw/master/weights/superpoint_v6_from_tf.pth",),
            ),
        ),
    ),
)
# The file on whose keypoints other networks were trained (v1), and the free retraining
MODELS = ("v6_from_tf", "v1")


@dataclass(frozen=True)
class Superpoint(NetworkExtractor):
    """Corners found by a network, with descriptors of length 256.

    `snowmatch weights list` shows the licences of its weights.

    chip_size, max_features, device: as for all networks.
    model: `v6_from_tf` (MIT, by R. Pautrat) or `v1` (by Magic Leap, not for commercial use; LightGlue was trained on
    it).
    threshold: lowest probability of a keypoint, 0 to 1 (0.005; LightGlue's authors 0.0005).
    """

    REVISION: ClassVar[int] = 1
    CHANNELS: ClassVar[str] = "grey"
    NEEDS: ClassVar[tuple[str, ...]] = ("torch", "safetensors")
    DIMENSION: ClassVar[int] = 256

    model: str = "v6_from_tf"
    threshold: float = 0.005

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.model not in MODELS:
            raise ValueError(f"model is {self.model!r}, expected one of {', '.join(MODELS)}")
        check_threshold(self.threshold)

    def network(self) -> nn.Module:
        """Return the network with its weights, on the device."""
        from snowmatch.models.torch_io import pick_device

        path = find_weights(f"superpoint_{self.model}")
        return _network(self.model, path, weights_sum(path), pick_device(self.device))

    def weights_content(self) -> str:
        """Return a text that changes with the file of weights; "" where the registry has its sha256."""
        return unchecked_sum(f"superpoint_{self.model}")

    def detect(self, network: nn.Module, images: torch.Tensor) -> list[Found]:
        """Return the keypoints of each of the images (B, 1, H, W)."""
        from snowmatch.features.extractors._superpoint_network import detect

        return list(detect(network, images, self.threshold))


@lru_cache(maxsize=2)
def _network(model: str, path: Path, content: str, device: torch.device) -> nn.Module:
    from snowmatch.features.extractors._superpoint_network import MagicLeap, Retrained
    from snowmatch.models.torch_io import fill, read_tensors

    return fill(MagicLeap() if model == "v1" else Retrained(), read_tensors(path), path).to(device)


PLUGIN = Superpoint
