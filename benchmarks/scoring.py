"""Score matrices: run a method on a dataset in a process of its own, and keep its scores in --work."""

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
    is_current,
    peak_memory,
    use_cores,
    without_folders,
)
from suites import Run

HERE = Path(__file__).parent


@dataclass(frozen=True)
class Scored:
    """One run's score tables in `folder` (with run.json: their costs), its dataset, trial, method and settings."""

    folder: Path
    dataset: Any
    trial: Any
    method: str
    settings: dict[str, Any]
    shown_method: str

    @property
    def costs(self) -> dict[str, Any]:
        """Read run.json: date and versions, seconds, memory, notes."""
        return json.loads((self.folder / "run.json").read_text(encoding="utf-8"))


def scores_of(run: Run, work: Path, *, threads: int = 1, queries: int = 0, fresh: bool = False) -> Scored:
    """Return the score tables of one run. They are computed if `work` has none of these photos, rows and this engine.

    `run.dataset`: text that datasets.py reads. `queries`: use only this number, evenly spread (0: all). `fresh`:
    compute them in any case.
    """
    from datasets import contents_of, prepare

    from snowmatch.api import open_catalog
    from snowmatch.confidence.trial import make_trial

    work.mkdir(parents=True, exist_ok=True)
    dataset = prepare(run.dataset, work)
    trial = make_trial(open_catalog(dataset.folder).data.annotations, run.protocol)
    name, settings = parse_method(run.method)
    shown_method = shown_of(run.method, settings).replace(",keep=yes", "")  # the origin of features changes no figure
    # Fewer queries or more cores give another result: it must not replace the usual one.
    shown_method += f",queries={queries}" if queries else ""
    shown_method += f",threads={threads}" if threads != 1 else ""
    kept = work / "scores" / dataset.name / run.protocol / label_of(shown_method)
    contents = contents_of(dataset.folder)
    finders = finders_of(settings)
    if fresh or not _are_of(kept, settings, contents, finders):
        shared = circumstances(command_line())  # a commit made during the run has not run
        costs = apart(name, settings, dataset.folder, run.protocol, threads, work, kept=kept, queries=queries)
        shared["packages"] = costs.pop("versions") or shared["packages"]
        shared |= {"threads": threads, "suite_run": suite_run(work), "files": files_of(settings)}
        shared["contents"] = contents
        shared |= {"finders": finders} if finders else {}
        (kept / "run.json").write_text(json.dumps({**shared, **costs}, allow_nan=False), encoding="utf-8")
    return Scored(kept, dataset, trial, name, settings, shown_method)


def shown_of(method: str, settings: dict[str, Any]) -> str:
    """Return the method's text without folders. A file without its folder has the start of its checksum: another file
    may have its name.
    """
    sums = files_of(settings)

    def shown(pair: str) -> str:
        key, _, value = pair.partition("=")
        return without_folders(pair) + (f"@{sums[key][:8]}" if key in sums and os.path.isabs(value) else "")

    return ",".join(map(shown, method.split(",")))


def files_of(settings: dict[str, Any]) -> dict[str, str]:
    """Return the checksum of each file that a setting names (a network, vectors): a name does not show changes."""
    files = {key: Path(value).expanduser() for key, value in settings.items() if isinstance(value, str) and value}
    sums = {}
    for key, path in files.items():
        if path.is_file():
            with path.open("rb") as file:
                sums[key] = hashlib.file_digest(file, "sha256").hexdigest()[:12]
    return sums


def finders_of(settings: dict[str, Any]) -> dict[str, Any]:
    """Return what finds the animal with these settings on this computer; {} if the method has no such settings.

    classifier=auto is another network, or none, where other weights are: the setting does not show it.
    """
    from snowmatch.core.plugins import settings as settings_of
    from snowmatch.screening.finders import choose_finders

    if "classifier" not in settings:
        return {}
    finders = choose_finders(settings["classifier"], settings["segmenter"])
    networks = {"classifier": finders.classifier, "segmenter": finders.segmenter}
    names = {kind: "none" if made is None else settings_of(made)["name"] for kind, made in networks.items()}
    return {**names, "texture": finders.sees, "mark": finders.mark}


def _are_of(kept: Path, settings: dict[str, Any], contents: str, finders: dict[str, Any]) -> bool:
    """Return whether `kept` has scores of this engine, of a dataset with these contents and of the present files."""
    path = kept / "run.json"
    if not path.exists():
        return False
    costs = json.loads(path.read_text(encoding="utf-8"))
    same = costs.get("contents") == contents and costs.get("files", {}) == files_of(settings)
    same = same and costs.get("finders", {}) == finders
    return same and is_current(costs["commit"])


def parse_method(text: str) -> tuple[str, dict[str, Any]]:
    """Return the method's name and all its settings: those in `text` replace defaults. Raises SnowmatchError.

    The error names a method or a setting that does not exist.
    """
    from snowmatch.core.errors import SnowmatchError
    from snowmatch.core.plugins import parse_setting

    name, *pairs = text.split(",")
    names = sorted(p.stem for p in (HERE / "methods").glob("*.py") if not p.stem.startswith("_"))
    if name not in names:
        raise SnowmatchError(f"no method {name!r}; methods: {', '.join(names)}")
    defaults = importlib.import_module(f"methods.{name}").DEFAULTS
    settings = dict(defaults)
    for pair in pairs:
        key, _, value = pair.partition("=")
        if key not in defaults:
            raise SnowmatchError(f"method {name} has no setting {key!r}; settings: {', '.join(defaults)}")
        settings[key] = parse_setting(f"setting {key!r}", value, defaults[key])
    return name, settings


def label_of(method: str) -> str:
    """Return the method's text as a file name."""
    return re.sub(r"[^\w.=+-]+", "_", method)


def shown_label(shown_method: str) -> str:
    """Return the method's text as tables show it."""
    return shown_method.replace("snowmatch_engine", "snowmatch").replace(",", " ")


def asks_again(name: str, settings: dict[str, Any]) -> bool:
    """Return whether the method repeats each query without its individual in the gallery (see methods)."""
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
    """Run a method in a process of its own on `threads` cores and return its costs (see Outcome).

    Its tables go to the folder `kept`. `queries`: use only this number, evenly spread (0: all).
    Raises SnowmatchError if the method fails.
    """
    from snowmatch.core.errors import SnowmatchError

    os.environ |= dict.fromkeys(THREAD_VARIABLES, str(threads))  # numpy reads them when the new process loads it
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
    """In the new process: run the method, save its tables and send its costs."""
    use_cores(threads)
    from methods import Given

    from snowmatch.api import open_catalog
    from snowmatch.confidence.score_table import save_table
    from snowmatch.confidence.trial import make_trial
    from snowmatch.core.errors import SnowmatchError

    try:
        trial = make_trial(open_catalog(folder).data.annotations, protocol)
        trial = _thinned(trial, queries) if queries else trial
        check_answerable(trial)
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


def check_answerable(trial: Any) -> None:
    """Raise SnowmatchError unless a query of the trial has a right answer that the protocol allows."""
    import numpy as np

    from snowmatch.core.errors import SnowmatchError

    names = np.array([trial.annotations[row].individual for row in trial.gallery])
    for n, row in enumerate(trial.queries):
        if (trial.open_to.row(n) & (names == trial.annotations[row].individual)).any():
            return
    raise SnowmatchError(f"nothing to measure: no query has a right answer that the protocol {trial.protocol} allows")


def _thinned(trial: Any, queries: int) -> Any:
    """Return the trial with `queries` of its queries, evenly spread, each a group of its own; same gallery."""
    import numpy as np

    chosen = np.unique(np.linspace(0, len(trial.queries) - 1, queries).astype(int))
    return replace(
        trial, queries=trial.queries[chosen], open_to=trial.open_to.of(chosen), groups=np.arange(len(chosen))
    )


def suite_run(work: Path) -> str:
    """Return one name for all runs that are made together, also if they were stopped and continued."""
    mark = mark_of(work)
    if not mark.exists():
        mark.write_text(datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ"), encoding="utf-8")
    return mark.read_text(encoding="utf-8").strip()


def mark_of(work: Path) -> Path:
    """Return the file with that name. It is removed when all runs are done."""
    return work / "suite-run"
