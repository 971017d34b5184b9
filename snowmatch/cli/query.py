"""`snowmatch query`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from snowmatch.cli.shared import (
    PATH,
    extractor_option,
    fast_option,
    force_option,
    json_option,
    matcher_option,
    method_of,
    print_json,
    print_text,
    say,
    say_notes,
    setting_option,
)


def _boxes(ctx: click.Context, parameter: click.Parameter, values: tuple[str, ...]) -> list[tuple[float, ...]] | None:
    return [_box(value) for value in values] or None


def _box(value: str) -> tuple[float, ...]:
    try:
        numbers = tuple(float(n) for n in value.split(","))
    except ValueError:
        numbers = ()
    if len(numbers) != 4 or not numbers[2] > 0 or not numbers[3] > 0:
        raise click.BadParameter(
            f"{value!r} is not x,y,w,h in pixels (or as shares of the photo), w and h above 0, such as 120,80,640,400"
        )
    return numbers


def _timestamp(ctx: click.Context, parameter: click.Parameter, value: str | None) -> Any:
    if value is None:
        return None
    from datetime import datetime

    try:
        moment = datetime.fromisoformat(value)
    except ValueError:
        raise click.BadParameter(f"{value!r} is not a local time such as 2012-09-17T19:42:18") from None
    if moment.tzinfo is not None:
        local = moment.replace(tzinfo=None).isoformat()
        raise click.BadParameter(f"{value!r} has a time zone; give the time of the camera's clock, such as {local}")
    return moment


@click.command()
@click.argument("photos", nargs=-1, required=True, type=PATH)
@click.option("--catalog", type=PATH, help="The catalog's folder.  [default: $SNOWMATCH_CATALOG, or the one nearby]")
@click.option("--bodypart", metavar="PART", help="What the photo shows, such as left_flank.  [default: unknown]")
@click.option("--location", "locations", multiple=True, metavar="NAME", help="Only this location; may be repeated.")
@click.option(
    "--station",
    metavar="ID",
    help="Where it was taken: its photos tell the scenery, passages there at that time are left out.",
)
@click.option("--timestamp", callback=_timestamp, metavar="T", help="When, ISO 8601 local.  [default: from the photo]")
@click.option(
    "--bbox",
    "boxes",
    multiple=True,
    callback=_boxes,
    metavar="X,Y,W,H",
    help="Where the animal is, in pixels of the upright photo; of several photos, one for each in turn.",
)
@click.option(
    "--mask",
    "masks",
    multiple=True,
    type=PATH,
    metavar="FILE",
    help="PNG of the photo's size, white on the animal; of several photos, one for each in turn.",
)
@extractor_option
@matcher_option
@fast_option
@setting_option
@click.option("--exclude-encounter", "excluded", multiple=True, metavar="ID", help="Leave out; may be repeated.")
@click.option("--top", default=5, show_default=True, type=click.IntRange(min=1), help="Candidates to show.")
@json_option
@click.option("--draw", type=PATH, metavar="DIR", help="Draw the matched spots of every candidate into DIR.")
@force_option
def query(
    photos: tuple[Path, ...],
    catalog: Path | None,
    bodypart: str | None,
    locations: tuple[str, ...],
    station: str | None,
    timestamp: Any,
    boxes: Any,
    masks: tuple[Path, ...],
    extractors: tuple[str, ...] | None,
    matcher: str,
    fast: bool,
    options: dict[str, str],
    excluded: tuple[str, ...],
    top: int,
    as_json: bool,
    draw: Path | None,
    force: bool,
) -> None:
    """Ask which individual PHOTOS show: one photo, or several of one encounter (one animal).

    \b
    Example:
      snowmatch query IMG_0042.JPG --bodypart left_flank --draw answer/
    """
    import os

    from snowmatch.api import find_catalog, open_catalog
    from snowmatch.core.outputs import check_folder
    from snowmatch.views.json import answer_to_json
    from snowmatch.views.pictures import draw_answer
    from snowmatch.views.text import format_answer

    folder = catalog
    if folder is None:
        folder, how = find_catalog(Path.cwd(), os.environ)
        say(f"catalog: {folder} ({how})")
    if draw is not None:
        check_folder(draw, folder)
    answer = open_catalog(folder).query(
        [str(p) for p in photos],
        body_part=bodypart,
        locations=locations,
        station=station,
        timestamp=timestamp,
        bbox=boxes,
        mask=list(masks) or None,
        exclude_encounters=excluded,
        top=top,
        **method_of(extractors, matcher, options, fast),
    )
    if as_json:
        print_json(answer_to_json(answer))
    else:
        print_text(format_answer(answer))
        say_notes(answer.notes)
    if draw is not None:
        pictures = draw_answer(answer, draw, folder, top, force=force)
        say(f"{len(pictures)} pictures in {draw}")
