"""Executors: they run tasks in this process or in several worker processes. Results come in the order of the tasks.

Each worker process is a new Python interpreter. It receives tasks and sends results through pipes. This has three
advantages:

- A worker does not import the caller's script, so a script can start an index run without a `__main__` guard.
- A worker ends by itself when its parent process ends.
- If a worker is killed, the error names the photo that the worker was processing.
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
# A library may print text, and this text must not mix with the results. So stdout becomes stderr before any import.
_BOOT = """
import os, pickle, sys
results = os.dup(1)
os.dup2(2, 1)
sys.path[:] = pickle.load(sys.stdin.buffer)
from snowmatch.core.executor import serve
serve(results)
"""


class WorkerDiedError(SnowmatchError):
    """The error for a worker process that was killed from outside."""


class Here:
    """An executor that runs each task in this process, as soon as `submit` receives it."""

    window = 1

    def __init__(self, context: tuple[Any, ...]) -> None:
        self._context = context

    def __enter__(self) -> Here:
        self._threads = cv2.getNumThreads()
        cv2.setNumThreads(1)  # the same as in the worker processes
        return self

    def __exit__(self, *_: object) -> None:
        cv2.setNumThreads(self._threads)

    def submit(self, task: Any) -> Future[Any]:
        future: Future[Any] = Future()
        future.set_result(task.run(*self._context))
        return future


class Pool:
    """An executor that runs tasks in `workers` processes. Each process starts when it is first needed."""

    def __init__(self, workers: int, context: tuple[Any, ...]) -> None:
        # Number of tasks in progress: enough that one slow photo does not block the other workers, few enough to limit
        # the memory
        self.window = 4 * workers + 4
        self._context = context
        self._threads = ThreadPoolExecutor(workers)
        self._own = threading.local()
        self._processes: list[subprocess.Popen[bytes]] = []

    def __enter__(self) -> Pool:
        return self

    def __exit__(self, *_: object) -> None:
        for process in self._processes:  # nobody waits for their results any more
            process.kill()
        self._threads.shutdown(cancel_futures=True)
        for process in self._processes:
            process.kill()  # a process that was still starting at the first kill
            with suppress(OSError), process:  # closes the pipes; data that is still in a pipe raises OSError
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
            if process is None:  # the start failed
                raise SnowmatchError(
                    f"cannot start a worker process ({error}): use fewer processes", "fewer-workers"
                ) from error
            if isinstance(error, pickle.UnpicklingError):
                process.kill()
            status = process.wait()
            if status == 1:
                raise RuntimeError(f"a worker process failed at {task.path}: read its traceback above") from error
            raise WorkerDiedError(
                f"a worker process was killed at {task.path} (status {status}), probably because memory ran out; "
                "finished work is kept: run it again with fewer processes",
                "fewer-workers",
            ) from error

    def _start(self) -> subprocess.Popen[bytes]:
        # A new session, so that Ctrl-C in the terminal reaches only the parent. One thread per process, because the
        # processes together already use all cores.
        process = subprocess.Popen(
            [sys.executable, *(["-X", "utf8"] if sys.flags.utf8_mode else []), "-c", _BOOT],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
            creationflags=getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0),  # exists only on Windows
            start_new_session=os.name != "nt",
        )
        self._processes.append(process)
        _send(process.stdin, sys.path)
        _send(process.stdin, self._context)
        return process


def open_pool(processes: int, context: tuple[Any, ...]) -> Pool | Here:
    """Return an executor that runs each task as `task.run(*context)`.

    processes: the number of worker processes; if it is 1 or less, the tasks run in this process.
    """
    return Pool(processes, context) if processes > 1 else Here(context)


def cores() -> int:
    """Return the number of CPU cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _send(pipe: Any, value: Any) -> None:
    pickle.dump(value, pipe, protocol=pickle.HIGHEST_PROTOCOL)
    pipe.flush()


def _receive(pipe: Any) -> Any:
    return pickle.load(pipe)


def serve(handle: int) -> None:
    """Run the loop of a worker process until the parent process ends.

    The worker reads the context and then tasks from stdin. It writes each result to the open file `handle`.
    """
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
            os._exit(0)  # the parent has ended; a normal exit would print an error when it closes the pipe


def in_order(pool: Here | Pool, items: Iterable[Item], task_of: Callable[[Item], Any]) -> Iterator[tuple[Item, Any]]:
    """Yield each item with the result of its task, in the order of the items.

    An item without a task (`task_of` returns None) has the result None. Tasks of later items run ahead, at most
    `pool.window` at a time.
    """
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
