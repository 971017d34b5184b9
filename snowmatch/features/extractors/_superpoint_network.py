"""SuperPoint's networks, and keypoints from their maps, in torch. Source: DeTone et al., CVPR workshops 2018."""

from __future__ import annotations

from collections import OrderedDict

import torch
from torch import nn
from torch.nn import functional

CELL = 8  # px; one vector of the maps for 8 x 8 px of the image (section 3.1)
CHANNELS = (64, 64, 128, 128)  # of the encoder's four stages of two convolutions each (section 6)
HEAD = 256  # channels of both heads, and length of a descriptor
SUPPRESSED = 4  # px around a keypoint, and at the border, in which weaker ones are dropped (authors' code)

Found = tuple[torch.Tensor, torch.Tensor, torch.Tensor]


def detect(network: nn.Module, images: torch.Tensor, threshold: float) -> list[Found]:
    """Return keypoints (N, 2), scores (N,) and descriptors (N, D) of each of the images (B, 1, H, W), grey, 0 to 1."""
    height, width = images.shape[2:]
    # The maps need whole cells: the border is repeated, and the added part is cut off before the search for keypoints
    images = functional.pad(images, (0, -width % CELL, 0, -height % CELL), mode="replicate")
    logits, descriptors = network(images)
    heat = keypoint_map(logits)[:, :height, :width]
    strongest = suppress(heat, SUPPRESSED)
    strongest[:, :SUPPRESSED] = strongest[:, -SUPPRESSED:] = 0
    strongest[:, :, :SUPPRESSED] = strongest[:, :, -SUPPRESSED:] = 0
    found = []
    for one, dense in zip(strongest, descriptors, strict=True):
        rows, columns = torch.nonzero(one > threshold, as_tuple=True)
        keypoints = torch.stack([columns, rows], dim=1).float()
        found.append((keypoints, one[rows, columns], sample(dense, keypoints)))
    return found


def keypoint_map(logits: torch.Tensor) -> torch.Tensor:
    """Return (B, 8 h, 8 w), the probability of a keypoint at each pixel, from (B, 65, h, w); the 65th value is "none
    in this cell".
    """
    return functional.pixel_shuffle(logits.softmax(dim=1)[:, :-1], CELL)[:, 0]


def suppress(heat: torch.Tensor, radius: int) -> torch.Tensor:
    """Return (B, H, W) with 0 where a stronger keypoint is at most `radius` px away, in two rounds."""

    def highest(values: torch.Tensor) -> torch.Tensor:
        return functional.max_pool2d(values, 2 * radius + 1, stride=1, padding=radius)

    kept = heat == highest(heat)
    for _ in range(2):
        near = highest(kept.float()) > 0
        left = torch.where(near, 0, heat)
        kept |= (left == highest(left)) & ~near
    return torch.where(kept, heat, 0)


def sample(dense: torch.Tensor, keypoints: torch.Tensor) -> torch.Tensor:
    """Return descriptors (N, D) of norm 1 at keypoints (N, 2) (px), interpolated between the vectors of `dense` (D,
    h, w).
    """
    cells = torch.tensor([dense.shape[2], dense.shape[1]], device=dense.device)
    grid = (keypoints + 0.5) / (cells * CELL) * 2 - 1
    values = functional.grid_sample(dense[None], grid[None, None], align_corners=False)[0, :, 0]
    return functional.normalize(values, dim=0).T


class MagicLeap(nn.Module):
    """The network with the layer names of the authors' file superpoint_v1.pth: from grey (B, 1, H, W) to both maps."""

    def __init__(self) -> None:
        super().__init__()
        before = 1
        for stage, width in enumerate(CHANNELS, start=1):
            setattr(self, f"conv{stage}a", nn.Conv2d(before, width, 3, padding=1))
            setattr(self, f"conv{stage}b", nn.Conv2d(width, width, 3, padding=1))
            before = width
        for head, width in (("P", CELL * CELL + 1), ("D", HEAD)):
            setattr(self, f"conv{head}a", nn.Conv2d(before, HEAD, 3, padding=1))
            setattr(self, f"conv{head}b", nn.Conv2d(HEAD, width, 1))

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        for stage in range(1, len(CHANNELS) + 1):
            x = functional.max_pool2d(x, 2) if stage > 1 else x
            for half in "ab":
                x = getattr(self, f"conv{stage}{half}")(x).relu()
        logits, dense = (getattr(self, f"conv{head}b")(getattr(self, f"conv{head}a")(x).relu()) for head in "PD")
        return logits, functional.normalize(dense, dim=1)


class Retrained(nn.Module):
    """The network with the layer names of superpoint_v6_from_tf.pth. It normalises batches after each activation."""

    def __init__(self) -> None:
        super().__init__()
        widths = (1, *CHANNELS)
        stages = []
        for stage, (before, width) in enumerate(zip(widths, CHANNELS, strict=False), start=1):
            layers = [_block(before, width, 3), _block(width, width, 3)]
            stages.append(nn.Sequential(*layers, *([nn.MaxPool2d(2)] if stage < len(CHANNELS) else [])))
        self.backbone = nn.Sequential(*stages)
        self.detector = _head(CELL * CELL + 1)
        self.descriptor = _head(HEAD)

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        x = self.backbone(x)
        return self.detector(x), functional.normalize(self.descriptor(x), dim=1)


def _head(width: int) -> nn.Sequential:
    return nn.Sequential(_block(CHANNELS[-1], HEAD, 3), _block(HEAD, width, 1, activation=nn.Identity()))


def _block(before: int, width: int, side: int, activation: nn.Module | None = None) -> nn.Sequential:
    convolution = nn.Conv2d(before, width, side, padding=side // 2)
    normal = nn.BatchNorm2d(width, eps=0.001)  # the constant of TensorFlow, in which it was trained
    return nn.Sequential(OrderedDict(conv=convolution, activation=activation or nn.ReLU(), bn=normal))
