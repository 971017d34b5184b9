"""`python -m snowmatch.cli`."""

from snowmatch.cli import main

main()
