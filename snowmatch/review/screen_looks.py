"""Looks at labelled photos: what the classifier in use tells, the features of views, and the answers of models."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from snowmatch.core.executor import in_order, open_pool
from snowmatch.core.files import file_sha256
from snowmatch.core.plugins import Classifier
from snowmatch.core.types import Classes
from snowmatch.photos.failures import Failure, or_failure
from snowmatch.photos.pixels import read_small
from snowmatch.screening.augment import views_of
from snowmatch.screening.classifiers.learned import NETWORKS, Learned, tell
from snowmatch.screening.head import Head
from snowmatch.screening.scenes import LEAST
from snowmatch.screening.species import log_sum

Progress = Callable[[int, int], None]


class Seen(NamedTuple):
    """A photo: its sha256, what the classifier in use tells, and the features of its views (V, F) for a model."""

    sha256: str
    classes: dict[str, float]
    features: np.ndarray


@dataclass(frozen=True)
class Look:
    """The task to look at a photo. network: whose features are wanted; None for none."""

    photo: str

    def run(self, folder: Path, classifier: Classifier, network: Classifier | None) -> Seen | Failure:
        """Read the photo and look at it and its views. folder: the catalog's folder."""
        return or_failure(folder / self.photo, _look, classifier, network)

    @property
    def path(self) -> str:
        """The path of the photo."""
        return self.photo


@dataclass(frozen=True)
class Tell:
    """The task to tell what a photo shows, by the model that has not learned from its fold."""

    photo: str
    fold: int

    def run(self, folder: Path, heads: Mapping[int, Head]) -> dict[str, float] | Failure:
        """Return the probability of each kind. folder: the catalog's folder."""
        told = or_failure(folder / self.photo, lambda path: tell(heads[self.fold], read_small(path, LEAST)))
        return told if isinstance(told, Failure) else _by_name(told)

    @property
    def path(self) -> str:
        """The path of the photo."""
        return self.photo


def _look(path: Path, classifier: Classifier, network: Classifier | None) -> Seen:
    content, pixels = file_sha256(path), read_small(path, LEAST)
    told = classifier.classify(pixels)
    views = [] if network is None else views_of(pixels)
    same = network == classifier
    features = [
        told.features if same and not n else network.classify(view).features  # type: ignore[union-attr]
        for n, view in enumerate(views)
    ]
    return Seen(content, _by_name(told), np.array(features))


def _by_name(told: Classes) -> dict[str, float]:
    return dict(zip(told.names, map(float, told.probabilities), strict=True))


def network_of(classifier: Classifier) -> Classifier | None:
    """Return the network whose features a model can be learned on: that of a classifier; None if it has none."""
    if isinstance(classifier, Learned):
        found: Classifier = NETWORKS[classifier.network].PLUGIN()
        return found
    return classifier if any(isinstance(classifier, module.PLUGIN) for module in NETWORKS.values()) else None


def learned_from(classifier: Classifier | None) -> frozenset[str] | None:
    """Return the sha256 of the photos that a user taught a classifier with; None if its file does not tell them."""
    return classifier.photos if isinstance(classifier, Learned) else frozenset()


def look_at(
    folder: Path,
    photos: Sequence[str],
    networks: tuple[Classifier, Classifier | None],
    processes: int,
    progress: Progress | None,
) -> tuple[dict[str, Seen], dict[str, str]]:
    """Return what is seen in the photos, by path, and the reasons of failures."""
    seen: dict[str, Seen] = {}
    failed: dict[str, str] = {}
    with open_pool(processes, (folder, *networks)) as pool:
        for done, (photo, result) in enumerate(in_order(pool, photos, Look), start=1):
            if isinstance(result, Failure):
                failed[photo] = result
            else:
                seen[photo] = result
            if progress is not None:
                progress(done, len(photos))
    return seen, failed


def tell_held_out(
    folder: Path,
    tasks: Mapping[str, int],
    heads: Mapping[int, Head],
    processes: int,
    progress: Progress | None,
    failed: dict[str, str],
) -> dict[str, dict[str, float]]:
    """Return the probabilities of kinds, by path, of models that have not learned from the photos' folds."""
    told: dict[str, dict[str, float]] = {}
    with open_pool(processes, (folder, heads)) as pool:
        results = in_order(pool, tasks, lambda photo: Tell(photo, tasks[photo]))
        for done, (photo, result) in enumerate(results, start=1):
            if isinstance(result, Failure):
                failed[photo] = result
            else:
                told[photo] = result
            if progress is not None:
                progress(done, len(tasks))
    return told


def by_features(head: Head, features: np.ndarray) -> dict[str, float]:
    """Return the probability of each kind by the features (F,) of a photo."""
    scores = head.scores(features)
    return dict(zip(head.names, map(float, np.exp(scores - log_sum(scores))), strict=True))
