"""Measure shortlists: an embedding chooses the candidates for local features, or both scores are calibrated and fused.

For each query of --test the engine compares only the embedding's best N annotations. The others come behind them, in
the embedding's order. For the fusion, each score becomes a probability that two photos show one animal (logistic
regression on the individuals of --training that the network has not learned from). Then both are combined. Score tables
are those of `run.py` in --work. Figures go to shortlist-NAME.json in --work.

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
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from as_markdown import write_text
from datasets import check_names, described, prepare
from measure import HERE, circumstances, command_line, without_folders
from methods.snowmatch_engine import FINDING
from scoring import Scored, parse_method, scores_of, shown_label
from suites import Run
from tqdm import tqdm

from deep.compare import at_least, check_apart, first_table, network_of, plain, ranking_of
from deep.decision import among, animals_of, pairs_of
from deep.odds import calibrate
from deep.page import shortlist_table
from snowmatch.api import open_catalog
from snowmatch.confidence.score_table import ScoreTable
from snowmatch.core.errors import SnowmatchError
from snowmatch.core.plugins import settings as settings_of
from snowmatch.matching.query import score_query

SCHEMA = "snowmatch.shortlist/1"


def best_of(scores: np.ndarray, length: int) -> np.ndarray:
    """Return (Q, G) bool: the `length` highest scores of each query (or fewer, if fewer exist); ties by position."""
    order = np.argsort(np.where(np.isnan(scores), np.inf, -scores), axis=1, kind="stable")
    chosen = np.zeros(scores.shape, bool)
    np.put_along_axis(chosen, order[:, :length], True, axis=1)
    return chosen & ~np.isnan(scores)


def reranked(embedding: np.ndarray, local: np.ndarray, chosen: np.ndarray) -> np.ndarray:
    """Return (Q, G) scores of the new ranking, the highest first.

    Chosen pairs come first, in the order of their local scores; then the others, in the order of the embedding.
    embedding, local: (Q, G), NaN for pairs that are not compared. Equal local scores follow the embedding.
    """
    found = np.full(embedding.shape, np.nan)
    for q in range(len(embedding)):
        compared = np.flatnonzero(~np.isnan(embedding[q]))
        key = np.where(chosen[q, compared], local[q, compared], -np.inf)
        order = np.lexsort((-embedding[q, compared], -key, ~chosen[q, compared]))
        found[q, compared[order]] = np.arange(len(compared), 0, -1)
    return found


class Engine:
    """The engine with an indexed catalog, for queries against chosen annotations only."""

    def __init__(self, folder: Path, method: str) -> None:
        """Open and index the catalog with the settings of `method`. Pairwise matchers compare all annotations."""
        name, given = parse_method(method)
        if name != "snowmatch_engine" or "+" in given["extractor"]:
            raise SnowmatchError(
                f"--local {method} cannot compare chosen annotations only, expected "
                "snowmatch_engine,extractor=...,matcher=... with one extractor"
            )
        options = dict(pair.partition("=")[::2] for pair in given["options"].split(";") if pair)
        catalog = open_catalog(folder, **{name: given[name] for name in FINDING})
        chosen = {"extractor": given["extractor"], "matcher": given["matcher"], "options": options}
        method = catalog.method(**chosen)
        (plugin,), self.matcher, self.geometry = method.extractors, method.matcher, method.geometry
        if getattr(self.matcher, "PAIRWISE", False):
            self.matcher = replace(self.matcher, candidates=0)
        own = {k: v for k, v in options.items() if k in plugin.__dataclass_fields__}
        catalog.index(settings_of(plugin)["name"], own)
        self.gallery = catalog.session(**chosen).gallery
        self.entry_of = {a.row: i for i, a in enumerate(self.gallery.annotations)}

    def ask(self, table: ScoreTable, lists: Sequence[np.ndarray]) -> tuple[list[np.ndarray], list[float]]:
        """Return, for each list (Q, G) bool, the scores (Q, G) of its pairs (others: NaN) and the median seconds.

        Each query runs with all lists, one after the other, so that their times can be compared.
        """
        found = [np.full(chosen.shape, np.nan) for chosen in lists]
        seconds: list[list[float]] = [[] for _ in lists]
        entries = np.array([self.entry_of.get(int(row), -1) for row in table.gallery])
        places = list(range(len(lists)))
        for q in tqdm(range(len(table.queries)), desc="queries", unit="query"):
            places = [*places[1:], *places[:1]]  # the first list reads from the disk, so the order rotates
            own = self.entry_of.get(int(table.queries[q]))
            part = str(table.body_part[table.queries[q]])
            for place in places:
                scores, chosen, took = found[place], lists[place], seconds[place]
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
    """Read the command line, measure each length and each fusion, and write the result."""
    given = parse(arguments)
    check_names([given.training, given.test])
    dataset = prepare(given.test, given.work)
    animals = {
        name: open_catalog(prepare(source, given.work).folder).data.annotations
        for name, source in (("training", given.training), ("test", given.test))
    }
    learned = network_of(given.embedding)
    check_apart(animals, learned, given.embedding)
    engine = Engine(dataset.folder, given.local)
    if getattr(engine.matcher, "PAIRWISE", False) and not given.lists_only:
        raise SnowmatchError(
            f"{given.local} compares pair by pair: the whole gallery takes hours, and the scores are not those of a "
            "shortlist: add --lists-only"
        )
    embedding, training = (asked_about(given, source, given.embedding) for source in (given.test, given.training))
    table = thinned(first_table(embedding), given.asked)
    similar, right = pairs_of(table)
    compared = ~np.isnan(similar)
    lists: dict[int | None, np.ndarray] = {n: best_of(similar, n) for n in given.lengths}
    if not given.lists_only:
        lists[None] = compared
    asked, seconds = engine.ask(table, list(lists.values()))
    names = shown_label(embedding.shown_method), shown_label(without_folders(given.local))
    rows = [row(names[0], None, table, similar, right, compared, None)]
    for length, chosen, scores, took in zip(lists, lists.values(), asked, seconds, strict=True):
        ranking = scores if length is None else reranked(similar, scores, chosen)
        label = names[1] if length is None else f"{names[1]} on its best"
        rows.append(row(label, length, table, ranking, right, chosen, took))
    if not given.lists_only:
        local, seen = (
            first_table(asked_about(given, given.training, given.local)),
            first_table(training),
        )
        odds = [
            calibrate(*pairs_of(among(seen, set(learned["validation"])) if learned else seen), votes=False)(similar),
            calibrate(*pairs_of(local), votes=True)(asked[-1]),
        ]
        fusions = {"log odds added": sum(odds), "mean probability": sum(1 / (1 + np.exp(-o)) for o in odds) / 2}
        for how, fused in fusions.items():
            rows.append(row(f"fused: {how}", None, table, fused, right, compared, seconds[-1]))
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
    path = given.work / f"shortlist-{given.name}.json"
    write_text(path, json.dumps(result, indent=1, allow_nan=False) + "\n")
    print(shortlist_table(result))


def asked_about(given: argparse.Namespace, source: str, method: str) -> Scored:
    """Return a method's score tables of a dataset."""
    return scores_of(Run(source, given.protocol, method), given.work, threads=given.threads, fresh=given.fresh)


def thinned(table: ScoreTable, queries: int) -> ScoreTable:
    """Return the table with `queries` of its queries, evenly spread, each a group of its own; 0: all."""
    if not queries or queries >= len(table.queries):
        return table
    chosen = np.unique(np.linspace(0, len(table.queries) - 1, queries).astype(int))
    alone, left_out = table.individual_scores[chosen], table.left_out_scores[chosen]
    return replace(
        table,
        queries=table.queries[chosen],
        groups=np.arange(len(chosen)),
        cells=table.cells.of(chosen),
        individual_scores=alone,
        left_out_scores=left_out,
        group_scores=alone,
        group_left_out_scores=left_out,
        prior=table.prior[table.groups][chosen],
        chance=table.chance[chosen],
    )


def row(
    label: str,
    length: int | None,
    table: ScoreTable,
    scores: np.ndarray,
    right: np.ndarray,
    chosen: np.ndarray,
    seconds: float | None,
) -> dict[str, Any]:
    """Return one line of the table.

    It has the figures of the ranking by `scores` (Q, G), the share of queries with a right answer among a list's
    `chosen` (None without a list), and the engine's seconds for a query.
    """
    figures = {name: plain(figure) for name, figure in ranking_of(scores, right, animals_of(table)).items()}
    answerable = right.any(axis=1)
    listed = length is not None and answerable.any()
    held = round(float((chosen & right).any(axis=1)[answerable].mean()), 4) if listed else None
    seconds = None if seconds is None else round(seconds, 4)
    return {"label": label, "length": length, "figures": figures, "held": held, "seconds": seconds}


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        prog="deep shortlist", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--training", required=True, help="SOURCE,key=value,... for the calibration")
    parser.add_argument("--test", required=True, help="other individuals, for the table")
    parser.add_argument(
        "--embedding", required=True, help="method with vectors: trained,file=... or embedding,file=..."
    )
    parser.add_argument("--local", default="snowmatch_engine", help="snowmatch_engine,extractor=...,matcher=...")
    parser.add_argument(
        "--lengths",
        type=lengths,
        default=[10, 20, 50, 100],
        help="lengths of shortlists, with commas; default: 10,20,50,100",
    )
    parser.add_argument(
        "--queries", dest="asked", type=at_least(0), default=0, help="number of queries, evenly spread; 0: all"
    )
    parser.add_argument(
        "--lists-only", action="store_true", help="do not compare the whole gallery and do not fuse: for slow matchers"
    )
    parser.add_argument("--protocol", default="cross-encounter", help="cross-encounter, cross-station or split")
    parser.add_argument("--name", required=True, help="name of the result: WORK/shortlist-NAME.json")
    parser.add_argument("--work", type=Path, default=HERE / ".work", help="prepared data and score matrices")
    parser.add_argument("--threads", type=at_least(1), default=1, help="cores that each method may use")
    parser.add_argument("--fresh", action="store_true", help="repeat what is in --work")
    return parser.parse_args(arguments)


def lengths(text: str) -> list[int]:
    """Read whole numbers from 1 up, with commas (for argparse)."""
    return [at_least(1)(part) for part in text.split(",")]
