"""Parts of convolutional networks for the classes of ImageNet, written as ONNX from the tensors of a file."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from snowmatch.models.onnx_writer import Node, write_onnx

FEATURES, CLASSES = 1280, 1000
OUTPUTS = {"features": FEATURES, "logits": CLASSES}  # channels of the outputs of a whole network
STRIDE = 32  # photo pixels per cell of the maps


class Layers:
    """A network that is written layer by layer. Its input is `image`.

    tensors: weights by name. epsilon: of the batch normalisation. symmetric: whether a convolution pads both sides
    alike, as torch does, or as TensorFlow's "same" for sides that are multiples of the stride.
    """

    def __init__(self, tensors: Mapping[str, np.ndarray], epsilon: float, *, symmetric: bool = False) -> None:
        self.channels = {"image": 3}
        self._tensors, self._epsilon, self._symmetric = tensors, epsilon, symmetric
        self._nodes: list[Node] = []
        self._weights: dict[str, np.ndarray] = {"low": np.array(0, np.float32), "high": np.array(6, np.float32)}

    def conv(
        self, x: str, name: str, norm: str, *, kernel: int = 1, stride: int = 1, groups: int = 1, relu: bool
    ) -> str:
        """Add a convolution that includes its batch normalisation, and return the name of its output.

        Raises KeyError if a tensor is missing, ValueError if a shape is wrong.
        """
        weight = self._shaped(f"{name}.weight", (None, self.channels[x] // groups, kernel, kernel))
        self.channels[name] = self.channels[f"{name}.relu"] = out = len(weight)
        factor, bias, mean, variance = (
            self._shaped(f"{norm}.{part}", (out,)) for part in ("weight", "bias", "running_mean", "running_var")
        )
        scale = factor / np.sqrt(variance + self._epsilon)
        self._weights[f"{name}.w"] = weight * scale[:, None, None, None]
        self._weights[f"{name}.b"] = bias - mean * scale
        before = (kernel - 1) // 2 if self._symmetric else (kernel - stride) // 2
        after = before if self._symmetric else kernel - stride - before
        about: dict[str, int | tuple[int, ...]] = {
            "kernel_shape": (kernel, kernel),
            "strides": (stride, stride),
            "pads": (before, before, after, after),
            "group": groups,
        }
        self._nodes.append(Node("Conv", (x, f"{name}.w", f"{name}.b"), name, about))
        if relu:
            self._nodes.append(Node("Clip", (name, "low", "high"), f"{name}.relu"))
        return f"{name}.relu" if relu else name

    def add(self, x: str, start: str, name: str) -> str:
        """Add the sum of two outputs, and return its name."""
        self._nodes.append(Node("Add", (x, start), name))
        self.channels[name] = self.channels[x]
        return name

    def classified(self, features: str, name: str) -> bytes:
        """Return the ONNX file: `features` (1, FEATURES, h, w), and `logits` (1, CLASSES, h, w) by the layer `name`."""
        self._nodes.append(Node("Identity", (features,), "features"))
        weight = self._shaped(f"{name}.weight", (CLASSES, self.channels[features]))
        self._weights[f"{name}.w"] = weight.reshape(CLASSES, -1, 1, 1)
        self._weights[f"{name}.b"] = self._shaped(f"{name}.bias", (CLASSES,))
        inputs = ("features", f"{name}.w", f"{name}.b")
        self._nodes.append(Node("Conv", inputs, "logits", {"kernel_shape": (1, 1)}))
        return self._written({name: (1, count, "rows", "columns") for name, count in OUTPUTS.items()})

    def cut(self, layers: Mapping[str, str]) -> bytes:
        """Return the ONNX file of the network up to some layers. layers: the name of each output, and its layer."""
        self._nodes += [Node("Identity", (layer,), output) for output, layer in layers.items()]
        sides = {output: (f"{output}_rows", f"{output}_columns") for output in layers}
        return self._written({output: (1, self.channels[layer], *sides[output]) for output, layer in layers.items()})

    def _written(self, outputs: Mapping[str, tuple[int | str, ...]]) -> bytes:
        return write_onnx(self._nodes, self._weights, ("image", (1, 3, "height", "width")), outputs)

    def _shaped(self, name: str, shape: tuple[int | None, ...]) -> np.ndarray:
        """Return a tensor. Raises ValueError if it has another shape. shape: None is a side of any length."""
        found = self._tensors[name]
        if len(found.shape) != len(shape) or any(a not in (b, None) for a, b in zip(shape, found.shape, strict=True)):
            raise ValueError(f"{name} is {found.shape}, expected {shape}")
        return found
