"""EfficientNet-Lite0 with random values in place of its weights."""

import numpy as np

from snowmatch.screening.classifiers._efficientnet import STAGES, efficientnet_onnx
from snowmatch.screening.classifiers._layers import CLASSES, FEATURES

STEM = 32
WIDTHS = (16, 24, 40, 80, 112, 192, 320)  # channels after each stage
NORM = ("weight", "bias", "running_mean", "running_var")


def shapes():
    """Return the shapes of all tensors in the authors' file, by name."""
    found = {}

    def conv(name, norm, out, into, kernel):
        found[f"{name}.weight"] = (out, into, kernel, kernel)
        found.update({f"{norm}.{part}": (out,) for part in NORM})
        found[f"{norm}.num_batches_tracked"] = ()

    conv("_conv_stem", "_bn0", STEM, 3, 3)
    width, number = STEM, 0
    for (repeats, kernel, _, expansion), out in zip(STAGES, WIDTHS, strict=True):
        for _ in range(repeats):
            block, inner = f"_blocks.{number}", width * expansion
            if expansion > 1:
                conv(f"{block}._expand_conv", f"{block}._bn0", inner, width, 1)
            conv(f"{block}._depthwise_conv", f"{block}._bn1", inner, 1, kernel)
            conv(f"{block}._project_conv", f"{block}._bn2", out, inner, 1)
            width, number = out, number + 1
    conv("_conv_head", "_bn1", FEATURES, width, 1)
    return {**found, "_fc.weight": (CLASSES, FEATURES), "_fc.bias": (CLASSES,)}


def tensors(seed=0):
    """Return random tensors under the authors' names; signals neither die nor explode on their way."""
    rng = np.random.default_rng(seed)
    made = {}
    for name, shape in shapes().items():
        if name.endswith("num_batches_tracked"):
            made[name] = np.array(7, np.int64)
        elif name.endswith(("running_var", "_bn0.weight", "_bn1.weight", "_bn2.weight")):
            made[name] = rng.uniform(0.5, 1.5, shape).astype(np.float32)
        elif len(shape) == 1:
            made[name] = rng.normal(0, 0.1, shape).astype(np.float32)
        else:  # Source: He et al., "Delving deep into rectifiers", ICCV 2015
            made[name] = rng.normal(0, (2 / np.prod(shape[1:])) ** 0.5, shape).astype(np.float32)
    return made


def write(path, seed=0):
    """Write the network as an ONNX file, and return its path."""
    path.write_bytes(efficientnet_onnx(tensors(seed)))
    return path
