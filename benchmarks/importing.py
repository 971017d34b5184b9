"""Measure how long an import of a large survey takes on one core, and how much memory it needs.

A season of cards is made: folders of stations with photos every few minutes, of which a few show an animal (--share).
The photos are hard links to one small drawn photo, and MegaDetector's file says what is in each. They are imported into
a new catalog, and then once more, which has to change nothing. Each size runs in a process of its own.

Example: python benchmarks/importing.py --work W
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import time
from pathlib import Path
from typing import Any

import numpy as np
from measure import RESULTS, circumstances, command_line, peak_memory, run_command
from PIL import Image
from speed import in_process
from store import put_run

SIZES = (10_000, 100_000)  # photos
FOLDER = 1000  # photos of one camera's folder


def main(arguments: list[str] | None = None) -> None:
    """Read the command line, import each size and keep the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, required=True, help="folder for the photos; they are removed")
    parser.add_argument("--out", type=Path, default=RESULTS / "importing.json", help="default: %(default)s")
    parser.add_argument("--photos", type=int, nargs="+", default=SIZES, help="sizes; default: %(default)s")
    parser.add_argument("--share", type=float, default=0.05, help="of photos with an animal; default: %(default)s")
    given = parser.parse_args(arguments)
    for photos in given.photos:
        start = time.perf_counter()
        folder = given.work / "importing"
        shutil.rmtree(folder, ignore_errors=True)
        try:
            source = make_season(folder, photos, given.share)
            row = in_process(import_twice, source, folder / "catalog")
        finally:
            shutil.rmtree(folder, ignore_errors=True)
        seconds = {**row.pop("seconds"), "total": round(time.perf_counter() - start, 1)}
        row = {"run": f"megadetector, {photos} photos", "photos": photos, **row, "seconds": seconds}
        put_run(given.out, {**row, **circumstances(command_line(arguments))})
        print(json.dumps(row), flush=True)


def make_season(folder: Path, photos: int, share: float) -> Path:
    """Make the folders of cards, and return MegaDetector's file about them."""
    random = np.random.default_rng([photos, 31])
    cards = folder / "cards"
    images: list[dict[str, Any]] = []
    for number in range(photos):
        station, place = divmod(number, FOLDER)
        name = f"naryn/S{station:03}/100RECNX/IMG_{place:04}.JPG"
        path = cards / name
        if place == 0:
            path.parent.mkdir(parents=True)
            Image.new("RGB", (320, 240), (90, 90, 90)).save(path, format="JPEG")
        else:
            os.link(path.with_name("IMG_0000.JPG"), path)
        found = [{"category": "1", "conf": 0.02, "bbox": [0.1, 0.1, 0.2, 0.2]}]
        if random.random() < share:
            box = [round(float(v), 4) for v in (*random.uniform(0, 0.5, 2), *random.uniform(0.1, 0.5, 2))]
            found.append({"category": "1", "conf": 0.9, "bbox": box})
        images.append({"file": name, "detections": found})
    about = {"info": {"format_version": "1.6", "detector": "md_v5a"}, "detection_categories": {"1": "animal"}}
    source = cards / "detections.json"
    source.write_text(json.dumps({**about, "images": images}), encoding="utf-8")
    return source


def import_twice(source: Path, catalog: Path) -> dict[str, Any]:
    """Import a source, and again. Return rows, seconds of both (and those of the core alone), and peak memory
    (MB)."""
    from snowmatch.interchange.importing import import_source

    seconds: dict[str, float] = {}
    for name in ("import", "again"):
        start, begun = time.perf_counter(), time.process_time()
        report = import_source(source, catalog)
        seconds[name] = round(time.perf_counter() - start, 2)
        seconds[f"{name}_cpu"] = round(time.process_time() - begun, 2)
    if report.written:
        raise RuntimeError(f"the second import has written {report.written}")
    memory = peak_memory()
    return {
        "rows": report.rows,
        "source_mb": round(source.stat().st_size / 1e6, 1),
        "memory_mb": None if memory is None else round(memory / 1e6),
        "seconds": seconds,
    }


if __name__ == "__main__":
    run_command(main)
