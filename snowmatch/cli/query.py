"""The command `snowmatch query`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from snowmatch.cli.shared import (
    PATH,
    cluster_option,
    decisions_option,
    extractor_option,
    fast_option,
    force_option,
    json_option,
    matcher_option,
    memory_option,
    method_of,
    new_option,
    print_json,
    print_text,
    say,
    say_notes,
    setting_option,
)


def _boxes(ctx: click.Context, parameter: click.Parameter, values: tuple[str, ...]) -> list[Any] | None:
    return [_box(value) for value in values] or None


def _box(value: str) -> Any:
    from snowmatch.api import CellError, read_box

    try:
        box = read_box(value)
    except CellError:
        box = None
    if box is None:
        raise click.BadParameter(
            f"{value!r}: expected x,y,w,h in pixels (or as shares of the photo) with w and h above 0, such as "
            "120,80,640,400"
        )
    return box


def _timestamp(ctx: click.Context, parameter: click.Parameter, value: str | None) -> Any:
    if value is None:
        return None
    from snowmatch.api import read_times

    (time,), _ = read_times([value], "")
    if time.moment is None or time.dated or time.unclear:
        raise click.BadParameter(f"{value!r}: expected a local time, such as 2012-09-17T19:42:18")
    if time.zone is not None:
        local = time.moment.isoformat()
        raise click.BadParameter(f"{value!r} has a time zone: expected the time of the camera's clock, such as {local}")
    return time.moment


@click.command()
@click.argument("photos", nargs=-1, required=True, type=PATH)
@click.option(
    "--catalog", type=PATH, help="Folder of the catalog.  [default: $SNOWMATCH_CATALOG, or the nearest indexed folder]"
)
@click.option(
    "--bodypart",
    metavar="PART",
    help="Body part in the photo, such as left_flank.  [default: from the catalog, or unknown]",
)
@click.option(
    "--location", "locations", multiple=True, metavar="NAME", help="Compare only with this location; may be repeated."
)
@click.option(
    "--station",
    metavar="ID",
    help="Station of the photo. Its other photos help to find the animal; encounters there at that time are excluded.",
)
@click.option(
    "--timestamp", callback=_timestamp, metavar="T", help="Local time of the photo (ISO 8601).  [default: from EXIF]"
)
@click.option(
    "--bbox",
    "boxes",
    multiple=True,
    callback=_boxes,
    metavar="X,Y,W,H",
    help="Box of the animal, in pixels of the upright photo. With several photos: one box for each, in their order.",
)
@click.option(
    "--mask",
    "masks",
    multiple=True,
    type=PATH,
    metavar="FILE",
    help="PNG of the photo's size, white on the animal. With several photos: one mask for each, in their order.",
)
@extractor_option
@matcher_option
@fast_option
@setting_option
@memory_option
@cluster_option
@click.option(
    "--exclude-encounter",
    "excluded",
    multiple=True,
    metavar="ID",
    help="Do not compare with this encounter; may be repeated.",
)
@new_option
@click.option("--top", default=5, show_default=True, type=click.IntRange(min=1), help="Number of candidates.")
@json_option
@decisions_option
@click.option("--draw", type=PATH, metavar="DIR", help="Write pictures of the matched spots of every candidate to DIR.")
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
    new: float | None,
    top: int,
    as_json: bool,
    decisions: Path | None,
    draw: Path | None,
    force: bool,
) -> None:
    """Find the individual that PHOTOS show.

    PHOTOS are one photo, or several photos of one encounter that show the same animal.

    With --cluster, the workers hold the search index, each a part of it, and look through it. They keep it for later
    queries, so an index that is too large for one computer can be searched. --memory is the bound of each worker.

    \b
    Example:
      snowmatch query IMG_0042.JPG --bodypart left_flank --draw answer/
      snowmatch query photo1.jpg photo2.jpg --catalog catalog/ --station st04
    """
    import os

    from snowmatch.api import find_catalog, open_catalog
    from snowmatch.core.outputs import check_folder
    from snowmatch.core.text import counted
    from snowmatch.views.json import answer_to_json
    from snowmatch.views.pictures import draw_answer
    from snowmatch.views.text import format_answer

    folder = catalog
    if folder is None:
        folder, how = find_catalog(Path.cwd(), os.environ)
        say(f"catalog: {folder} ({how})")
    if draw is not None:
        check_folder(draw, folder)
    answer = open_catalog(folder, decisions).query(
        [str(p) for p in photos],
        body_part=bodypart,
        locations=locations,
        station=station,
        timestamp=timestamp,
        bbox=boxes,
        mask=list(masks) or None,
        exclude_encounters=excluded,
        new=new,
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
        say(f"{counted(len(pictures), 'picture')} written to {draw}")
