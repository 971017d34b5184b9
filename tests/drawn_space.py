"""A survey drawn in space with a known density: animals with ranges before a grid of cameras. There are no photos."""

from datetime import datetime, timedelta

import numpy as np

SIDE = 7  # stations along each side of the grid
SPACING = 4000.0  # of the stations (m)
BUFFER = 16_000.0  # how far beyond the grid animals live (m)
DENSITY = 1.5  # animals on 100 square kilometres
SIGMA = 4000.0  # of the ranges (m)
G0 = 0.03  # probability of a capture on one day by a camera in the middle of a range
START, DAYS = datetime(2024, 5, 1), 60
ORIGIN = (500_000.0, 4_600_000.0)  # UTM zone 43 north (m)


def drawn_survey(seed):
    """Return rows and stations as `write_catalog` takes them: an encounter for each capture of an animal on a day.

    The last third of the stations begin ten days late. Both flanks of each animal are known. Some sexes are not.
    """
    random = np.random.default_rng([seed, 21])
    lines, late = np.arange(SIDE) * SPACING, np.zeros(SIDE * SIDE, int)
    late[-SIDE * SIDE // 3 :] = 10
    traps = np.array([(x, y) for y in lines for x in lines])
    width = lines[-1] + 2 * BUFFER
    animals = random.poisson(DENSITY * (width / 10_000) ** 2)
    centres = random.random((animals, 2)) * width - BUFFER
    distance = np.linalg.norm(centres[:, None] - traps[None], axis=2)
    chance = G0 * np.exp(-(distance**2) / (2 * SIGMA**2))
    caught = random.random((animals, len(traps), DAYS)) < chance[:, :, None]
    caught &= np.arange(DAYS)[None, None] >= late[None, :, None]
    sex = random.choice(["f", "m", ""], animals, p=[0.5, 0.35, 0.15])
    rows = []
    for n, (i, j, day) in enumerate(np.argwhere(caught)):
        time = START + timedelta(days=int(day), hours=5, minutes=n % 60)
        part = ("left_flank", "right_flank")[n % 2]
        rows.append((f"cat {i:02}", part, f"S{j:02}", time.isoformat(), f"e{n}", str(sex[i])))
    end = (START + timedelta(days=DAYS - 1)).date()
    table = ["station,x,y,crs,from,to,habitat"]
    for j, (x, y) in enumerate(traps + ORIGIN):
        start = (START + timedelta(days=int(late[j]))).date()
        table.append(f"S{j:02},{x:.0f},{y:.0f},32643,{start},{end},{('ridge', 'valley')[j % 2]}")
    return rows, "\n".join(table) + "\n"
