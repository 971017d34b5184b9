"""MobileNetV2 with the weights of ImageNet: a small network that OpenCV runs, as efficientnet_lite0 is.

Source: Sandler et al., "MobileNetV2: Inverted residuals and linear bottlenecks", CVPR 2018.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from snowmatch.core.types import Classes
from snowmatch.models.cache import find_weights, unchecked_sum
from snowmatch.models.registry import Weights, WeightsFile
from snowmatch.screening.classifiers._imagenet import GROUPS, Backbone, check_size, classes_of
from snowmatch.screening.classifiers._mobilenet import mobilenet_onnx

FILE = "mobilenet_v2-b0353104.pth"
WEIGHTS = (
    Weights(
        "mobilenet-v2",
        "MobileNetV2",
        "classes of ImageNet, snow leopard included",
        "BSD-3-Clause",
        (WeightsFile(FILE, addresses=(f"https://download.pytorch.org/models/{FILE}",)),),
    ),
)
# Source: the colours of ImageNet, as torchvision's weights expect them
MEAN, DEVIATION = (123.675, 116.28, 103.53), (58.395, 57.12, 57.375)
V2 = Backbone("MobileNetV2", mobilenet_onnx, MEAN, DEVIATION)


@dataclass(frozen=True)
class MobilenetV2:
    """A small network for the classes of ImageNet, run by OpenCV; weights of torchvision, BSD-3-Clause.

    size: as for efficientnet_lite0.
    """

    REVISION: ClassVar[int] = 1

    size: int = 672

    def __post_init__(self) -> None:
        check_size(self.size)

    def check(self) -> None:
        """Raise SnowmatchError if the weights are missing or wrong."""
        find_weights("mobilenet-v2")

    def weights_content(self) -> str:
        """Return a text that changes with the file of weights, because the registry has no sha256 of it."""
        return unchecked_sum("mobilenet-v2")

    @property
    def names(self) -> tuple[str, ...]:
        """The species that it tells, `nothing` last."""
        return tuple(GROUPS)

    def classify(self, photo: np.ndarray) -> Classes:
        """Return the groups of species in a photo (H, W, 3) uint8 RGB, as efficientnet_lite0 does."""
        return classes_of(*see(photo, self.size))


def see(photo: np.ndarray, size: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the features (1280, h, w) and the logits (1000, h, w) of the cells on a photo (H, W, 3) uint8 RGB.

    size: the longest side of the photo that the network sees (px). Raises SnowmatchError if the weights are missing.
    """
    return V2.see(find_weights("mobilenet-v2"), photo, size)


PLUGIN = MobilenetV2
