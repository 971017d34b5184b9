"""Bars with text: found with their exact height in drawn photos, and never in scenery without a bar."""

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from snowmatch.screening.bars import TALLEST, info_bars

SIZE = (240, 180)  # (width, height) of a preview (px)
MOST = int(TALLEST * SIZE[1])


def scenery(seed=0, size=SIZE, light=120.0, contrast=40.0):
    """Return (H, W) uint8: uneven ground with rocks, with the mean `light`."""
    rng = np.random.default_rng(seed)
    width, height = size
    layers = [cv2.GaussianBlur(rng.normal(0, 1, (height, width)), (0, 0), sigma) for sigma in (1, 5)]
    values = sum(layer / layer.std() for layer in layers) / 2**0.5
    return np.clip(light + contrast * values, 0, 255).astype(np.uint8)


def with_bar(photo, height, colour, text="12:41 -7C 3/9", top=False):
    """Return the photo with a bar of `height` rows and `colour`, with text in the opposite colour."""
    bar = np.full((height, photo.shape[1]), colour, np.uint8)
    ink = 255 if colour < 128 else 0
    cv2.putText(bar, text, (4, max(1, height - 3)), cv2.FONT_HERSHEY_PLAIN, height / 14, ink, 1, cv2.LINE_AA)
    photo = photo.copy()
    if top:
        photo[:height] = bar
    elif height:
        photo[-height:] = bar
    return photo


heights = st.integers(4, MOST)
colours = st.sampled_from([0, 20, 240, 255])


@given(st.integers(0, 99), heights, heights, colours, colours)
def test_bars_at_the_top_and_the_bottom_are_found(seed, above, below, one, other):
    photo = scenery(seed)
    assert info_bars(with_bar(photo, below, other)) == (0, below)
    assert info_bars(with_bar(photo, above, one, top=True)) == (above, 0)
    both = with_bar(with_bar(photo, below, other), above, one, top=True)
    assert info_bars(both) == (above, below)


@given(st.integers(0, 99), heights, colours)
def test_turning_the_photo_upside_down_swaps_the_bars_and_a_mirror_image_keeps_them(seed, height, colour):
    photo = with_bar(scenery(seed), height, colour)
    assert info_bars(photo[::-1]) == info_bars(photo)[::-1] == (height, 0)
    assert info_bars(photo[:, ::-1]) == info_bars(photo)
    assert info_bars(photo.astype(np.float32)) == info_bars(photo)


@given(st.integers(0, 999), st.floats(20, 230), st.floats(3, 60))
def test_scenery_has_no_bars(seed, light, contrast):
    assert info_bars(scenery(seed, light=light, contrast=contrast)) == (0, 0)


@pytest.mark.parametrize("height", [MOST + 2, MOST + 3, 40])
def test_a_band_that_is_too_high_is_no_bar(height):
    assert info_bars(with_bar(scenery(), height, 0)) == (0, 0)


def test_the_highest_bar_is_found():
    assert info_bars(with_bar(scenery(), MOST, 0)) == (0, MOST)


@given(st.integers(0, 99), st.integers(10, 60), st.floats(8, 40))
def test_a_dark_sky_behind_a_hill_is_no_bar(seed, horizon, relief):
    """The sky of a night photo is black and even, but it does not end in one straight line."""
    photo = scenery(seed, light=90, contrast=20)
    x = np.arange(SIZE[0])
    edge = np.maximum(horizon * 0.3 + relief * (1 + np.sin(x / 31 + seed)) / 2, 1)
    photo[np.arange(SIZE[1])[:, None] < edge] = 3
    assert info_bars(photo) == (0, 0)
    assert info_bars(photo[::-1]) == (0, 0)


@given(st.integers(0, 99), st.floats(0.3, 1.2), st.floats(0, 1), st.sampled_from([5, 235]))
def test_an_animal_that_touches_the_border_is_no_bar(seed, wide, where, light):
    photo = scenery(seed)
    half = int(wide * SIZE[0] / 2)
    cv2.ellipse(photo, (int(where * SIZE[0]), SIZE[1] + 4), (half, 24), 0, 0, 360, light, -1)
    assert info_bars(photo) == (0, 0)
    assert info_bars(photo[::-1]) == (0, 0)


@pytest.mark.parametrize("grey", [0, 7, 128, 255])
def test_photos_of_one_colour_have_no_bars(grey):
    assert info_bars(np.full(SIZE[::-1], grey, np.uint8)) == (0, 0)


def test_a_gradient_is_no_bar():
    down = np.repeat(np.linspace(0, 255, SIZE[1])[:, None], SIZE[0], axis=1)
    assert info_bars(down) == info_bars(down.astype(np.uint8)) == (0, 0)


def test_a_sky_that_grows_lighter_is_no_bar_even_with_a_straight_end():
    photo = scenery()
    photo[:15] = np.linspace(0, 9, 15)[:, None]
    assert info_bars(photo) == (0, 0)
    photo[:15] = 15
    assert info_bars(photo) == (15, 0)


def test_a_band_that_is_about_as_light_as_the_scenery_is_no_bar():
    photo = np.tile(np.array([[85, 115]], np.uint8), (SIZE[1], SIZE[0] // 2))
    photo[:15] = 100
    assert info_bars(photo) == (0, 0)
    photo[:15] = 160
    assert info_bars(photo) == (15, 0)


def test_a_band_in_the_middle_is_no_bar():
    photo = scenery()
    photo[5:12] = 0
    photo[-12:-5] = 255
    assert info_bars(photo) == (0, 0)


def test_a_bar_that_covers_half_the_width_is_no_bar():
    photo = scenery()
    photo[-12:, : SIZE[0] // 2] = 0
    assert info_bars(photo) == (0, 0)


@pytest.mark.slow
@pytest.mark.parametrize("height", [60.0, 75.5, 88.3, 110.0])
@pytest.mark.parametrize("colour", [0, 255])
def test_a_bar_of_a_large_photo_is_found_in_its_small_copy(height, colour):
    """The edge of the bar may lie inside a row of the copy."""
    large = scenery(size=(2400, 1600), contrast=80)
    large = with_bar(large, int(height), colour)
    small = cv2.resize(large, (240, 160), interpolation=cv2.INTER_AREA)
    top, bottom = info_bars(small)
    assert top == 0
    assert abs(bottom - int(height) / 10) <= 1


@given(st.integers(1, 60), st.integers(1, 60), st.booleans())
def test_photos_of_any_size_are_accepted(height, width, noise):
    rng = np.random.default_rng(height * 61 + width)
    photo = rng.integers(0, 256, (height, width), dtype=np.uint8) if noise else np.zeros((height, width), np.uint8)
    photo[-1] = 255
    found = info_bars(photo)
    assert all(type(bar) is int and 0 <= bar <= TALLEST * height for bar in found)


def test_the_photo_is_not_changed():
    photo = with_bar(scenery(), 12, 0).astype(np.float32)
    before = photo.copy()
    info_bars(photo)
    assert (photo == before).all()
