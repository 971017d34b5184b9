"""The geometric check: which matches between two photos agree on one position of the animal.

Source: Crall et al., WACV 2013 (HotSpotter), section 3.4, as in vtool_ibeis; Philbin et al., CVPR 2007 (one match, one
hypothesis). One difference: the minimum is required again after the refinement.
"""

from __future__ import annotations

import numpy as np

from snowmatch.matching.geometry.framed import agree_with_homography, best_hypothesis, fit_homography
from snowmatch.matching.geometry.frameless import robust_placement
from snowmatch.matching.geometry.frames import Frames, Geometry, Points


def inliers(side0: Points, side1: Points, diagonal: float, geometry: Geometry) -> np.ndarray:
    """Return (M,) bool: which matches agree with the position that most of them support; all False if too few agree.

    diagonal: length of the diagonal of the gallery animal's box (px). With frames, each match is a hypothesis; without
    frames, each two matches are one. The same input gives the same result. No matches give an empty array.
    """
    m = len(side0.points)
    if m < geometry.minimum:
        return np.zeros(m, bool)
    if not (isinstance(side0, Frames) and isinstance(side1, Frames)):
        return robust_placement(side0, side1, diagonal, geometry)
    agreeing = best_hypothesis(side0, side1, diagonal, geometry)
    if agreeing.sum() < geometry.minimum:
        return np.zeros(m, bool)
    homography = fit_homography(side0.points[agreeing], side1.points[agreeing])
    if homography is None:
        return np.zeros(m, bool)
    refined = agree_with_homography(homography, side0, side1, diagonal, geometry)
    return refined if refined.sum() >= geometry.minimum else np.zeros(m, bool)
