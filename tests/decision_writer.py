"""A program that tests start and kill: it stores decisions one by one and prints each id after it is stored."""

import os
import sys
from pathlib import Path

from snowmatch.decisions.file import append
from snowmatch.decisions.row import Decision


def no_link(source, target):
    raise PermissionError(1, "Operation not permitted")


def main(path, name, count):
    print("ready", flush=True)
    for number in range(count):
        stored = append(path, [Decision("", "", name, "pair", ("a1",), ("a2",), "same", note=str(number))])
        print(stored.rows[0].id, flush=True)


if __name__ == "__main__":
    if "NO_LINKS" in os.environ:  # as on a file system without hard links
        os.link = no_link
    main(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]))
