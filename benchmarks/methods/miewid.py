"""MiewID: one vector a photo, by a network that was trained on many species for Wildbook.

Source: Otarashvili, Subramanian, Holmberg, Levenson & Stewart, "Multispecies Animal Re-ID Using a Large
Community-Curated Dataset", arXiv 2412.05602 (2024); conservationxlabs/miewid-msv3: EfficientNetV2-M, generalised mean
pooling (Radenovic, Tolias & Chum, TPAMI 2019), batch normalisation.

The published model contains Python code, which its loader would run. This file builds the network instead; the names in
the file of weights must fit it. The weights are a local file; nothing is downloaded.
"""

from __future__ import annotations

from types import ModuleType
from typing import Any

import cv2
import numpy as np
from embedding.crops import crop
from embedding.weights import fill, packages, read_weights

from methods import Given, Outcome
from methods._embeddings import embed, normalised, weights_file

REPOSITORY = "conservationxlabs/miewid-msv3"
FILE = "model.safetensors"
NETWORK = "efficientnetv2_rw_m"
SIDE = 440
MEAN, DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # ImageNet's
LEAST = 1e-6  # smallest activation: powers need positive numbers

DEFAULTS: dict[str, Any] = {
    "weights": "",  # the file, .safetensors or .bin
    "device": "auto",  # a GPU if there is one; or cpu, cuda
}


def run(given: Given, settings: dict[str, Any]) -> Outcome:
    """Score the trial by the cosine similarity of vectors of 2152 numbers."""
    path = weights_file(settings["weights"], "miewid", REPOSITORY, FILE)
    torch, timm = packages("method miewid")
    network = build(torch, timm)
    fill(network, renamed(read_weights(torch, path)), path, REPOSITORY)
    return embed(
        given,
        torch,
        network,
        lambda a: prepare(crop(given.folder, a)),
        settings,
        ("torch", "timm", "opencv-contrib-python-headless"),
        "miewid",
    )


def prepare(crop: np.ndarray) -> np.ndarray:
    """Return (3, 440, 440) float32, resized by OpenCV's bilinear interpolation without averaging, as in training."""
    return normalised(cv2.resize(crop, (SIDE, SIDE), interpolation=cv2.INTER_LINEAR), MEAN, DEVIATION)


def build(torch: ModuleType, timm: ModuleType) -> Any:
    """Return the network without weights. It maps (N, 3, 440, 440) to (N, 2152)."""

    class Miewid(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.backbone = timm.create_model(NETWORK, pretrained=False, num_classes=0, global_pool="")
            self.pooling = torch.nn.ParameterDict({"p": torch.nn.Parameter(torch.full((1,), 3.0))})
            self.bn = torch.nn.BatchNorm1d(self.backbone.num_features)

        def forward(self, pixels: Any) -> Any:
            power = self.pooling["p"]
            maps = self.backbone.forward_features(pixels)
            return self.bn(maps.clamp(min=LEAST).pow(power).mean(dim=(2, 3)).pow(1 / power))

    return Miewid()


def renamed(tensors: dict[str, Any]) -> dict[str, Any]:
    """Return the tensors without the classifier of the training's animals. The pooling's exponent gets one name."""
    kept = {name: value for name, value in tensors.items() if not name.startswith(("final.", "backbone.classifier."))}
    if "backbone.global_pool.p" in kept:  # the name in the published file; the training code has pooling.p
        kept["pooling.p"] = kept.pop("backbone.global_pool.p")
    return kept
