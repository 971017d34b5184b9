"""The network EfficientNet-Lite0 as ONNX, from the weights that its authors published for torch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from snowmatch.screening.classifiers._layers import Layers

# Each stage: repeats, kernel, stride of the first block, expansion. Source: the authors' efficientnet_lite_builder.py
STAGES = ((1, 3, 1, 1), (2, 3, 2, 6), (2, 5, 2, 6), (3, 3, 2, 6), (3, 5, 1, 6), (4, 5, 2, 6), (1, 3, 1, 6))
EPSILON = 1e-3  # of the batch normalisation
# The outputs of the first half: the last layers with a cell for 8 px, and for 16 px, and their channels
FINE, COARSE = ("fine", "_blocks.4.sum"), ("coarse", "_blocks.10.sum")
TEXTURES = {FINE[0]: 40, COARSE[0]: 112}


def efficientnet_onnx(tensors: Mapping[str, np.ndarray]) -> bytes:
    """Return EfficientNet-Lite0 as an ONNX file.

    tensors: the weights by the names of the authors' file. The network takes (1, 3, H, W) float32 with sides that are
    multiples of 32. It returns `features` (1, 1280, H / 32, W / 32), and `logits` (1, 1000, ...),
    the class scores of each cell. The mean of `logits` over a photo of 224 px is the classification of the original
    network, because its last layer is linear. Raises KeyError if a tensor is missing, ValueError if a shape is wrong.

    Source: Tan & Le, "EfficientNet", ICML 2019; the Lite variant of the TensorFlow authors.
    """
    made = Layers(tensors, EPSILON)
    features = made.conv(_blocks(made, STAGES), "_conv_head", "_bn1", relu=True)
    return made.classified(features, "_fc")


def texture_onnx(tensors: Mapping[str, np.ndarray]) -> bytes:
    """Return the first half of EfficientNet-Lite0 as an ONNX file: what shows texture and small parts.

    tensors, the input and errors: as for `efficientnet_onnx`. It returns `fine` (1, 40, H / 8, W / 8) and `coarse`
    (1, 112, H / 16, W / 16).
    """
    made = Layers(tensors, EPSILON)
    _blocks(made, STAGES[:5])
    return made.cut(dict((FINE, COARSE)))


def _blocks(made: Layers, stages: Sequence[tuple[int, int, int, int]]) -> str:
    """Add the stem and the blocks of some stages, and return the name of the last output."""
    conv = made.conv
    x = conv("image", "_conv_stem", "_bn0", kernel=3, stride=2, relu=True)
    number = 0
    for repeats, kernel, first, expansion in stages:
        for repeat in range(repeats):
            block, stride, start = f"_blocks.{number}", first if repeat == 0 else 1, x
            if expansion > 1:
                x = conv(x, f"{block}._expand_conv", f"{block}._bn0", relu=True)
            name, norm = f"{block}._depthwise_conv", f"{block}._bn1"
            x = conv(x, name, norm, kernel=kernel, stride=stride, groups=made.channels[x], relu=True)
            x = conv(x, f"{block}._project_conv", f"{block}._bn2", relu=False)
            if repeat > 0:
                x = made.add(x, start, f"{block}.sum")
            number += 1
    return x
