"""Grad-CAM of the similarity of two photos: where a network looks."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from embedding.inputs import as_tensor, read_input
from embedding.networks import EmbeddingNetwork
from torch import nn
from torch.nn import functional

from deep.answers import Pair
from snowmatch.core.errors import SnowmatchError

ROUNDING = 1e-6  # of a cosine: a whole map of attributions below this is only float32 rounding


def check_maps(network: EmbeddingNetwork, device: torch.device) -> tuple[int, int]:
    """Return (h, w) of the network's last feature maps. Raises SnowmatchError if it has none (transformers)."""
    needed = "Grad-CAM needs a convolutional backbone"
    try:
        layer, channels = network.last_maps(), network.backbone.feature_info[-1]["num_chs"]
    except (AttributeError, LookupError) as error:
        raise SnowmatchError(f"the network's backbone has no named feature maps: {needed}") from error
    found: list[Any] = []
    handle = layer.register_forward_hook(lambda module, given, out: found.append(out))
    shape = network.shape
    with torch.inference_mode():
        network(torch.zeros((1, shape.depth, shape.height, shape.width), device=device))
    handle.remove()
    size = tuple(getattr(found[-1], "shape", ()))
    if len(size) != 4 or size[1] != channels:
        raise SnowmatchError(
            f"the last layer of the network's backbone gives {size}, expected maps (1, {channels}, h, w): {needed}"
        )
    return size[2:]


def grad_cam(network: nn.Module, values: torch.Tensor, other: torch.Tensor) -> np.ndarray:
    """Return where a photo is similar to another: (height, width) float32, 0 to 1, divided by its maximum.

    values: the network's input, (1, depth, height, width) from 0 to 1. other: the other photo's embedding
    (dimensions,), fixed. All zeros if no place raises the similarity.

    Source: Selvaraju et al., ICCV 2017, equations 1 and 2.
    """
    from captum.attr import LayerAttribution, LayerGradCam

    def similarity(shown: torch.Tensor) -> torch.Tensor:
        """(B,) cosines."""
        return functional.cosine_similarity(network(shown), other.detach()[None])

    maps = LayerGradCam(similarity, network.last_maps()).attribute(values, relu_attributions=True).detach().float()
    heat = LayerAttribution.interpolate(maps, tuple(values.shape[2:]), "bilinear")[0, 0].cpu().numpy()
    if float(maps.sum()) < ROUNDING:
        return np.zeros_like(heat)
    return heat / heat.max()


def heats_of(
    network: EmbeddingNetwork, folder: Path, pair: Pair, vectors: Mapping[int, np.ndarray], device: torch.device
) -> tuple[np.ndarray, np.ndarray]:
    """Return `grad_cam` of the query for the photo's embedding, and of the photo for the query's embedding."""
    found = []
    for shown, fixed in ((pair.query, pair.photo), (pair.photo, pair.query)):
        values = as_tensor(read_input(folder, shown, network.shape)[None], network.shape).to(device)
        found.append(grad_cam(network, values, torch.from_numpy(vectors[fixed.row]).to(device)))
    return found[0], found[1]
