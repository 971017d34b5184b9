"""The command `snowmatch evaluate`."""

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
    force_option,
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


@click.command()
@click.argument("catalog", type=PATH)
@click.option(
    "--protocol",
    default="cross-encounter",
    show_default=True,
    metavar="NAME",
    help="Gallery of a query: cross-encounter (other encounters only), cross-station (other stations only) or split "
    "(queries are the rows with split test, the gallery the rows with split train).",
)
@extractor_option
@matcher_option
@fast_option
@setting_option
@memory_option
@cluster_option
@sample_option
@decisions_option
@click.option("--save", type=PATH, metavar="FILE", help="Write all scores to FILE (npz) for your own analysis.")
@click.option("--failures", type=PATH, metavar="DIR", help="Write a page with pictures of the wrong answers to DIR.")
@force_option
@json_option
def evaluate(
    catalog: Path,
    protocol: str,
    extractors: tuple[str, ...] | None,
    matcher: str,
    fast: bool,
    options: dict[str, str],
    sample: int | None,
    decisions: Path | None,
    save: Path | None,
    failures: Path | None,
    force: bool,
    as_json: bool,
) -> None:
    """Measure how well the photos of CATALOG are identified.

    Each photo of a named animal is a query. It is never compared with its own encounter. The figures are for single
    photos and for all photos of an encounter together. Two figures tell how well known animals are separated from new
    animals; for them, each individual is removed from the gallery once.

    \b
    Example:
      snowmatch evaluate catalog/
      snowmatch evaluate catalog/ --protocol cross-station --save scores.npz --failures wrong/
      snowmatch evaluate catalog/ --cluster local:4
    """
    from snowmatch.api import is_table, open_catalog, save_table
    from snowmatch.core.outputs import check_file
    from snowmatch.views.evaluation import evaluation_to_json, format_evaluation
    from snowmatch.views.failures import check_failures, write_failures

    if save is not None:
        check_file(save, catalog, is_table, force=force)
    if failures is not None:
        check_failures(failures, catalog, force=force)
    opened = open_catalog(catalog, decisions)
    method = method_of(extractors, matcher, options, fast)
    with Bar("matching", "query") as bar:
        result = opened.evaluate(protocol, sample=sample, progress=bar.update, **method)
    if as_json:
        print_json(evaluation_to_json(result))
    else:
        print_text(format_evaluation(result))
    say_notes(result.notes)
    if save is not None:  # after the figures: a full disk must not lose them
        save_table(save, result.table)
        say(f"scores written to {save}")
    if failures is not None:
        with Bar("pictures", "query") as bar:
            asked = opened.checked().session(**method), result.protocol, result.table
            write_failures(failures, *asked, progress=bar.update, force=force)
        say(f"wrong answers written to {failures / 'index.html'}")
