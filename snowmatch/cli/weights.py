"""`snowmatch weights`: the files of pretrained networks."""

from __future__ import annotations

from pathlib import Path

import click

from snowmatch.cli.shared import PATH, Bar, print_text, say


@click.group()
def weights() -> None:
    """The files of pretrained networks: list, add or download them.

    Nothing else that snowmatch does uses the network. Networks need its extra packages: pip install 'snowmatch[deep]'.

    \b
    Example:
      snowmatch weights list
      snowmatch weights download aliked-n16
    """


@weights.command("list")
def list_() -> None:
    """List the networks with what is here of them, and under which licence they come.

    `checked` is a file whose sum is right, `here` one whose sum nobody has told.

    \b
    Example:
      snowmatch weights list
    """
    from snowmatch.views.plugins import format_weights

    print_text(format_weights())


@weights.command()
@click.argument("files", nargs=-1, required=True, type=PATH, metavar="FILE...")
def add(files: tuple[Path, ...]) -> None:
    """Copy FILES of weights into the cache folder: official files under any name, or networks you trained.

    \b
    Example:
      snowmatch weights add ~/Downloads/aliked-n16.pth
    """
    from snowmatch.api import add_weights

    for file in files:
        with Bar("copying", "B") as bar:
            text = add_weights(file, bar.update)
        print_text(text)


@weights.command()
@click.argument("name")
def download(name: str) -> None:
    """Fetch the weights called NAME from their authors into the cache folder. The licence is theirs: read it.

    \b
    Example:
      snowmatch weights download aliked-n16
    """
    from snowmatch.api import download_weights, known_weights

    say(f"licence of {name}: {known_weights(name).licence}")
    with Bar("downloading", "B") as bar:
        text = download_weights(name, bar.update)
    print_text(text)


@weights.command()
def where() -> None:
    """Tell the folders in which weights are looked for.

    \b
    Example:
      snowmatch weights where
    """
    from snowmatch.views.plugins import format_folders

    print_text(format_folders())
