"""Parts that several commands use: paths, options, notes and the progress bar."""

from __future__ import annotations

import math
import os
import sys
import time
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from snowmatch.cli.advice import DECISIONS, with_advice
from snowmatch.core.home import PROGRESS_FILE

if TYPE_CHECKING:
    from snowmatch.core.notes import Note


class Place(click.Path):
    """A file or folder. The code that uses it reports whether it exists and can be read."""

    def convert(self, value: Any, parameter: click.Parameter | None, ctx: click.Context | None) -> Path:
        """Return the value as a path. An empty value is a usage error."""
        if not str(value):
            self.fail("empty name: expected a file or folder", parameter, ctx)
        return Path(os.fsdecode(super().convert(value, parameter, ctx)))


class Number(click.FloatRange):
    """A number in a range. `nan` and `inf` are in none: every comparison lets the first pass."""

    def convert(self, value: Any, parameter: click.Parameter | None, ctx: click.Context | None) -> float:
        """Return the value as a number. Anything else is a usage error."""
        number: float = super().convert(value, parameter, ctx)
        if not math.isfinite(number):
            self.fail(f"{value!r}: expected a finite number", parameter, ctx)
        return number


PATH = Place(path_type=Path, readable=False)


def _options(ctx: click.Context, parameter: click.Parameter, values: tuple[str, ...]) -> dict[str, str]:
    pairs = {}
    for value in values:
        key, equals, text = value.partition("=")
        if not equals or not key:
            raise click.BadParameter(f"{value!r}: expected key=value, such as -o max_features=2000")
        pairs[key.strip()] = text.strip()
    return pairs


def _extractors(ctx: click.Context, parameter: click.Parameter, values: tuple[str, ...]) -> tuple[str, ...] | None:
    return values or None


extractor_option = click.option(
    "--extractor",
    "extractors",
    multiple=True,
    callback=_extractors,
    metavar="NAME",
    help="Extractor of the features. Repeat it to combine several.  [default: the extractor of the index]",
)
matcher_option = click.option(
    "--matcher",
    default="lnbnn",
    show_default=True,
    metavar="NAME",
    help="Matcher that compares photos; `snowmatch plugins` lists all.",
)
fast_option = click.option(
    "--fast", is_flag=True, help="Allow the matcher lightglue to stop early. The answers may differ a little."
)
MOST_DRAWS = 10_000  # of who is who
UNITS = {"GB": 10**9, "MB": 10**6}


def _limit_memory(ctx: click.Context, parameter: click.Parameter, value: str | None) -> None:
    if value is None:
        return
    text = value.strip().upper()
    number, unit = text[:-2].strip(), UNITS.get(text[-2:])
    if unit is None or not number.isascii() or not number.isdigit() or not int(number):
        raise click.BadParameter(f"{value!r}: expected a whole number with MB or GB, such as 8GB")
    from snowmatch.api import limit_memory

    limit_memory(int(number) * unit)


def _say_absent(ctx: click.Context, parameter: click.Parameter, path: Path | None) -> Path | None:
    if path is not None:
        from snowmatch.review.identities import absent_notes

        ctx.meta[DECISIONS] = path
        say_notes(absent_notes(path))
    return path


decisions_option = click.option(
    "--decisions",
    type=PATH,
    callback=_say_absent,
    metavar="FILE",
    help="File of decisions.  [default: CATALOG/decisions.sqlite]",
)


memory_option = click.option(
    "--memory",
    callback=_limit_memory,
    expose_value=False,
    metavar="SIZE",
    help="Memory for loaded search indexes, such as 8GB. A large catalog is slower with less.  "
    "[default: half of this computer's, or of its container's limit]",
)


def _use_cluster(ctx: click.Context, parameter: click.Parameter, where: str | None) -> None:
    if where is not None:
        if ctx.params.get("workers") is not None:
            raise click.UsageError("--workers is of no use with --cluster, whose own processes do the work")
        from snowmatch.core.executor import use_cluster

        ctx.with_resource(use_cluster(where))


workers_option = click.option(
    "--workers",
    type=click.IntRange(min=1),
    is_eager=True,  # known when --cluster is looked at
    help="Number of processes.  [default: all cores]",
)
cluster_option = click.option(
    "--cluster",
    callback=_use_cluster,
    expose_value=False,
    metavar="ADDRESS",
    help="Use the Dask cluster at this address, such as tcp://10.0.0.5:8786, or local:N for N processes. Its computers "
    "need the catalog under the same path.",
)
sample_option = click.option(
    "--sample",
    type=click.IntRange(min=1),
    metavar="N",
    help="Ask at most N photos, those of a random sample of encounters: always the same ones. An encounter is asked as "
    "a whole, and one at least.  [default: all, or as many as fit into 3 GB]",
)
new_option = click.option(
    "--new",
    type=Number(0, 1, min_open=True, max_open=True),
    metavar="P",
    help="Probability, before looking, that the animal is not on record, such as 0.2.  [default: from the catalog]",
)
setting_option = click.option(
    "-o",
    "options",
    multiple=True,
    callback=_options,
    metavar="KEY=VALUE",
    help="Change a setting; may be repeated. `snowmatch plugins` lists all.",
)
force_option = click.option(
    "--force", is_flag=True, help="Replace files that snowmatch did not write, or that somebody has edited."
)
json_option = click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")


def method_of(extractors: tuple[str, ...] | None, matcher: str, options: dict[str, str], fast: bool) -> dict[str, Any]:
    """Return the options of the method as keyword arguments of the Python interface."""
    return {
        "extractor": extractors,
        "matcher": matcher,
        "options": {**options, "fast": "true"} if fast else options,
    }


def options_given(*names: str) -> list[str]:
    """Return which of some options of the present command were typed."""
    context = click.get_current_context()
    return [name for name in names if context.get_parameter_source(name) is ParameterSource.COMMANDLINE]


def print_text(text: str, *, err: bool = False, nl: bool = True) -> None:
    """Print text for people. Every command prints by this function: no name can alter the terminal."""
    from snowmatch.core.text import printable_lines

    click.echo(printable_lines(text), err=err, nl=nl)


def say(text: str) -> None:
    """Print a note to stderr."""
    print_text(f"note: {text}", err=True)


def say_notes(notes: Iterable[Note]) -> None:
    """Print notes to stderr, each with the command or option to type."""
    for note in notes:
        say(with_advice(" ".join(note.text.splitlines()), note.code, note.data))


def say_failed(failed: Iterable[tuple[str, str]]) -> None:
    """Print the photos that failed to stderr, each with the reason."""
    for path, reason in failed:
        print_text(" ".join(f"failed: {path}: {reason}".splitlines()), err=True)


def print_json(value: Any) -> None:
    """Print one JSON object to stdout."""
    import json

    from snowmatch.core.text import escaped_json

    encoding = (getattr(sys.stdout, "encoding", None) or "").lower()
    unicode = encoding.startswith("utf")  # others lack letters: \\u0421 is JSON too
    click.echo(escaped_json(json.dumps(value, ensure_ascii=not unicode, indent=2, allow_nan=False)))


class Bar:
    """A progress bar on stderr with rate and remaining time. It is shown only if stderr is a terminal.

    If the environment names a file in PROGRESS_FILE, as the app does for the work that it starts, the progress is
    written there too, twice a second at most.
    """

    def __init__(self, title: str, unit: str) -> None:
        self.title, self.unit = title, unit
        self.bar: Any = None
        self.file, self.written, self.began = os.environ.get(PROGRESS_FILE, ""), 0.0, time.monotonic()

    def __enter__(self) -> Bar:
        return self

    def update(self, done: int, total: int) -> None:
        """Show that `done` of `total` units are finished."""
        from tqdm import tqdm

        if self.bar is None:
            scale = self.unit == "B"  # bytes are shown as 2.7M, photos as 2700
            self.bar = tqdm(total=total, desc=self.title, unit=f" {self.unit}", unit_scale=scale, disable=None)
        self.bar.total = total  # it may grow
        self.bar.update(done - self.bar.n)
        if self.file and (done >= total or time.monotonic() - self.written > 0.5):
            self._write(done, total)

    def _write(self, done: int, total: int) -> None:
        import json
        from contextlib import suppress

        from snowmatch.core.errors import SnowmatchError
        from snowmatch.core.files import replace_file
        from snowmatch.core.plain import with_json_sum

        self.written = time.monotonic()
        values = {"title": self.title, "unit": self.unit, "done": done, "total": total}
        text = json.dumps(with_json_sum({**values, "seconds": round(self.written - self.began, 1)}))
        with suppress(SnowmatchError):  # the work itself goes on
            replace_file(Path(self.file), lambda file: file.write(text.encode()))

    def __exit__(self, *_: object) -> None:
        if self.bar is not None:
            self.bar.close()
