"""Train one network on a catalog with named animals. Every setting has a default; a preset changes several of them.

A fifth of the individuals (of each catalog of A;B) is held out for validation. Each epoch is judged on them, and the best epoch is written to
--out. `benchmarks/deep compare` chooses the threshold of "same animal" with them, too. Checkpoints and log.csv are in
--work: if training stops, the same command continues it.

Examples:
    python training embedding catalog/,every=2 --loss cosface --preset imagenet --work w --out net.safetensors
    python training embedding catalog/,every=2 --loss adaptive --preset small --work w --out net.safetensors
    python training embedding catalog/ --loss triplet --weights tf_efficientnetv2_b2.safetensors --work w --out t.safetensors
"""  # noqa: E501 (a command is one line)

from __future__ import annotations

import argparse
import math
import os
from collections.abc import Sequence
from dataclasses import asdict, fields, replace
from pathlib import Path

import torch
from datasets import prepare
from held_out import divide, of_each

from embedding.inputs import BACKGROUNDS, CHANNELS, check_masks, read_inputs, state_of
from embedding.networks import BACKBONES, RANDOM, build, save_network, start_file
from embedding.settings import LOSSES, PRESETS, RATES, Training
from embedding.train import describe, load_best, train
from snowmatch.api import open_catalog
from snowmatch.confidence.trial import make_trial
from snowmatch.core.errors import SnowmatchError
from snowmatch.core.plugins import settings_key
from snowmatch.models.torch_io import pick_device


def main(arguments: Sequence[str] | None = None) -> None:
    """Read the command line and train."""
    given = parse(arguments)
    chosen = {f.name: getattr(given, f.name) for f in fields(Training) if getattr(given, f.name) is not None}
    training = Training(**{**PRESETS[given.preset], **chosen})
    if not given.minutes > 0:
        raise SnowmatchError(f"minutes is {given.minutes:g}, expected more than 0")
    if given.threads < 1:
        raise SnowmatchError(f"threads is {given.threads}, expected at least 1")
    torch.set_num_threads(given.threads)
    torch.backends.cudnn.deterministic, torch.backends.cudnn.benchmark = True, False  # same weights again on a GPU
    device = pick_device(given.device)
    dataset = prepare(given.source, given.work)
    # a share of each catalog, so that animals are also judged beside others of their kind
    sets = of_each(open_catalog(dataset.folder).data.annotations, given.source)
    divided = [divide(each, training.validation, training.seed) for each in sets]
    learned, validated = ([a for parts in divided for a in parts[side]] for side in (0, 1))
    trial = make_trial([replace(a, row=i) for i, a in enumerate(validated)], "cross-encounter")
    if not given.last and not (trial.own() & trial.allowed).any():
        raise SnowmatchError(
            f"none of the {len(validated)} photos for validation has another encounter of its flank, so there is no "
            "best epoch: hold out more individuals (--validation 0.3), or use --last"
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
    name = BACKBONES.get(training.backbone, training.backbone)
    start = None if training.weights == RANDOM else state_of(Path(), str(start_file(training.weights, name)))
    key = settings_key({**asdict(training), "revision": 1, "data": rows, "start": start})
    folder = given.work / f"{training.loss}-{key}"
    shared = {"shape": asdict(training.shape), "frozen": training.frozen, "seed": training.seed, "backbone": name}
    maps = given.work / "maps" / settings_key({**shared, "data": rows, "start": start, "learned": len(learned)})
    size = sum(p.numel() for p in network.parameters()) / 1e6
    print(
        f"{training.loss}, {training.backbone} ({size:.1f} M weights, start: {Path(training.weights).name}) on "
        f"{device}: {len(learned)} photos of {len({a.individual for a in learned})} individuals, "
        f"{len(validated)} of {len({a.individual for a in validated})} for validation; log: {folder / 'log.csv'}"
    )
    pixels = tuple(read_inputs(dataset.folder, side, training.shape, given.work) for side in (learned, validated))
    result = train(network, learned, validated, pixels, training, folder, device, maps, given.minutes)
    chosen = network if given.last else load_best(folder)[0]
    epoch = len(result.log) if given.last else result.best
    judged = result.log[epoch - 1]
    described = {
        **describe(training),
        "data": dataset.name,
        "learned": sorted({a.individual for a in learned}),
        "validation": sorted({a.individual for a in validated}),
        "photos": result.photos,
        "flanks": result.flanks,
        "individuals": len({a.individual for a in learned}),
        "epoch": epoch,
        "done": len(result.log),
        "dt5ap": judged["dt5ap"],
        "seconds": result.seconds,
        "device": device.type,
        "threads": given.threads,
    }
    save_network(given.out, chosen, described)
    if len(result.log) < training.epochs:
        print(f"stopped after epoch {len(result.log)} (--minutes {given.minutes:g}): the same command continues it")
    print(
        f"{given.out}: epoch {epoch} of {training.epochs}, validation DT5AP {judged['dt5ap']}, "
        f"top-1 {judged['top1']}; {result.seconds} s"
    )


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Read the command line. Settings that are not given are None."""
    parser = argparse.ArgumentParser(
        prog="training embedding", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("source", help="photos with names: SOURCE,key=value,... (see benchmarks/datasets.py)")
    parser.add_argument("--work", type=Path, required=True, help="folder for inputs, checkpoints and log.csv")
    parser.add_argument("--out", type=Path, required=True, help="file for the network, .safetensors")
    parser.add_argument("--last", action="store_true", help="write the last epoch, not the best")
    parser.add_argument(
        "--minutes", type=float, default=math.inf, help="no epoch starts after them; the best so far is written"
    )
    parser.add_argument(
        "--preset",
        choices=PRESETS,
        default="full",
        help="small, imagenet: for two cores; others for a graphics card; default: %(default)s",
    )
    choices = {"loss": tuple(LOSSES), "channels": tuple(CHANNELS), "background": BACKGROUNDS}
    helps = {
        "backbone": f"{', '.join(BACKBONES)}, or any name in timm",
        "weights": "file with timm's pretrained weights of the backbone, `random`, or `imagenet` (efficientnet_lite0)",
        "frozen": "stages of the backbone that stay as they started; 0: all layers learn",
        "margin": f"0: the default of the loss ({', '.join(f'{k} {v}' for k, v in LOSSES.items())})",
        "rate": f"of Adam; 0: the default of the loss ({', '.join(f'{k} {v}' for k, v in RATES.items())})",
    }
    for field in fields(Training):
        parser.add_argument(
            f"--{field.name}",
            type=type(field.default),
            choices=choices.get(field.name),
            help=f"{helps.get(field.name, '')} (full: {field.default})".strip(),
        )
    parser.add_argument("--device", default="auto", help="auto (a GPU if there is one), cpu, cuda, cuda:1, mps")
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1, help="cores; default: all")
    return parser.parse_args(arguments)
