"""Stop and go on: a network's tensors, Adam's running means and how far training got, in one safetensors file."""

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

MEANS = ("exp_avg", "exp_avg_sq")  # what Adam and AdamW keep of each weight


def save_checkpoint(
    path: Path, tensors: Mapping[str, torch.Tensor], optimizer: torch.optim.Optimizer, done: dict[str, Any]
) -> None:
    """Weights (and buffers) by name, the optimiser's two means of each weight, and `done`, JSON, in one file.

    `done` has `step`, how many steps the optimiser made. The file is never half written.
    """
    kept = {f"weights.{name}": tensor.detach().contiguous() for name, tensor in tensors.items()}
    for name, tensor in tensors.items():
        for mean in MEANS:
            if tensor in optimizer.state:
                kept[f"{mean}.{name}"] = optimizer.state[tensor][mean].contiguous()
    write_tensors(path, kept, done)


def restore(path: Path, tensors: Mapping[str, torch.Tensor], optimizer: torch.optim.Optimizer) -> dict[str, Any]:
    """Fill `tensors` and the optimiser as save_checkpoint left them; gives `done`. SnowmatchError for another file."""
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
    """A safetensors file whose metadata `snowmatch` is JSON, put in place when it is complete."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f"{path.name}.{os.getpid()}.part")
    save_file(tensors, part, metadata={"snowmatch": json.dumps(described)})
    part.replace(path)


def read_tensors(path: Path) -> tuple[dict[str, Any], dict[str, torch.Tensor]]:
    """What write_tensors wrote: its description and its tensors; SnowmatchError for any other file."""
    try:
        with safe_open(path, framework="pt") as file:
            described = json.loads((file.metadata() or {})["snowmatch"])
            # copies: what stays mapped cannot be replaced on Windows
            return described, {name: file.get_tensor(name).clone() for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError, KeyError, ValueError) as error:
        reason = str(error).partition("\n")[0]
        raise SnowmatchError(f"{path} does not load ({reason}): expected a file that training wrote") from error
