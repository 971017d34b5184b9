"""Loss functions: triplets with semi-hard negatives, CosFace, and CosFace with an adaptive margin."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import nn
from torch.nn import functional

SCALE = 64.0  # CosFace's s; Wang et al. 2018, section 4.1, and Colomer Matachana 2024
TRIPLET_MARGIN = 0.2  # FaceNet's alpha
COSFACE_MARGIN = 0.35  # Wang et al. 2018, section 4.2
ADAPTIVE_MARGIN = 0.28  # Colomer Matachana 2024

Margin = Callable[[torch.Tensor], torch.Tensor]  # margin as a function of the cosine to the own class (B,)


def triplet_loss(embeddings: torch.Tensor, labels: torch.Tensor, margin: float = TRIPLET_MARGIN) -> torch.Tensor:
    """Return the mean of d(a, p) - d(a, n) + margin over the batch's semi-hard triplets; 0 if there is none.

    embeddings (B, D) of any length; distances are Euclidean, between the vectors scaled to length 1. labels (B,)
    integers. Semi-hard: the negative n is further from the anchor a than the positive p, but by less than the margin.
    Source: Schroff, Kalenichenko & Philbin, FaceNet, CVPR 2015, section 3.2.
    """
    unit = functional.normalize(embeddings)
    # the square root has an infinite slope at 0, so the values stay above 0
    squared = (2 - 2 * unit @ unit.T).clamp(min=1e-12)
    distances = squared.sqrt()
    same = labels[:, None] == labels
    positive = same & ~torch.eye(len(labels), dtype=torch.bool, device=labels.device)
    gap = distances[:, :, None] - distances[:, None, :] + margin  # [a, p, n]
    semi_hard = positive[:, :, None] & ~same[:, None, :] & (gap > 0) & (gap < margin)
    if not semi_hard.any():
        return (embeddings * 0).sum()  # a loss of 0 that still has gradients
    return gap[semi_hard].mean()


def constant_margin(margin: float = COSFACE_MARGIN) -> Margin:
    """Return a margin that is the same at every angle. Source: Wang et al., CosFace, CVPR 2018, equation 4."""
    return lambda cosine: torch.full_like(cosine, margin)


def adaptive_margin(margin: float = ADAPTIVE_MARGIN) -> Margin:
    """Return the margin function margin * ((1 - cos^2)^4 + 0.1) / 1.1.

    It is the full margin at a right angle, and 1/11 of it if photo and class have the same direction.

    Source: Colomer Matachana 2024 (arXiv 2411.01962), adaptive angular margin.
    """
    return lambda cosine: margin * ((1 - cosine**2) ** 4 + 0.1) / 1.1


def cosface_loss(cosines: torch.Tensor, labels: torch.Tensor, margin: Margin, scale: float = SCALE) -> torch.Tensor:
    """Return the cross entropy of `scale` x the cosines (B, K) to K classes; the own class's cosine minus the margin.

    labels (B,) integers below K. Source: Wang et al., CosFace, CVPR 2018, equation 4.
    """
    rows = torch.arange(len(labels), device=labels.device)
    own = cosines[rows, labels]
    logits = cosines.index_put((rows, labels), own - margin(own))
    return functional.cross_entropy(scale * logits, labels)


class CosFace(nn.Module):
    """CosFace loss of embeddings (B, D) and labels (B,), with one learned direction for each class."""

    def __init__(self, dimensions: int, classes: int, margin: Margin, scale: float = SCALE) -> None:
        """Start with `classes` random directions."""
        super().__init__()
        self.weight = nn.Parameter(torch.empty(classes, dimensions))
        nn.init.xavier_uniform_(self.weight)
        self.margin, self.scale = margin, scale

    def forward(self, embeddings: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        """Return cosface_loss."""
        cosines = functional.linear(functional.normalize(embeddings), functional.normalize(self.weight))
        return cosface_loss(cosines, labels, self.margin, self.scale)
