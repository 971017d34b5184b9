"""Checkpoints: a network's tensors, Adam's running means and the progress of training, in one safetensors file."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from snowmatch.core.errors import SnowmatchError

MEANS = ("exp_avg", "exp_avg_sq")  # the running means of Adam and AdamW for each weight


def save_checkpoint(
    path: Path, tensors: Mapping[str, torch.Tensor], optimizer: torch.optim.Optimizer, done: dict[str, Any]
) -> None:
    """Write weights (and buffers) by name, the optimiser's two means of each weight, and `done` (JSON) to one file.

    `done` has `step`, the number of the optimiser's steps. The file is written completely or not at all.
    """
    kept = {f"weights.{name}": tensor.detach().contiguous() for name, tensor in tensors.items()}
    for name, tensor in tensors.items():
        for mean in MEANS:
            if tensor in optimizer.state:
                kept[f"{mean}.{name}"] = optimizer.state[tensor][mean].contiguous()
    write_tensors(path, kept, done)


def restore(path: Path, tensors: Mapping[str, torch.Tensor], optimizer: torch.optim.Optimizer) -> dict[str, Any]:
    """Read a checkpoint into `tensors` and the optimiser, and return `done`. Raises SnowmatchError for another file."""
    done, stored = read_tensors(path)
    held = {name: stored[f"weights.{name}"].shape for name in tensors if f"weights.{name}" in stored}
    missing = sorted(name for name, tensor in tensors.items() if held.get(name) != tensor.shape)
    if missing:
        shape = tuple(tensors[missing[0]].shape)
        raise SnowmatchError(
            f"{path} has no {missing[0]!r} of shape {shape}: it is a checkpoint of another network, delete it"
        )
    for name, tensor in tensors.items():
        with torch.no_grad():
            tensor.copy_(stored[f"weights.{name}"])
        if f"{MEANS[0]}.{name}" in stored:
            state = {mean: stored[f"{mean}.{name}"].to(tensor.device) for mean in MEANS}
            optimizer.state[tensor] = {"step": torch.tensor(float(done["step"])), **state}
    return done


def write_tensors(path: Path, tensors: dict[str, torch.Tensor], described: dict[str, Any]) -> None:
    """Write a safetensors file, completely or not at all. Its metadata `snowmatch` is `described` as JSON."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f"{path.name}.{os.getpid()}.part")
    save_file(tensors, part, metadata={"snowmatch": json.dumps(described)})
    part.replace(path)


def read_tensors(path: Path) -> tuple[dict[str, Any], dict[str, torch.Tensor]]:
    """Read the description and the tensors of a file by write_tensors. Raises SnowmatchError for another file."""
    try:
        with safe_open(path, framework="pt") as file:
            described = json.loads((file.metadata() or {})["snowmatch"])
            # copies, because Windows cannot replace a file that is mapped to memory
            return described, {name: file.get_tensor(name).clone() for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError, KeyError, ValueError) as error:
        reason = str(error).partition("\n")[0]
        raise SnowmatchError(f"{path} does not load ({reason}): expected a file that training wrote") from error
