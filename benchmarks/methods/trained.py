"""A network from `python training embedding`: one vector for each annotation, compared by cosine similarity."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import numpy as np
from embedding.weights import packages

from methods import Given, Outcome
from methods._embeddings import embed, rows_of
from snowmatch.core.errors import SnowmatchError

DEFAULTS: dict[str, Any] = {
    "file": "",  # written by `python training embedding --out`
    "device": "auto",  # a GPU if there is one; or cpu, cuda
}


def run(given: Given, settings: dict[str, Any]) -> Outcome:
    """Score the trial by the cosine similarity of embeddings. The notes state the network's training data and start."""
    path = Path(settings["file"]).expanduser()
    if not path.is_file():
        raise SnowmatchError(
            f"method trained: file={settings['file'] or '(not set)'}, expected a network that `python "
            "training embedding ... --out FILE` wrote"
        )
    torch, _ = packages("method trained")
    network, told = importlib.import_module("embedding.networks").load_network(path)
    notes = [
        f"{told.get('loss')} on {told.get('photos')} photos of {told.get('individuals')} individuals of "
        f"{told.get('data')}, start: {told.get('weights')}, seed {told.get('seed')}, epoch {told.get('epoch')} of "
        f"{told.get('epochs')}, {told.get('seconds')} s on {told.get('device')} ({told.get('threads')} threads)"
    ]
    return embed_with(given, torch, network, settings, "trained", notes)


def embed_with(
    given: Given, torch: Any, network: Any, settings: dict[str, Any], method: str, notes: list[str]
) -> Outcome:
    """Score the trial with an EmbeddingNetwork. Its shape determines the network's input."""
    inputs = importlib.import_module("embedding.inputs")
    shape, trial = network.shape, given.trial
    kept = inputs.check_masks([trial.annotations[row] for row in rows_of(trial)], shape)
    if kept:
        notes = [*notes, f"{kept} annotations have no mask and kept their background"]

    def prepare(annotation: Any) -> np.ndarray:
        return inputs.as_tensor(inputs.read_input(given.folder, annotation, shape)[None], shape)[0].numpy()

    outcome = embed(given, torch, network, prepare, settings, ("torch", "timm"), method)
    weights = float(sum(p.numel() for p in network.parameters()))
    return Outcome(
        outcome.tables, outcome.seconds, outcome.versions, {**outcome.numbers, "weights": weights}, tuple(notes)
    )
