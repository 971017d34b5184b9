"""The tables of networks for whole photos, from the results of `deep left_out`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from as_markdown import NOTHING, decimal, listed, percent, plain, quantity, shown, table, with_bounds
from method_tables import lists_few, questions
from store import Result

from snowmatch.core.text import counted

RANKED: dict[str, tuple[str, Callable[..., str]]] = {
    "dt5ap": ("DT5AP", decimal),
    "top5": ("top-5", percent),
    "top1": ("top-1", percent),
}
LOSSES = {
    "imagenet": "network, nothing learned",
    "triplet": "network, triplets",
    "cosface": "network, CosFace",
    "adaptive": "network, CosFace with adaptive margin",
}
MEANS = (
    "Networks that turn a photo into one vector, from the weights of ImageNet, beside local features. Half of the "
    "nyala and half of the snow leopards were left out by individuals: no method learned from them. All methods got "
    "the same queries and the boxes that snowmatch finds by itself; in the nyala it finds none, so their photos are "
    "whole. The photos of a query's own encounter do not answer. In brackets: the 95 % interval, drawn over animals. "
    "HotSpotter as it comes gives a score to 3 photos of each of 40 individuals, and all others are last, so its DT5AP "
    "is not in the table. If it is ahead even so, the list below says it."
)
WITNESS_MEANS = (
    "The network as one more witness: its similarity and snowmatch's score each become log odds that two photos show "
    "one animal, learned from other animals, and are added (as in WildFusion). Gain: the ranking by the sum against "
    "snowmatch alone, for the same queries; points for top-5 and top-1."
)


def deep_parts(runs: Sequence[Result]) -> list[str]:
    """Return the tables of deep.json with the sentences that explain them."""
    told = [f"- {questions({**run, 'encounters': run['dataset']['encounters']})}" for run in runs]
    return [
        MEANS,
        "\n".join(told),
        methods_table(runs),
        ahead(runs),
        networks(runs),
        WITNESS_MEANS,
        witness_table(runs),
    ]


def methods_table(runs: Sequence[Result]) -> str:
    """Return the table of all methods: DT5AP, top-5 and top-1 on each set; the best DT5AP on the first one is first."""
    labels = {held["label"]: figures_of(held)["dt5ap"][0] or 0 for held in runs[0]["methods"]}
    rows = []
    for label in sorted(labels, key=lambda label: (-labels[label], label)):
        cells = []
        for run in runs:
            figures = next((figures_of(held) for held in run["methods"] if held["label"] == label), {})
            cells += [with_bounds(figures.get(name), show) for name, (_, show) in RANKED.items()]
        rows.append([LOSSES.get(label, label), *cells])
    headings = [f"{plain(run['run'])}: {words}" for run in runs for words, _ in RANKED.values()]
    return table(["method", *headings], rows)


def figures_of(held: dict[str, Any]) -> dict[str, Any]:
    """Return a method's figures for the table: without DT5AP for a ranking that has only some of the photos."""
    return {**held["figures"], **({"dt5ap": [None] * 3} if lists_few(held["label"]) else {})}


def ahead(runs: Sequence[Result]) -> str:
    """Say which methods have a higher figure than snowmatch, on which set."""
    lines = []
    for run in runs:
        ours = next(held["figures"] for held in run["methods"] if held["label"] == "snowmatch")
        for held in run["methods"]:
            better = [
                f"{words} {show(held['figures'][name][0])} against {show(ours[name][0])}"
                for name, (words, show) in RANKED.items()
                if (held["figures"][name][0] or 0) > (ours[name][0] or 0)
            ]
            if better:
                lines.append(f"- {plain(run['run'])}: {LOSSES.get(held['label'], held['label'])}, {listed(better)}.")
    return "\n".join(["Ahead of snowmatch:", "", *lines]) if lines else "No method is ahead of snowmatch on any figure."


def networks(runs: Sequence[Result]) -> str:
    """Say what the networks are, what they learned from and how long that took."""
    lines = []
    for held in runs[0]["methods"]:
        facts = held["network"]
        if facts:
            lines.append(
                f"- {LOSSES.get(held['label'], held['label'])}: {facts['backbone']} from {facts['weights']}, "
                f"{facts['width']} × {facts['height']} px, {facts['photos']} photos of {facts['individuals']} animals, "
                f"epoch {facts['epoch']} of {facts['epochs']}; {quantity(held['seconds']['training'])} s of training "
                f"on {facts['device']} ({counted(facts['threads'], 'thread')})."
            )
    return "\n".join(lines)


def witness_table(runs: Sequence[Result]) -> str:
    """Return the table of snowmatch with each network as a witness: figures, and gains with their intervals."""
    rows = []
    for place, held in enumerate(runs[0]["witness"]):
        for run in runs:
            row = run["witness"][place]
            cells = [
                f"{shown(row['figures'][name][0], show)} ({gain(row['gains'][name], name)})"
                for name, (_, show) in RANKED.items()
            ]
            rows.append([f"snowmatch + {LOSSES.get(held['label'], held['label'])}", plain(run["run"]), *cells])
    return table(["ranking", "set", *(f"{words} (gain, 95 %)" for words, _ in RANKED.values())], rows, left=2)


def gain(values: Sequence[Any], name: str) -> str:
    """Return a gain with its interval, with signs; points for shares."""
    if values[0] is None:
        return NOTHING
    factor, digits = (1, 3) if name == "dt5ap" else (100, 1)
    value, low, high = (NOTHING if v is None else f"{factor * v:+.{digits}f}".replace("-", "−") for v in values)
    return f"{value}; {low} to {high}"
