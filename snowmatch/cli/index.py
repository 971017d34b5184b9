"""The command `snowmatch index`."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from snowmatch.cli.shared import PATH, Bar, say_failed, say_notes, setting_option


@click.command()
@click.argument("catalog", type=PATH)
@click.option(
    "--extractor", metavar="NAME", help="Extractor of the features; `snowmatch plugins` lists all.  [default: hesaff]"
)
@setting_option
@click.option("--workers", type=click.IntRange(min=1), help="Number of processes.  [default: all cores]")
@click.option("--prune", is_flag=True, help="Delete the features of photos that are no longer in the catalog.")
def index(catalog: Path, extractor: str | None, options: dict[str, str], workers: int | None, prune: bool) -> None:
    """Find and store the features of all photos in CATALOG.

    Queries need these features. Only new and changed photos are read. If the run was stopped, the same command
    continues it.

    \b
    Example:
      snowmatch index catalog/ --workers 4
    """
    from snowmatch.api import open_catalog

    opened = open_catalog(catalog)
    try:
        with Bar("indexing", "annotation") as bar, Bar("foreground", "photo") as maps:
            report = opened.index(
                extractor, options, workers=workers, prune=prune, progress=bar.update, mapping=maps.update
            )
    except KeyboardInterrupt:
        raise click.ClickException("stopped; the finished photos are stored, and the same command continues") from None
    click.echo(report.summary())
    say_notes((*report.notes, *opened.notes()))
    say_failed(report.failed)
    if report.failed:
        sys.exit(1)
