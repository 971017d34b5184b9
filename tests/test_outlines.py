"""The animals of a segmentation: which regions count, in which order, and what an outline holds."""

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from snowmatch.screening.outlines import Outline, animals_of

SIZE = (300, 200)  # (width, height)


def drawn(*shapes, size=SIZE):
    """Return a confidence with shapes: (x, y, width, height, value), later shapes over earlier ones."""
    confidence = np.zeros(size[::-1], np.float32)
    for x, y, width, height, value in shapes:
        confidence[y : y + height, x : x + width] = value
    return confidence


def test_one_region_is_one_animal_with_mask_box_and_confidence():
    (animal,) = animals_of(drawn((40, 30, 100, 80, 0.9), (40, 30, 100, 40, 0.7)))
    assert animal.bbox == (40, 30, 100, 80)
    assert animal.mask.dtype == bool
    assert animal.mask.shape == (200, 300)
    assert animal.mask.sum() == 8000
    assert animal.mask[30:110, 40:140].all()
    assert animal.confidence == pytest.approx(0.8)


def test_only_confidence_above_one_half_is_animal():
    assert animals_of(drawn((40, 30, 100, 80, 0.5))) == ()
    (animal,) = animals_of(drawn((40, 30, 100, 80, 0.5), (60, 40, 50, 50, 0.51)))
    assert animal.bbox == (60, 40, 50, 50)


def test_the_central_animal_is_first_even_if_another_is_larger():
    middle, corner = (120, 70, 50, 50), (0, 0, 60, 60)
    found = animals_of(drawn((*corner, 1), (*middle, 1)))
    assert [a.bbox for a in found] == [middle, corner]
    huge = (0, 0, 90, 200)  # so much larger that it is first at the edge
    assert animals_of(drawn((*huge, 1), (*middle, 1)))[0].bbox == huge


def test_a_second_animal_has_a_quarter_of_the_first_ones_area():
    first = (110, 60, 80, 80)
    assert [a.bbox for a in animals_of(drawn((*first, 1), (10, 10, 40, 40, 1)))] == [first, (10, 10, 40, 40)]
    assert [a.bbox for a in animals_of(drawn((*first, 1), (10, 10, 40, 39, 1)))] == [first]


def test_regions_that_touch_at_a_corner_are_one_animal():
    (animal,) = animals_of(drawn((50, 50, 40, 40, 1), (90, 90, 40, 40, 1)))
    assert animal.bbox == (50, 50, 80, 80)


def test_holes_are_filled_but_bays_are_not():
    hole = drawn((50, 50, 100, 80, 1), (80, 70, 30, 30, 0))
    (animal,) = animals_of(hole)
    assert animal.mask.sum() == 100 * 80
    assert animal.confidence == pytest.approx((100 * 80 - 30 * 30) / (100 * 80))
    ring = drawn((50, 50, 40, 40, 1), (60, 60, 29, 29, 0), (89, 89, 1, 1, 0))  # the hole and the outside share a corner
    (animal,) = animals_of(ring)
    assert animal.mask.sum() == 40 * 40 - 1
    bay = drawn((50, 50, 100, 80, 1), (80, 70, 30, 130, 0))
    (animal,) = animals_of(bay)
    assert animal.mask.sum() == 100 * 80 - 30 * 60
    at_the_edge = drawn((0, 50, 100, 80, 1), (0, 70, 30, 30, 0))  # open to the edge of the photo
    (animal,) = animals_of(at_the_edge)
    assert animal.mask.sum() == 100 * 80 - 30 * 30


def test_specks_are_no_animals():
    specks = [(10 * i, 5, 5, 5, 1) for i in range(20)]
    assert animals_of(drawn(*specks)) == ()  # 0.8 % of the photo, but each less than 0.1 %
    first = (140, 95, 15, 15)
    assert [a.bbox for a in animals_of(drawn(*specks, (*first, 1)))] == [first]


@pytest.mark.parametrize(
    ("width", "height", "count"), [(11, 10, 0), (12, 10, 1), (300, 180, 1), (300, 181, 0), (300, 200, 0)]
)
def test_too_little_or_too_much_is_no_animal(width, height, count):
    assert len(animals_of(drawn((0, 0, width, height, 1)))) == count


def test_a_frame_that_is_full_when_filled_is_no_animal():
    assert animals_of(drawn((0, 0, 300, 200, 1), (20, 20, 260, 160, 0))) == ()


@pytest.mark.parametrize("size", [(1, 1), (0, 0), (1, 40), (40, 1), (3, 2)])
@pytest.mark.parametrize("value", [0, 1])
def test_tiny_and_empty_photos_have_no_animals(size, value):
    assert animals_of(np.full(size, value, np.float32)) == ()


def test_the_confidence_is_not_changed_and_the_answer_is_repeatable():
    confidence = cv2.GaussianBlur(np.random.default_rng(3).random((200, 300)).astype(np.float32), (0, 0), 12)
    confidence = (confidence - confidence.min()) / np.ptp(confidence)
    before = confidence.copy()
    one, two = animals_of(confidence), animals_of(confidence)
    assert one
    assert (confidence == before).all()
    assert [(a.bbox, a.confidence, a.mask.tobytes()) for a in one] == [
        (a.bbox, a.confidence, a.mask.tobytes()) for a in two
    ]


@given(st.integers(0, 10_000), st.floats(0.5, 9), st.floats(0.2, 0.8))
def test_outlines_never_overlap_and_fit_their_boxes(seed, blur, level):
    noise = cv2.GaussianBlur(np.random.default_rng(seed).random((60, 80)).astype(np.float32), (0, 0), blur)
    confidence = np.clip((noise - noise.mean()) / noise.std() / 4 + level, 0, 1)
    found = animals_of(confidence)
    if found:
        assert np.sum([a.mask for a in found], axis=0).max() == 1
    for animal in found:
        x, y, width, height = animal.bbox
        rows, columns = np.nonzero(animal.mask)
        assert (x, y, x + width, y + height) == (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1)
        assert 0 < animal.confidence <= 1
        assert animal.mask.sum() >= 0.25 * found[0].mask.sum()


def test_other_arrays_are_a_mistake():
    for wrong in (np.zeros((4, 4)), np.zeros((4, 4), bool), np.zeros((4, 4, 1), np.float32)):
        with pytest.raises(ValueError, match="expected float32"):
            animals_of(wrong)
    with pytest.raises(ValueError, match="expected bool"):
        Outline(np.zeros((4, 4), np.uint8), (0, 0, 1, 1), 1.0)
