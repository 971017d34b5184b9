"""The box of the animal in a foreground map: it contains the animal, lies in the photo and scales with it."""

import cv2
import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from snowmatch.screening.locate import ANIMAL, SMALLEST, find_boxes

SHAPE = (30, 45)  # rows and columns of a map
PHOTO = (1800, 1200)  # (width, height): a cell is 40 x 40 px
CELL = 40

shapes = st.tuples(st.integers(1, 40), st.integers(1, 40))
photos = st.tuples(st.integers(1, 6000), st.integers(1, 6000))
maps = shapes.flatmap(
    lambda shape: arrays.arrays(np.float32, shape, elements=st.floats(0, 1, width=32), fill=st.just(np.float32(0)))
)
spots = shapes.flatmap(lambda shape: arrays.arrays(np.bool_, shape, elements=st.booleans()))


def find_box(values, size):
    """Return the first box, or None."""
    return next(iter(find_boxes(values, size)), None)


def drawn(*areas, value=1.0):
    """Return a map with rectangles of animal: (row, column, rows, columns)."""
    values = np.zeros(SHAPE, np.float32)
    for row, column, rows, columns in areas:
        values[row : row + rows, column : column + columns] = value
    return values


def within(inner, outer):
    x, y, w, h = inner
    left, top, width, height = outer
    return left <= x and top <= y and x + w <= left + width and y + h <= top + height


@given(maps, photos)
def test_a_box_lies_in_the_photo_and_has_an_area(values, photo):
    box = find_box(values, photo)
    if box is not None:
        assert all(type(side) is int for side in box)
        assert box[2] > 0
        assert box[3] > 0
        assert within(box, (0, 0, *photo))


@given(spots)
def test_a_box_contains_every_cell_of_one_area_as_large_as_any(cells):
    assume(cells.any())
    rows, columns = cells.shape
    box = find_box(cells.astype(np.float32), (columns * CELL, rows * CELL))
    count, labels, areas, _ = cv2.connectedComponentsWithStats(cells.astype(np.uint8), connectivity=8)
    inside = [
        areas[n, cv2.CC_STAT_AREA]
        for n in range(1, count)
        if box is not None
        and all(within((c * CELL, r * CELL, CELL, CELL), box) for r, c in np.argwhere(labels == n).tolist())
    ]
    largest = areas[1:, cv2.CC_STAT_AREA].max()
    if box is None:
        assert largest <= 2 * SMALLEST * cells.size + 1
    else:
        assert max(inside, default=0) >= largest / 2  # areas with many corners grow less when the map is enlarged


@given(st.integers(0, 20), st.integers(0, 30), st.integers(3, 9), st.integers(3, 14))
def test_the_box_is_the_area_with_a_margin_of_a_tenth(row, column, rows, columns):
    box = find_box(drawn((row, column, rows, columns)), PHOTO)
    area = column * CELL, row * CELL, columns * CELL, rows * CELL
    assert within(area, box)
    # The enlarged map reaches a fraction of a cell beyond the area
    spare = [0.1 * (side + CELL) + CELL / 2 + 1 for side in area[2:]]
    most = (area[0] - spare[0], area[1] - spare[1], area[2] + 2 * spare[0], area[3] + 2 * spare[1])
    assert within(box, most)


@given(st.integers(0, 8), st.integers(0, 12), st.booleans())
def test_the_larger_of_two_areas_counts(row, column, turned):
    large, small = (row, column, 9, 12), (row + 14, column + 16, 4, 5)
    values = drawn(large, small)
    assert within((column * CELL, row * CELL, 12 * CELL, 9 * CELL), find_box(values, PHOTO))
    assert find_box(values, PHOTO) == find_box(drawn(large), PHOTO)


def test_the_sum_of_values_counts_not_the_number_of_cells():
    values = np.maximum(drawn((2, 2, 6, 10), value=0.6), drawn((18, 25, 6, 8)))
    assert find_box(values, PHOTO) == find_box(drawn((18, 25, 6, 8)), PHOTO)


def test_areas_that_touch_at_a_corner_are_one():
    both = drawn((5, 5, 5, 5), (10, 10, 5, 5))
    assert within((5 * CELL, 5 * CELL, 10 * CELL, 10 * CELL), find_box(both, PHOTO))


@given(spots, st.integers(2, 5))
def test_the_box_scales_with_the_photo(cells, factor):
    values = cells.astype(np.float32)
    photo = cells.shape[1] * CELL, cells.shape[0] * CELL
    box, larger = find_box(values, photo), find_box(values, tuple(factor * side for side in photo))
    if box is None:
        assert larger is None
    else:
        edges = np.array([box[0], box[1], box[0] + box[2], box[1] + box[3]])
        more = np.array([larger[0], larger[1], larger[0] + larger[2], larger[1] + larger[3]])
        assert np.abs(more / factor - edges).max() <= 1


@given(st.integers(0, 20), st.integers(0, 30), st.integers(3, 9), st.integers(3, 14))
def test_a_mirror_image_has_the_mirrored_box(row, column, rows, columns):
    values = drawn((row, column, rows, columns))
    x, y, width, height = find_box(values, PHOTO)
    across, down = find_box(values[:, ::-1], PHOTO), find_box(values[::-1], PHOTO)
    for found, expected in (
        (across, (PHOTO[0] - x - width, y, width, height)),
        (down, (x, PHOTO[1] - y - height, width, height)),
    ):
        assert np.abs(np.subtract(found, expected)).max() <= 1  # edges are rounded outwards


@given(shapes, st.floats(ANIMAL + 0.01, 1), photos)
def test_a_map_full_of_animal_gives_the_whole_photo(shape, value, photo):
    assert find_box(np.full(shape, value, np.float32), photo) == (0, 0, *photo)


@pytest.mark.parametrize("shape", [(0, 0), (0, 9), (9, 0)])
def test_a_map_without_cells_has_no_box(shape):
    assert find_box(np.zeros(shape, np.float32), PHOTO) is None


@given(shapes, st.floats(0, ANIMAL - 0.01), photos)
def test_a_map_without_animal_has_no_box(shape, value, photo):
    assert find_box(np.full(shape, value, np.float32), photo) is None


def test_a_spot_that_is_too_small_is_no_animal():
    assert find_box(drawn((10, 10, 1, 1)), PHOTO) is None  # a cell is less than SMALLEST of the map
    assert find_box(drawn((10, 10, 2, 3)), PHOTO) is not None
    (box,) = {find_box(drawn((10, 10, 2, 3), (25, 30, 1, 1)), PHOTO), find_box(drawn((10, 10, 2, 3)), PHOTO)}
    assert box[2] > 2 * CELL


@pytest.mark.parametrize("shape", [(1, 1), (1, 9), (9, 1), (2, 2)])
def test_tiny_maps(shape):
    values = np.zeros(shape, np.float32)
    assert find_box(values, (300, 200)) is None
    values[0, 0] = 1
    box = find_box(values, (300, 200))
    assert within((0, 0, 300 // shape[1], 200 // shape[0]), box)
    assert find_box(values, (1, 1)) == (0, 0, 1, 1)


def test_the_map_is_not_changed():
    values = drawn((5, 5, 5, 5))
    find_box(values, PHOTO)
    assert (values == drawn((5, 5, 5, 5))).all()
