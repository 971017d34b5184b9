"""A fast extractor for tests of storing and indexing, small synthetic catalogs, and an index run that tests kill."""

import hashlib
import os
import signal
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
from PIL import Image

from snowmatch.catalog.load import CatalogData
from snowmatch.core.types import Annotation, Features, empty_features
from snowmatch.features import writer
from snowmatch.features.indexing import index_catalog
from snowmatch.features.segments import COLUMNS

WHITE = 250  # if `deadly` is set, a photo with a higher mean kills the process that extracts it


@dataclass(frozen=True)
class Fake:
    """Random features that depend only on the chip's pixels and on `seed`."""

    REVISION: ClassVar[int] = 1
    CHANNELS: ClassVar[str] = "grey"
    DIMENSION: ClassVar[int] = 16
    DTYPE: ClassVar[type] = np.uint8
    FRAMES: ClassVar[bool] = True

    chip_size: int = 64
    seed: int = 0
    deadly: bool = False

    def extract(self, chip):
        time.sleep(float(os.environ.get("FAKE_SECONDS", "0")))
        if (
            "FAKE_STUCK" in os.environ
        ):  # a folder: with six files of photos that were extracted, the next ones never end
            if len(os.listdir(os.environ["FAKE_STUCK"])) >= 6:
                time.sleep(600)
            (Path(os.environ["FAKE_STUCK"]) / hashlib.sha256(chip.pixels.tobytes()).hexdigest()).touch()
        if "FAKE_CHATTY" in os.environ:
            os.write(1, b"a library that prints\n")
        if self.deadly and chip.pixels.mean() > WHITE:
            os.kill(os.getpid(), signal.SIGKILL)
        if chip.pixels.max() == 0:
            return empty_features(16, np.uint8, chip.pixels.shape[::-1])
        digest = hashlib.sha256(chip.pixels.tobytes() + bytes([self.seed])).digest()
        return random_features(np.random.default_rng(list(digest)), chip.pixels.shape[::-1])


PLUGIN = Fake


@dataclass(frozen=True)
class Batched(Fake):
    """The same features for several chips at once, as on a graphics card. White chips in a batch raise MemoryError."""

    batch: ClassVar[int] = 3
    asked: ClassVar[list] = []

    def extract_many(self, chips):
        self.asked.append(len(chips))
        if len(chips) > 1 and any(chip.pixels.mean() > WHITE for chip in chips):
            raise MemoryError
        return [self.extract(chip) for chip in chips]


def random_features(rng, size=(64, 48), n=None, frames=True):
    n = int(rng.integers(10, 60)) if n is None else n
    return Features(
        (rng.random((n, 2)) * size).astype(np.float32),
        rng.integers(0, 256, (n, 16), dtype=np.uint8),
        np.sort(rng.random(n, np.float32))[::-1].copy(),
        rng.random(n, np.float32) * 9,
        rng.random(n, np.float32),
        rng.random((n, 3), np.float32) if frames else None,
        size,
    )


def same_features(a, b):
    if a.image_size != b.image_size:
        return False
    pairs = [(getattr(a, name), getattr(b, name)) for name in COLUMNS]
    return all(_plain(x) == _plain(y) for x, y in pairs)


def _plain(array):
    return None if array is None else (array.shape, array.dtype.str, array.tobytes())


def contents(reader):
    """Return everything that a store holds, as bytes in the order of the keys."""
    arrays = [reader.read(key) for key in reader.keys]
    return [
        (key, a.image_size, *(_plain(getattr(a, name)) for name in COLUMNS))
        for key, a in zip(reader.keys, arrays, strict=True)
    ]


def make_photo(path, seed):
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 256, (36, 48, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path)
    age(path)


def age(path, seconds=60.0):
    """Make a file look older than it is, so that snowmatch trusts its time stamp."""
    then = time.time_ns() - int(seconds * 1e9)
    os.utime(path, ns=(then, then))


def make_catalog(folder, photos, **fields):
    names = [f"photos/{i:03}.png" for i in range(photos)]
    for i, name in enumerate(names):
        make_photo(folder / name, i)
    return CatalogData(folder, tuple(Annotation(row, name, **fields) for row, name in enumerate(names)), ())


def run(folder, workers):
    """Index a folder and print the progress. The segments are small and many, so they are merged all the time."""
    writer.COMMIT_SECONDS, writer.MANY_SEGMENTS, writer.SEGMENT_BYTES = 0.03, 4, 40_000
    names = sorted(p.relative_to(folder).as_posix() for p in folder.glob("photos/*"))
    data = CatalogData(folder, tuple(Annotation(row, name) for row, name in enumerate(names)), ())
    print("ready", flush=True)
    report = index_catalog(data, Fake(), workers, progress=lambda done, total: print(done, total, flush=True))
    print("end", report.done, report.reused, flush=True)


if __name__ == "__main__":
    # Imported under its own name, so that the plugin is the same class here and in the tests
    import fake_extractor

    signal.signal(signal.SIGINT, signal.default_int_handler)  # the background jobs of a shell ignore it
    fake_extractor.run(Path(sys.argv[1]), int(sys.argv[2]))
