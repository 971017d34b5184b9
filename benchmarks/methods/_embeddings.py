"""What methods share that turn each annotation into one vector."""

from __future__ import annotations

import importlib
import importlib.metadata
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
from embedding.vectors import check_vectors, pair_scores

from methods import Given, Outcome
from snowmatch.confidence.score_table import make_table
from snowmatch.confidence.trial import Trial
from snowmatch.core.errors import SnowmatchError
from snowmatch.core.types import Annotation


def rows_of(trial: Trial) -> list[int]:
    """The row numbers of all annotations that a trial needs, ascending."""
    return sorted({int(row) for row in np.concatenate([trial.queries, trial.gallery])})


def weights_file(text: str, method: str, repository: str, name: str) -> Path:
    """The file of weights that a setting names; SnowmatchError, with where to get it, where there is none."""
    path = Path(text).expanduser()
    if text and path.is_file():
        return path
    told = f"{text} is no file" if text else "weights is not set"
    raise SnowmatchError(
        f"method {method}: {told}, expected {name} of {repository}: hf download {repository} {name} --local-dir "
        f"weights/{method}, then weights=weights/{method}/{name}"
    )


def embed(
    given: Given,
    torch: ModuleType,
    network: Any,
    prepare: Callable[[Annotation], np.ndarray],
    settings: dict[str, Any],
    versions: tuple[str, ...],
    method: str,
) -> Outcome:
    """Cosine scores of the trial from `network`, one after the other; `prepare` makes (C, H, W) float32 of one.

    One at a time: a batch changes the last digits of a vector with its neighbours, and saves little on a CPU.
    """
    trial, device = given.trial, importlib.import_module("snowmatch.models.torch_io").pick_device(settings["device"])
    before = torch.get_num_threads()
    torch.set_num_threads(given.threads)
    vectors, seconds = {}, []
    try:
        network = network.eval().to(device)
        with torch.inference_mode():
            for row in rows_of(trial):
                start = time.perf_counter()
                pixels = torch.from_numpy(prepare(trial.annotations[row]))
                vectors[row] = network(pixels[None].to(device))[0].float().cpu().numpy()
                seconds.append(time.perf_counter() - start)
    except (RuntimeError, AssertionError) as error:  # torch's way to say no such device, or no memory left on it
        reason = str(error).strip().partition("\n")[0]
        raise SnowmatchError(f"method {method} fails on device={device} ({reason}): try device=cpu") from error
    finally:
        torch.set_num_threads(before)
    check_vectors(np.array(list(vectors.values())), [trial.annotations[row].path for row in vectors], method)
    start = time.perf_counter()
    table = make_table(trial, pair_scores(trial, vectors, "cosine"))
    return Outcome(
        tables=(table,),
        seconds={
            "extract": statistics.median(seconds),
            "query": (time.perf_counter() - start) / max(len(trial.queries), 1),
        },
        versions={name: importlib.metadata.version(name) for name in versions},
        numbers={"dimensions": len(next(iter(vectors.values())))},
    )


def normalised(pixels: np.ndarray, mean: tuple[float, ...], deviation: tuple[float, ...]) -> np.ndarray:
    """(S, S, 3) uint8 as (3, S, S) float32: scaled to 0..1, less `mean`, by `deviation`, per channel."""
    values = (pixels.astype(np.float32) / 255 - np.float32(mean)) / np.float32(deviation)
    return np.ascontiguousarray(values.transpose(2, 0, 1), dtype=np.float32)
