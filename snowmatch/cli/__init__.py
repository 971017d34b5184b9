"""The command line. A module imports only click at its top; a command imports the rest when it runs.

So --help is fast.
"""

from snowmatch.cli.group import main

__all__ = ["main"]
