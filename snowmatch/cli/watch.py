"""The command `snowmatch watch`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from snowmatch.cli.shared import (
    PATH,
    extractor_option,
    method_of,
    print_text,
    say,
    say_failed,
    say_notes,
    setting_option,
)

if TYPE_CHECKING:
    from snowmatch.review.watch import Arrival


@click.command()
@click.argument("folder", type=PATH)
@click.option("--catalog", type=PATH, required=True, metavar="DIR", help="Catalog that is asked.")
@click.option("--bodypart", metavar="PART", help="What the photos show, such as left_flank.  [default: unknown]")
@click.option(
    "--location", "locations", multiple=True, metavar="NAME", help="Only animals of this location; repeat it."
)
@click.option("--every", type=click.FloatRange(0.1), default=1.0, show_default=True, help="Seconds between two looks.")
@click.option(
    "--quiet",
    type=click.FloatRange(0),
    default=3.0,
    show_default=True,
    help="Seconds that a photo must be unchanged: it may still be copied.",
)
@click.option("--events", type=PATH, metavar="FILE", help="Add one JSON object a sighting to FILE, for other programs.")
@click.option(
    "--notify",
    multiple=True,
    metavar="NAME",
    help='Ring the terminal\'s bell for this individual; "new" for new animals. Repeat it for several.',
)
@click.option("--once", is_flag=True, help="Stop when everything that is there was asked.")
@extractor_option
@setting_option
def watch(
    folder: Path,
    catalog: Path,
    bodypart: str | None,
    locations: Sequence[str],
    every: float,
    quiet: float,
    events: Path | None,
    notify: Sequence[str],
    once: bool,
    extractors: Sequence[str] | None,
    options: dict[str, str],
) -> None:
    """Ask about the photos in FOLDER as they arrive: a card that is copied, a folder that is synchronised.

    One line for each sighting. What was asked is remembered in the catalog, so nothing is asked twice, also after a
    restart. The folder may disappear and return. Photos are not added to the catalog. Press Ctrl-C to stop.

    \b
    Example:
      snowmatch watch cards/ --catalog catalog/ --bodypart left_flank --notify new --events sightings.jsonl
    """
    from snowmatch.review.watch import add_events, watch
    from snowmatch.views.watch import format_sighting

    told: set[str] = set()

    def show(arrival: Arrival) -> None:
        say_notes(note for note in arrival.notes if note.text not in told)
        told.update(note.text for note in arrival.notes)
        if not arrival.here:
            say(f"{folder} cannot be read: waiting until it returns")
        for row in arrival.rows:
            called = row.decision if row.decision == "new" else row.individual
            bell = "\a" if called in notify else ""
            print_text(format_sighting(row))
            if bell:
                click.echo(bell, nl=False, err=True)
        if events is not None and arrival.rows:
            add_events(events, arrival.rows)
        say_failed(arrival.failed)

    chosen = method_of(tuple(extractors) if extractors else None, "lnbnn", options, False)
    say(f"watching {folder}; Ctrl-C stops")
    try:
        watch(
            folder,
            catalog,
            show,
            every=every,
            quiet=quiet,
            body_part=bodypart,
            locations=locations,
            once=once,
            **chosen,
        )
    except KeyboardInterrupt:
        say("stopped; what was asked is remembered")
