"""The figures that result files keep and tables show: names, headings and number formats."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from as_markdown import decimal, percent

CMC_LENGTH = 10  # ranks of the CMC curve in the picture


@dataclass(frozen=True)
class Column:
    """A figure: its name in the files, its heading in a table, its words in a sentence, and its number format."""

    name: str
    heading: str
    words: str
    show: Callable[..., str] = percent


PHOTO = Column("annotation_top1", "photo right", "best photo right")
INDIVIDUAL = Column("individual_top1", "individual right", "individual right")
MACRO = Column("annotation_macro_top1", "photo macro", "best photo right, macro")
FIGURES = (
    PHOTO,
    Column("annotation_top5", "photo in 5", "right photo among 5"),
    MACRO,
    Column("annotation_map", "mAP", "mAP", decimal),
    Column("annotation_dt5ap", "DT5AP", "DT5AP", decimal),
    INDIVIDUAL,
    Column("individual_top5", "individual in 5", "right individual among 5"),
    Column("individual_macro_top1", "individual macro", "individual right, macro"),
    Column("encounter_top1", "encounter right", "encounter right"),
    Column("encounter_macro_top1", "encounter macro", "encounter right, macro"),
    Column("individual_auroc", "AUROC", "AUROC", decimal),
    Column("individual_detection_rate", "found at 1 %", "found at 1 % false alarms"),
    Column("individual_auroc_dropped", "AUROC, dropped", "AUROC (column dropped)", decimal),
)


def figures_of(tables: list[Path], asked_again: bool = True) -> dict[str, Any]:
    """Return the figures of the first table: counts of queries, each figure as [value, low, high], and the CMC curve.

    low and high are the 95 % interval. An unknown figure is null. `individual_auroc_dropped` simulates a new animal:
    the column of the query's own individual is dropped. Every method can be measured in this way. The other open-set
    figures are null unless `asked_again` (the query was repeated without its individual in the gallery).
    If a method was repeated, there are several tables: `spread` has the lowest and the highest value of each figure.
    """
    every = [_figures(path, asked_again) for path in tables]
    result = every[0]
    if len(every) > 1:
        known = {name: [one["figures"][name] for one in every] for name in result["figures"]}
        values = {name: [figure[0] for figure in each if figure] for name, each in known.items()}
        result["spread"] = {name: [min(each), max(each)] for name, each in values.items() if each}
    return result


def _figures(path: Path, asked_again: bool) -> dict[str, Any]:
    import numpy as np

    from snowmatch.confidence.measures import measure
    from snowmatch.confidence.score_table import load_table

    table = load_table(path)
    own = table.individual[table.queries][:, None] == table.individual_names
    alone = replace(table, left_out_scores=np.where(own, np.float32(np.nan), table.individual_scores))
    measured = measure(table)
    found = dict(measured.figures) | {"individual_auroc_dropped": measure(alone).figures["individual_auroc"]}
    unknown = () if asked_again else ("individual_auroc", "individual_detection_rate")
    figures = {c.name: None if c.name in unknown else found[c.name] for c in FIGURES}
    curve = measured.cmc["individual"][:CMC_LENGTH] if measured.answerable else ()
    return {
        "queries": measured.queries,
        "answerable": measured.answerable,
        "encounters": measured.groups,
        "figures": {name: figure and with_interval(figure) for name, figure in figures.items()},
        "cmc": [round(float(share), 4) for share in curve],
    }


def with_interval(figure: Any) -> list[float] | None:
    """Return [value, low, high] with four decimals; None if the value is not defined."""
    return None if rounded(figure.value) is None else [rounded(v) for v in (figure.value, figure.low, figure.high)]


def rounded(value: float) -> float | None:
    """Round to four decimals; None for infinity and NaN, which JSON cannot store."""
    return round(float(value), 4) if math.isfinite(value) else None
