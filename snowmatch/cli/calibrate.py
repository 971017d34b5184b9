"""The command `snowmatch calibrate`."""

from __future__ import annotations

from pathlib import Path

import click

from snowmatch.cli.shared import (
    PATH,
    Bar,
    cluster_option,
    decisions_option,
    extractor_option,
    fast_option,
    json_option,
    matcher_option,
    memory_option,
    method_of,
    print_json,
    print_text,
    sample_option,
    say,
    say_notes,
    setting_option,
)


def _levels(ctx: click.Context, parameter: click.Parameter, value: str | None) -> tuple[float, ...] | None:
    if value is None:
        return None
    try:
        numbers = tuple(float(n) for n in value.split(","))
    except ValueError:
        numbers = ()
    if len(numbers) != 3:
        raise click.BadParameter(f"{value!r}: expected three probabilities, such as 0.99,0.95,0.75")
    return numbers


@click.command()
@click.argument("catalog", type=PATH)
@extractor_option
@matcher_option
@fast_option
@setting_option
@memory_option
@cluster_option
@decisions_option
@sample_option
@click.option(
    "--levels",
    callback=_levels,
    metavar="E,G,F",
    help="Lowest probabilities of the levels excellent, good and fair in this catalog.  [default: 0.99,0.95,0.75]",
)
@json_option
def calibrate(
    catalog: Path,
    extractors: tuple[str, ...] | None,
    matcher: str,
    fast: bool,
    options: dict[str, str],
    decisions: Path | None,
    sample: int | None,
    levels: tuple[float, ...] | None,
    as_json: bool,
) -> None:
    """Learn the probability that an answer is right, given its score.

    The command learns from all encounters of CATALOG with named animals. Each encounter is a query twice: with its
    animal in the gallery and without it. A query is never compared with its own encounter.

    The calibration is stored in CATALOG/.snowmatch. Queries with the same extractor, matcher and settings use it. A
    picture in that folder compares the probabilities with the share of right answers.

    \b
    Example:
      snowmatch calibrate catalog/
      snowmatch calibrate catalog/ --levels 0.995,0.97,0.8
      snowmatch calibrate catalog/ --cluster tcp://10.0.0.5:8786
    """
    from snowmatch.api import open_catalog
    from snowmatch.core.home import calibration_path
    from snowmatch.views.calibration import calibrated_to_json, draw_reliability, format_calibrated

    opened, method = open_catalog(catalog, decisions), method_of(extractors, matcher, options, fast)
    if levels is not None:
        opened.method(**method)  # if it cannot be used, nothing is stored
        opened.set_levels(levels)
        say("levels stored: they hold from now on, also if nothing can be learned")
    with Bar("matching", "query") as bar:
        learned = opened.calibrate(sample=sample, progress=bar.update, **method)
    if as_json:
        print_json(calibrated_to_json(learned))
    else:
        print_text(format_calibrated(learned))
    say_notes(learned.notes)
    picture = calibration_path(catalog).with_suffix(".png")
    draw_reliability(learned.quality, picture)
    say(f"reliability diagram written to {picture}")
