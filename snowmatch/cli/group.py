"""The group of all commands. It also converts errors into one line and an exit status."""

from __future__ import annotations

import importlib
import keyword
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import click

from snowmatch.cli.advice import with_advice
from snowmatch.core.errors import SnowmatchError
from snowmatch.core.version import __version__

# The module of each command; only the module of the command in use is imported
COMMANDS = {
    "import": "import_",
    "frames": "frames",
    "screen": "screen",
    "index": "index",
    "query": "query",
    "batch": "batch",
    "watch": "watch",
    "identities": "identities",
    "serve": "serve",
    "observers": "observers",
    "jobs": "jobs",
    "evaluate": "evaluate",
    "calibrate": "calibrate",
    "survey": "survey",
    "export": "export",
    "show": "show",
    "doctor": "doctor",
    "plugins": "show",
    "weights": "weights",
    "demo": "demo",
    "completion": "completion",
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
    """A group that prints an error that the user can correct as one line, with exit status 1."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names of all commands, in the order of their use."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Return the command with that name, imported from its module; None if there is no such command."""
        if cmd_name not in COMMANDS:
            return None
        name = f"{cmd_name}_" if keyword.iskeyword(cmd_name) else cmd_name
        command: click.Command = getattr(importlib.import_module(f"snowmatch.cli.{COMMANDS[cmd_name]}"), name)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Return the command that the user named. An unknown name is a usage error that suggests the nearest name."""
        if args and args[0] not in COMMANDS and not args[0].startswith("-"):
            from snowmatch.core.text import choices

            ctx.fail(f"unknown command {args[0]!r}; {choices(args[0], list(COMMANDS))}")
        return super().resolve_command(ctx, args)

    def make_context(self, *arguments: Any, **values: Any) -> click.Context:
        """Read the options before the command."""
        for stream in (sys.stdout, sys.stderr):
            if hasattr(stream, "reconfigure"):  # a console without a letter shows \\u0421 instead of failing
                stream.reconfigure(errors="backslashreplace")
        with _printable_errors():
            return super().make_context(*arguments, **values)

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command. An error that the user can correct becomes a ClickException."""
        with _printable_errors():
            return self._invoke(ctx)

    def _invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except SnowmatchError as error:
            lines = str(error).splitlines()
            text = "\n".join(lines) if "problems" in error.data else " ".join(lines)  # one line, or a list of problems
            raise click.ClickException(with_advice(text, error.code, error.data)) from error
        except BrokenPipeError:  # the reader of the pipe, such as `head`, has stopped
            raise
        except OSError as error:  # such as a full disk, a folder without permission, a name that is too long
            where = f"{error.filename}: " if error.filename else ""
            raise click.ClickException(
                f"{where}{error.strerror or error}: check the name and the permissions"
            ) from error
        except ImportError as error:
            if "map segment" not in str(error) and "allocate memory" not in str(error):  # of a library, by the system
                raise
            raise click.ClickException("not enough memory to load the program: close other programs") from error
        except MemoryError as error:
            raise click.ClickException(f"not enough memory ({error}): use fewer photos or smaller settings") from error
        except Exception as error:
            if type(error).__module__ != "cv2" or "Insufficient memory" not in str(error):
                raise
            text = "not enough memory (for a photo): use fewer photos or smaller settings"
            raise click.ClickException(text) from error


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="snowmatch")
def main() -> None:
    """Identify individual snow leopards and other patterned animals in camera-trap photos.

    \b
    Example:
      snowmatch demo
      snowmatch index catalog/
      snowmatch query photo.jpg --catalog catalog/ --bodypart left_flank
    """
