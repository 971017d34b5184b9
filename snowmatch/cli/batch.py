"""The command `snowmatch batch`."""

from __future__ import annotations

import sys
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
    matcher_option,
    memory_option,
    method_of,
    new_option,
    print_text,
    say_failed,
    say_notes,
    setting_option,
)


@click.command()
@click.argument("catalog", type=PATH)
@click.argument("photos", nargs=-1, type=PATH)
@click.option("--unidentified", is_flag=True, help="Identify all annotations of the catalog that have no individual.")
@click.option(
    "--bodypart",
    metavar="PART",
    help="Body part of photos for which the catalog has none, such as left_flank.  [default: unknown]",
)
@click.option(
    "--location", "locations", multiple=True, metavar="NAME", help="Compare only with this location; may be repeated."
)
@new_option
@extractor_option
@matcher_option
@fast_option
@setting_option
@memory_option
@cluster_option
@decisions_option
@click.option(
    "--out",
    type=PATH,
    metavar="NAME",
    help="Write NAME.csv and NAME.jsonl.  [default: CSV to stdout]",
)
@click.option("--bom", is_flag=True, help="Begin NAME.csv with a byte order mark, so that Excel reads its letters.")
@click.option("--again", is_flag=True, help="Ask everything again, also what an earlier run has answered.")
@force_option
def batch(
    catalog: Path,
    photos: tuple[Path, ...],
    unidentified: bool,
    bodypart: str | None,
    locations: tuple[str, ...],
    new: float | None,
    extractors: tuple[str, ...] | None,
    matcher: str,
    fast: bool,
    options: dict[str, str],
    decisions: Path | None,
    out: Path | None,
    bom: bool,
    again: bool,
    force: bool,
) -> None:
    """Identify many photos and write a table of the answers.

    The table has one row for each animal of each encounter.

    PHOTOS are photos or folders of photos. With --unidentified, the photos are all unidentified annotations of CATALOG.

    Photos of one camera that are at most 60 minutes apart (the catalog's --encounter-gap) are one encounter and one
    animal. The camera is told by the serial number in the photo, or else by the folder. For photos that are in CATALOG,
    the encounters and animals of CATALOG count; animals in the same photo are different animals. An animal is never
    compared with its own encounter.

    The catalog keeps the answers: if the batch was stopped, or if photos were added, the same command asks only the
    rest. A NAME.csv that somebody has edited is not replaced without --force.

    With --cluster, each worker asks about some of the animals, so all computers must see PHOTOS under the same path. If
    the search index is larger than --memory, each worker holds a part of it instead, and this computer asks about the
    animals.

    \b
    Example:
      snowmatch batch catalog/ --unidentified --out answers
      snowmatch batch catalog/ cards/ --out answers
    """
    if bool(photos) == unidentified:
        raise click.UsageError(
            "expected photos or --unidentified, not both"
            if photos
            else "nothing to identify: expected photos, folders of photos, or --unidentified"
        )
    if bom and out is None:
        raise click.UsageError("--bom belongs to --out: the table on the terminal has no mark")
    from snowmatch.api import open_catalog
    from snowmatch.review.batch import run_batch
    from snowmatch.review.rows import format_summary
    from snowmatch.review.tables import rows_to_csv

    try:
        with Bar("looking", "photo") as looks, Bar("matching", "animal") as bar:
            result = run_batch(
                open_catalog(catalog, decisions),
                None if unidentified else photos,
                body_part=bodypart,
                locations=locations,
                new=new,
                out=out,
                bom=bom,
                again=again,
                force=force,
                looking=looks.update,
                progress=bar.update,
                **method_of(extractors, matcher, options, fast),
            )
    except KeyboardInterrupt:
        raise click.ClickException(
            "stopped; the catalog keeps the finished answers, and the same command continues"
        ) from None
    if out is None:
        print_text(rows_to_csv(result.rows), nl=False)
    say_notes(result.notes)
    say_failed(result.failed)
    if result.rows:
        print_text(format_summary(result), err=True)
    if result.failed:
        sys.exit(1)
