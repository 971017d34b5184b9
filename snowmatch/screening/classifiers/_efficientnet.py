"""The network EfficientNet-Lite0 as ONNX, from the weights that its authors published for torch."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from snowmatch.models.onnx_writer import Node, write_onnx

# Each stage: repeats, kernel, stride of the first block, expansion. Source: the authors' efficientnet_lite_builder.py
STAGES = ((1, 3, 1, 1), (2, 3, 2, 6), (2, 5, 2, 6), (3, 3, 2, 6), (3, 5, 1, 6), (4, 5, 2, 6), (1, 3, 1, 6))
EPSILON = 1e-3  # of the batch normalisation
FEATURES, CLASSES = 1280, 1000
STRIDE = 32  # photo pixels per cell of the maps


def efficientnet_onnx(tensors: Mapping[str, np.ndarray]) -> bytes:
    """Return EfficientNet-Lite0 as an ONNX file.

    tensors: the weights by the names of the authors' file. The network takes (1, 3, H, W) float32 with sides that are
    multiples of STRIDE. It returns `features` (1, FEATURES, H / STRIDE, W / STRIDE), and `logits` (1, CLASSES, ...),
    the class scores of each cell. The mean of `logits` over a photo of 224 px is the classification of the original
    network, because its last layer is linear. Raises KeyError if a tensor is missing, ValueError if a shape is wrong.

    Source: Tan & Le, "EfficientNet", ICML 2019; the Lite variant of the TensorFlow authors.
    """
    nodes: list[Node] = []
    weights: dict[str, np.ndarray] = {"low": np.array(0, np.float32), "high": np.array(6, np.float32)}
    channels = {"image": 3}

    def conv(x: str, name: str, norm: str, *, kernel: int = 1, stride: int = 1, groups: int = 1, relu: bool) -> str:
        """Add a convolution that includes its batch normalisation, and return the name of its output."""
        weight = _shaped(tensors, f"{name}.weight", (None, channels[x] // groups, kernel, kernel))
        channels[name] = channels[f"{name}.relu"] = out = len(weight)
        factor, bias, mean, variance = (
            _shaped(tensors, f"{norm}.{part}", (out,)) for part in ("weight", "bias", "running_mean", "running_var")
        )
        scale = factor / np.sqrt(variance + EPSILON)
        weights[f"{name}.w"] = weight * scale[:, None, None, None]
        weights[f"{name}.b"] = bias - mean * scale
        before = (kernel - stride) // 2  # TensorFlow's "same" for sides that are multiples of the stride
        after = kernel - stride - before
        about: dict[str, int | tuple[int, ...]] = {
            "kernel_shape": (kernel, kernel),
            "strides": (stride, stride),
            "pads": (before, before, after, after),
            "group": groups,
        }
        nodes.append(Node("Conv", (x, f"{name}.w", f"{name}.b"), name, about))
        if relu:
            nodes.append(Node("Clip", (name, "low", "high"), f"{name}.relu"))
        return f"{name}.relu" if relu else name

    x = conv("image", "_conv_stem", "_bn0", kernel=3, stride=2, relu=True)
    number = 0
    for repeats, kernel, first, expansion in STAGES:
        for repeat in range(repeats):
            block, stride, start = f"_blocks.{number}", first if repeat == 0 else 1, x
            if expansion > 1:
                x = conv(x, f"{block}._expand_conv", f"{block}._bn0", relu=True)
            name, norm = f"{block}._depthwise_conv", f"{block}._bn1"
            x = conv(x, name, norm, kernel=kernel, stride=stride, groups=channels[x], relu=True)
            x = conv(x, f"{block}._project_conv", f"{block}._bn2", relu=False)
            if repeat > 0:
                nodes.append(Node("Add", (x, start), f"{block}.sum"))
                channels[f"{block}.sum"] = channels[x]
                x = f"{block}.sum"
            number += 1
    features = conv(x, "_conv_head", "_bn1", relu=True)
    nodes.append(Node("Identity", (features,), "features"))
    weights["_fc.w"] = _shaped(tensors, "_fc.weight", (CLASSES, channels[features])).reshape(CLASSES, -1, 1, 1)
    weights["_fc.b"] = _shaped(tensors, "_fc.bias", (CLASSES,))
    nodes.append(Node("Conv", ("features", "_fc.w", "_fc.b"), "logits", {"kernel_shape": (1, 1)}))
    sides: tuple[int | str, ...] = ("height", "width")
    outputs: dict[str, tuple[int | str, ...]] = {
        "features": (1, FEATURES, "rows", "columns"),
        "logits": (1, CLASSES, "rows", "columns"),
    }
    return write_onnx(nodes, weights, ("image", (1, 3, *sides)), outputs)


def _shaped(tensors: Mapping[str, np.ndarray], name: str, shape: tuple[int | None, ...]) -> np.ndarray:
    """Return a tensor. Raises ValueError if it has another shape. shape: None is a side of any length."""
    found = tensors[name]
    if len(found.shape) != len(shape) or any(a not in (b, None) for a, b in zip(shape, found.shape, strict=True)):
        raise ValueError(f"{name} is {found.shape}, expected {shape}")
    return found
