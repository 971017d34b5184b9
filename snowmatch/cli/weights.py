"""The command `snowmatch weights`: files of pretrained networks."""

from __future__ import annotations

from pathlib import Path

import click

from snowmatch.cli.shared import PATH, Bar, print_text, say


@click.group()
def weights() -> None:
    """List, add or download the files of pretrained networks.

    Only `snowmatch weights download` uses the internet. Some networks need extra packages: extractors
    and LightGlue those of pip install "snowmatch[deep]", segmenters and detectors those of "snowmatch[screen]".

    \b
    Example:
      snowmatch weights list
      snowmatch weights download aliked-n16
    """


@weights.command("list")
def list_() -> None:
    """List the pretrained networks with their files and licences.

    The state is `missing` (no file), `checked` (the checksum is right), `present` (the checksum is not known) or
    `unusable` (the file is damaged or wrong).

    \b
    Example:
      snowmatch weights list
    """
    from snowmatch.views.plugins import format_weights

    print_text(format_weights())


@weights.command()
@click.argument("files", nargs=-1, required=True, type=PATH, metavar="FILE...")
def add(files: tuple[Path, ...]) -> None:
    """Copy files of weights into the cache folder.

    Official files may have any name, because the content identifies them. Networks that you trained are accepted too.

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
    """Download the weights called NAME.

    The file comes from the authors' address and is stored in the cache folder. The authors' licence applies: read it
    before you use the weights.

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
    """Print the folders that are searched for weights.

    \b
    Example:
      snowmatch weights where
    """
    from snowmatch.views.plugins import format_folders

    print_text(format_folders())
