"""The embedding network: a timm backbone with pooled features and a linear layer; files of trained networks."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from checkpoints import read_tensors, write_tensors
from torch import nn
from tqdm import tqdm

from embedding import lite0
from embedding.inputs import DEVIATION, MEAN, Shape, as_tensor, normalised
from embedding.lite0 import IMAGENET
from embedding.weights import fill, packages, read_weights
from snowmatch.core.errors import SnowmatchError

# short names of compared backbones; other names are those of timm
BACKBONES = {
    "efficientnetv2_b2": "tf_efficientnetv2_b2",
    "resnet18": "resnet18",
    "mobilenetv2": "mobilenetv2_100",
    "efficientnet": "efficientnet_b0",
    "efficientnet_lite0": lite0.NAME,
}
EMBED_AT_ONCE = 64  # photos; 100 MB of input with preset `full`
RANDOM = "random"  # instead of a file of weights


class EmbeddingNetwork(nn.Module):
    """Network from (B, depth, height, width) values, 0 to 1, to (B, dimensions) vectors, compared by their angle."""

    def __init__(self, backbone: nn.Module, dimensions: int, shape: Shape) -> None:
        """Add a linear layer to the backbone. `dimensions` 0: no layer, only the backbone's pooled features."""
        super().__init__()
        self.backbone, self.shape, self.frozen = backbone, shape, 0
        own = backbone.pretrained_cfg.get("architecture") == lite0.NAME
        self.normal = (lite0.MEAN, lite0.DEVIATION) if own else (MEAN, DEVIATION)
        features = backbone.head_hidden_size  # is not num_features if a layer follows the pooling
        self.head = nn.Linear(features, dimensions) if dimensions else nn.Identity()

    def forward(self, values: torch.Tensor) -> torch.Tensor:
        """Return the embeddings. Their length is not 1."""
        return self.head(self.backbone(self._prepared(values)))

    def _prepared(self, values: torch.Tensor) -> torch.Tensor:
        # channels last is the fastest on a CPU: 0.45 to 0.9 of the time, depending on the backbone; on a GPU 0.6 to 0.9
        return normalised(values, self.shape, *self.normal).contiguous(memory_format=torch.channels_last)

    def freeze(self, stages: int) -> None:
        """Let the stem and the first `stages` stages stay as they are (efficientnets only, else SnowmatchError)."""
        parts = ("conv_stem", "bn1", "blocks", "conv_head", "bn2")
        count = len(self.backbone.blocks) if all(hasattr(self.backbone, part) for part in parts) else 0
        if stages > count:
            raise SnowmatchError(f"frozen is {stages}, but this backbone has {count} stages that can be frozen")
        self.frozen = stages
        for part in (self.backbone.conv_stem, self.backbone.bn1, *self.backbone.blocks[:stages]):
            part.requires_grad_(False)

    def lower(self, values: torch.Tensor) -> torch.Tensor:
        """Return the maps (B, C, h, w) after the frozen stages."""
        stem = self.backbone.bn1(self.backbone.conv_stem(self._prepared(values)))
        return self.backbone.blocks[: self.frozen](stem)

    def upper(self, maps: torch.Tensor) -> torch.Tensor:
        """Return the embeddings of the maps of `lower`: together they are `forward`."""
        maps = self.backbone.blocks[self.frozen :](maps.contiguous(memory_format=torch.channels_last))
        maps = self.backbone.bn2(self.backbone.conv_head(maps))
        return self.head(self.backbone.forward_head(maps))

    def last_maps(self) -> nn.Module:
        """Return the last stage. Its output is the maps before pooling (efficientnets add a 1 x 1 convolution)."""
        return self.backbone.get_submodule(self.backbone.feature_info[-1]["module"])


def build(backbone: str, dimensions: int, shape: Shape, weights: str, seed: int) -> EmbeddingNetwork:
    """Return a network whose backbone starts from a file of timm's weights, or from random weights with `seed`.

    weights: the file, or `random`, or `imagenet` (EfficientNet-Lite0 only).

    If there are not three channels, timm adds or repeats the first layer's weights. Raises SnowmatchError if timm does
    not have the backbone, or if the file is not from this backbone.
    """
    torch, timm = packages("training")
    name = BACKBONES.get(backbone, backbone)
    if not timm.is_model(name):
        raise SnowmatchError(f"backbone is {backbone!r}, expected {', '.join(BACKBONES)} or one of timm.list_models()")
    torch.manual_seed(seed)
    options: dict[str, Any] = {"num_classes": 0, "in_chans": shape.depth}
    if timm.get_pretrained_cfg_value(name, "fixed_input_size"):
        options["img_size"] = (shape.height, shape.width)
    network = timm.create_model(name, pretrained=False, **options)
    if weights != RANDOM:
        path = start_file(weights, name)
        tensors = lite0.imagenet_tensors(torch) if weights == IMAGENET else read_weights(torch, path)
        missing, more = sorted(set(network.state_dict()) - set(tensors)), unknown(network, tensors)
        if missing:
            raise SnowmatchError(f"{path} is not timm's {name}: it has no {missing[0]!r} ({len(missing)} missing)")
        if more:  # for example a larger network of the same kind: timm would load the part that fits
            raise SnowmatchError(f"{path} is not timm's {name}: it has {more[0]!r} ({len(more)} unknown)")
        overlay = {"state_dict": tensors}
        try:
            network = timm.create_model(name, pretrained=True, pretrained_cfg_overlay=overlay, **options)
        except RuntimeError as error:  # another shape
            reason = str(error).strip().splitlines()[-1].strip()
            raise SnowmatchError(f"{path} is not timm's {name}: {reason}") from error
    return EmbeddingNetwork(network, dimensions, shape).to(memory_format=torch.channels_last)


def start_file(weights: str, name: str) -> Path:
    """Return the file that `weights` names for timm's network `name`. Raises SnowmatchError if there is none."""
    if weights == IMAGENET and name != lite0.NAME:
        raise SnowmatchError(f"weights={IMAGENET} is of the backbone efficientnet_lite0, expected a file for {name}")
    path = lite0.imagenet_file() if weights == IMAGENET else Path(weights).expanduser()
    if not path.is_file():
        raise SnowmatchError(f"weights={weights} is no file, expected timm's file of {name}, or weights={RANDOM}")
    return path


def unknown(network: nn.Module, tensors: dict[str, torch.Tensor]) -> list[str]:
    """Return the names in `tensors` that show another backbone: layers that `network` lacks, in stages that it has.

    Tensors of the classifier, and those outside the stages (such as DINOv2's mask_token), are allowed: timm ignores
    them.
    """
    held = set(network.state_dict())
    stages = {name.partition(".")[0] for name in held}
    named = network.pretrained_cfg.get("classifier") or ()
    classifiers = tuple(f"{name}." for name in ((named,) if isinstance(named, str) else named))
    more = (name for name in tensors if name not in held and not name.startswith(classifiers))
    return sorted(name for name in more if name.partition(".")[0] in stages)


def embeddings(
    network: EmbeddingNetwork, pixels: np.ndarray, device: torch.device, *, shown: bool = True
) -> np.ndarray:
    """Return the embeddings (N, dimensions) float32 of (N, height, width, depth) uint8. `shown`: with a progress bar.

    pixels: or maps (N, C, h, w) float16 of the frozen stages. Raises SnowmatchError if there is no photo.
    """
    if not len(pixels):
        raise SnowmatchError("there is no photo to embed")
    parts = []
    with torch.inference_mode(), tqdm(total=len(pixels), desc="embeddings", unit="photo", disable=not shown) as bar:
        for start in range(0, len(pixels), EMBED_AT_ONCE):
            some = pixels[start : start + EMBED_AT_ONCE]
            if some.dtype == np.uint8:
                made = network(as_tensor(some, network.shape, device))
            else:
                made = network.upper(torch.from_numpy(some).to(device).float())
            parts.append(made.float().cpu().numpy())
            bar.update(len(some))
    return np.concatenate(parts)


def save_network(path: Path, network: EmbeddingNetwork, described: dict[str, Any]) -> None:
    """Write the tensors, and `described` as metadata. `described` has at least backbone and dimensions."""
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in network.state_dict().items()}
    write_tensors(path, tensors, {**described, "shape": asdict(network.shape)})


def load_network(path: Path) -> tuple[EmbeddingNetwork, dict[str, Any]]:
    """Read a file by save_network: network (for embedding) and description. Raises SnowmatchError for another file."""
    described, tensors = read_tensors(path)
    try:
        shape, backbone, dimensions = Shape(**described["shape"]), described["backbone"], described["dimensions"]
    except (KeyError, TypeError) as error:
        raise SnowmatchError(f"{path} is no network that `python training embedding` wrote") from error
    network = build(backbone, dimensions, shape, RANDOM, 0)
    fill(network, tensors, path, f"a {backbone} of {dimensions} dimensions")
    return network.eval(), described
