"""The command `snowmatch export`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from snowmatch.cli.shared import PATH, force_option, print_text, say_notes, setting_option
from snowmatch.cli.survey import survey_options


@click.command()
@click.argument("catalog", type=PATH)
@click.argument("out", type=PATH)
@click.option(
    "--format", "name", required=True, metavar="NAME", help="Format, such as secr; `snowmatch plugins` lists all."
)
@survey_options
@setting_option
@force_option
def export(
    catalog: Path, out: Path, name: str, coordinates: str, options: dict[str, str], force: bool, **counting: Any
) -> None:
    """Write the captures of CATALOG into the folder OUT, as files of another program.

    The options of counting are those of `snowmatch survey`. A manifest says what was left out and why. Nothing that is
    written tells a position, unless you ask with --coordinates.

    \b
    Example:
      snowmatch export catalog/ secr/ --format secr --coordinates exact
      snowmatch export catalog/ tables/ --format csv
    """
    from snowmatch.api import open_catalog
    from snowmatch.interchange.exporting import export_survey
    from snowmatch.survey.coordinates import read_coordinates
    from snowmatch.survey.run import make_survey

    made = make_survey(open_catalog(catalog).data, **counting)
    files = export_survey(made, name, out, options=options, coordinates=read_coordinates(coordinates), force=force)
    say_notes(made.notes)
    print_text("\n".join(str(out / file) for file in files))
