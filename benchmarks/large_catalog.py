"""Draw a large catalog and index it with many processes. Part of scaling_large.py."""

from __future__ import annotations

import argparse
import multiprocessing
import os
import shutil
import subprocess
import time
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from measure import THREAD_VARIABLES, peak_memory
from scaling import NOISE, PHOTOS, bytes_of, row_of, write_table

FEW = 20  # features of an annotation of a flank that is never indexed
SEGMENT = 540 << 20  # bytes of features that are written at once: then no segment is merged
EXTRACTOR = "hesaff"


def grow(given: argparse.Namespace, size: int, to: int) -> dict[str, Any]:
    """Draw annotations number `size` to `to`, with photos, records and features, and write the table of all."""
    from snowmatch.catalog.records import Records, save_records
    from snowmatch.core.home import features_path, home_of

    folder, features = given.work / "catalog", features_path(given.work / "catalog")
    if not size:
        (folder / "photos").mkdir(parents=True, exist_ok=True)
        home_of(folder).mkdir(exist_ok=True)
        if given.features_at:
            given.features_at.mkdir(parents=True, exist_ok=True)
            features.mkdir(exist_ok=True)
            subprocess.run(["mount", "--bind", str(given.features_at), str(features)], check=True)
    features.mkdir(exist_ok=True)
    sizes = _pool(given.pool)["sizes"]
    rows = [row_of(n, tuple(sizes[(n // PHOTOS) % len(sizes)].tolist())) for n in range(to)]
    write_table(folder, rows)
    workers = min(given.workers, to - size)
    chunks = [(size + (to - size) * i // workers, size + (to - size) * (i + 1) // workers) for i in range(workers)]
    os.environ |= dict.fromkeys(THREAD_VARIABLES, "1")
    with multiprocessing.get_context("spawn").Pool(workers) as pool:
        taken = pool.starmap(_draw, [(given, rows[a:b], a, i) for i, (a, b) in enumerate(chunks)], chunksize=1)
    save_records(folder, _known(folder, Records({k: v for part in taken for k, v in part.items()}, {}, {})))
    return {"features_bytes": bytes_of(features.resolve())}


def _known(folder: Path, new: Any) -> Any:
    """Return the records of the catalog with new ones."""
    from snowmatch.catalog.records import load_records

    records = load_records(folder)
    records.photos.update(new.photos)
    return records


def _pool(path: Path) -> dict[str, Any]:
    import numpy as np

    with np.load(path) as held:
        return {name: held[name] for name in held.files}


def drawn(pool: dict[str, Any], n: int, most: int, shared: tuple[float, float]) -> Any:
    """Return the features of annotation number `n`: some of its individual's, the others of none.

    A descriptor is the upper half of one real descriptor and the lower half of another one. So there are as many as
    are asked for, and they lie about as even as real ones do.
    """
    import numpy as np

    from snowmatch.core.types import Features

    own, other = np.random.default_rng([n // PHOTOS, 1]), np.random.default_rng([n, 2])
    number = (n // PHOTOS) % len(pool["sizes"])
    first, last = pool["offsets"][number], pool["offsets"][number + 1]
    chosen = first + np.sort(own.permutation(last - first)[:most])
    rows = mixed(pool["descriptors"], chosen, own)
    share = float(np.exp(other.uniform(*np.log(shared))))
    new = np.sort(other.permutation(len(chosen))[max(1, round(len(chosen) * share)) :])
    rows[new] = mixed(pool["descriptors"], other.integers(len(pool["descriptors"]), size=len(new)), other)
    rows += other.standard_normal(rows.shape, np.float32) * NOISE
    np.clip(np.rint(rows, out=rows), 0, 255, out=rows)
    others = {name: pool[name][chosen] for name in ("keypoints", "scores", "scales", "oris", "shapes")}
    size = tuple(int(side) for side in pool["sizes"][number])
    return Features(descriptors=rows.astype(np.uint8), image_size=size, **others)


def mixed(descriptors: Any, upper: Any, rng: Any) -> Any:
    """Return descriptors (N, D) float32: upper halves of some, lower halves of random ones, of the same length."""
    import numpy as np

    rows = descriptors[upper].astype(np.float32)
    length = np.linalg.norm(rows, axis=1)
    half = rows.shape[1] // 2
    rows[:, half:] = descriptors[rng.integers(len(descriptors), size=len(rows)), half:]
    rows *= (length / np.maximum(np.linalg.norm(rows, axis=1), 1.0))[:, None]
    return rows


def _draw(given: argparse.Namespace, rows: list[dict[str, str]], first: int, worker: int) -> dict[str, Any]:
    """Write photos and features of some rows, and return their records. Each process has a writer of its own."""
    from snowmatch.catalog.records import annotation_key
    from snowmatch.core.home import features_path
    from snowmatch.core.plugins import make_plugin, settings
    from snowmatch.features.writer import FeatureWriter

    pool = _pool(given.pool)
    features = features_path(given.work / "catalog").resolve()
    mine = features / f".part-{first}-{worker}"
    records = {}
    with FeatureWriter(mine / "features", settings(make_plugin("extractors", EXTRACTOR))) as writer:
        for row in rows:
            n = int(Path(row["path"]).stem)
            taken = write_photo(given.work / "catalog" / row["path"], n)
            records[row["path"]] = taken
            box = tuple(int(v) for v in row["bbox"].split(","))
            most = FEW if given.left_only and row["body_part"] == "right_flank" else given.features
            writer.add(annotation_key(taken.sha256, box, ""), drawn(pool, n, most, given.shared))
            if writer._bytes >= SEGMENT:
                writer.commit()
        writer.commit()
        target = features / writer.folder.name
        target.mkdir(exist_ok=True)
        for file in [*writer.folder.glob("features-*.h5"), writer.folder / "settings.json"]:
            file.replace(target / file.name)
    shutil.rmtree(mine)
    return records


def write_photo(path: Path, n: int) -> Any:
    """Write a photo of a few pixels, and return its record: as if it had been copied long ago, it is not read again."""
    import numpy as np
    from PIL import Image

    from snowmatch.catalog.records import take_fingerprint

    pixels = np.random.default_rng([n, 3]).integers(0, 255, (8, 8, 3)).astype(np.uint8)
    Image.fromarray(pixels).save(path)
    taken = take_fingerprint(path, photo=True)
    return replace(taken, checked_ns=taken.mtime_ns + 10_000_000_000)


def shelf_of(folder: Path, part: str) -> tuple[Any, Any]:
    """Return the shelf and the content of one body part."""
    from snowmatch.api import open_catalog
    from snowmatch.matching.search.shelf import Shelf, block_rows

    gallery = open_catalog(folder).session(extractor=EXTRACTOR).gallery
    limit = block_rows(gallery.reader.dimension, gallery.reader.dtype)
    return Shelf(gallery.index_folder, part, gallery.extractor_key, limit), gallery._content(part)[0]


def build(given: argparse.Namespace, part: str) -> dict[str, Any]:
    """Build all search blocks of a body part from nothing, with many processes."""
    from snowmatch.core.home import indexes_path
    from snowmatch.matching.search.shelf import _Book, _cut, _renew, arrange_blocks

    folder = given.work / "catalog"
    for file in indexes_path(folder).glob(f"*/{part}-*"):
        file.unlink()
    shelf, content = shelf_of(folder, part)
    chosen = _renew(shelf, [], content)
    start = time.perf_counter()
    book = _Book(shelf, content, chosen, kept=True)
    codebook = book.get()
    trained = time.perf_counter() - start
    runs = _cut(content, chosen.missing, shelf.limit)
    workers = max(1, min(given.workers + 1, len(runs)))
    threads = -(-(given.workers + 1) // workers)
    os.environ |= dict.fromkeys(THREAD_VARIABLES, str(threads))
    with multiprocessing.get_context("spawn").Pool(workers) as pool:
        counts = dict(zip(content.keys.tolist(), content.counts.tolist(), strict=True))
        tasks = [(folder, shelf, run, [counts[key] for key in run.tolist()], chosen.name) for run in runs]
        peaks = pool.starmap(_write_block, tasks, chunksize=1)
    encoded = time.perf_counter() - start - trained
    damaged = arrange_blocks(shelf, content)
    return {
        "rows": content.rows,
        "blocks": len(runs),
        "lists": 0 if codebook is None else codebook.lists,
        "train": round(trained, 2),
        "encode": round(encoded, 2),
        "processes": workers,
        "threads": threads,
        "largest_memory_of_a_process": max(peaks, default=0),
        "memory": peak_memory(),
        "damaged": damaged,
        "index_bytes": bytes_of(indexes_path(folder)),
    }


def _write_block(folder: Path, shelf: Any, keys: Any, counts: list[int], name: str) -> int:
    """Write one search block, in a process of its own. Return the peak memory."""
    import numpy as np

    from snowmatch.core.home import features_path
    from snowmatch.core.plugins import make_plugin, settings
    from snowmatch.features.reader import open_features
    from snowmatch.matching.search.shelf import Content, _Book, _Chosen, _write

    reader = open_features(features_path(folder), settings(make_plugin("extractors", EXTRACTOR)))
    content = Content(
        keys, np.array(counts, np.int64), np.zeros(len(keys), np.uint64), partial(reader.column, "descriptors")
    )
    book = _Book(shelf, content, _Chosen(name, None, [], np.ones(len(keys), bool)), kept=True)
    book.few, book.name = name == "few", name
    _write(shelf, content, keys, book)
    return peak_memory() or 0
