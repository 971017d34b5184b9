"""The tables that `compare` and `shortlist` print."""

from __future__ import annotations

from typing import Any

from as_markdown import NOTHING, in_brackets, percent, quantity, shown, table
from method_tables import lists_few
from store import Result

RANKED = (("dt5ap", "DT5AP"), ("top5", "top-5"), ("top1", "top-1"))
DECIDED = (("precision", "precision"), ("recall", "recall"), ("accuracy", "accuracy"))


def deep_table(result: Result) -> str:
    """Return the tables: methods by DT5AP on the test animals, then on other catalogs, then costs."""
    methods = sorted(result["methods"].items(), key=lambda item: -(_dt5ap(*item, "test")["value"] or 0))
    transfers = [name for name in result["data"] if name not in ("test", "training")]
    asked = result["data"]["test"]
    first = next(iter(result["methods"].values()))["sets"]["test"]
    parts = [
        f"{asked['name']}: {asked['annotations']} photos of {asked['individuals']} animals, {first['queries']} with a "
        f"right answer, {first['same']:,} of {first['pairs']:,} pairs the same animal.",
        _ranking(result, methods, "test", True),
    ]
    for name in transfers:
        counts = next(iter(result["methods"].values()))["sets"][name]
        words = (
            f"{counts['queries']} photos with a right answer, {counts['same']:,} of {counts['pairs']:,} pairs the same"
        )
        parts.append(f"The same threshold on {name}, {words}:\n\n{_ranking(result, methods, name, False)}")
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
    """Return one set's table. `beside`: with the published figures and the start of a network's weights."""
    rows = []
    for label, held in methods:
        figures = held["sets"][name]
        start = [_start(held)] if beside else []
        published = result["published"].get(held["family"])
        compared = [] if not beside else [NOTHING if not published else f"{published['dt5ap']} / {published['top5']}"]
        rows.append(
            [
                label,
                *start,
                in_brackets(_dt5ap(label, held, name), lambda v: f"{v:.3f}"),
                *(in_brackets(figures[key], percent) for key, _ in RANKED[1:]),
                *(in_brackets(figures[key], percent) for key, _ in DECIDED),
                *compared,
            ]
        )
    headings = ["method", *(["network, learned from"] if beside else []), *(h for _, h in RANKED + DECIDED)]
    return table([*headings, *(["published, other photos"] if beside else [])], rows, left=2 if beside else 1)


def _dt5ap(label: str, held: dict[str, Any], name: str) -> dict[str, Any]:
    """Return a method's DT5AP on one set; without a value for a ranking that has only some of the photos."""
    return {"value": None} if lists_few(label) else held["sets"][name]["dt5ap"]


def _start(held: dict[str, Any]) -> str:
    """Return what a network is and what it learned from, in a few words; nothing for other methods."""
    network = held["network"]
    if network is None:
        return ", ".join(held["notes"]) if held["method"] == "backbone" else NOTHING
    begun = "from scratch" if network["weights"] == "random" else f"from {network['weights']}"
    kind = f"{network['loss']}, {network['backbone']}, {network['channels']}"
    kind += ", no background" if network["background"] == "removed" else ""
    return f"{kind}; {network['photos']} photos of {network['individuals']} animals, {begun}, epoch {network['epoch']}"


def shortlist_table(result: Result) -> str:
    """Return the table of shortlists: embeddings choose the candidates for local features, or both scores are fused."""
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
    shown_rows = table(("", "shortlist", "DT5AP", "top-5", "top-1", "right one on it", "engine, a query"), rows)
    return f"{result['data']['test']['name']}, {result['queries']} queries:\n\n{shown_rows}"
