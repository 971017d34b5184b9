"""Where a classifier sees what it answers."""

from __future__ import annotations

import numpy as np


def class_activation(activations: np.ndarray, number: int) -> np.ndarray:
    """Return what each cell adds to a class against the mean of all classes: (h, w) float32, 0 to 1, its maximum 1.

    activations: (C, h, w), the scores of the cells. All zeros where no cell speaks for the class.

    A linear model on the mean of features has the mean of the cells' scores as its score. So for models that snowmatch
    learned this is the class activation map, and equal to Grad-CAM of the difference, up to a constant that does not
    depend on the photo. For groups of ImageNet's classes the scores of a cell are logarithms of sums, so there it is
    exact only for a group of one class, such as the snow leopard, before the mean is subtracted.

    Source: Zhou et al., "Learning deep features for discriminative localization", CVPR 2016; Selvaraju et al., ICCV
    2017, appendix A (Grad-CAM generalises it).
    """
    scores = activations.astype(np.float64)
    for_it = np.maximum(scores[number] - scores.mean(axis=0), 0)
    highest = for_it.max(initial=0.0)
    found: np.ndarray = (for_it / highest if highest > 0 else np.zeros_like(for_it)).astype(np.float32)
    return found
