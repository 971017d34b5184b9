"""`snowmatch show` and `snowmatch plugins`: what a catalog holds, and what the program can do."""

from __future__ import annotations

from pathlib import Path

import click

from snowmatch.cli.shared import PATH, print_text, say_notes


@click.command()
@click.argument("catalog", type=PATH)
def show(catalog: Path) -> None:
    """List what CATALOG holds: individuals, encounters, what is indexed, stale or failed.

    \b
    Example:
      snowmatch show catalog/
    """
    from snowmatch.api import open_catalog
    from snowmatch.views.catalog import format_overview

    opened = open_catalog(catalog)
    print_text(format_overview(opened))
    say_notes(opened.notes())


@click.command()
def plugins() -> None:
    """List the extractors and matchers with their settings.

    \b
    Example:
      snowmatch plugins
    """
    from snowmatch.views.plugins import format_plugins

    print_text(format_plugins())
