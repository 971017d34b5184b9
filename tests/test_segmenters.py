"""Segmenters: the conformance checks, what the networks see and answer, and outlines of drawn animals."""

from dataclasses import dataclass
from typing import ClassVar

import cv2
import numpy as np
import pytest
from conftest import SHARED, skip_without_packages

from snowmatch.core.errors import SnowmatchError
from snowmatch.core.plugins import make_plugin, plugin_names
from snowmatch.models.cache import given_folder, weights_folder
from snowmatch.models.registry import known_weights
from snowmatch.screening.outlines import animals_of
from snowmatch.screening.segmenters.grabcut import Grabcut
from snowmatch.screening.segmenters.isnet import Isnet
from snowmatch.screening.segmenters.sam import Sam
from snowmatch.screening.segmenters.u2net import U2net
from snowmatch.testing import SEGMENTER_CHECKS
from snowmatch.testing.segmenters import BOX, scene

NETWORKS = {"isnet": Isnet, "u2net": U2net}


@pytest.fixture
def draw():
    """Return the module that writes small networks. Skip the test without onnx or onnxruntime."""
    pytest.importorskip("onnxruntime")
    pytest.importorskip("onnx")
    import drawn_networks

    return drawn_networks


@pytest.fixture
def echo(draw, tmp_path):
    """Return a function that makes a segmenter whose network answers what it sees."""

    def make(cls, size=64, **options):
        if cls is U2net:  # the green of the photo, as a share of its highest value
            options = {"gains": (0, 0.224, 0), "offset": 0.456, **options}
        return cls(weights=str(draw.write_echo(tmp_path / "echo.onnx", **options)), size=size)

    return make


@pytest.fixture
def sam(draw, tmp_path):
    """Return a function that makes a SAM whose masks show one of the decoder's inputs."""

    def make(shown="image", flat=False, **options):
        encoder = draw.write_encoder(tmp_path / "encoder.onnx", flat)
        return Sam(str(encoder), str(draw.write_decoder(tmp_path / "decoder.onnx", shown, **options)))

    return make


def plain(value, size=(120, 90)):
    return np.full((size[1], size[0], 3), value, np.uint8)


def overlap(mask, other):
    return (mask & other).sum() / (mask | other).sum()


def drawn_animal():
    """Return the ellipse of the test photo, (H, W) bool."""
    x, y, width, height = BOX
    animal = np.zeros(scene().shape[:2], np.uint8)
    cv2.ellipse(animal, (x + width // 2, y + height // 2), (width // 2 - 2, height // 2 - 2), 0, 0, 360, 1, -1)
    return animal.astype(bool)


# Conformance


def test_all_segmenters_are_known():
    assert plugin_names("segmenters") == ["grabcut", "isnet", "sam", "u2net"]


@pytest.mark.parametrize("check", SEGMENTER_CHECKS.values(), ids=list(SEGMENTER_CHECKS))
@pytest.mark.parametrize("name", ["grabcut", "isnet", "u2net"])
def test_segmenters_conform(name, check, echo):
    check(Grabcut() if name == "grabcut" else echo(NETWORKS[name]))


@pytest.mark.parametrize("check", SEGMENTER_CHECKS.values(), ids=list(SEGMENTER_CHECKS))
@pytest.mark.parametrize("flat", [False, True], ids=["normalised", "plain"])
def test_sam_conforms(check, sam, flat):
    check(sam(flat=flat))


@pytest.mark.parametrize("name", ["grabcut", "isnet", "sam", "u2net"])
def test_the_names_make_plugins(name):
    skip_without_packages("segmenters", name)
    assert (name in ("grabcut", "sam")) == make_plugin("segmenters", name).BOXED


@dataclass(frozen=True)
class Faulty(Grabcut):
    """GrabCut with a mistake, for the checks."""

    REVISION: ClassVar[int] = 1
    calls: ClassVar[list] = []


@dataclass(frozen=True)
class Bare:
    """A segmenter that lacks a member."""

    REVISION: ClassVar[int] = 1
    BOXED: ClassVar[bool] = False

    def segment(self, photo, bbox):
        return None


def faulty(**members):
    return dataclass(frozen=True)(type("Faulty", (Faulty,), {"__doc__": "With a mistake.", **members}))()


def changed(change):
    """Return a segmenter whose result is changed by `change`."""

    def segment(self, photo, bbox):
        found = Grabcut.segment(self, photo, bbox)
        return None if found is None else change(found)

    return faulty(segment=segment)


def spoilt(self, photo, bbox):
    if bbox is None:
        raise ValueError("no box")
    photo[0, 0] = 255 - photo[0, 0]


def uneven(self, photo, bbox):
    if bbox is None:
        raise ValueError("no box")
    self.calls.append(1)
    found = np.zeros(photo.shape[:2], np.float32)
    found[bbox[1], bbox[0]] = len(self.calls) % 97 / 97
    return found


FAULTS = {
    "float64": ("confidence_is_as_declared", lambda: changed(lambda c: c.astype(float)), "is float64"),
    "a list": ("confidence_is_as_declared", lambda: changed(lambda c: c.tolist()), "returns list"),
    "cut": ("confidence_is_as_declared", lambda: changed(lambda c: c[1:]), "confidence is"),
    "below 0": ("confidence_is_as_declared", lambda: changed(lambda c: c - np.float32(0.1)), "down to -0.1"),
    "percent": ("confidence_is_as_declared", lambda: changed(lambda c: c * np.float32(100)), "up to 100"),
    "NaN": ("confidence_is_as_declared", lambda: changed(lambda c: c * np.float32("nan")), "not finite"),
    "outside": ("nothing_outside_the_box", lambda: changed(lambda c: np.maximum(c, np.float32(0.2))), "up to 0.2"),
    "no box": ("segmenter_declares_its_box", lambda: faulty(segment=lambda self, photo, bbox: None), "without a box"),
    "BOXED": ("segmenter_declares_its_box", lambda: faulty(BOXED="yes"), "BOXED is 'yes'"),
    "not BOXED": ("segmenter_declares_its_box", lambda: faulty(BOXED=False), "raises ValueError"),
    "photo": ("same_photo_same_confidence", lambda: faulty(segment=spoilt), "the photo was changed"),
    "other bytes": ("same_photo_same_confidence", lambda: faulty(segment=uneven), "other bytes"),
    "fails": ("odd_photos_never_fail", lambda: faulty(segment=lambda self, photo, bbox: 1 / 0), "ZeroDivisionError"),
    "arguments": ("segmenter_is_complete", lambda: faulty(segment=lambda self, photo: None), "expected"),
    "no check": ("segmenter_is_complete", lambda: Bare(), "lacks the method check"),
}


@pytest.mark.parametrize(("check", "make", "words"), FAULTS.values(), ids=list(FAULTS))
def test_each_check_finds_its_mistake(check, make, words):
    with pytest.raises(AssertionError, match=words):
        SEGMENTER_CHECKS[check](make())


# GrabCut


def test_grabcut_finds_a_drawn_animal():
    (animal,) = animals_of(Grabcut().segment(scene(), BOX))
    assert overlap(animal.mask, drawn_animal()) > 0.95


def test_grabcut_finds_the_same_animal_in_a_large_photo():
    size = (1600, 1200)
    large = cv2.resize(scene(), size, interpolation=cv2.INTER_CUBIC)
    found = Grabcut(size=256).segment(large, tuple(5 * side for side in BOX))
    expected = cv2.resize(drawn_animal().astype(np.uint8), size, interpolation=cv2.INTER_NEAREST).astype(bool)
    assert overlap(found > 0.5, expected) > 0.93


def test_grabcut_needs_scenery_around_the_box():
    height, width = scene().shape[:2]
    assert Grabcut().segment(scene(), (0, 0, width, height)) is None
    assert Grabcut().segment(scene(), (-5, -5, width + 10, height + 10)) is None  # clipped
    with pytest.raises(SnowmatchError, match="outside the photo"):
        Grabcut().segment(scene(), (width, 0, 10, 10))


def test_grabcut_leaves_the_threads_of_opencv_as_they_were():
    before = cv2.getNumThreads()
    try:
        cv2.setNumThreads(2)
        Grabcut().segment(scene(), BOX)
        assert cv2.getNumThreads() == 2
    finally:
        cv2.setNumThreads(before)


def test_grabcut_does_not_depend_on_the_random_numbers_of_opencv():
    noise = np.random.default_rng(1).normal(60, 20, scene().shape)  # other first colours then give another outline
    photo = np.clip(scene() * 0.2 + noise, 0, 255).astype(np.uint8)
    found = []
    for seed in (1, 2, 3, 4):
        cv2.setRNGSeed(seed)
        found.append(Grabcut().segment(photo, BOX))
    assert found[0] is not None
    assert len({confidence.tobytes() for confidence in found}) == 1


@pytest.mark.parametrize("options", [{"size": 15}, {"size": 5000}, {"rounds": 0}])
def test_grabcut_refuses_settings_out_of_range(options):
    with pytest.raises(ValueError, match="expected"):
        Grabcut(**options)


# ISNet and U2Net


def test_the_confidence_of_isnet_is_not_stretched(echo):
    # the network answers the mean of what it sees, plus 0.5: the brightness of the photo
    for value in (140, 200, 255):
        found = echo(Isnet).segment(plain(value), None)
        assert found == pytest.approx(np.full((90, 120), value / 255), abs=1e-6)
    assert echo(Isnet).segment(plain(120), None) is None


@pytest.mark.parametrize("channel", [0, 1, 2])
def test_u2net_sees_channels_as_its_authors_normalise_them(echo, channel):
    mean, deviation = (0.485, 0.456, 0.406)[channel], (0.229, 0.224, 0.225)[channel]
    photo = plain(0)
    photo[:] = (150, 160, 170)  # the highest value is 170, by which the authors divide
    gains = [0, 0, 0]
    gains[channel] = deviation
    found = echo(U2net, gains=gains, offset=mean).segment(photo, None)
    assert found == pytest.approx(np.full((90, 120), photo[0, 0, channel] / 170), abs=1e-6)


@pytest.mark.parametrize("cls", NETWORKS.values(), ids=list(NETWORKS))
def test_networks_see_the_box_with_a_margin_and_answer_0_outside(echo, cls):
    photo = plain(0, (400, 300))
    photo[80:220, 100:300] = 255
    bbox = (120, 90, 100, 80)
    found = echo(cls).segment(photo, bbox)
    inside = np.zeros(photo.shape[:2], bool)
    inside[90:170, 120:220] = True
    assert (found[~inside] == 0).all()
    assert (found[inside] > 0.99).all()  # the white goes on in the margin
    photo[:, :125] = 0
    found = echo(cls).segment(photo, bbox)
    assert (found[90:170, 128:220] > 0.9).all()
    assert (found[90:170, 120:122] < 0.5).all()


def test_the_answer_lies_where_the_object_lies(echo):
    found = echo(Isnet, size=128).segment(scene(), None)
    (animal,) = animals_of(found)
    assert overlap(animal.mask, drawn_animal()) > 0.9


def test_only_the_first_output_counts(echo):
    found = echo(Isnet, outputs=3).segment(plain(200), None)
    assert found.max() == pytest.approx(200 / 255, abs=1e-6)


def test_values_that_are_no_confidences_are_an_error(echo):
    for options, words in (
        ({"offset": 3.0}, "gives values from 3.2"),
        ({"offset": float("nan")}, "gives values from nan"),
        ({"gains": (-1, -1, -1), "offset": 0.0}, "gives values from -0.8"),
    ):
        with pytest.raises(SnowmatchError, match=words) as caught:
            echo(Isnet, **options).segment(plain(200), None)
        assert "\n" not in str(caught.value)


def test_half_precision_may_leave_the_range_by_a_little(echo):
    found = echo(Isnet, gains=(0, 0, 0), offset=1.0005).segment(plain(200), None)
    assert found.max() == 1


def test_a_network_for_another_size_is_an_error(echo):
    with pytest.raises(SnowmatchError, match=r"size is 64, but the network in .* takes 96: set size to 96"):
        echo(Isnet, side=96).segment(plain(200), None)
    assert echo(Isnet, side=96, size=96).segment(plain(200), None) is not None


def test_another_network_is_an_error(draw, tmp_path):
    path = draw.write_encoder(tmp_path / "encoder.onnx")
    with pytest.raises(SnowmatchError, match="gives an array of shape"):
        Isnet(weights=str(path)).segment(plain(200), None)
    path = draw.write_encoder(tmp_path / "flat.onnx", flat=True)
    with pytest.raises(SnowmatchError, match="the network takes images"):
        Isnet(weights=str(path)).segment(plain(200), None)


@pytest.mark.parametrize("size", [31, 4097])
def test_networks_refuse_sizes_out_of_range(size):
    with pytest.raises(ValueError, match="expected 32 to 4096"):
        Isnet(size=size)


@pytest.mark.parametrize("name", ["isnet", "u2net"])
def test_missing_or_damaged_weights_are_one_line(name, tmp_path, monkeypatch):
    monkeypatch.setattr("snowmatch.models.cache.weights_folder", lambda: tmp_path / "none")
    monkeypatch.setenv("SNOWMATCH_WEIGHTS", str(tmp_path))
    file = known_weights(name).files[0]
    with pytest.raises(SnowmatchError, match=f"needs {file.name}, which is not on this computer"):
        NETWORKS[name]().check()
    (tmp_path / file.name).write_bytes(b"\x08\x07" + bytes(1000))
    with pytest.raises(SnowmatchError, match="damaged or a different file"):
        NETWORKS[name]().check()
    pytest.importorskip("onnxruntime")
    with pytest.raises(SnowmatchError, match="damaged or is not an ONNX network"):
        NETWORKS[name](weights=str(tmp_path / file.name)).check()


@pytest.mark.parametrize("name", ["isnet", "u2net"])
def test_the_registry_tells_name_size_sum_and_address(name):
    (file,) = known_weights(name).files
    assert file.name.endswith(".onnx")
    assert file.size > 100_000_000
    assert len(file.sha256) == 64
    (address,) = file.addresses
    assert address.startswith("https://")
    assert address.endswith(file.name)


# SAM


@pytest.mark.parametrize("qualities", [(0.1, 0.9), (0.5,)], ids=["two masks", "one mask"])
def test_sam_sees_the_photo_as_its_authors_normalise_it(sam, qualities):
    photo = plain(200, (200, 100))
    found = sam(qualities=qualities).segment(photo, (0, 0, 200, 100))
    logit = (200 - 123.675) / 58.395
    assert found == pytest.approx(np.full((100, 200), 1 / (1 + np.exp(-logit))), abs=1e-5)


def test_sam_takes_the_mask_of_the_best_quality(sam):
    assert sam(qualities=(0.1, 0.9)).segment(plain(200), (0, 0, 120, 90)) is not None
    assert sam(qualities=(0.9, 0.1)).segment(plain(200), (0, 0, 120, 90)) is None


@pytest.mark.parametrize(("shown", "expected"), [(0, 0.3 * 1024), (1, 0.2 * 512), (2, 0.8 * 1024), (3, 0.7 * 512)])
def test_sam_is_told_the_corners_of_the_box_in_its_own_pixels(sam, shown, expected):
    found = sam(shown).segment(plain(200, (400, 200)), (120, 40, 200, 100))
    value = found[90, 200]
    assert 1000 * np.log(value / (1 - value)) == pytest.approx(expected, abs=0.1)
    assert found[40:140, 120:320].min() == pytest.approx(value, abs=1e-5)
    outside = found.copy()
    outside[40:140, 120:320] = 0
    assert not outside.any()


@pytest.mark.parametrize("flat", [False, True], ids=["normalised", "plain"])
def test_sam_finds_a_drawn_animal(sam, flat):
    photo = scene()
    photo[~drawn_animal()] = 0  # the mask is where a value is above 0
    (animal,) = animals_of(sam(flat=flat).segment(photo, BOX))
    assert overlap(animal.mask, drawn_animal()) > 0.95


def test_sam_names_the_missing_file(sam, tmp_path):
    whole = sam()
    for part, words in (
        (Sam(), "needs the ONNX file of its encoder: set encoder"),
        (Sam(whole.encoder), "needs the ONNX file of its decoder: set decoder"),
        (Sam(whole.encoder, str(tmp_path / "none.onnx")), "does not exist, expected the ONNX file of the decoder"),
    ):
        with pytest.raises(SnowmatchError, match=words) as caught:
            part.check()
        assert "\n" not in str(caught.value)
        with pytest.raises(SnowmatchError, match=words):
            part.segment(scene(), BOX)
    whole.check()


def test_files_of_other_networks_are_an_error(sam, tmp_path):
    whole = sam()
    with pytest.raises(SnowmatchError, match="the network takes images"):
        Sam(whole.encoder, whole.encoder).segment(scene(), BOX)
    with pytest.raises(SnowmatchError, match=r"image_embeddings .* not"):
        Sam(whole.decoder, whole.decoder).segment(scene(), BOX)
    with pytest.raises(SnowmatchError, match="not image_embeddings"):
        sam(without=("mask_input",)).segment(scene(), BOX)
    (tmp_path / "text.onnx").write_text("no network")
    with pytest.raises(SnowmatchError, match="damaged or is not an ONNX network"):
        Sam(str(tmp_path / "text.onnx"), whole.decoder).check()


def test_a_decoder_without_masks_or_with_bad_values_is_an_error(draw, sam, tmp_path):
    whole = sam()
    from onnx import helper

    nodes = [helper.make_node("Identity", ["image_embeddings"], ["other"])]
    path = draw.write_network(tmp_path / "d.onnx", nodes, draw.DECODER, {"other": [1, 3, "H", "W"]})
    with pytest.raises(SnowmatchError, match="expected masks"):
        Sam(whole.encoder, str(path)).segment(scene(), BOX)
    with pytest.raises(SnowmatchError, match="not finite"):
        sam(shown="nan").segment(scene(), BOX)


# The authors' network


def real_isnet():
    """Return ISNet with a file of its authors' values, in any precision. Skip the test if there is none.

    The file is `isnet-general-use.onnx`, or `isnet-general-use-fp16.onnx` for half precision, in $SNOWMATCH_WEIGHTS or
    in the user's folder of weights.
    """
    pytest.importorskip("onnxruntime")
    for folder in filter(None, (given_folder(), weights_folder())):
        for name in ("isnet-general-use.onnx", "isnet-general-use-fp16.onnx"):
            if (folder / name).is_file():
                return Isnet(weights=str(folder / name))
    pytest.skip("no file of ISNet in $SNOWMATCH_WEIGHTS or in the folder of weights")


@pytest.mark.slow
def test_isnet_finds_a_drawn_animal_and_nothing_on_a_blank_photo():
    isnet = real_isnet()
    photo = cv2.resize(scene(), (640, 480), interpolation=cv2.INTER_CUBIC)
    (animal,) = animals_of(isnet.segment(photo, None))
    expected = cv2.resize(drawn_animal().astype(np.uint8), (640, 480), interpolation=cv2.INTER_NEAREST).astype(bool)
    assert overlap(animal.mask, expected) > 0.9
    found = isnet.segment(plain(128, (640, 480)), None)
    assert found is None or animals_of(found) == ()


@pytest.mark.slow
@pytest.mark.real
def test_isnet_finds_antelopes():
    isnet = real_isnet()
    photos = sorted((SHARED / "nyala" / "images").glob("*.jpg"))[5::200]
    if not photos:
        pytest.skip("no real photos beside the project")
    for path in photos:
        photo = cv2.imread(str(path))[:, :, ::-1].copy()
        animals = animals_of(isnet.segment(photo, None))
        assert animals, path.name
        assert animals[0].mask.mean() > 0.1, path.name
