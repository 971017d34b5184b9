"""The command `snowmatch import`."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from snowmatch.cli.shared import PATH, json_option, print_json, print_text, say_failed, say_notes, setting_option

SHOWN = 40  # photos that failed are listed; the others are counted, and all of them are in the JSON


@click.command("import")
@click.argument("source", type=PATH)
@click.argument("catalog", type=PATH, required=False)
@click.option("--format", "format_name", metavar="NAME", help="Format of SOURCE; `snowmatch plugins` lists all.")
@click.option("--photos", type=PATH, metavar="DIR", help="Folder with the photos.  [default: the folder of SOURCE]")
@click.option("--copy", is_flag=True, help="Copy photos that lie elsewhere.  [default: a link leads to them]")
@click.option("--stations", type=PATH, metavar="FILE", help="Table of stations (CSV or Excel), for stations.csv.")
@click.option("--dates", type=click.Choice(["dmy", "mdy"]), help="Order of day and month in dates such as 3/4/2021.")
@setting_option
@json_option
def import_(
    source: Path,
    catalog: Path | None,
    format_name: str | None,
    photos: Path | None,
    copy: bool,
    stations: Path | None,
    dates: str | None,
    options: dict[str, str],
    as_json: bool,
) -> None:
    """Make a catalog from what another program wrote, or complete one.

    SOURCE is a file or folder of MegaDetector, SpeciesNet, Timelapse, Camtrap DP, Wildlife Insights, Wildbook,
    HotSpotter and others, a table, or a folder of photos. The format is found by looking. CATALOG is the folder to
    write catalog.csv into; without it, that is the folder of the photos. Import again at any time: nothing is doubled,
    and what you have corrected in catalog.csv stays. The replaced file is kept beside it.

    -o KEY=VALUE changes a setting of the importer.

    \b
    Example:
      snowmatch import detections.json catalog/ --photos cards/
      snowmatch import survey.xlsx catalog/ --dates dmy --stations stations.csv
      snowmatch import cards/ -o folders=location/station
    """
    from snowmatch.interchange.importing import import_source

    report = import_source(
        source,
        catalog,
        format_name,
        options=options,
        stations=stations,
        photos=photos,
        dates=dates or "",
        copy=copy,
    )
    if as_json:
        print_json(report.to_json())
    else:
        print_text(report.summary())
    say_notes(report.notes)
    say_failed(report.failed[:SHOWN])
    if len(report.failed) > SHOWN:
        print_text(f"failed: {len(report.failed) - SHOWN} more", err=True)
    if report.failed:
        sys.exit(1)
