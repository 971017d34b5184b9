"""The command `snowmatch doctor`: a catalog, or this computer."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from snowmatch.cli.shared import PATH, Bar, decisions_option, json_option, print_json, print_text


@click.command()
@click.argument("catalog", type=PATH, required=False)
@click.option(
    "--deep",
    is_flag=True,
    help="Also compare every name with the coats of all other encounters. That takes as long as `snowmatch evaluate`.",
)
@click.option("--all", "every", is_flag=True, help="List every case, not only the first five of each kind.")
@click.option("--system", is_flag=True, help="Look at this computer instead; needs no CATALOG.")
@decisions_option
@json_option
def doctor(catalog: Path | None, deep: bool, every: bool, system: bool, decisions: Path | None, as_json: bool) -> None:
    """List what is wrong with CATALOG, or likely wrong, the worst first.

    Each finding says what to do. Nothing is changed. The list also says what could not be looked at, for example
    because the catalog is not indexed. The exit status is 1 if something is serious.

    --system tells versions, cores, memory, free disk, graphics cards, extras and weights, and what to mend. With
    CATALOG it looks at the disk of that folder.

    \b
    Example:
      snowmatch doctor catalog/
      snowmatch doctor catalog/ --deep --all
      snowmatch doctor --system
    """
    if system:
        if deep or every or decisions is not None:
            text = "--system looks at the computer, --deep, --all and --decisions at a catalog: use one of them"
            raise click.UsageError(text)
        _look_at_computer(catalog or Path(), as_json)
        return
    if catalog is None:
        raise click.UsageError("expected the folder CATALOG, or --system")
    from snowmatch.cli.doctor_advice import finding_advice
    from snowmatch.review.doctor.examine import examine
    from snowmatch.views.doctor import examination_to_json, format_examination

    with Bar("matching", "query") as bar:
        found = examine(catalog, decisions, deep=deep, progress=bar.update)
    about = {"decisions": decisions} if decisions is not None else {}

    def advised(code: str, data: Mapping[str, Any]) -> str:
        return finding_advice(code, {**data, **about})

    if as_json:
        print_json(examination_to_json(found, advised))
    else:
        print_text(format_examination(found, advised, every=every))
    if found.count("serious"):
        sys.exit(1)


def _look_at_computer(folder: Path, as_json: bool) -> None:
    from snowmatch.review.doctor.system import examine_system
    from snowmatch.views.system import format_system, system_to_json

    found = examine_system(folder)
    print_json(system_to_json(found)) if as_json else print_text(format_system(found))
    if found.problems:
        sys.exit(1)
