"""Measure how long a person waits in the app.

pair          a question of review: both photos at 640 px, and both animals at 1280 px, that no browser and no folder of
              previews holds yet; of a drawn survey
large pair    the same with photos of 24 megapixels
kept pair     the pictures of the large pairs once more: the folder of previews holds them, a browser does not
small animal  as large pair, with boxes a quarter as wide and high: such photos have to be decoded at full size
decision      an answer in review until it is acknowledged; 20,000 simulated sightings; a second after the question
first page    the first page, until a browser has it and its files; 100,000 annotations
upload        a photo until its answer is there, beside the command line, which starts a program for it

The server runs in this process, the requests go through the network of this computer. Limits: a pair 0.3 s, a decision
0.05 s, the first page 1 s, an upload as long as the command line. The load of the computer, its programs that wait to
run in the last minute, is kept beside the seconds: above 1, they are those of a busy computer. Keeps one run in
results/app.json. Takes minutes.

Example: python benchmarks/app.py
"""

from __future__ import annotations

import argparse
import csv
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx2
import numpy as np
import uvicorn
from measure import HERE, RESULTS, circumstances, command_line, run_command
from PIL import Image
from store import put_run, read_runs
from study_tables import app_table

from snowmatch.api import open_catalog
from snowmatch.core.home import home_of
from snowmatch.demo.survey import make_survey
from snowmatch.views.previews import key_of
from snowmatch.web.app import make_app
from snowmatch.web.network import listen
from snowmatch.web.state import State

sys.path.append(str(HERE.parent / "tests"))
from web_large import large_state

SIGHTINGS, ANSWERS, ANNOTATIONS = 20_000, 5_000, 100_000
TIMES = 20
SIZE, LARGE, NOISE = (2400, 1600), (6000, 4000), 8  # width, height (px); grey levels
PAIRS = ("pair", "large pair", "small animal", "kept pair")
LIMITS = dict.fromkeys(PAIRS, 0.3) | {"decision": 0.05, "first page": 1.0}  # seconds
FILES = re.compile(r'(?:src|href)="(/static/[^"]+)"')
JSON = {"accept": "application/json"}


def main(arguments: Sequence[str] | None = None) -> None:
    """Read the command line and measure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=RESULTS / "app.json")
    parser.add_argument("--work", type=Path, help="for temporary files; default: the system's folder for them")
    parser.add_argument("--times", type=int, default=TIMES, help="requests of each kind; default: %(default)s")
    parser.add_argument("--table", action="store_true", help="print the table of the result on file, measure nothing")
    given = parser.parse_args(arguments)
    if given.table:
        print(app_table(read_runs(given.out)))
        return
    if given.work is not None:
        given.work.mkdir(parents=True, exist_ok=True)
    start = time.perf_counter()
    found: dict[str, Any] = {}
    with tempfile.TemporaryDirectory(dir=given.work) as folder:
        work = Path(folder)
        catalog, queries = drawn(work)
        print("drawn", file=sys.stderr, flush=True)
        for name, seconds in measured(work, catalog, queries, given.times):
            found[name] = summary(seconds) | load()
            print(name, found[name], file=sys.stderr, flush=True)
    run = {"run": "app", "waits": found, "limits": LIMITS, "seconds": {"total": round(time.perf_counter() - start, 1)}}
    run |= circumstances(command_line(arguments))
    put_run(given.out, run)
    print(app_table([run]))


def measured(work: Path, catalog: Path, queries: Sequence[Path], times: int) -> Iterator[tuple[str, list[float]]]:
    """Yield the seconds of each kind of wait, one kind after the other."""
    yield "pair", pairs(catalog, times)
    large = enlarged(catalog, work / "enlarged")
    yield "large pair", pairs(large, times)
    yield "kept pair", pairs(large, times, kept=True)
    yield "small animal", pairs(with_small_boxes(large), times)
    in_app, alone = uploads(catalog, queries, times)
    yield "upload", in_app
    yield "command line", alone
    yield "decision", decisions(work / "large", times)
    yield "first page", first_pages(work / "table", times)


@contextmanager
def served(state: State) -> Iterator[httpx2.Client]:
    """Serve a catalog, and yield a client that may ask."""
    listener = listen(0)
    port = listener.getsockname()[1]
    server = uvicorn.Server(uvicorn.Config(make_app(state, port, "token"), log_level="error", ws="none"))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()
    headers = {"sec-fetch-site": "same-origin"}
    with httpx2.Client(base_url=f"http://127.0.0.1:{port}", headers=headers, timeout=600) as client:
        while not server.started:
            time.sleep(0.01)
        client.get("/", params={"token": "token"}).raise_for_status()
        yield client
    server.should_exit = True
    thread.join()
    listener.close()


def load() -> dict[str, float]:
    """Return the programs that waited to run in the last minute, as `load`; {} where the system does not tell them."""
    return {"load": round(os.getloadavg()[0], 1)} if hasattr(os, "getloadavg") else {}


def drawn(work: Path) -> tuple[Path, list[Path]]:
    """Return an indexed catalog of drawn photos as large as those of cameras, and photos to ask about."""
    catalog, queries = work / "catalog", work / "queries"
    make_survey(catalog, individuals=6, encounters=3, size=SIZE, queries=queries, query_encounters=1)
    open_catalog(catalog).index()
    return catalog, sorted(queries.glob("**/*.jpg"))


def enlarged(catalog: Path, folder: Path) -> Path:
    """Return a copy of a catalog whose photos have LARGE px, with their boxes. It is not indexed again."""
    shutil.copytree(catalog, folder)
    change_boxes(folder, lambda box: [value * LARGE[0] // SIZE[0] for value in box])
    for photo in sorted((folder / "images").glob("*.jpg")):
        with Image.open(photo) as image:
            pixels = np.asarray(image.convert("RGB").resize(LARGE), np.int16)
        noise = np.random.default_rng(0).integers(-NOISE, NOISE + 1, pixels.shape[:2], np.int16)  # files of camera size
        Image.fromarray((pixels + noise[..., None]).clip(0, 255).astype(np.uint8)).save(photo, quality=90)
    return folder


def with_small_boxes(catalog: Path) -> Path:
    """Return the catalog with boxes a quarter as wide and high, around the same centres."""

    def shrink(box: Sequence[int]) -> Sequence[int]:
        x, y, w, h = box
        return x + w * 3 // 8, y + h * 3 // 8, w // 4, h // 4

    change_boxes(catalog, shrink)
    return catalog


def change_boxes(catalog: Path, change: Callable[[Sequence[int]], Sequence[int]]) -> None:
    """Change the boxes in the table of a catalog."""
    table = catalog / "catalog.csv"
    with table.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    with table.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        for row in rows:
            box = change([int(value) for value in row["bbox"].split(",")]) if row["bbox"] else ()
            writer.writerow({**row, "bbox": ",".join(map(str, box))})


def pairs(catalog: Path, times: int, *, kept: bool = False) -> list[float]:
    """Return the seconds until all pictures of a pair are there, which nobody has asked for before; or which are kept
    since the last call for this catalog.
    """
    state = State(catalog, None, "Anna")
    names = [key_of(a) for a in state.identities().annotations]
    if not kept:
        shutil.rmtree(home_of(catalog) / "previews", ignore_errors=True)

    def ask(client: httpx2.Client, number: int) -> None:
        chosen = [names[(2 * number + side) % len(names)] for side in (0, 1)]
        got: list[int] = []

        def one(address: str) -> None:  # a browser asks for all at once
            got.append(client.get(address).raise_for_status().status_code)

        addresses = [f"/picture/{kind}/{name}" for name in chosen for kind in ("photo/640", "animal/1280")]
        threads = [threading.Thread(target=one, args=(address,)) for address in addresses]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        if got != [200] * 4:
            raise SystemExit("a picture of a pair did not come")

    with served(state) as client:
        return timed(lambda number: ask(client, number), min(times, len(names) // 2))


def decisions(folder: Path, times: int) -> list[float]:
    """Return the seconds from an answer until it is on the disk, among many sightings."""
    folder.mkdir()
    with served(large_state(folder, SIGHTINGS, ANSWERS)) as client:
        while "questions" not in (found := client.get("/review/next", params={"count": 20}, headers=JSON).json()):
            time.sleep(0.2)
        asked = iter(found["questions"])

        def answer(_: int) -> None:
            values = {"pair": next(asked)["pair"], "answer": "different"}
            client.post("/review/answer", json=values, headers=JSON).raise_for_status()

        time.sleep(1)
        return timed(answer, min(times, len(found["questions"])), pause=0.3)


def first_pages(folder: Path, times: int) -> list[float]:
    """Return the seconds until a new server has answered with its first page and all files of it."""
    folder.mkdir()
    with (folder / "catalog.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["path", "individual", "body_part", "station", "encounter"])
        for n in range(ANNOTATIONS):
            writer.writerow([f"images/{n:06d}.jpg", f"cat{n % 997}", "left_flank", f"st{n % 200}", f"e{n // 3}"])
    seconds = []
    for _ in range(times):
        state = State(folder, None, "Anna")
        with served(state) as client:
            seconds += timed(lambda _: open_page(client), 1)
    return seconds


def open_page(client: httpx2.Client) -> None:
    """Open the first page as a browser does."""
    text = client.get("/").raise_for_status().text
    for name in FILES.findall(text):
        client.get(name).raise_for_status()


def uploads(catalog: Path, queries: Sequence[Path], times: int) -> tuple[list[float], list[float]]:
    """Return the seconds from a photo to its answer, in the app (the gallery is loaded) and on the command line."""
    command = [sys.executable, "-m", "snowmatch.cli", "query"]

    def ask(client: httpx2.Client, number: int) -> None:
        photo = queries[number % len(queries)]
        content = photo.read_bytes() + number.to_bytes(4, "big")  # a file that nobody has sent before
        sent = client.post("/identify/photo", params={"name": photo.name}, content=content).raise_for_status().json()
        values = {"photos": [sent["id"]], "boxes": [None], "body_part": "left_flank"}
        client.get(client.post("/identify/ask", json=values).raise_for_status().json()["address"]).raise_for_status()

    def run(number: int) -> None:
        asked = [str(queries[number % len(queries)]), "--catalog", str(catalog), "--bodypart", "left_flank"]
        subprocess.run([*command, *asked], check=True, capture_output=True)

    with served(State(catalog, None, "Anna")) as client:
        ask(client, 10**6)  # the first answer loads the gallery
        in_app = timed(lambda number: ask(client, number), times)
    return in_app, timed(run, min(times, 10))


def timed(work: Callable[[int], None], times: int, pause: float = 0) -> list[float]:
    """Return the seconds that each run of some work took. pause: seconds between runs, as between answers."""
    seconds = []
    for number in range(times):
        start = time.perf_counter()
        work(number)
        seconds.append(time.perf_counter() - start)
        time.sleep(pause)
    return seconds


def summary(seconds: Sequence[float]) -> dict[str, float]:
    """Return the median, the 90th percentile and the longest of some times (s), and their number."""
    ordered = sorted(seconds)
    values = {"median": statistics.median(ordered), "p90": ordered[int(0.9 * (len(ordered) - 1))], "most": ordered[-1]}
    return {name: round(value, 4) for name, value in values.items()} | {"times": len(ordered)}


if __name__ == "__main__":
    run_command(main)
