"""A classifier for species of one's own: a logistic model on the features of a network.

`snowmatch screen CATALOG --learn FILE` makes the file from the catalog's column `species`.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import ClassVar

import numpy as np

from snowmatch.catalog.species import NOTHING
from snowmatch.core.errors import SnowmatchError
from snowmatch.core.text import choices
from snowmatch.core.types import Classes
from snowmatch.models.cache import unchecked_sum, weights_sum
from snowmatch.screening.classifiers import efficientnet_lite0, mobilenet_v2
from snowmatch.screening.classifiers._imagenet import check_size, tile_means
from snowmatch.screening.classifiers._layers import FEATURES
from snowmatch.screening.head import Head, load_head
from snowmatch.screening.species import log_sum

NETWORKS = {"efficientnet_lite0": efficientnet_lite0, "mobilenet_v2": mobilenet_v2}  # by the name in the file


@dataclass(frozen=True)
class Learned:
    """Species that a user taught; it needs the weights of the network that it was taught on.

    file: the model that `snowmatch screen --learn` wrote. content: the sha256 of the file; "" for any. size: as for
    efficientnet_lite0.
    """

    REVISION: ClassVar[int] = 1

    file: str = ""
    content: str = ""
    size: int = 672

    def __post_init__(self) -> None:
        check_size(self.size)

    def check(self) -> None:
        """Raise SnowmatchError if the file is missing or wrong, or if the weights of the network are missing."""
        NETWORKS[self._head().network].PLUGIN(self.size).check()

    def weights_content(self) -> str:
        """Return a text that changes with the weights of the network, "" where the registry has their sha256.

        Raises SnowmatchError if the file is wrong.
        """
        return unchecked_sum(NETWORKS[self.network].WEIGHTS[0].name)

    @property
    def network(self) -> str:
        """The name of the network that the model was taught on. Raises SnowmatchError if the file is wrong."""
        return self._head().network

    @property
    def names(self) -> tuple[str, ...]:
        """The species that it tells, `nothing` last. Raises SnowmatchError if the file is wrong."""
        return self._head().names

    @property
    def photos(self) -> frozenset[str] | None:
        """The sha256 of the photos that it learned from; None if the file does not tell. Raises as `names`."""
        return self._head().photos

    def classify(self, photo: np.ndarray) -> Classes:
        """Return the species in a photo (H, W, 3) uint8 RGB. Probabilities and maps are as for efficientnet_lite0."""
        return tell(self._head(), photo, self.size)

    def _head(self) -> Head:
        if not self.file:
            raise SnowmatchError("the classifier learned needs a file: teach it with the catalog's column species")
        try:
            content = weights_sum(Path(self.file))
        except OSError as error:
            raise SnowmatchError(f"{self.file} cannot be read: {error.strerror or error}") from error
        if self.content not in ("", content):
            raise SnowmatchError(f"{self.file} has changed since it was chosen: choose it again as the classifier")
        head = _loaded(Path(self.file), content)
        if head.names[-1] != NOTHING:
            raise SnowmatchError(f"{self.file} has no class {NOTHING!r}: teach it again with such photos")
        if head.weights.shape[1] != FEATURES:
            raise SnowmatchError(
                f"{self.file} is for {head.weights.shape[1]} features, expected {FEATURES}: teach it again"
            )
        if head.network not in NETWORKS:
            known = choices(head.network, list(NETWORKS))
            raise SnowmatchError(f"{self.file} is for the network {head.network!r}, {known}: teach it again")
        return head


def tell(head: Head, photo: np.ndarray, size: int = 672) -> Classes:
    """Return the species in a photo (H, W, 3) uint8 RGB by a model. The activations are its scores of each cell.

    size: as for efficientnet_lite0. Raises SnowmatchError if the weights of the model's network are missing.
    """
    features, _ = NETWORKS[head.network].see(photo, size)
    scores = head.scores(features)
    means, _ = tile_means(scores)
    shares = np.exp(means - log_sum(means))
    return Classes(
        head.names,
        np.append(shares[:-1].max(axis=(1, 2)), shares[-1].min()).astype(np.float32),
        scores.astype(np.float32),
        features.mean(axis=(1, 2)).astype(np.float32),
    )


@lru_cache(maxsize=2)
def _loaded(path: Path, content: str) -> Head:
    return load_head(path)


PLUGIN = Learned
