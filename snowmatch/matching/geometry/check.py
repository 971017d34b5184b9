"""Geometry: which of the matches between two photos agree on one placement of the animal.

Source: Crall et al., WACV 2013 (HotSpotter), section 3.4, in the form of vtool_ibeis; Philbin et al., CVPR 2007 (one
match, one hypothesis). Other than there, the minimum counts once more after the refinement.
"""

from __future__ import annotations

import numpy as np

from snowmatch.matching.geometry.framed import agree_with_homography, best_hypothesis, fit_homography
from snowmatch.matching.geometry.frameless import robust_placement
from snowmatch.matching.geometry.frames import Frames, Geometry, Points


def inliers(side0: Points, side1: Points, diagonal: float, geometry: Geometry) -> np.ndarray:
    """Which of M matches (M,) agree with the one placement that most of them support; all False where too few do.

    `diagonal` is the length in pixels of the gallery animal's box. With frames every match is a hypothesis; without,
    every two matches are one. The same input gives the same answer. No matches: an empty mask.
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
