"""A timm network with published or random weights (ImageNet, DINO, ...), not trained on these animals.

weights=random is the naive baseline; it needs no file. Otherwise weights is timm's file of that network, for example
name=vit_small_patch14_dinov2.lvd142m,width=518,height=518,weights=model.safetensors for DINOv2.
"""

from __future__ import annotations

import importlib
from typing import Any

from embedding.weights import packages

from methods import Given, Outcome
from methods.trained import embed_with

DEFAULTS: dict[str, Any] = {
    "name": "efficientnetv2_b2",  # or resnet18, mobilenetv2, efficientnet, or any that timm knows
    "weights": "random",  # or timm's file
    "width": 512,
    "height": 256,
    "seed": 0,  # of random weights
    "device": "auto",  # a GPU if there is one; or cpu, cuda
}


def run(given: Given, settings: dict[str, Any]) -> Outcome:
    """Score the trial by the cosine similarity of the network's pooled features."""
    torch, _ = packages("method backbone")
    networks, inputs = importlib.import_module("embedding.networks"), importlib.import_module("embedding.inputs")
    shape = inputs.Shape(settings["width"], settings["height"])
    network = networks.build(settings["name"], 0, shape, settings["weights"], settings["seed"])
    note = "random weights, nothing learned" if settings["weights"] == networks.RANDOM else "weights as published"
    return embed_with(given, torch, network, settings, "backbone", [note])
