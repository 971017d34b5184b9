"""The bars with time and temperature that camera traps burn into their photos."""

from __future__ import annotations

import numpy as np

# Chosen on drawn photos, and on previews of nyala with drawn bars (found in 159 of 165). On previews of every third
# shared photo, a lower bar is found in 138 of 155 leopards (those looked at of the others have none), an upper one in
# 91 (of about 118), and none in 318 nyala (none has one)
TALLEST = 0.12  # of the photo's height
LIKE = 10  # grey levels: pixels this close to the colour of the bar belong to its background
PLAIN = 0.5  # share of the bar's pixels that are background; the rest is text
PLAIN_ROW = 0.3  # the same of each row: dense text hides more of some rows
PLAIN_EDGE = 0.6  # the same of the last rows: text does not touch the edge of a bar, but a hill grows into a night sky
STEADY = 4  # grey levels: the colour of a bar is the same in all its rows
STEP = 25  # grey levels: the median of the first row beyond the bar differs by at least this much
# Share of the pixels of the first row beyond the bar that do not have its colour: a night sky ends where a hill begins,
# not in one straight line across the photo
ACROSS = 0.8


def info_bars(grey: np.ndarray) -> tuple[int, int]:
    """Return the height (rows) of the bar at the top and of the bar at the bottom of a photo; 0 if there is none.

    grey: (H, W) uint8 or float, of any size. A bar is a band of one colour with text in it, across the whole photo,
    with a straight edge.
    """
    values = np.asarray(grey, np.float32)
    return _bar(values), _bar(values[::-1])


def _bar(rows: np.ndarray) -> int:
    most = int(TALLEST * len(rows))
    if most < 1:
        return 0
    background = float(np.median(rows[0]))
    plain: list[float] = []  # of each row, up to the first one that cannot belong to a bar
    for row in rows[:most]:
        near = np.abs(row - background) <= LIKE
        share = float(near.mean())
        if share < PLAIN_ROW or abs(float(np.median(row[near])) - background) > STEADY:
            break
        plain.append(share)
    for height in range(len(plain), 0, -1):
        if np.mean(plain[:height]) < PLAIN or max(plain[max(height - 2, 0) : height]) < PLAIN_EDGE:
            continue
        beyond = rows[height : height + 2]  # the first row beyond may be a mixture of both
        differs = np.abs(beyond - background).max(axis=0) > LIKE
        if differs.mean() >= ACROSS and abs(float(np.median(beyond[-1])) - background) >= STEP:
            return height
    return 0
