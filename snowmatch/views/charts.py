"""Charts of a survey as positions for a drawing: bars with a curve, steps, rows of days, a table of pairs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import numpy as np

from snowmatch.core.text import printable, shortened
from snowmatch.survey.co_use import CoUse
from snowmatch.survey.gaps import runs
from snowmatch.survey.run import Survey

WIDTH, HEIGHT = 560, 230  # px of bars and steps
LEFT, RIGHT, TOP, BOTTOM = 44, 12, 12, 30  # px of the empty edges
TICKS = 5
NAME, ROW = 110, 18  # px of the names on the left, and of a row
ROWS = 60  # stations that the drawing of the effort has
DATES = 6
ANIMALS, CELL = 14, 28  # of the drawing of pairs, and px


@dataclass(frozen=True)
class Bar:
    """One bar. what: of the axis below. value: None where nothing is known."""

    x: float
    y: float
    width: float
    height: float
    what: str
    value: float | None


@dataclass(frozen=True)
class Bars:
    """Bars, and a curve over them ("" without one). marks: (x, text) below the axis. ticks: (y, text) beside it."""

    width: int
    height: int
    bottom: float
    bars: tuple[Bar, ...]
    curve: str
    marks: tuple[tuple[float, str], ...]
    ticks: tuple[tuple[float, str], ...]


def make_bars(
    values: Sequence[float | None], whats: Sequence[str], every: int = 1, curve: Sequence[float] | None = None
) -> Bars:
    """Return bars of values, (N,). whats: of each bar; each `every`-th is written. curve: (M,), from edge to edge."""
    known = [v for v in values if v is not None]
    top, ticks = _scale(max([*known, *(curve if curve is not None else ())], default=0.0))
    room = HEIGHT - TOP - BOTTOM
    step = (WIDTH - LEFT - RIGHT) / max(len(values), 1)

    def y_of(value: float) -> float:
        return round(TOP + room * (1 - value / top), 1)

    bars = tuple(
        Bar(round(LEFT + n * step + 1, 1), y_of(v or 0), round(step - 2, 1), round(room * (v or 0) / top, 1), what, v)
        for n, (v, what) in enumerate(zip(values, whats, strict=True))
    )
    marks = tuple((round(LEFT + (n + 0.5) * step, 1), what) for n, what in enumerate(whats) if n % every == 0)
    line = ""
    if curve is not None:
        across = np.linspace(LEFT, WIDTH - RIGHT, len(curve))
        line = "M" + "L".join(f"{x:.1f} {y_of(float(y))}" for x, y in zip(across, curve, strict=True))
    return Bars(WIDTH, HEIGHT, HEIGHT - BOTTOM, bars, line, marks, tuple((y_of(v), text) for v, text in ticks))


@dataclass(frozen=True)
class Steps:
    """Lines that go up in steps, one for each name. lines: (path, name, last value, y of its end)."""

    width: int
    height: int
    bottom: float
    right: float
    lines: tuple[tuple[str, str, int, float], ...]
    marks: tuple[tuple[float, str], ...]
    ticks: tuple[tuple[float, str], ...]


def make_steps(series: Mapping[str, Sequence[int]]) -> Steps:
    """Return lines of numbers that grow, by name, over 1, 2, 3 and so on."""
    longest = max((len(values) for values in series.values()), default=1)
    top, ticks = _scale(max((max(values, default=0) for values in series.values()), default=0))
    room = HEIGHT - TOP - BOTTOM
    step = (WIDTH - LEFT - RIGHT) / longest

    def y_of(value: float) -> float:
        return round(TOP + room * (1 - value / top), 1)

    lines = []
    for name, values in series.items():
        path = f"M{LEFT} {y_of(0)}" + "".join(f"V{y_of(v)}H{LEFT + (n + 1) * step:.1f}" for n, v in enumerate(values))
        lines.append((path, printable(name), values[-1] if values else 0, y_of(values[-1] if values else 0)))
    every = max(-(-longest // 12), 1)
    marks = tuple((round(LEFT + (n + 0.5) * step, 1), str(n + 1)) for n in range(0, longest, every))
    ends = tuple((y_of(v), text) for v, text in ticks)
    return Steps(WIDTH, HEIGHT, HEIGHT - BOTTOM, WIDTH - RIGHT, tuple(lines), marks, ends)


@dataclass(frozen=True)
class EffortRow:
    """One station. short: what is drawn of its name. spans: (x, width, many) of days with effort; many: above one
    camera. dots: path of its sightings.
    """

    y: float
    short: str
    name: str
    spans: tuple[tuple[float, float, bool], ...]
    dots: str


@dataclass(frozen=True)
class EffortChart:
    """Days from left to right, a row for each station. hidden: stations that are not drawn."""

    width: int
    height: int
    bottom: float
    left: int
    rows: tuple[EffortRow, ...]
    ticks: tuple[tuple[float, str], ...]
    hidden: int


def make_effort(survey: Survey) -> EffortChart:
    """Return when the cameras of each station worked, and when it saw animals. Sessions stand in one row."""
    first = min(s.first for s in survey.sessions)
    last = max(s.span.end for s in survey.sessions)
    room, days = WIDTH - NAME - RIGHT, (last - first).total_seconds() / 86400

    def x_of(moment: datetime) -> float:
        return round(NAME + room * (moment - first).total_seconds() / 86400 / days, 1)

    seen: dict[str, set[float]] = {p.label: set() for p in survey.places}
    for place, moment in [(c.place, c.start) for c in survey.captures] + [(u.place, u.start) for u in survey.unnamed]:
        seen[place].add(x_of(moment))
    rows = []
    for n, p in enumerate(survey.places[:ROWS]):
        spans = []
        for s in survey.sessions:
            effort = survey.effort[s.name][n]
            for many in (False, True):
                for start, end in runs((effort > 1) if many else (effort > 0) & (effort <= 1)):
                    x = x_of(s.day(start).start)
                    spans.append((x, round(max(x_of(s.day(end).start) - x, 0.5), 1), many))
        name = printable(p.label)
        y = TOP + ROW * (n + 0.5)
        dots = "".join(f"M{x:g} {y:g}h0" for x in sorted(seen[p.label]))
        rows.append(EffortRow(y, shortened(name, 14), name, tuple(sorted(spans)), dots))
    bottom = TOP + ROW * len(rows)
    marks = [first + (last - first) * k / (DATES - 1) for k in range(DATES - 1)] if days >= DATES else [first]
    ticks = tuple((x_of(day), f"{day:%Y-%m-%d}") for day in marks)
    return EffortChart(WIDTH, bottom + BOTTOM, bottom, NAME, tuple(rows), ticks, max(len(survey.places) - ROWS, 0))


@dataclass(frozen=True)
class Pair:
    """How often two animals used one station within some days. shade: 1 to 3."""

    x: float
    y: float
    first: str
    second: str
    count: int
    shade: int


@dataclass(frozen=True)
class PairChart:
    """A square of animals by animals. names: (position, short name, name). hidden: animals that are not drawn."""

    size: int
    left: int
    cell: int
    names: tuple[tuple[float, str, str], ...]
    pairs: tuple[Pair, ...]
    hidden: int


def make_pairs(met: Sequence[CoUse]) -> PairChart | None:
    """Return the pairs as a square; None without any. The animals with the most meetings are drawn, in their order."""
    total: dict[str, int] = {}
    both: dict[tuple[str, str], int] = {}
    for m in met:
        both[m.first, m.second] = both.get((m.first, m.second), 0) + m.meetings
        for name in (m.first, m.second):
            total[name] = total.get(name, 0) + m.meetings
    if not total:
        return None
    names = sorted(sorted(total, key=lambda name: (-total[name], name))[:ANIMALS])
    number = {name: n for n, name in enumerate(names)}
    most = max(both.values())
    pairs = []
    for (a, b), count in sorted(both.items()):
        if a in number and b in number:
            shade = 3 if count > most * 2 / 3 else 2 if count > most / 3 else 1
            for one, other in ((a, b), (b, a)):
                x, y = NAME + number[other] * CELL, number[one] * CELL
                pairs.append(Pair(x, y, printable(one), printable(other), count, shade))
    shown = [printable(name) for name in names]
    marks = tuple((n * CELL + CELL / 2, shortened(name, 13), name) for n, name in enumerate(shown))
    return PairChart(len(names) * CELL, NAME, CELL, marks, tuple(pairs), len(total) - len(names))


def _scale(most: float) -> tuple[float, list[tuple[float, str]]]:
    """Return the top of an axis that holds `most`, and its ticks: multiples of 1, 2 or 5 of a power of ten."""
    if most <= 0:
        return 1.0, [(0.0, "0"), (1.0, "1")]
    power = 10.0 ** np.floor(np.log10(most / TICKS))
    step = next(float(n * power) for n in (1, 2, 5, 10) if n * power * TICKS >= most * (1 - 1e-9))
    count = int(np.ceil(most / step - 1e-9))
    return step * count, [(step * n, f"{step * n:.6g}") for n in range(count + 1)]
