"""Long work (index, calibrate, batch, compare) in processes of their own; kept in `.snowmatch/jobs`, a folder each."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import threading
import time
import zlib
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from filelock import Timeout

from snowmatch.api import indexed_extractors, limited_memory
from snowmatch.core.errors import SnowmatchError
from snowmatch.core.files import make_folder, replace_file
from snowmatch.core.home import home_of
from snowmatch.core.locks import file_lock
from snowmatch.core.plain import read_summed_json, with_json_sum

KINDS = ("index", "calibrate", "batch", "compare")
LISTED = 30  # the newest jobs that a page shows
TAIL = 4000  # bytes of the last lines that a page shows
WAIT = 10.0  # seconds to wait for another program that starts work
STARTING = 20.0  # seconds within which the process of a job must be alive
# The same on Windows, where these exist: neither Ctrl-C nor the end of the server's window is for the work
OWN_CONSOLE: int = getattr(subprocess, "CREATE_NO_WINDOW", 0) | getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0)
_ID = re.compile(r"\d{8}-\d{6}-[a-z]+(-\d+)?")


@dataclass(frozen=True)
class Job:
    """One piece of work.

    state: `running`, `done`, `failed` (exit status above 0), `stopped` (by a person) or `lost` (its process died).
    arguments: of its command line, of several the first.
    title, unit, done, total, seconds: of its progress; "" and 0 before there is any. started, ended: Unix time (s).
    said, messages: the last lines of its output and of its messages; what is damaged is not shown, but named in
    `messages`.
    """

    id: str
    kind: str
    arguments: tuple[str, ...]
    started: float
    ended: float | None
    state: str
    title: str
    unit: str
    done: int
    total: int
    seconds: float
    said: str
    messages: str

    @property
    def left(self) -> float | None:
        """Seconds until the present step is done at its present rate; None if that cannot be told."""
        if self.state != "running" or not self.done or not self.total:
            return None
        return self.seconds * (self.total - self.done) / self.done

    @property
    def rate(self) -> float | None:
        """Units a second of the present step; None before there are any."""
        return self.done / self.seconds if self.done and self.seconds else None


def jobs_path(folder: Path) -> Path:
    """Return the folder of all jobs of the catalog in `folder`."""
    return home_of(folder) / "jobs"


def commands_of(kind: str, folder: Path, decisions: Path | None, extractor: str) -> list[tuple[str, ...]]:
    """Return the arguments of the command lines for a kind of work, which run one after the other.

    decisions: the file of decisions, None for the catalog's own. extractor: "" for the catalog's own: of several, each
    is indexed. One that the catalog has keeps its settings there. Loaded search indexes have the bound that they have
    in this process, if one was given.
    """
    catalog = str(folder)
    chosen = ("--extractor", extractor) if extractor else ()
    decided = ("--decisions", str(decisions)) if decisions is not None else ()
    most = limited_memory()
    bound = ("--memory", f"{max(most // 10**6, 1)}MB") if most is not None else ()
    if kind == "index":
        own: list[tuple[str, dict[str, str]]] = []
        with suppress(SnowmatchError):  # its settings are damaged: the work tells it, and mends what it can
            own = indexed_extractors(folder)
        if extractor:
            own = [each for each in own if each[0] == extractor] or [(extractor, {})]
        named = [("--extractor", name, *_settings(options)) for name, options in own]
        return [("index", *each, *decided, "--", catalog) for each in named or [()]]
    if kind == "batch":
        return [("batch", *chosen, *decided, *bound, "--unidentified", "--", catalog)]
    if kind == "compare":
        return [("identities", catalog, "count", *chosen, *decided, *bound)]
    return [(kind, *chosen, *decided, *bound, "--", catalog)]


def _settings(options: Mapping[str, str]) -> Iterator[str]:
    for key, value in options.items():
        yield from ("-o", f"{key}={value}")


def start_job(folder: Path, kind: str, decisions: Path | None = None, extractor: str = "") -> Job:
    """Start work in a process of its own. Raises SnowmatchError if the kind is unknown or other work runs."""
    if kind not in KINDS:
        raise SnowmatchError(f"{kind!r} is no work that the app can start; expected one of {', '.join(KINDS)}")
    jobs = jobs_path(folder)
    make_folder(jobs)
    lock = file_lock(jobs / "start.lock")
    try:
        lock.acquire(timeout=WAIT)
    except Timeout:
        raise SnowmatchError("other work is being started at this moment: try again", "busy") from None
    try:
        if running := [job for job in list_jobs(folder) if job.state == "running"]:
            raise SnowmatchError(f"other work ({running[0].kind}) runs: wait until it is done, or stop it", "busy")
        started = time.time()
        stamp = _stamp(started)
        newest = max(_names(folder), default="")
        if newest[:15] > stamp:  # the clock was set back: the new work must be the newest all the same
            stamp = _stamp(max(started, _moment(newest) + 1))
        name = f"{stamp}-{kind}"
        number = next(n for n in range(1, 1000) if not (jobs / (name if n == 1 else f"{name}-{n}")).exists())
        name = name if number == 1 else f"{name}-{number}"
        make_folder(jobs / name)
        first, *others = commands_of(kind, folder.resolve(), decisions, extractor)
        values = {"kind": kind, "arguments": first, "then": others, "started": started}
        replace_file(jobs / name / "job.json", lambda file: file.write(json.dumps(with_json_sum(values)).encode()))
        process = subprocess.Popen(
            # -P: no module of the working directory
            [sys.executable, "-P", "-m", "snowmatch.web.job", str(jobs / name)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=os.name != "nt",  # Ctrl-C for the server is not for the work
            creationflags=OWN_CONSOLE,
        )
        threading.Thread(target=process.wait, daemon=True).start()  # the system keeps ended children until then
    finally:
        lock.release()
    return read_job(folder, name)


def stop_job(folder: Path, name: str) -> None:
    """Ask work to stop. What is finished is kept. Raises SnowmatchError if there is no such work."""
    job = read_job(folder, name)
    if job.state == "running":
        replace_file(jobs_path(folder) / job.id / "stop", lambda file: file.write(b""))


def list_jobs(folder: Path) -> list[Job]:
    """Return the newest jobs, newest first."""
    found = []
    for name in sorted(_names(folder), reverse=True)[:LISTED]:
        try:
            found.append(read_job(folder, name))
        except SnowmatchError:  # a folder that somebody has emptied
            continue
    return found


def read_job(folder: Path, name: str) -> Job:
    """Return one job. Raises SnowmatchError if there is none of this name."""
    place = jobs_path(folder) / name
    if not _ID.fullmatch(name) or not (place / "job.json").is_file():
        raise SnowmatchError(f"there is no work {name[:60]!r} in {folder}")
    damaged: list[str] = []
    about, ended, progress = (_read(place / f"{part}.json", damaged) for part in ("job", "ended", "progress"))
    started = _number(about, "started") or _moment(name)
    arguments = about.get("arguments")
    # Work that seems to start far in the future was started before the clock was set back
    running = not ended and (_alive(place) or abs(time.time() - started) < STARTING)
    if not ended and not running:  # it may have ended just before its lock was tried
        ended = _read(place / "ended.json", [])
    if ended:
        state = "stopped" if ended.get("stopped") else "done" if ended.get("status") == 0 else "failed"
    else:
        state = "running" if running else "lost"
    said, messages = (_tail(place / part, ended, damaged) for part in ("stdout", "stderr"))
    return Job(
        name,
        name.split("-")[2],
        tuple(map(str, arguments)) if isinstance(arguments, list) else (),
        started,
        _number(ended, "ended") if "ended" in ended else None,
        state,
        str(progress.get("title", "")),
        str(progress.get("unit", "")),
        int(_number(progress, "done")),
        int(_number(progress, "total")),
        _number(progress, "seconds"),
        said,
        "\n".join([*filter(None, [messages]), *(f"{path} is damaged: start this work again" for path in damaged)]),
    )


def read_output(folder: Path, name: str) -> Path:
    """Return the file with the output of a job. Raises SnowmatchError if there is no such job, or it is damaged."""
    read_job(folder, name)
    place = jobs_path(folder) / name
    if not _is_whole(place / "stdout", _read(place / "ended.json", [])):
        raise SnowmatchError(f"{place / 'stdout'} is damaged: start this work again")
    return place / "stdout"


def _names(folder: Path) -> list[str]:
    """Return the names of all jobs."""
    try:
        return [path.name for path in jobs_path(folder).iterdir() if _ID.fullmatch(path.name)]
    except OSError:
        return []


def _stamp(moment: float) -> str:
    return time.strftime("%Y%m%d-%H%M%S", time.localtime(moment))


def _alive(place: Path) -> bool:
    """Return whether the process of a job holds its lock."""
    lock = file_lock(place / "alive.lock")
    try:
        with lock.acquire(timeout=0):
            return False
    except Timeout:
        return True
    except OSError:
        return False


def _read(path: Path, damaged: list[str]) -> dict[str, Any]:
    """Return the values of a file; none if it is missing or damaged. `damaged` takes the path of a damaged one."""
    try:
        return read_summed_json(path.read_text(encoding="utf-8"))
    except ValueError:
        damaged.append(str(path))
    except OSError:  # not written yet
        pass
    return {}


def _moment(name: str) -> float:
    """Return the time (s) in a job's name; 0 if there is none."""
    try:
        return time.mktime(time.strptime(name[:15], "%Y%m%d-%H%M%S"))
    except (ValueError, OverflowError):
        return 0.0


def _number(values: dict[str, Any], name: str) -> float:
    """Return a number of a file; 0 if it is missing or damaged."""
    found = values.get(name)
    return float(found) if isinstance(found, int | float) and abs(found) < 1e15 else 0.0


def _tail(path: Path, ended: dict[str, Any], damaged: list[str]) -> str:
    """Return the last lines of a file; none if it is missing or damaged, as `_read`. ended: how the job ended."""
    try:
        if not _is_whole(path, ended):
            damaged.append(str(path))
            return ""
        with open(path, "rb") as file:
            file.seek(max(path.stat().st_size - TAIL, 0))
            return file.read().decode("utf-8", "replace").strip("\n")
    except OSError:
        return ""


def _is_whole(path: Path, ended: dict[str, Any]) -> bool:
    """Return whether a file has the checksum that it had when its job ended, if that is known."""
    sums = ended.get("sums")
    if not isinstance(sums, dict):
        return True
    try:
        status = path.stat()
        return sums.get(path.name) == _sum_of(path, status.st_size, status.st_mtime_ns)
    except OSError:
        return False


@lru_cache(1000)
def _sum_of(path: Path, size: int, changed: int) -> int:
    return zlib.crc32(path.read_bytes())
