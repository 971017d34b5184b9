"""Shared code of methods that turn each annotation into one vector."""

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
    """Return the row numbers of all annotations of a trial, ascending."""
    return sorted({int(row) for row in np.concatenate([trial.queries, trial.gallery])})


def weights_file(text: str, method: str, repository: str, name: str) -> Path:
    """Return the file of weights that a setting names. If it does not exist, SnowmatchError tells where to get it."""
    path = Path(text).expanduser()
    if text and path.is_file():
        return path
    problem = f"{text} is no file" if text else "weights is not set"
    raise SnowmatchError(
        f"method {method}: {problem}, expected {name} of {repository}: hf download {repository} {name} --local-dir "
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
    """Return cosine scores of the trial by `network`. `prepare` makes (C, H, W) float32 from one annotation.

    The network gets one annotation at a time: in a batch the last digits of a vector depend on the other images, and a
    batch saves little time on a CPU.
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
    except (RuntimeError, AssertionError) as error:  # torch: no such device, or no memory left on it
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
    """Convert (S, S, 3) uint8 to (3, S, S) float32: scale to 0..1, subtract `mean`, divide by `deviation`."""
    values = (pixels.astype(np.float32) / 255 - np.float32(mean)) / np.float32(deviation)
    return np.ascontiguousarray(values.transpose(2, 0, 1), dtype=np.float32)
