"""U2Net, a network that finds the main object of a photo.

Source: Qin et al., "U2-Net: Going deeper with nested U-structure for salient object detection", Pattern Recognition
106, 2020.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from snowmatch.models.registry import Weights, WeightsFile
from snowmatch.screening.segmenters._network import REMBG, NetworkSegmenter

WEIGHTS = (
    Weights(
        "u2net",
        "U2Net",
        "outline of the main object of a photo, from a small picture; its training photos have terms of their own",
        "Apache-2.0",
        (
            WeightsFile(
                "u2net.onnx",
                175_997_641,
                "8d10d2f3bb75ae3b6d527c77944fc5e7dcd94b29809d47a739a7a728a912b491",
                (f"{REMBG}u2net.onnx",),
            ),
        ),
    ),
)
# Mean and standard deviation of the red, green and blue values of ImageNet
MEAN = np.array([0.485, 0.456, 0.406], np.float32)
DEVIATION = np.array([0.229, 0.224, 0.225], np.float32)


@dataclass(frozen=True)
class U2net(NetworkSegmenter):
    """Outline of the main object, by a small picture of the photo; weights by the authors, Apache-2.0.

    weights: name of the weights, or the path of an ONNX file of this network.
    size: side of the square picture that the network sees (px). The authors' network takes 320.
    """

    REVISION: ClassVar[int] = 1

    weights: str = "u2net"
    size: int = 320

    def normalise(self, picture: np.ndarray) -> np.ndarray:
        """Return the picture as the authors normalise it: divided by its highest value, then as for ImageNet."""
        return (picture.astype(np.float32) / max(int(picture.max()), 1) - MEAN) / DEVIATION


PLUGIN = U2net
