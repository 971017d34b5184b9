"""The command `snowmatch watch`."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from snowmatch.cli.shared import (
    PATH,
    Number,
    extractor_option,
    method_of,
    print_text,
    say,
    say_failed,
    say_notes,
    setting_option,
)

if TYPE_CHECKING:
    from snowmatch.review.notices import Notices
    from snowmatch.review.watch import Arrival


@click.command()
@click.argument("folder", type=PATH)
@click.option("--catalog", type=PATH, required=True, metavar="DIR", help="Catalog that is asked.")
@click.option("--bodypart", metavar="PART", help="What the photos show, such as left_flank.  [default: unknown]")
@click.option(
    "--location", "locations", multiple=True, metavar="NAME", help="Only animals of this location; repeat it."
)
@click.option("--add", is_flag=True, help="Add the photos that show an animal to the catalog, and index them.")
@click.option(
    "--station", default="", metavar="ID", help="Station of all photos.  [default: from the names of their folders]"
)
@click.option("--every", type=Number(0.1, 86_400), default=1.0, show_default=True, help="Seconds between two looks.")
@click.option(
    "--quiet",
    type=Number(0),
    default=3.0,
    show_default=True,
    help="Seconds that a photo must be unchanged if its end does not tell that it is whole.",
)
@click.option("--events", type=PATH, metavar="FILE", help="Add one JSON object a sighting to FILE, for other programs.")
@click.option(
    "--notify",
    multiple=True,
    metavar="NAME",
    help='A notice on the desktop, or the bell, for this individual; "new" for new animals. Repeat it for several.',
)
@click.option(
    "--hook", metavar="URL", help="Send each sighting, or those of --notify, to this address as JSON (HTTP POST)."
)
@click.option(
    "--allow-host", "hosts", multiple=True, metavar="HOST", help="Another computer that --hook may send to; repeat it."
)
@click.option("--once", is_flag=True, help="Stop when everything that is there was asked.")
@extractor_option
@setting_option
def watch(
    folder: Path,
    catalog: Path,
    bodypart: str | None,
    locations: Sequence[str],
    add: bool,
    station: str,
    every: float,
    quiet: float,
    events: Path | None,
    notify: Sequence[str],
    hook: str | None,
    hosts: Sequence[str],
    once: bool,
    extractors: Sequence[str] | None,
    options: dict[str, str],
) -> None:
    """Ask about the photos in FOLDER as they arrive: a card that is copied, a folder that is synchronised.

    One line for each sighting. What was asked is remembered in the catalog, so nothing is asked twice, also after a
    restart. The folder may disappear and return. With --add, photos that show an animal become part of the catalog.
    Press Ctrl-C to stop.

    \b
    Example:
      snowmatch watch cards/ --catalog catalog/ --bodypart left_flank --add --notify new --events sightings.jsonl
    """
    from snowmatch.api import open_catalog
    from snowmatch.review.folder_changes import Changes
    from snowmatch.review.hook import read_hook
    from snowmatch.review.notices import Notices, notes_on_chosen
    from snowmatch.review.watched import check_events
    from snowmatch.review.watching import watch

    chosen = method_of(tuple(extractors) if extractors else None, "lnbnn", options, False)
    if hosts and not hook:
        raise click.UsageError("--allow-host belongs to --hook")
    if events is not None:
        check_events(events, catalog)
    address = read_hook(hook, hosts) if hook else None
    if notify:
        say_notes(notes_on_chosen(notify, open_catalog(catalog).data.annotations))
    changes = Changes(folder, every)
    notices = Notices(notify, address)
    told: set[str] = set()
    something = skipped = failed = False

    def show(arrival: Arrival, again: bool) -> None:
        nonlocal something, skipped, failed
        skipped |= bool(arrival.skipped)
        failed |= bool(arrival.failed)
        something |= again or not arrival.here or replace(arrival, skipped=()).news
        _show(arrival, again, folder, add, events, notices, told)

    how = "the system tells changes" if changes.told else f"looked at every {every:g} s: {changes.why}"
    say(f"watching {folder} ({how}); Ctrl-C stops")
    if address is not None:
        say(f"sightings are sent to {address.shown}")
    patience = 60.0 if once else 3.0
    try:
        watch(
            folder,
            catalog,
            show,
            every=every,
            quiet=quiet,
            body_part=bodypart,
            locations=locations,
            add=add,
            station=station,
            once=once,
            changes=changes,
            **chosen,
        )
        if once and not something:
            before = " Photos that were asked without --add are not added later" if add else ""
            asked = "" if skipped else ": all photos there, if any, were asked before"
            say(f"nothing new in {folder}{asked}.{before}")
    except KeyboardInterrupt:
        say("stopped; what was asked is remembered")
    finally:
        _say_notices(notices.close(patience))
    if once and failed:
        sys.exit(1)


def _show(
    arrival: Arrival, again: bool, folder: Path, add: bool, events: Path | None, notices: Notices, told: set[str]
) -> None:
    """Tell what one look gave. again: an earlier run may have told it. told: texts of notes that were told."""
    from snowmatch.review.watch_events import row_of
    from snowmatch.review.watched import append_events
    from snowmatch.views.watch import format_arrival, format_sighting

    if events is not None and arrival.events:
        append_events(events, arrival.events, again)  # first: if that fails, all of it is told later
    say_notes(note for note in arrival.notes if note.text not in told)
    told.update(note.text for note in arrival.notes)
    if not arrival.here:
        say(f"{folder} cannot be read: waiting until it returns")
    if again:
        say("told again, because it is not sure that this was told before")
    for event in arrival.events:
        line = format_sighting(row_of(event))
        print_text(line)
        notices.tell(event, line)
    for text in format_arrival(arrival, add):
        say(text)
    say_failed(arrival.failed)
    _say_notices(notices.said())


def _say_notices(said: Sequence[str]) -> None:
    for text in said:
        if text == "\a":
            click.echo(text, nl=False, err=True)
        else:
            say(text)
