"""The command `snowmatch serve`."""

from __future__ import annotations

from pathlib import Path

import click

from snowmatch.cli.shared import PATH, memory_option, print_text


@click.command()
@click.argument("catalog", type=PATH)
@click.option("--port", type=click.IntRange(0, 65535), default=0, help="Port of the address.  [default: a free one]")
@click.option("--no-browser", is_flag=True, help="Only print the address; do not open the browser.")
@click.option("--observer", metavar="NAME", help="Who decides.  [default: the name that was given last]")
@click.option("--decisions", type=PATH, metavar="FILE", help="File of decisions.  [default: CATALOG/decisions.sqlite]")
@memory_option
def serve(catalog: Path, port: int, no_browser: bool, observer: str | None, decisions: Path | None) -> None:
    """Open the app of CATALOG in the browser: identify photos, review pairs, look at individuals.

    The app works without internet. Only this computer can open it, and only with the printed address.

    \b
    Example:
      snowmatch serve catalog/
    """
    start(catalog, port=port, browser=not no_browser, observer=observer, decisions=decisions)


def start(catalog: Path, *, port: int, browser: bool, observer: str | None, decisions: Path | None) -> None:
    """Serve the app until Ctrl-C."""
    from contextlib import suppress

    from snowmatch.core.errors import SnowmatchError
    from snowmatch.review.observer_name import observer_name
    from snowmatch.web.server import serve as run

    name = ""
    if observer is not None:
        name = observer_name(catalog, observer)
    else:
        with suppress(SnowmatchError):  # nobody's name is known yet: the first page asks for it
            name = observer_name(catalog)
    run(catalog, port=port, browser=browser, observer=name, decisions=decisions, say=print_text)
