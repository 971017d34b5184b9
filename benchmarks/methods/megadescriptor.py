"""MegaDescriptor-L-384: one vector a photo, by a network that was trained on many datasets of individual animals.

Source: Cermak, Picek, Adam & Papafitsoros, "WildlifeDatasets", WACV 2024; BVRA/MegaDescriptor-L-384, weights under
CC-BY-NC-4.0. Resizing and normalisation follow its model card: 384 x 384 without keeping the aspect ratio, mean and
deviation 0.5 (some users normalise as for ImageNet).

The weights are a local file; nothing is downloaded. Its training sets contain nyala and leopard photos, so figures on
those photos do not show how well it works for new animals.
"""

from __future__ import annotations

import re
from typing import Any

import numpy as np
from embedding.crops import crop
from embedding.weights import fill, packages, read_weights
from PIL import Image

from methods import Given, Outcome
from methods._embeddings import embed, normalised, weights_file

REPOSITORY = "BVRA/MegaDescriptor-L-384"
FILE = "pytorch_model.bin"
NETWORK = "swin_large_patch4_window12_384"
SIDE = 384
HALF = (0.5, 0.5, 0.5)

DEFAULTS: dict[str, Any] = {
    "weights": "",  # the file, .bin or .safetensors
    "device": "auto",  # a GPU if there is one; or cpu, cuda
}


def run(given: Given, settings: dict[str, Any]) -> Outcome:
    """Score the trial by the cosine similarity of vectors of 1536 numbers."""
    path = weights_file(settings["weights"], "megadescriptor", REPOSITORY, FILE)
    torch, timm = packages("method megadescriptor")
    network = timm.create_model(NETWORK, pretrained=False, num_classes=0)
    fill(network, renamed(read_weights(torch, path)), path, REPOSITORY)
    return embed(
        given,
        torch,
        network,
        lambda a: prepare(crop(given.folder, a)),
        settings,
        ("torch", "timm", "pillow"),
        "megadescriptor",
    )


def prepare(crop: np.ndarray) -> np.ndarray:
    """Return (3, 384, 384) float32, resized by Pillow in the same way as torchvision does."""
    pixels = np.asarray(Image.fromarray(crop).resize((SIDE, SIDE), Image.Resampling.BILINEAR))
    return normalised(pixels, HALF, HALF)


def renamed(tensors: dict[str, Any]) -> dict[str, Any]:
    """Return the tensors under timm's present names, without the head and the buffers that timm computes."""
    kept = {
        name: value
        for name, value in tensors.items()
        if not name.startswith("head.") and not name.endswith(("relative_position_index", "attn_mask"))
    }
    # Until timm 0.9 a stage ended with its downsampling; now the next stage starts with it.
    if any(name.startswith("layers.0.downsample.") for name in kept):
        pattern = re.compile(r"^layers\.(\d+)\.downsample\.")
        kept = {pattern.sub(lambda m: f"layers.{int(m[1]) + 1}.downsample.", name): v for name, v in kept.items()}
    return kept
