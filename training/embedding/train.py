"""The training: epochs, the best one by the ranking of held-out photos, and continuing after a stop."""

from __future__ import annotations

import csv
import math
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from checkpoints import restore, save_checkpoint
from torch import nn
from tqdm import tqdm

from embedding.batches import batches, flank_classes, singletons
from embedding.feeding import Maps, Photos
from embedding.losses import CosFace, adaptive_margin, constant_margin, triplet_loss
from embedding.networks import EmbeddingNetwork, embeddings, load_network, save_network
from embedding.settings import LOSSES, RATES, Training
from embedding.vectors import pair_scores
from snowmatch.confidence.metrics import dynamic_top_k_precision, ranks, top_k
from snowmatch.confidence.trial import make_trial
from snowmatch.core.errors import SnowmatchError
from snowmatch.core.types import Annotation


@dataclass(frozen=True)
class Learned:
    """The result of a training.

    seconds: in all. best: the best epoch, from 1. log: one row for each epoch. photos, flanks: how many photos of how
    many individuals' flanks were learned from.
    """

    seconds: float
    best: int
    log: tuple[dict[str, float], ...]
    photos: int
    flanks: int


def train(
    network: EmbeddingNetwork,
    learned: Sequence[Annotation],
    validated: Sequence[Annotation],
    pixels: tuple[np.ndarray, np.ndarray],
    training: Training,
    folder: Path,
    device: torch.device,
    maps: Path | None = None,
    minutes: float = math.inf,
) -> Learned:
    """Train `network` in place, and write its best epoch to `folder`. A checkpoint in `folder` is continued.

    pixels: inputs of `learned` and of `validated`, (N, height, width, depth) uint8 each. maps: where maps of frozen
    stages are kept, without a suffix; trainings of the same photos and stages may share them. minutes: no epoch starts
    after them, and the next call continues (the rate falls as if all epochs followed). The best epoch has the
    highest DT5AP of `validated`, without photos of the own encounter. Raises SnowmatchError if there is too little to
    learn from.
    """
    names = [a.individual for a in learned]
    classes = flank_classes(names, [a.body_part for a in learned])
    rows = np.arange(len(learned))
    if singletons(classes).all():
        raise SnowmatchError("no flank has two photos or more for training: add photos")
    if training.loss != "triplet":  # a class of one photo has no positive pair; in triplets it is a negative
        rows = rows[~singletons(classes)]
        if len(set(classes[rows])) < 2:
            raise SnowmatchError(f"{training.loss} needs two flanks with two photos or more for training: add photos")
    numbers = np.unique(classes[rows], return_inverse=True)[1]
    network = network.to(device)
    feed: Maps | Photos
    if training.frozen:
        network.freeze(training.frozen)
        feed = Maps(network, pixels, training, device, maps or folder / "maps")
    else:
        feed = Photos(pixels, training, device)
    margin = training.margin or LOSSES[training.loss]
    criterion: nn.Module | None = None
    if training.loss != "triplet":
        torch.manual_seed(training.seed + 1)
        kind = constant_margin if training.loss == "cosface" else adaptive_margin
        criterion = CosFace(training.dimensions, int(numbers.max()) + 1, kind(margin)).to(device)
    weights = dict(network.named_parameters()) | dict(network.named_buffers())
    if criterion is not None:
        weights["classes"] = criterion.weight
    trained = [tensor for tensor in weights.values() if isinstance(tensor, nn.Parameter) and tensor.requires_grad]
    rate = training.rate or RATES[training.loss]
    optimizer = torch.optim.Adam(trained, lr=rate)
    checkpoint, best = folder / "checkpoint.safetensors", folder / "best.safetensors"
    done: dict[str, Any] = {"epoch": 0, "step": 0, "seconds": 0.0, "best": 0, "log": []}
    if checkpoint.exists():
        done = restore(checkpoint, weights, optimizer)
    began = time.perf_counter()
    start = began - done["seconds"]
    with tqdm(
        range(done["epoch"], training.epochs), initial=done["epoch"], total=training.epochs, desc="epochs"
    ) as bar:
        for epoch in bar:
            if training.loss != "triplet":  # a cosine schedule down to 0; triplets keep their rate
                for group in optimizer.param_groups:
                    group["lr"] = rate * 0.5 * (1 + np.cos(np.pi * epoch / training.epochs))
            random = np.random.default_rng([training.seed, epoch])
            torch.manual_seed(int(random.integers(2**31)))  # the same augmentation if training was stopped
            network.train()
            losses = []
            for batch in batches([names[row] for row in rows], classes[rows], training.batch, random):
                labels = torch.from_numpy(numbers[batch]).to(device)
                made = feed.learned(network, rows[batch], epoch)
                loss = triplet_loss(made, labels, margin) if criterion is None else criterion(made, labels)
                if not torch.isfinite(loss):
                    raise SnowmatchError(f"the loss is {loss.item()} in epoch {epoch + 1}: try a lower --rate")
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                losses.append(loss.item())
                done["step"] += 1
            judged = judge(network, validated, feed.validated, device)
            row = {
                "epoch": epoch + 1,
                "loss": round(float(np.mean(losses)), 4),
                "rate": round(optimizer.param_groups[0]["lr"], 7),
                "seconds": round(time.perf_counter() - start, 1),
                **judged,
            }
            done["log"].append(row)
            done |= {"epoch": epoch + 1, "seconds": time.perf_counter() - start}
            if not done["best"] or judged["dt5ap"] > done["log"][done["best"] - 1]["dt5ap"]:
                done["best"] = epoch + 1
                save_network(best, network, describe(training))
            save_checkpoint(checkpoint, weights, optimizer, done)
            write_log(folder / "log.csv", done["log"])
            bar.set_postfix(loss=row["loss"], dt5ap=judged["dt5ap"], best=done["best"])
            if time.perf_counter() - began > 60 * minutes:
                break
    return Learned(round(done["seconds"], 1), done["best"], tuple(done["log"]), len(rows), len(set(numbers.tolist())))


def describe(training: Training) -> dict[str, Any]:
    """Return the settings for the network's file. `weights` is only the file's name."""
    return {**asdict(training), "weights": Path(training.weights).name}


def judge(
    network: EmbeddingNetwork, annotations: Sequence[Annotation], pixels: np.ndarray, device: torch.device
) -> dict[str, float]:
    """Return top-1 and DT5AP of the annotations, without own encounters and other flanks; 0 if no query is left.

    pixels: as of `embeddings`.
    """
    network.eval()
    trial = make_trial([replace(a, row=i) for i, a in enumerate(annotations)], "cross-encounter")
    vectors = dict(enumerate(embeddings(network, pixels, device, shown=False)))
    scores = np.where(trial.allowed, pair_scores(trial, vectors, "cosine"), np.nan)
    right = trial.own() & trial.allowed
    precision = dynamic_top_k_precision(scores, right)
    precision = precision[~np.isnan(precision)]
    found = top_k(ranks(scores, right), 1)
    return {
        "top1": round(0.0 if np.isnan(found) else found, 4),
        "dt5ap": round(float(precision.mean()) if len(precision) else 0.0, 4),
    }


def write_log(path: Path, log: Sequence[dict[str, float]]) -> None:
    """Write the log as csv, one row an epoch."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(log[0]))
        writer.writeheader()
        writer.writerows(log)


def load_best(folder: Path) -> tuple[EmbeddingNetwork, dict[str, Any]]:
    """Read the network of the best epoch so far."""
    return load_network(folder / "best.safetensors")
