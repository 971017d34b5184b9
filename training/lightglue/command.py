"""Train a small LightGlue on one extractor's features of a catalog's animals, and measure it on other animals.

Training pairs are made from the catalog's photos (views.py). A fifth of the individuals is held out. With them the
trained network, its untrained start and mutual nearest neighbours are compared: on warped photos, and at identification
across encounters. Views and checkpoints are kept in --work: if training stops, the same command continues it.

Examples:
    python training lightglue --work /tmp/train --out coat.safetensors
    python training lightglue --work /tmp/train --out coat.safetensors --synthetic individuals=200 \\
        --steps 20000 --batch 32 --keypoints 1024 --device cuda
    python training lightglue --work /tmp/train --out mine.safetensors --catalog my_catalog,boxed=yes
    python training lightglue --work /tmp/train --out coat.safetensors --test other/,every=9
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Sequence
from dataclasses import asdict, fields
from pathlib import Path

import cv2
import kornia
import numpy as np
import torch
from datasets import check_names, prepare
from held_out import divide
from measure import circumstances, command_line

from lightglue.examples import Examples, gather
from lightglue.judge import identify, judge_warped, table
from lightglue.network import build, network_matcher, save_network
from lightglue.settings import Training
from lightglue.train import train
from lightglue.views import REVISION, mutual_matches
from snowmatch.api import open_catalog
from snowmatch.core.files import file_sha256
from snowmatch.core.plugins import make_plugin, settings, settings_key
from snowmatch.models.torch_io import pick_device

MUTUAL = "mutual, ratio 0.9"


def main(arguments: Sequence[str] | None = None) -> None:
    args = parse(arguments)
    training = Training(**{name: getattr(args, name) for name in asdict(Training())})
    pick_device(args.device)  # report an unknown device before the views are made
    torch.set_num_threads(args.threads)
    cv2.setNumThreads(args.threads)
    extractor = make_plugin("extractors", args.extractor, dict(option.partition("=")[::2] for option in args.option))
    started = time.perf_counter()
    source = args.catalog or f"synthetic,{args.synthetic}"
    check_names([source, *args.test])
    dataset = prepare(source, args.work)
    prepared = time.perf_counter() - started
    annotations = open_catalog(dataset.folder).data.annotations
    learned, held_out = divide(annotations, training.held_out, training.seed)
    animals = gather(extractor, dataset.folder, learned, training.warps, training, args.work)
    unseen = gather(extractor, dataset.folder, held_out, training.warps, training, args.work)
    examples = Examples(animals, training)
    rows = np.concatenate([v[0].unit_descriptors for v in animals.views])
    net = build(training, rows)
    start = network_matcher(build(training, rows).eval())
    shown = [
        [a.path, a.bbox, a.individual, a.body_part, a.encounter, file_sha256(dataset.folder / a.path)]
        + [a.mask, file_sha256(dataset.folder / a.mask) if a.mask else ""]
        for a in learned
    ]
    described = {"extractor": settings(extractor), "views": REVISION, "data": shown}
    key = settings_key({**asdict(training), **described})
    record = train(net, examples, training, args.work / f"training-{key}.safetensors", args.device)
    save_network(args.out, net, training, extractor)
    matchers = {"trained": network_matcher(net), "untrained start": start, MUTUAL: mutual_matches}
    started = time.perf_counter()
    measured = {"held out": {}}
    for name, match in matchers.items():
        measured["held out"][name] = {
            "warped": judge_warped(match, unseen),
            "identification": identify(match, unseen, name),
        }
    for source in args.test:
        other = prepare(source, args.work)
        named = [a for a in open_catalog(other.folder).data.annotations if a.individual is not None]
        tested = gather(extractor, other.folder, named, 0, training, args.work)
        measured[other.name] = {
            name: {"identification": identify(match, tested, name)} for name, match in matchers.items()
        }
    sides = {"trained on": learned, "held out": held_out}
    result = {
        **circumstances(command_line(arguments)),
        "torch": torch.__version__,
        "kornia": kornia.__version__,
        "threads": args.threads,
        "device": args.device,
        "data": dataset.name,
        "training": asdict(training),
        "extractor": settings(extractor),
        "individuals": {name: len({a.individual for a in side}) for name, side in sides.items()},
        "photos": {name: len(side) for name, side in sides.items()},
        "pairs": {**examples.counts, "drawn": training.steps * training.batch},
        "seconds": {
            "photos": round(prepared, 1),  # about 0 if they were made before
            "views": round(animals.seconds + unseen.seconds, 1),
            "training": record["seconds"],
            "step": round(record["seconds"] / training.steps, 3),
            "measuring": round(time.perf_counter() - started, 1),
        },
        "losses": record["losses"],
        "megabytes": round(args.out.stat().st_size / 1e6, 2),
        "measured": measured,
    }
    if args.report is not None:
        args.report.write_text(json.dumps(result, allow_nan=False) + "\n", encoding="utf-8")
    print(table(result))


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="training lightglue", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    data = parser.add_mutually_exclusive_group()
    data.add_argument("--catalog", metavar="SOURCE", help="photos with names to train on (see benchmarks/datasets.py)")
    data.add_argument(
        "--synthetic",
        metavar="KEY=VALUE,...",
        default="individuals=60,encounters=4,stations=12,seed=1",
        help="instead of photos, a drawn survey (keys: see benchmarks/datasets.py); default: %(default)s",
    )
    parser.add_argument(
        "--test", metavar="SOURCE", action="append", default=[], help="also measure on all animals of these photos"
    )
    parser.add_argument("--work", type=Path, required=True, help="folder for surveys, views and checkpoints")
    parser.add_argument("--out", type=Path, required=True, help="file for the weights, .safetensors")
    parser.add_argument("--report", type=Path, metavar="FILE", help="write all measurements to this file, as JSON")
    parser.add_argument("--extractor", default="hesaff", help="extractor of the features; default: %(default)s")
    parser.add_argument(
        "-o", dest="option", metavar="KEY=VALUE", action="append", default=[], help="a setting of the extractor"
    )
    for field in fields(Training):
        name = "--" + field.name.replace("_", "-")
        parser.add_argument(name, type=type(field.default), default=field.default, help="default: %(default)s")
    parser.add_argument("--device", default="cpu", help="device for training, cpu or cuda; default: %(default)s")
    parser.add_argument("--threads", type=int, default=1, help="cores to use; default: %(default)s")
    return parser.parse_args(arguments)
