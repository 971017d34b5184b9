"""`snowmatch batch`."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from snowmatch.cli.shared import (
    PATH,
    Bar,
    extractor_option,
    fast_option,
    force_option,
    matcher_option,
    method_of,
    print_text,
    say_failed,
    say_notes,
    setting_option,
)


@click.command()
@click.argument("catalog", type=PATH)
@click.argument("photos", nargs=-1, type=PATH)
@click.option("--unidentified", is_flag=True, help="Ask about all annotations of the catalog without an individual.")
@click.option("--bodypart", metavar="PART", help="What photos show of which no body part is on record.")
@click.option("--location", "locations", multiple=True, metavar="NAME", help="Compare with it only; may be repeated.")
@extractor_option
@matcher_option
@fast_option
@setting_option
@click.option(
    "--out",
    type=PATH,
    metavar="NAME",
    help="Write NAME.csv and NAME.jsonl.  [default: csv to stdout]",
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
    extractors: tuple[str, ...] | None,
    matcher: str,
    fast: bool,
    options: dict[str, str],
    out: Path | None,
    bom: bool,
    again: bool,
    force: bool,
) -> None:
    """Ask about many PHOTOS (or folders of them), or all unidentified animals: one row for each animal and encounter.

    Photos of one folder at most 60 minutes apart are one encounter and one animal. Those in CATALOG are asked as they
    are on record there; animals that share a photo are different ones. Their own encounter never answers.

    The catalog keeps the answers: the same command asks only what is new or has changed. A NAME.csv that somebody has
    edited is not replaced without --force.

    \b
    Example:
      snowmatch batch catalog/ --unidentified --out answers
      snowmatch batch catalog/ cards/ --out answers
    """
    if bool(photos) == unidentified:
        raise click.UsageError(
            "expected photos, or --unidentified, not both"
            if photos
            else "nothing to ask about: give photos, folders of photos, or --unidentified"
        )
    from snowmatch.api import open_catalog
    from snowmatch.review.batch import run_batch
    from snowmatch.review.rows import format_summary
    from snowmatch.review.tables import rows_to_csv

    try:
        with Bar("asking", "animal") as bar:
            found = run_batch(
                open_catalog(catalog),
                None if unidentified else photos,
                body_part=bodypart,
                locations=locations,
                out=out,
                bom=bom,
                again=again,
                force=force,
                progress=bar.update,
                **method_of(extractors, matcher, options, fast),
            )
    except KeyboardInterrupt:
        raise click.ClickException(
            "stopped; the catalog keeps what was answered, and the same command continues from there"
        ) from None
    if out is None:
        print_text(rows_to_csv(found.rows), nl=False)
    say_notes(found.notes)
    say_failed(found.failed)
    if found.rows:
        print_text(format_summary(found), err=True)
    if found.failed:
        sys.exit(1)
