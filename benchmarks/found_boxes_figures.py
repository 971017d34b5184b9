"""The figures of found boxes and maps: pure functions on boxes, maps and masks."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from screening_figures import rounded_bounds

from snowmatch.confidence.metrics import auroc
from snowmatch.core.boxes import overlap
from snowmatch.core.types import BBox
from snowmatch.screening.foreground import ForegroundMap

HALF = 0.5  # an overlap from here on is good; a box with a smaller share of the mask misses the animal
MANY = 3  # from this number of photos on, bursts are in one group
NO_MAP = "no map"


@dataclass(frozen=True)
class Case:
    """A photo, and how good its map and its found box are.

    burst: number of photos of its passage, itself included. evidence: of the map; "" without a map of the animal.
    box: the found box. The other values are those of `judge`.
    """

    name: str
    encounter: str
    light: str
    burst: int
    evidence: str
    box: BBox | None
    person: float | None
    mask_box: float | None
    rough: float | None
    inside: float | None
    map_area: float | None


def judge(found: ForegroundMap | None, box: BBox | None, mask: np.ndarray, person: BBox | None) -> dict[str, Any]:
    """Return how good a map and the box found in it are, None where one of the two is missing.

    mask: (H, W) bool, over the whole photo. person: the box that a person drew. `person`, `mask_box`: the overlap of
    the found box with that of the person, and with the box round the largest piece of the mask. `rough`: the overlap of
    these two with each other. `inside`: the share of the piece inside the found box. `map_area`: see that function.
    """
    animal = largest_piece(mask)
    around = box_round(animal)
    return {
        "person": overlap(box, person) if box is not None and person is not None else None,
        "mask_box": overlap(box, around) if box is not None and around is not None else None,
        "rough": overlap(person, around) if person is not None and around is not None else None,
        "inside": share_inside(animal, box) if box is not None and around is not None else None,
        "map_area": map_area(found.values, mask, animal) if found is not None else None,
    }


def largest_piece(mask: np.ndarray) -> np.ndarray:
    """Return the largest connected piece of a mask (H, W) bool, as such a mask. A black mask stays black.

    Smaller pieces may be the bar with time and temperature.
    """
    count, labels, stats, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8))
    if count == 1:
        return np.zeros_like(mask)
    return labels == 1 + int(stats[1:, cv2.CC_STAT_AREA].argmax())


def box_round(mask: np.ndarray) -> BBox | None:
    """Return the box round a mask (H, W) bool; None for a black mask."""
    x, y, width, height = cv2.boundingRect(mask.astype(np.uint8))
    return (x, y, width, height) if width else None


def share_inside(mask: np.ndarray, box: BBox) -> float:
    """Return the share of a mask (H, W) bool that is inside a box. Raises ValueError for a black mask."""
    x, y, width, height = box
    total = np.count_nonzero(mask)
    if not total:
        raise ValueError("the mask is black, expected a mask with an animal")
    return np.count_nonzero(mask[y : y + height, x : x + width]) / total


def map_area(values: np.ndarray, mask: np.ndarray, animal: np.ndarray) -> float | None:
    """Return the probability that a cell of a map on the animal has a higher value than one off it.

    values: (h, w) uint8, the map of the whole photo. mask: (H, W) bool. animal: (H, W) bool, its largest piece; cells
    on other pieces are not counted. A cell is on the animal if half of it is. Equal values count as one half: most of
    the scenery is exactly 0. None if all cells are on the animal, or none.

    Source: Hanley & McNeil, Radiology 143, 1982.
    """
    size = (values.shape[1], values.shape[0])
    on, masked = (
        cv2.resize(each.astype(np.float32), size, interpolation=cv2.INTER_AREA) >= HALF for each in (animal, mask)
    )
    known, new = values[on].astype(float), values[~masked & ~on].astype(float)
    return (auroc(known, new) + 1 - auroc(new, known)) / 2 if len(known) and len(new) else None


def mean(column: np.ndarray) -> float:
    """Return the mean; NaN without values."""
    return float(column.mean()) if len(column) else float("nan")


def median(column: np.ndarray) -> float:
    """Return the median; NaN without values."""
    return float(np.median(column)) if len(column) else float("nan")


def half(column: np.ndarray) -> float:
    """Return the share of values from HALF up; NaN without values."""
    return mean(column >= HALF)


def missed(column: np.ndarray) -> float:
    """Return the share of values below HALF; NaN without values."""
    return mean(column < HALF)


# Name: the column of the cases that it is computed from (cases without a value do not count), and the statistic
FIGURES: Mapping[str, tuple[Callable[[Case], float | None], Callable[[np.ndarray], float]]] = {
    "found": (lambda case: float(case.box is not None), mean),
    "person_median": (lambda case: case.person, median),
    "person_half": (lambda case: case.person, half),
    "mask_median": (lambda case: case.mask_box, median),
    "mask_half": (lambda case: case.mask_box, half),
    "rough_median": (lambda case: case.rough, median),
    "inside": (lambda case: case.inside, mean),
    "missed": (lambda case: case.inside, missed),
    "map_area": (lambda case: case.map_area, mean),
}


def figures_of_cases(cases: Sequence[Case]) -> dict[str, Any]:
    """Return counts, and each figure of FIGURES as [value, low, high]; null if no case has a value.

    low and high are the 95 % interval of a bootstrap over encounters. person_boxes: found boxes of photos with a box of
    a person.
    """
    found: dict[str, Any] = {
        "photos": len(cases),
        "encounters": len({case.encounter for case in cases}),
        "person_boxes": sum(case.person is not None for case in cases),
    }
    for name, (value_of, statistic) in FIGURES.items():
        known = [(value, case.encounter) for case in cases if (value := value_of(case)) is not None]
        column = np.array([value for value, _ in known], float)
        found[name] = rounded_bounds(statistic, np.array([encounter for _, encounter in known], dtype=str), column)
    return found


def groups_of(cases: Sequence[Case]) -> list[dict[str, Any]]:
    """Return the figures of all cases, and of those of each evidence, light and number of photos in the burst.

    `by` and `group` name them. Groups without a case are left out.
    """
    found = [{"by": "all", "group": "all photos", **figures_of_cases(cases)}]
    for by, name_of in (("evidence", _evidence), ("light", lambda case: case.light), ("burst", _burst)):
        names = {name_of(case) for case in cases}
        for name in sorted(names, key=lambda name: (name == NO_MAP, name.count(" and "), name)):
            of = [case for case in cases if name_of(case) == name]
            found.append({"by": by, "group": name, **figures_of_cases(of)})
    return found


def _evidence(case: Case) -> str:
    return case.evidence or NO_MAP


def _burst(case: Case) -> str:
    return f"{MANY} or more" if case.burst >= MANY else str(case.burst)


def worst_of(cases: Sequence[Case], number: int) -> list[Case]:
    """Return the found boxes that agree least with the box round the mask, the worst first, at most `number`."""
    known = [case for case in cases if case.mask_box is not None]
    return sorted(known, key=lambda case: (case.mask_box, case.inside, case.name))[:number]
