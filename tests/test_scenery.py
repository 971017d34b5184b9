"""Separating the animal from rocks: artificial places in several photos, with a spotted animal that walks by."""

from functools import cache

import cv2
import numpy as np
import pytest

from snowmatch.screening.foreground import (
    LEAST_CENTRED,
    LEAST_MAPPED,
    ForegroundMap,
    centre_weights,
    foreground_picture,
    foreground_weights,
)
from snowmatch.screening.scenery import PREVIEW, foreground_map, make_preview

SIZE = (240, 160)  # width, height: the size of a view, so that a pixel of the photo is a pixel of the map
EDGE = 80  # px of rocks outside the frame on every side, for cameras that are moved
ANIMAL = (48, 32)  # px, a fifth of the frame's width
PLACES = ((60, 60), (130, 80), (190, 110))  # centre of the animal in three frames
RIM = 6  # px: near the animal's outline the compared window contains both animal and rocks


def texture(seed, size, grain):
    """Return (h, w) float32 with mean 0 and deviation 1: spots of `grain` px."""
    noise = np.random.default_rng(seed).standard_normal((size[1], size[0])).astype(np.float32)
    blurred = cv2.GaussianBlur(noise, (0, 0), grain)
    return (blurred - blurred.mean()) / blurred.std()


@cache
def rocks(seed, size=SIZE):
    """Return (h, w) float32 grey levels of one place, `EDGE` px larger on every side than a photo of `size`."""
    whole = (size[0] + 2 * EDGE, size[1] + 2 * EDGE)
    return 110 + 25 * texture([seed, 0], whole, 2) + 20 * texture([seed, 1], whole, 6)


def take(place, animal=None, *, coat=1000, shift=(0, 0), gain=1.0, bias=0.0, noise=2.0, size=SIZE, length=ANIMAL):
    """Return a photo (h, w) uint8 of `place` with a spotted animal. The camera has moved by `shift` px.

    animal: its centre in the photo, None for no animal. coat: seed of its spots. gain, bias: the light.
    """
    dx, dy = shift
    frame = np.array([[1, 0, dx - EDGE], [0, 1, dy - EDGE]], np.float32)
    photo = cv2.warpAffine(place, frame, size, flags=cv2.INTER_CUBIC)
    if animal is not None:
        photo[animal_area(animal, size, length)] = 110 + 40 * texture(coat, length, 2)
    seed = [round(abs(value) * 64) for value in (*shift, gain, bias, *(animal or (0, 0)))]
    photo = gain * photo + bias + noise * texture([*seed, 3], size, 0.5)
    return np.clip(photo.round(), 0, 255).astype(np.uint8)


def animal_area(animal, size=SIZE, length=ANIMAL):
    """Return the pixels of the animal as slices of rows and columns."""
    left, top = animal[0] - length[0] // 2, animal[1] - length[1] // 2
    assert left >= 0
    assert top >= 0
    assert left + length[0] <= size[0]
    assert top + length[1] <= size[1]
    return slice(top, top + length[1]), slice(left, left + length[0])


def on_and_off(values, animal, keep=(slice(None), slice(None))):
    """Return the values (h, w) on the animal, and elsewhere in `keep`; both without the rim around its outline."""
    on = np.zeros(values.shape, np.uint8)
    on[animal_area(animal, values.shape[::-1])] = 1
    box = np.ones((2 * RIM + 1, 2 * RIM + 1), np.uint8)
    inside, outside = cv2.erode(on, box) > 0, cv2.dilate(on, box) == 0
    kept = np.zeros_like(inside)
    kept[keep] = True
    return values[inside], values[outside & kept]


def views(*photos):
    return [make_preview(photo) for photo in photos]


def passage(place=0, **light):
    """Return three frames of one burst: the animal walks through."""
    return views(*(take(rocks(place), where, **light) for where in PLACES))


# ----------------------------------------------------------------------------------------------------------- views


@pytest.mark.parametrize(("photo", "view"), [((960, 640), (240, 160)), ((300, 1200), (60, 240)), ((240, 7), (240, 7))])
def test_a_view_is_a_small_copy_of_the_whole_photo(photo, view):
    grey = np.zeros(photo[::-1], np.uint8)
    grey[: photo[1] // 2, : photo[0] // 2] = 200
    made = make_preview(grey).grey
    assert made.dtype == np.float32
    assert made.shape == view[::-1]
    assert max(made.shape) == PREVIEW
    assert made.mean() == pytest.approx(grey.mean(), abs=3)
    assert (made[0, 0], made[-1, -1]) == (200, 0)


@pytest.mark.parametrize("size", [(1, 1), (3, 200), (120, 80), (239, 100)])
def test_a_photo_smaller_than_a_view_is_not_enlarged(size):
    grey = np.random.default_rng(0).integers(0, 256, size[::-1], dtype=np.uint8)
    assert (make_preview(grey).grey == grey).all()


def test_the_view_of_a_long_thin_photo_has_at_least_one_row():
    assert make_preview(np.zeros((1, 3000), np.uint8)).grey.shape == (1, PREVIEW)


# ----------------------------------------------------------------------------------------------------------- burst


@pytest.mark.parametrize("asked", range(3))
@pytest.mark.parametrize("place", range(3))
def test_moving_parts_of_a_burst_are_animal_and_the_rest_is_scenery(place, asked):
    frames = passage(place)
    values, evidence = foreground_map(frames[asked], frames[:asked] + frames[asked + 1 :], [])
    assert evidence == "burst"
    assert values.dtype == np.float32
    assert values.shape == SIZE[::-1]
    assert values.min() >= 0
    assert values.max() <= 1
    on, off = on_and_off(values, PLACES[asked])
    assert on.mean() > 0.9
    assert np.median(on) == 1
    assert off.mean() < 0.02
    assert np.quantile(off, 0.98) == 0


@pytest.mark.parametrize(("gain", "bias"), [(0.5, 0), (0.4, 120), (1.3, -20), (1, 60)])
def test_changes_of_light_make_no_animal_and_hide_none(gain, bias):
    place = rocks(0)
    empty = make_preview(take(place))
    values, evidence = foreground_map(empty, views(take(place, gain=gain, bias=bias)), [])
    assert values is None or (values.mean() < 0.04 and evidence == "burst")
    frame, *others = take(place, PLACES[0]), *(take(place, spot, gain=gain, bias=bias) for spot in PLACES[1:])
    on, off = on_and_off(foreground_map(make_preview(frame), views(*others), [])[0], PLACES[0])
    assert on.mean() > 0.9
    assert off.mean() < 0.05


def test_a_uniform_sky_that_changes_brightness_is_no_animal():
    frames = []
    for n, where in enumerate(PLACES):
        photo = take(rocks(0), where)
        photo[:40] = np.clip(200 + 8 * n + texture([n, 7], (SIZE[0], 40), 0.7), 0, 255)
        frames.append(make_preview(photo))
    values, _ = foreground_map(frames[2], frames[:2], [])
    assert values[: 40 - RIM].mean() < 0.05
    assert on_and_off(values, PLACES[2])[0].mean() > 0.9


def test_with_one_other_frame_the_place_of_its_animal_is_not_scenery():
    frames = passage()
    values, _ = foreground_map(frames[0], frames[1:2], [])
    assert on_and_off(values, PLACES[0])[0].mean() > 0.9
    assert on_and_off(values, PLACES[1])[0].mean() > 0.9
    assert on_and_off(values, PLACES[2])[0].mean() < 0.02


def test_another_photo_of_the_place_never_removes_scenery():
    frames = passage()
    photos = [take(rocks(0), where, coat=55, shift=(3, 2)) for where in PLACES]
    fewer, _ = foreground_map(frames[0], frames[1:2], [])
    for burst, station in ((frames[1:], []), (frames[1:2], views(*photos)), (frames[1:], views(*photos))):
        more, _ = foreground_map(frames[0], burst, station)
        assert (more <= fewer).all()
    assert more.mean() < fewer.mean()


def test_a_burst_without_movement_gives_no_map():
    frames = views(*(take(rocks(0), PLACES[1], bias=bias) for bias in (0, 5, 10)))
    assert foreground_map(frames[0], frames[1:], []) == (None, "")
    assert foreground_map(frames[0], frames[:1], frames[:1]) == (None, "")


def test_one_frame_with_the_animal_elsewhere_is_not_enough_for_a_map():
    frames = views(*(take(rocks(0), where) for where in (PLACES[1], PLACES[1], PLACES[2])))
    assert foreground_map(frames[0], frames[1:], []) == (None, "")


# --------------------------------------------------------------------------------------------------------- station


@pytest.mark.parametrize(
    "shift", [(0, 0), (1, 0), (2.5, -1.3), (7.4, 4.6), (-18.25, 11.5), (40, 0), (-38.5, -9.7), (0, 33)]
)
def test_rocks_are_recognised_although_the_camera_was_moved_between_visits(shift):
    place = rocks(1)
    frame = make_preview(take(place, PLACES[1]))
    others = views(*(take(place, w, coat=5, shift=shift, gain=0.8, bias=15) for w in (PLACES[0], PLACES[2])))
    values, evidence = foreground_map(frame, [], others)
    assert evidence == "station"
    dx, dy = (int(np.sign(s) * np.ceil(abs(s) + RIM)) for s in shift)
    # the part that both photos show: a moved camera has not seen the rest
    both = slice(max(0, -dy), SIZE[1] - max(0, dy)), slice(max(0, -dx), SIZE[0] - max(0, dx))
    on, off = on_and_off(values, PLACES[1], both)
    assert len(off) > 10_000
    assert on.mean() > 0.85
    assert off.mean() < 0.04


@pytest.mark.parametrize("shift", [(6.5, 3.5), (-10.5, 0.5)])
def test_photos_are_aligned_by_fractions_of_a_pixel(shift):
    whole = (SIZE[0] + 2 * EDGE, SIZE[1] + 2 * EDGE)
    gravel = 110 + 40 * texture(4, whole, 1)
    frame, moved = views(take(gravel, noise=0), take(gravel, shift=shift, noise=0))
    values, _ = foreground_map(frame, [], [moved])
    assert values[20:-20, 20:-20].mean() < 0.05


def test_photos_of_a_burst_are_not_aligned():
    place = rocks(1)
    frame, moved = views(take(place, PLACES[1]), take(place, PLACES[0], shift=(20, 10)))
    assert foreground_map(frame, [moved], []) == (None, "")
    assert foreground_map(frame, [], [moved])[1] == "station"


def test_a_camera_that_was_moved_too_far_shows_another_place():
    place = rocks(1)
    frame, moved = views(take(place, PLACES[1]), take(place, PLACES[0], shift=(-78, 40)))
    assert foreground_map(frame, [], [moved]) == (None, "")


@pytest.mark.parametrize("seed", range(8))
def test_photos_of_another_place_give_no_map(seed):
    frame, *others = views(*(take(rocks(10 + n * 8 + seed), w) for n, w in enumerate(PLACES)))
    assert foreground_map(frame, others, []) == (None, "")
    assert foreground_map(frame, [], others) == (None, "")
    assert foreground_map(frame, others, others) == (None, "")


def test_a_photo_of_another_place_changes_nothing_among_those_of_this_one():
    frames, (stranger,) = passage(), views(take(rocks(9), PLACES[0]))
    alone, _ = foreground_map(frames[0], frames[1:], [])
    among, evidence = foreground_map(frames[0], [frames[1], stranger, frames[2]], [stranger])
    assert evidence == "burst"
    assert (among == alone).all()


# ---------------------------------------------------------------------------------------------------------- both


def test_the_evidence_names_the_photos_that_showed_the_place():
    frames, (visit,) = passage(), views(take(rocks(0), (40, 120), coat=8, shift=(4, 3)))
    assert foreground_map(frames[0], frames[1:], [])[1] == "burst"
    assert foreground_map(frames[0], [], [visit])[1] == "station"
    assert foreground_map(frames[0], frames[1:], [visit])[1] == "burst and station"
    elsewhere = views(take(rocks(9), PLACES[0]))
    assert foreground_map(frames[0], elsewhere, [visit])[1] == "station"
    assert foreground_map(frames[0], frames[1:], elsewhere)[1] == "burst"


def test_the_station_can_show_scenery_that_the_burst_does_not():
    still = views(*(take(rocks(0), where) for where in PLACES[:2]))
    visits = views(*(take(rocks(0), where, coat=8) for where in PLACES[1:]))
    burst, _ = foreground_map(still[0], still[1:], [])
    both, evidence = foreground_map(still[0], still[1:], visits[1:])
    assert evidence == "burst and station"
    ghost = on_and_off(burst, PLACES[1])[0]
    assert ghost.mean() > 0.9
    assert on_and_off(both, PLACES[1])[0].mean() < 0.02
    assert on_and_off(both, PLACES[0])[0].mean() > 0.9


def test_without_other_photos_there_is_no_map():
    assert foreground_map(passage()[0], [], []) == (None, "")


def test_photos_of_another_size_have_no_effect():
    frames = passage()
    odd = views(take(rocks(0), PLACES[1])[:-20], take(rocks(0), PLACES[1])[:, :-1], np.zeros((1, 1), np.uint8))
    assert foreground_map(frames[0], odd, odd) == (None, "")
    alone, _ = foreground_map(frames[0], frames[1:], [])
    among, evidence = foreground_map(frames[0], [*odd, *frames[1:]], odd)
    assert evidence == "burst"
    assert (among == alone).all()


@pytest.mark.parametrize("level", [0, 128, 255])
def test_uniform_photos_give_no_map_and_get_none(level):
    flat, other = views(np.full(SIZE[::-1], level, np.uint8), np.full(SIZE[::-1], 90, np.uint8))
    (frame,) = views(take(rocks(0), PLACES[0]))
    for view, known in ((flat, [other]), (flat, [frame]), (frame, [flat]), (flat, [flat])):
        assert foreground_map(view, known, []) == (None, "")
        assert foreground_map(view, [], known) == (None, "")


def test_the_order_of_photos_has_no_effect_and_photos_are_not_changed():
    def once(step):
        frames = passage()
        visits = views(*(take(rocks(0), w, coat=8, shift=(9.3, -4.1)) for w in PLACES))
        before = [view.grey.copy() for view in frames + visits]
        values, evidence = foreground_map(frames[0], frames[1:][::step], visits[::step])
        assert all((view.grey == grey).all() for view, grey in zip(frames + visits, before, strict=True))
        return values.tobytes(), evidence

    assert once(1) == once(1) == once(-1)


def test_photos_smaller_than_a_view_are_enough():
    size, length, spots = (120, 80), (36, 24), ((30, 30), (84, 50))
    place = rocks(3, size)
    frames = views(*(take(place, w, size=size, length=length) for w in spots), take(place, size=size))
    values, evidence = foreground_map(frames[0], frames[1:], [])
    assert evidence == "burst"
    assert values.shape == (80, 120)
    rows, columns = animal_area(spots[0], size, length)
    inner = values[rows.start + RIM : rows.stop - RIM, columns.start + RIM : columns.stop - RIM]
    assert inner.mean() > 0.9
    assert values.sum() < 1.6 * length[0] * length[1]


@pytest.mark.parametrize("size", [(1, 1), (2, 2), (5, 1), (1, 240), (7, 5)])
def test_the_smallest_photos_cause_no_error(size):
    rng = np.random.default_rng(0)
    one, two = views(*(rng.integers(0, 256, size[::-1], dtype=np.uint8) for _ in range(2)))
    for burst, station in (([two], []), ([], [two]), ([one], [one])):
        values, _ = foreground_map(one, burst, station)
        assert values is None or (values.shape == size[::-1] and np.isfinite(values).all())


# --------------------------------------------------------------------------------------------------------- weights


def halves(evidence, left=0, right=255):
    """Return a map: the left half is scenery, the right half is animal."""
    return ForegroundMap(np.array([[left, left, right, right]] * 2, np.uint8), evidence)


def test_a_map_that_is_not_a_small_grey_picture_is_refused():
    for values in (np.zeros((2, 2)), np.zeros(4, np.uint8), np.zeros((0, 4), np.uint8), np.zeros((2, 2, 3), np.uint8)):
        with pytest.raises(ValueError, match=r"expected uint8 \(h, w\)"):
            ForegroundMap(values, "burst")


@pytest.mark.parametrize("evidence", ["burst", "burst and station"])
def test_moving_parts_count_fully_at_any_position(evidence):
    keypoints = np.array([[-0.5, 0], [49.4, 99], [49.6, 0], [99.4, 99.4], [120, 120]])  # the last: outside the photo
    weights = foreground_weights(keypoints, (100, 100), halves(evidence))
    assert weights.dtype == np.float32
    assert weights.tolist() == [0, 0, 1, 1, 1]
    assert foreground_weights(keypoints[:0], (100, 100), halves(evidence)).shape == (0,)


def test_the_maps_x_goes_right_and_its_y_goes_down():
    cells = np.arange(1, 7, dtype=np.uint8).reshape(2, 3) * 40
    x, y = np.meshgrid([50, 150, 250], [50, 150])
    keypoints = np.stack([x.ravel(), y.ravel()], axis=1)
    weights = foreground_weights(keypoints, (300, 200), ForegroundMap(cells, "burst"))
    assert weights * 255 == pytest.approx(np.where(cells.ravel() < 255 * LEAST_MAPPED, 0, cells.ravel()))


def test_new_parts_at_a_station_are_weighted_by_the_distance_from_the_centre():
    keypoints = np.random.default_rng(0).uniform(0, 200, (500, 2))
    bell = centre_weights(keypoints, (200, 200))
    weights = foreground_weights(keypoints, (200, 200), halves("station", right=128))
    right = keypoints[:, 0] >= 99.5
    assert (weights[~right] == 0).all()
    half = bell[right] * 128 / 255
    assert weights[right] == pytest.approx(np.where(half < LEAST_CENTRED, 0, half))
    assert LEAST_CENTRED <= weights[weights > 0].min() < LEAST_MAPPED


def test_without_a_map_weights_depend_on_the_distance_from_the_centre():
    keypoints = np.random.default_rng(0).uniform(0, 200, (50, 2))
    assert (foreground_weights(keypoints, (200, 200)) == centre_weights(keypoints, (200, 200))).all()


@pytest.mark.parametrize(("evidence", "boxed"), [("burst", False), ("middle", False), ("station", True)])
def test_weights_of_a_map_are_zero_or_at_least_the_minimum(evidence, boxed):
    low = ForegroundMap(np.arange(256, dtype=np.uint8).reshape(1, -1), evidence)
    keypoints = np.stack([np.arange(256), np.zeros(256)], axis=1)
    weights = foreground_weights(keypoints, (256, 1), low, box=(0, 0, 256, 1) if boxed else None)
    counted = np.arange(256) / 255 >= LEAST_MAPPED
    assert (weights[~counted] == 0).all()
    assert weights[counted] == pytest.approx(np.arange(256)[counted] / 255)


def test_a_map_without_a_strong_place_leaves_its_best_spots():
    faint = ForegroundMap(np.arange(10, 70, dtype=np.uint8).reshape(1, -1), "middle")  # 0.04 to 0.27
    keypoints = np.stack([np.arange(60), np.zeros(60)], axis=1)
    weights = foreground_weights(keypoints, (60, 1), faint)
    counted = np.arange(10, 70) / 255 >= LEAST_CENTRED
    assert ((weights > 0) == counted).all()


@pytest.mark.parametrize(
    ("size", "shape"), [((4000, 3000), (120, 160)), ((300, 600), (160, 80)), ((9000, 2), (1, 160))]
)
def test_the_picture_of_the_weights_covers_the_whole_photo(size, shape):
    picture = foreground_picture(size, halves("burst"))
    assert picture.shape == shape
    assert (picture[:, : shape[1] // 2] == 0).all()
    assert (picture[:, shape[1] // 2 :] == 1).all()
    assert (foreground_picture(size, halves("station"), box=(0, 0, *size)) == picture).all()
    bell = foreground_picture(size, None)
    assert bell.shape == shape
    assert bell.max() > 0.9
    assert bell[0, 0] == 0
