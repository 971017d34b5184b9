"""Tasks done in this process or in several others, in order, some of them ahead.

The processes are fresh interpreters that speak through pipes. They import nothing of the caller's script, so an index
run may be started from a script without a `__main__` guard; they end by themselves when their parent does; and when
one is killed it is known at which photo.
"""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from typing import Any, TypeVar

import cv2

from snowmatch.core.errors import SnowmatchError

Item = TypeVar("Item")
# Whatever a library prints must not get between the results: stdout becomes stderr before anything is imported
_BOOT = """
import os, pickle, sys
results = os.dup(1)
os.dup2(2, 1)
sys.path[:] = pickle.load(sys.stdin.buffer)
from snowmatch.core.executor import serve
serve(results)
"""


class WorkerDiedError(SnowmatchError):
    """A worker process was killed from outside."""


class Here:
    """Runs tasks in this process, when they are handed in."""

    window = 1

    def __init__(self, context: tuple[Any, ...]) -> None:
        self._context = context

    def __enter__(self) -> Here:
        self._threads = cv2.getNumThreads()
        cv2.setNumThreads(1)  # as in the worker processes
        return self

    def __exit__(self, *_: object) -> None:
        cv2.setNumThreads(self._threads)

    def submit(self, task: Any) -> Future[Any]:
        future: Future[Any] = Future()
        future.set_result(task.run(*self._context))
        return future


class Pool:
    """Runs tasks in `workers` processes, each started when it is first needed."""

    def __init__(self, workers: int, context: tuple[Any, ...]) -> None:
        self.window = 4 * workers + 4  # tasks under way; one slow photo keeps nobody waiting, memory stays bounded
        self._context = context
        self._threads = ThreadPoolExecutor(workers)
        self._own = threading.local()
        self._processes: list[subprocess.Popen[bytes]] = []

    def __enter__(self) -> Pool:
        return self

    def __exit__(self, *_: object) -> None:
        for process in self._processes:  # their results are in, or not wanted any more
            process.kill()
        self._threads.shutdown(cancel_futures=True)
        for process in self._processes:
            process.kill()  # one that was only just starting
            with suppress(OSError), process:  # closes its pipes: what was on its way to it has nowhere to go
                process.wait()

    def submit(self, task: Any) -> Future[Any]:
        return self._threads.submit(self._call, task)

    def _call(self, task: Any) -> Any:
        process = getattr(self._own, "process", None)
        try:
            if process is None:
                process = self._own.process = self._start()
            _send(process.stdin, task)
            return _receive(process.stdout)
        except (EOFError, OSError, pickle.UnpicklingError) as error:
            if process is None:  # it could not be started
                raise SnowmatchError(
                    f"no worker process can be started ({error}): use fewer of them", "fewer-workers"
                ) from error
            if isinstance(error, pickle.UnpicklingError):
                process.kill()
            status = process.wait()
            if status == 1:
                raise RuntimeError(f"a worker process failed at {task.path}; its own traceback is above") from error
            raise WorkerDiedError(
                f"a worker process was killed at {task.path} (status {status}), most likely for lack of memory; "
                "what was finished is kept: run it again with fewer processes",
                "fewer-workers",
            ) from error

    def _start(self) -> subprocess.Popen[bytes]:
        # The terminal's Ctrl-C is for the parent; one thread each, as the processes already use all cores
        process = subprocess.Popen(
            [sys.executable, *(["-X", "utf8"] if sys.flags.utf8_mode else []), "-c", _BOOT],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
            creationflags=getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0),  # Windows alone has it
            start_new_session=os.name != "nt",
        )
        self._processes.append(process)
        _send(process.stdin, sys.path)
        _send(process.stdin, self._context)
        return process


def open_pool(processes: int, context: tuple[Any, ...]) -> Pool | Here:
    """What runs tasks as `task.run(*context)`: other processes, or this one where `processes` is 1 or less."""
    return Pool(processes, context) if processes > 1 else Here(context)


def cores() -> int:
    """The cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _send(pipe: Any, value: Any) -> None:
    pickle.dump(value, pipe, protocol=pickle.HIGHEST_PROTOCOL)
    pipe.flush()


def _receive(pipe: Any) -> Any:
    return pickle.load(pipe)


def serve(handle: int) -> None:
    """The life of a worker process: tasks from stdin, results to the open file `handle`, until the parent is gone."""
    results = os.fdopen(handle, "wb")
    cv2.setNumThreads(1)
    context = _receive(sys.stdin.buffer)
    while True:
        try:
            task = _receive(sys.stdin.buffer)
        except (EOFError, pickle.UnpicklingError):
            return
        result = task.run(*context)
        try:
            _send(results, result)
        except BrokenPipeError:
            os._exit(0)  # the parent is gone; closing the pipe once more would complain


def in_order(pool: Here | Pool, items: Iterable[Item], task_of: Callable[[Item], Any]) -> Iterator[tuple[Item, Any]]:
    """Each item with the result of its task (None where it has none), in the items' order, some of them ahead."""
    waiting: deque[tuple[Item, Future[Any] | None]] = deque()
    for item in items:
        task = task_of(item)
        waiting.append((item, pool.submit(task) if task is not None else None))
        if len(waiting) >= pool.window:
            yield _result(*waiting.popleft())
    while waiting:
        yield _result(*waiting.popleft())


def _result(item: Item, future: Future[Any] | None) -> tuple[Item, Any]:
    return item, future.result() if future is not None else None
