"""Run the command line with `python -m snowmatch.cli`."""

from snowmatch.cli import main

main()
