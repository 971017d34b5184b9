"""`snowmatch evaluate`."""

from __future__ import annotations

from pathlib import Path

import click

from snowmatch.cli.shared import (
    PATH,
    Bar,
    extractor_option,
    fast_option,
    json_option,
    matcher_option,
    method_of,
    print_json,
    say,
    say_notes,
    setting_option,
)
from snowmatch.core.errors import SnowmatchError


@click.command()
@click.argument("catalog", type=PATH)
@click.option(
    "--protocol",
    default="cross-encounter",
    show_default=True,
    metavar="NAME",
    help="Who may answer: cross-encounter, cross-station, or split (rows of split train answer those of test).",
)
@extractor_option
@matcher_option
@fast_option
@setting_option
@click.option("--save", type=PATH, metavar="FILE", help="Keep all scores in FILE (npz), to be measured elsewhere.")
@json_option
def evaluate(
    catalog: Path,
    protocol: str,
    extractors: tuple[str, ...] | None,
    matcher: str,
    fast: bool,
    options: dict[str, str],
    save: Path | None,
    as_json: bool,
) -> None:
    """Measure how well the photos of CATALOG are identified, by asking about each one whose animal is known.

    Its own encounter never answers. Also told: how well animals on record are told from new ones (each individual is
    left out in turn), and what changes when all photos of an encounter are asked together.

    \b
    Example:
      snowmatch evaluate catalog/ --protocol cross-station --save scores.npz
    """
    from snowmatch.api import open_catalog, save_table
    from snowmatch.views.evaluation import evaluation_to_json, format_evaluation

    if save is not None and save.is_dir():
        raise SnowmatchError(f"{save} is a folder, expected a file to write, such as {save / 'scores.npz'}")
    with Bar("asking", "query") as bar:
        result = open_catalog(catalog).evaluate(
            protocol, progress=bar.update, **method_of(extractors, matcher, options, fast)
        )
    if save is not None:
        save_table(save, result.table)
        say(f"scores in {save}")
    if as_json:
        print_json(evaluation_to_json(result))
    else:
        click.echo(format_evaluation(result))
    say_notes(result.notes)
