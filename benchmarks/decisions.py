"""Measure how fast decisions become who is who: a drawn file of 200,000 decisions about 20,000 sightings.

Measured on one core, in seconds of the processor: reading the file with its chain of hashes; who is who from all rows;
making the queue; the next question; storing an answer, with who is who and the queue after it. total: seconds of the
clock, with drawing the file.

Example: python benchmarks/decisions.py --work /tmp/work
"""

from __future__ import annotations

import argparse
import json
import random
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from measure import RESULTS, circumstances, command_line, run_command
from store import put_run

from snowmatch.catalog.load import CatalogData
from snowmatch.core.types import Annotation
from snowmatch.decisions.file import append, read_decisions
from snowmatch.decisions.row import DIFFERENT, SAME, Decision
from snowmatch.decisions.who import who_is_who
from snowmatch.review.identities import Identities, decide
from snowmatch.review.likely import Evidence, Likely
from snowmatch.review.queue import Queue, answer_item

OF_ONE = 8  # sightings of each individual


def main(arguments: list[str] | None = None) -> None:
    """Read the command line, draw the file and measure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, required=True, help="folder for the drawn file")
    parser.add_argument("--sightings", type=int, default=20_000, help="default: %(default)s")
    parser.add_argument("--decisions", type=int, default=200_000, help="default: %(default)s")
    parser.add_argument("--out", type=Path, default=RESULTS / "decisions.json")
    given = parser.parse_args(arguments)
    began = time.perf_counter()
    annotations = drawn_annotations(given.sightings)
    given.work.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(dir=given.work))  # a run that was stopped leaves a file that is not whole
    file = folder / "decisions.sqlite"
    append(file, drawn_decisions(annotations, given.decisions))
    seconds: dict[str, float] = {}
    stored = timed(seconds, "read", lambda: read_decisions(file))
    who = timed(seconds, "who", lambda: who_is_who(annotations, stored.rows))
    data = CatalogData(given.work, annotations, ())
    identities = Identities(data, file, stored, who)
    evidence = drawn_evidence(given.sightings)
    queue = timed(seconds, "queue", lambda: Queue(identities, evidence, "observer", repeats=0))
    asked, answered = [], []
    for _ in range(20):
        start = time.process_time()
        (item,) = queue.next()
        asked.append(time.process_time() - start)
        same = item.a // OF_ONE == item.b // OF_ONE
        start = time.process_time()
        draft = answer_item(queue, item, SAME if same else DIFFERENT, "", hidden=False)
        after, found = decide(queue.identities, [draft])
        queue.take(after, item, found.rows[0])
        answered.append(time.process_time() - start)
    seconds |= {"next_median": statistics.median(asked), "next_most": max(asked)}
    seconds |= {"answer_median": statistics.median(answered), "answer_most": max(answered)}
    shutil.rmtree(folder)
    told: dict[str, Any] = {k: round(v, 3) for k, v in seconds.items()}
    told["total"] = round(time.perf_counter() - began, 1)
    run = {"run": f"{given.sightings} sightings, {given.decisions} decisions", "seconds": told}
    put_run(given.out, run | circumstances(command_line(arguments)))
    print(json.dumps(told))


def timed(seconds: dict[str, float], name: str, work: Callable[[], Any]) -> Any:
    """Do some work, keep its seconds of the processor under `name`, and return its result."""
    start = time.process_time()
    result = work()
    seconds[name] = time.process_time() - start
    return result


def drawn_annotations(count: int) -> tuple[Annotation, ...]:
    """Return one annotation for each sighting."""
    return tuple(
        Annotation(n, f"{n}.jpg", body_part="left_flank", encounter=f"e{n}", annotation=f"a{n:016x}")
        for n in range(count)
    )


def drawn_decisions(annotations: tuple[Annotation, ...], count: int) -> list[Decision]:
    """Return answers about drawn pairs, a tenth of them of one animal."""
    draw = random.Random(1)
    total = len(annotations)
    rows = []
    while len(rows) < count:
        a = draw.randrange(total)
        b = (a // OF_ONE) * OF_ONE + draw.randrange(OF_ONE) if draw.random() < 0.1 else draw.randrange(total)
        if b < total and a != b:
            answer = SAME if a // OF_ONE == b // OF_ONE else DIFFERENT
            sides = (annotations[a].annotation,), (annotations[b].annotation,)
            rows.append(Decision("", "", "observer", "pair", *sides, answer, shown={"probability": 0.5}))
    return rows


def drawn_evidence(count: int) -> Evidence:
    """Return evidence for ten pairs of each sighting, half of them of one animal."""
    draw = random.Random(2)
    pairs = {}
    for a in range(count):
        for k in range(10):
            same = k % 2 == 0
            b = (a // OF_ONE) * OF_ONE + draw.randrange(OF_ONE) if same else draw.randrange(count)
            if a == b or b >= count:
                continue
            pair = (min(a, b), max(a, b))
            odds = draw.gauss(6, 3) if same else draw.gauss(-1, 1)
            share = min(max(0.5 + odds / 20, 0.01), 0.99)
            pairs[pair] = Likely(*pair, odds, share, share, 10, (f"a{pair[0]:016x}", f"a{pair[1]:016x}"))
    return Evidence(dict(sorted(pairs.items())), OF_ONE / count, -4.0, 0)


if __name__ == "__main__":
    run_command(main)
