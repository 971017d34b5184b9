"""Measure how much of the CPU time of an index run is the extractor's own.

A dataset is indexed from nothing, with each number of workers in a process of its own: the CPU seconds of that process
and of its workers are counted. Then the same process extracts the same boxes of the same photos once more, one after
the other: the CPU seconds of the extractor alone, without reading photos and cutting chips. With one worker, the CPU
seconds of each stage are counted too. Both figures of a row are of one run, so other programs on the computer disturb
both. Windows does not tell the CPU time of workers.

Example: python benchmarks/indexing.py --dataset catalog/,first=100 --workers 1 2 --work W --out W/indexing.json
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any
from unittest.mock import patch

from datasets import prepare
from measure import circumstances, command_line, results_file, run_command
from speed import in_process
from store import put_run
from suites import source_of

# Stages, in the order of the run. `network` is the classifier in the maps, `chips` is reading photos for the extractor
STAGES = ("reading", "network", "maps", "chips", "extractor", "blocks", "rest")


def main(arguments: list[str] | None = None) -> None:
    """Read the command line, index with each number of workers and keep the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dataset", default="snow_leopard-third", help="see datasets.py; default: %(default)s")
    parser.add_argument("--data", type=Path, default=Path("../shared/data"), help="where datasets find real photos")
    parser.add_argument("--work", type=Path, required=True, help="folder for the catalog")
    parser.add_argument("--out", type=Path, help="file of results; default: the published one, for its settings")
    parser.add_argument("--extractor", nargs="+", default=("hesaff",), help="default: hesaff")
    parser.add_argument("--workers", type=int, nargs="+", default=(1, 2), help="default: 1 2")
    given = parser.parse_args(arguments)
    given.out = results_file(parser, given, "indexing.json", ("dataset",))
    start = time.perf_counter()
    dataset = prepare(source_of(given.dataset, given.data), given.work)
    for extractor in given.extractor:
        for workers in given.workers:
            row = in_process(measure, dataset.folder, extractor, workers, cores=workers)
            total = round(time.perf_counter() - start, 1)
            start = time.perf_counter()
            row = {"run": f"{dataset.name} {extractor}, workers: {workers}", "dataset": dataset.name, **row}
            row["seconds"]["total"] = total
            put_run(given.out, {**row, **circumstances(command_line(arguments))})
            print(json.dumps(row), flush=True)


def measure(folder: Path, extractor: str, workers: int) -> dict[str, Any]:
    """Index a catalog from nothing, and extract its annotations once more. Return counts and CPU seconds of both."""
    from snowmatch.api import open_catalog
    from snowmatch.core.home import home_of
    from snowmatch.core.plugins import make_plugin
    from snowmatch.screening.finders import choose_finders

    shutil.rmtree(home_of(folder), ignore_errors=True)
    catalog = open_catalog(folder)
    classifier = choose_finders(catalog.data.settings.classifier).classifier
    stages: Counter[str] = Counter()
    start, begun = time.perf_counter(), cpu_seconds()
    with timed_stages(stages, classifier):
        report = catalog.index(extractor, workers=workers)
    index_cpu, index = cpu_seconds() - begun, time.perf_counter() - start
    alone = extractor_alone(catalog.data, make_plugin("extractors", extractor))
    shutil.rmtree(home_of(folder))
    return {
        "extractor": extractor,
        "classifier": "none" if classifier is None else type(classifier).__module__.rpartition(".")[2],
        "workers": workers,
        "photos": len({a.path for a in catalog.data.annotations}),
        "annotations": report.done,
        "features": report.features,
        "share": round(alone / index_cpu, 4),
        "stages": stage_seconds(stages, index_cpu) if workers == 1 else None,
        "seconds": {"index": round(index, 2), "index_cpu": round(index_cpu, 2), "extractor_cpu": round(alone, 2)},
    }


def cpu_seconds() -> float:
    """Return the CPU seconds of this process and of its children that have ended."""
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system


@contextmanager
def timed_stages(stages: Counter[str], classifier: Any) -> Iterator[None]:
    """Add the CPU seconds that this process spends in each stage inside the `with` block. Parts count twice."""
    from snowmatch.features import indexing, run, tasks
    from snowmatch.identify import opened_catalog

    places = [
        (run, "hash_photos", "reading"),
        (indexing, "update_maps", "maps"),
        (tasks.Extract, "run", "chips"),
        (tasks, "extract_chips", "extractor"),
        (opened_catalog, "build_index", "blocks"),
    ]
    if classifier is not None:
        places.append((type(classifier), "classify", "network"))
    with ExitStack() as patched:
        for owner, name, stage in places:
            patched.enter_context(patch.object(owner, name, _timed(getattr(owner, name), stage, stages)))
        yield


def _timed(work: Callable[..., Any], stage: str, stages: Counter[str]) -> Callable[..., Any]:
    def timed(*arguments: Any, **options: Any) -> Any:
        begun = time.process_time()
        try:
            return work(*arguments, **options)
        finally:
            stages[stage] += time.process_time() - begun  # type: ignore[assignment] # a Counter of seconds

    return timed


def stage_seconds(stages: Counter[str], total: float) -> dict[str, float]:
    """Return the CPU seconds of each of STAGES, without those of its parts: together they are `total`."""
    own = {stage: float(stages[stage]) for stage in STAGES}
    own["maps"] -= own["network"]
    own["chips"] -= own["extractor"]
    own["rest"] = total - sum(own.values())
    return {stage: round(seconds, 2) for stage, seconds in own.items()}


def extractor_alone(data: Any, plugin: Any) -> float:
    """Return the CPU seconds of the extractor for all annotations of a catalog, in its batches."""
    from snowmatch.features.extractors import batch_of, chip_of, extract_chips
    from snowmatch.photos.pixels import read_mask, read_photo

    seconds, chips, batch = 0.0, [], batch_of(plugin)
    for number, a in enumerate(data.annotations, start=1):
        photo = read_photo(data.folder / a.path)
        mask = read_mask(data.folder / a.mask, (photo.shape[1], photo.shape[0])) if a.mask else None
        chips.append(chip_of(plugin, photo, a.bbox, mask))
        if len(chips) == batch or number == len(data.annotations):
            begun = time.process_time()
            extract_chips(plugin, chips)
            seconds += time.process_time() - begun
            chips = []
    return seconds


if __name__ == "__main__":
    run_command(main)
