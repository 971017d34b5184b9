"""Score matrices: a method run on a dataset in a process of its own, and what it made kept in --work."""

from __future__ import annotations

import hashlib
import importlib
import json
import multiprocessing
import os
import re
import time
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from measure import (
    THREAD_VARIABLES,
    circumstances,
    command_line,
    engine_commit,
    peak_memory,
    use_cores,
    without_folders,
)
from suites import Run

HERE = Path(__file__).parent


@dataclass(frozen=True)
class Scored:
    """One run's score tables in `folder` (run.json: what they cost), and what was asked of whom, as text and made."""

    folder: Path
    dataset: Any
    trial: Any
    method: str
    settings: dict[str, Any]
    shown_method: str

    @property
    def costs(self) -> dict[str, Any]:
        """What run.json holds: circumstances, seconds, memory, notes."""
        return json.loads((self.folder / "run.json").read_text(encoding="utf-8"))


def scores_of(run: Run, work: Path, *, threads: int = 1, queries: int = 0, fresh: bool = False) -> Scored:
    """The score tables of one run, made where `work` has none of this engine yet, or with `fresh`.

    `run.dataset` as datasets.py reads it. `queries`: only so many, evenly spread (0: all).
    """
    from datasets import prepare

    from snowmatch.api import open_catalog
    from snowmatch.confidence.trial import make_trial

    work.mkdir(parents=True, exist_ok=True)
    dataset = prepare(run.dataset, work)
    trial = make_trial(open_catalog(dataset.folder).data.annotations, run.protocol)
    name, settings = parse_method(run.method)
    shown_method = without_folders(run.method).replace(",keep=yes", "")  # where features come from changes no figure
    # What was asked in part, or on more cores, is another result: it neither replaces nor stands for the usual one.
    shown_method += f",queries={queries}" if queries else ""
    shown_method += f",threads={threads}" if threads != 1 else ""
    kept = work / "scores" / dataset.name / run.protocol / label_of(shown_method)
    if fresh or not _are_of(kept, settings):
        costs = apart(name, settings, dataset.folder, run.protocol, threads, work, kept=kept, queries=queries)
        shared = circumstances(command_line(), costs.pop("versions"))
        shared |= {"threads": threads, "suite_run": suite_run(work), "files": files_of(settings)}
        (kept / "run.json").write_text(json.dumps({**shared, **costs}, allow_nan=False), encoding="utf-8")
    return Scored(kept, dataset, trial, name, settings, shown_method)


def files_of(settings: dict[str, Any]) -> dict[str, str]:
    """Of each setting that names a file (a network, vectors), the sum of what is in it: a name alone says little."""
    files = {key: Path(value).expanduser() for key, value in settings.items() if isinstance(value, str) and value}
    sums = {}
    for key, path in files.items():
        if path.is_file():
            with path.open("rb") as file:
                sums[key] = hashlib.file_digest(file, "sha256").hexdigest()[:12]
    return sums


def _are_of(kept: Path, settings: dict[str, Any]) -> bool:
    """Whether scores are in `kept` that this engine made from the files as they are now."""
    told = kept / "run.json"
    if not told.exists():
        return False
    held = json.loads(told.read_text(encoding="utf-8"))
    return held.get("files", {}) == files_of(settings) and held.get("commit") == engine_commit()


def parse_method(text: str) -> tuple[str, dict[str, Any]]:
    """The method's name and all its settings, those of `text` in place of the defaults; SnowmatchError if unknown."""
    from snowmatch.core.errors import SnowmatchError
    from snowmatch.core.plugins import parse_setting

    name, *pairs = text.split(",")
    names = sorted(p.stem for p in (HERE / "methods").glob("*.py") if not p.stem.startswith("_"))
    if name not in names:
        raise SnowmatchError(f"no method {name!r}; there are: {', '.join(names)}")
    defaults = importlib.import_module(f"methods.{name}").DEFAULTS
    settings = dict(defaults)
    for pair in pairs:
        key, _, value = pair.partition("=")
        if key not in defaults:
            raise SnowmatchError(f"method {name} has no setting {key!r}; it has: {', '.join(defaults)}")
        settings[key] = parse_setting(f"setting {key!r}", value, defaults[key])
    return name, settings


def label_of(method: str) -> str:
    """The method's text as a file name."""
    return re.sub(r"[^\w.=+-]+", "_", method)


def shown_label(shown_method: str) -> str:
    """The method's text as tables show it."""
    return shown_method.replace("snowmatch_engine", "snowmatch").replace(",", " ")


def asks_again(name: str, settings: dict[str, Any]) -> bool:
    """Whether the method's scores without the query's individual are true ones (see methods)."""
    return getattr(importlib.import_module(f"methods.{name}"), "asks_again", lambda _: True)(settings)


def apart(
    name: str,
    settings: dict[str, Any],
    folder: Path,
    protocol: str,
    threads: int,
    work: Path,
    *,
    kept: Path | None = None,
    queries: int = 0,
) -> dict[str, Any]:
    """What a method costs (see Outcome), run in a process of its own on `threads` cores; SnowmatchError if it fails.

    Its tables go to the folder `kept`. `queries`: only so many, evenly spread (0: all).
    """
    from snowmatch.core.errors import SnowmatchError

    os.environ |= dict.fromkeys(THREAD_VARIABLES, str(threads))  # read when numpy is loaded, in the new process
    work.mkdir(parents=True, exist_ok=True)
    receive, send = multiprocessing.Pipe(duplex=False)
    process = multiprocessing.get_context("spawn").Process(
        target=_work, args=(send, name, settings, folder, protocol, threads, work.resolve(), kept, queries)
    )
    start = time.perf_counter()
    process.start()
    send.close()
    try:
        costs = receive.recv()
    except EOFError:
        costs = {"error": "the process ended without an answer (out of memory?)"}
    process.join()
    if "error" in costs:
        raise SnowmatchError(f"{name}: {costs['error']}")
    costs["seconds"]["total"] = round(time.perf_counter() - start, 1)
    return costs


def _work(
    send: Any,
    name: str,
    settings: dict[str, Any],
    folder: Path,
    protocol: str,
    threads: int,
    work: Path,
    kept: Path | None,
    queries: int,
) -> None:
    """In a process of its own: run the method, save its tables, send what it cost."""
    use_cores(threads)
    from methods import Given

    from snowmatch.api import open_catalog
    from snowmatch.confidence.score_table import save_table
    from snowmatch.confidence.trial import make_trial
    from snowmatch.core.errors import SnowmatchError

    try:
        trial = make_trial(open_catalog(folder).data.annotations, protocol)
        trial = _thinned(trial, queries) if queries else trial
        outcome = importlib.import_module(f"methods.{name}").run(Given(folder, trial, threads, work), settings)
        if kept is not None:
            kept.mkdir(parents=True, exist_ok=True)
            for old in kept.glob("*.npz"):
                old.unlink()
            for number, table in enumerate(outcome.tables):
                save_table(kept / f"{number}.npz", table)
    except SnowmatchError as error:
        send.send({"error": str(error)})
        return
    send.send(
        {
            "versions": outcome.versions,
            "seconds": {k: round(v, 4) for k, v in outcome.seconds.items()},
            "numbers": {k: round(float(v), 4) for k, v in outcome.numbers.items()},
            "peak_memory": outcome.peak_memory or peak_memory(),
            "notes": list(outcome.notes),
        }
    )


def _thinned(trial: Any, queries: int) -> Any:
    """The trial with so many of its queries, evenly spread, each for itself; the gallery stays."""
    import numpy as np

    chosen = np.unique(np.linspace(0, len(trial.queries) - 1, queries).astype(int))
    return replace(trial, queries=trial.queries[chosen], allowed=trial.allowed[chosen], groups=np.arange(len(chosen)))


def suite_run(work: Path) -> str:
    """One name for all that is run side by side, also when it was stopped and goes on."""
    mark = mark_of(work)
    if not mark.exists():
        mark.write_text(datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ"), encoding="utf-8")
    return mark.read_text(encoding="utf-8").strip()


def mark_of(work: Path) -> Path:
    """The file that holds that name; it goes when everything is done."""
    return work / "suite-run"
