"""Make one table of all methods, on individuals that no method learned from: snowmatch, HotSpotter, networks, ...

Every method of `run.py` can take part (trained,file=net.safetensors; backbone,...; embedding,file=vectors.npz). Each
method chooses its threshold on --training: above this score two photos show one animal. A trained network chooses it
with individuals that its weights have not seen. Then all methods get the same queries of --test, and of each
--transfer, with the same threshold. Scores stay in --work, as with `run.py`. Figures go to deep-NAME.json in --work: a
later command with the same sets adds its methods, and drops those that another engine has measured. The table is
printed. It shows a file that is given by its whole path with its name and the start of its checksum.

Example:
    python benchmarks/deep compare --training ../shared/data/nyala,every=2 --test ../shared/data/nyala,every=2,from=1 \\
        --transfer ../shared/data/snow_leopard,boxed=yes,masks=no --work w --name nyala \\
        --method snowmatch_engine --method hotspotter --method trained,file=net.safetensors --method backbone
"""

from __future__ import annotations

import argparse
import json
import math
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from as_markdown import write_text
from datasets import check_names, described, name_of, prepare
from measure import HERE, circumstances, command_line, is_current
from scoring import Scored, parse_method, scores_of, shown_label
from suites import Run

from deep.decision import among, animals_of, choose_threshold, decide, pairs_of, rates
from deep.page import deep_table
from snowmatch.api import open_catalog
from snowmatch.confidence.measures import Figure
from snowmatch.confidence.metrics import dynamic_top_k_precision, interval, ranks
from snowmatch.confidence.score_table import ScoreTable, load_table
from snowmatch.core.errors import SnowmatchError
from snowmatch.core.types import Annotation

SCHEMA = "snowmatch.deep/1"
RANKING = ("dt5ap", "top5", "top1")
# Colomer Matachana 2024, on 520 private leopard photos of 88 flanks: DT5AP and top-5
PUBLISHED = {
    "hotspotter": (0.9475, 0.9654),
    "adaptive": (0.8814, 0.9533),
    "cosface": (0.8413, 0.9331),
    "triplet": (0.6907, 0.8824),
    "naive": (0.0198, 0.0944),
}


def main(arguments: Sequence[str] | None = None) -> None:
    """Read the command line, run every method and write the result."""
    given = parse(arguments)
    path = given.work / f"deep-{given.name}.json"
    prepared = {name: prepare(source, given.work) for name, source in sources(given).items()}
    animals = {name: open_catalog(one.folder).data.annotations for name, one in prepared.items()}
    data = {name: described(one, animals[name]) for name, one in prepared.items()}
    held = earlier(path, given.protocol, data) if not given.fresh else {}
    for method in given.method:  # before the first method runs for hours
        check_apart(animals, network_of(method), method)
    for number, method in enumerate(given.method, start=1):
        print(f"{number} of {len(given.method)}: {method}", flush=True)
        scored = {
            name: scores_of(
                Run(source, given.protocol, method),
                given.work,
                threads=given.threads,
                queries=asked_of(given, method, name),
                fresh=given.fresh,
            )
            for name, source in sources(given).items()
        }
        label = shown_label(scored["test"].shown_method)
        held[label] = judge(scored, network_of(method))
        figures = held[label]["sets"]["test"]
        print("  " + ", ".join(f"{name} {figures[name]['value']}" for name in (*RANKING, "precision", "recall")))
        result = {
            "schema": SCHEMA,
            **circumstances(command_line()),
            "protocol": given.protocol,
            "data": data,
            "published": {name: dict(zip(("dt5ap", "top5"), both, strict=True)) for name, both in PUBLISHED.items()},
            "methods": held,
        }
        write_text(path, json.dumps(result, indent=1, allow_nan=False) + "\n")
    print(deep_table(result))


def sources(given: argparse.Namespace) -> dict[str, str]:
    """Return the datasets by name: `training`, `test`, and each transfer under its own name."""
    named = {"training": given.training, "test": given.test}
    for source in given.transfer:
        if name_of(source) in named:
            raise SnowmatchError(f"--transfer {source} has the name {name_of(source)!r} of another set: add ,name=NAME")
        named[name_of(source)] = source
    check_names(named.values())
    return named


def earlier(path: Path, protocol: str, data: dict[str, Any]) -> dict[str, Any]:
    """Return the methods of an earlier result; new ones are added. Those that another engine has measured are dropped.

    Raises SnowmatchError if it has other photos.
    """
    if not path.exists():
        return {}
    result = json.loads(path.read_text(encoding="utf-8"))
    if (result["protocol"], result["data"]) != (protocol, data):
        raise SnowmatchError(
            f"{path} was made of {', '.join(d['name'] for d in result['data'].values())} ({result['protocol']}), "
            "expected the same sets: choose another --name, or replace it with --fresh"
        )
    for label, method in result["methods"].items():
        if not is_current(method["commit"]):
            print(f"dropped: {label}, which is of commit {method['commit'] or 'unknown'}; name it with --method again")
    return {label: method for label, method in result["methods"].items() if is_current(method["commit"])}


def asked_of(given: argparse.Namespace, method: str, name: str) -> int:
    """Return how many queries of a set to use (0: all). --training-queries does not apply to trained networks.

    Only few animals of the training are not known to a network, so it needs all queries.
    """
    return given.training_queries if name == "training" and method.partition(",")[0] != "trained" else 0


def judge(scored: dict[str, Scored], learned: dict[str, Any]) -> dict[str, Any]:
    """Return all figures of one method: the threshold from the training, and the results on each other set."""
    table = first_table(scored["training"])
    same = pairs_of(table)[1]
    different_each = float((~np.isnan(table.scores)).sum() / max(same.sum(), 1)) - 1
    if learned:  # the weights were fitted to other individuals: their similarities are too good
        table = among(table, set(learned["validation"]))
    scores, same = pairs_of(table)
    threshold = choose_threshold(scores, same, different_each)
    test = scored["test"]
    costs = json.loads((test.folder / "run.json").read_text(encoding="utf-8"))
    return {
        "method": test.method,
        "family": family(test, learned),
        **{name: costs[name] for name in ("notes", "command", "date", "commit", "suite_run")},
        "seconds": {**costs["seconds"], **({"training": learned["seconds"]} if learned else {})},
        "peak_memory": costs["peak_memory"],
        "numbers": costs["numbers"],
        "network": {k: learned.get(k) for k in NETWORK_FACTS} if learned else None,
        "threshold": float(f"{threshold:.4g}") if math.isfinite(threshold) else None,
        "chosen_on": {"pairs": int((~np.isnan(scores)).sum()), "same": int(same.sum())},
        "sets": {name: figures_of(first_table(one), threshold) for name, one in scored.items() if name != "training"},
    }


NETWORK_FACTS = (
    *("loss", "backbone", "weights", "dimensions", "channels", "background", "width", "height", "epochs", "epoch"),
    *("batch", "margin", "rate", "seed", "data", "photos", "flanks", "individuals", "device", "threads"),
)


def figures_of(table: ScoreTable, threshold: float) -> dict[str, Any]:
    """Return ranking and decision figures of one table with intervals, and the numbers of pairs and queries."""
    scores, same = pairs_of(table)
    animals = animals_of(table)
    figures = ranking_of(scores, same, animals) | rates(decide(scores, same, threshold), animals)
    counts = {"queries": figures["top1"].queries, "pairs": int((~np.isnan(scores)).sum()), "same": int(same.sum())}
    return {name: plain(figure) for name, figure in figures.items()} | counts


def ranking_of(scores: np.ndarray, same: np.ndarray, animals: np.ndarray) -> dict[str, Figure]:
    """Return `dt5ap`, `top5` and `top1` of the ranking of photos by `scores` (Q, G); `same` (Q, G) marks right ones.

    The 95 % intervals are a bootstrap over `animals` (Q,). Queries without a right answer are left out. NaN if no query
    has one.
    """
    rank = ranks(scores, same)
    each = {"dt5ap": dynamic_top_k_precision(scores, same), "top5": rank <= 5.0, "top1": rank <= 1.0}
    answerable = ~np.isnan(rank)
    figures = {}
    for name, values in each.items():

        def mean(drawn: np.ndarray, values: np.ndarray = values) -> float:
            drawn = drawn[answerable[drawn]]
            return float(values[drawn].mean()) if len(drawn) else float("nan")

        figures[name] = Figure(mean(np.arange(len(rank))), *interval(mean, animals), int(answerable.sum()))
    return figures


def network_of(method: str) -> dict[str, Any]:
    """Return what the file of a trained network records about its training; empty for other methods.

    Raises SnowmatchError if the file is not from `training embedding`.
    """
    name, settings = parse_method(method)
    path = Path(str(settings.get("file", ""))).expanduser()
    if name != "trained" or not path.is_file():  # the method itself reports a missing file
        return {}
    from checkpoints import read_tensors

    described = read_tensors(path)[0]
    if not {"learned", "validation", "seconds"} <= described.keys():
        raise SnowmatchError(f"{path} does not list its training animals: expected a file of `training embedding`")
    return described


def check_apart(animals: dict[str, Sequence[Annotation]], learned: dict[str, Any], method: str) -> None:
    """Raise SnowmatchError if the training has an individual of the test, or a photo of a transfer.

    Photos of transfers are compared by path and name together: individual "7" of another catalog is another animal.
    """
    training = {a.individual for a in animals["training"] if a.individual is not None}
    shared = sorted({a.individual for a in animals["test"]} & (training | set(learned.get("learned", ()))))
    if shared:
        raise SnowmatchError(
            f"{len(shared)} individuals of the test are in the training ({', '.join(shared[:3])}), expected none: "
            "divide the catalog with every=2 and every=2,from=1"
        )
    missing = sorted(set(learned.get("validation", ())) - training)
    if missing:
        raise SnowmatchError(
            f"{method} needs individual {missing[0]!r} to choose a threshold, but --training does not have it: "
            "expected the photos that the network was trained with"
        )
    photos = {(a.path, a.individual) for a in animals["training"]}
    for name, others in animals.items():
        known = [a.path for a in others if name not in ("training", "test") and (a.path, a.individual) in photos]
        if known:
            raise SnowmatchError(f"{len(known)} photos of {name} are in the training ({known[0]}), expected none")


def first_table(scored: Scored) -> ScoreTable:
    """Return the table of the method's first repetition (usually the only one)."""
    return load_table(scored.folder / "0.npz")


def family(scored: Scored, learned: dict[str, Any]) -> str:
    """Return the key of the published figures: a loss, hotspotter, naive (random weights), or the method's name."""
    if learned:
        return learned["loss"]
    random = scored.method == "backbone" and scored.settings["weights"] == "random"
    return "naive" if random else scored.method


def plain(figure: Figure) -> dict[str, Any]:
    """Return a figure for JSON: four decimals, null for undefined values."""
    return {k: v if isinstance(v, int) else rounded(v) for k, v in asdict(figure).items()}


def rounded(value: float) -> float | None:
    """Round to four decimals; None for infinity and NaN, which JSON cannot store."""
    return round(value, 4) if math.isfinite(value) else None


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        prog="deep compare", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--training", required=True, help="SOURCE,key=value,... for the choice of thresholds")
    parser.add_argument("--test", required=True, help="other individuals, for the table")
    parser.add_argument("--transfer", action="append", default=[], help="another catalog, with the same threshold")
    parser.add_argument("--method", action="append", required=True, help="NAME,key=value,... (a file in methods/)")
    parser.add_argument("--protocol", default="cross-encounter", help="cross-encounter, cross-station or split")
    parser.add_argument(
        "--training-queries",
        type=at_least(0),
        default=0,
        metavar="N",
        help="queries of --training, evenly spread; 0: all",
    )
    parser.add_argument("--name", required=True, help="name of the result: WORK/deep-NAME.json")
    parser.add_argument("--work", type=Path, default=HERE / ".work", help="prepared data and score matrices")
    parser.add_argument("--threads", type=at_least(1), default=1, help="cores that each method may use")
    parser.add_argument("--fresh", action="store_true", help="repeat everything, and start a new result")
    return parser.parse_args(arguments)


def at_least(smallest: int) -> Callable[[str], int]:
    """Return an argparse type: a whole number from `smallest` up."""

    def number(text: str) -> int:
        if not text.lstrip("-").isdigit() or int(text) < smallest:
            raise argparse.ArgumentTypeError(f"{text!r}, expected a whole number from {smallest} up")
        return int(text)

    return number
