"""Weights files with random values under the authors' names and shapes, for networks whose weights are missing."""

import json
from dataclasses import replace

import torch
from kornia.feature import DISK, LightGlue
from safetensors.torch import save_file

from snowmatch.models import registry

# The convolutions in superpoint_v1.pth: (output channels, input channels, side of the kernel)
MAGIC_LEAP = {
    "conv1a": (64, 1, 3),
    "conv1b": (64, 64, 3),
    "conv2a": (64, 64, 3),
    "conv2b": (64, 64, 3),
    "conv3a": (128, 64, 3),
    "conv3b": (128, 128, 3),
    "conv4a": (128, 128, 3),
    "conv4b": (128, 128, 3),
    "convPa": (256, 128, 3),
    "convPb": (65, 256, 1),
    "convDa": (256, 128, 3),
    "convDb": (256, 256, 1),
}
# The convolutions in superpoint_v6_from_tf.pth; each is followed by a batch normalisation
RETRAINED = {
    "backbone.0.0": (64, 1, 3),
    "backbone.0.1": (64, 64, 3),
    "backbone.1.0": (64, 64, 3),
    "backbone.1.1": (64, 64, 3),
    "backbone.2.0": (128, 64, 3),
    "backbone.2.1": (128, 128, 3),
    "backbone.3.0": (128, 128, 3),
    "backbone.3.1": (128, 128, 3),
    "detector.0": (256, 128, 3),
    "detector.1": (65, 256, 1),
    "descriptor.0": (256, 128, 3),
    "descriptor.1": (256, 256, 1),
}
LIGHTGLUES = {
    "superpoint": {"input_dim": 256},
    "disk": {"input_dim": 128},
    "aliked": {"input_dim": 128},
    "sift": {"input_dim": 128, "add_scale_ori": True},
}


def superpoint_v1():
    return {f"{n}.{k}": v for n, shape in MAGIC_LEAP.items() for k, v in _convolution(*shape).items()}


def superpoint_v6():
    tensors = {}
    for name, (out, *rest) in RETRAINED.items():
        tensors |= {f"{name}.conv.{k}": v for k, v in _convolution(out, *rest).items()}
        normal = {"weight": torch.ones, "bias": torch.zeros, "running_mean": torch.zeros, "running_var": torch.ones}
        tensors |= {f"{name}.bn.{k}": make(out) for k, make in normal.items()}
        tensors[f"{name}.bn.num_batches_tracked"] = torch.tensor(7)
    return tensors


def disk():
    return {"extractor": DISK().state_dict(), "matcher": {}}


def lightglue(features):
    """Return the tensors under the names of the authors' release. kornia's module uses other names."""
    tensors = LightGlue(None, **LIGHTGLUES[features], flash=False).state_dict()
    named = {}
    for name, value in tensors.items():
        parts = name.split(".")
        if parts[0] == "transformers":
            name = ".".join([parts[2], parts[1], *parts[3:]])
        named[name] = value
    del named["confidence_thresholds"]
    return named


def write_extractors(folder):
    torch.manual_seed(1)
    torch.save(superpoint_v1(), folder / "superpoint_v1.pth")
    torch.save(superpoint_v6(), folder / "superpoint_v6_from_tf.pth")
    for name in ("depth", "epipolar"):
        torch.save(disk(), folder / f"{name}-save.pth")


PLAIN = {"input_dim": 128, "descriptor_dim": 128, "num_heads": 1, "n_layers": 1, "add_scale_ori": True}
SHARPNESS = 40.0  # the plain LightGlue multiplies the cosine of two descriptors by this


def write_plain_lightglue(path, name="hesaff", sharpness=SHARPNESS, **extractor):
    network = LightGlue(None, **PLAIN, flash=False)
    tensors = {key: torch.zeros_like(value) for key, value in network.state_dict().items()}
    for key in tensors:
        if ".ffn.1." in key:  # a layer's normalisation keeps its values; the weights after it are zero
            tensors[key] = network.state_dict()[key]
    # kornia divides both sides by the fourth root of the dimension
    tensors["log_assignment.0.final_proj.weight"] = torch.eye(128) * (sharpness * 128**0.5) ** 0.5
    tensors["log_assignment.0.matchability.bias"] += 20.0  # every keypoint can be matched
    del tensors["confidence_thresholds"]
    settings = {**PLAIN, "keypoints": 1024, "extractor": {"name": name, **extractor}}
    save_file(tensors, path, metadata={"snowmatch": json.dumps(settings)})
    return path


def without_sums(monkeypatch):
    """Make the registry accept any content, except for the networks whose authors' files the tests have."""
    authors = ("aliked-", "xfeat")
    entries = tuple(
        e if e.name.startswith(authors) else replace(e, files=tuple(replace(f, sha256="", size=0) for f in e.files))
        for e in registry.registry()
    )
    monkeypatch.setattr(registry, "_collected", lambda: entries)


def _convolution(out, into, side):
    spread = (2 / (into * side * side)) ** 0.5  # He et al. 2015: signals neither die nor explode
    return {"weight": torch.randn(out, into, side, side) * spread, "bias": torch.zeros(out)}
