"""Properties of all extractors (a test with `plugin` runs for every plugin file), and of SIFT and Hessian-affine."""

from dataclasses import fields

import cv2
import numpy as np
import pytest
from conftest import has_weights, skip_without_packages

from snowmatch.core.errors import SnowmatchError
from snowmatch.core.plugins import make_plugin, plugin_name, plugin_names
from snowmatch.core.types import Features
from snowmatch.features.extractors import check_extractor
from snowmatch.features.extractors._descriptors import choose, root_sift
from snowmatch.features.extractors.hesaff import Hesaff, _histograms, _spatial_bins
from snowmatch.features.extractors.sift import Sift
from snowmatch.testing import EXTRACTOR_CHECKS
from snowmatch.testing.extractors import chip_for, coat

CLASSICAL = [Sift, Hesaff]
# The tests have only random weights of these. Such networks find arbitrary keypoints.
UNTRAINED = ("disk", "superpoint")


@pytest.fixture(params=plugin_names("extractors"))
def plugin(request):
    """Return every extractor with its defaults. Skip the test if packages in its NEEDS or its weights are missing."""
    skip_without_packages("extractors", request.param)
    if has_weights("extractors", request.param):
        request.getfixturevalue("weights")
    plugin = make_plugin("extractors", request.param)
    try:
        check_extractor(plugin)
    except SnowmatchError as error:
        pytest.skip(str(error))
    return plugin


def blob(width, height, x, y, sigma_x, sigma_y, angle=0.0):
    """Return an image of a dark Gaussian spot on a light background; angle in radians from the x axis."""
    v, u = np.mgrid[:height, :width].astype(float)
    u, v = u - x, v - y
    along, across = u * np.cos(angle) + v * np.sin(angle), v * np.cos(angle) - u * np.sin(angle)
    return 220 - 180 * np.exp(-0.5 * ((along / sigma_x) ** 2 + (across / sigma_y) ** 2))


def nearly_same(a: Features, b: Features) -> bool:
    """Return whether two feature sets agree: equal keypoints, and descriptors that differ at most in the last bit.

    Matrix products of other sizes round differently.
    """
    assert (a.keypoints == b.keypoints).all()
    if a.shapes is not None:
        np.testing.assert_allclose(a.shapes, b.shapes, rtol=1e-3, atol=1e-3)
    if a.descriptors.dtype != np.uint8:
        return bool(np.allclose(a.descriptors, b.descriptors, atol=1e-3))
    moved = np.abs(a.descriptors.astype(int) - b.descriptors)
    return moved.max() <= 1 and (moved > 0).mean() < 1e-3


@pytest.mark.parametrize("check", EXTRACTOR_CHECKS.values(), ids=list(EXTRACTOR_CHECKS))
def test_an_extractor_passes_the_conformance_check(plugin, check):
    check(plugin)


def test_keypoints_stay_inside_the_mask_and_others_do_not_count_to_the_maximum(plugin):
    grey = coat()
    mask = np.zeros(grey.shape, bool)
    mask[40:200, 150:310] = True
    features = plugin.extract(chip_for(plugin, grey, mask))
    x, y = np.rint(features.keypoints).astype(int).T
    assert len(features) > 50
    assert mask[y, x].all()
    if "max_features" in {f.name for f in fields(plugin)}:
        few = type(plugin)(max_features=40).extract(chip_for(plugin, grey, mask))
        assert len(few) == 40
        assert nearly_same(few, features.take(np.arange(40)))


@pytest.mark.parametrize("cls", CLASSICAL)
def test_a_mask_removes_features_and_changes_no_other(cls):
    grey = coat()
    mask = np.zeros(grey.shape, bool)
    mask[:, 100:220] = True
    everywhere = cls().extract(chip_for(cls, grey))
    x, y = np.rint(everywhere.keypoints).astype(int).T
    assert nearly_same(cls().extract(chip_for(cls, grey, mask)), everywhere.take(mask[y, x]))


def test_features_are_found_and_matched_after_a_known_warp(plugin):
    """The second image has 0.8 of the size, is rotated by 6 degrees and moved. Most features are found and matched."""
    if plugin_name(plugin) in UNTRAINED:
        pytest.skip("its weights are random here")
    grey = coat(400, 320)
    warp = cv2.getRotationMatrix2D((200, 160), 6, 0.8) + np.array([[0, 0, 11.3], [0, 0, -7.6]])
    seen = cv2.warpAffine(grey, warp, (400, 320), flags=cv2.INTER_AREA, borderMode=cv2.BORDER_REFLECT)
    seen = np.clip(seen * 0.8 + 20, 0, 255)  # the brightness differs too
    one, two = plugin.extract(chip_for(plugin, grey)), plugin.extract(chip_for(plugin, seen))
    expected = one.keypoints.astype(float) @ warp[:, :2].T + warp[:, 2]
    apart = np.linalg.norm(expected[:, None] - two.keypoints[None], axis=2)
    resized = np.abs(np.log(0.8 * one.scales[:, None] / two.scales[None]))
    if plugin.FRAMES:
        found_again = ((apart < 2.5) & (resized < np.log(1.3))).any(axis=1)
        large = 0.8 * one.scales > np.median(two.scales)  # small features may be too small in the second image
        assert found_again[large].mean() > 0.55
    else:  # without frames the scales are not compared
        assert (apart < 2.5).any(axis=1).mean() > 0.55
    a, b = one.descriptors.astype(np.float32), two.descriptors.astype(np.float32)
    far = (a**2).sum(1)[:, None] + (b**2).sum(1)[None] - 2 * a @ b.T
    there, back = far.argmin(axis=1), far.argmin(axis=0)
    mutual = back[there] == np.arange(len(a))
    right = apart[np.arange(len(a)), there] < 4
    assert mutual.sum() > 0.25 * len(a)
    assert right[mutual].mean() > 0.75


@pytest.mark.parametrize("cls", CLASSICAL)
def test_features_match_at_half_the_size(cls):
    """A descriptor covers the same piece of the coat at any size in pixels."""
    grey = coat(480, 400)
    half = cv2.resize(grey, (240, 200), interpolation=cv2.INTER_AREA)
    one, two = cls().extract(chip_for(cls, grey)), cls().extract(chip_for(cls, half))
    a, b = one.descriptors.astype(np.float32), two.descriptors.astype(np.float32)
    far = (a**2).sum(1)[:, None] + (b**2).sum(1)[None] - 2 * a @ b.T
    there, back = far.argmin(axis=1), far.argmin(axis=0)
    mutual = back[there] == np.arange(len(a))
    apart = np.linalg.norm((one.keypoints + 0.5) / 2 - 0.5 - two.keypoints[there], axis=1)
    assert (mutual & (apart < 2)).sum() > 0.4 * len(b)


@pytest.mark.parametrize("degrees", [0, 10, 45, 70, 90, 135, 170, 180, 225, 260, 300, 315, 355])
def test_a_constant_gradient_is_split_between_the_two_nearest_directions(degrees):
    """Direction k is 45 k degrees. The two shares, as vectors along their directions, add up to the gradient."""
    angle = np.deg2rad(degrees)
    y, x = np.mgrid[:41, :41].astype(np.float32)
    patch = (np.cos(angle) * x + np.sin(angle) * y)[None].astype(np.float32)
    inner = np.zeros((41, 41, 16), np.float32)
    inner[1:-1, 1:-1] = 1 / 39**2
    shares = _histograms(patch, inner.reshape(-1, 16)).reshape(16, 8)
    directions = np.arange(8) * np.pi / 4
    # sqrt(2) is a constant factor
    total = np.sqrt(2) * shares @ np.stack([np.cos(directions), np.sin(directions)], axis=1)
    np.testing.assert_allclose(total, np.tile([2 * np.cos(angle), 2 * np.sin(angle)], (16, 1)), atol=1e-4)
    beside = np.abs((directions - angle + np.pi) % (2 * np.pi) - np.pi) < np.pi / 4 + 1e-6
    assert (shares[:, ~beside] < 1e-4).all()
    assert (shares[:, beside] > -1e-6).all()


def test_the_cells_of_a_descriptor_are_stored_row_by_row_as_in_lowe():
    """Texture in one corner of the patch fills the cells of that corner. The order is rows, columns, directions."""
    patch = np.zeros((1, 41, 41), np.float32)
    patch[0, 4:14, 26:36] = np.random.default_rng(0).random((10, 10))
    cells = _histograms(patch, _spatial_bins(41)).reshape(4, 4, 8).sum(axis=2)
    assert cells[:2, 2:].sum() > 0.9 * cells.sum()
    assert cells[2:, :2].sum() == 0


def test_a_chip_size_below_the_minimum_is_refused(plugin):
    with pytest.raises(ValueError, match="chip_size is -5"):
        type(plugin)(chip_size=-5)


@pytest.mark.parametrize(
    ("cls", "setting", "value"),
    [
        (Sift, "chip_size", 31),
        (Sift, "chip_size", 8193),
        (Sift, "max_features", -1),
        (Sift, "contrast", -0.01),
        (Sift, "contrast", 1.0),
        (Sift, "contrast", float("nan")),
        (Sift, "edge", 0.5),
        (Sift, "layers", 0),
        (Hesaff, "chip_size", 0),
        (Hesaff, "max_features", -1),
        (Hesaff, "threshold", 0.0),
        (Hesaff, "threshold", float("nan")),
    ],
)
def test_a_setting_out_of_range_is_refused_by_name(cls, setting, value):
    with pytest.raises(ValueError, match=f"{setting} is {value}"):
        cls(**{setting: value})


def test_a_setting_out_of_range_raises_an_error_for_the_user():
    with pytest.raises(SnowmatchError, match=r"'hesaff': threshold is -1\.0"):
        make_plugin("extractors", "hesaff", {"threshold": "-1"})


@pytest.mark.parametrize("cls", CLASSICAL)
@pytest.mark.parametrize("sigma", [3.0, 4.5, 8.0])
def test_a_round_spot_is_found_at_its_place_and_with_its_size(cls, sigma):
    """Both detectors have their highest response to a Gaussian spot of width sigma at scale sigma."""
    features = cls().extract(chip_for(cls, blob(160, 140, 70.3, 60.7, sigma, sigma)))
    near = np.linalg.norm(features.keypoints - (70.3, 60.7), axis=1) < 0.2
    assert near[0]
    # OpenCV reports the smaller blur of a difference of two blurs: up to a factor of 2 ** (1 / 6) too small.
    assert features.scales[0] / 2 == pytest.approx(sigma, rel=0.13 if cls is Sift else 0.02)


@pytest.mark.parametrize("angle", [0.0, 0.5, 1.2, np.pi / 2])
def test_an_affine_frame_follows_the_shape_of_a_spot(angle):
    """The frame has the direction of the spot. It is rounder, because the image is blurred equally in both axes."""
    features = Hesaff(affine=True).extract(chip_for(Hesaff, blob(160, 140, 80.0, 70.0, 8.0, 5.0, angle)))
    best = np.linalg.norm(features.keypoints - (80, 70), axis=1).argmin()
    a, c, d = features.shapes[best].astype(float)
    axes, lengths, _ = np.linalg.svd(np.array([[a, 0], [c, d]]))
    assert abs(axes[:, 0] @ (np.cos(angle), np.sin(angle))) > np.cos(np.deg2rad(5))
    assert 1.2 < lengths[0] / lengths[1] < 1.7


def test_a_round_spot_keeps_a_round_frame():
    features = Hesaff(affine=True).extract(chip_for(Hesaff, blob(160, 140, 80.3, 70.2, 6.0, 6.0)))
    a, c, d = features.shapes[np.linalg.norm(features.keypoints - (80, 70), axis=1).argmin()]
    assert a / d == pytest.approx(1, abs=0.03)
    assert c / d == pytest.approx(0, abs=0.03)


def test_a_lower_threshold_adds_features_and_keeps_the_others():
    chip = chip_for(Hesaff, coat())
    strict, lenient = Hesaff(threshold=20.0).extract(chip), Hesaff(threshold=5.0).extract(chip)
    assert 50 < len(strict) < len(lenient)
    assert nearly_same(lenient.take(np.arange(len(strict))), strict)


def test_upright_sift_gives_one_feature_per_place():
    chip = chip_for(Sift, coat())
    upright, turning = Sift(upright=True).extract(chip), Sift(upright=False).extract(chip)
    assert (upright.oris == 0).all()
    assert len(np.unique(turning.oris)) > 100
    places = np.column_stack([upright.keypoints, upright.scales])
    assert len(np.unique(places, axis=0)) == len(upright) < len(turning)


def test_sift_with_orientations_matches_a_photo_rotated_by_90_degrees():
    grey = coat()
    plain, turned = (Sift(upright=False).extract(chip_for(Sift, g)) for g in (grey, np.rot90(grey).copy()))
    upright = [Sift(upright=True).extract(chip_for(Sift, g)) for g in (grey, np.rot90(grey).copy())]
    assert _near_matches(plain, turned) > 5 * max(1, _near_matches(*upright))


def _near_matches(one, two):
    a, b = one.descriptors.astype(np.float32), two.descriptors.astype(np.float32)
    far = (a**2).sum(1)[:, None] + (b**2).sum(1)[None] - 2 * a @ b.T
    nearest = np.sort(far, axis=1)
    return int((nearest[:, 0] < 0.6 * nearest[:, 1]).sum())


def test_root_sift_is_the_square_root_of_the_shares_of_a_histogram():
    histograms = np.random.default_rng(3).random((20, 128)).astype(np.float32)
    descriptors = root_sift(histograms)
    shares = histograms / histograms.sum(axis=1, keepdims=True)
    assert np.abs(descriptors - 512 * np.sqrt(shares)).max() <= 0.51
    assert (root_sift(histograms * 1000) == descriptors).all()
    assert (root_sift(np.zeros((1, 128), np.float32)) == 0).all()
    assert root_sift(np.zeros((0, 128), np.float32)).shape == (0, 128)


def test_a_dominant_gradient_is_clipped_before_the_square_root():
    """As in Lowe, a bin is at most 0.2 of the length, so that one bin cannot dominate the others."""
    histograms = np.ones((1, 128), np.float32)
    histograms[0, 0] = 1000
    assert root_sift(histograms)[0, 0] <= np.ceil(512 * np.sqrt(0.2 * 1000.1 / (0.2 * 1000.1 + 127)))
    assert root_sift(histograms)[0, 1] >= 20


def test_equal_scores_are_ordered_by_place_and_not_by_input_order():
    keypoints = np.array([[5, 5], [3, 3], [9, 3], [2, 8], [-1, 2], [10, 2]], np.float32)
    scores = np.array([1, 1, 1, 2, 9, 9], np.float32)
    assert choose(keypoints, scores, None, (10, 10), 0).tolist() == [3, 1, 2, 0]
    assert choose(keypoints, scores, None, (10, 10), 2).tolist() == [3, 1]
    shuffled = [2, 0, 3, 1]
    again = choose(keypoints[shuffled], scores[shuffled], None, (10, 10), 0)
    assert [shuffled[i] for i in again] == [3, 1, 2, 0]
