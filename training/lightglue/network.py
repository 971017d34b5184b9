"""The network: its start, its input, its files, and its matcher."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from checkpoints import read_tensors, write_tensors
from kornia.feature import LightGlue
from kornia.feature.lightglue import normalize_keypoints

from lightglue.settings import Training
from lightglue.views import View
from snowmatch.core.plugins import settings
from snowmatch.matching.matchers.lightglue import SIZE_UNIT

SHARPNESS = 20.0  # factor of descriptor cosines at the start: nearest neighbours are clear among 512 keypoints

Matcher = Callable[[View, View], tuple[np.ndarray, np.ndarray]]  # matches (K, 2) and their weights (K,)


def network_inputs(views: Sequence[View], device: str = "cpu") -> dict[str, torch.Tensor]:
    """Return one side of LightGlue's input for B views, each cut to the number of keypoints of the smallest view.

    keypoints (B, N, 2), px of the box, inside it. descriptors (B, N, D) of length 1. scales (B, N): log2(SIZE_UNIT *
    diameter / longest side). oris (B, N), radians. image_size (B, 2) of the box.
    """
    n = min(len(view) for view in views)

    def stack(columns: list[np.ndarray]) -> torch.Tensor:
        # copied to torch's aligned memory: with numpy's memory, last bits of sums differ from run to run
        return torch.tensor(np.stack([c[:n] for c in columns]), dtype=torch.float32, device=device)

    return {
        "keypoints": stack([np.clip(v.keypoints, 0, v.size) for v in views]),
        "descriptors": stack([v.unit_descriptors for v in views]),
        "scales": stack([np.log2(SIZE_UNIT * v.scales / v.size.max()) for v in views]),
        "oris": stack([v.oris for v in views]),
        "image_size": stack([v.size for v in views]),
    }


def build(training: Training, descriptors: np.ndarray) -> LightGlue:
    """Return the network before training. Weights are random (seeded), but it can already compare `descriptors` (S, D).

    The first layer keeps the descriptors' principal directions, the next layers add little at first, and the last one
    compares. After 150 steps on 384 keypoints it found 63 % of the matches of held-out animals; with kornia's start it
    was 28 %.
    """
    torch.manual_seed(training.seed)
    net = make_network(
        {
            "input_dim": descriptors.shape[1],
            "descriptor_dim": training.dim,
            "num_heads": training.heads,
            "n_layers": training.layers,
        }
    )
    mean = descriptors.mean(axis=0)
    _, values, directions = np.linalg.svd(descriptors - mean, full_matrices=False)
    length = np.sqrt((values[: training.dim] ** 2).sum() / len(descriptors))
    with torch.no_grad():
        if training.dim < descriptors.shape[1] <= len(descriptors):
            kept = torch.from_numpy(directions[: training.dim] * np.sqrt(training.dim) / length).float()
            net.input_proj.weight.copy_(kept)
            net.input_proj.bias.copy_(-kept @ torch.from_numpy(mean).float())
        for layer in net.transformers:
            for block in (layer.self_attn, layer.cross_attn):
                block.ffn[-1].weight.mul_(0.1)
                block.ffn[-1].bias.zero_()
        for head in net.log_assignment:
            head.final_proj.weight.copy_(torch.eye(training.dim) * np.sqrt(SHARPNESS / np.sqrt(training.dim)))
            head.final_proj.bias.zero_()
    return net


def make_network(shape: dict[str, int]) -> LightGlue:
    """Return kornia's LightGlue with random weights. shape: input_dim, descriptor_dim, num_heads, n_layers."""
    return LightGlue(None, **shape, add_scale_ori=True, flash=False, depth_confidence=-1, width_confidence=-1)


def assignments(net: LightGlue, side0: dict, side1: dict) -> list[torch.Tensor]:
    """Return the log assignment (B, M + 1, N + 1) after each layer; kornia's forward returns only the last one."""
    encodings, descriptors = [], []
    for side in (side0, side1):
        places = normalize_keypoints(side["keypoints"], side["image_size"])
        encodings.append(net.posenc(torch.cat([places, side["scales"][..., None], side["oris"][..., None]], -1)))
        descriptors.append(net.input_proj(side["descriptors"]))
    result = []
    for layer, head in zip(net.transformers, net.log_assignment, strict=True):
        descriptors = layer(*descriptors, *encodings)
        result.append(head(*descriptors)[0])
    return result


def save_network(path: Path, net: LightGlue, training: Training, extractor: Any) -> None:
    """Write the weights for the matcher: with kornia's names, the network's shape, and its extractor."""
    tensors = {k: v.contiguous() for k, v in net.state_dict().items() if k != "confidence_thresholds"}
    described = {
        "input_dim": extractor.DIMENSION,
        "descriptor_dim": training.dim,
        "num_heads": training.heads,
        "n_layers": training.layers,
        "add_scale_ori": True,
        "keypoints": training.keypoints,
        "extractor": settings(extractor),
    }
    write_tensors(path, tensors, described)


def load_network(path: Path) -> LightGlue:
    """Read a network by save_network, for matching."""
    described, tensors = read_tensors(path)
    net = make_network({k: described[k] for k in ("input_dim", "descriptor_dim", "num_heads", "n_layers")})
    net.load_state_dict({**tensors, "confidence_thresholds": net.confidence_thresholds})
    return net.eval()


def network_matcher(net: LightGlue) -> Matcher:
    """Return a matcher that runs kornia's forward. The weight of a match is its score."""

    def match(view0: View, view1: View) -> tuple[np.ndarray, np.ndarray]:
        if not len(view0) or not len(view1):
            return np.zeros((0, 2), np.int64), np.zeros(0)
        with torch.inference_mode():
            found = net({"image0": network_inputs([view0]), "image1": network_inputs([view1])})
        return found["matches"][0].numpy(), found["scores"][0].numpy()

    return match
