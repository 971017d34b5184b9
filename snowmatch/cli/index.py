"""The command `snowmatch index`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click

from snowmatch.cli.shared import (
    PATH,
    Bar,
    cluster_option,
    decisions_option,
    print_text,
    say_failed,
    say_notes,
    setting_option,
    workers_option,
)


@click.command()
@click.argument("catalog", type=PATH)
@click.option(
    "--extractor", metavar="NAME", help="Extractor of the features; `snowmatch plugins` lists all.  [default: hesaff]"
)
@setting_option
@decisions_option
@workers_option
@cluster_option
@click.option(
    "--dates",
    type=click.Choice(("dmy", "mdy")),
    help="What 3/4/2021 means in this catalog: dmy is 3 April, mdy is 4 March.",
)
@click.option(
    "--encounter-gap",
    type=float,
    metavar="MIN",
    help="Photos further apart are two encounters.  [default: what the catalog keeps, first 60]",
)
@click.option(
    "--longest-encounter",
    type=float,
    metavar="H",
    help="Longer encounters are cut.  [default: what the catalog keeps, first 24]",
)
@click.option(
    "--bursts/--no-bursts",
    default=None,
    help="Whether photos without a time that follow each other and look alike are one encounter.  [default: what the "
    "catalog keeps, first yes]",
)
@click.option(
    "--classifier",
    metavar="NAME",
    help="Network that tells where the animal is in a photo without a box or mask; none for no network.  [default: "
    "what the catalog keeps, first efficientnet_lite0, if its weights are on this computer]",
)
@click.option(
    "--boxes/--no-boxes",
    default=None,
    help="Whether animals without a box or mask get the box that snowmatch finds.  [default: what the catalog "
    "keeps, first yes]",
)
@click.option("--verify", is_flag=True, help="Check all stored features. Without it, each run checks 1 GB of them.")
@click.option(
    "--prune",
    is_flag=True,
    help="Delete what is stored about photos that are no longer in the catalog: this extractor's features, "
    "identifiers, what the screening found. Also the answers of earlier batches.",
)
@click.option(
    "--compact",
    is_flag=True,
    help="Drop what can be made again: the search index, previews, free space. Answers stay the same.",
)
def index(
    catalog: Path,
    extractor: str | None,
    options: dict[str, str],
    decisions: Path | None,
    workers: int | None,
    verify: bool,
    prune: bool,
    compact: bool,
    **settings: Any,
) -> None:
    """Find and store the features of all photos in CATALOG.

    Queries need these features. Only new and changed photos are read. If the run was stopped, the same command
    continues it. The catalog keeps --dates, --encounter-gap, --longest-encounter, --bursts, --classifier and --boxes.

    \b
    Example:
      snowmatch index catalog/ --workers 4
    """
    from snowmatch.api import open_catalog
    from snowmatch.core.notes import unique

    given = {name: value for name, value in settings.items() if value is not None}
    opened = open_catalog(catalog, decisions, **given)
    try:
        with (
            Bar("reading", "photo") as files,
            Bar("foreground", "photo") as maps,
            Bar("indexing", "annotation") as bar,
            Bar("search index", "descriptor") as blocks,
        ):
            report = opened.index(
                extractor,
                options,
                workers=workers,
                prune=prune,
                compact=compact,
                verify=verify,
                reading=files.update,
                mapping=maps.update,
                progress=bar.update,
                building=blocks.update,
            )
    except KeyboardInterrupt:
        raise click.ClickException("stopped; the finished photos are stored, and the same command continues") from None
    print_text(report.summary())
    say_notes(unique((*report.notes, *opened.notes())))
    say_failed(report.failed)
    if report.failed:
        sys.exit(1)
