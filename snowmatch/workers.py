"""What is done to one photo of an index run, and the processes that do it.

The processes are fresh interpreters that speak through pipes. They import nothing of the caller's script, so an index
run may be started from a script without a `__main__` guard; they end by themselves when their parent does; and when
one is killed it is known at which photo.
"""

from __future__ import annotations

import os
import pickle  # between processes of one run only, never on disk
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import cv2

from snowmatch.catalog.records import Fingerprint, take_fingerprint
from snowmatch.core.errors import SnowmatchError
from snowmatch.core.types import BBox, Chip, Features
from snowmatch.extractors import batch_of, chip_of, extract_chips
from snowmatch.photos.pixels import read_mask, read_photo
from snowmatch.screening.foreground import ForegroundMap
from snowmatch.screening.scenes import Companions, look

Item = TypeVar("Item")
Failure = str  # why one file or annotation could not be used

# Whatever a library prints must not get between the results: stdout becomes stderr before anything is imported
_BOOT = """
import os, pickle, sys
results = os.dup(1)
os.dup2(2, 1)
sys.path[:] = pickle.load(sys.stdin.buffer)
from snowmatch.workers import serve
serve(results)
"""


class WorkerDiedError(SnowmatchError):
    """A worker process was killed from outside."""


@dataclass(frozen=True)
class Measure:
    """Task: fingerprint a photo (None: it is known) and masks. Gives (path, whether a photo, result) of each."""

    photo: str | None
    masks: tuple[str, ...]

    def run(self, folder: Path, extractor: Any) -> list[tuple[str, bool, Fingerprint | Failure]]:
        files = [(self.photo, True)] if self.photo is not None else []
        files += [(mask, False) for mask in self.masks]
        return [(path, photo, _or_failure(folder / path, _fingerprint, photo)) for path, photo in files]

    @property
    def path(self) -> str:
        return self.photo if self.photo is not None else self.masks[0]


@dataclass(frozen=True)
class Part:
    """One annotation to extract from a photo; `mask` is a path and what it was when it was hashed."""

    key: str
    bbox: BBox | None
    mask: tuple[str, Fingerprint] | None


@dataclass(frozen=True)
class PhotoParts:
    """One photo, what it was when it was hashed, and its annotations to extract."""

    path: str
    photo: Fingerprint
    parts: tuple[Part, ...]


@dataclass(frozen=True)
class Extract:
    """Task: decode photos and extract annotations from them. Gives {key: Features | Failure}.

    What changed after it was hashed is a failure: its features would be filed under another content's key.
    """

    photos: tuple[PhotoParts, ...]

    def run(self, folder: Path, extractor: Any) -> dict[str, Features | Failure]:
        chips: dict[str, tuple[Path, Chip]] = {}
        results: dict[str, Features | Failure] = {}
        for photo in self.photos:
            path = folder / photo.path
            pixels = _or_failure(path, _read, photo.photo, read_photo)
            for part in photo.parts:
                chip = pixels
                if not isinstance(pixels, Failure):
                    chip = _or_failure(path, _chip, pixels, part, folder, extractor)
                if isinstance(chip, Failure):
                    results[part.key] = chip
                else:
                    chips[part.key] = path, chip
        return results | _extract(chips, extractor)

    @property
    def path(self) -> str:
        return self.photos[0].path


@dataclass(frozen=True)
class Look:
    """Task: tell the animal of one photo from its scenery. Gives whether all could be read, and its map or None."""

    seen: Companions

    def run(self, folder: Path, extractor: Any) -> tuple[bool, ForegroundMap | None]:
        return look(folder, self.seen)

    @property
    def path(self) -> str:
        return self.seen.photo[0]


def _fingerprint(path: Path, photo: bool) -> Fingerprint:
    return take_fingerprint(path, photo=photo)


def _read(path: Path, known: Fingerprint, read: Callable[..., Any], *args: Any) -> Any:
    values = read(path, *args)
    if not known.matches(path.stat(), strictly=True):
        raise SnowmatchError(f"{path} changed while it was being indexed: index again")
    return values


def _chip(path: Path, pixels: Any, part: Part, folder: Path, extractor: Any) -> Chip:
    mask = None
    if part.mask is not None:
        mask = _read(folder / part.mask[0], part.mask[1], read_mask, (pixels.shape[1], pixels.shape[0]))
    return chip_of(extractor, pixels, part.bbox, mask)


def _extract(chips: dict[str, tuple[Path, Chip]], extractor: Any) -> dict[str, Features | Failure]:
    """Features of each chip, as many at once as suit the extractor; where that fails, one by one."""
    results: dict[str, Features | Failure] = {}
    keys, batch = list(chips), batch_of(extractor)
    for start in range(0, len(keys), batch):
        some = keys[start : start + batch]
        found = _or_failure(chips[some[0]][0], _extract_chips, [chips[key][1] for key in some], extractor)
        if isinstance(found, Failure) and len(some) > 1:
            for key in some:
                path, chip = chips[key]
                alone = _or_failure(path, _extract_chips, [chip], extractor)
                results[key] = alone if isinstance(alone, Failure) else alone[0]
        else:
            results |= dict.fromkeys(some, found) if isinstance(found, Failure) else dict(zip(some, found, strict=True))
    return results


def _extract_chips(path: Path, chips: list[Chip], extractor: Any) -> list[Features]:
    return extract_chips(extractor, chips)


def _or_failure(path: Path, work: Callable[..., Any], *args: Any) -> Any:
    """What `work` gives, or why this one photo cannot be used: it is listed, and the run goes on."""
    try:
        return work(path, *args)
    except SnowmatchError as error:
        text = str(error)
        return text.removeprefix(f"{path}: ").removeprefix(f"{path} ")
    except OSError as error:
        return f"cannot be read: {error.strerror or error}"
    except MemoryError:
        return "needs more memory than there is"
    except cv2.error as error:
        return f"OpenCV cannot handle it: {' '.join(str(error).split())}"


class Here:
    """Runs tasks in this process, when they are handed in."""

    window = 1

    def __init__(self, folder: Path, extractor: Any) -> None:
        self._context = (folder, extractor)

    def __enter__(self) -> Here:
        self._threads = cv2.getNumThreads()
        cv2.setNumThreads(1)  # as in the worker processes
        return self

    def __exit__(self, *_: object) -> None:
        cv2.setNumThreads(self._threads)

    def submit(self, task: Any) -> Future:
        future: Future = Future()
        future.set_result(task.run(*self._context))
        return future


class Pool:
    """Runs tasks in `workers` processes, each started when it is first needed."""

    def __init__(self, workers: int, folder: Path, extractor: Any) -> None:
        self.window = 4 * workers + 4  # tasks under way; one slow photo keeps nobody waiting, memory stays bounded
        self._context = (folder, extractor)
        self._threads = ThreadPoolExecutor(workers)
        self._own = threading.local()
        self._processes: list[subprocess.Popen] = []

    def __enter__(self) -> Pool:
        return self

    def __exit__(self, *_: object) -> None:
        for process in self._processes:  # their results are in, or not wanted any more
            process.kill()
        self._threads.shutdown(cancel_futures=True)
        for process in self._processes:
            process.kill()  # one that was only just starting
            process.wait()
            process.stdout.close()
            try:
                process.stdin.close()
            except OSError:  # what was on its way to it has nowhere to go
                continue

    def submit(self, task: Any) -> Future:
        return self._threads.submit(self._call, task)

    def _call(self, task: Any) -> Any:
        process = getattr(self._own, "process", None)
        try:
            if process is None:
                process = self._own.process = self._start()
            _send(process.stdin, task)
            return pickle.load(process.stdout)
        except (EOFError, OSError, pickle.UnpicklingError) as error:
            if process is None:  # it could not be started
                raise SnowmatchError(
                    f"no worker process can be started ({error}): run it with fewer --workers"
                ) from error
            if isinstance(error, pickle.UnpicklingError):
                process.kill()
            status = process.wait()
            if status == 1:
                raise RuntimeError(f"a worker process failed at {task.path}; its own traceback is above") from error
            raise WorkerDiedError(
                f"a worker process was killed at {task.path} (status {status}), most likely for lack of memory: "
                "what was finished is kept; run it again, with fewer --workers"
            ) from error

    def _start(self) -> subprocess.Popen:
        # The terminal's Ctrl-C is for the parent; one thread each, as the processes already use all cores
        apart = (
            {"creationflags": subprocess.CREATE_NEW_PROCESS_GROUP} if os.name == "nt" else {"start_new_session": True}
        )
        process = subprocess.Popen(
            [sys.executable, *(["-X", "utf8"] if sys.flags.utf8_mode else []), "-c", _BOOT],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
            **apart,
        )
        self._processes.append(process)
        _send(process.stdin, sys.path)
        _send(process.stdin, self._context)
        return process


def _send(pipe: Any, value: Any) -> None:
    pickle.dump(value, pipe, protocol=pickle.HIGHEST_PROTOCOL)
    pipe.flush()


def serve(handle: int) -> None:
    """The life of a worker process: tasks from stdin, results to the open file `handle`, until the parent is gone."""
    results = os.fdopen(handle, "wb")
    cv2.setNumThreads(1)
    context = pickle.load(sys.stdin.buffer)
    while True:
        try:
            task = pickle.load(sys.stdin.buffer)
        except (EOFError, pickle.UnpicklingError):
            return
        result = task.run(*context)
        try:
            _send(results, result)
        except BrokenPipeError:
            os._exit(0)  # the parent is gone; closing the pipe once more would complain


def in_order(pool: Here | Pool, items: Iterable[Item], task_of: Callable[[Item], Any]) -> Iterator[tuple[Item, Any]]:
    """Each item with the result of its task (None where it has none), in the items' order, some of them ahead."""
    waiting: deque[tuple[Item, Future | None]] = deque()
    for item in items:
        task = task_of(item)
        waiting.append((item, pool.submit(task) if task is not None else None))
        if len(waiting) >= pool.window:
            yield _result(*waiting.popleft())
    while waiting:
        yield _result(*waiting.popleft())


def _result(item: Item, future: Future | None) -> tuple[Item, Any]:
    return item, future.result() if future is not None else None
