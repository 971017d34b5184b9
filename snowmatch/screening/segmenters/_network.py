"""The common part of the segmenters that are networks: one picture in, one map of confidence out."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np

from snowmatch.core.errors import SnowmatchError
from snowmatch.core.types import BBox
from snowmatch.models.cache import find_weights
from snowmatch.models.onnx import open_onnx, run_onnx
from snowmatch.screening.segmenters._windows import cut, on_photo, resized, window_around

REMBG = "https://github.com/danielgatis/rembg/releases/download/v0.0.0/"
MARGIN = 0.1  # around a box, as a share of its longest side: the network has to see where the animal ends
SLACK = 1e-3  # by which a network of half precision may leave 0 to 1


@dataclass(frozen=True)
class NetworkSegmenter(ABC):
    """The common settings of networks that see a square picture.

    weights: name of the weights, or the path of an ONNX file of the same network. size: side of the picture (px).
    """

    NEEDS: ClassVar[tuple[str, ...]] = ("onnxruntime",)
    BOXED: ClassVar[bool] = False

    weights: str
    size: int

    def __post_init__(self) -> None:
        if not 32 <= self.size <= 4096:
            raise ValueError(f"size is {self.size}, expected 32 to 4096")

    @abstractmethod
    def normalise(self, picture: np.ndarray) -> np.ndarray:
        """Return the values that the network takes, (S, S, 3) float32. picture: (S, S, 3) uint8 RGB."""

    def check(self) -> None:
        """Raise SnowmatchError if the weights are missing or cannot be used."""
        open_onnx(find_weights(self.weights))

    def segment(self, photo: np.ndarray, bbox: BBox | None) -> np.ndarray | None:
        """Return the confidence that each pixel is the animal, (H, W) float32, 0 to 1; None if it is never above 0.5.

        photo: (H, W, 3) uint8 RGB. bbox: the network sees the box with a margin, and the result outside it is 0.
        Raises SnowmatchError if the weights are missing or are for another network.
        """
        path = find_weights(self.weights)
        network = open_onnx(path)
        shape = network.get_inputs()[0].shape
        if len(shape) == 4 and isinstance(shape[3], int) and shape[3] != self.size:
            raise SnowmatchError(
                f"size is {self.size}, but the network in {path} takes {shape[3]}: set size to {shape[3]}"
            )
        window = window_around(bbox, photo.shape, MARGIN)
        picture = resized(cut(photo, window), (self.size, self.size))
        values = np.ascontiguousarray(self.normalise(picture).transpose(2, 0, 1)[None], np.float32)
        return on_photo(_confidence(run_onnx(network, values)[0], path), window, photo.shape, bbox)


def _confidence(output: np.ndarray, path: Path) -> np.ndarray:
    """Return the first output of a network as (h, w) float32, 0 to 1. Raises SnowmatchError if it is no confidence."""
    if output.ndim != 4 or output.shape[:2] != (1, 1):
        raise SnowmatchError(
            f"{path} gives an array of shape {output.shape}, expected (1, 1, height, width): use the weights of this "
            "network"
        )
    low, high = float(output.min()), float(output.max())
    if not (low >= -SLACK and high <= 1 + SLACK):  # NaN too
        raise SnowmatchError(
            f"{path} gives values from {low:.3g} to {high:.3g}, expected confidences from 0 to 1: use the weights of "
            "this network"
        )
    return np.clip(output[0, 0].astype(np.float32), 0, 1)
