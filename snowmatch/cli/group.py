"""The group of all commands, and the one place that turns errors into lines and exit statuses."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import click

from snowmatch.cli.advice import with_advice
from snowmatch.core.errors import SnowmatchError
from snowmatch.core.version import __version__

# Each command's module, so that one command loads no other's
COMMANDS = {
    "index": "index",
    "query": "query",
    "batch": "batch",
    "evaluate": "evaluate",
    "calibrate": "calibrate",
    "show": "show",
    "plugins": "show",
    "weights": "weights",
    "demo": "demo",
}


@contextmanager
def _printable_errors() -> Iterator[None]:
    """Escape control characters in every error: no name of a file or an individual can alter the terminal."""
    try:
        yield
    except click.ClickException as error:
        from snowmatch.core.text import printable_lines

        error.message = printable_lines(error.message)  # type: ignore[misc] # nobody else needs the raw text
        raise


class Commands(click.Group):
    """Turns what the user can mend into one line and exit status 1."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """All commands, in the order in which a user meets them."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command of that name, from its module."""
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = getattr(importlib.import_module(f"snowmatch.cli.{COMMANDS[cmd_name]}"), cmd_name)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """The command that was named; a usage error with the nearest one where there is none."""
        if args and args[0] not in COMMANDS and not args[0].startswith("-"):
            from snowmatch.core.text import choices

            ctx.fail(f"no command {args[0]!r}; {choices(args[0], list(COMMANDS))}")
        return super().resolve_command(ctx, args)

    def make_context(self, *arguments: Any, **values: Any) -> click.Context:
        """Read the options before the command."""
        with _printable_errors():
            return super().make_context(*arguments, **values)

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command."""
        with _printable_errors():
            return self._invoke(ctx)

    def _invoke(self, ctx: click.Context) -> Any:
        for stream in (sys.stdout, sys.stderr):
            if hasattr(stream, "reconfigure"):  # a console that lacks a letter shows \\u0421 instead of failing
                stream.reconfigure(errors="backslashreplace")
        try:
            return super().invoke(ctx)
        except SnowmatchError as error:
            lines = str(error).splitlines()
            text = "\n".join(lines) if "problems" in error.data else " ".join(lines)  # one line, or a list of problems
            raise click.ClickException(with_advice(text, error.code, error.data)) from error
        except BrokenPipeError:  # `| head` has seen enough
            raise
        except OSError as error:  # a full disk, a folder that may not be entered, a name too long for the system
            where = f"{error.filename}: " if error.filename else ""
            raise click.ClickException(
                f"{where}{error.strerror or error}: check the name and the permissions"
            ) from error
        except MemoryError as error:
            raise click.ClickException(f"not enough memory ({error}): ask for less at once") from error


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="snowmatch")
def main() -> None:
    """Tell individual snow leopards (and other patterned animals) apart in camera-trap photos.

    \b
    Example:
      snowmatch demo
      snowmatch index catalog/
      snowmatch query photo.jpg --catalog catalog/ --bodypart left_flank
    """
