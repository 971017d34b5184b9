"""How surely a keypoint is on the animal, when no mask says so: 1 on the animal, 0 on scenery."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

# Standard deviation across and down, as shares of the photo. Measured on two species (docs/benchmarks-history.md,
# "Where the animal is"): narrower and wider bells, flat-topped ones and boxes all put fewer animals first on one or the
# other.
SPREAD = (0.15, 0.12)
# Below this a spot is not compared at all: it would cost a search and count next to nothing.
LEAST = 0.05

FOREGROUNDS = ("auto", "given")


@dataclass(frozen=True)
class ForegroundMap:
    """What other photos of the same place say: values (h, w) uint8 over the whole photo, 0 scenery, 255 animal.

    evidence: `burst`, `station` or `burst and station`, the photos that said so.
    """

    values: np.ndarray
    evidence: str

    def __post_init__(self) -> None:
        if self.values.dtype != np.uint8 or self.values.ndim != 2 or not self.values.size:
            raise ValueError(f"map is {self.values.dtype} {self.values.shape}, expected uint8 (h, w)")


def foreground_weights(
    keypoints: np.ndarray, image_size: tuple[int, int], found: ForegroundMap | None = None, *, boxed: bool = False
) -> np.ndarray:
    """(N,) float32, 0 to 1, of keypoints (N, 2) in a photo of `image_size` (width, height); 0 where below LEAST.

    What moved within the burst counts as it is. Photos of the station from other days know its scenery but not its
    light, so what is new there counts by its distance from the centre too; and so does everything where nothing is
    `found`. boxed: a box says about where the animal is, so the centre says no more; but rocks lie within it. No
    keypoints give an empty array.
    """
    if found is None:
        return np.ones(len(keypoints), np.float32) if boxed else centre_weights(keypoints, image_size)
    places = (np.asarray(keypoints, np.float64) + 0.5) / np.asarray(image_size, np.float64)
    shape = np.array(found.values.shape[::-1])
    columns, rows = np.clip((places * shape).astype(np.int64), 0, shape - 1).reshape(-1, 2).T
    weights = found.values[rows, columns].astype(np.float32) / 255
    if "burst" not in found.evidence and not boxed:
        weights = weights * centre_weights(keypoints, image_size)
    return np.where(weights < LEAST, np.float32(0), weights)


def centre_weights(keypoints: np.ndarray, image_size: tuple[int, int]) -> np.ndarray:
    """(N,) float32, 0 to 1: a bell over the photo's centre at keypoints (N, 2), exactly 0 where it is below LEAST.

    `image_size` is (width, height). A camera is triggered by what passes before its middle, and who holds one aims.
    No keypoints give an empty array.
    """
    places = (np.asarray(keypoints, np.float64) + 0.5) / np.asarray(image_size, np.float64) - 0.5
    weights = np.exp(-0.5 * ((places / SPREAD) ** 2).sum(axis=1))
    return np.where(weights < LEAST, 0.0, weights).astype(np.float32)


def foreground_picture(image_size: tuple[int, int], found: ForegroundMap | None, *, boxed: bool = False) -> np.ndarray:
    """(h, w) float32, the weights over a whole photo of `image_size` (width, height), 160 px on its longest side.

    Enough to be enlarged for a person to look at: the maps themselves have cells of a sixtieth.
    """
    factor = 160 / max(image_size)
    width, height = (max(1, round(side * factor)) for side in image_size)
    columns, rows = np.meshgrid(np.arange(width), np.arange(height))
    places = np.stack([columns.ravel(), rows.ravel()], axis=1)
    return foreground_weights(places, (width, height), found, boxed=boxed).reshape(height, width)


def evidence_of(outlined: str, found: ForegroundMap | None) -> str:
    """What tells the animal from the scenery: `outlined` (`mask`, `box` or ""), else the map's evidence or `centre`."""
    return outlined or (found.evidence if found is not None else "centre")
