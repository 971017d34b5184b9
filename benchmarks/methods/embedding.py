"""Embeddings of another program, from a file with one vector per annotation.

npz: `paths` (N,) text and `embeddings` (N, D). If one photo shows several animals, also `bboxes` (N, 4), the x,y,w,h of
the catalog. csv: the first column is the path, the others are numbers; a header line is optional. Paths are those of
the catalog. If there is no exact path, a longer one with the same end (absolute, or with more folders) is used.
"""

from __future__ import annotations

import csv
import importlib.metadata
import time
import zipfile
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from embedding.vectors import METRICS, check_vectors, pair_scores

from methods import Given, Outcome
from methods._embeddings import rows_of
from snowmatch.confidence.score_table import make_table
from snowmatch.core.errors import SnowmatchError
from snowmatch.core.text import did_you_mean
from snowmatch.core.types import Annotation

DEFAULTS: dict[str, Any] = {
    "file": "",  # .npz or .csv
    "metric": "cosine",  # or euclidean: minus the distance
}
SHAPES = "paths (N,) text, embeddings (N, D) numbers and perhaps bboxes (N, 4) numbers, without pickles"


@dataclass(frozen=True)
class Embeddings:
    """N vectors: paths (N) text, vectors (N, D) float64, bboxes (N, 4) float64 or None."""

    paths: tuple[str, ...]
    vectors: np.ndarray
    bboxes: np.ndarray | None


def run(given: Given, settings: dict[str, Any]) -> Outcome:
    """Score the trial by the similarity of the file's vectors. The file must have every annotation of the trial."""
    if settings["metric"] not in METRICS:
        raise SnowmatchError(
            f"method embedding: metric is {settings['metric']!r}, expected one of {', '.join(METRICS)}"
            f"{did_you_mean(settings['metric'], METRICS)}"
        )
    if not settings["file"]:
        raise SnowmatchError("method embedding: file is not set, expected file=FILE.npz or file=FILE.csv")
    path = Path(settings["file"]).expanduser()
    start = time.perf_counter()
    held = read_embeddings(path)
    trial = given.trial
    rows = rows_of(trial)
    chosen = choose(held, [trial.annotations[row] for row in rows], Counter(a.path for a in trial.annotations), path)
    vectors = held.vectors[chosen]
    check_vectors(vectors, [trial.annotations[row].path for row in rows], str(path))
    loading = time.perf_counter() - start
    start = time.perf_counter()
    scores = pair_scores(trial, dict(zip(rows, vectors, strict=True)), settings["metric"])
    return Outcome(
        tables=(make_table(trial, scores),),
        seconds={"index": loading, "query": (time.perf_counter() - start) / max(len(trial.queries), 1)},
        versions={"numpy": importlib.metadata.version("numpy")},
        numbers={"dimensions": vectors.shape[1]},
        notes=("the time that the embeddings took is not known",),
    )


def read_embeddings(path: Path) -> Embeddings:
    """Read an npz or csv file. Raises SnowmatchError if it is neither."""
    if path.suffix.lower() not in (".npz", ".csv") or not path.is_file():
        raise SnowmatchError(f"method embedding: file={path}, expected an .npz or .csv file that exists")
    return _read_npz(path) if path.suffix.lower() == ".npz" else _read_csv(path)


def choose(held: Embeddings, wanted: list[Annotation], sharing: Counter[str], source: Path) -> list[int]:
    """Return the row in `held` for each annotation. `sharing` counts the catalog's annotations of each photo.

    Raises SnowmatchError if an annotation has no row, or if several rows fit.
    """
    exact: dict[str, list[int]] = {}
    ending: dict[str, list[int]] = {}
    for row, text in enumerate(held.paths):
        parts = text.replace("\\", "/").split("/")
        exact.setdefault("/".join(parts), []).append(row)
        for first in range(1, len(parts)):
            ending.setdefault("/".join(parts[first:]), []).append(row)
    chosen, missing = [], []
    for annotation in wanted:
        name = annotation.path
        rows = exact.get(name) or ending.get(name, [])
        if held.bboxes is not None and annotation.own_box is not None:
            count = len(rows)
            rows = [row for row in rows if np.abs(held.bboxes[row] - annotation.own_box).max() < 0.5]
            if count and not rows:
                name += f" (box {','.join(map(str, annotation.own_box))})"
        elif sharing[annotation.path] > 1:
            raise SnowmatchError(
                f"{source}: {annotation.path} shows {sharing[annotation.path]} annotations of the catalog, expected "
                "bboxes in the file to separate them: write an npz with bboxes (N, 4)"
            )
        if len(rows) > 1:
            raise SnowmatchError(
                f"{source}: {len(rows)} embeddings fit {name} "
                f"({', '.join(held.paths[row] for row in rows[:3])}), expected one: remove the others"
            )
        chosen += rows
        if not rows:
            missing.append(name)
    if missing:
        raise SnowmatchError(
            f"{source}: {len(missing)} of {len(wanted)} annotations have no embedding ({', '.join(missing[:3])}"
            f"{', ...' if len(missing) > 3 else ''}), expected one for each by its path in the catalog: "
            f"the file's first path is {held.paths[0] if held.paths else 'missing'}"
        )
    return chosen


def _read_npz(path: Path) -> Embeddings:
    try:
        # opened here, because numpy does not close a file that is no zip archive
        with path.open("rb") as raw, np.load(raw, allow_pickle=False) as file:
            arrays = {name: file[name] for name in ("paths", "embeddings", "bboxes") if name in file.files}
    except (ValueError, OSError, EOFError, zipfile.BadZipFile) as error:
        raise SnowmatchError(f"{path} does not load ({error}), expected an npz with {SHAPES}") from error
    paths, vectors, bboxes = (arrays.get(name) for name in ("paths", "embeddings", "bboxes"))
    good = paths is not None and paths.ndim == 1 and paths.dtype.kind == "U"
    good = good and vectors is not None and vectors.ndim == 2 and len(vectors) == len(paths) and vectors.shape[1] > 0
    good = good and vectors.dtype.kind in "fiu"
    good = good and (bboxes is None or (bboxes.shape == (len(paths), 4) and bboxes.dtype.kind in "fiu"))
    if not good:
        found = ", ".join(f"{name} {array.dtype} {array.shape}" for name, array in arrays.items()) or "none of these"
        raise SnowmatchError(f"{path} has {found}; expected {SHAPES}")
    return Embeddings(
        tuple(map(str, paths)), vectors.astype(np.float64), None if bboxes is None else bboxes.astype(np.float64)
    )


def _read_csv(path: Path) -> Embeddings:
    paths, vectors = [], []
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            lines = [(number, cells) for number, cells in enumerate(csv.reader(file), 1) if cells]
    except (UnicodeDecodeError, csv.Error) as error:
        raise SnowmatchError(f"{path} does not read ({error}), expected a csv file in UTF-8") from error
    if lines and not any(map(_is_number, lines[0][1][1:])):  # a header: no number in it
        lines = lines[1:]
    for number, cells in lines:
        width = len(lines[0][1])
        if len(cells) != width or width < 2 or not all(map(_is_number, cells[1:])):
            raise SnowmatchError(
                f"{path}, line {number}: expected a path and {max(width - 1, 1)} numbers, as in the first line of data"
            )
        paths.append(cells[0])
        vectors.append([float(cell) for cell in cells[1:]])
    if not paths:
        raise SnowmatchError(f"{path} has no lines of data, expected a path and numbers in each")
    return Embeddings(tuple(paths), np.array(vectors, np.float64), None)


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
