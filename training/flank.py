"""Learn which flank a photo shows, from the column `body_part` of catalogs, and measure it on what was not learned.

    python training/flank.py --learn CATALOG [--learn CATALOG] [--test CATALOG] [--ship FILE.npz]

Catalogs without boxes are taken as photos that the animal fills. Each catalog counts the same. The first figures leave
out individuals, the second ones stations; the last ones are for catalogs of --test, which are not learned from. The
network is the classifier efficientnet_lite0: `snowmatch weights download efficientnet-lite0`.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np
from scipy.optimize import minimize

from snowmatch.api import open_catalog
from snowmatch.core.arrays import save_arrays
from snowmatch.core.types import BBox
from snowmatch.photos.pixels import read_photo
from snowmatch.screening.flank import LEFT, RIGHT, SURE, crop_of, features

PENALTY = 0.3  # on large weights, for features with mean square 1
MOVED = 3  # further crops of each photo, each with sides of the box moved at random
INWARDS = 0.3, 0.25  # of the box: the most that a vertical, and a horizontal side moves inwards
OUTWARDS = 0.15
FOLDS = 8
BINS = (0.5, 0.6, 0.7, 0.8, 0.9, 1.0001)


@dataclass(frozen=True, eq=False)
class Photos:
    """The labelled photos of one catalog: features (N, 1 + MOVED, F), and of each photo whether it shows the left
    flank, its individual and its station."""

    features: np.ndarray
    left: np.ndarray
    individuals: np.ndarray
    stations: np.ndarray


def read_photos(folder: Path, most: int) -> Photos:
    """Return the photos whose flank is known; whole individuals, drawn at random, up to about `most` photos."""
    rows = [a for a in open_catalog(folder).data.annotations if a.body_part in (LEFT, RIGHT) and a.individual]
    rng = np.random.default_rng(0)
    chosen: list = []
    for name in rng.permutation(sorted({str(a.individual) for a in rows})):
        if len(chosen) < most:
            chosen += [a for a in rows if a.individual == name]
    found = []
    for a in chosen:
        photo = read_photo(folder / a.path)
        box = a.own_box or (0, 0, photo.shape[1], photo.shape[0])
        found.append([features(crop_of(photo, each)) for each in (box, *(_moved(box, rng) for _ in range(MOVED)))])
    return Photos(
        np.array(found),
        np.array([a.body_part == LEFT for a in chosen]),
        np.array([a.individual for a in chosen]),
        np.array([f"{a.location}/{a.station}" for a in chosen]),
    )


def _moved(box: BBox, rng: np.random.Generator) -> BBox:
    x, y, width, height = box
    left, right = rng.uniform(-OUTWARDS, INWARDS[0], 2) * width
    top, bottom = rng.uniform(-OUTWARDS, INWARDS[1], 2) * height
    return round(x + left), round(y + top), max(1, round(width - left - right)), max(1, round(height - top - bottom))


def learn(sets: list[Photos]) -> np.ndarray:
    """Return the weights (F,) of a logistic regression without intercept. Each set counts the same."""
    x = np.concatenate([each.features.reshape(-1, each.features.shape[-1]) for each in sets])
    sign = np.concatenate([np.repeat(np.where(each.left, 1.0, -1.0), 1 + MOVED) for each in sets])
    worth = np.concatenate([np.full(len(each.left) * (1 + MOVED), 1 / len(each.left)) for each in sets])
    worth /= worth.sum()
    scale = np.sqrt((x**2).mean(axis=0)) + 1e-6
    scale = np.maximum(scale, 0.1 * np.median(scale))  # a feature that is hardly ever there gets no large weight
    z = x / scale

    def loss(w: np.ndarray) -> tuple[float, np.ndarray]:
        margins = sign * (z @ w)
        wrong = 0.5 * (1 - np.tanh(margins / 2))
        value = worth @ np.logaddexp(0, -margins) + 0.5 * PENALTY * w @ w
        return float(value), z.T @ (-worth * sign * wrong) + PENALTY * w

    found: np.ndarray = minimize(loss, np.zeros(z.shape[1]), jac=True, method="L-BFGS-B").x
    return found / scale


def chosen_photos(photos: Photos, which: np.ndarray) -> Photos:
    """Return some of the photos. which: (N,) bool."""
    return Photos(photos.features[which], photos.left[which], photos.individuals[which], photos.stations[which])


def held_out(photos: Photos, others: list[Photos], groups: np.ndarray) -> np.ndarray:
    """Return the scores of photos by models learned from other groups of them, and from `others`."""
    names = sorted(set(groups.tolist()))
    fold = np.array([names.index(group) % FOLDS for group in groups.tolist()])
    scores = np.zeros(len(groups))
    for n in sorted(set(fold.tolist())):
        rest = [chosen_photos(photos, fold != n)] if len(set(fold.tolist())) > 1 else []
        scores[fold == n] = photos.features[fold == n, 0] @ learn([*rest, *others])
    return scores


def told(name: str, scores: np.ndarray, left: np.ndarray) -> str:
    """Return the figures as text: how many are right, log loss, and how many are right by the probability."""
    right = np.where(left, scores, -scores)
    sure = 0.5 * (1 + np.tanh(np.abs(scores) / 2))
    named = sure >= SURE
    lines = [
        f"{name}: {np.mean(right > 0):.3f} of {len(left)} right, log loss {np.logaddexp(0, -right).mean():.3f}; "
        f"named {named.mean():.2f}, of these right {np.sum(right[named] > 0)} of {named.sum()}"
    ]
    for low, high in pairwise(BINS):
        inside = (sure >= low) & (sure < high)
        if inside.any():
            lines.append(
                f"  {low:.1f}: {inside.sum()} said {sure[inside].mean():.2f} right {(right[inside] > 0).mean():.2f}"
            )
    return "\n".join(lines)


def main() -> None:
    """Read the command line, learn, print the figures, and write the model."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--learn", type=Path, action="append", required=True, metavar="CATALOG")
    parser.add_argument("--test", type=Path, action="append", default=[], metavar="CATALOG")
    parser.add_argument("--most", type=int, default=300, help="photos of one catalog")
    parser.add_argument("--ship", type=Path, metavar="FILE", help="write the model here")
    given = parser.parse_args()
    cv2.setNumThreads(1)
    sets = {path: read_photos(path, given.most) for path in given.learn}
    weights = learn(list(sets.values()))
    for path, photos in sets.items():
        others = [each for other, each in sets.items() if other != path]
        for what, groups in (("individuals", photos.individuals), ("stations", photos.stations)):
            if len(set(groups.tolist())) > 1:
                print(told(f"{path.name}, {what} left out", held_out(photos, others, groups), photos.left), flush=True)
    for path in given.test:
        photos = read_photos(path, given.most)
        print(told(f"{path.name}, not learned from", photos.features[:, 0] @ weights, photos.left), flush=True)
    if given.ship is not None:
        save_arrays(given.ship, {"weights": weights.astype(np.float32)})


if __name__ == "__main__":
    main()
