"""Train a small LightGlue on one extractor's features of a catalog's animals, and measure it on animals it never saw.

Pairs are made from the catalog's own photos (coat_pairs.py). A fifth of the individuals is held out: on them the
trained network, its untrained start and mutual nearest neighbours are compared, on warped photos and at telling who is
who across encounters. Views and checkpoints are kept in --work: the same command again goes on where it stopped.

Examples:
    python benchmarks/train_lightglue.py --work /tmp/train --out coat.safetensors
    python benchmarks/train_lightglue.py --work /tmp/train --out coat.safetensors --synthetic individuals=200 \\
        --steps 20000 --batch 32 --keypoints 1024 --device cuda
    python benchmarks/train_lightglue.py --work /tmp/train --out mine.safetensors --catalog my_catalog,boxed=yes
    python benchmarks/train_lightglue.py --work /tmp/train --out coat.safetensors --test ../shared/data/nyala,every=9
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

import cv2
import kornia
import numpy as np
import torch
from checkpoints import read_tensors, restore, save_checkpoint, write_tensors
from coat_pairs import (
    APART,
    REVISION,
    SAME,
    Truth,
    View,
    distances,
    mutual_matches,
    strangers,
    strongest,
    truth,
    verified,
    views_of,
)
from datasets import divide, prepare
from kornia.feature import LightGlue
from kornia.feature.lightglue import normalize_keypoints
from measure import circumstances, write_result
from run import without_folders
from tqdm import tqdm

from snowmatch.api import open_catalog
from snowmatch.confidence.metrics import ranks, top_k
from snowmatch.confidence.trial import make_trial
from snowmatch.core.errors import SnowmatchError
from snowmatch.core.plugins import make_plugin, settings, settings_key
from snowmatch.core.types import Annotation, same_part
from snowmatch.matching.geometry.check import inliers
from snowmatch.matching.geometry.frames import Geometry
from snowmatch.matching.matchers.lightglue import SIZE_UNIT
from snowmatch.models.torch_io import pick_device

KINDS = {"warped": 0.5, "same": 0.3, "different": 0.2}  # shares of the pairs of a batch, of those kinds there are
FEWEST = 64  # keypoints a view must have to be trained on: a batch is cut to its smallest view
SORTED = 8  # steps whose pairs are sorted by size before they are dealt out, so that less is cut off
WARM_UP = 0.05  # share of the steps in which the learning rate rises: AdamW's first steps are noise
CLIP = 1.0  # longest gradient
SAVE_EVERY = 100  # steps: two minutes are lost at most
SHARPNESS = 20.0  # what the start multiplies cosines of descriptors by: nearest neighbours stand out of 512
PRECISION = 0.9  # at which recalls are compared; mutual nearest neighbours with the ratio test have about that
MUTUAL = "mutual, ratio 0.9"

Matcher = Callable[[View, View], tuple[np.ndarray, np.ndarray]]  # matches (K, 2) and their weights (K,)


@dataclass(frozen=True)
class Training:
    """All that the weights depend on beside the data.

    keypoints: strongest ones of each photo. layers, dim, heads: the network's size; LighterGlue has 6 layers of 96,
    half as many are what one core trains in minutes. warps: views of each photo. rate: AdamW's highest.
    """

    keypoints: int = 512
    layers: int = 3
    dim: int = 96
    heads: int = 1
    steps: int = 800
    batch: int = 8
    rate: float = 1e-3
    warps: int = 2
    held_out: float = 0.2
    seed: int = 0

    def __post_init__(self) -> None:
        for name, good, expected in (
            ("keypoints", self.keypoints >= FEWEST, f"at least {FEWEST}"),
            ("layers", self.layers >= 1, "at least 1"),
            ("heads", self.heads >= 1, "at least 1"),
            ("dim", self.dim >= 4 and self.dim % (2 * self.heads) == 0, "4 or more, a multiple of 2 x heads"),
            ("steps", self.steps >= 1, "at least 1"),
            ("batch", self.batch >= 1, "at least 1"),
            ("rate", self.rate > 0, "above 0"),
            ("warps", self.warps >= 1, "at least 1"),
            ("held_out", 0 < self.held_out < 1, "between 0 and 1"),
        ):
            if not good:
                raise SnowmatchError(f"{name} is {getattr(self, name)}, expected {expected}")


@dataclass(frozen=True)
class Example:
    """A pair to learn from; the truth of views of one photo is None, as it follows from their places."""

    view0: View
    view1: View
    known: Truth | None = None

    @property
    def truth(self) -> Truth:
        return self.known or truth(self.view0.places, self.view1.places)


@dataclass(frozen=True)
class Animals:
    """Annotations and, for each, its views, the first as photographed, then warped ones; seconds to make them all."""

    annotations: tuple[Annotation, ...]
    views: tuple[tuple[View, ...], ...]
    seconds: float = 0.0


def gather(
    extractor: Any, folder: Path, annotations: Sequence[Annotation], warps: int, training: Training, work: Path
) -> Animals:
    """The views of all annotations, whose scenery comes from each other's photos."""
    random = np.random.default_rng([training.seed, 1])
    others = [annotations[i] for i in random.permutation(len(annotations))]
    views, seconds = [], 0.0
    for annotation, other in tqdm(list(zip(annotations, others, strict=True)), desc="views", unit="photo"):
        made, took = views_of(extractor, folder, annotation, other, warps, training.seed, work)
        views.append(tuple(strongest(v, training.keypoints) for v in made))
        seconds += took
    return Animals(tuple(annotations), tuple(views), seconds)


class Examples:
    """Draws the batch of each step: the same step gives the same pairs, whatever was drawn before."""

    def __init__(self, animals: Animals, training: Training) -> None:
        """Check pairs of each individual's encounters; SnowmatchError where no pair is left to learn from."""
        self.training = training
        self.views = [[v for v in views if len(v) >= FEWEST] for views in animals.views]
        rows = [i for i, views in enumerate(self.views) if views]
        self.several = [i for i in rows if len(self.views[i]) > 1]
        self.same, self.different = [], []
        pairs = [(i, j) for n, i in enumerate(rows) for j in rows[:n]]
        for i, j in pairs:
            a, b = animals.annotations[i], animals.annotations[j]
            if not same_part(a.body_part, b.body_part):
                continue
            if a.individual != b.individual:
                self.different.append((i, j))
            elif a.encounter != b.encounter:
                known = verified(self.views[i][0], self.views[j][0])
                self.same += [Example(self.views[i][0], self.views[j][0], known)] if known else []
        there = {"warped": self.several, "same": self.same, "different": self.different}
        self.kinds = [kind for kind in KINDS if there[kind]]
        if not self.several:
            raise SnowmatchError(f"no photo has two views of {FEWEST} keypoints or more: nothing to train on")
        self.counts = {kind: len(there[kind]) for kind in KINDS}

    def __call__(self, step: int) -> list[Example]:
        """The pairs of one step, about equal in size, each with its sides in random order."""
        group, place = divmod(step, SORTED)
        random = np.random.default_rng([self.training.seed, 2, group])
        shares = np.array([KINDS[kind] for kind in self.kinds])
        kinds = random.choice(self.kinds, SORTED * self.training.batch, p=shares / shares.sum())
        drawn = sorted((self._draw(kind, random) for kind in kinds), key=lambda e: min(len(e.view0), len(e.view1)))
        start = random.permutation(SORTED)[place] * self.training.batch
        return drawn[start : start + self.training.batch]

    def _draw(self, kind: str, random: np.random.Generator) -> Example:
        if kind == "warped":
            views = self.views[self.several[random.integers(len(self.several))]]
            first, second = random.choice(len(views), 2, replace=False)
            return Example(views[first], views[second])
        if kind == "same":
            drawn = self.same[random.integers(len(self.same))]
        else:
            sides = (self.views[i] for i in self.different[random.integers(len(self.different))])
            view0, view1 = (views[random.integers(len(views))] for views in sides)
            drawn = Example(view0, view1, strangers(view0, view1))
        if random.random() < 0.5:
            return drawn
        known = drawn.known
        return Example(drawn.view1, drawn.view0, Truth(known.matches[:, ::-1], known.none1, known.none0))


def network_inputs(views: Sequence[View], device: str = "cpu") -> dict[str, torch.Tensor]:
    """One side of LightGlue's input for B views, each cut to as many keypoints as the smallest has.

    keypoints (B, N, 2) in px of the box, inside it; descriptors (B, N, D) of length 1; scales (B, N), log2 of the
    diameter in SIZE_UNIT-ths of the longest side; oris (B, N) radians; image_size (B, 2) of the box.
    """
    n = min(len(view) for view in views)

    def stack(columns: list[np.ndarray]) -> torch.Tensor:
        # copied into torch's own, aligned memory: sums over numpy's would differ in their last bits from run to run
        return torch.tensor(np.stack([c[:n] for c in columns]), dtype=torch.float32, device=device)

    return {
        "keypoints": stack([np.clip(v.keypoints, 0, v.size) for v in views]),
        "descriptors": stack([v.unit_descriptors for v in views]),
        "scales": stack([np.log2(SIZE_UNIT * v.scales / v.size.max()) for v in views]),
        "oris": stack([v.oris for v in views]),
        "image_size": stack([v.size for v in views]),
    }


def build(training: Training, descriptors: np.ndarray) -> LightGlue:
    """The network at its start: seeded random weights, but matching as it stands compares `descriptors` (S, D).

    Their principal directions pass the first layer, later ones add little at first, and the last one compares. After
    150 steps on 384 keypoints 63 % of the matches of held-out animals were found, from kornia's own start 28 %.
    """
    torch.manual_seed(training.seed)
    net = make_network(
        {
            "input_dim": descriptors.shape[1],
            "descriptor_dim": training.dim,
            "num_heads": training.heads,
            "n_layers": training.layers,
        }
    )
    mean = descriptors.mean(axis=0)
    _, values, directions = np.linalg.svd(descriptors - mean, full_matrices=False)
    length = np.sqrt((values[: training.dim] ** 2).sum() / len(descriptors))
    with torch.no_grad():
        if training.dim < descriptors.shape[1] <= len(descriptors):
            kept = torch.from_numpy(directions[: training.dim] * np.sqrt(training.dim) / length).float()
            net.input_proj.weight.copy_(kept)
            net.input_proj.bias.copy_(-kept @ torch.from_numpy(mean).float())
        for layer in net.transformers:
            for block in (layer.self_attn, layer.cross_attn):
                block.ffn[-1].weight.mul_(0.1)
                block.ffn[-1].bias.zero_()
        for head in net.log_assignment:
            head.final_proj.weight.copy_(torch.eye(training.dim) * np.sqrt(SHARPNESS / np.sqrt(training.dim)))
            head.final_proj.bias.zero_()
    return net


def make_network(shape: dict[str, int]) -> LightGlue:
    """kornia's LightGlue of a shape (input_dim, descriptor_dim, num_heads, n_layers), with random weights."""
    return LightGlue(None, **shape, add_scale_ori=True, flash=False, depth_confidence=-1, width_confidence=-1)


def assignments(net: LightGlue, side0: dict, side1: dict) -> list[torch.Tensor]:
    """The log assignment (B, M + 1, N + 1) after each layer: kornia's forward, which gives the last one alone."""
    encodings, descriptors = [], []
    for side in (side0, side1):
        places = normalize_keypoints(side["keypoints"], side["image_size"])
        encodings.append(net.posenc(torch.cat([places, side["scales"][..., None], side["oris"][..., None]], -1)))
        descriptors.append(net.input_proj(side["descriptors"]))
    result = []
    for layer, head in zip(net.transformers, net.log_assignment, strict=True):
        descriptors = layer(*descriptors, *encodings)
        result.append(head(*descriptors)[0])
    return result


def pair_loss(scores: torch.Tensor, known: Truth) -> torch.Tensor:
    """Negative log likelihood of a pair's log assignment (M + 1, N + 1), dustbins last; keypoints cut off are ignored.

    Matches weigh as much as both sides' keypoints without one. Source: Lindenberger et al., ICCV 2023, section 3.3.
    """
    m, n = scores.shape[0] - 1, scores.shape[1] - 1
    matches = torch.from_numpy(known.matches[(known.matches < (m, n)).all(axis=1)]).to(scores.device)
    loss = scores.new_zeros(())
    if len(matches):
        loss = loss - scores[matches[:, 0], matches[:, 1]].mean()
    for dustbin, none in ((scores[:m, n], known.none0[:m]), (scores[m, :n], known.none1[:n])):
        if none.any():
            loss = loss - dustbin[torch.from_numpy(none).to(scores.device)].mean() / 2
    return loss


def batch_loss(net: LightGlue, examples: Sequence[Example], device: str) -> torch.Tensor:
    """Mean of pair_loss over the pairs and, as in LightGlue, over the layers."""
    sides = (network_inputs([getattr(e, name) for e in examples], device) for name in ("view0", "view1"))
    known = [e.truth for e in examples]
    layers = assignments(net, *sides)
    return torch.stack([pair_loss(s, t) for scores in layers for s, t in zip(scores, known, strict=True)]).mean()


def learning_rate(step: int, training: Training) -> float:
    """Rises over the first steps, then falls along a cosine to nothing."""
    rising = max(1, round(WARM_UP * training.steps))
    if step < rising:
        return training.rate * (step + 1) / rising
    return training.rate * 0.5 * (1 + np.cos(np.pi * (step - rising) / max(1, training.steps - rising)))


def train(
    net: LightGlue, examples: Callable[[int], list[Example]], training: Training, checkpoint: Path, device: str
) -> dict[str, Any]:
    """Train `net` in place, from `checkpoint` on where there is one; gives seconds and the loss every SAVE_EVERY steps.

    Ctrl-C or a lost machine costs what came after the last checkpoint, no more.
    """
    net.to(device).train()
    weights = dict(net.named_parameters())
    optimizer = torch.optim.AdamW(weights.values(), lr=training.rate)
    done = {"step": 0, "seconds": 0.0, "losses": []}
    if checkpoint.exists():
        done = restore(checkpoint, weights, optimizer)
    recent: list[float] = []
    start = time.perf_counter() - done["seconds"]
    with tqdm(range(done["step"], training.steps), initial=done["step"], total=training.steps, desc="training") as bar:
        for step in bar:
            for group in optimizer.param_groups:
                group["lr"] = learning_rate(step, training)
            loss = batch_loss(net, examples(step), device)
            optimizer.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(weights.values(), CLIP)
            optimizer.step()
            recent.append(loss.item())
            bar.set_postfix(loss=f"{np.mean(recent):.3f}")
            if (step + 1) % SAVE_EVERY == 0 or step + 1 == training.steps:
                done["losses"].append(round(float(np.mean(recent)), 4))
                done |= {"step": step + 1, "seconds": time.perf_counter() - start}
                recent = []
                save_checkpoint(checkpoint, weights, optimizer, done)
    net.to("cpu").eval()
    return {"seconds": round(done["seconds"], 1), "losses": done["losses"]}


def save_network(path: Path, net: LightGlue, training: Training, extractor: Any) -> None:
    """The weights as a matcher loads them: kornia's names, and what the network takes and was trained on."""
    tensors = {k: v.contiguous() for k, v in net.state_dict().items() if k != "confidence_thresholds"}
    described = {
        "input_dim": extractor.DIMENSION,
        "descriptor_dim": training.dim,
        "num_heads": training.heads,
        "n_layers": training.layers,
        "add_scale_ori": True,
        "keypoints": training.keypoints,
        "extractor": settings(extractor),
    }
    write_tensors(path, tensors, described)


def load_network(path: Path) -> LightGlue:
    """The network of a file by save_network, ready to match."""
    described, tensors = read_tensors(path)
    net = make_network({k: described[k] for k in ("input_dim", "descriptor_dim", "num_heads", "n_layers")})
    net.load_state_dict({**tensors, "confidence_thresholds": net.confidence_thresholds})
    return net.eval()


def network_matcher(net: LightGlue) -> Matcher:
    """kornia's forward unchanged; the weight of a match is its score."""

    def match(view0: View, view1: View) -> tuple[np.ndarray, np.ndarray]:
        if not len(view0) or not len(view1):
            return np.zeros((0, 2), np.int64), np.zeros(0)
        with torch.inference_mode():
            found = net({"image0": network_inputs([view0]), "image1": network_inputs([view1])})
        return found["matches"][0].numpy(), found["scores"][0].numpy()

    return match


def judge_warped(match: Matcher, animals: Animals) -> dict[str, float]:
    """Precision and recall of matches between all views of each photo, over all of them together.

    A match is right within SAME px, wrong beyond APART px or off the animal, and not judged between. Matchers draw the
    line at different places: recall_at_precision is the recall of the heaviest matches that are PRECISION right.
    """
    there, weights, right, wrong, found = 0, [], [], [], []
    pairs = [(views[i], views[j]) for views in animals.views for j in range(len(views)) for i in range(j)]
    for view0, view1 in tqdm(pairs, desc="warped", unit="pair"):
        known = {tuple(pair) for pair in truth(view0.places, view1.places).matches.tolist()}
        matches, weight = match(view0, view1)
        apart = distances(view0.places, view1.places)[matches[:, 0], matches[:, 1]]
        weights.extend(weight)
        right.extend(apart < SAME)
        wrong.extend(apart > APART)
        found.extend(tuple(pair) in known for pair in matches.tolist())
        there += len(known)
    order = np.argsort(-np.array(weights), kind="stable")
    right, wrong, found = (np.cumsum(np.array(each)[order]) for each in (right, wrong, found))
    precision, recall = right / np.maximum(1, right + wrong), found / max(1, there)
    return {
        "precision": round(float(precision[-1]), 4) if len(order) else 0.0,
        "recall": round(float(recall[-1]), 4) if len(order) else 0.0,
        "recall_at_precision": round(float(recall[precision >= PRECISION].max(initial=0)), 4),
        "pairs": len(pairs),
    }


def identify(match: Matcher, animals: Animals, known_as: str) -> dict[str, Any]:
    """Ask about every annotation, answered by those of other encounters: how often the best photo is the same animal.

    A photo's score is the sum of the weights of its matches that agree geometrically, as the engine checks them; every
    pair is matched once and scored for both.
    """
    trial = make_trial([replace(a, row=i) for i, a in enumerate(animals.annotations)], "cross-encounter")
    geometry = Geometry()
    views = [v[0] for v in animals.views]
    scores = np.where(trial.allowed, 0.0, np.nan)
    pairs = [(i, j) for i, j in np.argwhere(trial.allowed) if i < j]
    seconds = 0.0
    for i, j in tqdm(pairs, desc=f"who is who, {known_as}", unit="pair"):
        start = time.perf_counter()
        matches, weights = match(views[i], views[j])
        seconds += time.perf_counter() - start
        frames = views[i].frames(matches[:, 0]), views[j].frames(matches[:, 1])
        for query, answer, sides in ((i, j, frames), (j, i, frames[::-1])):
            agree = inliers(*sides, float(np.hypot(*views[answer].size)), geometry)
            scores[query, answer] = weights[agree].sum()
    rank = ranks(scores, trial.own())
    return {
        "photo_top_1": round(top_k(rank, 1), 4),
        "photo_top_5": round(top_k(rank, 5), 4),
        "queries": int((~np.isnan(rank)).sum()),
        "annotations": len(views),
        "pairs": len(pairs),
        "seconds_per_pair": round(seconds / max(1, len(pairs)), 4),
    }


def table(result: dict[str, Any]) -> str:
    """The measurements as Markdown, one row a matcher."""
    tested = [name for name in result["measured"] if name != "held out"]
    heads = ["matcher", "precision", "recall", f"recall at {PRECISION:.0%} precision", "held out, best photo", *tested]
    lines = ["| " + " | ".join(heads) + " |", "|---|" + "---:|" * (len(heads) - 1)]
    for name, figures in result["measured"]["held out"].items():
        warped = figures["warped"]
        shares = [warped[figure] for figure in ("precision", "recall", "recall_at_precision")]
        shares += [result["measured"][t][name]["identification"]["photo_top_1"] for t in ("held out", *tested)]
        lines.append(f"| {name} | " + " | ".join(f"{100 * share:.1f} %" for share in shares) + " |")
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> None:
    args = parse(arguments)
    given = sys.argv[1:] if arguments is None else arguments
    training = Training(**{name: getattr(args, name) for name in asdict(Training())})
    pick_device(args.device)  # better told now than when the views are made
    torch.set_num_threads(args.threads)
    cv2.setNumThreads(args.threads)
    extractor = make_plugin("extractors", args.extractor, dict(option.partition("=")[::2] for option in args.option))
    started = time.perf_counter()
    dataset = prepare(args.catalog or f"synthetic,{args.synthetic}", args.work)
    prepared = time.perf_counter() - started
    annotations = open_catalog(dataset.folder).data.annotations
    learned, held_out = divide(annotations, training.held_out, training.seed)
    animals = gather(extractor, dataset.folder, learned, training.warps, training, args.work)
    unseen = gather(extractor, dataset.folder, held_out, training.warps, training, args.work)
    examples = Examples(animals, training)
    rows = np.concatenate([v[0].unit_descriptors for v in animals.views])
    net = build(training, rows)
    start = network_matcher(build(training, rows).eval())
    shown = [[a.path, a.bbox, a.individual, a.encounter] for a in learned]
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
        **circumstances("python benchmarks/train_lightglue.py " + " ".join(map(without_folders, given))),
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
            "photos": round(prepared, 1),  # nothing where they were there
            "views": round(animals.seconds + unseen.seconds, 1),
            "training": record["seconds"],
            "step": round(record["seconds"] / training.steps, 3),
            "measuring": round(time.perf_counter() - started, 1),
        },
        "losses": record["losses"],
        "megabytes": round(args.out.stat().st_size / 1e6, 2),
        "measured": measured,
    }
    write_result("train_lightglue", result)
    print(table(result))


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    data = parser.add_mutually_exclusive_group()
    data.add_argument("--catalog", metavar="SOURCE", help="labelled photos to train on, written as in datasets.py")
    data.add_argument(
        "--synthetic",
        metavar="KEY=VALUE,...",
        default="individuals=60,encounters=4,stations=12,seed=1",
        help="a synthetic survey instead (datasets.py has the keys); default: %(default)s",
    )
    parser.add_argument(
        "--test", metavar="SOURCE", action="append", default=[], help="measure on all animals of these photos as well"
    )
    parser.add_argument("--work", type=Path, required=True, help="folder for surveys, views and checkpoints")
    parser.add_argument("--out", type=Path, required=True, help="where the weights go, .safetensors")
    parser.add_argument("--extractor", default="hesaff", help="whose features are matched; default: %(default)s")
    parser.add_argument(
        "-o", dest="option", metavar="KEY=VALUE", action="append", default=[], help="a setting of the extractor"
    )
    for field in fields(Training):
        name = "--" + field.name.replace("_", "-")
        parser.add_argument(name, type=type(field.default), default=field.default, help="default: %(default)s")
    parser.add_argument("--device", default="cpu", help="where to train, cpu or cuda; default: %(default)s")
    parser.add_argument("--threads", type=int, default=1, help="cores to use; default: %(default)s")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    try:
        main()
    except SnowmatchError as error:
        sys.exit(f"error: {error}")
