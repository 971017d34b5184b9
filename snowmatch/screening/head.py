"""A logistic model that tells species from the features of a network, learned from labelled photos."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from snowmatch.catalog.species import NOTHING
from snowmatch.core.arrays import load_arrays, save_arrays
from snowmatch.core.errors import SnowmatchError
from snowmatch.core.threads import one_thread
from snowmatch.screening.folds import folds_of
from snowmatch.screening.species import log_sum

NETWORK = "efficientnet_lite0"
STRENGTH = 1e-2  # of the penalty on large weights, for features with deviation 1 (chosen, not measured)
STEPS = 300  # of the descent; more change no probability by 0.01 on the drawn examples of the tests
ARRAYS = ("names", "weights", "bias")  # in a file
SHA256 = 32  # bytes
FEWEST = 5  # photos of each species


@dataclass(frozen=True, eq=False)
class Head:
    """The model. names: C species, the last is `nothing`. weights: (C, F). bias: (C,). All float64.

    network: the classifier whose features it is for. photos: the sha256 of those that it learned from; None if they are
    not known, as in files of older versions.
    """

    names: tuple[str, ...]
    weights: np.ndarray
    bias: np.ndarray
    network: str = NETWORK
    photos: frozenset[str] | None = None

    def scores(self, features: np.ndarray) -> np.ndarray:
        """Return the scores (C, ...) of features (F, ...). The number of the computer's cores changes no byte."""
        with one_thread():
            found: np.ndarray = np.tensordot(self.weights, features.astype(np.float64), axes=1)
        return found + self.bias.reshape(-1, *[1] * (features.ndim - 1))


def known_species(labels: Sequence[str]) -> tuple[str, ...]:
    """Return the species of labelled photos, sorted; `nothing` is the last.

    Raises SnowmatchError if there are fewer than two species, none is `nothing`, or one has fewer than FEWEST photos.
    """
    counts = Counter(labels)
    names = (*sorted(set(labels) - {NOTHING}), NOTHING)
    if len(names) < 2 or min(counts[name] for name in names) < FEWEST:
        told = ", ".join(f"{name} ({counts[name]})" for name in names)
        raise SnowmatchError(
            f"the photos show {told}; expected {NOTHING!r} and at least one species, each on {FEWEST} photos or more: "
            "fill in the column species"
        )
    return names


def learn_head(features: np.ndarray, labels: Sequence[str], names: Sequence[str] | None = None) -> Head:
    """Return the model of features (N, F), or (N, V, F) of V views of each photo, and the species of each photo.

    Each species counts the same, however many photos it has. names: the species in the order of the model, without
    which they are those of `known_species`. Raises SnowmatchError if there are fewer than two species, none is
    `nothing`, or one has fewer than FEWEST photos; with names, ValueError if one of them has no photo. The number of
    the computer's cores changes no byte of the model.

    Source: multinomial logistic regression; accelerated gradient descent, Nesterov 1983.
    """
    names = known_species(labels) if names is None else tuple(names)
    if missing := set(names) - set(labels):
        raise ValueError(f"no photo of {', '.join(sorted(missing))}")
    if features.ndim == 3:
        labels = [label for label in labels for _ in range(features.shape[1])]
        features = features.reshape(len(labels), -1)
    middle, spread = features.mean(axis=0), features.std(axis=0) + 1e-6
    x = (features - middle) / spread
    y = np.array([[label == name for name in names] for label in labels], np.float64)
    worth = (y / y.sum(axis=0)).sum(axis=1) / len(names)
    with one_thread():
        weights, bias = _descend(x, y, worth)
        return Head(names, weights / spread, bias - weights @ (middle / spread))


def _descend(x: np.ndarray, y: np.ndarray, worth: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return weights (C, F) and bias (C,) that fit. x: (N, F). y: (N, C), one 1 a row. worth: (N,), of each row."""
    full = np.column_stack([x, np.ones(len(x))])
    # The largest curvature of the loss, from the power method
    vector = np.ones(full.shape[1]) / np.sqrt(full.shape[1])
    for _ in range(30):
        vector = full.T @ (worth * (full @ vector))
        curvature = float(np.linalg.norm(vector))
        vector /= max(curvature, 1e-12)
    rate = 1 / (0.5 * curvature + STRENGTH)
    now = ahead = np.zeros((y.shape[1], full.shape[1]))
    penalty = np.append(np.full(x.shape[1], STRENGTH), 0.0)
    for step in range(STEPS):
        scores = full @ ahead.T
        p = np.exp(scores.T - log_sum(scores.T)).T
        gradient = (worth[:, None] * (p - y)).T @ full + penalty * ahead
        after = ahead - rate * gradient
        ahead, now = after + step / (step + 3) * (after - now), after
    return now[:, :-1], now[:, -1]


def held_out_share(features: np.ndarray, labels: Sequence[str], groups: Sequence[str]) -> float:
    """Return the share of photos that are told right by a model that was learned from other groups.

    features: as of `learn_head`; of several views, the first is the photo itself. groups: of each photo, such as its
    station: photos of one group are never evidence for each other. NaN if the other groups have too few photos of a
    species.
    """
    of_photo = folds_of(groups, labels)
    right = 0
    for n in sorted(set(of_photo.tolist())):
        out = of_photo == n
        try:
            head = learn_head(features[~out], [label for label, held in zip(labels, out, strict=True) if not held])
        except SnowmatchError:  # the other groups have too few photos of a species
            return float("nan")
        own = features[out] if features.ndim == 2 else features[out, 0]
        told = head.scores(own.T).argmax(axis=0)
        names = [label for label, held in zip(labels, out, strict=True) if held]
        right += sum(head.names[k] == name for k, name in zip(told.tolist(), names, strict=True))
    return right / len(labels)


def save_head(path: Path, head: Head) -> None:
    """Write the model. Raises SnowmatchError if the file cannot be written."""
    arrays = {"names": np.array(head.names), "weights": head.weights, "bias": head.bias}
    if head.network != NETWORK:
        arrays["network"] = np.array(head.network)
    if head.photos is not None:
        contents = b"".join(map(bytes.fromhex, sorted(head.photos)))
        arrays["photos"] = np.frombuffer(contents, np.uint8).reshape(-1, SHA256)
    save_arrays(path, arrays)


def load_head(path: Path) -> Head:
    """Return the model in a file. Raises SnowmatchError if the file is damaged or is not such a model."""
    arrays = load_arrays(path, ARRAYS, "classifier", "teach it again")
    for more in ("network", "photos"):
        with suppress(SnowmatchError):  # not in every file
            arrays |= load_arrays(path, (more,), "classifier", "teach it again")
    names, weights, bias = arrays["names"], arrays["weights"], arrays["bias"]
    photos = arrays.get("photos")
    if photos is not None and (photos.dtype != np.uint8 or photos.ndim != 2 or photos.shape[1] != SHA256):
        raise SnowmatchError(f"{path} is not a classifier that snowmatch wrote: teach it again")
    numbers = weights.dtype.kind == bias.dtype.kind == "f"
    sound = names.ndim == 1 and names.dtype.kind == "U" and weights.shape[:1] == bias.shape == names.shape and numbers
    if not (sound and len(names) > 1 and weights.ndim == 2 and np.isfinite(weights).all() and np.isfinite(bias).all()):
        raise SnowmatchError(f"{path} is not a classifier that snowmatch wrote: teach it again")
    learned_from = None if photos is None else frozenset(bytes(photo).hex() for photo in photos)
    return Head(tuple(names.tolist()), weights, bias, str(arrays.get("network", NETWORK)), learned_from)


def is_head(path: Path) -> bool:
    """Return whether a file is a model that `save_head` wrote."""
    try:
        load_head(path)
    except (SnowmatchError, OSError):
        return False
    return True
