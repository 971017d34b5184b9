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
from datasets import described, prepare
from measure import HERE, circumstances
from run import Run, command_line, parse_method, scores_of, shown_label, without_folders
from tqdm import tqdm

from deep.compare import RANKING, check_apart, first_table, network_of, plain
from deep.decision import among, pairs_of
from deep.page import shortlist_table
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
    """The engine on a catalog, indexed, to ask about chosen annotations alone."""

    def __init__(self, folder: Path, method: str) -> None:
        """With the settings of a `snowmatch_engine` method; pair matchers compare all they are given."""
        name, given = parse_method(method)
        if name != "snowmatch_engine" or "+" in given["extractor"]:
            raise SnowmatchError(
                f"--local {method} cannot be asked about single annotations, expected "
                "snowmatch_engine,extractor=...,matcher=... with one extractor"
            )
        options = dict(pair.partition("=")[::2] for pair in given["options"].split(";") if pair)
        catalog = open_catalog(folder)
        (plugin,), self.matcher, self.geometry = catalog.method(given["extractor"], given["matcher"], options)
        if getattr(self.matcher, "PAIRWISE", False):
            self.matcher = replace(self.matcher, candidates=0)
        own = {k: v for k, v in options.items() if k in plugin.__dataclass_fields__}
        catalog.index(settings_of(plugin)["name"], own)
        self.gallery = catalog.gallery(plugin)
        self.entry_of = {a.row: i for i, a in enumerate(self.gallery.annotations)}

    def ask(self, table: ScoreTable, lists: Sequence[np.ndarray]) -> tuple[list[np.ndarray], list[float]]:
        """Scores (Q, G) of the pairs that each of the lists (Q, G) bool names, NaN elsewhere, and its median seconds.

        Every query is asked with all lists, one after the other, so that their times can be compared.
        """
        found = [np.full(chosen.shape, np.nan) for chosen in lists]
        seconds: list[list[float]] = [[] for _ in lists]
        entries = np.array([self.entry_of.get(int(row), -1) for row in table.gallery])
        for q in tqdm(range(len(table.queries)), desc="queries", unit="query"):
            own = self.entry_of.get(int(table.queries[q]))
            part = str(table.body_part[table.queries[q]])
            for scores, chosen, took in zip(found, lists, seconds, strict=True):
                scores[q, chosen[q]] = -np.inf
                open_to = np.flatnonzero(chosen[q] & (entries >= 0))
                if own is None or not len(open_to):
                    continue
                allowed = np.zeros(len(self.gallery.annotations), bool)
                allowed[entries[open_to]] = True
                start = time.perf_counter()
                subject = self.gallery.subject(own)
                answer = score_query([subject], self.gallery, allowed, part, self.matcher, self.geometry)
                took.append(time.perf_counter() - start)
                scores[q, open_to] = answer.ranking[entries[open_to]]
        return found, [statistics.median(took) if took else 0.0 for took in seconds]


def main(arguments: Sequence[str] | None = None) -> None:
    """Read the command line, measure each length and each fusion, write the result."""
    given = parse(arguments)
    dataset = prepare(given.test, given.work)
    embedding, training = (
        scores_of(Run(source, given.protocol, given.embedding), given) for source in (given.test, given.training)
    )
    learned = network_of(training)
    check_apart(embedding, training, learned)
    engine = Engine(dataset.folder, given.local)
    table = thinned(first_table(embedding), given.asked)
    similar, right = pairs_of(table)
    compared = ~np.isnan(similar)
    lists: dict[int | None, np.ndarray] = {n: best_of(similar, n) for n in given.lengths}
    if not given.lists_only:
        lists[None] = compared
    asked, seconds = engine.ask(table, list(lists.values()))
    names = shown_label(embedding.shown_method), shown_label(without_folders(given.local))
    rows = [row(names[0], None, table, similar, right, compared, 0.0)]
    for length, chosen, scores, took in zip(lists, lists.values(), asked, seconds, strict=True):
        ranking = scores if length is None else reranked(similar, scores, chosen)
        label = names[1] if length is None else f"{names[1]} on its best"
        rows.append(row(label, length, table, ranking, right, chosen, took))
    if not given.lists_only:
        local = first_table(scores_of(Run(given.training, given.protocol, given.local), given))
        seen = first_table(training)
        odds = [
            calibrate(*pairs_of(among(seen, set(learned["validation"])) if learned else seen)).log_odds(similar),
            calibrate(*pairs_of(local)).log_odds(asked[-1]),
        ]
        fusions = {"log odds added": sum(odds), "mean probability": sum(1 / (1 + np.exp(-o)) for o in odds) / 2}
        rows += [
            row(f"fused: {how}", None, table, fused, right, compared, seconds[-1]) for how, fused in fusions.items()
        ]
    result = {
        "schema": SCHEMA,
        **circumstances(command_line()),
        "protocol": given.protocol,
        "data": {"test": described(dataset, embedding.trial.annotations)},
        "queries": len(table.queries),
        "embedding": names[0],
        "local": names[1],
        "rows": rows,
    }
    path = given.results / f"shortlist-{given.name}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(result, indent=1, allow_nan=False) + "\n", encoding="utf-8")
    print(shortlist_table(result))


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
    label: str,
    length: int | None,
    table: ScoreTable,
    scores: np.ndarray,
    right: np.ndarray,
    chosen: np.ndarray,
    seconds: float,
) -> dict[str, Any]:
    """One line of the table: the ranking of `scores` (Q, G), and of how many queries a right answer is `chosen`."""
    measured = measure(replace(table, scores=scores.astype(np.float32))).figures
    figures = {short: plain(measured[name]) for short, name in RANKING.items()}
    answerable = right.any(axis=1)
    held = float((chosen & right).any(axis=1)[answerable].mean()) if answerable.any() else 0.0
    told = {"label": label, "length": length, "figures": figures, "held": round(held, 4)}
    return told | {"seconds": round(seconds, 4)}


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
    parser.add_argument("--queries", dest="asked", type=int, default=0, help="only so many, evenly spread; 0: all")
    parser.add_argument(
        "--lists-only", action="store_true", help="neither ask about everybody nor fuse: for a matcher that takes long"
    )
    parser.add_argument("--protocol", default="cross-encounter", help="cross-encounter, cross-station or split")
    parser.add_argument("--name", required=True, help="of the result: results/shortlist-NAME.json")
    parser.add_argument("--work", type=Path, default=HERE / ".work", help="prepared data and score matrices")
    parser.add_argument("--results", type=Path, default=HERE / "results")
    parser.add_argument("--threads", type=int, default=1, help="cores that each method may use")
    parser.add_argument("--fresh", action="store_true", help="ask again what is in --work")
    parser.set_defaults(queries=0)
    return parser.parse_args(arguments)
