"""What every benchmark records with its numbers: date, commit, versions, memory and time."""

from __future__ import annotations

import argparse
import importlib.metadata
import os
import platform
import re
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import snowmatch
from snowmatch.core.errors import SnowmatchError

HERE = Path(__file__).parent
RESULTS = HERE / "results"
PACKAGES = ("faiss-cpu", "h5py", "numpy", "opencv-contrib-python-headless", "pillow")
# A change of these can change a figure
ENGINE = ("snowmatch", "benchmarks/methods", "benchmarks/datasets.py", "benchmarks/own_boxes.py", "training/embedding")
THREAD_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
UNCOMMITTED = "+"


def circumstances(command: str) -> dict[str, Any]:
    """Return date, commit, versions and cores."""
    return {
        "command": command,
        "date": datetime.now(UTC).date().isoformat(),
        "commit": engine_commit(),
        "snowmatch": snowmatch.__version__,
        "python": platform.python_version(),
        "system": platform.system(),
        "cores": os.cpu_count(),
        "packages": {name: importlib.metadata.version(name) for name in PACKAGES},
    }


def engine_commit() -> str:
    """Return the last commit that changed the engine, the compared methods or the datasets.

    A plus follows if these files have changes that are not committed. A later commit that changes only other files does
    not count, so figures made before and after it can stand in one table. "" without git or the history.
    """

    def git(*arguments: str) -> str:
        try:
            ran = subprocess.run(["git", *arguments, "--", *ENGINE], cwd=HERE.parent, capture_output=True, text=True)
        except OSError:  # there is no program git
            return ""
        return ran.stdout.strip()

    return git("log", "-1", "--format=%h") + (UNCOMMITTED if git("status", "--porcelain") else "")


def is_current(commit: str) -> bool:
    """Return whether a commit is that of the present engine. An unknown one and one with changes are never the same."""
    return bool(commit) and not commit.endswith(UNCOMMITTED) and commit == engine_commit()


def command_line(arguments: Sequence[str] | None = None) -> str:
    """Return the running command (or the program with `arguments`), without the names of local folders."""
    program = Path(sys.argv[0]).resolve()
    name = program.relative_to(HERE.parent).as_posix() if program.is_relative_to(HERE.parent) else program.name
    given = sys.argv[1:] if arguments is None else arguments
    return " ".join(["python", name, *map(without_folders, given)])


def results_file(
    parser: argparse.ArgumentParser, given: argparse.Namespace, name: str, settings: Sequence[str]
) -> Path:
    """Return --out; without it the published file `name`.

    A row's name does not show these settings. Raises SnowmatchError if one of them is not the default and --out is
    missing: the row would replace a published one.
    """
    if given.out is not None:
        return given.out
    for setting in settings:
        if getattr(given, setting) != parser.get_default(setting):
            raise SnowmatchError(f"--{setting} is not that of the published results: name your own file with --out")
    return RESULTS / name


def without_folders(text: str) -> str:
    """Replace each absolute path in the text by its last name: results are public, folder names are private."""
    parts = re.split(r"([,=])", text)
    return "".join(Path(part).name if os.path.isabs(part) else part for part in parts)


def run_command(main: Callable[[], None]) -> None:
    """Run a program of this folder with the engine of this folder. Print a SnowmatchError as one line."""
    try:
        check_own_engine()
        main()
    except SnowmatchError as error:
        sys.exit(f"error: {error}")


def check_own_engine() -> None:
    """Raise SnowmatchError if another engine would run than that whose commit the results name."""
    runs, own = Path(snowmatch.__file__).resolve().parent, (HERE.parent / "snowmatch").resolve()
    if runs != own:
        raise SnowmatchError(f"the engine in {runs} would run, expected {own}: set PYTHONPATH={HERE.parent}")


def use_cores(count: int) -> None:
    """Limit this process, and libraries that are not loaded yet, to `count` cores."""
    for variable in THREAD_VARIABLES:
        os.environ[variable] = str(count)
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:count])


def peak_memory() -> int | None:
    """Return the peak memory of this process in bytes; None if the system does not report it (Windows)."""
    try:
        import resource
    except ImportError:
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def median_seconds(work: Callable[[], Any], times: int) -> float:
    """Return the median time of `times` runs, in seconds. One run before them is not counted."""
    work()
    seconds = []
    for _ in range(times):
        start = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - start)
    return statistics.median(seconds)
