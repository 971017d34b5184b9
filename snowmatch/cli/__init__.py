"""The command line: click and nothing else. Each command imports what it needs when it runs, so --help is instant."""

from snowmatch.cli.group import main

__all__ = ["main"]
