"""Draw the pictures of docs/results.md from the result files: CMC curves, screening, and time against gallery size.

Needs matplotlib: pip install 'snowmatch[bench]'

Example: python benchmarks/plots.py
"""

from __future__ import annotations

import argparse
import io
import math
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from as_markdown import number
from measure import RESULTS
from method_tables import Trial, trials
from PIL import Image
from store import Result, find_run, read_runs
from tables import COMPARED, PICTURES

try:
    import matplotlib.style
    from matplotlib.figure import Figure  # without pyplot: it would look for a window system
    from matplotlib.ticker import FuncFormatter, LogLocator, PercentFormatter
except ImportError:
    raise SystemExit("The plots need matplotlib: pip install 'snowmatch[bench]'") from None

# Okabe & Ito 2008, "Color universal design"; without their yellow: too faint as a line on white
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#000000", "#E69F00", "#56B4E9")
DASHES = ("-", (0, (5, 2)), (0, (1, 1.2)), (0, (6, 2, 1, 2)))
MARKERS = ("o", "s", "^", "D", "v", "P", "X")
DPI = 90
TINTS = 128  # colours in the palette: enough for smooth edges of a dozen colours
PANELS = 4  # panels in a row
FEWEST = 0.001  # the lowest share on the logarithmic axis; lower ones are drawn there
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
    """Return the line style of each label. snowmatch and HotSpotter get the two colours that differ most."""
    ordered = sorted(set(labels), key=lambda label: (label != "snowmatch", label != "hotspotter", label))
    return {
        label: {
            "color": COLOURS[i % len(COLOURS)],
            "linestyle": DASHES[i % len(DASHES)],
            "marker": MARKERS[i % len(MARKERS)],
        }
        for i, label in enumerate(ordered)
    }


def cmc_figure(found: Sequence[Trial]) -> Figure | None:
    """Draw the share of queries with the right individual among the first k, a panel a trial; None if no results."""
    found = [trial for trial in found if len([r for r in trial.results if r["cmc"]]) > 1]
    if not found:
        return None
    looks = styles(r["label"] for trial in found for r in trial.results)
    columns = min(PANELS, len(found))
    rows = math.ceil(len(found) / columns)
    figure = Figure(figsize=(2.7 * columns + 0.4, 2.6 * rows + 0.6), layout="constrained")
    panels = figure.subplots(rows, columns, squeeze=False, sharey=True).ravel()
    handles: dict[str, Any] = {}
    for axis, trial in zip(panels, found, strict=False):
        for result in trial.results:
            places = range(1, len(result["cmc"]) + 1)
            line = axis.plot(places, result["cmc"], markersize=3, clip_on=False, zorder=3, **looks[result["label"]])
            handles.setdefault(result["label"], line[0])
        axis.set(title=f"{trial.dataset},\n{trial.protocol}", xlabel="first k answers", ylim=(0, 1))
        axis.set_xticks([1, 5, 10])
        axis.yaxis.set_major_formatter(PercentFormatter(1, decimals=0, symbol=" %"))
    for axis in panels[len(found) :]:
        axis.remove()
    for first in range(0, len(found), columns):
        panels[first].set_ylabel("right individual in them")
    figure.legend(list(handles.values()), list(handles), loc="outside lower center", ncols=len(handles), handlelength=3)
    return figure


def scaling_figure(scaling: Result) -> Figure | None:
    """Draw query time and memory against gallery size, both axes logarithmic; None if there are no results."""
    methods = sorted({row["method"] for row in scaling["rows"]})
    looks = styles(methods)
    figure = Figure(figsize=(8, 3.7), layout="constrained")
    handles: dict[str, Any] = {}
    what = (("query", "time of a query, s", 1.0), ("peak_memory", "peak memory, MB", 1e-6))
    for axis, (name, title, unit) in zip(figure.subplots(1, 2), what, strict=True):
        for method in methods:
            rows = [row for row in scaling["rows"] if row["method"] == method and number(row, name)]
            points = sorted((row["annotations"], number(row, name) * unit) for row in rows)  # 0 has no logarithm
            if points:
                line = axis.plot(*zip(*points, strict=True), markersize=4.5, **looks[method])
                handles.setdefault(method, line[0])
        axis.set(xscale="log", yscale="log", xlabel="photos on record", ylabel=title)
        sizes = sorted({row["annotations"] for row in scaling["rows"]})
        axis.set_xticks(sizes, labels=[short_number(size) for size in sizes])
        axis.minorticks_off()
        axis.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))  # powers of ten alone may show no label
        axis.yaxis.set_major_formatter(FuncFormatter(short_number))
    if not handles:
        return None
    figure.legend(list(handles.values()), list(handles), loc="outside lower center", ncols=len(handles), handlelength=3)
    return figure


def screening_figure(run: Result) -> Figure:
    """Draw recall against false alarms (a logarithmic axis), and precision against recall; a line a kind of photos."""
    looks = styles(run["curves"])
    figure = Figure(figsize=(8, 3.4), layout="constrained")
    alarms, found = figure.subplots(1, 2, sharey=True)
    for name, points in run["curves"].items():
        right, false, precise = zip(*points, strict=True)
        look = {"markersize": 3, "clip_on": False, "zorder": 3, **looks[name]}
        alarms.plot([max(share, FEWEST) for share in false], right, label=f"against {name}", **look)
        found.plot(right, precise, **look)
    alarms.set(xscale="log", xlim=(FEWEST, 1), ylim=(0, 1), xlabel="photos without a leopard that are kept")
    alarms.set_ylabel("recall (left), precision (right)")
    found.set(xlim=(0, 1), xlabel="recall")
    for axis in (alarms.xaxis, alarms.yaxis, found.xaxis, found.yaxis):
        axis.set_major_formatter(FuncFormatter(lambda share, _: f"{100 * share:g} %"))
    figure.legend(loc="outside lower center", ncols=len(run["curves"]), handlelength=3)
    return figure


def short_number(value: float, _: Any = None) -> str:
    return f"{value:,.0f}" if value >= 1 else f"{value:g}"


def draw(folder: Path) -> list[Path]:
    """Draw a picture of all results in the folder, in the project's docs/images. Return the paths written."""
    compared = [run for suite in COMPARED for run in read_runs(folder / f"{suite}.json")]
    scaling = find_run(folder / "speed.json", "scaling")
    screened = read_runs(folder / "screening.json")
    with matplotlib.style.context(["default", STYLE]):  # not the user's own style: the same bytes for everyone
        figures = {
            "cmc": cmc_figure(trials(compared)),
            "screening": screening_figure(screened[0]) if screened else None,
            "scaling": scaling_figure(scaling) if scaling else None,
        }
        written = []
        for name, figure in figures.items():
            if figure is not None:
                written.append(folder.parents[1] / PICTURES.format(name))
                written[-1].parent.mkdir(parents=True, exist_ok=True)
                save(figure, written[-1])
    return written


def save(figure: Figure, path: Path) -> None:
    """Write the picture with a palette (a third of the bytes) and without the version of matplotlib."""
    drawn = io.BytesIO()
    figure.savefig(drawn, dpi=DPI, metadata={"Software": None})
    Image.open(drawn).convert("RGB").quantize(TINTS, dither=Image.Dither.NONE).save(path, optimize=True)


def main(arguments: Sequence[str] | None = None) -> None:
    """Draw the results of a folder."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("results", type=Path, nargs="?", default=RESULTS, metavar="RESULTS_FOLDER")
    folder = parser.parse_args(arguments).results.resolve()
    written = draw(folder)
    if not written:
        raise SystemExit(f"{folder}: nothing to draw; run a benchmark first.")
    for path in written:
        print(f"wrote {path}")


if __name__ == "__main__":
    main()
