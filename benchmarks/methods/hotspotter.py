"""HotSpotter itself, as ibeis 2.6.0 from PyPI has it, in an environment of its own.

ibeis gives an annotation the sum of its verified feature scores (csum), an individual the sum of each query feature's
best vote for it (nsum). Nothing is trained: no foreground weights. What it does not return has 0.

The environment is made in the method's work folder at the first run (needs the network, about 1.5 GB), or
SNOWMATCH_HOTSPOTTER_PYTHON names the python of a ready one.
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
    "every_annotation": False,  # verify all of the gallery, not the best 3 annotations of the best 40 individuals
    "repeats": 1,  # grow the forests and ask again: they are not the same twice
    "left_out": False,  # ask again without the query's own individual in the gallery
    "max_side": 0,  # shrink photos to it, px; 0: as they are (ibeis makes chips of 700 px in any case)
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
EVERY = 1_000_000  # more individuals, and annotations of each, than a gallery has
LAST_LINES = 8


def asks_again(settings: dict[str, Any]) -> bool:
    """Whether scores without the query's own individual come from a gallery without it."""
    return settings["left_out"]


@dataclass(frozen=True)
class Database:
    """One index and who asks it: `gallery`, row numbers of the catalog; `queries`, positions in trial.queries."""

    gallery: tuple[int, ...]
    queries: tuple[int, ...]


def run(given: Given, settings: dict[str, Any]) -> Outcome:
    """Score the trial with ibeis; SnowmatchError where its environment cannot be made or its process fails."""
    settings = DEFAULTS | settings
    if settings["repeats"] < 1 or settings["max_side"] < 0:
        raise SnowmatchError(
            f"repeats is {settings['repeats']} and max_side {settings['max_side']}: give repeats of 1 or more, "
            "max_side of 0 (photos as they are) or more"
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
            # a busy machine stretches the wall clock, not these
            **{name: value for name, value in times.items() if "cpu" in name},
        },
        notes=tuple(notes),
        peak_memory=int(answers["peak_memory"]) or None,
    )


def group_queries(trial: Trial, allowed: np.ndarray) -> list[Database]:
    """As few galleries as possible for what is `allowed` (Q, G): queries without any are left away.

    ibeis never returns the annotation that is asked about, so the query may be in the gallery itself: one against all
    needs one index. It is put there only where that makes galleries equal.
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
    """What the worker needs; its annotations are those of the trial, counted from 0 in the order of `used_rows`.

    An individual is a number of trial.individual_names, known of the gallery's annotations only.
    """
    trial = given.trial
    rows = used_rows(trial)
    place = {row: i for i, row in enumerate(rows)}
    individual = dict(zip(trial.gallery.tolist(), trial.individual_numbers.tolist(), strict=True))
    annotations = []
    for row in rows:
        annotation = trial.annotations[row]
        path = given.folder.joinpath(*annotation.path.split("/")).resolve()
        annotations.append({"path": str(path), "bbox": annotation.bbox, "individual": individual.get(row)})
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
    """The catalog's rows that take part, ascending: those asked about and those that may answer."""
    return sorted({*trial.queries.tolist(), *trial.gallery.tolist()})


def _photo_set(annotations: list[dict[str, Any]], max_side: int, python: Path) -> str:
    """A name for the photos, boxes and software that features depend on, the worker that keeps them included."""
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
    """The python that has ibeis: the one that the environment variable names, else one made in `folder`."""
    named = os.environ.get(PYTHON_VARIABLE)
    if named:
        if not Path(named).is_file():
            raise SnowmatchError(
                f"{PYTHON_VARIABLE} is {named}, which is no file: name the python of an environment with "
                f"{REQUIREMENTS[0]}, or unset it to have one made"
            )
        return Path(named)
    place = folder / "hotspotter-venv"
    python = place / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    marker, wanted = place / "complete.txt", "\n".join(REQUIREMENTS) + "\n"
    if marker.exists() and marker.read_text(encoding="utf-8") == wanted:
        return python
    if place.exists():
        shutil.rmtree(place)  # interrupted, or of other versions
    log = folder / "hotspotter-venv.log"
    hint = f"ibeis' own environment could not be made: {PYTHON_VARIABLE} may name the python of a ready one"
    _call([sys.executable, "-m", "venv", str(place)], log, hint)
    _call([str(python), "-m", "pip", "install", "--disable-pip-version-check", *REQUIREMENTS], log, hint)
    marker.write_text(wanted, encoding="utf-8")
    return python


def work(python: Path, job: dict[str, Any], folder: Path) -> dict[str, np.ndarray]:
    """Let ibeis do the job in a process of its own; the arrays that it writes."""
    job_path, out, log = folder / "job.json", folder / "answers.npz", folder / "hotspotter.log"
    job_path.write_text(json.dumps(job, indent=1), encoding="utf-8")
    out.unlink(missing_ok=True)
    # -P: the methods beside the worker are not modules of ibeis' environment
    command = [str(python), "-P", str(WORKER.resolve()), str(job_path.resolve()), str(out.resolve())]
    _call(command, log, "HotSpotter (ibeis) failed")
    with np.load(out, allow_pickle=False) as held:
        return {name: held[name] for name in held.files}


def _call(command: list[str], log: Path, failure: str) -> None:
    """Run a command with all it says in `log`; SnowmatchError with the last lines where it fails."""
    settings = str((log.parent / "settings").resolve())
    surroundings = os.environ | {
        "OMP_NUM_THREADS": "1",
        "OPENBLAS_NUM_THREADS": "1",
        "MKL_NUM_THREADS": "1",
        "MPLBACKEND": "Agg",
        "PYTHONUTF8": "1",
        "PYTHONNOUSERSITE": "1",
        # nothing of ibeis' in the user's own folders
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
        said = "\n".join([line for line in lines if line][-LAST_LINES:])
        raise SnowmatchError(f"{failure}: exit code {code}; all it said is in {log}, which ends with\n{said}")


def make_tables(
    trial: Trial, asked: list[Database], left_out: list[Database], answers: dict[str, np.ndarray]
) -> tuple[ScoreTable, ...]:
    """One table per repetition from the worker's votes; the questions are counted as in make_job's databases."""
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
    """The votes of one repetition."""
    return votes[votes[:, 0] == repeat]


def _times(answers: dict[str, np.ndarray], asked: list[Database]) -> dict[str, float]:
    """Extraction, the median per annotation; an index, the mean; a query, the median: by the wall's clock and cpu.

    Indexes and queries are those of `asked`, not those with an individual left out; 0 where nothing could be asked.
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
