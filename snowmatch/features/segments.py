"""Features on disk: HDF5 files of many annotations each, written once, never changed.

One folder per extractor and settings holds `settings.json` and segments `features-*.h5`. A segment is a few large
contiguous datasets that are memory-mapped, in the order of the annotations' keys:

    keys (A,) S32, offsets (A + 1,) int64, image_sizes (A, 2) int32, checksums (A,) uint32,
    keypoints (N, 2), descriptors (N, D), scores (N,), scales (N,), oris (N,), shapes (N, 3) or absent

Annotation i owns rows offsets[i] to offsets[i + 1]. Before HDF5's own part, a user block of one JSON line has the
format's number, which bytes are the arrays of the second line above, and a checksum of all others: damaged structures
never reach the library. A segment gets its name only when it is complete and on disk, so whatever has such a name is
whole, however a run ended. Merging writes the new segment before it deletes the old ones: a key may be in two segments
for a moment, with the same content. `writer.py` decides what goes into which segment; this is the only file that
imports h5py.
"""

from __future__ import annotations

import hashlib
import io
import json
import mmap
import re
import zlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import h5py
import numpy as np

from snowmatch.core.errors import SnowmatchError
from snowmatch.core.files import replace_file
from snowmatch.core.plugins import settings_key

FORMAT = 1
COLUMNS = ("keypoints", "descriptors", "scores", "scales", "oris", "shapes")
KEY = re.compile("[0-9a-f]{32}")
HEAD = ("keys", "offsets", "image_sizes", "checksums")
USER_BLOCK = 512  # bytes; the least that HDF5 has
ALIGNMENT = 64  # bytes; arrays mapped from the file can be used where they lie
LAYOUT = {"libver": "v110", "userblock_size": USER_BLOCK, "alignment_threshold": 1, "alignment_interval": ALIGNMENT}


@dataclass(frozen=True)
class Segment:
    """One open file; its columns are views of the mapped file."""

    path: Path
    keys: np.ndarray
    offsets: np.ndarray
    image_sizes: np.ndarray
    checksums: np.ndarray
    columns: dict[str, np.ndarray]
    size: int

    def rows(self, i: int) -> dict[str, np.ndarray]:
        """The arrays of annotation `i`."""
        start, stop = self.offsets[i], self.offsets[i + 1]
        return {name: column[start:stop] for name, column in self.columns.items()}

    def entry(self, i: int) -> Entry:
        """Annotation `i`, checked against its checksum."""
        arrays = self.rows(i)
        if checksum(arrays) != self.checksums[i]:
            raise damaged(self.path, "an array in it has changed")
        return Entry(self.keys[i], tuple(self.image_sizes[i]), arrays)


@dataclass(frozen=True)
class Entry:
    """One annotation's features on their way into a segment; `key` is bytes."""

    key: bytes
    image_size: tuple[int, int]
    arrays: dict[str, np.ndarray]


def features_folder(features: Path, described: Mapping[str, Any]) -> Path:
    return Path(features) / f"{described['name']}-{settings_key(dict(described))}"


def segment_name(entries: Sequence[Entry]) -> str:
    return f"features-{hashlib.sha256(b''.join(e.key for e in entries)).hexdigest()[:16]}.h5"


def checksum(arrays: Mapping[str, np.ndarray]) -> int:
    value = 0
    for name in COLUMNS:
        if name in arrays and arrays[name].size:
            value = zlib.crc32(arrays[name].data, value)
    return value


def damaged(path: Path, why: object) -> SnowmatchError:
    why = str(why).splitlines()[0] if str(why) else "unreadable"
    return SnowmatchError(f"{path} is damaged ({why}): delete this file and index again", "damaged-features")


def open_segments(folder: Path, described: Mapping[str, Any]) -> list[Segment]:
    """All segments of a folder, by name. A listing may miss a file that is renamed during it: so look
    until there is nothing new."""
    opened: dict[Path, Segment] = {}
    while new := [path for path in folder.glob("features-*.h5") if path not in opened]:
        for path in new:
            try:
                opened[path] = open_segment(path, described)
            except FileNotFoundError:  # merged meanwhile: the next listing has what took its place
                continue
    return [opened[path] for path in sorted(opened)]


def open_segment(path: Path, described: Mapping[str, Any]) -> Segment:
    """Map one file and check that it is whole; FileNotFoundError where it is gone."""
    with open(path, "rb") as file:
        try:
            mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
            frame = json.loads(bytes(mapped[:USER_BLOCK]).rstrip(b"\0"))
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
        except (OSError, KeyError, ValueError, TypeError, RuntimeError) as error:
            raise damaged(path, error) from error
    rows = int(head["offsets"][-1])
    if {len(c) for c in columns.values()} != {rows} or set(COLUMNS) - set(columns) - {"shapes"}:
        raise damaged(path, "its arrays differ in length")
    keys, offsets, image_sizes, checksums = (head[name] for name in HEAD)
    return Segment(path, keys, offsets, image_sizes, checksums, columns, len(mapped))


def _map(dataset: h5py.Dataset, mapped: mmap.mmap) -> np.ndarray:
    if dataset.size == 0:  # nothing was laid out in the file
        return np.zeros(dataset.shape, dataset.dtype)
    array = np.ndarray(dataset.shape, dataset.dtype, mapped, dataset.id.get_offset())
    array.flags.writeable = False
    return array


def _mark(
    described: Mapping[str, Any], arrays: Sequence[Sequence[int]], size: int, read: Callable[[int, int], bytes]
) -> str:
    """A checksum of a file's bytes (`read` gives those from one place to another) outside `arrays` and user block."""
    digest = hashlib.sha256(json.dumps([dict(described), arrays, size], sort_keys=True).encode())
    place = USER_BLOCK
    for start, stop in [*arrays, [size, size]]:
        digest.update(read(place, start))
        place = stop
    return digest.hexdigest()


def write_segment(folder: Path, described: Mapping[str, Any], entries: Sequence[Entry]) -> int:
    """Write a segment of these entries, which are in key order, and return its size in bytes.

    HDF5 itself only lays the file out, in memory: a full disk in the middle of its own writing would leave the library
    unable to close the file. The arrays are then copied to their places one by one.
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
        "checksums": np.array([checksum(e.arrays) for e in entries], np.uint32),
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
    """Lay out one contiguous dataset without writing it, and return its place in the file (None: it is empty)."""
    create = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    create.set_layout(h5py.h5d.CONTIGUOUS)
    create.set_alloc_time(h5py.h5d.ALLOC_TIME_EARLY)
    create.set_fill_time(h5py.h5d.FILL_TIME_NEVER)
    create.set_obj_track_times(False)  # the same features give the same file
    space = h5py.h5s.create_simple(shape)
    made = h5py.h5d.create(h5.id, name.encode(), h5py.h5t.py_create(dtype), space, create)
    return made.get_offset() if np.prod(shape) else None


class _Layout(io.RawIOBase):
    """A file in memory of which only the written pages take room."""

    PAGE = 4096

    def __init__(self) -> None:
        self.pages: dict[int, bytearray] = {}
        self.size = 0
        self._position = 0

    def _pieces(self, length: int) -> Iterable[tuple[int, slice, slice]]:
        """(page, the part of it, the part of the data) for `length` bytes from the position on."""
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
        """The bytes from one place to another."""
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
