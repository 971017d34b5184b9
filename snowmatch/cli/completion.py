"""The command `snowmatch completion`."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

from snowmatch.core.errors import SnowmatchError

PROGRAM = "snowmatch"


@click.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def completion(ctx: click.Context, shell: str) -> None:
    """Print the script that lets SHELL complete commands and options by the Tab key.

    \b
    Example:
      snowmatch completion bash >> ~/.bashrc
      snowmatch completion zsh >> ~/.zshrc
      snowmatch completion fish > ~/.config/fish/completions/snowmatch.fish
    """
    cls = get_completion_class(shell)
    if cls is None:
        raise SnowmatchError(f"this version of click has no completion for {shell}: pip install -U click")
    complete = cls(ctx.find_root().command, {}, PROGRAM, f"_{PROGRAM.upper()}_COMPLETE")
    click.echo(complete.source_template % complete.source_vars())
