"""How fast is what a user waits for: help, indexing with 1 and N workers, a query loaded and from the command line.

Example: python benchmarks/speed.py          (about ten minutes on two cores; a synthetic survey in a temporary folder)
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import cv2
import numpy as np
from measure import circumstances, median_seconds, write_result

import snowmatch
from snowmatch.core.plugins import make_plugin
from snowmatch.demo.survey import make_survey
from snowmatch.features.extractors import extract_from_photo
from snowmatch.photos.pixels import read_mask, read_photo

INDIVIDUALS, ENCOUNTERS = 100, 10  # 1,000 annotations, one photo each
EXTRACTED = 200  # photos for the comparison of workers


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "snowmatch.cli", *arguments]


def run(*arguments: str) -> None:
    subprocess.run(command(*arguments), check=True, capture_output=True)


def main() -> None:
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    result = circumstances("python benchmarks/speed.py")
    result["help_seconds"] = round(median_seconds(lambda: run("--help"), 9), 3)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        make_survey(
            folder / "catalog",
            individuals=INDIVIDUALS,
            encounters=ENCOUNTERS,
            photos=(1, 1),
            stations=20,
            size=(960, 640),
            queries=folder / "queries",
            query_encounters=1,
        )
        result["indexing"] = indexing(folder, cores)
        result["query"] = querying(folder)
    write_result("speed", result)


def indexing(folder: Path, cores: int) -> dict:
    """Bare extraction in one process, index runs with 1 and all workers on the same photos, and their ratios."""
    part = folder / "part"
    shutil.copytree(folder / "catalog", part)
    lines = (part / "catalog.csv").read_text(encoding="utf-8").splitlines()
    (part / "catalog.csv").write_text("\n".join(lines[: EXTRACTED + 1]) + "\n", encoding="utf-8")
    catalog = snowmatch.open_catalog(part)
    plugin = make_plugin("extractors", "hesaff")
    bare = 0.0
    threads = cv2.getNumThreads()
    cv2.setNumThreads(1)
    for a in catalog.data.annotations:
        photo = read_photo(part / a.path)
        mask = read_mask(part / a.mask, (photo.shape[1], photo.shape[0]))
        start = time.perf_counter()
        extract_from_photo(plugin, photo, a.bbox, mask)
        bare += time.perf_counter() - start
    cv2.setNumThreads(threads)
    seconds = {}
    for workers in (1, cores, 1, cores):
        shutil.rmtree(part / ".snowmatch", ignore_errors=True)
        report = snowmatch.open_catalog(part).index("hesaff", workers=workers)
        seconds[workers] = min(report.seconds, seconds.get(workers, np.inf))
    apart = separately(part, cores)
    return {
        "annotations": EXTRACTED,
        "extraction_seconds_per_annotation": round(bare / EXTRACTED, 4),
        "overhead_share_of_extraction": round(seconds[1] / bare - 1, 3),
        "workers": cores,
        "speedup_over_one_worker": round(seconds[1] / seconds[cores], 3),
        "share_of_ideal": round(seconds[1] / seconds[cores] / cores, 3),
        "speedup_of_separate_programs": round(seconds[1] / apart * cores, 3),
    }


def separately(part: Path, cores: int) -> float:
    """Seconds of one-worker runs, one per core, that share nothing: what the machine can give at most."""
    code = "import sys, snowmatch; print(snowmatch.open_catalog(sys.argv[1]).index('hesaff', workers=1).seconds)"
    copies = []
    for number in range(cores):
        copies.append(part.with_name(f"part{number}"))
        shutil.copytree(part, copies[-1], ignore=shutil.ignore_patterns(".snowmatch"))
    running = [
        subprocess.Popen([sys.executable, "-c", code, str(c)], stdout=subprocess.PIPE, text=True) for c in copies
    ]
    return max(float(process.communicate()[0]) for process in running)


def querying(folder: Path) -> dict:
    """A query against all annotations: in a program that has the catalog open, and from the command line, cold."""
    catalog = snowmatch.open_catalog(folder / "catalog")
    catalog.index("hesaff")
    row = (folder / "queries" / "queries.csv").read_text(encoding="utf-8").splitlines()[1].split(",")
    photo = folder / "queries" / row[0]
    shell = ("query", str(photo), "--catalog", str(folder / "catalog"))
    answer = catalog.query(photo)
    return {
        "annotations": answer.compared,
        "features_of_query": answer.photos[0].features,
        "loaded_seconds": round(median_seconds(lambda: catalog.query(photo), 7), 3),
        "loaded_one_side_seconds": round(median_seconds(lambda: catalog.query(photo, body_part="left_flank"), 7), 3),
        "command_line_seconds": round(median_seconds(lambda: run(*shell), 5), 3),
    }


if __name__ == "__main__":
    main()
