"""The command `snowmatch jobs`: the work that the app has started."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from snowmatch.cli.shared import PATH, json_option, print_json, print_text

if TYPE_CHECKING:
    from snowmatch.web.jobs import Job


@click.command()
@click.argument("catalog", type=PATH)
@click.option("--stop", metavar="ID", help="Ask this work to stop. What is finished is kept.")
@json_option
def jobs(catalog: Path, stop: str | None, as_json: bool) -> None:
    """List the work that the app of CATALOG has started, the newest first: how far it is, and how it ended.

    The state is `running`, `done`, `failed`, `stopped` (by a person) or `lost` (its process died).

    \b
    Example:
      snowmatch jobs catalog/
      snowmatch jobs catalog/ --stop 20260412-101500-index
    """
    from dataclasses import asdict

    from snowmatch.core.errors import SnowmatchError
    from snowmatch.web.jobs import list_jobs, read_job, stop_job

    if not catalog.is_dir():
        raise SnowmatchError(f"{catalog} is not a folder, expected the catalog's folder")
    if stop is not None:
        before = read_job(catalog, stop)
        stop_job(catalog, stop)
        if not as_json:
            text = "is asked to stop" if before.state == "running" else f"does not run any more: {before.state}"
            print_text(f"{stop} {text}")
            return
    found = [read_job(catalog, stop)] if stop is not None else list_jobs(catalog)
    if as_json:
        print_json([{**asdict(job), "left": job.left, "rate": job.rate} for job in found])
    else:
        print_text("\n".join(map(_line, found)) or "the app has started no work here")


def _line(job: Job) -> str:
    """Return one job as a line, such as "20260412-101500-index  running  extracting 120 of 3400 photo, 5 min left"."""
    parts = [f"{job.title} {job.done} of {job.total} {job.unit}".strip()] if job.total else []
    if job.left is not None:
        parts.append(f"about {_span(job.left)} left")
    if job.ended is not None:
        parts.append(f"took {_span(job.ended - job.started)}")
    if job.state in ("failed", "lost") and job.messages:
        parts.append(job.messages.splitlines()[-1])
    return "  ".join((job.id, job.state, ", ".join(parts))).rstrip()


def _span(seconds: float) -> str:
    if seconds < 100:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 6000 else f"{seconds / 3600:.1f} h"
