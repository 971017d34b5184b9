"""The command `snowmatch survey`, and the options that it shares with `snowmatch export`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from snowmatch.cli.shared import PATH, force_option, print_text, say, say_notes

_OPTIONS = (
    click.option(
        "--stations", type=PATH, metavar="FILE", help="Table of stations.  [default: stations.csv of the catalog]"
    ),
    click.option("--occasion", default="5d", show_default=True, metavar="LENGTH", help="Length, such as 5d or 2w."),
    click.option(
        "--start-hour", type=click.IntRange(0, 23), default=0, show_default=True, help="Hour at which a day begins."
    ),
    click.option(
        "--session",
        "sessions",
        multiple=True,
        metavar="NAME=FROM..TO",
        help="Dates of a session; may be repeated.  [default: the column session of the table of stations, or all]",
    ),
    click.option(
        "--flanks",
        type=click.Choice(["both", "left", "right", "hybrid"]),
        default="both",
        show_default=True,
        help="Sightings that count; the answer compares the choices.",
    ),
    click.option(
        "--independence",
        type=click.FloatRange(0, 100_000),
        default=0,
        metavar="MINUTES",
        help="Sightings of one animal at one station that are nearer are one.  [default: the encounters]",
    ),
    click.option(
        "--coordinates",
        default="",
        metavar="HOW",
        help="Write positions: exact, or rounded:KM, such as rounded:5.  [default: none]",
    ),
)


def survey_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options of a survey to a command."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


@click.command()
@click.argument("catalog", type=PATH)
@survey_options
@click.option("--out", type=PATH, metavar="DIR", help="Write tables, figures and a manifest into this folder.")
@click.option("--no-figures", is_flag=True, help="Write no figures; they need snowmatch[survey].")
@force_option
def survey(catalog: Path, out: Path | None, no_figures: bool, force: bool, coordinates: str, **options: Any) -> None:
    """Count the captures of the individuals of CATALOG and the effort of its cameras.

    A capture is an identified animal at a station on an occasion. The estimates assume a closed population. Nothing
    that is written tells a position, unless you ask with --coordinates.

    \b
    Example:
      snowmatch survey catalog/
      snowmatch survey catalog/ --occasion 10d --flanks left --out survey/
    """
    from snowmatch.api import open_catalog
    from snowmatch.core.errors import SnowmatchError
    from snowmatch.survey.coordinates import read_coordinates
    from snowmatch.survey.figures import survey_figures
    from snowmatch.survey.folder import check_output, survey_manifest, write_output
    from snowmatch.survey.run import make_survey
    from snowmatch.survey.tables import survey_tables, to_csv
    from snowmatch.views.survey import format_survey

    how = read_coordinates(coordinates)
    opened = open_catalog(catalog)
    made = make_survey(opened.data, **options)
    files: dict[str, bytes] = {}
    if out is not None:
        files = {name: to_csv(table) for name, table in survey_tables(made, how).items()}
        check_output(out, catalog, list(files), force=force)
        try:
            files |= {} if no_figures else survey_figures(made, how)
        except SnowmatchError as error:
            if error.code != "no-matplotlib":
                raise
            say(str(error))
    print_text(format_survey(made))
    say_notes(made.notes)
    if out is not None:
        write_output(out, catalog, files, survey_manifest(made, how, {"command": "survey"}), force=force)
        if how is None:
            say("no positions were written, and no map (--coordinates exact|rounded:KM)")
        print_text(f"{len(files)} files in {out}", err=True)
