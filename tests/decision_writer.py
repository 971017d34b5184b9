"""A program that tests start and kill: it stores decisions one by one and prints each id after it is stored."""

import sys
from pathlib import Path

from snowmatch.decisions.file import append
from snowmatch.decisions.row import Decision


def main(path, name, count):
    print("ready", flush=True)
    for number in range(count):
        stored = append(path, [Decision("", "", name, "pair", ("a1",), ("a2",), "same", note=str(number))])
        print(stored.rows[0].id, flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]))
