"""The tables of benchmarks/README.md that come of results/deep-*.json and results/shortlist-*.json."""

from __future__ import annotations

from typing import Any

from as_markdown import NOTHING, Result, in_brackets, percent, quantity, shown, table

RANKED = (("dt5ap", "DT5AP"), ("top5", "top-5"), ("top1", "top-1"))
DECIDED = (("precision", "precision"), ("recall", "recall"), ("accuracy", "accuracy"))


def deep_table(result: Result) -> str:
    """Every method by DT5AP on animals nobody learned from, then what carries over to other catalogs, then costs."""
    methods = sorted(result["methods"].items(), key=lambda item: -(item[1]["sets"]["test"]["dt5ap"]["value"] or 0))
    transfers = [name for name in result["data"] if name not in ("test", "training")]
    parts = [_ranking(result, methods, "test", True)]
    parts += [f"Carried over to {name}:\n\n{_ranking(result, methods, name, False)}" for name in transfers]
    rows = []
    for label, held in methods:
        seconds, memory = held["seconds"], held["peak_memory"]
        spent = [seconds.get(name) for name in ("training", "extract", "index", "query")]
        rows.append(
            [
                label,
                *(shown(value, lambda v: f"{quantity(v)} s") for value in spent),
                NOTHING if memory is None else f"{memory / 1e6:,.0f} MB",
                shown(held["numbers"].get("weights"), lambda v: f"{v / 1e6:.1f} M"),
            ]
        )
    parts.append(table(("method", "training", "photo", "index", "query", "memory", "weights"), rows))
    return "\n\n".join(parts)


def _ranking(result: Result, methods: list[tuple[str, Any]], name: str, beside: bool) -> str:
    """One set's table; `beside`: with the published figures and where a network's weights started."""
    rows = []
    for label, held in methods:
        figures, network = held["sets"][name], held["network"]
        start = [] if not beside else [NOTHING if network is None else _start(network)]
        published = result["published"].get(held["family"])
        told = [] if not beside else [NOTHING if not published else f"{published['dt5ap']} / {published['top5']}"]
        rows.append(
            [
                label,
                *start,
                in_brackets(figures["dt5ap"], lambda v: f"{v:.3f}"),
                *(in_brackets(figures[key], percent) for key, _ in RANKED[1:]),
                *(in_brackets(figures[key], percent) for key, _ in DECIDED),
                *told,
            ]
        )
    headings = ["method", *(["learned from"] if beside else []), *(h for _, h in RANKED + DECIDED)]
    return table([*headings, *(["published, other photos"] if beside else [])], rows, left=2 if beside else 1)


def _start(network: dict[str, Any]) -> str:
    """Where a trained network came from, in a few words."""
    begun = "from scratch" if network["weights"] == "random" else f"from {network['weights']}"
    return f"{network['photos']} photos of {network['individuals']} {network['data']}, {begun}"


def shortlist_table(result: Result) -> str:
    """How right the answer is where embeddings choose whom local features check, and where both scores are fused."""
    rows = [
        [
            row["label"],
            NOTHING if row["length"] is None else str(row["length"]),
            in_brackets(row["figures"]["dt5ap"], lambda v: f"{v:.3f}"),
            *(in_brackets(row["figures"][key], percent) for key in ("top5", "top1")),
            shown(row["held"], percent),
            shown(row["seconds"], lambda v: f"{quantity(v)} s"),
        ]
        for row in result["rows"]
    ]
    return table(("", "shortlist", "DT5AP", "top-5", "top-1", "right one on it", "a query"), rows)
