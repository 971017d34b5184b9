"""Result files: one file a suite, a JSON list with one run a line. The key `run`, a short text, identifies a run."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from snowmatch.core.files import replace_file

Result = dict[str, Any]
NEEDED = ("run", "command", "date", "commit", "snowmatch")


def read_runs(path: Path) -> list[Result]:
    """Return the runs of a file; none if it does not exist. Raises SystemExit if the file is not a list of runs."""
    if not path.exists():
        return []
    try:
        runs = json.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        raise SystemExit(f"{path}: not readable as JSON ({error}); delete it and run its suite again.") from None
    if not isinstance(runs, list) or not all(isinstance(run, dict) for run in runs):
        raise SystemExit(f"{path}: expected a list of runs; delete it and run its suite again.")
    for run in runs:
        missing = [name for name in NEEDED if not isinstance(run.get(name), str)]
        if missing:
            raise SystemExit(f"{path}: run {run.get('run')!r} has no {missing[0]}; delete it and run its suite again.")
    return runs


def put_run(path: Path, run: Result) -> None:
    """Write a run to the file. It replaces the run with the same name; otherwise it is added at the end."""
    runs = read_runs(path)
    places = [place for place, held in enumerate(runs) if held["run"] == run["run"]]
    if places:
        runs[places[0]] = run
    else:
        runs.append(run)
    lines = ",\n".join(json.dumps(each, separators=(",", ":"), allow_nan=False, ensure_ascii=False) for each in runs)
    path.parent.mkdir(parents=True, exist_ok=True)
    replace_file(path, lambda file: file.write(f"[\n{lines}\n]\n".encode()))


def find_run(path: Path, name: str) -> Result | None:
    """Return the run with that name; None if it does not exist."""
    return next((run for run in read_runs(path) if run["run"] == name), None)
