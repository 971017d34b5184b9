"""The common part of the extractors that are networks: batches of chips, the best keypoints on each animal."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from snowmatch.core.types import Chip, Features, empty_features
from snowmatch.features.extractors._descriptors import check_limits, choose
from snowmatch.models.device import check_device

if TYPE_CHECKING:
    import torch

# These networks give a keypoint no size. Its scale is one cell of the maps of SuperPoint and XFeat (chip px).
DIAMETER = 8.0
GPU_BATCH = 8  # number of chips of one shape in a batch

Found = tuple[Any, Any, Any]  # torch tensors: keypoints (N, 2), scores (N,), descriptors (N, D)


@dataclass(frozen=True)
class NetworkExtractor(ABC):
    """The common settings of all networks.

    chip_size: longest side of the chip (px); 1,024 is the size that the authors use.
    max_features: largest number of keypoints, the strongest; 0: all.
    device: `auto` (CUDA if it is available), `cpu`, `cuda` or `mps`.
    """

    NEEDS: ClassVar[tuple[str, ...]] = ("torch", "safetensors")
    CHANNELS: ClassVar[str] = "rgb"
    DTYPE: ClassVar[type] = np.float32
    FRAMES: ClassVar[bool] = False
    SMALLEST: ClassVar[int] = 32  # px; on a smaller chip, the deepest maps have no room for a keypoint

    chip_size: int = 1024
    max_features: int = 2048
    device: str = field(default="auto", compare=False)

    def __post_init__(self) -> None:
        check_limits(self.chip_size, self.max_features)
        check_device(self.device)

    @property
    @abstractmethod
    def DIMENSION(self) -> int:  # noqa: N802
        """The length of a descriptor."""

    @abstractmethod
    def network(self) -> Any:
        """Return the network with its weights, on the device."""

    @abstractmethod
    def detect(self, network: Any, images: torch.Tensor) -> list[Found]:
        """Return the keypoints of each of B images, in its pixels. images: (B, 3, H, W) RGB or (B, 1, H, W) grey,
        float32, 0 to 1.
        """

    def check(self) -> None:
        """Raise SnowmatchError if the weights or the device are missing."""
        self.network()

    @property
    def batch(self) -> int:
        """The number of chips that are processed together: several on a graphics card, one on a CPU, whose cores
        other processes use.
        """
        from snowmatch.models.torch_io import pick_device

        return 1 if pick_device(self.device).type == "cpu" else GPU_BATCH

    def extract(self, chip: Chip) -> Features:
        """Return the features of one chip, in chip pixels, by descending score. A blank or tiny chip gives none."""
        return self.extract_many([chip])[0]

    def extract_many(self, chips: Sequence[Chip]) -> list[Features]:
        """Return the features of each chip. Chips of one shape are processed together; the result of a chip does not
        depend on the others.
        """
        features: dict[int, Features] = {}
        shapes: dict[tuple[int, ...], list[int]] = {}
        for i, chip in enumerate(chips):
            height, width = chip.pixels.shape[:2]
            masked = chip.mask is not None and not chip.mask.any()
            if min(height, width) < self.SMALLEST or masked or np.ptp(chip.pixels) == 0:
                features[i] = empty_features(self.DIMENSION, np.float32, (width, height), frames=False)
            else:
                shapes.setdefault(chip.pixels.shape, []).append(i)
        for rows in shapes.values():
            images = np.stack([chips[i].pixels for i in rows])
            for i, found in zip(rows, self._run(images), strict=True):
                features[i] = self._features(chips[i], found)
        return [features[i] for i in range(len(chips))]

    def _run(self, images: np.ndarray) -> list[Found]:
        """Return the keypoints of each of B images, (B, H, W[, 3]) uint8. If the device has too little memory, the
        batch is halved.
        """
        found = self._found(images)
        if found is not None:
            return found
        if len(images) == 1:
            raise MemoryError(f"{images.shape[1]} x {images.shape[2]} px on {self.device}")
        half = len(images) // 2
        return self._run(images[:half]) + self._run(images[half:])

    def _found(self, images: np.ndarray) -> list[Found] | None:
        """Return the same for one batch; None if the memory is too small. All memory is freed then."""
        import torch

        from snowmatch.models.torch_io import pick_device, repeatable

        try:
            network, device = self.network(), pick_device(self.device)
            with repeatable():
                pixels = torch.from_numpy(images).to(device)
                pixels = pixels.permute(0, 3, 1, 2) if images.ndim == 4 else pixels[:, None]
                # planes one after the other: in another layout, torch adds up in another order
                found = self.detect(network, pixels.float().contiguous() / 255)
                return [tuple(t.cpu() for t in each) for each in found]
        except RuntimeError as error:  # on a CPU, torch has no class for this error
            if isinstance(error, torch.OutOfMemoryError) or "allocate memory" in str(error):
                return None
            raise

    def _features(self, chip: Chip, found: Found) -> Features:
        keypoints, scores, descriptors = (np.asarray(t.numpy(), np.float32) for t in found)
        size = (chip.pixels.shape[1], chip.pixels.shape[0])
        kept = choose(keypoints, scores, chip.mask, size, self.max_features)
        n = len(kept)
        return Features(
            keypoints[kept],
            np.ascontiguousarray(descriptors[kept]).reshape(n, self.DIMENSION),
            scores[kept],
            np.full(n, DIAMETER, np.float32),
            np.zeros(n, np.float32),
            None,
            size,
        )


def check_threshold(threshold: float) -> None:
    """Raise ValueError if a setting that is a share is out of range."""
    if not 0 <= threshold < 1:
        raise ValueError(f"threshold is {threshold}, expected 0 to 1")
