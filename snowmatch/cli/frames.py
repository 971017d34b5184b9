"""The command `snowmatch frames`."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from snowmatch.cli.shared import PATH, Bar, print_text, say_failed, say_notes


@click.command()
@click.argument("source", type=PATH)
@click.argument("out", type=PATH)
@click.option("--every", type=float, default=1.0, show_default=True, metavar="SECONDS", help="Time between two frames.")
@click.option("--limit", type=int, default=30, show_default=True, metavar="N", help="Most frames of one video.")
@click.option("--file-times", is_flag=True, help="Use the time of the file for a video that contains no time.")
@click.option("--workers", type=click.IntRange(min=1), help="Number of processes.  [default: all cores]")
def frames(source: Path, out: Path, every: float, limit: int, file_times: bool, workers: int | None) -> None:
    """Take photos from the videos in SOURCE, and write them into the folder OUT.

    SOURCE is a folder or one video. The folders in SOURCE are made in OUT too, so sort the videos as you sort photos,
    such as cards/naryn/S01/_unidentified/VID_0001.MP4. The frames of one video are a burst, with the times of the
    camera's clock. Frames of a damaged video are replaced by those of its new copy. No other file is replaced. If the
    run was stopped, the same command continues it.

    Needs one more package: pip install "snowmatch[video]".

    \b
    Example:
      snowmatch frames cards/ catalog/
      snowmatch frames cards/ catalog/ --every 0.5 --limit 60
    """
    from snowmatch.review.frames import take_frames

    try:
        with Bar("frames", "video") as bar:
            report = take_frames(source, out, every, limit, file_times=file_times, workers=workers, progress=bar.update)
    except KeyboardInterrupt:
        raise click.ClickException("stopped; finished videos are stored, and the same command continues") from None
    print_text(report.summary())
    say_notes(report.notes)
    say_failed(report.failed)
    if report.failed:
        sys.exit(1)
