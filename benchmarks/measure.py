"""What every benchmark records beside its numbers, and where it puts them."""

from __future__ import annotations

import importlib.metadata
import json
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

HERE = Path(__file__).parent
PACKAGES = ("faiss-cpu", "h5py", "numpy", "opencv-contrib-python-headless", "pillow")


def circumstances(command: str, packages: Mapping[str, str] | None = None) -> dict[str, Any]:
    """Date, commit, versions and cores, without which a number says little; `packages` in place of this project's."""
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], cwd=HERE, capture_output=True, text=True)
    return {
        "command": command,
        "date": datetime.now(UTC).date().isoformat(),
        "commit": commit.stdout.strip(),
        "python": platform.python_version(),
        "system": platform.system(),
        "cores": os.cpu_count(),
        "packages": dict(packages or {name: importlib.metadata.version(name) for name in PACKAGES}),
    }


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


def median_seconds(work: Callable[[], Any], times: int) -> float:
    """The median of `times` runs after one that is not counted."""
    work()
    seconds = []
    for _ in range(times):
        start = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - start)
    return statistics.median(seconds)


def write_result(name: str, result: dict[str, Any]) -> None:
    """Print the result and keep it in results/ as JSON."""
    path = HERE / "results" / f"{name}.json"
    path.parent.mkdir(exist_ok=True)
    text = json.dumps(result, indent=2, allow_nan=False)
    path.write_text(text + "\n", encoding="utf-8")
    print(text)
