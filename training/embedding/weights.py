"""Files of weights: read without pickles, and loaded only if every tensor fits."""

from __future__ import annotations

import importlib
import importlib.util
import pickle
from pathlib import Path
from types import ModuleType
from typing import Any

from snowmatch.core.errors import SnowmatchError

INSTALL = "python -m pip install torch torchvision timm safetensors"


def packages(what: str) -> tuple[ModuleType, ModuleType]:
    """Import torch and timm, which `what` needs. If one is missing, SnowmatchError has the command to install it."""
    try:
        torch = importlib.import_module("torch")
        name_operators(torch)
        timm = importlib.import_module("timm")
        importlib.import_module("safetensors.torch")
    except (ImportError, RuntimeError) as error:  # RuntimeError: a torchvision that was built for another torch
        raise SnowmatchError(
            f"{what} needs torch, timm (which needs torchvision) and safetensors ({error}): {INSTALL}"
        ) from error
    return torch, timm


def name_operators(torch: ModuleType) -> None:
    """Make it possible to import torchvision (which timm needs) if its compiled part does not load.

    The compiled part belongs to one build of torch. The torchvision of PyPI belongs to the build for graphics cards.
    With a torch for CPUs its import fails, because two operators are missing. This function declares them; no code here
    calls them.
    """
    found = importlib.util.find_spec("torchvision")
    if found is None or found.origin is None:
        return
    try:
        for compiled in sorted(Path(found.origin).parent.glob("_C*")):
            torch.ops.load_library(str(compiled))
    except OSError:
        for operator in ("nms", "qnms"):
            if not hasattr(torch.ops.torchvision, operator):
                signature = "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor"
                torch.library.define(f"torchvision::{operator}", signature)


def read_weights(torch: ModuleType, path: Path) -> dict[str, Any]:
    """Read the tensors of a .safetensors file, or of a torch file (tensors only, no pickled objects)."""
    safetensors = importlib.import_module("safetensors")
    try:
        if path.suffix == ".safetensors":
            return importlib.import_module("safetensors.torch").load_file(path)
        tensors = torch.load(path, map_location="cpu", weights_only=True)
    except (safetensors.SafetensorError, pickle.UnpicklingError, RuntimeError, OSError, EOFError, ValueError) as error:
        reason = str(error).strip().partition("\n")[0]
        raise SnowmatchError(f"{path} does not load ({reason}), expected .safetensors or a torch state dict") from error
    for name in ("state_dict", "model"):
        if isinstance(tensors, dict) and isinstance(tensors.get(name), dict):
            tensors = tensors[name]
    if not isinstance(tensors, dict) or not all(isinstance(value, torch.Tensor) for value in tensors.values()):
        raise SnowmatchError(f"{path} contains a {type(tensors).__name__}, expected a state dict: names and tensors")
    return tensors


def fill(network: Any, tensors: dict[str, Any], path: Path, repository: str) -> None:
    """Load exactly these tensors into the network. Raises SnowmatchError if names or shapes differ."""
    wanted = network.state_dict()
    missing, unknown = sorted(wanted.keys() - tensors.keys()), sorted(tensors.keys() - wanted.keys())
    reshaped = sorted(name for name in wanted.keys() & tensors.keys() if wanted[name].shape != tensors[name].shape)
    wrong = [
        f"{len(names)} {what} ({names[0]} ...)"
        for what, names in (("missing", missing), ("unknown", unknown), ("of another shape", reshaped))
        if names
    ]
    if wrong:
        raise SnowmatchError(f"{path} is not {repository}: {', '.join(wrong)}; expected {len(wanted)} tensors of it")
    network.load_state_dict(tensors)
