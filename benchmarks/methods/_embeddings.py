"""What methods share that turn each annotation into one vector: crops, networks with a file of weights, scores."""

from __future__ import annotations

import importlib
import importlib.metadata
import importlib.util
import pickle
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from methods import Given, Outcome
from snowmatch.confidence.score_table import make_table
from snowmatch.confidence.trial import Trial
from snowmatch.core.errors import SnowmatchError
from snowmatch.core.types import Annotation
from snowmatch.photos.chips import clip_bbox
from snowmatch.photos.pixels import read_mask, read_photo

METRICS = ("cosine", "euclidean")
INSTALL = "python -m pip install torch torchvision timm safetensors"


def rows_of(trial: Trial) -> list[int]:
    """The row numbers of all annotations that a trial needs, ascending."""
    return sorted({int(row) for row in np.concatenate([trial.queries, trial.gallery])})


def check_vectors(vectors: np.ndarray, names: list[str], source: str) -> None:
    """SnowmatchError where one of the vectors (N, D), which belong to `names`, has no direction or is no number."""
    for problem, bad in (
        ("NaN or infinite values", ~np.isfinite(vectors).all(axis=1)),
        ("nothing but zeros", ~vectors.any(axis=1)),
    ):
        if bad.any():
            first = ", ".join([name for name, wrong in zip(names, bad, strict=True) if wrong][:3])
            raise SnowmatchError(
                f"{source}: {int(bad.sum())} of {len(vectors)} embeddings have {problem} ({first}), expected finite "
                "vectors that are not zero: compute them again"
            )


def pair_scores(trial: Trial, vectors: dict[int, np.ndarray], metric: str) -> np.ndarray:
    """(Q, G) float64 from one vector (D,) per row number: cosine similarity, or minus the Euclidean distance."""
    queries = np.array([vectors[int(row)] for row in trial.queries], np.float64)
    gallery = np.array([vectors[int(row)] for row in trial.gallery], np.float64)
    if metric == "cosine":
        queries /= np.linalg.norm(queries, axis=1, keepdims=True)
        gallery /= np.linalg.norm(gallery, axis=1, keepdims=True)
        return queries @ gallery.T
    # one query at a time: the expanded square would lose the small distances to rounding
    return -np.array([np.linalg.norm(gallery - query, axis=1) for query in queries])


def crop(folder: Path, annotation: Annotation) -> np.ndarray:
    """The box of an annotation (the whole photo without one) as (H, W, 3) uint8 RGB."""
    photo = read_photo(folder / annotation.path)
    return np.ascontiguousarray(photo[_box(photo, annotation)])


def crop_and_mask(folder: Path, annotation: Annotation) -> tuple[np.ndarray, np.ndarray | None]:
    """`crop`, and there (H, W) bool where the animal is; None without a mask."""
    photo = read_photo(folder / annotation.path)
    box = _box(photo, annotation)
    mask = read_mask(folder / annotation.mask, (photo.shape[1], photo.shape[0])) if annotation.mask else None
    return np.ascontiguousarray(photo[box]), None if mask is None else mask[box]


def _box(photo: np.ndarray, annotation: Annotation) -> tuple[slice, slice]:
    size = (photo.shape[1], photo.shape[0])
    try:
        x, y, w, h = clip_bbox(annotation.bbox or (0, 0, *size), size)
    except SnowmatchError as error:
        raise SnowmatchError(f"{annotation.path}: {error}") from error
    return slice(y, y + h), slice(x, x + w)


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


def packages(method: str) -> tuple[ModuleType, ModuleType]:
    """torch and timm; SnowmatchError, with the command, where one of them does not import."""
    try:
        torch = importlib.import_module("torch")
        name_operators(torch)
        timm = importlib.import_module("timm")
        importlib.import_module("safetensors.torch")
    except (ImportError, RuntimeError) as error:  # RuntimeError: a torchvision that was built for another torch
        raise SnowmatchError(
            f"method {method} needs torch, timm (which needs torchvision) and safetensors ({error}): {INSTALL}"
        ) from error
    return torch, timm


def name_operators(torch: ModuleType) -> None:
    """Let torchvision, which timm imports for its transforms, be imported where its compiled part does not load.

    That part belongs to one build of torch: the registry's is of the build for graphics cards, and beside a torch for
    the processor alone torchvision's import ends at the two operators that it expects there. Nothing here calls them.
    """
    found = importlib.util.find_spec("torchvision")
    if found is None or found.origin is None:
        return
    try:
        for compiled in sorted(Path(found.origin).parent.glob("_C*")):
            torch.ops.load_library(str(compiled))
    except OSError:
        for operator in ("nms", "qnms"):
            if not hasattr(torch.ops.torchvision, operator):
                signature = "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor"
                torch.library.define(f"torchvision::{operator}", signature)


def read_weights(torch: ModuleType, path: Path) -> dict[str, Any]:
    """The tensors of a .safetensors file, or of a torch file from which nothing but tensors is taken."""
    safetensors = importlib.import_module("safetensors")
    try:
        if path.suffix == ".safetensors":
            return importlib.import_module("safetensors.torch").load_file(path)
        tensors = torch.load(path, map_location="cpu", weights_only=True)
    except (safetensors.SafetensorError, pickle.UnpicklingError, RuntimeError, OSError, EOFError, ValueError) as error:
        reason = str(error).strip().partition("\n")[0]
        raise SnowmatchError(f"{path} does not load ({reason}), expected .safetensors or a torch state dict") from error
    for name in ("state_dict", "model"):
        if isinstance(tensors, dict) and isinstance(tensors.get(name), dict):
            tensors = tensors[name]
    if not isinstance(tensors, dict) or not all(isinstance(value, torch.Tensor) for value in tensors.values()):
        raise SnowmatchError(f"{path} holds a {type(tensors).__name__}, expected a state dict: names and tensors")
    return tensors


def fill(network: Any, tensors: dict[str, Any], path: Path, repository: str) -> None:
    """Load the tensors, every one and no other, into the network; SnowmatchError where names or shapes differ."""
    wanted = network.state_dict()
    missing, unknown = sorted(wanted.keys() - tensors.keys()), sorted(tensors.keys() - wanted.keys())
    reshaped = sorted(name for name in wanted.keys() & tensors.keys() if wanted[name].shape != tensors[name].shape)
    wrong = [
        f"{len(names)} {what} ({names[0]} ...)"
        for what, names in (("missing", missing), ("unknown", unknown), ("of another shape", reshaped))
        if names
    ]
    if wrong:
        raise SnowmatchError(f"{path} is not {repository}: {', '.join(wrong)}; expected {len(wanted)} tensors of it")
    network.load_state_dict(tensors)


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
