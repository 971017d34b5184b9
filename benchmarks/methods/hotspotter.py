"""The original HotSpotter (ibeis 2.6.0 from PyPI), in a Python environment of its own.

The score of an annotation in ibeis is the sum of its verified feature scores (csum). The score of an individual is the
sum of each query feature's best vote for it (nsum). Nothing is trained: there are no foreground weights. Annotations
that ibeis does not return have score 0.

The first run makes the environment in the method's work folder (it needs the internet, about 1.5 GB). Or
SNOWMATCH_HOTSPOTTER_PYTHON names the python of an existing one.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from methods import Given, Outcome
from snowmatch.confidence.score_table import ScoreTable, make_table
from snowmatch.confidence.trial import Trial
from snowmatch.core.errors import SnowmatchError

DEFAULTS = {
    "every_annotation": False,  # verify the whole gallery, not the best 3 annotations of the best 40 individuals
    "repeats": 1,  # build the search forests and query again: they are random
    "left_out": False,  # repeat each query without its own individual in the gallery
    "max_side": 0,  # shrink photos to this side, px; 0: original size (ibeis makes chips of 700 px in any case)
}

PYTHON_VARIABLE = "SNOWMATCH_HOTSPOTTER_PYTHON"
REQUIREMENTS = (
    "ibeis==2.6.0",
    "vtool_ibeis==2.4.0",
    "pyhesaff==2.2.0",
    "pyflann_ibeis==2.5.0",
    "numpy==2.4.6",
    "opencv-python-headless==5.0.0.93",
)
WORKER = Path(__file__).with_name("_hotspotter_worker.py")
EVERY = 1_000_000  # more than the individuals, or annotations of one, in any gallery
LAST_LINES = 8


def asks_again(settings: dict[str, Any]) -> bool:
    """Return whether scores without the query's own individual come from a gallery without it."""
    return settings["left_out"]


@dataclass(frozen=True)
class Database:
    """One index and its queries. gallery: row numbers of the catalog. queries: positions in trial.queries."""

    gallery: tuple[int, ...]
    queries: tuple[int, ...]


def run(given: Given, settings: dict[str, Any]) -> Outcome:
    """Score the trial with ibeis. Raises SnowmatchError if its environment cannot be made or its process fails."""
    settings = DEFAULTS | settings
    if settings["repeats"] < 1 or settings["max_side"] < 0:
        raise SnowmatchError(
            f"repeats is {settings['repeats']} and max_side {settings['max_side']}, expected repeats of 1 or more, "
            "max_side of 0 (original size) or more"
        )
    trial = given.trial
    asked = group_queries(trial, trial.allowed)
    left_out = group_queries(trial, trial.allowed & ~trial.own()) if settings["left_out"] else []
    given.work.mkdir(parents=True, exist_ok=True)
    python = environment(given.work)
    job = make_job(given, settings, [*asked, *left_out], python)
    answers = work(python, job, given.work)
    indexed, extracted = answers["indexed"], answers["feature_counts"]
    times = _times(answers, asked)
    notes = [f"ibeis: {answers['config']}"]
    if int(answers["same_pixels"]):
        notes.append(f"{int(answers['same_pixels'])} annotations have the pixels of another: one and the same to ibeis")
    return Outcome(
        tables=make_tables(trial, asked, left_out, answers),
        seconds={stage: times[f"{stage}_seconds"] for stage in ("extract", "index", "query")},
        versions=json.loads(str(answers["versions"])),
        numbers={
            "features_per_annotation": float(extracted.mean()),
            "bytes_on_disk_per_annotation": float(answers["bytes_on_disk"]) / len(extracted),
            "indexes_built": float(len(indexed) * settings["repeats"]),
            "descriptors": float(indexed.mean()) if len(indexed) else 0.0,  # of one index
            # other programs slow the wall clock, but not these
            **{name: value for name, value in times.items() if "cpu" in name},
        },
        notes=tuple(notes),
        peak_memory=int(answers["peak_memory"]) or None,
    )


def group_queries(trial: Trial, allowed: np.ndarray) -> list[Database]:
    """Group the queries into as few galleries as possible for `allowed` (Q, G). Queries without a gallery are left out.

    ibeis never returns the annotation of the query, so the gallery may contain it: then queries against all others need
    only one index. The query is added only if this makes galleries equal.
    """
    without = [frozenset(trial.gallery[row].tolist()) for row in allowed]
    answering = set(trial.gallery.tolist())
    with_itself = [
        rows | {query} if query in answering else rows
        for rows, query in zip(without, trial.queries.tolist(), strict=True)
    ]
    shared = Counter(without), Counter(with_itself)
    groups: dict[frozenset[int], list[int]] = {}
    for number, (alone, joined) in enumerate(zip(without, with_itself, strict=True)):
        if alone:
            groups.setdefault(joined if shared[1][joined] > shared[0][alone] else alone, []).append(number)
    return [Database(tuple(sorted(rows)), tuple(queries)) for rows, queries in groups.items()]


def make_job(given: Given, settings: dict[str, Any], databases: list[Database], python: Path) -> dict[str, Any]:
    """Return the worker's input. Its annotations are those of the trial, counted from 0 in the order of `used_rows`.

    An individual is a number of trial.individual_names; only annotations of the gallery have one.
    """
    trial = given.trial
    rows = used_rows(trial)
    place = {row: i for i, row in enumerate(rows)}
    individual = dict(zip(trial.gallery.tolist(), trial.individual_numbers.tolist(), strict=True))
    annotations = []
    for row in rows:
        annotation = trial.annotations[row]
        path = given.folder.joinpath(*annotation.path.split("/")).resolve()
        annotations.append({"path": str(path), "bbox": annotation.own_box, "individual": individual.get(row)})
    config: dict[str, Any] = {"fg_on": False, "featweight_enabled": False, "flann_cores": given.threads}
    if settings["every_annotation"]:
        config |= {"nNameShortlistSVER": EVERY, "nAnnotPerNameSVER": EVERY}
    return {
        "annotations": annotations,
        "databases": [
            {"gallery": [place[row] for row in d.gallery], "queries": [place[int(trial.queries[q])] for q in d.queries]}
            for d in databases
        ],
        "repeats": settings["repeats"],
        "max_side": settings["max_side"],
        "threads": given.threads,
        "config": config,
        "database": str((given.work / f"ibeis-{_photo_set(annotations, settings['max_side'], python)}").resolve()),
    }


def used_rows(trial: Trial) -> list[int]:
    """Return the catalog's rows of queries and gallery, ascending."""
    return sorted({*trial.queries.tolist(), *trial.gallery.tolist()})


def _photo_set(annotations: list[dict[str, Any]], max_side: int, python: Path) -> str:
    """Return a name for all that features depend on: photos, boxes, software and the worker."""
    digest = hashlib.sha256(json.dumps([max_side, str(python), REQUIREMENTS]).encode())
    digest.update(WORKER.read_bytes())
    for annotation in annotations:
        try:
            state = os.stat(annotation["path"])
        except OSError as error:
            raise SnowmatchError(f"cannot read {annotation['path']} ({error.strerror}): check the catalog") from error
        digest.update(json.dumps([annotation["path"], annotation["bbox"], state.st_size, state.st_mtime_ns]).encode())
    return digest.hexdigest()[:16]


def environment(folder: Path) -> Path:
    """Return the python with ibeis: the one that the environment variable names, otherwise one made in `folder`."""
    named = os.environ.get(PYTHON_VARIABLE)
    if named:
        if not Path(named).is_file():
            raise SnowmatchError(
                f"{PYTHON_VARIABLE} is {named}, which is no file: name the python of an environment with "
                f"{REQUIREMENTS[0]}, or unset the variable, then one is made"
            )
        return Path(named)
    place = folder / "hotspotter-venv"
    python = place / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    marker, wanted = place / "complete.txt", "\n".join(REQUIREMENTS) + "\n"
    if marker.exists() and marker.read_text(encoding="utf-8") == wanted:
        return python
    if place.exists():
        shutil.rmtree(place)  # incomplete, or other versions
    log = folder / "hotspotter-venv.log"
    hint = f"the environment of ibeis could not be made: {PYTHON_VARIABLE} can name the python of an existing one"
    _call([sys.executable, "-m", "venv", str(place)], log, hint)
    _call([str(python), "-m", "pip", "install", "--disable-pip-version-check", *REQUIREMENTS], log, hint)
    marker.write_text(wanted, encoding="utf-8")
    return python


def work(python: Path, job: dict[str, Any], folder: Path) -> dict[str, np.ndarray]:
    """Run ibeis in a process of its own and return the arrays that it writes."""
    job_path, out, log = folder / "job.json", folder / "answers.npz", folder / "hotspotter.log"
    job_path.write_text(json.dumps(job, indent=1), encoding="utf-8")
    out.unlink(missing_ok=True)
    # -P: Python must not import the other methods in the worker's folder
    command = [str(python), "-P", str(WORKER.resolve()), str(job_path.resolve()), str(out.resolve())]
    _call(command, log, "HotSpotter (ibeis) failed")
    with np.load(out, allow_pickle=False) as held:
        return {name: held[name] for name in held.files}


def _call(command: list[str], log: Path, failure: str) -> None:
    """Run a command and write its output to `log`. If it fails, SnowmatchError has the last lines."""
    settings = str((log.parent / "settings").resolve())
    surroundings = os.environ | {
        "OMP_NUM_THREADS": "1",
        "OPENBLAS_NUM_THREADS": "1",
        "MKL_NUM_THREADS": "1",
        "MPLBACKEND": "Agg",
        "PYTHONUTF8": "1",
        "PYTHONNOUSERSITE": "1",
        # ibeis must not write to the user's own folders
        "XDG_CACHE_HOME": settings,
        "XDG_CONFIG_HOME": settings,
        "XDG_DATA_HOME": settings,
    }
    surroundings.pop("PYTHONPATH", None)
    try:
        with log.open("wb") as file:
            code = subprocess.run(
                command, stdin=subprocess.DEVNULL, stdout=file, stderr=subprocess.STDOUT, env=surroundings
            ).returncode
    except OSError as error:
        raise SnowmatchError(f"{failure}: cannot run {command[0]} ({error.strerror})") from error
    if code:
        lines = [line.strip() for line in log.read_text(encoding="utf-8", errors="replace").splitlines()]
        ending = "\n".join([line for line in lines if line][-LAST_LINES:])
        raise SnowmatchError(f"{failure}: exit code {code}; its output is in {log}, which ends with\n{ending}")


def make_tables(
    trial: Trial, asked: list[Database], left_out: list[Database], answers: dict[str, np.ndarray]
) -> tuple[ScoreTable, ...]:
    """Make one table per repetition from the worker's votes. Questions are counted as in make_job's databases."""
    rows = np.array(used_rows(trial), np.int64)
    featured = np.zeros(len(trial.annotations), bool)
    featured[rows[answers["feature_counts"] > 0]] = True
    column = np.full(len(trial.annotations), -1)
    column[trial.gallery] = np.arange(len(trial.gallery))
    count = sum(len(d.queries) for d in asked)
    questions = np.array([q for d in [*asked, *left_out] for q in d.queries], np.int64)
    is_own_gone = np.arange(len(questions)) >= count
    numbers, names = trial.individual_numbers, trial.individual_names
    votable = featured[trial.queries][:, None] & featured[trial.gallery]  # (Q, G)
    tables = []
    for repeat in range(len(answers["index_seconds"])):
        scores = np.zeros(trial.allowed.shape)
        individuals, others = np.zeros((2, len(trial.queries), len(names)))
        for vote in _of(answers["annotation_votes"], repeat):
            question, place = int(vote[1]), int(vote[2])
            at = column[rows[place]]
            if not is_own_gone[question] and at >= 0:
                scores[questions[question], at] = vote[3]
        for vote in _of(answers["individual_votes"], repeat):
            question = int(vote[1])
            (others if is_own_gone[question] else individuals)[questions[question], int(vote[2])] = vote[3]
        scores[~votable] = -np.inf
        silent = np.stack([~(trial.allowed & votable)[:, numbers == i].any(axis=1) for i in range(len(names))], axis=1)
        individuals[silent] = -np.inf
        others[silent] = -np.inf
        tables.append(make_table(trial, scores, individuals, others if left_out else None))
    return tuple(tables)


def _of(votes: np.ndarray, repeat: int) -> np.ndarray:
    """Return the votes of one repetition."""
    return votes[votes[:, 0] == repeat]


def _times(answers: dict[str, np.ndarray], asked: list[Database]) -> dict[str, float]:
    """Return wall-clock and CPU seconds: the median extraction of an annotation, the mean index, the median query.

    Only indexes and queries of `asked` count, not those with an individual left out. 0 if there was no query.
    """
    queries = sum(len(d.queries) for d in asked)
    times = {}
    for kind in ("seconds", "cpu_seconds"):
        for stage, count, middle in (
            ("extract", None, np.median),
            ("index", len(asked), np.mean),
            ("query", queries, np.median),
        ):
            seconds = answers[f"{stage}_{kind}"][..., :count]
            seconds = seconds[~np.isnan(seconds)]
            times[f"{stage}_{kind}"] = float(middle(seconds)) if len(seconds) else 0.0
    return times
