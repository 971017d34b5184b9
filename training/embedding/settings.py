"""Settings of the training of an embedding network."""

from __future__ import annotations

from dataclasses import dataclass

from embedding.inputs import Shape
from embedding.lite0 import IMAGENET
from embedding.losses import ADAPTIVE_MARGIN, COSFACE_MARGIN, TRIPLET_MARGIN
from embedding.networks import RANDOM
from snowmatch.core.errors import SnowmatchError
from snowmatch.core.text import did_you_mean

LOSSES = {"triplet": TRIPLET_MARGIN, "cosface": COSFACE_MARGIN, "adaptive": ADAPTIVE_MARGIN}  # with their margins
RATES = {"triplet": 8e-4, "cosface": 1e-3, "adaptive": 1e-3}  # Adam's; Colomer Matachana 2024

PRESETS = {
    "full": {},
    # two cores train it on half of the nyala in well under 40 minutes
    "small": {"backbone": "resnet18", "width": 192, "height": 96, "epochs": 40},
    # from the weights of ImageNet, and only the last stage learns: a few minutes on two cores
    "imagenet": {
        "backbone": "efficientnet_lite0",
        "weights": IMAGENET,
        "frozen": 6,
        "rate": 3e-4,
        "dimensions": 512,
        "width": 192,
        "height": 96,
        "epochs": 12,
    },
    # the same start, and all layers learn: minutes on a graphics card. The median box of the animals that were learned
    # from is 1.1 times as wide as high; twice as many pixels as ImageNet's photos
    "imagenet-full": {
        "backbone": "efficientnet_lite0",
        "weights": IMAGENET,
        "rate": 3e-4,
        "dimensions": 512,
        "width": 320,
        "height": 288,
        "epochs": 40,
    },
}


@dataclass(frozen=True)
class Training:
    """All settings that, with the photos, determine the weights.

    dimensions: of the embedding. margin, rate: 0 means the default of the loss. batch: photos, four of an individual.
    validation: share of individuals held out. weights: the backbone's start, a file, `random` or `imagenet`. frozen:
    stages of the backbone that stay as they started (efficientnets only); 0: all layers learn.
    """

    loss: str = "adaptive"
    backbone: str = "efficientnetv2_b2"
    weights: str = RANDOM
    frozen: int = 0
    dimensions: int = 1028  # Colomer Matachana 2024
    channels: str = "rgb"
    background: str = "kept"
    width: int = 512
    height: int = 256
    epochs: int = 100
    batch: int = 32
    margin: float = 0.0
    rate: float = 0.0
    validation: float = 0.2
    seed: int = 0

    def __post_init__(self) -> None:
        if self.loss not in LOSSES:
            raise SnowmatchError(
                f"loss is {self.loss!r}, expected one of {', '.join(LOSSES)}{did_you_mean(self.loss, LOSSES)}"
            )
        for name, good, expected in (
            ("dimensions", self.dimensions >= 1, "at least 1"),
            ("epochs", self.epochs >= 1, "at least 1"),
            ("batch", self.batch >= 8, "at least 8: two individuals"),
            ("margin", self.margin >= 0, "0 (the loss's own) or more"),
            ("rate", self.rate >= 0, "0 (the loss's own) or more"),
            ("validation", 0 < self.validation < 1, "between 0 and 1"),
            ("frozen", self.frozen >= 0, "0 (all layers learn) or more"),
            ("seed", self.seed >= 0, "0 or more"),
        ):
            if not good:
                raise SnowmatchError(f"{name} is {getattr(self, name)}, expected {expected}")

    @property
    def shape(self) -> Shape:
        """Return the form of the network's input."""
        return Shape(self.width, self.height, self.channels, self.background)
