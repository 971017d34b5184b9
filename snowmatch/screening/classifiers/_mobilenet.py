"""The network MobileNetV2 as ONNX, from the weights that torchvision publishes."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from snowmatch.screening.classifiers._layers import Layers

# Each stage: repeats, stride of the first block, expansion. Source: table 2 of the paper
STAGES = ((1, 1, 1), (2, 2, 6), (3, 2, 6), (4, 2, 6), (3, 1, 6), (3, 2, 6), (1, 1, 6))
EPSILON = 1e-5  # of the batch normalisation


def mobilenet_onnx(tensors: Mapping[str, np.ndarray]) -> bytes:
    """Return MobileNetV2 as an ONNX file.

    tensors: the weights by the names of torchvision. Inputs and outputs are those of `efficientnet_onnx`. Raises
    KeyError if a tensor is missing, ValueError if a shape is wrong.

    Source: Sandler et al., "MobileNetV2: Inverted residuals and linear bottlenecks", CVPR 2018.
    """
    made = Layers(tensors, EPSILON, symmetric=True)
    x = made.conv("image", "features.0.0", "features.0.1", kernel=3, stride=2, relu=True)
    number = 1
    for repeats, first, expansion in STAGES:
        for repeat in range(repeats):
            block, stride, start, part = f"features.{number}.conv", first if repeat == 0 else 1, x, 0
            if expansion > 1:
                x = made.conv(x, f"{block}.0.0", f"{block}.0.1", relu=True)
                part = 1
            name, norm = f"{block}.{part}.0", f"{block}.{part}.1"
            x = made.conv(x, name, norm, kernel=3, stride=stride, groups=made.channels[x], relu=True)
            x = made.conv(x, f"{block}.{part + 1}", f"{block}.{part + 2}", relu=False)
            if repeat > 0:
                x = made.add(x, start, f"{block}.sum")
            number += 1
    return made.classified(made.conv(x, "features.18.0", "features.18.1", relu=True), "classifier.1")
