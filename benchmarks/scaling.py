"""Measure what limits the size of a catalog: time, memory and disk of catalogs with many annotations.

The catalogs are drawn: each annotation has features of a real photo. The elements of the descriptors are in another
order for each individual, half of the features are the individual's with noise, the other half are of no other photo.
They are written by the project's own writer, with a photo of a few pixels for each annotation. Only the pixels and
their extraction are left out. One run for each size is kept in results/scaling.json. CPU seconds, on one core.

Example: python benchmarks/scaling.py --dataset catalog/,parts=left_flank --sizes 1000,10000 --work W --out W/s.json
"""

from __future__ import annotations

import argparse
import csv
import json
import shutil
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from datasets import contents_of, prepare
from measure import circumstances, command_line, peak_memory, results_file, run_command
from speed import in_process, numbers
from store import put_run
from suites import source_of

PHOTOS = 20  # of an individual
NOISE = 8.0  # standard deviation of an element of a descriptor (uint8)
ASKED = 8  # queries after the first
SAMPLE = 200  # descriptors that are searched exactly, too
CHUNK = 1 << 20  # rows that are compared at a time
MADE = "made"  # file of a drawn catalog: what it was drawn with


def main(arguments: list[str] | None = None) -> None:
    """Read the command line and measure."""
    given = parse(arguments)
    pool = prepare(f"{source_of(given.dataset, given.data)},name=scaling-pool", given.work).folder
    for size in numbers(given.sizes):
        folder = given.work / f"scaling-{size}"
        start = time.perf_counter()
        row = {"annotations": size, "features": given.features}
        made = json.dumps({"annotations": size, "features": given.features, "pool": contents_of(pool)})
        if not (folder / MADE).exists() or (folder / MADE).read_text(encoding="utf-8") != made:
            in_process(make_catalog, folder, pool, size, given.features)
            (folder / MADE).write_text(made, encoding="utf-8")
        for step in (build, ask, add):
            if step is add:
                (folder / MADE).unlink()  # then it has one photo more
            measured = in_process(step, folder)
            row |= measured
            print(size, step.__name__, measured, file=sys.stderr, flush=True)
        name = f"annotations={size},features={given.features or 'all'}"
        total = {"total": round(time.perf_counter() - start, 1)}
        put_run(given.out, {"run": name, **row, "seconds": total, **circumstances(command_line(arguments))})
        if not given.keep:
            shutil.rmtree(folder)


def cpu(work: Callable[[], Any]) -> tuple[Any, float]:
    """Return the result of some work, and its CPU seconds."""
    start = time.process_time()
    result = work()
    return result, round(time.process_time() - start, 4)


def make_catalog(folder: Path, pool: Path, size: int, most: int) -> None:
    """Write a drawn catalog: its table, photos of a few pixels, records and features. most: features of an annotation;
    0 for as many as the real photo has.
    """
    import numpy as np

    from snowmatch.api import open_catalog

    shutil.rmtree(folder, ignore_errors=True)
    catalog = open_catalog(pool)
    catalog.index("hesaff", workers=1)
    real = catalog.session(extractor="hesaff").gallery
    rows = [row_of(n, real.foreground.sizes[(n // PHOTOS) % len(real.keys)]) for n in range(size)]
    (folder / "photos").mkdir(parents=True)
    write_table(folder, rows)

    def features(n: int) -> Any:
        return drawn(real, n, most, np.random.default_rng([n // PHOTOS, 1]), np.random.default_rng([n, 2]))

    write_annotations(folder, rows, features)


def row_of(n: int, size: tuple[int, int]) -> dict[str, str]:
    """Return the row of annotation number `n`. Every second individual shows the left flank."""
    animal = n // PHOTOS
    part = ("left_flank", "right_flank")[animal % 2]
    return {
        "path": f"photos/{n}.png",
        "individual": f"a{animal}",
        "body_part": part,
        "station": f"S{n % 50}",
        "encounter": f"e{n}",
        "bbox": f"0,0,{size[0]},{size[1]}",
    }


def write_table(folder: Path, rows: list[dict[str, str]]) -> None:
    """Write catalog.csv."""
    with open(folder / "catalog.csv", "w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


def drawn(real: Any, n: int, most: int, own: Any, other: Any) -> Any:
    """Return the features of annotation number `n`: half of its individual's, half of none.

    own: random numbers of its individual. other: its own.
    """
    import numpy as np

    source = real.reader.read(real.keys[(n // PHOTOS) % len(real.keys)])
    if most:
        source = source.take(np.sort(own.permutation(len(source))[:most]))
    count, dimension = source.descriptors.shape
    order = own.permutation(dimension)
    kept = np.sort(other.permutation(count)[: count // 2])
    rows = source.descriptors[:, other.permutation(dimension)]
    rows[kept] = source.descriptors[np.ix_(kept, order)]
    noisy = np.clip(np.round(rows + other.normal(0, NOISE, rows.shape)), 0, 255).astype(np.uint8)
    return replace(source, descriptors=noisy)


def write_annotations(folder: Path, rows: list[dict[str, str]], features: Callable[[int], Any]) -> None:
    """Write the photos, records and features of some rows of the table."""
    import numpy as np
    from PIL import Image

    from snowmatch.catalog.records import annotation_key, copy_of, load_records, save_records, take_fingerprint
    from snowmatch.core.home import features_path
    from snowmatch.core.plugins import make_plugin, settings
    from snowmatch.features.writer import FeatureWriter

    records = load_records(folder)
    before = copy_of(records)
    with FeatureWriter(features_path(folder), settings(make_plugin("extractors", "hesaff"))) as writer:
        for row in rows:
            n = int(Path(row["path"]).stem)
            pixels = np.random.default_rng([n, 3]).integers(0, 255, (8, 8, 3)).astype(np.uint8)
            Image.fromarray(pixels).save(folder / row["path"])
            taken = take_fingerprint(folder / row["path"], photo=True)
            # as if the photo had been copied long ago: it is not read again
            records.photos[row["path"]] = taken._replace(checked_ns=taken.mtime_ns + 10_000_000_000)
            x, y, w, h = (int(v) for v in row["bbox"].split(","))
            writer.add(annotation_key(taken.sha256, (x, y, w, h), ""), features(n))
            if writer.due:
                writer.commit()
        writer.compact()
    save_records(folder, records, before)


def build(folder: Path) -> dict[str, Any]:
    """Measure building the whole search index, and bytes on disk."""
    from snowmatch.api import open_catalog
    from snowmatch.core.home import indexes_path
    from snowmatch.core.plugins import make_plugin
    from snowmatch.identify.session import build_index

    shutil.rmtree(indexes_path(folder), ignore_errors=True)
    catalog = open_catalog(folder)
    plugin = make_plugin("extractors", "hesaff")
    _, seconds = cpu(lambda: build_index(catalog.data, plugin, catalog._galleries))
    home = folder / ".snowmatch"
    sizes = {"database": home / "catalog.sqlite", "features": home / "features", "index": home / "index"}
    return {
        "descriptors": int(catalog.session().gallery.reader.counts.sum()),
        "build": seconds,
        "build_memory": peak_memory(),
        "disk": {name: bytes_of(path) for name, path in sizes.items()},
    }


def bytes_of(path: Path) -> int:
    """Return the size of a file, or of all files in a folder."""
    return path.stat().st_size if path.is_file() else sum(p.stat().st_size for p in path.rglob("*") if p.is_file())


def ask(folder: Path) -> dict[str, Any]:
    """Measure opening, the session, the first and the next queries, and the neighbours that are found."""
    import statistics

    from snowmatch.api import open_catalog

    catalog, opened = cpu(lambda: open_catalog(folder))
    session, prepared = cpu(catalog.session)
    start = peak_memory()
    annotations = catalog.data.annotations
    asked = [annotations[i * len(annotations) // (ASKED + 1)] for i in range(ASKED + 1)]
    answers, seconds = zip(*(cpu(lambda a=a: catalog.query(a, session=session)) for a in asked), strict=True)
    right = [
        bool(x.candidates) and x.candidates[0].individual == a.individual for x, a in zip(answers, asked, strict=True)
    ]
    memory = peak_memory()
    matched = [cpu(lambda a=a: match(session, a))[1] for a in asked]
    return {
        "open": opened,
        "session": prepared,
        "opened_memory": start,
        "first": seconds[0],
        "next": round(statistics.median(seconds[1:]), 4),
        "match": round(statistics.median(matched), 4),
        "memory": memory,
        "right": sum(right),
        "asked": len(asked),
        "blocks": len(session.gallery.blocks("faiss", "left_flank")),
        **recall(session.gallery),
    }


def match(session: Any, annotation: Any) -> None:
    """Compare one annotation with all others, and check the geometry: what of a query depends on the catalog's size."""
    from snowmatch.matching.query import score_query

    gallery, method = session.gallery, session.method
    entry = gallery.annotations.index(annotation)
    open_to = gallery.individual_numbers >= 0
    open_to[entry] = False
    subject = gallery.subject(entry)
    score_query([subject], gallery, open_to, annotation.body_part, method.matcher, method.geometry)


def recall(gallery: Any) -> dict[str, float]:
    """Return the shares of a sample of descriptors whose nearest, and whose five nearest rows are all found."""
    import numpy as np

    from snowmatch.matching.search.blocks import search

    part = "left_flank"
    entries = [i for i, a in enumerate(gallery.annotations) if a.body_part == part]
    asked = gallery.reader.read(gallery.keys[entries[len(entries) // 2]]).descriptors
    asked = asked[np.linspace(0, len(asked) - 1, min(SAMPLE, len(asked))).astype(int)]
    allowed = np.ones(len(gallery.annotations), bool)
    allowed[entries[len(entries) // 2]] = False
    found = search(gallery.blocks("faiss", part), asked, allowed, 5).distances
    wide = asked.astype(np.float32)
    best = np.full((len(asked), 5), np.inf, np.float32)
    open_to = [gallery.keys[i] for i in entries if allowed[i]]
    step = max(1, CHUNK // int(gallery.reader.counts.mean()))
    for first in range(0, len(open_to), step):
        rows = np.concatenate(gallery.reader.column("descriptors", open_to[first : first + step])).astype(np.float32)
        away = (wide**2).sum(axis=1)[:, None] + (rows**2).sum(axis=1) - 2 * wide @ rows.T
        nearest = np.partition(away, 4, axis=1)[:, :5]
        best = np.sort(np.concatenate([best, nearest], axis=1), axis=1)[:, :5]
    exact = np.sqrt(np.maximum(best, 0) / (2 * 512.0**2))
    same = np.isclose(found, exact, rtol=1e-3, atol=1e-4)
    return {"nearest_found": round(float(same[:, 0].mean()), 4), "five_found": round(float(same.all(axis=1).mean()), 4)}


def add(folder: Path) -> dict[str, Any]:
    """Measure an index run with one new photo, without its extraction, and the bytes of search blocks it writes."""
    from snowmatch.api import open_catalog
    from snowmatch.core.home import indexes_path
    from snowmatch.core.plugins import make_plugin
    from snowmatch.identify.session import build_index

    catalog = open_catalog(folder)
    with open(folder / "catalog.csv", encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    n = 1 + max(int(Path(row["path"]).stem) for row in rows)
    gallery = catalog.session().gallery
    new = row_of(n, gallery.foreground.sizes[0])
    features = gallery.reader.read(gallery.keys[0])
    write_table(folder, [*rows, new])
    write_annotations(folder, [new], lambda _: replace(features, descriptors=255 - features.descriptors))
    before = {p: p.stat().st_size for p in indexes_path(folder).rglob("*") if p.is_file()}
    catalog = open_catalog(folder)
    plugin = make_plugin("extractors", "hesaff")
    _, seconds = cpu(lambda: build_index(catalog.data, plugin, catalog._galleries))
    after = {p: p.stat().st_size for p in indexes_path(folder).rglob("*") if p.is_file()}
    return {
        "add": seconds,
        "add_memory": peak_memory(),
        "add_bytes": sum(size for p, size in after.items() if p not in before),
    }


def parse(arguments: list[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dataset", default="snow_leopard-boxes", help="a name of suites.py, or SOURCE,key=value,...")
    parser.add_argument("--data", type=Path, default=Path("../shared/data"), help="where real photos are")
    parser.add_argument("--work", type=Path, default=Path(__file__).parent / ".work")
    parser.add_argument("--out", type=Path, help="file of results; default: the published one, for its settings")
    parser.add_argument("--sizes", default="1000,10000,30000", help="numbers of annotations")
    parser.add_argument("--features", type=int, default=0, help="largest number of features of one; 0: as real photos")
    parser.add_argument("--keep", action="store_true", help="keep the drawn catalogs")
    given = parser.parse_args(arguments)
    given.out = results_file(parser, given, "scaling.json", ("dataset",))
    return given


if __name__ == "__main__":
    run_command(main)
