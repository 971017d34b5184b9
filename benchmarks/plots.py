"""Result files to pictures in RESULTS_FOLDER/plots/: CMC, score distributions, time and memory against gallery size.

Needs matplotlib: pip install 'snowmatch[bench]'

Example: python benchmarks/plots.py
"""

from __future__ import annotations

import argparse
import io
import math
import textwrap
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from PIL import Image
from tables import RESULTS, Result, Trial, family, load_results, load_rows, number, trials

try:
    import matplotlib.style
    from matplotlib.figure import Figure  # without pyplot: no window system is looked for
    from matplotlib.lines import Line2D
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter, PercentFormatter
except ImportError:
    raise SystemExit("The plots need matplotlib: pip install 'snowmatch[bench]'") from None

# Okabe & Ito 2008, "Color universal design"; their yellow is left out: too faint as a line on white
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#000000", "#E69F00", "#56B4E9")
DASHES = ("-", (0, (5, 2)), (0, (1, 1.2)), (0, (6, 2, 1, 2)))
MARKERS = ("o", "s", "^", "D", "v", "P", "X")
SAME, DIFFERENT = "#0072B2", "#D55E00"
LEVELS = (
    ("annotation", "best photo"),
    ("individual", "best individual, asked with one photo"),
    ("encounter", "best individual, asked with an encounter"),
)
DPI = 90
TINTS = 128  # of the palette: enough for smooth edges of a dozen colours
PANELS = 3  # in a row
STYLE = {
    "font.size": 9,
    "axes.titlesize": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#dddddd",
    "grid.linewidth": 0.6,
    "lines.linewidth": 1.6,
    "legend.frameon": False,
}


def styles(labels: Iterable[str]) -> dict[str, dict[str, Any]]:
    """How the line of each label looks in every picture: a colour per method, a dash and a marker per configuration."""
    configurations: dict[str, list[str]] = {}
    for label in sorted(set(labels)):
        configurations.setdefault(family(label), []).append(label)
    looks = {}
    # the two that are compared most get the two colours that differ most, whoever else is there
    for i, method in enumerate(sorted(configurations, key=lambda m: (m != "snowmatch", m != "hotspotter", m))):
        for j, label in enumerate(configurations[method]):
            looks[label] = {
                "color": COLOURS[i % len(COLOURS)],
                "linestyle": DASHES[(i // len(COLOURS) + j) % len(DASHES)],
                "marker": MARKERS[(i + j) % len(MARKERS)],
            }
    return looks


def legend_below(figure: Figure, handles: Sequence[Any], labels: Sequence[str]) -> None:
    """One legend for all panels, under them: there it covers no curve."""
    longest = max(map(len, labels), default=0)
    columns = max(1, min(len(labels), int(14 * figure.get_figwidth() / (longest + 6))))
    figure.legend(handles, labels, loc="outside lower center", ncols=columns, handlelength=3)


def cmc_figure(trial: Trial, looks: dict[str, dict[str, Any]]) -> Figure | None:
    """Share of queries with a right answer among the first k, a panel per level; None where nothing was measured."""
    curves = {
        level: [(r["label"], values) for r in trial.results if (values := known_curve(r, level))] for level, _ in LEVELS
    }
    levels = [(level, title) for level, title in LEVELS if curves[level]]
    if not levels:
        return None
    figure = Figure(figsize=(3.4 * len(levels) + 0.4, 4.6), layout="constrained")
    axes = figure.subplots(1, len(levels), sharey=True, squeeze=False)[0]
    handles: dict[str, Any] = {}
    lowest = min(v for level, _ in levels for _, values in curves[level] for v in values if v is not None)
    for axis, (level, title) in zip(axes, levels, strict=True):
        for label, values in curves[level]:
            shares = [math.nan if v is None else v for v in values]
            places = range(1, len(shares) + 1)
            handles[label] = axis.plot(places, shares, markersize=3, clip_on=False, zorder=3, **looks[label])[0]
        longest = max(len(values) for _, values in curves[level])
        axis.set(title=title, xlabel="first k answers", xlim=(0.5, longest + 0.5))
        axis.set_xticks([1, *range(5, longest + 1, 5)])
    # from the tenth below the lowest: what is compared are curves near the top
    axes[0].set(ylabel="queries with a right answer in them", ylim=(max(0, math.floor(lowest * 10 - 1e-9) / 10), 1))
    axes[0].yaxis.set_major_formatter(PercentFormatter(1, decimals=0, symbol=" %"))
    figure.suptitle(f"{trial.dataset}, {trial.protocol}", fontsize=10)
    labels = [r["label"] for r in trial.results if r["label"] in handles]
    legend_below(figure, [handles[label] for label in labels], labels)
    return figure


def known_curve(result: Result, level: str) -> list[float | None]:
    values = (result.get("cmc") or {}).get(level) or []
    return values if any(v is not None for v in values) else []


def scores_figure(trial: Trial) -> Figure | None:
    """Scores of pairs of the same and of different animals, a panel per method; None where none was measured."""
    results = [r for r in trial.results if has_pairs(r.get("histogram") or {})]
    if not results:
        return None
    columns = min(PANELS, len(results))
    rows = math.ceil(len(results) / columns)
    figure = Figure(figsize=(3.4 * columns + 0.4, 2.6 * rows + 0.7), layout="constrained")
    panels = figure.subplots(rows, columns, squeeze=False, sharey=True).ravel()
    handles, names = [], []
    for axis, result in zip(panels, results, strict=False):
        histogram = result["histogram"]
        handles, names = [], []
        for name, colour, dash in (("same", SAME, "-"), ("different", DIFFERENT, (0, (4, 1.5)))):
            counts = histogram.get(name) or []
            total = sum(counts)
            if total:
                shares = [c / total for c in counts]
                axis.stairs(shares, histogram["edges"], fill=True, color=colour, alpha=0.18)
                axis.stairs(shares, histogram["edges"], color=colour, linestyle=dash, linewidth=1.4)
            handles.append(Line2D([], [], color=colour, linestyle=dash))
            names.append(f"{name} individual")
        axis.set(title=textwrap.fill(result["label"], 44), xlabel=histogram.get("axis") or "score", yscale="log")
        axis.yaxis.set_major_formatter(FuncFormatter(short_percent))
        axis.yaxis.set_minor_formatter(NullFormatter())
    for axis in panels[len(results) :]:
        axis.remove()
    for first in range(0, len(results), columns):
        panels[first].set_ylabel("share of pairs")
    figure.suptitle(f"{trial.dataset}, {trial.protocol}", fontsize=10)
    legend_below(figure, handles, names)
    return figure


def has_pairs(histogram: dict[str, Any]) -> bool:
    return any(sum(histogram.get(name) or []) for name in ("same", "different"))


def short_percent(value: float, _: Any = None) -> str:
    return f"{100 * value:g} %"


def short_number(value: float, _: Any = None) -> str:
    return f"{value:,.0f}" if value >= 1 else f"{value:g}"


def scaling_figure(scaling: Result, looks: dict[str, dict[str, Any]]) -> Figure | None:
    """Query time and memory against gallery size, both axes logarithmic; None where nothing was measured."""
    figure = Figure(figsize=(8, 3.7), layout="constrained")
    handles: dict[str, Any] = {}
    what = (("query_seconds", "time of a query, s", 1.0), ("peak_memory", "peak memory, MB", 1e-6))
    for axis, (name, title, unit) in zip(figure.subplots(1, 2), what, strict=True):
        for method in sorted({row["method"] for row in scaling["rows"]}):
            points = sorted(
                (row["annotations"], number(row, name) * unit)
                for row in scaling["rows"]
                if row["method"] == method and number(row, name)  # 0 has no logarithm
            )
            if points:
                line = axis.plot(*zip(*points, strict=True), markersize=4.5, **looks[method])[0]
                handles.setdefault(method, line)
        axis.set(xscale="log", yscale="log", xlabel="annotations in the gallery", ylabel=title)
        sizes = sorted({row["annotations"] for row in scaling["rows"]})
        axis.set_xticks(spaced(sizes), labels=[short_number(s) for s in spaced(sizes)])
        axis.minorticks_off()
        axis.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))  # a decade alone may have no label in sight
        axis.yaxis.set_major_formatter(FuncFormatter(short_number))
    if not handles:
        return None
    legend_below(figure, list(handles.values()), list(handles))
    return figure


def spaced(sizes: Sequence[float]) -> list[float]:
    """Those sizes whose labels do not run into each other on a logarithmic axis."""
    kept: list[float] = []
    gap = (sizes[-1] / sizes[0]) ** (1 / 8) if sizes else 1
    for size in sizes:
        if not kept or size / kept[-1] >= gap:
            kept.append(size)
    return kept


def draw(folder: Path) -> list[Path]:
    """Draw whatever the folder has results for; the pictures written."""
    results, scaling = load_results(folder), load_rows(folder, "scaling.json")
    rows = scaling["rows"] if scaling else []
    looks = styles([*(r["label"] for r in results), *(row["method"] for row in rows)])
    with matplotlib.style.context(["default", STYLE]):  # not the user's own: the same bytes for everyone
        figures = {}
        for trial in trials(results):
            figures[f"cmc-{trial.stem}.png"] = cmc_figure(trial, looks)
            figures[f"scores-{trial.stem}.png"] = scores_figure(trial)
        figures["scaling.png"] = scaling_figure(scaling, looks) if rows else None
        (folder / "plots").mkdir(exist_ok=True)
        written = []
        for name, figure in figures.items():
            if figure is not None:
                written.append(folder / "plots" / name)
                save(figure, written[-1])
    return written


def save(figure: Figure, path: Path) -> None:
    """Write the picture with a palette, which is a third of the bytes, and without the version of what drew it."""
    drawn = io.BytesIO()
    figure.savefig(drawn, dpi=DPI, metadata={"Software": None})
    Image.open(drawn).convert("RGB").quantize(TINTS, dither=Image.Dither.NONE).save(path, optimize=True)


def main(arguments: Sequence[str] | None = None) -> None:
    """Draw the results of a folder."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("results", type=Path, nargs="?", default=RESULTS, metavar="RESULTS_FOLDER")
    folder = parser.parse_args(arguments).results.resolve()
    if not folder.is_dir():
        raise SystemExit(f"{folder}: no such folder; run a benchmark first.")
    written = draw(folder)
    if not written:
        raise SystemExit(f"{folder}: nothing to draw in it; run a benchmark first.")
    for path in written:
        print(f"wrote {path}")


if __name__ == "__main__":
    main()
