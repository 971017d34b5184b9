"""Draw a large catalog and index it with many processes. Part of scaling_large.py."""

from __future__ import annotations

import argparse
import multiprocessing
import os
import shutil
import subprocess
import time
from pathlib import Path
from typing import Any

from datasets import prepare
from measure import THREAD_VARIABLES, peak_memory
from scaling import NOISE, PHOTOS, bytes_of, row_of, write_table
from suites import source_of

FEW = 20  # features of an annotation of a flank that is never indexed
SEGMENT = 540 << 20  # bytes of features that are written at once: then no segment is merged
EXTRACTOR = "hesaff"
FIELDS = ("descriptors", "keypoints", "scores", "scales", "oris", "shapes")
MAP_CELLS = 120  # on the longer side of a map


def make_pool(given: argparse.Namespace) -> None:
    """Write the features of all photos of a dataset into one file."""
    import numpy as np

    from snowmatch.api import open_catalog

    catalog = open_catalog(prepare(source_of(given.dataset, given.data), given.work).folder)
    catalog.index(EXTRACTOR, workers=given.workers)
    gallery = catalog.session(extractor=EXTRACTOR).gallery
    features = [gallery.reader.read(key) for key in gallery.keys]
    offsets = np.cumsum([0, *map(len, features)])
    sizes = np.array([each.image_size for each in features])
    parts = {name: np.concatenate([getattr(each, name) for each in features]) for name in FIELDS}
    np.savez(given.pool, offsets=offsets, sizes=sizes, **parts)


def grow(given: argparse.Namespace, size: int, to: int) -> dict[str, Any]:
    """Draw annotations number `size` to `to`, with photos, records and features, and write the table of all."""
    from snowmatch.catalog.records import Records, save_records
    from snowmatch.core.home import features_path, home_of
    from snowmatch.core.plugins import make_plugin, settings
    from snowmatch.features.writer import FeatureWriter

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
    records = {path: record for part in taken for path, record in part.items()}
    save_records(folder, _known(folder, Records(records, {}, {})))
    with FeatureWriter(features, settings(make_plugin("extractors", EXTRACTOR))) as writer:
        writer.check(None)  # as index runs do: queries then trust the files
    if given.scenery:
        write_maps(folder, _pool(given.pool), records, given.scenery)
    return {"features_bytes": bytes_of(features.resolve())}


def _known(folder: Path, new: Any) -> Any:
    """Return the records of the catalog with new ones."""
    from snowmatch.catalog.records import load_records

    records = load_records(folder)
    records.photos.update(new.photos)
    return records


def write_maps(folder: Path, pool: dict[str, Any], records: dict[str, Any], scenery: float) -> None:
    """Write a foreground map of each photo: an ellipse in which the share `scenery` of the real photo's features is
    not.
    """
    import numpy as np

    from snowmatch.screening.foreground import ForegroundMap
    from snowmatch.screening.maps import KEY, save_maps

    maps = []
    for size, first, last in zip(pool["sizes"], pool["offsets"][:-1], pool["offsets"][1:], strict=True):
        shape = np.maximum(1, np.rint(size * (MAP_CELLS / size.max()))).astype(int)
        places = pool["keypoints"][first:last] / size
        middle = np.median(places, axis=0)
        radius = np.quantile(np.linalg.norm(places - middle, axis=1), 1 - scenery)
        cells = np.stack(np.meshgrid(*((np.arange(n) + 0.5) / n for n in shape)), axis=-1)
        inside = np.linalg.norm(cells - middle, axis=-1) <= radius
        maps.append(ForegroundMap(np.where(inside, 255, 0).astype(np.uint8), "classifier"))
    numbers = {path: int(Path(path).stem) // PHOTOS % len(maps) for path in records}
    save_maps(folder, {record.sha256[:KEY]: ("drawn", maps[numbers[path]]) for path, record in records.items()})


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
            x, y, width, height = (int(v) for v in row["bbox"].split(","))
            taken = write_photo(given.work / "catalog" / row["path"], n, (width, height))
            records[row["path"]] = taken
            most = FEW if given.left_only and row["body_part"] == "right_flank" else given.features
            writer.add(annotation_key(taken.sha256, (x, y, width, height), ""), drawn(pool, n, most, given.shared))
            if writer._bytes >= SEGMENT:
                writer.commit()
        writer.commit()
        target = features / writer.folder.name
        target.mkdir(exist_ok=True)
        for file in [*writer.folder.glob("features-*.h5"), writer.folder / "settings.json"]:
            file.replace(target / file.name)
    shutil.rmtree(mine)
    return records


def write_photo(path: Path, n: int, size: tuple[int, int]) -> Any:
    """Write a black photo of `size` (width, height) with some random pixels, and return its record: as if it had been
    copied long ago, it is not read again.
    """
    import numpy as np
    from PIL import Image

    from snowmatch.catalog.records import take_fingerprint

    pixels = np.zeros(size[::-1], bool)
    pixels.flat[:256] = np.random.default_rng([n, 3]).random(256) < 0.5
    Image.fromarray(pixels).save(path, compress_level=1)
    taken = take_fingerprint(path, photo=True)
    return taken._replace(checked_ns=taken.mtime_ns + 10_000_000_000)


def shelf_of(folder: Path, part: str) -> tuple[Any, Any]:
    """Return the shelf and the content of one body part."""
    from snowmatch.api import open_catalog
    from snowmatch.matching.search.shelf import Shelf, block_rows

    gallery = open_catalog(folder).session(extractor=EXTRACTOR).gallery
    limit = block_rows(gallery.reader.dimension)
    return Shelf(gallery.index_folder, part, gallery.extractor_key, limit), gallery._content(part, "auto")[0]


def build(given: argparse.Namespace, part: str) -> dict[str, Any]:
    """Build all search blocks of a body part from nothing, with all cores."""
    from snowmatch.core.executor import cores
    from snowmatch.core.home import indexes_path
    from snowmatch.matching.search.shelf import _Book, _renew, arrange_blocks, list_blocks

    folder = given.work / "catalog"
    for file in indexes_path(folder).glob(f"*/{part}-*"):
        file.unlink()
    shelf, content = shelf_of(folder, part)
    chosen = _renew(shelf, [], content)
    start = time.perf_counter()
    book = _Book(shelf, content, chosen, kept=True)
    codebook = book.get()
    trained = time.perf_counter() - start
    damaged = arrange_blocks(shelf, content)
    encoded = time.perf_counter() - start - trained
    return {
        "rows": content.rows,
        "blocks": len(list_blocks(shelf.folder, part)[0]),
        "lists": 0 if codebook is None else codebook.lists,
        "train": round(trained, 2),
        "encode": round(encoded, 2),
        "threads": cores(),
        "memory": peak_memory(),
        "damaged": damaged,
        "index_bytes": bytes_of(indexes_path(folder)),
    }
