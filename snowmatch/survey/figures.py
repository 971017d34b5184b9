"""Figures of a survey as PNG and SVG: map, timeline, accumulation, effort. The only file that uses matplotlib."""

from __future__ import annotations

import io
import math
import warnings
from collections import defaultdict
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from snowmatch.catalog.stations import DAY
from snowmatch.core.errors import SnowmatchError
from snowmatch.core.notes import Note
from snowmatch.core.text import counted, printable, shortened, some
from snowmatch.survey.coordinates import Coordinates, shown_positions
from snowmatch.survey.movements import movements
from snowmatch.survey.run import Survey
from snowmatch.survey.summaries import accumulation

if TYPE_CHECKING:
    from matplotlib.axes import Axes

FONT = "DejaVu Sans"  # that matplotlib brings: the same figure on each computer
STYLE: dict[Any, Any] = {
    "svg.hashsalt": "snowmatch",  # the same figure is the same bytes
    "svg.fonttype": "path",
    "font.family": FONT,
    "text.parse_math": False,  # a $ in a name is a $
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
}
BLUE, ORANGE, GREY = "#2b6ca3", "#d1722c", "#b8bcc0"
EDGE, ROW, TALLEST = 2.0, 0.22, 30.0  # inches: around the rows of a figure, a row, a whole figure
LONGEST = 48  # letters of a row's name: of a longer one, the beginning and the end; it would leave no room
LETTER, LEAST, LINE = 9.0, 4.0, 1.4  # points of a row's name, and of the smallest; how many times as high its line is


def survey_figures(survey: Survey, coordinates: Coordinates | None) -> dict[str, bytes]:
    """Return the figures by the name of their file. The map exists only if coordinates were asked for.

    Raises SnowmatchError if matplotlib is missing.
    """
    try:
        import matplotlib
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError as error:
        raise SnowmatchError(
            'no figures: they need one more package: pip install "snowmatch[survey]"', "no-matplotlib"
        ) from error
    drawn: dict[str, bytes] = {}
    style = {**matplotlib.rcParamsDefault, **STYLE, "backend": "agg"}
    with matplotlib.rc_context(style), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph")  # `letter_notes` tells them
        for name, draw, height in _plans(survey, coordinates):
            figure = Figure(figsize=(8, height), layout="constrained")
            FigureCanvasAgg(figure)
            draw(figure.add_subplot())
            for kind, metadata in (("png", {"Software": None}), ("svg", {"Date": None, "Creator": "snowmatch"})):
                file = io.BytesIO()
                figure.savefig(file, format=kind, dpi=120, metadata=metadata)
                drawn[f"{name}.{kind}"] = file.getvalue()
    return drawn


def letter_notes(survey: Survey) -> list[Note]:
    """Return a note if the figures have names with letters that their font lacks; needs matplotlib."""
    from matplotlib.font_manager import FontProperties, findfont, get_font

    font = get_font(findfont(FontProperties(family=FONT)))
    several = [s.name for s in survey.sessions if len(survey.sessions) > 1]
    names = {c.individual for c in survey.captures} | {p.label for p in survey.places} | {*several}
    lacking = sorted(n for n in names if any(not font.get_char_index(ord(letter)) for letter in printable(n)))
    if not lacking:
        return []
    text = f"the figures have boxes in place of letters in {counted(len(lacking), 'name')} ({some(lacking)}): their "
    return [Note("figures-without-letters", f"{text}font lacks these letters; the tables have them")]


def _plans(survey: Survey, coordinates: Coordinates | None) -> list[tuple[str, Any, float]]:
    animals, places = {c.individual for c in survey.captures}, len(survey.places) * len(survey.sessions)
    plans: list[tuple[str, Any, float]] = [
        ("timeline", lambda axes: _timeline(axes, survey), min(EDGE + ROW * len(animals), TALLEST)),
        ("accumulation", lambda axes: _accumulation(axes, survey), 4.5),
        ("effort", lambda axes: _effort(axes, survey), min(EDGE + ROW * places, TALLEST)),
    ]
    if positions := shown_positions(survey, coordinates):
        plans.append(("map", lambda axes: _map(axes, survey, positions), 7))
    return plans


def _timeline(axes: Axes, survey: Survey) -> None:
    """Draw a row for each individual: a line from its first capture to its last, a dot for each capture."""
    from matplotlib.dates import date2num

    names = sorted({c.individual for c in survey.captures}, reverse=True)
    for n, name in enumerate(names):
        times = [c.start for c in survey.captures if c.individual == name]
        axes.plot([date2num(min(times)), date2num(max(times))], [n, n], color=GREY, linewidth=1.5, zorder=1)
        axes.scatter([date2num(t) for t in times], [n] * len(times), s=18, color=BLUE, zorder=2)
    for s in survey.sessions:
        axes.axvspan(date2num(s.first), date2num(s.span.end), color=GREY, alpha=0.15, linewidth=0)
    axes.xaxis_date()
    _name_rows(axes, [printable(name) for name in names], "Captures of each individual")
    axes.tick_params(axis="x", rotation=30)


def _accumulation(axes: Axes, survey: Survey) -> None:
    for s in survey.sessions:
        points = accumulation(survey.captures, s)
        axes.step([p[0] for p in points], [p[2] for p in points], where="mid", label=printable(f"session {s.name}"))
    axes.set_xlabel("occasion")
    axes.set_ylabel("different individuals so far")
    axes.set_ylim(bottom=0)
    if len(survey.sessions) > 1:
        axes.legend(frameon=False)
    axes.set_title("Accumulation of individuals")


def _effort(axes: Axes, survey: Survey) -> None:
    """Draw a row for each station: a bar where a camera worked, a dot for each capture."""
    from matplotlib.dates import date2num

    rows = [(s, n) for s in survey.sessions for n in range(len(survey.places))][::-1]
    labels = []
    for y, (s, n) in enumerate(rows):
        effort, place = survey.effort[s.name][n], survey.places[n]
        for value in sorted(set(effort[effort > 0].tolist())):
            bars = [(date2num(s.day(d).start), 1.0) for d in range(s.days) if effort[d] == value]
            axes.broken_barh(bars, (y - 0.35, 0.7), facecolors=BLUE, alpha=min(0.25 + 0.3 * value, 0.9), linewidth=0)
        times = [c.start for c in survey.captures if (c.session, c.place) == (s.name, place.label)]
        axes.scatter([date2num(t) for t in times], [y] * len(times), s=14, color=ORANGE, zorder=2)
        labels.append(printable(place.label if len(survey.sessions) == 1 else f"{place.label}, {s.name}"))
    axes.xaxis_date()
    axes.set_xlim(
        date2num(min(s.first for s in survey.sessions) - DAY), date2num(max(s.span.end for s in survey.sessions) + DAY)
    )
    axes.tick_params(axis="x", rotation=30)
    _name_rows(axes, labels, "Working cameras (bars) and captures (dots)")


def _name_rows(axes: Axes, names: Sequence[str], title: str) -> None:
    """Write the names of the rows, from below, and the title. Names have LONGEST letters at most.

    Where the figure has its largest height, names get smaller; where they would be too small, only every so many is
    written, which the title tells.
    """
    room = min(ROW, (TALLEST - EDGE) / max(len(names), 1)) * 72  # points
    every = math.ceil(LEAST * LINE / room)
    shown = range(len(names))[::-every][::-1]  # the one at the top is among them
    axes.set_yticks(shown, [shortened(names[n], LONGEST) for n in shown], fontsize=min(LETTER, every * room / LINE))
    axes.set_title(title if every == 1 else f"{title}; one of {every} names is written")


def _map(axes: Axes, survey: Survey, positions: dict[str, tuple[float, float]]) -> None:
    """Draw the stations, larger with more captures, and lines between recaptures. There is no base map."""
    captures: dict[str, int] = defaultdict(int)
    for c in {c.cell: c for c in survey.captures}.values():
        captures[c.place] += 1
    lines: dict[tuple[str, str], int] = defaultdict(int)
    for m in movements(survey.captures, positions):
        lines[min(m.origin, m.target), max(m.origin, m.target)] += 1
    for (a, b), n in sorted(lines.items()):
        if a in positions and b in positions:
            (x0, y0), (x1, y1) = positions[a], positions[b]
            axes.plot([x0 / 1000, x1 / 1000], [y0 / 1000, y1 / 1000], color=ORANGE, linewidth=0.8 + 0.4 * n, alpha=0.6)
    for label, (x, y) in positions.items():
        n = captures[label]
        axes.scatter([x / 1000], [y / 1000], s=25 + 18 * n, color=BLUE if n else GREY, zorder=2, edgecolors="white")
        axes.annotate(printable(label), (x / 1000, y / 1000), xytext=(4, 4), textcoords="offset points", fontsize=7)
    axes.set_aspect("equal", adjustable="datalim")
    axes.ticklabel_format(useOffset=False, style="plain")
    axes.set_xlabel(f"east (km), EPSG:{survey.crs}")
    axes.set_ylabel("north (km)")
    axes.set_title("Stations, captures (size) and movements between stations (lines)")
