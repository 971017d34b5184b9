"""The command `snowmatch export`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from snowmatch.cli.shared import (
    PATH,
    decisions_option,
    force_option,
    options_given,
    print_text,
    say,
    say_notes,
    setting_option,
)
from snowmatch.cli.survey import drawn_survey, draws_option, seed_option, survey_options


@click.command()
@click.argument("catalog", type=PATH)
@click.argument("out", type=PATH)
@click.option(
    "--format", "name", required=True, metavar="NAME", help="Format, such as secr; `snowmatch plugins` lists all."
)
@survey_options
@decisions_option
@draws_option
@seed_option
@setting_option
@force_option
def export(
    catalog: Path,
    out: Path,
    name: str,
    coordinates: str,
    options: dict[str, str],
    force: bool,
    decisions: Path | None,
    draws: int | None,
    seed: int,
    **counting: Any,
) -> None:
    """Write the captures of CATALOG into the folder OUT, as files of another program.

    The options of counting are those of `snowmatch survey`. A manifest says what was left out and why. Nothing that is
    written tells a position, unless you ask with --coordinates, or the path of a photo tells one: `snowmatch doctor`
    finds such paths, and a note counts them.

    \b
    Example:
      snowmatch export catalog/ secr/ --format secr --coordinates exact
      snowmatch export catalog/ tables/ --format csv
      snowmatch export catalog/ secr/ --format secr --coordinates exact --draws 100
    """
    from snowmatch.interchange.exporting import check_draws, export_survey, takes_counts, without_effect
    from snowmatch.survey.coordinates import read_coordinates
    from snowmatch.survey.opening import open_survey, open_uncounted

    how = read_coordinates(coordinates)
    if draws is not None:
        check_draws(name)
    counts = takes_counts(name)
    made = open_survey(catalog, decisions, **counting) if counts else open_uncounted(catalog, decisions)
    say_notes(made.notes)  # before what may fail for a reason that they tell
    drawn = drawn_survey(made, draws, seed, counting)
    notes: list[Any] = []
    if unused := without_effect(name, options_given("coordinates", *counting)):
        flags = sorted("--session" if each == "sessions" else f"--{each.replace('_', '-')}" for each in unused)
        say(f"no effect on the format {name}: {', '.join(flags)}")
    files = export_survey(made, name, out, options=options, coordinates=how, force=force, drawn=drawn, notes=notes)
    say_notes(notes)
    print_text("\n".join(str(out / file) for file in files))
