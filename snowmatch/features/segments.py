"""Segments: HDF5 files with the features of many annotations. They are written once and never changed.

One folder for each extractor and settings contains `settings.json` and segments `features-*.h5`. A segment has a few
large contiguous datasets that are memory-mapped, in the order of the annotations' keys:

    keys (A,) S32, offsets (A + 1,) int64, image_sizes (A, 2) int32, checksums (A, 6) uint32 (one for each column),
    keypoints (N, 2), descriptors (N, D), scores (N,), scales (N,), oris (N,), shapes (N, 3) or absent

Annotation i has the rows offsets[i] to offsets[i + 1]. The file begins with a user block of one JSON line: the number
of the format, the positions of the arrays of the second line above, and a checksum of all other bytes. So a damaged
structure never reaches the HDF5 library. A segment gets its name only when it is complete and on disk. A merge writes
the new segment before it deletes the old ones; for a moment, a key is in two segments, with the same content.
`writer.py` decides which annotations go into which segment. Only this file imports h5py.
"""

from __future__ import annotations

import hashlib
import io
import json
import mmap
import os
import re
import zlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import h5py
import numpy as np

from snowmatch.core.errors import SnowmatchError
from snowmatch.core.files import open_regular, replace_file, unreadable
from snowmatch.core.mapped import fetch_rows
from snowmatch.core.plugins import settings_key
from snowmatch.features.checked import stamp_of

FORMAT = 2
COLUMNS = ("keypoints", "descriptors", "scores", "scales", "oris", "shapes")
HEAD = ("keys", "offsets", "image_sizes", "checksums")
LARGEST_SETTINGS = 1 << 16  # bytes of JSON; chosen: those of an extractor are some hundred
USER_BLOCK = 512  # bytes; the smallest of HDF5
ALIGNMENT = 64  # bytes; mapped arrays can be used without a copy
LAYOUT = {"libver": "v110", "userblock_size": USER_BLOCK, "alignment_threshold": 1, "alignment_interval": ALIGNMENT}


@dataclass(frozen=True)
class Segment:
    """One open file. Its columns are views of the mapped file.

    described: the settings of the extractor. checksums: (A, 6) uint32, of each column in the order of COLUMNS, 0 for a
    column that does not exist. stamp: another one for another file of this name.
    """

    path: Path
    described: Mapping[str, Any]
    keys: np.ndarray
    offsets: np.ndarray
    image_sizes: np.ndarray
    checksums: np.ndarray
    columns: dict[str, np.ndarray]
    size: int
    stamp: tuple[int, ...]

    def rows(self, i: int) -> dict[str, np.ndarray]:
        """Return the arrays of annotation `i`."""
        start, stop = self.offsets[i], self.offsets[i + 1]
        return {name: column[start:stop] for name, column in self.columns.items()}

    def fetch(self, i: int, names: Iterable[str] = COLUMNS) -> None:
        """Ask the system to read the columns `names` of annotation `i` from the disk, all rows at once.

        A search lets the system read nothing around a row. Page by page, a cold disk takes twenty times as long.
        """
        start, stop = self.offsets[i : i + 1], self.offsets[i + 1 : i + 2]
        for name in names:
            if name in self.columns and start < stop:
                fetch_rows(self.columns[name], start, stop)

    def is_sound(self, i: int, names: Iterable[str] = COLUMNS) -> bool:
        """Return whether the columns `names` of annotation `i` have their checksums."""
        start, stop = self.offsets[i], self.offsets[i + 1]
        return all(
            _crc(self.columns[name][start:stop]) == self.checksums[i, COLUMNS.index(name)]
            for name in names
            if name in self.columns
        )

    def entry(self, i: int) -> Entry:
        """Return annotation `i`. Raises SnowmatchError if its checksums are wrong."""
        if not self.is_sound(i):
            raise damaged_entry(self.path, self.described)
        return Entry(self.keys[i], tuple(self.image_sizes[i]), self.rows(i))


@dataclass(frozen=True)
class Entry:
    """The features of one annotation, to be written into a segment. key: bytes."""

    key: bytes
    image_size: tuple[int, int]
    arrays: dict[str, np.ndarray]


def features_folder(features: Path, described: Mapping[str, Any]) -> Path:
    return Path(features) / f"{described['name']}-{settings_key(dict(described))}"


def segment_name(entries: Sequence[Entry]) -> str:
    return f"features-{hashlib.sha256(b''.join(e.key for e in entries)).hexdigest()[:16]}.h5"


def _crc(array: np.ndarray) -> int:
    return zlib.crc32(array.data) if array.size else 0


def _checksums(arrays: Mapping[str, np.ndarray]) -> list[int]:
    return [_crc(arrays[name]) if name in arrays else 0 for name in COLUMNS]


class DamagedSegmentError(SnowmatchError):
    """The error for a file of features whose structure is damaged."""


def _damaged(path: Path, described: Mapping[str, Any], why: object) -> DamagedSegmentError:
    why = str(why).splitlines()[0] if str(why) else "unreadable"
    text = f"{path} is damaged ({why}): index again, which extracts its features again"
    return DamagedSegmentError(text, "damaged-features", extractor=described["name"], settings=described)


def damaged_entry(path: Path, described: Mapping[str, Any]) -> SnowmatchError:
    """Return the error for an annotation whose features in the file `path` have changed."""
    text = f"{path} has damaged features: index again, which finds them and extracts them again"
    return SnowmatchError(text, "damaged-features", extractor=described["name"], settings=described)


def open_segments(folder: Path, described: Mapping[str, Any], damaged: list[Path] | None = None) -> list[Segment]:
    """Return all segments of a folder, by name.

    damaged: takes the paths of damaged files. Without it, raises SnowmatchError for a damaged file.
    """
    opened: dict[Path, Segment] = {}
    refused: list[Path] = []
    # A listing may miss a file that is renamed during it, so it is repeated until it shows nothing new
    while new := [path for path in folder.glob("features-*.h5") if path not in opened and path not in refused]:
        for path in new:
            try:
                opened[path] = open_segment(path, described)
            except FileNotFoundError:  # merged meanwhile: the next listing shows the merged file
                continue
            except DamagedSegmentError:
                if damaged is None:
                    raise
                refused.append(path)
    if damaged is not None:
        damaged += refused
    return [opened[path] for path in sorted(opened)]


def open_segment(path: Path, described: Mapping[str, Any]) -> Segment:
    """Map one file and check its structure.

    Raises FileNotFoundError if it does not exist, DamagedSegmentError if it is damaged, and SnowmatchError if it cannot
    be read or if a newer snowmatch wrote it.
    """
    with _opened(path) as file:
        try:
            mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
            stamp = stamp_of(os.fstat(file.fileno()))
            frame = json.loads(bytes(mapped[:USER_BLOCK]).rstrip(b"\0"))
            if frame["format"] < FORMAT:
                raise ValueError(f"it has the old format {frame['format']}")
            if frame["format"] > FORMAT:
                raise SnowmatchError(
                    f"{path} has format {frame['format']}, this snowmatch knows up to {FORMAT}: "
                    "install a newer snowmatch"
                )
            if frame["mark"] != _mark(described, frame["arrays"], len(mapped), lambda a, b: mapped[a:b]):
                raise ValueError("its structure does not fit")
            with h5py.File(file, "r") as h5:
                head = {name: h5[name][()] for name in HEAD}
                columns = {name: _map(h5[name], mapped) for name in COLUMNS if name in h5}
        except (OSError, KeyError, ValueError, TypeError, RuntimeError, RecursionError) as error:
            if isinstance(error, OSError) and error.errno is not None:  # the system, not the file
                raise unreadable(path, error) from error
            raise _damaged(path, described, error) from error
    rows = int(head["offsets"][-1])
    if {len(c) for c in columns.values()} != {rows} or set(COLUMNS) - set(columns) - {"shapes"}:
        raise _damaged(path, described, "its arrays differ in length")
    keys, offsets, image_sizes, checksums = (head[name] for name in HEAD)
    return Segment(path, described, keys, offsets, image_sizes, checksums, columns, len(mapped), stamp)


def settings_in(path: Path) -> dict[str, Any] | None:
    """Return the settings of the extractor that a file holds; None if it is damaged or has another format.

    Raises SnowmatchError if the system cannot read it.
    """
    try:
        with _opened(path) as file:
            mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        frame = json.loads(bytes(mapped[:USER_BLOCK]).rstrip(b"\0"))
        place = USER_BLOCK
        for start, stop in [*frame["arrays"], [len(mapped)] * 2]:
            part, place = mapped[place:start], stop
            # The library of HDF5 gets no file whose checksum is not known: that covers the settings, too
            for begin in re.finditer(rb'\{"', part):
                text = part[begin.start() : begin.start() + LARGEST_SETTINGS].partition(b"\0")[0]
                if (found := _object_in(text)) is None:
                    continue
                if frame["mark"] == _mark(found, frame["arrays"], len(mapped), lambda a, b: mapped[a:b]):
                    return found
    except FileNotFoundError:
        return None
    except (OSError, KeyError, ValueError, TypeError, RecursionError) as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise unreadable(path, error) from error
    return None


def _object_in(text: bytes) -> dict[str, Any] | None:
    """Return the JSON object at the beginning of a text; None if there is none."""
    try:
        found, _ = json.JSONDecoder().raw_decode(text.decode("ascii", "replace"))
    except ValueError:
        return None
    return found if isinstance(found, dict) else None


def _opened(path: Path) -> BinaryIO:
    try:
        return open_regular(path)
    except FileNotFoundError:
        raise
    except OSError as error:
        raise unreadable(path, error) from error


def _map(dataset: h5py.Dataset, mapped: mmap.mmap) -> np.ndarray:
    if dataset.size == 0:  # it has no position in the file
        return np.zeros(dataset.shape, dataset.dtype)
    array = np.ndarray(dataset.shape, dataset.dtype, mapped, dataset.id.get_offset())
    array.flags.writeable = False
    return array


def _mark(
    described: Mapping[str, Any], arrays: Sequence[Sequence[int]], size: int, read: Callable[[int, int], bytes]
) -> str:
    """Return the checksum of all bytes outside `arrays` and the user block. read: returns the bytes from one
    position to another.
    """
    digest = hashlib.sha256(json.dumps([dict(described), arrays, size], sort_keys=True).encode())
    place = USER_BLOCK
    for start, stop in [*arrays, [size, size]]:
        digest.update(read(place, start))
        place = stop
    return digest.hexdigest()


def write_segment(folder: Path, described: Mapping[str, Any], entries: Sequence[Entry]) -> int:
    """Write a segment of these entries, which are in the order of their keys, and return its size in bytes.

    HDF5 only lays the file out, in memory: if the disk became full while HDF5 writes, it could not close the file. The
    arrays are then copied to their positions one by one.
    """
    kinds = {name: (a.shape[1:], a.dtype) for name, a in entries[0].arrays.items()}
    for entry in entries:
        if {name: (a.shape[1:], a.dtype) for name, a in entry.arrays.items()} != kinds:
            raise ValueError(f"features of one extractor differ: {kinds}, and in {entry.key!r} other shapes or types")
    counts = [len(e.arrays["keypoints"]) for e in entries]
    head = {
        "keys": np.array([e.key for e in entries], "S32"),
        "offsets": np.concatenate([[0], np.cumsum(counts)]).astype(np.int64),
        "image_sizes": np.array([e.image_size for e in entries], np.int32).reshape(-1, 2),
        "checksums": np.array([_checksums(e.arrays) for e in entries], np.uint32).reshape(-1, len(COLUMNS)),
    }
    layout = _Layout()
    # v110: HDF5's own structures carry checksums
    with h5py.File(layout, "w", **LAYOUT) as h5:
        h5.attrs["settings"] = json.dumps(dict(described), sort_keys=True)
        for name, array in head.items():
            h5.create_dataset(name, data=array)
        reserved = {name: _reserve(h5, name, (sum(counts), *shape), dtype) for name, (shape, dtype) in kinds.items()}
    places = {name: place for name, place in reserved.items() if place is not None}
    arrays = sorted([place, place + sum(e.arrays[name].nbytes for e in entries)] for name, place in places.items())
    mark = _mark(described, arrays, layout.size, layout.part)
    frame = json.dumps({"format": FORMAT, "arrays": arrays, "mark": mark}).encode()

    def write(file: BinaryIO) -> None:
        file.truncate(layout.size)
        for start, page in sorted(layout.pages.items()):
            file.seek(start)
            file.write(page[: layout.size - start])
        file.seek(0)
        file.write(frame)
        for name, place in places.items():
            file.seek(place)
            for entry in entries:
                file.write(entry.arrays[name].data)

    replace_file(folder / segment_name(entries), write)
    return layout.size


def _reserve(h5: h5py.File, name: str, shape: tuple[int, ...], dtype: np.dtype) -> int | None:
    """Lay out one contiguous dataset without writing it, and return its position in the file; None if it is empty."""
    create = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    create.set_layout(h5py.h5d.CONTIGUOUS)
    create.set_alloc_time(h5py.h5d.ALLOC_TIME_EARLY)
    create.set_fill_time(h5py.h5d.FILL_TIME_NEVER)
    create.set_obj_track_times(False)  # the same features give the same file
    space = h5py.h5s.create_simple(shape)
    made = h5py.h5d.create(h5.id, name.encode(), h5py.h5t.py_create(dtype), space, create)
    return made.get_offset() if np.prod(shape) else None


class _Layout(io.RawIOBase):
    """A file in memory. Only written pages need memory."""

    PAGE = 4096

    def __init__(self) -> None:
        self.pages: dict[int, bytearray] = {}
        self.size = 0
        self._position = 0

    def _pieces(self, length: int) -> Iterable[tuple[int, slice, slice]]:
        """Yield (page, part of the page, part of the data) for `length` bytes from the current position."""
        done = 0
        while done < length:
            start, inside = divmod(self._position + done, self.PAGE)
            count = min(length - done, self.PAGE - inside)
            yield start * self.PAGE, slice(inside, inside + count), slice(done, done + count)
            done += count

    def write(self, data: Any) -> int:
        data = bytes(data)
        for start, part, source in self._pieces(len(data)):
            self.pages.setdefault(start, bytearray(self.PAGE))[part] = data[source]
        self._position += len(data)
        self.size = max(self.size, self._position)
        return len(data)

    def readinto(self, buffer: Any) -> int:
        view = memoryview(buffer).cast("B")
        for start, part, target in self._pieces(len(view)):
            view[target] = self.pages.get(start, bytearray(self.PAGE))[part]
        self._position += len(view)
        return len(view)

    def part(self, start: int, stop: int) -> bytes:
        """Return the bytes from one position to another."""
        self.seek(start)
        return self.read(stop - start)

    def seek(self, offset: int, whence: int = 0) -> int:
        self._position = offset + (0, self._position, self.size)[whence]
        return self._position

    def tell(self) -> int:
        return self._position

    def truncate(self, size: int | None = None) -> int:
        self.size = self._position if size is None else size
        return self.size
