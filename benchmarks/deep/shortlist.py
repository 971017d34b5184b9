"""Embeddings as candidates: one chooses whom local features compare, or both scores are calibrated and fused.

For every query of --test the embedding's best N annotations are compared by the engine, and only they; behind them
stand the others, in the embedding's order. For the fusion each score becomes a probability that two photos show one
animal (logistic, on the individuals of --training that the network has not learned from), then the two are joined.
Score tables are those of `run.py` in --work; figures go to results/shortlist-NAME.json.

Example:
    python benchmarks/deep shortlist --training ../shared/data/nyala,every=2 --test ../shared/data/nyala,every=2,from=1 \\
        --embedding trained,file=net.safetensors --local snowmatch_engine --lengths 10,20,50,100 --work w --name nyala
"""  # noqa: E501 (a command is one line)

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from datasets import described
from measure import HERE, circumstances
from run import Run, Scored, command_line, scores_of, shown_label
from tqdm import tqdm

from deep.compare import RANKING, check_apart, first_table, network_of, plain
from deep.decision import among, pairs_of
from snowmatch.api import open_catalog
from snowmatch.errors import SnowmatchError
from snowmatch.evaluation import measure
from snowmatch.identify import score_query
from snowmatch.plugins import settings as settings_of
from snowmatch.scoretable import ScoreTable

SCHEMA = "snowmatch.shortlist/1"


@dataclass(frozen=True)
class Calibration:
    """Log odds that two photos show one animal: offset + slope x log(1 + score / unit), or x score without a unit.

    unit: of scores from 0 up, which differ by orders of magnitude (votes); None for similarities.
    """

    offset: float
    slope: float
    unit: float | None

    def log_odds(self, scores: np.ndarray) -> np.ndarray:
        """Of scores of any shape; NaN stays NaN, -inf (no features) is as 0 votes."""
        return self.offset + self.slope * scaled(scores, self.unit)


def scaled(scores: np.ndarray, unit: float | None) -> np.ndarray:
    """What the log odds are linear in."""
    if unit is None:
        return scores
    return np.log1p(np.maximum(scores, 0) / unit)


def calibrate(scores: np.ndarray, same: np.ndarray) -> Calibration:
    """Logistic regression of `same` (Q, G) bool on the scores (Q, G), NaN where nothing is compared.

    SnowmatchError where all pairs are of one kind. Source: Platt 1999, Probabilistic outputs for support vector
    machines; as in WildFusion (Cermak et al. 2024), each score by itself.
    """
    from sklearn.linear_model import LogisticRegression

    compared = ~np.isnan(scores)
    values, truth = scores[compared], same[compared]
    if truth.all() or not truth.any():
        raise SnowmatchError("the training has no pair of the same animal, or none of different ones: nothing to learn")
    votes = bool((values[np.isfinite(values)] >= 0).all())
    positive = values[np.isfinite(values) & (values > 0)]
    unit = float(np.median(positive)) if votes and len(positive) else None
    values = scaled(values, unit)
    scale = float(values.std()) or 1.0  # so that the penalty is a weak one whatever the score's unit
    fitted = LogisticRegression(C=1e3).fit((values / scale)[:, None], truth)
    return Calibration(float(fitted.intercept_[0]), float(fitted.coef_[0, 0] / scale), unit)


def best_of(scores: np.ndarray, length: int) -> np.ndarray:
    """(Q, G) bool: the `length` highest scores of each query, fewer where fewer are compared; ties by place."""
    order = np.argsort(np.where(np.isnan(scores), np.inf, -scores), axis=1, kind="stable")
    chosen = np.zeros(scores.shape, bool)
    np.put_along_axis(chosen, order[:, :length], True, axis=1)
    return chosen & ~np.isnan(scores)


def reranked(embedding: np.ndarray, local: np.ndarray, chosen: np.ndarray) -> np.ndarray:
    """(Q, G) places as scores, highest first: those chosen by their local score, then the others by the embedding's.

    embedding, local (Q, G), NaN where nothing is compared (local: also where it was not asked); equal local scores
    follow the embedding.
    """
    found = np.full(embedding.shape, np.nan)
    for q in range(len(embedding)):
        compared = np.flatnonzero(~np.isnan(embedding[q]))
        key = np.where(chosen[q, compared], local[q, compared], -np.inf)
        order = np.lexsort((-embedding[q, compared], -key, ~chosen[q, compared]))
        found[q, compared[order]] = np.arange(len(compared), 0, -1)
    return found


class Engine:
    """The engine on the test's catalog, indexed, to ask about chosen annotations alone."""

    def __init__(self, scored: Scored) -> None:
        """Of the settings of a `snowmatch_engine` method; pair matchers compare all they are given."""
        settings = scored.settings
        if scored.method != "snowmatch_engine" or "+" in settings["extractor"]:
            raise SnowmatchError(
                f"--local {scored.shown_method} cannot be asked about single annotations, expected "
                "snowmatch_engine,extractor=...,matcher=... with one extractor"
            )
        options = dict(pair.partition("=")[::2] for pair in settings["options"].split(";") if pair)
        catalog = open_catalog(scored.dataset.folder)
        (plugin,), self.matcher, self.geometry = catalog.method(settings["extractor"], settings["matcher"], options)
        if getattr(self.matcher, "PAIRWISE", False):
            self.matcher = replace(self.matcher, candidates=0)
        own = {k: v for k, v in options.items() if k in plugin.__dataclass_fields__}
        catalog.index(settings_of(plugin)["name"], own)
        self.gallery = catalog.gallery(plugin)
        self.entry_of = {a.row: i for i, a in enumerate(self.gallery.annotations)}

    def ask(self, table: ScoreTable, parts: Sequence[str], chosen: np.ndarray) -> tuple[np.ndarray, float]:
        """(Q, G) scores of the chosen pairs, NaN elsewhere, and the median seconds of a query."""
        scores = np.full(chosen.shape, np.nan)
        entries = np.array([self.entry_of.get(int(row), -1) for row in table.gallery])
        seconds = []
        for q in tqdm(range(len(table.queries)), desc="queries", unit="query"):
            open_to = np.flatnonzero(chosen[q] & (entries >= 0))
            scores[q, chosen[q]] = -np.inf
            own = self.entry_of.get(int(table.queries[q]))
            if own is None or not len(open_to):
                continue
            allowed = np.zeros(len(self.gallery.annotations), bool)
            allowed[entries[open_to]] = True
            start = time.perf_counter()
            answer = score_query(
                [self.gallery.subject(own)], self.gallery, allowed, parts[q], self.matcher, self.geometry
            )
            seconds.append(time.perf_counter() - start)
            scores[q, open_to] = answer.ranking[entries[open_to]]
        return scores, statistics.median(seconds) if seconds else 0.0


def main(arguments: Sequence[str] | None = None) -> None:
    """Read the command line, measure each length and each fusion, write the result."""
    given = parse(arguments)
    embedding, local = (
        {side: scores_of(Run(source, given.protocol, method), given) for side, source in sides(given)}
        for method in (given.embedding, given.local)
    )
    learned = network_of(embedding["training"])
    check_apart(embedding["test"], embedding["training"], learned)
    tables = {"embedding": thinned(first_table(embedding["test"]), given.queries_of_lengths)}
    tables["local"] = thinned(first_table(local["test"]), given.queries_of_lengths)
    scores = {name: pairs_of(table)[0] for name, table in tables.items()}
    right = pairs_of(tables["embedding"])[1]
    names = {"embedding": label_of(embedding["test"]), "local": label_of(local["test"])}
    costs = {name: costs_of(side["test"]) for name, side in (("embedding", embedding), ("local", local))}
    rows = [row(names[name], None, tables[name], scores[name], None, costs[name]) for name in tables]

    calibrations = {}
    for name, side in (("embedding", embedding), ("local", local)):
        table = first_table(side["training"])
        if name == "embedding" and learned:
            table = among(table, set(learned["validation"]))
        calibrations[name] = calibrate(*pairs_of(table))
    odds = {name: calibrations[name].log_odds(scores[name]) for name in scores}
    both = costs["embedding"] + costs["local"]
    mean = (1 / (1 + np.exp(-odds["embedding"])) + 1 / (1 + np.exp(-odds["local"]))) / 2
    rows.append(row("fused: log odds added", None, tables["local"], sum(odds.values()), None, both))
    rows.append(row("fused: mean probability", None, tables["local"], mean, None, both))

    engine = Engine(local["test"])
    parts = [str(tables["local"].body_part[q]) for q in tables["local"].queries]
    for length in given.lengths:
        chosen = best_of(scores["embedding"], length)
        asked, seconds = engine.ask(tables["local"], parts, chosen)
        held = float((chosen & right).any(axis=1)[right.any(axis=1)].mean())
        places = reranked(scores["embedding"], asked, chosen)
        took = costs["embedding"] + seconds
        rows.append(row(f"{names['local']} on its best", length, tables["local"], places, held, took))
        on_list = np.where(chosen, calibrations["local"].log_odds(asked), np.nan)
        fused = reranked(scores["embedding"], on_list + odds["embedding"], chosen)
        rows.append(row("the same, log odds added", length, tables["local"], fused, held, took))
    result = {
        "schema": SCHEMA,
        **circumstances(command_line()),
        "protocol": given.protocol,
        "data": {"test": described(local["test"].dataset, local["test"].trial.annotations)},
        "queries": len(tables["local"].queries),
        "embedding": names["embedding"],
        "local": names["local"],
        "rows": rows,
    }
    path = given.results / f"shortlist-{given.name}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(result, indent=1, allow_nan=False) + "\n", encoding="utf-8")
    for each in rows:
        figures = {name: each["figures"][name]["value"] for name in RANKING}
        print(each["label"], each["length"] or "", figures, f"{each['seconds']} s")


def sides(given: argparse.Namespace) -> tuple[tuple[str, str], ...]:
    """The two sets, by what they are for."""
    return ("training", given.training), ("test", given.test)


def thinned(table: ScoreTable, queries: int) -> ScoreTable:
    """The table with so many of its queries, evenly spread, each for itself; 0: all."""
    if not queries or queries >= len(table.queries):
        return table
    chosen = np.unique(np.linspace(0, len(table.queries) - 1, queries).astype(int))
    alone, left_out = table.individual_scores[chosen], table.left_out_scores[chosen]
    return replace(
        table,
        queries=table.queries[chosen],
        groups=np.arange(len(chosen)),
        scores=table.scores[chosen],
        individual_scores=alone,
        left_out_scores=left_out,
        group_scores=alone,
        group_left_out_scores=left_out,
    )


def row(
    label: str, length: int | None, table: ScoreTable, scores: np.ndarray, held: float | None, seconds: float
) -> dict[str, Any]:
    """One line of the table: the ranking of `scores` (Q, G), the share of queries whose right answer is on the list."""
    measured = measure(replace(table, scores=scores.astype(np.float32))).figures
    figures = {short: plain(measured[name]) for short, name in RANKING.items()}
    held = None if held is None else round(held, 4)
    return {"label": label, "length": length, "figures": figures, "held": held, "seconds": round(seconds, 4)}


def label_of(scored: Scored) -> str:
    """The method as tables show it."""
    return shown_label(scored.shown_method)


def costs_of(scored: Scored) -> float:
    """Seconds of one query, its own photo's vector or features apart, as they were measured."""
    return float(json.loads((scored.folder / "run.json").read_text(encoding="utf-8"))["seconds"]["query"])


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """The command line, with what run.py's scores_of reads beside it."""
    parser = argparse.ArgumentParser(
        prog="deep shortlist", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--training", required=True, help="SOURCE,key=value,... whose individuals calibrate")
    parser.add_argument("--test", required=True, help="other individuals, for the table")
    parser.add_argument("--embedding", required=True, help="a method of vectors: trained,file=... embedding,file=...")
    parser.add_argument("--local", default="snowmatch_engine", help="snowmatch_engine,extractor=...,matcher=...")
    parser.add_argument(
        "--lengths",
        type=lambda text: [int(n) for n in text.split(",")],
        default=[10, 20, 50, 100],
        help="of shortlists, with commas; default: 10,20,50,100",
    )
    parser.add_argument(
        "--queries", dest="queries_of_lengths", type=int, default=0, help="only so many, evenly spread; 0: all"
    )
    parser.add_argument("--protocol", default="cross-encounter", help="cross-encounter, cross-station or split")
    parser.add_argument("--name", required=True, help="of the result: results/shortlist-NAME.json")
    parser.add_argument("--work", type=Path, default=HERE / ".work", help="prepared data and score matrices")
    parser.add_argument("--results", type=Path, default=HERE / "results")
    parser.add_argument("--threads", type=int, default=1, help="cores that each method may use")
    parser.add_argument("--fresh", action="store_true", help="ask again what is in --work")
    parser.set_defaults(queries=0)
    return parser.parse_args(arguments)
