"""Executors: they run tasks in this process, in its threads, in worker processes or on a cluster.

Results come in the order of the tasks, and are the same everywhere: a task is a value whose result depends on it and on
the context only.

Each worker process is a new Python interpreter. It receives tasks and sends results through pipes. This has three
advantages:

- A worker does not import the caller's script, so a script can start an index run without a `__main__` guard.
- A worker ends by itself when its parent process ends.
- If a worker is killed, the error names the photo that the worker was processing.
"""

from __future__ import annotations

import logging
import os
import pickle
import signal
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from functools import cached_property, partial
from importlib import import_module
from pathlib import Path
from typing import Any, TypeVar

import cv2
import numpy as np

from snowmatch.core.errors import SnowmatchError
from snowmatch.core.version import __version__

CLUSTER_SECONDS = 30.0  # how long a cluster may take to answer
LONELY_SECONDS = 300.0  # how long a cluster may have no worker: a lost one is often started again
# Packages that decide the bytes of results beside those that every process loads: compared where they are in use
DECIDING = ("faiss", "torch", "kornia", "onnxruntime", "PIL", "pillow_heif")
Item = TypeVar("Item")
FAILED = 70  # the status of a worker process that ends with a traceback: on Windows, 1 is that of a killed one
# A library may print text, and this text must not mix with the results. So stdout becomes stderr before any import.
_BOOT = f"""
import os, pickle, sys, traceback
results = os.dup(1)
os.dup2(2, 1)
try:
    sys.path[:] = pickle.load(sys.stdin.buffer)
    from snowmatch.core.executor import serve
    serve(results)
except Exception:
    traceback.print_exc()
    sys.exit({FAILED})
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


@dataclass(frozen=True)
class Context:
    """What the later tasks of a worker process are run with."""

    values: tuple[Any, ...]


class Workers:
    """Worker processes that the stages of one run share: each starts when it is first needed, and then serves all.

    Use it as `with Workers() as workers`; the processes end with the block.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._idle: list[subprocess.Popen[bytes]] = []
        self._all: list[subprocess.Popen[bytes]] = []

    def __enter__(self) -> Workers:
        return self

    def __exit__(self, *_: object) -> None:
        self.end(list(self._all))

    @property
    def started(self) -> int:
        """The number of processes that are there."""
        return len(self._all)

    def take(self) -> subprocess.Popen[bytes]:
        """Return a process that nobody uses; a new one if there is none."""
        while process := self._waiting():
            if process.poll() is None:
                return process
            self.end([process])  # it was killed while it waited
        # -P, so that no file of the working directory, which may be a catalog, is imported before `sys.path` is sent. A
        # new session, so that Ctrl-C in the terminal reaches only the parent. One thread per process, because the
        # processes together already use all cores.
        process = subprocess.Popen(
            [sys.executable, *(["-X", "utf8"] if sys.flags.utf8_mode else []), "-P", "-c", _BOOT],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
            creationflags=getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0),  # exists only on Windows
            start_new_session=os.name != "nt",
        )
        with self._lock:
            self._all.append(process)
        try:
            _send(process.stdin, sys.path)
        except OSError:
            self.end([process])
            raise
        return process

    def _waiting(self) -> subprocess.Popen[bytes] | None:
        with self._lock:
            return self._idle.pop() if self._idle else None

    def give_back(self, processes: Iterable[subprocess.Popen[bytes]]) -> None:
        """Let others use processes that wait for a task."""
        with self._lock:
            self._idle += processes

    def end(self, processes: Iterable[subprocess.Popen[bytes]]) -> None:
        """End processes, whatever they do."""
        for process in processes:
            process.kill()
            with suppress(OSError), process:  # closes the pipes; data that is still in a pipe raises OSError
                process.wait()
            with self._lock:
                self._all.remove(process)


class Pool:
    """An executor that runs tasks in at most `most` worker processes, which are its own unless `workers` are given."""

    def __init__(self, most: int, context: tuple[Any, ...], workers: Workers | None = None) -> None:
        # Number of tasks in progress: enough that one slow photo does not block the other workers, few enough to limit
        # the memory
        self.window = 4 * most + 4
        self._context = Context(context)
        self._threads = ThreadPoolExecutor(most)
        self._own = threading.local()
        self._workers, self._shared = workers or Workers(), workers is not None
        self._taken: list[subprocess.Popen[bytes]] = []
        self._waiting: set[Future[Any]] = set()

    def __enter__(self) -> Pool:
        return self

    def __exit__(self, *_: object) -> None:
        kept = self._shared and all(future.done() and future.exception() is None for future in self._waiting)
        if not kept:
            for process in list(self._taken):  # nobody waits for their results any more
                process.kill()
        self._threads.shutdown(cancel_futures=True)
        if kept:
            self._workers.give_back(self._taken)
        else:
            self._workers.end(self._taken)  # also one that was still starting at the first kill

    def submit(self, task: Any) -> Future[Any]:
        self._waiting = {future for future in self._waiting if not future.done() or future.exception() is not None}
        future = self._threads.submit(self._call, task)
        self._waiting.add(future)
        return future

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
            if status == FAILED:
                raise RuntimeError(f"a worker process failed at {task.path}: read its traceback above") from error
            raise WorkerDiedError(
                f"a worker process was killed at {task.path} (status {status}), probably because memory ran out; "
                "what is stored is kept: run it again with fewer processes",
                "fewer-workers",
            ) from error

    def _start(self) -> subprocess.Popen[bytes]:
        process = self._workers.take()
        self._taken.append(process)
        _send(process.stdin, self._context)
        return process


class Threads:
    """An executor that runs tasks in threads of this process: for tasks that spend their time outside of Python."""

    def __init__(self, threads: int, context: tuple[Any, ...]) -> None:
        self.window = 2 * threads
        self._context = context
        self._threads = ThreadPoolExecutor(threads)

    def __enter__(self) -> Threads:
        return self

    def __exit__(self, *_: object) -> None:
        self._threads.shutdown(cancel_futures=True)

    def submit(self, task: Any) -> Future[Any]:
        return self._threads.submit(task.run, *self._context)


class Cluster:
    """An executor that runs tasks on the workers of a Dask cluster, which see the same folders under the same paths.

    If a worker is lost, its tasks run again elsewhere. Results go to this process, which alone writes them.
    """

    def __init__(self, client: Any, context: tuple[Any, ...]) -> None:
        self._client = client
        # a worker may be started in another folder
        self._context = tuple(Path(os.path.abspath(c)) if isinstance(c, Path) else c for c in context)
        self._waiting: set[OnCluster] = set()

    def __enter__(self) -> Cluster:
        folders = [str(c) for c in self._context if isinstance(c, Path)]
        own = _about(folders)
        found = self._ask_all(_about, folders)
        for worker, (versions, threads, missing) in found.items():
            _check_versions(worker, versions, own[0])
            if threads != 1:
                raise SnowmatchError(
                    f"the worker {worker} has {threads} threads, expected 1: start it with --nthreads 1"
                )
            if missing:
                raise SnowmatchError(
                    f"the worker {worker} does not see {missing[0]}: put it into a folder that all computers of the "
                    "cluster have under the same path"
                )
        used = [name for name in DECIDING if name in sys.modules]  # a network's packages only where it is used
        for worker, versions in self._ask_all(_packages, used).items():
            _check_versions(worker, versions, _packages(used))
        self.workers = list(found)
        self.window = 4 * len(found) + 4
        # made by a task, so that it can be made again if its worker is lost
        made = pickle.dumps(self._context, protocol=pickle.HIGHEST_PROTOCOL)
        self._there = self._client.submit(Sent, made, pure=False)
        return self

    def _ask_all(self, work: Callable[..., Any], *about: Any) -> dict[str, Any]:
        """Return what each worker tells, sorted by worker. One that has died just now is left out."""
        found = _on_cluster(lambda: self._client.run(work, *about, on_error="return"))
        told = sorted((worker, each) for worker, each in found.items() if not isinstance(each, OSError))
        return {worker: _on_cluster(partial(_value, each)) for worker, each in told}

    def __exit__(self, *_: object) -> None:
        with suppress(OSError, RuntimeError):
            self._client.cancel([each.future for each in self._waiting])

    def submit(self, task: Any, worker: str | None = None) -> OnCluster:
        """Run a task. worker: where it runs if that one is there; another one does it otherwise."""
        where = {} if worker is None else {"workers": [worker], "allow_other_workers": True}
        waiting = OnCluster(self._client.submit(_run, task, self._there, pure=False, **where), task, self._waiting)
        self._waiting.add(waiting)
        return waiting


class OnCluster:
    """The result of one task on a cluster, when it is there."""

    def __init__(self, future: Any, task: Any, waiting: set[OnCluster]) -> None:
        self.future, self._task, self._waiting = future, task, waiting

    def result(self) -> Any:
        """Wait for the result and return it. Raises SnowmatchError if the cluster has no worker for too long."""
        found, error = _on_cluster(self._wait, self._task.path)
        self._waiting.discard(self)
        if error is not None:
            raise error
        return found

    def _wait(self) -> Any:
        lonely = 0.0  # seconds without a worker
        while True:
            try:
                return self.future.result(timeout=CLUSTER_SECONDS)
            except TimeoutError:
                lonely = 0.0 if self.future.client.nthreads() else lonely + CLUSTER_SECONDS
            if lonely >= LONELY_SECONDS:
                raise ConnectionError(f"it has had no worker for {lonely:.0f} seconds")


def _on_cluster(work: Callable[[], Any], path: str = "") -> Any:
    """Return the result of some work on the cluster. Raises SnowmatchError for a problem of the cluster."""
    from distributed import KilledWorker

    try:
        return work()
    except KilledWorker as error:
        raise WorkerDiedError(
            f"several workers of the cluster were killed at {path}, probably because memory ran out; what is stored "
            "is kept: run it again with workers that have more memory"
        ) from error
    except ImportError as error:
        raise SnowmatchError(
            f"a worker of the cluster lacks a package ({error}): install snowmatch there, with the extras used here"
        ) from error
    except (CancelledError, OSError) as error:
        raise WorkerDiedError(
            f"the cluster cannot be reached any more ({error}); what is stored is kept: run it again"
        ) from error


def _value(told: Any) -> Any:
    """Return what a worker has told; raise it if it is an error."""
    if isinstance(told, Exception):
        raise told
    return told


def _check_versions(worker: str, versions: dict[str, str], own: dict[str, str]) -> None:
    """Raise SnowmatchError if a worker has other versions than this process."""
    if versions != own:
        theirs, ours = (", ".join(f"{name} {version}" for name, version in each.items()) for each in (versions, own))
        raise SnowmatchError(f"the worker {worker} has {theirs}, expected {ours} as here: install the same there")


def _packages(names: Iterable[str]) -> dict[str, str]:
    """Return the versions of packages, by the names that they are imported by. Raises ImportError if one is missing."""
    return {name: str(import_module(name).__version__) for name in names}


def _about(folders: Iterable[str], dask_worker: Any = None) -> tuple[dict[str, str], int, list[str]]:
    """Return the versions that results depend on, the number of threads of this worker, and the folders it lacks."""
    versions = {"snowmatch": __version__, "opencv": cv2.__version__, "numpy": np.__version__}
    threads = 1 if dask_worker is None else dask_worker.state.nthreads
    return versions, threads, [folder for folder in folders if not os.path.exists(folder)]


class Sent:
    """What tasks are run with, as it was sent to a worker. The first task there opens it.

    A worker that hands it on to another one sends the same bytes: what the other one cannot open must not fail while it
    is received, because a cluster then waits for ever.
    """

    def __init__(self, made: bytes) -> None:
        self._made = made

    def __reduce__(self) -> tuple[Any, ...]:
        return Sent, (self._made,)

    @cached_property
    def context(self) -> tuple[Any, ...]:
        """What was sent."""
        values: tuple[Any, ...] = pickle.loads(self._made)
        return values


def _run(task: Any, there: Sent) -> tuple[Any, Exception | None]:
    """Return the result of a task, or its exception: those of the cluster itself are raised, and logged there."""
    cv2.setNumThreads(1)
    try:
        context = there.context
    except SnowmatchError as error:
        return None, error
    try:
        return task.run(*context), None
    except Exception as error:
        return None, error


_clusters: list[Any] = []  # the client of the cluster in use, if there is one


@contextmanager
def use_cluster(where: str | None) -> Iterator[None]:
    """Run all tasks on a Dask cluster, until the end of the `with` block. None changes nothing.

    where: the address of its scheduler, such as tcp://10.0.0.5:8786, or local:N for N processes of this computer.
    Raises SnowmatchError if it cannot be reached or has no workers.
    """
    if where is None:
        yield
        return
    try:
        import dask
        from distributed import Client, LocalCluster, Security
    except ImportError as error:
        raise SnowmatchError('a cluster needs one more package: pip install "snowmatch[cluster]"') from error
    kind, _, number = where.partition(":")
    if kind == "local" and not (number.isdecimal() and int(number)):
        raise SnowmatchError(f"cluster is {where!r}, expected local:N with a number of processes, such as local:2")
    if kind == "tls" and Security().get_connection_args("client").get("ssl_context") is None:
        raise SnowmatchError(
            f"the cluster {where} needs Dask's settings of TLS: write ca-file and the client's cert and key into "
            "distributed.comm.tls of its configuration"
        )
    with ExitStack() as opened:
        # many queries together are sent at once: no warning
        opened.enter_context(dask.config.set({"distributed.admin.large-graph-warning-threshold": "1TB"}))
        try:
            address: Any = where
            if kind == "local":
                with _interrupted_later():
                    address = opened.enter_context(
                        LocalCluster(
                            n_workers=int(number),
                            threads_per_worker=1,
                            dashboard_address="127.0.0.1:0",
                            memory_limit=0,
                            silence_logs=logging.ERROR,  # a lost worker is replaced: nobody has to do anything
                        )
                    )
            client = opened.enter_context(Client(address, timeout=CLUSTER_SECONDS, set_as_default=False))
            client.wait_for_workers(1, timeout=CLUSTER_SECONDS)
        except (OSError, TypeError, ValueError) as error:  # OSError: a timeout; TypeError: no such protocol here
            raise SnowmatchError(
                f"no worker of the cluster {where} answers ({error}): start its scheduler and workers, and give the "
                "scheduler's address, such as tcp://10.0.0.5:8786"
            ) from error
        except RuntimeError as error:  # one was killed before it was ready
            raise SnowmatchError(
                f"the processes of the cluster {where} do not start ({str(error).rstrip('.')}), probably because "
                "memory ran out: use fewer"
            ) from error
        _clusters.append(client)
        try:
            yield
        finally:
            _clusters.pop()


@contextmanager
def _interrupted_later() -> Iterator[None]:
    """Let a Ctrl-C wait until the end of the `with` block.

    Threads that start meanwhile, and the processes that these start, never see one: in a terminal it would reach all
    processes, and each would print an error.
    """
    if os.name == "nt":
        yield
        return
    from multiprocessing import resource_tracker

    resource_tracker.ensure_running()  # the first start of a process would do it, and let Ctrl-C pass again
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def open_pool(processes: int, context: tuple[Any, ...], workers: Workers | None = None) -> Pool | Here | Cluster:
    """Return an executor that runs each task as `task.run(*context)`: on the cluster in use, if there is one.

    processes: the number of worker processes; if it is 1 or less, the tasks run in this process. workers: the processes
    of the whole run; None if the executor starts its own.
    """
    if _clusters:
        return Cluster(_clusters[-1], context)
    return Pool(processes, context, workers) if processes > 1 else Here(context)


def changed_there(folder: Path) -> SnowmatchError:
    """Return the error for a catalog that another process finds otherwise than the one that asks."""
    return SnowmatchError(f"{folder} has changed, or is another one on a computer of the cluster: ask again")


def open_threads(context: tuple[Any, ...], *, here: bool = False) -> Threads | Cluster:
    """Return an executor of one thread a core, or that of the cluster in use. here: in this process in any case."""
    if here or not _clusters:
        return Threads(cores(), context)
    return Cluster(_clusters[-1], context)


def has_cluster() -> bool:
    """Return whether a cluster is in use."""
    return bool(_clusters)


def open_workers(context: tuple[Any, ...]) -> Cluster:
    """Return the executor of the cluster in use, which tells its workers. Each task can be sent to one of them."""
    return Cluster(_clusters[-1], context)


def spread(
    items: Iterable[Item], task_of: Callable[[Item], Any], context: tuple[Any, ...], *, here: bool = False
) -> Iterator[tuple[Item, Any]]:
    """Yield each item with the result of its task, in order: from the cluster in use, or one by one in this process.

    Unlike `open_pool`, this is for tasks that use all cores themselves. here: in this process in any case, for tasks
    that use the cluster themselves.
    """
    if here or not _clusters:
        for item in items:
            task = task_of(item)
            yield item, task.run(*context) if task is not None else None
        return
    with open_workers(context) as pool:
        yield from in_order(pool, items, task_of)


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

    The worker reads contexts and tasks from stdin. It writes the result of each task to the open file `handle`.
    """
    results = os.fdopen(handle, "wb")
    cv2.setNumThreads(1)
    context = Context(())
    while True:
        try:
            received = _receive(sys.stdin.buffer)
        except (EOFError, pickle.UnpicklingError):
            return
        if isinstance(received, Context):
            context = received
            continue
        result = received.run(*context.values)
        try:
            _send(results, result)
        except BrokenPipeError:
            os._exit(0)  # the parent has ended; a normal exit would print an error when it closes the pipe


def in_order(
    pool: Here | Pool | Threads | Cluster, items: Iterable[Item], task_of: Callable[[Item], Any]
) -> Iterator[tuple[Item, Any]]:
    """Yield each item with the result of its task, in the order of the items.

    An item without a task (`task_of` returns None) has the result None. Tasks of later items run ahead, at most
    `pool.window` at a time.
    """
    waiting: deque[tuple[Item, Future[Any] | OnCluster | None]] = deque()
    for item in items:
        task = task_of(item)
        waiting.append((item, pool.submit(task) if task is not None else None))
        if len(waiting) >= pool.window:
            yield _result(*waiting.popleft())
    while waiting:
        yield _result(*waiting.popleft())


def _result(item: Item, future: Future[Any] | OnCluster | None) -> tuple[Item, Any]:
    return item, future.result() if future is not None else None
