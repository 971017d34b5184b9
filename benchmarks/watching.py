"""Measure how long a photo takes from the disk to its answer in `snowmatch watch`.

told      the system tells that the folder changed (package watchfiles)
polled    the folder is looked at once a second, as on network drives and cards
added     as told, with --add: the photos of before are in the catalog and indexed
first     from the start of the program to the answer for a photo that was there

The catalog is a drawn survey of 560 photos. A photo is written, and the time until its line is in the file of events is
taken. The program is at work already, and each photo is of another passage. Limit: 3 s. Keeps one run in
results/watching.json. Takes about 20 minutes, most of them for drawing and indexing; --catalog and --queries name a
survey that was drawn before.

Example: python benchmarks/watching.py
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from app import summary
from measure import RESULTS, circumstances, command_line, run_command
from store import put_run, read_runs
from study_tables import watching_table

from snowmatch.api import open_catalog
from snowmatch.core.errors import SnowmatchError
from snowmatch.demo.survey import make_survey
from snowmatch.review import folder_changes

LIMIT = 3.0  # seconds
TIMES = 15
PAUSE = 1.0  # seconds between photos of one way, as of a card that is copied slowly
# The same program without the system's help
POLLING = (
    "import snowmatch.review.folder_changes as f; f._why_polling = lambda folder: 'chosen'; "
    "from snowmatch.cli import main; main()"
)


def main(arguments: Sequence[str] | None = None) -> None:
    """Read the command line and measure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=RESULTS / "watching.json")
    parser.add_argument("--work", type=Path, help="for temporary files; default: the system's folder for them")
    parser.add_argument("--catalog", type=Path, help="an indexed catalog; it is copied")
    parser.add_argument("--queries", type=Path, help="photos to ask about, two of each passage")
    parser.add_argument("--times", type=int, default=TIMES, help="photos of each way; default: %(default)s")
    parser.add_argument("--table", action="store_true", help="print the table of the result on file, measure nothing")
    given = parser.parse_args(arguments)
    if given.table:
        print(watching_table(read_runs(given.out)))
        return
    start = time.perf_counter()
    with tempfile.TemporaryDirectory(dir=given.work) as folder:
        work = Path(folder)
        if why := folder_changes._why_polling(work):
            text = f"the system does not tell the changes of {folder}: {why}"
            raise SnowmatchError(f"{text}; install '.[watch]', or name a local folder with --work")
        catalog, queries = drawn(work, given.catalog, given.queries)
        photos = len({a.path for a in open_catalog(catalog).data.annotations})
        waits = {}
        for name, seconds in measured(work, catalog, queries, given.times):
            waits[name] = summary(seconds)
            print(name, waits[name], file=sys.stderr, flush=True)
    run = {"run": "watching", "photos": photos, "waits": waits, "limit": LIMIT}
    run["seconds"] = {"total": round(time.perf_counter() - start, 1)}
    if (load := os.getloadavg()[2] if hasattr(os, "getloadavg") else 0.0) > 2 * (os.cpu_count() or 1):
        run["notes"] = [f"other programs were at work: {load:.0f} wanted a core; alone, the times are shorter"]
    put_run(given.out, run | circumstances(command_line(arguments)))
    print(watching_table([run]))


def drawn(work: Path, catalog: Path | None, queries: Path | None) -> tuple[Path, list[Path]]:
    """Return an indexed catalog that may be changed, and one photo of each passage to ask about."""
    own, asked = work / "catalog", queries or work / "queries"
    if catalog is None:
        make_survey(
            own, individuals=40, encounters=7, photos=(2, 2), stations=12, seed=11,
            queries=asked, query_encounters=1, new_individuals=4,
        )  # fmt: skip
        open_catalog(own).index()
    else:
        shutil.copytree(catalog, own)
        open_catalog(own).index()  # the copies have other times
    return own, sorted((asked / "images").glob("*.jpg"))[::2]


def measured(work: Path, catalog: Path, queries: Sequence[Path], times: int) -> Iterator[tuple[str, list[float]]]:
    """Yield the seconds of each way, one way after the other. No photo is asked twice."""
    left = iter(queries)
    told = [next(left) for _ in range(times)]
    polled = [next(left) for _ in range(times)]
    yield "told", waits(work / "told", catalog, told)
    yield "polled", waits(work / "polled", catalog, polled, polling=True)
    yield "added", waits(work / "added", catalog, list(left)[:times], "--add")
    yield "first", [first(work / "first", catalog, told[0])]


def waits(folder: Path, catalog: Path, photos: Sequence[Path], *more: str, polling: bool = False) -> list[float]:
    """Return the seconds of each photo from the disk to its line in the file of events; the first is not counted."""
    seconds = []
    with watched(folder, catalog, *more, polling=polling) as events:
        for number, photo in enumerate(photos):
            began = put(photo, folder / f"P{number:02}" / photo.name)
            seconds.append(wait_for(events, number + 1) - began)
            time.sleep(PAUSE + (3 if more else 0))  # with --add, until it is indexed
    return seconds[1:]


def first(folder: Path, catalog: Path, photo: Path) -> float:
    """Return the seconds from the start of the program to the answer for a photo that nobody has asked about."""
    content = photo.read_bytes()
    path = folder / "P00" / photo.name
    path.parent.mkdir(parents=True)
    path.write_bytes(content[:-2] + b"\0\0" + content[-2:])  # another content, the same picture
    began = time.perf_counter()
    with watched(folder, catalog) as events:
        return wait_for(events, 1) - began


@contextmanager
def watched(folder: Path, catalog: Path, *more: str, polling: bool = False) -> Iterator[Path]:
    """Watch a folder in a program of its own, and yield its file of events."""
    folder.mkdir(parents=True, exist_ok=True)
    events = folder.with_suffix(".jsonl")
    program = ["-c", POLLING] if polling else ["-m", "snowmatch.cli"]
    words = ["watch", str(folder), "--catalog", str(catalog), "--bodypart", "left_flank", "--events", str(events)]
    process = subprocess.Popen([sys.executable, *program, *words, *more], stdout=subprocess.DEVNULL)
    try:
        yield events
    finally:
        process.terminate()
        process.wait()


def put(photo: Path, path: Path) -> float:
    """Copy a photo, and return when it was on the disk."""
    path.parent.mkdir(exist_ok=True)
    shutil.copy(photo, path)
    return time.perf_counter()


def wait_for(events: Path, count: int) -> float:
    """Wait until a file has so many events, and return when it had."""
    until = time.perf_counter() + 300
    while time.perf_counter() < until:
        if events.exists() and len(events.read_bytes().splitlines()) >= count:
            found = [json.loads(line) for line in events.read_text(encoding="utf-8").splitlines()]
            assert all(event["decision"] for event in found), found
            return time.perf_counter()
        time.sleep(0.01)
    raise SystemExit(f"{events}: no answer came within 300 s")


if __name__ == "__main__":
    run_command(main)
