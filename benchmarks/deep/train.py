"""Train one network on a labelled catalog; every setting has a default, a preset stands for several.

A fifth of the individuals is kept from the weights: on it each epoch is judged, the best one is written to --out, and
`compare` chooses there above which similarity two photos show the same animal. Checkpoints and log.csv are in --work:
the same command again goes on where it stopped.

Examples:
    python benchmarks/deep train ../shared/data/nyala,every=2 --loss adaptive --preset small --work w --out net.safetensors
    python benchmarks/deep train my_catalog --loss triplet --weights tf_efficientnetv2_b2.safetensors --work w --out t.safetensors
"""  # noqa: E501 (a command is one line)

from __future__ import annotations

import argparse
import csv
import os
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from checkpoints import restore, save_checkpoint
from datasets import divide, prepare
from methods._embeddings import pair_scores
from torch import nn
from tqdm import tqdm

from deep.batches import batches, flank_classes, singletons
from deep.inputs import BACKGROUNDS, CHANNELS, Augmentation, Shape, as_tensor, check_masks, read_inputs, state_of
from deep.losses import (
    ADAPTIVE_MARGIN,
    COSFACE_MARGIN,
    TRIPLET_MARGIN,
    CosFace,
    adaptive_margin,
    constant_margin,
    triplet_loss,
)
from deep.networks import BACKBONES, RANDOM, EmbeddingNetwork, build, embeddings, load_network, save_network
from snowmatch.api import open_catalog
from snowmatch.confidence.metrics import dynamic_top_k_precision, ranks, top_k
from snowmatch.confidence.trial import make_trial
from snowmatch.core.errors import SnowmatchError
from snowmatch.core.plugins import settings_key
from snowmatch.core.text import did_you_mean
from snowmatch.core.types import Annotation
from snowmatch.models.torch_io import pick_device

LOSSES = {"triplet": TRIPLET_MARGIN, "cosface": COSFACE_MARGIN, "adaptive": ADAPTIVE_MARGIN}  # and their margins
RATES = {"triplet": 8e-4, "cosface": 1e-3, "adaptive": 1e-3}  # Adam's; Colomer Matachana 2024

PRESETS = {
    "full": {},
    # what two cores train in well under 40 minutes on half of the nyala
    "small": {"backbone": "resnet18", "width": 192, "height": 96, "epochs": 40},
}


@dataclass(frozen=True)
class Training:
    """All that the weights depend on beside the photos.

    dimensions: of the embedding. margin, rate: 0 stands for the loss's own. batch: photos, four of an individual.
    validation: share of the individuals kept apart. weights: the backbone's start, a file or `random`.
    """

    loss: str = "adaptive"
    backbone: str = "efficientnetv2_b2"
    weights: str = RANDOM
    dimensions: int = 1028  # Colomer Matachana 2024
    channels: str = "rgb"
    background: str = "kept"
    width: int = 512
    height: int = 256
    epochs: int = 100
    batch: int = 32
    margin: float = 0.0
    rate: float = 0.0
    validation: float = 0.2
    seed: int = 0

    def __post_init__(self) -> None:
        if self.loss not in LOSSES:
            raise SnowmatchError(
                f"loss is {self.loss!r}, expected one of {', '.join(LOSSES)}{did_you_mean(self.loss, LOSSES)}"
            )
        for name, good, expected in (
            ("dimensions", self.dimensions >= 1, "at least 1"),
            ("epochs", self.epochs >= 1, "at least 1"),
            ("batch", self.batch >= 8, "at least 8: two individuals"),
            ("margin", self.margin >= 0, "0 (the loss's own) or more"),
            ("rate", self.rate >= 0, "0 (the loss's own) or more"),
            ("validation", 0 < self.validation < 1, "between 0 and 1"),
            ("seed", self.seed >= 0, "0 or more"),
        ):
            if not good:
                raise SnowmatchError(f"{name} is {getattr(self, name)}, expected {expected}")

    @property
    def shape(self) -> Shape:
        """What the network is shown."""
        return Shape(self.width, self.height, self.channels, self.background)


@dataclass(frozen=True)
class Learned:
    """What a training came to: seconds in all, the best epoch, a row of the log for each epoch, and how many photos of
    how many individuals' flanks it learned from."""

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
) -> Learned:
    """Train `network` in place, from the checkpoint in `folder` on where there is one, and leave its best epoch in it.

    pixels: what both sides' annotations look like, (N, height, width, depth) uint8 each. Best is the highest DT5AP
    of the annotations to validate with, their own encounter apart. SnowmatchError where nothing is left to learn from.
    """
    names = [a.individual for a in learned]
    classes = flank_classes(names, [a.body_part for a in learned])
    rows = np.arange(len(learned))
    if singletons(classes).all():
        raise SnowmatchError("no flank to learn from has two photos or more: nothing to learn from")
    if training.loss != "triplet":  # a class of one photo has nothing to pull together; triplets push away from it
        rows = rows[~singletons(classes)]
        if len(set(classes[rows])) < 2:
            raise SnowmatchError(f"{training.loss} needs two flanks with two photos or more: nothing to learn from")
    numbers = np.unique(classes[rows], return_inverse=True)[1]
    network = network.to(device)
    margin = training.margin or LOSSES[training.loss]
    criterion: nn.Module | None = None
    if training.loss != "triplet":
        torch.manual_seed(training.seed + 1)
        kind = constant_margin if training.loss == "cosface" else adaptive_margin
        criterion = CosFace(training.dimensions, int(numbers.max()) + 1, kind(margin)).to(device)
    weights = dict(network.named_parameters()) | dict(network.named_buffers())
    if criterion is not None:
        weights["classes"] = criterion.weight
    trained = [tensor for tensor in weights.values() if isinstance(tensor, nn.Parameter)]
    rate = training.rate or RATES[training.loss]
    optimizer = torch.optim.Adam(trained, lr=rate)
    checkpoint, best = folder / "checkpoint.safetensors", folder / "best.safetensors"
    done: dict[str, Any] = {"epoch": 0, "step": 0, "seconds": 0.0, "best": 0, "log": []}
    if checkpoint.exists():
        done = restore(checkpoint, weights, optimizer)
    augment = Augmentation(training.shape)
    start = time.perf_counter() - done["seconds"]
    with tqdm(
        range(done["epoch"], training.epochs), initial=done["epoch"], total=training.epochs, desc="epochs"
    ) as bar:
        for epoch in bar:
            if training.loss != "triplet":  # along a cosine to nothing; triplets keep their rate
                for group in optimizer.param_groups:
                    group["lr"] = rate * 0.5 * (1 + np.cos(np.pi * epoch / training.epochs))
            random = np.random.default_rng([training.seed, epoch])
            torch.manual_seed(int(random.integers(2**31)))  # what augmentation draws, the same after a stop
            network.train()
            losses = []
            for batch in batches([names[row] for row in rows], classes[rows], training.batch, random):
                values = augment(as_tensor(pixels[0][rows[batch]], training.shape).to(device))
                labels = torch.from_numpy(numbers[batch]).to(device)
                embeddings = network(values)
                loss = triplet_loss(embeddings, labels, margin) if criterion is None else criterion(embeddings, labels)
                if not torch.isfinite(loss):
                    raise SnowmatchError(f"the loss is {loss.item()} in epoch {epoch + 1}: try a lower --rate")
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                losses.append(loss.item())
                done["step"] += 1
            judged = judge(network, validated, pixels[1], device)
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
    return Learned(round(done["seconds"], 1), done["best"], tuple(done["log"]), len(rows), len(set(numbers.tolist())))


def describe(training: Training) -> dict[str, Any]:
    """What a network's file says of how it was made; the start's file by its name alone."""
    return {**asdict(training), "weights": Path(training.weights).name}


def judge(
    network: EmbeddingNetwork, annotations: Sequence[Annotation], pixels: np.ndarray, device: torch.device
) -> dict[str, float]:
    """Top-1 and DT5AP of the annotations among themselves, own encounters and other flanks apart; 0 without any."""
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
    """One row an epoch, as csv."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(log[0]))
        writer.writeheader()
        writer.writerows(log)


def main(arguments: Sequence[str] | None = None) -> None:
    """Read the command line and train."""
    given = parse(arguments)
    chosen = {f.name: getattr(given, f.name) for f in fields(Training) if getattr(given, f.name) is not None}
    training = Training(**{**PRESETS[given.preset], **chosen})
    if given.threads < 1:
        raise SnowmatchError(f"threads is {given.threads}, expected at least 1")
    torch.set_num_threads(given.threads)
    torch.backends.cudnn.deterministic, torch.backends.cudnn.benchmark = True, False  # the same weights again on a GPU
    device = pick_device(given.device)
    dataset = prepare(given.source, given.work)
    learned, validated = divide(open_catalog(dataset.folder).data.annotations, training.validation, training.seed)
    trial = make_trial([replace(a, row=i) for i, a in enumerate(validated)], "cross-encounter")
    if not given.last and not (trial.own() & trial.allowed).any():
        raise SnowmatchError(
            f"none of the {len(validated)} photos to validate with has another encounter of its flank, so no epoch is "
            "the best: give more individuals (--validation 0.3), or --last"
        )
    kept = check_masks(learned + validated, training.shape)
    if kept:
        print(f"{kept} of {len(learned + validated)} annotations have no mask and keep their background")
    network = build(training.backbone, training.dimensions, training.shape, training.weights, training.seed)
    rows = [
        [a.path, a.bbox, a.individual, a.body_part, a.encounter, state_of(dataset.folder, a.path)]
        + [a.mask, state_of(dataset.folder, a.mask)]
        for a in learned + validated
    ]
    start = None if training.weights == RANDOM else state_of(Path(), str(Path(training.weights).expanduser()))
    key = settings_key({**asdict(training), "revision": 1, "data": rows, "start": start})
    folder = given.work / f"{training.loss}-{key}"
    size = sum(p.numel() for p in network.parameters()) / 1e6
    print(
        f"{training.loss}, {training.backbone} ({size:.1f} M weights, start: {Path(training.weights).name}) on "
        f"{device}: {len(learned)} photos of {len({a.individual for a in learned})} individuals, "
        f"{len(validated)} of {len({a.individual for a in validated})} to validate with; log: {folder / 'log.csv'}"
    )
    pixels = tuple(read_inputs(dataset.folder, side, training.shape, given.work) for side in (learned, validated))
    result = train(network, learned, validated, pixels, training, folder, device)
    chosen = network if given.last else load_best(folder)[0]
    epoch = training.epochs if given.last else result.best
    described = {
        **describe(training),
        "data": dataset.name,
        "learned": sorted({a.individual for a in learned}),
        "validation": sorted({a.individual for a in validated}),
        "photos": result.photos,
        "flanks": result.flanks,
        "individuals": len({a.individual for a in learned}),
        "epoch": epoch,
        "seconds": result.seconds,
        "device": device.type,
        "threads": given.threads,
    }
    save_network(given.out, chosen, described)
    judged = result.log[epoch - 1]
    print(
        f"{given.out}: epoch {epoch} of {training.epochs}, validation DT5AP {judged['dt5ap']}, "
        f"top-1 {judged['top1']}; {result.seconds} s"
    )


def load_best(folder: Path) -> tuple[EmbeddingNetwork, dict[str, Any]]:
    """The network of a training's best epoch so far."""
    return load_network(folder / "best.safetensors")


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """The command line; settings that are not given are None."""
    parser = argparse.ArgumentParser(
        prog="deep train", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("source", help="labelled photos, written as in datasets.py: SOURCE,key=value,...")
    parser.add_argument("--work", type=Path, required=True, help="folder for inputs, checkpoints and log.csv")
    parser.add_argument("--out", type=Path, required=True, help="where the network goes, .safetensors")
    parser.add_argument("--last", action="store_true", help="write the last epoch, not the best one of the validation")
    parser.add_argument("--preset", choices=PRESETS, default="full", help="small: for two cores; default: %(default)s")
    choices = {"loss": tuple(LOSSES), "channels": tuple(CHANNELS), "background": BACKGROUNDS}
    helps = {
        "backbone": f"{', '.join(BACKBONES)}, or any name that timm knows",
        "weights": "timm's file of the backbone's pretrained weights, or `random`",
        "margin": f"0: the loss's own ({', '.join(f'{k} {v}' for k, v in LOSSES.items())})",
        "rate": f"Adam's; 0: the loss's own ({', '.join(f'{k} {v}' for k, v in RATES.items())})",
    }
    for field in fields(Training):
        parser.add_argument(
            f"--{field.name}",
            type=type(field.default),
            choices=choices.get(field.name),
            help=f"{helps.get(field.name, '')} (full: {field.default})".strip(),
        )
    parser.add_argument("--device", default="auto", help="auto (a GPU where there is one), cpu, cuda, cuda:1, mps")
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1, help="cores; default: all")
    return parser.parse_args(arguments)
