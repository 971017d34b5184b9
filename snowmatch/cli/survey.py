"""The command `snowmatch survey`, and the options that it shares with `snowmatch export`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from snowmatch.cli.shared import (
    MOST_DRAWS,
    PATH,
    Bar,
    Number,
    decisions_option,
    force_option,
    print_text,
    say,
    say_notes,
)

if TYPE_CHECKING:
    from snowmatch.survey.draws import Drawn
    from snowmatch.survey.run import Survey

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
        type=click.Choice(["both", "left", "right", "hybrid", "sessions"]),
        default="both",
        show_default=True,
        help="Sightings that count; the answer compares the choices.",
    ),
    click.option(
        "--independence",
        type=Number(0, 100_000),
        default=0,
        metavar="MINUTES",
        help="Sightings of one animal at one station less than MINUTES apart count as one.  [default: the encounters]",
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


draws_option = click.option(
    "--draws",
    type=click.IntRange(2, MOST_DRAWS),
    metavar="NUMBER",
    help="Also draw who is who NUMBER times, from the photos and the answers; the catalog has to be indexed.",
)
seed_option = click.option(
    "--seed", type=click.IntRange(0), default=0, show_default=True, help="Of the draws: the same seed, the same draws."
)


def drawn_survey(made: Survey, draws: int | None, seed: int, options: dict[str, Any]) -> Drawn | None:
    """Return drawn identities of a survey, with a progress bar; None if none were asked for."""
    from snowmatch.survey.opening import draw_survey

    if draws is None:
        if seed:
            raise click.UsageError("--seed belongs to --draws")
        return None
    with Bar("comparing", "sighting") as bar:
        drawn = draw_survey(made, draws, seed=seed, progress=bar.update, **options)
    say_notes(drawn.notes)
    return drawn


@click.command()
@click.argument("catalog", type=PATH)
@survey_options
@decisions_option
@draws_option
@seed_option
@click.option(
    "--co-use",
    type=Number(0, 366),
    metavar="DAYS",
    help="Two animals at one station within so many days are in co-use.csv.  [default: 7]",
)
@click.option("--out", type=PATH, metavar="DIR", help="Write tables, figures and a manifest into this folder.")
@click.option("--no-figures", is_flag=True, help="Write no figures; they need snowmatch[survey].")
@force_option
def survey(
    catalog: Path,
    out: Path | None,
    no_figures: bool,
    force: bool,
    coordinates: str,
    decisions: Path | None,
    draws: int | None,
    seed: int,
    co_use: float | None,
    **options: Any,
) -> None:
    """Count the captures of the individuals of CATALOG and the effort of its cameras.

    A capture is an identified animal at a station on an occasion. The estimates assume a closed population. Nothing
    that is written tells a position, unless you ask with --coordinates, or the path of a photo tells one:
    `snowmatch doctor` finds such paths, and a note tells those that are written.

    \b
    Example:
      snowmatch survey catalog/
      snowmatch survey catalog/ --occasion 10d --flanks left --out survey/
      snowmatch survey catalog/ --draws 100 --out survey/
    """
    if out is None and (coordinates or no_figures or force or co_use is not None):
        raise click.UsageError(
            "--coordinates, --no-figures, --force and --co-use belong to --out: without it, nothing is written"
        )
    from snowmatch.core.errors import SnowmatchError
    from snowmatch.survey.co_use import CO_USE_DAYS
    from snowmatch.survey.coordinates import placed_name_notes, position_notes, read_coordinates
    from snowmatch.survey.figures import letter_notes, survey_figures
    from snowmatch.survey.folder import check_output, survey_manifest, write_output
    from snowmatch.survey.opening import open_survey
    from snowmatch.survey.output import survey_files
    from snowmatch.views.survey import format_draws, format_survey

    more: dict[str, Any] = {"command": "survey"}
    how, days = read_coordinates(coordinates), CO_USE_DAYS if co_use is None else co_use
    made = open_survey(catalog, decisions, **options)
    if out is not None:
        check_output(out, catalog, list(survey_files(made, how, None, days)), more, force=force)
    drawn = drawn_survey(made, draws, seed, options)
    files: dict[str, bytes] = {}
    letters: list[Any] = []
    if out is not None:
        files = survey_files(made, how, drawn, days)
        check_output(out, catalog, list(files), more, force=force)
        try:
            files |= {} if no_figures else survey_figures(made, how)
            letters = [] if no_figures else letter_notes(made)
        except SnowmatchError as error:
            if error.code != "no-matplotlib":
                raise
            say(str(error))
    print_text(format_survey(made))
    if drawn is not None:
        print_text(format_draws(made, drawn))
    say_notes((*made.notes, *position_notes(made, how)))
    if out is not None:
        more["co_use_days"] = days
        if drawn is not None:
            more["draws"] = {"number": len(drawn.captures), "seed": drawn.seed}
        write_output(out, catalog, files, survey_manifest(made, how, more), force=force)
        say_notes((*placed_name_notes(made, how), *letters))
        if how is None:
            say("no positions were written, and no map (--coordinates exact|rounded:KM)")
        print_text(f"{len(files)} files in {out}", err=True)
