"""The command `snowmatch demo`."""

from __future__ import annotations

from pathlib import Path

import click

from snowmatch.cli.serve import start
from snowmatch.cli.shared import PATH, Bar, print_text


@click.command()
@click.argument("folder", type=PATH, default=Path("snowmatch-demo"), metavar="[DIR]")
@click.option("--cards", is_flag=True, help="Only draw memory cards with tables, for the guide's tutorial.")
@click.option("--serve", "serving", is_flag=True, help="Then open the app of the demo's catalog in the browser.")
@click.option("--no-browser", is_flag=True, help="With --serve: only print the address.")
def demo(folder: Path, cards: bool, serving: bool, no_browser: bool) -> None:
    """Make a small synthetic survey and answer its queries.

    The survey is written to the folder DIR; the default is snowmatch-demo. The cats are drawn by the computer; no
    animal is real. DIR/catalog contains the indexed photos, DIR/queries the photos to identify, and DIR/answer the
    answers as text, JSON and pictures. A second run draws the same demo again; it stops if the tables of DIR/catalog
    were changed, as by photos that you added. --cards draws another survey, as it comes home from the field: memory
    cards, a table of stations, a detector's results. Nothing is indexed.

    \b
    Example:
      snowmatch demo my-demo --serve
      snowmatch demo field --cards
    """
    if no_browser and not serving:
        raise click.UsageError("--no-browser belongs to --serve")
    if cards:
        if serving:
            raise click.UsageError("--cards makes no catalog that --serve could open: use one of them")
        from snowmatch.demo.cards import make_cards

        with Bar("cards", "photo") as drawn:
            print_text(make_cards(folder, drawn.update))
        return
    from snowmatch.demo.run import run_demo

    with Bar("survey", "photo") as drawn, Bar("indexing", "annotation") as indexed:
        text = run_demo(folder, drawn=drawn.update, indexed=indexed.update)
    print_text(text)
    if serving:
        start(folder / "catalog", port=0, browser=not no_browser, observer=None, decisions=None)
