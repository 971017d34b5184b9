"""What the networks for the classes of ImageNet have in common: they run by OpenCV, and their classes make groups."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import cv2
import numpy as np

from snowmatch.catalog.species import NOTHING
from snowmatch.core.errors import SnowmatchError
from snowmatch.core.types import Classes
from snowmatch.models.cache import weights_sum
from snowmatch.models.torch_file import read_torch
from snowmatch.screening.classifiers._layers import OUTPUTS, STRIDE
from snowmatch.screening.species import CATS, log_sum

# Classes of ImageNet by their numbers. Everything that is no animal is `nothing`: plants, scenery, things.
GROUPS: dict[str, tuple[int, ...]] = {
    CATS[0]: (289,),
    CATS[1]: (281, 282, 283, 284, 285, 286, 287, 288, 290, 291, 292, 293),
    "other mammal": (*range(151, 281), *range(294, 389)),
    "other animal": (*range(151), *range(389, 398)),
    NOTHING: tuple(range(398, 1000)),
}
Make = Callable[[Mapping[str, np.ndarray]], bytes]
TILE = 7  # cells: the network was trained on photos of 224 px


@dataclass(frozen=True)
class Backbone:
    """A network. make: writes it as ONNX from the tensors of a file of weights. middle, spread: of the colours red,
    green and blue (0 to 255), which its input has at 0 and 1.
    """

    name: str
    make: Make
    middle: tuple[float, ...]
    spread: tuple[float, ...]

    def see(self, path: Path, photo: np.ndarray, size: int) -> tuple[np.ndarray, np.ndarray]:
        """Return the features (1280, h, w) and the logits (1000, h, w) of the cells on a photo (H, W, 3) uint8 RGB.

        path: the file of weights. size: the longest side of the photo that the network sees (px).
        """
        image, (rows, columns) = self.prepared(photo, size)
        features, logits = self.run(path, weights_sum(path), image)
        return features[:, :rows, :columns], logits[:, :rows, :columns]

    def prepared(self, photo: np.ndarray, size: int) -> tuple[np.ndarray, tuple[int, int]]:
        """Return the input of the network (1, 3, H, W) float32, and the number of cells (rows, columns) on the photo.

        The sides are padded with grey to multiples of STRIDE. A cell counts if at least half of it is photo.
        """
        factor = size / max(photo.shape[:2])
        width, height = (max(1, round(side * factor)) for side in (photo.shape[1], photo.shape[0]))
        small = cv2.resize(photo, (width, height), interpolation=cv2.INTER_AREA if factor < 1 else cv2.INTER_LINEAR)
        rows, columns = -(-height // STRIDE), -(-width // STRIDE)
        middle, spread = np.array(self.middle, np.float32), np.array(self.spread, np.float32)
        image = np.empty((rows * STRIDE, columns * STRIDE, 3), np.float32)
        image[:] = middle
        image[:height, :width] = small
        shape = max(1, (height + STRIDE // 2) // STRIDE), max(1, (width + STRIDE // 2) // STRIDE)
        return np.ascontiguousarray(((image - middle) / spread).transpose(2, 0, 1)[None]), shape

    def run(self, path: Path, content: str, image: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the features (1280, rows, columns) and logits (1000, rows, columns) of an image, on one thread.

        content: the sha256 of the file. Raises SnowmatchError if the file is not this network.
        """
        features, logits = outputs_of(self.name, self.make, path, content, OUTPUTS, image)
        return features, logits


def outputs_of(
    name: str, make: Make, path: Path, content: str, outputs: Mapping[str, int], image: np.ndarray
) -> list[np.ndarray]:
    """Return the outputs (C, rows, columns) of a network for an image (1, 3, H, W) float32, on one thread.

    make: writes the network called `name` from the file of weights `path`, whose sha256 is `content`. outputs: the
    channels of each output, by name. Raises SnowmatchError if the file is not this network.
    """
    network, lock = _opened(name, make, path, content, tuple(outputs.items()))
    with lock:  # a network of OpenCV serves one thread at a time
        network.setInput(image)
        return [found[0] for found in network.forward(list(outputs))]


def check_size(size: int) -> None:
    """Raise ValueError unless a network can see photos of this size (px)."""
    if not STRIDE <= size <= 4096:
        raise ValueError(f"size is {size}, expected {STRIDE} to 4096 px")


def classes_of(features: np.ndarray, logits: np.ndarray) -> Classes:
    """Return the groups of species from the features and logits of the cells of a photo."""
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


@lru_cache(maxsize=4)
def _opened(
    name: str, make: Make, path: Path, content: str, outputs: tuple[tuple[str, int], ...]
) -> tuple[cv2.dnn.Net, threading.Lock]:
    try:
        onnx = path.read_bytes() if path.suffix == ".onnx" else make(read_torch(path))
        network = cv2.dnn.readNetFromONNX(np.frombuffer(onnx, np.uint8))
        network.setInput(np.zeros((1, 3, STRIDE, STRIDE), np.float32))
        shapes = [values.shape[:2] for values in network.forward([output for output, _ in outputs])]
        if shapes != [(1, channels) for _, channels in outputs]:
            raise ValueError(f"its outputs are {shapes}")
    except (LookupError, ValueError, cv2.error) as error:
        raise SnowmatchError(f"{path} is not {name} ({type(error).__name__}): add the right file") from error
    return network, threading.Lock()
