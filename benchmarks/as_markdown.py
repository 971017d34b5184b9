"""Functions that write numbers and tables as Markdown."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from snowmatch.core.files import replace_file

MARKERS = "<!-- {} -->", "<!-- /{} -->"
NOTHING = "–"


def percent(value: float, digits: int = 0) -> str:
    """Return a share as a percentage. "100 %" and "0 %" appear only for exactly 1 and 0."""
    text = f"{100 * value:.{digits}f}"
    if digits == 0 and ((text == "100" and value < 1) or (text == "0" and value > 0)):
        return ">99 %" if value > 0.5 else "<1 %"
    return f"{text} %"


def decimal(value: float, digits: int = 0) -> str:
    return f"{value:.{2 + digits}f}"


def quantity(value: float, digits: int = 0) -> str:
    """Return a number with three significant digits, and commas between the thousands."""
    if value == 0:
        return "0"
    return f"{value:,.{digits}f}" if abs(value) >= 999.5 else f"{float(f'{value:.{3 + digits}g}')}".removesuffix(".0")


def ratio(value: float, digits: int = 0) -> str:
    """Return a number with two decimals, or with three significant digits if it is below 0.1 or from 100 up."""
    return quantity(value, digits) if value < 0.1 or value >= 100 else f"{value:.{2 + digits}f}"


def seconds(value: float, digits: int = 0) -> str:
    return f"{quantity(value, digits)} s"


def plain(text: Any) -> str:
    """Return the text with Markdown characters escaped, for a table cell."""
    text = " ".join(str(text).split())
    for sign in "\\|*`<":
        text = text.replace(sign, "\\" + sign)
    return text


def code(text: str) -> str:
    """Return a command as Markdown code. The command may contain backticks."""
    fence = "``" if "`" in text else "`"
    space = " " if "`" in text else ""
    return fence + space + " ".join(text.split()) + space + fence


def table(headings: Sequence[str], rows: Iterable[Sequence[str]], left: int = 1) -> str:
    """Return a Markdown table. The first `left` columns are text, the others are numbers."""
    sides = ["---" if i < left else "---:" for i in range(len(headings))]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in (headings, sides, *rows))


def shown(value: float | None, show: Callable[..., str]) -> str:
    return NOTHING if value is None else show(value)


def number(result: dict[str, Any], *names: str) -> float | None:
    """Return the number at result[name][name]...; None if any part of the path is missing or null."""
    value: Any = result
    for name in names:
        value = value.get(name) if isinstance(value, dict) else None
    return value


def listed(parts: Sequence[str]) -> str:
    """Join several parts of a sentence with commas, and with "and" before the last part."""
    return " and ".join(filter(None, (", ".join(parts[:-1]), *parts[-1:])))


def in_brackets(figure: dict[str, Any], show: Callable[..., str]) -> str:
    """Return a figure with its 95 % interval in brackets."""
    if figure["value"] is None:
        return NOTHING
    if figure["low"] is None:
        return show(figure["value"])
    return f"{show(figure['value'])} [{show(figure['low'])}, {show(figure['high'])}]"


def with_bounds(figure: Sequence[float | None] | None, show: Callable[..., str]) -> str:
    """Return a figure [value, low, high] with its 95 % interval in brackets, if it is known; a dash without a value."""
    if figure is None or figure[0] is None:
        return NOTHING
    if figure[1] is None:
        return show(figure[0])
    value, low, high = (shown(each, show) for each in figure)
    return f"{value} ({low.removesuffix(' %')}–{high.removesuffix(' %')})"


def between_markers(text: str, name: str, new: str, path: Path) -> str:
    """Return the text with `new` between the markers `name`. Without markers the text is unchanged.

    Raises SystemExit if the two markers are not there exactly once each, in this order.
    """
    begin, end = (marker.format(name) for marker in MARKERS)
    if begin not in text and end not in text:
        return text
    if text.count(begin) != 1 or text.count(end) != 1 or text.index(end) < text.index(begin):
        raise SystemExit(f"{path}: expected {begin} and then {end}, once each; correct the markers.")
    before, _, rest = text.partition(begin)
    return f"{before}{begin}\n\n{new}\n\n{end}{rest.partition(end)[2]}"


def write(path: Path, text: str) -> None:
    """Write the text to a file and print the path."""
    write_text(path, text)
    print(f"wrote {path}")


def write_text(path: Path, text: str) -> None:
    """Write the text to a file, completely or not at all, with the same line ends on every system."""
    path.parent.mkdir(parents=True, exist_ok=True)
    replace_file(path, lambda file: file.write(text.encode("utf-8")))
