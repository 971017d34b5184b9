"""Train networks from the weights of ImageNet, and compare them on animals that were left out; then as a witness.

Half of the nyala and half of the snow leopards are for training: three networks, one for each loss, learn from both.
Then snowmatch, HotSpotter and the networks get the same queries of the other halves, with the boxes that snowmatch
finds. At last the similarity of each network is one more witness beside snowmatch's score: both become log odds that
two photos show one animal, and are added. The embedding's are learned from its animals for validation, snowmatch's from
the set's training half. Figures go to --out, one row a set. All else stays in --work, so a stopped run goes on.

On a graphics card all layers learn, once with each of two rates; the network that ranks the animals for validation
best takes part. On a processor only the last stage learns. --networks takes networks that were trained before, on
another computer for example: files LOSS-NAME.safetensors of `training embedding`.

Examples:
    python benchmarks/deep left_out --data ../shared/data --work w --out deep.json
    python benchmarks/deep left_out --data ../shared/data --work w --out deep.json --networks trained/
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from checkpoints import read_tensors
from datasets import described, prepare
from embedding.command import main as train
from embedding.inputs import read_inputs
from embedding.networks import EmbeddingNetwork, build, embeddings, load_network
from embedding.settings import LOSSES, PRESETS
from embedding.vectors import pair_scores
from held_out import of_each
from measure import RESULTS, circumstances, command_line
from scoring import Scored, scores_of
from store import put_run
from suites import LEFT_OUT, Run, source_of

from deep.compare import NETWORK_FACTS, at_least, check_apart, first_table, network_of, ranking_of, rounded
from deep.decision import animals_of, pairs_of
from deep.odds import calibrate
from snowmatch.api import open_catalog
from snowmatch.confidence.metrics import dynamic_top_k_precision, interval, ranks
from snowmatch.confidence.score_table import ScoreTable
from snowmatch.confidence.trial import make_trial
from snowmatch.core.errors import SnowmatchError
from snowmatch.models.torch_io import pick_device

LogOdds = Callable[[np.ndarray], np.ndarray]  # of scores (Q, G)
PROTOCOL = "cross-encounter"
# Training: both flanks of the nyala, in which no box is found, so the photos are whole
LEARNED = "{data}/nyala,every=2,name=nyala-half;" + f"{LEFT_OUT},name=snow_leopard-half"
OURS = "snowmatch_engine"
NOTHING_LEARNED = "imagenet"  # the label of the networks' start
COMPARED = {OURS: OURS, "hotspotter": "hotspotter"}
ON_CARD, ON_PROCESSOR = "imagenet-full", "imagenet"  # presets
RATES = (3e-4, 1e-3)  # of Adam, on a graphics card; about the last one is published
KNOWN_QUERIES = 80  # at most, evenly spread, from which snowmatch's log odds are learned


@dataclass(frozen=True)
class Half:
    """A set of left-out animals, a part of the training half, and how many queries are asked (0: all)."""

    known: str
    asked: str
    queries: int


# HotSpotter needs seconds for a query; so a part of the nyala is asked, evenly spread
HALVES = (Half("nyala-known", "nyala-out", 120), Half("snow_leopard-known", "snow_leopard-out", 0))


def main(arguments: Sequence[str] | None = None) -> None:
    """Read the command line, train what is missing, measure and write the results."""
    given = parse(arguments)
    learned = LEARNED.format(data=given.data)
    files = candidates(given, learned) if given.networks is None else found(given.networks)
    networks = {loss: best_of(paths) for loss, paths in files.items()}
    trained = {loss: load_network(path) for loss, path in networks.items()}
    shape, told = trained[next(iter(LOSSES))][0].shape, trained[next(iter(LOSSES))][1]
    start = build(told["backbone"], 0, shape, told["weights"], 0).eval()
    settings = f"width={shape.width},height={shape.height}"
    methods = COMPARED | {NOTHING_LEARNED: f"backbone,name={told['backbone']},weights={told['weights']},{settings}"}
    methods |= {loss: f"trained,file={path}" for loss, path in networks.items()}
    if given.device != "auto":
        deep = {NOTHING_LEARNED, *networks}
        methods = {name: f"{text},device={given.device}" if name in deep else text for name, text in methods.items()}
    odds = {
        name: odds_of(network, set(described["validation"]), learned, given)
        for name, (network, described) in {NOTHING_LEARNED: (start, told), **trained}.items()
    }
    for half in HALVES:
        row = measured(half, methods, odds, given)
        put_run(given.out, row)
        for held in (*row["methods"], *row["witness"]):
            print(half.asked, held["label"], {name: figure[0] for name, figure in held["figures"].items()}, flush=True)


def candidates(given: argparse.Namespace, learned: str) -> dict[str, list[Path]]:
    """Train what is missing, and return the files of each loss: on a graphics card, one network of each rate."""
    card = pick_device(given.device).type != "cpu"
    preset = given.preset or (ON_CARD if card else ON_PROCESSOR)
    rates = [["-" + format(rate, "g"), "--rate", str(rate)] for rate in RATES] if preset == ON_CARD else [[""]]
    shared = ["--preset", preset, "--threads", str(given.threads), "--device", given.device, "--work", str(given.work)]
    files: dict[str, list[Path]] = {}
    for loss in LOSSES:
        for ending, *words in rates:
            path = given.work / "networks" / f"{loss}-{preset}{ending}.safetensors"
            train([learned, "--loss", loss, *shared, *words, "--out", str(path)])
            files.setdefault(loss, []).append(path)
    return files


def found(folder: Path) -> dict[str, list[Path]]:
    """Return the files LOSS-NAME.safetensors of a folder by their loss. Raises SnowmatchError if a loss has none."""
    files = {loss: sorted(folder.glob(f"{loss}-*.safetensors")) for loss in LOSSES}
    missing = [f"{loss}-NAME.safetensors" for loss, paths in files.items() if not paths]
    if missing:
        raise SnowmatchError(f"--networks {folder} has no {missing[0]}: train it with `python training embedding`")
    return files


def best_of(paths: Sequence[Path]) -> Path:
    """Return the network that ranked its animals for validation best, the first of equal ones."""
    return max(paths, key=lambda path: read_tensors(path)[0].get("dt5ap", 0.0))


def odds_of(network: EmbeddingNetwork, validation: set[str], source: str, given: argparse.Namespace) -> LogOdds:
    """Return the function from a network's similarities to log odds, learned from the animals for validation.

    Only pairs of one set count: that a cat is no nyala tells nothing about two cats.
    """
    folder, device = prepare(source, given.work).folder, pick_device(given.device)
    similar, same = [], []
    for part in of_each(open_catalog(folder).data.annotations, source):
        validated = [a for a in part if a.individual in validation]
        pixels = read_inputs(folder, validated, network.shape, given.work)
        vectors = embeddings(network.to(device), pixels, device, shown=False)
        trial = make_trial([replace(a, row=i) for i, a in enumerate(validated)], PROTOCOL)
        scores = pair_scores(trial, dict(enumerate(vectors)), "cosine")
        similar.append(np.where(trial.allowed, scores, np.nan).ravel())
        same.append((trial.own() & trial.allowed).ravel())
    return calibrate(np.concatenate(similar), np.concatenate(same), votes=False)


def measured(
    half: Half, methods: dict[str, str], odds: dict[str, LogOdds], given: argparse.Namespace
) -> dict[str, Any]:
    """Return the row of one set: each method alone, and each network as a witness beside snowmatch."""
    known, asked = (source_of(name, given.data) for name in (half.known, half.asked))
    catalogs = {name: prepare(source, given.work) for name, source in (("training", known), ("test", asked))}
    animals = {name: open_catalog(one.folder).data.annotations for name, one in catalogs.items()}
    rows, tables = [], {}
    for name, method in methods.items():
        told = network_of(method)
        seen = [*told.get("learned", ()), *told.get("validation", ())]
        check_apart(animals, {"learned": seen}, method)
        scored = scores_of(Run(asked, PROTOCOL, method), given.work, queries=half.queries)
        tables[name] = first_table(scored)
        rows.append(method_row(name, scored, tables[name], told))
    ours = scores_of(Run(known, PROTOCOL, OURS), given.work, queries=KNOWN_QUERIES)
    local = calibrate(*pairs_of(first_table(ours)), votes=True)(pairs_of(tables[OURS])[0])
    witness = []
    for name in odds:
        fused = local + odds[name](pairs_of(tables[name])[0])
        figures = figures_of(tables[OURS], fused)
        gains = gains_of(tables[OURS], pairs_of(tables[OURS])[0], fused)
        witness.append({"label": name, "figures": figures, "gains": gains})
    return {
        "run": half.asked,
        "dataset": described(catalogs["test"], animals["test"]),
        "queries": len(tables[OURS].queries),
        "answerable": int(pairs_of(tables[OURS])[1].any(axis=1).sum()),
        "methods": rows,
        "witness": witness,
        **circumstances(command_line()),
    }


def method_row(name: str, scored: Scored, table: ScoreTable, told: dict[str, Any]) -> dict[str, Any]:
    """Return the figures and costs of one method, and the facts of a network."""
    label = "snowmatch" if name == OURS else name
    facts = {key: told.get(key) for key in NETWORK_FACTS} if told else None
    costs = {key: scored.costs[key] for key in ("seconds", "notes")}
    trained = {"training": told["seconds"]} if told else {}
    return {
        "label": label,
        "figures": figures_of(table, pairs_of(table)[0]),
        "network": facts,
        "seconds": {**costs["seconds"], **trained},
        "notes": costs["notes"],
    }


def figures_of(table: ScoreTable, scores: np.ndarray) -> dict[str, list[float | None]]:
    """Return DT5AP, top-5 and top-1 of a ranking by `scores` (Q, G): value and 95 % interval over animals."""
    figures = ranking_of(scores, pairs_of(table)[1], animals_of(table))
    return {name: [rounded(f.value), rounded(f.low), rounded(f.high)] for name, f in figures.items()}


def gains_of(table: ScoreTable, before: np.ndarray, after: np.ndarray) -> dict[str, list[float | None]]:
    """Return how much higher DT5AP, top-5 and top-1 are by `after` (Q, G) than by `before`, with intervals.

    The 95 % intervals are a bootstrap over animals of the differences of the same queries.
    """
    right, animals = pairs_of(table)[1], animals_of(table)
    values = []
    for scores in (before, after):
        rank = ranks(scores, right)
        each = {"dt5ap": dynamic_top_k_precision(scores, right), "top5": rank <= 5.0, "top1": rank <= 1.0}
        values.append({name: np.where(np.isnan(rank), np.nan, value) for name, value in each.items()})
    gains = {}
    for name in values[0]:
        change = values[1][name] - values[0][name]

        def mean(drawn: np.ndarray, change: np.ndarray = change) -> float:
            held = change[drawn][~np.isnan(change[drawn])]
            return float(held.mean()) if len(held) else float("nan")

        gains[name] = [*map(rounded, (mean(np.arange(len(change))), *interval(mean, animals)))]
    return gains


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        prog="deep left_out", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, default=Path("../shared/data"), help="folder of the real photos")
    parser.add_argument("--work", type=Path, required=True, help="networks, prepared data and score matrices")
    parser.add_argument("--out", type=Path, default=RESULTS / "deep.json", help="file of results")
    parser.add_argument(
        "--preset", choices=PRESETS, help=f"of the training; default: {ON_CARD} on a graphics card, else {ON_PROCESSOR}"
    )
    parser.add_argument("--device", default="auto", help="auto (a GPU if there is one), cpu, cuda, cuda:1, mps")
    parser.add_argument("--networks", type=Path, help="folder of networks that were trained before: none is trained")
    parser.add_argument("--threads", type=at_least(1), default=1, help="cores for the training")
    return parser.parse_args(arguments)
