"""Where the animal is, learned from a catalog's own photos: what is in their middle more often than at their edges.

No photo has to be labelled, and the species does not matter. An animal that passes the middle of the view triggers the
camera, and a photographer aims at the animal. So the middle of one photo shows scenery, too, but what the middles of
many photos have in common is the animal. A linear model learns it from the texture of the cells; then it learns once
more, from its own first maps.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from snowmatch.core.arrays import load_arrays, save_arrays
from snowmatch.core.errors import SnowmatchError
from snowmatch.core.home import middle_path
from snowmatch.screening.classifiers._efficientnet import TEXTURES
from snowmatch.screening.classifiers.efficientnet_lite0 import see_texture
from snowmatch.screening.foreground import SPREAD

FEATURES = sum(TEXTURES.values())
REVISION = 2  # of the way from the photos to the map
# Of SCORE, 1.5 and 3 were measured (docs/benchmarks-history.md, "What the middles of photos have in common"). The other
# numbers were chosen, not measured
WIDER = 1.7  # the place of a cell counts with a bell that is so much wider than that of the centre weights
# Of the log odds: by how much the deviation of a score, and the place of its cell, count, and how many cells are animal
SCORE, OFFSET = 3.0, 0.5
FIRST_SCORE, FIRST_PLACE, FIRST_OFFSET = 1.5, 0.7, 0.3  # the same for the maps that the model learns from again
CELLS = 256  # drawn cells of a photo that are learned from
PENALTY = 1e-3  # on large weights, for features with variance 1
STEPS, CLOSE = 50, 1e-9  # most steps of the regression; a step that changes no weight by more is the last one


@dataclass(frozen=True, eq=False)
class Middle:
    """What is in the middle of a catalog's photos. weights: (F,) float32, of the texture of a cell. offset: of the sum.

    photos: the number of photos in the catalog that it was learned for; the cells are from 400 of them at most.
    complete: whether the maps of all these photos were made with it; not while an index run makes them.
    """

    weights: np.ndarray
    offset: float
    photos: int
    complete: bool = True

    @cached_property
    def mark(self) -> str:
        """16 hex digits that change if the model changes."""
        content = np.append(self.weights, np.float32(self.offset)).astype("<f4").tobytes()
        return hashlib.sha256(bytes([REVISION]) + content).hexdigest()[:16]

    def animal(self, photo: np.ndarray) -> np.ndarray:
        """Return where the animal is in a photo (H, W, 3) uint8 RGB: (h, w) float32, 0 to 1.

        Raises SnowmatchError if the weights of the network are missing.
        """
        texture = see_texture(photo)
        scores = np.einsum("f,fhw->hw", self.weights.astype(np.float64), texture) + self.offset
        return _logistic(SCORE * scores + _place_odds(_places(scores.shape)) + OFFSET).astype(np.float32)


@dataclass(frozen=True, eq=False)
class Cells:
    """Some cells of a photo. texture: (N, F) float32. places: (N, 2) float32, from the centre, as shares of the
    photo's width and height.
    """

    texture: np.ndarray
    places: np.ndarray


def cells_of(photo: np.ndarray, content: str) -> Cells:
    """Return CELLS cells of a photo (H, W, 3) uint8 RGB, or all of a small one, drawn by its sha256, `content`."""
    texture = see_texture(photo)
    places = _places(texture.shape[1:]).reshape(-1, 2)
    rng = np.random.default_rng(int(content[:16], 16))
    chosen = np.sort(rng.permutation(len(places))[:CELLS])
    return Cells(texture.reshape(len(texture), -1).T[chosen], places[chosen].astype(np.float32))


def learn_middle(photos: Sequence[Cells]) -> Middle:
    """Return what is in the middle of these photos, at least one. The weights are rounded: no other processor, and no
    other number of its cores, gives others.
    """
    texture = np.concatenate([each.texture for each in photos]).astype(np.float64)
    places = np.concatenate([each.places for each in photos]).astype(np.float64)
    mean, spread = texture.mean(axis=0), texture.std(axis=0) + 1e-3
    texture = (texture - mean) / spread
    target = np.exp(-0.5 * ((places / SPREAD) ** 2).sum(axis=1))
    weights, scale = _fit(texture, target)
    first = FIRST_SCORE * _scores(texture, weights, scale) + FIRST_PLACE * _place_odds(places) + FIRST_OFFSET
    weights, scale = _fit(texture, _logistic(first))
    middle, deviation = scale
    rounded = np.round(weights / spread / deviation, 6).astype(np.float32)
    return Middle(rounded, round(float(-middle / deviation - mean @ rounded), 4), len(photos))


def _fit(texture: np.ndarray, target: np.ndarray) -> tuple[np.ndarray, tuple[float, float]]:
    """Return the weights (F,) of a logistic regression of targets between 0 and 1, and the median and the deviation of
    the scores.

    Newton's steps end where no processor makes a difference that is left after rounding. Each is halved until it helps.
    """
    known = np.column_stack([texture, np.ones(len(texture))])
    penalty = np.append(np.full(texture.shape[1], 2 * PENALTY), 1e-9)

    def loss(w: np.ndarray) -> float:
        odds = known @ w
        return float(np.mean(np.logaddexp(0, odds) - target * odds) + 0.5 * (penalty * w) @ w)

    found = np.zeros(known.shape[1])
    value = loss(found)
    for _ in range(STEPS):
        share = _logistic(known @ found)
        slope = known.T @ (share - target) / len(target) + penalty * found
        curved = (known.T * (share * (1 - share))) @ known / len(target) + np.diag(penalty)
        step = np.linalg.solve(curved, slope)
        while loss(found - step) > value + 1e-12 and np.abs(step).max() > CLOSE:
            step /= 2
        found, value = found - step, loss(found - step)
        if np.abs(step).max() <= CLOSE:
            break
    scores = texture @ found[:-1]
    return found[:-1], (float(np.median(scores)), float(scores.std()) + 1e-9)


def _scores(texture: np.ndarray, weights: np.ndarray, scale: tuple[float, float]) -> np.ndarray:
    scores: np.ndarray = (texture @ weights - scale[0]) / scale[1]
    return scores


def _places(shape: tuple[int, ...]) -> np.ndarray:
    """Return the places (h, w, 2) of the middles of h x w cells, as in `Cells`."""
    rows, columns = (((np.arange(side) + 0.5) / side - 0.5) for side in shape)
    return np.stack(np.broadcast_arrays(columns[None, :], rows[:, None]), axis=-1)


def _place_odds(places: np.ndarray) -> np.ndarray:
    """Return the log odds of a wide bell over the centre, by which places alone tell where the animal is."""
    bell = np.exp(-0.5 * ((places / (WIDER * np.array(SPREAD))) ** 2).sum(axis=-1))
    odds: np.ndarray = np.log(bell / (1 - bell + 1e-3) + 1e-4)
    return odds


def _logistic(odds: np.ndarray) -> np.ndarray:
    return 0.5 * (1 + np.tanh(odds / 2))


def save_middle(folder: Path, middle: Middle) -> None:
    """Keep what was learned from the catalog in `folder`. Raises SnowmatchError if the file cannot be written."""
    about = np.array([REVISION, middle.photos, middle.complete], np.int64)
    save_arrays(middle_path(folder), {"about": about, "weights": middle.weights, "offset": np.array([middle.offset])})


def load_middle(folder: Path) -> Middle | None:
    """Return what was learned from the catalog in `folder`; None if nothing was, or by another revision.

    Raises SnowmatchError if the file is damaged.
    """
    try:
        held = load_arrays(middle_path(folder), ("about", "weights", "offset"), "learned map", "index again")
    except (FileNotFoundError, NotADirectoryError):
        return None
    about, weights, offset = held["about"], held["weights"], held["offset"]
    known = about.ndim == 1 and about.size > 1 and about.dtype.kind == "i"
    if known and about[0] != REVISION:
        return None
    floats = all(array.dtype.kind == "f" and np.isfinite(array).all() for array in (weights, offset))
    shaped = known and about.shape == (3,) and weights.shape == (FEATURES,) and offset.shape == (1,)
    if not (floats and shaped and about[1] > 0 and about[2] in (0, 1)):
        raise SnowmatchError(f"{middle_path(folder)} is damaged or of another program: index again")
    return Middle(weights, float(offset[0]), int(about[1]), bool(about[2]))
