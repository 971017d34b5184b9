"""The commands `snowmatch show` (contents of a catalog) and `snowmatch plugins`."""

from __future__ import annotations

from pathlib import Path

import click

from snowmatch.cli.shared import PATH, decisions_option, print_text, say_notes


@click.command()
@click.argument("catalog", type=PATH)
@decisions_option
def show(catalog: Path, decisions: Path | None) -> None:
    """List the individuals and the encounters of CATALOG.

    The last table counts the annotations by state: indexed, missing (not indexed yet), stale (the photo, its box or its
    mask has changed since) and failed (unreadable).

    \b
    Example:
      snowmatch show catalog/
    """
    from snowmatch.api import open_catalog
    from snowmatch.views.catalog import format_overview

    opened = open_catalog(catalog, decisions)
    print_text(format_overview(opened))
    say_notes(opened.notes())


@click.command()
def plugins() -> None:
    """List the plugins of all kinds with their settings: extractors, matchers, detectors, importers and others.

    The value of each setting is its default.

    \b
    Example:
      snowmatch plugins
    """
    from snowmatch.views.plugins import format_plugins

    print_text(format_plugins())
