"""Small SVG figures for pages: curves of shares, and the reliability diagram. The same values give the same text."""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from itertools import pairwise

from snowmatch.confidence.quality import Bin
from snowmatch.core.text import printable

SIDE, EDGE = 240, 44  # units: the square of the axes, and the margin around it
# Source: the palette for the colour-blind of Okabe & Ito 2008; the strokes tell the lines apart without colours
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#8a6d00", "#56b4e9", "#222222")
STROKES = ("", "6 3", "2 3", "8 3 2 3")


def curves_svg(
    title: str, across: str, up: str, lines: Mapping[str, Sequence[tuple[float, float]]], *, steps: bool = False
) -> str:
    """Return curves in a square from 0 to 1 as SVG. lines: points by name; a line without points is left out.

    steps: whether the value holds from the point before up to each point, as the area of precision counts it.
    """
    parts = []
    shown = [(name, points) for name, points in lines.items() if points]
    for n, (name, points) in enumerate(shown):
        at = [points[0]]
        for before, point in pairwise(points):
            at += [(before[0], point[1]), point] if steps else [point]
        if steps:
            at.insert(0, (0.0, points[0][1]))
        path = " ".join(f"{_x(x):.1f},{_y(y):.1f}" for x, y in at)
        look = f'stroke="{COLOURS[n % len(COLOURS)]}" stroke-dasharray="{STROKES[n % len(STROKES)]}"'
        parts.append(f'<polyline points="{path}" fill="none" stroke-width="2" {look}/>')
        y = SIDE + 2 * EDGE + 6 + 16 * n
        parts.append(f'<line x1="{EDGE}" x2="{EDGE + 26}" y1="{y}" y2="{y}" stroke-width="2" {look}/>')
        parts.append(f'<text x="{EDGE + 32}" y="{y + 4}">{_text(name)}</text>')
    return _figure(title, across, up, parts, 16 * len(shown))


def reliability_svg(title: str, bins: Sequence[Bin]) -> str:
    """Return the reliability diagram as SVG: the share of right answers by stated probability, with 95 % intervals.

    Source: Murphy & Winkler 1977, Applied Statistics 26.
    """
    parts = [f'<line x1="{_x(0)}" y1="{_y(0)}" x2="{_x(1)}" y2="{_y(1)}" stroke="#999" stroke-dasharray="3 3"/>']
    most = max((group.answers for group in bins), default=1)
    for group in bins:
        x, y = f"{_x(group.stated):.1f}", f"{_y(group.right / group.answers):.1f}"
        parts.append(f'<line x1="{x}" x2="{x}" y1="{_y(group.low):.1f}" y2="{_y(group.high):.1f}" stroke="#777"/>')
        radius = 3 + 5 * (group.answers / most) ** 0.5
        parts.append(f'<circle cx="{x}" cy="{y}" r="{radius:.1f}" fill="{COLOURS[0]}"/>')
    return _figure(title, "score of the answer", "share that is right", parts, 0)


def _figure(title: str, across: str, up: str, parts: Sequence[str], more: int) -> str:
    width, height = SIDE + 2 * EDGE, SIDE + 2 * EDGE + more
    middle = EDGE + SIDE / 2
    frame = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" '
        f'role="img" aria-label="{_text(title)}" font-family="sans-serif" font-size="11">',
        f'<rect width="{width}" height="{height}" fill="white"/>',
        f'<rect x="{EDGE}" y="{EDGE}" width="{SIDE}" height="{SIDE}" fill="none" stroke="#999"/>',
        f'<text x="{EDGE}" y="{EDGE - 14}" font-size="13" font-weight="bold">{_text(title)}</text>',
        f'<text x="{middle}" y="{EDGE + SIDE + 32}" text-anchor="middle">{_text(across)}</text>',
        f'<text transform="translate(12 {middle}) rotate(-90)" text-anchor="middle">{_text(up)}</text>',
    ]
    for share in (0.0, 0.25, 0.5, 0.75, 1.0):
        frame.append(f'<text x="{_x(share):g}" y="{EDGE + SIDE + 15}" text-anchor="middle">{share:g}</text>')
        frame.append(f'<text x="{EDGE - 5}" y="{_y(share) + 4:g}" text-anchor="end">{share:g}</text>')
    return "\n".join([*frame, *parts, "</svg>"])


def _x(share: float) -> float:
    return EDGE + SIDE * share


def _y(share: float) -> float:
    return EDGE + SIDE * (1 - share)


def _text(text: str) -> str:
    return html.escape(printable(text))
