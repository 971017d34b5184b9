"""What every benchmark records beside its numbers."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import re
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import snowmatch
from snowmatch.core.errors import SnowmatchError

HERE = Path(__file__).parent
RESULTS = HERE / "results"
PACKAGES = ("faiss-cpu", "h5py", "numpy", "opencv-contrib-python-headless", "pillow")
ENGINE = ("snowmatch", "benchmarks/methods", "benchmarks/datasets.py")  # what changes a figure when it changes
THREAD_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
UNCOMMITTED = "+"


def circumstances(command: str, packages: Mapping[str, str] | None = None) -> dict[str, Any]:
    """Date, commit, versions and cores, without which a number says little; `packages` in place of this project's."""
    return {
        "command": command,
        "date": datetime.now(UTC).date().isoformat(),
        "commit": engine_commit(),
        "snowmatch": snowmatch.__version__,
        "python": platform.python_version(),
        "system": platform.system(),
        "cores": os.cpu_count(),
        "packages": dict(packages or {name: importlib.metadata.version(name) for name in PACKAGES}),
    }


def engine_commit() -> str:
    """The last commit that changed the engine, the methods beside it or the data; with a plus where files differ now.

    A later commit that changes only other files leaves it, so that figures made before and after it belong together.
    """

    def git(*arguments: str) -> str:
        ran = subprocess.run(["git", *arguments, "--", *ENGINE], cwd=HERE.parent, capture_output=True, text=True)
        return ran.stdout.strip()

    return git("log", "-1", "--format=%h") + (UNCOMMITTED if git("status", "--porcelain") else "")


def command_line(arguments: Sequence[str] | None = None) -> str:
    """The command that is running (or the program with `arguments`), without the folders of this machine."""
    program = Path(sys.argv[0]).resolve()
    name = program.relative_to(HERE.parent).as_posix() if program.is_relative_to(HERE.parent) else program.name
    given = sys.argv[1:] if arguments is None else arguments
    return " ".join(["python", name, *map(without_folders, given)])


def without_folders(text: str) -> str:
    """The text with every absolute path in it cut to its last name: results are public, folders are not."""
    parts = re.split(r"([,=])", text)
    return "".join(Path(part).name if os.path.isabs(part) else part for part in parts)


def run_command(main: Callable[[], None]) -> None:
    """A program of this folder; a SnowmatchError is one line."""
    try:
        main()
    except SnowmatchError as error:
        sys.exit(f"error: {error}")


def use_cores(count: int) -> None:
    """Keep this process to so many cores, and tell libraries that are not loaded yet."""
    for variable in THREAD_VARIABLES:
        os.environ[variable] = str(count)
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:count])


def peak_memory() -> int | None:
    """Bytes that this process held at most; None where the system does not tell (Windows)."""
    try:
        import resource
    except ImportError:
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def median_seconds(work: Callable[[], Any], times: int) -> float:
    """The median of `times` runs after one that is not counted."""
    work()
    seconds = []
    for _ in range(times):
        start = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - start)
    return statistics.median(seconds)
