"""ISNet for general use, a network that finds the main object of a photo.

Source: Qin et al., "Highly accurate dichotomous image segmentation", ECCV 2022.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from snowmatch.models.registry import Weights, WeightsFile
from snowmatch.screening.segmenters._network import REMBG, NetworkSegmenter

WEIGHTS = (
    Weights(
        "isnet",
        "ISNet",
        "outline of the main object of a photo, fine edges; its training photos have terms of their own",
        "Apache-2.0",
        (
            WeightsFile(
                "isnet-general-use.onnx",
                178_648_008,
                "60920e99c45464f2ba57bee2ad08c919a52bbf852739e96947fbb4358c0d964a",
                (f"{REMBG}isnet-general-use.onnx",),
            ),
        ),
    ),
)


@dataclass(frozen=True)
class Isnet(NetworkSegmenter):
    """Outline of the main object, by a network with fine edges; weights by the authors, Apache-2.0.

    weights: name of the weights, or the path of an ONNX file of this network.
    size: side of the square picture that the network sees (px). The authors' network takes 1,024; a network for
    another size finds less.
    """

    REVISION: ClassVar[int] = 1

    weights: str = "isnet"
    size: int = 1024

    def normalise(self, picture: np.ndarray) -> np.ndarray:
        """Return the picture as the authors normalise it: -0.5 to 0.5."""
        return picture.astype(np.float32) / 255 - 0.5


PLUGIN = Isnet
