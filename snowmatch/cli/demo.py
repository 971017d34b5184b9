"""The command `snowmatch demo`."""

from __future__ import annotations

from pathlib import Path

import click

from snowmatch.cli.shared import PATH, Bar, print_text


@click.command()
@click.argument("folder", type=PATH, default=Path("snowmatch-demo"), metavar="[DIR]")
def demo(folder: Path) -> None:
    """Make a small synthetic survey and answer its queries.

    The survey is written to the folder DIR; the default is snowmatch-demo. The cats are drawn by the computer; no
    animal is real. DIR/catalog contains the indexed photos, DIR/queries the photos to identify, and DIR/answer the
    answers as text, JSON and pictures.

    \b
    Example:
      snowmatch demo my-demo
    """
    from snowmatch.demo.run import run_demo

    with Bar("survey", "photo") as drawn, Bar("indexing", "annotation") as indexed:
        text = run_demo(folder, drawn=drawn.update, indexed=indexed.update)
    print_text(text)
