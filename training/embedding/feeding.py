"""What a training feeds to the network: photos that change at random, or maps of the stages that stay as they are."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import torch
from tqdm import tqdm

from embedding.inputs import Augmentation, as_tensor
from embedding.networks import EMBED_AT_ONCE, EmbeddingNetwork
from embedding.settings import Training

VERSIONS = 3  # random changes of each photo, of which maps are kept; epochs take them in turn


class Photos:
    """Photos for a network of which all layers learn: changed at random each time."""

    def __init__(self, pixels: tuple[np.ndarray, np.ndarray], training: Training, device: torch.device) -> None:
        """Keep the inputs for learning, and for `validated`, (N, height, width, depth) uint8 each."""
        (self.pixels, self.validated), self.shape, self.device = pixels, training.shape, device
        self.augment = Augmentation(training.shape)

    def learned(self, network: EmbeddingNetwork, rows: np.ndarray, epoch: int) -> torch.Tensor:
        """Return the embeddings of changed photos. They have gradients."""
        return network(self.augment(as_tensor(self.pixels[rows], self.shape, self.device)))


class Maps:
    """Maps of the frozen stages, computed once: of VERSIONS random changes of each photo, and of the plain photos.

    Only the upper layers then need time. All losses use the same maps.
    """

    def __init__(
        self,
        network: EmbeddingNetwork,
        pixels: tuple[np.ndarray, np.ndarray],
        training: Training,
        device: torch.device,
        path: Path,
    ) -> None:
        """Compute the maps with the lower stages of `network`, or read them from `path`, a file without a suffix."""
        self.device = device
        parts = [path.with_name(f"{path.name}-{part}.npy") for part in ("learned", "validated")]
        if not all(part.exists() for part in parts):
            made = [
                np.stack([version(network, pixels[0], training, device, number) for number in range(VERSIONS)]),
                maps_of(network, pixels[1], device, None),
            ]
            path.parent.mkdir(parents=True, exist_ok=True)
            for part, values in zip(parts, made, strict=True):
                written = part.with_name(f"{part.stem}-{os.getpid()}.part.npy")
                np.save(written, values)
                written.replace(part)
        self.maps, self.validated = (np.load(part) for part in parts)

    def learned(self, network: EmbeddingNetwork, rows: np.ndarray, epoch: int) -> torch.Tensor:
        """Return the embeddings of one version of the photos. They have gradients."""
        maps = torch.from_numpy(self.maps[epoch % VERSIONS, rows]).to(self.device)
        return network.upper(maps.float())


def version(
    network: EmbeddingNetwork, pixels: np.ndarray, training: Training, device: torch.device, number: int
) -> np.ndarray:
    """Return the maps (N, C, h, w) float16 of one random change of each photo. The same number gives the same maps."""
    torch.manual_seed(1000 * training.seed + number)
    return maps_of(network, pixels, device, Augmentation(training.shape))


def maps_of(
    network: EmbeddingNetwork, pixels: np.ndarray, device: torch.device, augment: Augmentation | None
) -> np.ndarray:
    """Return the maps (N, C, h, w) float16 after the frozen stages. augment: change the photos at random."""
    network.eval()
    parts = []
    with torch.inference_mode():
        for start in tqdm(range(0, len(pixels), EMBED_AT_ONCE), desc="maps of frozen stages", unit="batch"):
            values = as_tensor(pixels[start : start + EMBED_AT_ONCE], network.shape, device)
            values = values if augment is None else augment(values)
            parts.append(network.lower(values).half().cpu().numpy())
    return np.concatenate(parts)
