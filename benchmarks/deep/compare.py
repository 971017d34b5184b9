"""The same table for all methods, on individuals that none has learned from: snowmatch, HotSpotter, networks, anything.

Every method of `run.py` may take part (trained,file=net.safetensors; backbone,...; embedding,file=vectors.npz). Each
chooses on --training above which score two photos show one animal, a trained network on the individuals that its
weights have not seen; then all are asked the same on --test, and with the same threshold on every --transfer. Scores
are kept in --work as `run.py` keeps them, figures go to results/deep-NAME.json, and `tables.py` writes the table.

Example:
    python benchmarks/deep compare --training ../shared/data/nyala,every=2 --test ../shared/data/nyala,every=2,from=1 \\
        --transfer ../shared/data/snow_leopard,boxed=yes,masks=no --work w --name nyala \\
        --method snowmatch_engine --method hotspotter --method trained,file=net.safetensors --method backbone
"""

from __future__ import annotations

import argparse
import json
import math
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from datasets import described
from measure import HERE, circumstances
from run import Run, Scored, command_line, scores_of, shown_label

from deep.decision import among, choose_threshold, clusters_of, decide, pairs_of, rates
from snowmatch.errors import SnowmatchError
from snowmatch.evaluation import Figure, measure
from snowmatch.scoretable import ScoreTable, load_table

SCHEMA = "snowmatch.deep/1"
RANKING = {"dt5ap": "annotation_dt5ap", "top5": "annotation_top5", "top1": "annotation_top1"}
# Colomer Matachana 2024, on 520 private leopard photos of 88 flanks: DT5AP and top-5
PUBLISHED = {
    "hotspotter": (0.9475, 0.9654),
    "adaptive": (0.8814, 0.9533),
    "cosface": (0.8413, 0.9331),
    "triplet": (0.6907, 0.8824),
    "naive": (0.0198, 0.0944),
}


def main(arguments: Sequence[str] | None = None) -> None:
    """Read the command line, ask every method, write the result."""
    given = parse(arguments)
    results = given.results / f"deep-{given.name}.json"
    sets = [("test", given.test), *((name_of_set(source), source) for source in given.transfer)]
    held: dict[str, Any] = {}
    if results.exists() and not given.fresh:
        held = json.loads(results.read_text(encoding="utf-8"))["methods"]
    shown: dict[str, Any] = {}
    for number, method in enumerate(given.method, start=1):
        print(f"{number} of {len(given.method)}: {method}", flush=True)
        training = scores_of(Run(given.training, given.protocol, method), asking_some(given, method))
        scored = {name: scores_of(Run(source, given.protocol, method), given) for name, source in sets}
        learned = network_of(training)
        check_apart(scored["test"], training, learned)
        label = shown_label(scored["test"].shown_method)
        held[label] = judge(training, scored, learned)
        shown = {name: described(s.dataset, s.trial.annotations) for name, s in scored.items()}
        shown["training"] = described(training.dataset, training.trial.annotations)
        figures = held[label]["sets"]["test"]
        print("  " + ", ".join(f"{name} {figures[name]['value']}" for name in (*RANKING, "precision", "recall")))
        result = {
            "schema": SCHEMA,
            **circumstances(command_line()),
            "protocol": given.protocol,
            "data": shown,
            "published": {name: dict(zip(("dt5ap", "top5"), both, strict=True)) for name, both in PUBLISHED.items()},
            "methods": held,
        }
        results.parent.mkdir(parents=True, exist_ok=True)
        results.write_text(json.dumps(result, indent=1, allow_nan=False) + "\n", encoding="utf-8")


def asking_some(given: argparse.Namespace, method: str) -> argparse.Namespace:
    """What is given, with --training-queries but for trained networks: their few validation animals are all asked."""
    trained = method.partition(",")[0] == "trained"
    return argparse.Namespace(**{**vars(given), "queries": 0 if trained else given.training_queries})


def judge(training: Scored, scored: dict[str, Scored], learned: dict[str, Any]) -> dict[str, Any]:
    """All figures of one method: the threshold from `training`, and what comes of it on each set."""
    table = first_table(training)
    if learned:  # similarities of photos that the weights were fitted to are no guide to those of others
        table = among(table, set(learned["validation"]))
    scores, same = pairs_of(table)
    threshold = choose_threshold(scores, same)
    costs = json.loads((scored["test"].folder / "run.json").read_text(encoding="utf-8"))
    return {
        "method": training.method,
        "family": family(training, learned),
        "notes": costs["notes"],
        "command": costs["command"],
        "date": costs["date"],
        "commit": costs["commit"],
        "suite_run": costs["suite_run"],
        "seconds": {**costs["seconds"], **({"training": learned["seconds"]} if learned else {})},
        "peak_memory": costs["peak_memory"],
        "numbers": costs["numbers"],
        "network": {k: learned.get(k) for k in NETWORK_FACTS} if learned else None,
        "threshold": rounded(threshold),
        "chosen_on": {"pairs": int((scores == scores).sum()), "same": int(same.sum())},
        "sets": {name: figures_of(first_table(one), threshold) for name, one in scored.items()},
    }


NETWORK_FACTS = (
    *("loss", "backbone", "weights", "dimensions", "channels", "background", "width", "height", "epochs", "epoch"),
    *("batch", "margin", "rate", "seed", "data", "photos", "individuals", "device", "threads"),
)


def figures_of(table: ScoreTable, threshold: float) -> dict[str, Any]:
    """Ranking and decision of one table, each with its interval, and how many pairs of how many queries there are."""
    measured = measure(table).figures
    scores, same = pairs_of(table)
    figures = {short: measured[name] for short, name in RANKING.items()}
    figures |= rates(decide(scores, same, threshold), clusters_of(table))
    counts = {"queries": figures["top1"].queries, "pairs": int((scores == scores).sum()), "same": int(same.sum())}
    return {name: plain(figure) for name, figure in figures.items()} | counts


def network_of(scored: Scored) -> dict[str, Any]:
    """What the file of a trained network says of itself; empty for other methods."""
    if scored.method != "trained":
        return {}
    from checkpoints import read_tensors

    return read_tensors(Path(scored.settings["file"]).expanduser())[0]


def check_apart(test: Scored, training: Scored, learned: dict[str, Any]) -> None:
    """SnowmatchError where an individual of the test was learned from, or chooses the threshold."""
    names = {a.individual for a in test.trial.annotations if a.individual is not None}
    seen = {a.individual for a in training.trial.annotations} | set(learned.get("learned", ()))
    shared = sorted(names & seen)
    if shared:
        raise SnowmatchError(
            f"{len(shared)} individuals of the test are in the training ({', '.join(shared[:3])}), expected none: "
            "divide the catalog with every=2 and every=2,from=1"
        )
    missing = set(learned.get("validation", ())) - seen
    if missing:
        raise SnowmatchError(
            f"{training.settings['file']} keeps {sorted(missing)[0]!r} to choose a threshold with, which --training "
            "lacks: expected the photos that the network was trained with"
        )


def first_table(scored: Scored) -> ScoreTable:
    """The table of the method's first (mostly only) repetition."""
    return load_table(scored.folder / "0.npz")


def family(scored: Scored, learned: dict[str, Any]) -> str:
    """Whose published figure stands beside it: a loss, hotspotter, naive, or the method's own name."""
    return learned["loss"] if learned else {"backbone": "naive"}.get(scored.method, scored.method)


def name_of_set(source: str) -> str:
    """What a transfer is called in the result."""
    from datasets import name_of

    return name_of(source)


def plain(figure: Figure) -> dict[str, Any]:
    """A figure for JSON: four decimals, null for what is not defined."""
    return {k: v if isinstance(v, int) else rounded(v) for k, v in asdict(figure).items()}


def rounded(value: float) -> float | None:
    """Four decimals; None for what JSON cannot say."""
    return round(value, 4) if math.isfinite(value) else None


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """The command line, with what run.py's scores_of reads beside it."""
    parser = argparse.ArgumentParser(
        prog="deep compare", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--training", required=True, help="SOURCE,key=value,... whose individuals choose thresholds")
    parser.add_argument("--test", required=True, help="other individuals, for the table")
    parser.add_argument("--transfer", action="append", default=[], help="another catalog, asked with that threshold")
    parser.add_argument("--method", action="append", required=True, help="NAME,key=value,... (a file in methods/)")
    parser.add_argument("--protocol", default="cross-encounter", help="cross-encounter, cross-station or split")
    parser.add_argument(
        "--training-queries", type=int, default=0, metavar="N", help="ask so many there, evenly spread; 0: all"
    )
    parser.add_argument("--name", required=True, help="of the result: results/deep-NAME.json")
    parser.add_argument("--work", type=Path, default=HERE / ".work", help="prepared data and score matrices")
    parser.add_argument("--results", type=Path, default=HERE / "results")
    parser.add_argument("--threads", type=int, default=1, help="cores that each method may use")
    parser.add_argument("--fresh", action="store_true", help="ask again, and begin a new result")
    parser.set_defaults(queries=0)
    return parser.parse_args(arguments)
