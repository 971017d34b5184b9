"""What the commands share: paths, options, notes, and the progress bar."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from snowmatch.cli.advice import with_advice

if TYPE_CHECKING:
    from snowmatch.core.notes import Note


class Place(click.Path):
    """A file or folder; whether it is there and may be read is told by those who use it."""

    def convert(self, value: Any, parameter: click.Parameter | None, ctx: click.Context | None) -> Path:
        """The value as a path; an empty one is a usage error."""
        if not str(value):
            self.fail("an empty name; expected a file or folder", parameter, ctx)
        return Path(os.fsdecode(super().convert(value, parameter, ctx)))


PATH = Place(path_type=Path, readable=False)


def _options(ctx: click.Context, parameter: click.Parameter, values: tuple[str, ...]) -> dict[str, str]:
    pairs = {}
    for value in values:
        key, equals, text = value.partition("=")
        if not equals or not key:
            raise click.BadParameter(f"{value!r} is not key=value, such as -o max_features=2000")
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
    help="Which features to use. Repeat it to add up the evidence of several.  [default: what the catalog is "
    "indexed with]",
)
matcher_option = click.option(
    "--matcher", default="lnbnn", show_default=True, metavar="NAME", help="How photos are compared."
)
fast_option = click.option(
    "--fast", is_flag=True, help="Let the matcher lightglue stop early. Its answers may differ a little."
)
setting_option = click.option(
    "-o", "options", multiple=True, callback=_options, metavar="KEY=VALUE", help="A setting; `plugins` lists them."
)
force_option = click.option(
    "--force", is_flag=True, help="Replace files that snowmatch did not write, or that somebody has edited."
)
json_option = click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")


def method_of(extractors: tuple[str, ...] | None, matcher: str, options: dict[str, str], fast: bool) -> dict[str, Any]:
    """The method's options as the Python interface takes them."""
    return {
        "extractor": extractors,
        "matcher": matcher,
        "options": {**options, "fast": "true"} if fast else options,
    }


def print_text(text: str, *, err: bool = False, nl: bool = True) -> None:
    """Print text for people. Every command prints by this function: no name can alter the terminal."""
    from snowmatch.core.text import printable_lines

    click.echo(printable_lines(text), err=err, nl=nl)


def say(text: str) -> None:
    """Print a note on stderr."""
    print_text(f"note: {text}", err=True)


def say_notes(notes: Iterable[Note]) -> None:
    """Notes of an answer or a run on stderr, each with what to type."""
    for note in notes:
        say(with_advice(" ".join(note.text.splitlines()), note.code, note.data))


def say_failed(failed: Iterable[tuple[str, str]]) -> None:
    """Photos that failed on stderr, each with the reason."""
    for path, reason in failed:
        print_text(" ".join(f"failed: {path}: {reason}".splitlines()), err=True)


def print_json(value: Any) -> None:
    """One JSON object on stdout."""
    import json

    from snowmatch.core.text import escaped_json

    click.echo(escaped_json(json.dumps(value, ensure_ascii=False, indent=2, allow_nan=False)))


class Bar:
    """A progress bar on stderr with rate and time left, where somebody is watching."""

    def __init__(self, title: str, unit: str) -> None:
        self.title, self.unit = title, unit
        self.bar: Any = None

    def __enter__(self) -> Bar:
        return self

    def update(self, done: int, total: int) -> None:
        """So many are done of so many."""
        from tqdm import tqdm

        if self.bar is None:
            scale = self.unit == "B"  # 2.7M of bytes, but 2700 photos
            self.bar = tqdm(total=total, desc=self.title, unit=f" {self.unit}", unit_scale=scale, disable=None)
        self.bar.update(done - self.bar.n)

    def __exit__(self, *_: object) -> None:
        if self.bar is not None:
            self.bar.close()
